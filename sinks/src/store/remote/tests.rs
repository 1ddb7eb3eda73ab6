//! A server of one answer on loopback: what each answer of a service becomes.

use object_store::aws::AmazonS3Builder;
use object_store::{ClientOptions, RetryConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::Class;
use crate::config::Root;

fn xml(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>so it is</Message></Error>")
}

/// A store whose service answers the requests in turn, the last answer for ever after.
async fn answered(answers: Vec<(u16, String)>, config: StoreConfig) -> (RemoteStore, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async move {
        for turn in 0.. {
            let (mut peer, _) = listener.accept().await.expect("a client");
            let (status, body) = &answers[usize::min(turn, answers.len() - 1)];
            let mut request = [0; 8192];
            let _ = peer.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 {status} X\r\nETag: \"x\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = peer.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = peer.shutdown().await;
        }
    });
    let Root::Remote(url) = Root::parse("s3://lake/w").expect("a bucket") else { panic!("a bucket") };
    let bucket = AmazonS3Builder::new()
        .with_bucket_name("lake")
        .with_endpoint(endpoint)
        .with_access_key_id("key")
        .with_secret_access_key("secret")
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .expect("builds");
    (RemoteStore::over(Arc::new(bucket), &url, &config), server)
}

fn impatient() -> StoreConfig {
    StoreConfig { timeout_ms: 300, retry_ms: 10, ..StoreConfig::default() }
}

#[tokio::test]
async fn each_answer_has_its_class_and_names_the_bucket_and_the_way_out() {
    for (status, code, class, words) in [
        (403, "AccessDenied", Class::Permanent, "the credentials need to list, read, write and delete"),
        (403, "RequestTimeTooSkewed", Class::Permanent, "clock is wrong"),
        (404, "NoSuchBucket", Class::Permanent, "no such bucket"),
        (400, "InvalidArgument", Class::Permanent, "does not take the request"),
        (301, "PermanentRedirect", Class::Permanent, "another region"),
        (501, "NotImplemented", Class::Permanent, "conditional writes"),
        (409, "ConditionalRequestConflict", Class::Transient, "asks to wait"),
        (429, "SlowDown", Class::Transient, "asks to wait"),
        (500, "InternalError", Class::Transient, "the service fails"),
        (503, "SlowDown", Class::Transient, "the service fails"),
        (507, "InsufficientStorage", Class::Transient, "make room"),
    ] {
        let (store, _server) = answered(vec![(status, xml(code))], impatient()).await;
        let errors = [
            store.create("a/b", "x".into()).await.map(drop),
            store.get("a/b").await.map(drop),
            store.list("a").await.map(drop),
        ];
        for error in errors {
            let error = error.expect_err(code);
            let text = error.to_string();
            assert_eq!(error.class(), class, "{text}");
            assert!(text.contains("s3://lake") && text.contains(words), "{status} {code}: {text}");
            assert!(!text.contains("secret"), "{text}");
        }
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let busy = (503, xml("SlowDown"));
    let config = StoreConfig { retry_ms: 30_000, ..impatient() };
    let (store, _server) = answered(vec![busy.clone(), busy.clone(), (200, String::new())], config.clone()).await;
    assert_eq!(store.create("a", "x".into()).await.expect("writes"), Create::New);
    let conflict = (409, xml("ConditionalRequestConflict"));
    let (there, found) = ((412, xml("PreconditionFailed")), (200, String::new()));
    let (store, _server) = answered(vec![conflict, there.clone(), found.clone()], config.clone()).await;
    assert_eq!(
        store.create("a", "x".into()).await.expect("looks"),
        Create::Exists,
        "a conflict alone proves no object"
    );
    let hidden = (404, xml("NoSuchKey"));
    let (store, _server) = answered(vec![there, hidden, found], config.clone()).await;
    assert_eq!(store.create("a", "x".into()).await.expect("writes"), Create::New, "nor does one that nobody can see");
    let (store, _server) = answered(vec![busy, (404, xml("NoSuchKey"))], config).await;
    assert_eq!(store.get("a").await.expect("looks"), None);
}

#[tokio::test]
async fn a_service_that_is_away_or_silent_is_a_transient_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let Root::Remote(url) = Root::parse("s3://lake/w").expect("a bucket") else { panic!("a bucket") };
    for listens in [true, false] {
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        // Nobody listens at the second one's port.
        let endpoint = if listens { endpoint } else { "http://127.0.0.1:1".to_owned() };
        let bucket = AmazonS3Builder::new()
            .with_bucket_name("lake")
            .with_endpoint(endpoint)
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .build()
            .expect("builds");
        let store = RemoteStore::over(Arc::new(bucket), &url, &impatient());
        let error = store.get("a").await.expect_err("no answer");
        assert_eq!(error.class(), Class::Transient, "{error}");
        assert!(error.to_string().starts_with("cannot read s3://lake/w/a: "), "{error}");
    }
}

#[tokio::test]
async fn a_service_that_overwrites_what_exists_is_refused() {
    let (store, _server) = answered(vec![(200, String::new())], impatient()).await;
    let error = store.prove().await.expect_err("created twice");
    assert_eq!(error.class(), Class::Permanent);
    assert!(error.to_string().contains("If-None-Match"), "{error}");
    let found = || (200, String::new());
    let (store, _server) = answered(vec![found(), (412, xml("PreconditionFailed")), found()], impatient()).await;
    store.prove().await.expect("the second one is refused");
}

#[test]
fn each_cloud_is_opened_by_its_url() {
    for url in ["s3://lake/w", "gs://lake/w", "abfss://box@acme.dfs.core.windows.net/w"] {
        let Root::Remote(url) = Root::parse(url).expect("a bucket") else { panic!("a bucket") };
        let config = StoreConfig { endpoint: Some("http://127.0.0.1:1".into()), allow_http: true, ..impatient() };
        let store = RemoteStore::unproven(&url, &config).expect("credentials are looked for later");
        assert_eq!(store.location("a"), format!("{url}/a"));
    }
}
