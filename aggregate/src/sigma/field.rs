//! Where a rule's field stands in a table: columns, paths in JSON columns, and words that a column's captions stand for.
//!
//! A field has sources in an order; the first that holds a value in a row decides, so that what a decoder left as the vendor wrote
//! it goes before what it made of it. A field without a value anywhere is absent, and absent is what Sigma calls null.

use std::fmt::Write;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use dataflow::time::push_rfc3339;

use super::json::{self, Kind};

/// See the module's front.
#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    /// As the rule names it.
    pub(super) name: String,
    pub(super) sources: Vec<Source>,
}

/// One place in which a field may stand.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// Of the columns that the rule reads.
    pub(super) column: usize,
    pub(super) reading: Reading,
    /// What the column's own words stand for; a word that is not among them is itself.
    pub(super) words: Vec<(String, Vec<String>)>,
    /// Only in rows in which these columns hold one of these texts.
    pub(super) when: Vec<(usize, Vec<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    Whole,
    /// Of a list of structs, what stands at this path in each.
    Member(String),
    /// A path in a JSON text.
    Json(String),
}

/// Buffers that values are written into: one for each field that is read at a time.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    text: String,
}

/// A batch's columns by their types.
#[derive(Debug)]
pub(super) struct Columns<'a>(Vec<Column<'a>>);

#[derive(Debug)]
enum Column<'a> {
    Text(&'a StringArray),
    Keyword(&'a DictionaryArray<Int32Type>, &'a StringArray),
    Int32(&'a Int32Array),
    Int64(&'a Int64Array),
    Bool(&'a BooleanArray),
    Time(&'a TimestampMicrosecondArray),
    /// The list, its values, and of structs the columns by name.
    List(&'a ListArray, Box<Column<'a>>),
    Struct(Vec<(&'a str, Column<'a>)>),
    /// A type that no rule reads.
    Other,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batch: &'a RecordBatch) -> Self {
        Self(batch.columns().iter().map(Column::of).collect())
    }

    fn is_one_of(&self, column: usize, row: usize, texts: &[String], scratch: &mut Scratch) -> bool {
        let value = self.0.get(column).and_then(|column| column.scalar(row, scratch));
        value.is_some_and(|value| texts.iter().any(|text| text == value))
    }
}

impl<'a> Column<'a> {
    fn of(array: &'a ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8 => Self::Text(array.as_string()),
            DataType::Dictionary(..) => match array.as_dictionary_opt::<Int32Type>() {
                Some(keys) => keys.values().as_string_opt().map_or(Self::Other, |words| Self::Keyword(keys, words)),
                None => Self::Other,
            },
            DataType::Int32 => Self::Int32(array.as_primitive::<Int32Type>()),
            DataType::Int64 => Self::Int64(array.as_primitive::<Int64Type>()),
            DataType::Boolean => Self::Bool(array.as_boolean()),
            DataType::Timestamp(..) => {
                array.as_primitive_opt::<TimestampMicrosecondType>().map_or(Self::Other, Self::Time)
            }
            DataType::List(_) => {
                let list = array.as_list();
                Self::List(list, Box::new(Self::of(list.values())))
            }
            DataType::Struct(fields) => {
                let columns = array.as_struct().columns().iter().map(Self::of);
                Self::Struct(fields.iter().map(|field| field.name().as_str()).zip(columns).collect())
            }
            _ => Self::Other,
        }
    }

    /// A struct's column by its path.
    fn member(&self, path: &str) -> &Column<'a> {
        path.split('.').fold(self, |column, name| match column {
            Self::Struct(members) => members.iter().find(|(own, _)| *own == name).map_or(&Self::Other, |(_, c)| c),
            _ => &Self::Other,
        })
    }

    /// Gives the values at a row to `found`, until it has seen enough. True if it did.
    fn each(
        &self,
        row: usize,
        reading: &Reading,
        scratch: &mut Scratch,
        found: &mut impl FnMut(&str, Kind) -> bool,
    ) -> bool {
        let text = match self {
            Self::List(list, values) if list.is_valid(row) => {
                let offsets = list.value_offsets();
                let column = if let Reading::Member(name) = reading { values.member(name) } else { values };
                let mut rows = offsets[row] as usize..offsets[row + 1] as usize;
                return rows.any(|row| column.scalar(row, scratch).is_some_and(|text| found(text, Kind::Scalar)));
            }
            column => column.scalar(row, scratch),
        };
        match (text, reading) {
            (None, _) => false,
            (Some(text), Reading::Json(path)) => json::visit(text, path, found),
            (Some(text), _) => found(text, Kind::Scalar),
        }
    }

    fn scalar<'s>(&self, row: usize, scratch: &'s mut Scratch) -> Option<&'s str>
    where
        'a: 's,
    {
        match self {
            Self::Text(array) => array.is_valid(row).then(|| array.value(row)),
            Self::Keyword(keys, words) => keys.key(row).map(|key| words.value(key)),
            Self::Int32(array) => array.is_valid(row).then(|| scratch.write(array.value(row))),
            Self::Int64(array) => array.is_valid(row).then(|| scratch.write(array.value(row))),
            Self::Bool(array) => array.is_valid(row).then(|| if array.value(row) { "true" } else { "false" }),
            Self::Time(array) => array.is_valid(row).then(|| scratch.time(array.value(row))),
            Self::List(..) | Self::Struct(_) | Self::Other => None,
        }
    }
}

impl Scratch {
    fn write(&mut self, number: impl std::fmt::Display) -> &str {
        self.text.clear();
        let _ = write!(self.text, "{number}");
        &self.text
    }

    /// As vendors write times: seconds, with a fraction only where there is one.
    fn time(&mut self, us: i64) -> &str {
        self.text.clear();
        push_rfc3339(&mut self.text, us);
        if let Some(whole) = self.text.strip_suffix(".000000Z") {
            self.text.truncate(whole.len());
            self.text.push('Z');
        }
        &self.text
    }
}

impl Field {
    /// Gives the field's values in a row to `found`, until it has seen enough. True if it did.
    pub(super) fn each(
        &self,
        columns: &Columns<'_>,
        row: usize,
        scratch: &mut Scratch,
        found: &mut impl FnMut(&str, Kind) -> bool,
    ) -> bool {
        for source in &self.sources {
            let mut is_there = false;
            let enough = source.each(columns, row, scratch, &mut |text, kind| {
                is_there = true;
                found(text, kind)
            });
            if enough || is_there {
                return enough;
            }
        }
        false
    }

    /// True if the row has a value of it.
    pub(super) fn is_there(&self, columns: &Columns<'_>, row: usize, scratch: &mut Scratch) -> bool {
        self.each(columns, row, scratch, &mut |_, _| true)
    }

    /// How much one look at it costs, beside other fields.
    pub(super) fn cost(&self) -> u32 {
        let cost = |source: &Source| if matches!(source.reading, Reading::Json(_)) { 4 } else { 1 };
        self.sources.iter().map(cost).sum()
    }
}

impl Source {
    pub(super) fn new(column: usize, reading: Reading) -> Self {
        Self { column, reading, words: Vec::new(), when: Vec::new() }
    }

    /// The place as a path, `api.request.data.name`.
    pub(super) fn said(&self, schema: &Schema) -> String {
        let column = schema.fields().get(self.column).map_or("", |field| field.name());
        match &self.reading {
            Reading::Whole => column.to_owned(),
            Reading::Member(path) => format!("{column}[].{path}"),
            Reading::Json(path) if path.is_empty() => column.to_owned(),
            Reading::Json(path) => format!("{column}.{path}"),
        }
    }

    fn each(
        &self,
        columns: &Columns<'_>,
        row: usize,
        scratch: &mut Scratch,
        found: &mut impl FnMut(&str, Kind) -> bool,
    ) -> bool {
        let Some(column) = columns.0.get(self.column) else { return false };
        if !self.when.iter().all(|(column, texts)| columns.is_one_of(*column, row, texts, scratch)) {
            return false;
        }
        column.each(row, &self.reading, scratch, &mut |text, kind| match self
            .words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
        {
            Some((_, texts)) => texts.iter().any(|text| found(text, kind)),
            None => found(text, kind),
        })
    }
}
