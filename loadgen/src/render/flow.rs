//! VPC flow logs in AWS's default format, version 2: fourteen values and spaces between them.

use super::line::Line;
use super::text::{address, hex, number};
use crate::record::flow::FlowLog;

/// Appends the log: `2 account interface source destination port port protocol packets bytes start end ACCEPT OK`; what an
/// interface that saw nothing does not know is `-`.
pub(crate) fn render(log: &FlowLog<'_>, out: &mut Line) {
    out.put(b"2 ");
    out.put(log.tenant.account.as_bytes());
    out.put(b" eni-0");
    hex(out, log.interface, 16);
    if log.is_empty {
        out.put(b" - - - - - - -");
    } else {
        flow(log, out);
    }
    for value in [log.start_us, log.end_us] {
        out.push(b' ');
        number(out, (value / 1_000_000).unsigned_abs());
    }
    out.put(match (log.is_empty, log.is_accepted) {
        (true, _) => &b" - NODATA"[..],
        (false, true) => b" ACCEPT OK",
        (false, false) => b" REJECT OK",
    });
}

fn flow(log: &FlowLog<'_>, out: &mut Line) {
    for end in [log.src, log.dst] {
        out.push(b' ');
        address(out, end);
    }
    for value in [log.src_port.into(), log.dst_port.into(), log.protocol.into(), log.packets, log.bytes] {
        out.push(b' ');
        number(out, value);
    }
}
