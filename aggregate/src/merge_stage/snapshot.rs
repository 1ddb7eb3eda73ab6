//! The merge stage's state as bytes, and back.

use std::sync::Arc;

use arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::rule_state::{Given, RuleState};
use super::{Limits, MergeStage};
use crate::codec::{self, Kind};
use crate::correlation;
use crate::error::{AggregateError, Result};
use crate::rule::{Rule, RuleSet};

const KIND: Kind = Kind { name: "snapshot", magic: *b"PALS", version: 5 };

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    group: u32,
    watermark: Option<i64>,
    pane_keys_max: usize,
    rule_keys_max: usize,
    key_hits_max: usize,
    hit_bytes_max: usize,
    rules: Vec<RuleHead>,
    /// By fingerprint; each has a block behind those of the windowed rules.
    correlations: Vec<(String, correlation::Head)>,
}

/// One rule's state but for its batches, which are one block.
#[derive(Debug, Serialize, Deserialize)]
struct RuleHead {
    fingerprint: String,
    /// Start of each pane and how many batches it has.
    panes: Vec<(i64, usize)>,
    given: Vec<GivenHead>,
}

#[derive(Debug, Serialize, Deserialize)]
struct GivenHead {
    window_end: i64,
    tenant: String,
    key: String,
    revision: i32,
    content: Uuid,
    stands: bool,
}

pub(super) fn write(stage: &MergeStage) -> Result<Vec<u8>> {
    let mut rules = Vec::new();
    let mut blocks = Vec::new();
    for (rule, state) in stage.rules.rules().iter().zip(&stage.states) {
        if let Some(state) = state {
            rules.push(rule_head(rule, state));
            blocks.push(state.panes.values().flat_map(|pane| pane.settled()).collect::<Result<_>>()?);
        }
    }
    let mut correlations = Vec::new();
    for (rule, state) in stage.rules.rules().iter().zip(&stage.correlations) {
        if let Some(state) = state {
            let (head, hits) = state.kept()?;
            correlations.push((rule.fingerprint.clone(), head));
            blocks.push(hits);
        }
    }
    let Limits { pane_keys_max, rule_keys_max, key_hits_max, hit_bytes_max } = stage.limits;
    let (group, watermark) = (stage.group, stage.watermark);
    let head =
        Head { group, watermark, pane_keys_max, rule_keys_max, key_hits_max, hit_bytes_max, rules, correlations };
    codec::encode(KIND, &head, &blocks)
}

fn rule_head(rule: &Rule, state: &RuleState) -> RuleHead {
    let given = state.given.iter().flat_map(|(end, alerts)| {
        alerts.iter().map(|((tenant, key), given)| GivenHead {
            window_end: *end,
            tenant: tenant.clone(),
            key: key.clone(),
            revision: given.revision,
            content: given.content,
            stands: given.stands,
        })
    });
    RuleHead {
        fingerprint: rule.fingerprint.clone(),
        panes: state.panes.iter().map(|(start, pane)| (*start, pane.settled_len())).collect(),
        given: given.collect(),
    }
}

pub(super) fn read(rules: &Arc<RuleSet>, group: u32, bytes: &[u8]) -> Result<MergeStage> {
    let (head, blocks) = codec::decode::<Head>(KIND, bytes)?;
    if head.group != group {
        return Err(AggregateError::Group { found: head.group, wanted: group });
    }
    let mut stage = MergeStage::new(rules, group);
    stage.watermark = head.watermark;
    let Head { pane_keys_max, rule_keys_max, key_hits_max, hit_bytes_max, .. } = head;
    stage.limits = Limits { pane_keys_max, rule_keys_max, key_hits_max, hit_bytes_max };
    let mut blocks = blocks.into_iter();
    for (rule_head, batches) in head.rules.into_iter().zip(blocks.by_ref()) {
        let found = rules.rules().iter().zip(&mut stage.states);
        let found = found.into_iter().find(|(rule, _)| rule.fingerprint == rule_head.fingerprint);
        if let Some((_, Some(state))) = found {
            fill(state, rule_head, batches)?;
        }
    }
    for ((fingerprint, own), batches) in head.correlations.into_iter().zip(blocks) {
        let found = rules.rules().iter().position(|rule| rule.fingerprint == fingerprint);
        if let Some(state) = found.and_then(|index| stage.correlations[index].as_mut()) {
            state.restore(own, &batches)?;
        }
    }
    Ok(stage)
}

fn fill(state: &mut RuleState, head: RuleHead, batches: Vec<RecordBatch>) -> Result<()> {
    let mut batches = batches.into_iter();
    for (start, count) in head.panes {
        let settled: Vec<RecordBatch> = batches.by_ref().take(count).collect();
        if settled.len() != count || settled.iter().any(|b| b.schema() != state.layout.schema) {
            return Err(error(format!("pane {start} lacks states, or has others than the rule's")));
        }
        settled.into_iter().try_for_each(|batch| state.restore(start, batch))?;
    }
    for given in head.given {
        let last = Given { revision: given.revision, content: given.content, stands: given.stands };
        state.given.entry(given.window_end).or_default().insert((given.tenant, given.key), last);
    }
    Ok(())
}

fn error(why: String) -> AggregateError {
    AggregateError::Decode { what: "snapshot", why }
}
