//! `count(DISTINCT x)`: exact, mergeable, one hash table for all groups.
//!
//! DataFusion keeps a set a group; here the pair (group, value) is the key of one set, and strings are interned once. The
//! state of a group is the list of its values in the order they came.

use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, ListArray, StringArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use hashbrown::{DefaultHashBuilder, HashSet, HashTable};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DistinctKind {
    /// Integers and times, as 64 bits.
    Integer,
    /// Text.
    Text,
}

impl DistinctKind {
    /// The kind for values of the type; none leaves it to DataFusion.
    pub(crate) fn of(data_type: &DataType) -> Option<Self> {
        use DataType::{
            Date32, Date64, Int8, Int16, Int32, Int64, LargeUtf8, Timestamp, UInt8, UInt16, UInt32, Utf8, Utf8View,
        };
        match data_type {
            Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Date32 | Date64 | Timestamp(..) => {
                Some(Self::Integer)
            }
            Utf8 | LargeUtf8 | Utf8View => Some(Self::Text),
            _ => None,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Self::Integer => DataType::Int64,
            Self::Text => DataType::Utf8,
        }
    }

    fn element(self) -> FieldRef {
        Arc::new(Field::new("item", self.data_type(), false))
    }

    /// The state column.
    pub(crate) fn state_field(self) -> FieldRef {
        Arc::new(Field::new("distinct", DataType::List(self.element()), false))
    }

    /// An accumulator without groups.
    pub(crate) fn accumulator(self) -> Box<dyn GroupsAccumulator> {
        Box::new(CountDistinct {
            kind: self,
            seen: HashSet::default(),
            pairs: Vec::new(),
            counts: Vec::new(),
            texts: Texts::default(),
        })
    }
}

/// Distinct values of every group.
#[derive(Debug)]
struct CountDistinct {
    kind: DistinctKind,
    seen: HashSet<(u32, i64)>,
    /// `seen` in the order of first sight, which hashing must not decide.
    pairs: Vec<(u32, i64)>,
    counts: Vec<i64>,
    texts: Texts,
}

/// Strings by number.
#[derive(Debug, Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Texts {
    fn number(&mut self, text: &str) -> i64 {
        let Self { bytes, ends, index, hasher } = self;
        let hash = hasher.hash_one(text.as_bytes());
        if let Some(&known) = index.find(hash, |&n| at(bytes, ends, n) == text.as_bytes()) {
            return i64::from(known);
        }
        let number = u32::try_from(ends.len()).expect("fewer than 2^32 distinct strings fit in memory");
        bytes.extend_from_slice(text.as_bytes());
        ends.push(bytes.len());
        index.insert_unique(hash, number, |&n| hasher.hash_one(at(bytes, ends, n)));
        i64::from(number)
    }

    fn text(&self, number: i64) -> &str {
        let bytes = at(&self.bytes, &self.ends, u32::try_from(number).unwrap_or_default());
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

fn at<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let n = number as usize;
    let start = if n == 0 { 0 } else { ends[n - 1] };
    &bytes[start..ends[n]]
}

impl CountDistinct {
    fn note(&mut self, group: usize, value: i64) {
        let pair = (group as u32, value);
        if self.seen.insert(pair) {
            self.pairs.push(pair);
            self.counts[group] += 1;
        }
    }

    /// Notes the values for which `group` gives a group.
    fn note_all(&mut self, values: &ArrayRef, group: impl Fn(usize) -> Option<usize>) -> Result<()> {
        let values = cast(values, &self.kind.data_type())?;
        let rows = (0..values.len()).filter(|&i| values.is_valid(i)).filter_map(|i| Some((i, group(i)?)));
        match self.kind {
            DistinctKind::Integer => {
                let integers = values.as_primitive::<Int64Type>();
                rows.for_each(|(i, g)| self.note(g, integers.value(i)));
            }
            DistinctKind::Text => {
                let texts = values.as_string::<i32>();
                rows.for_each(|(i, g)| {
                    let number = self.texts.number(texts.value(i));
                    self.note(g, number);
                });
            }
        }
        Ok(())
    }

    fn clear(&mut self) {
        let kind = self.kind;
        *self = Self { kind, seen: HashSet::default(), pairs: Vec::new(), counts: Vec::new(), texts: Texts::default() };
    }

    /// Values group by group: a counting sort of the pairs keeps the order within a group.
    fn lists(&self) -> ArrayRef {
        let offsets = OffsetBuffer::<i32>::from_lengths(self.counts.iter().map(|&n| n as usize));
        let mut next: Vec<usize> = offsets.iter().map(|&o| o as usize).collect();
        let mut sorted = vec![0_i64; self.pairs.len()];
        for &(group, value) in &self.pairs {
            let slot = &mut next[group as usize];
            sorted[*slot] = value;
            *slot += 1;
        }
        let values: ArrayRef = match self.kind {
            DistinctKind::Integer => Arc::new(Int64Array::from(sorted)),
            DistinctKind::Text => Arc::new(StringArray::from_iter_values(sorted.iter().map(|&n| self.texts.text(n)))),
        };
        Arc::new(ListArray::new(self.kind.element(), offsets, values, None))
    }
}

fn only_all(emit_to: EmitTo) -> Result<()> {
    match emit_to {
        EmitTo::All => Ok(()),
        EmitTo::First(_) => internal_err!("groups are emitted all at once"),
    }
}

impl GroupsAccumulator for CountDistinct {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.counts.resize(total, 0);
        let passes = |i: usize| filter.is_none_or(|f| f.is_valid(i) && f.value(i));
        self.note_all(&values[0], |i| passes(i).then(|| groups[i]))
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        _filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.counts.resize(total, 0);
        let lists = values[0].as_list::<i32>();
        let offsets = lists.value_offsets();
        let base = offsets[0] as usize;
        let inner = lists.values().slice(base, offsets[lists.len()] as usize - base);
        let mut owner = Vec::with_capacity(inner.len());
        for (row, group) in groups.iter().enumerate() {
            owner.resize(offsets[row + 1] as usize - base, *group);
        }
        self.note_all(&inner, |i| Some(owner[i]))
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        only_all(emit_to)?;
        let counts: ArrayRef = Arc::new(Int64Array::from(std::mem::take(&mut self.counts)));
        self.clear();
        Ok(counts)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        only_all(emit_to)?;
        let lists = self.lists();
        self.clear();
        Ok(vec![lists])
    }

    fn size(&self) -> usize {
        let texts = self.texts.bytes.capacity() + self.texts.ends.capacity() * 8 + self.texts.index.capacity() * 8;
        self.seen.capacity() * 17 + self.pairs.capacity() * 16 + self.counts.capacity() * 8 + texts
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, TimestampMicrosecondArray};

    use super::*;

    fn counts(accumulator: &mut Box<dyn GroupsAccumulator>) -> Vec<i64> {
        let counts = accumulator.evaluate(EmitTo::All).expect("counts");
        counts.as_primitive::<Int64Type>().values().to_vec()
    }

    fn text(values: &[Option<&str>]) -> Vec<ArrayRef> {
        vec![Arc::new(StringArray::from(values.to_vec()))]
    }

    #[test]
    fn each_group_counts_its_own_values_once_and_no_nulls() {
        let mut ports = DistinctKind::Integer.accumulator();
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(1), None, Some(2), Some(1)]));
        ports.update_batch(&[values], &[0, 0, 0, 0, 2], None, 3).expect("updated");
        assert_eq!(counts(&mut ports), [2, 0, 1]);
        assert!(counts(&mut ports).is_empty(), "nothing is left");
    }

    #[test]
    fn a_filter_lets_only_true_rows_in() {
        let mut ips = DistinctKind::Text.accumulator();
        let filter = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
        let values = text(&[Some("a"), Some("b"), Some("c"), Some("d")]);
        ips.update_batch(&values, &[0, 0, 0, 1], Some(&filter), 2).expect("updated");
        assert_eq!(counts(&mut ips), [1, 1]);
    }

    #[test]
    fn states_merge_to_the_same_count_in_any_order_and_from_slices() {
        let state = |values: &[Option<&str>], groups: &[usize]| {
            let mut one = DistinctKind::Text.accumulator();
            one.update_batch(&text(values), groups, None, 2).expect("updated");
            one.state(EmitTo::All).expect("a state").remove(0)
        };
        let a = state(&[Some("x"), Some("y"), Some("")], &[0, 1, 1]);
        let b = state(&[Some("y"), Some("x"), Some("z")], &[1, 0, 1]);
        for order in [[&a, &b], [&b, &a]] {
            let mut all = DistinctKind::Text.accumulator();
            for state in order {
                all.merge_batch(std::slice::from_ref(state), &[0, 1], None, 2).expect("merged");
            }
            assert_eq!(counts(&mut all), [1, 3]);
        }
        let mut second = DistinctKind::Text.accumulator();
        second.merge_batch(&[a.slice(1, 1)], &[0], None, 1).expect("merged");
        assert_eq!(counts(&mut second), [2], "a slice carries its own values only");
    }

    #[test]
    fn states_keep_the_order_in_which_values_came() {
        let mut one = DistinctKind::Text.accumulator();
        one.update_batch(&text(&[Some("z"), Some("b"), Some("a"), Some("b")]), &[1, 0, 1, 1], None, 2)
            .expect("updated");
        let state = one.state(EmitTo::All).expect("a state").remove(0);
        let lists = state.as_list::<i32>();
        let of = |row| lists.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec!["b".to_owned()], vec!["z".to_owned(), "a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn times_are_counted_and_floats_are_left_to_datafusion() {
        let time = TimestampMicrosecondArray::from(vec![1, 1, 2]);
        let kind = DistinctKind::of(time.data_type()).expect("times count as integers");
        let mut times = kind.accumulator();
        times.update_batch(&[Arc::new(time)], &[0, 0, 0], None, 1).expect("updated");
        assert!(times.size() > 0);
        assert_eq!(counts(&mut times), [2]);
        assert_eq!(DistinctKind::of(&DataType::Float64), None);
        assert!(DistinctKind::Text.accumulator().evaluate(EmitTo::First(1)).is_err());
    }
}
