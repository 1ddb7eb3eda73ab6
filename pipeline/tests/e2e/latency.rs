//! What a worker says of its latency is what somebody sees who looks at the tables and at the alerts from outside, also when the tables
//! stand still for a while.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use rdkafka::Message;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::delivery::Hook;
use crate::house::root;
use crate::kafka::wait_until;
use crate::kafka_server::Kafka;
use crate::kit::{on_thread, python, sql};
use crate::service::{counted, get, start_and_hear};

const EVENTS: u64 = 60_000;
const STALL_S: f64 = 20.0;

/// Looks at the tables from outside.
struct Observer {
    child: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Observer {
    fn start(warehouse: &Path) -> Self {
        let mut command = python();
        command.arg(root().join("pipeline/tests/e2e/observe.py")).arg(warehouse);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut observer = Self { child, to, from };
        assert_eq!(observer.says(), "watching");
        observer
    }

    fn says(&mut self) -> String {
        self.from.next().expect("a line").expect("UTF-8")
    }

    /// Nobody can commit for so long.
    fn stall(&mut self, seconds: f64) {
        writeln!(self.to.as_mut().expect("open"), "stall {seconds}").expect("it reads");
        assert_eq!(self.says(), "stalled");
    }

    /// What it saw.
    fn end(mut self) -> Value {
        drop(self.to.take());
        let told = self.says();
        assert!(self.child.wait().expect("our child").success());
        serde_json::from_str(&told).unwrap_or_else(|e| panic!("{told}: {e}"))
    }
}

/// A worker's own account.
fn status(address: &str) -> Value {
    let (head, body) = get(address, "/status");
    assert!(head.contains("200"), "{head}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{body}: {e}"))
}

fn agree(what: &str, told_ms: f64, seen_ms: f64) {
    let allowed = (seen_ms * 0.1).max(50.0);
    assert!((told_ms - seen_ms).abs() <= allowed, "{what}: the worker says {told_ms} ms, an observer saw {seen_ms} ms");
}

/// The bucket of a histogram, by its upper bound in seconds, that a share of the events is within.
fn bucket(metrics: &str, name: &str, share: f64) -> f64 {
    let mut below: BTreeMap<u64, u64> = BTreeMap::new();
    for line in metrics.lines().filter(|line| line.starts_with(&format!("{name}_bucket{{"))) {
        let (labels, count) = line.rsplit_once(' ').expect("a sample");
        let bound = labels.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a bound");
        let ms = bound.parse::<f64>().ok().filter(|s| s.is_finite()).map_or(u64::MAX, |s| (s * 1e3) as u64);
        *below.entry(ms).or_default() += count.parse::<u64>().expect("a count");
    }
    let all = below[&u64::MAX] as f64;
    let (ms, _) = below.iter().find(|(_, count)| **count as f64 >= share * all).expect("all are below infinity");
    *ms as f64 / 1e3
}

/// Alerts that were seen from outside: revisions and when each came.
type Seen = Vec<(String, SystemTime)>;

/// Notes when alerts come to a topic, until nobody holds the list any more.
fn watch_topic(kafka: &Kafka, topic: &'static str) -> Arc<Mutex<Seen>> {
    let seen = Arc::<Mutex<Seen>>::default();
    let (own, consumer) = (Arc::downgrade(&seen), kafka.consumer(topic));
    on_thread(move || {
        while let Some(seen) = own.upgrade() {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
                #[expect(clippy::disallowed_methods, reason = "an observer has a clock of its own")]
                let now = SystemTime::now();
                let alert: Value = serde_json::from_slice(message.payload().expect("a payload")).expect("JSON");
                let revision = alert["metadata"]["uid"].as_str().expect("an id").to_owned();
                seen.lock().expect("unpoisoned").push((revision, now));
            }
        }
    });
    seen
}

/// From `_received_at` to when it was seen, of each alert in milliseconds, in rising order.
fn took(warehouse: &Path, seen: &Seen) -> Vec<f64> {
    let query = "SELECT metadata.uid AS uid, CAST(_received_at AS BIGINT) AS us FROM detection_finding \
                 WHERE metadata.product.name = 'Palisade'";
    let rows = sql(warehouse, query);
    let received: BTreeMap<&str, i64> =
        rows.iter().map(|row| (row["uid"].as_str().expect("text"), row["us"].as_i64().expect("a time"))).collect();
    let since = |at: &SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_micros() as i64;
    let mut took: Vec<f64> = seen.iter().map(|(uid, at)| (since(at) - received[uid.as_str()]) as f64 / 1e3).collect();
    took.sort_by(f64::total_cmp);
    took
}

#[test]
fn latency_is_what_an_observer_sees_also_of_events_that_waited_for_tables_that_stood_still() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let warehouse = dir.path().join("w");
    let (kafka, (hook, hook_at)) = (Kafka::start(), Hook::start());
    kafka.create_topic("detections", 1);
    let in_topic = watch_topic(&kafka, "detections");
    let yaml = format!(
        "warehouse: {{path: w}}\nsources: [{{generator: {{seed: 4, events: {EVENTS}, duration: 50s}}}}]\n\
         alerts:\n  - {{name: hook, webhook: {{url: 'http://{hook_at}/', secret: s}}}}\n  \
         - {{name: topic, kafka: {{brokers: '{}', topic: detections}}}}\n\
         worker: {{flush_interval: 500ms, commit_interval: 1s, step_interval: 500ms}}\n\
         telemetry: {{listen: '127.0.0.1:0', tiers: {{gold: [acme]}}}}\n",
        kafka.address()
    );
    let config = dir.path().join("palisade.yaml");
    std::fs::write(&config, yaml).expect("a file");
    let (mut worker, address, lines) = start_and_hear(&config);
    on_thread(move || lines.for_each(drop));
    let mut observer = Observer::start(&warehouse);
    let received = || status(&address)["events"]["received"].as_u64().expect("a number");
    wait_until("half is received", &mut [], || received() >= EVENTS / 2);
    let before = status(&address);
    observer.stall(STALL_S);
    let all_arrived = || {
        let status = status(&address);
        status["events"]["received"].as_u64() >= Some(EVENTS) && status["events"]["in_flight"] == 0
    };
    wait_until("all is queryable", &mut [], all_arrived);
    let topic_saw = || in_topic.lock().expect("unpoisoned").clone();
    // In one look at both: alerts go on as windows close.
    let mut last = None;
    wait_until("all alerts have come", &mut [], || {
        let (hook_saw, topic_saw, status) = (hook.seen(), topic_saw(), status(&address));
        let sent = |receiver: &str| status["alert_sent_ms"][receiver]["count"].as_u64().unwrap_or(0) as usize;
        // The web service refuses some.
        let refused = counted(&address, "palisade_alerts_refused_total{receiver=\"hook\"") as usize;
        let all = status["alerts"].as_u64().expect("a number") as usize;
        let is_whole = [sent("topic"), topic_saw.len(), sent("hook") + refused, hook_saw.len() + refused] == [all; 4];
        last = Some((hook_saw, topic_saw, status));
        is_whole
    });
    let (hook_saw, topic_saw, status) = last.expect("one look at least");
    let metrics = get(&address, "/metrics").1;
    kill_process(Pid::from_child(&worker), Signal::TERM).expect("our child");
    assert!(worker.wait().expect("our child").success());
    let seen = observer.end();
    let (told, rows) = (&status["latency_ms"], &status["row_latency_ms"]);

    let ms = |of: &Value, what: &str| of[what].as_f64().unwrap_or_else(|| panic!("{what} of {of}"));
    let of = |table: &Value| table["rows"].as_u64().unwrap_or(0);
    let tables: Vec<&String> =
        seen.as_object().expect("tables").keys().filter(|name| of(&seen[*name]) > 1_000).collect();
    let compared: u64 = tables.iter().map(|name| of(&seen[*name])).sum();
    assert!(tables.len() > 1 && compared >= EVENTS * 9 / 10, "{seen}");
    for name in tables {
        for quantile in ["p50", "p99", "p999"] {
            agree(&format!("{quantile} of {name}"), ms(&rows[name], quantile), ms(&seen[name], quantile));
        }
    }
    let (calm, all) = (ms(&before["latency_ms"]["queryable"], "p999"), ms(&told["queryable"], "p999"));
    // Who came as the tables stood still waited, and counts with that.
    assert!(all > STALL_S * 900.0 && all > calm + STALL_S * 500.0, "{calm} ms before, {all} ms after");
    // Of a histogram the bounds are known.
    for (quantile, share) in [("p50", 0.5), ("p999", 0.999)] {
        let within = bucket(&metrics, "palisade_queryable_latency_seconds", share);
        assert!(ms(&told["queryable"], quantile) <= within * 1e3, "{told}: {share} are within {within} s");
    }
    assert!(metrics.contains("tier=\"standard\""), "{metrics}");

    for (receiver, seen) in [("hook", hook_saw), ("topic", topic_saw)] {
        let (told, took) = (&status["alert_sent_ms"][receiver], took(&warehouse, &seen));
        assert!(took.len() > 100 && told["count"] == took.len(), "{} alerts at {receiver}; {told}", took.len());
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
            let seen_ms = took[(share * took.len() as f64) as usize];
            agree(&format!("{quantile} of alerts at {receiver}"), ms(told, quantile), seen_ms);
        }
    }
}
