//! Sources of several topics, each with its name, its positions and its member of the group; and topics that grow.

use std::ops::Range;
use std::path::Path;

use crate::kafka::{Worker, wait_until};
use crate::kafka_reset::metric;
use crate::kafka_server::Kafka;
use crate::kit::{fleet, number, palisade, run_to_end, sql, stdout};
use crate::service::counted;

#[test]
fn a_source_reads_several_topics_each_under_its_name() {
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    let (config, warehouse) = (dir.path().join("palisade.yaml"), dir.path().join("w"));
    let yaml = format!(
        "warehouse: {{path: w}}\nsources:\n  - tenant: {{topic: \"fw.{{tenant}}\"}}\n    kafka: {{brokers: \"{}\", \
         topics: [fw.eu, fw.us], instance: \"w-{{hostname}}\", session_timeout: 6s}}\n\
         worker: {{flush_interval: 100ms, commit_interval: 200ms}}\n",
        kafka.address()
    );
    std::fs::write(&config, yaml).expect("a writable folder");
    for (topic, partitions) in [("fw.eu", 2), ("fw.us", 1)] {
        kafka.create_topic(topic, partitions);
        kafka.produce(topic, (0..60).map(|n| (n % partitions, format!("record {n}").into_bytes())));
    }
    let run = || stdout(palisade().args(["run", "--until-end", "--no-live", "-c"]).arg(&config));
    run();
    let mut workers = [Worker::start(&config, dir.path().join("worker.log"))];
    kafka.produce("fw.us", (60..100).map(|n| (0, format!("record {n}").into_bytes())));
    let all = [of("fw.eu", "eu", 60), of("fw.us", "us", 100)];
    wait_until("all of both", &mut workers, || stored(&warehouse) == all);
    workers.into_iter().for_each(Worker::stop);
    run();
    assert_eq!(stored(&warehouse), all, "nothing comes again");
    stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(&warehouse));
}

/// Records that no decoder knows: how many of each topic are stored, and whose they are.
fn stored(warehouse: &Path) -> Vec<String> {
    let rows =
        sql(warehouse, "SELECT _topic AS t, tenant_uid AS who, count(*) AS n FROM base_event GROUP BY 1, 2 ORDER BY 1");
    rows.into_iter().map(|row| row.to_string()).collect()
}

fn of(topic: &str, who: &str, n: u32) -> String {
    format!(r#"{{"n":{n},"t":"{topic}","who":"{who}"}}"#)
}

/// Where nobody sends, the worker does: what it sends becomes rows, and its latency is told.
#[test]
fn a_canary_takes_the_whole_path_while_nobody_sends() {
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    let (config, warehouse) = (dir.path().join("palisade.yaml"), dir.path().join("w"));
    let source = |name: &str| {
        format!("{{tenant: palisade, kafka: {{brokers: \"{}\", topic: {name}, session_timeout: 6s}}}}", kafka.address())
    };
    let yaml = format!(
        "warehouse: {{path: w}}\nsources: [{}, {}]\nworker: {{flush_interval: 100ms, commit_interval: 200ms}}\n\
         telemetry: {{listen: \"127.0.0.1:0\", canary: {{every: 1s, source: canaries}}}}\n",
        source("canaries"),
        source("quiet")
    );
    std::fs::write(&config, yaml).expect("a writable folder");
    ["canaries", "quiet"].iter().for_each(|topic| kafka.create_topic(topic, 1));
    let mut workers = [Worker::start(&config, dir.path().join("worker.log"))];
    workers[0].wait_until_ready();
    let address = workers[0].address();
    let queryable =
        || counted(&address, "palisade_queryable_latency_seconds_count{source=\"canaries\",tier=\"standard\"}");
    wait_until("canaries are queryable", &mut workers, || queryable() >= 3);
    workers.into_iter().for_each(Worker::stop);
    let rows = number(
        &warehouse,
        "SELECT count(*) AS n FROM base_event WHERE _topic = 'canaries' AND unmapped LIKE '%\"canary\":%'",
    );
    assert!(rows >= 3, "{rows}");
}

#[test]
fn topics_of_a_pattern_are_read_as_they_come_and_stop_as_they_go() {
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    let (config, warehouse, log) =
        (dir.path().join("palisade.yaml"), dir.path().join("w"), dir.path().join("worker.log"));
    let yaml = format!(
        "warehouse: {{path: w}}\nsources:\n  - tenant: {{topic: \"fw.{{tenant}}\"}}\n    kafka: {{brokers: \"{}\", topics: \"^fw[.]\", \
         discovery_interval: 300ms, session_timeout: 6s, settings: {{topic.metadata.refresh.interval.ms: \"300\"}}}}\n\
         worker: {{flush_interval: 100ms, commit_interval: 200ms}}\ntelemetry: {{listen: \"127.0.0.1:0\"}}\n",
        kafka.address()
    );
    std::fs::write(&config, yaml).expect("a writable folder");
    let produce = |topic: &str, n: i32| kafka.produce(topic, (0..n).map(|n| (0, format!("record {n}").into_bytes())));
    ["fw.eu", "vpn"].into_iter().for_each(|topic| {
        kafka.create_topic(topic, 1);
        produce(topic, 60);
    });
    let run = || stdout(palisade().args(["run", "--until-end", "--no-live", "-c"]).arg(&config));
    run();
    assert_eq!(stored(&warehouse), [of("fw.eu", "eu", 60)]);

    // One comes that can be read, and one whose name has no tenant.
    let mut workers = [Worker::start(&config, log.clone())];
    ["fw.", "fw.us"].into_iter().for_each(|topic| kafka.create_topic(topic, 2));
    produce("fw.us", 40);
    wait_until("the new one", &mut workers, || stored(&warehouse) == [of("fw.eu", "eu", 60), of("fw.us", "us", 40)]);
    let refused = "palisade_topics_refused{pattern=\"^fw[.]\"}";
    wait_until("the other is told", &mut workers, || metric(&log, refused) == 1);

    ["fw.", "fw.eu"].into_iter().for_each(|topic| kafka.delete_topic(topic));
    let stopped = "palisade_partitions_stopped{reason=\"deleted\",source=\"fw.eu\"}";
    wait_until("its partition stops", &mut workers, || metric(&log, stopped) == 1 && metric(&log, refused) == 0);
    produce("fw.us", 40);
    let all = [of("fw.eu", "eu", 60), of("fw.us", "us", 80)];
    wait_until("the others go on", &mut workers, || stored(&warehouse) == all);
    let said = std::fs::read_to_string(&log).expect("a log");
    assert!(said.contains("topic `fw.eu` was deleted while it was read"), "{said}");
    workers.into_iter().for_each(Worker::stop);
    run();
    assert_eq!(stored(&warehouse), all, "nothing comes again");
    stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(&warehouse));
}

/// The lines of a tenant's two device groups, in the order of their times; its attacks come from both.
struct Lines([Vec<Vec<u8>>; 2]);

impl Lines {
    fn new(dir: &Path) -> Self {
        let logs = dir.join("logs");
        fleet(&logs, 7, 10_000, "none");
        Self([0, 1].map(|group| {
            let file = logs.join(format!("firewall.acme-00{group}-0000.log"));
            let text = std::fs::read(file).expect("the fleet's file");
            text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect()
        }))
    }

    /// Sends some lines of each group, to partitions from this one on.
    fn produce(&self, kafka: &Kafka, topic: &str, first: i32, range: Range<usize>) {
        let of = |group: usize| self.0[group].get(range.clone()).unwrap_or_default().iter().cloned();
        let [one, other] = [0, 1].map(of);
        kafka.produce(topic, one.map(|line| (first, line)).chain(other.map(|line| (first + 1, line))));
    }

    /// Sends lines until something has come about: where all partitions are silent, no window closes.
    fn trickle(
        &self,
        kafka: &Kafka,
        (topic, first): (&str, i32),
        from: usize,
        has_come: impl Fn() -> bool,
    ) -> impl FnMut() -> bool {
        let mut at = from;
        move || {
            self.produce(kafka, topic, first, at..at + 1);
            at += 1;
            has_come()
        }
    }
}

/// A rule that alerts when its window closes, which a partition that is waited for prevents: sources that are busy for a minute.
fn busy(dir: &Path) {
    let sql = "SELECT window_start, src_ip, count(*) AS n FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE) \
               GROUP BY window_start, window_end, src_ip HAVING count(*) > 20";
    let id = "3f2b6a4e-1111-4222-8333-000000000042";
    std::fs::create_dir(dir.join("rules")).expect("a writable folder");
    let rule = format!("title: busy\nid: {id}\nversion: 1\nlevel: low\nemit: on_close\nsql: |\n  {sql}\n");
    std::fs::write(dir.join("rules/busy.yaml"), rule).expect("a writable folder");
}

/// Alerts of the rule about a source.
fn alerts(warehouse: &Path, src_ip: &str) -> i64 {
    let of_stream = "SELECT count(*) AS n FROM detection_finding WHERE _topic LIKE '\\_%' ESCAPE '\\'";
    number(warehouse, &format!("{of_stream} AND src_ip = '{src_ip}'"))
}

/// Two workers, each with partitions, and merge groups that go with them: one of them reads what the other merges.
#[test]
fn partitions_that_are_added_are_read_and_their_windows_alert() {
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    let (config, warehouse) = (dir.path().join("palisade.yaml"), dir.path().join("w"));
    let lines = Lines::new(dir.path());
    busy(dir.path());
    let yaml = format!(
        "warehouse: {{path: w, merge_groups: 4}}\nsources:\n  - tenant: acme\n    kafka: {{brokers: \"{}\", topic: fw, group: g, \
         session_timeout: 6s, settings: {{topic.metadata.refresh.interval.ms: \"300\"}}}}\n\
         rules: {{builtin: false, paths: [rules]}}\n\
         worker: {{flush_interval: 200ms, commit_interval: 400ms, step_interval: 200ms, idle_after: 2s}}\n",
        kafka.address()
    );
    std::fs::write(&config, yaml).expect("a writable folder");
    kafka.create_topic("fw", 2);
    lines.produce(&kafka, "fw", 0, 0..930);
    let start = |n: u32| Worker::start(&config, dir.path().join(format!("worker-{n}.log")));
    let mut workers = [start(0), start(1)];
    wait_until("the first half is read", &mut workers, || kafka.lag("g", "fw") == 0);

    kafka.grow_topic("fw", 4);
    lines.produce(&kafka, "fw", 2, 930..1_200);
    wait_until("the new partitions are read", &mut workers, || kafka.lag("g", "fw") == 0);
    // An attack that only the new partitions hold, in a window that closes only if all partitions of both workers let it.
    let sweep = lines.trickle(&kafka, ("fw", 2), 1_200, || alerts(&warehouse, "10.1.32.4") > 0);
    wait_until("a window over new partitions alerts", &mut workers, sweep);
    workers.into_iter().for_each(Worker::stop);

    // This closes the windows that are open, and the audit holds every alert against batch SQL.
    run_to_end(&config);
    let sent = kafka.consume_all("fw").len();
    let mut audit = palisade();
    let audit = stdout(audit.args(["tables", "audit", "-c"]).arg(&config));
    assert!(audit.contains(&format!("({sent} records,")), "{sent} lines: {audit}");
    assert!(audit.lines().any(|line| line.starts_with("I4") && line.contains(" ok ")), "{audit}");
}

/// Neither those that run when it is deleted, nor those that start afterwards and find it only in what is merged.
#[test]
fn windows_do_not_wait_for_a_topic_that_was_deleted() {
    let (kafka, dir) = (Kafka::start(), tempfile::tempdir().expect("a temporary folder"));
    let (config, warehouse, log) =
        (dir.path().join("palisade.yaml"), dir.path().join("w"), dir.path().join("worker.log"));
    let lines = Lines::new(dir.path());
    busy(dir.path());
    let yaml = format!(
        "warehouse: {{path: w}}\nsources:\n  - tenant: acme\n    kafka: {{brokers: \"{}\", topics: \"^fw[.]\", group: g, \
         session_timeout: 6s, settings: {{topic.metadata.refresh.interval.ms: \"300\"}}}}\n\
         rules: {{builtin: false, paths: [rules]}}\n\
         worker: {{flush_interval: 200ms, commit_interval: 400ms, step_interval: 200ms, idle_after: 2s}}\n\
         telemetry: {{listen: \"127.0.0.1:0\"}}\n",
        kafka.address()
    );
    std::fs::write(&config, yaml).expect("a writable folder");
    ["fw.old", "fw.us"].into_iter().for_each(|topic| kafka.create_topic(topic, 2));
    lines.produce(&kafka, "fw.old", 0, 0..300);
    lines.produce(&kafka, "fw.us", 0, 300..900);
    let mut workers = [Worker::start(&config, log.clone())];
    wait_until("all is read", &mut workers, || ["fw.old", "fw.us"].iter().all(|topic| kafka.lag("g", topic) == 0));

    kafka.delete_topic("fw.old");
    let stopped = "palisade_partitions_stopped{reason=\"deleted\",source=\"fw.old\"}";
    wait_until("its partitions stop", &mut workers, || metric(&log, stopped) == 2);
    lines.produce(&kafka, "fw.us", 0, 900..1_070);
    let sweep = lines.trickle(&kafka, ("fw.us", 0), 1_070, || alerts(&warehouse, "10.1.32.1") > 0);
    wait_until("a window alerts", &mut workers, sweep);
    workers.into_iter().for_each(Worker::stop);

    lines.produce(&kafka, "fw.us", 0, 1_170..1_400);
    let mut workers = [Worker::start(&config, log)];
    let later = lines.trickle(&kafka, ("fw.us", 0), 1_400, || alerts(&warehouse, "10.1.17.73") > 0);
    wait_until("a window alerts after a restart", &mut workers, later);
    workers.into_iter().for_each(Worker::stop);
    run_to_end(&config);
    stdout(palisade().args(["tables", "audit", "-c"]).arg(&config));
}
