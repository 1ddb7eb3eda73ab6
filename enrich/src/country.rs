//! Address -> ISO 3166-1 country code, from an MMDB.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use dataflow::Enricher;
use hashbrown::HashMap;
use maxminddb::{LookupResult, Reader, WithinOptions, path};

use crate::addresses::Addresses;
use crate::cache::Cache;
use crate::columns::{NULL, for_each_address, keywords};
use crate::config::TableSource;
use crate::error::EnrichError;
use crate::network::Address;

const BUILTIN: &[u8] = include_bytes!("../../testdata/geo/demo-country.mmdb");

/// Records that are looked at before a database is refused for having no country.
const PROBED_RECORDS: usize = 1_000;

/// Fills `src_country` and `dst_country`. Null where the database knows no country or cannot be read at that place.
///
/// A clone shares the database and has a cache of its own, so each shard takes one.
#[derive(Clone)]
pub struct Country {
    reader: Arc<Reader<Vec<u8>>>,
    version: Arc<str>,
    cache: Cache,
    names: Names,
    keys: Vec<i32>,
    misses: u64,
}

/// The codes met so far as a dictionary; it only grows, so a key means the same in every batch.
#[derive(Debug, Clone)]
struct Names {
    dictionary: Arc<StringArray>,
    /// Key of each database record met: many networks share a record.
    by_record: HashMap<usize, i32>,
}

impl Country {
    /// Reads the database.
    ///
    /// # Errors
    /// If the file cannot be read, is no MMDB, or its first records hold no country.
    pub fn load(source: &TableSource) -> Result<Self, EnrichError> {
        let bytes = match source {
            TableSource::Builtin => BUILTIN.to_vec(),
            TableSource::File(path) => {
                std::fs::read(path).map_err(|source| EnrichError::Read { path: path.clone(), source })?
            }
        };
        let version = format!("crc32:{:08x}", crc32fast::hash(&bytes));
        let reader = Reader::from_source(bytes)
            .map_err(|error| EnrichError::Mmdb { name: source.to_string(), source: error })?;
        if !holds_a_country(&reader) {
            let database_type = reader.metadata().database_type.clone();
            return Err(EnrichError::NoCountry { name: source.to_string(), database_type });
        }
        Ok(Self {
            reader: Arc::new(reader),
            version: version.into(),
            cache: Cache::new(),
            names: Names { dictionary: Arc::new(StringArray::from(Vec::<&str>::new())), by_record: HashMap::new() },
            keys: Vec::new(),
            misses: 0,
        })
    }

    pub(crate) fn fill(&mut self, addresses: &Addresses) -> Vec<ArrayRef> {
        let Self { reader, cache, names, keys, misses, .. } = self;
        for_each_address(keys, addresses, |address| {
            cache.get(address, || {
                *misses += 1;
                names.key(reader, address)
            })
        });
        [addresses.src(), addresses.dst()].map(|rows| keywords(keys, rows, &names.dictionary)).into()
    }

    /// Look-ups that the cache could not answer.
    pub(crate) fn misses(&self) -> u64 {
        self.misses
    }
}

impl std::fmt::Debug for Country {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Country").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Enricher for Country {
    fn columns(&self) -> &[&'static str] {
        &["src_country", "dst_country"]
    }

    fn enrich(&mut self, rows: &RecordBatch) -> Vec<ArrayRef> {
        let mut addresses = Addresses::new();
        addresses.read(rows);
        self.fill(&addresses)
    }

    fn version(&self) -> &str {
        &self.version
    }
}

impl Names {
    fn key(&mut self, reader: &Reader<Vec<u8>>, address: Address) -> i32 {
        let Ok(found) = reader.lookup(address.ip()) else { return NULL };
        let Some(record) = found.offset() else { return NULL };
        if let Some(&key) = self.by_record.get(&record) {
            return key;
        }
        let key = code(&found).map_or(NULL, |code| self.add(code));
        self.by_record.insert(record, key);
        key
    }

    /// The key of `code`, new or known. New codes come a few hundred times in a database's life.
    fn add(&mut self, code: &str) -> i32 {
        let known = self.dictionary.iter().position(|name| name == Some(code));
        let key = known.unwrap_or_else(|| {
            let names = self.dictionary.iter().flatten().chain([code]);
            self.dictionary = Arc::new(StringArray::from_iter_values(names));
            self.dictionary.len() - 1
        });
        i32::try_from(key).unwrap_or(NULL)
    }
}

/// The country code of a record, in the layouts that databases have.
fn code<'a>(found: &LookupResult<'a, Vec<u8>>) -> Option<&'a str> {
    let at = |path: &[maxminddb::PathElement<'_>]| found.decode_path::<&str>(path).ok().flatten();
    at(&path!["country", "iso_code"])
        .or_else(|| at(&path!["country_code"]))
        .or_else(|| at(&path!["country"]))
        .filter(|code| !code.is_empty())
}

fn holds_a_country(reader: &Reader<Vec<u8>>) -> bool {
    let Ok(networks) = reader.networks(WithinOptions::default()) else { return false };
    networks.take(PROBED_RECORDS).flatten().any(|found| code(&found).is_some())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::testing::{batch, texts};

    fn testdata(name: &str) -> TableSource {
        TableSource::File(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name))
    }

    fn look_up(country: &mut Country, ips: &[&str]) -> Vec<Option<String>> {
        let rows: Vec<_> = ips.iter().map(|ip| (Some(*ip), None)).collect();
        let columns = country.enrich(&batch(&rows));
        texts(&columns[0])
    }

    #[test]
    fn addresses_have_countries() {
        let mut country = Country::load(&TableSource::Builtin).expect("the builtin database");
        for (ip, want) in [
            ("198.18.0.1", Some("US")),
            ("198.18.1.255", Some("DE")),
            ("198.18.15.0", Some("MX")),
            ("198.18.16.0", Some("US")),
            ("198.19.255.255", Some("MX")),
            ("203.0.113.7", Some("CN")),
            ("192.0.2.200", Some("RU")),
            ("::ffff:192.0.2.200", Some("RU")),
            ("2001:db8:ffff::1", Some("CH")),
            ("2001:db9::1", None),
            ("10.0.0.1", None),
            ("8.8.8.8", None),
            ("not an address", None),
        ] {
            for _ in 0..2 {
                assert_eq!(look_up(&mut country, &[ip]), [want.map(str::to_owned)], "{ip}");
            }
        }
    }

    #[test]
    fn the_flat_layout_and_a_database_of_v4_only_are_read() {
        let mut country = Country::load(&testdata("geo/flat-country.mmdb")).expect("a database");
        assert_eq!(look_up(&mut country, &["203.0.113.1", "2001:db8::1"]), [Some("CN".to_owned()), None]);
    }

    #[test]
    fn a_clone_looks_up_the_same() {
        let mut country = Country::load(&TableSource::Builtin).expect("the builtin database");
        look_up(&mut country, &["198.18.3.1", "198.18.2.1"]);
        let mut clone = country.clone();
        let ips = ["198.18.2.1", "198.18.9.1", "198.18.3.1"];
        assert_eq!(look_up(&mut clone, &ips), look_up(&mut country, &ips));
    }

    #[test]
    fn the_version_is_the_content() {
        let builtin = Country::load(&TableSource::Builtin).expect("loads");
        let same = Country::load(&testdata("geo/demo-country.mmdb")).expect("loads");
        let other = Country::load(&testdata("geo/flat-country.mmdb")).expect("loads");
        assert_eq!(builtin.version(), same.version());
        assert_ne!(builtin.version(), other.version());
    }

    #[test]
    fn what_is_no_database_is_refused_by_name() {
        let error = Country::load(&testdata("intel/demo.csv")).expect_err("a CSV");
        assert!(error.to_string().contains("demo.csv is not an MMDB"), "{error}");
        let error = Country::load(&testdata("geo/none.mmdb")).expect_err("no such file");
        assert!(error.to_string().contains("cannot read") && error.to_string().contains("none.mmdb"), "{error}");
    }

    #[test]
    fn a_damaged_database_gives_nulls_and_no_panic() {
        for cut in (0..BUILTIN.len()).step_by(97) {
            let mut bytes = BUILTIN.to_vec();
            bytes[cut] ^= 0xff;
            let Ok(reader) = Reader::from_source(bytes) else { continue };
            let mut names = Names { dictionary: Arc::new(StringArray::new_null(0)), by_record: HashMap::new() };
            for last in 0..64 {
                names.key(&reader, Address::from_v4(0xc612_0000 | last << 10));
            }
        }
    }
}
