//! All partitions in turn: plain synchronous code, run by [`super::FileSource`] one step at a time.

use std::sync::Arc;

use dataflow::{ChunkBuffers, PartitionId, Positions, SourceEvent};

use super::error::FilesError;
use super::partition::{Limits, Partition};
use super::registry::{Registration, Registry};
use super::scan::Scanner;
use super::{FilesConfig, incarnation};

/// What a step came to.
#[derive(Debug)]
pub(super) enum Step {
    Event(SourceEvent),
    /// All is delivered; a later scan may find more.
    Wait,
    /// All is delivered and the end was said.
    Ended,
}

/// The source without its runtime.
#[derive(Debug)]
pub(super) struct Worker {
    registry: Registry,
    pub(super) scanner: Scanner,
    partitions: Vec<Partition>,
    limits: Limits,
    follow: bool,
    now: fn() -> i64,
    /// The partition that is asked next.
    turn: usize,
    has_ended: bool,
}

impl Worker {
    pub(super) fn open(config: FilesConfig, now: fn() -> i64) -> Result<Self, FilesError> {
        let config = checked(config)?;
        let FilesConfig { topic, tenant, globs, partitions, follow, line_limit, chunk_bytes, registry: shelf } = config;
        let place = shelf.place();
        let folder = std::path::absolute(&place).map_err(|e| FilesError::io("resolve", &place, e))?;
        let mut registry = Registry::open(shelf, &topic, partitions)?;
        let name: Arc<str> = topic.as_str().into();
        let incarnation: Arc<str> = incarnation(&topic).to_string().into();
        let buffers = ChunkBuffers::default();
        let partition = |p: u32| {
            let id = PartitionId::new(name.clone(), incarnation.clone(), p as i32);
            Partition::new(id, tenant.clone(), buffers.clone())
        };
        let mut known = Vec::new();
        registry.refresh(&mut known)?;
        registry.check_gaps()?;
        let mut worker = Self {
            registry,
            scanner: Scanner::new(globs, follow, folder),
            partitions: (0..partitions).map(partition).collect(),
            limits: Limits { line: line_limit, chunk: chunk_bytes },
            follow,
            now,
            turn: 0,
            has_ended: false,
        };
        worker.add(known);
        worker.scan()?;
        Ok(worker)
    }

    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.iter().map(|p| p.id.clone()).collect()
    }

    pub(super) fn seek(&mut self, positions: &Positions) -> Result<(), FilesError> {
        for (id, &position) in positions {
            let wrong = |what: &str| {
                let (partition, what) = (id.to_string(), what.to_owned());
                FilesError::Position { partition, position, what }
            };
            let known = self.partitions.iter_mut().find(|p| p.id == *id);
            let partition = known.ok_or_else(|| wrong("this source has no such partition"))?;
            if position < 0 {
                return Err(wrong("no offset is negative"));
            }
            if position > i64::from(self.registry.next_number()) << 32 {
                return Err(wrong(
                    "no such file was ever registered; is this the registry that belongs to the tables?",
                ));
            }
            partition.seek(position);
        }
        Ok(())
    }

    /// The next event. `scan`: look first for new files and new lines.
    pub(super) fn step(&mut self, scan: bool) -> Result<Step, FilesError> {
        if scan {
            self.scan()?;
        }
        for _ in 0..self.partitions.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.partitions.len();
            let partition = &mut self.partitions[turn];
            if let Some(chunk) = partition.next_chunk(&self.registry, self.limits)? {
                return Ok(Step::Event(SourceEvent::Chunk(chunk)));
            }
            if !std::mem::replace(&mut partition.is_caught_up, true) {
                return Ok(Step::Event(SourceEvent::CaughtUp(partition.id.clone())));
            }
        }
        if self.follow {
            return Ok(Step::Wait);
        }
        let said = std::mem::replace(&mut self.has_ended, true);
        Ok(if said { Step::Ended } else { Step::Event(SourceEvent::EndOfInput) })
    }

    fn scan(&mut self) -> Result<(), FilesError> {
        let mut found = Vec::new();
        let result = self.scanner.scan(&mut self.registry, (self.now)(), &mut found);
        self.add(found);
        result
    }

    fn add(&mut self, entries: Vec<Arc<Registration>>) {
        for entry in entries {
            let index = entry.number as usize % self.partitions.len();
            self.partitions[index].add(entry);
        }
    }
}

fn checked(config: FilesConfig) -> Result<FilesConfig, FilesError> {
    let wrong = |what: &str| Err(FilesError::Config(what.to_owned()));
    if config.partitions == 0 || config.partitions > i32::MAX as u32 {
        return wrong("partitions has to be at least 1");
    }
    if config.globs.is_empty() {
        return wrong("globs is empty; name at least one pattern of files to read");
    }
    if config.line_limit == 0 || config.chunk_bytes == 0 || config.line_limit.max(config.chunk_bytes) > 1 << 30 {
        return wrong("line_limit and chunk_bytes have to be between 1 and 1 GiB");
    }
    Ok(config)
}
