//! Syslog: datagrams, TCP and TLS; a target that stalls, one that goes away, and none.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Builder, JoinHandle};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;

fn thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    Builder::new().name("server".to_owned()).spawn(work).expect("a thread")
}

fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    (listener, address)
}

/// Everything that one connection says.
fn everything(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("until the end");
    bytes
}

fn octets(records: &[Vec<u8>]) -> Vec<u8> {
    records.iter().flat_map(|record| [format!("{} ", record.len()).as_bytes(), record].concat()).collect()
}

#[test]
fn a_datagram_is_a_record() {
    // So few that the socket's buffer holds them all, whenever they are read.
    let fleet = fleet(20);
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    let address = socket.local_addr().expect("an address");
    let want = records(&fleet);
    let count = want.len();
    let server = thread(move || {
        let mut buffer = vec![0; 65_536];
        let mut receive = || {
            let (length, _) = socket.recv_from(&mut buffer).expect("a datagram");
            buffer[..length].to_vec()
        };
        (0..count).map(|_| receive()).collect::<Vec<_>>()
    });
    let report = run(&fleet, &options(&format!("udp://{address}"), at_once()));
    assert!(report.is_complete() && report.acknowledged.is_none(), "{report:?}");
    assert!(server.join().expect("no panic") == want);
}

#[test]
fn tcp_holds_the_records_in_either_framing() {
    let fleet = fleet(1_500);
    let records = records(&fleet);
    for (option, want) in [("", lines(&records)), ("?framing=octets", octets(&records))] {
        let (listener, address) = listener();
        let server = thread(move || everything(listener.accept().expect("a connection").0));
        let report = run(&fleet, &options(&format!("tcp://{address}{option}"), at_once()));
        assert!(report.is_complete(), "{report:?}");
        let got = server.join().expect("no panic");
        assert!(got == want && report.bytes == got.len() as u64, "{option}");
    }
}

#[test]
fn tls_holds_the_records_for_whom_the_authority_vouches_and_nobody_else() {
    let fleet = fleet(1_500);
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("TLS");
    let config = config.with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).expect("a key");
    let (listener, address) = listener();
    let port = address.rsplit(':').next().expect("a port").to_owned();
    let server = thread(move || {
        let config = Arc::new(config);
        let accept = || {
            let connection = ServerConnection::new(config.clone()).expect("a session");
            let mut stream = StreamOwned::new(connection, listener.accept().expect("a connection").0);
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes)
        };
        (accept().is_err(), accept())
    });
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), cert.pem()).expect("written");
    let other = generate_simple_self_signed(["localhost".to_owned()]).expect("made").cert;
    let stranger = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(stranger.path(), other.pem()).expect("written");

    let mut options = options(&format!("tls://localhost:{port}"), at_once());
    options.ca = Some(stranger.path().to_owned());
    let error = send(&fleet, &options, &mut |_| {}).expect_err("not trusted");
    assert!(report::chain(&error).contains("certificate"), "{}", report::chain(&error));
    options.ca = Some(ca.path().to_owned());
    assert!(run(&fleet, &options).is_complete());
    let (refused, got) = server.join().expect("no panic");
    assert!(refused && got.expect("closed in order") == octets(&records(&fleet)));
}

#[test]
fn a_file_without_certificates_is_refused() {
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let mut options = options("tls://localhost:1", at_once());
    options.ca = Some(empty.path().to_owned());
    let error = send(&fleet(10), &options, &mut |_| {}).expect_err("refused").to_string();
    assert!(error.ends_with("no certificate is in it"), "{error}");
}

/// Accepts, and reads only when told.
fn sleeper(listener: TcpListener, go: Receiver<()>) -> JoinHandle<Vec<u8>> {
    thread(move || {
        let (stream, _) = listener.accept().expect("a connection");
        go.recv().expect("told");
        everything(stream)
    })
}

#[test]
fn a_target_that_stalls_is_seen_and_every_record_arrives_late() {
    // Far more than the kernel's buffers of both sides take.
    let fleet = fleet(40_000);
    let (listener, address) = listener();
    let (tell, go) = sync_channel(1);
    let server = sleeper(listener, go);
    let mut seen = None;
    let report = send(&fleet, &options(&format!("tcp://{address}"), at_once()), &mut |progress| {
        if seen.is_none() && progress.stalled == 1 && progress.lag_seconds > 0.05 {
            seen = Some(progress.clone());
            tell.send(()).expect("the server waits");
        }
    });
    let (report, seen) = (report.expect("sent"), seen.expect("a stall"));
    assert!(seen.sent < seen.intended && seen.intended == 40_000, "{seen:?}");
    assert!(report.is_complete() && report.late > 0 && report.back_pressure_seconds > 0.0, "{report:?}");
    assert!(report.handed_ms.expect("a schedule").max >= 50.0, "{report:?}");
    assert!(server.join().expect("no panic") == lines(&records(&fleet)));
}

#[test]
fn a_target_that_takes_nothing_for_too_long_ends_the_run_with_what_is_missing() {
    let fleet = fleet(40_000);
    let (listener, address) = listener();
    let (tell, go) = sync_channel(1);
    let server = sleeper(listener, go);
    let mut options = options(&format!("tcp://{address}"), at_once());
    options.patience = Duration::from_millis(200);
    let report = run(&fleet, &options);
    tell.send(()).expect("the server waits");
    assert!(report.unsent > 0 && report.sent + report.unsent == 40_000 && !report.is_complete(), "{report:?}");
    let why = report.gave_up.expect("a reason");
    assert!(why.contains("the target takes nothing"), "{why}");
    // What counts as sent is what the socket took.
    let got = server.join().expect("no panic");
    let whole = got.iter().filter(|b| **b == b'\n').count() as u64;
    assert_eq!(whole, report.sent);
}

/// The first connection ends after some bytes, in the middle of a record; the second is read to its end.
fn breaker(listener: TcpListener) -> JoinHandle<(Vec<u8>, Vec<u8>)> {
    thread(move || {
        let (mut first, _) = listener.accept().expect("a connection");
        let mut head = vec![0; 10_000];
        first.read_exact(&mut head).expect("bytes");
        drop(first);
        (head, everything(listener.accept().expect("another connection").0))
    })
}

#[test]
fn a_connection_that_breaks_is_made_again_and_goes_on_at_a_record() {
    let fleet = fleet(40_000);
    let (listener, address) = listener();
    let server = breaker(listener);
    let report = run(&fleet, &options(&format!("tcp://{address}"), at_once()));
    assert!(report.is_complete() && report.retries >= 1 && report.first_trouble.is_some(), "{report:?}");
    let (head, tail) = server.join().expect("no panic");
    let all = lines(&records(&fleet));
    // What the socket had taken and nobody read is lost: TCP says nothing of it. The rest is whole.
    assert!(all.starts_with(&head) && all.ends_with(&tail) && tail.len() > all.len() / 10);
    assert_eq!(all[all.len() - tail.len() - 1], b'\n');
}

#[test]
fn a_peer_that_talks_is_not_listened_to() {
    let fleet = fleet(100);
    let (listener, address) = listener();
    let server = thread(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.write_all(b"welcome\n").expect("said");
        everything(stream)
    });
    assert!(run(&fleet, &options(&format!("tcp://{address}"), at_once())).is_complete());
    assert!(server.join().expect("no panic") == lines(&records(&fleet)));
}

#[test]
fn where_nobody_listens_nothing_begins() {
    let (listener, address) = listener();
    drop(listener);
    assert!(TcpStream::connect(&address).is_err());
    for target in [format!("tcp://{address}"), format!("http://{address}/"), format!("hec+http://{address}")] {
        let mut options = options(&target, at_once());
        options.hec_token = Some("t".to_owned());
        let error = send(&fleet(10), &options, &mut |_| {}).expect_err("refused");
        assert!(report::chain(&error).contains("refused"), "{}", report::chain(&error));
    }
}
