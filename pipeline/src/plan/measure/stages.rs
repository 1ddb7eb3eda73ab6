//! Decode, enrich, detect and encode alone, on one thread, a format at a time: what a shard does to a record.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use aggregate::{RuleSet, SourceStage};
use dataflow::{BatchBuilder, Chunk, ChunkBuilder, DeadLetters, Decoder, Table, TableBatch};
use enrich::{Chain, EnrichConfig};
use ingest::decode::{AutoDecoder, DecodeConfig};
use loadgen::{Fleet, FleetConfig, Mix};
use sinks::{Encoder, OpenFiles};

use super::threads::own_cpu_seconds;
use crate::clock;
use crate::plan::calibration::{Stages, rounded};
use crate::setup;

/// Records that a format is measured on, again and again.
const RECORDS: u64 = 20_000;
/// Records of a chunk, and rows of a batch, as a shard has them.
const CHUNK_RECORDS: usize = 1_024;
const BATCH_ROWS: usize = 8_192;
/// The disorder that a worker expects, microseconds.
const DISORDER_US: i64 = 10_000_000;
const FORMATS: [&str; 13] = [
    "panos_csv",
    "panos_cef",
    "panos_leef",
    "strata_json",
    "fortigate",
    "fortigate_cef",
    "cisco_asa",
    "cloudtrail",
    "gcp_audit",
    "azure_activity",
    "entra_signin",
    "okta",
    VPC_FLOW,
];
/// The one that is no part of a mix.
const VPC_FLOW: &str = "vpc_flow";

/// Sums over all passes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Figures {
    events: u64,
    bytes: u64,
    decode_s: f64,
    enrich_s: f64,
    detect_s: f64,
    encode_s: f64,
}

impl Figures {
    /// In cpu-seconds a million events.
    pub(super) fn stages(self, share: f64) -> Stages {
        let events = self.events.max(1) as f64;
        let of = |seconds: f64| rounded(seconds / events * 1e6);
        Stages {
            share: rounded(share),
            event_bytes: rounded((self.bytes.max(1)) as f64 / events),
            decode: of(self.decode_s),
            enrich: of(self.enrich_s),
            detect: of(self.detect_s),
            encode: of(self.encode_s),
        }
    }
}

/// Measures every format for its part of `duration`.
pub(super) fn measure(
    seed: u64,
    duration: Duration,
    encoder: Encoder,
) -> anyhow::Result<BTreeMap<&'static str, Figures>> {
    let rules = setup::builtin_rules()?;
    let mut found = BTreeMap::new();
    for format in FORMATS {
        let chunks = chunks(&Fleet::new(fleet(seed, format))?);
        let (until, mut sums, mut pass) = (duration / FORMATS.len() as u32, Figures::default(), 0);
        let started = clock::instant();
        // The first pass warms up.
        while pass < 2 || started.elapsed() < until {
            let figures = Bench::new(&rules, &encoder, &chunks)?.pass(&chunks)?;
            if pass > 0 {
                sums.add(figures);
            }
            pass += 1;
        }
        found.insert(format, sums);
    }
    Ok(found)
}

fn fleet(seed: u64, format: &str) -> FleetConfig {
    let only = only(format);
    FleetConfig {
        seed,
        events: RECORDS,
        attacks: 0,
        near_misses: 0,
        malformed_per_million: 0,
        flow_logs_per_million: if only.is_none() { 1_000_000 } else { 0 },
        mix: only.unwrap_or_default(),
        ..FleetConfig::default()
    }
}

/// The mix of that format alone; none for what is no part of a mix.
fn only(format: &str) -> Option<Mix> {
    let mut mix = Mix::NONE;
    let share = match format {
        "panos_csv" => &mut mix.panos_csv,
        "panos_cef" => &mut mix.panos_cef,
        "panos_leef" => &mut mix.panos_leef,
        "strata_json" => &mut mix.strata_json,
        "fortigate" => &mut mix.fortigate,
        "fortigate_cef" => &mut mix.fortigate_cef,
        "cisco_asa" => &mut mix.cisco_asa,
        "cloudtrail" => &mut mix.cloudtrail,
        "gcp_audit" => &mut mix.gcp_audit,
        "azure_activity" => &mut mix.azure_activity,
        "entra_signin" => &mut mix.entra_signin,
        "okta" => &mut mix.okta,
        _ => return None,
    };
    *share = 1;
    Some(mix)
}

/// All records of a fleet.
fn chunks(fleet: &Fleet) -> Vec<Chunk> {
    let (mut chunks, mut line) = (Vec::new(), Vec::new());
    let tenant: Arc<str> = fleet.tenants().first().cloned().unwrap_or_else(|| "default".into());
    for id in fleet.partitions() {
        let Some(mut cursor) = fleet.cursor(&id, 0) else { continue };
        while cursor.peek_schedule_us().is_some() {
            let mut chunk = ChunkBuilder::new(id.clone(), tenant.clone(), cursor.offset());
            while chunk.len() < CHUNK_RECORDS
                && let Some(meta) = cursor.next(&mut line)
            {
                chunk.push(&line, meta.offset, fleet.config().start_us + meta.schedule_us);
            }
            chunks.push(chunk.finish());
        }
    }
    chunks
}

impl Figures {
    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        self.decode_s += other.decode_s;
        self.enrich_s += other.enrich_s;
        self.detect_s += other.detect_s;
        self.encode_s += other.encode_s;
    }
}

/// What a shard has.
struct Bench {
    decoder: AutoDecoder,
    chain: Chain,
    stage: SourceStage,
    encoder: Encoder,
    files: BTreeMap<Table, OpenFiles>,
    rows: BatchBuilder,
    dead: DeadLetters,
    sums: Figures,
}

impl Bench {
    fn new(rules: &Arc<RuleSet>, encoder: &Encoder, chunks: &[Chunk]) -> anyhow::Result<Self> {
        let Some(first) = chunks.first() else { anyhow::bail!("a fleet without records") };
        Ok(Self {
            decoder: AutoDecoder::new(DecodeConfig::default()),
            chain: Chain::build(&EnrichConfig::demo(), clock::now_us())?,
            stage: SourceStage::new(rules, first.partition.clone(), DISORDER_US, None, NonZeroU32::MIN),
            encoder: encoder.clone(),
            files: BTreeMap::new(),
            rows: BatchBuilder::new(),
            dead: DeadLetters::new(),
            sums: Figures::default(),
        })
    }

    /// All chunks once, from bytes to files.
    fn pass(mut self, chunks: &[Chunk]) -> anyhow::Result<Figures> {
        for chunk in chunks {
            self.sums.bytes += chunk.bytes() as u64;
            let begin = own_cpu_seconds();
            self.decoder.decode(chunk, &mut self.rows, &mut self.dead);
            self.sums.decode_s += own_cpu_seconds() - begin;
            if self.rows.rows() >= BATCH_ROWS {
                self.seal()?;
            }
        }
        self.seal()?;
        let begin = own_cpu_seconds();
        self.stage.take_delta()?;
        let detected = own_cpu_seconds();
        for files in std::mem::take(&mut self.files).into_values() {
            files.finish()?;
        }
        self.sums.detect_s += detected - begin;
        self.sums.encode_s += own_cpu_seconds() - detected;
        Ok(self.sums)
    }

    fn seal(&mut self) -> anyhow::Result<()> {
        let begin = own_cpu_seconds();
        let batches = self.rows.finish();
        self.sums.decode_s += own_cpu_seconds() - begin;
        batches.into_iter().try_for_each(|batch| self.batch(batch))
    }

    fn batch(&mut self, batch: TableBatch) -> anyhow::Result<()> {
        self.sums.events += batch.rows.num_rows() as u64;
        let begin = own_cpu_seconds();
        let batch = self.chain.apply(batch);
        let enriched = own_cpu_seconds();
        self.stage.process(&batch)?;
        let detected = own_cpu_seconds();
        let encoder = &self.encoder;
        self.files.entry(batch.table).or_insert_with(|| encoder.open(batch.table)).write(&batch.rows)?;
        self.sums.enrich_s += enriched - begin;
        self.sums.detect_s += detected - enriched;
        self.sums.encode_s += own_cpu_seconds() - detected;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_of_one_format_holds_no_other() {
        for format in FORMATS {
            let shares = super::super::run::shares(&Fleet::new(fleet(3, format)).expect("a fleet"));
            assert_eq!(shares.into_iter().collect::<Vec<_>>(), [(format, 1.0)]);
        }
    }
}
