//! The flow of events: their order within partitions, and how many came in and are stored, over time.

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use dataflow::Table;
use datafusion::prelude::SessionContext;
use serde::Serialize;

use crate::account::Identity;
use crate::reprocess::IS_REPROCESSED;
use crate::warehouse_sql::query;

/// The most points of the flow over time.
const POINTS_MAX: i64 = 120;
const MINUTE_US: i64 = 60_000_000;

/// How far events of a partition are from the order of their times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Order {
    /// Events whose time is below that of an event before them.
    pub(crate) out_of_order: u64,
    /// The farthest of them, seconds.
    pub(crate) seconds_max: f64,
}

/// Events over time, as they tell it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Minutes {
    /// Each point is the mean of so many minutes.
    pub(crate) minutes_a_point: u64,
    pub(crate) points: Vec<Point>,
}

/// Events a minute.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Point {
    /// RFC 3339, UTC.
    pub(crate) from: String,
    pub(crate) generated: f64,
    pub(crate) stored: f64,
}

/// Times of the truth and of the tables in one form: which, place, time in microseconds. The sums with 0 shed what the
/// files say of their columns: the planner takes it for a difference of types.
fn times_sql(identity: Identity) -> String {
    let stored = Table::EVENTS.map(|table| {
        format!(
            " UNION ALL SELECT 'stored', _topic AS topic, {}, _partition_id AS part, _record AS rec, CAST(time AS BIGINT) + 0 AS us \
             FROM {table} WHERE _topic NOT LIKE '\\_%' ESCAPE '\\' AND NOT {IS_REPROCESSED}",
            identity.columns()
        )
    });
    format!(
        "SELECT 'sent' AS side, topic, incarnation, \"offset\" AS off, \"partition\" AS part, record AS rec, \
           CAST(time_us AS BIGINT) + 0 AS us FROM truth WHERE time_us IS NOT NULL{}",
        stored.concat()
    )
}

/// The order of what was sent, and of what is stored. The session knows the truth.
pub(super) async fn order(session: &SessionContext, identity: Identity) -> anyhow::Result<[Order; 2]> {
    let sql = format!(
        "WITH times AS ({}), behind AS (
           SELECT side, max(us) OVER (PARTITION BY side, topic, incarnation, part ORDER BY off, rec
             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) - us AS us FROM times)
         SELECT count(*) FILTER (WHERE us > 0 AND side = 'sent') AS sent,
           coalesce(max(us) FILTER (WHERE us > 0 AND side = 'sent'), 0) AS sent_us,
           count(*) FILTER (WHERE us > 0 AND side = 'stored') AS stored,
           coalesce(max(us) FILTER (WHERE us > 0 AND side = 'stored'), 0) AS stored_us FROM behind",
        times_sql(identity)
    );
    let batches = query(session, &sql).await.context("the order of events")?;
    let row = batches.iter().find(|b| b.num_rows() == 1).context("the order of events gave no row")?;
    let of = |count: &str, us: &str| -> anyhow::Result<Order> {
        let n = *numbers(row, count)?.first().context("a row")?;
        let us = *numbers(row, us)?.first().context("a row")?;
        Ok(Order { out_of_order: u64::try_from(n)?, seconds_max: us as f64 / 1e6 })
    };
    Ok([of("sent", "sent_us")?, of("stored", "stored_us")?])
}

/// Events a minute, generated and stored.
pub(super) async fn minutes(session: &SessionContext, identity: Identity) -> anyhow::Result<Minutes> {
    let times = times_sql(identity);
    let span =
        query(session, &format!("SELECT min(us) AS low, max(us) AS high FROM ({times}) WHERE side = 'sent'")).await?;
    let Some(row) = span.iter().find(|b| b.num_rows() == 1 && !b.column(0).is_null(0)) else {
        return Ok(Minutes::default());
    };
    let (low, high) = (numbers(row, "low")?[0], numbers(row, "high")?[0]);
    let minutes = ((high - low) / MINUTE_US / POINTS_MAX + 1).max(1);
    let bucket = minutes * MINUTE_US;
    let sql = format!(
        "SELECT us / {bucket} AS bucket, count(*) FILTER (WHERE side = 'sent') AS sent,
           count(*) FILTER (WHERE side = 'stored') AS stored FROM ({times}) GROUP BY 1 ORDER BY 1"
    );
    let mut found = Minutes { minutes_a_point: minutes.unsigned_abs(), points: Vec::new() };
    for batch in query(session, &sql).await? {
        let (buckets, sent, stored) =
            (numbers(&batch, "bucket")?, numbers(&batch, "sent")?, numbers(&batch, "stored")?);
        found.points.extend(buckets.iter().zip(sent).zip(stored).map(|((at, sent), stored)| Point {
            from: dataflow::time::rfc3339(at * bucket),
            generated: sent as f64 / minutes as f64,
            stored: stored as f64 / minutes as f64,
        }));
    }
    Ok(found)
}

fn numbers(batch: &RecordBatch, name: &str) -> anyhow::Result<Vec<i64>> {
    let column = batch.column_by_name(name).with_context(|| format!("no column {name}"))?;
    let column = column.as_primitive_opt::<Int64Type>().with_context(|| format!("{name} holds no numbers"))?;
    Ok(column.iter().map(Option::unwrap_or_default).collect())
}
