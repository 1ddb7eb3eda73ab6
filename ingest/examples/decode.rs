//! Lines on stdin -> OCSF NDJSON on stdout, dead letters on stderr: `decode [FORMAT]`.

use std::io::{BufRead, Write};

use anyhow::Context;
use dataflow::json::JsonRows;
use dataflow::{BatchBuilder, ChunkBuilder, DeadLetters, Decoder, PartitionId};
use ingest::decode::{AutoDecoder, DecodeConfig};

/// Receive time of every line: what is read here happened in the past.
const RECEIVED_AT: i64 = 1_800_000_000_000_000;

fn main() -> anyhow::Result<()> {
    let format = std::env::args().nth(1).unwrap_or_else(|| "auto".to_owned()).parse()?;
    let mut decoder = AutoDecoder::new(DecodeConfig { format, ..DecodeConfig::default() });
    let partition = PartitionId::new("stdin", "0", 0);
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    let mut text = String::new();
    for (offset, line) in (0..).zip(std::io::stdin().lock().split(b'\n')) {
        let line = line.context("cannot read stdin")?;
        let mut chunk = ChunkBuilder::new(partition.clone(), "local".into(), offset);
        chunk.push(&line, offset, RECEIVED_AT);
        decoder.decode(&chunk.finish(), &mut rows, &mut dead);
        for (reason, _) in dead.take_counts() {
            writeln!(stderr, "{offset}: {reason}: {}", String::from_utf8_lossy(&line))?;
        }
        for batch in rows.finish() {
            let json = JsonRows::new(batch.table, &batch.rows);
            for row in 0..json.rows() {
                text.clear();
                json.write(row, &mut text);
                writeln!(stdout, "{text}")?;
            }
        }
    }
    Ok(())
}
