//! How much of a column's path is there, row by row, as runs: Parquet's definition levels of what is in no list.
//!
//! ```text
//!   actor        user         name         level of actor.user.name
//!   there        there        "x"          3
//!   there        there        null         2
//!   there        null                      1
//!   null                                   0
//! ```

use arrow::buffer::NullBuffer;

/// Runs of rows with one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Levels {
    /// Level and rows of each run.
    runs: Vec<(u32, usize)>,
    /// The level of rows where all of the path is there.
    full: u32,
}

impl Levels {
    /// Above all columns.
    pub(super) fn of_rows(rows: usize) -> Self {
        Self { runs: vec![(0, rows)], full: 0 }
    }

    /// One step down the path, to a column that is null where `nulls` says so.
    pub(super) fn below(&self, is_nullable: bool, nulls: Option<&NullBuffer>) -> Self {
        if !is_nullable {
            return self.clone();
        }
        let mut below = Self { runs: Vec::with_capacity(self.runs.len()), full: self.full + 1 };
        let mut row = 0;
        for &(level, rows) in &self.runs {
            if level < self.full {
                below.push(level, rows);
            } else if let Some(nulls) = nulls.filter(|n| n.null_count() > 0) {
                below.push_divided(level, &nulls.slice(row, rows));
            } else {
                below.push(level + 1, rows);
            }
            row += rows;
        }
        below
    }

    fn push_divided(&mut self, level: u32, nulls: &NullBuffer) {
        let mut row = 0;
        for (from, to) in nulls.valid_slices() {
            self.push(level, from - row);
            self.push(level + 1, to - from);
            row = to;
        }
        self.push(level, nulls.len() - row);
    }

    fn push(&mut self, level: u32, rows: usize) {
        match self.runs.last_mut() {
            _ if rows == 0 => {}
            Some((last, len)) if *last == level => *len += rows,
            _ => self.runs.push((level, rows)),
        }
    }

    /// Level and rows of each run.
    pub(super) fn runs(&self) -> &[(u32, usize)] {
        &self.runs
    }

    /// Ranges of rows where all of the path is there.
    pub(super) fn present(&self) -> impl Iterator<Item = std::ops::Range<usize>> + Clone + '_ {
        let ranges = self.runs.iter().scan(0, |row, &(level, rows)| {
            *row += rows;
            Some((level, *row - rows..*row))
        });
        ranges.filter(|(level, _)| *level == self.full).map(|(_, range)| range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nulls_end_a_path_where_they_stand() {
        let nulls = |bits: &[u8]| NullBuffer::from(bits.iter().map(|&b| b == 1).collect::<Vec<bool>>());
        let rows = Levels::of_rows(6);
        let actor = rows.below(true, Some(&nulls(&[1, 1, 1, 0, 0, 1])));
        assert_eq!(actor.runs(), [(1, 3), (0, 2), (1, 1)]);
        let required = actor.below(false, None);
        assert_eq!(required, actor);
        // What a null holds beneath it does not matter.
        let name = actor.below(true, Some(&nulls(&[0, 1, 1, 1, 0, 1])));
        assert_eq!(name.runs(), [(1, 1), (2, 2), (0, 2), (2, 1)]);
        assert_eq!(name.present().collect::<Vec<_>>(), [1..3, 5..6]);
        assert_eq!(actor.below(true, None).runs(), [(2, 3), (0, 2), (2, 1)]);
        assert_eq!(rows.below(true, Some(&nulls(&[0; 6]))).present().count(), 0);
        assert!(Levels::of_rows(2).present().eq(std::iter::once(0..2)));
    }
}
