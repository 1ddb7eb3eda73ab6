//! Whose records a message's are: decided by the source, never by the payload.

use std::sync::Arc;

use rdkafka::message::{Headers, Message};

/// How a topic's tenants are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TenantRule {
    /// All records are one tenant's.
    Fixed(Arc<str>),
    /// The topic's name holds the tenant: `logs.{tenant}`.
    Topic(String),
    /// A header of each message names the tenant; messages without a usable one are `otherwise`'s.
    Header {
        /// The header's key.
        key: String,
        /// Who has the messages that name nobody.
        otherwise: Arc<str>,
    },
}

/// Who has messages whose header names nobody, unless the configuration says otherwise.
pub const UNASSIGNED: &str = "unassigned";

/// Longest name of a tenant.
const NAME_MAX: usize = 128;

/// Names tenants without an allocation a message: the last name is kept.
#[derive(Debug)]
pub(super) struct Tenants {
    rule: TenantRule,
    last: Arc<str>,
}

impl Tenants {
    /// None if the rule is a template that the topic's name does not fit.
    pub(super) fn of(rule: &TenantRule, topic: &str) -> Option<Self> {
        let last = match rule {
            TenantRule::Fixed(name) => name.clone(),
            TenantRule::Header { otherwise, .. } => otherwise.clone(),
            TenantRule::Topic(template) => from_topic(template, topic)?.into(),
        };
        Some(Self { rule: rule.clone(), last })
    }

    pub(super) fn name(&mut self, message: &impl Message) -> &Arc<str> {
        if let TenantRule::Header { key, otherwise } = &self.rule {
            let named = message.headers().and_then(|headers| {
                let value = headers.iter().find(|h| h.key == key)?.value?;
                std::str::from_utf8(value).ok().filter(|name| is_name(name))
            });
            match named {
                Some(name) if *self.last != *name => self.last = name.into(),
                None if self.last != *otherwise => self.last = otherwise.clone(),
                _ => {}
            }
        }
        &self.last
    }
}

/// The part of a topic's name that stands where the template says `{tenant}`.
fn from_topic<'a>(template: &str, topic: &'a str) -> Option<&'a str> {
    let (before, after) = template.split_once("{tenant}")?;
    topic.strip_prefix(before)?.strip_suffix(after).filter(|name| is_name(name))
}

/// Tenants become parts of names: the same characters as in the configuration.
fn is_name(name: &str) -> bool {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
    !name.is_empty() && name.len() <= NAME_MAX && !name.starts_with(['.', '_']) && name.bytes().all(fine)
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;

    fn message(tenant: Option<&[u8]>) -> OwnedMessage {
        let header = |value| OwnedHeaders::new().insert(Header { key: "tenant", value: Some(value) });
        OwnedMessage::new(None, None, "t".to_owned(), Timestamp::NotAvailable, 0, 0, tenant.map(header))
    }

    #[test]
    fn a_header_names_the_tenant_or_nobody_does() {
        let rule = TenantRule::Header { key: "tenant".into(), otherwise: UNASSIGNED.into() };
        let mut tenants = Tenants::of(&rule, "t").expect("no template");
        let long = "x".repeat(NAME_MAX + 1);
        let cases: [(Option<&[u8]>, &str); 7] = [
            (Some(b"acme"), "acme"),
            (None, UNASSIGNED),
            (Some(b"globex"), "globex"),
            (Some(b"../etc"), UNASSIGNED),
            (Some(b"\xff"), UNASSIGNED),
            (Some(long.as_bytes()), UNASSIGNED),
            (Some(b"acme"), "acme"),
        ];
        for (header, want) in cases {
            assert_eq!(&**tenants.name(&message(header)), want, "{header:?}");
        }
    }

    #[test]
    fn a_template_takes_the_tenant_from_the_topic() {
        let cases = [
            ("logs.{tenant}", "logs.acme", Some("acme")),
            ("{tenant}-fw", "acme-fw", Some("acme")),
            ("logs.{tenant}", "other.acme", None),
            ("logs.{tenant}", "logs.", None),
            ("logs", "logs", None),
        ];
        for (template, topic, want) in cases {
            let tenants = Tenants::of(&TenantRule::Topic(template.to_owned()), topic);
            let found = tenants.map(|mut t| t.name(&message(Some(b"ignored"))).to_string());
            assert_eq!(found.as_deref(), want, "{template} {topic}");
        }
    }
}
