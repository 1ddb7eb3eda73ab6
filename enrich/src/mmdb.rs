//! MMDB files: address -> country and coordinates, address -> autonomous system.
//!
//! Every distinct record is decoded when the file is loaded, so that a damaged file is refused as a whole and a look-up is
//! a walk through the search tree and one probe of a map.

use std::sync::Arc;

use hashbrown::HashMap;
use maxminddb::{LookupResult, MaxMindDbError, PathElement, Reader, WithinOptions, path};

use crate::error::EnrichError;
use crate::files::Input;
use crate::network::Address;
use crate::table::{Column, Content, Index, Keywords, Lookup, NULL, Values};

type Found<'a> = LookupResult<'a, Vec<u8>>;

/// A database and the records in it that say what is asked.
struct Mmdb {
    reader: Reader<Vec<u8>>,
    /// Record by place in the file: many networks share a place.
    records: HashMap<usize, i32>,
}

impl Index<Address> for Mmdb {
    fn find(&self, _tenant: &str, address: &Address) -> i32 {
        let offset = self.reader.lookup(address.ip()).ok().and_then(|found| found.offset());
        offset.and_then(|offset| self.records.get(&offset)).copied().unwrap_or(NULL)
    }
}

/// ISO 3166-1 codes: `country.iso_code` (GeoIP2, GeoLite2), `country_code` or `country`; and where the address is, if the
/// database tells it (`location.latitude` and `location.longitude`, as those of cities do).
pub(crate) fn country(inputs: Vec<Input>, _now_us: i64) -> Result<Content, EnrichError> {
    let (mut codes, mut places) = (Keywords::default(), Keywords::default());
    let index = read("country", "country.iso_code, country_code and country", inputs, |found| {
        let code = text(found, &path!["country", "iso_code"])
            .or_else(|| text(found, &path!["country_code"]))
            .or_else(|| text(found, &path!["country"]));
        if let Some(code) = code {
            codes.push(code);
            places.push(&coordinates(found).unwrap_or_default());
        }
        code.is_some()
    })?;
    let columns = vec![
        Column::new(&["src_country", "dst_country"], codes.finish()),
        Column::new(&["src_coordinates", "dst_coordinates"], places.finish()),
    ];
    Ok(content(index, columns))
}

/// `latitude,longitude` with two decimals: finer than any database knows an address.
fn coordinates(found: &Found<'_>) -> Option<String> {
    let degrees = |path: &[PathElement<'_>]| found.decode_path::<f64>(path).ok().flatten();
    let (north, east) = (degrees(&path!["location", "latitude"])?, degrees(&path!["location", "longitude"])?);
    (north.abs() <= 90.0 && east.abs() <= 180.0).then(|| format!("{north:.2},{east:.2}"))
}

/// Number and organization: `autonomous_system_number` and `autonomous_system_organization` (GeoLite2), or `asn` (a number
/// or `AS64500`) and `as_name`, `as_org`, `name` or `organization`.
pub(crate) fn asn(inputs: Vec<Input>, _now_us: i64) -> Result<Content, EnrichError> {
    let (mut numbers, mut names) = (Vec::new(), Keywords::default());
    let index = read("asn", "autonomous_system_number and asn", inputs, |found| {
        let number = number(found, &path!["autonomous_system_number"]).or_else(|| number(found, &path!["asn"]));
        let keys = ["autonomous_system_organization", "as_name", "as_org", "name", "organization"];
        if let Some(number) = number {
            numbers.push(i64::from(number));
            names.push(keys.iter().find_map(|key| text(found, &path![*key])).unwrap_or_default());
        }
        number.is_some()
    })?;
    let columns = vec![
        Column::new(&["src_asn", "dst_asn"], Values::I64(numbers)),
        Column::new(&["src_as_name", "dst_as_name"], names.finish()),
    ];
    Ok(content(index, columns))
}

fn text<'a>(found: &Found<'a>, path: &[PathElement<'_>]) -> Option<&'a str> {
    found.decode_path::<&str>(path).ok().flatten().filter(|text| !text.is_empty())
}

fn number(found: &Found<'_>, path: &[PathElement<'_>]) -> Option<u32> {
    let number = found.decode_path::<u32>(path).ok().flatten();
    number.or_else(|| {
        let text = text(found, path)?;
        text.trim_start_matches(['A', 'S', 'a', 's']).parse().ok()
    })
}

fn content(index: Mmdb, columns: Vec<Column>) -> Content {
    let entries = index.records.len();
    Content { addresses: Some(Lookup { index: Arc::new(index), columns }), entries, ..Content::default() }
}

/// Reads the database; `add` takes a record's values and says whether it has any.
fn read(
    of: &'static str,
    keys: &'static str,
    inputs: Vec<Input>,
    mut add: impl FnMut(&Found<'_>) -> bool,
) -> Result<Mmdb, EnrichError> {
    let Input { name, bytes, .. } = inputs.into_iter().next().expect("an MMDB table has one file");
    let wrong = |source| EnrichError::Mmdb { name: name.clone(), of, source };
    let reader = Reader::from_source(bytes).map_err(wrong)?;
    let records = records(&reader, &mut add).map_err(wrong)?;
    if records.is_empty() {
        let database_type = reader.metadata().database_type.clone();
        return Err(EnrichError::MmdbKind { name, of, database_type, keys });
    }
    Ok(Mmdb { reader, records })
}

fn records(
    reader: &Reader<Vec<u8>>,
    add: &mut impl FnMut(&Found<'_>) -> bool,
) -> Result<HashMap<usize, i32>, MaxMindDbError> {
    // A tree of n nodes has n + 1 leaves. More: nodes are linked crosswise, and a walk might never end.
    let leaves_max = reader.metadata().node_count as usize + 1;
    let mut seen: HashMap<usize, i32> = HashMap::new();
    let mut next = 0;
    for (leaf, found) in reader.networks(WithinOptions::default().include_networks_without_data())?.enumerate() {
        let found = found?;
        if leaf >= leaves_max {
            return Err(MaxMindDbError::invalid_database("its search tree is not a tree"));
        }
        let Some(offset) = found.offset() else { continue };
        seen.entry(offset).or_insert_with(|| {
            let record = if add(&found) { next } else { NULL };
            next += i32::from(record != NULL);
            record
        });
    }
    seen.retain(|_, record| *record != NULL);
    Ok(seen)
}

#[cfg(test)]
mod tests;
