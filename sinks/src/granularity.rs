//! How finely a table is partitioned by `time`: the one thing of a partition spec that may differ between tables, and change.

use std::fmt;

use iceberg::spec::{Literal, PartitionSpec, TableMetadata, Transform};

const HOUR_US: i64 = 3_600_000_000;

/// What one partition of a table spans, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Granularity {
    Hour,
    Day,
    Month,
}

impl Granularity {
    /// That of a table's spec; None if it is not partitioned by `time` alone, in one of these.
    pub(crate) fn of(metadata: &TableMetadata, spec: &PartitionSpec) -> Option<Self> {
        let [field] = spec.fields() else { return None };
        let time = metadata.current_schema().field_by_name("time")?;
        match field.transform {
            _ if field.source_id != time.id => None,
            Transform::Hour => Some(Self::Hour),
            Transform::Day => Some(Self::Day),
            Transform::Month => Some(Self::Month),
            _ => None,
        }
    }

    /// Hours, days or months since 1970.
    pub(crate) fn slot(self, us: i64) -> i32 {
        // i64 microseconds are within 2,562,047,788 hours of 1970: what is beyond an i32 is a clock gone mad, and kept together.
        let clamped = |n: i64| i32::try_from(n).unwrap_or(if n < 0 { i32::MIN } else { i32::MAX });
        match self {
            Self::Hour => clamped(us.div_euclid(HOUR_US)),
            Self::Day => clamped(us.div_euclid(dataflow::time::DAY_US)),
            Self::Month => {
                let (year, month, _) = dataflow::time::civil(us.div_euclid(dataflow::time::DAY_US));
                clamped((year - 1970) * 12 + month - 1)
            }
        }
    }

    /// A slot as Iceberg has it.
    pub(crate) fn literal(self, slot: i32) -> Literal {
        match self {
            Self::Day => Literal::date(slot),
            Self::Hour | Self::Month => Literal::int(slot),
        }
    }

    /// A slot as part of a path: `2026-11`, `2026-11-20`, `2026-11-20-07`.
    pub(crate) fn folder(self, slot: i32) -> String {
        let slot = i64::from(slot);
        let day = |days: i64| {
            let (year, month, day) = dataflow::time::civil(days);
            format!("{year:04}-{month:02}-{day:02}")
        };
        match self {
            Self::Hour => format!("{}-{:02}", day(slot.div_euclid(24)), slot.rem_euclid(24)),
            Self::Day => day(slot),
            Self::Month => format!("{:04}-{:02}", 1970 + slot.div_euclid(12), slot.rem_euclid(12) + 1),
        }
    }
}

impl fmt::Display for Granularity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_in_its_slot_and_the_slot_in_its_folder() {
        // 2026-11-20T07:30:00Z, the last microsecond of 1969, 1970, 2026-12-31T23:59:59Z.
        for (us, granularity, slot, folder) in [
            (1_795_159_800_000_000, Granularity::Hour, 498_655, "2026-11-20-07"),
            (1_795_159_800_000_000, Granularity::Day, 20_777, "2026-11-20"),
            (1_795_159_800_000_000, Granularity::Month, 682, "2026-11"),
            (-1, Granularity::Hour, -1, "1969-12-31-23"),
            (-1, Granularity::Day, -1, "1969-12-31"),
            (-1, Granularity::Month, -1, "1969-12"),
            (0, Granularity::Month, 0, "1970-01"),
            (1_798_761_599_000_000, Granularity::Month, 683, "2026-12"),
        ] {
            assert_eq!((granularity.slot(us), &*granularity.folder(slot)), (slot, folder), "{us} by {granularity}");
        }
        assert_eq!((Granularity::Hour.slot(i64::MAX), Granularity::Hour.slot(i64::MIN)), (i32::MAX, i32::MIN));
    }
}
