//! Topics that cannot be continued: deleted and made again, of another cluster, or cut by retention. They stop, say so, and go on
//! only as somebody decided, which the warehouse records.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::kafka::{Worker, wait_until};
use crate::kafka_server::{Extra, Kafka};
use crate::kit::{number, output, palisade, stdout};
use crate::service::counted;

/// A warehouse whose source is the topic `firewall` of two partitions.
struct Scene {
    kafka: Kafka,
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { kafka: Kafka::start(), dir: tempfile::tempdir().expect("a temporary folder") };
        scene.kafka.create_topic("firewall", 2);
        scene
    }

    fn config(&self, brokers: &str) -> PathBuf {
        let yaml = format!(
            "warehouse: {{path: w}}\nsources:\n  - {{name: fw, kafka: {{brokers: \"{brokers}\", topic: firewall, group: g, \
             session_timeout: 6s}}}}\nworker: {{flush_interval: 100ms, commit_interval: 200ms}}\n\
             telemetry: {{listen: \"127.0.0.1:0\"}}\n"
        );
        let path = self.dir.path().join("palisade.yaml");
        std::fs::write(&path, yaml).expect("a writable folder");
        path
    }

    fn produce(&self, partition: i32, records: std::ops::Range<i32>) {
        produce(&self.kafka, partition, records);
    }

    /// `palisade run --until-end` with more arguments.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut run = palisade();
        run.args(["--log", "info", "run", "--until-end", "--no-live", "-c"]).arg(self.config(&self.kafka.address()));
        output(run.args(arguments))
    }

    fn run_well(&self, arguments: &[&str]) {
        let out = self.run(arguments);
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let out = self.run(arguments);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success(), "{arguments:?}: {said}");
        said
    }

    fn worker(&self) -> Worker {
        Worker::start(&self.config(&self.kafka.address()), self.dir.path().join("worker.log"))
    }

    fn warehouse(&self) -> PathBuf {
        self.dir.path().join("w")
    }

    /// Records of a partition in the tables.
    fn stored(&self, partition: i32) -> i64 {
        let query = format!("SELECT count(*) AS n FROM base_event WHERE _partition_id = {partition}");
        number(&self.warehouse(), &query)
    }

    fn audit(&self) -> String {
        stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(self.warehouse()))
    }
}

/// Lines that no decoder knows: each is a row of base_event.
fn produce(kafka: &Kafka, partition: i32, records: std::ops::Range<i32>) {
    kafka.produce("firewall", records.map(|n| (partition, format!("record {n}").into_bytes())));
}

/// A worker's metric, by the address that its log tells.
pub(crate) fn metric(log: &Path, name: &str) -> u64 {
    let said = std::fs::read_to_string(log).unwrap_or_default();
    let address = said.lines().find_map(|line| line.split("metrics: http://").nth(1)?.split('/').next());
    address.map_or(0, |address| counted(address, name))
}

#[test]
fn a_partition_that_retention_cut_stops_until_the_loss_is_accepted() {
    let scene = Scene::new();
    (0..2).for_each(|partition| scene.produce(partition, 0..100));
    scene.run_well(&[]);
    scene.produce(0, 100..150);
    scene.kafka.delete_records("firewall", 0, 130);
    scene.produce(1, 100..200);

    // A worker reads the other partition on, and tells.
    let (mut workers, log) = ([scene.worker()], scene.dir.path().join("worker.log"));
    let stopped = "palisade_partitions_stopped{reason=\"retention\",source=\"fw\"}";
    wait_until("the partition stops", &mut workers, || metric(&log, stopped) == 1);
    wait_until("the other one is read", &mut workers, || scene.stored(1) == 200);
    let said = std::fs::read_to_string(&log).expect("a log");
    assert!(said.contains("continues at 100") && said.contains("begin at 130: 30 offsets are lost"), "{said}");
    workers.into_iter().for_each(Worker::stop);
    assert_eq!(scene.stored(0), 100);

    let said = scene.refused(&[]);
    assert!(said.contains("30 offsets are lost") && said.contains("--accept-loss"), "{said}");
    scene.refused(&["--accept-loss", "another"]);
    scene.run_well(&["--accept-loss", "fw"]);
    assert_eq!((scene.stored(0), scene.stored(1)), (120, 200));
    let audit = scene.audit();
    assert!(audit.contains("; 30 offsets were lost, as accepted"), "{audit}");
    scene.run_well(&[]);
    assert_eq!(scene.stored(0), 120, "nothing comes again");
}

#[test]
fn a_topic_that_was_made_again_is_read_only_if_that_is_accepted() {
    let scene = Scene::new();
    scene.produce(0, 0..50);
    scene.run_well(&[]);
    let (mut workers, log) = ([scene.worker()], scene.dir.path().join("worker.log"));
    scene.produce(0, 50..100);
    wait_until("the records are stored", &mut workers, || scene.stored(0) == 100);

    // While it is read: no record of the new topic comes under the old one's name, though its offsets go on there.
    scene.kafka.delete_topic("firewall");
    scene.kafka.create_topic("firewall", 2);
    scene.produce(0, 0..300);
    let stopped = "palisade_partitions_stopped{reason=\"recreated\",source=\"fw\"}";
    wait_until("both partitions stop", &mut workers, || metric(&log, stopped) == 2);
    workers.into_iter().for_each(Worker::stop);
    assert_eq!(scene.stored(0), 100);

    let said = scene.refused(&[]);
    assert!(said.contains("topic fw was re-created") && said.contains("--accept-reset fw"), "{said}");
    scene.refused(&["--accept-reset", "firewall"]);
    scene.run_well(&["--accept-reset", "fw"]);
    assert_eq!(scene.stored(0), 400);
    scene.run_well(&[]);
    assert_eq!(scene.stored(0), 400, "it is recorded, and nothing comes again");
    scene.audit();
}

#[test]
fn another_cluster_is_refused() {
    let scene = Scene::new();
    scene.produce(0, 0..10);
    scene.run_well(&[]);
    let other = Kafka::start_with("QW5vdGhlckNsdXN0ZXIrKw", |_, _| Extra::default());
    other.create_topic("firewall", 2);
    produce(&other, 0, 0..50);
    let mut run = palisade();
    let out = output(run.args(["run", "--until-end", "--no-live", "-c"]).arg(scene.config(&other.address())));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success(), "{said}");
    for want in ["UGFsaXNhZGVUZXN0cysrKw", "QW5vdGhlckNsdXN0ZXIrKw", "correct `brokers`"] {
        assert!(said.contains(want), "no {want} in {said}");
    }
    assert_eq!(scene.stored(0), 10);
}
