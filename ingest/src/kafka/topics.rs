//! Topics by pattern: which of the brokers' topics are taken.

use std::collections::BTreeSet;

use dataflow::SourceError;
use regex::Regex;

use super::brokers::Brokers;
use super::{KafkaConfig, KafkaError};

/// A regular expression that begins with `^`, as librdkafka has it: what it finds at the beginning of a topic's name takes the topic.
/// Topics whose names begin with `_` are Kafka's own, and never taken.
#[derive(Debug, Clone)]
pub struct TopicPattern(Regex);

impl TopicPattern {
    /// # Errors
    /// If it does not begin with `^`, or is no regular expression.
    pub fn new(text: &str) -> Result<Self, String> {
        if !text.starts_with('^') {
            return Err(format!("`{text}`: a pattern begins with `^`; one topic is a list of one"));
        }
        Regex::new(text).map(Self).map_err(|e| format!("`{text}` is no regular expression: {e}"))
    }

    /// The regular expression.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// True if the topic is meant.
    pub fn takes(&self, topic: &str) -> bool {
        !topic.starts_with('_') && self.0.is_match(topic)
    }
}

/// A client that asks the brokers which topics there are.
pub struct TopicFinder {
    brokers: Brokers,
    pattern: TopicPattern,
}

impl TopicFinder {
    /// Connects when first asked.
    ///
    /// # Errors
    /// If the configuration cannot be used.
    pub fn new(config: &KafkaConfig, pattern: TopicPattern) -> Result<Self, SourceError> {
        let brokers = Brokers::new(config).map_err(|e| Self::failed(&pattern, e))?;
        Ok(Self { brokers, pattern })
    }

    /// The topics that there are now, that this user may see, and that the pattern takes. Waits for the brokers.
    ///
    /// # Errors
    /// If they do not answer.
    pub fn topics(&self) -> Result<BTreeSet<String>, SourceError> {
        let mut names = self.brokers.names().map_err(|e| Self::failed(&self.pattern, e))?;
        names.retain(|name| self.pattern.takes(name));
        Ok(names)
    }

    fn failed(pattern: &TopicPattern, error: KafkaError) -> SourceError {
        error.into_source(pattern.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_what_it_finds_and_nothing_of_kafkas_own() {
        for (pattern, topic, want) in [
            (r"^fw\..*", "fw.eu", true),
            (r"^fw\..*", "fw", false),
            (r"^fw\..*", "old.fw.eu", false),
            (r"^fw\.[a-z]+$", "fw.eu-2", false),
            ("^fw", "fwd", true),
            ("^.*", "fw", true),
            ("^.*", "__consumer_offsets", false),
            ("^_.*", "_schemas", false),
        ] {
            assert_eq!(TopicPattern::new(pattern).expect("a pattern").takes(topic), want, "{pattern} {topic}");
        }
        for (pattern, want) in [("fw", "begins with `^`"), ("^fw(", "no regular expression")] {
            let error = TopicPattern::new(pattern).expect_err(pattern);
            assert!(error.contains(want), "{error}");
        }
    }
}
