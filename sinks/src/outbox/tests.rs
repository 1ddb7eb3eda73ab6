use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{Offset, TopicPartitionList};
use tempfile::tempdir;

use super::*;
use crate::warehouse::tests::{open, partition, record, record_merge, rows};

const TOPIC: &str = "detections";

struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    fn new() -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic(TOPIC, 1, 1).expect("a topic");
        Self(cluster)
    }

    fn outbox(&self, warehouse: &Warehouse) -> Outbox {
        let topic = AlertTopic::new(&self.0.bootstrap_servers(), TOPIC, &[]).expect("a topic");
        Outbox::new(warehouse.clone(), topic)
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

fn first() -> AlertChain {
    AlertChain::Partition(partition(0))
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_leave_once_and_a_successor_sends_only_what_was_not_noted() {
    let (folder, cluster) = (tempdir().expect("a folder"), Cluster::new());
    let warehouse = open(folder.path()).await;
    let mut outbox = cluster.outbox(&warehouse);
    assert_eq!(outbox.drain(&first()).await.expect("no chain yet"), 0);
    record(&warehouse, &partition(0), 0..6, &[Table::DetectionFinding, Table::NetworkActivity]).await;
    record(&warehouse, &partition(0), 6..9, &[Table::NetworkActivity]).await;
    assert_eq!(outbox.drain(&first()).await.expect("sent"), 6);
    assert_eq!(outbox.drain(&first()).await.expect("nothing new"), 0);

    record(&warehouse, &partition(0), 9..12, &[Table::DetectionFinding]).await;
    let mut successor = cluster.outbox(&warehouse);
    assert_eq!(successor.drain(&first()).await.expect("sent"), 3);
    // The first was not told that it had lost the chain: its alerts come again under the same ids.
    assert_eq!(outbox.drain(&first()).await.expect("sent again"), 3);
    let keys = cluster.keys(12);
    assert!(keys.values().sum::<usize>() == 12 && keys.values().any(|n| *n > 1), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_group_is_a_chain_too() {
    let (folder, cluster) = (tempdir().expect("a folder"), Cluster::new());
    let warehouse = open(folder.path()).await;
    record(&warehouse, &partition(0), 0..4, &[Table::NetworkActivity]).await;
    record_merge(&warehouse, 0, &[(partition(0), 4)]).await;
    let mut outbox = cluster.outbox(&warehouse);
    let sent = outbox.drain(&AlertChain::Group(0)).await.expect("sent");
    assert!(sent > 0);
    assert_eq!(cluster.outbox(&warehouse).drain(&AlertChain::Group(0)).await.expect("noted"), 0);
    assert_eq!(cluster.keys(sent).values().sum::<usize>(), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_that_no_broker_takes_are_not_noted() {
    let (folder, cluster) = (tempdir().expect("a folder"), Cluster::new());
    let warehouse = open(folder.path()).await;
    record(&warehouse, &partition(0), 0..2, &[Table::DetectionFinding]).await;
    let settings = [("message.timeout.ms".to_owned(), "500".to_owned())];
    let nobody = AlertTopic::new("127.0.0.1:1", TOPIC, &settings).expect("not connected yet");
    let error = Outbox::new(warehouse.clone(), nobody).drain(&first()).await.expect_err("no broker");
    assert_eq!(error.class(), crate::Class::Transient);
    assert!(error.to_string().starts_with("cannot send to topic detections"), "{error}");
    assert_eq!(cluster.outbox(&warehouse).drain(&first()).await.expect("sent"), 2);
}

#[test]
fn what_a_file_holds_is_what_was_staged() {
    let batch = rows(Table::DetectionFinding, &partition(0), 0..5);
    let alerts = render(&batch);
    assert_eq!(alerts.len(), 5);
    for alert in alerts {
        let json: serde_json::Value = serde_json::from_str(&alert.json).expect("JSON");
        assert_eq!(json["finding_info"]["uid"].as_str().unwrap_or_default(), alert.id);
        assert!(json.get("_offset").is_none() && json.get("tenant_uid").is_none(), "no columns of our own");
    }
}

#[test]
fn a_setting_that_is_not_librdkafkas_is_refused() {
    let error = AlertTopic::new("b:1", TOPIC, &[("acls".to_owned(), "1".to_owned())]).expect_err("unknown");
    assert_eq!(error.class(), crate::Class::Permanent);
}
