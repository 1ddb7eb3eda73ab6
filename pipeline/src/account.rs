//! Accounting by reading back: the generator's own log joined with the tables, row by row and value by value.

use std::collections::BTreeMap;
use std::path::Path;

use aggregate::RuleSet;
use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use dataflow::Table;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use loadgen::AlertSeen;

use crate::reprocess::IS_REPROCESSED;
use crate::warehouse_sql::{query, texts};

/// Events that one join may hold.
const JOINED_MAX: u64 = 1_000_000;

/// How a row is found in the generator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The generator was the source: identities are the same.
    Generator,
    /// The rows were read from the generator's files, one file a partition: topic and partition are the same, and the
    /// record's number is the low half of the offset.
    Files,
    /// The rows were read from the topic that the generator wrote to: topic, partition and offset are the same; the
    /// incarnation is Kafka's own.
    Kafka,
}

impl Identity {
    /// Incarnation and offset of a row, as the log has them.
    pub(crate) fn columns(self) -> &'static str {
        match self {
            Identity::Generator => "_incarnation AS incarnation, _offset AS off",
            Identity::Kafka => "(SELECT min(incarnation) FROM truth) AS incarnation, _offset AS off",
            Identity::Files => "(SELECT min(incarnation) FROM truth) AS incarnation, _offset & 4294967295 AS off",
        }
    }

    fn offset(self) -> &'static str {
        match self {
            Identity::Generator | Identity::Kafka => "_offset",
            Identity::Files => "(_offset & 4294967295)",
        }
    }
}

/// What the join of truth and tables says. All but `rows` and `dead_letters` are 0 if nothing went wrong.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Events in the generator's log.
    pub(crate) generated: u64,
    /// Event rows that stand in the tables, alerts not counted.
    pub(crate) rows: u64,
    /// Dead letters that stand in their table.
    pub(crate) dead_letters: u64,
    /// In the truth, not in the table where it belongs.
    pub(crate) missing: u64,
    /// In a table, not in the truth.
    pub(crate) extra: u64,
    /// In the tables more than once.
    pub(crate) doubled: u64,
    /// There once, in another table or with another value than was sent.
    pub(crate) altered: u64,
}

impl Account {
    fn add(&mut self, other: &Self) {
        let Self { generated, rows, dead_letters, missing, extra, doubled, altered } = self;
        *generated += other.generated;
        *rows += other.rows;
        *dead_letters += other.dead_letters;
        *missing += other.missing;
        *extra += other.extra;
        *doubled += other.doubled;
        *altered += other.altered;
    }

    /// Events whose whereabouts are not as they should be.
    pub(crate) fn unaccounted(&self) -> u64 {
        self.missing + self.extra + self.doubled + self.altered
    }
}

/// Values that the truth tells and the tables must hold: name, type, whether a table may not know them.
const VALUES: [(&str, &str, bool); 11] = [
    ("src_ip", "VARCHAR", false),
    ("dst_ip", "VARCHAR", false),
    ("dst_port", "INT", false),
    ("bytes_out", "BIGINT", true),
    ("user_name", "VARCHAR", false),
    ("activity_id", "INT", false),
    ("action_id", "INT", false),
    ("severity_id", "INT", false),
    ("status_id", "INT", false),
    ("src_country", "VARCHAR", true), // only if a country database is configured
    ("operation", "VARCHAR", false),
];

/// A value's column in a table; null where the table has no such thing.
fn value_of(table: Table, (name, kind, _): (&str, &str, bool)) -> String {
    let column = match name {
        "bytes_out" => "traffic.bytes_out",
        "operation" => "api.operation",
        name => name,
    };
    match table.leaf(column) {
        Some(_) => format!("{column} AS {name}"),
        None => format!("CAST(NULL AS {kind}) AS {name}"),
    }
}

/// Columns that the truth knows, of the rows of all tables that are of these partitions. Rows that were read back say again what others say.
fn seen_sql(identity: Identity, span: Span) -> String {
    let of_span = span.of("_partition_id", identity.offset());
    let identity =
        format!("_topic AS topic, {}, _partition_id AS part, _record AS rec, tenant_uid", identity.columns());
    let values = |table| VALUES.map(|value| value_of(table, value)).join(", ");
    let events = Table::EVENTS.map(|table| {
        format!(
            "SELECT '{table}' AS tbl, {identity}, time, {}, CAST(NULL AS VARCHAR) AS reason FROM {table} \
             WHERE _topic NOT LIKE '\\_%' ESCAPE '\\' AND NOT {IS_REPROCESSED} AND {of_span}",
            values(table)
        )
    });
    let dead = format!(
        "SELECT 'dead_letter' AS tbl, {identity}, CAST(NULL AS TIMESTAMP WITH TIME ZONE) AS time, {}, reason FROM dead_letter \
         WHERE NOT {IS_REPROCESSED} AND {of_span}",
        values(Table::DeadLetter)
    );
    format!("{} UNION ALL {dead}", events.join(" UNION ALL "))
}

/// True where a row `s` of the tables has another value than the truth `t` tells.
fn altered_sql() -> String {
    let differs = VALUES.map(|(name, _, may_be_null)| match may_be_null {
        true => format!("t.{name} <> s.{name}"),
        false => format!("(t.{name} IS NOT NULL AND s.{name} IS DISTINCT FROM t.{name})"),
    });
    format!(
        "s.tbl <> t.\"table\" OR s.tenant_uid <> t.tenant_uid \
         OR (s.tbl = 'dead_letter' AND s.reason IS DISTINCT FROM t.reason) \
         OR (s.tbl <> 'dead_letter' AND s.time <> t.time_us) OR {}",
        differs.join(" OR ")
    )
}

/// Partitions by their numbers, and of one that is too large a slice; the last span has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: i64,
    to: Option<i64>,
    /// Of so many slices the one with this number: every so manieth offset.
    slice: (u64, u64),
}

impl Span {
    fn of(self, partition: &str, offset: &str) -> String {
        let mut sql = format!("{partition} >= {}", self.from);
        self.to.into_iter().for_each(|to| sql += &format!(" AND {partition} < {to}"));
        if self.slice.1 > 1 {
            sql += &format!(" AND {offset} % {} = {}", self.slice.1, self.slice.0);
        }
        format!("({sql})")
    }
}

/// Partitions whose events are joined at a time, by the truth's events of each, in the order of their numbers: so many that memory holds
/// them. A join of ten million that went to disk filled more than 20 GB there.
fn spans(events: impl IntoIterator<Item = (i64, u64)>) -> Vec<Span> {
    let (mut spans, mut held) = (vec![(Span { from: i64::from(i32::MIN), to: None, slice: (0, 1) }, 0)], 0);
    for (partition, events) in events {
        if held > 0 && held + events > JOINED_MAX {
            spans.last_mut().into_iter().for_each(|(last, _)| last.to = Some(partition));
            spans.push((Span { from: partition, to: None, slice: (0, 1) }, 0));
            held = 0;
        }
        held += events;
        spans.last_mut().into_iter().for_each(|(_, events)| *events = held);
    }
    let slices = |(span, events): (Span, u64)| {
        let count = events.div_ceil(JOINED_MAX).max(1);
        (0..count).map(move |number| Span { slice: (number, count), ..span })
    };
    spans.into_iter().flat_map(slices).collect()
}

/// Joins the generator's log with the tables.
///
/// # Errors
/// If either cannot be read.
pub(crate) async fn account(session: &SessionContext, truth: &Path, identity: Identity) -> anyhow::Result<Account> {
    let path = truth.to_str().context("the truth's path is not UTF-8")?;
    session.register_parquet("truth", path, ParquetReadOptions::default()).await?;
    let counted = "SELECT CAST(\"partition\" AS BIGINT) AS part, count(*) AS n FROM truth GROUP BY 1 ORDER BY 1";
    let mut events = Vec::new();
    for batch in query(session, counted).await? {
        let pair = |row| Some((i64_at(&batch, "part", row)?, u64::try_from(i64_at(&batch, "n", row)?).ok()?));
        events.extend((0..batch.num_rows()).filter_map(pair));
    }
    let mut account = Account::default();
    for span in spans(events) {
        account.add(&account_of(session, identity, span).await?);
    }
    Ok(account)
}

/// What the join says of some partitions.
async fn account_of(session: &SessionContext, identity: Identity, span: Span) -> anyhow::Result<Account> {
    let sql = format!(
        "WITH seen AS ({seen}),
         once AS (SELECT topic, incarnation, part, off, rec, count(*) AS n, min(tbl) AS tbl, min(tenant_uid) AS tenant_uid,
                    min(time) AS time, {values}, min(reason) AS reason
                  FROM seen GROUP BY topic, incarnation, part, off, rec)
         SELECT
           count(t.topic) AS generated,
           coalesce(sum(CASE WHEN s.tbl <> 'dead_letter' THEN s.n END), 0) AS rows,
           coalesce(sum(CASE WHEN s.tbl = 'dead_letter' THEN s.n END), 0) AS dead_letters,
           count(*) FILTER (WHERE s.topic IS NULL) AS missing,
           count(*) FILTER (WHERE t.topic IS NULL) AS extra,
           coalesce(sum(CASE WHEN s.n > 1 THEN s.n - 1 END), 0) AS doubled,
           count(*) FILTER (WHERE s.topic IS NOT NULL AND t.topic IS NOT NULL AND s.n = 1 AND ({altered})) AS altered
         FROM once s FULL OUTER JOIN (SELECT * FROM truth WHERE {of_span}) t
           ON s.topic = t.topic AND s.incarnation = t.incarnation AND s.part = t.\"partition\"
          AND s.off = t.\"offset\" AND s.rec = t.\"record\"",
        seen = seen_sql(identity, span),
        of_span = span.of("\"partition\"", "\"offset\""),
        values = VALUES.map(|(name, ..)| format!("min({name}) AS {name}")).join(", "),
        altered = altered_sql()
    );
    let batches = query(session, &sql).await.context("the join of truth and tables")?;
    let row = batches.iter().find(|b| b.num_rows() == 1).context("the join gave no row")?;
    let n = |name: &str| i64_at(row, name, 0).and_then(|v| u64::try_from(v).ok()).unwrap_or(u64::MAX);
    Ok(Account {
        generated: n("generated"),
        rows: n("rows"),
        dead_letters: n("dead_letters"),
        missing: n("missing"),
        extra: n("extra"),
        doubled: n("doubled"),
        altered: n("altered"),
    })
}

/// The incarnation that the generator's log gives its topics.
///
/// # Errors
/// If it cannot be read.
pub(crate) async fn truth_incarnation(session: &SessionContext, truth: &Path) -> anyhow::Result<String> {
    let path = truth.to_str().context("the truth's path is not UTF-8")?;
    anyhow::ensure!(
        truth.is_file(),
        "{path}: no such file; `palisade loadgen --out FOLDER` writes it, and --truth names the folder"
    );
    let truth = session.read_parquet(path, ParquetReadOptions::default()).await?;
    let batches = truth.select_columns(&["incarnation"])?.limit(0, Some(1))?.collect().await?;
    let first = batches.iter().find(|b| b.num_rows() > 0).context("the truth holds no event")?;
    Ok(texts(first, "incarnation")?.remove(0).unwrap_or_default())
}

fn i64_at(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name)?;
    column.as_primitive_opt::<Int64Type>().map(|c| c.value(row))
}

/// Rows of every table, and dead letters by reason.
///
/// # Errors
/// If a table cannot be read.
pub(crate) async fn counts(session: &SessionContext) -> anyhow::Result<(BTreeMap<String, u64>, BTreeMap<String, u64>)> {
    let per_table: Vec<String> = Table::EVENTS
        .iter()
        .map(|t| format!("SELECT '{t}' AS name, count(*) AS n FROM {t} WHERE _topic NOT LIKE '\\_%' ESCAPE '\\'"))
        .chain(["SELECT 'alerts' AS name, count(DISTINCT finding_info.uid) AS n FROM detection_finding WHERE _topic LIKE '\\_%' ESCAPE '\\'".to_owned()])
        .collect();
    let tables = named_counts(session, &per_table.join(" UNION ALL ")).await?;
    let reasons =
        named_counts(session, "SELECT reason AS name, count(*) AS n FROM dead_letter GROUP BY reason").await?;
    Ok((tables, reasons))
}

async fn named_counts(session: &SessionContext, sql: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for batch in query(session, sql).await? {
        let names = texts(&batch, "name")?;
        for (row, name) in names.into_iter().enumerate() {
            let n = i64_at(&batch, "n", row).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
            counts.insert(name.unwrap_or_default(), n);
        }
    }
    Ok(counts)
}

/// The alerts that the warehouse holds, one a (alert, window), the last revision.
///
/// # Errors
/// If the table cannot be read.
pub(crate) async fn alerts(session: &SessionContext, rules: &RuleSet) -> anyhow::Result<Vec<AlertSeen>> {
    Ok(identified_alerts(session, rules).await?.into_iter().map(|(_, seen)| seen).collect())
}

/// The same, each with its id.
///
/// # Errors
/// If the table cannot be read.
pub(crate) async fn identified_alerts(
    session: &SessionContext,
    rules: &RuleSet,
) -> anyhow::Result<Vec<(String, AlertSeen)>> {
    let sql = "SELECT finding_info.uid AS id, finding_info.analytic.uid AS rule, tenant_uid, min(src_ip) AS src_ip, min(dst_ip) AS dst_ip, \
                 min(user_name) AS user_name, CAST(min(dst_port) AS VARCHAR) AS dst_port, \
                 min(CASE WHEN start_time IS NULL THEN CAST(_partition_id AS VARCHAR) END) AS _partition_id, \
                 min(CASE WHEN start_time IS NULL THEN CAST(_offset & 4294967295 AS VARCHAR) END) AS _offset, \
                 min(CASE WHEN start_time IS NULL THEN CAST(_record AS VARCHAR) END) AS _record, min(coalesce(start_time, time)) AS window_start, max(coalesce(end_time, time)) AS window_end \
               FROM detection_finding WHERE _topic LIKE '\\_%' ESCAPE '\\' \
               GROUP BY finding_info.uid, finding_info.analytic.uid, tenant_uid";
    let mut seen = Vec::new();
    for batch in query(session, sql).await? {
        let column = |name| texts(&batch, name);
        let (ids, uids, tenants) = (column("id")?, column("rule")?, column("tenant_uid")?);
        let keys = ["src_ip", "dst_ip", "dst_port", "user_name", "_partition_id", "_offset", "_record"]
            .map(|name| column(name).map(|values| (name, values)));
        let keys: Vec<_> = keys.into_iter().collect::<anyhow::Result<_>>()?;
        for row in 0..batch.num_rows() {
            let key = keys.iter().filter_map(|(name, v)| Some(((*name).to_owned(), v[row].clone()?))).collect();
            let alert = AlertSeen {
                rule: uids[row].as_deref().map(|uid| rule_name(rules, uid)).unwrap_or_default(),
                tenant: tenants[row].clone().unwrap_or_default(),
                key,
                window_start: time_at(&batch, "window_start", row),
                window_end: time_at(&batch, "window_end", row),
            };
            seen.push((ids[row].clone().unwrap_or_default(), alert));
        }
    }
    Ok(seen)
}

/// The stem of the rule's file, which is what the fleet's labels call it; the uid of a rule that is not loaded.
fn rule_name(rules: &RuleSet, uid: &str) -> String {
    let rule = rules.rules().iter().find(|r| r.uid() == uid);
    rule.map_or(uid, |r| r.name()).to_owned()
}

fn time_at(batch: &RecordBatch, name: &str, row: usize) -> i64 {
    let column = batch.column_by_name(name).and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>().cloned());
    column.filter(|c| c.is_valid(row)).map_or(0, |c| c.value(row))
}

#[cfg(test)]
mod tests;
