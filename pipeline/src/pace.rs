//! How far flush and commit intervals are stretched while tables have more small files or snapshots than readers and the catalog
//! bear well: back-pressure from tables that nobody maintains, at the price of freshness.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sinks::{Destination, Extent};

use crate::config::WorkerConfig;
use crate::telemetry::Telemetry;

/// Up to which point tables are let be.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// A file below this is small.
    file_bytes: u64,
    small_files: u64,
    snapshots: u64,
    /// Intervals are at most so many times as long.
    stretch: u32,
}

/// The stretch, as the committer sets it and shards read it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    bounds: Bounds,
    stretch: Arc<AtomicU32>,
}

impl Pace {
    pub(crate) fn new(config: &WorkerConfig) -> Self {
        let bounds = Bounds {
            file_bytes: config.file_bytes.max(1) as u64,
            small_files: config.small_files_max.max(1),
            snapshots: config.snapshots_max.max(1),
            stretch: config.stretch_max.max(1),
        };
        Self { bounds, stretch: Arc::new(AtomicU32::new(1)) }
    }

    /// An interval as it is now.
    pub(crate) fn of(&self, interval: Duration) -> Duration {
        interval * self.stretch.load(Ordering::Relaxed)
    }

    /// Looks at the tables again.
    pub(crate) fn note(&self, extents: &BTreeMap<Destination, Extent>, telemetry: &Telemetry) {
        let stretch = self.bounds.stretch(extents.values());
        let before = self.stretch.swap(stretch, Ordering::Relaxed);
        telemetry.extent.stretch.set(i64::from(stretch));
        let worst = extents.iter().max_by_key(|(_, extent)| self.bounds.pressure(extent));
        let Some((table, Extent { files, bytes, snapshots })) = worst else { return };
        if stretch > before {
            tracing::warn!(
                %table, files, bytes, snapshots, stretch,
                "a table has too many small files or snapshots: intervals are stretched; compact it and expire its snapshots \
                 (docs/maintenance.md)"
            );
        } else if stretch < before {
            tracing::info!(stretch, "tables have fewer small files and snapshots again");
        }
    }
}

impl Bounds {
    /// How many times over a bound a table is, rounded up.
    fn pressure(&self, extent: &Extent) -> u64 {
        // A table of so many bytes needs so many files in any case.
        let small = extent.files.saturating_sub(extent.bytes / self.file_bytes);
        small.div_ceil(self.small_files).max(extent.snapshots.div_ceil(self.snapshots))
    }

    fn stretch<'a>(&self, extents: impl Iterator<Item = &'a Extent>) -> u32 {
        let worst = extents.map(|extent| self.pressure(extent)).max().unwrap_or(0).max(1);
        u32::try_from(worst.next_power_of_two()).unwrap_or(u32::MAX).min(self.stretch)
    }
}

#[cfg(test)]
mod tests {
    use dataflow::Table;

    use super::*;

    #[test]
    fn intervals_double_with_each_doubling_beyond_a_bound() {
        let bounds = Bounds { file_bytes: 100, small_files: 1000, snapshots: 50, stretch: 8 };
        for (files, bytes, snapshots, want) in [
            (0, 0, 0, 1),
            (1000, 0, 50, 1),
            (1001, 0, 0, 2),
            (1001, 100, 0, 1),          // one of them is large
            (1_000_000, 1 << 40, 0, 1), // all of them are
            (0, 0, 51, 2),
            (2001, 0, 0, 4),
            (0, 0, 201, 8),
            (1_000_000, 0, 0, 8),
        ] {
            let extent = Extent { files, bytes, snapshots };
            assert_eq!(bounds.stretch([&extent, &Extent::default()].into_iter()), want, "{extent:?}");
        }
        assert_eq!(bounds.stretch([].into_iter()), 1);
    }

    #[test]
    fn what_the_committer_saw_last_counts() {
        let pace = Pace::new(&WorkerConfig { snapshots_max: 10, stretch_max: 4, ..WorkerConfig::default() });
        let telemetry = Telemetry::new();
        let mut extents = BTreeMap::new();
        for (snapshots, want) in [(10, 5), (11, 10), (100, 20), (3, 5)] {
            extents.insert(Destination::from(Table::DnsActivity), Extent { snapshots, ..Extent::default() });
            pace.note(&extents, &telemetry);
            assert_eq!(pace.of(Duration::from_secs(5)), Duration::from_secs(want), "{snapshots} snapshots");
            assert_eq!(telemetry.extent.stretch.get() * 5, want as i64);
        }
    }
}
