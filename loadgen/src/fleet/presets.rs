//! Fleets by name.

use crate::config::{FleetConfig, Rate};
use crate::mix::Mix;

/// Weights of the hours of people who work by day.
const OFFICE_HOURS: [u32; 24] = [2, 2, 2, 2, 2, 3, 6, 20, 50, 75, 80, 80, 60, 72, 80, 78, 70, 50, 25, 12, 8, 5, 3, 2];
/// Of machines that work at night too.
const MACHINE_HOURS: [u32; 24] =
    [70, 90, 100, 90, 70, 60, 60, 65, 75, 85, 90, 90, 85, 88, 90, 90, 85, 78, 70, 65, 62, 60, 60, 65];
/// Of people at home.
const HOME_HOURS: [u32; 24] =
    [8, 5, 4, 4, 5, 10, 25, 55, 85, 95, 90, 85, 70, 82, 88, 85, 75, 55, 40, 42, 38, 28, 18, 12];
/// Monday to Sunday.
const OFFICE_DAYS: [u32; 7] = [100, 105, 105, 102, 85, 12, 8];
const MACHINE_DAYS: [u32; 7] = [100, 100, 100, 100, 100, 92, 90];

/// A name, and the fleet that has it.
type Preset = (&'static str, fn() -> FleetConfig);

/// All that have one.
const PRESETS: [Preset; 5] = [
    ("branch-office", branch_office),
    ("data-center", data_center),
    ("remote-workforce", remote_workforce),
    ("multi-cloud", multi_cloud),
    ("provider", provider),
];

impl FleetConfig {
    /// The fleet of that name.
    pub fn preset(name: &str) -> Option<Self> {
        PRESETS.iter().find(|(n, _)| *n == name).map(|(_, make)| make())
    }

    /// Names of the fleets that have one.
    pub fn presets() -> Vec<&'static str> {
        PRESETS.iter().map(|(name, _)| *name).collect()
    }
}

fn office_rate() -> Rate {
    Rate { hours: OFFICE_HOURS.to_vec(), days: OFFICE_DAYS.to_vec(), ..Rate::default() }
}

fn machine_rate() -> Rate {
    Rate { hours: MACHINE_HOURS.to_vec(), days: MACHINE_DAYS.to_vec(), ..Rate::default() }
}

/// What they have in common: every scenario, sessions that are told whole, late and doubled records.
fn base() -> FleetConfig {
    FleetConfig {
        uncovered_attacks: 2,
        uncovered_near_misses: 2,
        stories_per_mille: 400,
        late_per_million: 500,
        late_max_us: 600_000_000,
        duplicates_per_million: 200,
        ..FleetConfig::default()
    }
}

/// A few firewalls whose line to the world fails now and then.
fn branch_office() -> FleetConfig {
    FleetConfig {
        tenants: 1,
        devices: 4,
        flow_logs_per_million: 0,
        mix: Mix { strata_json: 25, panos_csv: 70, cloudtrail: 5, ..Mix::NONE },
        rate: Rate { storms_per_day: 24, storm_seconds: 90, ..office_rate() },
        ..base()
    }
}

/// Machines among machines: busy at all hours, with jobs that begin at once.
fn data_center() -> FleetConfig {
    FleetConfig {
        tenants: 1,
        partitions_per_tenant: 8,
        devices: 16,
        vpn_per_mille: 2,
        flow_logs_per_million: 150_000,
        mix: Mix { strata_json: 60, panos_csv: 35, cloudtrail: 5, ..Mix::NONE },
        rate: Rate { bursts_per_day: 48, burst_seconds: 60, burst_times: 5, ..machine_rate() },
        ..base()
    }
}

/// People at home in three zones, whose every connection goes through the VPN.
fn remote_workforce() -> FleetConfig {
    FleetConfig {
        tenants: 2,
        devices: 12,
        vpn_per_mille: 250,
        flow_logs_per_million: 10_000,
        rate: Rate {
            hours: HOME_HOURS.to_vec(),
            days: OFFICE_DAYS.to_vec(),
            zones: vec![0, -6, 8],
            storms_per_day: 48,
            ..Rate::default()
        },
        ..base()
    }
}

/// Accounts in the cloud, few firewalls.
fn multi_cloud() -> FleetConfig {
    FleetConfig {
        tenants: 4,
        devices: 8,
        flow_logs_per_million: 450_000,
        mix: Mix { strata_json: 15, panos_csv: 10, cloudtrail: 75, ..Mix::NONE },
        rate: Rate { bursts_per_day: 24, burst_seconds: 120, burst_times: 4, ..machine_rate() },
        ..base()
    }
}

/// Ten thousand customers: the largest sends a hundred thousand times as much as the smallest.
fn provider() -> FleetConfig {
    FleetConfig {
        tenants: 10_000,
        partitions_per_tenant: 1,
        devices: 12_000,
        tenant_zipf: 1.25,
        rate: Rate { zones: vec![0, 1, -5, -8, 8, 9], bursts_per_day: 24, ..office_rate() },
        ..base()
    }
}
