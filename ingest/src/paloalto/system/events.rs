//! What SYSTEM events tell of, as data: `system.events`, which says how its lines are written.
//!
//! Data in: subtype, event id and description of an event. Data out: its [`Kind`]: class, activity, status, and which words of
//! the description go where. The description itself stays whole in `message`: a word that fits no column is not lost.

use dataflow::Table;

use crate::decode::fields::Target;
use crate::decode::row::Row;
use crate::decode::values;
use crate::normalize::ocsf::{self, Caption};

/// A kind of event.
#[derive(Debug)]
pub(super) struct Kind {
    subtype: &'static str,
    event: &'static str,
    description: &'static str,
    pub(super) table: Table,
    pub(super) activity: i32,
    pub(super) status: Option<Caption>,
    columns: Vec<Column>,
}

/// A column that the description fills.
#[derive(Debug)]
struct Column {
    target: Target,
    /// Of a user's name: where the domain before it goes.
    domain: Option<Target>,
    from: From,
}

#[derive(Debug)]
enum From {
    Constant(&'static str),
    /// What stands after the head and before the tail.
    Between(&'static str, &'static str),
}

/// Reads the kinds.
///
/// # Panics
/// If a line is not one: the file is part of the program.
pub(super) fn kinds() -> Vec<Kind> {
    let lines = include_str!("../system.events").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| kind(line).unwrap_or_else(|| panic!("system.events: not an event: {line}"))).collect()
}

fn kind(line: &'static str) -> Option<Kind> {
    let mut words = words(line);
    let (subtype, event, description) = (words.next()?, words.next()?, words.next()?);
    let table = Table::by_name(words.next()?)?;
    let of = |path, caption| ocsf::by_caption(ocsf::values(table, path)?, caption);
    let (activity, _) = of("activity_id", words.next()?)?;
    let status = match words.next()? {
        "-" => None,
        caption => Some(of("status_id", caption)?),
    };
    let columns = words.map(|word| column(table, word)).collect::<Option<_>>()?;
    let description = if description == "-" { "" } else { description.trim_matches('"') };
    Some(Kind { subtype, event, description, table, activity, status, columns })
}

/// The words of a line; one with quotes may hold spaces.
fn words(line: &'static str) -> impl Iterator<Item = &'static str> {
    let mut is_quoted = false;
    let words = line.split(move |c: char| {
        is_quoted ^= c == '"';
        c.is_whitespace() && !is_quoted
    });
    words.filter(|word| !word.is_empty())
}

fn column(table: Table, word: &'static str) -> Option<Column> {
    let (path, value) = word.split_once('=')?;
    let value = value.trim_matches('"');
    let from = value.split_once("{}").map_or(From::Constant(value), |(head, tail)| From::Between(head, tail));
    let domain = path.strip_suffix("user.name").map(|object| format!("{object}user.domain"));
    let domain = domain.map(|path| Target::find(table, &path));
    Some(Column { target: Target::find(table, &path.replace('/', " "))?, domain: domain.flatten(), from })
}

/// The first of the kinds that an event is of.
pub(super) fn find<'k>(kinds: &'k [Kind], subtype: &str, event: &str, description: &str) -> Option<&'k Kind> {
    kinds.iter().find(|kind| {
        (kind.subtype == "*" || kind.subtype.eq_ignore_ascii_case(subtype))
            && rest(event, kind.event, true).is_some_and(|rest| rest.is_empty() || kind.event.ends_with('*'))
            && rest(description, kind.description, true).is_some()
    })
}

impl Kind {
    /// Sets the columns that the description fills. A value in brackets (`[Unavailable]`) is the device's word for none.
    pub(super) fn fill(&self, row: &mut Row<'_, '_>, description: &str) {
        for column in &self.columns {
            let value = match column.from {
                From::Constant(text) => text,
                From::Between(head, tail) => between(description, head, tail).unwrap_or_default(),
            };
            if value.is_empty() || value.starts_with('[') {
                continue;
            }
            let (domain, name) = if column.domain.is_some() { values::split_user(value) } else { (None, value) };
            row.set_text(&column.target, name);
            if let (Some(target), Some(domain)) = (&column.domain, domain) {
                row.set_text(target, domain);
            }
        }
    }
}

fn between<'v>(text: &'v str, head: &str, tail: &str) -> Option<&'v str> {
    let rest = rest(text, head, head.is_empty())?;
    let found = if tail.is_empty() { rest } else { rest.split_once(tail).map_or(rest, |(found, _)| found) };
    Some(found.trim().trim_end_matches('.'))
}

/// What stands after a pattern, each part of which (`*` stands between them) is found after the one before; the first one
/// begins the text if it is anchored.
fn rest<'v>(text: &'v str, pattern: &str, is_anchored: bool) -> Option<&'v str> {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let begun = if is_anchored { text.strip_prefix(first)? } else { text.split_once(first)?.1 };
    parts.try_fold(begun, |rest, part| Some(rest.split_once(part)?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (text, pattern, is_anchored, want) in [
            ("ike-nego-p1-start", "ike-nego-p1-start", true, Some("")),
            ("ike-nego-p1-start", "ike*-nego-*", true, Some("p1-start")),
            ("ikev2-nego-child-fail-psk", "ike*-nego-*-fail*", true, Some("-psk")),
            ("routed-config-p1-success", "*-config-p1-success", true, Some("")),
            ("x ike-nego", "ike", true, None),
            ("x ike-nego", "ike", false, Some("-nego")),
            ("a b", "a*c", true, None),
            ("", "", true, Some("")),
        ] {
            assert_eq!(rest(text, pattern, is_anchored), want, "{text}: {pattern}");
        }
    }

    #[test]
    fn what_stands_between() {
        let sa = "started. Initiated SA: 192.0.2.1[500]-2001:db8::9[4500] SPI:1.";
        for (text, head, tail, want) in [
            (sa, " SA: ", "[", Some("192.0.2.1")),
            (sa, " SA: *[", "]", Some("500")),
            (sa, " SA: *]-", "[", Some("2001:db8::9")),
            (sa, " SA: *]-*[", "]", Some("4500")),
            ("User name: ann.", "User name: ", ",", Some("ann")),
            ("Antivirus package upgraded", "", " upgraded", Some("Antivirus package")),
            ("cleared by user ann ", "by user ", "", Some("ann")),
            ("nobody", "User name: ", ",", None),
        ] {
            assert_eq!(between(text, head, tail), want, "{head}");
        }
    }

    #[test]
    fn kinds_by_subtype_event_and_description() {
        let kinds = kinds();
        for (subtype, event, description, want) in [
            ("routing", "routed-config-p2-success", "", Some((Table::DeviceConfigStateChange, 1))),
            ("general", "unknown", "Config installed", Some((Table::DeviceConfigStateChange, 1))),
            ("general", "general", "User Config installed logged about", None),
            ("auth", "general", "Config installed", None),
            ("VPN", "ike-nego-p1-fail-psk", "", Some((Table::TunnelActivity, 99))),
            (
                "vpn",
                "ikev2-nego-child-succ",
                "as initiator, non-rekey. Established SA",
                Some((Table::TunnelActivity, 1)),
            ),
            ("vpn", "ikev2-nego-child-succ", "as initiator, rekey. Established SA", Some((Table::TunnelActivity, 3))),
            ("vpn", "ike-config-p1-success", "", Some((Table::DeviceConfigStateChange, 1))),
            ("ha", "state-change", "HA Group 1: Moved from state Active to state Passive", None),
            ("vpn", "", "", None),
        ] {
            let found = find(&kinds, subtype, event, description).map(|kind| (kind.table, kind.activity));
            assert_eq!(found, want, "{subtype} {event} {description}");
        }
    }

    #[test]
    fn a_class_gets_what_it_requires() {
        for kind in kinds() {
            let has = |path| kind.columns.iter().any(|column| Some(column.target.leaf) == kind.table.leaf(path));
            assert!(kind.table != Table::ApplicationLifecycle || has("app.name"), "{kind:?}");
            assert!(kind.table != Table::EventLogActivity || has("log_name"), "{kind:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_event() {
        for line in [
            "",
            "vpn ike - tunnel_activity Open",
            "vpn ike - tunnel Open -",
            "vpn ike - tunnel_activity Opens -",
            "vpn ike - tunnel_activity Open Done",
            "vpn ike - tunnel_activity Open - app_nam=x",
            "vpn ike - tunnel_activity Open - app_name",
        ] {
            assert!(kind(line).is_none(), "{line}");
        }
    }
}
