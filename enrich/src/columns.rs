//! One record for each distinct key -> one array value for each row.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int32Array, Int64Array, StringArray, new_null_array,
};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::{DataType, Int32Type};

use crate::table::{Keywords, NULL, Values};

/// Makes arrays; its buffers serve one column after the other.
#[derive(Clone, Default)]
pub(crate) struct ColumnMaker {
    /// For each text of a table, its key in the dictionary being made, or [`NULL`].
    keys_by_text: Vec<i32>,
    keys: Vec<i32>,
    wide: Vec<i64>,
}

impl ColumnMaker {
    /// One array for each of `ends`: for each row the index of its key among `records`.
    ///
    /// A dictionary holds the texts of this batch only: a table may know a hundred thousand, and what reads the batch
    /// may look at each of them.
    pub(crate) fn make(&mut self, values: &Values, records: &[i32], ends: &[&[u32]]) -> Vec<ArrayRef> {
        match values {
            Values::Keywords(keywords) => self.keywords(keywords, records, ends),
            Values::I32(values) => {
                pick(&mut self.keys, values, records, NULL);
                ends.iter().map(|rows| i32_array(&self.keys, rows)).collect()
            }
            Values::I64(values) => {
                pick(&mut self.wide, values, records, i64::from(NULL));
                ends.iter().map(|rows| i64_array(&self.wide, rows)).collect()
            }
            Values::Flags(values) => {
                pick(&mut self.keys, values, records, NULL);
                ends.iter().map(|rows| flag_array(&self.keys, rows)).collect()
            }
        }
    }

    fn keywords(&mut self, keywords: &Keywords, records: &[i32], ends: &[&[u32]]) -> Vec<ArrayRef> {
        let (ids, names) = (keywords.ids(), keywords.names());
        pick(&mut self.keys, ids, records, NULL);
        self.keys_by_text.resize(self.keys_by_text.len().max(names.len()), NULL);
        let mut used: Vec<i32> = Vec::new();
        for key in self.keys.iter_mut().filter(|id| **id != NULL) {
            let known = &mut self.keys_by_text[*key as usize];
            if *known == NULL {
                *known = used.len() as i32;
                used.push(*key);
            }
            *key = *known;
        }
        used.iter().for_each(|id| self.keys_by_text[*id as usize] = NULL);
        let dictionary = Arc::new(StringArray::from_iter_values(used.iter().map(|id| &names[*id as usize])));
        ends.iter().map(|rows| keyword_array(&self.keys, rows, &dictionary)).collect()
    }
}

/// The value of each record.
fn pick<T: Copy>(out: &mut Vec<T>, values: &[T], records: &[i32], null: T) {
    out.clear();
    out.extend(records.iter().map(|record| usize::try_from(*record).map_or(null, |record| values[record])));
}

fn keyword_array(keys: &[i32], rows: &[u32], dictionary: &Arc<StringArray>) -> ArrayRef {
    if dictionary.is_empty() {
        let keyword = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        return new_null_array(&keyword, rows.len());
    }
    let (keys, nulls) = gather(keys, rows);
    let keys = Int32Array::new(keys.into(), nulls);
    Arc::new(DictionaryArray::<Int32Type>::new(keys, dictionary.clone()))
}

fn i32_array(values: &[i32], rows: &[u32]) -> ArrayRef {
    let (values, nulls) = gather(values, rows);
    Arc::new(Int32Array::new(values.into(), nulls))
}

fn i64_array(values: &[i64], rows: &[u32]) -> ArrayRef {
    let (values, nulls) = gather(values, rows);
    Arc::new(Int64Array::new(values.into(), nulls))
}

fn flag_array(values: &[i32], rows: &[u32]) -> ArrayRef {
    let (values, nulls) = gather(values, rows);
    Arc::new(BooleanArray::new(BooleanBuffer::collect_bool(values.len(), |i| values[i] == 1), nulls))
}

/// The values of rows. Negative ones are null, and 0 beneath it.
fn gather<T: Copy + Default + PartialOrd>(values: &[T], rows: &[u32]) -> (Vec<T>, Option<NullBuffer>) {
    let mut out: Vec<T> = rows.iter().map(|&row| values[row as usize]).collect();
    let zero = T::default();
    if out.iter().all(|v| *v >= zero) {
        return (out, None);
    }
    let valid = BooleanBuffer::collect_bool(out.len(), |i| out[i] >= zero);
    out.iter_mut().filter(|v| **v < zero).for_each(|v| *v = zero);
    (out, Some(NullBuffer::new(valid)))
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::testing::texts;

    fn keywords(texts: &[&str]) -> Values {
        let mut keywords = Keywords::default();
        texts.iter().for_each(|text| keywords.push(text));
        keywords.finish()
    }

    #[test]
    fn rows_get_the_value_of_their_record_and_dictionaries_what_the_batch_uses() {
        let mut maker = ColumnMaker::default();
        let names = keywords(&["zero", "one", "", "one", "never"]);
        for _ in 0..2 {
            let arrays = maker.make(&names, &[NULL, 3, 0, 2], &[&[0, 1, 2, 3], &[1, 1, 1, 1]]);
            let some = |text: &str| Some(text.to_owned());
            assert_eq!(texts(&arrays[0]), [None, some("one"), some("zero"), None]);
            assert_eq!(texts(&arrays[1]), [some("one"), some("one"), some("one"), some("one")]);
            assert_eq!(arrays[0].as_dictionary::<Int32Type>().values().len(), 2);
            assert!(arrays[1].nulls().is_none(), "a column without nulls has no null buffer");
        }
        let numbers = maker.make(&Values::I64(vec![7, 1 << 40]), &[NULL, 1, 0], &[&[2, 1, 0]]).remove(0);
        assert_eq!(numbers.as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(7), Some(1 << 40), None]);
        let flags = maker.make(&Values::Flags(vec![0, 1, NULL]), &[NULL, 0, 1, 2], &[&[0, 1, 2, 3]]).remove(0);
        assert_eq!(flags.as_boolean().iter().collect::<Vec<_>>(), [None, Some(false), Some(true), None]);
    }

    #[test]
    fn nothing_known_is_null_and_no_row_is_no_value() {
        let mut maker = ColumnMaker::default();
        let none = maker.make(&keywords(&[]), &[NULL], &[&[0, 0], &[]]);
        assert_eq!((none[0].len(), none[0].null_count(), none[1].len()), (2, 2, 0));
        let none = maker.make(&Values::I32(Vec::new()), &[NULL], &[&[0, 0]]);
        assert_eq!((none[0].len(), none[0].null_count()), (2, 2));
    }
}
