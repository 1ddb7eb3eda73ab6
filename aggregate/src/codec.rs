//! State batches and their heads as bytes: a magic, a version, a JSON head, Arrow IPC streams, a CRC over all of it.
//!
//! The CRC is checked before anything is read, so damaged bytes end as an error and never reach the IPC reader.

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{AggregateError, Result};

/// What the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) magic: [u8; 4],
    pub(crate) version: u16,
}

/// Writes a head and groups of batches; batches of one group share a schema.
pub(crate) fn encode(kind: Kind, head: &impl Serialize, groups: &[Vec<RecordBatch>]) -> Result<Vec<u8>> {
    let head = serde_json::to_vec(head).map_err(|e| kind.error(e.to_string()))?;
    let mut out = Vec::new();
    out.extend_from_slice(&kind.magic);
    out.extend_from_slice(&kind.version.to_le_bytes());
    push_block(&mut out, &head);
    for batches in groups {
        push_block(&mut out, &ipc(batches)?);
    }
    let crc = crc32fast::hash(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(out)
}

fn push_block(out: &mut Vec<u8>, block: &[u8]) {
    out.extend_from_slice(&(block.len() as u64).to_le_bytes());
    out.extend_from_slice(block);
}

fn ipc(batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    let mut writer = StreamWriter::try_new(Vec::new(), &first.schema())?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}

/// Reads what [`encode`] wrote.
pub(crate) fn decode<H: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<(H, Vec<Vec<RecordBatch>>)> {
    let mut rest = kind.checked(bytes)?;
    let head = take_block(&mut rest).ok_or_else(|| kind.error("its head is cut off"))?;
    let head = serde_json::from_slice(head).map_err(|e| kind.error(e.to_string()))?;
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let block = take_block(&mut rest).ok_or_else(|| kind.error("a block is cut off"))?;
        groups.push(batches(block).map_err(|e| kind.error(e.to_string()))?);
    }
    Ok((head, groups))
}

fn take_block<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, tail) = rest.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    let block = tail.get(..len)?;
    *rest = &tail[len..];
    Some(block)
}

fn batches(block: &[u8]) -> Result<Vec<RecordBatch>, ArrowError> {
    if block.is_empty() {
        return Ok(Vec::new());
    }
    StreamReader::try_new(block, None)?.collect()
}

impl Kind {
    fn error(self, why: impl Into<String>) -> AggregateError {
        AggregateError::Decode { what: self.name, why: why.into() }
    }

    /// The blocks, if magic, version and CRC are right.
    fn checked(self, bytes: &[u8]) -> Result<&[u8]> {
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or_else(|| self.error("it is too short"))?;
        let (magic, rest) = body.split_first_chunk::<4>().ok_or_else(|| self.error("it is too short"))?;
        let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(|| self.error("it is too short"))?;
        if *magic != self.magic {
            return Err(self.error("it begins otherwise"));
        }
        if u16::from_le_bytes(*version) != self.version {
            return Err(self.error(format!("version {}, not {}", u16::from_le_bytes(*version), self.version)));
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(self.error("its CRC is wrong"));
        }
        Ok(rest)
    }
}
