//! A profile of real logs that keeps none of their values.
//!
//! **Data in:** lines of PAN-OS CSV, Strata JSON, CloudTrail and VPC flow logs.
//! **Data out:** a [`FleetConfig`] with the rate of each minute, the mix of formats, how large sessions are, which public
//! applications they use, and how many are refused; beside it [`Facts`] that nothing draws from.
//!
//! Invariants:
//! - Every text of a profile is of a closed, public vocabulary of this crate; everything else is a number.
//! - Addresses, names and ids are hashed into counters of distinct values and forgotten.
//! - What fewer than five records have is left out.

mod fields;
mod sketch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::config::{Facts, FleetConfig, Rate, Traffic};
use crate::fleet::apps::APPS;
use crate::mix::Mix;
use crate::record::session::DNS;
use fields::{Format, Seen, events};
use sketch::{Distinct, Sizes};

/// What fewer records have is left out.
const FEWEST: u64 = 5;

/// Minutes of a profile: the first week of the logs.
const MINUTES_MAX: i64 = 7 * 1_440;

/// The heaviest minute and application weigh this much.
const WEIGHT_MAX: u64 = 1_000;

/// What devices do with a session, and what becomes of a call.
const ACTIONS: [&str; 12] = [
    "allow",
    "alert",
    "deny",
    "drop",
    "drop-icmp",
    "reset-both",
    "reset-client",
    "reset-server",
    "ACCEPT",
    "REJECT",
    "success",
    "error",
];
const ALLOWED: [&str; 4] = ["allow", "alert", "ACCEPT", "success"];
const PROTOCOLS: [&str; 5] = ["tcp", "udp", "icmp", "gre", "esp"];

/// Learns from lines.
#[derive(Debug)]
pub struct Learner {
    records: u64,
    unknown: u64,
    formats: BTreeMap<Format, u64>,
    vpn: u64,
    minutes: BTreeMap<i64, u64>,
    /// In the order of [`APPS`].
    apps: Vec<u64>,
    actions: BTreeMap<&'static str, u64>,
    protocols: BTreeMap<&'static str, u64>,
    ports: BTreeMap<u16, u64>,
    sessions: [u64; 2],
    distinct: [Distinct; 4],
    sizes: [Sizes; 3],
}

impl Default for Learner {
    fn default() -> Self {
        Self {
            records: 0,
            unknown: 0,
            formats: BTreeMap::new(),
            vpn: 0,
            minutes: BTreeMap::new(),
            apps: vec![0; APPS.len()],
            actions: BTreeMap::new(),
            protocols: BTreeMap::new(),
            ports: BTreeMap::new(),
            sessions: [0; 2],
            distinct: [(); 4].map(|()| Distinct::new()),
            sizes: [(); 3].map(|()| Sizes::new()),
        }
    }
}

impl Learner {
    /// Learns from the lines of a file, which may be compressed: `.gz`, `.zst`.
    ///
    /// # Errors
    /// Those of the file.
    pub fn file(&mut self, path: &Path) -> io::Result<()> {
        let file = File::open(path)?;
        match path.extension().and_then(|e| e.to_str()) {
            Some("gz") => self.lines(flate2::read::MultiGzDecoder::new(file)),
            Some("zst") => self.lines(zstd::Decoder::new(file)?),
            _ => self.lines(file),
        }
    }

    fn lines(&mut self, bytes: impl io::Read) -> io::Result<()> {
        let (mut bytes, mut line) = (BufReader::with_capacity(1 << 16, bytes), Vec::new());
        while bytes.read_until(b'\n', &mut line)? > 0 {
            self.line(&String::from_utf8_lossy(&line));
            line.clear();
        }
        Ok(())
    }

    /// Learns from a line.
    pub fn line(&mut self, line: &str) {
        let events = events(line);
        self.unknown += u64::from(events.is_empty() && !line.trim().is_empty());
        if let Some(first) = events.first() {
            self.records += 1;
            *self.formats.entry(first.format).or_default() += 1;
            first.minute.into_iter().for_each(|minute| *self.minutes.entry(minute).or_default() += 1);
        }
        events.iter().for_each(|seen| self.event(seen));
    }

    /// Records seen, and lines of no known format.
    pub fn records(&self) -> (u64, u64) {
        (self.records, self.unknown)
    }

    fn event(&mut self, seen: &Seen) {
        self.vpn += u64::from(seen.kind == "GLOBALPROTECT");
        for (distinct, text) in self.distinct.iter_mut().zip([&seen.source, &seen.target, &seen.user, &seen.device]) {
            distinct.see(text);
        }
        let action = ACTIONS.into_iter().find(|a| *a == seen.action);
        action.into_iter().for_each(|a| *self.actions.entry(a).or_default() += 1);
        let protocol = PROTOCOLS.into_iter().find(|p| *p == seen.protocol);
        protocol.into_iter().for_each(|p| *self.protocols.entry(p).or_default() += 1);
        seen.port.into_iter().for_each(|p| *self.ports.entry(p).or_default() += 1);
        if seen.kind == "TRAFFIC" {
            self.session(seen);
        }
    }

    fn session(&mut self, seen: &Seen) {
        let is_allowed = ALLOWED.contains(&seen.action.as_str());
        self.sessions[usize::from(is_allowed)] += 1;
        if let Some(app) = APPS.iter().position(|a| a.name == seen.app) {
            self.apps[app] += 1;
        }
        if is_allowed && seen.is_end {
            // How long a question for a name is, is not learned.
            let sent = seen.sent.filter(|_| seen.port != Some(DNS));
            for (sizes, n) in self.sizes.iter_mut().zip([sent, seen.received, seen.seconds]) {
                n.into_iter().for_each(|n| sizes.see(n));
            }
        }
    }

    /// What was learned, as a fleet that is like it. `seed` and everything that logs do not tell are the default's.
    pub fn profile(&self) -> FleetConfig {
        let base = FleetConfig::default();
        let minutes = self.minutes();
        let firewall = self.count(Format::Strata) + self.count(Format::Csv);
        let logs = self.records.max(1);
        FleetConfig {
            events: self.records.max(1),
            span_us: minutes.len().max(1) as i64 * 60_000_000,
            attacks: 0,
            near_misses: 0,
            tenants: 1,
            partitions_per_tenant: 1,
            devices: self.distinct[3].count().clamp(1, 1_000) as u32,
            malformed_per_million: 0,
            flow_logs_per_million: (self.count(Format::VpcFlow) * 1_000_000 / logs) as u32,
            vpn_per_mille: (self.vpn * 1_000 / firewall.max(1)) as u32,
            mix: self.mix().unwrap_or(base.mix),
            rate: Rate { minutes, ..Rate::default() },
            traffic: self.traffic(),
            learned: Some(self.facts()),
            ..base
        }
    }

    fn count(&self, format: Format) -> u64 {
        self.formats.get(&format).copied().unwrap_or(0)
    }

    /// Parts of a thousand; none if there is nothing but flow logs.
    fn mix(&self) -> Option<Mix> {
        let counts = [Format::Strata, Format::Csv, Format::CloudTrail].map(|f| self.count(f));
        let total: u64 = counts.iter().sum();
        let share = |n: u64| (n * 1_000).div_ceil(total.max(1)) as u32;
        let [strata_json, panos_csv, cloudtrail] = counts.map(share);
        (total > 0).then_some(Mix { strata_json, panos_csv, cloudtrail, ..Mix::NONE })
    }

    /// A weight a minute; the place of a minute is what is left of it by the whole, so that a run at the same time of the
    /// day has the same rate.
    fn minutes(&self) -> Vec<u32> {
        let Some((first, _)) = self.minutes.iter().find(|(_, n)| **n >= FEWEST) else { return Vec::new() };
        let last = self.minutes.range(*first..*first + MINUTES_MAX).next_back().map_or(*first, |(m, _)| *m);
        let length = last - first + 1;
        let most = self.minutes.range(*first..=last).map(|(_, n)| *n).max().unwrap_or(1);
        let mut weights = vec![1; length as usize];
        for (minute, n) in self.minutes.range(*first..=last).filter(|(_, n)| **n >= FEWEST) {
            weights[minute.rem_euclid(length) as usize] = (n * WEIGHT_MAX).div_ceil(most) as u32;
        }
        weights
    }

    fn traffic(&self) -> Traffic {
        let most = self.apps.iter().max().copied().unwrap_or(1).max(1);
        let frequent = APPS.iter().zip(&self.apps).filter(|(_, n)| **n >= FEWEST);
        let [sent, received, seconds] = [0, 1, 2].map(|n| self.sizes[n].quantiles());
        let [refused, allowed] = self.sessions;
        let total = refused + allowed;
        Traffic {
            apps: frequent.map(|(app, n)| (app.name.to_owned(), (n * WEIGHT_MAX).div_ceil(most) as u32)).collect(),
            refused_per_mille: (total >= FEWEST).then(|| (refused * 1_000 / total) as u32),
            sent,
            received,
            seconds,
        }
    }

    fn facts(&self) -> Facts {
        let named = |counts: &BTreeMap<&'static str, u64>| {
            let frequent = counts.iter().filter(|(_, n)| **n >= FEWEST);
            frequent.map(|(name, n)| ((*name).to_owned(), *n)).collect()
        };
        let [sources, destinations, users, devices] = [0, 1, 2, 3].map(|n| self.distinct[n].count());
        Facts {
            records: self.records,
            sources,
            destinations,
            users,
            devices,
            actions: named(&self.actions),
            protocols: named(&self.protocols),
            ports: self.ports.iter().filter(|(_, n)| **n >= FEWEST).map(|(p, n)| (*p, *n)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
