//! A catalog's server of prepared answers on loopback: what each becomes, and what is asked.

use std::sync::Mutex;

use iceberg::NamespaceIdent;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::storage::DurableStorageFactory;
use super::*;
use crate::config::Secret;
use crate::{Class, Error as OurError};

type Asked = Arc<Mutex<Vec<String>>>;

/// Answers by path and token: the configuration, tokens in turn, `answer` for all else unless the token is `good`.
async fn server(tokens: (u16, &'static str), answer: (u16, &'static str)) -> (String, Asked, tokio::task::JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let uri = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Asked::default();
    let (heard, mut tasks) = (asked.clone(), tokio::task::JoinSet::new());
    tasks.spawn(async move {
        let mut exchanges = 0;
        loop {
            let (mut peer, _) = listener.accept().await.expect("a client");
            let mut request = vec![0; 16_384];
            let read = peer.read(&mut request).await.expect("a request");
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            let line = request.lines().next().unwrap_or_default().to_owned();
            let (status, body) = if line.contains("/v1/config") {
                (200, r#"{"defaults": {}, "overrides": {}}"#.to_owned())
            } else if line.contains("/tokens") {
                exchanges += 1;
                let token = if exchanges == 1 { "stale" } else { "good" };
                (tokens.0, tokens.1.replace("TOKEN", token))
            } else if request.contains("Bearer good") {
                (204, String::new())
            } else {
                (answer.0, answer.1.to_owned())
            };
            heard.lock().expect("no panic").push(line);
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = peer.write_all(format!("{head}{body}").as_bytes()).await;
            let _ = peer.shutdown().await;
        }
    });
    (uri, asked, tasks)
}

async fn client(uri: &str, credential: bool) -> RestWarehouse {
    let secret = |text: &str| Some(Secret(text.to_owned()));
    let (token, credential) = if credential { (None, secret("id:hush")) } else { (secret("hush"), None) };
    let config = RestConfig { uri: uri.to_owned(), token, credential, ..RestConfig::default() };
    RestWarehouse::open(&config, Arc::new(DurableStorageFactory)).await.expect("a client")
}

const TOKEN: (u16, &str) = (200, r#"{"access_token": "TOKEN", "token_type": "bearer"}"#);

#[tokio::test]
async fn each_answer_has_its_class_and_the_servers_words() {
    let body = r#"{"error": {"message": "so it is", "type": "X", "code": 1}}"#;
    for (status, class, words) in [
        (400, Class::Permanent, "answered 400: so it is"),
        (401, Class::Permanent, "the token or credential is wrong"),
        (403, Class::Permanent, "PALISADE_CATALOG_TOKEN"),
        (409, Class::Transient, "answered 409"),
        (429, Class::Transient, "answered 429"),
        (500, Class::Transient, "what became of the call is open"),
        (503, Class::Transient, "what became of the call is open"),
    ] {
        let (uri, _, _tasks) = server(TOKEN, (status, body)).await;
        let catalog = client(&uri, false).await;
        let error = catalog.list_tables(&NamespaceIdent::new("n".into())).await.expect_err("refused");
        let error = OurError::catalog("list", error);
        let text = error.to_string();
        assert_eq!(error.class(), class, "{status}: {text}");
        assert!(text.contains(words) && text.contains(&uri), "{status}: {text}");
        assert!(!text.contains("hush") && !format!("{error:?}").contains("hush"), "{text}");
    }
}

#[tokio::test]
async fn a_token_that_has_expired_is_renewed_once_and_the_call_may_be_sent_again() {
    let (uri, asked, _tasks) = server(TOKEN, (401, "{}")).await;
    let catalog = client(&uri, true).await;
    let namespace = NamespaceIdent::new("n".into());
    let error = OurError::catalog("look", catalog.namespace_exists(&namespace).await.expect_err("a stale token"));
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert!(catalog.namespace_exists(&namespace).await.expect("a new token"));
    let exchanges = asked.lock().expect("no panic").iter().filter(|line| line.contains("/tokens")).count();
    assert_eq!(exchanges, 2);
}

#[tokio::test]
async fn a_credential_that_is_refused_is_an_error_for_good_that_tells_no_secret() {
    for (tokens, words) in [
        ((401, r#"{"error": "invalid_client"}"#), "401"),
        ((400, r#"{"error": {"message": "no", "type": "invalid_client", "code": 400}}"#), "token or credential"),
        ((200, r#"{"token": "hush"}"#), "token or credential"),
    ] {
        let (uri, _, _tasks) = server(tokens, (401, "{}")).await;
        let error = client(&uri, true).await.namespace_exists(&NamespaceIdent::new("n".into())).await;
        let error = OurError::catalog("look", error.expect_err("no token"));
        let text = error.to_string();
        assert_eq!(error.class(), Class::Permanent, "{text}");
        assert!(text.contains(words) && !text.contains("hush"), "{text}");
    }
}
