//! What nobody is shown: columns whose values are masked before anything else is done with a row.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, ListArray, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int32Type, Schema};
use dataflow::schema::{LeafSpec, Place};
use dataflow::{LeafKind, Table};

/// What stands in the place of a text.
const MASK: &str = "***";

/// Columns that may repeat any value of the record: what a redaction of one column takes away, too.
const WHOLE: [&str; 5] = ["raw_data", "raw", "message", "detail", "key"];

/// Paths of columns to mask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Redaction {
    paths: Vec<String>,
}

impl Redaction {
    /// Masks the columns at the paths, such as `actor.user.name`, and all below them, such as `actor.user`.
    ///
    /// # Errors
    /// Names the path that no table has, or whose column cannot be without its value.
    pub(crate) fn new(paths: Vec<String>) -> Result<Self, String> {
        for path in &paths {
            let mut leaves = Table::ALL
                .iter()
                .flat_map(|table| &table.layout().leaves)
                .filter(|leaf| covers(path, &leaf.path))
                .peekable();
            if leaves.peek().is_none() {
                return Err(format!("`{path}` is no column of any table; `palisade tables describe TABLE` lists them"));
            }
            let is_text = |kind| matches!(kind, LeafKind::Keyword | LeafKind::Text | LeafKind::Json);
            if let Some(leaf) = leaves.find(|leaf| leaf.required && !is_text(leaf.kind)) {
                return Err(format!("`{path}`: {} is in every row and no text; it cannot be masked", leaf.path));
            }
        }
        Ok(Self { paths })
    }

    /// These and those.
    pub(crate) fn and(&self, more: &Self) -> Self {
        Self { paths: self.paths.iter().chain(&more.paths).cloned().collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// The columns of a table that are masked: those at the paths, those that are copies of them or that they copy, and whatever may
    /// repeat them.
    fn of(&self, table: Table) -> HashSet<&'static str> {
        let leaves = &table.layout().leaves;
        let named = |path: &str| self.paths.iter().any(|wanted| covers(wanted, path));
        let origin = |leaf: &'static LeafSpec| match leaf.place {
            Place::SameAs(other) => &leaves[other.index()],
            Place::Own => leaf,
        };
        let origins: HashSet<&str> =
            leaves.iter().filter(|leaf| named(&leaf.path)).map(|leaf| origin(leaf).path.as_str()).collect();
        let may_repeat = |leaf: &LeafSpec| {
            leaf.kind == LeafKind::Json || WHOLE.contains(&leaf.path.as_str()) || leaf.path.starts_with("evidences[]")
        };
        let masked = |leaf: &&'static LeafSpec| {
            let is_number = |kind| matches!(kind, LeafKind::I32 | LeafKind::I64 | LeafKind::Bool | LeafKind::Time);
            let is_whole = !self.is_empty() && may_repeat(leaf) && !(leaf.required && is_number(leaf.kind));
            origins.contains(origin(leaf).path.as_str()) || is_whole
        };
        leaves.iter().filter(masked).map(|leaf| leaf.path.as_str()).collect()
    }

    /// Rows of a table, masked.
    pub(crate) fn apply(&self, table: Table, rows: &RecordBatch) -> RecordBatch {
        let masked = self.of(table);
        if masked.is_empty() {
            return rows.clone();
        }
        let (fields, columns) = masked_children(rows.schema().fields(), rows.columns(), "", &masked);
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap_or_else(|_| rows.slice(0, 0))
    }
}

/// True if the column is at the path or below it. A list's `[]` need not be written.
fn covers(path: &str, column: &str) -> bool {
    let (path, column) = (path.replace("[]", ""), column.replace("[]", ""));
    column.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn masked_children(
    fields: &Fields,
    columns: &[ArrayRef],
    above: &str,
    masked: &HashSet<&str>,
) -> (Fields, Vec<ArrayRef>) {
    let pairs = fields.iter().zip(columns).map(|(field, column)| {
        let path = if above.is_empty() { field.name().clone() } else { format!("{above}.{}", field.name()) };
        let column = masked_column(field, column, &path, masked);
        // A number that is masked is null.
        let field =
            Field::new(field.name(), column.data_type().clone(), field.is_nullable() || column.null_count() > 0);
        (Arc::new(field), column)
    });
    let (fields, columns): (Vec<FieldRef>, _) = pairs.unzip();
    (fields.into(), columns)
}

fn masked_column(field: &Field, column: &ArrayRef, path: &str, masked: &HashSet<&str>) -> ArrayRef {
    let list = format!("{path}[]");
    match field.data_type() {
        _ if masked.contains(path) || masked.contains(list.as_str()) => mask(column),
        DataType::Struct(fields) => masked_struct(fields, column.as_struct(), path, masked),
        DataType::List(element) if matches!(element.data_type(), DataType::Struct(_)) => {
            let lists = column.as_list::<i32>();
            let DataType::Struct(fields) = element.data_type() else { return column.clone() };
            let values = masked_struct(fields, lists.values().as_struct(), &list, masked);
            let element = Field::new(element.name(), values.data_type().clone(), element.is_nullable());
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Arc::new(ListArray::new(Arc::new(element), offsets, values, nulls))
        }
        _ => column.clone(),
    }
}

fn masked_struct(fields: &Fields, values: &StructArray, path: &str, masked: &HashSet<&str>) -> ArrayRef {
    let (fields, columns) = masked_children(fields, values.columns(), path, masked);
    match StructArray::try_new_with_length(fields, columns, values.nulls().cloned(), values.len()) {
        Ok(values) => Arc::new(values),
        Err(_) => new_null_array(values.data_type(), values.len()),
    }
}

/// A text stays where it is, as the mask; anything else is null.
fn mask(column: &ArrayRef) -> ArrayRef {
    let masks = || -> StringArray { (0..column.len()).map(|row| column.is_valid(row).then_some(MASK)).collect() };
    match column.data_type() {
        DataType::Utf8 => Arc::new(masks()),
        DataType::Dictionary(_, _) => {
            let keys: DictionaryArray<Int32Type> = masks().iter().collect();
            Arc::new(keys)
        }
        other => new_null_array(other, column.len()),
    }
}
