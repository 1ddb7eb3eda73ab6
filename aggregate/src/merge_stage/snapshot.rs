//! The merge stage's state as bytes, and back.

use std::sync::Arc;

use arrow::array::RecordBatch;
use dataflow::mutant;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::given::{Given, GivenAlerts};
use super::pane::Pane;
use super::{Limits, MergeStage, State};
use crate::codec::{self, Kind};
use crate::correlation;
use crate::error::{AggregateError, Result};
use crate::held::HeldBy;
use crate::rule::{Rule, RuleSet};
use crate::watch;

const KIND: Kind = Kind { name: "snapshot", magic: *b"PALS", oldest: 5, version: 5 };

/// The mutant `next-state-version` is a release to come, which reads the states of this one and writes others.
fn kind() -> Kind {
    Kind { version: KIND.version + u16::from(mutant::is("next-state-version")), ..KIND }
}

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
    /// By fingerprint; states of earlier releases have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    watches: Vec<(String, watch::Head)>,
}

/// One rule's state but for its batches, which are one block.
#[derive(Debug, Serialize, Deserialize)]
struct RuleHead {
    fingerprint: String,
    panes: Vec<PaneHead>,
    given: Vec<GivenHead>,
    /// Tenant, key and start of earlier alerts that may keep others back; states of earlier releases have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    anchors: Vec<(String, String, i64)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PaneHead {
    start: i64,
    /// How many batches it has.
    batches: usize,
    /// The numbers of the keys whose session is gone.
    gone: Vec<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
struct GivenHead {
    window_start: i64,
    window_end: i64,
    tenant: String,
    key: String,
    revision: i32,
    content: Uuid,
    stands: bool,
    /// What keeps it back; states of earlier releases have no such alerts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    held: Option<HeldBy>,
}

pub(super) fn write(stage: &MergeStage) -> Result<Vec<u8>> {
    let mut rules = Vec::new();
    let mut blocks = Vec::new();
    for (rule, state) in stage.rules.rules().iter().zip(&stage.states) {
        if let Some(state) = state {
            let (panes, given) = match state {
                State::Windows(windows) => {
                    let panes = windows.panes.iter().map(|(start, pane)| (*start, pane, Vec::new()));
                    (panes.collect::<Vec<_>>(), &windows.given)
                }
                State::Sessions(sessions) => {
                    let panes = sessions.panes.iter();
                    (panes.map(|(start, pane)| (*start, &pane.states, pane.gone())).collect(), &sessions.given)
                }
            };
            blocks.push(panes.iter().flat_map(|(_, pane, _)| pane.settled()).collect::<Result<_>>()?);
            rules.push(rule_head(rule, panes, given));
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
    let watches = stage.rules.rules().iter().zip(&stage.watches);
    let watches = watches.filter_map(|(rule, state)| Some((rule.fingerprint.clone(), state.as_ref()?.kept())));
    let Limits { pane_keys_max, rule_keys_max, key_hits_max, hit_bytes_max } = stage.limits;
    let head = Head {
        group: stage.group,
        watermark: stage.watermark,
        pane_keys_max,
        rule_keys_max,
        key_hits_max,
        hit_bytes_max,
        rules,
        correlations,
        watches: watches.collect(),
    };
    codec::encode(kind(), &head, &blocks)
}

fn rule_head(rule: &Rule, panes: Vec<(i64, &Pane, Vec<usize>)>, given: &GivenAlerts) -> RuleHead {
    let anchors = given.anchors().map(|((tenant, key), start)| (tenant.clone(), key.clone(), start)).collect();
    let given = given.iter().map(|(end, (tenant, key), given)| GivenHead {
        window_start: given.start,
        window_end: end,
        tenant: tenant.clone(),
        key: key.clone(),
        revision: given.revision,
        content: given.content,
        stands: given.stands,
        held: given.held,
    });
    let pane = |(start, pane, gone): (i64, &Pane, _)| PaneHead { start, batches: pane.settled_len(), gone };
    RuleHead {
        fingerprint: rule.fingerprint.clone(),
        panes: panes.into_iter().map(pane).collect(),
        given: given.collect(),
        anchors,
    }
}

pub(super) fn read(rules: &Arc<RuleSet>, group: u32, bytes: &[u8]) -> Result<MergeStage> {
    let (head, blocks) = codec::decode::<Head>(kind(), bytes)?;
    if head.group != group {
        return Err(AggregateError::Group { found: head.group, wanted: group });
    }
    let mut stage = MergeStage::new(rules, group);
    stage.watermark = head.watermark;
    let Head { pane_keys_max, rule_keys_max, key_hits_max, hit_bytes_max, .. } = head;
    stage.limits = Limits { pane_keys_max, rule_keys_max, key_hits_max, hit_bytes_max };
    let mut blocks = blocks.into_iter();
    for (rule_head, batches) in head.rules.into_iter().zip(blocks.by_ref()) {
        let found = rules.position(&rule_head.fingerprint);
        if let Some(state) = found.and_then(|index| stage.states[index].as_mut()) {
            fill(state, rule_head, batches)?;
        }
    }
    for ((fingerprint, own), batches) in head.correlations.into_iter().zip(blocks) {
        let found = rules.position(&fingerprint);
        if let Some(state) = found.and_then(|index| stage.correlations[index].as_mut()) {
            state.restore(own, &batches)?;
        }
    }
    for (fingerprint, own) in head.watches {
        let found = rules.position(&fingerprint);
        if let Some(state) = found.and_then(|index| stage.watches[index].as_mut()) {
            state.restore(own);
        }
    }
    Ok(stage)
}

fn fill(state: &mut State, head: RuleHead, batches: Vec<RecordBatch>) -> Result<()> {
    let mut batches = batches.into_iter();
    let layout = match state {
        State::Windows(windows) => windows.layout.schema.clone(),
        State::Sessions(sessions) => sessions.layout.schema.clone(),
    };
    for PaneHead { start, batches: count, gone } in head.panes {
        let settled: Vec<RecordBatch> = batches.by_ref().take(count).collect();
        if settled.len() != count || settled.iter().any(|b| b.schema() != layout) {
            return Err(error(format!("pane {start} lacks states, or has others than the rule's")));
        }
        match state {
            State::Windows(windows) => settled.into_iter().try_for_each(|batch| windows.restore(start, batch))?,
            State::Sessions(sessions) => sessions.restore(start, settled, &gone)?,
        }
    }
    let given = match state {
        State::Windows(windows) => &mut windows.given,
        State::Sessions(sessions) => &mut sessions.given,
    };
    for GivenHead { window_start: start, window_end, tenant, key, revision, content, stands, held } in head.given {
        given.insert(window_end, (tenant, key), Given { start, revision, content, stands, held });
    }
    head.anchors.into_iter().for_each(|(tenant, key, start)| given.insert_anchor((tenant, key), start));
    Ok(())
}

fn error(why: String) -> AggregateError {
    AggregateError::Decode { what: "snapshot", why }
}
