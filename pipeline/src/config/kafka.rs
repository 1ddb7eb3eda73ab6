//! Sources of kind `kafka`, and the topic that takes alerts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use dataflow::ClientSettings;
use ingest::kafka::{TenantRule, UNASSIGNED};
use serde::Deserialize;

use super::raw::{confined, line_limit, maybe_duration};
use super::security::{RawSecurity, client_settings};
use super::{AlertTopic, KafkaSource};

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

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawKafka {
    brokers: String,
    topic: Option<String>,
    topics: Option<Vec<String>>,
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

/// A source for each topic.
///
/// # Errors
/// As [`client`].
pub(super) fn sources(
    base: &Path,
    index: usize,
    name: Option<String>,
    tenant: Option<RawTenant>,
    kafka: RawKafka,
) -> Result<Vec<KafkaSource>, String> {
    let place = format!("sources[{index}].kafka");
    let (topics, is_list) = match (kafka.topic, kafka.topics) {
        (Some(topic), None) => (vec![topic], false),
        (None, Some(topics)) if !topics.is_empty() => (topics, true),
        _ => return Err(format!("{place}: `topic`, or `topics` with at least one")),
    };
    if is_list && name.is_some() {
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
        instance: None,
        partitions: kafka.partitions.unwrap_or(1),
        line_limit: line_limit(kafka.line_limit),
        session_timeout: kafka.session_timeout.unwrap_or(Duration::from_secs(45)),
        settings: client_settings(base, &place, kafka.security, kafka.settings)?,
    };
    let of_topic = |topic: String| {
        let name = name.clone().unwrap_or_else(|| topic.clone());
        confined(&format!("sources[{index}].name"), &name)?;
        // Each topic has a member of the group to itself.
        let instance = instance.as_ref().map(|i| if is_list { format!("{i}.{topic}") } else { i.clone() });
        Ok(KafkaSource { name, topic, instance, ..source.clone() })
    };
    topics.into_iter().map(of_topic).collect()
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

    fn parsed(name: Option<&str>, yaml: &str) -> Result<Vec<KafkaSource>, String> {
        let raw: RawKafka = serde_saphyr::from_str(yaml).map_err(|e| e.to_string())?;
        sources(Path::new(""), 0, name.map(str::to_owned), None, raw)
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
