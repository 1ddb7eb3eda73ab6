//! `approx_percentile_cont(x, p)` and `approx_median(x)`: a count for each bucket of values that differ by less than 2 %, as
//! a DDSketch keeps. Adding counts is exact, so a merge loses nothing, in whatever order.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Float64Type, Int32Type, Int64Type};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Coercion, Signature, TypeSignatureClass, Volatility};
use datafusion::physical_expr::expressions::Literal;

use super::{list, list_state};

/// How far a result may be off, as a share of it.
const ERROR: f64 = 0.01;

/// Added to the exponents, so that every positive value has a bucket above zero: of the smallest double it is about -37,000.
const BIAS: i32 = 50_000;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Quantile {
    name: &'static str,
    signature: Signature,
}

impl Quantile {
    pub(super) fn percentile() -> Self {
        Self { name: "approx_percentile_cont", signature: signature(2) }
    }

    pub(super) fn median() -> Self {
        Self { name: "approx_median", signature: signature(1) }
    }

    fn share(&self, args: &AccumulatorArgs<'_>) -> Result<f64> {
        let Some(share) = args.exprs.get(1) else { return Ok(0.5) };
        let literal = share.as_any().downcast_ref::<Literal>().map(|l| l.value().clone());
        match literal {
            Some(ScalarValue::Float64(Some(share))) if (0.0..=1.0).contains(&share) => Ok(share),
            _ => plan_err!("'{}' takes a number from 0 to 1, such as 0.95, not {share}", self.name),
        }
    }
}

fn signature(arguments: usize) -> Signature {
    let number = Coercion::new_implicit(
        TypeSignatureClass::Native(datafusion::common::types::logical_float64()),
        vec![TypeSignatureClass::Numeric],
        datafusion::common::types::NativeType::Float64,
    );
    Signature::coercible(vec![number; arguments], Volatility::Immutable)
}

impl AggregateUDFImpl for Quantile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _args: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![list_state(&args, "buckets", DataType::Int32), list_state(&args, "counts", DataType::Int64)])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Buckets { share: self.share(&args)?, counts: BTreeMap::new() }))
    }
}

#[derive(Debug)]
struct Buckets {
    share: f64,
    counts: BTreeMap<i32, i64>,
}

impl Buckets {
    fn quantile(&self) -> Option<f64> {
        let total: i64 = self.counts.values().sum();
        let rank = (self.share * (total - 1).max(0) as f64).round() as i64;
        let mut seen = 0;
        let holds = |(_, count): &(&i32, &i64)| {
            seen += **count;
            seen > rank
        };
        self.counts.iter().find(holds).map(|(bucket, _)| middle(*bucket))
    }
}

/// The buckets rise as the values do; zero is zero's.
fn bucket(value: f64) -> i32 {
    if value == 0.0 {
        return 0;
    }
    let exponent = (value.abs().ln() / growth().ln()).ceil() as i32 + BIAS;
    if value > 0.0 { exponent } else { -exponent }
}

/// No value of the bucket is farther from it than [`ERROR`].
fn middle(bucket: i32) -> f64 {
    if bucket == 0 {
        return 0.0;
    }
    let value = 2.0 * growth().powi(bucket.abs() - BIAS) / (growth() + 1.0);
    if bucket > 0 { value } else { -value }
}

fn growth() -> f64 {
    (1.0 + ERROR) / (1.0 - ERROR)
}

impl Accumulator for Buckets {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let numbers = cast(&values[0], &DataType::Float64)?;
        for value in numbers.as_primitive::<Float64Type>().iter().flatten().filter(|value| value.is_finite()) {
            *self.counts.entry(bucket(value)).or_default() += 1;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let (buckets, counts) = (states[0].as_list::<i32>(), states[1].as_list::<i32>());
        for (buckets, counts) in buckets.iter().zip(counts.iter()) {
            let (Some(buckets), Some(counts)) = (buckets, counts) else { continue };
            let pairs = buckets.as_primitive::<Int32Type>().values().iter();
            for (bucket, count) in pairs.zip(counts.as_primitive::<Int64Type>().values()) {
                *self.counts.entry(*bucket).or_default() += count;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.quantile()))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let buckets = Int32Array::from_iter_values(self.counts.keys().copied());
        let counts = Int64Array::from_iter_values(self.counts.values().copied());
        Ok(vec![list(Arc::new(buckets)), list(Arc::new(counts))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.len() * 24
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use proptest::prelude::*;

    use super::*;

    fn buckets(share: f64) -> Buckets {
        Buckets { share, counts: BTreeMap::new() }
    }

    #[test]
    fn a_bucket_is_never_far_from_its_values_and_they_rise() {
        let mut values: Vec<f64> = (-300..300).flat_map(|e| [1.0, 1.7, -3.3].map(|m| m * 10_f64.powi(e))).collect();
        values.extend([0.0, f64::MAX, f64::MIN_POSITIVE, -f64::MAX]);
        values.sort_by(f64::total_cmp);
        assert!(values.windows(2).all(|pair| bucket(pair[0]) <= bucket(pair[1])));
        for value in values.into_iter().filter(|v| v.abs() < f64::MAX) {
            assert!((middle(bucket(value)) - value).abs() <= value.abs() * (ERROR + 1e-9), "{value}");
        }
        assert_eq!(buckets(0.5).quantile(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_split_gives_the_quantile(values in proptest::collection::vec(-1e6..1e6_f64, 1..500), share in 0.0..=1.0_f64, cuts in 1..100_usize) {
            let mut merged = buckets(share);
            for part in values.chunks(cuts).rev() {
                let mut own = buckets(share);
                own.update_batch(&[Arc::new(Float64Array::from(part.to_vec()))]).expect("taken");
                let states: Vec<ArrayRef> = own.state().expect("a state").iter().map(|s| s.to_array().expect("an array")).collect();
                merged.merge_batch(&states).expect("merged");
            }
            let mut sorted = values;
            sorted.sort_by(f64::total_cmp);
            let want = sorted[(share * (sorted.len() - 1) as f64).round() as usize];
            let found = merged.quantile().expect("a value");
            prop_assert!((found - want).abs() <= want.abs() * (ERROR + 1e-9), "{} for {}", found, want);
            prop_assert!(merged.size() > 0);
        }
    }
}
