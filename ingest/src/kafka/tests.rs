//! Against librdkafka's mock cluster: groups and rebalances are its own, no fencing. Real brokers are the pipeline's tests.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;

mod faults;

const TOPIC: &str = "fw";

/// A ledger that says what it is told.
#[derive(Default)]
struct Fixed(Mutex<BTreeMap<i32, i64>>);

/// One whose user accepts that records are lost, and what it was told of them.
#[derive(Default)]
struct Forgiving(Fixed, Mutex<Vec<(i32, OffsetRange)>>);

impl StartPositions for Forgiving {
    fn positions(&self, partitions: &[PartitionId]) -> Result<Positions, BoxedError> {
        self.0.positions(partitions)
    }

    fn accept_loss(&self, partition: &PartitionId, lost: OffsetRange) -> Result<bool, BoxedError> {
        self.1.lock().map_err(|_| "poisoned")?.push((partition.partition, lost));
        Ok(true)
    }
}

impl StartPositions for Fixed {
    fn positions(&self, partitions: &[PartitionId]) -> Result<Positions, BoxedError> {
        let known = self.0.lock().map_err(|_| "poisoned")?;
        Ok(partitions.iter().filter_map(|p| Some((p.clone(), *known.get(&p.partition)?))).collect())
    }
}

struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    fn new(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        cluster.create_topic(TOPIC, partitions, 1).expect("a topic");
        Self(cluster)
    }

    fn fill(&self, partition: i32, records: impl IntoIterator<Item = i64>) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", self.0.bootstrap_servers()).create().expect("a producer");
        for n in records {
            let value = format!("record {n}");
            let record = BaseRecord::<(), _>::to(TOPIC).partition(partition).payload(&value).timestamp(1_000 + n);
            producer.send(record).map_err(|(e, _)| e).expect("queued");
        }
        producer.flush(Duration::from_secs(10)).expect("delivered");
    }

    fn config(&self, follow: bool) -> KafkaConfig {
        let tenant = TenantRule::Fixed("acme".into());
        let config = KafkaConfig::new(&self.0.bootstrap_servers(), TOPIC, "palisade", tenant);
        KafkaConfig { follow, session_timeout: Duration::from_secs(6), ..config }
    }
}

async fn open(config: KafkaConfig, starts: Arc<impl StartPositions + 'static>) -> KafkaSource {
    let opened = tokio::task::spawn_blocking(move || KafkaSource::open(config, starts)).await;
    opened.expect("not canceled").expect("a source")
}

async fn next(source: &mut KafkaSource) -> SourceEvent {
    let event = tokio::time::timeout(Duration::from_secs(30), source.next_event()).await;
    event.expect("within half a minute").expect("no error")
}

/// Offsets and payloads by partition, until `enough`.
async fn read_until(
    source: &mut KafkaSource,
    enough: impl Fn(&BTreeMap<i32, Vec<i64>>) -> bool,
) -> BTreeMap<i32, Vec<i64>> {
    let mut read: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    while !enough(&read) {
        match next(source).await {
            SourceEvent::Chunk(chunk) => {
                let offsets = read.entry(chunk.partition.partition).or_default();
                for record in chunk.records() {
                    assert_eq!(record.payload, format!("record {}", record.offset).as_bytes());
                    assert_eq!(record.received_at, (1_000 + record.offset) * 1_000);
                    offsets.push(record.offset);
                }
                assert_eq!(chunk.offsets.next, offsets.last().expect("records") + 1);
            }
            SourceEvent::EndOfInput => break,
            _ => {}
        }
    }
    read
}

/// A ledger that says when it is asked first, and whose answer comes by the runtime's threads.
struct Remote {
    runtime: tokio::runtime::Handle,
    asked: std::sync::mpsc::SyncSender<()>,
    answer: Mutex<Option<tokio::sync::oneshot::Receiver<()>>>,
}

impl StartPositions for Remote {
    fn positions(&self, _: &[PartitionId]) -> Result<Positions, BoxedError> {
        if let Some(answer) = self.answer.lock().map_err(|_| "poisoned")?.take() {
            self.asked.send(())?;
            self.runtime.block_on(answer)?;
        }
        Ok(Positions::new())
    }
}

#[test]
fn a_source_that_is_dropped_while_the_ledger_is_asked_ends() {
    let cluster = Cluster::new(2);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let (asked, asks) = std::sync::mpsc::sync_channel(1);
    let (answers, answer) = tokio::sync::oneshot::channel();
    let starts = Remote { runtime: runtime.handle().clone(), asked, answer: Mutex::new(Some(answer)) };
    let entered = runtime.enter();
    let source = KafkaSource::open(cluster.config(true), Arc::new(starts)).expect("a source");
    drop(entered);
    asks.recv_timeout(Duration::from_secs(30)).expect("the group gives it partitions");
    let (ends, ended) = std::sync::mpsc::sync_channel(1);
    let own = runtime.handle().clone();
    runtime.spawn(async move {
        // The one thread comes to this once the source is gone, or while it waits elsewhere.
        own.spawn(async move { answers.send(()) });
        drop(source);
        ends.send(())
    });
    let outcome = ended.recv_timeout(Duration::from_secs(30));
    // A thread that hangs would hold up the runtime's end, and with it the news.
    runtime.shutdown_background();
    outcome.expect("the source ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_run_reads_from_the_ledgers_positions_to_the_end() {
    let cluster = Cluster::new(3);
    cluster.fill(0, 0..500);
    cluster.fill(1, 0..20);
    let starts = Arc::new(Fixed(Mutex::new(BTreeMap::from([(0, 100), (1, 20)]))));
    let mut source = open(cluster.config(false), starts).await;
    assert_eq!(source.partitions().len(), 3);
    let read = read_until(&mut source, |_| false).await;
    assert_eq!(read, BTreeMap::from([(0, (100..500).collect())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_given_partitions_at_the_ledgers_positions() {
    let cluster = Cluster::new(2);
    cluster.fill(0, 0..50);
    cluster.fill(1, 0..50);
    let starts = Arc::new(Fixed(Mutex::new(BTreeMap::from([(1, 30)]))));
    let mut source = open(cluster.config(true), starts).await;
    let mut assigned = BTreeMap::new();
    while assigned.len() < 2 {
        if let SourceEvent::Assigned(id, position) = next(&mut source).await {
            assigned.insert(id.partition, position);
        }
    }
    assert_eq!(assigned, BTreeMap::from([(0, 0), (1, 30)]));
    let read = read_until(&mut source, |r| r.values().map(Vec::len).sum::<usize>() == 70).await;
    assert_eq!(read, BTreeMap::from([(0, (0..50).collect()), (1, (30..50).collect())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_without_a_leader_stops_no_other_and_is_read_once_it_has_one() {
    let cluster = Cluster::new(2);
    (0..2).for_each(|partition| cluster.fill(partition, 0..50));
    cluster.0.partition_leader(TOPIC, 1, None).expect("a partition");
    let mut source = open(cluster.config(true), Arc::<Fixed>::default()).await;
    let mut stopped = Vec::new();
    let mut read = BTreeMap::<i32, usize>::new();
    while read.get(&0) != Some(&50) || stopped.is_empty() {
        match next(&mut source).await {
            SourceEvent::Stopped(id, stop) => stopped.push((id.partition, stop.kind)),
            SourceEvent::Chunk(chunk) => *read.entry(chunk.partition.partition).or_default() += chunk.len(),
            SourceEvent::Assigned(id, _) => assert_eq!(id.partition, 0),
            _ => {}
        }
    }
    assert_eq!(stopped, [(1, "unreachable")]);
    cluster.0.partition_leader(TOPIC, 1, Some(1)).expect("a partition");
    let read = read_until(&mut source, |read| read.values().map(Vec::len).sum::<usize>() == 50).await;
    assert_eq!(read, BTreeMap::from([(1, (0..50).collect())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seek_announces_the_partition_anew_and_delivers_from_there() {
    let cluster = Cluster::new(1);
    cluster.fill(0, 0..100);
    let mut source = open(cluster.config(true), Arc::<Fixed>::default()).await;
    read_until(&mut source, |r| r.get(&0).is_some_and(|o| o.len() == 100)).await;
    let id = source.partitions()[0].clone();
    source.seek(&Positions::from([(id.clone(), 40)])).await.expect("asked");
    loop {
        match next(&mut source).await {
            SourceEvent::Assigned(again, position) if position > 0 => {
                assert_eq!((again, position), (id, 40));
                break;
            }
            SourceEvent::Chunk(_) => panic!("everything was read"),
            _ => {}
        }
    }
    let read = read_until(&mut source, |r| r.get(&0).is_some_and(|o| o.len() == 60)).await;
    assert_eq!(read[&0], (40..100).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_members_share_the_partitions_and_one_inherits_all() {
    let cluster = Cluster::new(4);
    let mut first = Member { source: open(cluster.config(true), Arc::<Fixed>::default()).await, owns: 0 };
    first.until_it_owns(4).await;
    let mut second = Member { source: open(cluster.config(true), Arc::<Fixed>::default()).await, owns: 0 };
    // Both read on: a rebalance needs every member.
    tokio::join!(first.until_it_owns(2), second.until_it_owns(2));
    drop(first);
    second.until_it_owns(4).await;
}

/// A source and how many partitions are its own.
struct Member {
    source: KafkaSource,
    owns: i64,
}

impl Member {
    /// Reads until partitions have come or gone so many times.
    async fn until_it_is_told(&mut self, changes: usize) {
        let mut told = 0;
        while told < changes {
            told += usize::from(matches!(next(&mut self.source).await, SourceEvent::Revoked(_)));
        }
    }

    async fn until_it_owns(&mut self, partitions: i64) {
        while self.owns != partitions {
            self.owns += match next(&mut self.source).await {
                SourceEvent::Assigned(..) => 1,
                SourceEvent::Revoked(_) => -1,
                _ => 0,
            };
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_waits_is_waited_for_and_nothing_is_lost() {
    let cluster = Cluster::new(1);
    cluster.fill(0, 0..2_000);
    let config = KafkaConfig { queue_chunks: 1, chunk_bytes: 64, ..cluster.config(true) };
    let mut source = open(config, Arc::<Fixed>::default()).await;
    let read = read_until(&mut source, |r| r.get(&0).is_some_and(|o| o.len() == 2_000)).await;
    assert_eq!(read[&0], (0..2_000).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_leaves_paused_is_read_once_it_comes_back() {
    let cluster = Cluster::new(4);
    (0..4).for_each(|partition| cluster.fill(partition, 0..2_000));
    let config = KafkaConfig { queue_chunks: 1, chunk_bytes: 64, ..cluster.config(true) };
    let mut first = Member { source: open(config, Arc::<Fixed>::default()).await, owns: 0 };
    first.until_it_owns(4).await;
    let mut second = Member { source: open(cluster.config(true), Arc::<Fixed>::default()).await, owns: 0 };
    // Nobody reads the first meanwhile: it gives up half of its partitions when all are paused.
    second.until_it_owns(2).await;
    let are_read = |read: &BTreeMap<i32, Vec<i64>>, partitions| {
        read.values().filter(|offsets| offsets.last() == Some(&1_999)).count() == partitions
    };
    read_until(&mut first.source, |read| are_read(read, 2)).await;
    drop(second);
    let back = read_until(&mut first.source, |read| are_read(read, 2));
    tokio::time::timeout(Duration::from_secs(60), back).await.expect("they are read");
}

#[test]
fn a_position_outside_the_log_stops() {
    use poller::within;
    assert_eq!(within(0, None, (7, 9)).expect("from the beginning"), 7);
    assert_eq!(within(0, Some(9), (7, 9)).expect("at the end"), 9);
    let lost = within(3, Some(4), (7, 9)).expect_err("retention").to_string();
    assert!(lost.contains("partition 3") && lost.contains("3 offsets are lost"), "{lost}");
    let cut = within(3, Some(10), (7, 9)).expect_err("truncated").to_string();
    assert!(cut.contains("continues at 10") && cut.contains("ends at 9"), "{cut}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_whose_position_the_log_does_not_hold_stops_and_the_others_go_on() {
    let cluster = Cluster::new(3);
    (0..3).for_each(|partition| cluster.fill(partition, 0..50));
    let starts = Arc::new(Fixed(Mutex::new(BTreeMap::from([(1, 80)]))));
    let mut source = open(cluster.config(true), starts).await;
    let (mut stopped, mut read) = (Vec::new(), BTreeMap::<i32, usize>::new());
    while stopped.is_empty() || read.values().sum::<usize>() < 100 {
        match next(&mut source).await {
            SourceEvent::Stopped(id, stop) => stopped.push((id.partition, stop.kind, stop.why)),
            SourceEvent::Chunk(chunk) => *read.entry(chunk.partition.partition).or_default() += chunk.len(),
            _ => {}
        }
    }
    assert_eq!(read, BTreeMap::from([(0, 50), (2, 50)]));
    let [(1, "truncated", why)] = &stopped[..] else { panic!("{stopped:?}") };
    assert!(why.contains("continues at 80") && why.contains("ends at 50"), "{why}");
    // Another member comes: what is given back must be what the client was told to read.
    let mut member = Member { source, owns: 2 };
    let mut second = Member { source: open(cluster.config(true), Arc::<Fixed>::default()).await, owns: 0 };
    tokio::join!(second.until_it_owns(1), member.until_it_is_told(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bounded_run_fails_where_a_partition_stops() {
    let cluster = Cluster::new(1);
    cluster.fill(0, 0..5);
    let (config, starts) = (cluster.config(false), Arc::new(Fixed(Mutex::new(BTreeMap::from([(0, 9)])))));
    let opened = tokio::task::spawn_blocking(move || KafkaSource::open(config, starts)).await.expect("not canceled");
    let error = opened.expect_err("it cannot come to its end").to_string();
    assert!(error.contains("continues at 9, but the broker's log ends at 5"), "{error}");
}

#[test]
fn a_loss_that_is_accepted_is_recorded_and_reading_goes_on_after_it() {
    let id = PartitionId::new("fw", "i", 3);
    let config = KafkaConfig::new("b:1", "fw", "g", TenantRule::Fixed("acme".into()));
    let forgiving = Arc::new(Forgiving::default());
    let rows = rebalance::Rows { name: id.topic.clone(), incarnation: id.incarnation.clone() };
    let group = rebalance::Group::new(&config, rows, forgiving.clone());
    let held = |known| group.position(&id, known, (7, 9)).expect("no failure");
    assert_eq!(held(Some(4)).expect("after the loss"), 7);
    assert_eq!(held(Some(8)).expect("nothing is lost"), 8);
    assert!(held(Some(10)).is_err(), "no loss can be accepted of records that are not there any more");
    assert_eq!(*forgiving.1.lock().expect("no panic"), [(3, OffsetRange { start: 4, next: 7 })]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_brokers_say_of_a_topic() {
    let cluster = Cluster::new(3);
    let config = cluster.config(true);
    let asked = tokio::task::spawn_blocking(move || {
        let brokers = Brokers::new(&config)?;
        Ok::<_, KafkaError>((brokers.topic(TOPIC)?, brokers.topic(TOPIC)?, brokers.topic("no-such-topic")))
    });
    let (once, again, unknown) = asked.await.expect("not canceled").expect("answers");
    assert_eq!((once.id.len(), once.partitions.as_slice()), (32, [0, 1, 2].as_slice()));
    assert_eq!(once, again);
    assert!(matches!(unknown, Err(KafkaError::UnknownTopic(_))), "{unknown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_found_by_pattern_as_they_come() {
    let cluster = Cluster::new(1);
    cluster.0.create_topic("other", 1, 1).expect("a topic");
    let pattern = TopicPattern::new("^fw").expect("a pattern");
    let finder = Arc::new(TopicFinder::new(&cluster.config(true), pattern).expect("a client"));
    let find = || {
        let finder = finder.clone();
        tokio::task::spawn_blocking(move || finder.topics().expect("answers").into_iter().collect::<Vec<_>>())
    };
    assert_eq!(find().await.expect("not canceled"), [TOPIC]);
    cluster.0.create_topic("fw.new", 1, 1).expect("a topic");
    assert_eq!(find().await.expect("not canceled"), [TOPIC, "fw.new"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_was_not_there_at_the_start_is_announced_and_read_from_its_beginning() {
    let cluster = Cluster::new(3);
    (0..3).for_each(|partition| cluster.fill(partition, 0..20));
    let config = cluster.config(true);
    let opened = tokio::task::spawn_blocking(move || {
        let asked = Brokers::new(&config)?.topic(TOPIC)?;
        let facts = TopicFacts { partitions: vec![0], ..asked };
        KafkaSource::open_as(config, &facts, Arc::<Fixed>::default())
    });
    let mut source = opened.await.expect("not canceled").expect("a source");
    assert_eq!(source.partitions().len(), 1);
    let (mut added, mut read) = (Vec::new(), BTreeMap::<i32, usize>::new());
    while read.values().sum::<usize>() < 60 {
        match next(&mut source).await {
            SourceEvent::Added(id) => added.push(id.partition),
            SourceEvent::Assigned(id, position) => {
                assert!(position == 0 && (id.partition == 0 || added.contains(&id.partition)), "{id} at {position}");
            }
            SourceEvent::Chunk(chunk) => *read.entry(chunk.partition.partition).or_default() += chunk.len(),
            _ => {}
        }
    }
    added.sort_unstable();
    assert_eq!((added, read), (vec![1, 2], BTreeMap::from([(0, 20), (1, 20), (2, 20)])));
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_not_there_are_named_with_the_way_out() {
    let config = KafkaConfig::new("127.0.0.1:1", "fw", "g", TenantRule::Fixed("acme".into()));
    let config = KafkaConfig { timeout: Duration::from_secs(2), ..config };
    let opened = tokio::task::spawn_blocking(move || KafkaSource::open(config, Arc::<Fixed>::default())).await;
    let error = opened.expect("not canceled").expect_err("nobody listens");
    assert!(error.transient, "{error}");
    for want in ["127.0.0.1:1", "Connection refused", "see that the brokers are up"] {
        assert!(error.to_string().contains(want), "{error}");
    }
}
