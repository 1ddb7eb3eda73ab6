//! An alert in ArcSight's Common Event Format.

use std::fmt::Write;

use serde_json::Value;

/// `CEF:0|Palisade|Palisade|version|rule|title|severity|extension`.
pub(super) fn line(finding: &Value) -> String {
    let text = |path: &str| finding.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let header = [
        "Palisade",
        "Palisade",
        env!("CARGO_PKG_VERSION"),
        text("/finding_info/analytic/uid"),
        text("/finding_info/title"),
    ];
    let mut line = String::from("CEF:0");
    for field in header {
        line.push('|');
        escape(field, '|', &mut line);
    }
    let _ = write!(line, "|{}|", severity(finding["severity_id"].as_i64()));
    extension(finding, &mut line);
    line
}

/// CEF goes from 0 to 10.
fn severity(of_ocsf: Option<i64>) -> i64 {
    match of_ocsf {
        Some(1) => 1,
        Some(2) => 3,
        Some(3) => 5,
        Some(4) => 8,
        Some(5 | 6) => 10,
        _ => 0,
    }
}

fn extension(finding: &Value, line: &mut String) {
    let plain = [
        ("externalId", "/finding_info/uid"),
        ("act", "/activity_name"),
        ("rt", "/finding_info/created_time"),
        ("start", "/start_time"),
        ("end", "/time"),
        ("src", "/evidences/0/src_endpoint/ip"),
        ("spt", "/evidences/0/src_endpoint/port"),
        ("dst", "/evidences/0/dst_endpoint/ip"),
        ("dpt", "/evidences/0/dst_endpoint/port"),
        ("suser", "/evidences/0/actor/user/name"),
        ("msg", "/finding_info/desc"),
    ];
    let custom = [
        ("tenant", "/metadata/tenant_uid"),
        ("revision", "/metadata/uid"),
        ("values", "/unmapped"),
        ("technique", "/finding_info/attacks/0/technique/uid"),
    ];
    for (key, path) in plain {
        pair(key, finding.pointer(path), line);
    }
    for (number, (label, path)) in (1..).zip(custom) {
        if pair(&format!("cs{number}"), finding.pointer(path), line) {
            let _ = write!(line, " cs{number}Label={label}");
        }
    }
}

/// True if there was a value.
fn pair(key: &str, value: Option<&Value>, line: &mut String) -> bool {
    let text = match value {
        None | Some(Value::Null) => return false,
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    if !line.ends_with('|') {
        line.push(' ');
    }
    line.push_str(key);
    line.push('=');
    escape(&text, '=', line);
    true
}

fn escape(text: &str, special: char, line: &mut String) {
    for c in text.chars() {
        match c {
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\\' => line.push_str("\\\\"),
            c if c == special => line.extend(['\\', c]),
            c => line.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_escaped_where_they_stand() {
        let finding = serde_json::json!({
            "activity_name": "Create", "severity_id": 4, "time": 1_764_000_060_000_i64, "start_time": 1_764_000_000_000_i64,
            "finding_info": {"uid": "u", "title": "a|b\\c\nd", "desc": "x=1\r\ny|z", "analytic": {"uid": "r-1"},
                             "created_time": 1_764_000_061_000_i64},
            "metadata": {"tenant_uid": "acme", "uid": "u/0"},
            "evidences": [{"src_endpoint": {"ip": "192.0.2.1", "port": 5}}],
            "unmapped": {"n": 3},
        });
        let header = format!(r"CEF:0|Palisade|Palisade|{}|r-1|a\|b\\c\nd|8|", env!("CARGO_PKG_VERSION"));
        let extension = concat!(
            "externalId=u act=Create rt=1764000061000 start=1764000000000 end=1764000060000 src=192.0.2.1 spt=5 ",
            r"msg=x\=1\r\ny|z cs1=acme cs1Label=tenant cs2=u/0 cs2Label=revision ",
            r#"cs3={"n":3} cs3Label=values"#,
        );
        assert_eq!(line(&finding), header + extension);
    }

    #[test]
    fn a_finding_that_says_nothing_is_a_line_all_the_same() {
        assert!(line(&Value::Null).ends_with("||0|"), "{}", line(&Value::Null));
    }
}
