//! Correlations: rows that meet rules, counted, measured or put in order by key over a sliding time.
//!
//! **Data in:** the rows of a partition that meet one of the rules ([`HitRows`], the source half), as Arrow rows of a delta.
//! **Data out:** alerts, one for each key and each time at which the condition holds ([`CorrelationState`], the merge half).
//!
//! ```text
//! batch -> base rule's condition -> hits: keys, values, identity --delta--> hits of each key, by (time, identity)
//!                                                                             | the watermark passes time T
//!                                                                             v
//!                                    condition over the hits of [T - timespan, T] -> alert, or a hit of the correlation above
//! ```
//!
//! Invariants:
//! - What is found at T is a function of the key's hits of [T - timespan, T], all of them: the order in which they came, and which of two
//!   at one time came first, decides nothing.
//! - A time is looked at once no hit at or before it can come any more; a correlation's own hits come at the times it holds.
//! - Hits that no window can hold any more are dropped; keys, hits a key and bytes are bounded, and what is left out is counted.
//!
//! Absent: windows that hold no hit (nothing is found because nothing happened).

mod hit;
mod key;
mod rows;
mod state;
#[cfg(test)]
mod tests;
mod window;

use arrow::datatypes::DataType;

use crate::sql::FilterPlan;

pub(crate) use rows::HitRows;
pub(crate) use state::{CorrelationState, Head};

/// A checked correlation rule, with the correlations that it rests on.
#[derive(Debug)]
pub(crate) struct CorrelationPlan {
    /// Which rows are hits, and of what: one a table that a base rule has rows in.
    pub(crate) inputs: Vec<HitInput>,
    /// The rule itself first, each correlation before those that it refers to.
    pub(crate) nodes: Vec<Node>,
    /// Of the rule's own key, the fields that every correlation below groups by too: equal ones share a merge group.
    pub(crate) routes: Vec<usize>,
    /// For each field of the rule's own key the plain column of alerts that it is, if it is one.
    pub(crate) hot: Vec<Option<&'static str>>,
}

impl CorrelationPlan {
    /// How long a row may matter, in microseconds.
    pub(crate) fn span_us(&self) -> i64 {
        let up = |node: &Node| node.then.map(|(parent, _)| parent);
        let total = |node: &Node| {
            std::iter::successors(Some(node), |node| up(node).map(|parent| &self.nodes[parent]))
                .fold(0_i64, |sum, node| sum.saturating_add(node.span_us))
        };
        self.nodes.iter().map(total).max().unwrap_or(0)
    }

    /// What its alerts say, as columns: the fields of its key, and the value.
    pub(crate) fn alert_columns(&self) -> impl Iterator<Item = (String, DataType)> {
        let group = self.nodes.first().map_or(&[][..], |node| &node.group);
        let fields = group.iter().map(|name| (name.clone(), DataType::Utf8));
        fields.chain([("value".to_owned(), DataType::Float64)])
    }

    /// The word for the rule's own type.
    pub(crate) fn word(&self) -> &'static str {
        self.nodes.first().map_or("", |node| node.kind.word())
    }
}

/// Rows of one table that meet a base rule.
#[derive(Debug)]
pub(crate) struct HitInput {
    /// The rows, and the fields that keys and values are made of.
    pub(crate) rows: FilterPlan,
    /// Which correlation they are hits of, and as which of its rules.
    pub(crate) node: usize,
    pub(crate) reference: usize,
    /// For that correlation and each above it, up to the rule itself: what the row gives it.
    pub(crate) steps: Vec<Step>,
}

/// What a row gives a correlation: numbers of the fields in [`HitInput::rows`]; none where its table has no such field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Step {
    /// The key, in the order of `group-by`.
    pub(crate) key: Vec<Option<usize>>,
    /// What is counted or measured.
    pub(crate) value: Vec<Option<usize>>,
}

/// One correlation.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) span_us: i64,
    /// The names of the key's fields.
    pub(crate) group: Vec<String>,
    /// How many rules it refers to.
    pub(crate) references: usize,
    pub(crate) condition: Condition,
    /// The correlation that this one's findings are hits of, and as which of its rules.
    pub(crate) then: Option<(usize, usize)>,
    /// True if the hits of a finding count for no other.
    pub(crate) is_reset: bool,
    /// For how long after a finding the key finds nothing.
    pub(crate) suppress_us: i64,
}

/// What is asked of the hits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    EventCount,
    ValueCount,
    Sum,
    Average,
    /// With linear interpolation between the two nearest values.
    Percentile(f64),
    Temporal,
    Ordered,
}

impl Kind {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::EventCount => "event_count",
            Kind::ValueCount => "value_count",
            Kind::Sum => "value_sum",
            Kind::Average => "value_avg",
            Kind::Percentile(_) => "value_percentile",
            Kind::Temporal => "temporal",
            Kind::Ordered => "temporal_ordered",
        }
    }

    /// True if hits have a number.
    pub(crate) fn is_number(self) -> bool {
        matches!(self, Kind::Sum | Kind::Average | Kind::Percentile(_))
    }

    /// True if hits have a value.
    pub(crate) fn has_value(self) -> bool {
        self == Kind::ValueCount || self.is_number()
    }
}

/// When a correlation is met.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// The value is within all of these.
    Bounds(Vec<(Compare, f64)>),
    /// By which rules were met.
    Logic(Logic),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Lt,
    Lte,
    Gt,
    Gte,
    Eq,
    Neq,
}

impl Compare {
    pub(crate) fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Compare::Lt => value < bound,
            Compare::Lte => value <= bound,
            Compare::Gt => value > bound,
            Compare::Gte => value >= bound,
            Compare::Eq => value == bound,
            Compare::Neq => value != bound,
        }
    }
}

/// A condition over rules, which are named by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Logic {
    All(Vec<Logic>),
    Any(Vec<Logic>),
    Not(Box<Logic>),
    Rule(usize),
}

impl Logic {
    pub(crate) fn holds(&self, is_met: &impl Fn(usize) -> bool) -> bool {
        match self {
            Logic::All(parts) => parts.iter().all(|part| part.holds(is_met)),
            Logic::Any(parts) => parts.iter().any(|part| part.holds(is_met)),
            Logic::Not(inner) => !inner.holds(is_met),
            Logic::Rule(number) => is_met(*number),
        }
    }
}
