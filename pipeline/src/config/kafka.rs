//! Sources of kind `kafka`, and the topic that takes alerts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use dataflow::ClientSettings;
use ingest::kafka::{TenantRule, TopicPattern, UNASSIGNED};
use serde::Deserialize;

use super::raw::{confined, line_limit, maybe_duration};
use super::security::{RawSecurity, client_settings};
use super::{AlertTopic, Before, KafkaSource, KafkaTopics, SourceConfig};

/// A name, or where it is found: `{header: tenant}`, `{topic: "logs.{tenant}"}`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum RawTenant {
    Name(String),
    Found(RawFound),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFound {
    header: Option<String>,
    otherwise: Option<String>,
    topic: Option<String>,
}

/// A list, or a pattern.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawTopics {
    List(Vec<String>),
    Pattern(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKafka {
    brokers: String,
    topic: Option<String>,
    topics: Option<RawTopics>,
    #[serde(default, deserialize_with = "maybe_duration")]
    discovery_interval: Option<Duration>,
    group: Option<String>,
    instance: Option<String>,
    partitions: Option<u32>,
    line_limit: Option<ByteSize>,
    #[serde(default, deserialize_with = "maybe_duration")]
    session_timeout: Option<Duration>,
    security: Option<RawSecurity>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlertTopic {
    brokers: String,
    topic: String,
    security: Option<RawSecurity>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

/// A file of its own, for commands that write to Kafka.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClient {
    security: Option<RawSecurity>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
}

/// Settings of a client that has a file of its own.
///
/// # Errors
/// Names the key and what to change.
pub(super) fn client(base: &Path, raw: RawClient) -> Result<ClientSettings, String> {
    client_settings(base, "client", raw.security, raw.settings)
}

/// Where alerts go beside the table.
///
/// # Errors
/// As [`client`].
pub(super) fn alert_topic(base: &Path, place: &str, raw: RawAlertTopic) -> Result<AlertTopic, String> {
    let settings = client_settings(base, &format!("{place}.kafka"), raw.security, raw.settings)?;
    Ok(AlertTopic { brokers: raw.brokers, topic: raw.topic, settings })
}

/// A source for each topic, or one for all that a pattern takes.
///
/// # Errors
/// As [`client`].
pub(super) fn sources(
    base: &Path,
    index: usize,
    name: Option<String>,
    tenant: Option<RawTenant>,
    kafka: RawKafka,
) -> Result<Vec<SourceConfig>, String> {
    let place = format!("sources[{index}].kafka");
    let (topics, is_one) = match (kafka.topic, kafka.topics) {
        (Some(topic), None) => (RawTopics::List(vec![topic]), true),
        (None, Some(RawTopics::List(topics))) if topics.is_empty() => {
            return Err(format!("{place}: `topics` with at least one"));
        }
        (None, Some(topics)) => (topics, false),
        _ => return Err(format!("{place}: `topic`, or `topics`")),
    };
    if !is_one && name.is_some() {
        return Err(format!("sources[{index}].name: with `topics` rows have the names of their topics; leave it out"));
    }
    let instance = kafka.instance.map(|instance| instance.replace("{hostname}", &crate::setup::hostname()));
    if let Some(instance) = &instance {
        confined(&format!("{place}.instance"), instance)?;
    }
    let source = KafkaSource {
        name: String::new(),
        tenant: tenant_rule(&format!("sources[{index}].tenant"), tenant)?,
        brokers: kafka.brokers,
        topic: String::new(),
        group: kafka.group.unwrap_or_else(|| "palisade".to_owned()),
        instance,
        partitions: kafka.partitions.unwrap_or(1),
        line_limit: line_limit(kafka.line_limit),
        session_timeout: kafka.session_timeout.unwrap_or(Duration::from_secs(45)),
        settings: client_settings(base, &place, kafka.security, kafka.settings)?,
    };
    let place = format!("sources[{index}].name");
    match topics {
        RawTopics::List(topics) if is_one => {
            let sources = topics.into_iter().map(|topic| {
                let name = name.clone().unwrap_or_else(|| topic.clone());
                confined(&place, &name)?;
                Ok(SourceConfig::Kafka(KafkaSource { name, topic, ..source.clone() }))
            });
            sources.collect()
        }
        RawTopics::List(topics) => {
            topics.iter().map(|topic| Ok(SourceConfig::Kafka(source.of_topic(&place, topic)?))).collect()
        }
        RawTopics::Pattern(pattern) => {
            let pattern = TopicPattern::new(&pattern).map_err(|e| format!("sources[{index}].kafka.topics: {e}"))?;
            let interval = kafka.discovery_interval.unwrap_or(Duration::from_secs(10));
            Ok(vec![SourceConfig::KafkaTopics(KafkaTopics { pattern, interval, before: Vec::new(), common: source })])
        }
    }
}

/// Tells patterns who else may have a topic: a source that is named as it, and a pattern that stands before. All workers decide
/// alike then, whenever they see the topic.
pub(super) fn give_way(sources: &mut [SourceConfig]) {
    let mut before: Vec<Before> =
        sources.iter().filter_map(SourceConfig::topic).map(|name| Before::Name(name.to_owned())).collect();
    for source in sources {
        if let SourceConfig::KafkaTopics(topics) = source {
            topics.before.clone_from(&before);
            before.push(Before::Pattern(topics.pattern.clone()));
        }
    }
}

impl KafkaSource {
    /// The source of one of several topics: each has a member of the group to itself.
    ///
    /// # Errors
    /// If the topic's name cannot be a source's.
    fn of_topic(&self, place: &str, topic: &str) -> Result<Self, String> {
        confined(place, topic)?;
        let instance = self.instance.as_ref().map(|instance| format!("{instance}.{topic}"));
        Ok(Self { name: topic.to_owned(), topic: topic.to_owned(), instance, ..self.clone() })
    }
}

impl KafkaTopics {
    /// The source of a topic that the pattern takes, unless it is left to somebody else.
    ///
    /// # Errors
    /// If the topic's name cannot be a source's.
    pub(crate) fn source(&self, topic: &str) -> Result<Option<KafkaSource>, String> {
        let has_it = |before: &Before| match before {
            Before::Name(name) => name == topic,
            Before::Pattern(pattern) => pattern.takes(topic),
        };
        if !self.pattern.takes(topic) || self.before.iter().any(has_it) {
            return Ok(None);
        }
        self.common.of_topic("the topic's name", topic).map(Some)
    }
}

fn tenant_rule(place: &str, raw: Option<RawTenant>) -> Result<TenantRule, String> {
    let fixed = |name: String| confined(place, &name).map(|()| TenantRule::Fixed(name.into()));
    match raw {
        None => fixed("default".to_owned()),
        Some(RawTenant::Name(name)) => fixed(name),
        Some(RawTenant::Found(RawFound { header: Some(key), otherwise, topic: None })) => {
            let otherwise = otherwise.unwrap_or_else(|| UNASSIGNED.to_owned());
            confined(&format!("{place}.otherwise"), &otherwise)?;
            Ok(TenantRule::Header { key, otherwise: otherwise.into() })
        }
        Some(RawTenant::Found(RawFound { header: None, otherwise: None, topic: Some(template) })) => {
            match template.matches("{tenant}").count() {
                1 => Ok(TenantRule::Topic(template)),
                _ => Err(format!("{place}.topic: `{template}` must hold `{{tenant}}` once")),
            }
        }
        Some(RawTenant::Found(_)) => Err(format!(
            "{place}: a name, {{header: KEY}} or {{topic: \"logs.{{tenant}}\"}}; `otherwise` goes with `header`"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(name: Option<&str>, yaml: &str) -> Result<Vec<SourceConfig>, String> {
        let raw: RawKafka = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
        sources(Path::new(""), 0, name.map(str::to_owned), None, raw)
    }

    fn parsed(name: Option<&str>, yaml: &str) -> Result<Vec<KafkaSource>, String> {
        let topic = |source| match source {
            SourceConfig::Kafka(topic) => topic,
            other => panic!("{other:?}"),
        };
        Ok(all(name, yaml)?.into_iter().map(topic).collect())
    }

    #[test]
    fn a_topic_of_a_pattern_is_a_source_unless_somebody_else_has_it() {
        let of = |yaml| all(None, yaml).expect("right");
        let mut sources = of(r#"{brokers: b:1, topics: ["fw.eu"]}"#);
        sources.extend(of(r#"{brokers: b:1, topics: '^fw\.[a-m].*', instance: i, discovery_interval: 2s}"#));
        sources.extend(of(r#"{brokers: b:1, topics: "^.*"}"#));
        give_way(&mut sources);
        let [_, SourceConfig::KafkaTopics(first), SourceConfig::KafkaTopics(second)] = &sources[..] else {
            panic!("{sources:?}")
        };
        assert_eq!((first.interval, second.interval), (Duration::from_secs(2), Duration::from_secs(10)));
        for (topic, in_first, in_second) in [
            ("fw.asia", true, false),
            ("fw.eu", false, false),
            ("fw.us", false, true),
            ("vpn", false, true),
            ("__consumer_offsets", false, false),
        ] {
            let taken = [first, second].map(|topics| topics.source(topic).expect("a name").is_some());
            assert_eq!(taken, [in_first, in_second], "{topic}");
        }
        let asia = first.source("fw.asia").expect("a name").expect("a source");
        assert_eq!((&*asia.name, &*asia.topic, asia.instance.as_deref()), ("fw.asia", "fw.asia", Some("i.fw.asia")));
        assert!(second.source(&"x".repeat(200)).is_err());
    }

    #[test]
    fn each_topic_is_a_source() {
        let found = parsed(None, "{brokers: b:1, topics: [fw.a, fw.b], group: g, instance: i}").expect("right");
        let told: Vec<_> = found.iter().map(|s| (&*s.name, &*s.topic, s.instance.as_deref())).collect();
        assert_eq!(told, [("fw.a", "fw.a", Some("i.fw.a")), ("fw.b", "fw.b", Some("i.fw.b"))]);
        let found = parsed(Some("firewall"), "{brokers: b:1, topic: fw, instance: \"w-{hostname}\"}").expect("right");
        let host = crate::setup::hostname();
        assert_eq!((&*found[0].name, &*found[0].topic), ("firewall", "fw"));
        assert_eq!(found[0].instance, Some(format!("w-{host}")));
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (name, yaml, want) in [
            (None, "{brokers: b:1}", "sources[0].kafka: `topic`, or `topics`"),
            (None, "{brokers: b:1, topics: []}", "`topics` with at least one"),
            (None, "{brokers: b:1, topics: fw}", "sources[0].kafka.topics: `fw`: a pattern begins with `^`"),
            (Some("x"), "{brokers: b:1, topics: ^fw}", "leave it out"),
            (None, "{brokers: b:1, topic: a, topics: [b]}", "`topic`, or `topics`"),
            (Some("x"), "{brokers: b:1, topics: [a]}", "leave it out"),
            (None, "{brokers: b:1, topic: a, instance: \"a b\"}", "sources[0].kafka.instance: `a b`"),
            (None, "{brokers: b:1, topics: [a/b]}", "sources[0].name: `a/b`"),
        ] {
            let error = parsed(name, yaml).expect_err(yaml);
            assert!(error.contains(want), "{yaml}: {error}");
        }
    }
}
