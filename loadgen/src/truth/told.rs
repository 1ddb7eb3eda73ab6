//! What a format leaves out of a record, or says in another way: the truth is what its lines tell.

use dataflow::Table;

use super::TruthRow;
use crate::record::Wire;
use crate::record::asa::{SessionMessage, VpnMessage, session_message, vpn_message};
use crate::record::session::{Kind, Session};
use crate::record::vpn::VpnLog;

/// The row of a session as `wire` tells it.
pub(super) fn session(wire: Wire, session: &Session<'_>, row: TruthRow) -> TruthRow {
    match wire {
        Wire::FortiGateCef => fortigate_cef(session, row),
        Wire::Asa => asa(session, row),
        _ => row,
    }
}

/// Every security log is a finding as grave as the level of its subtype.
fn fortigate_cef(session: &Session<'_>, row: TruthRow) -> TruthRow {
    let severity_id = match session.kind {
        Kind::Url(_) if session.action == "alert" => 1,
        Kind::Threat(signature) if signature.subtype != "virus" => 5,
        Kind::Url(_) | Kind::Threat(_) => 3,
        _ => return row,
    };
    TruthRow { table: Table::DetectionFinding, severity_id: Some(severity_id), ..row }
}

/// Messages tell how much went both ways, and teardowns nothing of permission.
fn asa(session: &Session<'_>, row: TruthRow) -> TruthRow {
    let row = TruthRow { bytes_out: None, severity_id: None, ..row };
    match session_message(session) {
        SessionMessage::Built => TruthRow { table: Table::NetworkActivity, action_id: Some(1), ..row },
        SessionMessage::BuiltIcmp => {
            TruthRow { table: Table::NetworkActivity, action_id: Some(1), dst_port: None, user_name: None, ..row }
        }
        SessionMessage::Teardown => TruthRow { action_id: None, ..row },
        SessionMessage::Denied => row,
        SessionMessage::DeniedIcmp | SessionMessage::Accessed => TruthRow { dst_port: None, ..row },
        SessionMessage::AccessDenied => TruthRow { dst_port: None, user_name: None, ..row },
    }
}

/// The row of a step as `wire` tells it.
pub(super) fn vpn(wire: Wire, log: &VpnLog<'_>, row: TruthRow) -> TruthRow {
    let is_login = row.table == Table::Authentication;
    match wire {
        // Events have one class; what tells of tunnels has the person's address in a member of its own.
        Wire::FortiGateCef => TruthRow {
            table: Table::BaseEvent,
            activity_id: None,
            status_id: None,
            src_ip: row.src_ip.filter(|_| is_login && !log.stride.is_failure),
            src_country: row.src_country.filter(|_| is_login && !log.stride.is_failure),
            ..row
        },
        Wire::Asa if vpn_message(log) == VpnMessage::AaaAccepted => TruthRow { src_ip: None, src_country: None, ..row },
        _ => row,
    }
}
