//! Which message of a Cisco ASA tells what happened, and what that message leaves out.
//!
//! A teardown names its two ends in the order of the interfaces' security and not by who began; of a connection from the inside it
//! would make the server the source. The fleet's devices log teardowns of connections from outside only, whose order is right.

use super::session::{Kind, Session};
use super::vpn::{CONNECTED, GATEWAY, PORTAL, VpnLog};

/// Messages about sessions, in the order of `templates/asa_session.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionMessage {
    /// 302013, 302015.
    Built,
    /// 302020.
    BuiltIcmp,
    /// 302014, 302016.
    Teardown,
    /// 106023.
    Denied,
    /// 106023 without ports.
    DeniedIcmp,
    /// 304001.
    Accessed,
    /// 304002.
    AccessDenied,
}

/// Messages about people, in the order of `templates/asa_vpn.txt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VpnMessage {
    /// 716038.
    WebAccepted,
    /// 716039.
    WebRejected,
    /// 113004: tells no address.
    AaaAccepted,
    /// 113005.
    AaaRejected,
    /// 722051.
    Assigned,
    /// 716001.
    Started,
    /// 113019.
    Disconnected,
    /// 722055.
    Client,
}

/// The message that tells of a session.
pub(crate) fn session_message(session: &Session<'_>) -> SessionMessage {
    let is_icmp = session.is_icmp();
    match session.kind {
        Kind::Traffic("deny" | "drop") if is_icmp => SessionMessage::DeniedIcmp,
        Kind::Traffic("deny" | "drop") => SessionMessage::Denied,
        // An IPv6 address and the URL behind it could not be told apart.
        Kind::Url(_) if session.dst.is_ipv4() && session.action == "alert" => SessionMessage::Accessed,
        Kind::Url(_) if session.action != "alert" => SessionMessage::AccessDenied,
        _ if is_icmp => SessionMessage::BuiltIcmp,
        Kind::Traffic("end") if session.is_inbound() => SessionMessage::Teardown,
        _ => SessionMessage::Built,
    }
}

/// The message that tells of a step into the VPN.
pub(crate) fn vpn_message(log: &VpnLog<'_>) -> VpnMessage {
    let stride = log.stride;
    match (stride.step, log.step().activity_id) {
        (GATEWAY, _) if stride.is_failure => VpnMessage::AaaRejected,
        (PORTAL, _) if stride.is_failure => VpnMessage::WebRejected,
        (PORTAL | GATEWAY, _) => VpnMessage::WebAccepted,
        (CONNECTED, _) => VpnMessage::Started,
        (_, 1) if log.step().stage == "login" => VpnMessage::AaaAccepted,
        (_, 1) => VpnMessage::Assigned,
        (_, 2) => VpnMessage::Disconnected,
        _ => VpnMessage::Client,
    }
}
