//! Functions of texts and of JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Float64Array, StringArray};
use datafusion::error::Result;

use crate::sigma::json;

/// `entropy(text)`: Shannon's entropy of the characters, in bits a character. 0 for an empty text.
pub(super) fn entropy(args: &[ArrayRef]) -> Result<ArrayRef> {
    let mut sorted = Vec::new();
    let values = args[0].as_string::<i32>().iter().map(|text| text.map(|text| bits_a_character(text, &mut sorted)));
    Ok(Arc::new(values.collect::<Float64Array>()))
}

/// Sums over runs of equal characters, in their order: the same on every machine.
fn bits_a_character(text: &str, sorted: &mut Vec<char>) -> f64 {
    sorted.clear();
    sorted.extend(text.chars());
    sorted.sort_unstable();
    let whole = sorted.len() as f64;
    let share = |run: &[char]| run.len() as f64 / whole;
    let bits: f64 = sorted.chunk_by(|a, b| a == b).map(share).map(|p| p * p.log2()).sum();
    0.0 - bits
}

/// `json_value(json, path)`: the first value at the path that is no object, as text. Lists on the way are gone through.
pub(super) fn json_value(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (jsons, paths) = (args[0].as_string::<i32>(), args[1].as_string::<i32>());
    let values = jsons.iter().zip(paths).map(|(json, path)| first(json?, path?));
    Ok(Arc::new(values.collect::<StringArray>()))
}

fn first(text: &str, path: &str) -> Option<String> {
    let mut value = None;
    json::visit(text, path, &mut |found, kind| {
        let is_scalar = kind == json::Kind::Scalar;
        if is_scalar {
            value = Some(found.to_owned());
        }
        is_scalar
    });
    value
}

/// `json_has(json, path, text)`: true if one of the values at the path is that text.
pub(super) fn json_has(args: &[ArrayRef]) -> Result<ArrayRef> {
    let [jsons, paths, texts] = [0, 1, 2].map(|arg| args[arg].as_string::<i32>());
    let has = |((text, path), wanted): ((Option<&str>, Option<&str>), Option<&str>)| {
        let (text, path, wanted) = (text?, path?, wanted?);
        Some(json::visit(text, path, &mut |found, kind| kind == json::Kind::Scalar && found == wanted))
    };
    Ok(Arc::new(jsons.iter().zip(paths).zip(texts).map(has).collect::<BooleanArray>()))
}
