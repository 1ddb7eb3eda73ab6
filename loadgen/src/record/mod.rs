//! A record before it is bytes. Bytes and truth both come from here and never from each other.

pub(crate) mod asa;
pub(crate) mod cloud;
pub(crate) mod flow;
pub(crate) mod malformed;
pub(crate) mod session;
pub(crate) mod vpn;

use cloud::CloudRecord;
use flow::FlowLog;
use malformed::Fault;
use session::Session;
use vpn::VpnLog;

use crate::fleet::device::Device;

/// How a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Strata Logging Service JSON.
    Strata,
    /// PAN-OS CSV in syslog.
    Csv,
    /// PAN-OS CEF in syslog.
    Cef,
    /// PAN-OS LEEF in syslog.
    Leef,
    /// FortiOS key-value pairs in syslog.
    FortiGate,
    /// FortiOS CEF in syslog.
    FortiGateCef,
    /// Cisco ASA syslog.
    Asa,
    /// AWS CloudTrail.
    CloudTrail,
    /// Google Cloud audit logs.
    GcpAudit,
    /// Azure activity log.
    AzureActivity,
    /// Microsoft Entra ID sign-ins.
    EntraSignIn,
    /// Okta System Log.
    Okta,
}

impl Wire {
    /// True if a firewall of Palo Alto Networks writes it.
    pub(crate) fn is_palo_alto(self) -> bool {
        matches!(self, Wire::Strata | Wire::Csv | Wire::Cef | Wire::Leef)
    }

    /// True if it can tell what threat prevention found.
    pub(crate) fn has_findings(self) -> bool {
        self != Wire::Asa
    }

    /// True if it can tell each finding as grave as it is. FortiOS's CEF has a level a subtype, whatever the signature.
    pub(crate) fn has_severities(self) -> bool {
        !matches!(self, Wire::Asa | Wire::FortiGateCef)
    }

    /// True if it can tell how much each side sent.
    pub(crate) fn has_bytes_sent(self) -> bool {
        self != Wire::Asa
    }
}

/// The time as a line of `device` carries it: whole microseconds, milliseconds or seconds.
pub(crate) fn line_time(wire: Wire, device: &Device, us: i64) -> i64 {
    let unit = match wire {
        Wire::Strata | Wire::FortiGate | Wire::FortiGateCef => 1,
        Wire::GcpAudit | Wire::AzureActivity | Wire::EntraSignIn => 1,
        Wire::Csv | Wire::Cef | Wire::Leef if device.release.has_high_resolution() => 1_000,
        Wire::Okta => 1_000,
        Wire::Csv | Wire::Cef | Wire::Leef | Wire::Asa | Wire::CloudTrail => 1_000_000,
    };
    us.div_euclid(unit) * unit
}

/// What one offset of a partition holds.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// A firewall's log of a session, or its system log.
    Session(Wire, Session<'a>),
    /// One or more calls of the cloud's API.
    Cloud(CloudRecord<'a>),
    /// A firewall's log of a step into its VPN, or an identity provider's of a sign-in.
    Vpn(Wire, VpnLog<'a>),
    /// A flow of the cloud's network.
    Flow(FlowLog<'a>),
    /// A session's log after an accident.
    Malformed(Fault, Session<'a>),
}
