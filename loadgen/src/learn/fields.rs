//! What is looked at in a line, whatever its format: found by the vendors' field pages, and by nothing of `ingest`.

use serde_json::Value;

/// A line's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Format {
    Strata,
    Csv,
    CloudTrail,
    VpcFlow,
}

/// What is looked at. Texts are only compared and counted.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) format: Format,
    /// `TRAFFIC` and such; empty if the format has no types.
    pub(super) kind: String,
    /// True of the log of a session's end.
    pub(super) is_end: bool,
    pub(super) minute: Option<i64>,
    pub(super) device: String,
    pub(super) source: String,
    pub(super) target: String,
    pub(super) user: String,
    pub(super) app: String,
    pub(super) action: String,
    pub(super) protocol: String,
    pub(super) port: Option<u16>,
    pub(super) sent: Option<u64>,
    pub(super) received: Option<u64>,
    pub(super) seconds: Option<u64>,
}

/// The types of PAN-OS logs.
const KINDS: [&str; 12] = [
    "TRAFFIC",
    "THREAT",
    "SYSTEM",
    "CONFIG",
    "GLOBALPROTECT",
    "HIPMATCH",
    "USERID",
    "IPTAG",
    "AUTHENTICATION",
    "DECRYPTION",
    "SCTP",
    "GTP",
];

/// The events of a line; none if its format is not known.
pub(super) fn events(line: &str) -> Vec<Seen> {
    let line = line.trim();
    if line.starts_with('{') {
        return serde_json::from_str(line).map(|value| json(&value)).unwrap_or_default();
    }
    csv(line).or_else(|| flow(line)).into_iter().collect()
}

fn json(value: &Value) -> Vec<Seen> {
    match value["Records"].as_array() {
        Some(records) => records.iter().filter_map(call).collect(),
        None => call(value).or_else(|| strata(value)).into_iter().collect(),
    }
}

/// A member as text; empty if it is none.
fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn call(value: &Value) -> Option<Seen> {
    value["eventSource"].as_str()?;
    let source = text(value, "sourceIPAddress");
    let is_refused = value["errorCode"].is_string();
    Some(Seen {
        minute: minute(&text(value, "eventTime")),
        source: if source.contains(|c: char| c.is_ascii_alphabetic()) && !source.contains(':') {
            String::new()
        } else {
            source
        },
        user: text(&value["userIdentity"], "arn"),
        device: text(value, "recipientAccountId"),
        action: if is_refused { "error" } else { "success" }.to_owned(),
        ..Seen::blank(Format::CloudTrail, "")
    })
}

fn strata(value: &Value) -> Option<Seen> {
    let kind = value["LogType"].as_str().filter(|k| KINDS.contains(k))?;
    let number = |name: &str| text(value, name).parse().ok();
    Some(Seen {
        minute: minute(&text(value, "TimeGenerated")),
        is_end: value["Subtype"] == "end",
        device: text(value, "DeviceSN"),
        source: text(value, "SourceAddress"),
        target: text(value, "DestinationAddress"),
        user: text(value, "SourceUser"),
        app: text(value, "Application"),
        action: text(value, "Action"),
        protocol: text(value, "Protocol"),
        port: number("DestinationPort").and_then(|n: u64| u16::try_from(n).ok()),
        sent: number("BytesSent"),
        received: number("BytesReceived"),
        seconds: number("SessionDuration"),
        ..Seen::blank(Format::Strata, kind)
    })
}

/// A PAN-OS line, whatever stands before its first column.
fn csv(line: &str) -> Option<Seen> {
    let columns = columns(line);
    let kind = columns.get(3).filter(|k| KINDS.contains(&k.as_str()))?;
    let at = |n: usize| columns.get(n).cloned().unwrap_or_default();
    let head = Seen { minute: minute(&at(6)), device: at(2), ..Seen::blank(Format::Csv, kind) };
    if !["TRAFFIC", "THREAT"].contains(&kind.as_str()) {
        return Some(head);
    }
    let is_traffic = kind == "TRAFFIC";
    let number = |n: usize| at(n).parse().ok().filter(|_| is_traffic);
    Some(Seen {
        is_end: at(4) == "end",
        source: at(7),
        target: at(8),
        user: at(12),
        app: at(14),
        port: at(25).parse().ok(),
        protocol: at(29),
        action: at(30),
        sent: number(32),
        received: number(33),
        seconds: number(36),
        ..head
    })
}

/// Columns divided by commas; a comma in quotes divides nothing.
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => columns.push(String::new()),
            _ => columns.iter_mut().last().into_iter().for_each(|column| column.push(c)),
        }
    }
    columns
}

/// A VPC flow log of the default format.
fn flow(line: &str) -> Option<Seen> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [version, _, interface, source, target, _, port, protocol, _, bytes, _, end, action, _] = fields[..] else {
        return None;
    };
    let end: i64 = end.parse().ok().filter(|_| version == "2")?;
    Some(Seen {
        minute: Some(end.div_euclid(60)),
        device: interface.to_owned(),
        source: source.to_owned(),
        target: target.to_owned(),
        action: action.to_owned(),
        protocol: match protocol {
            "6" => "tcp",
            "17" => "udp",
            "1" => "icmp",
            _ => "",
        }
        .to_owned(),
        port: port.parse().ok(),
        sent: bytes.parse().ok(),
        ..Seen::blank(Format::VpcFlow, "")
    })
}

/// The minute since 1970 of `2026/01/05 08:00:00` or `2026-01-05T08:00:00Z`.
fn minute(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    let is_time = (1970..2200).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    (is_time && hour < 24 && minute < 60)
        .then(|| dataflow::time::days_from_civil(year, month, day) * 1_440 + hour * 60 + minute)
}

impl Seen {
    fn blank(format: Format, kind: &str) -> Self {
        Self {
            format,
            kind: kind.to_owned(),
            is_end: false,
            minute: None,
            device: String::new(),
            source: String::new(),
            target: String::new(),
            user: String::new(),
            app: String::new(),
            action: String::new(),
            protocol: String::new(),
            port: None,
            sent: None,
            received: None,
            seconds: None,
        }
    }
}
