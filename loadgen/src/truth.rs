//! The truth: what must stand in which table for every record, whatever the pipeline does.

use std::fs::File;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use dataflow::{PartitionId, Reason, Table};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::error::Error;
use crate::fleet::Fleet;
use crate::fleet::people::UserName;
use crate::record::Record;
use crate::record::flow::FlowLog;
use crate::record::session::{Kind, Session};
use crate::record::vpn::VpnLog;

mod told;

/// What must come of one event, or of one malformed record.
#[derive(Debug, Clone, PartialEq)]
pub struct TruthRow {
    /// Where the record stands.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: i64,
    /// The event's index within the record, from 0.
    pub record: i32,
    /// Whose it is.
    pub tenant: Arc<str>,
    /// The table it must stand in.
    pub table: Table,
    /// Event time exactly as the line tells it, microseconds UTC; none in a dead letter.
    pub time_us: Option<i64>,
    /// Source address; none if the event has none (a service's call, a system log).
    pub src_ip: Option<IpAddr>,
    /// Destination address.
    pub dst_ip: Option<IpAddr>,
    /// Destination port; 0 in ICMP, as the line says.
    pub dst_port: Option<i32>,
    /// Bytes from source to destination; only TRAFFIC and flow logs tell them.
    pub bytes_out: Option<i64>,
    /// Who did it: without the domain, as the line spells it.
    pub user_name: Option<UserName>,
    /// OCSF's number of what was done: of a login, of a tunnel.
    pub activity_id: Option<i32>,
    /// OCSF's number of what the device did: TRAFFIC and flows were allowed (1) or denied (2).
    pub action_id: Option<i32>,
    /// OCSF's number of the severity of a finding, 1 to 5.
    pub severity_id: Option<i32>,
    /// OCSF's number of a login's result: success (1) or failure (2).
    pub status_id: Option<i32>,
    /// Country of the source, if the demo's database is asked.
    pub src_country: Option<&'static str>,
    /// What was called: of the cloud's API, of a device's configuration.
    pub operation: Option<&'static str>,
    /// Why a dead letter is one.
    pub reason: Option<Reason>,
    /// Offset of the record of the same partition that this one repeats, byte for byte.
    pub duplicate_of: Option<i64>,
    /// Index of the label in [`Fleet::labels`] that the event belongs to.
    pub attack: Option<usize>,
}

/// Where a record stands: partition, tenant, offset.
type Place<'a> = (&'a PartitionId, &'a Arc<str>, i64);

/// Appends the rows of one record.
pub(crate) fn truth_rows(record: &Record<'_>, place: Place<'_>, label: Option<usize>, rows: &mut Vec<TruthRow>) {
    let blank = |record: i32, table: Table| blank(place, record, table);
    match record {
        Record::Malformed(fault, _) => {
            rows.push(TruthRow { reason: Some(fault.reason()), ..blank(0, Table::DeadLetter) });
        }
        Record::Session(wire, session) => {
            rows.push(TruthRow { attack: label, ..told::session(*wire, session, session_row(session, blank)) });
        }
        Record::Vpn(wire, log) => rows.push(TruthRow { attack: label, ..told::vpn(*wire, log, vpn_row(log, blank)) }),
        Record::Flow(log) => rows.push(flow_row(log, blank)),
        Record::Cloud(cloud) => rows.extend((0..cloud.events()).map(|index| {
            let event = cloud.event(index);
            let is_planned = cloud.planned.is_some_and(|(at, _)| at == index);
            TruthRow {
                time_us: Some(event.time_us),
                src_ip: event.source,
                user_name: event.person(),
                operation: Some(event.operation().name),
                attack: label.filter(|_| is_planned),
                ..blank(i32::from(index), Table::ApiActivity)
            }
        })),
    }
}

/// A row that tells nothing but where it stands.
fn blank((partition, tenant, offset): Place<'_>, record: i32, table: Table) -> TruthRow {
    TruthRow {
        partition: partition.clone(),
        offset,
        record,
        tenant: tenant.clone(),
        table,
        time_us: None,
        src_ip: None,
        dst_ip: None,
        dst_port: None,
        bytes_out: None,
        user_name: None,
        activity_id: None,
        action_id: None,
        severity_id: None,
        status_id: None,
        src_country: None,
        operation: None,
        reason: None,
        duplicate_of: None,
        attack: None,
    }
}

/// What a record's rows have in common: index within the record and table in, a row without values out.
trait Blank: Fn(i32, Table) -> TruthRow {}

impl<F: Fn(i32, Table) -> TruthRow> Blank for F {}

fn session_row(session: &Session<'_>, blank: impl Blank) -> TruthRow {
    let table = match session.kind {
        Kind::Traffic(_) => Table::NetworkActivity,
        Kind::Url(_) => Table::HttpActivity,
        Kind::Threat(_) => Table::DetectionFinding,
        Kind::System if session.login().is_some() => Table::Authentication,
        Kind::System => Table::BaseEvent,
        Kind::Config(_) => Table::ApiActivity,
    };
    let row = TruthRow { time_us: Some(session.time_us), user_name: session.person(), ..blank(0, table) };
    match session.kind {
        Kind::System if session.login().is_some() => TruthRow { activity_id: Some(1), status_id: Some(1), ..row },
        Kind::System => row,
        Kind::Config(change) => {
            TruthRow { src_ip: Some(IpAddr::V4(change.host)), operation: Some(change.command), ..row }
        }
        Kind::Traffic(_) => TruthRow {
            bytes_out: Some(session.sent as i64),
            action_id: Some(if session.is_allowed() { 1 } else { 2 }),
            ..between(session, row)
        },
        Kind::Url(_) => between(session, row),
        Kind::Threat(signature) => TruthRow { severity_id: Some(signature.severity_id()), ..between(session, row) },
    }
}

/// Adds the ends of a session.
fn between(session: &Session<'_>, row: TruthRow) -> TruthRow {
    let (src, dst, port) = (session.src, session.dst, session.dst_port);
    TruthRow { src_ip: Some(src), dst_ip: Some(dst), dst_port: Some(i32::from(port)), ..row }
}

fn vpn_row(log: &VpnLog<'_>, blank: impl Blank) -> TruthRow {
    let (step, stride) = (log.step(), log.stride);
    let is_login = step.table == Table::Authentication;
    TruthRow {
        time_us: Some(log.time_us),
        src_ip: Some(stride.source),
        user_name: Some(stride.user),
        activity_id: Some(step.activity_id),
        status_id: is_login.then_some(if stride.is_failure { 2 } else { 1 }),
        src_country: Some(log.country()),
        ..blank(0, step.table)
    }
}

fn flow_row(log: &FlowLog<'_>, blank: impl Blank) -> TruthRow {
    let row = TruthRow { time_us: Some(log.end_us), ..blank(0, Table::NetworkActivity) };
    if log.is_empty {
        return row;
    }
    TruthRow {
        src_ip: Some(log.src),
        dst_ip: Some(log.dst),
        dst_port: Some(i32::from(log.dst_port)),
        bytes_out: Some(log.bytes as i64),
        action_id: Some(if log.is_accepted { 1 } else { 2 }),
        ..row
    }
}

/// Rows a batch of the truth log.
const BATCH_ROWS: usize = 65_536;

impl Fleet {
    /// Writes `truth.parquet`, a row an event in partition and offset order, and `labels.json` into `dir`.
    ///
    /// Columns: `topic, incarnation, partition, offset, record, tenant_uid, table, time_us, src_ip, dst_ip, dst_port,
    /// bytes_out, user_name, activity_id, action_id, severity_id, status_id, src_country, operation, reason, duplicate_of,
    /// attack_id`; the fields of [`TruthRow`], `time_us` as a timestamp with zone UTC.
    ///
    /// # Errors
    /// [`Error::Write`] and [`Error::Parquet`] with the path.
    pub fn write_truth(&self, dir: &Path) -> Result<(), Error> {
        write_file(dir.join("labels.json"), |file| Ok(serde_json::to_writer_pretty(file, self.labels())?))?;
        let path = dir.join("truth.parquet");
        let file = File::create(&path).map_err(|cause| Error::Write { path: path.clone(), cause })?;
        self.write_rows(file).map_err(|cause| Error::Parquet { path, cause })
    }

    fn write_rows(&self, file: File) -> Result<(), parquet::errors::ParquetError> {
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?)).build();
        let mut writer = ArrowWriter::try_new(file, schema(), Some(properties))?;
        let mut rows = Vec::new();
        for id in self.partitions() {
            let Some(mut cursor) = self.cursor(&id, 0) else { continue };
            while cursor.next_truth(&mut rows).is_some() {
                if rows.len() >= BATCH_ROWS {
                    writer.write(&self.batch(&rows))?;
                    rows.clear();
                }
            }
        }
        writer.write(&self.batch(&rows))?;
        writer.close().map(|_| ())
    }

    fn batch(&self, rows: &[TruthRow]) -> RecordBatch {
        let columns = vec![
            text(rows, |r, out| out.append_value(&r.partition.topic)),
            text(rows, |r, out| out.append_value(&r.partition.incarnation)),
            int32(rows, |r| Some(r.partition.partition)),
            int64(rows, |r| Some(r.offset)),
            int32(rows, |r| Some(r.record)),
            text(rows, |r, out| out.append_value(&r.tenant)),
            text(rows, |r, out| out.append_value(r.table.name())),
            times(rows),
            text(rows, |r, out| out.append_option(r.src_ip.map(|ip| ip.to_string()))),
            text(rows, |r, out| out.append_option(r.dst_ip.map(|ip| ip.to_string()))),
            int32(rows, |r| r.dst_port),
            int64(rows, |r| r.bytes_out),
            text(rows, |r, out| out.append_option(r.user_name.map(|name| name.to_string()))),
            int32(rows, |r| r.activity_id),
            int32(rows, |r| r.action_id),
            int32(rows, |r| r.severity_id),
            int32(rows, |r| r.status_id),
            text(rows, |r, out| out.append_option(r.src_country)),
            text(rows, |r, out| out.append_option(r.operation)),
            text(rows, |r, out| out.append_option(r.reason.map(Reason::name))),
            int64(rows, |r| r.duplicate_of),
            text(rows, |r, out| out.append_option(r.attack.map(|at| self.labels()[at].attack_id.as_str()))),
        ];
        RecordBatch::try_new(schema(), columns).expect("the columns follow the schema")
    }
}

fn schema() -> SchemaRef {
    let field = |name: &str, kind: DataType, nullable: bool| Field::new(name, kind, nullable);
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some(dataflow::schema::UTC.into()));
    Arc::new(Schema::new(vec![
        field("topic", DataType::Utf8, false),
        field("incarnation", DataType::Utf8, false),
        field("partition", DataType::Int32, false),
        field("offset", DataType::Int64, false),
        field("record", DataType::Int32, false),
        field("tenant_uid", DataType::Utf8, false),
        field("table", DataType::Utf8, false),
        field("time_us", time, true),
        field("src_ip", DataType::Utf8, true),
        field("dst_ip", DataType::Utf8, true),
        field("dst_port", DataType::Int32, true),
        field("bytes_out", DataType::Int64, true),
        field("user_name", DataType::Utf8, true),
        field("activity_id", DataType::Int32, true),
        field("action_id", DataType::Int32, true),
        field("severity_id", DataType::Int32, true),
        field("status_id", DataType::Int32, true),
        field("src_country", DataType::Utf8, true),
        field("operation", DataType::Utf8, true),
        field("reason", DataType::Utf8, true),
        field("duplicate_of", DataType::Int64, true),
        field("attack_id", DataType::Utf8, true),
    ]))
}

fn text(rows: &[TruthRow], append: impl Fn(&TruthRow, &mut StringBuilder)) -> ArrayRef {
    let mut out = StringBuilder::with_capacity(rows.len(), rows.len() * 12);
    rows.iter().for_each(|r| append(r, &mut out));
    Arc::new(out.finish())
}

fn int32(rows: &[TruthRow], value: impl Fn(&TruthRow) -> Option<i32>) -> ArrayRef {
    let mut out = Int32Builder::with_capacity(rows.len());
    rows.iter().for_each(|r| out.append_option(value(r)));
    Arc::new(out.finish())
}

fn int64(rows: &[TruthRow], value: impl Fn(&TruthRow) -> Option<i64>) -> ArrayRef {
    let mut out = Int64Builder::with_capacity(rows.len());
    rows.iter().for_each(|r| out.append_option(value(r)));
    Arc::new(out.finish())
}

fn times(rows: &[TruthRow]) -> ArrayRef {
    let mut out = TimestampMicrosecondBuilder::with_capacity(rows.len());
    rows.iter().for_each(|r| out.append_option(r.time_us));
    Arc::new(out.finish().with_timezone(dataflow::schema::UTC))
}

fn write_file(path: PathBuf, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Error> {
    File::create(&path).and_then(|mut file| write(&mut file)).map_err(|cause| Error::Write { path, cause })
}

#[cfg(test)]
mod tests;
