//! The distinct texts of a column, such as host or user names, each looked up once.
//!
//! A dictionary is distinct already. A plain column goes through a direct-mapped memo, as addresses do; two texts that
//! share a slot may be looked up twice, which changes no result.

use std::hash::BuildHasher;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int32Type};
use hashbrown::DefaultHashBuilder;

use crate::table::NULL;
use crate::tenants::RowTenants;

/// For each row, the record of its text.
#[derive(Clone)]
pub(crate) struct Texts {
    /// [`NULL`] for "no text", then the records of what was looked up.
    records: Vec<i32>,
    /// For each row an index into `records`.
    rows: Vec<u32>,
    memo: Box<[Memo]>,
    hasher: DefaultHashBuilder,
    batch: u32,
}

const MEMO_BITS: u32 = 14;

#[derive(Clone, Copy, Default)]
struct Memo {
    hash: u64,
    /// The first row with the text.
    row: u32,
    index: u32,
    /// The column that wrote the entry; entries of earlier ones are free.
    batch: u32,
}

impl Texts {
    pub(crate) fn new() -> Self {
        Self {
            records: vec![NULL],
            rows: Vec::new(),
            memo: vec![Memo::default(); 1 << MEMO_BITS].into_boxed_slice(),
            hasher: DefaultHashBuilder::default(),
            batch: 0,
        }
    }

    /// Begins a batch of that many rows: none has a record.
    pub(crate) fn begin(&mut self, rows: usize) {
        self.records.truncate(1);
        self.rows.clear();
        self.rows.resize(rows, 0);
    }

    /// Looks up the texts of a column, for rows that have no record yet.
    ///
    /// # Panics
    /// If the column holds no strings.
    pub(crate) fn look_up(&mut self, column: &ArrayRef, tenants: &RowTenants, find: impl Fn(u32, &str) -> i32) {
        match (column.data_type(), tenants) {
            _ if column.null_count() == column.len() => {}
            (DataType::Dictionary(..), RowTenants::One(tenant)) => self.dictionary(column, |text| find(*tenant, text)),
            (DataType::Dictionary(..), RowTenants::Each(_)) => {
                let plain = cast(column, &DataType::Utf8).expect("a dictionary of strings is strings");
                self.plain(plain.as_string(), tenants, find);
            }
            _ => self.plain(column.as_string(), tenants, find),
        }
    }

    fn dictionary(&mut self, column: &ArrayRef, find: impl Fn(&str) -> i32) {
        let column = column.as_dictionary::<Int32Type>();
        let first = self.records.len() as u32;
        self.records.extend(column.values().as_string::<i32>().iter().map(|text| text.map_or(NULL, &find)));
        for (row, index) in self.rows.iter_mut().enumerate() {
            if let (NULL, Some(key)) = (self.records[*index as usize], column.key(row)) {
                *index = first + key as u32;
            }
        }
    }

    fn plain(&mut self, texts: &StringArray, tenants: &RowTenants, find: impl Fn(u32, &str) -> i32) {
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.memo.fill(Memo::default());
            self.batch = 1;
        }
        for (row, text) in texts.iter().enumerate() {
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            if self.records[self.rows[row] as usize] != NULL {
                continue;
            }
            let tenant = tenants.at(row);
            let hash = self.hasher.hash_one(text);
            let memo = &mut self.memo[(hash >> (64 - MEMO_BITS)) as usize];
            let known = memo.batch == self.batch
                && memo.hash == hash
                && tenants.at(memo.row as usize) == tenant
                && texts.value(memo.row as usize) == text;
            if !known {
                *memo = Memo { hash, row: row as u32, index: self.records.len() as u32, batch: self.batch };
                self.records.push(find(tenant, text));
            }
            self.rows[row] = memo.index;
        }
    }

    /// [`NULL`] for "no text", then the records found.
    pub(crate) fn records(&self) -> &[i32] {
        &self.records
    }

    /// For each row the index of its record.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Texts looked up for this batch.
    pub(crate) fn looked_up(&self) -> u64 {
        self.records.len() as u64 - 1
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use arrow::array::DictionaryArray;

    use super::*;

    const TEXTS: [Option<&str>; 7] = [Some("a"), Some("b"), None, Some("a"), Some(""), Some("c"), Some("b")];

    fn columns() -> [ArrayRef; 2] {
        [
            Arc::new(StringArray::from(TEXTS.to_vec())),
            Arc::new(TEXTS.into_iter().collect::<DictionaryArray<Int32Type>>()),
        ]
    }

    fn by_row(texts: &Texts) -> Vec<i32> {
        texts.rows().iter().map(|index| texts.records()[*index as usize]).collect()
    }

    /// `a` is record 0, `b` 1, of tenant 2 they are 10 and 11; others have none.
    fn record(tenant: u32, text: &str) -> i32 {
        let record = ["a", "b"].iter().position(|known| *known == text);
        record.map_or(NULL, |record| record as i32 + if tenant == 2 { 10 } else { 0 })
    }

    #[test]
    fn each_text_is_looked_up_once_whatever_holds_it() {
        for column in columns() {
            let mut texts = Texts::new();
            for _ in 0..2 {
                let asked = Cell::new(0);
                texts.begin(TEXTS.len());
                texts.look_up(&column, &RowTenants::One(0), |tenant, text| {
                    asked.set(asked.get() + 1);
                    record(tenant, text)
                });
                assert_eq!(by_row(&texts), [0, 1, NULL, 0, NULL, NULL, 1], "{:?}", column.data_type());
                assert!(asked.get() <= 4, "{} look-ups of 3 texts", asked.get());
            }
        }
    }

    #[test]
    fn a_text_of_two_tenants_is_two() {
        for column in columns() {
            let mut texts = Texts::new();
            texts.begin(TEXTS.len());
            texts.look_up(&column, &RowTenants::Each(vec![1, 1, 1, 2, 2, 2, 2]), record);
            assert_eq!(by_row(&texts), [0, 1, NULL, 10, NULL, NULL, 11]);
        }
    }

    #[test]
    fn a_second_column_fills_what_the_first_left() {
        let mut texts = Texts::new();
        texts.begin(3);
        let first: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("x"), None]));
        let second: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some("b"), Some("y")]));
        texts.look_up(&first, &RowTenants::One(0), record);
        texts.look_up(&second, &RowTenants::One(0), record);
        assert_eq!(by_row(&texts), [0, 1, NULL]);
    }
}
