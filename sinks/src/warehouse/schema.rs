//! Between our Arrow schemas and the Iceberg tables' own: the catalog assigns field ids, once, and they stay.

use std::collections::HashMap;
use std::sync::Arc;

use ::parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef};
use dataflow::Table;
use iceberg::arrow::arrow_schema_to_schema_auto_assign_ids;
use iceberg::spec::{NestedFieldRef, Schema, StructType, Transform, Type, UnboundPartitionSpec};
use iceberg::transaction::AddColumn;

use crate::{Destination, Error, Result};

/// The partition field: days of `time`.
const PARTITION_FIELD: &str = "time_day";

/// Our columns as an Iceberg schema, with provisional ids. Keywords are strings there.
pub(crate) fn iceberg_schema(table: Table) -> Result<Schema> {
    arrow_schema_to_schema_auto_assign_ids(&table.schema()).map_err(|e| Error::catalog(format!("describe {table}"), e))
}

/// Partitioned by day(time) and nothing else.
pub(crate) fn partition_spec(table: Table, schema: &Schema) -> Result<UnboundPartitionSpec> {
    let time = schema.field_by_name("time").ok_or_else(|| mismatch(table.into(), "time", "is missing"))?;
    let spec =
        UnboundPartitionSpec::builder().with_spec_id(0).add_partition_field(time.id, PARTITION_FIELD, Transform::Day);
    Ok(spec.map_err(|e| Error::catalog(format!("partition {table}"), e))?.build())
}

/// Our Arrow schema with the field ids of the catalog's table.
///
/// # Errors
/// [`Error::Schema`] if the table lacks a column or has it with another type.
pub(crate) fn with_field_ids(table: Destination, ours: &ArrowSchema, theirs: &Schema) -> Result<SchemaRef> {
    let fields = number_fields(table, "", ours.fields(), theirs.as_struct())?;
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// The id that [`with_field_ids`] gave.
pub(crate) fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(PARQUET_FIELD_ID_META_KEY)?.parse().ok()
}

fn number_fields(table: Destination, prefix: &str, ours: &Fields, theirs: &StructType) -> Result<Fields> {
    let number = |field: &FieldRef| {
        let path = format!("{prefix}{}", field.name());
        let other = theirs.field_by_name(field.name()).ok_or_else(|| mismatch(table, &path, "is missing"))?;
        number_field(table, &path, field, other)
    };
    ours.iter().map(number).collect()
}

fn number_field(table: Destination, path: &str, ours: &Field, theirs: &NestedFieldRef) -> Result<FieldRef> {
    let data_type = match (ours.data_type(), theirs.field_type.as_ref()) {
        (DataType::Struct(fields), Type::Struct(other)) => {
            DataType::Struct(number_fields(table, &format!("{path}."), fields, other)?)
        }
        (DataType::List(element), Type::List(other)) => {
            DataType::List(number_field(table, &format!("{path}[]"), element, &other.element_field)?)
        }
        (own, Type::Primitive(_)) => {
            let same = iceberg::arrow::arrow_type_to_type(own).is_ok_and(|t| t == *theirs.field_type);
            if !same {
                return Err(mismatch(table, path, &format!("is {} there, {own} here", theirs.field_type)));
            }
            own.clone()
        }
        (own, other) => return Err(mismatch(table, path, &format!("is {other} there, {own} here"))),
    };
    if theirs.required && ours.is_nullable() {
        return Err(mismatch(table, path, "is required there, optional here"));
    }
    let id = HashMap::from([(PARQUET_FIELD_ID_META_KEY.to_owned(), theirs.id.to_string())]);
    Ok(Arc::new(Field::new(ours.name(), data_type, ours.is_nullable()).with_metadata(id)))
}

fn mismatch(table: Destination, path: &str, what: &str) -> Error {
    Error::Schema { table, what: format!("column {path} {what}; was the table made by another program or version?") }
}

/// The columns of ours that the catalog's table does not have yet. They are optional: a required column cannot be added.
pub(crate) fn missing_columns(table: Table, theirs: &Schema) -> Result<Vec<AddColumn>> {
    let ours = iceberg_schema(table)?;
    let mut missing = Vec::new();
    collect_missing(ours.as_struct(), theirs.as_struct(), "", &mut missing);
    Ok(missing)
}

fn collect_missing(ours: &StructType, theirs: &StructType, parent: &str, missing: &mut Vec<AddColumn>) {
    for field in ours.fields() {
        let path = if parent.is_empty() { field.name.clone() } else { format!("{parent}.{}", field.name) };
        let Some(other) = theirs.field_by_name(&field.name) else {
            let column = AddColumn::builder()
                .name(field.name.clone())
                .required(field.required)
                .field_type(*field.field_type.clone());
            missing.push(if parent.is_empty() { column.build() } else { column.parent(parent).build() });
            continue;
        };
        match (field.field_type.as_ref(), other.field_type.as_ref()) {
            (Type::Struct(a), Type::Struct(b)) => collect_missing(a, b, &path, missing),
            (Type::List(a), Type::List(b)) => {
                if let (Type::Struct(a), Type::Struct(b)) =
                    (a.element_field.field_type.as_ref(), b.element_field.field_type.as_ref())
                {
                    collect_missing(a, b, &format!("{path}.element"), missing);
                }
            }
            _ => {}
        }
    }
}
