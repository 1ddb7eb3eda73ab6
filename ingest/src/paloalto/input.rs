//! A PAN-OS event in each of its forms, to read fields from.

use crate::decode::csv::Columns;
use crate::decode::json::{At, Doc};
use crate::decode::row::Row;
use crate::decode::zones::LocalTime;

/// An event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Input<'v> {
    Csv { columns: &'v Columns, line: &'v str, host: Option<&'v str>, local: LocalTime<'v> },
    Json { doc: Doc<'v>, at: At },
}

impl<'v> Input<'v> {
    /// The text of one field, by its column (from 0) or its JSON name, before the row is read.
    pub(super) fn text_of(self, column: usize, name: &str) -> &'v str {
        match self {
            Input::Csv { columns, line, .. } => columns.get(line, column),
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
        }
    }

    /// The sender, as the syslog header names it.
    pub(super) fn host(self) -> Option<&'v str> {
        match self {
            Input::Csv { host, .. } => host,
            Input::Json { .. } => None,
        }
    }
}
