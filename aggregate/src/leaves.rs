//! A table's columns as a flat list of leaves, and how to take them out of a batch.
//!
//! Keyword columns are plain text here: rules are typed on text alone, and a dictionary costs one cast a batch.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use dataflow::Table;
use dataflow::schema::Node;

use crate::error::{AggregateError, Result};

/// The flat columns of one table.
#[derive(Debug)]
pub(crate) struct Leaves {
    table: Table,
    schema: SchemaRef,
    /// For each flat column: the index in the batch, then in each struct.
    paths: Vec<Vec<usize>>,
}

static LEAVES: LazyLock<Vec<Leaves>> = LazyLock::new(|| Table::ALL.into_iter().map(Leaves::new).collect());

impl Leaves {
    /// The leaves of a table.
    pub(crate) fn of(table: Table) -> &'static Leaves {
        let index = Table::ALL.iter().position(|t| *t == table);
        &LEAVES[index.expect("every table is among all")]
    }

    fn new(table: Table) -> Self {
        let layout = table.layout();
        let mut fields = Vec::new();
        let mut paths = Vec::new();
        for (i, (node, field)) in layout.nodes.iter().zip(layout.schema.fields()).enumerate() {
            flatten(node, field, String::new(), vec![i], &mut fields, &mut paths);
        }
        Self { table, schema: Arc::new(Schema::new(fields)), paths }
    }

    /// The flat schema.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The column's index.
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.schema.index_of(name).ok()
    }

    /// Names of all columns.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.schema.fields().iter().map(|f| f.name().as_str())
    }

    /// Takes one column out of a batch of the table; keywords as plain text.
    pub(crate) fn extract(&self, rows: &RecordBatch, index: usize) -> Result<ArrayRef> {
        let array = self.stored(rows, index)?;
        let wanted = self.schema.field(index).data_type();
        if array.data_type() == wanted { Ok(array) } else { Ok(cast(&array, wanted)?) }
    }

    /// One column of a batch of the table, as it stands there.
    fn stored(&self, rows: &RecordBatch, index: usize) -> Result<ArrayRef> {
        let path = &self.paths[index];
        let missing = || AggregateError::Schema { table: self.table.name(), column: "of its layout" };
        let mut array = rows.columns().get(path[0]).ok_or_else(missing)?.clone();
        for &child in &path[1..] {
            let parent = array.as_struct_opt().ok_or_else(missing)?;
            array = parent.columns().get(child).ok_or_else(missing)?.clone();
        }
        Ok(array)
    }
}

fn flatten(
    node: &Node,
    field: &FieldRef,
    prefix: String,
    path: Vec<usize>,
    fields: &mut Vec<FieldRef>,
    paths: &mut Vec<Vec<usize>>,
) {
    let name = format!("{prefix}{}", field.name());
    if let (Node::Struct(_, children), DataType::Struct(child_fields)) = (node, field.data_type()) {
        for (i, (child, child_field)) in children.iter().zip(child_fields).enumerate() {
            let path = path.iter().copied().chain([i]).collect();
            flatten(child, child_field, format!("{name}."), path, fields, paths);
        }
        return;
    }
    let nullable = field.is_nullable() || path.len() > 1;
    fields.push(Arc::new(Field::new(name, plain_type(field.data_type()), nullable)));
    paths.push(path);
}

/// The type without dictionaries; lists of structs stay as they are.
fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        DataType::List(element) if !element.data_type().is_nested() => {
            let plain = element.as_ref().clone().with_data_type(plain_type(element.data_type()));
            DataType::List(Arc::new(plain))
        }
        other => other.clone(),
    }
}

/// Columns of one batch, each taken out once however many rules read it.
#[derive(Debug)]
pub(crate) struct LeafCache<'a> {
    leaves: &'static Leaves,
    rows: &'a RecordBatch,
    taken: Vec<Option<ArrayRef>>,
}

impl<'a> LeafCache<'a> {
    pub(crate) fn new(table: Table, rows: &'a RecordBatch) -> Self {
        let leaves = Leaves::of(table);
        Self { leaves, rows, taken: vec![None; leaves.paths.len()] }
    }

    /// Rows of the batch.
    pub(crate) fn rows(&self) -> usize {
        self.rows.num_rows()
    }

    /// The column at `index` of the flat schema.
    pub(crate) fn column(&mut self, index: usize) -> Result<ArrayRef> {
        if let Some(array) = &self.taken[index] {
            return Ok(array.clone());
        }
        let array = self.leaves.extract(self.rows, index)?;
        self.taken[index] = Some(array.clone());
        Ok(array)
    }

    /// The column at `index`, keywords still in their dictionary.
    pub(crate) fn stored(&self, index: usize) -> Result<ArrayRef> {
        self.leaves.stored(self.rows, index)
    }

    /// How many columns there are.
    pub(crate) fn columns(&self) -> usize {
        self.taken.len()
    }

    /// The column of that name, for columns that every event table has.
    pub(crate) fn named(&mut self, name: &'static str) -> Result<ArrayRef> {
        let index = self.index(name)?;
        self.column(index)
    }

    /// The index of that column.
    pub(crate) fn index(&self, name: &'static str) -> Result<usize> {
        let missing = AggregateError::Schema { table: self.leaves.table.name(), column: name };
        self.leaves.index(name).ok_or(missing)
    }

    /// The table.
    pub(crate) fn table(&self) -> Table {
        self.leaves.table
    }

    /// The index of a column that not every table has.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.leaves.index(name)
    }

    /// True if the table has the column.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.position(name).is_some()
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Int32Type, TimeUnit};

    use super::*;
    use crate::tests::{batch, event, partition};

    #[test]
    fn leaves_are_the_paths_of_the_column_lists() {
        for table in Table::EVENTS {
            let leaves = Leaves::of(table);
            for spec in &table.layout().leaves {
                // A list of structs is one leaf; a list of values is named without brackets.
                let path = spec.path.split("[].").next().unwrap_or_default().trim_end_matches("[]");
                assert!(leaves.index(path).is_some(), "{table} {}", spec.path);
            }
            let has_dictionary = |f: &FieldRef| matches!(f.data_type(), DataType::Dictionary(..));
            assert!(!leaves.schema().fields().iter().any(has_dictionary), "{table}: keywords are text");
        }
    }

    #[test]
    fn types_are_plain() {
        let leaves = Leaves::of(Table::NetworkActivity);
        let of = |name: &str| leaves.schema().field_with_name(name).expect(name).data_type().clone();
        assert_eq!(of("app_name"), DataType::Utf8);
        assert_eq!(of("traffic.bytes_out"), DataType::Int64);
        assert_eq!(of("time"), DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())));
        assert!(matches!(of("metadata.profiles"), DataType::List(f) if f.data_type() == &DataType::Utf8));
    }

    #[test]
    fn columns_are_taken_out_once_and_nested_ones_too() {
        let rows = batch(&partition(0), 0, &[event(1, "a", 80), event(2, "b", 443)]);
        let mut cache = LeafCache::new(rows.table, &rows.rows);
        let index = Leaves::of(rows.table).index("dst_endpoint.port").expect("a leaf");
        let ports = cache.column(index).expect("ports");
        assert_eq!(ports.as_primitive::<Int32Type>().values(), &[80, 443]);
        assert!(Arc::ptr_eq(&ports, &cache.column(index).expect("ports")), "the same array");
        let tenants = cache.named("tenant_uid").expect("tenants");
        assert_eq!(tenants.as_string::<i32>().value(1), "acme");
        assert!(cache.has("src_ip") && !cache.has("api.operation"));
        assert!(cache.named("api.operation").is_err());
    }

    #[test]
    fn a_batch_of_another_schema_is_an_error() {
        let rows = batch(&partition(0), 0, &[event(1, "a", 80)]);
        let other = rows.rows.project(&[0, 1]).expect("fewer columns");
        let error = LeafCache::new(rows.table, &other).named("tenant_uid").expect_err("no such column");
        assert!(error.to_string().contains("network_activity"), "{error}");
    }
}
