//! Slow, broken and silent connections, and services that ask to wait: S3, the catalog and Kafka behind proxies that do it to one
//! exchange in twenty, of which the catalog sees few one in ten. Nothing is lost or doubled, and no worker ends because of it.
//!
//! `PALISADE_NETWORK_EVENTS` sets how many events each test reads, for long runs; `PALISADE_FAULT_ONE_IN` how rare faults are.

use std::cell::RefCell;
use std::path::Path;

use crate::crash::{alerts, run, score, verify};
use crate::kafka::{Worker, wait_until};
use crate::kafka_server::{Extra, Kafka};
use crate::kit::{binary, fleet, fleet_topic, output, run_to_end, sized, stdout};
use crate::lake::{assert_whole, config, with_keys};
use crate::lake_server::Lake;
use crate::proxy::{Fault, Proxy, Weather};
use crate::upkeep::tables;

fn events() -> u64 {
    sized("PALISADE_NETWORK_EVENTS", 10_000)
}

fn bad(faults: &'static [Fault], one_in: u64, seed: u64) -> Weather {
    Weather { faults, one_in: sized("PALISADE_FAULT_ONE_IN", one_in), seed }
}

/// How often each kind has struck; each has.
fn struck(name: &str, proxy: &Proxy) -> String {
    let (struck, exchanges) = proxy.struck();
    let told = format!("{name}: {struck:?} of {exchanges} exchanges");
    assert!(proxy.has_done_its_worst(), "some kind of fault never struck: {told}");
    told
}

#[test]
fn a_lake_behind_a_bad_network_holds_each_event_and_alert_once() {
    let lake = Lake::start();
    let logs = lake.dir.path().join("logs");
    fleet(&logs, 31, events(), "none");
    let config = config(&lake, &logs, "stormy");
    let s3 = Proxy::start(lake.s3.address, bad(Fault::OF_S3, 20, 20_261_130));
    let catalog = Proxy::start(lake.catalog.address, bad(Fault::OF_HTTP, 10, 20_261_131));

    // A silence lasts as long as the client's patience.
    let yaml = std::fs::read_to_string(&config).expect("a configuration");
    let yaml = yaml
        .replace(&lake.endpoint(), &format!("http://{}", s3.address))
        .replace(&lake.uri(), &format!("http://{}", catalog.address))
        .replace("allow_http: true", "allow_http: true, timeout: 1s")
        .replace("type: rest,", "type: rest, timeout: 2s,");
    let stormy = lake.dir.path().join("through-proxies.yaml");
    std::fs::write(&stormy, yaml).expect("a writable folder");
    let out = output(&mut with_keys(&lake, run(&stormy)));
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    println!("{}", struck("S3", &s3));
    println!("{}", struck("catalog", &catalog));
    assert_whole(&lake, &config, &logs, &[]);
}

/// A broker with a second listener, whose clients are sent to a proxy in front of it.
fn proxied_broker() -> (Kafka, Proxy) {
    let proxy = RefCell::new(None);
    let kafka = Kafka::start_with("U3Rvcm15Q2x1c3RlcisrKw", |_, [listens, _]| {
        let started = proxy.borrow_mut().insert(Proxy::start(listens, bad(Fault::OF_TCP, 20, 20_261_132))).address;
        Extra {
            listeners: vec![format!("STORMY://{listens}")],
            advertised: vec![format!("STORMY://{started}")],
            properties: "listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,STORMY:PLAINTEXT\n"
                .to_owned(),
            ..Extra::default()
        }
    });
    (kafka, proxy.into_inner().expect("started"))
}

fn kafka_config(folder: &Path, name: &str, brokers: &str) -> std::path::PathBuf {
    let yaml = format!(
        "warehouse: {{path: {name}, merge_groups: 2}}\n\
         sources:\n  - name: firewall\n    tenant: {{header: tenant}}\n    \
         kafka: {{brokers: '{brokers}', topic: firewall, group: {name}, session_timeout: 6s, settings: {{socket.timeout.ms: '2000'}}}}\n\
         enrich: {{country: builtin, intel: [builtin]}}\n\
         worker: {{flush_interval: 200ms, commit_interval: 500ms, flush_rows: 700}}\n"
    );
    let path = folder.join(format!("{name}-{}.yaml", brokers.replace(':', "-")));
    std::fs::write(&path, yaml).expect("a writable folder");
    path
}

#[test]
fn kafka_behind_a_bad_network_gives_each_record_once() {
    let (kafka, proxy) = proxied_broker();
    let dir = kafka.dir().join("test");
    std::fs::create_dir_all(&dir).expect("a writable folder");
    let truth = dir.join("truth");
    fleet_topic(&kafka.address(), &truth, 32, events(), &[]);
    run_to_end(&kafka_config(&dir, "calm", &kafka.address()));
    let wanted = alerts(&dir.join("calm"));

    let stormy = kafka_config(&dir, "stormy", &proxy.address.to_string());
    let mut workers = ["one", "two"].map(|name| Worker::start(&stormy, dir.join(format!("{name}.log"))));
    wait_until("each kind of fault has struck", &mut workers, || proxy.has_done_its_worst());
    wait_until("the group has read all", &mut workers, || kafka.lag("stormy", "firewall") == 0);
    workers.into_iter().for_each(Worker::stop);
    println!("{}", struck("Kafka", &proxy));
    // There is nothing left to read: this closes the windows that are still open.
    let direct = kafka_config(&dir, "stormy", &kafka.address());
    run_to_end(&direct);

    let warehouse = dir.join("stormy");
    verify(score(&truth, &warehouse, &["--kafka"]), &warehouse, &wanted).expect("each event and alert is there once");
    stdout(tables(binary(), &["audit"], &warehouse).arg("-c").arg(&direct));
}
