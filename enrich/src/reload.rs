//! Tables that follow their files while a worker runs.
//!
//! [`Reloader::check`] is called now and then, away from the path of the rows. A table whose files have other content is
//! loaded anew, as a whole; if it cannot be, the one in force stays. Chains see all tables change at once, and only when
//! they ask ([`Chain::refresh`]).

use std::sync::Arc;

use dataflow::time::rfc3339;

use crate::chain::Chain;
use crate::config::{EnrichConfig, TableSource};
use crate::error::{EnrichError, Skipped};
use crate::files::{Files, Fingerprint, Format, Input};
use crate::snapshot::{Handle, Loaded, Snapshot};
use crate::table::Content;
use crate::{assets, identities, intel, mmdb, scope};

const COUNTRY: &[u8] = include_bytes!("../../testdata/geo/demo-country.mmdb");
const ASN: &[u8] = include_bytes!("../../testdata/geo/demo-asn.mmdb");
const INTEL: [&[u8]; 2] =
    [include_bytes!("../../testdata/intel/demo.csv"), include_bytes!("../../testdata/intel/domains.csv")];

/// A file that was written this little ago may not be complete.
const SETTLE_US: i64 = 2_000_000;

/// Reads a table's files, as they are valid at that time.
type Load = fn(Vec<Input>, i64) -> Result<Content, EnrichError>;

/// Loads the tables of a configuration, and again when their files change.
pub struct Reloader {
    slots: Vec<Slot>,
    scope: Arc<Loaded>,
    handle: Arc<Handle>,
}

/// A table and its files.
struct Slot {
    name: &'static str,
    files: Files,
    load: Load,
    table: Arc<Loaded>,
    /// The content that was tried last, good or bad; none if the files could not be read.
    tried: Option<u32>,
    failure: Option<String>,
}

/// A table in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// Its key in the configuration; `intel` stands for `stix` too.
    pub table: &'static str,
    /// Made of its content, and of the time where that decides which entries are valid.
    pub version: String,
    /// Entries held.
    pub entries: usize,
    /// When the newest of its files was written; none if it is part of the program.
    pub modified_us: Option<i64>,
    /// Entries of its files that it does not hold.
    pub skipped: Skipped,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The table in force is that of its files, or a change is still being written.
    Unchanged,
    /// There was a new one, and it is in force.
    Loaded,
    /// The files cannot be loaded; the table in force is that of before.
    Failed {
        /// Why.
        error: String,
        /// The check before found the same.
        repeated: bool,
    },
}

impl Reloader {
    /// Loads all tables.
    ///
    /// # Errors
    /// Names the file and place, or the entry, that is wrong.
    pub fn open(config: &EnrichConfig, now_us: i64) -> Result<Self, EnrichError> {
        let mut slots = Vec::new();
        for (name, files, load) in tables(config)? {
            if !files.is_empty() {
                slots.push(Slot::open(name, files, load, now_us)?);
            }
        }
        let (content, version) = scope::load(&config.internal_networks)?;
        let scope = Arc::new(Loaded { name: "scope", version, modified_us: None, content });
        let handle = Arc::new(Handle::new(snapshot(&slots, &scope)));
        Ok(Self { slots, scope, handle })
    }

    /// A chain over the tables in force; it can be refreshed when [`Reloader::check`] has put others into force.
    pub fn chain(&self) -> Chain {
        Chain::new(self.handle.clone())
    }

    /// Looks at the files of every table, loads what changed, and puts all new tables into force together. Reads files:
    /// not for a thread that has rows to wait for it.
    pub fn check(&mut self, now_us: i64) -> Vec<(&'static str, Outcome)> {
        let outcomes: Vec<_> = self.slots.iter_mut().map(|slot| (slot.name, slot.check(now_us))).collect();
        if outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Loaded) {
            self.handle.publish(snapshot(&self.slots, &self.scope));
        }
        outcomes
    }

    /// The tables in force that come from files or from the program.
    pub fn tables(&self) -> impl Iterator<Item = TableInfo> {
        self.slots.iter().map(|slot| TableInfo {
            table: slot.name,
            version: slot.table.version.clone(),
            entries: slot.table.content.entries,
            modified_us: slot.table.modified_us,
            skipped: slot.table.content.skipped.clone(),
        })
    }
}

impl std::fmt::Debug for Reloader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.tables()).finish()
    }
}

/// Every table that has files: its key, its files, how they are read. Of the address tables the first is asked first.
fn tables(config: &EnrichConfig) -> Result<[(&'static str, Files, Load); 5], EnrichError> {
    let files = |table, format, sources: &[TableSource], builtin: &[&'static [u8]]| {
        Files::new().add(table, format, sources, builtin)
    };
    let intel = files("intel", Format::Csv, &config.intel, &INTEL)?.add("stix", Format::Stix, &config.stix, &[])?;
    Ok([
        ("country", files("country", Format::Mmdb, config.country.as_slice(), &[COUNTRY])?, mmdb::country as Load),
        ("asn", files("asn", Format::Mmdb, config.asn.as_slice(), &[ASN])?, mmdb::asn),
        ("intel", intel, intel::load),
        ("assets", files("assets", Format::Csv, &config.assets, &[])?, assets::load),
        ("identities", files("identities", Format::Csv, &config.identities, &[])?, identities::load),
    ])
}

fn snapshot(slots: &[Slot], scope: &Arc<Loaded>) -> Snapshot {
    let tables: Vec<Arc<Loaded>> = slots.iter().map(|slot| &slot.table).chain([scope]).cloned().collect();
    Snapshot::new(&tables)
}

impl Slot {
    fn open(name: &'static str, files: Files, load: Load, now_us: i64) -> Result<Self, EnrichError> {
        let (inputs, print) = files.read()?;
        let table = Arc::new(loaded(name, load(inputs, now_us)?, print));
        Ok(Self { name, files, load, table, tried: Some(print.crc), failure: None })
    }

    fn check(&mut self, now_us: i64) -> Outcome {
        match self.renew(now_us) {
            Ok(outcome) => outcome,
            Err(error) => self.fail(error.to_string()),
        }
    }

    fn renew(&mut self, now_us: i64) -> Result<Outcome, EnrichError> {
        let seen = self.files.fingerprint().inspect_err(|_| self.tried = None)?;
        let is_over = self.table.content.validity.is_over(now_us);
        if self.tried == Some(seen.crc) && !is_over {
            return Ok(match self.failure.clone() {
                None => Outcome::Unchanged,
                Some(error) => Outcome::Failed { error, repeated: true },
            });
        }
        if self.tried != Some(seen.crc) && is_unsettled(&seen, now_us) {
            return Ok(Outcome::Unchanged);
        }
        let (inputs, print) = self.files.read().inspect_err(|_| self.tried = None)?;
        self.tried = Some(print.crc);
        let table = loaded(self.name, (self.load)(inputs, now_us)?, print);
        self.failure = None;
        if table.version == self.table.version {
            return Ok(Outcome::Unchanged);
        }
        self.table = Arc::new(table);
        Ok(Outcome::Loaded)
    }

    fn fail(&mut self, error: String) -> Outcome {
        let repeated = self.failure.as_ref() == Some(&error);
        self.failure = Some(error.clone());
        Outcome::Failed { error, repeated }
    }
}

fn is_unsettled(print: &Fingerprint, now_us: i64) -> bool {
    print.modified_us.is_some_and(|modified| (now_us - modified).abs() < SETTLE_US)
}

fn loaded(name: &'static str, content: Content, print: Fingerprint) -> Loaded {
    let mut version = format!("crc32:{:08x}", print.crc);
    if let Some(since) = content.validity.since {
        version = format!("{version}@{}", rfc3339(since));
    }
    Loaded { name, version, modified_us: print.modified_us, content }
}

#[cfg(test)]
mod tests;
