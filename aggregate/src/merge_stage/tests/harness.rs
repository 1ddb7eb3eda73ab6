//! Rows cut up as a plan says, through the stages; and the same question to plain DataFusion over all rows at once.

use std::num::NonZeroU32;

use arrow::array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{Field, Schema};
use dataflow::TableBuilder;
use dataflow::schema::UTC;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::exchange::Deltas;
use crate::json::{push_value, text};
use crate::leaves::{LeafCache, Leaves};
use crate::rule::scenario::{Row, batches};
use crate::source_stage::SourceStage;
use crate::window::{WindowKind, WindowSpec};

/// After every window of a test.
pub(super) const END: i64 = 1_000_000 * SECOND;

/// Rows, and how they are cut up.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Rows with the partition each came through.
    pub(super) rows: Vec<(usize, Row)>,
    /// Where partitions are cut into ranges, which range comes next, and where steps and restarts happen.
    choices: Vec<Index>,
}

/// Plans over such rows.
pub(super) fn plans(rows: impl Strategy<Value = Row>, most: usize) -> impl Strategy<Value = Plan> {
    let rows = proptest::collection::vec((0..3_usize, rows), 1..most);
    let choices = proptest::collection::vec(any::<Index>(), 600);
    (rows, choices).prop_map(|(rows, choices)| Plan { rows, choices })
}

impl Plan {
    /// The rows in turn over the partitions, with choices that are the same always.
    pub(super) fn cut(rows: Vec<Row>) -> Self {
        let mut runner = TestRunner::deterministic();
        let choices = proptest::collection::vec(any::<Index>(), 600).new_tree(&mut runner).expect("choices").current();
        Self { rows: rows.into_iter().enumerate().map(|(i, row)| (i % 3, row)).collect(), choices }
    }
}

/// How a plan is carried out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Split {
    /// One range a partition, one step, one merge group.
    Whole,
    /// As the choices say, with so many merge groups.
    Chosen(u32),
}

/// An alert: title, tenant and values; and its evidence.
pub(super) type Alert = (String, Vec<String>);

/// What a run gave.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ran {
    /// Alerts that stand, by id.
    pub(super) alerts: BTreeMap<String, Alert>,
    pub(super) late_rows: u64,
    pub(super) overflow_rows: u64,
}

impl Ran {
    /// The alerts as text, in order.
    pub(super) fn values(&self) -> Vec<String> {
        let mut values: Vec<String> = self.alerts.values().map(|(values, _)| values.clone()).collect();
        values.sort();
        values
    }

    fn note(&mut self, alerts: Option<&TableBatch>) {
        let Some(alerts) = alerts else { return };
        let json = crate::tests::ocsf(alerts);
        let column = |path| texts(alerts, path);
        let (ids, titles, changes) =
            (column("finding_info.uid"), column("finding_info.title"), column("activity_name"));
        let (tenants, values) = (column("tenant_uid"), column("unmapped"));
        for (i, id) in ids.into_iter().enumerate() {
            let uids =
                json[i].split(r#"{"uid":"fw"#).skip(1).map(|t| t.split('"').next().unwrap_or_default().to_owned());
            let alert = (format!("{}: {} {}", titles[i], tenants[i], values[i]), uids.collect());
            match changes[i].as_str() {
                "Close" => drop(self.alerts.remove(&id)),
                _ => drop(self.alerts.insert(id, alert)),
            }
        }
    }

    fn add(&mut self, output: &StepOutput) {
        self.note(output.alerts.as_ref());
        self.late_rows += output.late_rows;
        self.overflow_rows += output.overflow_rows;
    }
}

/// A row, its offset range of all, and the watermark before the step that merged it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) row: Row,
    pub(super) range: usize,
    pub(super) watermark: Option<i64>,
}

impl Seen {
    pub(super) fn get(&self, path: &str) -> Option<&serde_json::Value> {
        self.row.set.iter().find(|(own, _)| own == path).map(|(_, value)| value)
    }
}

/// Carries out a plan. Watermarks stay below `span` seconds until the end.
pub(super) fn run(rules: &Arc<RuleSet>, plan: &Plan, split: Split, span: usize, limits: Limits) -> (Ran, Vec<Seen>) {
    let (cut, groups) = match split {
        Split::Whole => (false, 1),
        Split::Chosen(groups) => (true, groups),
    };
    let mut choices = plan.choices.iter();
    let mut choose = |n: usize| if cut { choices.next().map_or(0, |c| c.index(n)) } else { 0 };
    let mut queues: Vec<Vec<Row>> = vec![Vec::new(); 3];
    plan.rows.iter().for_each(|(p, row)| queues[*p].push(row.clone()));
    let mut chains: Vec<Chain> = (0..groups).map(|group| Chain::new(rules, group, limits)).collect();
    let (mut ran, mut seen, mut next) = (Ran::default(), Vec::new(), [0_i64; 3]);
    let mut number = 0;
    while queues.iter().any(|q| !q.is_empty()) {
        let waiting: Vec<usize> = (0..3).filter(|&p| !queues[p].is_empty()).collect();
        let p = waiting[choose(waiting.len())];
        let len = if cut { 1 + choose(queues[p].len()) } else { queues[p].len() };
        let rows: Vec<Row> = queues[p].drain(..len).collect();
        let range = Range::new(rules, p, next[p], &rows, NonZeroU32::new(groups).expect("above zero"));
        next[p] = range.offsets.next;
        ran.note(range.alerts.as_ref());
        let watermark = chains[0].merge.watermark();
        seen.extend(rows.into_iter().map(|row| Seen { row, range: number, watermark }));
        number += 1;
        for chain in &mut chains {
            chain.apply(&range);
            if cut && choose(3) > 0 {
                let watermark = (choose(2) == 0).then(|| choose(span) as i64 * SECOND);
                ran.add(&chain.step(watermark));
            }
            if cut && choose(4) == 0 {
                ran.add(&chain.step(None));
                chain.restart(rules);
            }
        }
    }
    for chain in &mut chains {
        let end = chain.merge.close_all_watermark().max(Some(END));
        ran.add(&chain.step(end));
    }
    (ran, seen)
}

/// One offset range, as the source stage leaves it.
pub(super) struct Range {
    partition: PartitionId,
    offsets: OffsetRange,
    file: Vec<u8>,
    alerts: Option<TableBatch>,
}

impl Range {
    pub(super) fn new(rules: &Arc<RuleSet>, number: usize, start: i64, rows: &[Row], groups: NonZeroU32) -> Self {
        let partition = partition(number as i32);
        let mut stage = SourceStage::new(rules, partition.clone(), 0, None, groups);
        for batch in batches(&partition, start, rows).expect("batches") {
            stage.process(&batch).expect("processed");
        }
        let given = stage.take_delta().expect("a delta");
        assert!(given.failures.is_empty(), "{:?}", given.failures);
        let file = given.deltas.encode().expect("encoded");
        let offsets = OffsetRange { start, next: start + rows.len() as i64 };
        Self { partition, offsets, file, alerts: given.alerts }
    }
}

/// One merge group.
pub(super) struct Chain {
    pub(super) group: u32,
    pub(super) merge: MergeStage,
    pub(super) number: i64,
}

impl Chain {
    pub(super) fn new(rules: &Arc<RuleSet>, group: u32, limits: Limits) -> Self {
        let mut merge = MergeStage::new(rules, group);
        merge.set_limits(limits);
        Self { group, merge, number: 0 }
    }

    pub(super) fn apply(&mut self, range: &Range) {
        let delta = Deltas::decode_group(&range.file, self.group).expect("decoded");
        self.merge.apply(&range.partition, range.offsets, &delta).expect("applied");
    }

    pub(super) fn step(&mut self, watermark: Option<i64>) -> StepOutput {
        let output = step(&mut self.merge, self.number, watermark);
        assert!(output.failures.is_empty(), "{:?}", output.failures);
        self.number += 1;
        output
    }

    /// As after a crash: what it was is read back.
    pub(super) fn restart(&mut self, rules: &Arc<RuleSet>) {
        let bytes = self.merge.snapshot().expect("a snapshot");
        self.merge = MergeStage::restore(rules, self.group, &bytes).expect("restored");
    }
}

// --- the oracle ---

/// The answer of plain DataFusion to a rule's SQL over all rows: title, tenant and values of each row it gives. A row is
/// in a window unless that had ended `lateness_us` before the watermark.
pub(super) fn answer(
    title: &str,
    sql: &str,
    window: Option<WindowSpec>,
    seen: &[Seen],
    lateness_us: i64,
) -> Vec<String> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    crate::register_functions(&context);
    for table in Table::EVENTS {
        let own: Vec<Seen> = seen.iter().filter(|s| s.row.table == table).cloned().collect();
        let rows = match window {
            None => flat(table, &own),
            Some(spec) => in_windows(table, &own, spec, lateness_us),
        };
        context.register_batch(table.name(), rows).expect("registered");
    }
    let sql = batch_sql(sql);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let rows = runtime.block_on(async { context.sql(&sql).await?.collect().await });
    let rows = rows.unwrap_or_else(|e| panic!("{sql}: {e}"));
    let mut all: Vec<String> = rows.iter().flat_map(|batch| lines_of(title, batch)).collect();
    all.sort();
    all
}

/// What the batch forms of rules find in the stored rows: title, tenant and values, as [`Ran::values`] gives them.
pub(super) fn batch_answer(rules: &RuleSet, seen: &[Seen]) -> Vec<String> {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    crate::register_functions(&context);
    for table in Table::EVENTS {
        let own: Vec<Row> = seen.iter().filter(|s| s.row.table == table).map(|s| s.row.clone()).collect();
        let stored = batches(&partition(0), 0, &own).expect("batches").pop();
        let rows = stored.map_or_else(|| TableBuilder::new(table).finish(), |batch| batch.rows);
        context.register_batch(table.name(), rows).expect("registered");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let mut all = Vec::new();
    for rule in rules.rules() {
        let query = rule.batch_query().expect("a batch form");
        let rows = runtime.block_on(async { context.sql(&query.sql).await?.collect().await });
        let rows = rows.unwrap_or_else(|e| panic!("{}: {e}", query.sql));
        let rows = rows.iter().flat_map(|batch| query.rows(batch).expect("rows")).collect();
        all.extend(
            query.found(rows).alerts.iter().map(|alert| format!("{}: {} {}", rule.title(), alert.tenant, alert.values)),
        );
    }
    all.sort();
    all
}

fn lines_of(title: &str, batch: &RecordBatch) -> Vec<String> {
    let line = |row: usize| {
        let mut out = format!("{title}: {} {{", text(batch.column(0), row));
        for (i, (field, column)) in batch.schema().fields().iter().zip(batch.columns()).enumerate().skip(1) {
            let comma = if i > 1 { "," } else { "" };
            out.push_str(&format!("{comma}\"{}\":", field.name()));
            push_value(&mut out, column.as_ref(), row);
        }
        out + "}"
    };
    (0..batch.num_rows()).map(line).collect()
}

/// The table's columns as rules see them.
fn flat(table: Table, seen: &[Seen]) -> RecordBatch {
    let rows: Vec<Row> = seen.iter().map(|s| s.row.clone()).collect();
    let batch = batches(&partition(0), 0, &rows).expect("batches").pop();
    let batch = batch.map_or_else(|| TableBuilder::new(table).finish(), |b| b.rows);
    let mut cache = LeafCache::new(table, &batch);
    let leaves = Leaves::of(table);
    let columns = (0..leaves.schema().fields().len()).map(|i| cache.column(i).expect("a column")).collect();
    let fields: Vec<Field> = leaves.schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

/// Each row once for every window that saw it, with the window's bounds.
fn in_windows(table: Table, seen: &[Seen], spec: WindowSpec, lateness_us: i64) -> RecordBatch {
    let (mut rows, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
    for (i, Seen { row, watermark, .. }) in seen.iter().enumerate() {
        let closed_until = watermark.map_or(i64::MIN, |w| w - lateness_us);
        // Every window that ends within its longest length after the row, and has begun by then.
        let first = (row.time - spec.size).div_euclid(spec.slide) - spec.size / spec.slide;
        for n in first..first + 4 * (spec.size / spec.slide + 1) {
            let (start, end) = match spec.kind {
                WindowKind::Cumulate => (row.time.div_euclid(spec.size) * spec.size, n * spec.slide),
                _ => (n * spec.slide, n * spec.slide + spec.size),
            };
            if start <= row.time && row.time < end && end <= start + spec.size && end > closed_until {
                rows.push(i as u32);
                starts.push(start);
                ends.push(end);
            }
        }
    }
    let all = take_record_batch(&flat(table, seen), &UInt32Array::from(rows)).expect("taken");
    let mut fields: Vec<Field> = all.schema().fields().iter().map(|f| f.as_ref().clone()).collect();
    let mut columns = all.columns().to_vec();
    for (name, times) in [("window_start", starts), ("window_end", ends)] {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times).with_timezone(UTC));
        fields.push(Field::new(name, times.data_type().clone(), true));
        columns.push(times);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")
}

/// A rule's SQL as SQL over tables that have the window's columns: each row's tenant is selected and grouped by.
fn batch_sql(sql: &str) -> String {
    let mut sql = quoted_leaves(sql);
    if let Some(from) =
        ["FROM HOP(", "FROM TUMBLE(", "FROM CUMULATE("].iter().find_map(|f| sql.find(f).map(|at| at..at + f.len()))
    {
        let end = from.end + closing(&sql[from.end..]);
        let inner = sql[from.end..end].trim().trim_start_matches("TABLE").trim();
        let source = match inner.strip_prefix('(') {
            Some(query) => {
                let query = &query[..closing(query)];
                format!("({})", query.replace("SELECT time", "SELECT tenant_uid, window_start, window_end, time"))
            }
            None => inner.split(',').next().unwrap_or_default().to_owned(),
        };
        sql = format!("{}FROM {source}{}", &sql[..from.start], &sql[end + 1..]);
    }
    sql.replacen("SELECT ", "SELECT tenant_uid, ", 1).replace("GROUP BY ", "GROUP BY tenant_uid, ")
}

/// Where the parenthesis that is open at the start closes.
fn closing(text: &str) -> usize {
    let mut depth = 1;
    let closes = |c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    };
    text.find(closes).expect("a closing parenthesis")
}

/// `traffic.bytes` is one column here.
fn quoted_leaves(sql: &str) -> String {
    let is_leaf = |word: &str| word.contains('.') && Table::EVENTS.iter().any(|t| Leaves::of(*t).index(word).is_some());
    let mut out = String::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        let len = match first {
            '\'' => rest[1..].find('\'').map_or(rest.len(), |n| n + 2),
            c if is_part(c) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (word, tail) = rest.split_at(len);
        if is_leaf(word) {
            out.push_str(&format!("\"{word}\""))
        } else {
            out.push_str(word)
        }
        rest = tail;
    }
    out
}

#[test]
fn the_oracle_asks_what_the_rule_asks() {
    let rule = "SELECT window_start, traffic.bytes AS b FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
        WHERE x = 'traffic.bytes (' GROUP BY window_start, traffic.bytes";
    let want = "SELECT tenant_uid, window_start, \"traffic.bytes\" AS b FROM network_activity
        WHERE x = 'traffic.bytes (' GROUP BY tenant_uid, window_start, \"traffic.bytes\"";
    assert_eq!(batch_sql(rule), want);
    let union = "SELECT n FROM TUMBLE((SELECT time, (1) AS n FROM a UNION ALL SELECT time, 2 FROM b), DESCRIPTOR(time)) GROUP BY n";
    let want = "SELECT tenant_uid, n FROM (SELECT tenant_uid, window_start, window_end, time, (1) AS n FROM a UNION ALL \
        SELECT tenant_uid, window_start, window_end, time, 2 FROM b) GROUP BY tenant_uid, n";
    assert_eq!(batch_sql(union), want);
}
