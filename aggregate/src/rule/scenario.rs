//! A rule's own tests: events in, alerts out, through the very stages that run live.
//!
//! Each test runs in several splits: one partition and one delta; three partitions whose rows go round robin, in several
//! deltas and merge groups. All must give the alerts that the test expects, no more and no fewer.

mod compare;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use dataflow::batch_builder::leaf_kind;
use dataflow::schema::{LeafKind, Place};
use dataflow::{OffsetRange, PartitionId, Positions, Record, Table, TableBatch, TableBuilder};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Rule, RuleSet};
use crate::error::Result;
use crate::held::{Held, HeldBy};
use crate::json::text;
use crate::leaves::Leaves;
use crate::merge_stage::{MergeStage, StepStamp};
use crate::source_stage::SourceStage;
use crate::sql::nearest;

use compare::compare;
pub use compare::{AlertDifference, AlertFields, Difference};

/// Time zero of a test: 2026-01-01T00:00:00Z, the start of every window up to a day.
const BASE_US: i64 = 1_767_225_600_000_000;

/// Most rows a test may make.
const ROWS_MAX: usize = 1_000_000;

/// One test of a rule file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTest {
    pub(crate) name: String,
    events: Vec<RawEvents>,
    #[serde(default)]
    alerts: Vec<RawAlert>,
    /// Rows that come too late for a window.
    #[serde(default)]
    late_rows: u64,
    /// Alerts that suppression keeps back; not compared if it is not said.
    suppressed: Option<u64>,
    /// Alerts that exceptions take away; not compared if it is not said.
    excepted: Option<u64>,
}

/// Rows made from one template, or a watermark that every partition reaches.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvents {
    /// Everything before is merged, and the watermark rises to this time.
    watermark: Option<String>,
    /// Time of the first row since the test's time zero.
    at: Option<String>,
    #[serde(default = "one")]
    count: usize,
    /// Time between rows.
    every: Option<String>,
    #[serde(default = "default_tenant")]
    tenant: String,
    /// Another table than the rule's first.
    table: Option<Table>,
    #[serde(default)]
    set: BTreeMap<String, RawValue>,
}

/// A column's value: the same in every row, in turn, or counting.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum RawValue {
    /// `{from: 1, step: 2, prefix: "10.0.0."}`, text if there is a prefix or suffix.
    Count {
        from: i64,
        #[serde(default = "step_one")]
        step: i64,
        prefix: Option<String>,
        suffix: Option<String>,
    },
    /// One after the other, again and again.
    Cycle(Vec<Value>),
    Same(Value),
}

/// An alert that is expected in its final revision.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAlert {
    #[serde(default = "default_tenant")]
    tenant: String,
    /// Start of its window since the test's time zero.
    window_start: Option<String>,
    /// Selected columns, all or some.
    #[serde(default)]
    values: BTreeMap<String, Value>,
}

fn one() -> usize {
    1
}

fn step_one() -> i64 {
    1
}

fn default_tenant() -> String {
    "acme".to_owned()
}

/// `250ms`, `30s`, `5m`, `1h30m`, `2d` or `-10s`, in microseconds.
pub(crate) fn duration_us(text: &str) -> Option<i64> {
    let (sign, mut rest) = text.trim().strip_prefix('-').map_or((1, text.trim()), |t| (-1, t));
    if rest.is_empty() {
        return None;
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |n| digits + n);
        let unit = match rest[digits..unit_end].trim() {
            "us" => 1,
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => 60_000_000,
            "h" => 3_600_000_000,
            "d" => 86_400_000_000,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[unit_end..];
    }
    Some(sign * total)
}

impl RawTest {
    /// What is wrong with the test itself.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let times = self.events.iter().flat_map(|e| [&e.watermark, &e.at, &e.every]);
        for text in times.chain(self.alerts.iter().map(|a| &a.window_start)).flatten() {
            let fault =
                || Fault::new(text, format!("{text:?} is not a length of time")).suggest("write it as 30s or 5m");
            duration_us(text).ok_or_else(fault)?;
        }
        if self.events.iter().map(|e| e.count).sum::<usize>() > ROWS_MAX {
            return Err(Fault::new("count", format!("more than {ROWS_MAX} rows")));
        }
        Ok(())
    }

    /// What is wrong with its columns: those that it sets, and those that it expects.
    pub(crate) fn check_columns(&self, rule: &Rule) -> Result<(), Fault> {
        for events in &self.events {
            let table = events.table.unwrap_or_else(|| rule.tables()[0]);
            let (mut builder, mut element) = (TableBuilder::new(table), None);
            for (path, value) in &events.set {
                let names = || table.layout().leaves.iter().map(|leaf| leaf.path.as_str());
                let leaf = element_path(&mut builder, path, &mut element);
                let fits = leaf.and_then(|leaf| value.each().try_for_each(|value| set(&mut builder, &leaf, &value)));
                fits.map_err(|what| {
                    let suggestion = match table.leaf(path) {
                        Some(leaf) => Some(format!("it holds {}", held(leaf_kind(table, leaf)))),
                        None => nearest(path, names()).map(|near| format!("did you mean {near}?")),
                    };
                    Fault { word: path.clone(), what, suggestion }
                })?;
            }
        }
        let selects = rule.selects();
        let mut expected = self.alerts.iter().flat_map(|alert| alert.values.keys());
        let Some(name) = expected.find(|name| !selects.contains(&name.as_str())) else { return Ok(()) };
        let fault = Fault::new(name, format!("the rule selects no column {name}"));
        Err(match nearest(name, selects.iter().copied()) {
            Some(near) => fault.suggest(format!("did you mean {near}?")),
            None => fault.suggest(format!("it selects {}", selects.join(", "))),
        })
    }
}

/// What is wrong with a test: the word that is, so that its place is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) word: String,
    pub(crate) what: String,
    pub(crate) suggestion: Option<String>,
}

impl Fault {
    fn new(word: &str, what: String) -> Self {
        Self { word: word.to_owned(), what, suggestion: None }
    }

    fn suggest(self, suggestion: impl Into<String>) -> Self {
        Self { suggestion: Some(suggestion.into()), ..self }
    }
}

/// How one test of one rule ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestOutcome {
    /// The rule's title.
    pub rule: String,
    /// The rule's uid.
    pub uid: String,
    /// The file that holds the test, as it was named.
    pub file: String,
    /// The test's name.
    pub test: String,
    /// What was not as expected; none if the test passed.
    pub differences: Vec<Difference>,
}

impl TestOutcome {
    /// True if all was as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    /// A line a fault.
    pub fn failures(&self) -> Vec<String> {
        self.differences.iter().flat_map(Difference::lines).collect()
    }
}

/// Runs the tests that the rule files hold. Only the rule under test sees the events.
pub fn run_tests(rules: &Arc<RuleSet>) -> Vec<TestOutcome> {
    let tests = rules.rules().iter().flat_map(|rule| rule.tests.iter().map(move |test| (rule, test)));
    tests.map(|(rule, test)| run_test(rules, rule, test)).collect()
}

const SPLITS: [Split; 3] = [Split::new(1, 1, 1), Split::new(3, 1, 4), Split::new(3, 7, 1)];

/// How a test's rows are cut up.
#[derive(Debug, Clone, Copy)]
struct Split {
    partitions: usize,
    deltas: usize,
    groups: NonZeroU32,
}

impl Split {
    const fn new(partitions: usize, deltas: usize, groups: u32) -> Self {
        Self { partitions, deltas, groups: NonZeroU32::MIN.saturating_add(groups - 1) }
    }
}

fn run_test(rules: &Arc<RuleSet>, rule: &Rule, test: &RawTest) -> TestOutcome {
    let mut differences = Vec::new();
    for split in SPLITS {
        let found = Run::new(rules, rule, split).and_then(|run| run.finish(test));
        let difference = found.map_or_else(Difference::of_error, |found| compare(test, found));
        let Split { partitions, deltas, groups } = split;
        let split = format!("partitions: {partitions}, deltas: {deltas}, merge groups: {groups}");
        compare::note(&mut differences, split, difference);
    }
    let (title, uid, file) = (rule.title().to_owned(), rule.uid().to_owned(), rule.file().to_owned());
    TestOutcome { rule: title, uid, file, test: test.name.clone(), differences }
}

/// An alert that came out, in its final revision.
#[derive(Debug, Clone)]
struct Found {
    tenant: String,
    window_start: Option<i64>,
    values: BTreeMap<String, Value>,
}

impl Found {
    fn matches(&self, wanted: &RawAlert) -> bool {
        let start = wanted.window_start.as_deref().and_then(duration_us).map(|us| BASE_US + us);
        self.tenant == wanted.tenant
            && (start.is_none() || start == self.window_start)
            && wanted.values.iter().all(|(name, value)| self.values.get(name) == Some(value))
    }
}

/// One run of one test.
struct Run<'a> {
    rule: &'a Rule,
    split: Split,
    sources: Vec<Source>,
    /// One a merge group.
    merges: Vec<MergeStage>,
    step: i64,
    /// Final revisions by alert id; none where it was closed.
    alerts: BTreeMap<String, Option<Found>>,
    late_rows: u64,
    held: Vec<Held>,
    next_source: usize,
}

/// All that a run gave.
#[derive(Debug)]
struct Given {
    /// Alerts in their final revision.
    alerts: Vec<Found>,
    late_rows: u64,
    suppressed: u64,
    excepted: u64,
}

struct Source {
    partition: PartitionId,
    stage: SourceStage,
    /// Rows of the open segment.
    rows: Vec<Row>,
    next: i64,
}

/// An event of a test.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) table: Table,
    pub(crate) tenant: String,
    pub(crate) time: i64,
    /// Columns by path.
    pub(crate) set: Vec<(String, Value)>,
}

impl<'a> Run<'a> {
    fn new(rules: &Arc<RuleSet>, rule: &'a Rule, split: Split) -> Result<Self, String> {
        let source = |i: usize| {
            let partition = PartitionId::new("test", "0", i32::try_from(i).unwrap_or(i32::MAX));
            let stage = SourceStage::new(rules, partition.clone(), 0, None, split.groups);
            Source { partition, stage, rows: Vec::new(), next: 0 }
        };
        let sources = (0..split.partitions).map(source).collect();
        let merges = (0..split.groups.get()).map(|group| MergeStage::new(rules, group)).collect();
        let (alerts, held) = (BTreeMap::new(), Vec::new());
        Ok(Self { rule, split, sources, merges, step: 0, alerts, late_rows: 0, held, next_source: 0 })
    }

    fn finish(mut self, test: &RawTest) -> Result<Given, String> {
        for events in &test.events {
            match events.watermark.as_deref().and_then(duration_us) {
                Some(us) => self.segment(Some(BASE_US + us)).map_err(|e| e.to_string())?,
                None => self.rows(events),
            }
        }
        self.segment(None).map_err(|e| e.to_string())?;
        let end = self.merges.iter().filter_map(MergeStage::close_all_watermark).max();
        self.merge_step(end, None).map_err(|e| e.to_string())?;
        let own = |by: HeldBy| self.held.iter().filter(move |h| h.by == by && h.rule == self.rule.uid());
        let [suppressed, excepted] =
            [HeldBy::Suppression, HeldBy::Exception].map(|by| own(by).map(|held| held.alerts).sum());
        let alerts = self.alerts.into_values().flatten().collect();
        Ok(Given { alerts, late_rows: self.late_rows, suppressed, excepted })
    }

    fn rows(&mut self, events: &RawEvents) {
        let table = events.table.unwrap_or_else(|| self.rule.tables()[0]);
        for row in events.rows(table) {
            let source = self.next_source % self.sources.len();
            self.next_source += 1;
            self.sources[source].rows.push(row);
        }
    }

    /// Merges the rows since the last segment, in the split's deltas, and raises the watermark.
    fn segment(&mut self, watermark: Option<i64>) -> Result<(), String> {
        for delta in 0..self.split.deltas {
            for index in 0..self.sources.len() {
                let source = &mut self.sources[index];
                let (from, to) = (source.rows.len() * delta, source.rows.len() * (delta + 1));
                let rows = source.rows[from / self.split.deltas..to / self.split.deltas].to_vec();
                self.range(index, &rows)?;
            }
            self.merge_step(None, None).map_err(|e| e.to_string())?;
        }
        self.sources.iter_mut().for_each(|s| s.rows.clear());
        self.merge_step(watermark, watermark).map_err(|e| e.to_string())
    }

    fn range(&mut self, index: usize, rows: &[Row]) -> Result<(), String> {
        if rows.is_empty() {
            return Ok(());
        }
        let source = &mut self.sources[index];
        let start = source.next;
        source.next += rows.len() as i64;
        let range = OffsetRange { start, next: source.next };
        for batch in batches(&source.partition, start, rows)? {
            source.stage.process(&batch).map_err(|e| e.to_string())?;
        }
        let delta = source.stage.take_delta().map_err(|e| e.to_string())?;
        for (merge, delta) in self.merges.iter_mut().zip(delta.deltas.into_groups()) {
            merge.apply(&source.partition, range, &delta).map_err(|e| e.to_string())?;
        }
        delta.alerts.iter().for_each(|a| note(&mut self.alerts, self.rule, a));
        Held::add(&mut self.held, delta.held);
        Ok(())
    }

    /// The end of the events is no time: watches judge what was received before a watermark that the test sets.
    fn merge_step(&mut self, watermark: Option<i64>, received_until: Option<i64>) -> Result<()> {
        self.step += 1;
        let stamp = StepStamp { step: self.step, at: BASE_US, received_until };
        for merge in &mut self.merges {
            let output = merge.step(stamp, watermark, &Positions::new(), &BTreeMap::new())?;
            output.alerts.iter().for_each(|a| note(&mut self.alerts, self.rule, a));
            Held::add(&mut self.held, output.held);
            if let Some(late) = &output.late {
                let rows = late_rows_of(late).into_iter().filter(|(uid, _)| uid == self.rule.uid());
                self.late_rows += rows.map(|(_, rows)| u64::try_from(rows).unwrap_or_default()).sum::<u64>();
            }
        }
        Ok(())
    }
}

/// Rule uid and row count of each row of `late_window`.
fn late_rows_of(late: &TableBatch) -> Vec<(String, i64)> {
    let (Some(uids), Some(rows)) = (late.rows.column_by_name("rule_uid"), late.rows.column_by_name("rows")) else {
        return Vec::new();
    };
    (0..late.rows.num_rows()).map(|row| (text(uids, row), integer(rows, row).unwrap_or_default())).collect()
}

fn integer(column: &ArrayRef, row: usize) -> Option<i64> {
    let column = cast(column, &DataType::Int64).ok()?;
    column.is_valid(row).then(|| column.as_primitive::<Int64Type>().value(row))
}

/// Keeps the last revision of each alert of the rule.
fn note(alerts: &mut BTreeMap<String, Option<Found>>, rule: &Rule, batch: &TableBatch) {
    let column = |path: &str| finding_column(&batch.rows, path);
    let (uids, ids, tenants) = (column("finding_info.analytic.uid"), column("finding_info.uid"), column("tenant_uid"));
    let (activities, starts, values) = (column("activity_id"), column("_window_start"), column("unmapped"));
    for row in (0..batch.rows.num_rows()).filter(|&row| text(&uids, row) == rule.uid()) {
        let found = Found {
            tenant: text(&tenants, row),
            window_start: integer(&starts, row),
            values: serde_json::from_str(&text(&values, row)).unwrap_or_default(),
        };
        let is_closed = integer(&activities, row) == Some(3);
        alerts.insert(text(&ids, row), (!is_closed).then_some(found));
    }
}

fn finding_column(rows: &RecordBatch, path: &str) -> ArrayRef {
    let leaves = Leaves::of(Table::DetectionFinding);
    let index = leaves.index(path).expect("the alert table has the columns that alerts fill");
    leaves.extract(rows, index).expect("alerts are in their table's schema")
}

impl RawTest {
    /// All its rows, if it expects alerts.
    #[cfg(test)]
    pub(crate) fn rows_that_alert(&self, rule: &Rule) -> Option<Vec<Row>> {
        let rows = self.events.iter().filter(|events| events.watermark.is_none());
        let rows = rows.flat_map(|events| events.rows(events.table.unwrap_or_else(|| rule.tables()[0])));
        (!self.alerts.is_empty()).then(|| rows.collect())
    }
}

impl RawEvents {
    /// Its rows, in a table.
    fn rows(&self, table: Table) -> impl Iterator<Item = Row> {
        let us = |text: &Option<String>| text.as_deref().and_then(duration_us).unwrap_or(0);
        let (at, every) = (us(&self.at), us(&self.every));
        (0..self.count).map(move |i| {
            let set = self.set.iter().map(|(path, value)| (path.clone(), value.at(i))).collect();
            Row { table, tenant: self.tenant.clone(), time: BASE_US + at + every * i as i64, set }
        })
    }
}

impl RawValue {
    /// Every value that it may give; of those that count, the first.
    fn each(&self) -> impl Iterator<Item = Value> {
        let count = if let RawValue::Cycle(values) = self { values.len() } else { 1 };
        (0..count).map(|i| self.at(i))
    }

    fn at(&self, i: usize) -> Value {
        match self {
            RawValue::Same(value) => value.clone(),
            RawValue::Cycle(values) => values.get(i % values.len().max(1)).cloned().unwrap_or_default(),
            RawValue::Count { from, step, prefix, suffix } => {
                let number = from + step * i as i64;
                match (prefix, suffix) {
                    (None, None) => Value::from(number),
                    (before, after) => {
                        let [before, after] = [before, after].map(|text| text.as_deref().unwrap_or_default());
                        Value::String(format!("{before}{number}{after}"))
                    }
                }
            }
        }
    }
}

/// The rows as batches, one a table, offsets from `start`.
pub(crate) fn batches(partition: &PartitionId, start: i64, rows: &[Row]) -> Result<Vec<TableBatch>, String> {
    let mut builders: BTreeMap<Table, TableBuilder> = BTreeMap::new();
    for (row, offset) in rows.iter().zip(start..) {
        let builder = builders.entry(row.table).or_insert_with(|| TableBuilder::new(row.table));
        let mut element = None;
        for (path, value) in &row.set {
            let path = element_path(builder, path, &mut element)?;
            set(builder, &path, value)?;
        }
        builder.set_i64(row.table.expect_leaf("time"), row.time);
        let record = Record { payload: b"", offset, received_at: row.time, full_len: 0 };
        builder.end_event(partition, &row.tenant, &record, 0);
    }
    Ok(builders.into_iter().map(|(table, mut b)| TableBatch { table, rows: b.finish() }).collect())
}

/// The leaf that `resources[0].name` is, in the list's next element if the path before was of another one.
fn element_path<'p>(
    builder: &mut TableBuilder,
    path: &'p str,
    element: &mut Option<&'p str>,
) -> Result<Cow<'p, str>, String> {
    let parts = path.split_once('[').and_then(|(list, rest)| Some((list, rest.split_once("].")?.1)));
    let Some((list, name)) = parts else { return Ok(Cow::Borrowed(path)) };
    let (table, leaf) = (builder.table(), format!("{list}[].{name}"));
    table.leaf(&leaf).ok_or_else(|| format!("table {table} has no column {leaf}"))?;
    let own = path.strip_suffix(name);
    if *element != own {
        builder.begin_element(list);
        *element = own;
    }
    Ok(Cow::Owned(leaf))
}

/// What a column holds, in words.
fn held(kind: LeafKind) -> &'static str {
    match kind {
        LeafKind::Keyword | LeafKind::Text => "a text",
        LeafKind::Json => "a JSON text",
        LeafKind::I32 | LeafKind::I64 => "a number",
        LeafKind::Time => "microseconds since 1970",
        LeafKind::Bool => "true or false",
        LeafKind::Binary => "bytes, which a test cannot set",
    }
}

fn set(builder: &mut TableBuilder, path: &str, value: &Value) -> Result<(), String> {
    let table = builder.table();
    let leaf = table.leaf(path).ok_or_else(|| format!("table {table} has no column {path}"))?;
    let leaf = match table.layout().leaves[leaf.index()].place {
        Place::SameAs(original) => original,
        Place::Own => leaf,
    };
    let wrong = || format!("{path} cannot hold {value}");
    match leaf_kind(table, leaf) {
        _ if value.is_null() => {}
        LeafKind::Keyword | LeafKind::Text | LeafKind::Json => {
            builder.set_str(leaf, value.as_str().ok_or_else(wrong)?);
        }
        LeafKind::I32 => {
            let number = value.as_i64().and_then(|n| i32::try_from(n).ok());
            builder.set_i32(leaf, number.ok_or_else(wrong)?);
        }
        LeafKind::I64 | LeafKind::Time => {
            builder.set_i64(leaf, value.as_i64().ok_or_else(wrong)?);
        }
        LeafKind::Bool => {
            builder.set_bool(leaf, value.as_bool().ok_or_else(wrong)?);
        }
        LeafKind::Binary => return Err(wrong()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(yaml: &str) -> RawValue {
        serde_saphyr::from_str(yaml).expect(yaml)
    }

    #[test]
    fn values_are_the_same_in_turn_or_counting() {
        for (yaml, want) in [
            ("10.0.0.1", ["\"10.0.0.1\"", "\"10.0.0.1\"", "\"10.0.0.1\""]),
            ("5", ["5", "5", "5"]),
            ("true", ["true", "true", "true"]),
            ("[a, 2]", ["\"a\"", "2", "\"a\""]),
            ("[]", ["null", "null", "null"]),
            ("{ from: 7 }", ["7", "8", "9"]),
            ("{ from: 7, step: -2 }", ["7", "5", "3"]),
            ("{ from: 7, prefix: w, suffix: .example }", ["\"w7.example\"", "\"w8.example\"", "\"w9.example\""]),
            ("{ from: 1, prefix: 10.0.0. }", ["\"10.0.0.1\"", "\"10.0.0.2\"", "\"10.0.0.3\""]),
        ] {
            let found = [0, 1, 2].map(|i| value(yaml).at(i).to_string());
            assert_eq!(found, want, "{yaml}");
        }
    }

    #[test]
    fn rows_become_batches_of_their_tables() {
        let row = |table, path: &str, value: Value| Row {
            table,
            tenant: "t".into(),
            time: 5,
            set: vec![(path.into(), value)],
        };
        let partition = PartitionId::new("test", "0", 0);
        let rows = [
            row(Table::NetworkActivity, "src_ip", "10.0.0.1".into()),
            row(Table::ApiActivity, "actor.session.is_mfa", true.into()),
            row(Table::NetworkActivity, "traffic.bytes", 9.into()),
        ];
        let batches = batches(&partition, 40, &rows).expect("batches");
        let shape: Vec<(Table, usize)> = batches.iter().map(|b| (b.table, b.rows.num_rows())).collect();
        assert_eq!(shape, [(Table::NetworkActivity, 2), (Table::ApiActivity, 1)]);
        assert_eq!(crate::tests::texts(&batches[0], "_offset"), ["40", "42"]);
        assert_eq!(crate::tests::texts(&batches[0], "src_endpoint.ip"), ["10.0.0.1", ""], "a copy sets its original");
    }

    #[test]
    fn elements_of_a_list_are_set_by_their_number() {
        let set = ["resources[0].name", "resources[0].type", "resources[1].name"];
        let set = set.map(|path| (path.to_owned(), Value::from(path))).to_vec();
        let row = Row { table: Table::ApiActivity, tenant: "t".into(), time: 5, set };
        let partition = PartitionId::new("test", "0", 0);
        let rows = batches(&partition, 0, std::slice::from_ref(&row)).expect("a batch").remove(0).rows;
        let resources = rows.column_by_name("resources").expect("a column").as_list::<i32>().value(0);
        let of = |name: &str| resources.as_struct().column_by_name(name).expect(name).clone();
        assert_eq!([text(&of("name"), 0), text(&of("name"), 1)], ["resources[0].name", "resources[1].name"]);
        assert_eq!([text(&of("type"), 0), text(&of("type"), 1)], ["resources[0].type", ""]);
        let row = Row { set: vec![("resources[0].nope".into(), Value::Null)], ..row };
        let error = batches(&partition, 0, &[row]).expect_err("no such column");
        assert_eq!(error, "table api_activity has no column resources[].nope");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_a_mistake_of_the_test() {
        let mut builder = TableBuilder::new(Table::NetworkActivity);
        for (path, value, why) in [
            ("src_ip", Value::from(5), "src_ip cannot hold 5"),
            ("dst_port", Value::from("x"), "dst_port cannot hold \"x\""),
            ("dst_port", Value::from(1_u64 << 40), "dst_port cannot hold 1099511627776"),
            ("is_alert", Value::from(1), "is_alert cannot hold 1"),
            ("nope", Value::Null, "table network_activity has no column nope"),
        ] {
            assert_eq!(set(&mut builder, path, &value), Err(why.to_owned()));
        }
        assert_eq!(set(&mut builder, "src_ip", &Value::Null), Ok(()));
    }

    #[test]
    fn a_test_that_cannot_be_is_refused() {
        let test = |events: &str| -> RawTest {
            serde_saphyr::from_str(&format!("name: t\nevents: [{events}]\n")).expect(events)
        };
        assert_eq!(test("{ at: 5s, every: 1ms }").check(), Ok(()));
        let what = |events: &str| test(events).check().expect_err(events).what;
        assert_eq!(what("{ at: five }"), "\"five\" is not a length of time");
        assert_eq!(what("{ count: 1000001 }"), "more than 1000000 rows");
    }
}
