//! Messages a second out of Kafka into chunks, before decode: `KafkaSource` over brokers that run, chunks counted and dropped.
//! `cargo bench --workspace --bench kafka -- BROKERS [TOPIC]`; `bench/kafka.py` starts the broker.
//!
//! Without TOPIC one is made for the run and deleted after it: 8 partitions, two million messages of 1 KB, not compressed. The first
//! round is the broker's, which may still write; it is told, and not counted. CPU seconds are those of this process: librdkafka's
//! threads and ours.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataflow::{PartitionId, Positions, Source, SourceEvent};
use ingest::kafka::{BoxedError, KafkaConfig, KafkaSource, StartPositions, TenantRule};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// The binary's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PARTITIONS: i32 = 8;
const MESSAGES: u64 = 2_000_000;
const BYTES: usize = 1_024;
const ROUNDS: usize = 6;
const ANSWER: Duration = Duration::from_secs(60);

/// From the beginning.
struct Beginning;

impl StartPositions for Beginning {
    fn positions(&self, _: &[PartitionId]) -> Result<Positions, BoxedError> {
        Ok(Positions::new())
    }
}

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let Some(brokers) = names.first() else {
        // As every other bench, it may be run without arguments: by `cargo bench --workspace`.
        report("no brokers are named: nothing is measured; bench/kafka.py starts one");
        return ExitCode::SUCCESS;
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let own = format!("palisade-bench-{}", std::process::id());
    let topic = names.get(1).unwrap_or(&own);
    let admin: AdminClient<DefaultClientContext> = client(brokers).create().expect("an admin client");
    if *topic == own {
        let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
        let made = runtime.block_on(admin.create_topics([&new], &AdminOptions::new())).expect("the broker answers");
        assert!(made.iter().all(Result::is_ok), "{made:?}");
        fill(brokers, topic);
    }
    let mut costs = Vec::new();
    for round in 0..ROUNDS {
        let Round { messages, bytes, cpu, wall } = runtime.block_on(read(brokers, topic));
        let per_second = |seconds: f64| messages as f64 / seconds / 1e3;
        report(&format!(
            "round {round}: {messages} messages of {} bytes: {:.0} k a CPU-second, {:.0} k a second",
            bytes / messages.max(1),
            per_second(cpu),
            per_second(wall)
        ));
        if round > 0 {
            costs.push(per_second(cpu));
        }
    }
    costs.sort_by(f64::total_cmp);
    let (least, median, most) = (costs[0], costs[costs.len() / 2], costs[costs.len() - 1]);
    report(&format!("fetch: median {median:.0} k messages a CPU-second ({least:.0} to {most:.0})"));
    if *topic == own {
        runtime.block_on(admin.delete_topics(&[topic], &AdminOptions::new())).expect("the broker answers");
    }
    ExitCode::SUCCESS
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

fn fill(brokers: &str, topic: &str) {
    let producer: BaseProducer =
        client(brokers).set("linger.ms", "50").set("batch.size", "1000000").create().expect("a producer");
    let mut payload = vec![b'x'; BYTES];
    for n in 0..MESSAGES {
        payload[..8].copy_from_slice(&n.to_be_bytes());
        let partition = (n % PARTITIONS as u64) as i32;
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(&payload);
        while let Err((_, again)) = producer.send(record) {
            producer.poll(Duration::from_millis(100));
            record = again;
        }
    }
    producer.flush(ANSWER).expect("the broker takes them");
}

/// What was read, and what it took.
struct Round {
    messages: u64,
    bytes: u64,
    cpu: f64,
    wall: f64,
}

#[expect(clippy::disallowed_methods, reason = "a bench measures")]
async fn read(brokers: &str, topic: &str) -> Round {
    let (cpu, start) = (cpu_seconds(), Instant::now());
    let config = KafkaConfig {
        follow: false,
        ..KafkaConfig::new(brokers, topic, "palisade-bench", TenantRule::Fixed("acme".into()))
    };
    let mut source = KafkaSource::open(config, Arc::new(Beginning)).expect("the topic is there");
    let (mut messages, mut bytes) = (0, 0);
    loop {
        match source.next_event().await.expect("reads") {
            SourceEvent::Chunk(chunk) => {
                messages += chunk.len() as u64;
                bytes += chunk.bytes() as u64;
            }
            SourceEvent::EndOfInput => break,
            _ => {}
        }
    }
    Round { messages, bytes, cpu: cpu_seconds() - cpu, wall: start.elapsed().as_secs_f64() }
}

/// The time that this process's threads were on a core.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().expect("ticks")).sum();
    ticks as f64 / 100.0
}

fn report(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
