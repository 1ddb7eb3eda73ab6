//! The fleet as a source of the pipeline: replayable from any offset, paced by the schedule and not by the reader.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dataflow::{Chunk, ChunkBuilder, PartitionId, Positions, Source, SourceError, SourceEvent};

use crate::cursor::Position;
use crate::fleet::Fleet;

/// Nothing due: sleep at least this long, so that a tick's records come in one chunk a partition and not one by one.
const TICK_US: i64 = 5_000;

/// How the schedule's event time becomes wall time. Record i is due at `start_wall_us + schedule_us * wall_span_us /
/// span_us`; that time is its `_received_at`, so it must be durable: the caller stores `start_wall_us` and passes it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Open loop: no record before it is due, and a late one keeps the time at which it was due.
    Open {
        /// When the run starts, microseconds UTC.
        start_wall_us: i64,
        /// How long the whole run takes, microseconds.
        wall_span_us: i64,
    },
    /// As fast as the reader reads, with the receive times of the open loop.
    AsFast {
        /// When the run starts, microseconds UTC.
        start_wall_us: i64,
        /// How long the whole run would take, microseconds.
        wall_span_us: i64,
    },
}

impl Pace {
    fn span(&self) -> (i64, i64) {
        match *self {
            Pace::Open { start_wall_us, wall_span_us } | Pace::AsFast { start_wall_us, wall_span_us } => {
                (start_wall_us, wall_span_us)
            }
        }
    }

    /// When a record is due, microseconds UTC.
    pub fn due_us(&self, schedule_us: i64, fleet: &Fleet) -> i64 {
        let (start, wall_span) = self.span();
        start + (i128::from(schedule_us) * i128::from(wall_span) / i128::from(fleet.config().span_us)) as i64
    }
}

/// The largest chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Records.
    pub records: usize,
    /// Payload bytes; a chunk passes this by less than one record.
    pub bytes: usize,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self { records: 1_024, bytes: 2 << 20 }
    }
}

/// A partition's progress.
#[derive(Debug)]
struct Lane {
    id: PartitionId,
    tenant: Arc<str>,
    position: Position,
}

/// Reads a [`Fleet`]. Partitions take turns by schedule: none runs ahead of another by more than a chunk.
#[derive(Debug)]
pub struct GeneratorSource {
    fleet: Arc<Fleet>,
    pace: Pace,
    now: fn() -> i64,
    limits: ChunkLimits,
    lanes: Vec<Lane>,
    /// The schedule of each lane's next record, with the lane; without lanes that are at their end.
    schedule: BinaryHeap<Reverse<(i64, usize)>>,
    /// Lanes of which the reader does not know that it has everything up to now.
    behind: BTreeSet<usize>,
    scratch: Vec<u8>,
    has_ended: bool,
}

/// What can be said without waiting.
enum Step {
    Say(SourceEvent),
    WaitUntil(i64),
    Ended,
}

impl GeneratorSource {
    /// A source at the beginning of every partition. `now` tells microseconds UTC.
    pub fn new(fleet: Arc<Fleet>, pace: Pace, now: fn() -> i64) -> Self {
        let lane = |(index, id): (usize, PartitionId)| Lane {
            tenant: fleet.tenants[fleet.partitions[index].tenant].name.clone(),
            position: Position::new(&fleet, index, 0),
            id,
        };
        let lanes: Vec<Lane> = fleet.partitions().into_iter().enumerate().map(lane).collect();
        let behind = (0..lanes.len()).collect();
        let (limits, schedule, scratch) = (ChunkLimits::default(), BinaryHeap::new(), Vec::new());
        let mut source = Self { fleet, pace, now, limits, lanes, schedule, behind, scratch, has_ended: false };
        source.schedule_lanes();
        source
    }

    fn schedule_lanes(&mut self) {
        let next = |(index, lane): (usize, &Lane)| Some(Reverse((lane.position.schedule_us(&self.fleet)?, index)));
        self.schedule = self.lanes.iter().enumerate().filter_map(next).collect();
    }

    /// The same with other chunk limits.
    pub fn with_limits(mut self, limits: ChunkLimits) -> Self {
        self.limits = ChunkLimits { records: limits.records.max(1), bytes: limits.bytes.max(1) };
        self
    }

    /// The last due time that may be read now.
    fn horizon_us(&self) -> i64 {
        match self.pace {
            Pace::Open { .. } => (self.now)(),
            Pace::AsFast { .. } => i64::MAX,
        }
    }

    /// When the next record of all lanes is due.
    fn first_due(&self) -> Option<i64> {
        let Reverse((schedule_us, _)) = self.schedule.peek()?;
        Some(self.pace.due_us(*schedule_us, &self.fleet))
    }

    fn step(&mut self) -> Step {
        let horizon_us = self.horizon_us();
        let first_due = self.first_due();
        if first_due.is_some_and(|due| due <= horizon_us)
            && let Some(Reverse((_, lane))) = self.schedule.pop()
        {
            return Step::Say(SourceEvent::Chunk(self.chunk(lane, horizon_us)));
        }
        if let Some(lane) = self.behind.pop_first() {
            return Step::Say(SourceEvent::CaughtUp(self.lanes[lane].id.clone()));
        }
        match first_due {
            Some(due) => Step::WaitUntil(due),
            None if self.has_ended => Step::Ended,
            None => {
                self.has_ended = true;
                Step::Say(SourceEvent::EndOfInput)
            }
        }
    }

    /// The records of a lane that are due, up to the limits. The lane, taken out of the schedule, goes back in.
    fn chunk(&mut self, index: usize, horizon_us: i64) -> Chunk {
        let Self { fleet, pace, limits, lanes, scratch, .. } = self;
        let lane = &mut lanes[index];
        self.behind.insert(index);
        let mut chunk = ChunkBuilder::new(lane.id.clone(), lane.tenant.clone(), lane.position.offset);
        while chunk.len() < limits.records && chunk.bytes() < limits.bytes {
            let due = lane.position.schedule_us(fleet).map(|us| pace.due_us(us, fleet));
            let Some(due) = due.filter(|due| *due <= horizon_us) else { break };
            let Some(meta) = lane.position.next(fleet, scratch) else { break };
            chunk.push(scratch, meta.offset, due);
        }
        self.schedule.extend(lane.position.schedule_us(fleet).map(|us| Reverse((us, index))));
        chunk.finish()
    }
}

#[async_trait]
impl Source for GeneratorSource {
    fn partitions(&self) -> Vec<PartitionId> {
        self.fleet.partitions()
    }

    async fn seek(&mut self, positions: &Positions) -> Result<(), SourceError> {
        for (id, offset) in positions {
            let Some(index) = self.fleet.index_of(id) else {
                return Err(SourceError {
                    source_name: "generator".to_owned(),
                    what: format!("the fleet has no partition {id}: its configuration has changed"),
                    transient: false,
                    cause: None,
                });
            };
            self.lanes[index].position = Position::new(&self.fleet, index, *offset);
        }
        self.schedule_lanes();
        Ok(())
    }

    /// Cancel safe: nothing is read before the only wait. After [`SourceEvent::EndOfInput`] it never returns.
    async fn next_event(&mut self) -> Result<SourceEvent, SourceError> {
        loop {
            match self.step() {
                Step::Say(event) => return Ok(event),
                Step::WaitUntil(due_us) => {
                    let wait = (due_us - (self.now)()).max(TICK_US);
                    tokio::time::sleep(Duration::from_micros(wait.unsigned_abs())).await;
                }
                Step::Ended => std::future::pending().await,
            }
        }
    }

    async fn acknowledge(&mut self, _positions: &Positions) -> Result<(), SourceError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
