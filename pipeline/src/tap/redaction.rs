//! What nobody is shown: columns whose values are masked before anything else is done with a row.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, ListArray, RecordBatch, StringArray, StructArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Int32Type, Schema};
use arrow::error::ArrowError;
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
    pub(super) fn of(&self, table: Table) -> Masked {
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
        Masked(leaves.iter().filter(masked).map(|leaf| leaf.path.as_str()).collect())
    }
}

/// The columns of a table that are masked.
#[derive(Debug, Default)]
pub(super) struct Masked(HashSet<&'static str>);

impl Masked {
    /// Rows of the table, masked.
    ///
    /// # Errors
    /// If there is no such row with a value less; then nothing is shown.
    pub(super) fn apply(&self, rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
        if self.0.is_empty() {
            return Ok(rows.clone());
        }
        let (fields, columns) = self.children(rows.schema().fields(), rows.columns(), "")?;
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
    }

    fn children(
        &self,
        fields: &Fields,
        columns: &[ArrayRef],
        above: &str,
    ) -> Result<(Fields, Vec<ArrayRef>), ArrowError> {
        let pair = |(field, column): (&FieldRef, &ArrayRef)| {
            let path = if above.is_empty() { field.name().clone() } else { format!("{above}.{}", field.name()) };
            let column = self.column(field, column, &path)?;
            // A number that is masked is null.
            let is_nullable = field.is_nullable() || column.null_count() > 0;
            Ok((Arc::new(Field::new(field.name(), column.data_type().clone(), is_nullable)), column))
        };
        let pairs: Vec<(FieldRef, ArrayRef)> =
            fields.iter().zip(columns).map(pair).collect::<Result<_, ArrowError>>()?;
        let (fields, columns): (Vec<FieldRef>, _) = pairs.into_iter().unzip();
        Ok((fields.into(), columns))
    }

    fn column(&self, field: &Field, column: &ArrayRef, path: &str) -> Result<ArrayRef, ArrowError> {
        let list = format!("{path}[]");
        Ok(match field.data_type() {
            _ if self.0.contains(path) || self.0.contains(list.as_str()) => mask(column),
            DataType::Struct(fields) => self.fields(fields, column.as_struct(), path)?,
            DataType::List(element) if matches!(element.data_type(), DataType::Struct(_)) => {
                let lists = column.as_list::<i32>();
                let DataType::Struct(fields) = element.data_type() else { return Ok(column.clone()) };
                let values = self.fields(fields, lists.values().as_struct(), &list)?;
                let element = Field::new(element.name(), values.data_type().clone(), element.is_nullable());
                let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
                Arc::new(ListArray::try_new(Arc::new(element), offsets, values, nulls)?)
            }
            _ => column.clone(),
        })
    }

    fn fields(&self, fields: &Fields, values: &StructArray, path: &str) -> Result<ArrayRef, ArrowError> {
        let (fields, columns) = self.children(fields, values.columns(), path)?;
        let nulls = values.nulls().cloned();
        Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, values.len())?))
    }
}

/// True if the column is at the path or below it. A list's `[]` need not be written.
fn covers(path: &str, column: &str) -> bool {
    let (path, column) = (path.replace("[]", ""), column.replace("[]", ""));
    column.strip_prefix(&path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
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
