//! A source of several topics: each keeps its name, its positions and its member of the group.

use crate::kafka::{Worker, wait_until};
use crate::kafka_server::Kafka;
use crate::kit::{palisade, sql, stdout};

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
    let stored = || {
        let rows = sql(
            &warehouse,
            "SELECT _topic AS t, tenant_uid AS who, count(*) AS n FROM base_event GROUP BY 1, 2 ORDER BY 1",
        );
        rows.into_iter().map(|row| row.to_string()).collect::<Vec<_>>()
    };
    let of = |topic: &str, who: &str, n: u32| format!(r#"{{"n":{n},"t":"{topic}","who":"{who}"}}"#);
    wait_until("all of both", &mut workers, || stored() == [of("fw.eu", "eu", 60), of("fw.us", "us", 100)]);
    workers.into_iter().for_each(Worker::stop);
    run();
    assert_eq!(stored(), [of("fw.eu", "eu", 60), of("fw.us", "us", 100)], "nothing comes again");
    stdout(palisade().args(["tables", "audit", "--warehouse"]).arg(&warehouse));
}
