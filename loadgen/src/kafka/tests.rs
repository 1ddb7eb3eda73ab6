use std::collections::BTreeMap;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{Offset, TopicPartitionList};

use super::*;
use crate::config::FleetConfig;

type Cluster = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "logs";
const PACE: Pace = Pace::AsFast { start_wall_us: 1_800_000_000_000_000, wall_span_us: 60_000_000 };

fn fleet() -> Fleet {
    let config = FleetConfig {
        events: 3_000,
        attacks: 0,
        near_misses: 0,
        malformed_per_million: 20_000,
        ..FleetConfig::default()
    };
    Fleet::in_topic(config, TOPIC).expect("a fleet")
}

/// A cluster of the library's own, in this process, with an empty topic.
fn cluster(partitions: i32) -> Cluster {
    let cluster = MockCluster::new(3).expect("a cluster in this process");
    cluster.create_topic(TOPIC, partitions, 3).expect("a new topic");
    cluster
}

fn brokers(cluster: &Cluster) -> Brokers {
    Brokers { addresses: cluster.bootstrap_servers(), ..Brokers::default() }
}

/// What a record was, by partition and offset.
type Records = BTreeMap<(i32, i64), (Vec<u8>, String, i64)>;

/// Everything in the topic, up to the number of records expected.
fn consume(cluster: &Cluster, fleet: &Fleet, count: usize) -> Records {
    let mut config = client(&brokers(cluster));
    let consumer: BaseConsumer = config.set("group.id", "test").create().expect("a consumer");
    let mut from = TopicPartitionList::new();
    for id in fleet.partitions() {
        from.add_partition_offset(&id.topic, id.partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&from).expect("own partitions");
    let mut records = Records::new();
    while records.len() < count {
        let message = consumer.poll(ANSWER).expect("a record in time").expect("no error");
        assert!(message.key().is_none());
        let header = message.headers().expect("headers").get_as::<str>(0).expect("UTF-8");
        assert_eq!(header.key, "tenant");
        let payload = message.payload().unwrap_or_default().to_vec();
        let time = message.timestamp().to_millis().expect("a time");
        let value = (payload, header.value.unwrap_or_default().to_owned(), time);
        assert!(records.insert((message.partition(), message.offset()), value).is_none(), "twice");
    }
    records
}

/// What the fleet says.
fn expected(fleet: &Fleet) -> Records {
    let mut records = Records::new();
    for id in fleet.partitions() {
        let tenant = fleet.tenant(&id).expect("own").to_string();
        let mut cursor = fleet.cursor(&id, 0).expect("own");
        let mut line = Vec::new();
        while let Some(meta) = cursor.next(&mut line) {
            let ms = PACE.due_us(meta.schedule_us, fleet).div_euclid(1_000);
            records.insert((id.partition, meta.offset), (line.clone(), tenant.clone(), ms));
        }
    }
    records
}

fn write(fleet: &Fleet, cluster: &Cluster) -> Result<u64, Error> {
    write_kafka(fleet, &brokers(cluster), PACE, || 0)
}

#[test]
fn every_record_stands_where_the_truth_says_with_its_tenant_and_time() {
    let (fleet, cluster) = (fleet(), cluster(6));
    assert_eq!(write(&fleet, &cluster).expect("written"), 3_000);
    let want = expected(&fleet);
    assert!(consume(&cluster, &fleet, 3_000) == want);
    assert!(want.keys().all(|(partition, _)| (0..6).contains(partition)));
}

/// By a schedule that was to begin a minute ago: nothing waits, everything is late.
fn options(cluster: &Cluster, shard: &str) -> SendOptions {
    let schedule = crate::Schedule::constant(1e6).expect("a rate");
    let timing = Timing::Schedule { schedule: Arc::new(schedule), start_wall_us: 1_800_000_000_000_000 };
    SendOptions {
        target: format!("kafka://{}/{TOPIC}", cluster.bootstrap_servers()).parse().expect("a target"),
        shard: shard.parse().expect("a shard"),
        now: || 1_800_000_060_000_000,
        ..crate::send::tests::options("-", timing)
    }
}

#[test]
fn shards_fill_a_topic_as_one_process_would_and_measure_from_intent() {
    let (fleet, cluster) = (fleet(), cluster(6));
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        let report = crate::send(&fleet, &options(&cluster, shard), &mut |_| {}).expect("sent");
        assert!(report.is_complete() && report.acknowledged == Some(report.intended), "{report:?}");
        assert_eq!(report.late, report.sent);
        let acknowledged = report.acknowledged_ms.expect("acknowledged");
        assert!(acknowledged.p50 >= 59_900.0 && acknowledged.max <= 60_100.0, "{acknowledged:?}");
    }
    let bytes = |records: Records| records.into_iter().map(|(at, (line, ..))| (at, line)).collect::<BTreeMap<_, _>>();
    assert!(bytes(consume(&cluster, &fleet, 3_000)) == bytes(expected(&fleet)));
}

#[test]
fn a_topic_that_is_not_empty_is_refused() {
    let (fleet, cluster) = (fleet(), cluster(6));
    write(&fleet, &cluster).expect("the first time");
    let error = write(&fleet, &cluster).expect_err("the second time").to_string();
    assert_eq!(error, "topic logs, partition 0 is not empty (its next offset is 500); name a new topic");
}

#[test]
fn a_topic_of_other_partitions_is_refused() {
    let error = write(&fleet(), &cluster(4)).expect_err("refused").to_string();
    assert!(error.starts_with("topic logs has 4 partitions; the fleet needs 6: "), "{error}");
}

#[test]
fn a_topic_that_exists_is_not_created_again() {
    let cluster = cluster(6);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let create = |partitions| runtime.block_on(create_topic(&brokers(&cluster), TOPIC, partitions));
    create(6).expect("as it is");
    let error = create(8).expect_err("another number").to_string();
    assert!(error.starts_with("topic logs has 6 partitions; the fleet needs 8: "), "{error}");
}

#[test]
fn a_record_that_is_not_delivered_is_an_error_with_its_place() {
    let (fleet, cluster) = (fleet(), cluster(6));
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; 64];
    cluster.request_errors(RDKafkaApiKey::Produce, &refused);
    let error = write(&fleet, &cluster).expect_err("refused");
    let Error::KafkaRecord { place, cause } = error else { panic!("another error: {error}") };
    assert!(place.topic == TOPIC && place.offset >= 0, "{place}");
    assert_eq!(cause.rdkafka_error_code(), Some(RDKafkaErrorCode::TopicAuthorizationFailed));
}

#[test]
fn a_record_at_another_offset_is_an_error_with_both() {
    let deliveries =
        Deliveries { gauge: Arc::default(), latency: Mutex::default(), now: || 0, failure: Mutex::default() };
    let place = PartitionPlace { topic: TOPIC.to_owned(), partition: 3, offset: 17 };
    deliveries.fail(Error::KafkaOffset { place: place.clone(), got: 18 });
    deliveries.fail(Error::KafkaOffset { place, got: 19 });
    let error = deliveries.check().expect_err("the first").to_string();
    assert!(error.starts_with("topic logs, partition 3, offset 17: the record stands at offset 18"), "{error}");
}

#[test]
fn names_do_not_change_the_bytes() {
    let named = fleet();
    let plain = Fleet::new(named.config().clone()).expect("a fleet");
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (one, other) in named.partitions().iter().zip(plain.partitions()) {
        assert_eq!((&*one.topic, one.incarnation.clone()), (TOPIC, other.incarnation.clone()));
        let (mut first, mut second) = (named.cursor(one, 0).expect("own"), plain.cursor(&other, 0).expect("own"));
        while first.next(&mut a) == second.next(&mut b) && first.peek_schedule_us().is_some() {
            assert_eq!(a, b);
        }
        assert_eq!((first.peek_schedule_us(), second.peek_schedule_us()), (None, None));
    }
}
