//! What the log types have in common: times, metadata, device, user, connection, severity and action.
//!
//! Data in: a row whose fields were read into slots. Data out: the columns that they mean. What a class has no column for
//! stays in its slot, and with it goes to `unmapped`.

use dataflow::{BatchBuilder, Leaf, Table};

use super::{Input, PRODUCT, Slot, table};
use crate::decode::Rejected;
use crate::decode::fields::{FieldTable, Target};
use crate::decode::row::{Row, Scratch};
use crate::decode::values;
use crate::normalize::{Class, Event, FIREWALL, action, enums, first_time_in, ocsf};

/// Profiles of a class that says what a control did.
pub(super) const SECURITY: &[&str] = &["host", "security_control", "datetime"];
/// Profiles of the others.
pub(super) const HOST: &[&str] = &["host", "datetime"];

/// OCSF's word for what a required attribute lacks.
pub(super) const UNKNOWN: &str = "Unknown";

/// Declares columns that a log type's code sets, by their paths and, where the kind does not say it, their conversion.
macro_rules! columns {
    ($(#[$doc:meta])* $vis:vis struct $name:ident { $($field:ident: $path:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug)]
        $vis struct $name { $($field: $crate::decode::fields::Target),+ }

        impl $name {
            $vis fn of(table: dataflow::Table) -> Self {
                Self { $($field: $crate::decode::fields::Target::of(table, $path)),+ }
            }
        }
    };
}
pub(super) use columns;

/// A log type as rows of one class.
#[derive(Debug)]
pub(super) struct Base {
    table: Table,
    pub(super) class: Class,
    pub(super) fields: FieldTable,
    metadata: Metadata,
    user: Option<User>,
    connection: Option<Connection>,
    /// Where [`Slot::Source`] goes.
    source: Option<Target>,
    /// The class declares the security-control profile.
    is_control: bool,
    /// The severity of an event that tells none.
    severity: (i32, &'static str),
}

/// Who takes the rows, and buffers to make them with.
pub(super) type Out<'a> = (&'a mut BatchBuilder, &'a mut Scratch);

impl Base {
    /// `file` is a field table and its name; `own` names the slots after those that all log types share.
    pub(super) fn new(
        at: Table,
        profiles: &'static [&'static str],
        file: (&'static str, &'static str),
        own: &[&str],
    ) -> Self {
        let fields = table(file, at, own);
        Self {
            table: at,
            class: Class::with_device(at, PRODUCT, profiles, Some(device_of(at))),
            metadata: Metadata::by(at),
            user: User::of(at),
            connection: Connection::of(at).filter(|_| fields.reads(Slot::Protocol.into())),
            source: Target::find(at, "src_endpoint.ip nat_ip"),
            fields,
            is_control: profiles == SECURITY,
            severity: enums::UNKNOWN,
        }
    }

    /// For a log type that tells what happens, not that something is wrong.
    pub(super) fn informational(self) -> Self {
        Self { severity: enums::INFORMATIONAL, ..self }
    }

    /// Writes one row; `fill` reads the fields and sets the columns.
    pub(super) fn write<'v>(
        &self,
        (rows, scratch): Out<'_>,
        event: &Event<'_>,
        fill: impl FnMut(&mut Row<'_, 'v>) -> Result<(), Rejected>,
    ) -> Result<(), Rejected> {
        self.write_as(&self.fields, (rows, scratch), event, fill)
    }

    /// As [`Base::write`], with another field table of the same log type.
    pub(super) fn write_as<'v>(
        &self,
        fields: &FieldTable,
        (rows, scratch): Out<'_>,
        event: &Event<'_>,
        fill: impl FnMut(&mut Row<'_, 'v>) -> Result<(), Rejected>,
    ) -> Result<(), Rejected> {
        self.class.write((rows.table(self.table), fields, scratch), event, fill)
    }

    /// Sets what all log types have in common, once the fields are read. Gives the event time.
    pub(super) fn fill(&self, row: &mut Row<'_, '_>, input: Input<'_>, event: &Event<'_>) -> Result<i64, Rejected> {
        let time = self.metadata.fill(row, &self.class, input, event)?;
        self.set_severity(row);
        if self.is_control {
            self.set_action(row);
        }
        if let Some(user) = &self.user {
            user.fill(row);
        }
        if let Some(connection) = &self.connection {
            connection.fill(row);
        }
        if let Some(source) = &self.source {
            row.place(Slot::Source, source);
        }
        Ok(time)
    }

    /// Sets the severity by its word; a word that is none is kept.
    fn set_severity(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Slot::Severity) else { return self.class.set_severity(row, self.severity) };
        let found = enums::severity(field.text());
        self.class.set_severity(row, found.unwrap_or(enums::UNKNOWN));
        if found.is_none() {
            row.keep(field);
        }
    }

    /// Sets action and disposition; a word that others mean the same by is kept.
    fn set_action(&self, row: &mut Row<'_, '_>) {
        let field = row.take(Slot::Action);
        let found = action::find(field.map(|f| f.text()).unwrap_or_default());
        self.class.set_action(row, &found);
        if let Some(field) = field.filter(|_| !found.exact) {
            row.keep(field);
        }
    }
}

columns! {
    /// Columns of where an event comes from.
    struct Metadata {
        log_name: "metadata.log_name",
        event_code: "metadata.event_code",
        logged_time: "metadata.logged_time",
        sequence: "metadata.sequence",
        version: "metadata.product.version",
        device_uid: "device.uid",
        device_hostname: "device.hostname",
    }
}

/// The kind of device: the firewall, but in an inventory, where it is the reporter.
fn device_of(at: Table) -> ocsf::Caption {
    if at == Table::InventoryInfo { ocsf::UNKNOWN } else { FIREWALL }
}

impl Metadata {
    fn by(at: Table) -> Self {
        if at != Table::InventoryInfo {
            return Self::of(at);
        }
        let [device_uid, device_hostname] =
            ["metadata.reporter.uid", "metadata.reporter.hostname"].map(|path| Target::of(at, path));
        Self { device_uid, device_hostname, ..Self::of(at) }
    }

    /// Sets times, metadata and device. Gives the event time.
    fn fill(&self, row: &mut Row<'_, '_>, class: &Class, input: Input<'_>, event: &Event<'_>) -> Result<i64, Rejected> {
        let time = set_time(row, class, event)?;
        row.place(Slot::Received, &self.logged_time);
        row.place(Slot::LogType, &self.log_name);
        row.place(Slot::Subtype, &self.event_code);
        row.place(Slot::Sequence, &self.sequence);
        row.place(Slot::Serial, &self.device_uid);
        self.set_version(row);
        if let Some(host) = input.host() {
            row.set_text(&self.device_hostname, host);
        }
        Ok(time)
    }

    /// Syslog writes the version as major * 256 + minor from 8.1 on, JSON as `10.1`.
    fn set_version(&self, row: &mut Row<'_, '_>) {
        let Some(field) = row.take(Slot::Version) else { return };
        let text = field.text();
        let packed = values::integer(text).filter(|n| (2048..=65_535).contains(n));
        let set = match packed {
            Some(n) => row.set_text(&self.version, Packed::of(n).text()),
            None => text.contains('.') && row.set(&self.version, field.value),
        };
        if !set {
            row.keep(field);
        }
    }
}

/// The text of a packed version. Every line has one: formatting it would be among the dearest things a line costs.
struct Packed {
    text: [u8; 7],
    len: usize,
}

impl Packed {
    /// Major * 256 + minor, of two bytes.
    fn of(version: i64) -> Self {
        let mut made = Self { text: [b'.'; 7], len: 0 };
        made.push(version / 256 % 256);
        made.len += 1;
        made.push(version % 256);
        made
    }

    fn push(&mut self, number: i64) {
        let digits = [number / 100, number / 10 % 10, number % 10];
        let leading = digits[..2].iter().take_while(|digit| **digit == 0).count();
        for digit in &digits[leading..] {
            self.text[self.len] = b'0' + *digit as u8;
            self.len += 1;
        }
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

/// Sets the event time from the best of the event's times; the others stay, unless they say the same.
fn set_time(row: &mut Row<'_, '_>, class: &Class, event: &Event<'_>) -> Result<i64, Rejected> {
    let candidates = [row.take(Slot::TimeHigh), row.take(Slot::Time), row.peek(Slot::Received)];
    let (time, best, original) = first_time_in(candidates, row.local)?;
    class.set_time(row, event, time, original.text());
    for field in candidates[..2].iter().enumerate().filter(|(i, _)| *i != best).filter_map(|(_, c)| *c) {
        let same_second = values::time_in(field.text(), row.local)
            .is_some_and(|t| t.div_euclid(1_000_000) == time.div_euclid(1_000_000));
        if !same_second {
            row.keep(field);
        }
    }
    Ok(time)
}

/// Sets an enum's number and its caption.
pub(super) fn set_enum(row: &mut Row<'_, '_>, id: &Target, caption: &Target, (number, text): (i32, &str)) {
    row.builder.set_i32(id.leaf, number);
    row.builder.set_str(caption.leaf, text);
}

/// Sets the status from a slot's word; 99 bears a word that is neither success nor failure. A word that the caption does
/// not repeat is kept.
pub(super) fn set_status(row: &mut Row<'_, '_>, slot: impl Into<u8>, id: &Target, caption: &Target) {
    let Some(field) = row.take(slot) else { return };
    if field.text().is_empty() {
        return row.keep(field);
    }
    let found = enums::status(field.text());
    set_enum(row, id, caption, found.unwrap_or((99, field.text())));
    if found.is_some_and(|(_, caption)| !caption.eq_ignore_ascii_case(field.text())) {
        row.keep(field);
    }
}

/// Sets the authentication protocol by its first word (`EAP-TTLS`); 99 bears a method that OCSF has no value for (`Cookie`,
/// `client certificate`). What the caption does not repeat is kept.
pub(super) fn set_auth_protocol(row: &mut Row<'_, '_>, slot: impl Into<u8>, id: &Target, caption: &Target) {
    let Some(field) = row.take(slot) else { return };
    if field.text().is_empty() {
        return row.keep(field);
    }
    let found = field.text().split(['-', ' ']).next().and_then(enums::auth_protocol).unwrap_or((99, field.text()));
    set_enum(row, id, caption, found);
    if !found.1.eq_ignore_ascii_case(field.text()) {
        row.keep(field);
    }
}

columns! {
    /// The source's operating system.
    pub(super) struct Os {
        name: "src_endpoint.os.name",
        version: "src_endpoint.os.version",
        type_id: "src_endpoint.os.type_id",
        kind: "src_endpoint.os.type",
    }
}

impl Os {
    /// The system, by its name; a version without a name says too little.
    pub(super) fn fill(&self, row: &mut Row<'_, '_>, name: impl Into<u8> + Copy, version: impl Into<u8>) {
        let text = row.peek_text(name);
        if row.place(name, &self.name) {
            set_enum(row, &self.type_id, &self.kind, enums::os(text).unwrap_or((99, text)));
            row.place(version, &self.version);
        }
    }
}

/// Seconds of the elapsed time -> milliseconds; what is no number is kept.
pub(super) fn set_duration(row: &mut Row<'_, '_>, duration: Leaf) {
    let Some(field) = row.take(Slot::Elapsed) else { return };
    match values::integer(field.text()).and_then(|s| s.checked_mul(1000)) {
        Some(ms) => {
            row.builder.set_i64(duration, ms);
        }
        None => row.keep(field),
    }
}

/// The user's columns of a class.
#[derive(Debug)]
struct User {
    name: Target,
    domain: Target,
}

impl User {
    /// The one who acts: of a session its source, of a login who logs in, of a finding the evidence's; of a device who has it.
    fn of(at: Table) -> Option<Self> {
        let (name, domain) = match at {
            Table::Authentication | Table::TunnelActivity => ("user.name", "user.domain"),
            Table::DetectionFinding => ("evidences[].actor.user.name+user_name", "evidences[].actor.user.domain"),
            Table::InventoryInfo => ("device.owner.name", "device.owner.domain"),
            _ => ("actor.user.name", "actor.user.domain"),
        };
        Some(Self { name: Target::find(at, name)?, domain: Target::find(at, domain)? })
    }

    /// Divides `domain\user`; a domain that stands alone is used if the name has none.
    fn fill(&self, row: &mut Row<'_, '_>) {
        let domain_field = row.take(Slot::UserDomain);
        let mut used = "";
        if let Some(field) = row.take(Slot::User) {
            let (domain, name) = values::split_user(field.text());
            row.set_text(&self.name, name);
            used = domain.or(domain_field.map(|d| d.text())).unwrap_or_default();
            if !used.is_empty() {
                row.set_text(&self.domain, used);
            }
        }
        if let Some(field) = domain_field.filter(|f| f.text() != used) {
            row.keep(field);
        }
    }
}

/// The protocol's columns of a class, and the direction that they need beside them.
#[derive(Debug)]
struct Connection {
    protocol_num: Leaf,
    protocol_name: Leaf,
    direction_id: Leaf,
    direction: Option<Leaf>,
}

impl Connection {
    fn of(at: Table) -> Option<Self> {
        let object = if at == Table::DetectionFinding { "evidences[].connection_info" } else { "connection_info" };
        let leaf = |name: &str| at.leaf(&format!("{object}.{name}"));
        Some(Self {
            protocol_num: leaf("protocol_num")?,
            protocol_name: leaf("protocol_name")?,
            direction_id: leaf("direction_id")?,
            direction: leaf("direction"),
        })
    }

    /// PAN-OS does not say whether a session enters or leaves the network: the direction is 0, Unknown.
    fn fill(&self, row: &mut Row<'_, '_>) {
        row.builder.set_i32(self.direction_id, 0);
        if let Some(direction) = self.direction {
            row.builder.set_str(direction, UNKNOWN);
        }
        let Some(field) = row.take(Slot::Protocol) else { return };
        row.builder.set_str(self.protocol_name, field.text());
        let number = enums::protocol(field.text()).or_else(|| field.text().parse().ok().filter(|n| *n < 256));
        if let Some(number) = number {
            row.builder.set_i32(self.protocol_num, number);
        }
    }
}
