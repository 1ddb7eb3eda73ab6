//! Watches: rules over whether records come and can be read, not over what they say.
//!
//! **Data in:** rows of every table, dead letters too ([`WatchCounts`]); how far everything that was received is merged. **Data out:**
//! alerts, and the same alerts closed when all is as before ([`WatchState`]).
//!
//! Time is when records were received, in slots of five minutes: a device that stops has no event time, and a wrong clock is no
//! silence. What a source usually does is learned from its own past, source by source.
//!
//! Invariants:
//! - What is found is a function of the records of each slot and of the order of slots alone: of no batch, delta, partition or step.
//! - Nothing is judged before everything that was received up to then is merged: a worker that lags calls nobody silent.
//! - The end of a bounded input is no silence.
//!
//! Absent on purpose: batch SQL for the audit, and backtests: stored rows are read back in the order of their event times.

mod counts;
mod dead_letters;
mod silence;
mod source;
mod state;
#[cfg(test)]
mod tests;

use arrow::datatypes::DataType;
use dataflow::Table;
use serde::Deserialize;

use crate::leaves::Leaves;
use crate::rule::scenario::duration_us;

pub(crate) use counts::WatchCounts;
pub(crate) use state::{Head, WatchState};

/// Length of a slot, microseconds.
pub(crate) const SLOT_US: i64 = 300_000_000;

/// Slots of a day.
const SLOTS_A_DAY: i64 = 86_400_000_000 / SLOT_US;

/// Slots after which a source that no longer sends is forgotten; its alert stays.
const FORGOTTEN_AFTER: i64 = 30 * SLOTS_A_DAY;

/// As it is written under `watch:`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWatch {
    silence: Option<RawSilence>,
    dead_letters: Option<RawDeadLetters>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSilence {
    /// Shorter silences are none.
    after: String,
    /// So many times the longest silence of the last week.
    times: u32,
    /// Sources that are known for less are not judged.
    learn: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDeadLetters {
    /// Dead letters of a slot; fewer are no jump.
    records: u64,
    /// Of a slot's records; a smaller share is no jump.
    percent: u64,
    /// So many times the share of the last day.
    times: u64,
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WatchPlan {
    /// A source that sends nothing for longer than it ever did within a week.
    Silence(SilencePlan),
    /// A source of which many more records than usual become dead letters.
    DeadLetters(DeadLettersPlan),
}

/// In slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SilencePlan {
    after: i64,
    times: i64,
    learn: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeadLettersPlan {
    records: u64,
    percent: u64,
    times: u64,
}

impl WatchPlan {
    /// The plan, or the word that is wrong, why, and how it is written rightly.
    pub(crate) fn of(raw: &RawWatch) -> Result<Self, (String, String, &'static str)> {
        const SILENCE: &str = "silence: {after: 15m, times: 2, learn: 1d}";
        const DEAD_LETTERS: &str = "dead_letters: {records: 20, percent: 5, times: 5}";
        match (&raw.silence, &raw.dead_letters) {
            (Some(silence), None) => {
                let slots = |text: &str, least: i64| {
                    let slots = duration_us(text).filter(|us| us % SLOT_US == 0).map(|us| us / SLOT_US);
                    let slots = slots.filter(|slots| (least..FORGOTTEN_AFTER).contains(slots));
                    slots.ok_or_else(|| {
                        let what =
                            format!("{text:?} is not a number of minutes from {} up to 30 days, in fives", least * 5);
                        (text.to_owned(), what, SILENCE)
                    })
                };
                let (after, learn) = (slots(&silence.after, 1)?, slots(&silence.learn, 0)?);
                Ok(Self::Silence(SilencePlan { after, times: i64::from(silence.times), learn }))
            }
            (None, Some(RawDeadLetters { records, percent, times })) if (1..=100).contains(percent) && *records > 0 => {
                Ok(Self::DeadLetters(DeadLettersPlan { records: *records, percent: *percent, times: *times }))
            }
            (None, Some(_)) => {
                let what = "records are at least 1, and percent are 1 to 100".to_owned();
                Err(("dead_letters".to_owned(), what, DEAD_LETTERS))
            }
            _ => Err(("watch".to_owned(), "watch takes silence or dead_letters, one of them".to_owned(), SILENCE)),
        }
    }

    /// The tables whose rows it counts.
    pub(crate) fn tables(&self) -> Vec<Table> {
        let dead = matches!(self, Self::DeadLetters(_)).then_some(Table::DeadLetter);
        Table::EVENTS.into_iter().chain(dead).collect()
    }

    /// What a source is known by, beside its tenant.
    pub(crate) fn keys(&self) -> &'static [&'static str] {
        match self {
            Self::Silence(_) => &["vendor", "product", "device"],
            Self::DeadLetters(_) => &["topic"],
        }
    }

    /// The columns that name a source in a table; the first device that is there counts.
    pub(crate) fn columns(&self, table: Table) -> Vec<&'static str> {
        let all = match self {
            Self::Silence(_) => &counts::SOURCE[..],
            Self::DeadLetters(_) => &[],
        };
        // What these tables call a device is what the event is about.
        let has_no_device = matches!(table, Table::InventoryInfo | Table::DeviceConfigStateChange);
        let is_own = |column: &&&str| !(has_no_device && column.starts_with("device."));
        all.iter().filter(is_own).filter(|column| Leaves::of(table).index(column).is_some()).copied().collect()
    }

    /// When it alerts, for people.
    pub(crate) fn said(&self) -> String {
        match self {
            Self::Silence(SilencePlan { after, times, learn }) => format!(
                "each source, known for {} hours, that is silent for {times} times its longest silence of a week, and for {} \
                 minutes; closed when it speaks again",
                learn * 5 / 60,
                after * 5
            ),
            Self::DeadLetters(DeadLettersPlan { records, percent, times }) => format!(
                "each topic of which {records} records in five minutes, and {percent} %, are dead letters, and {times} times the \
                 share of the last day; closed when the share has halved"
            ),
        }
    }

    /// What an alert says.
    pub(crate) fn alert_columns(&self) -> Vec<(&'static str, DataType)> {
        let keys = self.keys().iter().map(|key| (*key, DataType::Utf8));
        let own: &[(&str, DataType)] = match self {
            Self::Silence(_) => &[
                ("last_received", DataType::Utf8),
                ("silent_minutes", DataType::Int64),
                ("usual_minutes", DataType::Int64),
            ],
            Self::DeadLetters(_) => &[
                ("records", DataType::Int64),
                ("dead_letters", DataType::Int64),
                ("percent", DataType::Float64),
                ("usual_percent", DataType::Float64),
            ],
        };
        keys.chain(own.iter().cloned()).collect()
    }
}

/// The slot that a time is in.
pub(crate) fn slot_of(us: i64) -> i64 {
    us.div_euclid(SLOT_US)
}
