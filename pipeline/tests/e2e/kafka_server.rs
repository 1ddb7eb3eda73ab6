//! A real Apache Kafka for a test: broker and controller in one Java process on loopback, which ends with the test.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Message, OwnedMessage};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::house::{cache, read};
use crate::kit::stdout;

/// What is said of a partition or a group while brokers come and go.
const PASSING: [RDKafkaErrorCode; 5] = [
    RDKafkaErrorCode::UnknownPartition,
    RDKafkaErrorCode::DestroyBroker,
    RDKafkaErrorCode::NotCoordinator,
    RDKafkaErrorCode::CoordinatorNotAvailable,
    RDKafkaErrorCode::CoordinatorLoadInProgress,
];
/// Where a partition is of which nobody knows it: then nobody knows that all is read.
const NOBODY_KNOWS: (i64, i64, i64) = (0, 0, 1 << 40);
/// No answer of a broker that runs takes so long.
const ANSWER: Duration = Duration::from_secs(30);
const START_SECONDS: u32 = 60;
const CLUSTER: &str = "UGFsaXNhZGVUZXN0cysrKw";

/// Started by a test, stopped when dropped. Topics are made by [`Kafka::create_topic`] only.
pub(crate) struct Kafka {
    brokers: Vec<Broker>,
    dir: tempfile::TempDir,
}

/// One Java process.
struct Broker {
    address: SocketAddr,
    config: PathBuf,
    /// None while it is dead.
    supervisor: Option<Child>,
}

/// What a broker has beside the plain listener.
#[derive(Default)]
pub(crate) struct Extra {
    /// More listeners: `NAME://HOST:PORT`.
    pub(crate) listeners: Vec<String>,
    /// What clients are told of those, if it is something else.
    pub(crate) advertised: Vec<String>,
    /// More lines of the properties.
    pub(crate) properties: String,
    /// More arguments to format the log with: users of SCRAM.
    pub(crate) format: Vec<String>,
}

impl Kafka {
    /// Starts a broker and waits until it answers.
    ///
    /// # Panics
    /// If `.ci/setup` did not run, or the broker does not come up; with what it said.
    pub(crate) fn start() -> Self {
        Self::start_with(CLUSTER, |_, _| Extra::default())
    }

    /// As [`Kafka::start`], of a cluster with this id, and with more than a plain listener: told a folder and two more free
    /// addresses.
    pub(crate) fn start_with(cluster: &str, extra: impl FnOnce(&Path, [SocketAddr; 2]) -> Extra) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let [broker, controller, first, second] = free_addresses();
        let extra = extra(dir.path(), [first, second]);
        let config = dir.path().join("server.properties");
        let text = properties(broker, controller, &dir.path().join("log"), &extra);
        std::fs::write(&config, text).expect("a writable folder");
        let format = ["kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c"];
        stdout(java().args(format).arg(&config).args(&extra.format));
        let supervisor = Some(supervised(&config, dir.path()));
        let kafka = Self { brokers: vec![Broker { address: broker, config, supervisor }], dir };
        kafka.wait_until_ready();
        kafka
    }

    /// Three brokers that vote among themselves: any one of them may die.
    pub(crate) fn start_three() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let addresses = [free_addresses(), free_addresses(), free_addresses()];
        let voters: Vec<String> = (1..).zip(&addresses).map(|(id, own)| format!("{id}@{}", own[1])).collect();
        let mut brokers = Vec::new();
        for (id, [address, controller, ..]) in (1..).zip(addresses) {
            let text = one_of_three(id, address, controller, &voters.join(","), &dir.path().join(format!("log-{id}")));
            let config = dir.path().join(format!("server-{id}.properties"));
            std::fs::write(&config, text).expect("a writable folder");
            stdout(java().args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(&config));
            let supervisor = Some(supervised(&config, dir.path()));
            brokers.push(Broker { address, config, supervisor });
        }
        let kafka = Self { brokers, dir };
        kafka.wait_until_ready();
        kafka
    }

    /// SIGKILL.
    pub(crate) fn kill_broker(&mut self, nth: usize) {
        let mut supervisor = self.brokers[nth].supervisor.take().expect("it runs");
        drop(supervisor.stdin.take());
        supervisor.wait().expect("our child");
    }

    /// Starts a broker that was killed; it catches up by itself.
    pub(crate) fn restart_broker(&mut self, nth: usize) {
        let dir = self.dir.path().to_owned();
        let broker = &mut self.brokers[nth];
        broker.supervisor = Some(supervised(&broker.config, &dir));
    }

    /// The broker's folder, for files that tests want beside it.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// `host:port` for `bootstrap.servers`.
    pub(crate) fn address(&self) -> String {
        self.brokers.iter().map(|broker| broker.address.to_string()).collect::<Vec<_>>().join(",")
    }

    /// Makes a topic.
    pub(crate) fn create_topic(&self, name: &str, partitions: i32) {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(self.brokers.len() as i32));
        let made = self.administer(async |admin, options| admin.create_topics([&topic], options).await);
        assert_eq!(made, [Ok(name.to_owned())]);
    }

    /// Makes a topic have so many partitions, which are more than it has.
    pub(crate) fn grow_topic(&self, name: &str, partitions: usize) {
        let grown = NewPartitions::new(name, partitions);
        let made = self.administer(async |admin, options| admin.create_partitions([&grown], options).await);
        assert_eq!(made, [Ok(name.to_owned())]);
    }

    /// Deletes a topic.
    pub(crate) fn delete_topic(&self, name: &str) {
        let deleted = self.administer(async |admin, options| admin.delete_topics(&[name], options).await);
        assert_eq!(deleted, [Ok(name.to_owned())]);
    }

    /// Deletes a partition's records below an offset, as retention does.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, below: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(below)).expect("a valid offset");
        let deleted = self.administer(async |admin, options| admin.delete_records(&list, options).await);
        assert_eq!(deleted.elements()[0].offset(), Offset::Offset(below));
    }

    fn administer<T>(
        &self,
        ask: impl AsyncFnOnce(&AdminClient<DefaultClientContext>, &AdminOptions) -> Result<T, KafkaError>,
    ) -> T {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let options = AdminOptions::new().operation_timeout(Some(ANSWER)).request_timeout(Some(ANSWER));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(ask(&admin, &options)).expect("the broker answers")
    }

    /// Sends messages, each to its partition, and waits until the broker has them.
    pub(crate) fn produce(&self, topic: &str, messages: impl IntoIterator<Item = (i32, Vec<u8>)>) {
        self.send(topic, messages.into_iter().map(|(partition, payload)| (partition, payload, None)));
    }

    /// As [`Kafka::produce`], each message with its timestamp, milliseconds since 1970.
    pub(crate) fn produce_at(&self, topic: &str, messages: impl IntoIterator<Item = (i32, Vec<u8>, i64)>) {
        self.send(topic, messages.into_iter().map(|(partition, payload, at)| (partition, payload, Some(at))));
    }

    fn send(&self, topic: &str, messages: impl Iterator<Item = (i32, Vec<u8>, Option<i64>)>) {
        let producer: BaseProducer = self.client().create().expect("a producer");
        for (partition, payload, at) in messages {
            let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&payload);
            record.timestamp = at;
            while let Err((error, again)) = producer.send(record) {
                assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
                producer.poll(ANSWER);
                record = again;
            }
        }
        producer.flush(ANSWER).expect("the broker takes them all");
    }

    /// Reads a topic from its beginning.
    pub(crate) fn consumer(&self, topic: &str) -> BaseConsumer {
        let consumer: BaseConsumer =
            self.client().set("group.id", "unused").set("enable.partition.eof", "true").create().expect("a consumer");
        let mut assignment = TopicPartitionList::new();
        for partition in 0..self.partitions(&consumer, topic) {
            assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
        }
        consumer.assign(&assignment).expect("partitions that exist");
        consumer
    }

    /// All messages that a topic holds now, partition by partition in the order of offsets.
    pub(crate) fn consume_all(&self, topic: &str) -> Vec<OwnedMessage> {
        let consumer = self.consumer(topic);
        let partitions = self.partitions(&consumer, topic);
        let (mut messages, mut ended) = (Vec::new(), 0);
        while ended < partitions {
            match consumer.poll(ANSWER) {
                Some(Ok(message)) => messages.push(message.detach()),
                Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
                other => panic!("{topic}: {other:?}"),
            }
        }
        messages.sort_by_key(|m| (m.partition(), m.offset()));
        messages
    }

    /// Messages of a topic that a group has not committed yet.
    pub(crate) fn lag(&self, group: &str, topic: &str) -> i64 {
        self.positions(group, topic).into_iter().map(|(_, committed, high)| high - committed).sum()
    }

    /// Whether each of a topic's replicas has all of it.
    pub(crate) fn is_in_sync(&self, topic: &str) -> bool {
        let consumer: BaseConsumer = self.client().create().expect("a consumer");
        let Ok(metadata) = consumer.fetch_metadata(Some(topic), ANSWER) else { return false };
        let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions.all(|partition| partition.isr().len() == partition.replicas().len())
    }

    /// Messages of a topic that a group has committed.
    pub(crate) fn committed(&self, group: &str, topic: &str) -> i64 {
        self.positions(group, topic).into_iter().map(|(low, committed, _)| committed - low).sum()
    }

    /// Of each partition: where it begins, up to where a group has committed it, where it ends.
    fn positions(&self, group: &str, topic: &str) -> Vec<(i64, i64, i64)> {
        let consumer: BaseConsumer = self.client().set("group.id", group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, self.partitions(&consumer, topic) - 1);
        let committed = match consumer.committed_offsets(list, ANSWER) {
            Ok(committed) => committed,
            // The group has a new coordinator, which has not read it all yet.
            Err(error) if is_passing(&error) => return vec![NOBODY_KNOWS],
            Err(error) => panic!("{group}: {error}"),
        };
        let position = |at: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
            match consumer.fetch_watermarks(topic, at.partition(), ANSWER) {
                Ok((low, high)) => (low, at.offset().to_raw().filter(|offset| *offset >= 0).unwrap_or(low), high),
                // A broker that has just come back does not know it yet, or one that is down has left the list.
                Err(error) if is_passing(&error) => NOBODY_KNOWS,
                Err(error) => panic!("{topic} {}: {error}", at.partition()),
            }
        };
        committed.elements().into_iter().map(position).collect()
    }

    /// The ids of a group's members: one that is taken for dead comes back under another.
    pub(crate) fn members(&self, group: &str) -> Vec<String> {
        let consumer: BaseConsumer = self.client().create().expect("a consumer");
        let groups = consumer.fetch_group_list(Some(group), ANSWER).expect("the broker answers");
        groups.groups().iter().flat_map(|group| group.members()).map(|member| member.id().to_owned()).collect()
    }

    fn partitions(&self, consumer: &BaseConsumer, topic: &str) -> i32 {
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER).expect("the broker answers");
        let count = metadata.topics().first().map_or(0, |t| t.partitions().len());
        i32::try_from(count).expect("few partitions")
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address()).set("reconnect.backoff.max.ms", "250");
        config.set_log_level(RDKafkaLogLevel::Emerg); // a broker that is not up yet is no news
        config
    }

    fn wait_until_ready(&self) {
        let consumer: BaseConsumer = self.client().set("group.id", "unused").create().expect("a consumer");
        let up = |_| match consumer.fetch_metadata(None, Duration::from_secs(1)) {
            Ok(metadata) if metadata.brokers().len() == self.brokers.len() => true,
            Ok(_) => {
                // It answers at once, also before the others have joined.
                std::thread::park_timeout(Duration::from_secs(1));
                false
            }
            Err(_) => false,
        };
        let said = || std::fs::read_to_string(self.dir.path().join("broker.log")).unwrap_or_default();
        assert!((0..START_SECONDS).any(up), "Apache Kafka does not answer after {START_SECONDS} s:\n{}", said());
    }
}

fn is_passing(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(|code| PASSING.contains(&code))
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Closes its stdin first, at which it kills the broker.
        self.brokers.iter_mut().filter_map(|broker| broker.supervisor.as_mut()).for_each(|shell| drop(shell.wait()));
    }
}

/// The broker under a shell that kills it when our end of the shell's stdin closes: when [`Kafka`] is dropped, and when
/// this process dies in whatever way. In a process group of its own, or an interrupt at the terminal would end the shell first.
fn supervised(config: &Path, dir: &Path) -> Child {
    let log = || std::fs::File::options().create(true).append(true).open(dir.join("broker.log")).expect("a log file");
    let broker = java();
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$@" </dev/null & broker=$!; read -r _; kill -9 $broker; wait"#, "sh"]);
    shell.arg(broker.get_program()).args(broker.get_args()).arg("kafka.Kafka").arg(config);
    shell.stdin(Stdio::piped()).stdout(log()).stderr(log()).process_group(0);
    shell.spawn().expect("a shell starts")
}

/// Java with Apache Kafka's classes, made to start soon rather than to run fast.
fn java() -> Command {
    let said = Command::new("java").arg("-version").output();
    assert!(said.is_ok_and(|out| out.status.success()), "no Java: run .ci/setup");
    let mut java = Command::new("java");
    java.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
    java.args(["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]).arg(libraries().join("*"));
    java
}

/// The folder of jars: `PALISADE_KAFKA`, or the one that `.ci/setup` made for the version that its `pom.xml` names.
fn libraries() -> PathBuf {
    let pom = read(".ci/kafka/pom.xml");
    let version = pom.split("<kafka.version>").nth(1).and_then(|rest| rest.split('<').next()).expect("a version");
    let cached = || Some(cache()?.join("kafka").join(version).join("libs"));
    let libraries = std::env::var_os("PALISADE_KAFKA").map(PathBuf::from).or_else(cached);
    libraries.filter(|p| p.is_dir()).expect("no Apache Kafka (PALISADE_KAFKA): run .ci/setup")
}

/// Addresses where nobody listens and, on Linux, nobody else will: each server has a loopback address of its own.
pub(crate) fn free_addresses() -> [SocketAddr; 4] {
    static STARTED: AtomicU8 = AtomicU8::new(64);
    let [.., high, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, STARTED.fetch_add(1, Ordering::Relaxed), high, low | 1);
    let bind = |ip: Ipv4Addr| TcpListener::bind((ip, 0));
    let listeners = [(); 4].map(|()| bind(own).or_else(|_| bind(Ipv4Addr::LOCALHOST)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("a bound listener has an address"))
}

fn properties(broker: SocketAddr, controller: SocketAddr, log: &Path, extra: &Extra) -> String {
    let joined = |listeners: &[String]| listeners.iter().map(|listener| format!(",{listener}")).collect::<String>();
    let more = joined(&extra.listeners);
    let told = if extra.advertised.is_empty() { more.clone() } else { joined(&extra.advertised) };
    let properties = &extra.properties;
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.bootstrap.servers={controller}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://{broker},CONTROLLER://{controller}{more}\n\
         advertised.listeners=PLAINTEXT://{broker}{told}\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n{properties}",
        log.display()
    )
}

/// Of three brokers: what they share is on all of them, and an acknowledged message on two.
fn one_of_three(id: u8, broker: SocketAddr, controller: SocketAddr, voters: &str, log: &Path) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id={id}\n\
         controller.quorum.voters={voters}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://{broker},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{broker}\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         min.insync.replicas=2\n\
         offsets.topic.replication.factor=3\n\
         offsets.topic.num.partitions=3\n\
         transaction.state.log.replication.factor=3\n\
         transaction.state.log.num.partitions=3\n\
         share.coordinator.state.topic.replication.factor=3\n\
         broker.session.timeout.ms=6000\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n",
        log.display()
    )
}

#[test]
fn a_broker_starts_takes_messages_gives_them_back_and_ends() {
    let kafka = Kafka::start();
    kafka.create_topic("eight", 8);
    kafka.produce("eight", (0..1_000).map(|n| (n % 8, n.to_string().into_bytes())));
    let payloads: Vec<Vec<u8>> =
        kafka.consume_all("eight").iter().map(|m| m.payload().expect("a payload").to_vec()).collect();
    let want = (0..8).flat_map(|p| (0..125).map(move |k| (p + 8 * k).to_string().into_bytes()));
    assert_eq!(payloads, want.collect::<Vec<_>>());
    assert_eq!(kafka.lag("nobody", "eight"), 1_000);
    let address = kafka.address();
    drop(kafka);
    assert!(std::net::TcpStream::connect(&address).is_err(), "{address} still answers");
}
