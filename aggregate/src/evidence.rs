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
    /// Which of the batch's rows they are; all if none are named.
    pub(crate) rows: Option<&'a [u32]>,
    pub(crate) times: &'a [i64],
    pub(crate) offsets: &'a [i64],
    pub(crate) records: &'a [i32],
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    time: i64,
    offset: i64,
    record: i32,
    source: u32,
}

/// Where the rows that a group keeps of one input stand, smallest first.
#[derive(Debug, Clone, Copy, Default)]
struct Kept {
    start: u32,
    len: u32,
    room: u32,
}

/// Evidence of every group. Rows of all groups stand in one list: most groups have one row, and a list each would cost more
/// than the rows.
#[derive(Debug)]
pub(crate) struct Evidence {
    keep: usize,
    inputs: usize,
    /// Of each group, the rows of each input.
    kept: Vec<Kept>,
    entries: Vec<Entry>,
    /// Of each group, how many rows each input gave.
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

/// The state columns: the list of rows, and how many each of the inputs gave.
pub(crate) fn state_fields(inputs: usize) -> impl Iterator<Item = FieldRef> {
    let list = Field::new("evidence", DataType::List(element()), false);
    let rows = (0..inputs).map(|input| Field::new(format!("rows{input}"), DataType::Int64, false));
    [list].into_iter().chain(rows).map(Arc::new)
}

/// The evidence columns of a state batch: its last.
#[derive(Debug)]
pub(crate) struct StateColumns<'a> {
    lists: &'a ListArray,
    rows: Vec<&'a [i64]>,
}

impl<'a> StateColumns<'a> {
    /// Of a rule that reads so many inputs.
    pub(crate) fn of(state: &'a RecordBatch, inputs: usize) -> Self {
        let (lists, rows) = (state.num_columns() - inputs - 1, state.num_columns() - inputs..state.num_columns());
        let rows = rows.map(|i| &**state.column(i).as_primitive::<Int64Type>().values());
        Self { lists: state.column(lists).as_list(), rows: rows.collect() }
    }

    /// The number of rows that each input gave to the group in a row of the batch.
    pub(crate) fn rows(&self, row: usize) -> impl Iterator<Item = i64> + '_ {
        self.rows.iter().map(move |rows| rows[row])
    }
}

impl Evidence {
    /// Keeps `keep` rows of each of the inputs a group.
    pub(crate) fn new(keep: usize, inputs: usize) -> Self {
        Self { keep, inputs, kept: Vec::new(), entries: Vec::new(), rows: Vec::new(), sources: Vec::new() }
    }

    /// Adds rows to their groups.
    pub(crate) fn update(&mut self, candidates: &Candidates<'_>, groups: &[usize], total: usize) {
        self.grow(total);
        let source = self.source(candidates.source);
        for (i, &group) in groups.iter().enumerate() {
            let row = candidates.rows.map_or(i, |rows| rows[i] as usize);
            let entry = Entry {
                time: candidates.times[row],
                offset: candidates.offsets[row],
                record: candidates.records[row],
                source,
            };
            let slot = group * self.inputs + candidates.input;
            self.rows[slot] += 1;
            self.offer(slot, entry);
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
            for (input, rows) in state.rows(row).enumerate() {
                self.rows[group * self.inputs + input] += rows;
            }
            for i in ends[row] as usize..ends[row + 1] as usize {
                let source = sources[keys.keys().value(i) as usize];
                let slot = group * self.inputs + usize::from(inputs[i]).min(self.inputs - 1);
                self.offer(slot, Entry { time: times[i], offset: offsets[i], record: records[i], source });
            }
        }
    }

    /// The state columns; no group is left.
    pub(crate) fn take_state(&mut self) -> impl Iterator<Item = ArrayRef> {
        let groups = self.kept.chunks(self.inputs).map(|inputs| inputs.iter().map(|k| k.len as usize).sum());
        let offsets = OffsetBuffer::<i32>::from_lengths(groups);
        let entries = || self.kept.iter().flat_map(|kept| self.entries_of(*kept));
        let inputs = self.kept.iter().enumerate().flat_map(|(i, kept)| (0..kept.len).map(move |_| i));
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
        let of = |input| self.rows.iter().skip(input).step_by(self.inputs).copied();
        let rows: Vec<ArrayRef> =
            (0..self.inputs).map(|input| Arc::new(Int64Array::from_iter_values(of(input))) as ArrayRef).collect();
        *self = Self::new(self.keep, self.inputs);
        [Arc::new(lists) as ArrayRef].into_iter().chain(rows)
    }

    fn entries_of(&self, kept: Kept) -> &[Entry] {
        &self.entries[kept.start as usize..][..kept.len as usize]
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
        let entries = inputs.flat_map(|(i, kept)| self.entries_of(*kept).iter().map(move |e| (i, e)));
        let mut rows: Vec<EvidenceRow> = entries.map(row).collect();
        rows.sort();
        rows
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        entries + self.kept.capacity() * size_of::<Kept>() + self.rows.capacity() * 8
    }

    fn grow(&mut self, total: usize) {
        if self.kept.len() < total * self.inputs {
            self.kept.resize(total * self.inputs, Kept::default());
            self.rows.resize(total * self.inputs, 0);
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
    #[inline]
    fn offer(&mut self, slot: usize, entry: Entry) {
        let kept = self.kept[slot];
        let entries = self.entries_of(kept);
        let full = kept.len as usize >= self.keep;
        if full && entries.last().is_none_or(|last| !self.before(&entry, last)) {
            return;
        }
        let at = entries.partition_point(|e| self.before(e, &entry));
        if full {
            self.kept[slot].len -= 1; // the largest makes room
        } else if kept.len == kept.room {
            self.make_room(slot);
        }
        let Kept { start, len, .. } = self.kept[slot];
        let (at, end) = (start as usize + at, (start + len) as usize);
        self.entries.copy_within(at..end, at + 1);
        self.entries[at] = entry;
        self.kept[slot].len += 1;
    }

    /// Moves the slot's rows to the end of the list, with room for as many again.
    fn make_room(&mut self, slot: usize) {
        let Kept { start, len, .. } = self.kept[slot];
        let moved = self.entries.len();
        let room = (len * 2).clamp(1, self.keep as u32);
        self.entries.extend_from_within(start as usize..(start + len) as usize);
        self.entries.resize(moved + room as usize, Entry::default());
        let start = u32::try_from(moved).expect("fewer than 2^32 rows of evidence fit in memory");
        self.kept[slot] = Kept { start, len, room };
    }

    fn before(&self, a: &Entry, b: &Entry) -> bool {
        let rank = |e: &Entry| (e.time, &self.sources[e.source as usize], e.offset, e.record);
        if a.time == b.time { rank(a) < rank(b) } else { a.time < b.time }
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;

    fn update(evidence: &mut Evidence, source: &str, rows: &[(i64, i64)]) {
        let (times, offsets): (Vec<i64>, Vec<i64>) = rows.iter().copied().unzip();
        let source = Arc::from(source);
        let records = vec![0; rows.len()];
        let candidates =
            Candidates { source: &source, input: 0, rows: None, times: &times, offsets: &offsets, records: &records };
        evidence.update(&candidates, &vec![0; rows.len()], 1);
    }

    /// The state columns as a batch.
    fn state(evidence: &mut Evidence) -> RecordBatch {
        let schema = Schema::new(state_fields(evidence.inputs).collect::<Vec<_>>());
        RecordBatch::try_new(Arc::new(schema), evidence.take_state().collect()).expect("a state")
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
        let states = [state(&mut a), state(&mut b)];
        for order in [[0, 1], [1, 0]] {
            let mut merged = Evidence::new(3, 1);
            for i in order {
                merged.merge(&StateColumns::of(&states[i], 1), [(0, 0)].into_iter(), 1);
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
            let candidates = Candidates { source: &source, input, rows: None, times, offsets: times, records: &zeros };
            evidence.update(&candidates, groups, 2);
        };
        let mut two = Evidence::new(2, 2);
        offer(&mut two, 0, &[1, 2, 3, 4], &[0, 0, 0, 1]);
        offer(&mut two, 1, &[9, 8], &[0, 0]);
        let read = |e: &Evidence, group| e.of(group).iter().map(|r| (r.time, r.input)).collect::<Vec<_>>();
        let want = [vec![(1, 0), (2, 0), (8, 1), (9, 1)], vec![(4, 0)]];
        assert_eq!([read(&two, 0), read(&two, 1)], want);
        let state = state(&mut two);
        let mut merged = Evidence::new(2, 2);
        merged.merge(&StateColumns::of(&state, 2), [(0, 0), (1, 1)].into_iter(), 2);
        assert_eq!([read(&merged, 0), read(&merged, 1)], want);
        assert_eq!(merged.rows, [3, 2, 1, 0]);
    }

    #[test]
    fn only_the_groups_that_are_asked_for_are_merged() {
        let mut one = Evidence::new(2, 1);
        let source = Arc::from("t@i/0");
        let candidates = Candidates {
            source: &source,
            input: 0,
            rows: Some(&[1, 2, 3]),
            times: &[1, 5, 6, 7],
            offsets: &[9, 0, 1, 2],
            records: &[9, 0, 0, 1],
        };
        one.update(&candidates, &[0, 1, 1], 2);
        let state = state(&mut one);
        let mut wanted = Evidence::new(2, 1);
        wanted.merge(&StateColumns::of(&state, 1), [(1, 0)].into_iter(), 1);
        assert_eq!(uids(&wanted), ["6:t@i/0/1/0", "7:t@i/0/2/1"]);
        assert_eq!(wanted.rows, [2]);
        assert!(wanted.bytes() > 0);
    }
}
