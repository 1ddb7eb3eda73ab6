//! The tenants of a batch's rows. A partition has one, so a batch nearly always has; nothing relies on it.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int32Type;
use hashbrown::HashMap;

/// The tenants that tables name, by small numbers. All others are 0: to tables they are the same.
#[derive(Debug, Default)]
pub(crate) struct Tenants {
    names: Vec<Box<str>>,
    by_name: HashMap<Box<str>, u32>,
}

/// The tenant of each row, as [`Tenants`] numbers it.
pub(crate) enum RowTenants {
    One(u32),
    Each(Vec<u32>),
}

impl Tenants {
    pub(crate) fn new(names: impl IntoIterator<Item = Box<str>>) -> Self {
        let mut tenants = Self { names: vec!["".into()], by_name: HashMap::new() };
        for name in names {
            let next = u32::try_from(tenants.names.len()).expect("fewer than 2^32 tenants");
            if *tenants.by_name.entry(name.clone()).or_insert(next) == next {
                tenants.names.push(name);
            }
        }
        tenants
    }

    /// The name behind a number; empty, which is nobody's name, for 0.
    pub(crate) fn name(&self, tenant: u32) -> &str {
        &self.names[tenant as usize]
    }

    /// The tenants of a batch's rows.
    ///
    /// # Panics
    /// If `tenant_uid` is missing: every event table has it.
    pub(crate) fn of(&self, rows: &RecordBatch) -> RowTenants {
        if self.by_name.is_empty() {
            return RowTenants::One(0);
        }
        let column =
            rows.column_by_name("tenant_uid").expect("an event table has a tenant").as_dictionary::<Int32Type>();
        let names = column.values().as_string::<i32>();
        let numbers: Vec<u32> = names.iter().map(|name| self.number(name.unwrap_or_default())).collect();
        let number = |row: usize| column.key(row).map_or(0, |key| numbers[key]);
        let first = number(0);
        if numbers.iter().all(|n| *n == first) {
            return RowTenants::One(first);
        }
        RowTenants::Each((0..rows.num_rows()).map(number).collect())
    }

    fn number(&self, name: &str) -> u32 {
        self.by_name.get(name).copied().unwrap_or(0)
    }
}

impl RowTenants {
    #[inline]
    pub(crate) fn at(&self, row: usize) -> u32 {
        match self {
            Self::One(tenant) => *tenant,
            Self::Each(tenants) => tenants[row],
        }
    }
}
