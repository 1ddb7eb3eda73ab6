//! Evidence: of each group the smallest N rows by (time, identity), and how many rows it has. Mergeable in any order.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int32Type, Int64Type};

/// One row that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EvidenceRow {
    pub(crate) time: i64,
    /// `topic@incarnation/partition`
    pub(crate) source: Arc<str>,
    pub(crate) offset: i64,
    pub(crate) record: i32,
}

impl EvidenceRow {
    /// The row's identity as text.
    pub(crate) fn uid(&self) -> String {
        format!("{}/{}/{}", self.source, self.offset, self.record)
    }
}

/// Rows of one batch, all of one partition, as evidence candidates.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    pub(crate) source: &'a Arc<str>,
    pub(crate) times: &'a [i64],
    pub(crate) offsets: &'a [i64],
    pub(crate) records: &'a [i32],
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    time: i64,
    offset: i64,
    record: i32,
    source: u32,
}

/// Evidence of every group.
#[derive(Debug)]
pub(crate) struct Evidence {
    keep: usize,
    groups: Vec<Vec<Entry>>,
    rows: Vec<i64>,
    sources: Vec<Arc<str>>,
}

fn struct_fields() -> Fields {
    let source = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    Fields::from(vec![
        Field::new("time", DataType::Int64, false),
        Field::new("source", source, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("record", DataType::Int32, false),
    ])
}

fn element() -> FieldRef {
    Arc::new(Field::new("item", DataType::Struct(struct_fields()), false))
}

/// The state columns: the list of rows, and their number.
pub(crate) fn state_fields() -> [FieldRef; 2] {
    [
        Arc::new(Field::new("evidence", DataType::List(element()), false)),
        Arc::new(Field::new("rows", DataType::Int64, false)),
    ]
}

/// The evidence columns of a state batch: its last two.
#[derive(Debug)]
pub(crate) struct StateColumns<'a> {
    lists: &'a ListArray,
    rows: &'a [i64],
}

impl<'a> StateColumns<'a> {
    pub(crate) fn of(state: &'a RecordBatch) -> Self {
        let last = state.num_columns() - 1;
        Self { lists: state.column(last - 1).as_list(), rows: rows_of(state) }
    }
}

/// The number of rows of each group of a state batch.
pub(crate) fn rows_of(state: &RecordBatch) -> &[i64] {
    state.column(state.num_columns() - 1).as_primitive::<Int64Type>().values()
}

impl Evidence {
    /// Keeps `keep` rows a group.
    pub(crate) fn new(keep: usize) -> Self {
        Self { keep, groups: Vec::new(), rows: Vec::new(), sources: Vec::new() }
    }

    /// Adds rows to their groups.
    pub(crate) fn update(&mut self, candidates: &Candidates<'_>, groups: &[usize], total: usize) {
        self.grow(total);
        let source = self.source(candidates.source);
        for (i, &group) in groups.iter().enumerate() {
            let entry = Entry {
                time: candidates.times[i],
                offset: candidates.offsets[i],
                record: candidates.records[i],
                source,
            };
            self.rows[group] += 1;
            self.offer(group, entry);
        }
    }

    /// Adds rows of a state to groups: pairs of a row and its group.
    pub(crate) fn merge(
        &mut self,
        state: &StateColumns<'_>,
        pairs: impl Iterator<Item = (usize, usize)>,
        total: usize,
    ) {
        self.grow(total);
        let entries = state.lists.values().as_struct();
        let times = entries.column(0).as_primitive::<Int64Type>().values();
        let keys = entries.column(1).as_dictionary::<Int32Type>();
        let names = keys.values().as_string::<i32>();
        let sources: Vec<u32> = names.iter().map(|n| self.source(&Arc::from(n.unwrap_or_default()))).collect();
        let offsets = entries.column(2).as_primitive::<Int64Type>().values();
        let records = entries.column(3).as_primitive::<Int32Type>().values();
        let ends = state.lists.value_offsets();
        for (row, group) in pairs {
            self.rows[group] += state.rows[row];
            for i in ends[row] as usize..ends[row + 1] as usize {
                let source = sources[keys.keys().value(i) as usize];
                self.offer(group, Entry { time: times[i], offset: offsets[i], record: records[i], source });
            }
        }
    }

    /// The state columns; no group is left.
    pub(crate) fn take_state(&mut self) -> [ArrayRef; 2] {
        let offsets = OffsetBuffer::<i32>::from_lengths(self.groups.iter().map(Vec::len));
        let entries = || self.groups.iter().flatten();
        let keys = Int32Array::from_iter_values(entries().map(|e| e.source as i32));
        let names = StringArray::from_iter_values(self.sources.iter().map(AsRef::as_ref));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(entries().map(|e| e.time))),
            Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(names))),
            Arc::new(Int64Array::from_iter_values(entries().map(|e| e.offset))),
            Arc::new(Int32Array::from_iter_values(entries().map(|e| e.record))),
        ];
        let lists =
            ListArray::new(element(), offsets, Arc::new(StructArray::new(struct_fields(), columns, None)), None);
        let rows = Int64Array::from(std::mem::take(&mut self.rows));
        *self = Self::new(self.keep);
        [Arc::new(lists), Arc::new(rows)]
    }

    /// The rows of one group, smallest first.
    pub(crate) fn of(&self, group: usize) -> Vec<EvidenceRow> {
        let row = |e: &Entry| EvidenceRow {
            time: e.time,
            source: self.sources[e.source as usize].clone(),
            offset: e.offset,
            record: e.record,
        };
        self.groups[group].iter().map(row).collect()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let kept = self.groups.len() * self.keep.min(4) * size_of::<Entry>();
        kept + self.groups.capacity() * size_of::<Vec<Entry>>() + self.rows.capacity() * 8
    }

    fn grow(&mut self, total: usize) {
        if self.groups.len() < total {
            self.groups.resize_with(total, Vec::new);
            self.rows.resize(total, 0);
        }
    }

    fn source(&mut self, name: &Arc<str>) -> u32 {
        let known = self.sources.iter().position(|s| s == name);
        let index = known.unwrap_or_else(|| {
            self.sources.push(name.clone());
            self.sources.len() - 1
        });
        u32::try_from(index).expect("fewer than 2^32 partitions")
    }

    /// Rows come nearly in order of time, so most are refused by one comparison once the group has enough.
    fn offer(&mut self, group: usize, entry: Entry) {
        let full = self.groups[group].len() >= self.keep;
        if full && self.groups[group].last().is_none_or(|last| !self.before(&entry, last)) {
            return;
        }
        let at = self.groups[group].partition_point(|e| self.before(e, &entry));
        let entries = &mut self.groups[group];
        entries.insert(at, entry);
        entries.truncate(self.keep);
    }

    fn before(&self, a: &Entry, b: &Entry) -> bool {
        let rank = |e: &Entry| (e.time, &self.sources[e.source as usize], e.offset, e.record);
        if a.time == b.time { rank(a) < rank(b) } else { a.time < b.time }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(evidence: &mut Evidence, source: &str, rows: &[(i64, i64)]) {
        let (times, offsets): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
        let source = Arc::from(source);
        let records = vec![0; rows.len()];
        let candidates = Candidates { source: &source, times: &times, offsets: &offsets, records: &records };
        evidence.update(&candidates, &vec![0; rows.len()], 1);
    }

    fn uids(evidence: &Evidence) -> Vec<String> {
        evidence.of(0).iter().map(|r| format!("{}:{}", r.time, r.uid())).collect()
    }

    #[test]
    fn the_earliest_rows_are_kept_whatever_the_order() {
        let mut a = Evidence::new(3);
        update(&mut a, "t@i/0", &[(9, 0), (5, 1), (7, 2), (5, 3)]);
        let mut b = Evidence::new(3);
        update(&mut b, "t@i/1", &[(6, 0), (5, 1)]);
        let want = ["5:t@i/0/1/0", "5:t@i/0/3/0", "5:t@i/1/1/0"];
        let states = [a.take_state(), b.take_state()];
        for order in [[0, 1], [1, 0]] {
            let mut merged = Evidence::new(3);
            for i in order {
                let [lists, rows] = &states[i];
                let state = StateColumns { lists: lists.as_list(), rows: rows.as_primitive::<Int64Type>().values() };
                merged.merge(&state, [(0, 0)].into_iter(), 1);
            }
            assert_eq!(uids(&merged), want);
            assert_eq!(merged.rows, [6]);
        }
    }

    #[test]
    fn no_evidence_is_kept_when_none_is_wanted() {
        let mut none = Evidence::new(0);
        update(&mut none, "t@i/0", &[(1, 1), (2, 2)]);
        assert!(none.of(0).is_empty());
        assert_eq!(none.rows, [2], "rows are counted all the same");
    }

    #[test]
    fn only_the_groups_that_are_asked_for_are_merged() {
        let mut one = Evidence::new(2);
        let source = Arc::from("t@i/0");
        let candidates = Candidates { source: &source, times: &[5, 6, 7], offsets: &[0, 1, 2], records: &[0, 0, 1] };
        one.update(&candidates, &[0, 1, 1], 2);
        let [lists, rows] = one.take_state();
        let state = StateColumns { lists: lists.as_list(), rows: rows.as_primitive::<Int64Type>().values() };
        let mut wanted = Evidence::new(2);
        wanted.merge(&state, [(1, 0)].into_iter(), 1);
        assert_eq!(uids(&wanted), ["6:t@i/0/1/0", "7:t@i/0/2/1"]);
        assert_eq!(wanted.rows, [2]);
        assert!(wanted.bytes() > 0);
    }
}
