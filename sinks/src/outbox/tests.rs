use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dataflow::ClientSettings;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use tempfile::tempdir;

use super::alerts::render;
use super::*;
use crate::ledger::{Created, MergeEntry};
use crate::upkeep::Policy;
use crate::warehouse::Origin;
use crate::warehouse::tests::{NOON, open, partition, prepare, rows};

const TOPIC: &str = "detections";

struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    fn new() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic");
        Self(cluster)
    }

    async fn outbox(&self, warehouse: &Warehouse) -> Outbox {
        let topic = AlertTopic::new(&self.0.bootstrap_servers(), TOPIC, &ClientSettings::default()).expect("a topic");
        outbox(warehouse, "kafka", topic).await
    }

    /// How often each key arrived, once as many messages are there.
    fn keys(&self, messages: usize) -> BTreeMap<String, usize> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.0.bootstrap_servers())
            .set("group.id", "reader")
            .create()
            .expect("a consumer");
        let mut all = TopicPartitionList::new();
        all.add_partition_offset(TOPIC, 0, Offset::Beginning).expect("an offset");
        consumer.assign(&all).expect("assigned");
        let mut keys = BTreeMap::new();
        for _ in 0..messages {
            let message = consumer.poll(Duration::from_secs(30)).expect("within half a minute").expect("a message");
            let key = String::from_utf8_lossy(message.key().expect("a key")).into_owned();
            let payload: serde_json::Value =
                serde_json::from_slice(message.payload().expect("a payload")).expect("JSON");
            assert_eq!(payload["finding_info"]["uid"].as_str().unwrap_or_default(), key);
            *keys.entry(key).or_default() += 1;
        }
        assert!(consumer.poll(Duration::from_millis(200)).is_none(), "no more than {messages}");
        keys
    }
}

/// An outbox of everything in the ledger.
pub(super) async fn outbox(warehouse: &Warehouse, name: &str, receiver: impl Receiver + 'static) -> Outbox {
    let delivery = Delivery { name: name.to_owned(), severity_min: i32::MIN, from_beginning: true };
    Outbox::open(warehouse.clone(), delivery, Arc::new(receiver)).await.expect("opens")
}

/// How many alerts a drain sends, and what else came of it.
pub(super) async fn drain_all(outbox: &mut Outbox, chain: &AlertChain) -> (usize, Drained) {
    let taken = AtomicUsize::new(0);
    let count = |alerts: &[OutgoingAlert]| {
        taken.fetch_add(alerts.len(), Ordering::Relaxed);
    };
    let drained = outbox.drain(chain, &count).await.expect("the ledger is read");
    (taken.into_inner(), drained)
}

/// What a drain sends that nothing stops.
pub(super) async fn drain(outbox: &mut Outbox, chain: &AlertChain) -> usize {
    let (taken, drained) = drain_all(outbox, chain).await;
    assert!(drained.failed.is_none() && drained.refused == 0, "{drained:?}");
    taken
}

/// Takes a range in. Of its findings, those of even offsets are alerts that leave.
pub(super) async fn record(
    warehouse: &Warehouse,
    partition: &PartitionId,
    range: std::ops::Range<i64>,
    tables: &[Table],
) {
    let mut entry = prepare(warehouse, partition, range.clone(), tables).await;
    if tables.contains(&Table::DetectionFinding) {
        let findings = render(&rows(Table::DetectionFinding, partition, range), Uuid::nil());
        entry.outbox = findings.into_iter().map(|f| f.id).step_by(2).filter(|id| !id.is_empty()).collect();
    }
    assert_eq!(warehouse.ledger().create_source(&entry).await.expect("creates"), Created::New);
}

/// How many findings leave: those whose id an entry names.
pub(super) fn leaving(partition: &PartitionId, range: std::ops::Range<i64>) -> usize {
    let findings = render(&rows(Table::DetectionFinding, partition, range), Uuid::nil());
    let named: HashSet<&String> = findings.iter().step_by(2).map(|f| &f.id).filter(|id| !id.is_empty()).collect();
    findings.iter().filter(|f| named.contains(&f.id)).count()
}

pub(super) fn first() -> AlertChain {
    AlertChain::Partition(partition(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_leave_once_and_a_successor_sends_only_what_was_not_noted() {
    let (folder, cluster) = (tempdir().expect("a folder"), Cluster::new());
    let warehouse = open(folder.path()).await;
    let mut outbox = cluster.outbox(&warehouse).await;
    assert_eq!(drain(&mut outbox, &first()).await, 0);
    let (early, late) = (leaving(&partition(0), 0..12), leaving(&partition(0), 18..30));
    assert!(early > 1 && early < 12 && late > 1, "{early}, {late}: some leave, others are a vendor's");
    record(&warehouse, &partition(0), 0..12, &[Table::DetectionFinding, Table::NetworkActivity]).await;
    record(&warehouse, &partition(0), 12..18, &[Table::NetworkActivity]).await;
    assert_eq!(drain(&mut outbox, &first()).await, early);
    assert_eq!(drain(&mut outbox, &first()).await, 0);

    record(&warehouse, &partition(0), 18..30, &[Table::DetectionFinding]).await;
    let mut successor = cluster.outbox(&warehouse).await;
    assert_eq!(drain(&mut successor, &first()).await, late);
    // The first was not told that it had lost the chain: its alerts come again under the same ids.
    assert_eq!(drain(&mut outbox, &first()).await, late);
    let keys = cluster.keys(early + 2 * late);
    assert!(keys.values().any(|n| *n > 1), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_leave_though_the_entries_before_them_are_collected() {
    let (folder, cluster) = (tempdir().expect("a folder"), Cluster::new());
    let warehouse = open(folder.path()).await;
    let mut outbox = cluster.outbox(&warehouse).await;
    record(&warehouse, &partition(0), 0..2, &[Table::NetworkActivity]).await;
    assert_eq!(drain(&mut outbox, &first()).await, 0);
    for start in [2, 4, 6] {
        record(&warehouse, &partition(0), start..start + 2, &[Table::NetworkActivity]).await;
    }
    let policy = Policy { now: i64::MAX, retention_us: 0, is_unmerged: |_| true };
    warehouse.collect(&policy, "upkeep").await.expect("collects");
    assert_eq!(warehouse.ledger().first(&partition(0)).await.expect("lists"), Some(6));
    record(&warehouse, &partition(0), 8..20, &[Table::DetectionFinding]).await;
    record(&warehouse, &partition(0), 20..22, &[Table::NetworkActivity]).await;
    warehouse.collect(&policy, "upkeep").await.expect("collects");
    assert_eq!(warehouse.ledger().first(&partition(0)).await.expect("lists"), Some(8), "its alerts have not left");
    let waiting = leaving(&partition(0), 8..20);
    assert!(waiting > 0);
    assert_eq!(drain(&mut outbox, &first()).await, waiting);
    warehouse.collect(&policy, "upkeep").await.expect("collects");
    assert_eq!(warehouse.ledger().first(&partition(0)).await.expect("lists"), Some(20));
    assert_eq!(cluster.keys(waiting).values().sum::<usize>(), waiting);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_group_is_a_chain_too() {
    let (folder, cluster) = (tempdir().expect("a folder"), Cluster::new());
    let warehouse = open(folder.path()).await;
    let (origin, attempt) = (Origin::Step { group: 0, step: 0 }, uuid::Uuid::new_v4());
    let batch = rows(Table::DetectionFinding, &PartitionId::new("_merge", "0", 0), 0..4);
    let mut entry = MergeEntry::empty(0, 0, NOON, "test", attempt);
    entry.outbox = render(&batch, Uuid::nil()).into_iter().map(|alert| alert.id).collect();
    let mut files = Vec::new();
    for file in warehouse.encoder().encode(Table::DetectionFinding, &[batch]).expect("encodes") {
        files.push(warehouse.stage(origin, attempt, file).await.expect("stages"));
    }
    entry.tables.insert(Table::DetectionFinding.into(), files.into_iter().collect());
    warehouse.ledger().create_merge(&entry).await.expect("creates");
    assert_eq!(drain(&mut cluster.outbox(&warehouse).await, &AlertChain::Group(0)).await, 4);
    assert_eq!(drain(&mut cluster.outbox(&warehouse).await, &AlertChain::Group(0)).await, 0);
    assert_eq!(cluster.keys(4).values().sum::<usize>(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_no_broker_takes_are_not_noted() {
    let (folder, cluster) = (tempdir().expect("a folder"), Cluster::new());
    let warehouse = open(folder.path()).await;
    record(&warehouse, &partition(0), 0..2, &[Table::DetectionFinding]).await;
    let settings = [("message.timeout.ms", "500")].into();
    let nobody = AlertTopic::new("127.0.0.1:1", TOPIC, &settings).expect("not connected yet");
    let drained = outbox(&warehouse, "kafka", nobody).await.drain(&first(), &|_| ()).await.expect("the ledger is read");
    let error = drained.failed.expect("no broker");
    assert_eq!(error.class(), crate::Class::Transient);
    assert!(error.to_string().starts_with("cannot send to topic detections"), "{error}");
    assert!(error.to_string().contains("127.0.0.1:1"), "the broker: {error}");
    let waiting = leaving(&partition(0), 0..2);
    assert_eq!(drain(&mut cluster.outbox(&warehouse).await, &first()).await, waiting);
}

#[test]
fn what_a_file_holds_is_what_was_staged() {
    let batch = rows(Table::DetectionFinding, &partition(0), 0..5);
    let alerts = render(&batch, Uuid::nil());
    assert_eq!(alerts.len(), 5);
    for alert in alerts {
        let json: serde_json::Value = serde_json::from_str(&alert.json).expect("JSON");
        assert_eq!(json["finding_info"]["uid"].as_str().unwrap_or_default(), alert.id);
        assert!(json.get("_offset").is_none() && json.get("tenant_uid").is_none(), "no columns of our own");
    }
}

#[test]
fn a_setting_that_is_not_librdkafkas_is_refused() {
    let error = AlertTopic::new("b:1", TOPIC, &[("acls", "1")].into()).expect_err("unknown");
    assert_eq!(error.class(), crate::Class::Permanent);
}

mod receivers;
