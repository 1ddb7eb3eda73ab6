//! What one who looks wants to see: rows that meet a condition, some of their columns, so many a second.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use dataflow::schema::UTC;
use dataflow::{Chunk, Table};
use datafusion::common::DFSchema;
use datafusion::physical_plan::PhysicalExpr;
use datafusion::prelude::SessionContext;
use serde::{Deserialize, Serialize};

use super::redaction::Masked;
use super::{Redaction, Seen, Stage};
use crate::warehouse_sql::reason;

/// Rows a second that anybody may be shown.
const RATE_MAX: u32 = 1_000;

/// What is asked of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    pub(crate) stage: Stage,
    /// The classes of events that are wanted; none: all.
    #[serde(default)]
    pub(crate) tables: Vec<String>,
    /// A condition on the columns, in SQL.
    #[serde(default, rename = "where")]
    pub(crate) condition: Option<String>,
    /// What is shown of a row, in SQL; nothing: every column.
    #[serde(default)]
    pub(crate) fields: Vec<String>,
    /// Columns that are not to be shown.
    #[serde(default)]
    pub(crate) redact: Vec<String>,
    /// Rows a second.
    pub(crate) rate: u32,
}

/// Records as their source gave them, as rows.
pub(crate) struct Received;

impl Received {
    pub(crate) const TABLE: &str = "received";

    fn schema() -> SchemaRef {
        let text = |name: &str| Field::new(name, DataType::Utf8, false);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
        Arc::new(Schema::new(vec![
            text("_topic"),
            Field::new("_partition_id", DataType::Int32, false),
            Field::new("_offset", DataType::Int64, false),
            Field::new("_received_at", time, false),
            text("tenant_uid"),
            text("raw"),
        ]))
    }

    pub(crate) fn rows(chunk: &Chunk) -> RecordBatch {
        let same = |text: &str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, chunk.len())));
        let received: TimestampMicrosecondArray =
            chunk.records().map(|record| record.received_at).collect::<Vec<_>>().into();
        let raw = chunk.records().map(|record| String::from_utf8_lossy(record.payload));
        let columns: Vec<ArrayRef> = vec![
            same(&chunk.partition.topic),
            Arc::new(Int32Array::from(vec![chunk.partition.partition; chunk.len()])),
            Arc::new(Int64Array::from_iter_values(chunk.records().map(|record| record.offset))),
            Arc::new(received.with_timezone(UTC)),
            same(&chunk.tenant),
            Arc::new(StringArray::from_iter_values(raw)),
        ];
        RecordBatch::try_new(Self::schema(), columns).expect("columns of one length, of the schema's types")
    }
}

/// See the module's front.
pub(crate) struct Look {
    /// What is wanted of each table; of the others nothing is.
    tables: HashMap<&'static str, Wanted>,
    rate: Rate,
}

/// What is wanted of a table's rows.
#[derive(Default)]
struct Wanted {
    /// Records as they were received are of no table, and nothing of them is masked.
    masked: Masked,
    condition: Option<Arc<dyn PhysicalExpr>>,
    /// None: every column.
    fields: Option<Vec<(String, Arc<dyn PhysicalExpr>)>>,
}

impl Look {
    /// Understands a request. `redaction` is what nobody may see.
    ///
    /// # Errors
    /// Says what of the request cannot be, and why.
    pub(crate) fn new(request: &Request, redaction: &Redaction) -> anyhow::Result<Self> {
        if !(1..=RATE_MAX).contains(&request.rate) {
            bail!("rate: from 1 to {RATE_MAX} rows a second");
        }
        let own = Redaction::new(request.redact.clone()).map_err(|what| anyhow::anyhow!("redact: {what}"))?;
        let redaction = redaction.and(&own);
        if request.stage == Stage::Received && !redaction.is_empty() {
            bail!("records as they were received may hold what is redacted; look at `events`");
        }
        let session = SessionContext::new();
        aggregate::register_functions(&session);
        let (mut tables, mut unfit) = (HashMap::new(), None);
        for (table, schema) in candidates(request)? {
            // A condition on columns that a class lacks: none of its rows meet it.
            match Wanted::of(request, &session, &schema) {
                Ok(wanted) => {
                    let masked = Table::by_name(table).map(|class| redaction.of(class)).unwrap_or_default();
                    tables.insert(table, Wanted { masked, ..wanted });
                }
                Err(error) => drop(unfit.get_or_insert(error)),
            }
        }
        match unfit {
            Some(error) if tables.is_empty() => Err(error),
            _ => Ok(Self { tables, rate: Rate::new(request.rate) }),
        }
    }

    /// Appends what is to be shown of the rows, an object a line. Returns how many were passed over: not looked at, or one too many.
    ///
    /// # Errors
    /// If the condition or a field cannot be worked out for these rows.
    pub(crate) fn take(&mut self, seen: &Seen, now: Instant, out: &mut String) -> anyhow::Result<u64> {
        let Some(wanted) = self.tables.get(seen.table) else { return Ok(0) };
        let room = self.rate.room(now);
        if room == 0 {
            return Ok(seen.rows.num_rows() as u64);
        }
        let rows = match Table::by_name(seen.table) {
            Some(table) => readable(table, wanted.masked.apply(&seen.rows)?)?,
            None => seen.rows.clone(),
        };
        let met = wanted.filter(&rows)?;
        let shown = met.slice(0, met.num_rows().min(room));
        self.rate.take(shown.num_rows());
        push_rows(seen.table, &wanted.project(&shown)?, out)?;
        Ok((met.num_rows() - shown.num_rows()) as u64)
    }
}

/// The tables that the stage can show, and their columns.
fn candidates(request: &Request) -> anyhow::Result<Vec<(&'static str, SchemaRef)>> {
    let of = |table: Table| (table.name(), readable_schema(table));
    let all = match request.stage {
        Stage::Received => vec![(Received::TABLE, Received::schema())],
        Stage::Events => Table::EVENTS.map(of).to_vec(),
        Stage::DeadLetters => vec![of(Table::DeadLetter)],
        Stage::Alerts => vec![of(Table::DetectionFinding)],
    };
    if let Some(unknown) = request.tables.iter().find(|name| all.iter().all(|(table, _)| table != name)) {
        let names: Vec<&str> = all.iter().map(|(table, _)| *table).collect();
        bail!("table: `{unknown}` is not seen at this stage; there are {}", names.join(", "));
    }
    let is_wanted = |name: &str| request.tables.is_empty() || request.tables.iter().any(|table| table == name);
    Ok(all.into_iter().filter(|(table, _)| is_wanted(table)).collect())
}

/// A dead letter's bytes as text, for who reads and for conditions.
fn readable_schema(table: Table) -> SchemaRef {
    let schema = table.layout().schema.clone();
    let fields = schema.fields().iter().map(|field| match field.data_type() {
        DataType::Binary | DataType::LargeBinary => Arc::new(Field::new(field.name(), DataType::Utf8, true)),
        _ => field.clone(),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn readable(table: Table, rows: RecordBatch) -> anyhow::Result<RecordBatch> {
    if table != Table::DeadLetter {
        return Ok(rows);
    }
    let column = |column: &ArrayRef| -> ArrayRef {
        match column.as_binary_opt::<i32>() {
            Some(bytes) => {
                Arc::new(bytes.iter().map(|bytes| bytes.map(String::from_utf8_lossy)).collect::<StringArray>())
            }
            None => column.clone(),
        }
    };
    Ok(RecordBatch::try_new(readable_schema(table), rows.columns().iter().map(column).collect())?)
}

impl Wanted {
    fn of(request: &Request, session: &SessionContext, schema: &SchemaRef) -> anyhow::Result<Self> {
        let schema = DFSchema::try_from(schema.as_ref().clone())?;
        let understood = |sql: &str| -> anyhow::Result<Arc<dyn PhysicalExpr>> {
            let expression = session.parse_sql_expr(sql, &schema);
            let physical = expression.and_then(|expression| session.create_physical_expr(expression, &schema));
            physical.map_err(|error| anyhow::anyhow!(reason(&error)))
        };
        let mut wanted = Self::default();
        if let Some(condition) = &request.condition {
            let understood = understood(condition).with_context(|| format!("where: `{condition}`"))?;
            if understood.data_type(schema.as_arrow())? != DataType::Boolean {
                bail!("where: `{condition}` is not true or false");
            }
            wanted.condition = Some(understood);
        }
        if !request.fields.is_empty() {
            let field = |sql: &String| Ok((sql.clone(), understood(sql).with_context(|| format!("field: `{sql}`"))?));
            wanted.fields = Some(request.fields.iter().map(field).collect::<anyhow::Result<_>>()?);
        }
        Ok(wanted)
    }

    fn filter(&self, rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
        let Some(condition) = &self.condition else { return Ok(rows.clone()) };
        let met = condition.evaluate(rows)?.into_array(rows.num_rows())?;
        Ok(filter_record_batch(rows, met.as_boolean())?)
    }

    fn project(&self, rows: &RecordBatch) -> anyhow::Result<RecordBatch> {
        let Some(fields) = &self.fields else { return Ok(rows.clone()) };
        let column = |(name, field): &(String, Arc<dyn PhysicalExpr>)| {
            let column = field.evaluate(rows)?.into_array(rows.num_rows())?;
            Ok((name.clone(), column, true))
        };
        let columns = fields.iter().map(column).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(RecordBatch::try_from_iter_with_nullable(columns)?)
    }
}

/// `{"table":…,"row":{…}}` a row.
fn push_rows(table: &str, rows: &RecordBatch, out: &mut String) -> anyhow::Result<()> {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    for row in String::from_utf8(writer.into_inner())?.lines() {
        out.push_str(&format!("{{\"table\":\"{table}\",\"row\":{row}}}\n"));
    }
    Ok(())
}

/// So many rows in each second.
struct Rate {
    rows: u32,
    began: Option<Instant>,
    used: usize,
}

impl Rate {
    fn new(rows: u32) -> Self {
        Self { rows, began: None, used: 0 }
    }

    fn room(&mut self, now: Instant) -> usize {
        if self.began.is_none_or(|began| now - began >= Duration::from_secs(1)) {
            (self.began, self.used) = (Some(now), 0);
        }
        self.rows as usize - self.used
    }

    fn take(&mut self, rows: usize) {
        self.used += rows;
    }
}

#[cfg(test)]
mod tests {
    use dataflow::{BatchBuilder, ChunkBuilder, PartitionId};
    use serde_json::{Value, json};

    use super::*;

    fn chunk() -> Chunk {
        let mut chunk = ChunkBuilder::new(PartitionId::new("fw", "i", 3), "acme".into(), 0);
        (0..4).for_each(|offset| chunk.push(format!("line {offset}\u{e9}").as_bytes(), offset, 1_000_000 + offset));
        chunk.finish()
    }

    /// Four sessions, to the ports 0, 1, 2 and 3.
    fn sessions() -> Seen {
        let table = Table::NetworkActivity;
        let (chunk, mut rows) = (chunk(), BatchBuilder::new());
        for record in chunk.records() {
            let row = rows.table(table);
            row.set_i64(table.expect_leaf("time"), record.received_at);
            row.set_str(table.expect_leaf("src_endpoint.ip"), "192.0.2.1");
            row.set_i32(table.expect_leaf("dst_endpoint.port"), i32::try_from(record.offset).expect("small"));
            row.set_str(table.expect_leaf("raw_data"), "from 192.0.2.1");
            row.push_str(table.expect_leaf("url.categories[]"), "news");
            row.end_event(&chunk.partition, &chunk.tenant, &record, 0);
        }
        let batch = rows.finish().into_iter().next().expect("one table");
        Seen { table: table.name(), rows: batch.rows }
    }

    fn request(change: impl FnOnce(&mut Request)) -> Request {
        let mut request = Request {
            stage: Stage::Events,
            tables: Vec::new(),
            condition: None,
            fields: Vec::new(),
            redact: Vec::new(),
            rate: 100,
        };
        change(&mut request);
        request
    }

    fn look(request: &Request) -> Look {
        Look::new(request, &Redaction::default()).unwrap_or_else(|error| panic!("{request:?}: {error:#}"))
    }

    /// What is shown, and how many were passed over.
    fn shown(look: &mut Look, seen: &Seen, now: Instant) -> (Vec<Value>, u64) {
        let mut text = String::new();
        let passed_over = look.take(seen, now, &mut text).expect("it can be worked out");
        (text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect(), passed_over)
    }

    #[test]
    fn rows_that_meet_the_condition_are_shown_as_they_were_asked_for() {
        let asked = request(|r| {
            r.condition = Some("dst_endpoint.port >= 2 AND src_ip = '192.0.2.1'".to_owned());
            r.fields = vec!["dst_port".to_owned(), "upper(src_endpoint.ip)".to_owned()];
        });
        let (rows, passed_over) = shown(&mut look(&asked), &sessions(), crate::clock::instant());
        let row = |port| json!({"table": "network_activity", "row": {"dst_port": port, "upper(src_endpoint.ip)": "192.0.2.1"}});
        assert_eq!((rows, passed_over), (vec![row(2), row(3)], 0));
        let (whole, _) = shown(&mut look(&request(|_| {})), &sessions(), crate::clock::instant());
        assert_eq!((whole.len(), &whole[0]["row"]["src_endpoint"]["ip"]), (4, &json!("192.0.2.1")));
        let other = request(|r| r.tables = vec!["dns_activity".to_owned()]);
        assert_eq!(shown(&mut look(&other), &sessions(), crate::clock::instant()), (vec![], 0));
    }

    #[test]
    fn rows_beyond_the_rate_are_passed_over_until_the_next_second() {
        let (mut look, now) = (look(&request(|r| r.rate = 3)), crate::clock::instant());
        let mut counts = |at: Duration| {
            let (rows, passed_over) = shown(&mut look, &sessions(), now + at);
            (rows.len(), passed_over)
        };
        assert_eq!(counts(Duration::ZERO), (3, 1));
        assert_eq!(counts(Duration::from_millis(999)), (0, 4), "not even looked at");
        assert_eq!(counts(Duration::from_millis(1_000)), (3, 1));
    }

    #[test]
    fn records_are_seen_as_they_came() {
        let asked = request(|r| {
            r.stage = Stage::Received;
            r.condition = Some("raw LIKE '%2_'".to_owned());
        });
        let seen = Seen { table: Received::TABLE, rows: Received::rows(&chunk()) };
        let (rows, _) = shown(&mut look(&asked), &seen, crate::clock::instant());
        let wanted = json!({"_topic": "fw", "_partition_id": 3, "_offset": 2, "_received_at": "1970-01-01T00:00:01.000002Z",
            "tenant_uid": "acme", "raw": "line 2\u{e9}"});
        assert_eq!(rows, [json!({"table": "received", "row": wanted})]);
    }

    #[test]
    fn what_is_masked_is_masked_wherever_it_stands_and_cannot_be_asked_for() {
        let everybody = Redaction::new(vec!["src_endpoint".to_owned()]).expect("a column");
        let mut asked = request(|r| r.redact = vec!["url.categories".to_owned(), "dst_port".to_owned()]);
        let mut look = Look::new(&asked, &everybody).expect("it can be");
        let (rows, _) = shown(&mut look, &sessions(), crate::clock::instant());
        let row = &rows[0]["row"];
        assert_eq!(
            (&row["src_endpoint"]["ip"], &row["src_ip"], &row["raw_data"]),
            (&json!("***"), &json!("***"), &json!("***"))
        );
        assert_eq!(
            (&row["dst_port"], row["dst_endpoint"].get("port"), row["url"].get("categories")),
            (&Value::Null, None, None)
        );
        assert_eq!(row["tenant_uid"], json!("acme"));
        asked.condition = Some("src_ip = '192.0.2.1'".to_owned());
        let mut probing = Look::new(&asked, &everybody).expect("it can be");
        assert_eq!(shown(&mut probing, &sessions(), crate::clock::instant()).0, Vec::<Value>::new());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let everybody = Redaction::new(vec!["src_endpoint".to_owned()]).expect("a column");
        let refused = |change: &dyn Fn(&mut Request)| match Look::new(&request(change), &everybody) {
            Ok(_) => panic!("it was taken"),
            Err(error) => format!("{error:#}"),
        };
        for (change, why) in [
            (&(|r: &mut Request| r.rate = 0) as &dyn Fn(&mut Request), "rate: from 1 to 1000"),
            (&|r| r.tables = vec!["users".to_owned()], "`users` is not seen at this stage; there are network_activity"),
            (&|r| r.condition = Some("dst_port".to_owned()), "is not true or false"),
            (&|r| r.condition = Some("dst_port = ".to_owned()), "where: `dst_port = `"),
            (
                &|r| r.condition = Some("no_such_column = 1".to_owned()),
                "where: `no_such_column = 1`: no column no_such_column; did you mean",
            ),
            (&|r| r.condition = Some("EXISTS (SELECT 1)".to_owned()), "where: "),
            (&|r| r.fields = vec!["nothing".to_owned()], "field: `nothing`"),
            (&|r| r.redact = vec!["users".to_owned()], "redact: `users` is no column"),
            (&|r| r.redact = vec!["_offset".to_owned()], "cannot be masked"),
            (&|r| r.stage = Stage::Received, "may hold what is redacted"),
        ] {
            let told = refused(change);
            assert!(told.contains(why), "{told}: {why}");
        }
    }
}
