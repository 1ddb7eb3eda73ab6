//! PAN-OS logs, as syslog CSV, in CEF and LEEF, and as Strata Logging Service writes them in JSON.
//!
//! ```text
//!   TRAFFIC, DECRYPTION, SCTP, GTP   network_activity      session.rs
//!   START, END (tunnel inspection)   tunnel_activity       session.rs
//!   THREAT of subtype url            http_activity         url.rs
//!   other THREAT; CORRELATION        detection_finding     threat.rs, correlation.rs
//!   AUTH; USERID login and logout    authentication        auth.rs
//!   GLOBALPROTECT                    authentication, tunnel_activity   globalprotect.rs
//!   CONFIG, AUDIT                    api_activity          config.rs
//!   HIPMATCH                         inventory_info        inventory.rs
//!   SYSTEM                           authentication where someone logs in or out, what system.events says, else base_event   system.rs
//!   IPTAG, any other                 base_event            other.rs
//! ```
//!
//! The `.fields` files say which field goes where; the code here reads what needs a decision.
//!
//! - A line's layout is its log type's: releases only add columns, so an older line is a prefix, and what a newer one has
//!   beyond the layout is kept as `column_N`. Where an order differs (CONFIG with details, THREAT of subtype data) the line
//!   itself says which it has.
//! - Event time: the high-resolution time, else the generated time, else the receive time. A time without a zone is the
//!   device's own: configuration says where the device is.
//! - `domain\user` is divided into `actor.user.domain` and `actor.user.name`; `user@domain` stays one name.
//! - Bytes and packets are seen from the source: sent is `bytes_out`, received is `bytes_in`.
//!
//! Dropped: a generated time that says the same second as the high-resolution time; a domain or a category that a
//! second field says again.

mod auth;
mod base;
mod cef;
mod config;
mod correlation;
mod custom;
mod finding;
mod globalprotect;
mod input;
mod inventory;
mod leef;
mod other;
mod pairs;
mod session;
mod system;
mod threat;
mod url;

use dataflow::{Reason, Table};

use crate::decode::Rejected;
use crate::decode::csv::Columns;
use crate::decode::detect::PanosLine;
use crate::decode::fields::FieldTable;
use crate::decode::json::{At, Doc};
use crate::decode::row::slots;
use crate::decode::zones::{TimeZones, Zones};
use crate::normalize::{Event, Product};
use base::Out;
pub(crate) use custom::{Found, find as find_custom};
use input::Input;
use other::Other;
pub(crate) use pairs::Pairs;

slots! {
    // What log types share: SHARED_SLOTS of them.
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
    Action "action",
    Protocol "protocol",
    Source "source",
    // Of THREAT and CORRELATION. Other log types have slots of their own in these places: `own_slots`.
    Url "url",
    Method "method",
    Category "category",
    CategoryList "category_list",
    ThreatId "threat_id",
    ThreatName "threat_name",
    OtherSeverity "other_severity",
}

/// Slots that lie before those of one log type.
const SHARED_SLOTS: usize = Slot::Url as usize;

impl Slot {
    /// The slots after those that log types share.
    const FURTHER: &[&str] = Self::NAMES.split_at(SHARED_SLOTS).1;
}

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

/// A `.fields` file of this folder: its name and text.
macro_rules! field_file {
    ($name:literal) => {
        (concat!($name, ".fields"), include_str!(concat!($name, ".fields")))
    };
}
use field_file;

/// Reads a field table that is part of the program; `own` names the slots after those that log types share.
///
/// # Panics
/// If the file is wrong.
fn table((file, text): (&'static str, &'static str), at: Table, own: &[&str]) -> FieldTable {
    let names = [&Slot::NAMES[..SHARED_SLOTS], own].concat();
    custom::with_forms(FieldTable::parse(file, text, at, &names).unwrap_or_else(|e| panic!("{e}")))
}

/// The field table of log types that are unheard of.
const UNHEARD: &str = "other";

/// A log type, as the code tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LogType {
    Traffic,
    Threat,
    System,
    Config,
    GlobalProtect,
    HipMatch,
    UserId,
    IpTag,
    Auth,
    Correlation,
    Decryption,
    Tunnel,
    Sctp,
    Gtp,
    Audit,
    Unheard,
}

/// Values of the fourth column, as devices write them.
const LOG_TYPES: [(&str, LogType); 20] = [
    ("TRAFFIC", LogType::Traffic),
    ("THREAT", LogType::Threat),
    ("SYSTEM", LogType::System),
    ("CONFIG", LogType::Config),
    ("GLOBALPROTECT", LogType::GlobalProtect),
    ("HIPMATCH", LogType::HipMatch),
    ("HIP-MATCH", LogType::HipMatch),
    ("USERID", LogType::UserId),
    ("IPTAG", LogType::IpTag),
    ("AUTH", LogType::Auth),
    ("AUTHENTICATION", LogType::Auth),
    ("CORRELATION", LogType::Correlation),
    ("DECRYPTION", LogType::Decryption),
    ("START", LogType::Tunnel),
    ("END", LogType::Tunnel),
    ("TUNNEL", LogType::Tunnel),
    ("SCTP", LogType::Sctp),
    ("GTP", LogType::Gtp),
    ("AUDIT", LogType::Audit),
    ("DNS", LogType::Unheard),
];

/// True for a log type's name.
pub(crate) fn is_log_type(word: &str) -> bool {
    LOG_TYPES.iter().any(|(w, _)| *w == word)
}

impl LogType {
    fn of(word: &str) -> Self {
        let exact = LOG_TYPES.iter().find(|(w, _)| *w == word);
        let found = exact.or_else(|| LOG_TYPES.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)));
        found.map_or(Self::Unheard, |(_, log_type)| *log_type)
    }

    /// Where a line has the serial number (from 0).
    fn serial_column(self) -> usize {
        if self == Self::Audit { 0 } else { 2 }
    }

    /// Columns without which a line does not say what happened.
    fn least_columns(self) -> usize {
        match self {
            Self::Traffic | Self::Decryption | Self::Tunnel | Self::Sctp | Self::Gtp => session::LEAST_COLUMNS,
            Self::Threat => threat::LEAST_COLUMNS,
            Self::GlobalProtect => globalprotect::LEAST_COLUMNS,
            Self::Config => config::LEAST_COLUMNS,
            Self::Audit => config::AUDIT_LEAST_COLUMNS,
            _ => other::LEAST_COLUMNS,
        }
    }
}

/// Decodes PAN-OS events.
#[derive(Debug)]
pub(crate) struct PaloAlto {
    traffic: session::Session,
    decryption: session::Session,
    sctp: session::Session,
    gtp: session::Session,
    tunnel: session::Session,
    url: url::Url,
    threat: threat::Threat,
    correlation: correlation::Correlation,
    auth: auth::Auth,
    login: auth::UserId,
    globalprotect: globalprotect::GlobalProtect,
    system: system::System,
    config: config::Config,
    hipmatch: inventory::HipMatch,
    iptag: Other,
    userid: Other,
    unheard: Other,
    zones: Zones,
}

impl PaloAlto {
    pub(crate) fn new(time_zones: &TimeZones) -> Self {
        Self {
            traffic: session::Session::traffic(),
            decryption: session::Session::decryption(),
            sctp: session::Session::sctp(),
            gtp: session::Session::gtp(),
            tunnel: session::Session::tunnel(),
            url: url::Url::new(),
            threat: threat::Threat::new(),
            correlation: correlation::Correlation::new(),
            auth: auth::Auth::new(),
            login: auth::UserId::new(),
            globalprotect: globalprotect::GlobalProtect::new(),
            system: system::System::new(),
            config: config::Config::new(),
            hipmatch: inventory::HipMatch::new(),
            iptag: Other::whole(field_file!("iptag"), Slot::FURTHER).informational(),
            userid: Other::whole(field_file!("userid"), auth::OWN).informational(),
            unheard: Other::unheard(),
            zones: Zones::new(time_zones),
        }
    }

    /// Decodes a syslog line.
    pub(crate) fn decode_line(
        &self,
        line: &PanosLine<'_>,
        columns: &mut Columns,
        (rows, scratch): Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        columns.split(line.message);
        let log_type = LogType::of(line.log_type);
        let least = log_type.least_columns();
        if columns.len() < least {
            let detail = format!("{} has {} columns; {least} say what happened", line.log_type, columns.len());
            return Err(Rejected::new(Reason::MissingField, detail));
        }
        let local = self.zones.of_device(columns.get(line.message, log_type.serial_column()), line.host);
        let input = Input::Csv { columns, line: line.message, host: line.host, local };
        self.decode(log_type, columns.get(line.message, 4), input, (rows, scratch), event)?;
        scratch.notes.log_type_of(UNHEARD, line.log_type);
        Ok(())
    }

    /// Decodes an event in CEF or LEEF.
    pub(crate) fn decode_custom(
        &self,
        found: &Found<'_>,
        pairs: &mut Pairs,
        (rows, scratch): Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        let (custom, log_type, subtype) = found.read(pairs, &self.zones);
        self.decode(log_type, subtype, Input::Custom(custom), (rows, scratch), event)?;
        scratch.notes.log_type_of(UNHEARD, custom.log_type());
        Ok(())
    }

    /// Decodes a Strata Logging Service document.
    pub(crate) fn decode_document(
        &self,
        (log_type, subtype): (&str, &str),
        (doc, at): (Doc<'_>, At),
        (rows, scratch): Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        self.decode(LogType::of(log_type), subtype, Input::Json { doc, at }, (rows, scratch), event)?;
        scratch.notes.log_type_of(UNHEARD, log_type);
        Ok(())
    }

    fn decode(
        &self,
        log_type: LogType,
        subtype: &str,
        input: Input<'_>,
        out: Out<'_>,
        event: &Event<'_>,
    ) -> Result<(), Rejected> {
        match log_type {
            LogType::Traffic => self.traffic.decode(input, out, event),
            LogType::Threat if subtype.eq_ignore_ascii_case("url") => self.url.decode(input, out, event),
            LogType::Threat => self.threat.decode(subtype, input, out, event),
            LogType::System => self.system.decode(subtype, input, out, event),
            LogType::Config => self.config.decode(input, out, event),
            LogType::GlobalProtect => self.globalprotect.decode(input, out, event),
            LogType::HipMatch => self.hipmatch.decode(input, out, event),
            LogType::UserId if auth::UserId::takes(subtype) => self.login.decode(subtype, input, out, event),
            LogType::UserId => self.userid.decode(input, out, event),
            LogType::IpTag => self.iptag.decode(input, out, event),
            LogType::Auth => self.auth.decode(input, out, event),
            LogType::Correlation => self.correlation.decode(input, out, event),
            LogType::Decryption => self.decryption.decode(input, out, event),
            LogType::Tunnel => self.tunnel.decode(input, out, event),
            LogType::Sctp => self.sctp.decode(input, out, event),
            LogType::Gtp => self.gtp.decode(input, out, event),
            LogType::Audit => self.config.decode_audit(input, out, event),
            LogType::Unheard => self.unheard.decode(input, out, event),
        }
    }
}

#[cfg(test)]
mod tests;
