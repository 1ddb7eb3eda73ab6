//! `palisade rules run`: a file of logs through decoders and rules -> a JSON line a hit, then one a window or correlation.
//!
//! The stages are those of a worker, but that a file is a set: nothing in it is late, and what counts over time is looked at when all of
//! it was read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroU32;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use aggregate::{Held, Limits, MergeStage, RuleFailure, RuleSet, SourceStage, StepStamp};
use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use dataflow::time::rfc3339;
use dataflow::{BatchBuilder, Chunk, ChunkBuilder, DeadLetters, Decoder, OffsetRange, PartitionId, Positions};
use flate2::read::MultiGzDecoder;
use ingest::decode::{AutoDecoder, DecodeConfig};
use ingest::files::Lines;
use ingest::mapping::Mappings;
use serde::{Deserialize, Serialize};

use super::super::decode::{LINE_LIMIT, LINES, lines};
use super::alert;
use super::held::write_held;
use crate::cli::RulesRunArgs;
use crate::clock;

/// A row that a rule is met by.
#[derive(Debug, Serialize)]
struct Hit<'a> {
    rule_id: &'a str,
    line: i64,
    time: &'a str,
}

/// The event times of hits, by line and rule: of a line with several events, the first.
type Hits = BTreeMap<(i64, String), i64>;

/// Lines that an alert names of each rule that its correlation refers to, at most.
const LINES_MAX: usize = 1_000;
/// Parts in which the file's time is looked at, so that not all alerts are held at once.
const CLOSE_STEPS: i64 = 64;

/// A `--wrapped` line.
#[derive(Deserialize)]
struct Wrapped {
    raw: String,
}

/// Runs the command.
///
/// # Errors
/// If the file cannot be read, or a mapping is wrong.
pub(super) fn run(args: &RulesRunArgs) -> anyhow::Result<ExitCode> {
    let (rules, refused) = RuleSet::survey_excepted(&args.rules, &args.exceptions);
    refused.0.iter().for_each(|error| eprintln!("refused: {error}"));
    if args.strict && !refused.0.is_empty() {
        return Ok(ExitCode::from(1));
    }
    let rules = super::without_watches(&rules);
    let mappings = Mappings::load(&args.mapping).map_err(|errors| anyhow::anyhow!(lines(&errors)))?;
    let config = DecodeConfig { format: args.format, ..DecodeConfig::default() };
    let mut matcher = Matcher::new(AutoDecoder::with_mappings(config, mappings), &rules);
    let input = open(&args.events).with_context(|| args.events.display().to_string())?;
    let mut input = Lines::new(input, LINE_LIMIT, true);
    let mut next = 0;
    loop {
        let chunk = chunk(&mut input, next, args.wrapped).with_context(|| args.events.display().to_string())?;
        let Some((chunk, read)) = chunk else { break };
        next += read;
        matcher.take(&chunk, OffsetRange { start: next - read, next })?;
        matcher.print(&mut std::io::stdout().lock())?;
    }
    matcher.close(&mut std::io::stdout().lock())?;
    write_held(&matcher.held, &rules, &mut std::io::stderr().lock())?;
    if matcher.dead > 0 {
        eprintln!("{} of {next} lines could not be decoded", matcher.dead);
    }
    Ok(ExitCode::SUCCESS)
}

fn open(path: &Path) -> std::io::Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin().lock())));
    }
    let file = File::open(path)?;
    let text: Box<dyn Read> =
        if path.extension().is_some_and(|e| e == "gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::with_capacity(1 << 18, text)))
}

fn partition() -> PartitionId {
    PartitionId::new("events", "0", 0)
}

fn tell(failures: &[RuleFailure]) {
    for failure in failures {
        eprintln!("rule {}: {} rows: {}", failure.rule, failure.rows, failure.error);
    }
}

/// The next lines, and how many they are; none at the end.
fn chunk(input: &mut Lines<impl BufRead>, next: i64, is_wrapped: bool) -> std::io::Result<Option<(Chunk, i64)>> {
    let mut chunk = ChunkBuilder::new(partition(), "default".into(), next);
    let mut read = 0;
    while read < LINES as i64 && chunk.bytes() < LINE_LIMIT {
        let is_line =
            input.next(|line, full_len| match is_wrapped.then(|| serde_json::from_slice::<Wrapped>(line)) {
                Some(Ok(wrapped)) => chunk.push(wrapped.raw.as_bytes(), next + read, clock::now_us()),
                _ => chunk.push_cut(line, full_len, next + read, clock::now_us()),
            })?;
        if !is_line {
            break;
        }
        read += 1;
    }
    Ok((read > 0).then(|| (chunk.finish(), read)))
}

/// A decoder, and both halves of the rules.
struct Matcher {
    decoder: AutoDecoder,
    source: SourceStage,
    merge: MergeStage,
    hits: Hits,
    /// The event times of the rows seen: first and last.
    times: Option<(i64, i64)>,
    dead: usize,
    held: Vec<Held>,
}

/// What a file holds is bounded by the file.
const NO_LIMITS: Limits = Limits {
    pane_keys_max: usize::MAX,
    rule_keys_max: usize::MAX,
    key_hits_max: usize::MAX,
    hit_bytes_max: usize::MAX,
};

impl Matcher {
    fn new(decoder: AutoDecoder, rules: &Arc<RuleSet>) -> Self {
        let source = SourceStage::new(rules, partition(), 0, None, NonZeroU32::MIN);
        let mut merge = MergeStage::new(rules, 0);
        merge.set_limits(NO_LIMITS);
        merge.set_correlation_evidence(LINES_MAX);
        Self { decoder, source, merge, hits: Hits::new(), times: None, dead: 0, held: Vec::new() }
    }

    fn take(&mut self, chunk: &Chunk, range: OffsetRange) -> anyhow::Result<()> {
        let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
        self.decoder.decode(chunk, &mut rows, &mut dead);
        for batch in rows.finish() {
            self.source.process(&batch)?;
            self.see(&batch.rows);
        }
        let found = self.source.take_delta()?;
        tell(&found.failures);
        Held::add(&mut self.held, found.held);
        if let Some(alerts) = &found.alerts {
            self.note(&alerts.rows).context("an alert lacks a column")?;
        }
        for delta in found.deltas.into_groups() {
            self.merge.apply(&partition(), range, &delta)?;
        }
        self.dead += dead.finish().map_or(0, |letters| letters.rows.num_rows());
        Ok(())
    }

    fn see(&mut self, rows: &RecordBatch) {
        let times = rows.column_by_name("time").and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
        for &time in times.into_iter().flat_map(|times| times.values()) {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }

    /// Looks at all times, a part of them after the other, and prints what windows and correlations found.
    fn close(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let (Some((first, last)), Some(end)) = (self.times, self.merge.close_all_watermark()) else { return Ok(()) };
        let parts = (1..CLOSE_STEPS).map(|part| first + (last - first) / CLOSE_STEPS * part);
        for (step, watermark) in (0..).zip(parts.chain([end])) {
            let stamp = StepStamp { step, at: clock::now_us(), received_until: None };
            let found = self.merge.step(stamp, Some(watermark), &Positions::new(), &BTreeMap::new())?;
            tell(&found.failures);
            Held::add(&mut self.held, found.held);
            if let Some(alerts) = &found.alerts {
                alert::print(&alerts.rows, out)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, alerts: &RecordBatch) -> Option<()> {
        let lines = alerts.column_by_name("_offset")?.as_primitive_opt::<Int64Type>()?;
        let times = alerts.column_by_name("time")?.as_primitive_opt::<TimestampMicrosecondType>()?;
        let uids = alert::rule_ids(alerts)?;
        let uids = uids.as_string_opt::<i32>()?;
        for row in 0..alerts.num_rows() {
            let key = (lines.value(row), uids.value(row).to_owned());
            self.hits.entry(key).or_insert_with(|| times.value(row));
        }
        Some(())
    }

    /// Prints the hits, in the order of their lines.
    fn print(&mut self, out: &mut impl Write) -> anyhow::Result<()> {
        for ((line, rule_id), time) in std::mem::take(&mut self.hits) {
            let hit = Hit { rule_id: &rule_id, line, time: &rfc3339(time) };
            writeln!(out, "{}", serde_json::to_string(&hit)?)?;
        }
        Ok(())
    }
}
