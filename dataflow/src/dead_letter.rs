//! Records that could not become rows, each with a closed reason and the record as it came.

use std::fmt;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};

use crate::TableBatch;
use crate::batch_builder::TableBuilder;
use crate::chunk::{Chunk, Record};
use crate::schema::{Leaf, Table};

/// Why a record is a dead letter. A closed set: it is a metric label and a column value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Not one byte of text in the record.
    Empty,
    /// Longer than the line limit; the dead letter keeps the beginning.
    TooLong,
    /// Not UTF-8.
    InvalidUtf8,
    /// Looks like JSON but is not (cut off, bad number, ...).
    InvalidJson,
    /// JSON nested deeper than the limit.
    TooDeep,
    /// More keys, or a longer string, than the limits allow.
    TooLarge,
    /// A known format with too few columns to say what happened.
    MissingField,
    /// The event's time is missing or not a time.
    InvalidTime,
    /// The event's time is outside what every reader of the tables can hold (1970 to 2261).
    TimeOutOfRange,
    /// An attribute that the class needs has a value that it cannot have (a number where an address stands, ...).
    InvalidValue,
    /// No known format.
    UnknownFormat,
    /// A line that names the columns of those after it and holds no event.
    Header,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 12] = [
        Reason::Empty,
        Reason::TooLong,
        Reason::InvalidUtf8,
        Reason::InvalidJson,
        Reason::TooDeep,
        Reason::TooLarge,
        Reason::MissingField,
        Reason::InvalidTime,
        Reason::TimeOutOfRange,
        Reason::InvalidValue,
        Reason::UnknownFormat,
        Reason::Header,
    ];

    /// Those of records that hold no event, whatever the decoders are.
    pub const NO_EVENTS: [Reason; 2] = [Reason::Empty, Reason::Header];

    /// The reason in tables, metrics and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Empty => "empty",
            Reason::TooLong => "too_long",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::InvalidJson => "invalid_json",
            Reason::TooDeep => "too_deep",
            Reason::TooLarge => "too_large",
            Reason::MissingField => "missing_field",
            Reason::InvalidTime => "invalid_time",
            Reason::TimeOutOfRange => "time_out_of_range",
            Reason::InvalidValue => "invalid_value",
            Reason::UnknownFormat => "unknown_format",
            Reason::Header => "header",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Dead letters being collected: rows of [`Table::DeadLetter`].
#[derive(Debug)]
pub struct DeadLetters {
    rows: TableBuilder,
    counts: [u64; Reason::ALL.len()],
    leaves: [Leaf; 5],
}

impl Default for DeadLetters {
    fn default() -> Self {
        Self::new()
    }
}

impl DeadLetters {
    /// None yet.
    pub fn new() -> Self {
        let leaves = ["time", "reason", "detail", "raw", "raw_size"].map(|p| Table::DeadLetter.expect_leaf(p));
        Self { rows: TableBuilder::new(Table::DeadLetter), counts: [0; Reason::ALL.len()], leaves }
    }

    /// Adds a record of the chunk. `detail` says what is wrong and where, for a person.
    pub fn push(&mut self, chunk: &Chunk, record: &Record<'_>, reason: Reason, detail: &str) {
        let [time, reason_leaf, detail_leaf, raw, raw_size] = self.leaves;
        self.rows.set_i64(time, record.received_at);
        self.rows.set_str(reason_leaf, reason.name());
        self.rows.set_str(detail_leaf, detail);
        self.rows.set_bytes(raw, record.payload);
        self.rows.set_i64(raw_size, i64::try_from(record.full_len).unwrap_or(i64::MAX));
        self.rows.end_event(&chunk.partition, &chunk.tenant, record, 0);
        self.counts[reason as usize] += 1;
    }

    /// Dead letters held.
    pub fn len(&self) -> usize {
        self.rows.rows()
    }

    /// True if none is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, for budgets.
    pub fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// How many of each reason were pushed since the last call; reasons without any are left out.
    pub fn take_counts(&mut self) -> Vec<(Reason, u64)> {
        let counts = std::mem::take(&mut self.counts);
        Reason::ALL.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect()
    }

    /// The dead letters as a batch, if there are any; none is held afterwards.
    pub fn finish(&mut self) -> Option<TableBatch> {
        if self.is_empty() {
            return None;
        }
        let rows: RecordBatch = self.rows.finish();
        Some(TableBatch { table: Table::DeadLetter, rows })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;
    use crate::chunk::ChunkBuilder;
    use crate::identity::PartitionId;

    #[test]
    fn a_dead_letter_keeps_the_record_and_says_why() {
        let mut builder = ChunkBuilder::new(PartitionId::new("t", "i", 0), "acme".into(), 4);
        builder.push(b"\xff\xfe", 4, 77);
        builder.push_cut(b"{\"a", 9_000_000, 5, 78);
        let chunk = builder.finish();
        let mut dead = DeadLetters::new();
        for (record, reason) in chunk.records().zip([Reason::InvalidUtf8, Reason::TooLong]) {
            dead.push(&chunk, &record, reason, "byte 0");
        }
        assert_eq!(dead.take_counts(), [(Reason::TooLong, 1), (Reason::InvalidUtf8, 1)]);
        let batch = dead.finish().expect("two rows").rows;
        assert_eq!(batch.column_by_name("raw").expect("raw").as_binary::<i32>().value(0), b"\xff\xfe");
        let sizes = batch.column_by_name("raw_size").expect("size").clone();
        assert_eq!(sizes.as_primitive::<arrow::datatypes::Int64Type>().values(), &[2, 9_000_000]);
        assert!(dead.finish().is_none() && dead.take_counts().is_empty());
    }

    #[test]
    fn reasons_stand_in_their_order() {
        for (i, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
    }
}
