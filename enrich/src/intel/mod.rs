//! Address -> threat indicator, from lists of addresses and networks.

mod csv;
mod table;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use dataflow::Enricher;

use crate::addresses::Addresses;
use crate::columns::{NULL, for_each_address, integers, keywords};
use crate::config::TableSource;
use crate::error::EnrichError;
use table::{IntelTable, TableBuilder};

const BUILTIN: &str = include_str!("../../../testdata/intel/demo.csv");

/// Fills category and confidence (0 to 100) of both ends. Null where no indicator names the address.
///
/// Of several indicators the longest prefix counts; of equal ones that with the highest confidence, then the first read.
#[derive(Debug, Clone)]
pub struct Intel {
    table: Arc<IntelTable>,
    version: Arc<str>,
    categories: Vec<i32>,
    confidences: Vec<i32>,
    matches: u64,
}

impl Intel {
    /// Reads the lists.
    ///
    /// # Errors
    /// If a file cannot be read; names file and line if a line is not an indicator.
    pub fn load(sources: &[TableSource]) -> Result<Self, EnrichError> {
        let mut table = TableBuilder::default();
        let mut crc = crc32fast::Hasher::new();
        for source in sources {
            read_list(source, &mut table, &mut crc)?;
        }
        let version = format!("crc32:{:08x}", crc.finalize());
        Ok(Self {
            table: Arc::new(table.finish()),
            version: version.into(),
            categories: Vec::new(),
            confidences: Vec::new(),
            matches: 0,
        })
    }

    /// Distinct indicators held.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// True if no indicator is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn fill(&mut self, addresses: &Addresses) -> Vec<ArrayRef> {
        let Self { table, categories, confidences, matches, .. } = self;
        confidences.clear();
        confidences.push(NULL);
        for_each_address(categories, addresses, |address| {
            let hit = table.find(address);
            *matches += u64::from(hit.is_some());
            confidences.push(hit.map_or(NULL, |h| i32::from(h.confidence)));
            hit.map_or(NULL, |h| i32::from(h.category))
        });
        let (src, dst) = (addresses.src(), addresses.dst());
        let category = |rows| keywords(categories, rows, table.categories());
        vec![category(src), category(dst), integers(confidences, src), integers(confidences, dst)]
    }

    /// Distinct addresses of a batch that an indicator named.
    pub(crate) fn matches(&self) -> u64 {
        self.matches
    }
}

impl Enricher for Intel {
    fn columns(&self) -> &[&'static str] {
        &["src_intel_category", "dst_intel_category", "src_intel_confidence", "dst_intel_confidence"]
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

fn read_list(source: &TableSource, table: &mut TableBuilder, crc: &mut crc32fast::Hasher) -> Result<(), EnrichError> {
    let mut input: Box<dyn BufRead> = match source {
        TableSource::Builtin => Box::new(BUILTIN.as_bytes()),
        TableSource::File(path) => {
            let file = File::open(path).map_err(|source| EnrichError::Read { path: path.clone(), source })?;
            Box::new(BufReader::with_capacity(1 << 18, file))
        }
    };
    csv::read(&source.to_string(), &mut input, crc, |network, category, confidence| {
        table.add(network, category, confidence)
    })
}

#[cfg(test)]
mod tests;
