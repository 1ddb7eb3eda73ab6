//! Small batches and tables for the tests.

use std::path::{Path, PathBuf};

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use dataflow::{ChunkBuilder, PartitionId, Table, TableBuilder};

use crate::config::TableSource;

/// A time that no file of a test was written at: 2001.
pub(crate) const NOW: i64 = 1_000_000_000_000_000;

/// A row of an event table: its tenant, and texts by column path. Paths that the table does not have are left out.
pub(crate) type Event<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// Rows of network activity with these source and destination addresses.
pub(crate) fn batch(ends: &[(Option<&str>, Option<&str>)]) -> RecordBatch {
    event_batch(Table::NetworkActivity, ends)
}

/// Rows of an event table with these addresses, of the tenant `acme`.
pub(crate) fn event_batch(table: Table, ends: &[(Option<&str>, Option<&str>)]) -> RecordBatch {
    let rows: Vec<Vec<(&str, &str)>> = ends
        .iter()
        .map(|(src, dst)| {
            let ends = [("src_endpoint.ip", *src), ("dst_endpoint.ip", *dst)];
            ends.into_iter().filter_map(|(path, ip)| Some((path, ip?))).collect()
        })
        .collect();
    let events: Vec<Event<'_>> = rows.iter().map(|row| ("acme", row.as_slice())).collect();
    events_of(table, &events)
}

/// Rows of an event table; the message is the row's number.
pub(crate) fn events_of(table: Table, events: &[Event<'_>]) -> RecordBatch {
    let partition = PartitionId::new("t", "i", 0);
    let mut chunk = ChunkBuilder::new(partition.clone(), "acme".into(), 0);
    (0..events.len()).for_each(|i| chunk.push(b"", i as i64, 7));
    let chunk = chunk.finish();
    let mut rows = TableBuilder::new(table);
    for (record, (tenant, texts)) in chunk.records().zip(events) {
        rows.set_i64(table.expect_leaf("time"), record.offset);
        rows.set_str(table.expect_leaf("message"), &format!("row {}", record.offset));
        for (path, text) in *texts {
            if let Some(leaf) = table.leaf(path) {
                rows.set_str(leaf, text);
            }
        }
        rows.end_event(&partition, tenant, &record, 0);
    }
    rows.finish()
}

/// The texts of a keyword column.
pub(crate) fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    let dictionary = column.as_dictionary::<Int32Type>();
    let strings = dictionary.downcast_dict::<StringArray>().expect("a dictionary of strings");
    strings.into_iter().map(|text| text.map(str::to_owned)).collect()
}

/// Columns of one row, in order, `-` for null.
pub(crate) fn shown(rows: &RecordBatch, row: usize, names: &[&str]) -> String {
    let one = |name: &&str| {
        let column = rows.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        let text = arrow::util::display::array_value_to_string(column, row).expect("a value");
        if column.is_null(row) { "-".to_owned() } else { text }
    };
    names.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// A file of the repository.
pub(crate) fn testdata(name: &str) -> TableSource {
    TableSource::File(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name))
}

/// Writes a file of a test.
pub(crate) fn write(dir: &Path, name: &str, content: impl AsRef<[u8]>) -> TableSource {
    let path = dir.join(name);
    std::fs::write(&path, content).expect("a writable folder");
    TableSource::File(path)
}
