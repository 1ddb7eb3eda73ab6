//! Topics by pattern: those that are there at the start and those that come later, each opened as a source of its own.
//!
//! One task a pattern. A topic that cannot be read is told, counted, and tried again; the others are read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use dataflow::Source;
use ingest::kafka::TopicFinder;
use prometheus::IntGauge;
use tokio::sync::{mpsc, watch};

use crate::config::KafkaTopics;
use crate::intake;
use crate::setup::{self, Opener};

/// The topics of a pattern.
pub(crate) struct Discovery {
    topics: KafkaTopics,
    finder: Arc<TopicFinder>,
    opener: Opener,
    /// Those that are read.
    read: BTreeSet<String>,
    refused: Refused,
}

/// Topics that are not read, and why: what was told is told again only when it is otherwise.
struct Refused {
    told: BTreeMap<String, String>,
    gauge: IntGauge,
}

impl Discovery {
    pub(crate) fn new(topics: KafkaTopics, opener: Opener, gauge: IntGauge) -> anyhow::Result<Self> {
        let finder = TopicFinder::new(&setup::kafka_config(&topics.common, true), topics.pattern.clone())?;
        let refused = Refused { told: BTreeMap::new(), gauge };
        Ok(Self { topics, finder: Arc::new(finder), opener, read: BTreeSet::new(), refused })
    }

    /// Opens every topic that is there and is not read yet, as far as it can be.
    ///
    /// # Errors
    /// If the brokers do not answer.
    pub(crate) async fn look(&mut self) -> anyhow::Result<Vec<Box<dyn Source>>> {
        let finder = self.finder.clone();
        // It asks the brokers, and waits for them.
        let names = tokio::task::spawn_blocking(move || finder.topics()).await??;
        self.refused.keep(&names);
        let mut found = Vec::new();
        for name in names.difference(&self.read.clone()) {
            match self.open(name).await {
                Ok(source) => {
                    self.refused.forget(name);
                    self.read.insert(name.clone());
                    found.extend(source);
                }
                Err(error) => self.refused.tell(name, &error),
            }
        }
        Ok(found)
    }

    /// None if the topic is somebody else's.
    async fn open(&self, name: &str) -> anyhow::Result<Option<Box<dyn Source>>> {
        let Some(kafka) = self.topics.source(name).map_err(anyhow::Error::msg)? else { return Ok(None) };
        let source = self.opener.kafka(&kafka).await?;
        tracing::info!(topic = name, partitions = source.partitions().len(), "a topic of the pattern is read");
        Ok(Some(source))
    }

    /// As [`Discovery::look`], of topics that must all be readable.
    ///
    /// # Errors
    /// If the brokers do not answer, or a topic cannot be read.
    pub(crate) async fn look_once(mut self) -> anyhow::Result<Vec<Box<dyn Source>>> {
        let found = self.look().await?;
        match self.refused.told.into_iter().next() {
            Some((topic, why)) => Err(anyhow::Error::msg(why)).context(format!("topic {topic}")),
            None => Ok(found),
        }
    }

    /// Hands over what comes, until `stop` or until nobody takes it.
    ///
    /// # Errors
    /// Never: brokers that do not answer are asked again.
    pub(crate) async fn run(
        mut self,
        found: mpsc::Sender<Box<dyn Source>>,
        mut stop: watch::Receiver<bool>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                () = intake::stopped(&mut stop) => return Ok(()),
                () = tokio::time::sleep(self.topics.interval) => {}
            }
            let sources = match self.look().await {
                Ok(sources) => sources,
                Err(error) => {
                    let pattern = self.topics.pattern.as_str();
                    tracing::warn!(pattern, error = format!("{error:#}"), "topics could not be asked for");
                    continue;
                }
            };
            for source in sources {
                if found.send(source).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

impl Refused {
    fn tell(&mut self, topic: &str, error: &anyhow::Error) {
        let why = format!("{error:#}");
        if self.told.get(topic) != Some(&why) {
            tracing::error!(topic, why, "a topic of the pattern is not read; the others are");
            self.told.insert(topic.to_owned(), why);
        }
        self.count();
    }

    fn forget(&mut self, topic: &str) {
        self.told.remove(topic);
        self.count();
    }

    /// Forgets topics that are not there any more.
    fn keep(&mut self, names: &BTreeSet<String>) {
        self.told.retain(|topic, _| names.contains(topic));
        self.count();
    }

    fn count(&self) {
        self.gauge.set(i64::try_from(self.told.len()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_topic_that_is_refused_counts_until_it_is_read_or_gone() {
        let gauge = IntGauge::new("refused", "of a test").expect("a name");
        let mut refused = Refused { told: BTreeMap::new(), gauge: gauge.clone() };
        refused.tell("fw.a", &anyhow!("not allowed"));
        refused.tell("fw.b", &anyhow!("re-created"));
        refused.tell("fw.b", &anyhow!("re-created"));
        assert_eq!(gauge.get(), 2);
        refused.forget("fw.a");
        assert_eq!(gauge.get(), 1);
        refused.keep(&BTreeSet::from(["fw.a".to_owned()]));
        assert_eq!(gauge.get(), 0);
    }
}
