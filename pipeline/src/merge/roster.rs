//! Which partitions there are, and which of them merge groups go with.

use std::collections::BTreeSet;

use dataflow::{PartitionId, Source};

/// Every partition of every source. Grows while the worker runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Roster {
    partitions: BTreeSet<PartitionId>,
    /// Those that are shared with other workers and are still there.
    shared: BTreeSet<PartitionId>,
    /// The topic of canaries, which does not lead: it has few partitions, and need not have anything else.
    canaries: Option<String>,
}

impl Roster {
    /// The partitions that the sources announce.
    pub(crate) fn of(sources: &[Box<dyn Source>], canaries: Option<&str>) -> Self {
        let of = |sources: &mut dyn Iterator<Item = &Box<dyn Source>>| sources.flat_map(|s| s.partitions()).collect();
        Self {
            partitions: of(&mut sources.iter()),
            shared: of(&mut sources.iter().filter(|s| s.is_shared())),
            canaries: canaries.map(str::to_owned),
        }
    }

    pub(crate) fn partitions(&self) -> &BTreeSet<PartitionId> {
        &self.partitions
    }

    /// A shared partition. True if it was not known.
    pub(super) fn add(&mut self, partition: PartitionId) -> bool {
        let is_new = self.shared.insert(partition.clone());
        self.partitions.insert(partition) || is_new
    }

    /// The partition is no more; what is merged of it counts on. True if it was there.
    pub(super) fn remove_from_lead(&mut self, partition: &PartitionId) -> bool {
        self.shared.remove(partition)
    }

    /// The partitions of the first shared topic by name that is not that of canaries, in order: the same for all workers that know the same topics, whenever
    /// they began. Empty if nothing is shared.
    pub(super) fn lead(&self) -> Vec<&PartitionId> {
        let may_lead = |p: &&PartitionId| self.canaries.as_deref() != Some(&*p.topic);
        let Some(first) = self.shared.iter().find(may_lead).or(self.shared.first()) else { return Vec::new() };
        let is_lead = |p: &&PartitionId| p.topic == first.topic && p.incarnation == first.incarnation;
        self.shared.iter().filter(is_lead).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_topic_by_name_leads_as_long_as_it_is_there() {
        let of = |topic: &str, n| PartitionId::new(topic, "i", n);
        let mut roster = Roster::default();
        let led = |roster: &Roster| roster.lead().iter().map(|p| p.to_string()).collect::<Vec<_>>().join(" ");
        for (partition, want) in [
            (of("fw.b", 1), "fw.b@i/1"),
            (of("fw.b", 0), "fw.b@i/0 fw.b@i/1"),
            (of("fw.c", 0), "fw.b@i/0 fw.b@i/1"),
            (of("fw.a", 0), "fw.a@i/0"),
        ] {
            assert!(roster.add(partition.clone()) && !roster.add(partition), "new once");
            assert_eq!(led(&roster), want);
        }
        assert!(roster.remove_from_lead(&of("fw.a", 0)) && !roster.remove_from_lead(&of("fw.a", 0)));
        assert_eq!(led(&roster), "fw.b@i/0 fw.b@i/1");
        assert_eq!(roster.partitions().len(), 4, "windows reckon with it as before");
        assert!(roster.add(of("fw.a", 0)), "it came back");
        roster.canaries = Some("fw.a".to_owned());
        assert_eq!(led(&roster), "fw.b@i/0 fw.b@i/1");
        let mut alone = Roster { canaries: Some("c".to_owned()), ..Roster::default() };
        alone.add(of("c", 0));
        assert_eq!(led(&alone), "c@i/0", "nothing else is shared");
    }
}
