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
    /// The oldest version that is read.
    pub(crate) oldest: u16,
    /// The version that is written.
    pub(crate) version: u16,
}

/// Writes a head and groups of batches; batches of one group share a schema.
pub(crate) fn encode(kind: Kind, head: &impl Serialize, groups: &[Vec<RecordBatch>]) -> Result<Vec<u8>> {
    let size = |batch: &RecordBatch| batch.get_array_memory_size();
    let mut out = Vec::with_capacity(1024 + groups.iter().flatten().map(size).sum::<usize>());
    append(&mut out, kind, head, groups)?;
    Ok(out)
}

/// As [`encode`], behind what `out` holds.
pub(crate) fn append(out: &mut Vec<u8>, kind: Kind, head: &impl Serialize, groups: &[Vec<RecordBatch>]) -> Result<()> {
    let start = out.len();
    let head = serde_json::to_vec(head).map_err(|e| kind.error(e.to_string()))?;
    out.extend_from_slice(&kind.magic);
    out.extend_from_slice(&kind.version.to_le_bytes());
    out.extend_from_slice(&(head.len() as u64).to_le_bytes());
    out.extend_from_slice(&head);
    for batches in groups {
        append_block(out, batches)?;
    }
    let crc = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// An IPC stream behind its length; no batches are no bytes.
fn append_block(out: &mut Vec<u8>, batches: &[RecordBatch]) -> Result<(), ArrowError> {
    let length_at = out.len();
    out.extend_from_slice(&[0; 8]);
    if let Some(first) = batches.first() {
        let mut writer = StreamWriter::try_new(&mut *out, &first.schema())?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()?;
    }
    let length = (out.len() - length_at - 8) as u64;
    out[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
    Ok(())
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
        let found = u16::from_le_bytes(*version);
        if !(self.oldest..=self.version).contains(&found) {
            let Self { name: what, oldest, version: newest, .. } = self;
            return Err(AggregateError::Version { what, found, oldest, newest });
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(self.error("its CRC is wrong"));
        }
        Ok(rest)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    const KIND: Kind = Kind { name: "thing", magic: *b"TEST", oldest: 3, version: 3 };

    fn batch(values: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter([("n", column)]).expect("a batch")
    }

    fn refusal(kind: Kind, bytes: &[u8]) -> String {
        decode::<String>(kind, bytes).expect_err("refused").to_string()
    }

    #[test]
    fn groups_of_batches_come_back_as_they_were() {
        let groups = vec![vec![batch(&[1, 2]), batch(&[])], vec![], vec![batch(&[3])]];
        let bytes = encode(KIND, &"head", &groups).expect("encoded");
        let (head, found) = decode::<String>(KIND, &bytes).expect("decoded");
        assert_eq!((head.as_str(), found), ("head", groups));
    }

    #[test]
    fn other_and_damaged_bytes_are_refused_with_the_reason() {
        let bytes = encode(KIND, &"head", &[vec![batch(&[1])]]).expect("encoded");
        for (kind, why) in [
            (Kind { magic: *b"ELSE", ..KIND }, "cannot read thing: it begins otherwise"),
            (
                Kind { oldest: 4, version: 5, ..KIND },
                "cannot read thing: it is of version 3, and this program reads 4 to 5: ",
            ),
            (
                Kind { oldest: 1, version: 2, ..KIND },
                "cannot read thing: it is of version 3, and this program reads 1 to 2: ",
            ),
        ] {
            assert!(refusal(kind, &bytes).starts_with(why), "{}", refusal(kind, &bytes));
        }
        assert!(
            decode::<String>(Kind { version: 4, ..KIND }, &bytes).is_ok(),
            "the next release reads what this one wrote"
        );
        for len in 0..10 {
            assert!(refusal(KIND, &bytes[..len]).starts_with("cannot read thing: "), "{len} bytes");
        }
        let mut damaged = bytes.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        assert_eq!(refusal(KIND, &damaged), "cannot read thing: its CRC is wrong");
        assert!(decode::<u64>(KIND, &bytes).is_err(), "another head");
    }

    #[test]
    fn a_block_longer_than_the_rest_is_refused() {
        let mut body = b"TEST\x03\0".to_vec();
        body.extend_from_slice(b"\x06\0\0\0\0\0\0\0\"head\"");
        body.extend_from_slice(&u64::MAX.to_le_bytes());
        let crc = crc32fast::hash(&body);
        body.extend_from_slice(&crc.to_le_bytes());
        assert_eq!(refusal(KIND, &body), "cannot read thing: a block is cut off");
    }
}
