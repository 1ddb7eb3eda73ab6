//! Scalar functions that rules may call beside DataFusion's own: text, JSON, places and times.
//!
//! Each is pure: the same arguments give the same value, whatever the batch. A NULL argument gives NULL, and so does a value
//! that is none of what the function takes (a place that is no place): no row fails a rule. The table of them is
//! docs/rule-functions.md.

mod places;
mod text;
mod times;

use std::any::Any;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::plan::time_type;

/// One of the functions.
struct Function {
    name: &'static str,
    takes: Vec<DataType>,
    gives: DataType,
    signature: Signature,
    body: fn(&[ArrayRef]) -> Result<ArrayRef>,
}

/// Every function, for a planner.
pub(super) fn scalar_functions() -> Vec<Arc<ScalarUDF>> {
    let (text, number) = (DataType::Utf8, DataType::Float64);
    let list = |of: DataType| DataType::List(Arc::new(Field::new_list_field(of, true)));
    let two = |of: &DataType| vec![of.clone(), of.clone()];
    [
        function("entropy", vec![text.clone()], number.clone(), text::entropy),
        function("json_value", two(&text), text.clone(), text::json_value),
        function("json_has", vec![text.clone(); 3], DataType::Boolean, text::json_has),
        function("distance_km", two(&text), number.clone(), places::distance_km),
        function("place_at", vec![time_type(), text.clone()], text.clone(), places::place_at),
        function("max_speed_kmh", vec![list(text), number.clone()], number.clone(), places::max_speed_kmh),
        function("interval_variation", vec![list(time_type())], number, times::interval_variation),
    ]
    .into_iter()
    .map(|function| Arc::new(ScalarUDF::new_from_impl(function)))
    .collect()
}

fn function(
    name: &'static str,
    takes: Vec<DataType>,
    gives: DataType,
    body: fn(&[ArrayRef]) -> Result<ArrayRef>,
) -> Function {
    Function { name, takes, gives, signature: Signature::user_defined(Volatility::Immutable), body }
}

impl ScalarUDFImpl for Function {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What the planner casts the arguments to. A list is none of what is no list.
    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        if given.len() != self.takes.len() {
            return plan_err!("'{}' takes {} arguments, not {}", self.name, self.takes.len(), given.len());
        }
        for (given, taken) in given.iter().zip(&self.takes) {
            if given.is_list() != taken.is_list() && !given.is_null() {
                let wanted = if taken.is_list() { "a list, as array_agg gives" } else { "no list" };
                return plan_err!("'{}' takes {wanted}, not {given}", self.name);
            }
        }
        Ok(self.takes.clone())
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.gives.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays: Result<Vec<ArrayRef>> = args.args.iter().map(|arg| arg.to_array(args.number_rows)).collect();
        Ok(ColumnarValue::Array((self.body)(&arrays?)?))
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

#[cfg(test)]
mod tests;
