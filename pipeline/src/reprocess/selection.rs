//! Which rows are meant, as conditions on tables.

use dataflow::{PartitionId, Reason, Table};
use serde::{Deserialize, Serialize};

/// Tables with a condition each; no table twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Selection(pub(crate) Vec<Part>);

/// Rows of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    pub(crate) table: Table,
    /// A condition in SQL.
    pub(crate) condition: String,
}

impl Selection {
    /// Every dead letter that may hold an event, and every row of no known kind.
    pub(crate) fn unknown() -> Self {
        let rows = Part { table: Table::BaseEvent, condition: "TRUE".to_owned() };
        Self(vec![Part::dead_letters(&[]), rows])
    }

    /// All that was made of a range of offsets. Without an incarnation, of every topic of that name.
    pub(crate) fn range(topic: &str, incarnation: Option<&str>, partition: i32, offsets: (i64, i64)) -> Self {
        let quoted = |text: &str| text.replace('\'', "''");
        let mut condition = format!(
            "_topic IN ('{topic}', 'reprocess~{topic}') AND _partition_id = {partition} AND _offset >= {} AND _offset < {}",
            offsets.0,
            offsets.1,
            topic = quoted(topic)
        );
        if let Some(incarnation) = incarnation {
            condition += &format!(" AND split_part(_incarnation, '~', 1) = '{}'", quoted(incarnation));
        }
        let tables = Table::EVENTS.into_iter().chain([Table::DeadLetter]);
        Self(tables.map(|table| Part { table, condition: condition.clone() }).collect())
    }

    /// As [`Selection::range`], of `topic/partition` or `topic@incarnation/partition`.
    pub(crate) fn parse_range(partition: &str, offsets: (i64, i64)) -> Option<Self> {
        if let Some(PartitionId { topic, incarnation, partition }) = PartitionId::parse(partition) {
            return Some(Self::range(&topic, Some(&incarnation), partition, offsets));
        }
        let (topic, number) = partition.rsplit_once('/')?;
        Some(Self::range(topic, None, number.parse().ok()?, offsets))
    }
}

impl Part {
    /// Dead letters of these reasons; without any, of all that may hold an event.
    pub(crate) fn dead_letters(reasons: &[Reason]) -> Self {
        let names = |reasons: &[Reason]| reasons.iter().map(|r| format!("'{r}'")).collect::<Vec<_>>().join(", ");
        let condition = match reasons {
            [] => format!("reason NOT IN ({})", names(&Reason::NO_EVENTS)),
            _ => format!("reason IN ({})", names(reasons)),
        };
        Self { table: Table::DeadLetter, condition }
    }
}

/// `A..B`: from the first offset to the one after the last.
pub(crate) fn offsets(text: &str) -> Result<(i64, i64), String> {
    let parsed = text.split_once("..").and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
    match parsed {
        Some((start, next)) if 0 <= start && start < next => Ok((start, next)),
        _ => Err("two offsets such as 500..900: the first, and the one after the last".to_owned()),
    }
}
