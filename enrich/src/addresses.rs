//! The addresses of one batch, each distinct one once.
//!
//! Cost, sketched before it was written: hashing and comparing a 12-byte text is about 25 ns, reading four octets about
//! 10 ns. So every text is parsed, and what is made distinct is the parsed address, with its row's tenant: one probe of a
//! direct-mapped memo. Two addresses that share a slot may make an address distinct twice; that costs a look-up and
//! changes no result.

use arrow::array::{Array, AsArray, RecordBatch, StringArray};

use crate::cache::{fold, slot};
use crate::network::Address;
use crate::tenants::RowTenants;

/// Distinct addresses and, for each row and end, which of them it names.
#[derive(Clone)]
pub(crate) struct Addresses {
    /// The distinct addresses and tenants. Index [`NONE`] stands for "no address" and holds none.
    distinct: Vec<(u32, Address)>,
    src: Vec<u32>,
    dst: Vec<u32>,
    not_addresses: u64,
    memo: Box<[Memo]>,
    batch: u32,
}

/// The index of rows without an address.
const NONE: u32 = 0;
const MEMO_BITS: u32 = 14;

#[derive(Clone, Copy)]
struct Memo {
    address: Address,
    tenant: u32,
    index: u32,
    /// The batch that wrote the entry; entries of earlier ones are free.
    batch: u32,
}

impl Addresses {
    pub(crate) fn new() -> Self {
        let free = Memo { address: Address(0), tenant: 0, index: NONE, batch: 0 };
        Self {
            distinct: vec![(0, Address(0))],
            src: Vec::new(),
            dst: Vec::new(),
            not_addresses: 0,
            memo: vec![free; 1 << MEMO_BITS].into_boxed_slice(),
            batch: 0,
        }
    }

    /// Takes the addresses of a batch's `src_ip` and `dst_ip`.
    ///
    /// # Panics
    /// If a column is missing: every event table has them.
    pub(crate) fn read(&mut self, rows: &RecordBatch, tenants: &RowTenants) {
        self.begin();
        let mut src = std::mem::take(&mut self.src);
        let mut dst = std::mem::take(&mut self.dst);
        self.read_column(column(rows, "src_ip"), tenants, &mut src);
        self.read_column(column(rows, "dst_ip"), tenants, &mut dst);
        (self.src, self.dst) = (src, dst);
    }

    fn begin(&mut self) {
        self.distinct.truncate(1);
        self.not_addresses = 0;
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.memo.iter_mut().for_each(|m| m.batch = 0);
            self.batch = 1;
        }
    }

    fn read_column(&mut self, texts: &StringArray, tenants: &RowTenants, indexes: &mut Vec<u32>) {
        indexes.clear();
        if texts.null_count() == texts.len() {
            indexes.resize(texts.len(), NONE);
            return;
        }
        indexes.extend(texts.iter().enumerate().map(|(row, text)| match text {
            None => NONE,
            Some(text) => match Address::parse(text) {
                Some(address) => self.index(tenants.at(row), address),
                None => {
                    self.not_addresses += 1;
                    NONE
                }
            },
        }));
    }

    #[inline]
    fn index(&mut self, tenant: u32, address: Address) -> u32 {
        let memo = &mut self.memo[slot(fold(address), MEMO_BITS)];
        if memo.batch != self.batch || memo.address != address || memo.tenant != tenant {
            let index = u32::try_from(self.distinct.len()).expect("a batch has fewer than 2^31 rows");
            *memo = Memo { address, tenant, index, batch: self.batch };
            self.distinct.push((tenant, address));
        }
        memo.index
    }

    /// The distinct addresses with their rows' tenants, without the entry for "no address".
    pub(crate) fn distinct(&self) -> &[(u32, Address)] {
        &self.distinct[1..]
    }

    /// For each row, the indexes of `src_ip` and of `dst_ip` in a list of one value for "no address", then one for each
    /// distinct address.
    pub(crate) fn ends(&self) -> [&[u32]; 2] {
        [&self.src, &self.dst]
    }

    /// Texts of this batch that are no address.
    pub(crate) fn not_addresses(&self) -> u64 {
        self.not_addresses
    }
}

fn column<'a>(rows: &'a RecordBatch, name: &str) -> &'a StringArray {
    rows.column_by_name(name).unwrap_or_else(|| panic!("an event table has the column {name}")).as_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::batch;

    #[test]
    fn each_address_stands_once_for_both_ends() {
        let mut addresses = Addresses::new();
        for _ in 0..2 {
            let rows = batch(&[
                (Some("192.0.2.1"), Some("192.0.2.2")),
                (Some("192.0.2.2"), Some("::ffff:192.0.2.1")),
                (None, Some("garbage")),
            ]);
            addresses.read(&rows, &RowTenants::One(0));
            assert_eq!(addresses.distinct().len(), 2);
            assert_eq!(addresses.ends(), [&[1, 2, 0][..], &[2, 1, 0][..]]);
            assert_eq!(addresses.not_addresses(), 1);
        }
    }

    #[test]
    fn an_address_of_two_tenants_is_two() {
        let mut addresses = Addresses::new();
        let rows = batch(&[(Some("10.0.0.1"), None), (Some("10.0.0.1"), None), (Some("10.0.0.1"), None)]);
        addresses.read(&rows, &RowTenants::Each(vec![1, 2, 1]));
        let mut tenants: Vec<u32> =
            addresses.ends()[0].iter().map(|i| addresses.distinct()[*i as usize - 1].0).collect();
        assert_eq!(tenants, [1, 2, 1]);
        tenants.dedup();
        assert_eq!(tenants.len(), 3);
    }

    #[test]
    fn a_batch_counter_that_wraps_forgets_the_memo() {
        let mut addresses = Addresses::new();
        addresses.read(&batch(&[(Some("192.0.2.1"), None)]), &RowTenants::One(0));
        addresses.batch = u32::MAX;
        addresses.read(&batch(&[(Some("192.0.2.9"), Some("192.0.2.1"))]), &RowTenants::One(0));
        assert_eq!((addresses.distinct().len(), addresses.ends()), (2, [&[1][..], &[2][..]]));
    }
}
