//! Sources of several topics, each with its name, its positions and its member of the group; and topics that grow.

use std::path::Path;

use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{fleet, number, palisade, run_to_end, sql, stdout};

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

/// The lines of a fleet's device group in two halves, by the order of their times.
fn halves(logs: &Path, partition: u32) -> [Vec<Vec<u8>>; 2] {
    let text = std::fs::read(logs.join(format!("firewall.acme-00{partition}-0000.log"))).expect("the fleet's file");
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let (first, second) = lines.split_at(lines.len() / 2);
    [first, second].map(|half| half.iter().map(|line| line.to_vec()).collect())
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
    let (config, warehouse, logs) = (dir.path().join("palisade.yaml"), dir.path().join("w"), dir.path().join("logs"));
    fleet(&logs, 7, 10_000, "none");
    busy(dir.path());
    let [a, b] = [halves(&logs, 0), halves(&logs, 1)];
    let events: usize = a.iter().chain(&b).map(Vec::len).sum();
    let yaml = format!(
        "warehouse: {{path: w, merge_groups: 4}}\nsources:\n  - tenant: acme\n    kafka: {{brokers: \"{}\", topic: fw, group: g, \
         session_timeout: 6s, settings: {{topic.metadata.refresh.interval.ms: \"300\"}}}}\n\
         rules: {{builtin: false, paths: [rules]}}\n\
         worker: {{flush_interval: 200ms, commit_interval: 400ms, step_interval: 200ms, idle_after: 2s}}\n",
        kafka.address()
    );
    std::fs::write(&config, yaml).expect("a writable folder");
    kafka.create_topic("fw", 2);
    let [[a1, a2], [b1, b2]] = [a, b];
    let to = |partition: i32, lines: Vec<Vec<u8>>| lines.into_iter().map(move |line| (partition, line));
    kafka.produce("fw", to(0, a1).chain(to(1, b1)));
    let start = |n: u32| Worker::start(&config, dir.path().join(format!("worker-{n}.log")));
    let mut workers = [start(0), start(1)];
    wait_until("the first half is read", &mut workers, || kafka.lag("g", "fw") == 0);

    kafka.grow_topic("fw", 4);
    kafka.produce("fw", to(2, a2).chain(to(3, b2)));
    wait_until("the new partitions are read", &mut workers, || kafka.lag("g", "fw") == 0);
    // An attack that only a new partition holds, in a window that closes only if all partitions of both workers let it.
    wait_until("a window over new partitions alerts", &mut workers, || alerts(&warehouse, "10.1.16.101") > 0);
    workers.into_iter().for_each(Worker::stop);

    // There is nothing left to read: this closes what windows are open, and the audit holds every alert against batch SQL.
    run_to_end(&config);
    let mut audit = palisade();
    let audit = stdout(audit.args(["tables", "audit", "-c"]).arg(&config));
    assert!(audit.contains(&format!("({events} records,")), "{events} lines: {audit}");
    assert!(audit.lines().any(|line| line.starts_with("I4") && line.contains(" ok ")), "{audit}");
}
