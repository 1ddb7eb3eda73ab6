//! Sigma's log sources and field names -> tables, rows and columns: the data files in `taxonomies/`.
//!
//! A file says which log sources it is for, which rows of which tables are theirs, and where each vendor field stands. `fields` hold
//! for every table that has the columns, `tables` for one. A field's place is a column, a path in a JSON column
//! (`api.request.data`), or several places of which the first that has a value counts. `words` say what a column's captions
//! stand for in the vendor's own words; an empty list: nothing. `when`: only in rows whose columns say so. `unmapped: true`: names that the file does not know stand in
//! `unmapped`, as the vendor writes them, and values that no column took stand there too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use dataflow::Table;
use dataflow::schema::LeafKind;
use serde::Deserialize;

use super::document::LogSource;
use super::field::{Field, Reading, Source};
use crate::leaves::Leaves;
use crate::sql::nearest;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Taxonomy {
    logsources: Vec<RawLogSource>,
    /// Which rows are this log: columns and their values.
    #[serde(default)]
    pub(super) rows: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    unmapped: bool,
    /// What may stand before a field's name without a meaning, such as an exporter's envelope.
    #[serde(default)]
    prefixes: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, RawField>,
    tables: BTreeMap<Table, BTreeMap<String, RawField>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLogSource {
    product: Option<OneOrMany>,
    category: Option<OneOrMany>,
    service: Option<OneOrMany>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum RawField {
    Column(String),
    Words {
        column: String,
        #[serde(default)]
        words: BTreeMap<String, OneOrMany>,
        #[serde(default)]
        when: BTreeMap<String, OneOrMany>,
    },
    Places(Vec<RawField>),
}

macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("taxonomies/", $name, ".yaml")))),*]
    };
}

/// Name and text of each file. To add one: a file in `taxonomies/`, a line here.
const FILES: &[(&str, &str)] = files![
    "aws_cloudtrail",
    "azure_activitylogs",
    "azure_auditlogs",
    "azure_riskdetection",
    "azure_signinlogs",
    "cisco",
    "dns",
    "duo",
    "firewall",
    "fortigate",
    "gcp_audit",
    "github",
    "google_workspace",
    "kubernetes",
    "m365",
    "okta",
    "onelogin",
    "proxy",
    "webserver",
];

static TAXONOMIES: LazyLock<Vec<Taxonomy>> = LazyLock::new(|| {
    let read = |(name, text): &(&str, &str)| serde_saphyr::from_str(text).unwrap_or_else(|e| panic!("{name}: {e}"));
    FILES.iter().map(read).collect()
});

/// All files' texts: a change in one may change what a rule finds.
pub(super) fn print() -> u32 {
    static PRINT: LazyLock<u32> = LazyLock::new(|| {
        let mut hasher = crc32fast::Hasher::new();
        FILES.iter().for_each(|(_, text)| hasher.update(text.as_bytes()));
        hasher.finalize()
    });
    *PRINT
}

/// Those whose rows a rule of this log source reads.
pub(super) fn of(source: &LogSource) -> Vec<&'static Taxonomy> {
    TAXONOMIES.iter().filter(|taxonomy| taxonomy.logsources.iter().any(|own| own.is_for(source))).collect()
}

/// The log source that is nearest to one that nobody knows.
pub(super) fn near(source: &LogSource) -> Option<String> {
    let sources = || TAXONOMIES.iter().flat_map(|taxonomy| &taxonomy.logsources);
    let of_product = sources().filter(|own| source.product.as_deref().is_some_and(|p| has(own.product.as_ref(), p)));
    let services: Vec<&str> = of_product.filter_map(|own| own.service.as_ref()).flat_map(OneOrMany::each).collect();
    if let (Some(product), false) = (&source.product, services.is_empty()) {
        return Some(format!("services of product {product}: {}", services.join(", ")));
    }
    let products = sources().filter_map(|own| own.product.as_ref()).flat_map(OneOrMany::each);
    let categories = sources().filter_map(|own| own.category.as_ref()).flat_map(OneOrMany::each);
    let near = |word: &Option<String>, all: Vec<&'static str>| nearest(word.as_deref()?, all);
    if let Some(near) = near(&source.category, categories.collect()) {
        return Some(format!("did you mean category: {near}?"));
    }
    let products: std::collections::BTreeSet<&str> = products.collect();
    Some(match near(&source.product, products.iter().copied().collect()) {
        Some(near) => format!("did you mean product: {near}?"),
        None => format!("products are {}", Vec::from_iter(products).join(", ")),
    })
}

impl RawLogSource {
    /// Every key that the rule gives is one of this source's.
    fn is_for(&self, rule: &LogSource) -> bool {
        let fits = |own: Option<&OneOrMany>, rule: &Option<String>| rule.as_deref().is_none_or(|word| has(own, word));
        let names_any = rule.product.is_some() || rule.category.is_some() || rule.service.is_some();
        names_any
            && fits(self.product.as_ref(), &rule.product)
            && fits(self.category.as_ref(), &rule.category)
            && fits(self.service.as_ref(), &rule.service)
    }
}

fn has(own: Option<&OneOrMany>, word: &str) -> bool {
    own.is_some_and(|own| own.each().any(|known| known == word))
}

impl OneOrMany {
    pub(super) fn each(&self) -> impl Iterator<Item = &str> {
        let texts = match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Many(texts) => texts.as_slice(),
        };
        texts.iter().map(String::as_str)
    }
}

/// The columns that a rule reads of one table.
#[derive(Debug)]
pub(super) struct Reads {
    table: Table,
    leaves: &'static Leaves,
    /// Their indexes in the flat schema.
    pub(super) used: Vec<usize>,
}

/// Texts that say what a row is rather than what happened: keywords are not looked for in them.
const NO_TEXTS: [&str; 22] = [
    "_topic",
    "_incarnation",
    "tenant_uid",
    "activity_name",
    "category_name",
    "class_name",
    "type_name",
    "severity",
    "metadata.version",
    "metadata.profiles",
    "metadata.tenant_uid",
    "metadata.product.name",
    "metadata.product.vendor_name",
    "metadata.labels",
    "raw_data",
    "src_ip",
    "dst_ip",
    "user_name",
    "src_country",
    "dst_country",
    "src_scope",
    "dst_scope",
];

impl Reads {
    pub(super) fn new(table: Table) -> Self {
        Self { table, leaves: Leaves::of(table), used: Vec::new() }
    }

    /// The column's place among those that are read.
    fn column(&mut self, leaf: usize) -> usize {
        self.used.iter().position(|used| *used == leaf).unwrap_or_else(|| {
            self.used.push(leaf);
            self.used.len() - 1
        })
    }

    /// Where a path stands: `x`, `x.y`, `x[].y` of a list, or `json.column.path`.
    fn source(&mut self, path: &str) -> Option<Source> {
        if let Some(leaf) = self.leaves.index(path.trim_end_matches("[]")) {
            let is_json = self.is_json(path);
            let reading = if is_json { Reading::Json(String::new()) } else { Reading::Whole };
            return Some(Source::new(self.column(leaf), reading));
        }
        if let Some((list, member)) = path.split_once("[].") {
            self.table.leaf(path)?;
            let leaf = self.leaves.index(list)?;
            return Some(Source::new(self.column(leaf), Reading::Member(member.to_owned())));
        }
        let ends = path.match_indices('.').map(|(at, _)| at).collect::<Vec<_>>();
        ends.into_iter().rev().find_map(|end| {
            let leaf = self.leaves.index(&path[..end]).filter(|_| self.is_json(&path[..end]))?;
            Some(Source::new(self.column(leaf), Reading::Json(path[end + 1..].to_owned())))
        })
    }

    fn is_json(&self, path: &str) -> bool {
        self.table.leaf(path).is_some_and(|leaf| self.table.layout().leaves[leaf.index()].kind == LeafKind::Json)
    }

    /// A column of the table by its own name.
    pub(super) fn named(&mut self, column: &str) -> Option<Field> {
        Some(Field { name: column.to_owned(), sources: vec![self.source(column)?] })
    }

    /// Every text of a row that tells what happened.
    pub(super) fn texts(&mut self) -> Vec<Field> {
        let is_text = |field: &arrow::datatypes::FieldRef| match field.data_type() {
            arrow::datatypes::DataType::Utf8 => true,
            arrow::datatypes::DataType::List(element) => element.data_type() == &arrow::datatypes::DataType::Utf8,
            _ => false,
        };
        let fields = self.leaves.schema().fields().iter();
        let names = fields.filter(|f| is_text(f) && !NO_TEXTS.contains(&f.name().as_str())).map(|f| f.name().clone());
        names.collect::<Vec<_>>().iter().filter_map(|name| self.named(name)).collect()
    }
}

impl Taxonomy {
    pub(super) fn tables(&self) -> impl Iterator<Item = Table> {
        self.tables.keys().copied()
    }

    /// Where a rule's field stands in a table; an absent field if only another table of the log has it.
    ///
    /// # Errors
    /// The nearest name, if nothing has that of the field.
    pub(super) fn field(&self, name: &str, reads: &mut Reads) -> Result<Field, Option<String>> {
        let bare = self.prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str())).unwrap_or(name);
        let mut sources = self.known(bare, reads).unwrap_or_default();
        let is_known = !sources.is_empty() || self.is_known(bare);
        // A plain name such as `status` is the vendor's, where vendors' names are kept.
        if !is_known && (!self.unmapped || bare.contains('.')) {
            sources.extend(reads.source(bare));
        }
        if self.unmapped {
            let left = reads.source(&format!("unmapped.{bare}"));
            sources.extend(
                left.filter(|left| !sources.iter().any(|s| (s.column, &s.reading) == (left.column, &left.reading))),
            );
        }
        match sources.is_empty() && !is_known {
            true => Err(self.near(bare, reads)),
            false => Ok(Field { name: name.to_owned(), sources }),
        }
    }

    /// The places that the file gives: of the name itself, or of the object that it stands in.
    fn known(&self, name: &str, reads: &mut Reads) -> Option<Vec<Source>> {
        if let Some(field) = self.entry(name, reads.table) {
            return Some(field.sources(name, reads));
        }
        let mut ends: Vec<usize> = name.match_indices('.').map(|(at, _)| at).collect();
        ends.reverse();
        ends.into_iter().find_map(|end| {
            let whole = self.entry(&name[..end], reads.table)?.sources(&name[..end], reads);
            let within: Vec<Source> = whole.iter().filter_map(|source| source.within(&name[end + 1..])).collect();
            (!within.is_empty()).then_some(within)
        })
    }

    fn entry(&self, name: &str, table: Table) -> Option<&RawField> {
        let own = self.tables.get(&table);
        let all = || own.into_iter().chain([&self.fields]);
        let folded =
            |fields: &'_ BTreeMap<String, RawField>| fields.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned();
        all().find_map(|fields| fields.get(name)).or_else(|| all().find_map(|fields| fields.get(&folded(fields)?)))
    }

    /// Some table of the log has it.
    fn is_known(&self, name: &str) -> bool {
        self.tables().any(|table| self.entry(name, table).is_some())
    }

    fn near(&self, name: &str, reads: &Reads) -> Option<String> {
        let own = self.tables.values().chain([&self.fields]).flat_map(BTreeMap::keys).map(String::as_str);
        nearest(name, own.chain(reads.leaves.names())).map(str::to_owned)
    }
}

impl RawField {
    fn sources(&self, name: &str, reads: &mut Reads) -> Vec<Source> {
        match self {
            Self::Column(column) if column == "unmapped" => {
                reads.source(&format!("unmapped.{name}")).into_iter().collect()
            }
            Self::Column(column) => reads.source(column).into_iter().collect(),
            Self::Words { column, words, when } => {
                let texts = |texts: &OneOrMany| texts.each().map(str::to_owned).collect();
                let words = words.iter().map(|(word, own)| (word.clone(), texts(own))).collect();
                let when = when.iter().filter_map(|(column, own)| Some((reads.source(column)?.column, texts(own))));
                let when = when.collect();
                reads.source(column).map(|source| Source { words, when, ..source }).into_iter().collect()
            }
            Self::Places(places) => places.iter().flat_map(|place| place.sources(name, reads)).collect(),
        }
    }
}

impl Source {
    /// A path within the JSON that stands here.
    fn within(&self, path: &str) -> Option<Source> {
        let Reading::Json(outer) = &self.reading else { return None };
        let path = if outer.is_empty() { path.to_owned() } else { format!("{outer}.{path}") };
        Some(Source::new(self.column, Reading::Json(path)))
    }
}

/// The files' names.
#[cfg(test)]
pub(super) fn names() -> Vec<String> {
    FILES.iter().map(|(name, _)| format!("{name}.yaml")).collect()
}

/// Places that are no column of their table.
#[cfg(test)]
pub(super) fn faults() -> Vec<String> {
    let mut faults = Vec::new();
    for (taxonomy, (file, _)) in TAXONOMIES.iter().zip(FILES) {
        for (table, own) in &taxonomy.tables {
            let mut reads = Reads::new(*table);
            for (name, field) in own {
                let places = field.places();
                let wrong = places.iter().filter(|place| **place != "unmapped" && reads.source(place).is_none());
                faults.extend(wrong.map(|place| format!("{file}: {table}: {name}: no column {place}")));
            }
            let rows = taxonomy.rows.keys().filter(|column| reads.source(column).is_none());
            faults.extend(rows.map(|column| format!("{file}: {table}: no column {column}")));
        }
        for (name, field) in &taxonomy.fields {
            let is_there = |place: &&str| taxonomy.tables().any(|table| Reads::new(table).source(place).is_some());
            let wrong = field.places().into_iter().filter(|place| *place != "unmapped" && !is_there(place));
            faults.extend(wrong.map(|place| format!("{file}: {name}: no table has a column {place}")));
        }
    }
    faults
}

#[cfg(test)]
impl RawField {
    fn places(&self) -> Vec<&str> {
        match self {
            Self::Column(column) => vec![column],
            Self::Words { column, when, .. } => when.keys().chain([column]).map(String::as_str).collect(),
            Self::Places(places) => places.iter().flat_map(RawField::places).collect(),
        }
    }
}
