//! A plan for people.

use std::io::Write;

use super::calibration::Calibration;
use super::{GIB, Plan, Year, prices};
use crate::listing::Listing;
use crate::summary::grouped;

impl Plan {
    /// Writes what is assumed, the years, the limits and the bottleneck.
    pub(crate) fn write_text(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        self.write_basis(out)?;
        self.write_machines(out, terminal)?;
        self.write_storage(out, terminal)?;
        self.write_limits(out, terminal)?;
        self.write_settings(out)?;
        match &self.prices {
            Some(prices) => {
                let missing: Vec<_> = prices.named().into_iter().filter(|(_, p)| p.is_none()).map(|(n, _)| n).collect();
                match missing.is_empty() {
                    true => Ok(()),
                    false => writeln!(out, "cost: without {}, which the price file does not name", missing.join(", ")),
                }
            }
            None => writeln!(
                out,
                "cost: no prices were given; name a file with --prices FILE, which may say\n{}",
                prices::EXAMPLE
            ),
        }
    }

    fn write_basis(&self, out: &mut impl Write) -> std::io::Result<()> {
        let (d, m) = (&self.demand, &self.measured);
        let mix: Vec<String> = d.formats.iter().map(|(name, share)| format!("{name} {:.0}%", share * 100.0)).collect();
        writeln!(
            out,
            "asked: {} events/s in the mean, {} at the peak, {:.0} bytes each ({}); {:.0} % more a year; kept {:.0} days; {} regions, {}",
            number(d.events_per_second),
            number(d.events_per_second * d.peak_factor),
            d.event_bytes,
            mix.join(", "),
            d.growth * 100.0,
            d.retention_days,
            d.regions,
            d.redundancy
        )?;
        if let Some(devices) = d.devices {
            let each = d.events_per_second / devices as f64;
            writeln!(out, "devices: {}, {each:.2} events/s each", grouped(devices))?;
        }
        writeln!(
            out,
            "measured: {}, {}, a {} build: {:.2} cpu-seconds a million events, {:.1} bytes stored an event; that machine's {} cores take {} events/s",
            m.calibration,
            m.measured_at,
            m.build,
            m.cpu_seconds_per_million,
            m.stored_bytes_per_event,
            m.machine_cores,
            number(m.machine_events_per_second)
        )?;
        match m.build.as_str() {
            "release" => Ok(()),
            build => writeln!(
                out,
                "warning: a {build} build is many times slower than a release build; measure one of those"
            ),
        }
    }

    fn write_machines(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let header = [
            "end of year",
            "events/s",
            "peak",
            "workers",
            "cores",
            "busy at peak",
            "memory a worker",
            "network a worker",
        ];
        let mut listing = Listing::new(&header, &[0, 1, 2, 3, 4, 5, 6, 7]);
        for y in &self.years {
            listing.push(vec![
                y.year.to_string(),
                number(y.events_per_second),
                number(y.events_per_second_peak),
                regional(y, y.workers),
                regional(y, y.cores),
                format!("{:.1}", y.cores_busy * f64::from(y.regions)),
                bytes(y.worker_memory_bytes),
                format!("{:.2} Gbit/s", y.worker_network_bytes_per_second * 8.0 / 1e9),
            ]);
        }
        listing.write(out, terminal)
    }

    fn write_storage(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let mut header = vec!["end of year", "stored", "files a day", "writes a month", "reads a month", "on brokers"];
        header.extend(self.prices.as_ref().map(|_| "cost a month"));
        let mut listing = Listing::new(&header, &[0, 1, 2, 3, 4, 5, 6]);
        for y in &self.years {
            let all = |n: f64| n * f64::from(y.regions);
            let mut row = vec![
                y.year.to_string(),
                bytes(all(y.stored_bytes)),
                number(all(y.files_per_day)),
                number(all(y.object_writes_per_month)),
                number(all(y.object_reads_per_month)),
                bytes(all(y.topic_bytes)),
            ];
            let currency = self.prices.as_ref().map_or("", |p| &p.currency);
            row.extend(y.cost_per_month.map(|cost| format!("{} {currency}", number(cost))));
            listing.push(row);
        }
        listing.write(out, terminal)
    }

    fn write_limits(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let mut listing = Listing::new(&["limit, last year", "load", "needed"], &[1]);
        for l in &self.limits {
            listing.push(vec![l.name.to_owned(), format!("{:.0} %", l.load * 100.0), l.detail.clone()]);
        }
        listing.write(out, terminal)?;
        let b = &self.bottleneck;
        match b.full_in_year {
            Some(year) => {
                writeln!(out, "first bottleneck: {}, full before the end of year {year}: {}", b.name, b.remedy)
            }
            None => writeln!(
                out,
                "first bottleneck: {}, {:.0} % at the end of the last year; it holds",
                b.name,
                b.load * 100.0
            ),
        }
    }

    fn write_settings(&self, out: &mut impl Write) -> std::io::Result<()> {
        let s = &self.settings;
        writeln!(
            out,
            "settings of a region, for the last year: {} partitions, {} merge groups, flush every {} s, commit every {} s",
            s.partitions, s.merge_groups, s.flush_interval_seconds, s.commit_interval_seconds
        )
    }
}

impl Calibration {
    /// Writes what was measured.
    pub(crate) fn write_text(&self, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
        let (run, cpu) = (&self.run, &self.cpu_seconds_per_million);
        writeln!(
            out,
            "{} events in {:.1} s: {} events/s, {:.2} cpu-seconds a million (shards {:.2}, merge {:.2}), {:.1} bytes stored an event, {:.4} s a committed file, {} at the peak",
            grouped(run.events),
            run.seconds,
            number(run.events_per_second),
            cpu.total,
            cpu.shards,
            cpu.merge,
            self.storage.bytes_per_event,
            self.commit.seconds_per_file,
            bytes(self.memory.peak_bytes as f64)
        )?;
        let header = ["format", "share", "bytes", "decode", "enrich", "detect", "encode"];
        let mut listing = Listing::new(&header, &[1, 2, 3, 4, 5, 6]);
        for (name, s) in &cpu.formats {
            let mut row = vec![name.clone(), format!("{:.1} %", s.share * 100.0), format!("{:.0}", s.event_bytes)];
            row.extend([s.decode, s.enrich, s.detect, s.encode].map(|n| format!("{n:.2}")));
            listing.push(row);
        }
        listing.write(out, terminal)?;
        writeln!(out, "(stages in cpu-seconds a million events of the format, one thread)")
    }
}

/// A region's figure, and how many regions there are.
fn regional(year: &Year, n: u64) -> String {
    match year.regions {
        1 => grouped(n),
        regions => format!("{regions} x {}", grouped(n)),
    }
}

/// Three digits or a whole number.
fn number(n: f64) -> String {
    if n.abs() < 100.0 && n.fract().abs() > 1e-9 { format!("{n:.1}") } else { grouped(n.round() as u64) }
}

/// Bytes with a unit of 1024.
fn bytes(n: f64) -> String {
    let units = ["MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = n / (GIB / 1024.0);
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_sizes_have_units() {
        assert_eq!([number(0.25), number(42.0), number(1234.6)], ["0.2", "42", "1,235"]);
        assert_eq!([bytes(GIB), bytes(1.5 * GIB * 1024.0), bytes(GIB / 2048.0)], ["1.0 GiB", "1.5 TiB", "0.5 MiB"]);
    }
}
