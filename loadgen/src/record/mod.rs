//! A record before it is bytes. Bytes and truth both come from here and never from each other.

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
    /// AWS CloudTrail.
    CloudTrail,
}

/// The time as a line of `device` carries it: whole microseconds, milliseconds or seconds.
pub(crate) fn line_time(wire: Wire, device: &Device, us: i64) -> i64 {
    let unit = match wire {
        Wire::Strata => 1,
        Wire::Csv if device.release.has_high_resolution() => 1_000,
        Wire::Csv | Wire::CloudTrail => 1_000_000,
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
    /// A firewall's log of a step into its VPN.
    Vpn(Wire, VpnLog<'a>),
    /// A flow of the cloud's network.
    Flow(FlowLog<'a>),
    /// A session's log after an accident.
    Malformed(Fault, Session<'a>),
}
