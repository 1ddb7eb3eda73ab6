//! Small batches for the tests.

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int32Type;
use dataflow::{ChunkBuilder, PartitionId, Table, TableBuilder};

/// Rows of network activity with these source and destination addresses.
pub(crate) fn batch(ends: &[(Option<&str>, Option<&str>)]) -> RecordBatch {
    event_batch(Table::NetworkActivity, ends)
}

/// Rows of an event table; the message is the row's number.
pub(crate) fn event_batch(table: Table, ends: &[(Option<&str>, Option<&str>)]) -> RecordBatch {
    let partition = PartitionId::new("t", "i", 0);
    let mut chunk = ChunkBuilder::new(partition.clone(), "acme".into(), 0);
    (0..ends.len()).for_each(|i| chunk.push(b"", i as i64, 7));
    let chunk = chunk.finish();
    let mut rows = TableBuilder::new(table);
    for (record, (src, dst)) in chunk.records().zip(ends) {
        rows.set_i64(table.expect_leaf("time"), record.offset);
        rows.set_str(table.expect_leaf("message"), &format!("row {}", record.offset));
        for (path, ip) in [("src_endpoint.ip", src), ("dst_endpoint.ip", dst)] {
            if let (Some(leaf), Some(ip)) = (table.leaf(path), ip) {
                rows.set_str(leaf, ip);
            }
        }
        rows.end_event(&partition, "acme", &record, 0);
    }
    rows.finish()
}

/// The texts of a keyword column.
pub(crate) fn texts(column: &ArrayRef) -> Vec<Option<String>> {
    let dictionary = column.as_dictionary::<Int32Type>();
    let strings = dictionary.downcast_dict::<StringArray>().expect("a dictionary of strings");
    strings.into_iter().map(|text| text.map(str::to_owned)).collect()
}
