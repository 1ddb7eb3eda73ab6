//! One correlation rule in a merge group: the keys of each of its correlations.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::hit::{Hit, Rows, Value};
use super::key::{Finding, Given, Key, Look};
use super::rows::{Batch, HitRows, Read};
use super::{CorrelationPlan, Node};
use crate::alert::{Change, Finding as Alert, Hot, Identity, alert_id};
use crate::error::{AggregateError, Result};
use crate::exception::Verdict;
use crate::held::HeldBy;
use crate::late::{LateWriter, Missed};
use crate::merge_stage::{Limits, Sink};
use crate::rule::Rule;

/// What a key takes besides its hits, roughly.
const KEY_BYTES: usize = 192;

/// A correlation's keys, by tenant and key.
type Keys = BTreeMap<Box<str>, BTreeMap<Box<str>, Key>>;

/// See the module's front.
#[derive(Debug)]
pub(crate) struct CorrelationState {
    plan: Arc<CorrelationPlan>,
    /// One a correlation of the plan.
    nodes: Vec<Keys>,
    keys: usize,
    bytes: usize,
    /// Rows that a finding names of each rule, if not as the correlation says.
    evidence: Option<usize>,
}

/// What a snapshot keeps of a state besides its hits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    keys: Vec<KeyHead>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeyHead {
    node: usize,
    tenant: String,
    key: String,
    due: i64,
    found: i64,
    /// Time, revision, content, and whether it stands.
    given: Vec<(i64, i32, Uuid, bool)>,
}

impl CorrelationState {
    pub(crate) fn new(plan: &Arc<CorrelationPlan>) -> Self {
        let nodes = plan.nodes.iter().map(|_| Keys::new()).collect();
        Self { plan: plan.clone(), nodes, keys: 0, bytes: 0, evidence: None }
    }

    pub(crate) fn set_evidence(&mut self, rows: usize) {
        self.evidence = Some(rows);
    }

    /// Bytes held, for budgets.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.keys * KEY_BYTES
    }

    pub(crate) fn keys(&self) -> usize {
        self.keys
    }

    /// The end of the last hit's time: from there on nothing is left to look at.
    pub(crate) fn last_end(&self) -> Option<i64> {
        let times = self.all().filter(|(.., key)| key.due < i64::MAX);
        times.flat_map(|(.., key)| key.hits()).map(|hit| hit.time.saturating_add(1)).max()
    }

    /// Keys with hits at times that are not complete.
    pub(crate) fn windows_open(&self) -> usize {
        self.all().filter(|(.., key)| key.due < i64::MAX).count()
    }

    fn all(&self) -> impl Iterator<Item = (usize, &str, &str, &Key)> {
        let keys = self.nodes.iter().enumerate().flat_map(|(node, tenants)| tenants.iter().map(move |t| (node, t)));
        keys.flat_map(|(node, (tenant, keys))| keys.iter().map(move |(name, key)| (node, &**tenant, &**name, key)))
    }

    /// Adds a delta's hits. Those at times that are complete, and those beyond the limits, are noted and left out.
    pub(crate) fn apply(
        &mut self,
        rule: &Rule,
        state: &RecordBatch,
        watermark: i64,
        limits: Limits,
        late: &mut LateWriter,
    ) -> Result<()> {
        let closed_until = watermark.saturating_sub(rule.allowed_lateness_us());
        let mut batch = Batch::of(state)?;
        for row in 0..batch.len() {
            let Some(read) = batch.read(row) else { continue };
            let (tenant, node, key, time) = (read.0, read.1, read.2, read.3.time);
            let missed = if time < closed_until {
                Some((Missed::Late, closed_until))
            } else {
                self.add(read, limits).err().map(|why| (why, time))
            };
            if let Some((why, closed_until)) = missed {
                let span = self.plan.nodes.get(node).map_or(0, |node| node.span_us);
                late.push_row(rule, tenant, key, (time, time.saturating_add(span)), closed_until, why);
            }
        }
        Ok(())
    }

    /// Adds a hit, unless a limit is reached.
    fn add(&mut self, (tenant, node, key, mut hit, value): Read<'_>, limits: Limits) -> Result<(), Missed> {
        let Some(value) = self.plan.nodes.get(node).and_then(|node| Value::of(node, value)) else { return Ok(()) };
        hit.value = value;
        let bytes = hit.bytes();
        if self.bytes() + bytes > limits.hit_bytes_max {
            return Err(Missed::KeyLimit);
        }
        let Some(key) = self.key((tenant, node, key), limits.rule_keys_max) else { return Err(Missed::KeyLimit) };
        if key.len() >= limits.key_hits_max {
            return Err(Missed::KeyLimit);
        }
        key.push(hit);
        self.bytes += bytes;
        Ok(())
    }

    /// The key, made if there is room for one more.
    fn key(&mut self, (tenant, node, key): (&str, usize, &str), keys_max: usize) -> Option<&mut Key> {
        let tenants = self.nodes.get_mut(node)?;
        if !tenants.contains_key(tenant) {
            tenants.insert(tenant.into(), BTreeMap::new());
        }
        let keys = tenants.get_mut(tenant)?;
        if !keys.contains_key(key) {
            if self.keys >= keys_max {
                return None;
            }
            self.keys += 1;
            self.bytes += key.len();
            keys.insert(key.into(), Key::new());
        }
        keys.get_mut(key)
    }

    /// Looks at all times before `until`, the watermark; those below first. Returns how many times findings were looked for at, and
    /// how many of the findings no key had room for.
    pub(crate) fn step(&mut self, rule: &Rule, until: i64, limits: Limits, sink: &mut Sink<'_>) -> u64 {
        let plan = self.plan.clone();
        let mut lost = 0;
        for (number, node) in plan.nodes.iter().enumerate().rev() {
            let found = self.look(rule, (number, node), until);
            match node.then {
                Some(above) => lost += self.rise(found, above, limits),
                None => {
                    found.iter().for_each(|(tenant, key, finding)| alert(rule, &plan, (tenant, key), finding, sink))
                }
            }
        }
        self.forget(rule, until);
        lost
    }

    /// What the keys of one correlation come to, by time.
    fn look(&mut self, rule: &Rule, (number, node): (usize, &Node), until: i64) -> Vec<(Box<str>, Box<str>, Finding)> {
        let is_revised = rule.allowed_lateness_us() > 0;
        let look = Look { node, until, evidence: self.evidence.unwrap_or(rule.evidence()), is_revised };
        let (mut all, mut own) = (Vec::new(), Vec::new());
        for (tenant, keys) in &mut self.nodes[number] {
            for (name, key) in keys {
                key.look(look, &mut own);
                all.extend(own.drain(..).map(|finding| (tenant.clone(), name.clone(), finding)));
            }
        }
        // Keys are in order already.
        all.sort_by_key(|(.., finding)| finding.time);
        all
    }

    /// Findings as hits of the correlation above. Returns how many it had no room for.
    fn rise(
        &mut self,
        found: Vec<(Box<str>, Box<str>, Finding)>,
        (node, reference): (usize, usize),
        limits: Limits,
    ) -> u64 {
        let mut lost = 0;
        for (tenant, _, finding) in found {
            let Some((own, later)) = finding.later.split_first() else { continue };
            let hit = Hit {
                time: finding.time,
                reference: u16::try_from(reference).unwrap_or(u16::MAX),
                value: Value::None,
                later: later.into(),
                rows: Rows::Many(finding.rows.into()),
            };
            let read = (&*tenant, node, &*own.key, hit, own.value.as_deref());
            lost += u64::from(self.add(read, limits).is_err());
        }
        lost
    }

    /// Drops what no window can hold any more.
    fn forget(&mut self, rule: &Rule, until: i64) {
        let closed_until = until.saturating_sub(rule.allowed_lateness_us());
        for (node, tenants) in self.plan.nodes.iter().zip(&mut self.nodes) {
            let before = closed_until.saturating_sub(node.span_us);
            for keys in tenants.values_mut() {
                keys.retain(|name, key| {
                    self.bytes -= key.forget(before, closed_until);
                    let is_spent = key.is_spent(node, until);
                    if is_spent {
                        self.keys -= 1;
                        self.bytes -= name.len();
                    }
                    !is_spent
                });
            }
            tenants.retain(|_, keys| !keys.is_empty());
        }
    }

    /// The state's hits, and what else there is to keep.
    ///
    /// # Errors
    /// If Arrow cannot hold them.
    pub(crate) fn kept(&self) -> Result<(Head, Vec<RecordBatch>)> {
        let mut rows = HitRows::default();
        let mut heads = Vec::with_capacity(self.keys);
        for (node, tenant, name, key) in self.all() {
            key.hits().iter().for_each(|hit| rows.push(tenant, name, node, hit));
            let given = key.given.iter().map(|(time, g)| (*time, g.revision, g.content, g.stands));
            heads.push(KeyHead {
                node,
                tenant: tenant.to_owned(),
                key: name.to_owned(),
                due: key.due,
                found: key.found,
                given: given.collect(),
            });
        }
        Ok((Head { keys: heads }, vec![rows.finish()?]))
    }

    /// Fills a new state with what [`CorrelationState::kept`] gave.
    ///
    /// # Errors
    /// If it is of another plan.
    pub(crate) fn restore(&mut self, head: Head, batches: &[RecordBatch]) -> Result<()> {
        let all = Limits {
            rule_keys_max: usize::MAX,
            key_hits_max: usize::MAX,
            hit_bytes_max: usize::MAX,
            ..Limits::default()
        };
        for batch in batches {
            let mut batch = Batch::of(batch)?;
            for row in 0..batch.len() {
                let added = batch.read(row).map(|read| self.add(read, all));
                added.and_then(Result::ok).ok_or_else(|| other("a hit without a key"))?;
            }
        }
        for own in head.keys {
            let key = self.key((&own.tenant, own.node, &own.key), usize::MAX);
            let key = key.ok_or_else(|| other("a key of a correlation that the rule does not have"))?;
            (key.due, key.found) = (own.due, own.found);
            let given = own.given.into_iter();
            key.given = given.map(|(t, revision, content, stands)| (t, Given { revision, content, stands })).collect();
        }
        Ok(())
    }
}

fn other(why: &str) -> AggregateError {
    AggregateError::Decode { what: "snapshot", why: why.to_owned() }
}

/// Of the rule itself, the first correlation of its plan.
fn alert(rule: &Rule, plan: &CorrelationPlan, (tenant, key): (&str, &str), finding: &Finding, sink: &mut Sink<'_>) {
    let Some(node) = plan.nodes.first() else { return };
    let window = (finding.time.saturating_sub(node.span_us), finding.time);
    let group: Vec<Option<String>> = serde_json::from_str(key).unwrap_or_default();
    let verdict = verdict(rule, node, &group, finding, sink);
    if finding.change == Change::Create {
        rule.exceptions.count(rule, verdict, sink.held);
    }
    // Whether a revised one left is not known: it is closed once more.
    let change = match (verdict.is_taken(), finding.change) {
        (true, Change::Create) => return,
        (true, _) => Change::Hold(HeldBy::Exception),
        (false, change) => change,
    };
    let alert = Alert {
        rule,
        tenant,
        alert_id: alert_id(tenant, rule, key, Some(window)),
        revision: finding.revision,
        change,
        time: window.1,
        window: Some(window),
        created_at: sink.stamp.at,
        values: &values(node, &group, finding.value),
        hot: &hot(plan, &group),
        evidence: &finding.rows,
    };
    let identity = Identity {
        partition: &sink.partition,
        offset: sink.stamp.step,
        record: i32::try_from(sink.alerts.len()).unwrap_or(i32::MAX),
        received_at: sink.stamp.at,
    };
    sink.alerts.push(&alert, &identity, &sink.provenance);
}

/// What exceptions say of a finding.
fn verdict(rule: &Rule, node: &Node, group: &[Option<String>], finding: &Finding, sink: &mut Sink<'_>) -> Verdict {
    if rule.exceptions.is_empty() {
        return Verdict::default();
    }
    let text = |value: &Option<String>| -> ArrayRef { Arc::new(StringArray::from(vec![value.clone()])) };
    let fields = node.group.iter().zip(group).map(|(name, value)| (name.as_str(), text(value)));
    let value: ArrayRef = Arc::new(Float64Array::from(vec![finding.value]));
    let columns: Vec<(&str, ArrayRef)> = fields.chain([("value", value)]).collect();
    let verdicts = rule.exceptions.of_columns(rule, &columns, &[finding.time], sink.failures);
    verdicts.ok().and_then(|all| all.into_iter().next()).unwrap_or_default()
}

/// `{"group":{"user":"ann"},"value":12}`: a number without a fraction is written without one.
fn values(node: &Node, group: &[Option<String>], value: Option<f64>) -> String {
    let whole = |value: f64| if value.fract() == 0.0 && value.abs() < 9e15 { Some(value as i64) } else { None };
    let value =
        value.map(|value| whole(value).map_or_else(|| serde_json::json!(value), |whole| serde_json::json!(whole)));
    let mut text = String::from("{\"group\":{");
    for (i, (name, value)) in node.group.iter().zip(group).enumerate() {
        if i > 0 {
            text.push(',');
        }
        dataflow::json::push_string(&mut text, name);
        text.push(':');
        match value {
            Some(value) => dataflow::json::push_string(&mut text, value),
            None => text.push_str("null"),
        }
    }
    let value = value.unwrap_or(serde_json::Value::Null);
    text + &format!("}},\"value\":{value}}}")
}

/// The key's fields that are plain columns of alerts. What stands where an address is meant may be a name.
fn hot(plan: &CorrelationPlan, group: &[Option<String>]) -> Hot {
    let mut hot = Hot::default();
    let address = |value: &Option<String>| value.clone().filter(|text| text.parse::<IpAddr>().is_ok());
    for (column, value) in plan.hot.iter().zip(group) {
        match *column {
            Some("src_ip") => hot.src_ip = address(value),
            Some("dst_ip") => hot.dst_ip = address(value),
            Some("user_name") => hot.user_name.clone_from(value),
            _ => {}
        }
    }
    hot
}
