//! Lines on stdin -> OCSF NDJSON on stdout, dead letters on stderr: `decode [FORMAT [MAPPING]...]`. The tests of mapping
//! files that are named are run first.

use std::io::{BufRead, Write};

use anyhow::Context;
use dataflow::json::JsonRows;
use dataflow::{BatchBuilder, ChunkBuilder, DeadLetters, Decoder, PartitionId};
use ingest::decode::{AutoDecoder, DecodeConfig};
use ingest::mapping::Mappings;

/// Receive time of every line: what is read here happened in the past.
const RECEIVED_AT: i64 = 1_800_000_000_000_000;

fn main() -> anyhow::Result<()> {
    let format = std::env::args().nth(1).unwrap_or_else(|| "auto".to_owned()).parse()?;
    let mappings = mappings(std::env::args().skip(2).collect())?;
    let mut decoder = AutoDecoder::with_mappings(DecodeConfig { format, ..DecodeConfig::default() }, mappings);
    let partition = PartitionId::new("stdin", "0", 0);
    let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
    let (mut stdout, mut stderr) = (std::io::stdout().lock(), std::io::stderr().lock());
    let (mut text, mut head) = (String::new(), None::<bytes::Bytes>);
    for (offset, line) in (0..).zip(std::io::stdin().lock().split(b'\n')) {
        let line = line.context("cannot read stdin")?;
        let mut chunk = ChunkBuilder::new(partition.clone(), "local".into(), offset);
        chunk.push(&line, offset, RECEIVED_AT);
        chunk.set_head(Some(head.get_or_insert_with(|| line.clone().into()).clone()));
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

/// The mappings that ship and those of the files; what is wrong with them goes to stderr.
fn mappings(files: Vec<String>) -> anyhow::Result<Mappings> {
    let mappings = Mappings::load(&files).or_else(|errors| {
        errors.iter().for_each(|e| eprintln!("{e}"));
        anyhow::bail!("{} mistakes in mapping files", errors.len())
    })?;
    if !files.is_empty() {
        mappings.run_tests().iter().for_each(|failure| eprintln!("{failure}"));
    }
    Ok(mappings)
}
