//! Firewalls: who they are, which PAN-OS they run, how they write time and how far their clocks are off.

use crate::config::FleetConfig;
use crate::draw::Draw;
use crate::record::Wire;

/// A PAN-OS release.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Release {
    /// As people write it, and as `ConfigVersion` carries it.
    pub(crate) text: &'static str,
    /// As CEF and LEEF carry it.
    pub(crate) version: &'static str,
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

/// Texts, code, columns of TRAFFIC, THREAT and GLOBALPROTECT.
const fn release(texts: (&'static str, &'static str), code: u64, columns: (usize, usize, usize)) -> Release {
    let (traffic, threat, vpn) = columns;
    Release { text: texts.0, version: texts.1, code, traffic, threat, system: 26, config: 26, vpn }
}

/// The releases of a fleet, with the column counts of the vendor's field pages and of real lines. Of 10.0 the pages tell
/// the order only, which was cut where its newest column stands; 12.1 has all columns of the current pages.
pub(crate) const RELEASES: [Release; 7] = [
    release(("10.2", "10.2.9"), 2562, (115, 121, 49)),
    release(("11.0", "11.0.4"), 2816, (117, 123, 50)),
    release(("10.1", "10.1.12"), 2561, (115, 121, 49)),
    release(("11.1", "11.1.4-h7"), 2817, (117, 123, 50)),
    Release { system: 23, config: 16, ..release(("9.1", "9.1.17"), 2305, (75, 79, 36)) },
    release(("12.1", "12.1.2"), 3073, (130, 123, 50)),
    release(("10.0", "10.0.12"), 2560, (103, 108, 49)),
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
    /// What it writes to its collector.
    pub(crate) wire: Wire,
    pub(crate) release: Release,
    /// Index of the release in [`RELEASES`].
    pub(crate) release_index: usize,
    pub(crate) header: Header,
    /// How far its clock is ahead.
    pub(crate) skew_us: i64,
}

/// What names of firewalls begin with.
fn vendor(wire: Wire) -> &'static str {
    match wire {
        Wire::FortiGate | Wire::FortiGateCef => "FG",
        Wire::Asa => "ASA",
        _ => "PA",
    }
}

const SITES: [&str; 8] = ["FRA", "NYC", "SIN", "LON", "SJC", "SYD", "MUC", "TYO"];

impl Device {
    /// Device `index` of the fleet, which writes `wire`. Tenants and, within a tenant, partitions take turns.
    pub(crate) fn new(index: u32, wire: Wire, config: &FleetConfig, draw: &mut Draw) -> Self {
        let tenant = index % config.tenants;
        let partition = tenant * config.partitions_per_tenant + index / config.tenants % config.partitions_per_tenant;
        let skew = config.skew_max_us();
        let site = SITES[index as usize % SITES.len()];
        let release_index = (index as usize + index as usize / RELEASES.len()) % RELEASES.len();
        Self {
            serial: format!("0{:014}", 1_200_100_000_000 + u64::from(index) * 7_919 + draw.below(7_919)),
            name: format!("{}-{site}-{:02}", vendor(wire), index + 1),
            vsys: if draw.one_in(4) { "vsys2" } else { "vsys1" },
            tenant: tenant as usize,
            partition: partition as usize,
            wire,
            release: RELEASES[release_index],
            release_index,
            header: [Header::Rfc3164, Header::Rfc5424, Header::Rfc3164, Header::None][draw.index(4)],
            skew_us: draw.between(-skew, skew),
        }
    }
}
