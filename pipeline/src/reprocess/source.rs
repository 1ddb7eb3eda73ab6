//! A request's records as a source: one stretch after the other, each in the order of its offsets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use anyhow::Context;
use arrow::array::{Array, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use async_trait::async_trait;
use dataflow::{Chunk, ChunkBuilder, PartitionId, Positions, Source, SourceError, SourceEvent};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::SessionContext;
use futures::StreamExt;
use sinks::Warehouse;

use super::reprocessed;
use super::request::{Request, Stretch};

/// A chunk ends when it holds this much.
const CHUNK_BYTES: usize = 1 << 20;

/// See the module's front. Bounded: it ends with the last record.
pub(crate) struct ReprocessSource {
    request: Request,
    session: SessionContext,
    /// Stretches that are not read yet, and where each begins.
    waiting: VecDeque<(Stretch, i64)>,
    open: Option<Open>,
    ready: VecDeque<Chunk>,
    has_ended: bool,
}

/// The stretch that is being read.
struct Open {
    partition: PartitionId,
    records: SendableRecordBatchStream,
    /// By file number: lines that name the columns of the lines below them.
    heads: BTreeMap<i64, Vec<u8>>,
    /// The next offset.
    at: i64,
}

impl ReprocessSource {
    /// The records of a request.
    ///
    /// # Errors
    /// If a table no longer has the snapshot that the request reads.
    pub(crate) async fn open(request: Request, warehouse: &Warehouse) -> anyhow::Result<Self> {
        let session = request.pinned.session(warehouse).await?;
        let waiting = request.found.stretches.iter().map(|stretch| (stretch.clone(), 0)).collect();
        Ok(Self { request, session, waiting, open: None, ready: VecDeque::new(), has_ended: false })
    }

    async fn begin(request: &Request, session: &SessionContext, stretch: &Stretch, at: i64) -> anyhow::Result<Open> {
        let pinned = &request.pinned;
        let partition = reprocessed(&stretch.origin, request.number);
        let records = pinned.records(session, stretch, at).await?;
        // Only what was read from a file has a first line that speaks of others.
        let is_of_files = *stretch.origin.incarnation == *ingest::files::incarnation(&stretch.origin.topic).to_string();
        let heads = if is_of_files { pinned.heads(session, &stretch.origin).await? } else { BTreeMap::new() };
        Ok(Open { partition, records, heads, at })
    }

    async fn next(&mut self) -> anyhow::Result<SourceEvent> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(SourceEvent::Chunk(chunk));
            }
            if let Some(open) = &mut self.open {
                match open.records.next().await.transpose()? {
                    Some(batch) => self.ready = open.chunks(&batch)?.into(),
                    None => {
                        let done = self.open.take().map(|open| SourceEvent::CaughtUp(open.partition));
                        return done.context("a stretch was open");
                    }
                }
            } else if let Some((stretch, at)) = self.waiting.front().cloned() {
                // Taken off only when it is open: a dropped call loses nothing.
                self.open = Some(Self::begin(&self.request, &self.session, &stretch, at).await?);
                self.waiting.pop_front();
            } else if std::mem::replace(&mut self.has_ended, true) {
                std::future::pending::<()>().await;
            } else {
                return Ok(SourceEvent::EndOfInput);
            }
        }
    }
}

#[async_trait]
impl Source for ReprocessSource {
    fn partitions(&self) -> Vec<PartitionId> {
        self.request.ends().into_keys().collect()
    }

    async fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        let number = self.request.number;
        for (stretch, at) in &mut self.waiting {
            *at = positions.get(&reprocessed(&stretch.origin, number)).copied().unwrap_or(*at);
        }
        self.waiting.retain(|(stretch, at)| *at < stretch.offsets.1);
        Ok(())
    }

    async fn next_event(&mut self) -> Result<SourceEvent, SourceError> {
        self.next().await.map_err(|cause| SourceError {
            source_name: format!("request {}", self.request.number),
            what: "the records cannot be read back".to_owned(),
            transient: false,
            cause: Some(cause.into()),
        })
    }

    /// Nothing to do: the ledger knows.
    async fn acknowledge(&mut self, _positions: &Positions) -> Result<(), SourceError> {
        Ok(())
    }
}

/// A batch's columns.
struct Columns {
    offset: Int64Array,
    received_at: Int64Array,
    tenant: StringArray,
    raw: BinaryArray,
    size: Int64Array,
}

impl Columns {
    fn of(batch: &RecordBatch) -> anyhow::Result<Self> {
        let column = |name: &str, to: DataType| -> anyhow::Result<_> {
            let column = batch.column_by_name(name).with_context(|| format!("no column {name}"))?;
            Ok(cast(column, &to)?)
        };
        let number =
            |name: &str| Ok::<_, anyhow::Error>(column(name, DataType::Int64)?.as_primitive::<Int64Type>().clone());
        let received = batch.column_by_name("received_at").context("no column received_at")?;
        let received = received.as_primitive_opt::<TimestampMicrosecondType>().context("received_at is no time")?;
        let (raw, text) = (column("raw", DataType::Binary)?, column("raw_data", DataType::Utf8)?);
        let raw = raw.as_binary::<i32>().iter().zip(text.as_string::<i32>().iter());
        Ok(Self {
            offset: number("off")?,
            received_at: received.reinterpret_cast::<Int64Type>(),
            tenant: column("tenant", DataType::Utf8)?.as_string::<i32>().clone(),
            raw: raw.map(|(bytes, text)| bytes.or(text.map(str::as_bytes))).collect(),
            size: number("size")?,
        })
    }

    fn tenant(&self, row: usize) -> &str {
        self.tenant.value(row)
    }
}

impl Open {
    /// The batch's records. A chunk has one tenant and one head.
    fn chunks(&mut self, batch: &RecordBatch) -> anyhow::Result<Vec<Chunk>> {
        let columns = Columns::of(batch)?;
        let (mut chunks, mut first) = (Vec::new(), 0);
        while first < batch.num_rows() {
            let (tenant, file) = (columns.tenant(first), columns.offset.value(first) >> 32);
            let mut chunk = ChunkBuilder::new(self.partition.clone(), Arc::from(tenant), self.at);
            chunk.set_head(self.heads.get(&file).map(|head| head.clone().into()));
            let mut row = first;
            while row < batch.num_rows()
                && columns.tenant(row) == tenant
                && columns.offset.value(row) >> 32 == file
                && chunk.bytes() < CHUNK_BYTES
            {
                let raw = columns.raw.value(row);
                // A record that was cut stays a cut record.
                let size = if columns.size.is_null(row) { 0 } else { u64::try_from(columns.size.value(row))? };
                let size = size.max(raw.len() as u64);
                chunk.push_cut(raw, size, columns.offset.value(row), columns.received_at.value(row));
                row += 1;
            }
            let chunk = chunk.finish();
            (self.at, first) = (chunk.offsets.next, row);
            chunks.push(chunk);
        }
        Ok(chunks)
    }
}
