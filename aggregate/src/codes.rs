//! Values as numbers: of group keys and of `count(DISTINCT ...)`.
//!
//! A value is hashed once a batch, however many rules read its column; tables of groups then hash and compare a few words.
//! Numbers are given in the order of first sight and mean something only to the [`Codes`] that gave them. Text, integers and
//! everything else are numbered apart: a column's type says which.

use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray, new_null_array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::error::Result;
use hashbrown::{DefaultHashBuilder, HashTable};

/// The number of NULL.
pub(crate) const NULL: u32 = 0;

/// See the module's front.
#[derive(Debug, Default)]
pub(crate) struct Codes {
    texts: Texts,
    integers: Integers,
    /// Values that are neither, as arrow's row format writes them.
    others: Texts,
}

/// How values of a type are numbered.
enum Family {
    Null,
    Text,
    Integer,
    Other,
}

impl Family {
    fn of(data_type: &DataType) -> Self {
        use DataType::{Boolean, Int8, Int16, Int32, Int64, Null, Timestamp, UInt8, UInt16, UInt32, Utf8};
        match data_type {
            Null => Self::Null,
            Utf8 => Self::Text,
            Boolean | Int8 | Int16 | Int32 | Int64 | UInt8 | UInt16 | UInt32 | Timestamp(..) => Self::Integer,
            _ => Self::Other,
        }
    }
}

impl Codes {
    /// The number of each row's value.
    ///
    /// # Errors
    /// If arrow cannot turn the type into rows.
    pub(crate) fn of(&mut self, array: &dyn Array) -> Result<Vec<u32>> {
        if let DataType::Dictionary(key, _) = array.data_type()
            && **key == DataType::Int32
        {
            let dictionary = array.as_dictionary::<Int32Type>();
            let values = self.of(dictionary.values())?;
            let code = |key: Option<i32>| key.map_or(NULL, |key| values[key as usize]);
            return Ok(dictionary.keys().iter().map(code).collect());
        }
        Ok(match Family::of(array.data_type()) {
            Family::Null => vec![NULL; array.len()],
            Family::Text => array.as_string::<i32>().iter().map(|text| self.text(text)).collect(),
            Family::Integer => {
                let integers = cast(array, &DataType::Int64)?;
                integers.as_primitive::<Int64Type>().iter().map(|n| n.map_or(NULL, |n| self.integer(n))).collect()
            }
            Family::Other => self.rows(array)?,
        })
    }

    fn text(&mut self, text: Option<&str>) -> u32 {
        text.map_or(NULL, |text| self.texts.number(text.as_bytes()))
    }

    /// The number of an integer.
    pub(crate) fn integer(&mut self, integer: i64) -> u32 {
        self.integers.number(integer)
    }

    fn rows(&mut self, array: &dyn Array) -> Result<Vec<u32>> {
        let converter = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
        let rows = converter.convert_columns(&[array.slice(0, array.len())])?;
        let code = |(i, row): (usize, arrow::row::Row<'_>)| {
            if array.is_null(i) { NULL } else { self.others.number(row.as_ref()) }
        };
        Ok(rows.iter().enumerate().map(code).collect())
    }

    /// The values that have these numbers, in a column of the type they were numbered in.
    ///
    /// # Errors
    /// If arrow cannot make the column.
    pub(crate) fn values(&self, data_type: &DataType, codes: &[u32]) -> Result<ArrayRef> {
        Ok(match Family::of(data_type) {
            Family::Null => new_null_array(data_type, codes.len()),
            Family::Text => Arc::new(self.texts.array(codes)?),
            Family::Integer => {
                let integers: Int64Array = codes.iter().map(|&code| self.integers.value(code)).collect();
                cast(&integers, data_type)?
            }
            Family::Other => {
                let converter = RowConverter::new(vec![SortField::new(data_type.clone())])?;
                let null = converter.convert_columns(&[new_null_array(data_type, 1)])?;
                let parser = converter.parser();
                let bytes = |&code: &u32| self.others.bytes(code).unwrap_or_else(|| null.row(0).data());
                converter.convert_rows(codes.iter().map(|code| parser.parse(bytes(code))))?.remove(0)
            }
        })
    }

    /// Bytes held, roughly.
    pub(crate) fn size(&self) -> usize {
        self.texts.size() + self.others.size() + self.integers.values.capacity() * 14
    }
}

/// Byte strings by number, from 1.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
}

impl Texts {
    /// The text's number; the next one if it is new.
    pub(crate) fn number(&mut self, text: &[u8]) -> u32 {
        let Self { bytes, ends, index, hasher } = self;
        let hash = hasher.hash_one(text);
        if let Some(&known) = index.find(hash, |&n| at(bytes, ends, n) == text) {
            return known;
        }
        bytes.extend_from_slice(text);
        ends.push(bytes.len());
        let number = number(ends.len());
        index.insert_unique(hash, number, |&n| hasher.hash_one(at(bytes, ends, n)));
        number
    }

    /// The text's number, if it has one.
    pub(crate) fn find(&self, text: &[u8]) -> Option<u32> {
        self.index.find(self.hasher.hash_one(text), |&n| at(&self.bytes, &self.ends, n) == text).copied()
    }

    /// The text that has the number; none for [`NULL`].
    pub(crate) fn bytes(&self, number: u32) -> Option<&[u8]> {
        (number != NULL).then(|| at(&self.bytes, &self.ends, number))
    }

    /// The texts that have these numbers. They are proved to be UTF-8 all at once.
    fn array(&self, numbers: &[u32]) -> Result<StringArray> {
        let text = |&number: &u32| self.bytes(number).unwrap_or_default();
        let offsets = OffsetBuffer::from_lengths(numbers.iter().map(|n| text(n).len()));
        let mut bytes = Vec::with_capacity(numbers.iter().map(|n| text(n).len()).sum());
        numbers.iter().for_each(|n| bytes.extend_from_slice(text(n)));
        let nulls = numbers.contains(&NULL).then(|| numbers.iter().map(|n| *n != NULL).collect());
        Ok(StringArray::try_new(offsets, bytes.into(), nulls)?)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes held, roughly.
    pub(crate) fn size(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 8 + self.index.capacity() * 5
    }
}

fn at<'a>(bytes: &'a [u8], ends: &[usize], number: u32) -> &'a [u8] {
    let n = number as usize;
    let start = if n == 1 { 0 } else { ends[n - 2] };
    &bytes[start..ends[n - 1]]
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 distinct values fit in memory")
}

/// Integers by number, from 1.
#[derive(Debug, Default)]
struct Integers {
    values: Vec<i64>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The last one asked for: panes, and what a batch repeats.
    last: (i64, u32),
}

impl Integers {
    fn number(&mut self, integer: i64) -> u32 {
        if self.last == (integer, self.last.1) && self.last.1 != NULL {
            return self.last.1;
        }
        let Self { values, index, hasher, .. } = self;
        let hash = hash_of(hasher, integer);
        let known = index.find(hash, |&n| values[n as usize - 1] == integer).copied();
        let found = known.unwrap_or_else(|| {
            values.push(integer);
            let new = number(values.len());
            index.insert_unique(hash, new, |&n| hash_of(hasher, values[n as usize - 1]));
            new
        });
        self.last = (integer, found);
        found
    }

    fn value(&self, number: u32) -> Option<i64> {
        (number != NULL).then(|| self.values[number as usize - 1])
    }
}

fn hash_of(hasher: &DefaultHashBuilder, value: impl Hash) -> u64 {
    hasher.hash_one(value)
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, DictionaryArray, Float64Array, Int32Array, TimestampMicrosecondArray, UInt64Array,
    };

    use super::*;

    fn arrays() -> Vec<ArrayRef> {
        vec![
            Arc::new(StringArray::from(vec![Some("a"), None, Some(""), Some("a"), Some("b")])),
            Arc::new(Int32Array::from(vec![Some(7), None, Some(-1), Some(7), Some(i32::MAX)])),
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None, Some(0), Some(i64::MIN), Some(1)])),
            Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true), None])),
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(5), None, Some(-5), Some(5), Some(0)])
                    .with_timezone("+00:00"),
            ),
            Arc::new(Float64Array::from(vec![Some(0.5), None, Some(-0.0), Some(0.5), Some(f64::NAN)])),
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(0), Some(u64::MAX), Some(1)])),
        ]
    }

    #[test]
    fn values_come_back_as_they_were_whatever_their_type() {
        let mut codes = Codes::default();
        for array in arrays() {
            let numbers = codes.of(&array).expect("numbers");
            let back = codes.values(array.data_type(), &numbers).expect("values");
            assert_eq!(format!("{back:?}"), format!("{array:?}"));
            assert_eq!(numbers[0], numbers[3], "{array:?}");
            assert_eq!(numbers[1], NULL, "{array:?}");
            assert!(numbers[2] != NULL && numbers[2] != numbers[0], "{array:?}");
        }
        assert!(codes.size() > 0);
    }

    #[test]
    fn a_dictionary_has_the_numbers_of_its_values() {
        let mut codes = Codes::default();
        let plain = codes.of(&StringArray::from(vec![Some("x"), Some("y"), None, Some("x")])).expect("numbers");
        let keyed: DictionaryArray<Int32Type> = vec![Some("x"), Some("y"), None, Some("x")].into_iter().collect();
        assert_eq!(codes.of(&keyed).expect("numbers"), plain);
    }

    #[test]
    fn the_empty_text_is_not_null_and_is_found_again() {
        let mut texts = Texts::default();
        assert_eq!((texts.number(b""), texts.number(b"b"), texts.number(b"")), (1, 2, 1));
        assert_eq!((texts.find(b"b"), texts.find(b"c"), texts.len()), (Some(2), None, 2));
        assert_eq!((texts.bytes(1), texts.bytes(NULL)), (Some(&b""[..]), None));
    }
}
