//! A PAN-OS event in each of its forms, to read fields from.

use super::custom::Custom;
use crate::decode::csv::Columns;
use crate::decode::fields::FieldTable;
use crate::decode::json::{At, Doc};
use crate::decode::row::Row;
use crate::decode::zones::LocalTime;

/// An event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'v> {
    Csv { columns: &'v Columns, line: &'v str, host: Option<&'v str>, local: LocalTime<'v> },
    Json { doc: Doc<'v>, at: At },
    Custom(Custom<'v>),
}

impl<'v> Input<'v> {
    /// The text of one field of `fields`, by its column (from 0) or its JSON name, before the row is read.
    pub(super) fn text_of(self, fields: &FieldTable, (column, name): (usize, &str)) -> &'v str {
        match self {
            Input::Csv { columns, line, .. } => columns.get(line, column),
            Input::Custom(event) => event.text_of(fields, fields.columns()[column].name),
            Input::Json { doc, at } => doc.member(at, name).and_then(|at| doc.value(at).scalar()).unwrap_or_default(),
        }
    }

    /// Reads all fields.
    pub(super) fn read(self, row: &mut Row<'_, 'v>) {
        match self {
            Input::Csv { columns, line, local, .. } => {
                row.local = local;
                row.read_filled(columns.filled(line));
            }
            Input::Json { doc, at } => row.read_members(doc, at, 0),
            Input::Custom(event) => event.read_into(row),
        }
    }

    /// The sender, as the syslog header names it.
    pub(super) fn host(self) -> Option<&'v str> {
        match self {
            Input::Csv { host, .. } => host,
            Input::Custom(event) => event.host,
            Input::Json { .. } => None,
        }
    }
}
