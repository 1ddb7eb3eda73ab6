//! Values of result columns as JSON.

use std::fmt::Write;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{
    DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::array_value_to_string;
use dataflow::json::push_string;
use dataflow::time::push_rfc3339;

/// Appends one value: numbers and booleans as such, times as RFC 3339, the rest as text. What JSON has no number for
/// (NaN, infinities) is text too.
pub(crate) fn push_value(out: &mut String, array: &dyn Array, row: usize) {
    macro_rules! integer {
        ($t:ty) => {{
            let _ = write!(out, "{}", array.as_primitive::<$t>().value(row));
        }};
    }
    if array.is_null(row) {
        return out.push_str("null");
    }
    match array.data_type() {
        DataType::Null => out.push_str("null"),
        DataType::Boolean => out.push_str(if array.as_boolean().value(row) { "true" } else { "false" }),
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        DataType::Float32 => push_float(out, f64::from(array.as_primitive::<Float32Type>().value(row))),
        DataType::Float64 => push_float(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            out.push('"');
            push_rfc3339(out, array.as_primitive::<TimestampMicrosecondType>().value(row));
            out.push('"');
        }
        DataType::List(_) => push_list(out, array.as_list::<i32>().value(row).as_ref()),
        _ => push_string(out, &text(array, row)),
    }
}

fn push_float(out: &mut String, value: f64) {
    if value.is_finite() {
        let _ = write!(out, "{value:?}");
    } else {
        push_string(out, &value.to_string());
    }
}

fn push_list(out: &mut String, values: &dyn Array) {
    out.push('[');
    for i in 0..values.len() {
        if i > 0 {
            out.push(',');
        }
        push_value(out, values, i);
    }
    out.push(']');
}

/// Appends one row of some columns as a JSON list. Alert ids and merge groups hang on it: it depends on the values alone.
pub(crate) fn push_row(out: &mut String, columns: &[&dyn Array], row: usize) {
    out.push('[');
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_value(out, *column, row);
    }
    out.push(']');
}

/// One row of some columns as a JSON list.
pub(crate) fn row_json(columns: &[&dyn Array], row: usize) -> String {
    let mut out = String::new();
    push_row(&mut out, columns, row);
    out
}

/// The value as plain text; empty if Arrow has no text for the type.
pub(crate) fn text(array: &dyn Array, row: usize) -> String {
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Utf8View => array.as_string_view().value(row).to_owned(),
        _ => array_value_to_string(array, row).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn values_are_json() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
        let arrays: [(ArrayRef, &str); 8] = [
            (Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808"),
            (Arc::new(Float64Array::from(vec![0.1])), "0.1"),
            (Arc::new(Float64Array::from(vec![f64::NAN])), "\"NaN\""),
            (Arc::new(BooleanArray::from(vec![true])), "true"),
            (Arc::new(StringArray::from(vec!["a\"b"])), "\"a\\\"b\""),
            (Arc::new(StringArray::from(vec![None::<&str>])), "null"),
            (Arc::new(TimestampMicrosecondArray::from(vec![1])), "\"1970-01-01T00:00:00.000001Z\""),
            (Arc::new(list), "[1,null]"),
        ];
        for (array, want) in arrays {
            let mut out = String::new();
            push_value(&mut out, array.as_ref(), 0);
            assert_eq!(out, want);
        }
    }
}
