//! `count(DISTINCT x)`: exact, mergeable, one hash table for all groups.
//!
//! DataFusion keeps a set a group; here the pair (group, value) is the key of one set, and values are numbers
//! ([`crate::codes`]). The state of a group is the list of its values in the order they came.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::error::Result;
use hashbrown::HashSet;

use crate::codes::{Codes, NULL};

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

    /// The numbers of values of a type that the kind is for.
    ///
    /// # Errors
    /// If the values cannot be read as the kind's own type.
    pub(crate) fn codes(self, values: &ArrayRef, codes: &mut Codes) -> Result<Vec<u32>> {
        codes.of(&cast(values, &self.data_type())?)
    }
}

/// Distinct values of every group.
#[derive(Debug)]
pub(crate) struct Distinct {
    kind: DistinctKind,
    seen: HashSet<u64>,
    /// `seen` in the order of first sight, which hashing must not decide: group and value.
    pairs: Vec<(u32, u32)>,
    counts: Vec<i64>,
}

impl Distinct {
    /// No groups.
    pub(crate) fn new(kind: DistinctKind) -> Self {
        Self { kind, seen: HashSet::default(), pairs: Vec::new(), counts: Vec::new() }
    }

    /// Makes room for so many groups, of a value each.
    pub(crate) fn reserve(&mut self, groups: usize) {
        self.seen.reserve(groups);
        self.pairs.reserve(groups);
        self.counts.reserve(groups);
    }

    fn note(&mut self, group: usize, value: u32) {
        let pair = (group as u32, value);
        if value != NULL && self.seen.insert(u64::from(pair.0) << 32 | u64::from(value)) {
            self.pairs.push(pair);
            self.counts[group] += 1;
        }
    }

    /// Adds a value a row to the rows' groups, where the filter is true.
    pub(crate) fn update(&mut self, values: &[u32], groups: &[usize], filter: Option<&BooleanArray>, total: usize) {
        self.counts.resize(total, 0);
        for (i, (&value, &group)) in values.iter().zip(groups).enumerate() {
            if filter.is_none_or(|f| f.is_valid(i) && f.value(i)) {
                self.note(group, value);
            }
        }
    }

    /// Adds the lists of a state to groups.
    ///
    /// # Errors
    /// If the lists are not of this kind.
    pub(crate) fn merge(&mut self, lists: &ListArray, groups: &[usize], total: usize, codes: &mut Codes) -> Result<()> {
        self.counts.resize(total, 0);
        let offsets = lists.value_offsets();
        let (base, end) = (offsets[0] as usize, offsets[lists.len()] as usize);
        let values = self.kind.codes(&lists.values().slice(base, end - base), codes)?;
        for (ends, &group) in offsets.windows(2).zip(groups) {
            for &value in &values[ends[0] as usize - base..ends[1] as usize - base] {
                self.note(group, value);
            }
        }
        Ok(())
    }

    /// How many values each group has.
    pub(crate) fn results(&mut self) -> ArrayRef {
        let counts = std::mem::take(&mut self.counts);
        *self = Self::new(self.kind);
        Arc::new(Int64Array::from(counts))
    }

    /// The values group by group, as a state column; no group is left. A counting sort of the pairs keeps the order
    /// within a group.
    ///
    /// # Errors
    /// If arrow cannot make the column.
    pub(crate) fn take_state(&mut self, codes: &Codes) -> Result<ArrayRef> {
        let offsets = OffsetBuffer::<i32>::from_lengths(self.counts.iter().map(|&n| n as usize));
        let mut next: Vec<usize> = offsets.iter().map(|&o| o as usize).collect();
        let mut sorted = vec![NULL; self.pairs.len()];
        for &(group, value) in &self.pairs {
            let slot = &mut next[group as usize];
            sorted[*slot] = value;
            *slot += 1;
        }
        let values = codes.values(&self.kind.data_type(), &sorted)?;
        let lists = ListArray::new(self.kind.element(), offsets, values, None);
        *self = Self::new(self.kind);
        Ok(Arc::new(lists))
    }

    /// Bytes held, roughly.
    pub(crate) fn size(&self) -> usize {
        self.seen.capacity() * 9 + self.pairs.capacity() * 8 + self.counts.capacity() * 8
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int32Array, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    fn counts(distinct: &mut Distinct) -> Vec<i64> {
        distinct.results().as_primitive::<Int64Type>().values().to_vec()
    }

    /// A table of texts, one a row.
    fn texts(values: &[Option<&str>], groups: &[usize], filter: Option<&BooleanArray>) -> (Distinct, Codes) {
        let (mut distinct, mut codes) = (Distinct::new(DistinctKind::Text), Codes::default());
        let numbers = codes.of(&StringArray::from(values.to_vec())).expect("numbers");
        distinct.update(&numbers, groups, filter, 2);
        (distinct, codes)
    }

    fn state((mut distinct, codes): (Distinct, Codes)) -> ArrayRef {
        distinct.take_state(&codes).expect("a state")
    }

    #[test]
    fn each_group_counts_its_own_values_once_and_no_nulls() {
        let (mut ports, mut codes) = (Distinct::new(DistinctKind::Integer), Codes::default());
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), Some(1), None, Some(2), Some(1)]));
        let values = DistinctKind::Integer.codes(&values, &mut codes).expect("integers");
        ports.update(&values, &[0, 0, 0, 0, 2], None, 3);
        assert!(ports.size() > 0);
        assert_eq!(counts(&mut ports), [2, 0, 1]);
        assert!(counts(&mut ports).is_empty(), "nothing is left");
    }

    #[test]
    fn a_filter_lets_only_true_rows_in() {
        let filter = BooleanArray::from(vec![Some(true), Some(false), None, Some(true)]);
        let (mut ips, _) = texts(&[Some("a"), Some("b"), Some("c"), Some("d")], &[0, 0, 0, 1], Some(&filter));
        assert_eq!(counts(&mut ips), [1, 1]);
    }

    #[test]
    fn states_merge_to_the_same_count_in_any_order_and_from_slices() {
        let a = state(texts(&[Some("x"), Some("y"), Some("")], &[0, 1, 1], None));
        let b = state(texts(&[Some("y"), Some("x"), Some("z")], &[1, 0, 1], None));
        for order in [[&a, &b], [&b, &a]] {
            let (mut all, mut codes) = (Distinct::new(DistinctKind::Text), Codes::default());
            for state in order {
                all.merge(state.as_list(), &[0, 1], 2, &mut codes).expect("merged");
            }
            assert_eq!(counts(&mut all), [1, 3]);
        }
        let mut second = Distinct::new(DistinctKind::Text);
        second.merge(a.slice(1, 1).as_list(), &[0], 1, &mut Codes::default()).expect("merged");
        assert_eq!(counts(&mut second), [2], "a slice carries its own values only");
    }

    #[test]
    fn states_keep_the_order_in_which_values_came() {
        let state = state(texts(&[Some("z"), Some("b"), Some("a"), Some("b")], &[1, 0, 1, 1], None));
        let lists = state.as_list::<i32>();
        let of = |row| lists.value(row).as_string::<i32>().iter().flatten().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!((of(0), of(1)), (vec!["b".to_owned()], vec!["z".to_owned(), "a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn times_are_counted_and_floats_are_left_to_datafusion() {
        let time = TimestampMicrosecondArray::from(vec![1, 1, 2]);
        let kind = DistinctKind::of(time.data_type()).expect("times count as integers");
        let values: ArrayRef = Arc::new(time);
        let values = kind.codes(&values, &mut Codes::default()).expect("integers");
        let mut times = Distinct::new(kind);
        times.update(&values, &[0, 0, 0], None, 1);
        assert_eq!(counts(&mut times), [2]);
        assert_eq!(DistinctKind::of(&DataType::Float64), None);
    }
}
