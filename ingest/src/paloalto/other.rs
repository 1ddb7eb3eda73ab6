//! Log types that no class among our tables describes -> base_event: IPTAG, USERID of what is no login, SYSTEM of what has no
//! class, and any that is unheard of.
//!
//! The address and the user that an event is about also stand in the hot columns, so that a hunt finds them; their fields
//! stay in `unmapped`, since the class has no attribute for them.

use dataflow::Table;

use super::base::{Base, HOST, Out, columns};
use super::{Input, Slot, field_file};
use crate::decode::Rejected;
use crate::decode::row::Row;
use crate::normalize::Event;

/// Columns of a log type that is unheard of: up to the generated time. The rest stands in the raw line.
pub(super) const LEAST_COLUMNS: usize = 7;

/// Decodes events into base_event.
#[derive(Debug)]
pub(super) struct Other {
    base: Base,
    hot: Hot,
    /// The field table knows all columns of the line, not only those that every log type begins with.
    is_whole: bool,
}

columns! {
    /// Columns to hunt by.
    struct Hot {
        src_ip: "src_ip ip",
        user_name: "user_name",
    }
}

impl Other {
    /// A log type whose columns are all known.
    pub(super) fn whole(file: (&'static str, &'static str), own: &[&str]) -> Self {
        Self { base: Base::new(Table::BaseEvent, HOST, file, own), hot: Hot::of(Table::BaseEvent), is_whole: true }
    }

    /// For a log type that tells what happens, not that something is wrong.
    pub(super) fn informational(self) -> Self {
        Self { base: self.base.informational(), ..self }
    }

    /// A log type of which only the columns are known that all have.
    pub(super) fn unheard() -> Self {
        Self { is_whole: false, ..Self::whole(field_file!("other"), Slot::FURTHER) }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            match input {
                // The order of further columns differs by log type. Without the line in raw_data they are kept here.
                Input::Csv { columns, line, local, .. } if event.raw.is_some() && !self.is_whole => {
                    row.local = local;
                    row.read_columns((0..LEAST_COLUMNS).map(|i| columns.get(line, i)));
                }
                _ => input.read(row),
            }
            self.base.fill(row, input, event)?;
            self.base.class.set_activity(row, 0);
            self.set_hot(row);
            Ok(())
        })
    }

    fn set_hot(&self, row: &mut Row<'_, '_>) {
        for (slot, target) in [(Slot::Source, &self.hot.src_ip), (Slot::User, &self.hot.user_name)] {
            if let Some(field) = row.take(slot) {
                row.set(target, field.value);
                row.keep(field);
            }
        }
    }
}
