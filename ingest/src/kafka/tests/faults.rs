//! Errors that brokers answer with, each three times in a row, injected by the mock cluster: a member gets over them by itself, and
//! every record is delivered once for each time that its partition is assigned below it.

use rdkafka::types::RDKafkaRespErr as Error;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr};

use super::*;

const PARTITIONS: i32 = 2;
const HALF: i64 = 40;

/// What goes wrong: at which request, and how.
type Fault = (Api, RDKafkaRespErr);

/// Whoever is to join again is told so by the answer to its heartbeat.
const FORGOTTEN: Fault = (Api::Heartbeat, Error::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID);

/// Faults that strike while records are read.
const WHILE_READING: [&[Fault]; 15] = [
    &[(Api::Fetch, Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION)],
    &[(Api::Fetch, Error::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)],
    &[(Api::Fetch, Error::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR)],
    &[(Api::Fetch, Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT)],
    &[(Api::Fetch, Error::RD_KAFKA_RESP_ERR__TRANSPORT)],
    &[(Api::Metadata, Error::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)],
    &[(Api::Heartbeat, Error::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)],
    &[(Api::Heartbeat, Error::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION)],
    &[(Api::Heartbeat, Error::RD_KAFKA_RESP_ERR_NOT_COORDINATOR)],
    &[(Api::Heartbeat, Error::RD_KAFKA_RESP_ERR__TRANSPORT)],
    &[FORGOTTEN],
    &[FORGOTTEN, (Api::JoinGroup, Error::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS)],
    &[FORGOTTEN, (Api::SyncGroup, Error::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS)],
    &[FORGOTTEN, (Api::ListOffsets, Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION)],
    &[(Api::OffsetCommit, Error::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE)],
];

/// Faults that strike a worker that starts.
const AT_THE_START: [&[Fault]; 5] = [
    &[(Api::ApiVersion, Error::RD_KAFKA_RESP_ERR__TRANSPORT)],
    &[(Api::FindCoordinator, Error::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE)],
    &[(Api::JoinGroup, Error::RD_KAFKA_RESP_ERR_NOT_COORDINATOR)],
    &[(Api::SyncGroup, Error::RD_KAFKA_RESP_ERR__TRANSPORT)],
    &[(Api::ListOffsets, Error::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE)],
];

fn inject(cluster: &Cluster, faults: &[Fault]) {
    faults.iter().for_each(|(api, error)| cluster.0.request_errors(*api, &[*error; 3]));
}

/// Reads until every partition has so many records. What was delivered from a position on is void once the partition is assigned
/// there again, as a shard forgets it.
async fn read_to(source: &mut KafkaSource, read: &mut BTreeMap<i32, Vec<i64>>, records: i64) {
    while (0..PARTITIONS).any(|p| read.get(&p).is_none_or(|offsets| (offsets.len() as i64) < records)) {
        match next(source).await {
            SourceEvent::Assigned(id, position) => {
                read.entry(id.partition).or_default().retain(|offset| *offset < position);
            }
            SourceEvent::Chunk(chunk) => {
                let offsets = read.entry(chunk.partition.partition).or_default();
                offsets.extend(chunk.records().map(|record| record.offset));
            }
            SourceEvent::Stopped(id, stop) => panic!("{id}: {stop:?}"),
            _ => {}
        }
    }
}

/// All records come, in order, whatever the brokers answer.
async fn get_over(at_the_start: &[Fault], while_reading: &[Fault]) {
    let cluster = Cluster::new(PARTITIONS);
    (0..PARTITIONS).for_each(|partition| cluster.fill(partition, 0..HALF));
    inject(&cluster, at_the_start);
    let mut source = open(cluster.config(true), Arc::<Fixed>::default()).await;
    let mut read = BTreeMap::new();
    read_to(&mut source, &mut read, HALF).await;
    inject(&cluster, while_reading);
    (0..PARTITIONS).for_each(|partition| cluster.fill(partition, HALF..2 * HALF));
    read_to(&mut source, &mut read, 2 * HALF).await;
    for (partition, offsets) in read {
        let want: Vec<i64> = (0..2 * HALF).collect();
        assert_eq!(offsets, want, "partition {partition}: {at_the_start:?} {while_reading:?}");
    }
}

/// Each in a thread and a cluster of its own: most of the time is waiting.
fn all(faults: impl Iterator<Item = (&'static [Fault], &'static [Fault])>) {
    std::thread::scope(|scope| {
        for (at_the_start, while_reading) in faults {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
                runtime.expect("a runtime").block_on(get_over(at_the_start, while_reading));
            });
        }
    });
}

#[test]
fn errors_while_reading_cost_no_record() {
    all(WHILE_READING.into_iter().map(|faults| (&[][..], faults)));
}

#[test]
fn errors_at_the_start_are_waited_out() {
    all(AT_THE_START.into_iter().map(|faults| (faults, &[][..])));
}
