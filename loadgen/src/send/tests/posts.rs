//! HTTP: NDJSON, Splunk's collector and objects of a bucket; a target that asks for patience, and one that refuses.

use std::io::Read;
use std::sync::Mutex;
use std::thread::{Builder, JoinHandle};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::oneshot;

use super::*;

/// A request as it arrived.
#[derive(Debug, Clone)]
struct Got {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[derive(Default)]
struct Inbox {
    got: Mutex<Vec<Got>>,
    /// What the first requests are answered, the last one first.
    answers: Mutex<Vec<StatusCode>>,
}

async fn take(
    State(inbox): State<Arc<Inbox>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> (StatusCode, &'static str) {
    let answer = inbox.answers.lock().expect("no panic").pop().unwrap_or(StatusCode::OK);
    if answer.is_success() {
        inbox.got.lock().expect("no panic").push(Got { method, uri, headers, body: body.to_vec() });
    }
    (answer, "as told")
}

/// A server until it is dropped.
struct Server {
    address: String,
    inbox: Arc<Inbox>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn new(answers: &[StatusCode]) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("an address").to_string();
        let inbox =
            Arc::new(Inbox { answers: Mutex::new(answers.iter().rev().copied().collect()), ..Inbox::default() });
        let app = Router::new().fallback(take).layer(axum::extract::DefaultBodyLimit::disable());
        let app = app.with_state(inbox.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let serve = move || {
            runtime().block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                let until = async move { stopped.await.unwrap_or_default() };
                axum::serve(listener, app).with_graceful_shutdown(until).await.expect("served");
            });
        };
        let thread = Builder::new().name("server".to_owned()).spawn(serve).expect("a thread");
        Self { address, inbox, stop: Some(stop), thread: Some(thread) }
    }

    fn got(&self) -> Vec<Got> {
        self.inbox.got.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let (Some(stop), Some(thread)) = (self.stop.take(), self.thread.take()) {
            stop.send(()).unwrap_or_default();
            thread.join().expect("no panic");
        }
    }
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).expect("gzip");
    plain
}

fn header<'g>(got: &'g Got, name: &str) -> &'g str {
    got.headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

#[test]
fn posts_hold_the_records_as_lines_zipped_or_not() {
    let fleet = fleet(12_000);
    for (query, is_gzip) in [("?key=a", false), ("?gzip=true&key=a", true)] {
        let server = Server::new(&[]);
        let report = run(&fleet, &options(&format!("http://{}/in{query}", server.address), at_once()));
        assert!(report.is_complete() && report.acknowledged == Some(12_000), "{report:?}");
        assert!(report.acknowledged_ms.is_some() && report.handed_ms.is_none());
        let got = server.got();
        assert!(got.len() > 2, "{} requests", got.len());
        let body = |got: &Got| if is_gzip { unzip(&got.body) } else { got.body.clone() };
        assert!(got.iter().flat_map(body).collect::<Vec<u8>>() == lines(&records(&fleet)));
        assert_eq!(
            (header(&got[0], "content-type"), got[0].uri.to_string()),
            ("application/x-ndjson", "/in?key=a".to_owned())
        );
        assert_eq!(
            (header(&got[0], "host"), header(&got[0], "content-encoding")),
            (&*server.address, if is_gzip { "gzip" } else { "" })
        );
    }
}

#[test]
fn the_collector_gets_lines_or_events_with_token_and_channel() {
    let fleet = fleet(3_000);
    let server = Server::new(&[]);
    for path in ["", "/services/collector/event"] {
        let mut options = options(&format!("hec+http://{}{path}", server.address), at_once());
        options.hec_token = Some("11112222-3333-4444-5555-666677778888".to_owned());
        assert_eq!(run(&fleet, &options).acknowledged, Some(3_000));
    }
    let (raw, event): (Vec<Got>, Vec<Got>) =
        server.got().into_iter().partition(|got| got.uri.path() == "/services/collector/raw");
    let token = |got: &Got| header(got, "authorization") == "Splunk 11112222-3333-4444-5555-666677778888";
    assert!(raw.iter().chain(&event).all(|got| token(got) && header(got, "x-splunk-request-channel").len() == 36));
    let want = records(&fleet);
    assert!(raw.iter().flat_map(|got| got.body.clone()).collect::<Vec<u8>>() == lines(&want));
    let bodies: Vec<u8> = event.iter().flat_map(|got| got.body.clone()).collect();
    let events = serde_json::Deserializer::from_slice(&bodies).into_iter::<Value>();
    let events: Vec<Value> = events.collect::<Result<_, _>>().expect("JSON");
    let texts = events.iter().map(|event| event["event"].as_str().expect("a string").to_owned());
    let texts: Vec<String> = texts.collect();
    let lossy: Vec<_> = want.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect();
    assert!(texts == lossy && events[0]["host"] == "acme" && events[0]["time"].as_f64() > Some(1e9));
}

#[test]
fn a_collector_without_a_token_is_told() {
    let error = send(&fleet(10), &options("hec+http://127.0.0.1:1", at_once()), &mut |_| {}).expect_err("refused");
    assert_eq!(error.to_string(), "the collector needs a token, without line ends; set PALISADE_HEC_TOKEN");
}

#[test]
fn a_target_that_asks_for_patience_gets_everything_in_order() {
    let fleet = fleet(6_000);
    let server = Server::new(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS]);
    let report = run(&fleet, &options(&format!("http://{}/", server.address), at_once()));
    assert!(report.is_complete() && report.retries == 2 && report.failed == 0, "{report:?}");
    assert!(report.back_pressure_seconds >= 0.1 && report.late > 0, "{report:?}");
    assert_eq!(report.first_trouble.as_deref(), Some("503 Service Unavailable: as told"));
    assert!(server.got().into_iter().flat_map(|got| got.body).collect::<Vec<u8>>() == lines(&records(&fleet)));
}

#[test]
fn what_a_target_refuses_is_counted_and_the_rest_goes_on() {
    let fleet = fleet(12_000);
    let server = Server::new(&[StatusCode::BAD_REQUEST]);
    let report = run(&fleet, &options(&format!("http://{}/", server.address), at_once()));
    let arrived: usize = server.got().iter().map(|got| got.body.iter().filter(|b| **b == b'\n').count()).sum();
    assert!(report.failed > 0 && report.sent == arrived as u64 && report.unsent == 0, "{report:?}");
    assert_eq!(report.sent + report.failed, 12_000);
    assert_eq!(report.first_trouble.as_deref(), Some("400 Bad Request: as told"));
}

#[test]
fn objects_hold_each_partition_in_order_under_keys_of_its_own() {
    let fleet = fleet(6_000);
    let server = Server::new(&[]);
    let target = format!("s3://logs/in?endpoint=http://{}&region=eu-west-3", server.address);
    let mut options = options(&target, at_once());
    options.keys = Some(Keys { access_key: "AKID".to_owned(), secret_key: "s".to_owned(), session_token: None });
    options.connections = 2;
    let report = run(&fleet, &options);
    assert!(report.is_complete() && report.acknowledged == Some(6_000), "{report:?}");
    let mut objects = server.got();
    objects.sort_by_key(|got| got.uri.path().to_owned());
    assert!(objects.iter().all(|got| got.method == Method::PUT));
    let first = &objects[0].uri;
    assert!(first.path().starts_with("/logs/in/acme/2"), "{first}");
    assert!(first.path().ends_with("/firewall.acme-000-000000000000.log.gz"), "{first}");
    assert!(
        first.query().is_some_and(|q| q.contains("X-Amz-Credential=AKID%2F") && q.contains("eu-west-3")),
        "{first}"
    );
    let dir = tempfile::tempdir().expect("a folder");
    let files = crate::write_files(&fleet, dir.path(), crate::Compression::None, 1).expect("written");
    let want: Vec<Vec<u8>> = files.iter().map(|path| std::fs::read(path).expect("a file")).collect();
    // Keys sort as tenants, partitions and offsets do.
    let got: Vec<u8> = objects.iter().flat_map(|got| unzip(&got.body)).collect();
    assert!(got == want.concat());
}

#[test]
fn a_bucket_needs_keys_and_a_template_that_tells_objects_apart() {
    let mut options = options("s3://logs?endpoint=http://127.0.0.1:1", at_once());
    let error = send(&fleet(10), &options, &mut |_| {}).expect_err("refused").to_string();
    assert_eq!(error, "the bucket needs keys; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
    options.key_template = "{tenant}/{offset}".to_owned();
    let error = send(&fleet(10), &options, &mut |_| {}).expect_err("refused").to_string();
    assert!(error.contains("{topic}, {partition} and {offset}"), "{error}");
}
