//! The store, or the catalog, stands still for longer than Kafka waits for a member of a group, while records come: the worker
//! waits without being taken for dead.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use rustix::process::Signal;

use crate::crash::run;
use crate::kafka::{Worker, progress, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{fleet_topic, on_thread, stdout};
use crate::lake::{assert_whole, with_keys};
use crate::lake_server::{KEYS, Lake};

const EVENTS: u64 = 20_000;

/// Twice what Kafka waits for a member that does not poll, and three times what it waits for a heartbeat.
const STALL: Duration = Duration::from_secs(6);
const PATIENCE: &str = "session_timeout: 2s, settings: {max.poll.interval.ms: '3000'}";

fn yaml(lake: &Lake, kafka: &Kafka) -> String {
    format!(
        "{}  merge_groups: 2\nsources:\n  - name: firewall\n    tenant: {{header: tenant}}\n    \
         kafka: {{brokers: '{}', topic: firewall, group: stalled, {PATIENCE}}}\n\
         enrich: {{country: builtin, intel: [builtin]}}\n\
         worker: {{flush_interval: 300ms, flush_rows: 500, commit_interval: 500ms, uncommitted_size: 256KiB, queue_rows: 500}}\n",
        lake.yaml("stalled"),
        kafka.address()
    )
}

/// Passes, and nothing else happens meanwhile.
pub(crate) fn pass(time: Duration) {
    let (_sender, never) = sync_channel::<()>(1);
    assert_eq!(never.recv_timeout(time), Err(RecvTimeoutError::Timeout));
}

#[test]
fn a_worker_whose_sink_stands_still_stays_in_its_group() {
    let (lake, kafka) = (Lake::start(), Kafka::start());
    let (config, truth) = (lake.dir.path().join("stalled.yaml"), lake.dir.path().join("truth"));
    std::fs::write(&config, yaml(&lake, &kafka)).expect("a writable folder");
    kafka.create_topic("firewall", 4);
    let (brokers, to) = (kafka.address(), truth.clone());
    let sends = on_thread(move || fleet_topic(&brokers, &to, 61, EVENTS, &["--duration", "20s"]));

    let keys = KEYS.map(|(key, value)| (key.into(), value.into())).to_vec();
    let mut workers = [Worker::start_in(&config, lake.dir.path().join("worker.log"), keys)];
    // As the S3 server keeps its objects.
    let ledger = lake.dir.path().join("objects/lake/stalled");
    wait_until("records are taken in", &mut workers, || progress(&ledger) > 1_000);
    let members = kafka.members("stalled");
    assert_eq!(members.len(), 1);
    for server in [&lake.s3, &lake.catalog] {
        let before = progress(&ledger);
        server.signal(Signal::STOP);
        pass(STALL);
        assert_eq!(kafka.members("stalled"), members, "whoever comes back is another member:\n{}", workers[0].said());
        server.signal(Signal::CONT);
        wait_until("it goes on", &mut workers, || progress(&ledger) > before);
    }
    sends.join().expect("no panic");
    wait_until("the group has read all", &mut workers, || kafka.lag("stalled", "firewall") == 0);
    assert_eq!(kafka.members("stalled"), members);
    let said = workers[0].said();
    assert!(!said.contains("revoked"), "{said}");
    assert_eq!(said.matches("assigned").count(), 4, "each partition once:\n{said}");
    workers.into_iter().for_each(Worker::stop);

    // There is nothing left to read: this closes the windows that are still open.
    stdout(&mut with_keys(&lake, run(&config)));
    assert_whole(&lake, &config, &truth, &["--kafka"]);
}
