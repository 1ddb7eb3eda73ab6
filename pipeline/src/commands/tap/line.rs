//! A row as one line for people: its table, and `column=value` of what it has.

use anstyle::{AnsiColor, Style};
use dataflow::json::HOT_COLUMNS;
use serde_json::{Map, Value};

const TABLE: Style = AnsiColor::Cyan.on_default().bold();
const NAME: Style = Style::new().dimmed();

/// What is left out of a whole row: where it comes from, copies of other columns, what is not parsed, and names of numbers.
const QUIET: [&str; 5] = ["metadata", "raw_data", "unmapped", "activity_id", "observables"];

/// The line. Of a whole row what hardly anybody reads is left out.
pub(super) fn of(table: &str, row: &Map<String, Value>, is_whole: bool, is_colored: bool) -> String {
    let mut line = painted(table, TABLE, is_colored);
    for (name, value) in row {
        let is_quiet =
            name.starts_with('_') || QUIET.contains(&name.as_str()) || is_copy(name) || is_number_of_name(name, row);
        if !is_whole || !is_quiet || name == "_offset" && table == "received" {
            push(name, value, &mut line, is_colored);
        }
    }
    line
}

fn is_copy(name: &str) -> bool {
    HOT_COLUMNS.contains(&name) && name != "tenant_uid"
}

/// `severity_id` beside `severity`.
fn is_number_of_name(name: &str, row: &Map<String, Value>) -> bool {
    name.strip_suffix("_id").is_some_and(|caption| row.contains_key(caption))
}

fn push(path: &str, value: &Value, line: &mut String, is_colored: bool) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner.iter().filter(|(name, _)| !is_number_of_name(name, inner)) {
                push(&format!("{path}.{name}"), value, line, is_colored);
            }
        }
        Value::Null => {}
        value => {
            let text = match value {
                Value::String(text) if text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"') => {
                    value.to_string()
                }
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            line.push(' ');
            line.push_str(&painted(&format!("{path}="), NAME, is_colored));
            line.push_str(&text);
        }
    }
}

fn painted(text: &str, style: Style, is_colored: bool) -> String {
    if is_colored { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Map<String, Value> {
        let row = r#"{"_topic":"fw","time":"2026-01-01T00:00:00Z","severity_id":1,"severity":"Informational","src_ip":"10.0.0.1",
            "src_endpoint":{"ip":"10.0.0.1","type_id":1,"type":"Server","hostname":null},"message":"a\nb c","tags":["x"],"metadata":{"uid":"1"}}"#;
        serde_json::from_str(row).expect("an object")
    }

    #[test]
    fn a_line_holds_what_people_read() {
        assert_eq!(
            of("network_activity", &row(), true, false),
            "network_activity time=2026-01-01T00:00:00Z severity=Informational src_endpoint.ip=10.0.0.1 src_endpoint.type=Server \
             message=\"a\\nb c\" tags=[\"x\"]"
        );
        let asked = serde_json::from_str(r#"{"src_ip":"10.0.0.1","_offset":7}"#).expect("an object");
        assert_eq!(of("t", &asked, false, false), "t src_ip=10.0.0.1 _offset=7");
        assert!(of("t", &asked, false, true).starts_with("\u{1b}["));
    }
}
