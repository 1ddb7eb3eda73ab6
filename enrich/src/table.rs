//! What a loaded table is: which record a key has, and what each record says. Read-only, shared by all shards.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::error::Skipped;
use crate::network::Address;

/// Stands for "no record" and "no value"; real ones are not negative.
pub(crate) const NULL: i32 = -1;

/// Which record of a table a key has.
pub(crate) trait Index<K: ?Sized>: Send + Sync {
    /// The record of `key` or [`NULL`]. `tenant` is the row's; an index without tenants does not look at it.
    fn find(&self, tenant: &str, key: &K) -> i32;
}

/// A table as rows see it, by one kind of key.
pub(crate) struct Lookup<K: ?Sized> {
    pub(crate) index: Arc<dyn Index<K>>,
    pub(crate) columns: Vec<Column>,
}

/// Columns that a record fills: of an address one for each end, of a name one.
#[derive(Clone)]
pub(crate) struct Column {
    pub(crate) names: &'static [&'static str],
    pub(crate) values: Arc<Values>,
}

/// A column's value by record.
pub(crate) enum Values {
    Keywords(Keywords),
    I32(Vec<i32>),
    I64(Vec<i64>),
    /// 0 or 1.
    Flags(Vec<i32>),
}

/// Texts by record, each distinct one held once.
#[derive(Default)]
pub(crate) struct Keywords {
    ids: Vec<i32>,
    names: Vec<Box<str>>,
    by_name: HashMap<Box<str>, i32>,
}

impl<K: ?Sized> Clone for Lookup<K> {
    fn clone(&self) -> Self {
        Self { index: self.index.clone(), columns: self.columns.clone() }
    }
}

impl Column {
    pub(crate) fn new(names: &'static [&'static str], values: Values) -> Self {
        Self { names, values: Arc::new(values) }
    }
}

impl Keywords {
    /// Adds the next record's text; an empty one is none.
    pub(crate) fn push(&mut self, text: &str) {
        let id = self.id(text);
        self.push_id(id);
    }

    /// Adds the next record's text by its index.
    pub(crate) fn push_id(&mut self, id: i32) {
        self.ids.push(id);
    }

    /// The index of a text, new or known; [`NULL`] for an empty one.
    pub(crate) fn id(&mut self, text: &str) -> i32 {
        if text.is_empty() {
            return NULL;
        }
        if let Some(&id) = self.by_name.get(text) {
            return id;
        }
        let id = i32::try_from(self.names.len()).expect("a table has fewer than 2^31 texts");
        self.names.push(text.into());
        self.by_name.insert(text.into(), id);
        id
    }

    /// For each record the index of its text, or [`NULL`].
    pub(crate) fn ids(&self) -> &[i32] {
        &self.ids
    }

    /// The distinct texts.
    pub(crate) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// The column's values; none is added afterwards.
    pub(crate) fn finish(mut self) -> Values {
        self.by_name = HashMap::new();
        self.ids.shrink_to_fit();
        self.names.shrink_to_fit();
        Values::Keywords(self)
    }
}

/// What a table's files hold.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) addresses: Option<Lookup<Address>>,
    pub(crate) hosts: Option<Lookup<str>>,
    pub(crate) users: Option<Lookup<str>>,
    /// Tenants that have entries of their own.
    pub(crate) tenants: Vec<Box<str>>,
    /// Entries held.
    pub(crate) entries: usize,
    pub(crate) skipped: Skipped,
    pub(crate) validity: Validity,
}

/// The span of time, microseconds, in which a table's entries stay valid as they were loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Validity {
    /// The last time at which an entry began or ended to be valid.
    pub(crate) since: Option<i64>,
    /// The next one.
    pub(crate) until: Option<i64>,
}

impl Validity {
    /// Takes account of a time at which an entry begins or ends to be valid.
    pub(crate) fn note(&mut self, boundary: i64, now_us: i64) {
        if boundary <= now_us {
            self.since = self.since.max(Some(boundary));
        } else {
            self.until = Some(self.until.map_or(boundary, |until| until.min(boundary)));
        }
    }

    /// True if the entries that are valid at `now_us` are others than those loaded.
    pub(crate) fn is_over(&self, now_us: i64) -> bool {
        self.until.is_some_and(|until| until <= now_us)
    }
}

/// Entries of one tenant each, beside entries of all tenants.
#[derive(Default)]
pub(crate) struct Tenanted<I> {
    own: HashMap<Box<str>, I>,
    shared: I,
}

impl<I: Default> Tenanted<I> {
    /// The entries of a tenant; those of all tenants for none.
    pub(crate) fn of(&mut self, tenant: Option<&str>) -> &mut I {
        match tenant {
            Some(tenant) => self.own.entry_ref(tenant).or_default(),
            None => &mut self.shared,
        }
    }

    /// The tenant's own record, else that of all tenants. Another tenant's entries are never looked at.
    pub(crate) fn find(&self, tenant: &str, find: impl Fn(&I) -> i32) -> i32 {
        let own = self.own.get(tenant).map_or(NULL, &find);
        if own == NULL { find(&self.shared) } else { own }
    }

    pub(crate) fn tenants(&self) -> Vec<Box<str>> {
        self.own.keys().cloned().collect()
    }

    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut I> {
        self.own.values_mut().chain([&mut self.shared])
    }
}
