//! I3: rows by identity. Each once over all tables; of a record that was read back, the record is there; and, beside the generator's own log, each as it was sent.

use anyhow::Context;
use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use dataflow::Table;
use datafusion::prelude::SessionContext;

use super::facts::{Facts, Key};
use super::{Against, Faults, SHOWN, Sql, Verdict};
use crate::account::{self, Identity};
use crate::reprocess::origin_columns;
use crate::warehouse_sql::{query, texts};

/// Distinct identities; with a truth, equality with it.
pub(super) async fn check(facts: &Facts, sql: Sql<'_>, against: &Against) -> anyhow::Result<Verdict> {
    let session = sql.map_err(anyhow::Error::msg)?;
    let mut faults = Faults::default();
    let rows = doubled(session, &mut faults).await?;
    if facts.any_reprocessed() {
        rootless(session, &mut faults).await?;
    }
    let Some(truth) = &against.truth else {
        return Ok(faults.verdict(format!("{rows} rows; give --truth to compare them with what was sent")));
    };
    let path = truth.join("truth.parquet");
    let identity = identity_of(facts, &account::truth_incarnation(session, &path).await?);
    let account = account::account(session, &path, identity).await?;
    // Of an event that another engine deleted the row is gone.
    let missing = account.missing.saturating_sub(facts.deleted_rows());
    let wrong = [("missing", missing), ("extra", account.extra), ("altered", account.altered)];
    for (what, n) in wrong.into_iter().filter(|(_, n)| *n > 0) {
        faults.add(|| format!("{n} events {what}, compared with {}", path.display()));
    }
    let deleted = account.missing - missing;
    let deleted = if deleted > 0 { format!(", {deleted} of them deleted by another engine") } else { String::new() };
    Ok(faults.verdict(format!("{rows} rows; {} events as they were sent{deleted}", account.generated)))
}

/// Records that were read back and never stood where they say.
async fn rootless(session: &SessionContext, faults: &mut Faults) -> anyhow::Result<()> {
    let tables = Table::EVENTS.iter().chain([&Table::DeadLetter]);
    let all: Vec<String> = tables.map(|t| format!("SELECT {} FROM {t}", origin_columns())).collect();
    let all = all.join(" UNION ALL ");
    let sql = format!(
        "SELECT DISTINCT concat(r.topic, '@', r.incarnation, '/', CAST(r.part AS VARCHAR), '/', CAST(r.off AS VARCHAR)) AS id \
         FROM ({all}) r LEFT JOIN (SELECT * FROM ({all}) WHERE request = 0) o \
           ON r.topic = o.topic AND r.incarnation = o.incarnation AND r.part = o.part AND r.off = o.off \
         WHERE r.request > 0 AND o.topic IS NULL ORDER BY 1 LIMIT {SHOWN}"
    );
    for batch in query(session, &sql).await? {
        for id in texts(&batch, "id")?.into_iter().flatten() {
            faults.add(|| format!("{id} was read back, but stands in no table"));
        }
    }
    Ok(())
}

/// Whether the generator was the source itself, or files that it wrote.
fn identity_of(facts: &Facts, incarnation: &str) -> Identity {
    let same = |key: &Key| matches!(key, Key::Source(partition) if &*partition.incarnation == incarnation);
    if facts.chains.iter().any(|c| same(&c.key)) { Identity::Generator } else { Identity::Files }
}

/// Rows of all tables that have identities, and those that stand more than once.
async fn doubled(session: &SessionContext, faults: &mut Faults) -> anyhow::Result<i64> {
    let tables = Table::EVENTS.iter().chain([&Table::DeadLetter]);
    let all: Vec<String> = tables
        .map(|t| format!("SELECT '{t}' AS tbl, _topic, _incarnation, _partition_id, _offset, _record FROM {t}"))
        .collect();
    let all = all.join(" UNION ALL ");
    let count = query(session, &format!("SELECT count(*) AS n FROM ({all})")).await?;
    let rows = count.first().context("a count has a row")?.column(0).as_primitive::<Int64Type>().value(0);
    let twice = format!(
        "SELECT concat(_topic, '@', _incarnation, '/', CAST(_partition_id AS VARCHAR), '/', CAST(_offset AS VARCHAR), '/', \
                CAST(_record AS VARCHAR)) AS id, CAST(count(*) AS VARCHAR) AS n, min(tbl) AS low, max(tbl) AS high \
         FROM ({all}) GROUP BY _topic, _incarnation, _partition_id, _offset, _record HAVING count(*) > 1"
    );
    let found = query(session, &format!("SELECT id, n, low, high, CAST(count(*) OVER () AS VARCHAR) AS total FROM ({twice}) ORDER BY id LIMIT {SHOWN}")).await?;
    for batch in &found {
        let column = |name| texts(batch, name);
        let (ids, ns, low, high, total) =
            (column("id")?, column("n")?, column("low")?, column("high")?, column("total")?);
        for row in 0..batch.num_rows() {
            let text = |values: &[Option<String>]| values[row].clone().unwrap_or_default();
            faults.add(|| format!("{} stands {} times, in {} and {}", text(&ids), text(&ns), text(&low), text(&high)));
            faults.total = faults.total.max(text(&total).parse().unwrap_or(0));
        }
    }
    Ok(rows)
}
