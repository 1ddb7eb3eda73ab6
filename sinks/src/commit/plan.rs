//! What one commit of one table takes in: the files of the entries between the table's `palisade.next` and the ledger's
//! end. Built on a table as it was loaded; sent only if the table is still so.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use dataflow::{OffsetRange, PartitionId, Positions, Table, mutant};
use iceberg::table::Table as IcebergTable;

use super::guard::Expected;
use crate::ledger::{MergeEntry, SourceEntry, StagedFile, TableFiles};
use crate::warehouse::{MERGE_TABLES, Nexts, Warehouse, merge_key, source_key};
use crate::{Destination, Error, Result};

/// One pass over all tables: what of the ledger it has seen.
#[derive(Debug, Default)]
pub(super) struct Pass {
    known: BTreeSet<Destination>,
    /// Tables that are not done, in the order in which they are committed.
    waiting: BTreeSet<(usize, Destination)>,
    pub(super) partitions: Vec<PartitionId>,
    pub(super) groups: Vec<u32>,
    /// Entries read in this pass, for the tables after the first. They are dropped with the pass.
    entries: HashMap<(PartitionId, i64), Arc<SourceEntry>>,
    /// For each table that is done: up to where it has all rows.
    ends: BTreeMap<Destination, Positions>,
}

/// Entries that hold nothing for a table whose `palisade.next` is `from`: they need not be read again.
#[derive(Debug, Clone, Copy)]
struct Skipped {
    from: i64,
    upto: i64,
    entries: usize,
}

/// What the passes of one committer remember of each other.
#[derive(Debug, Default)]
pub(super) struct Memory {
    skipped: HashMap<(Destination, PartitionId), Skipped>,
    /// The mutant `no-re-commit` takes what others put into the ledger as committed.
    only_of: Option<String>,
}

impl Memory {
    pub(super) fn of(writer: &str) -> Self {
        Self { only_of: mutant::is("no-re-commit").then(|| writer.to_owned()), ..Self::default() }
    }
}

/// See the module's front.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) table: Destination,
    pub(super) base: IcebergTable,
    pub(super) expected: Expected,
    pub(super) sets: BTreeMap<String, i64>,
    pub(super) files: Vec<StagedFile>,
    pub(super) ranges: BTreeMap<PartitionId, OffsetRange>,
    pub(super) steps: BTreeMap<u32, std::ops::Range<i64>>,
    pub(super) watermark: Option<i64>,
    /// Entries with rows of this table.
    pub(super) entries: Vec<Arc<SourceEntry>>,
    /// Merge steps with rows of this table.
    pub(super) merges: Vec<Arc<MergeEntry>>,
    /// The largest number of entries of a partition or group that the table is behind.
    pub(super) behind: usize,
    /// A chain goes on beyond what one commit takes.
    pub(super) more: bool,
    ends: Positions,
}

impl Pass {
    pub(super) async fn begin(warehouse: &Warehouse) -> Result<Self> {
        let partitions = warehouse.ledger().partitions().await?;
        let groups = warehouse.ledger().merge_groups().await?;
        let mut pass = Self { partitions, groups, ..Self::default() };
        pass.learn(warehouse.find_destinations().await?);
        Ok(pass)
    }

    fn learn(&mut self, tables: Vec<Destination>) {
        for table in tables {
            if self.known.insert(table) {
                self.waiting.insert((super::rank(table.table()), table));
            }
        }
    }

    /// Looks for tables again if an entry names one that was made after the pass began.
    async fn learn_of(&mut self, warehouse: &Warehouse, tables: &BTreeMap<Destination, TableFiles>) -> Result<()> {
        if tables.keys().all(|table| self.known.contains(table)) {
            return Ok(());
        }
        self.learn(warehouse.find_destinations().await?);
        match tables.keys().find(|table| !self.known.contains(table)) {
            None => Ok(()),
            Some(table) => {
                let path = warehouse.ledger().paths().destination(&table.to_string());
                Err(Error::Missing { path, named_by: "a ledger entry".to_owned() })
            }
        }
    }

    /// The table that is to be committed next.
    pub(super) fn next_table(&mut self) -> Option<Destination> {
        self.waiting.pop_first().map(|(_, table)| table)
    }

    /// True if nothing waits for a table, by what is known without loading it. Most tables that one tenant has alone get rows in
    /// few passes, and there are many of them.
    pub(super) async fn is_idle(
        &mut self,
        warehouse: &Warehouse,
        table: Destination,
        memory: &mut Memory,
    ) -> Result<bool> {
        if table.namespace().is_none() || MERGE_TABLES.contains(&table.table()) {
            return Ok(false);
        }
        let mut ends = Positions::new();
        for partition in self.partitions.clone() {
            let key = (table, partition.clone());
            let Some(mut skipped) = memory.skipped.get(&key).copied() else { return Ok(false) };
            while let Some(entry) = self.entry(warehouse, (&partition, skipped.upto)).await? {
                skipped.upto = entry.next;
                skipped.entries += 1;
                if entry.tables.contains_key(&table) || skipped.entries >= warehouse.config().lag_entries_max {
                    return Ok(false);
                }
            }
            // What we remember may have been collected meanwhile.
            let end = self.ends.get(&Destination::from(Table::NetworkActivity)).and_then(|ends| ends.get(&partition));
            if end.is_none_or(|end| *end > skipped.upto) {
                return Ok(false);
            }
            memory.skipped.insert(key, skipped);
            ends.insert(partition, skipped.upto);
        }
        self.ends.insert(table, ends);
        Ok(true)
    }

    /// Up to where a table has all rows, if it is done.
    pub(super) fn ends(&self, table: Destination) -> Option<&Positions> {
        self.ends.get(&table)
    }

    /// Notes that a table has all that its plan says.
    pub(super) fn done(&mut self, plan: &Plan) {
        self.ends.insert(plan.table, plan.ends.clone());
    }

    /// Whether every row that a merge step was made from can be read: evidence stands in a table before its alert does.
    fn is_covered(&self, own: &Positions, vector: &BTreeMap<PartitionId, i64>) -> bool {
        vector.iter().all(|(partition, &next)| {
            let reached = |ends: &Positions| ends.get(partition).is_none_or(|&end| end >= next);
            let mut events = self
                .known
                .iter()
                .filter(|to| Table::EVENTS.contains(&to.table()) && to.table() != Table::DetectionFinding);
            reached(own) && events.all(|to| self.ends.get(to).is_some_and(reached))
        })
    }

    async fn entry(&mut self, warehouse: &Warehouse, at: (&PartitionId, i64)) -> Result<Option<Arc<SourceEntry>>> {
        let key = (at.0.clone(), at.1);
        if let Some(entry) = self.entries.get(&key) {
            return Ok(Some(entry.clone()));
        }
        let entry = warehouse.ledger().get_source(at.0, at.1).await?.map(Arc::new);
        if let Some(entry) = &entry {
            self.learn_of(warehouse, &entry.tables).await?;
            self.entries.insert(key, entry.clone());
        }
        Ok(entry)
    }
}

impl Plan {
    /// The plan for a table as it is now.
    pub(super) async fn build(
        warehouse: &Warehouse,
        table: Destination,
        pass: &mut Pass,
        memory: &mut Memory,
    ) -> Result<Self> {
        let base = warehouse.load_table(table).await?;
        let nexts = Nexts::read(&warehouse.config().region, table, base.metadata())?;
        let mut plan = Self::empty(table, base);
        for partition in pass.partitions.clone() {
            plan.add_partition(warehouse, &partition, nexts.sources.get(&partition).copied(), pass, memory).await?;
        }
        if MERGE_TABLES.contains(&table.table()) {
            for group in pass.groups.clone() {
                plan.add_group(warehouse, group, nexts.merges.get(&group).copied(), pass).await?;
            }
        }
        Ok(plan)
    }

    pub(super) fn empty(table: Destination, base: IcebergTable) -> Self {
        Self {
            table,
            base,
            expected: Expected::new(),
            sets: BTreeMap::new(),
            files: Vec::new(),
            ranges: BTreeMap::new(),
            steps: BTreeMap::new(),
            watermark: None,
            entries: Vec::new(),
            merges: Vec::new(),
            behind: 0,
            more: false,
            ends: Positions::new(),
        }
    }

    async fn add_partition(
        &mut self,
        warehouse: &Warehouse,
        partition: &PartitionId,
        next: Option<i64>,
        pass: &mut Pass,
        memory: &mut Memory,
    ) -> Result<()> {
        let first = match next {
            Some(next) => Some(next),
            None => warehouse.ledger().first(partition).await?,
        };
        let Some(from) = first else { return Ok(()) };
        let key = (self.table, partition.clone());
        let none = Skipped { from, upto: from, entries: 0 };
        let mut skipped = memory.skipped.get(&key).copied().filter(|s| s.from == from).unwrap_or(none);
        let taken = self.entries.len();
        let mut end = skipped.upto;
        let mut seen = 0;
        while seen < warehouse.config().commit_entries_max
            && let Some(entry) = pass.entry(warehouse, (partition, end)).await?
        {
            end = entry.next;
            seen += 1;
            self.watermark = self.watermark.min(entry.watermark).or(entry.watermark);
            if memory.only_of.as_ref().is_none_or(|writer| *writer == entry.writer) {
                self.take_source(entry);
            }
        }
        self.more |= seen == warehouse.config().commit_entries_max;
        if self.entries.len() == taken {
            skipped = Skipped { from, upto: end, entries: skipped.entries + seen };
            memory.skipped.insert(key, skipped);
        }
        self.behind = self.behind.max(skipped.entries);
        self.ends.insert(partition.clone(), end);
        if end > from {
            self.move_source(&warehouse.config().region, partition, next, OffsetRange { start: from, next: end });
        }
        Ok(())
    }

    /// Takes the files of an entry, if it has any for this table.
    pub(super) fn take_source(&mut self, entry: Arc<SourceEntry>) {
        if let Some(files) = entry.tables.get(&self.table).filter(|f| !f.files.is_empty()) {
            self.files.extend(files.files.iter().cloned());
            self.entries.push(entry);
        }
    }

    /// Moves `palisade.next` of a partition over a range; `next` is what it must be until then.
    pub(super) fn move_source(&mut self, region: &str, partition: &PartitionId, next: Option<i64>, range: OffsetRange) {
        let key = source_key(region, partition);
        self.expected.insert(key.clone(), next);
        self.sets.insert(key, range.next);
        self.ranges.insert(partition.clone(), range);
    }

    async fn add_group(&mut self, warehouse: &Warehouse, group: u32, next: Option<i64>, pass: &mut Pass) -> Result<()> {
        let first = match next {
            Some(next) => Some(next),
            None => warehouse.ledger().first_merge(group).await?,
        };
        let Some(from) = first else { return Ok(()) };
        let limit = warehouse.config().commit_entries_max;
        let steps = warehouse.ledger().walk_merge(group, from, limit).await?;
        let mut to = from;
        for step in steps {
            if !pass.is_covered(&self.ends, &step.vector) {
                break;
            }
            pass.learn_of(warehouse, &step.tables).await?;
            to = step.step + 1;
            if let Some(files) = step.tables.get(&self.table).filter(|f| !f.files.is_empty()) {
                self.files.extend(files.files.iter().cloned());
                self.merges.push(Arc::new(step));
            }
        }
        self.more |= (to - from) as usize == limit;
        self.behind = self.behind.max((to - from) as usize);
        if to > from {
            let key = merge_key(&warehouse.config().region, group);
            self.expected.insert(key.clone(), next);
            self.sets.insert(key, to);
            self.steps.insert(group, from..to);
        }
        Ok(())
    }
}
