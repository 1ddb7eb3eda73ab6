//! One source of records, and how long it is usually silent.
//!
//! A silence is too long when it is longer than `after`, and longer than `times` the longest of the last week. One that was too long
//! is learned as if it had ended then: an outage does not make the next one usual.

use serde::{Deserialize, Serialize};

use super::{FORGOTTEN_AFTER, SLOTS_A_DAY, SilencePlan};

/// Days that are remembered: today and the week before.
const DAYS: usize = 8;

/// Slots after which a source is forgotten that was never known for long enough to be judged.
const UNKNOWN_FORGOTTEN_AFTER: i64 = DAYS as i64 * SLOTS_A_DAY;

/// See the module's front. Times are slots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Silence {
    first: i64,
    last: i64,
    /// The day of `last`.
    day: i64,
    /// Of each day the longest silence that ended then.
    longest: [i64; DAYS],
}

/// Slots without records, from the first up to the one before the second.
pub(super) type Gap = (i64, i64);

impl Silence {
    /// A source whose first record is in the slot.
    pub(super) fn new(slot: i64) -> Self {
        Self { first: slot, last: slot, day: slot.div_euclid(SLOTS_A_DAY), longest: [0; DAYS] }
    }

    /// The slot of the last record.
    pub(super) fn last(&self) -> i64 {
        self.last
    }

    /// The longest silence of the last week.
    pub(super) fn usual(&self) -> i64 {
        self.longest.iter().copied().max().unwrap_or_default()
    }

    /// Silences of so many slots are too long.
    fn limit(&self, plan: &SilencePlan) -> i64 {
        plan.after.max(plan.times.saturating_mul(self.usual()))
    }

    fn is_known(&self, plan: &SilencePlan) -> bool {
        self.last - self.first >= plan.learn
    }

    /// When its silence will be too long, if no record comes; none of a source that is not known yet.
    pub(super) fn due(&self, plan: &SilencePlan) -> Option<Gap> {
        let start = self.last + 1;
        self.is_known(plan).then(|| (start, start + self.limit(plan)))
    }

    /// Takes in a slot with records.
    pub(super) fn hear(&mut self, plan: &SilencePlan, slot: i64) {
        if slot <= self.last {
            return;
        }
        let quiet = slot - self.last - 1;
        let learned = if self.is_known(plan) { quiet.min(self.limit(plan)) } else { quiet };
        let day = slot.div_euclid(SLOTS_A_DAY);
        for passed in (self.day + 1..=day).rev().take(DAYS) {
            self.longest[place(passed)] = 0;
        }
        let today = &mut self.longest[place(day)];
        *today = learned.max(*today);
        (self.last, self.day) = (slot, day);
    }

    /// True if nothing is expected of it any more.
    pub(super) fn is_forgotten(&self, plan: &SilencePlan, until: i64) -> bool {
        let after = if self.is_known(plan) { FORGOTTEN_AFTER } else { UNKNOWN_FORGOTTEN_AFTER };
        until - self.last > after
    }
}

fn place(day: i64) -> usize {
    day.rem_euclid(DAYS as i64) as usize
}
