//! Azure flow log record -> network_activity, a row for each tuple.
//!
//! ```text
//!   network security group   properties.flows[] {rule, flows[] {mac, flowTuples[]}}
//!   virtual network          flowRecords.flows[] {aclID, flowGroups[] {rule, flowTuples[]}}
//! ```
//!
//! - A tuple is a text of values with commas between them, in the order that the vendor publishes ([`SECURITY_GROUP`],
//!   [`VIRTUAL_NETWORK`]). Its time is seconds since 1970 in the first, milliseconds in the second.
//! - Sent is from source to destination, whatever the direction: `traffic.bytes_out`, `traffic.packets_out`.
//! - The direction is the interface's: of an inbound flow it is the destination, and bears the MAC address.
//! - Begin is the activity Open, continuing Traffic, end Close, denied Refuse; a tuple of version 1 has no state: Traffic.
//! - The group that decided is the device.
//!
//! A tuple that cannot be read is a base_event with its text, and so is a record of which none can: neither loses another.
//!
//! Dropped: the letters of state, decision and direction, which the columns say; the record's MAC address where the group
//! has the same.

use dataflow::{BatchBuilder, Leaf, Reason, Table};

use crate::decode::Rejected;
use crate::decode::fields::{Convert, FieldTable, Objects, Target};
use crate::decode::json::{At, Doc};
use crate::decode::row::{Row, Scratch, slots};
use crate::decode::syslog::HeaderKind;
use crate::decode::values;
use crate::normalize::base_event::BaseEvent;
use crate::normalize::{Class, Event, Product, action, enums, first_time};

slots! {
    Mac "mac",
    OwnMac "own_mac",
    Flows "flows",
    Groups "groups",
    Tuples "tuples",
    Time "time",
}

const PRODUCT: Product = Product { name: "Network Watcher", vendor: "Microsoft" };

/// How a record is written, and what is true of it.
const FORMAT: &str = "json";
const WHY: &str = "flowRecords is there, or the category of a security group's flows";

/// The category of a network security group's records.
pub(crate) const CATEGORY: &str = "NetworkSecurityGroupFlowEvent";

/// Values that go to columns as they stand, the first of every tuple.
const ENDS: [&str; 5] = ["flow_time", "flow_source", "flow_destination", "flow_source_port", "flow_destination_port"];

/// Names of the values that count, in their order.
const COUNTS: [&str; 4] = ["packets_sent", "bytes_sent", "packets_received", "bytes_received"];

const OPEN: i32 = 1;
const CLOSE: i32 = 2;
const REFUSE: i32 = 5;
const TRAFFIC: i32 = 6;

/// Time, source, destination, their ports, protocol, direction, decision; of version 2 also state, packets and bytes sent,
/// packets and bytes received.
const SECURITY_GROUP: Order = Order { direction: 6, decision: Some(7), state: 8, encryption: None, sent: 9, min: 8 };

/// Time, source, destination, their ports, protocol, direction, state, encryption, packets and bytes sent, packets and
/// bytes received.
const VIRTUAL_NETWORK: Order = Order { direction: 6, decision: None, state: 7, encryption: Some(8), sent: 9, min: 8 };

const PROTOCOL: usize = 5;

/// Where a tuple's values stand.
#[derive(Debug)]
struct Order {
    direction: usize,
    decision: Option<usize>,
    state: usize,
    encryption: Option<usize>,
    /// Packets and bytes sent, then packets and bytes received.
    sent: usize,
    /// Values that a tuple has at least.
    min: usize,
}

/// Values of a tuple: further ones are kept as a text.
const VALUES_MAX: usize = 14;

/// Decodes flow log records.
#[derive(Debug)]
pub(crate) struct AzureFlow {
    class: Class,
    fields: FieldTable,
    targets: Targets,
}

#[derive(Debug)]
struct Targets {
    provider: Leaf,
    macs: [Target; 2],
    protocol: [Target; 2],
    direction: [Target; 2],
    observer: [Target; 2],
    /// Packets, then bytes: out, in, both.
    traffic: [[Leaf; 3]; 2],
}

/// A tuple, with the objects that it stands in.
#[derive(Debug, Clone, Copy)]
struct Tuple {
    acl: At,
    group: At,
    at: At,
}

/// True for a record of a flow log.
pub(crate) fn is_record(doc: Doc<'_>, object: At) -> bool {
    let is_group = |at: At| doc.value(at).scalar() == Some(CATEGORY);
    doc.members(object).any(|m| match doc.key(&m) {
        b"category" => is_group(m.at),
        b"flowRecords" => doc.is_object(m.at),
        _ => false,
    })
}

/// The tuples of a record, and the order of their values.
fn tuples(doc: Doc<'_>, record: At) -> (&'static Order, impl Iterator<Item = Tuple>) {
    let network = doc.member(record, "flowRecords");
    let (holder, groups, order) = match network {
        Some(holder) => (Some(holder), "flowGroups", &VIRTUAL_NETWORK),
        None => (doc.member(record, "properties"), "flows", &SECURITY_GROUP),
    };
    let within = move |at: Option<At>, key: &'static str| {
        at.and_then(|at| doc.member(at, key)).into_iter().flat_map(move |array| doc.elements(array))
    };
    let found = within(holder, "flows").flat_map(move |acl| {
        within(Some(acl), groups)
            .flat_map(move |group| within(Some(group), "flowTuples").map(move |at| Tuple { acl, group, at }))
    });
    (order, found)
}

/// Bytes of a record that each of its tuples may have in its row, and how many tuples there are.
pub(crate) fn repeats((doc, record): (Doc<'_>, At)) -> (usize, usize) {
    let (_, found) = tuples(doc, record);
    let (bytes, times) = found.fold((0, 0), |(n, times), tuple| (n + doc.source_text(tuple.at).len(), times + 1));
    (doc.source_text(record).len().saturating_sub(bytes), times)
}

impl AzureFlow {
    pub(crate) fn new() -> Self {
        let at = Table::NetworkActivity;
        let fields = FieldTable::parse("azure_flow.fields", include_str!("azure_flow.fields"), at, Slot::NAMES);
        Self {
            class: Class::new(at, PRODUCT, &["cloud", "host", "security_control", "datetime"]),
            fields: fields.unwrap_or_else(|e| panic!("{e}")),
            targets: Targets::new(at),
        }
    }

    /// Writes the rows of a record, the first of that event's index; the index after the last.
    pub(crate) fn decode(
        &self,
        (doc, record): (Doc<'_>, At),
        (rows, scratch): (&mut BatchBuilder, &mut Scratch),
        base: &BaseEvent,
        event: &Event<'_>,
    ) -> i32 {
        let (order, found) = tuples(doc, record);
        let (mut index, mut is_read) = (event.index, false);
        for tuple in found {
            let event = Event { index, raw: event.raw.and(Some(doc.source_text(tuple.at))), ..*event };
            let decoded = self.decode_tuple((doc, record, tuple), order, (rows, scratch), &event);
            is_read |= decoded.is_ok();
            if decoded.is_err() {
                base.decode_element((doc, tuple.at), rows, scratch, &event);
            }
            scratch.notes.took(&event, FORMAT, || (HeaderKind::None, WHY.to_owned()));
            index += 1;
        }
        if !is_read {
            let event = &Event { index, ..*event };
            base.decode_element((doc, record), rows, scratch, event);
            scratch.notes.took(event, FORMAT, || (HeaderKind::None, WHY.to_owned()));
            index += 1;
        }
        index
    }

    fn decode_tuple(
        &self,
        (doc, record, tuple): (Doc<'_>, At, Tuple),
        order: &Order,
        (rows, scratch): (&mut BatchBuilder, &mut Scratch),
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let text = doc.value(tuple.at).scalar().unwrap_or_default();
        let mut values = [""; VALUES_MAX];
        let count = values.iter_mut().zip(text.splitn(VALUES_MAX, ',')).map(|(value, text)| *value = text).count();
        if count < order.min {
            return Err(Rejected::new(Reason::MissingField, format!("{count} values; a flow tuple has more")));
        }
        self.class.write((rows.table(Table::NetworkActivity), &self.fields, scratch), event, |row| {
            row.read_pairs(ENDS.into_iter().zip(values));
            [tuple.acl, tuple.group, record].into_iter().for_each(|at| row.read_members(doc, at, 0));
            row.forget(1 << Slot::Flows as u8 | 1 << Slot::Groups as u8 | 1 << Slot::Tuples as u8);
            let (time, _, original) = first_time([row.take(Slot::Time)])?;
            if !row.has(const { Objects::named("src_endpoint").with(Objects::named("dst_endpoint")) }) {
                return Err(Rejected::new(Reason::MissingField, "no address".to_owned()));
            }
            self.class.set_time(row, event, time, original.text());
            self.class.set_severity(row, enums::INFORMATIONAL);
            row.builder.set_str(self.targets.provider, "Azure");
            self.set_verdict(row, order, &values);
            self.set_connection(row, order, &values);
            self.set_traffic(row, &values[order.sent..order.sent + 4]);
            let encryption = order.encryption.map(|at| ("flowEncryption", values[at]));
            row.read_pairs(encryption.into_iter().chain([("further", values[VALUES_MAX - 1])]));
            Ok(())
        })
    }

    /// Activity by the state, action by the decision; a word that is neither is kept.
    fn set_verdict<'v>(&self, row: &mut Row<'_, 'v>, order: &Order, values: &[&'v str]) {
        let state = values[order.state];
        let decision = order.decision.map_or(if state == "D" { "D" } else { "A" }, |at| values[at]);
        let activity = match (decision, state) {
            ("D", _) => REFUSE,
            (_, "B") => OPEN,
            (_, "E") => CLOSE,
            _ => TRAFFIC,
        };
        self.class.set_activity(row, activity);
        let word = match decision {
            "A" => "allow",
            "D" => "deny",
            other => other,
        };
        self.class.set_action(row, &action::find(word));
        if !matches!(state, "" | "B" | "C" | "E" | "D") {
            row.read_pairs([("flowState", state)].into_iter());
        }
    }

    fn set_connection<'v>(&self, row: &mut Row<'_, 'v>, order: &Order, values: &[&'v str]) {
        let t = &self.targets;
        let number = match values[PROTOCOL] {
            "T" => Some(6),
            "U" => Some(17),
            text => values::integer(text).filter(|n| (0..256).contains(n)),
        };
        match number {
            Some(number) => {
                row.set_number(&t.protocol[0], number);
                let name = i32::try_from(number).ok().and_then(enums::protocol_name);
                name.map(|name| row.set_text(&t.protocol[1], name));
            }
            None => row.read_pairs([("protocol", values[PROTOCOL])].into_iter()),
        }
        let (direction, observer, interface) = match values[order.direction] {
            "I" => ((1, "Inbound"), (2, "Destination"), Some(1)),
            "O" => ((2, "Outbound"), (1, "Source"), Some(0)),
            _ => ((0, "Unknown"), (0, "Unknown"), None),
        };
        row.set_enum(&t.direction[0], Some(&t.direction[1]), direction);
        row.set_enum(&t.observer[0], Some(&t.observer[1]), observer);
        if interface.is_none() {
            row.read_pairs([("flowDirection", values[order.direction])].into_iter());
        }
        self.set_mac(row, interface);
    }

    /// The interface's MAC address, at the end of the flow that it is.
    fn set_mac(&self, row: &mut Row<'_, '_>, interface: Option<usize>) {
        let own = row.peek_text(Slot::OwnMac);
        if row.peek_text(Slot::Mac) == own {
            row.take(Slot::Mac);
        }
        row.fall_back(Slot::OwnMac, Slot::Mac);
        let ends = const { [Objects::named("src_endpoint"), Objects::named("dst_endpoint")] };
        if let Some(end) = interface.filter(|end| row.has(ends[*end])) {
            row.place(Slot::OwnMac, &self.targets.macs[end]);
        }
    }

    /// A flow that begins has no counts.
    fn set_traffic<'v>(&self, row: &mut Row<'_, 'v>, counts: &[&'v str]) {
        let mut numbers = [None; 4];
        for ((number, text), name) in numbers.iter_mut().zip(counts).zip(COUNTS) {
            *number = values::integer(text);
            if number.is_none() {
                row.read_pairs([(name, *text)].into_iter());
            }
        }
        for (what, leaves) in self.targets.traffic.iter().enumerate() {
            let (out, back) = (numbers[what], numbers[what + 2]);
            let both = out.or(back).and(out.unwrap_or(0).checked_add(back.unwrap_or(0)));
            for (leaf, number) in leaves.iter().zip([out, back, both]) {
                if let Some(number) = number {
                    row.builder.set_i64(*leaf, number);
                }
            }
        }
    }
}

impl Targets {
    fn new(at: Table) -> Self {
        let (leaf, target) = (|path| at.expect_leaf(path), |path| Target::of(at, path));
        let mac = |path| Target { convert: Convert::Mac, ..target(path) };
        Self {
            provider: leaf("cloud.provider"),
            macs: [mac("src_endpoint.mac"), mac("dst_endpoint.mac")],
            protocol: [target("connection_info.protocol_num"), target("connection_info.protocol_name")],
            direction: [target("connection_info.direction_id"), target("connection_info.direction")],
            observer: [target("observation_point_id"), target("observation_point")],
            traffic: [
                ["traffic.packets_out", "traffic.packets_in", "traffic.packets"].map(leaf),
                ["traffic.bytes_out", "traffic.bytes_in", "traffic.bytes"].map(leaf),
            ],
        }
    }
}

#[cfg(test)]
mod tests;
