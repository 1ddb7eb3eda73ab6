//! What librdkafka tells its client beside messages: topic ids, and why brokers cannot be used.
//!
//! The id of a topic (KIP-516) is in every metadata answer that librdkafka reads, but no function of the Rust client hands it out.
//! One line of its log does: `Topic fw changed id from AAAA to BBBB`, said when a topic's id is first seen and again when
//! another topic has taken the name. The line is of context `metadata` at level debug; docs/adr/0015 says what else was looked at.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError as ClientError;
use rdkafka::types::RDKafkaErrorCode as Code;
use uuid::Uuid;

/// Kept by a client's context. Bounded by the number of topics asked for.
#[derive(Debug, Default)]
pub(super) struct Heard(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    ids: BTreeMap<String, Uuid>,
    trouble: Option<Trouble>,
}

/// The last thing that went wrong with a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) code: Code,
    /// The broker, and what it or OpenSSL said.
    pub(super) reason: String,
}

impl Heard {
    /// Makes a client say what is listened for here.
    pub(super) fn listen(client: &mut ClientConfig) {
        let wanted = match client.get("debug") {
            Some(others) if !others.is_empty() => format!("{others},metadata"),
            _ => "metadata".to_owned(),
        };
        client.set("debug", wanted).set_log_level(RDKafkaLogLevel::Debug);
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the log. True if it told the id of a topic.
    pub(super) fn log(&self, line: &str) -> bool {
        let told = topic_id(line);
        if let Some((topic, id)) = told {
            self.said().ids.insert(topic.to_owned(), id);
        }
        told.is_some()
    }

    /// An error that is no answer to a question of ours.
    pub(super) fn error(&self, error: &ClientError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            // That all brokers are down says less than why the last one was.
            let mut said = self.said();
            if code != Code::AllBrokersDown || said.trouble.is_none() {
                said.trouble = Some(Trouble { code, reason: reason.to_owned() });
            }
        }
    }

    /// The id that a topic had when the brokers last told of it.
    pub(super) fn id(&self, topic: &str) -> Option<Uuid> {
        self.said().ids.get(topic).copied()
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.said().trouble.clone()
    }
}

/// What somebody can change of TLS.
const OF_CERTIFICATES: &str = "correct `ca`, `certificate` and `key` in `security`, or the brokers' certificates";

impl Trouble {
    /// True if asking again is of no use: somebody must change something.
    pub(super) fn is_refusal(&self) -> bool {
        let is_untrusted = self.code == Code::SSL && self.reason.contains("certificate verify failed");
        is_untrusted || matches!(self.code, Code::Authentication | Code::SaslAuthenticationFailed)
    }

    /// What somebody can change.
    pub(super) fn way_out(&self) -> &'static str {
        match self.code {
            // A broker that misses our certificate, or does not trust it, says so after the handshake.
            _ if self.reason.contains("SSL alert number") => OF_CERTIFICATES,
            Code::Authentication | Code::SaslAuthenticationFailed => {
                "correct `mechanism`, `username` and `password` in `security.sasl`, or make the user known to the brokers"
            }
            Code::SSL => OF_CERTIFICATES,
            Code::Resolve => "correct `brokers`, or the name service",
            _ => {
                "see that the brokers are up, and that `brokers` and `security.protocol` are those of one of their listeners"
            }
        }
    }
}

/// The topic and its id, of the line that tells them.
fn topic_id(line: &str) -> Option<(&str, Uuid)> {
    let (before, ids) = line.split_once(" changed id from ")?;
    let (_, topic) = before.rsplit_once("Topic ")?;
    let (_, id) = ids.split_once(" to ")?;
    let bytes = STANDARD_NO_PAD.decode(id.trim()).ok()?;
    Uuid::from_slice(&bytes).ok().filter(|id| !id.is_nil()).map(|id| (topic, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "[thrd:main]: Topic fw.a changed id from AAAAAAAAAAAAAAAAAAAAAA to AAAAAAAAAAAAAAAAAAAAKg";

    #[test]
    fn a_line_tells_a_topics_id() {
        for (line, want) in [
            (FIRST, Some(("fw.a", Uuid::from_u128(42)))),
            ("Topic fw changed id from AAAAAAAAAAAAAAAAAAAAKg to AAAAAAAAAAAAAAAAAAAAAA", None),
            ("Topic fw changed id from AAAAAAAAAAAAAAAAAAAAAA to short", None),
            ("[thrd:main]: Topic fw [0] Leader 1 Epoch 0", None),
            ("", None),
        ] {
            assert_eq!(topic_id(line), want, "{line}");
        }
    }

    #[test]
    fn the_last_id_and_the_last_cause_are_kept() {
        let heard = Heard::default();
        assert!(heard.log(FIRST) && !heard.log("[thrd:main]: Cache was not updated"));
        heard.log("Topic fw.a changed id from AAAAAAAAAAAAAAAAAAAAKg to AAAAAAAAAAAAAAAAAAAAKw");
        assert_eq!((heard.id("fw.a"), heard.id("fw")), (Some(Uuid::from_u128(43)), None));
        heard.error(&ClientError::Global(Code::Authentication), "sasl_ssl://b:1: no such user");
        heard.error(&ClientError::Global(Code::AllBrokersDown), "1/1 brokers are down");
        let trouble = heard.trouble().expect("an error");
        assert!(trouble.is_refusal() && trouble.reason.starts_with("sasl_ssl://b:1"), "{trouble:?}");
    }
}
