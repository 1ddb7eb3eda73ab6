//! VPC flow logs in AWS's default format, version 2: fourteen values and spaces between them.

use super::text::{address, hex, number};
use crate::record::flow::FlowLog;

/// Appends the log: `2 account interface source destination port port protocol packets bytes start end ACCEPT OK`.
pub(crate) fn render(log: &FlowLog<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"2 ");
    out.extend_from_slice(log.tenant.account.as_bytes());
    out.extend_from_slice(b" eni-0");
    hex(out, log.interface, 16);
    for end in [log.src, log.dst] {
        out.push(b' ');
        address(out, end);
    }
    let numbers = [log.src_port.into(), log.dst_port.into(), log.protocol.into(), log.packets, log.bytes];
    for value in numbers.into_iter().chain([log.start_us, log.end_us].map(seconds)) {
        out.push(b' ');
        number(out, value);
    }
    out.extend_from_slice(if log.is_accepted { b" ACCEPT OK" } else { b" REJECT OK" });
}

fn seconds(us: i64) -> u64 {
    (us / 1_000_000).unsigned_abs()
}
