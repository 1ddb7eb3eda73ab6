//! What is shown, as plain data.

use crate::summary::Percentiles;

/// One moment of a worker.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct View {
    pub(crate) title: &'static str,
    pub(crate) elapsed_s: u64,
    /// Events received so far and in all, if that is known.
    pub(crate) total: Option<u64>,
    pub(crate) received: u64,
    pub(crate) committed: u64,
    pub(crate) in_flight: u64,
    pub(crate) dead_letters: u64,
    pub(crate) alerts: u64,
    /// Events a second, now and before, the oldest first.
    pub(crate) rate: u64,
    pub(crate) rates: Vec<u64>,
    pub(crate) queryable: Percentiles,
    pub(crate) alert: Percentiles,
    pub(crate) queues: Vec<Queue>,
    pub(crate) state_bytes: u64,
    pub(crate) tables: Vec<TableLine>,
    pub(crate) topics: Vec<TopicLine>,
    /// Processes that are watched from outside; none from within one.
    pub(crate) workers: Vec<WorkerLine>,
    pub(crate) detections: Vec<Detection>,
    /// True if the fleet's labels are known: then an alert is right or false.
    pub(crate) scored: bool,
    /// The end was asked for.
    pub(crate) stopping: bool,
    /// The last lines of the log.
    pub(crate) log: Vec<String>,
}

/// What waits between two stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Queue {
    pub(crate) name: String,
    pub(crate) rows: u64,
    /// What it holds at most, if that is known.
    pub(crate) rows_max: Option<u64>,
}

/// Commits of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableLine {
    pub(crate) name: String,
    pub(crate) commits: u64,
    pub(crate) rows: u64,
}

/// How far a topic is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicLine {
    pub(crate) name: String,
    pub(crate) partitions: usize,
    /// Lowest watermark of its partitions, microseconds UTC.
    pub(crate) watermark: Option<i64>,
    /// How far that is behind the highest watermark of all topics.
    pub(crate) behind_us: i64,
    /// Since the receipt of what the ledger took in last.
    pub(crate) age_us: i64,
    /// Offsets that wait, where the source tells.
    pub(crate) lag: Option<i64>,
}

/// A process that is watched from outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct WorkerLine {
    pub(crate) address: String,
    pub(crate) region: String,
    pub(crate) state: WorkerState,
    /// Events a second.
    pub(crate) rate: u64,
    pub(crate) in_flight: u64,
    /// Since the receipt of the oldest event that is not queryable.
    pub(crate) waits_us: i64,
    /// Offsets that wait in its partitions.
    pub(crate) lag: i64,
    /// Milliseconds from receipt.
    pub(crate) queryable_p99: f64,
    pub(crate) alerts: u64,
}

/// How a process stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// It has not been heard of yet.
    #[default]
    Unknown,
    Ready,
    /// It recovers, or has not begun to read.
    Starting,
    /// It does not answer, and why.
    Silent(String),
}

/// An attack that was planted, or an alert.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Detection {
    pub(crate) what: String,
    pub(crate) rule: String,
    pub(crate) tenant: String,
    /// What it is about: `src_ip=10.0.0.1`.
    pub(crate) key: String,
    pub(crate) state: State,
}

/// How a detection stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    /// An alert that fits no attack.
    False,
    /// The attack runs, for so long, and no alert speaks of it.
    Open { seconds: f64 },
    /// An alert spoke of it so long after it began.
    Detected { seconds: f64 },
    /// An alert of a fleet whose labels nobody knows, so long ago.
    Alert { seconds: f64 },
    /// It has not begun.
    Coming,
}
