//! A row as one line for people: its table, and `column=value` of what it has.

use anstyle::{AnsiColor, Style};
use dataflow::json::HOT_COLUMNS;
use serde_json::{Map, Value};

const TABLE: Style = AnsiColor::Cyan.on_default().bold();
const NAME: Style = Style::new().dimmed();

/// When and whose it is, before what it is.
const FIRST: [&str; 2] = ["time", "tenant_uid"];
/// What is left out of a whole row besides where it comes from, copies of other columns, and numbers that have a name.
const QUIET: [&str; 8] =
    ["metadata", "raw_data", "unmapped", "category_name", "class_name", "type_name", "evidences", "finding_info.desc"];

/// The line: the fields that were asked for, or the whole row without what hardly anybody reads.
pub(super) fn of(table: &str, row: &Map<String, Value>, fields: &[String], is_colored: bool) -> String {
    let is_whole = fields.is_empty();
    let mut line = Line { text: String::new(), is_whole, is_colored };
    line.paint(table, TABLE);
    let first: Vec<&str> = if is_whole { FIRST.to_vec() } else { fields.iter().map(String::as_str).collect() };
    for name in first {
        row.get(name).into_iter().for_each(|value| line.push(name, value));
    }
    if is_whole {
        line.push_all("", row);
    }
    line.text
}

struct Line {
    text: String,
    is_whole: bool,
    is_colored: bool,
}

impl Line {
    fn push_all(&mut self, above: &str, columns: &Map<String, Value>) {
        for (name, value) in columns {
            let path = format!("{above}{name}");
            let is_quiet = self.is_whole && (is_quiet(&path) || is_number_of_name(name, columns));
            if !is_quiet && !FIRST.contains(&path.as_str()) {
                self.push(&path, value);
            }
        }
    }

    fn push(&mut self, path: &str, value: &Value) {
        match value {
            Value::Object(columns) => self.push_all(&format!("{path}."), columns),
            Value::Null => {}
            value => {
                self.text.push(' ');
                self.paint(&format!("{path}="), NAME);
                match value.as_str().filter(|text| is_plain(text)) {
                    Some(text) => self.text.push_str(text),
                    None => self.text.push_str(&value.to_string()),
                }
            }
        }
    }

    fn paint(&mut self, text: &str, style: Style) {
        match self.is_colored {
            true => self.text.push_str(&format!("{style}{text}{style:#}")),
            false => self.text.push_str(text),
        }
    }
}

fn is_quiet(path: &str) -> bool {
    path.starts_with('_') || QUIET.contains(&path) || HOT_COLUMNS.contains(&path)
}

/// `severity_id` beside `severity`, `class_uid` beside `class_name`, `protocol_num` beside `protocol_name`.
fn is_number_of_name(name: &str, columns: &Map<String, Value>) -> bool {
    let has = |caption: &str| columns.contains_key(caption) || columns.contains_key(&format!("{caption}_name"));
    ["_id", "_uid", "_num"].iter().any(|end| name.strip_suffix(end).is_some_and(has))
}

/// True if the text needs no quotes.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Map<String, Value> {
        let row = r#"{"_topic":"fw","class_uid":4001,"class_name":"N","message":"a\nb c","metadata":{"uid":"1"},"severity_id":1,
            "severity":"Low","src_endpoint":{"ip":"10.0.0.1","type_id":1,"type":"Server","hostname":null},"src_ip":"10.0.0.1",
            "tags":["x"],"tenant_uid":"acme","time":"2026-01-01T00:00:00Z"}"#;
        serde_json::from_str(row).expect("an object")
    }

    #[test]
    fn a_line_holds_what_people_read() {
        assert_eq!(
            of("network_activity", &row(), &[], false),
            "network_activity time=2026-01-01T00:00:00Z tenant_uid=acme message=\"a\\nb c\" severity=Low \
             src_endpoint.ip=10.0.0.1 src_endpoint.type=Server tags=[\"x\"]"
        );
        let asked =
            serde_json::from_str(r#"{"src_ip":"10.0.0.1","_offset":7,"type_id":1,"type":""}"#).expect("an object");
        let fields = ["type", "type_id", "src_ip", "_offset"].map(str::to_owned);
        assert_eq!(of("t", &asked, &fields, false), "t type=\"\" type_id=1 src_ip=10.0.0.1 _offset=7");
        assert!(of("t", &asked, &fields, true).starts_with("\u{1b}["));
    }
}
