//! HIPMATCH -> inventory_info: an endpoint, as its GlobalProtect agent reports it, is what a HIP object or profile describes.
//!
//! - `device` is the endpoint, its owner who is logged in there; the firewall is `metadata.reporter`.
//! - The HIP object or profile is a group that the endpoint is of. Whether that is good or bad is not said: the log is no finding
//!   of compliance.
//! - An endpoint with an address and no name gets OCSF's word for that, `Unknown`.

use dataflow::Table;

use super::base::{Base, HOST, Out, UNKNOWN, columns, set_enum};
use super::{Input, field_file, own_slots};
use crate::decode::Rejected;
use crate::decode::fields::Objects;
use crate::decode::row::Row;
use crate::normalize::{Event, enums};

own_slots! {
    Os "os",
    Hip "hip",
    HipType "hip_type",
}

/// `activity_id`: it is known from a log.
const LOG: i32 = 1;

columns! {
    struct Columns {
        name: "device.name",
        os: "device.os.name",
        os_type_id: "device.os.type_id",
        os_type: "device.os.type",
        group: "device.groups[].name",
        group_type: "device.groups[].type",
    }
}

/// Decodes HIPMATCH events.
#[derive(Debug)]
pub(super) struct HipMatch {
    base: Base,
    columns: Columns,
}

impl HipMatch {
    pub(super) fn new() -> Self {
        let at = Table::InventoryInfo;
        let base = Base::new(at, HOST, field_file!("hipmatch"), Own::NAMES).informational();
        Self { base, columns: Columns::of(at) }
    }

    pub(super) fn decode(&self, input: Input<'_>, out: Out<'_>, event: &Event<'_>) -> Result<(), Rejected> {
        self.base.write(out, event, |row| {
            input.read(row);
            self.base.fill(row, input, event)?;
            self.base.class.set_activity(row, LOG);
            self.set_os(row);
            self.set_group(row);
            if !row.has(const { Objects::named("device") }) {
                row.set_text(&self.columns.name, UNKNOWN);
            }
            Ok(())
        })
    }

    fn set_os(&self, row: &mut Row<'_, '_>) {
        let (text, columns) = (row.peek_text(Own::Os), &self.columns);
        if row.place(Own::Os, &columns.os) {
            set_enum(row, &columns.os_type_id, &columns.os_type, enums::os(text).unwrap_or((99, text)));
        }
    }

    fn set_group(&self, row: &mut Row<'_, '_>) {
        if row.peek_text(Own::Hip).is_empty() {
            return;
        }
        row.builder.begin_element("device.groups");
        if row.place(Own::Hip, &self.columns.group) {
            row.place(Own::HipType, &self.columns.group_type);
        }
    }
}
