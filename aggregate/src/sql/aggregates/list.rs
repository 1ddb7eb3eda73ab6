//! `array_agg`: the smallest values of a group, rising. Smallest and not first: which rows come first depends on partitions.

use std::any::Any;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use arrow::row::{OwnedRow, RowConverter, SortField};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

use super::{list, list_state, list_type};

/// Most values a group keeps.
const MOST: usize = 1_000;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ArrayAgg {
    signature: Signature,
}

impl ArrayAgg {
    pub(super) fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for ArrayAgg {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        "array_agg"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, args: &[DataType]) -> Result<DataType> {
        Ok(list_type(args[0].clone()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![list_state(&args, "smallest", args.input_fields[0].data_type().clone())])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if !args.order_bys.is_empty() {
            return plan_err!("'array_agg' gives its values rising: leave ORDER BY out");
        }
        let data_type = args.expr_fields[0].data_type().clone();
        let converter = RowConverter::new(vec![SortField::new(data_type)])?;
        Ok(Box::new(Smallest { converter, is_distinct: args.is_distinct, rows: Vec::new() }))
    }
}

/// Values as rows, whose bytes compare as the values do.
#[derive(Debug)]
struct Smallest {
    converter: RowConverter,
    is_distinct: bool,
    /// In any order, up to twice [`MOST`].
    rows: Vec<OwnedRow>,
}

impl Smallest {
    fn add(&mut self, values: &ArrayRef) -> Result<()> {
        let rows = self.converter.convert_columns(std::slice::from_ref(values))?;
        for row in (0..values.len()).filter(|&row| values.is_valid(row)) {
            self.rows.push(rows.row(row).owned());
            if self.rows.len() >= 2 * MOST {
                self.shrink();
            }
        }
        Ok(())
    }

    fn shrink(&mut self) {
        self.rows.sort_unstable();
        if self.is_distinct {
            self.rows.dedup();
        }
        self.rows.truncate(MOST);
    }

    fn value(&mut self) -> Result<ScalarValue> {
        self.shrink();
        let columns = self.converter.convert_rows(self.rows.iter().map(OwnedRow::row))?;
        Ok(list(columns[0].clone()))
    }
}

impl Accumulator for Smallest {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(&values[0])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().try_for_each(|values| self.add(&values))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        self.value()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value()?])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.iter().map(|row| size_of_val(row) + row.as_ref().len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use proptest::prelude::*;

    use super::*;

    fn smallest(data_type: DataType, is_distinct: bool) -> Smallest {
        let converter = RowConverter::new(vec![SortField::new(data_type)]).expect("a converter");
        Smallest { converter, is_distinct, rows: Vec::new() }
    }

    fn numbers(values: &[Option<i64>]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    fn given(value: &ScalarValue) -> Vec<i64> {
        let ScalarValue::List(list) = value else { panic!("a list: {value}") };
        list.value(0).as_primitive::<arrow::datatypes::Int64Type>().values().to_vec()
    }

    #[test]
    fn text_rises_and_a_null_is_no_value() {
        let mut all = smallest(DataType::Utf8, false);
        all.update_batch(&[Arc::new(StringArray::from(vec![Some("b"), None, Some("a"), Some("b")]))]).expect("taken");
        assert_eq!(all.evaluate().expect("a list").to_string(), "[a, b, b]");
        let empty = smallest(DataType::Utf8, false).evaluate().expect("a list");
        assert_eq!(empty.to_string(), "[]");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_split_gives_the_smallest(values in proptest::collection::vec(proptest::option::of(0..900_i64), 0..3000), cuts in 1..900_usize, distinct: bool) {
            let mut want: Vec<i64> = values.iter().flatten().copied().collect();
            want.sort_unstable();
            if distinct {
                want.dedup();
            }
            want.truncate(MOST);
            let mut merged = smallest(DataType::Int64, distinct);
            for part in values.chunks(cuts).rev() {
                let mut own = smallest(DataType::Int64, distinct);
                own.update_batch(&[numbers(part)]).expect("taken");
                let states: Vec<ArrayRef> = own.state().expect("a state").iter().map(|s| s.to_array().expect("an array")).collect();
                merged.merge_batch(&states).expect("merged");
            }
            prop_assert!(merged.size() > 0);
            prop_assert_eq!(given(&merged.evaluate().expect("a list")), want);
        }
    }
}
