//! `palisade tables describe`: columns, partitions, order, properties.

use std::collections::BTreeMap;
use std::io::Write;

use iceberg::spec::{NestedFieldRef, Schema, TableMetadata, Type};
use serde::Serialize;
use sinks::{Destination, Warehouse};

use super::{heading, pairs, print};
use crate::cli::Output;
use crate::listing::Listing;

/// A column, by its path.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Column {
    id: i32,
    name: String,
    #[serde(rename = "type")]
    kind: String,
    nullable: bool,
    doc: Option<String>,
}

/// A table as its metadata has it.
#[derive(Debug, Serialize)]
struct Description {
    table: String,
    location: String,
    ocsf_class: Option<i32>,
    schema_id: i32,
    columns: Vec<Column>,
    /// `time_day: day(time)`
    partitioning: Vec<String>,
    sort: Vec<String>,
    properties: BTreeMap<String, String>,
}

/// Prints the table's description.
///
/// # Errors
/// If the table cannot be loaded.
pub(super) async fn run(warehouse: &Warehouse, table: Destination, output: Output) -> anyhow::Result<()> {
    let loaded = warehouse.load_table(table).await?;
    let description = describe(table, loaded.metadata());
    print(&description, output, |out, terminal| text(&description, out, terminal))
}

fn describe(table: Destination, metadata: &TableMetadata) -> Description {
    let schema = metadata.current_schema();
    let mut columns = Vec::new();
    schema.as_struct().fields().iter().for_each(|field| add(field, "", &mut columns));
    let name = |id: i32| schema.name_by_field_id(id).unwrap_or("?").to_owned();
    let partitioning = metadata.default_partition_spec().fields().iter();
    let sort = metadata.default_sort_order().fields.iter();
    Description {
        table: table.to_string(),
        location: metadata.location().to_owned(),
        ocsf_class: table.table().ocsf_class().map(|class| class.0),
        schema_id: metadata.current_schema_id(),
        partitioning: partitioning.map(|f| format!("{}: {}({})", f.name, f.transform, name(f.source_id))).collect(),
        sort: sort.map(|f| format!("{} {}", name(f.source_id), f.direction)).collect(),
        properties: metadata.properties().iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        columns: documented(columns, schema),
    }
}

/// A field and what is nested in it, the parents before their children.
fn add(field: &NestedFieldRef, prefix: &str, columns: &mut Vec<Column>) {
    let name = format!("{prefix}{}", field.name);
    let (kind, inner, below): (String, Option<&Type>, String) = match field.field_type.as_ref() {
        Type::Primitive(kind) => (kind.to_string(), None, String::new()),
        Type::Struct(_) => ("struct".to_owned(), Some(&field.field_type), format!("{name}.")),
        Type::List(list) => match list.element_field.field_type.as_ref() {
            Type::Struct(_) => ("list<struct>".to_owned(), Some(&list.element_field.field_type), format!("{name}[].")),
            element => (format!("list<{element}>"), None, String::new()),
        },
        Type::Map(_) => ("map".to_owned(), None, String::new()),
    };
    columns.push(Column { id: field.id, name, kind, nullable: !field.required, doc: field.doc.clone() });
    if let Some(Type::Struct(inner)) = inner {
        inner.fields().iter().for_each(|field| add(field, &below, columns));
    }
}

/// Marks the columns that identify a row.
fn documented(mut columns: Vec<Column>, schema: &Schema) -> Vec<Column> {
    let identifiers: Vec<i32> = schema.identifier_field_ids().collect();
    for column in columns.iter_mut().filter(|c| identifiers.contains(&c.id) && c.doc.is_none()) {
        column.doc = Some("part of the row's identity".to_owned());
    }
    columns
}

fn text(d: &Description, out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
    let mut columns = Listing::new(&["id", "column", "type", "null", "doc"], &[0]);
    for c in &d.columns {
        let null = if c.nullable { "yes" } else { "no" };
        let doc = c.doc.clone().unwrap_or_default();
        columns.push(vec![c.id.to_string(), c.name.clone(), c.kind.clone(), null.to_owned(), doc]);
    }
    columns.write(out, terminal)?;
    let none = |values: &[String]| if values.is_empty() { "none".to_owned() } else { values.join(", ") };
    let mut rows = vec![
        ("table".to_owned(), d.table.to_owned()),
        ("location".to_owned(), d.location.clone()),
        ("schema".to_owned(), d.schema_id.to_string()),
        ("partitioning".to_owned(), none(&d.partitioning)),
        ("sort".to_owned(), none(&d.sort)),
    ];
    rows.extend(d.ocsf_class.map(|class| ("ocsf class".to_owned(), class.to_string())));
    rows.extend(d.properties.iter().map(|(k, v)| (k.clone(), v.clone())));
    writeln!(out)?;
    heading(out, terminal, "Table and properties (palisade.next: the position that the table needs next)")?;
    pairs(rows).write(out, terminal)
}
