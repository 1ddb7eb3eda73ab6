//! I10: nothing is unaccounted. What entries say they hold is what tables hold, and every record of a range is rows, a dead
//! letter, or was left out on purpose.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use dataflow::{PartitionId, Table};
use datafusion::prelude::SessionContext;

use super::facts::{Chain, Facts, Key, TableFacts};
use super::{Faults, Sql, Verdict};
use crate::warehouse_sql::{self, query, texts};

/// Rows of entries against rows of tables; records of entries against distinct records in tables.
pub(super) async fn check(facts: &Facts, sql: Sql<'_>) -> anyhow::Result<Verdict> {
    let session = sql.map_err(anyhow::Error::msg)?;
    let mut faults = Faults::default();
    for table in &facts.tables {
        rows(facts, table, session, &mut faults).await?;
    }
    let done = committed(facts);
    let stored = stored_records(session, &done).await?;
    let mut deleted = facts.deleted_rows();
    let mut gone = 0;
    let (mut received, mut filtered, mut dead, mut lost) = (0, 0, 0, 0);
    for chain in &facts.chains {
        let Key::Source(partition) = &chain.key else { continue };
        let upto = done.get(partition).copied().unwrap_or(i64::MAX);
        let sums = sums(chain, upto, &mut faults);
        let found = stored.get(&partition.path()).copied().unwrap_or(0);
        // Of a record that another engine deleted at least a row is gone.
        let missed = sums.records.saturating_sub(found + sums.filtered);
        if missed > 0 && missed <= deleted {
            deleted -= missed;
            gone += missed;
        } else if found + sums.filtered != sums.records {
            let Sums { records, filtered, .. } = sums;
            faults.add(|| {
                format!("{partition}: {records} records received, {found} stored and {filtered} left out on purpose")
            });
        }
        received += sums.records;
        filtered += sums.filtered;
        dead += sums.dead_letters;
        lost += sums.lost;
    }
    let lost = if lost > 0 { format!("; {lost} offsets were lost, as accepted") } else { String::new() };
    let told = format!("{received} records, {dead} of them dead letters, {filtered} left out on purpose{lost}");
    if let Some(table) = facts.tables.iter().find(|t| t.masks > 0).filter(|_| faults.total == 0) {
        let why = "delete files of another engine mask rows that the audit does not reckon with";
        return Ok(Verdict::not_checked(format!("{}: {} {why}", table.table, table.masks)));
    }
    if let Some(table) = facts.tables.iter().find(|t| is_untold(facts, t)).filter(|_| faults.total == 0) {
        let (name, fewer) = (table.table, facts.said_rows(table) - table.rows());
        let why = "rows fewer than its entries say: deleted with snapshots that are expired, or lost";
        return Ok(Verdict::not_checked(format!("{name}: {fewer} {why}")));
    }
    let gone = if gone > 0 { format!("; {gone} deleted by another engine") } else { String::new() };
    Ok(faults.verdict(format!("{told}{gone}")))
}

/// True if rows are missing that no snapshot of another engine accounts for, while some are expired.
fn is_untold(facts: &Facts, table: &TableFacts) -> bool {
    let fewer = facts.said_rows(table).saturating_sub(table.rows());
    !table.foreign.is_whole && fewer > table.foreign.deleted_rows
}

/// A table's rows: by entries, by manifests, and by reading it.
async fn rows(facts: &Facts, table: &TableFacts, session: &SessionContext, faults: &mut Faults) -> anyhow::Result<()> {
    let (said, manifests) = (facts.said_rows(table), table.rows());
    let counted = query(session, &format!("SELECT count(*) AS n FROM {}", warehouse_sql::name(table.table))).await?;
    let counted = counted.first().map_or(0, |b| b.column(0).as_primitive::<Int64Type>().value(0));
    let read = u64::try_from(counted).unwrap_or(0);
    let is_read = manifests == read || (table.masks > 0 && manifests > read);
    let is_told = manifests == said || (manifests < said && table.foreign.explains(said - manifests));
    if !is_read || !is_told {
        faults.add(|| {
            format!("{}: entries say {said} rows, manifests {manifests}, the table holds {counted}", table.table)
        });
    }
    Ok(())
}

/// Up to where every table has all rows of a partition; partitions without waiting rows are left out.
fn committed(facts: &Facts) -> BTreeMap<PartitionId, i64> {
    let mut done = BTreeMap::new();
    for (key, start, entry) in facts.entries() {
        let Key::Source(partition) = key else { continue };
        let waits = |table: &&TableFacts| {
            entry.tables().contains_key(&table.table) && table.next(key).is_none_or(|next| next <= start)
        };
        if facts.tables.iter().any(|t| waits(&t)) {
            done.entry(partition.clone()).or_insert(start);
        }
    }
    done
}

/// Distinct records of each partition over all tables, up to where the partition is committed.
async fn stored_records(
    session: &SessionContext,
    done: &BTreeMap<PartitionId, i64>,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let tables = Table::EVENTS.iter().chain([&Table::DeadLetter]);
    let own = "substr(_topic, 1, 1) <> '_'";
    let all: Vec<String> =
        tables.map(|t| format!("SELECT _topic, _incarnation, _partition_id, _offset FROM {t} WHERE {own}")).collect();
    let quoted = |text: &str| text.replace('\'', "''");
    let waiting: Vec<String> = done
        .iter()
        .map(|(p, upto)| {
            let (topic, incarnation) = (quoted(&p.topic), quoted(&p.incarnation));
            format!(
                " AND NOT (_topic = '{topic}' AND _incarnation = '{incarnation}' AND _partition_id = {} AND _offset >= {upto})",
                p.partition
            )
        })
        .collect();
    let distinct = format!(
        "SELECT DISTINCT _topic, _incarnation, _partition_id, _offset FROM ({}) WHERE TRUE{}",
        all.join(" UNION ALL "),
        waiting.concat()
    );
    let counted = query(
        session,
        &format!(
            "SELECT concat(_topic, '@', _incarnation, '/', CAST(_partition_id AS VARCHAR)) AS id, count(*) AS n \
             FROM ({distinct}) GROUP BY _topic, _incarnation, _partition_id"
        ),
    )
    .await?;
    let mut records = BTreeMap::new();
    for batch in &counted {
        let counts = batch.column(1).as_primitive::<Int64Type>();
        for (row, id) in texts(batch, "id")?.into_iter().enumerate() {
            records.insert(id.unwrap_or_default(), u64::try_from(counts.value(row)).unwrap_or(0));
        }
    }
    Ok(records)
}

/// What a chain's entries say, over the committed ones, and what those said that are collected.
#[derive(Debug, Default)]
struct Sums {
    records: u64,
    filtered: u64,
    dead_letters: u64,
    lost: u64,
}

fn sums(chain: &Chain, upto: i64, faults: &mut Faults) -> Sums {
    let mut sums = chain.floor.as_ref().map_or_else(Sums::default, |floor| {
        let sinks::Collected { records, filtered, dead_letters, lost, .. } = floor.collected;
        Sums { records, filtered, dead_letters, lost }
    });
    for (start, entry) in chain.iter().take_while(|(start, _)| *start < upto) {
        let Some(entry) = entry.source() else { continue };
        sums.records += entry.records;
        sums.filtered += entry.filtered;
        sums.lost += entry.lost;
        let reasons: u64 = entry.dead_letters.values().sum();
        let rows: u64 =
            entry.tables.iter().filter(|(to, _)| to.table() == Table::DeadLetter).map(|(_, t)| t.rows).sum();
        if reasons != rows {
            faults.add(|| format!("{} {start}: {reasons} dead letters by reason, {rows} rows of them", chain.key));
        }
        sums.dead_letters += reasons;
    }
    sums
}
