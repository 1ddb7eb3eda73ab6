//! Receivers on loopback: what reaches them, and what becomes of what they do not take.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use rcgen::generate_simple_self_signed;
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::http::HttpConfig;

const NOW: i64 = 1_764_000_100_000_000;

fn now() -> i64 {
    NOW
}

/// A web service that answers as it is told, and 200 when nothing is left to tell.
#[derive(Clone, Default)]
struct Service {
    answers: Arc<Mutex<VecDeque<u16>>>,
    got: Arc<Mutex<Vec<(HeaderMap, String)>>>,
}

impl Service {
    async fn start(answers: &[u16]) -> (Self, String) {
        let service = Self { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), ..Self::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let take = |State(service): State<Service>, headers: HeaderMap, body: String| async move {
            service.got.lock().expect("unpoisoned").push((headers, body));
            let status = service.answers.lock().expect("unpoisoned").pop_front().unwrap_or(200);
            (StatusCode::from_u16(status).expect("a status"), [("retry-after", "7")], format!("so it is\n{status}"))
        };
        let app = axum::Router::new().route("/hook", post(take)).route("/api/v2/alerts", post(take));
        #[expect(clippy::disallowed_methods, reason = "ends with the test")]
        tokio::spawn(axum::serve(listener, app.with_state(service.clone())).into_future());
        (service, url)
    }

    fn got(&self) -> Vec<(HeaderMap, String)> {
        std::mem::take(&mut *self.got.lock().expect("unpoisoned"))
    }
}

fn http(url: String) -> HttpConfig {
    HttpConfig { url, headers: vec![("authorization".into(), "Bearer t".into())], ca: None, timeout: SHORT }
}

/// Longer than anything on loopback takes; only what never answers comes to it.
const SHORT: Duration = Duration::from_secs(20);

fn webhook(url: &str) -> Webhook {
    Webhook::new(&WebhookConfig { http: http(format!("{url}/hook")), secret: Some("whsec_c2VjcmV0".into()), now })
        .expect("fine")
}

/// A warehouse whose first partition holds alerts; how many.
async fn with_alerts(folder: &std::path::Path) -> (Warehouse, usize) {
    let warehouse = open(folder).await;
    record(&warehouse, &partition(0), 0..12, &[Table::DetectionFinding]).await;
    (warehouse, leaving(&partition(0), 0..12))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_revision_is_one_signed_request_with_a_key_of_its_own() {
    let folder = tempdir().expect("a folder");
    let (warehouse, alerts) = with_alerts(folder.path()).await;
    let (service, url) = Service::start(&[]).await;
    assert_eq!(drain(&mut outbox(&warehouse, "soar", webhook(&url)).await, &first()).await, alerts);
    let got = service.got();
    assert_eq!(got.len(), alerts);
    for (headers, body) in &got {
        let header = |name: &str| String::from_utf8(headers[name].as_bytes().to_vec()).expect("text");
        let finding: Value = serde_json::from_str(body).expect("JSON");
        let id = header("webhook-id");
        assert_eq!(
            id,
            finding["metadata"]["uid"].as_str().unwrap_or(finding["finding_info"]["uid"].as_str().expect("an id"))
        );
        assert_eq!(header("idempotency-key"), id);
        assert_eq!(header("authorization"), "Bearer t");
        assert_eq!(header("webhook-timestamp"), (NOW / 1_000_000).to_string());
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").expect("a key");
        mac.update(format!("{id}.{}.{body}", NOW / 1_000_000).as_bytes());
        let signature = header("webhook-signature");
        let signature = STANDARD.decode(signature.strip_prefix("v1,").expect("a version")).expect("base64");
        mac.verify_slice(&signature).expect("the signature of what came");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_kept_and_what_fails_waits_without_holding_up_others() {
    let folder = tempdir().expect("a folder");
    let (warehouse, alerts) = with_alerts(folder.path()).await;
    let (service, url) = Service::start(&[200, 422, 503]).await;
    let (mut soar, other) = (outbox(&warehouse, "soar", webhook(&url)).await, Service::start(&[]).await);
    let (taken, drained) = drain_all(&mut soar, &first()).await;
    assert_eq!((taken, drained.refused, drained.pause), (1, 1, Some(Duration::from_secs(7))));
    let failed = drained.failed.expect("a 503").to_string();
    assert_eq!(failed, format!("cannot deliver to {url}: answers 503 Service Unavailable: so it is 503"));
    assert_eq!(drain(&mut outbox(&warehouse, "chat", webhook(&other.1)).await, &first()).await, alerts);

    let state = |receiver: &str, waiting, refused| Delivered { receiver: receiver.into(), waiting, refused };
    // Waiting are ids, however many revisions they have.
    let named = |d: &Delivered| (d.receiver.clone(), d.waiting > 0, d.refused);
    let states = warehouse.ledger().receivers().await.expect("reads");
    assert_eq!(states.iter().map(named).collect::<Vec<_>>(), [("chat".into(), false, 0), ("soar".into(), true, 1)]);

    // The same process goes on where it stopped. Its successor knows only the notes, and sends all again.
    assert_eq!(drain(&mut soar, &first()).await, alerts - 2);
    assert_eq!(service.got().len(), alerts + 1);
    assert_eq!(drain(&mut outbox(&warehouse, "soar", webhook(&url)).await, &first()).await, 0);
    assert_eq!(warehouse.ledger().receivers().await.expect("reads"), [state("chat", 0, 0), state("soar", 0, 1)]);
    let kept = warehouse.ledger().refused_alerts("soar").await.expect("reads");
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["why"], "answers 422 Unprocessable Entity: so it is 422");
    assert!(kept[0]["alert"]["finding_info"]["uid"].is_string(), "{}", kept[0]);
    assert_eq!(warehouse.ledger().refused_alerts("chat").await.expect("reads").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_receiver_begins_with_what_comes_unless_it_wants_all() {
    let folder = tempdir().expect("a folder");
    let (warehouse, _) = with_alerts(folder.path()).await;
    let (_service, url) = Service::start(&[]).await;
    let delivery = Delivery { name: "late".into(), severity_min: i32::MIN, from_beginning: false };
    let open = || Outbox::open(warehouse.clone(), delivery.clone(), Arc::new(webhook(&url)));
    let mut late = open().await.expect("opens");
    assert_eq!(drain(&mut late, &first()).await, 0);
    record(&warehouse, &partition(0), 12..30, &[Table::DetectionFinding]).await;
    record(&warehouse, &partition(1), 0..12, &[Table::DetectionFinding]).await;
    // Opened again it does not forget what came meanwhile, nor a chain that was not there.
    let mut late = open().await.expect("opens");
    assert_eq!(drain(&mut late, &first()).await, leaving(&partition(0), 12..30));
    let second = AlertChain::Partition(partition(1));
    assert_eq!(drain(&mut late, &second).await, leaving(&partition(1), 0..12));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_gets_what_is_severe_enough() {
    let folder = tempdir().expect("a folder");
    let (warehouse, alerts) = with_alerts(folder.path()).await;
    let (service, url) = Service::start(&[]).await;
    let severities: Vec<i32> =
        render(&rows(Table::DetectionFinding, &partition(0), 0..12), Uuid::nil()).iter().map(|a| a.severity).collect();
    let severity_min = severities.iter().copied().max().expect("some");
    let delivery = Delivery { name: "pager".into(), severity_min, from_beginning: true };
    let mut pager = Outbox::open(warehouse, delivery, Arc::new(webhook(&url))).await.expect("opens");
    let sent = drain(&mut pager, &first()).await;
    assert!(sent < alerts, "{sent} of {alerts}");
    for (_, body) in service.got() {
        let finding: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(finding["severity_id"], severity_min);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_gets_batches_and_one_wrong_alert_costs_no_other() {
    let (service, url) = Service::start(&[400, 200, 400]).await;
    let config = AlertmanagerConfig { http: http(format!("{url}/")), resolve_after: Duration::from_secs(60), now };
    let alertmanager = Alertmanager::new(&config).expect("fine");
    let alert = |n: u8, activity: u8| OutgoingAlert {
        id: format!("a{n}"),
        severity: 4,
        received_us: 0,
        attempt: Uuid::nil(),
        json: format!(
            r#"{{"activity_id":{activity},"message":"m","severity":"High","unmapped":{{"n":{n}}},"metadata":{{"tenant_uid":"acme"}},
               "finding_info":{{"uid":"a{n}","title":"t","created_time":1764000000000,"analytic":{{"uid":"r"}}}}}}"#
        ),
    };
    let sending = alertmanager.send(&[alert(0, 1), alert(1, 1), alert(2, 3)], &|_| ()).await;
    assert_eq!((sending.done, sending.refused.len()), (3, 1), "{sending:?}");
    assert_eq!(sending.refused[0].0, 1);
    let bodies: Vec<Vec<Value>> =
        service.got().iter().map(|(_, body)| serde_json::from_str(body).expect("JSON")).collect();
    assert_eq!(bodies.iter().map(Vec::len).collect::<Vec<_>>(), [3, 1, 1, 1]);
    let first = serde_json::json!({
        "labels": {"alertname": "t", "rule": "r", "tenant": "acme", "severity": "high", "alert_id": "a0"},
        "annotations": {"summary": "m", "values": "{\"n\":0}"},
        "startsAt": "2025-11-24T16:00:00.000000Z", "endsAt": "2025-11-24T16:02:40.000000Z",
    });
    assert_eq!(bodies[1][0], first);
    assert_eq!(bodies[3][0]["endsAt"], "2025-11-24T16:01:40.000000Z", "what is closed ends now");
}

fn syslog(address: String, protocol: SyslogProtocol, format: SyslogFormat, ca: Option<std::path::PathBuf>) -> Syslog {
    Syslog::new(SyslogConfig { address, protocol, format, ca, hostname: "w1".into(), timeout: SHORT }).expect("fine")
}

fn alerts(range: std::ops::Range<i64>) -> Vec<OutgoingAlert> {
    render(&rows(Table::DetectionFinding, &partition(0), range), Uuid::nil())
}

async fn lines(from: impl AsyncRead + Unpin, count: usize) -> Vec<String> {
    let mut lines = BufReader::new(from).lines();
    let mut got = Vec::new();
    while got.len() < count {
        got.push(lines.next_line().await.expect("reads").expect("a line"));
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_a_line_an_alert_over_tcp_and_is_dialled_again_when_it_was_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let syslog = syslog(address.clone(), SyslogProtocol::Tcp, SyslogFormat::Cef, None);
    let alerts = alerts(0..3);
    for _ in 0..2 {
        // The collector reads all, then goes away: the next alerts find another one.
        let (sending, got) = tokio::join!(syslog.send(&alerts, &|_| ()), async {
            lines(listener.accept().await.expect("a connection").0, 3).await
        });
        assert!(sending.done == 3 && sending.failed.is_none(), "{sending:?}");
        for (line, alert) in got.iter().zip(&alerts) {
            let text = line.split_once(" w1 palisade - alert - CEF:0|Palisade|Palisade|").expect("a header").0;
            assert!(text.starts_with('<') && text.ends_with('Z') && line.contains(&alert.id), "{line}");
        }
    }
    drop(listener);
    let sending = syslog.send(&alerts, &|_| ()).await;
    assert!(sending.done == 0 && sending.failed.is_some(), "{sending:?}");
    assert!(sending.failed.expect("nobody").to_string().starts_with(&format!("cannot deliver to {address}: ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_messages_stand_behind_their_length() {
    let certified = generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let folder = tempdir().expect("a folder");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, certified.cert.pem()).expect("writes");
    let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions =
        rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let config =
        versions.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], key).expect("a key");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let of = |ca| syslog(format!("localhost:{port}"), SyslogProtocol::Tls, SyslogFormat::Json, Some(ca));
    let (trusting, alerts) = (of(ca), alerts(0..2));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let (sending, got) = tokio::join!(trusting.send(&alerts, &|_| ()), async {
        let mut stream = acceptor.accept(listener.accept().await.expect("a connection").0).await.expect("a handshake");
        let (mut got, mut length) = (Vec::new(), String::new());
        while got.len() < 2 {
            match stream.read_u8().await.expect("reads") {
                b' ' => {
                    let mut message = vec![0; std::mem::take(&mut length).parse().expect("a length")];
                    stream.read_exact(&mut message).await.expect("a message");
                    got.push(String::from_utf8(message).expect("UTF-8"));
                }
                digit => length.push(digit.into()),
            }
        }
        got
    });
    assert!(sending.done == 2 && sending.failed.is_none(), "{sending:?}");
    for (message, alert) in got.iter().zip(&alerts) {
        assert!(message.ends_with(&format!(" w1 palisade - alert - {}", alert.json)), "{message}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_datagram_takes_one_alert_and_refuses_what_is_too_long() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let syslog =
        syslog(socket.local_addr().expect("an address").to_string(), SyslogProtocol::Udp, SyslogFormat::Json, None);
    let mut alerts = alerts(0..2);
    alerts[0].json = format!("{{\"message\":\"{}\"}}", "x".repeat(70_000));
    let sending = syslog.send(&alerts, &|_| ()).await;
    assert_eq!((sending.done, sending.refused.len()), (2, 1), "{sending:?}");
    assert!(sending.refused[0].1.contains("too long for a datagram"), "{sending:?}");
    let mut message = vec![0; 65_536];
    let length = socket.recv(&mut message).await.expect("a datagram");
    assert!(String::from_utf8_lossy(&message[..length]).ends_with(&alerts[1].json));
}

#[test]
fn what_cannot_be_used_is_refused_before_anything_is_sent() {
    let refused = [
        Webhook::new(&WebhookConfig { http: http("ftp://x".into()), secret: None, now }).err(),
        Webhook::new(&WebhookConfig { http: http("not a url".into()), secret: None, now }).err(),
        Webhook::new(&WebhookConfig { http: http("https://x".into()), secret: Some("whsec_!".into()), now }).err(),
        Webhook::new(&WebhookConfig { http: http("https://x".into()), secret: Some(String::new()), now }).err(),
        Webhook::new(&WebhookConfig {
            http: HttpConfig { ca: Some("/none.pem".into()), ..http("https://x".into()) },
            secret: None,
            now,
        })
        .err(),
    ];
    for error in refused {
        assert_eq!(error.expect("refused").class(), crate::Class::Permanent);
    }
}
