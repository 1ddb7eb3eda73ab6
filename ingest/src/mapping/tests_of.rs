//! A mapping's own tests: a record, and what its row must hold.

use dataflow::json::JsonRows;
use dataflow::{BatchBuilder, ChunkBuilder, DeadLetters, Decoder, PartitionId};

use crate::decode::AutoDecoder;

use super::MappingError;
use super::attribute::text;
use super::error::{Mistake, Place};
use super::yaml::Node;

/// One entry of `tests:`.
#[derive(Debug, Clone)]
pub(super) struct Case {
    file: String,
    mapping: &'static str,
    at: Place,
    log: String,
    /// Path, value, and where it stands.
    expect: Vec<(String, String, Place)>,
}

/// A test that did not come out as it says.
pub type TestFailure = MappingError;

/// Receive time of every test: 2026-11-20T10:00:00Z.
const RECEIVED_AT: i64 = 1_795_168_800_000_000;

impl Case {
    pub(super) fn read(node: &Node, file: &str, mapping: &'static str) -> Result<Vec<Self>, Mistake> {
        let Some(tests) = node.get("tests") else { return Ok(Vec::new()) };
        tests.value.each().iter().map(|node| Self::one(node, file, mapping)).collect()
    }

    fn one(node: &Node, file: &str, mapping: &'static str) -> Result<Self, Mistake> {
        for entry in node.entries().unwrap_or_default() {
            if !["log", "expect"].contains(&entry.key.as_str()) {
                return Err(Mistake::new(entry.at, format!("unknown key {}; a test has log and expect", entry.key)));
            }
        }
        let part = |key: &str| node.get(key).ok_or_else(|| Mistake::new(node.at, format!("{key}: is missing")));
        let log = text(&part("log")?.value)?.trim_end().to_owned();
        let expect = part("expect")?;
        let entries =
            expect.value.entries().ok_or_else(|| Mistake::new(expect.at, "expect: is a map of attributes"))?;
        let wanted = |e: &super::yaml::Entry| Ok((e.key.clone(), text(&e.value)?.to_owned(), e.at));
        let expect = entries.iter().map(wanted).collect::<Result<_, Mistake>>()?;
        Ok(Self { file: file.to_owned(), mapping, at: node.at, log, expect })
    }

    fn failure(&self, at: Place, what: String) -> TestFailure {
        MappingError { file: self.file.clone(), at, what: format!("{}: {what}", self.mapping), suggestion: None }
    }

    /// Runs the test.
    pub(super) fn run(&self, decoder: &mut AutoDecoder) -> Vec<TestFailure> {
        let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
        let mut chunk = ChunkBuilder::new(PartitionId::new("test", "0", 0), "test".into(), 0);
        chunk.push(self.log.as_bytes(), 0, RECEIVED_AT);
        decoder.decode(&chunk.finish(), &mut rows, &mut dead);
        if let Some((reason, _)) = dead.take_counts().into_iter().next() {
            let wanted = self.expect.iter().any(|(path, want, _)| path == "dead_letter" && *want == reason.to_string());
            return if wanted { Vec::new() } else { vec![self.failure(self.at, format!("a dead letter: {reason}"))] };
        }
        let batches = rows.finish();
        let Some(batch) = batches.first() else { return vec![self.failure(self.at, "no row".to_owned())] };
        let mut json = String::new();
        JsonRows::new(batch.table, &batch.rows).write(0, &mut json);
        let row: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
        let class = batch.table.name();
        self.expect.iter().filter_map(|(path, want, at)| self.compare(&row, class, path, want, *at)).collect()
    }

    fn compare(&self, row: &serde_json::Value, class: &str, path: &str, want: &str, at: Place) -> Option<TestFailure> {
        let found = match path {
            "class" => class.to_owned(),
            path => match value_at(row, path) {
                None | Some(serde_json::Value::Null) => "-".to_owned(),
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            },
        };
        (found != want).then(|| self.failure(at, format!("{path} is {found:?}, not {want:?}")))
    }
}

/// The value at `a.b[0].c`; a name with dots may stand in quotes.
fn value_at<'v>(row: &'v serde_json::Value, path: &str) -> Option<&'v serde_json::Value> {
    let mut value = row;
    let mut rest = path;
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        value = value.get(name)?;
        rest = after;
        while let Some(index) = rest.strip_prefix('[') {
            let (index, after) = index.split_once(']')?;
            value = value.get(index.parse::<usize>().ok()?)?;
            rest = after;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
    }
    Some(value)
}
