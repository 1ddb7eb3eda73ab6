//! The fleet's records in the order in which they are intended to be sent, with the time of each: all, or a share.
//!
//! All records stand in one order: by their time in the fleet, then by partition. A record's index in it is what a schedule
//! turns into a time, so that processes which send a share each agree on every time without talking. A partition is sent by
//! one process over one connection: its records keep their order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::str::FromStr;
use std::sync::Arc;

use crate::cursor::PartitionCursor;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::schedule::Schedule;
use crate::source::Pace;

/// What decides when a record is sent.
#[derive(Debug, Clone)]
pub enum Timing {
    /// Nothing: as fast as the target takes them.
    Free,
    /// The fleet's own times, spread over a time.
    Pace(Pace),
    /// A schedule, by the record's index among all records of the fleet.
    Schedule {
        /// Which.
        schedule: Arc<Schedule>,
        /// When it starts, microseconds UTC.
        start_wall_us: i64,
    },
}

impl Timing {
    /// True if records wait until they are due.
    pub fn is_open(&self) -> bool {
        matches!(self, Timing::Pace(Pace::Open { .. }) | Timing::Schedule { .. })
    }
}

/// Which share of the partitions a process sends: partition p goes to process p modulo their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 0.
    index: u32,
    of: u32,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, of: 1 }
    }
}

impl Shard {
    /// True if it is the one that writes what all have in common.
    pub fn is_first(&self) -> bool {
        self.index == 0
    }

    /// # Errors
    /// [`Error::Shard`] if there would be processes with nothing to send.
    pub fn check(&self, fleet: &Fleet) -> Result<(), Error> {
        let partitions = fleet.partitions.len();
        if self.of as usize > partitions { Err(Error::Shard { of: self.of, partitions }) } else { Ok(()) }
    }

    /// The fleet's partitions that are this process's, by their place in [`Fleet::partitions`].
    pub(crate) fn partitions(&self, fleet: &Fleet) -> Vec<usize> {
        (self.index as usize..fleet.partitions.len()).step_by(self.of.max(1) as usize).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    /// `1/4` to `4/4`.
    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse::<u32>().ok()?, n.parse::<u32>().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { index: number - 1, of }),
            _ => Err("expected NUMBER/OF, such as 1/4".to_owned()),
        }
    }
}

/// A record that was read from a [`Feed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    /// Its partition's place in [`Fleet::partitions`].
    pub(crate) partition: usize,
    pub(crate) offset: i64,
    /// When it is intended to be sent, microseconds UTC; 0 without a timing.
    pub(crate) due_us: i64,
}

/// Records in the order of sending.
pub(crate) struct Feed<'f> {
    fleet: &'f Fleet,
    timing: &'f Timing,
    /// One a partition of the fleet, and whether its records are read or only counted.
    cursors: Vec<(PartitionCursor<'f>, bool)>,
    /// Time in the fleet and partition of each cursor's next record.
    order: BinaryHeap<Reverse<(i64, usize)>>,
    /// The index of the first record in `order` among all records.
    index: u64,
}

impl<'f> Feed<'f> {
    /// Reads some partitions. Where indexes decide, the others are walked too, without making their records.
    pub(crate) fn new(fleet: &'f Fleet, timing: &'f Timing, own: &[usize]) -> Self {
        let partitions = 0..fleet.partitions.len();
        let mut cursors: Vec<_> = partitions.map(|at| (PartitionCursor::new(fleet, at, 0), false)).collect();
        own.iter().for_each(|at| cursors[*at].1 = true);
        let is_counted = matches!(timing, Timing::Schedule { .. });
        let walked = cursors.iter().enumerate().filter(|(_, (_, is_own))| *is_own || is_counted);
        let order = walked.filter_map(|(at, (cursor, _))| Some(Reverse((cursor.peek_schedule_us()?, at)))).collect();
        Self { fleet, timing, cursors, order, index: 0 }
    }

    /// How many records it will give.
    pub(crate) fn total(&self) -> u64 {
        let own = self.fleet.partitions.iter().zip(&self.cursors).filter(|(_, (_, is_own))| *is_own);
        own.filter_map(|(partition, _)| u64::try_from(partition.records()).ok()).sum()
    }

    /// When the next record is due; none after the last.
    pub(crate) fn peek_due_us(&mut self) -> Option<i64> {
        loop {
            let Reverse((schedule_us, at)) = *self.order.peek()?;
            if self.cursors[at].1 {
                return self.due_us(schedule_us);
            }
            self.cursors[at].0.skip();
            self.step(at);
        }
    }

    /// Writes the next record over `line`; none after the last.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> Option<Item> {
        let due_us = self.peek_due_us()?;
        let Reverse((_, partition)) = *self.order.peek()?;
        let meta = self.cursors[partition].0.next(line)?;
        self.step(partition);
        Some(Item { partition, offset: meta.offset, due_us })
    }

    fn due_us(&self, schedule_us: i64) -> Option<i64> {
        match self.timing {
            Timing::Free => Some(0),
            Timing::Pace(pace) => Some(pace.due_us(schedule_us, self.fleet)),
            Timing::Schedule { schedule, start_wall_us } => Some(start_wall_us + schedule.time_us(self.index)?),
        }
    }

    /// The first cursor in order has moved: puts it where it belongs now.
    fn step(&mut self, at: usize) {
        self.index += 1;
        let next = self.cursors[at].0.peek_schedule_us();
        if let (Some(mut first), Some(us)) = (self.order.peek_mut(), next) {
            *first = Reverse((us, at));
            return;
        }
        self.order.pop();
    }
}

#[cfg(test)]
mod tests;
