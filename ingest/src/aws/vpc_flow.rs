//! VPC flow log line -> network_activity.
//!
//! - A record sums the packets of one flow that one network interface saw in an interval, in one direction: bytes and
//!   packets are the source's, `traffic.bytes_out` and `traffic.packets_out`.
//! - The event time is the interval's end, when the record exists; the interval is `start_time` to `end_time`.
//! - The interface, with its instance, subnet and VPC, is the `network_observation_point`: which end of the flow it is, is
//!   known only where the log has `flow-direction`.
//! - REJECT is the activity Refuse, everything else Traffic; NODATA and SKIPDATA tell of an interval and no flow: Other,
//!   `status_code` says which. Their source is the interface itself, since the class requires an end; with no interface
//!   either it is OCSF's word for that, `Unknown`.
//!
//! Dropped: the values `-`; a packet's own address that is the flow's; ACCEPT and REJECT, of which the action says all.
//!
//! Fields: those that the line of names at the head of the file names; else those of the configuration; else those of the
//! version whose list the values fit.
//!
//! Absent: flow logs of transit gateways, and flow logs as Parquet.

use dataflow::{Leaf, Reason, Table, TableBuilder};

use super::flow_fields::{self, FlowFields, Shape, VERSIONS};
use crate::decode::Rejected;
use crate::decode::fields::{Convert, FieldTable, Objects, Target};
use crate::decode::row::{Row, Scratch, slots};
use crate::decode::values;
use crate::normalize::{Class, Event, Product, action, enums, first_time};

slots! {
    Interface "interface",
    Protocol "protocol",
    Packets "packets",
    Bytes "bytes",
    Start "start",
    End "end",
    Action "action",
    LogStatus "log_status",
    Type "type",
    Source "source",
    Destination "destination",
    PacketSource "packet_source",
    PacketDestination "packet_destination",
    Direction "direction",
    Path "path",
}

const PRODUCT: Product = Product { name: "VPC Flow Logs", vendor: "AWS" };
const UNKNOWN: &str = "Unknown";

const REFUSE: i32 = 5;
const TRAFFIC: i32 = 6;
const OTHER: i32 = 99;

/// `boundary_id`, `traffic-path`, caption.
const BOUNDARIES: [(i32, i64, &str); 8] = [
    (4, 1, "Same VPC"),
    (5, 2, "Internet/VPC Gateway"),
    (6, 3, "Virtual Private Gateway"),
    (7, 4, "Intra-region VPC"),
    (8, 5, "Inter-region VPC"),
    (9, 6, "Local Gateway"),
    (10, 7, "Gateway VPC"),
    (11, 8, "Internet Gateway"),
];

/// Decodes VPC flow log lines.
#[derive(Debug)]
pub(crate) struct VpcFlow {
    class: Class,
    targets: Targets,
    /// That of the file at hand, if it has one; that of the configuration; those of the versions.
    layouts: Vec<Layout>,
    /// What the file at hand begins with.
    head: Vec<u8>,
    /// The first of the layouts is the file's.
    is_headed: bool,
}

/// A list of fields.
#[derive(Debug)]
struct Layout {
    names: FlowFields,
    shapes: Vec<Shape>,
    fields: FieldTable,
}

impl Layout {
    fn new(names: FlowFields) -> Self {
        let fields = FieldTable::parse("vpc_flow.fields", flow_fields::TABLE, Table::NetworkActivity, Slot::NAMES);
        let fields = fields.unwrap_or_else(|e| panic!("{e}")).with_columns(names.names());
        Self { shapes: names.shapes(), fields, names }
    }
}

#[derive(Debug)]
struct Targets {
    source: Target,
    destination: Target,
    interface: Target,
    source_interface: Target,
    source_service: Target,
    start: Target,
    end: Target,
    status_code: Target,
    bytes: [Leaf; 2],
    packets: [Leaf; 2],
    protocol: [Leaf; 2],
    version: Leaf,
    direction: [Leaf; 2],
    observer: [Leaf; 2],
    boundary: [Leaf; 2],
    provider: Leaf,
    log_name: Leaf,
}

/// What a line of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// A record of that layout.
    Flow(usize),
    /// The names of fields.
    Header,
    /// Neither, as far as its values tell.
    Other,
}

impl VpcFlow {
    /// A decoder of lines without a head that are of those fields.
    pub(crate) fn new(configured: FlowFields) -> Self {
        let at = Table::NetworkActivity;
        let others = std::iter::once(FlowFields::default()).chain(VERSIONS.map(FlowFields::first));
        let others = others.filter(|names| *names != configured).map(Layout::new);
        let layouts = others.collect::<Vec<_>>();
        Self {
            class: Class::new(at, PRODUCT, &["cloud", "security_control", "datetime"]),
            targets: Targets::new(at),
            layouts: std::iter::once(Layout::new(configured)).chain(layouts).collect(),
            head: Vec::new(),
            is_headed: false,
        }
    }

    /// Takes up a part of a file that begins so, or records that stand in none.
    pub(crate) fn begin(&mut self, head: Option<&[u8]>) {
        let head = head.unwrap_or_default();
        if head == self.head {
            return;
        }
        self.head.clear();
        self.head.extend_from_slice(head);
        if std::mem::take(&mut self.is_headed) {
            self.layouts.remove(0);
        }
        let named = std::str::from_utf8(head).ok().and_then(FlowFields::of_header);
        if let Some(names) = named {
            self.layouts.insert(0, Layout::new(names));
            self.is_headed = true;
        }
    }

    /// What the line is.
    pub(crate) fn line(&self, text: &str) -> Line {
        match self.layouts.iter().position(|layout| flow_fields::is_flow(text, &layout.shapes)) {
            Some(layout) => Line::Flow(layout),
            None if flow_fields::is_header(text) => Line::Header,
            None => Line::Other,
        }
    }

    /// The names of a layout's fields.
    #[cfg(test)]
    pub(crate) fn names(&self, layout: usize) -> &[&'static str] {
        self.layouts[layout].names.names()
    }

    /// Why a line of field names is no event; it may name others than the lines are read by.
    pub(crate) fn header(&self, text: &str) -> Rejected {
        let names = &self.layouts[0].names;
        let same = text.split_ascii_whitespace().eq(names.names().iter().copied());
        let detail = if same { String::new() } else { format!("lines are read by other fields: {names}") };
        Rejected::new(Reason::Header, detail)
    }

    /// Decodes a line that is no header; `line` is what it looks like.
    pub(crate) fn decode(
        &self,
        (text, line): (&str, Line),
        builder: &mut TableBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let layout = match line {
            Line::Flow(layout) => &self.layouts[layout],
            _ => {
                self.check_count(text)?;
                &self.layouts[0]
            }
        };
        self.class.write((builder, &layout.fields, scratch), event, |row| {
            row.read_columns(flow_fields::values(text));
            self.set_time(row, event)?;
            self.set_action(row);
            self.class.set_severity(row, enums::INFORMATIONAL);
            row.builder.set_str(self.targets.provider, PRODUCT.vendor);
            row.builder.set_str(self.targets.log_name, PRODUCT.name);
            self.set_connection(row);
            set_pair(row, Slot::Bytes, self.targets.bytes);
            set_pair(row, Slot::Packets, self.targets.packets);
            self.set_path(row);
            set_address(row, Slot::Source, Slot::PacketSource, &self.targets.source);
            set_address(row, Slot::Destination, Slot::PacketDestination, &self.targets.destination);
            self.set_interface(row);
            Ok(())
        })
    }

    fn check_count(&self, text: &str) -> Result<(), Rejected> {
        let (found, want) = (flow_fields::values(text).count(), self.layouts[0].names.names().len());
        let reason = match found.cmp(&want) {
            std::cmp::Ordering::Equal => return Ok(()),
            std::cmp::Ordering::Less => Reason::MissingField,
            std::cmp::Ordering::Greater => Reason::UnknownFormat,
        };
        Err(Rejected::new(reason, format!("{found} values; the flow log's fields are {want}")))
    }

    fn set_time(&self, row: &mut Row<'_, '_>, event: &Event<'_>) -> Result<(), Rejected> {
        let (time, _, original) = first_time([row.peek(Slot::End), row.peek(Slot::Start)])?;
        self.class.set_time(row, event, time, original.text());
        row.place(Slot::Start, &self.targets.start);
        row.place(Slot::End, &self.targets.end);
        Ok(())
    }

    /// Sets action and activity. A record without an action is one of traffic unless its status says that there was none.
    fn set_action(&self, row: &mut Row<'_, '_>) {
        let status = row.peek_text(Slot::LogStatus);
        let field = row.take(Slot::Action);
        let activity = match field.map(|f| f.text()).unwrap_or_default() {
            "REJECT" => REFUSE,
            "" if matches!(status, "NODATA" | "SKIPDATA") => OTHER,
            _ => TRAFFIC,
        };
        self.class.set_activity(row, activity);
        if let Some(field) = field {
            self.class.set_action(row, &action::find(field.text()));
        }
        row.place(Slot::LogStatus, &self.targets.status_code);
    }

    /// Protocol, its version, and the direction that the class requires beside them.
    fn set_connection(&self, row: &mut Row<'_, '_>) {
        let t = &self.targets;
        let number = values::integer(row.peek_text(Slot::Protocol)).and_then(|n| u8::try_from(n).ok()).map(i32::from);
        if let Some(number) = number {
            row.take(Slot::Protocol);
            row.builder.set_i32(t.protocol[0], number);
            if let Some(name) = enums::protocol_name(number) {
                row.builder.set_str(t.protocol[1], name);
            }
        }
        let version = match row.peek_text(Slot::Type) {
            "IPv4" => Some(4),
            "IPv6" => Some(6),
            _ => None,
        };
        if let Some(version) = version {
            row.take(Slot::Type);
            row.builder.set_i32(t.version, version);
        }
        self.set_direction(row);
    }

    /// The direction as the interface sees it, and which end of the flow it is then.
    fn set_direction(&self, row: &mut Row<'_, '_>) {
        let t = &self.targets;
        let (direction, observer) = match row.peek_text(Slot::Direction) {
            "ingress" => ((1, "Inbound"), Some((2, "Destination"))),
            "egress" => ((2, "Outbound"), Some((1, "Source"))),
            _ => ((0, UNKNOWN), None),
        };
        set_enum(row, t.direction, direction);
        if let Some(observer) = observer {
            row.take(Slot::Direction);
            set_enum(row, t.observer, observer);
        }
    }

    fn set_path(&self, row: &mut Row<'_, '_>) {
        let path = values::integer(row.peek_text(Slot::Path)).unwrap_or_default();
        if let Some((id, _, caption)) = BOUNDARIES.iter().find(|(_, p, _)| *p == path) {
            row.take(Slot::Path);
            set_enum(row, self.targets.boundary, (*id, caption));
        }
    }

    /// The interface, and what stands for the ends of a flow where none was seen.
    fn set_interface(&self, row: &mut Row<'_, '_>) {
        let t = &self.targets;
        let interface = row.peek_text(Slot::Interface);
        row.place(Slot::Interface, &t.interface);
        if row.has(const { Objects::named("src_endpoint").with(Objects::named("dst_endpoint")) }) {
            return;
        }
        if interface.is_empty() || !row.set_text(&t.source_interface, interface) {
            row.set_text(&t.source_service, UNKNOWN);
        }
    }
}

impl Targets {
    fn new(at: Table) -> Self {
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        Self {
            source: Target { convert: Convert::Ip, ..target("src_endpoint.ip") },
            destination: Target { convert: Convert::Ip, ..target("dst_endpoint.ip") },
            interface: target("network_observation_point.interface_uid"),
            source_interface: target("src_endpoint.interface_uid"),
            source_service: target("src_endpoint.svc_name"),
            start: target("start_time"),
            end: target("end_time"),
            status_code: target("status_code"),
            bytes: [leaf("traffic.bytes"), leaf("traffic.bytes_out")],
            packets: [leaf("traffic.packets"), leaf("traffic.packets_out")],
            protocol: [leaf("connection_info.protocol_num"), leaf("connection_info.protocol_name")],
            version: leaf("connection_info.protocol_ver_id"),
            direction: [leaf("connection_info.direction_id"), leaf("connection_info.direction")],
            observer: [leaf("observation_point_id"), leaf("observation_point")],
            boundary: [leaf("connection_info.boundary_id"), leaf("connection_info.boundary")],
            provider: leaf("cloud.provider"),
            log_name: leaf("metadata.log_name"),
        }
    }
}

fn set_enum(row: &mut Row<'_, '_>, [id_leaf, caption_leaf]: [Leaf; 2], (id, caption): (i32, &str)) {
    row.builder.set_i32(id_leaf, id);
    row.builder.set_str(caption_leaf, caption);
}

/// A number that is both the whole and what the source sent; one that is none stays in `unmapped`.
fn set_pair(row: &mut Row<'_, '_>, slot: Slot, leaves: [Leaf; 2]) {
    if let Some(number) = values::integer(row.peek_text(slot)) {
        row.take(slot);
        leaves.into_iter().for_each(|leaf| {
            row.builder.set_i64(leaf, number);
        });
    }
}

/// An end's address; the packet's own is dropped where it is the same.
fn set_address(row: &mut Row<'_, '_>, slot: Slot, packet: Slot, target: &Target) {
    if row.peek_text(packet) == row.peek_text(slot) {
        row.take(packet);
    }
    row.place(slot, target);
}

#[cfg(test)]
mod tests;
