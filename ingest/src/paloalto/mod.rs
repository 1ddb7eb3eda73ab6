//! PAN-OS logs, as syslog CSV and as Strata Logging Service writes them in JSON.
//!
//! TRAFFIC -> network_activity, THREAT of subtype url -> http_activity, other THREAT -> detection_finding, GLOBALPROTECT ->
//! authentication and tunnel_activity, CONFIG -> api_activity, SYSTEM -> authentication where someone logs in or out, else
//! base_event, any other log type -> base_event. The `.fields` files say which field goes where; the code here reads what
//! needs a decision.
//!
//! - Event time: the high-resolution time, else the generated time, else the receive time. Times without a zone are the
//!   device's and are read as UTC.
//! - `domain\user` is divided into `actor.user.domain` and `actor.user.name`; `user@domain` stays one name.
//! - Bytes and packets are seen from the source: sent is `bytes_out`, received is `bytes_in`.
//!
//! Dropped: a generated time that says the same second as the high-resolution time; a domain or a category that a
//! second field says again.
//!
//! Absent: what HIP match, User-ID and the other log types mean.

mod config;
mod globalprotect;
mod system;
mod threat;
mod traffic;
mod url;

use dataflow::{BatchBuilder, Leaf, Reason, Table};

use crate::decode::Rejected;
use crate::decode::csv::Columns;
use crate::decode::detect::PanosLine;
use crate::decode::fields::{FieldTable, Target};
use crate::decode::json::{At, Doc};
use crate::decode::row::{Row, Scratch, slots};
use crate::decode::values;
use crate::normalize::{Class, Event, Product, action, enums, first_time};

slots! {
    // What every log type has: SHARED_SLOTS of them.
    LogType "log_type",
    Subtype "subtype",
    Time "time",
    TimeHigh "time_high",
    Received "received",
    Serial "serial",
    Sequence "sequence",
    Version "version",
    User "user",
    UserDomain "user_domain",
    Severity "severity",
    Elapsed "elapsed",
    // TRAFFIC and THREAT. Other log types have slots of their own in these places: `own_slots`.
    Action "action",
    Protocol "protocol",
    Url "url",
    Method "method",
    Category "category",
    CategoryList "category_list",
    ThreatId "threat_id",
    ThreatName "threat_name",
    OtherSeverity "other_severity",
}

/// Slots that lie before those of one log type.
const SHARED_SLOTS: usize = Slot::Action as usize;

/// Declares the slots of one log type, after those that all log types share.
macro_rules! own_slots {
    ($first:ident $first_text:literal, $($name:ident $text:literal),* $(,)?) => {
        /// Fields that the code of this log type reads, by their names in its field table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        enum Own { $first = $crate::paloalto::SHARED_SLOTS as u8, $($name),* }

        impl Own {
            const NAMES: &[&str] = &[$first_text, $($text),*];
        }

        impl From<Own> for u8 {
            fn from(slot: Own) -> u8 {
                slot as u8
            }
        }

        const _: () =
            assert!($crate::paloalto::SHARED_SLOTS + Own::NAMES.len() <= $crate::decode::row::SLOTS);
    };
}
use own_slots;

const PRODUCT: Product = Product { name: "PAN-OS", vendor: "Palo Alto Networks" };
const SECURITY: &[&str] = &["host", "security_control", "datetime"];
const HOST: &[&str] = &["host", "datetime"];

/// Reads a field table that is part of the program.
///
/// # Panics
/// If the file is wrong.
fn table(file: &'static str, text: &'static str, table: Table) -> FieldTable {
    FieldTable::parse(file, text, table, Slot::NAMES).unwrap_or_else(|e| panic!("{e}"))
}

/// As [`table`], for a log type with slots of its own.
///
/// # Panics
/// If the file is wrong.
fn own_table(file: &'static str, text: &'static str, table: Table, own: &[&str]) -> FieldTable {
    let names = [&Slot::NAMES[..SHARED_SLOTS], own].concat();
    FieldTable::parse(file, text, table, &names).unwrap_or_else(|e| panic!("{e}"))
}

/// Decodes PAN-OS events.
#[derive(Debug)]
pub(crate) struct PaloAlto {
    traffic: traffic::Traffic,
    url: url::Url,
    threat: threat::Threat,
    globalprotect: globalprotect::GlobalProtect,
    system: system::System,
    config: config::Config,
    other: Other,
}

/// Log types without a class of their own.
#[derive(Debug)]
struct Other {
    class: Class,
    fields: FieldTable,
    common: Common,
    /// The field table knows all columns of the line, not only those that every log type begins with.
    is_whole: bool,
}

/// A PAN-OS event in either form.
#[derive(Debug, Clone, Copy)]
enum Input<'v> {
    Csv { columns: &'v Columns, line: &'v str, host: Option<&'v str> },
    Json { doc: Doc<'v>, at: At },
}

impl PaloAlto {
    pub(crate) fn new() -> Self {
        Self {
            traffic: traffic::Traffic::new(),
            url: url::Url::new(),
            threat: threat::Threat::new(),
            globalprotect: globalprotect::GlobalProtect::new(),
            system: system::System::new(),
            config: config::Config::new(),
            other: Other::new("other.fields", include_str!("other.fields"), false),
        }
    }

    /// Decodes a syslog line.
    pub(crate) fn decode_line(
        &self,
        line: &PanosLine<'_>,
        columns: &mut Columns,
        (rows, scratch): (&mut BatchBuilder, &mut Scratch),
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        columns.split(line.message);
        let least = match line.log_type {
            "TRAFFIC" => traffic::LEAST_COLUMNS,
            "THREAT" => threat::LEAST_COLUMNS,
            "GLOBALPROTECT" => globalprotect::LEAST_COLUMNS,
            "CONFIG" => config::LEAST_COLUMNS,
            _ => OTHER_COLUMNS,
        };
        if columns.len() < least {
            let detail = format!("{} has {} columns; {least} say what happened", line.log_type, columns.len());
            return Err(Rejected::new(Reason::MissingField, detail));
        }
        let input = Input::Csv { columns, line: line.message, host: line.host };
        self.decode(line.log_type, columns.get(line.message, 4), input, (rows, scratch), event)
    }

    /// Decodes a Strata Logging Service document.
    pub(crate) fn decode_document(
        &self,
        (log_type, subtype): (&str, &str),
        (doc, at): (Doc<'_>, At),
        out: (&mut BatchBuilder, &mut Scratch),
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.decode(log_type, subtype, Input::Json { doc, at }, out, event)
    }

    fn decode(
        &self,
        log_type: &str,
        subtype: &str,
        input: Input<'_>,
        (rows, scratch): (&mut BatchBuilder, &mut Scratch),
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let is = |word: &str| log_type.eq_ignore_ascii_case(word);
        if is("TRAFFIC") {
            self.traffic.decode(input, rows.table(Table::NetworkActivity), scratch, event)
        } else if is("THREAT") && subtype.eq_ignore_ascii_case("url") {
            self.url.decode(input, rows.table(Table::HttpActivity), scratch, event)
        } else if is("THREAT") {
            self.threat.decode(subtype, input, rows.table(Table::DetectionFinding), scratch, event)
        } else if is("GLOBALPROTECT") {
            self.globalprotect.decode(input, rows, scratch, event)
        } else if is("SYSTEM") {
            self.system.decode(input, rows, scratch, event)
        } else if is("CONFIG") {
            self.config.decode(input, rows.table(Table::ApiActivity), scratch, event)
        } else {
            self.other.decode(input, rows, scratch, event)
        }
    }
}

/// Columns of a log type without a class: up to the generated time. The rest stands in the raw line.
const OTHER_COLUMNS: usize = 7;

impl Other {
    fn new(file: &'static str, text: &'static str, is_whole: bool) -> Self {
        Self {
            class: Class::new(Table::BaseEvent, PRODUCT, HOST),
            fields: table(file, text, Table::BaseEvent),
            common: Common::new(Table::BaseEvent),
            is_whole,
        }
    }

    fn decode(
        &self,
        input: Input<'_>,
        rows: &mut BatchBuilder,
        scratch: &mut Scratch,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let out = (rows.table(Table::BaseEvent), &self.fields, scratch);
        self.class.write(out, event, |row| {
            match input {
                // The order of further columns differs by log type. Without the line in raw_data they are kept here.
                Input::Csv { columns, line, .. } if event.raw.is_some() && !self.is_whole => {
                    row.read_columns((0..OTHER_COLUMNS).map(|i| columns.get(line, i)));
                }
                _ => input.read(row),
            }
            self.common.fill(row, &self.class, input, event)?;
            self.class.set_activity(row, 0);
            set_severity(row, &self.class);
            Ok(())
        })
    }
}

impl<'v> Input<'v> {
    /// The text of one field, by its column (from 0) or its JSON name, before the row is read.
    fn text_of(self, column: usize, name: &str) -> &'v str {
        match self {
            Input::Csv { columns, line, .. } => columns.get(line, column),
            Input::Json { doc, at } => doc.member(at, name).and_then(|at| doc.value(at).scalar()).unwrap_or_default(),
        }
    }

    fn read(self, row: &mut Row<'_, 'v>) {
        match self {
            Input::Csv { columns, line, .. } => row.read_filled(columns.filled(line)),
            Input::Json { doc, at } => row.read_members(doc, at, 0),
        }
    }
}

/// Columns that every log type fills.
#[derive(Debug)]
struct Common {
    log_name: Target,
    event_code: Target,
    logged_time: Target,
    sequence: Target,
    version: Target,
    device_uid: Target,
    device_hostname: Target,
}

impl Common {
    fn new(table: Table) -> Self {
        let target = |path| Target::of(table, path);
        Self {
            log_name: target("metadata.log_name"),
            event_code: target("metadata.event_code"),
            logged_time: target("metadata.logged_time"),
            sequence: target("metadata.sequence"),
            version: target("metadata.product.version"),
            device_uid: target("device.uid"),
            device_hostname: target("device.hostname"),
        }
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
        if let Input::Csv { host: Some(host), .. } = input {
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
            Some(n) => row.set_args(&self.version, format_args!("{}.{}", n / 256, n % 256)),
            None => text.contains('.') && row.set(&self.version, field.value),
        };
        if !set {
            row.keep(field);
        }
    }
}

/// Sets the event time from the best of the event's times; the others stay, unless they say the same.
fn set_time(row: &mut Row<'_, '_>, class: &Class, event: &Event<'_>) -> Result<i64, Rejected> {
    let candidates = [row.take(Slot::TimeHigh), row.take(Slot::Time), row.peek(Slot::Received)];
    let (time, best, original) = first_time(candidates)?;
    class.set_time(row, event, time, original.text());
    for field in candidates[..2].iter().enumerate().filter(|(i, _)| *i != best).filter_map(|(_, c)| *c) {
        let same_second =
            values::time(field.text()).is_some_and(|t| t.div_euclid(1_000_000) == time.div_euclid(1_000_000));
        if !same_second {
            row.keep(field);
        }
    }
    Ok(time)
}

/// Sets the severity by its word; a word that is none is kept.
fn set_severity(row: &mut Row<'_, '_>, class: &Class) {
    let field = row.take(Slot::Severity);
    let found = field.and_then(|f| enums::severity(f.text()));
    class.set_severity(row, found.unwrap_or(enums::UNKNOWN));
    if let Some(field) = field.filter(|_| found.is_none()) {
        row.keep(field);
    }
}

/// Sets action and disposition; a word that others mean the same by is kept.
fn set_action(row: &mut Row<'_, '_>, class: &Class) {
    let field = row.take(Slot::Action);
    let found = action::find(field.map(|f| f.text()).unwrap_or_default());
    class.set_action(row, &found);
    if let Some(field) = field.filter(|_| !found.exact) {
        row.keep(field);
    }
}

/// Sets the status from a slot's word; 99 bears a word that is neither success nor failure. A word that the caption does
/// not repeat is kept.
fn set_status(row: &mut Row<'_, '_>, slot: impl Into<u8>, [id, caption]: [Leaf; 2]) {
    let Some(field) = row.take(slot) else { return };
    if field.text().is_empty() {
        return row.keep(field);
    }
    let found = enums::status(field.text());
    row.builder.set_i32(id, found.map_or(99, |f| f.0));
    row.builder.set_str(caption, found.map_or(field.text(), |f| f.1));
    if found.is_some_and(|(_, caption)| !caption.eq_ignore_ascii_case(field.text())) {
        row.keep(field);
    }
}

/// Seconds of the elapsed time -> milliseconds; what is no number is kept.
fn set_duration(row: &mut Row<'_, '_>, duration: Leaf) {
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
    fn new(table: Table, object: &str) -> Self {
        let leaf = |name: &str| table.expect_leaf(&format!("{object}.{name}"));
        Self {
            protocol_num: leaf("protocol_num"),
            protocol_name: leaf("protocol_name"),
            direction_id: leaf("direction_id"),
            direction: table.leaf(&format!("{object}.direction")),
        }
    }

    /// PAN-OS does not say whether a session enters or leaves the network: the direction is 0, Unknown.
    fn fill(&self, row: &mut Row<'_, '_>) {
        row.builder.set_i32(self.direction_id, 0);
        if let Some(direction) = self.direction {
            row.builder.set_str(direction, "Unknown");
        }
        let Some(field) = row.take(Slot::Protocol) else { return };
        row.builder.set_str(self.protocol_name, field.text());
        let number = enums::protocol(field.text()).or_else(|| field.text().parse().ok().filter(|n| *n < 256));
        if let Some(number) = number {
            row.builder.set_i32(self.protocol_num, number);
        }
    }
}

#[cfg(test)]
mod tests;
