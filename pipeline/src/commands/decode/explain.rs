//! `palisade decode --explain`: for each line which decoder took it, and why.

use ingest::decode::Taken;
use serde::Serialize;

use crate::cli::Output;

/// Events of one line that one decoder took.
#[derive(Debug, Serialize)]
struct Line<'a> {
    line: i64,
    decoder: &'a str,
    format: &'a str,
    syslog_header: &'a str,
    why: &'a str,
    events: usize,
}

/// Appends a line of text for each of the records' decoders.
pub(super) fn push(taken: &[Taken], output: Output, text: &mut String) {
    let same = |a: &Taken, b: &Taken| a.offset == b.offset && a.by == b.by && a.why == b.why;
    for group in taken.chunk_by(same) {
        let Taken { offset, by, format, header, why, .. } = &group[0];
        let line = Line { line: offset + 1, decoder: by, format, syslog_header: header, why, events: group.len() };
        match output {
            Output::Json => text.push_str(&serde_json::to_string(&line).unwrap_or_default()),
            Output::Text => line.push_text(text),
        }
        text.push('\n');
    }
}

impl Line<'_> {
    fn push_text(&self, text: &mut String) {
        let Line { line, decoder, format, syslog_header, why, events } = self;
        text.push_str(&format!("line {line}: {decoder} ({format}"));
        if *syslog_header != "none" {
            text.push_str(&format!(", syslog {syslog_header}"));
        }
        if *events > 1 {
            text.push_str(&format!(", {events} events"));
        }
        text.push_str(&format!("): {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_a_decoder() {
        let taken =
            |offset, index, by, header| Taken { offset, index, by, format: "kv", header, why: "a = 1".to_owned() };
        let taken =
            [taken(0, 0, "x", "rfc3164"), taken(1, 0, "x", "none"), taken(1, 1, "x", "none"), taken(1, 2, "y", "none")];
        let mut text = String::new();
        push(&taken, Output::Text, &mut text);
        let want = "line 1: x (kv, syslog rfc3164): a = 1\nline 2: x (kv, 2 events): a = 1\nline 2: y (kv): a = 1\n";
        assert_eq!(text, want);
        text.clear();
        push(&taken[3..], Output::Json, &mut text);
        let want = r#"{"line":2,"decoder":"y","format":"kv","syslog_header":"none","why":"a = 1","events":1}"#;
        assert_eq!(text.trim_end(), want);
    }
}
