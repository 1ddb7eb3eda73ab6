//! A source stage a partition, and one merge stage; their alerts, those of the range alone.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

use aggregate::{Held, MergeStage, RuleFailure, RuleSet, SourceStage, StepStamp};
use anyhow::Context;
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use dataflow::watermark::window_time;
use dataflow::{OffsetRange, PartitionId, Positions, TableBatch};

use super::{Range, Watch};

/// Rows after which deltas go to the merge stage: as many as a flush has.
const DELTA_ROWS: usize = 1 << 18;

/// No row is late, so no range is named.
const NO_RANGE: OffsetRange = OffsetRange { start: 0, next: 0 };

pub(super) struct Stages {
    rules: Arc<RuleSet>,
    range: Range,
    sources: BTreeMap<PartitionId, SourceStage>,
    merge: MergeStage,
    versions: BTreeMap<String, String>,
    step: i64,
    /// Rows since the last delta.
    rows: usize,
    failures: HashMap<String, RuleFailure>,
    held: Vec<Held>,
}

impl Stages {
    pub(super) fn new(rules: &Arc<RuleSet>, range: Range) -> Self {
        let versions = BTreeMap::from([("rules".to_owned(), rules.version().to_owned())]);
        let (sources, failures, held) = (BTreeMap::new(), HashMap::new(), Vec::new());
        let merge = MergeStage::new(rules, 0);
        Self { rules: rules.clone(), range, sources, merge, versions, step: 0, rows: 0, failures, held }
    }

    /// Takes in rows of one slice.
    pub(super) fn take(
        &mut self,
        batches: Vec<(PartitionId, TableBatch)>,
        watch: &mut impl Watch,
    ) -> anyhow::Result<()> {
        for (partition, batch) in batches {
            let (rules, versions) = (&self.rules, &self.versions);
            let source = self.sources.entry(partition).or_insert_with_key(|partition| {
                let mut source = SourceStage::new(rules, partition.clone(), 0, None, NonZeroU32::MIN);
                source.set_versions(versions);
                source
            });
            source.process(&batch).with_context(|| format!("rules over {}", batch.table))?;
            self.rows += batch.rows.num_rows();
        }
        if self.rows >= DELTA_ROWS { self.merge_deltas(watch) } else { Ok(()) }
    }

    fn merge_deltas(&mut self, watch: &mut impl Watch) -> anyhow::Result<()> {
        self.rows = 0;
        for (partition, source) in &mut self.sources {
            let delta = source.take_delta()?;
            for part in delta.deltas.into_groups() {
                self.merge.apply(partition, NO_RANGE, &part)?;
            }
            note(&mut self.failures, delta.failures);
            Held::add(&mut self.held, delta.held);
            give(self.range, delta.alerts.as_ref(), watch)?;
        }
        Ok(())
    }

    /// All rows before `end` were taken in.
    pub(super) fn end_slice(&mut self, end: i64, watch: &mut impl Watch) -> anyhow::Result<()> {
        self.merge_deltas(watch)?;
        self.raise(Some(end), watch)
    }

    /// Nothing follows: every window closes.
    pub(super) fn end(&mut self, watch: &mut impl Watch) -> anyhow::Result<()> {
        let end = self.merge.close_all_watermark();
        self.raise(end, watch)
    }

    fn raise(&mut self, watermark: Option<i64>, watch: &mut impl Watch) -> anyhow::Result<()> {
        let stamp = StepStamp { step: self.step, at: watermark.unwrap_or_default(), received_until: None };
        self.step += 1;
        let output = self.merge.step(stamp, watermark, &Positions::new(), &self.versions)?;
        note(&mut self.failures, output.failures);
        Held::add(&mut self.held, output.held);
        give(self.range, output.alerts.as_ref(), watch)
    }

    /// Rows and groups on which rules failed, by rule; and alerts that were kept back.
    pub(super) fn into_reports(self) -> (Vec<RuleFailure>, Vec<Held>) {
        let mut failures: Vec<RuleFailure> = self.failures.into_values().collect();
        failures.sort_by(|a, b| a.rule.cmp(&b.rule));
        (failures, self.held)
    }
}

fn note(known: &mut HashMap<String, RuleFailure>, failures: Vec<RuleFailure>) {
    for failure in failures {
        match known.get_mut(&failure.rule) {
            Some(known) => known.rows += failure.rows,
            None => drop(known.insert(failure.rule.clone(), failure)),
        }
    }
}

/// Hands on the alerts whose windows begin in the range, or whose rows are of it.
fn give(range: Range, alerts: Option<&TableBatch>, watch: &mut impl Watch) -> anyhow::Result<()> {
    let Some(alerts) = alerts else { return Ok(()) };
    let times = |name: &str| {
        let column = alerts.rows.column_by_name(name).with_context(|| format!("alerts have no column {name}"))?;
        Ok::<_, anyhow::Error>(column.as_primitive::<TimestampMicrosecondType>())
    };
    let (starts, at, received) = (times("_window_start")?, times("time")?, times("_received_at")?);
    let is_in = |row: usize| {
        let start = match starts.is_valid(row) {
            true => starts.value(row),
            false => window_time(at.value(row), received.value(row)),
        };
        range.from <= start && start < range.to
    };
    let mask: BooleanArray = (0..alerts.rows.num_rows()).map(|row| Some(is_in(row))).collect();
    if mask.true_count() == 0 {
        return Ok(());
    }
    watch.alerts(&TableBatch { table: alerts.table, rows: filter_record_batch(&alerts.rows, &mask)? })
}
