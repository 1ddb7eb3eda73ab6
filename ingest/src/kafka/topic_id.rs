//! A topic's id, which tells it from another that later bears its name. The client library knows it but does not tell, so
//! the brokers are asked directly: one Metadata request, version 10 (KIP-516; Apache Kafka 2.8 and later), on a plain
//! connection.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use uuid::Uuid;

use super::KafkaError;

/// Metadata (KIP-516 added ids in version 10).
const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 10;
const UNKNOWN_TOPIC: i16 = 3;

/// The largest answer that is read: brokers and one topic's partitions.
const ANSWER_MAX: u32 = 16 << 20;

/// The id of the topic, from the first broker of the list that answers.
///
/// # Errors
/// [`KafkaError::UnknownTopic`], or the last broker's failure.
pub(super) fn fetch(brokers: &str, topic: &str, timeout: Duration) -> Result<String, KafkaError> {
    let mut failed = failure(brokers, topic, "no broker is named");
    for broker in brokers.split(',').map(str::trim).filter(|b| !b.is_empty()) {
        match ask(broker, topic, timeout) {
            Ok(Answer::Id(id)) => return Ok(id.simple().to_string()),
            Ok(Answer::Unknown) => return Err(KafkaError::UnknownTopic(topic.to_owned())),
            Ok(Answer::Error(code)) => failed = failure(broker, topic, &format!("error code {code}")),
            Err(e) => failed = failure(broker, topic, &e.to_string()),
        }
    }
    Err(failed)
}

fn failure(broker: &str, topic: &str, what: &str) -> KafkaError {
    KafkaError::TopicId { broker: broker.to_owned(), topic: topic.to_owned(), what: what.to_owned() }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Id(Uuid),
    Unknown,
    Error(i16),
}

fn ask(broker: &str, topic: &str, timeout: Duration) -> std::io::Result<Answer> {
    let address = broker.to_socket_addrs()?.next().ok_or_else(|| bad("the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(&request(topic))?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > ANSWER_MAX {
        return Err(bad("it does not speak Kafka's protocol"));
    }
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer)?;
    parse(&answer).ok_or_else(|| bad("it does not know topic ids (Apache Kafka before 2.8?)"))
}

fn bad(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned())
}

/// Header version 2, then one topic by name, nothing created.
fn request(topic: &str) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(METADATA_VERSION.to_be_bytes());
    body.extend(1i32.to_be_bytes()); // correlation id
    body.extend(8i16.to_be_bytes());
    body.extend(b"palisade\0"); // client id, and no tagged fields
    body.push(2); // one topic
    body.extend([0; 16]); // by name, not by id
    push_length(&mut body, topic.len() + 1);
    body.extend(topic.as_bytes());
    body.push(0);
    body.extend([0; 4]); // create none, no authorized operations of cluster or topic, no tagged fields
    let mut request = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes().to_vec();
    request.extend(body);
    request
}

fn push_length(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Up to the id of the one topic; None if the bytes are no such answer.
fn parse(answer: &[u8]) -> Option<Answer> {
    let mut at = Cursor(answer);
    at.skip(4)?; // correlation id
    at.tags()?;
    at.skip(4)?; // throttle time
    for _ in 1..at.length()? {
        at.skip(4)?; // node id
        at.text()?; // host
        at.skip(4)?; // port
        at.text()?; // rack
        at.tags()?;
    }
    at.text()?; // cluster id
    at.skip(4)?; // controller
    if at.length()? != 2 {
        return None;
    }
    let code = i16::from_be_bytes(at.take(2)?.try_into().ok()?);
    at.text()?; // name
    let id = Uuid::from_slice(at.take(16)?).ok()?;
    match code {
        0 if !id.is_nil() => Some(Answer::Id(id)),
        0 => None,
        UNKNOWN_TOPIC => Some(Answer::Unknown),
        code => Some(Answer::Error(code)),
    }
}

struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn skip(&mut self, n: usize) -> Option<()> {
        self.take(n).map(drop)
    }

    /// An unsigned varint: of arrays and texts the length plus one, 0 for null.
    fn length(&mut self) -> Option<usize> {
        let mut value = 0usize;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<()> {
        let length = self.length()?;
        self.skip(length.saturating_sub(1))
    }

    fn tags(&mut self) -> Option<()> {
        for _ in 0..self.length()? {
            self.length()?;
            let size = self.length()?;
            self.skip(size)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An answer with one broker and one topic, as Apache Kafka writes it.
    fn answer(code: i16, id: Uuid) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(1i32.to_be_bytes());
        out.push(0);
        out.extend(0i32.to_be_bytes());
        out.push(2);
        out.extend(7i32.to_be_bytes());
        out.extend(b"\x0a127.0.0.1");
        out.extend(9092i32.to_be_bytes());
        out.extend([0, 0]); // no rack, no tags
        out.extend(b"\x05clus");
        out.extend(7i32.to_be_bytes());
        out.push(2);
        out.extend(code.to_be_bytes());
        out.extend(b"\x03fw");
        out.extend(id.as_bytes());
        out.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        out
    }

    #[test]
    fn an_answer_names_the_id_or_why_not() {
        let id = Uuid::from_u128(42);
        assert_eq!(parse(&answer(0, id)), Some(Answer::Id(id)));
        assert_eq!(parse(&answer(3, Uuid::nil())), Some(Answer::Unknown));
        assert_eq!(parse(&answer(29, Uuid::nil())), Some(Answer::Error(29)));
        assert_eq!(parse(&answer(0, Uuid::nil())), None, "a topic older than ids");
    }

    #[test]
    fn a_cut_or_strange_answer_is_refused() {
        let whole = answer(0, Uuid::from_u128(42));
        let needed = whole.len() - 8;
        for length in 0..needed {
            assert_eq!(parse(&whole[..length]), None, "{length} bytes");
        }
        assert_eq!(parse(&[0xff; 64]), None);
    }

    #[test]
    fn the_first_broker_that_answers_is_believed() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let server = std::thread::Builder::new().name("broker".to_owned()).spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut length = [0; 4];
            stream.read_exact(&mut length).expect("a length");
            let mut body = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut body).expect("a request");
            let answer = answer(0, Uuid::from_u128(42));
            stream.write_all(&(answer.len() as u32).to_be_bytes()).expect("written");
            stream.write_all(&answer).expect("written");
            body
        });
        let server = server.expect("a thread");
        let brokers = format!("127.0.0.1:1, {address}");
        let id = fetch(&brokers, "fw", Duration::from_secs(5)).expect("an id");
        assert_eq!(id, Uuid::from_u128(42).simple().to_string());
        let body = server.join().expect("served");
        assert_eq!(body[..4], [0, 3, 0, 10]);
        assert!(body.windows(3).any(|w| w == b"\x03fw"));
    }

    #[test]
    fn a_broker_that_is_not_there_is_named() {
        let error = fetch("127.0.0.1:1", "fw", Duration::from_secs(1)).expect_err("nobody listens");
        assert!(error.to_string().contains("127.0.0.1:1") && error.to_string().contains("`fw`"), "{error}");
    }
}
