//! What is common to an OCSF class, whichever vendor wrote the event: activity and type, severity, action, times,
//! metadata. Captions are OCSF 1.8's own.
//!
//! Data in: a [`Row`] whose fields were read. Data out: a complete row. Absent: any vendor's names.

pub(crate) mod action;
pub(crate) mod base_event;
pub(crate) mod enums;
pub(crate) mod ocsf;

use std::fmt::Write;

use dataflow::time::RANGE_US;
use dataflow::watermark::is_time_suspect;
use dataflow::{Chunk, Leaf, Reason, Record, Shared, Stamp, Table, TableBuilder};

use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Objects, Target};
use crate::decode::row::{Row, Scratch, Slotted};
use crate::decode::values;
use crate::decode::zones::LocalTime;

/// The event being decoded: its record, and its index within it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event<'a> {
    pub(crate) chunk: &'a Chunk,
    pub(crate) record: &'a Record<'a>,
    pub(crate) index: i32,
    /// The event's own text, where it is kept.
    pub(crate) raw: Option<&'a str>,
    /// What stands around it in its record: members of an object without the braces. It goes to `unmapped.envelope`.
    pub(crate) around: &'a str,
}

/// The product that writes the events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) name: &'static str,
    pub(crate) vendor: &'static str,
}

/// A class as one product fills it.
#[derive(Debug)]
pub(crate) struct Class {
    /// Product and profiles.
    stamp: Stamp,
    /// The same, and the kind of device, where the class has a device.
    device_stamp: Stamp,
    activities: Vec<Activity>,
    leaves: Leaves,
    original_time: Target,
    /// `action_id`, `action`, `disposition_id`, `disposition`, where the class has them.
    action: Option<[Leaf; 4]>,
}

#[derive(Debug)]
struct Activity {
    id: i32,
    name: &'static str,
    type_uid: i64,
    type_name: String,
}

#[derive(Debug)]
struct Leaves {
    time: Leaf,
    activity_id: Leaf,
    activity_name: Leaf,
    type_uid: Leaf,
    type_name: Leaf,
    severity_id: Leaf,
    severity: Leaf,
    labels: Leaf,
    original_time: Leaf,
    unmapped: Leaf,
    raw_data: Leaf,
}

/// The firewall among OCSF's device types.
pub(crate) const FIREWALL: (i32, &str) = (9, "Firewall");

/// The activities of a table's class, in the order of their ids: Unknown first, Other last.
fn activities(table: Table) -> &'static [ocsf::Caption] {
    ocsf::values(table, "activity_id").unwrap_or(&[ocsf::UNKNOWN, (ocsf::OTHER, "Other")])
}

impl Class {
    /// The class of an event table, as `product` fills it.
    pub(crate) fn new(table: Table, product: Product, profiles: &'static [&'static str]) -> Self {
        Self::with_device(table, product, profiles, Some(FIREWALL))
    }

    /// As [`Class::new`], of devices of that kind; of several kinds if none is given.
    pub(crate) fn with_device(
        table: Table,
        product: Product,
        profiles: &'static [&'static str],
        kind: Option<ocsf::Caption>,
    ) -> Self {
        let leaf = |path| table.expect_leaf(path);
        let (uid, name, ..) = table.ocsf_class().expect("an event table has a class");
        let activity = |&(id, caption): &(i32, &'static str)| Activity {
            id,
            name: caption,
            type_uid: i64::from(uid) * 100 + i64::from(id),
            type_name: format!("{name}: {caption}"),
        };
        let action = ["action_id", "action", "disposition_id", "disposition"];
        let stamp = [
            (leaf("metadata.product.name"), Shared::Text(product.name)),
            (leaf("metadata.product.vendor_name"), Shared::Text(product.vendor)),
            (leaf("metadata.profiles[]"), Shared::List(profiles)),
        ];
        let of_kind = |(id, caption)| [("device.type_id", Shared::I32(id)), ("device.type", Shared::Text(caption))];
        let device = kind.into_iter().flat_map(of_kind).filter_map(|(path, value)| Some((table.leaf(path)?, value)));
        Self {
            stamp: stamp.into(),
            device_stamp: stamp.into_iter().chain(device).collect(),
            activities: activities(table).iter().map(activity).collect(),
            leaves: Leaves {
                time: leaf("time"),
                activity_id: leaf("activity_id"),
                activity_name: leaf("activity_name"),
                type_uid: leaf("type_uid"),
                type_name: leaf("type_name"),
                severity_id: leaf("severity_id"),
                severity: leaf("severity"),
                labels: leaf("metadata.labels[]"),
                original_time: leaf("metadata.original_time"),
                unmapped: leaf("unmapped"),
                raw_data: leaf("raw_data"),
            },
            original_time: Target::of(table, "metadata.original_time"),
            action: table.leaf("disposition_id").map(|_| action.map(leaf)),
        }
    }

    /// Sets the activity, by its id in this class, and with it the type. An id that the class lacks is 99, Other.
    pub(crate) fn set_activity(&self, row: &mut Row<'_, '_>, id: i32) {
        let found = self.activities.iter().find(|a| a.id == id).or(self.activities.last());
        let Some(activity) = found else { return };
        row.builder.set_i32(self.leaves.activity_id, activity.id);
        row.builder.set_str(self.leaves.activity_name, activity.name);
        row.builder.set_i64(self.leaves.type_uid, activity.type_uid);
        row.builder.set_str(self.leaves.type_name, &activity.type_name);
    }

    /// Sets the severity.
    pub(crate) fn set_severity(&self, row: &mut Row<'_, '_>, (id, caption): (i32, &str)) {
        row.builder.set_i32(self.leaves.severity_id, id);
        row.builder.set_str(self.leaves.severity, caption);
    }

    /// Sets action and disposition.
    pub(crate) fn set_action(&self, row: &mut Row<'_, '_>, found: &action::Found<'_>) {
        let Some([action_id, action, disposition_id, disposition]) = self.action else { return };
        row.builder.set_i32(action_id, found.action.0);
        row.builder.set_str(action, found.action.1);
        row.builder.set_i32(disposition_id, found.disposition.0);
        row.builder.set_str(disposition, found.disposition.1);
    }

    /// Sets the event time, and how it stood in the event.
    pub(crate) fn set_time(&self, row: &mut Row<'_, '_>, event: &Event<'_>, time: i64, original: &str) {
        row.builder.set_i64(self.leaves.time, time);
        if !original.is_empty() {
            row.builder.set_str(self.leaves.original_time, original);
        }
        if is_time_suspect(time, event.record.received_at) {
            row.builder.push_str(self.leaves.labels, "time_suspect");
        }
    }

    /// Sets how the event time stood in the event: in texts one after the other.
    pub(crate) fn set_original_time(&self, row: &mut Row<'_, '_>, texts: &[&str]) {
        row.set_joined(&self.original_time, texts);
    }

    /// Adds a label.
    pub(crate) fn add_label(&self, row: &mut Row<'_, '_>, label: &str) {
        row.builder.push_str(self.leaves.labels, label);
    }

    /// Writes one row: `fill` reads the fields and sets what the class asks for. If that begins an object that OCSF would
    /// not take as it is (a port without an address), the row is written again with that object's fields in `unmapped`.
    ///
    /// # Errors
    /// Those of `fill`; the builder then holds nothing of the row.
    pub(crate) fn write<'v>(
        &self,
        (builder, fields, scratch): (&mut TableBuilder, &FieldTable, &mut Scratch),
        event: &Event<'_>,
        mut fill: impl FnMut(&mut Row<'_, 'v>) -> Result<(), Rejected>,
    ) -> Result<(), Rejected> {
        let mut barred = Objects::default();
        builder.begin_row([&self.stamp, &self.device_stamp]);
        loop {
            let mut row = Row::new(builder, fields, scratch, barred);
            let filled = fill(&mut row);
            let invalid = row.invalid_objects();
            if filled.is_ok() && invalid.is_empty() {
                self.finish(&mut row, event);
                return Ok(());
            }
            builder.abort_row();
            // A row that was refused for what an invalid object held is refused again without it, or not at all.
            if invalid.is_empty() {
                return filled;
            }
            barred = barred.with(invalid);
        }
    }

    fn finish(&self, row: &mut Row<'_, '_>, event: &Event<'_>) {
        let has_device = row.has(const { Objects::named("device") });
        row.builder.stamp(if has_device { &self.device_stamp } else { &self.stamp });
        if let Some(raw) = event.raw {
            row.builder.set_str(self.leaves.raw_data, raw);
        }
        row.finish_unmapped(self.leaves.unmapped, event.around);
        row.builder.end_event(&event.chunk.partition, &event.chunk.tenant, event.record, event.index);
    }
}

/// The first of the candidates that is a time, and which one it is.
///
/// # Errors
/// `invalid_time` if none is one, `time_out_of_range` if the first that is one is not within what the tables can hold.
pub(crate) fn first_time<'v, const N: usize>(
    candidates: [Option<Slotted<'v>>; N],
) -> Result<(i64, usize, Slotted<'v>), Rejected> {
    first_time_by(candidates, values::time)
}

/// As [`first_time`]; a time without a zone is the device's.
///
/// # Errors
/// As [`first_time`].
pub(crate) fn first_time_in<'v, const N: usize>(
    candidates: [Option<Slotted<'v>>; N],
    local: LocalTime<'_>,
) -> Result<(i64, usize, Slotted<'v>), Rejected> {
    first_time_by(candidates, |text| values::time_in(text, local))
}

fn first_time_by<'v, const N: usize>(
    candidates: [Option<Slotted<'v>>; N],
    time: impl Fn(&str) -> Option<i64>,
) -> Result<(i64, usize, Slotted<'v>), Rejected> {
    let times = candidates.iter().enumerate().filter_map(|(i, c)| c.map(|c| (time(c.text()), i, c)));
    match times.clone().find_map(|(time, i, c)| time.map(|t| (t, i, c))) {
        Some(found) if RANGE_US.contains(&found.0) => Ok(found),
        Some((_, _, field)) => Err(Rejected::new(Reason::TimeOutOfRange, field.text().to_owned())),
        None => {
            let mut detail = "no time".to_owned();
            for (_, _, field) in times {
                let _ = write!(detail, "; {:?} is none", field.text());
            }
            Err(Rejected::new(Reason::InvalidTime, detail))
        }
    }
}

#[cfg(test)]
mod tests;
