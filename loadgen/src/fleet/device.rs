//! Firewalls: who they are, which PAN-OS they run, how they write time and how far their clocks are off.

use crate::config::FleetConfig;
use crate::draw::Draw;

/// A PAN-OS release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Release {
    /// As people write it, and as `ConfigVersion` carries it.
    pub(crate) text: &'static str,
    /// Column 6 of every CSV line: major * 256 + minor.
    pub(crate) code: u64,
    /// Columns of a TRAFFIC line.
    pub(crate) traffic: usize,
    /// Columns of a THREAT line.
    pub(crate) threat: usize,
    /// Columns of a SYSTEM line.
    pub(crate) system: usize,
    /// Columns of a CONFIG line, without the details of a change.
    pub(crate) config: usize,
    /// Columns of a GLOBALPROTECT line.
    pub(crate) vpn: usize,
}

impl Release {
    /// True if its lines end in a time with milliseconds (`high_resolution_timestamp`).
    pub(crate) fn has_high_resolution(self) -> bool {
        self.code >= 2560
    }
}

/// The releases of a fleet, with the column counts of the vendor's field pages and of real lines.
pub(crate) const RELEASES: [Release; 5] = [
    Release { text: "10.2", code: 2562, traffic: 115, threat: 121, system: 26, config: 26, vpn: 49 },
    Release { text: "11.0", code: 2816, traffic: 117, threat: 123, system: 26, config: 26, vpn: 50 },
    Release { text: "10.1", code: 2561, traffic: 115, threat: 121, system: 26, config: 26, vpn: 49 },
    Release { text: "11.1", code: 2817, traffic: 117, threat: 123, system: 26, config: 26, vpn: 50 },
    Release { text: "9.1", code: 2305, traffic: 75, threat: 79, system: 23, config: 16, vpn: 36 },
];

/// What stands before the first column of a CSV line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Header {
    /// `<14>Jan  5 08:00:00 host `
    Rfc3164,
    /// `<14>1 2026-01-05T08:00:00.000Z host - - - - `
    Rfc5424,
    /// Nothing: the line as a file holds it.
    None,
}

/// A firewall.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) serial: String,
    pub(crate) name: String,
    pub(crate) vsys: &'static str,
    pub(crate) tenant: usize,
    /// Index into the fleet's partitions.
    pub(crate) partition: usize,
    pub(crate) release: Release,
    pub(crate) header: Header,
    /// How far its clock is ahead.
    pub(crate) skew_us: i64,
}

const SITES: [&str; 8] = ["FRA", "NYC", "SIN", "LON", "SJC", "SYD", "MUC", "TYO"];

impl Device {
    /// Device `index` of the fleet. Tenants and, within a tenant, partitions take turns.
    pub(crate) fn new(index: u32, config: &FleetConfig, draw: &mut Draw) -> Self {
        let tenant = index % config.tenants;
        let partition = tenant * config.partitions_per_tenant + index / config.tenants % config.partitions_per_tenant;
        let skew = config.skew_max_us();
        let site = SITES[index as usize % SITES.len()];
        let releases = RELEASES.len();
        Self {
            serial: format!("0{:014}", 1_200_100_000_000 + u64::from(index) * 7_919 + draw.below(7_919)),
            name: format!("PA-{site}-{:02}", index + 1),
            vsys: if draw.one_in(4) { "vsys2" } else { "vsys1" },
            tenant: tenant as usize,
            partition: partition as usize,
            release: RELEASES[(index as usize + index as usize / releases) % releases],
            header: [Header::Rfc3164, Header::Rfc5424, Header::Rfc3164, Header::None][draw.index(4)],
            skew_us: draw.between(-skew, skew),
        }
    }
}
