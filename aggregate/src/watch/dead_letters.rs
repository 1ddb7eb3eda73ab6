//! The dead letters of one topic, and the share that is usual.
//!
//! A slot jumps when it has enough of them, a share above `percent`, and `times` the share of the last day. While it stands nothing is
//! learned; it is over in the first slot with less than half of what makes a jump.

use serde::{Deserialize, Serialize};

use super::{DeadLettersPlan, FORGOTTEN_AFTER};

/// Hours that are remembered.
const HOURS: usize = 24;

/// Slots of an hour.
const SLOTS_AN_HOUR: i64 = 12;

/// Records, and dead letters among them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Share {
    pub(super) records: u64,
    pub(super) dead: u64,
}

impl Share {
    pub(super) fn add(&mut self, other: Share) {
        self.records += other.records;
        self.dead += other.dead;
    }

    /// To a tenth.
    pub(super) fn percent(self) -> f64 {
        (u128::from(self.dead) * 1_000 / u128::from(self.records.max(1))) as f64 / 10.0
    }

    /// True if the share is at least `times` `other`'s.
    fn reaches(self, times: u64, other: Share) -> bool {
        let [own, its] =
            [(self.dead, other.records), (other.dead, self.records)].map(|(a, b)| u128::from(a) * u128::from(b));
        own >= its * u128::from(times)
    }
}

/// What a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Jump,
    Over,
}

/// See the module's front.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Topic {
    last: i64,
    hours: [Share; HOURS],
    is_high: bool,
}

impl Topic {
    /// A topic whose first record is in the slot.
    pub(super) fn new(slot: i64) -> Self {
        Self { last: slot, hours: [Share::default(); HOURS], is_high: false }
    }

    /// The share of the last day.
    pub(super) fn usual(&self) -> Share {
        let mut all = Share::default();
        self.hours.iter().for_each(|hour| all.add(*hour));
        all
    }

    /// Takes in a slot's records. What changes with it, if something does.
    pub(super) fn count(&mut self, plan: &DeadLettersPlan, slot: i64, share: Share) -> Option<Turn> {
        self.pass(slot);
        let (least, usual) = (Share { records: 100, dead: plan.percent }, self.usual());
        let is_jump = share.dead >= plan.records && share.reaches(1, least) && share.reaches(plan.times, usual);
        let half = Share { dead: share.dead.saturating_mul(2), ..share };
        let is_over = !(half.reaches(1, least) && half.reaches(plan.times, usual));
        let turn = match self.is_high {
            false if is_jump => Some(Turn::Jump),
            true if is_over => Some(Turn::Over),
            _ => None,
        };
        self.is_high = (self.is_high || is_jump) && turn != Some(Turn::Over);
        if !self.is_high {
            self.hours[place(slot / SLOTS_AN_HOUR)].add(share);
        }
        turn
    }

    /// Forgets the hours that are more than a day back.
    fn pass(&mut self, slot: i64) {
        let (before, now) = (self.last / SLOTS_AN_HOUR, slot / SLOTS_AN_HOUR);
        for hour in (before + 1..=now).rev().take(HOURS) {
            self.hours[place(hour)] = Share::default();
        }
        self.last = self.last.max(slot);
    }

    /// True if nothing is expected of it any more.
    pub(super) fn is_forgotten(&self, until: i64) -> bool {
        until - self.last > FORGOTTEN_AFTER
    }
}

fn place(hour: i64) -> usize {
    hour.rem_euclid(HOURS as i64) as usize
}
