//! Alerts as rows of `detection_finding` (OCSF 2004).
//!
//! What the rule selects stands in `unmapped` as one JSON object; `src_ip`, `dst_ip`, `src_port`, `dst_port` and `user_name`
//! also fill the columns of these names. `evidences[].uid` is a row's identity, `evidences[].data` its table and time.
//! The versions that decided the alert stand in `metadata.labels` as `name=version`.

use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use dataflow::json::push_string;
use dataflow::time::rfc3339;
use dataflow::{PartitionId, Record, Table, TableBatch, TableBuilder, mutant};
use uuid::Uuid;

use crate::evidence::EvidenceRow;
use crate::held::HeldBy;
use crate::json::{push_value, text};
use crate::rule::{NAMESPACE, Rule};

/// The plain columns that an alert shares with events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hot {
    pub(crate) src_ip: Option<String>,
    pub(crate) dst_ip: Option<String>,
    pub(crate) src_port: Option<i32>,
    pub(crate) dst_port: Option<i32>,
    pub(crate) user_name: Option<String>,
}

impl Hot {
    /// Takes over a column of that name, if it is one of them and fits.
    pub(crate) fn set(&mut self, name: &str, array: &ArrayRef, row: usize) {
        if array.is_null(row) {
            return;
        }
        match name {
            "src_ip" => self.src_ip = Some(text(array, row)),
            "dst_ip" => self.dst_ip = Some(text(array, row)),
            "user_name" => self.user_name = Some(text(array, row)),
            "src_port" => self.src_port = port(array, row).or(self.src_port),
            "dst_port" => self.dst_port = port(array, row).or(self.dst_port),
            _ => {}
        }
    }
}

fn port(array: &ArrayRef, row: usize) -> Option<i32> {
    let one = cast(&array.slice(row, 1), &DataType::Int32).ok()?;
    one.is_valid(0).then(|| one.as_primitive::<Int32Type>().value(0))
}

/// The selected columns of one row as a JSON object, and those among them that are hot.
pub(crate) fn selected(columns: &[(&str, ArrayRef)], row: usize) -> (String, Hot) {
    let mut hot = Hot::default();
    let mut out = String::from("{");
    for (i, (name, array)) in columns.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_string(&mut out, name);
        out.push(':');
        push_value(&mut out, array, row);
        hot.set(name, array, row);
    }
    out.push('}');
    (out, hot)
}

/// What a revision of an alert says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// New.
    Create,
    /// The condition holds, the values are others.
    Update,
    /// Late rows came, and the condition holds no longer.
    Close,
    /// What a watch told of is over.
    Over,
    /// The condition holds, and the alert is kept back all the same.
    Hold(HeldBy),
}

impl Change {
    /// OCSF activity and status.
    fn ids(self) -> (i32, &'static str, i32, &'static str) {
        match self {
            Change::Create => (1, "Create", 1, "New"),
            Change::Update => (2, "Update", 1, "New"),
            Change::Close | Change::Over => (3, "Close", 4, "Resolved"),
            Change::Hold(_) => (3, "Close", 3, "Suppressed"),
        }
    }

    fn detail(self) -> Option<&'static str> {
        match self {
            Change::Create | Change::Update => None,
            Change::Close => Some("late rows came, and the condition holds no longer"),
            Change::Over => Some("it is over"),
            Change::Hold(HeldBy::Suppression) => Some("late rows came, and an earlier alert of the key stands"),
            Change::Hold(_) => Some("late rows came, and an exception takes it away"),
        }
    }
}

/// One revision of one alert.
#[derive(Debug)]
pub(crate) struct Finding<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) tenant: &'a str,
    pub(crate) alert_id: String,
    pub(crate) revision: i32,
    pub(crate) change: Change,
    pub(crate) time: i64,
    pub(crate) window: Option<(i64, i64)>,
    pub(crate) created_at: i64,
    /// The selected columns, a JSON object.
    pub(crate) values: &'a str,
    pub(crate) hot: &'a Hot,
    pub(crate) evidence: &'a [EvidenceRow],
}

/// Where the alert itself stands: its row identity.
#[derive(Debug)]
pub(crate) struct Identity<'a> {
    pub(crate) partition: &'a PartitionId,
    pub(crate) offset: i64,
    pub(crate) record: i32,
    pub(crate) received_at: i64,
}

/// What all alerts of a step share.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    /// `{"topic@incarnation/partition": next offset}`
    pub(crate) vector: String,
    /// `name=version`
    pub(crate) versions: Vec<String>,
}

/// `alert_id`: the same detection over the same rows has the same id, always.
pub(crate) fn alert_id(tenant: &str, rule: &Rule, key: &str, window: Option<(i64, i64)>) -> String {
    let mut name = String::from("[");
    push_string(&mut name, tenant);
    name.push(',');
    push_string(&mut name, rule.uid());
    let _ = write!(name, ",{},{key},", rule.version());
    match window {
        Some((start, end)) => drop(write!(name, "{start},{end}]")),
        None => name.push_str("null,null]"),
    }
    uuid_of(&name).to_string()
}

/// The mutant `random-alert-id` gives the same alert another id each time.
fn uuid_of(name: &str) -> Uuid {
    match mutant::is("random-alert-id") {
        true => Uuid::new_v4(),
        false => Uuid::new_v5(&NAMESPACE, name.as_bytes()),
    }
}

/// Alerts being written.
#[derive(Debug)]
pub(crate) struct AlertWriter {
    rows: TableBuilder,
}

impl AlertWriter {
    pub(crate) fn new() -> Self {
        Self { rows: TableBuilder::new(Table::DetectionFinding) }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.rows()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.rows.bytes()
    }

    /// The alerts, if there are any; none is held afterwards.
    pub(crate) fn take(&mut self) -> Option<TableBatch> {
        (self.len() > 0).then(|| TableBatch { table: Table::DetectionFinding, rows: self.rows.finish() })
    }

    /// Adds a revision of an alert.
    pub(crate) fn push(&mut self, finding: &Finding<'_>, identity: &Identity<'_>, provenance: &Provenance) {
        self.base(finding);
        self.product(provenance);
        self.info(finding);
        self.attacks(finding.rule);
        self.evidences(finding);
        self.hot(finding.hot);
        self.int("_revision", finding.revision);
        self.text("_offset_vector", &provenance.vector);
        self.flag("is_alert");
        let record = Record { payload: b"", offset: identity.offset, received_at: identity.received_at, full_len: 0 };
        self.rows.end_event(identity.partition, finding.tenant, &record, identity.record);
    }

    fn base(&mut self, finding: &Finding<'_>) {
        let (activity_id, activity, status_id, status) = finding.change.ids();
        let (severity_id, severity) = finding.rule.level().severity();
        self.time("time", finding.time);
        self.int("activity_id", activity_id);
        self.text("activity_name", activity);
        self.long("type_uid", 200_400 + i64::from(activity_id));
        self.text("type_name", &format!("Detection Finding: {activity}"));
        self.int("severity_id", severity_id);
        self.text("severity", severity);
        self.int("status_id", status_id);
        self.text("status", status);
        finding.change.detail().iter().for_each(|detail| self.text("status_detail", detail));
        self.text("message", finding.rule.title());
        self.text("unmapped", finding.values);
        if let Some((start, end)) = finding.window {
            self.time("_window_start", start);
            self.time("_window_end", end);
            self.time("start_time", start);
            self.time("end_time", end);
        }
    }

    fn product(&mut self, provenance: &Provenance) {
        self.text("metadata.product.name", "Palisade");
        self.text("metadata.product.vendor_name", "Palisade");
        self.text("metadata.product.version", env!("CARGO_PKG_VERSION"));
        let profiles = Table::DetectionFinding.expect_leaf("metadata.profiles[]");
        for profile in ["datetime", "security_control"] {
            self.rows.push_str(profiles, profile);
        }
        let labels = Table::DetectionFinding.expect_leaf("metadata.labels[]");
        for version in &provenance.versions {
            self.rows.push_str(labels, version);
        }
    }

    fn info(&mut self, finding: &Finding<'_>) {
        let rule = finding.rule;
        self.text("finding_info.uid", &finding.alert_id);
        self.text("metadata.uid", &format!("{}/{}", finding.alert_id, finding.revision));
        self.text("finding_info.title", rule.title());
        if !rule.description().is_empty() {
            self.text("finding_info.desc", rule.description().trim_end());
        }
        self.time("finding_info.created_time", finding.created_at);
        if let Some(first) = finding.evidence.first() {
            self.time("finding_info.first_seen_time", first.time);
        }
        self.text("finding_info.analytic.uid", rule.uid());
        self.text("finding_info.analytic.name", rule.title());
        self.int("finding_info.analytic.type_id", 1);
        self.text("finding_info.analytic.type", "Rule");
        self.text("finding_info.analytic.version", &rule.version().to_string());
    }

    /// One element a technique, each with the rule's first tactic; with no technique, one element a tactic.
    fn attacks(&mut self, rule: &Rule) {
        let attack = &rule.attack;
        for technique in &attack.techniques {
            self.rows.begin_element("finding_info.attacks");
            self.text("finding_info.attacks[].technique.uid", technique);
            self.tactic(attack.tactics.first());
        }
        let rest = if attack.techniques.is_empty() { 0 } else { 1 };
        for tactic in attack.tactics.iter().skip(rest) {
            self.rows.begin_element("finding_info.attacks");
            self.tactic(Some(tactic));
        }
    }

    fn tactic(&mut self, tactic: Option<&(&str, &str)>) {
        if let Some((uid, name)) = tactic {
            self.text("finding_info.attacks[].tactic.uid", uid);
            self.text("finding_info.attacks[].tactic.name", name);
        }
    }

    fn evidences(&mut self, finding: &Finding<'_>) {
        for row in finding.evidence {
            self.rows.begin_element("evidences");
            self.text("evidences[].uid", &row.uid());
            let table = finding.rule.tables()[row.input];
            self.text("evidences[].data", &format!(r#"{{"table":"{table}","time":"{}"}}"#, rfc3339(row.time)));
            if finding.window.is_none() {
                self.endpoints(finding.hot);
            }
        }
    }

    /// A filter rule's evidence is the row itself, so its endpoints are the row's.
    fn endpoints(&mut self, hot: &Hot) {
        let texts = [
            ("evidences[].src_endpoint.ip", &hot.src_ip),
            ("evidences[].dst_endpoint.ip", &hot.dst_ip),
            ("evidences[].actor.user.name", &hot.user_name),
        ];
        for (path, value) in texts {
            value.iter().for_each(|v| self.text(path, v));
        }
        let ends = [
            ("evidences[].src_endpoint.port", &hot.src_ip, hot.src_port),
            ("evidences[].dst_endpoint.port", &hot.dst_ip, hot.dst_port),
        ];
        // OCSF takes no endpoint that is a port alone.
        for (path, ip, port) in ends {
            port.filter(|_| ip.is_some()).iter().for_each(|&p| self.int(path, p));
        }
    }

    fn hot(&mut self, hot: &Hot) {
        for (path, value) in [("src_ip", &hot.src_ip), ("dst_ip", &hot.dst_ip), ("user_name", &hot.user_name)] {
            value.iter().for_each(|v| self.text(path, v));
        }
        hot.src_port.iter().for_each(|&p| self.int("src_port", p));
        hot.dst_port.iter().for_each(|&p| self.int("dst_port", p));
    }

    fn text(&mut self, path: &str, value: &str) {
        self.rows.set_str(Table::DetectionFinding.expect_leaf(path), value);
    }

    fn int(&mut self, path: &str, value: i32) {
        self.rows.set_i32(Table::DetectionFinding.expect_leaf(path), value);
    }

    fn long(&mut self, path: &str, value: i64) {
        self.rows.set_i64(Table::DetectionFinding.expect_leaf(path), value);
    }

    fn time(&mut self, path: &str, us: i64) {
        self.long(path, us);
    }

    fn flag(&mut self, path: &str) {
        self.rows.set_bool(Table::DetectionFinding.expect_leaf(path), true);
    }
}

/// The partition that a rule's alerts from one source partition stand in.
pub(crate) fn filter_partition(rule: &Rule, source: &PartitionId) -> PartitionId {
    let topic: Arc<str> = format!("_rule/{}/{}", rule.uid(), source.topic).into();
    PartitionId::new(topic, source.incarnation.clone(), source.partition)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringArray, UInt16Array};

    use super::*;
    use crate::RuleSet;
    use crate::tests::{ocsf, rule, texts};

    const SQL: &str = "SELECT src_ip FROM network_activity WHERE dst_port = 22";

    fn write(head: &str, change: Change, hot: &Hot, evidence: &[EvidenceRow]) -> TableBatch {
        let rules: Arc<RuleSet> = rule(head, SQL);
        let rule = &rules.rules()[0];
        let finding = Finding {
            rule,
            tenant: "acme",
            alert_id: "id".to_owned(),
            revision: 3,
            change,
            time: 60,
            window: Some((0, 60)),
            created_at: 70,
            values: r#"{"n":1}"#,
            hot,
            evidence,
        };
        let partition = PartitionId::new("_merge", "0", 0);
        let identity = Identity { partition: &partition, offset: 1, record: 0, received_at: 70 };
        let mut writer = AlertWriter::new();
        writer.push(&finding, &identity, &Provenance { vector: "{}".to_owned(), versions: Vec::new() });
        assert!(writer.bytes() > 0);
        let batch = writer.take().expect("one alert");
        assert!(writer.take().is_none());
        batch
    }

    fn json(head: &str) -> String {
        ocsf(&write(head, Change::Create, &Hot::default(), &[])).remove(0)
    }

    #[test]
    fn a_revision_says_what_changed() {
        for (change, id, activity, status) in [
            (Change::Create, "1", "Create", "New"),
            (Change::Update, "2", "Update", "New"),
            (Change::Close, "3", "Close", "Resolved"),
        ] {
            let batch = write("", change, &Hot::default(), &[]);
            let one = |path| texts(&batch, path).remove(0);
            assert_eq!([one("activity_id"), one("activity_name"), one("status")], [id, activity, status]);
            assert_eq!([one("type_uid"), one("_revision"), one("metadata.uid")], [&format!("20040{id}"), "3", "id/3"]);
            assert_eq!(one("status_detail").is_empty(), change != Change::Close);
        }
    }

    #[test]
    fn techniques_and_tactics_stand_together() {
        let attacks = |tags: &str| {
            let json = json(&format!("tags: [{tags}]"));
            json.split(r#""attacks":"#).nth(1).map(|t| t.split("]}").next().unwrap_or_default().to_owned())
        };
        let discovery = r#""tactic":{"uid":"TA0007","name":"Discovery"}"#;
        assert_eq!(attacks("cve.2024-1"), None);
        assert_eq!(attacks("attack.t1046"), Some(r#"[{"technique":{"uid":"T1046"}}"#.to_owned()));
        assert_eq!(attacks("attack.discovery"), Some(format!("[{{{discovery}}}")));
        let both = attacks("attack.t1046, attack.discovery, attack.impact");
        let impact = r#"{"tactic":{"uid":"TA0040","name":"Impact"}}"#;
        assert_eq!(both, Some(format!(r#"[{{"technique":{{"uid":"T1046"}},{discovery}}},{impact}"#)));
    }

    #[test]
    fn severities_are_ocsf_severities() {
        for (level, id) in [("informational", "1"), ("low", "2"), ("medium", "3"), ("high", "4"), ("critical", "5")] {
            let text =
                format!("title: t\nid: 00000000-0000-4000-8000-000000000000\nversion: 1\nlevel: {level}\nsql: {SQL}\n");
            let rules = RuleSet::from_texts(&[("r", &text)]).expect("a rule");
            assert_eq!(rules.rules()[0].level().severity().0.to_string(), id);
        }
    }

    #[test]
    fn hot_columns_take_what_fits() {
        let ports: ArrayRef = Arc::new(UInt16Array::from(vec![443]));
        let large: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40]));
        let ip: ArrayRef = Arc::new(StringArray::from(vec!["10.0.0.1"]));
        let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        let columns = [
            ("dst_port", ports),
            ("src_port", large),
            ("src_ip", ip),
            ("user_name", null),
            ("other", Arc::new(Int64Array::from(vec![1])) as ArrayRef),
        ];
        let (values, hot) = selected(&columns, 0);
        assert_eq!(
            values,
            r#"{"dst_port":443,"src_port":1099511627776,"src_ip":"10.0.0.1","user_name":null,"other":1}"#
        );
        let want = Hot { src_ip: Some("10.0.0.1".to_owned()), dst_port: Some(443), ..Hot::default() };
        assert_eq!(hot, want);
        let batch = write("", Change::Create, &hot, &[]);
        assert_eq!([texts(&batch, "src_ip").remove(0), texts(&batch, "dst_port").remove(0)], ["10.0.0.1", "443"]);
    }

    #[test]
    fn an_id_depends_on_all_that_names_the_detection_and_on_nothing_else() {
        let rules = rule("", SQL);
        let one = &rules.rules()[0];
        let id = alert_id("acme", one, r#"["a"]"#, Some((0, 60)));
        assert_eq!(id, "e3e2fe83-98e2-5ead-9823-5c2c2007ed9d", "an id never changes between releases");
        let others = [
            alert_id("acm", one, r#"["a"]"#, Some((0, 60))),
            alert_id("acme", one, r#"["b"]"#, Some((0, 60))),
            alert_id("acme", one, r#"["a"]"#, Some((30, 60))),
            alert_id("acme", one, r#"["a"]"#, Some((0, 90))),
            alert_id("acme", one, r#"["a"]"#, None),
        ];
        assert!(others.iter().all(|other| *other != id));
    }
}
