//! Traces at a collector: what `palisade tables trace` says of an alert is found there under the same id.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::Value;
use uuid::Uuid;

use crate::kit::{fleet, fleet_config, on_thread, palisade, run_to_end, sql, stdout};

/// Takes spans, from the second request on.
#[derive(Clone, Default)]
struct Collector {
    requests: Arc<Mutex<u64>>,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("a socket");
        let app = Router::new().route("/v1/traces", post(take)).with_state(collector.clone());
        on_thread(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, app).await.expect("it serves until the test ends");
            });
        });
        (collector, address)
    }

    /// The spans of each trace.
    fn traces(&self) -> BTreeMap<Uuid, Vec<Span>> {
        let mut traces: BTreeMap<Uuid, Vec<Span>> = BTreeMap::new();
        for span in self.spans.lock().expect("unpoisoned").drain(..) {
            traces.entry(id(&span.trace_id)).or_default().push(span);
        }
        traces
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!((header("authorization"), header("content-type")), (Some("Bearer t"), Some("application/x-protobuf")));
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP");
    let mut requests = collector.requests.lock().expect("unpoisoned");
    *requests += 1;
    if *requests == 1 {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let spans = request.resource_spans.into_iter().flat_map(|all| all.scope_spans).flat_map(|scope| scope.spans);
    collector.spans.lock().expect("unpoisoned").extend(spans);
    StatusCode::OK
}

fn id(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).expect("16 bytes")
}

/// What a span says under that name.
fn said(span: &Span, name: &str) -> String {
    let value = span.attributes.iter().find(|a| a.key == name).and_then(|a| a.value.as_ref()?.value.clone());
    match value {
        Some(Any::StringValue(text)) => text,
        Some(Any::IntValue(number)) => number.to_string(),
        other => panic!("{name}: {other:?} in {span:?}"),
    }
}

/// What `tables trace` says of an alert: its revisions, and the rows behind them.
fn told(warehouse: &std::path::Path, uid: &str) -> Vec<Value> {
    let mut trace = palisade();
    trace.args(["tables", "trace", uid, "--output", "json", "--warehouse"]).arg(warehouse);
    serde_json::from_str(&stdout(&mut trace)).expect("JSON")
}

#[test]
fn an_alert_its_step_and_the_ranges_behind_it_are_traces_of_their_attempts() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (logs, warehouse) = (dir.path().join("logs"), dir.path().join("w"));
    fleet(&logs, 31, 20_000, "none");
    let (collector, address) = Collector::start();
    let config = fleet_config(dir.path(), &logs, &warehouse);
    let mut yaml = std::fs::read_to_string(&config).expect("the configuration");
    yaml += &format!("telemetry: {{traces: {{endpoint: 'http://{address}', headers: {{authorization: Bearer t}}}}}}\n");
    std::fs::write(&config, yaml).expect("a writable folder");
    run_to_end(&config);
    let traces = collector.traces();
    let named = |attempt: Uuid, name: &str| -> Vec<&Span> {
        traces.get(&attempt).into_iter().flatten().filter(|span| span.name == name).collect()
    };

    // Findings of devices stand beside those of our rules.
    let of_each_rule = "SELECT min(finding_info.uid) AS uid FROM detection_finding WHERE substr(_topic, 1, 1) = '_' \
                        GROUP BY finding_info.analytic.uid";
    let alerts = sql(&warehouse, of_each_rule);
    let (mut steps, mut ranges) = (0, 0);
    for uid in alerts.iter().map(|row| row["uid"].as_str().expect("an id")) {
        let lines = told(&warehouse, uid);
        let attempt =
            |line: &Value| -> Uuid { line["entry"]["attempt"].as_str().expect("an id").parse().expect("a UUID") };
        for line in lines.iter().filter(|line| line["what"] == "alert") {
            let revision = line["id"].as_str().expect("an id");
            let own = named(attempt(line), "alert");
            assert!(own.iter().any(|span| said(span, "palisade.alert") == revision), "{revision}: {own:?}");
            if let [step] = named(attempt(line), "step")[..] {
                steps += 1;
                assert!(own.iter().all(|alert| alert.parent_span_id == step.span_id));
            }
        }
        for line in lines.iter().filter(|line| line["what"] == "evidence") {
            ranges += 1;
            let range = attempt(line);
            let [whole] = named(range, "range")[..] else { panic!("{range}: {:?}", traces.get(&range)) };
            assert!(said(whole, "palisade.records").parse::<u64>().expect("a number") > 0);
            assert!(whole.start_time_unix_nano <= whole.end_time_unix_nano);
            let commits: BTreeSet<String> = named(range, "commit").iter().map(|c| said(c, "palisade.table")).collect();
            let snapshots = line["entry"]["snapshots"].as_object().expect("by table");
            assert_eq!(commits, snapshots.keys().cloned().collect(), "{line}");
            let linked = traces.values().flatten().flat_map(|span| &span.links);
            let mut linked = linked.filter(|link| id(&link.trace_id) == range);
            assert!(linked.all(|link| link.span_id == whole.span_id));
        }
    }
    assert!(steps > 0 && ranges > 0, "{} alerts", alerts.len());
    // Each range is merged: some step of every group that has a part in it was made of it.
    let made_of: Vec<Uuid> =
        traces.values().flatten().flat_map(|span| &span.links).map(|link| id(&link.trace_id)).collect();
    let mut whole = traces.iter().filter(|(_, spans)| spans.iter().any(|span| span.name == "range"));
    assert!(whole.all(|(range, _)| made_of.contains(range)), "a range that no step was made of");
}
