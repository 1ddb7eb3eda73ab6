//! What a plan may run into, and which of it comes first.

use serde::Serialize;

use super::{Bottleneck, Reckoned, Year, formulas};
use crate::config::FILES_PER_DAY_MAX;
use crate::summary::grouped;

/// Something that is full at a load of 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) load: f64,
    /// What is needed and what there is, for people.
    pub(crate) detail: String,
    pub(crate) remedy: &'static str,
}

impl Reckoned<'_> {
    /// Every limit at the end of a year, the fullest first.
    pub(super) fn limits(&self, year: &Year) -> Vec<Limit> {
        let mut limits = vec![
            self.partition(year),
            self.merge(year),
            self.committer(year),
            self.files_a_day(year),
            self.promise(year),
        ];
        limits.extend(self.memory(year));
        limits.extend(self.network(year));
        limits.sort_by(|a, b| b.load.total_cmp(&a.load));
        limits
    }

    fn peak(&self, year: &Year) -> f64 {
        year.events_per_second_peak / f64::from(year.regions)
    }

    fn partition(&self, year: &Year) -> Limit {
        let each = self.peak(year) / self.settings.partitions as f64;
        let per_million = self.measured.shard_cpu_seconds_per_million;
        Limit {
            name: "a partition's thread",
            load: formulas::busy_cores(each, per_million),
            detail: format!(
                "{} events/s of {}",
                grouped(each as u64),
                grouped(formulas::rate_of(1.0, per_million) as u64)
            ),
            remedy: "more partitions, which a topic takes at any time but spreads keys anew",
        }
    }

    fn merge(&self, year: &Year) -> Limit {
        let per_million = self.measured.merge_cpu_seconds_per_million;
        let each = self.peak(year) / self.settings.merge_groups as f64;
        Limit {
            name: "a merge group's thread",
            load: formulas::busy_cores(each, per_million),
            detail: format!(
                "{:.2} cores in {} groups",
                formulas::busy_cores(self.peak(year), per_million),
                self.settings.merge_groups
            ),
            remedy: "more merge groups (warehouse.merge_groups), which a warehouse gets when it is made",
        }
    }

    fn committer(&self, year: &Year) -> Limit {
        let (files, ..) = self.files(self.peak(year));
        Limit {
            name: "the committer",
            load: formulas::committer_load(files, self.calibration.commit.seconds_per_file),
            detail: format!("{files:.1} data files/s, {:.4} s each", self.calibration.commit.seconds_per_file),
            remedy: self.larger_files(year),
        }
    }

    /// What makes fewer files of as many events.
    fn larger_files(&self, year: &Year) -> &'static str {
        let s = self.settings;
        let open = self.peak(year) / s.partitions as f64 * s.flush_interval_seconds;
        match open < s.flush_rows as f64 {
            true => "a longer --slo, since partitions are flushed by the clock, or more regions",
            false => "larger worker.flush_rows, since partitions are flushed when full, or more regions",
        }
    }

    fn files_a_day(&self, year: &Year) -> Limit {
        Limit {
            name: "files a day",
            load: year.files_per_day / FILES_PER_DAY_MAX as f64,
            detail: format!("{} of {}", grouped(year.files_per_day as u64), grouped(FILES_PER_DAY_MAX)),
            remedy: self.larger_files(year),
        }
    }

    fn promise(&self, year: &Year) -> Limit {
        let slo = self.demand.slo_seconds;
        Limit {
            name: "the time to queryable",
            load: year.queryable_seconds / slo,
            detail: format!("{:.1} s of {slo:.0} s", year.queryable_seconds),
            remedy: "a longer --slo, or fewer files to commit: more regions, larger worker.flush_rows",
        }
    }

    fn memory(&self, year: &Year) -> Option<Limit> {
        let given = self.demand.worker_memory_bytes?;
        Some(Limit {
            name: "a worker's memory",
            load: year.worker_memory_bytes / given,
            detail: format!("{:.1} GiB of {:.1} GiB", year.worker_memory_bytes / super::GIB, given / super::GIB),
            remedy: "more --worker-memory, or a shorter --slo, which holds less",
        })
    }

    fn network(&self, year: &Year) -> Option<Limit> {
        let given = self.demand.worker_network_bytes_per_second?;
        let gbit = |bytes: f64| bytes * 8.0 / 1e9;
        Some(Limit {
            name: "a worker's network",
            load: year.worker_network_bytes_per_second / given,
            detail: format!("{:.2} Gbit/s of {:.2}", gbit(year.worker_network_bytes_per_second), gbit(given)),
            remedy: "smaller workers (--worker-cores), more of them",
        })
    }
}

/// What is full first; if nothing is, what is fullest in the last year.
pub(super) fn bottleneck(years: &[Vec<Limit>]) -> Bottleneck {
    let full = years.iter().zip(1..).find_map(|(limits, year)| Some((limits.first().filter(|l| l.load > 1.0)?, year)));
    let (name, full_in_year) = match full {
        Some((limit, year)) => (limit.name, Some(year)),
        None => (years.last().and_then(|limits| limits.first()).map_or("nothing", |l| l.name), None),
    };
    let last = years.last().and_then(|limits| limits.iter().find(|l| l.name == name));
    Bottleneck { name, full_in_year, load: last.map_or(0.0, |l| l.load), remedy: last.map_or("", |l| l.remedy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(name: &'static str, load: f64) -> Limit {
        Limit { name, load, detail: String::new(), remedy: "more" }
    }

    #[test]
    fn the_first_to_be_full_is_named_with_its_year() {
        let years = [
            vec![limit("files", 0.9), limit("commits", 0.5)],
            vec![limit("commits", 1.1), limit("files", 1.05)],
            vec![limit("files", 1.3), limit("commits", 1.2)],
        ];
        assert_eq!(
            bottleneck(&years),
            Bottleneck { name: "commits", full_in_year: Some(2), load: 1.2, remedy: "more" }
        );
        assert_eq!(
            bottleneck(&years[..1]),
            Bottleneck { name: "files", full_in_year: None, load: 0.9, remedy: "more" }
        );
    }
}
