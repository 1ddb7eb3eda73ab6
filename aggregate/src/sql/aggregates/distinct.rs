//! `approx_distinct`: the smallest hashes of a group's values. Of evenly spread hashes, how small the smallest 4,096 are says
//! how many there are (a KMV sketch); while there are fewer, their number is exact.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use super::{list, list_state};

/// Most hashes a group keeps: the error is about one in the square root of it.
const MOST: usize = 4_096;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ApproxDistinct {
    signature: Signature,
}

impl ApproxDistinct {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ApproxDistinct {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "approx_distinct"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![list_state(&args, "hashes", DataType::UInt64)])
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Sketch::default()))
    }
}

#[derive(Debug, Default)]
struct Sketch(BTreeSet<u64>);

impl Sketch {
    fn add(&mut self, hash: u64) {
        let is_full = self.0.len() == MOST;
        if is_full && self.0.last().is_some_and(|last| hash >= *last) {
            return;
        }
        if self.0.insert(hash) && is_full {
            self.0.pop_last();
        }
    }

    fn estimate(&self) -> u64 {
        match self.0.last() {
            Some(last) if self.0.len() == MOST => {
                let share = *last as f64 / u64::MAX as f64;
                ((MOST - 1) as f64 / share).round() as u64
            }
            _ => self.0.len() as u64,
        }
    }
}

impl Accumulator for Sketch {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let texts = cast(&values[0], &DataType::Utf8)?;
        texts.as_string::<i32>().iter().flatten().for_each(|text| self.add(hash(text.as_bytes())));
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let lists = states[0].as_list::<i32>();
        for hashes in lists.iter().flatten() {
            hashes.as_primitive::<UInt64Type>().values().iter().for_each(|hash| self.add(*hash));
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::UInt64(Some(self.estimate())))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![list(Arc::new(UInt64Array::from_iter_values(self.0.iter().copied())))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.0.len() * 2 * size_of::<u64>()
    }
}

/// FNV-1a, stirred: states outlive a release, so the hash is one that never changes.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv);
    for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        hash = (hash ^ (hash >> 30)).wrapping_mul(factor);
    }
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    /// Sketches of every third number below `n`, from each of three starts, each number twice.
    fn parts(n: i64) -> Vec<Sketch> {
        let part = |start: i64| {
            let mut sketch = Sketch::default();
            let numbers = Int64Array::from_iter_values((start..n).step_by(3).flat_map(|n| [n, n]));
            sketch.update_batch(&[Arc::new(numbers)]).expect("taken");
            sketch
        };
        (0..3).map(part).collect()
    }

    fn merged(parts: impl Iterator<Item = Sketch>) -> u64 {
        let mut all = Sketch::default();
        for mut part in parts {
            let state = part.state().expect("a state");
            all.merge_batch(&[state[0].to_array().expect("an array")]).expect("merged");
        }
        assert!(all.size() > 0);
        match all.evaluate().expect("a number") {
            ScalarValue::UInt64(Some(n)) => n,
            other => panic!("no number: {other}"),
        }
    }

    #[test]
    fn few_are_counted_exactly_and_many_nearly_in_any_order() {
        for n in [0, 1, 100, 4_095] {
            assert_eq!(merged(parts(n).into_iter()), n as u64, "{n}");
        }
        for n in [5_000, 100_000, 1_000_000] {
            let found = merged(parts(n).into_iter());
            let error = (found as f64 / n as f64 - 1.0).abs();
            assert!(error < 0.05, "{found} of {n}");
            assert_eq!(merged(parts(n).into_iter().rev()), found);
        }
    }

    #[test]
    fn the_hash_never_changes_and_a_null_is_no_value() {
        assert_eq!([hash(b""), hash(b"10.0.0.1")], [0xd804_2eda_f59a_29c2, 0x0a20_e256_bcd5_a395]);
        let mut sketch = Sketch::default();
        sketch.update_batch(&[Arc::new(StringArray::from(vec![Some("a"), None, Some("a")]))]).expect("taken");
        assert_eq!(sketch.estimate(), 1);
    }
}
