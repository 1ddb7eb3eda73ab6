//! Evidence: of each group the smallest N rows by (time, identity), and how many rows it has. Mergeable in any order.
//!
//! A rule that reads several tables keeps N rows of each: what is rare in one is not crowded out by what is common in another.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray, StructArray,
    UInt8Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int32Type, Int64Type, UInt8Type};

/// One row that a finding rests on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EvidenceRow {
    pub(crate) time: i64,
    /// `topic@incarnation/partition`
    pub(crate) source: Arc<str>,
    pub(crate) offset: i64,
    pub(crate) record: i32,
    /// Which of the rule's tables it stands in.
    pub(crate) input: usize,
}

impl EvidenceRow {
    /// The row's identity as text.
    pub(crate) fn uid(&self) -> String {
        format!("{}/{}/{}", self.source, self.offset, self.record)
    }
}

/// Rows of one batch, all of one partition and table, as evidence candidates.
#[derive(Debug)]
pub(crate) struct Candidates<'a> {
    pub(crate) source: &'a Arc<str>,
    /// Which of the rule's tables it is.
    pub(crate) input: usize,
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
    inputs: usize,
    /// Of each group, the rows of each input.
    kept: Vec<Vec<Entry>>,
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
        Field::new("input", DataType::UInt8, false),
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
    /// Keeps `keep` rows of each of the inputs a group.
    pub(crate) fn new(keep: usize, inputs: usize) -> Self {
        Self { keep, inputs, kept: Vec::new(), rows: Vec::new(), sources: Vec::new() }
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
            self.offer(group * self.inputs + candidates.input, entry);
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
        let inputs = entries.column(4).as_primitive::<UInt8Type>().values();
        let ends = state.lists.value_offsets();
        for (row, group) in pairs {
            self.rows[group] += state.rows[row];
            for i in ends[row] as usize..ends[row + 1] as usize {
                let source = sources[keys.keys().value(i) as usize];
                let slot = group * self.inputs + usize::from(inputs[i]).min(self.inputs - 1);
                self.offer(slot, Entry { time: times[i], offset: offsets[i], record: records[i], source });
            }
        }
    }

    /// The state columns; no group is left.
    pub(crate) fn take_state(&mut self) -> [ArrayRef; 2] {
        let groups = self.kept.chunks(self.inputs).map(|inputs| inputs.iter().map(Vec::len).sum());
        let offsets = OffsetBuffer::<i32>::from_lengths(groups);
        let entries = || self.kept.iter().flatten();
        let inputs = self.kept.iter().enumerate().flat_map(|(i, kept)| kept.iter().map(move |_| i));
        let keys = Int32Array::from_iter_values(entries().map(|e| e.source as i32));
        let names = StringArray::from_iter_values(self.sources.iter().map(AsRef::as_ref));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(entries().map(|e| e.time))),
            Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(names))),
            Arc::new(Int64Array::from_iter_values(entries().map(|e| e.offset))),
            Arc::new(Int32Array::from_iter_values(entries().map(|e| e.record))),
            Arc::new(UInt8Array::from_iter_values(inputs.map(|i| (i % self.inputs) as u8))),
        ];
        let lists =
            ListArray::new(element(), offsets, Arc::new(StructArray::new(struct_fields(), columns, None)), None);
        let rows = Int64Array::from(std::mem::take(&mut self.rows));
        *self = Self::new(self.keep, self.inputs);
        [Arc::new(lists), Arc::new(rows)]
    }

    /// The rows of one group, smallest first.
    pub(crate) fn of(&self, group: usize) -> Vec<EvidenceRow> {
        let row = |(input, e): (usize, &Entry)| EvidenceRow {
            time: e.time,
            source: self.sources[e.source as usize].clone(),
            offset: e.offset,
            record: e.record,
            input,
        };
        let inputs = self.kept[group * self.inputs..][..self.inputs].iter().enumerate();
        let mut rows: Vec<EvidenceRow> =
            inputs.flat_map(|(i, kept)| kept.iter().map(move |e| (i, e))).map(row).collect();
        rows.sort();
        rows
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let kept = self.kept.len() * self.keep.min(4) * size_of::<Entry>();
        kept + self.kept.capacity() * size_of::<Vec<Entry>>() + self.rows.capacity() * 8
    }

    fn grow(&mut self, total: usize) {
        if self.rows.len() < total {
            self.kept.resize_with(total * self.inputs, Vec::new);
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
    fn offer(&mut self, slot: usize, entry: Entry) {
        let full = self.kept[slot].len() >= self.keep;
        if full && self.kept[slot].last().is_none_or(|last| !self.before(&entry, last)) {
            return;
        }
        let at = self.kept[slot].partition_point(|e| self.before(e, &entry));
        let entries = &mut self.kept[slot];
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
        let candidates = Candidates { source: &source, input: 0, times: &times, offsets: &offsets, records: &records };
        evidence.update(&candidates, &vec![0; rows.len()], 1);
    }

    fn uids(evidence: &Evidence) -> Vec<String> {
        evidence.of(0).iter().map(|r| format!("{}:{}", r.time, r.uid())).collect()
    }

    #[test]
    fn the_earliest_rows_are_kept_whatever_the_order() {
        let mut a = Evidence::new(3, 1);
        update(&mut a, "t@i/0", &[(9, 0), (5, 1), (7, 2), (5, 3)]);
        let mut b = Evidence::new(3, 1);
        update(&mut b, "t@i/1", &[(6, 0), (5, 1)]);
        let want = ["5:t@i/0/1/0", "5:t@i/0/3/0", "5:t@i/1/1/0"];
        let states = [a.take_state(), b.take_state()];
        for order in [[0, 1], [1, 0]] {
            let mut merged = Evidence::new(3, 1);
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
        let mut none = Evidence::new(0, 1);
        update(&mut none, "t@i/0", &[(1, 1), (2, 2)]);
        assert!(none.of(0).is_empty());
        assert_eq!(none.rows, [2], "rows are counted all the same");
    }

    #[test]
    fn each_input_keeps_rows_of_its_own_through_a_state() {
        let offer = |evidence: &mut Evidence, input, times: &[i64], groups: &[usize]| {
            let (source, zeros) = (Arc::from("t@i/0"), vec![0; times.len()]);
            let candidates = Candidates { source: &source, input, times, offsets: times, records: &zeros };
            evidence.update(&candidates, groups, 2);
        };
        let mut two = Evidence::new(2, 2);
        offer(&mut two, 0, &[1, 2, 3, 4], &[0, 0, 0, 1]);
        offer(&mut two, 1, &[9, 8], &[0, 0]);
        let read = |e: &Evidence, group| e.of(group).iter().map(|r| (r.time, r.input)).collect::<Vec<_>>();
        let want = [vec![(1, 0), (2, 0), (8, 1), (9, 1)], vec![(4, 0)]];
        assert_eq!([read(&two, 0), read(&two, 1)], want);
        let [lists, rows] = two.take_state();
        let state = StateColumns { lists: lists.as_list(), rows: rows.as_primitive::<Int64Type>().values() };
        let mut merged = Evidence::new(2, 2);
        merged.merge(&state, [(0, 0), (1, 1)].into_iter(), 2);
        assert_eq!([read(&merged, 0), read(&merged, 1)], want);
        assert_eq!(merged.rows, [5, 1]);
    }

    #[test]
    fn only_the_groups_that_are_asked_for_are_merged() {
        let mut one = Evidence::new(2, 1);
        let source = Arc::from("t@i/0");
        let candidates =
            Candidates { source: &source, input: 0, times: &[5, 6, 7], offsets: &[0, 1, 2], records: &[0, 0, 1] };
        one.update(&candidates, &[0, 1, 1], 2);
        let [lists, rows] = one.take_state();
        let state = StateColumns { lists: lists.as_list(), rows: rows.as_primitive::<Int64Type>().values() };
        let mut wanted = Evidence::new(2, 1);
        wanted.merge(&state, [(1, 0)].into_iter(), 1);
        assert_eq!(uids(&wanted), ["6:t@i/0/1/0", "7:t@i/0/2/1"]);
        assert_eq!(wanted.rows, [2]);
        assert!(wanted.bytes() > 0);
    }
}
