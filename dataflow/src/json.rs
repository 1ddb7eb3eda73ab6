//! Rows of an event table -> OCSF JSON.
//!
//! Nulls and empty lists are left out. `time` columns are written as epoch milliseconds, and again as `…_dt` with the
//! microseconds (the datetime profile). Columns that are not OCSF's own stay out: identity, hot columns, enrichment.

use arrow::array::{
    Array, AsArray, BooleanArray, DictionaryArray, Int32Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, TimestampMicrosecondType};

use crate::schema::{ENRICHMENT_COLUMNS, LeafKind, Node, Table};
use crate::time::push_rfc3339;

/// Top-level columns that repeat a nested attribute for pruning.
pub const HOT_COLUMNS: [&str; 6] = ["tenant_uid", "src_ip", "dst_ip", "src_port", "dst_port", "user_name"];

/// Writes the rows of one batch.
#[derive(Debug)]
pub struct JsonRows<'a> {
    columns: Vec<Column<'a>>,
    rows: usize,
}

#[derive(Debug)]
struct Column<'a> {
    /// `"name":`
    key: String,
    values: Values<'a>,
}

#[derive(Debug)]
enum Values<'a> {
    Keyword(&'a DictionaryArray<Int32Type>, &'a StringArray),
    Text(&'a StringArray),
    Json(&'a StringArray),
    I32(&'a Int32Array),
    I64(&'a Int64Array),
    Bool(&'a BooleanArray),
    /// With `"name_dt":`.
    Time(&'a TimestampMicrosecondArray, String),
    Struct(&'a StructArray, Vec<Column<'a>>),
    List(&'a ListArray, Box<Values<'a>>),
}

impl<'a> JsonRows<'a> {
    /// A writer over a batch of an event table.
    ///
    /// # Panics
    /// If the batch is not in the table's schema.
    pub fn new(table: Table, batch: &'a RecordBatch) -> Self {
        let layout = table.layout();
        let schema = layout.schema.clone();
        let columns = layout
            .nodes
            .iter()
            .zip(schema.fields())
            .zip(batch.columns())
            .filter(|((_, field), _)| is_ocsf(field))
            .map(|((node, field), array)| column(table, node, field.name(), array.as_ref()))
            .collect();
        Self { columns, rows: batch.num_rows() }
    }

    /// Rows to write.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Appends one row as a JSON object, without a line end.
    pub fn write(&self, row: usize, out: &mut String) {
        write_object(&self.columns, row, out);
    }
}

fn is_ocsf(field: &Field) -> bool {
    let name = field.name().as_str();
    !name.starts_with('_') && !HOT_COLUMNS.contains(&name) && !ENRICHMENT_COLUMNS.contains(&name)
}

fn column<'a>(table: Table, node: &Node, name: &str, array: &'a dyn Array) -> Column<'a> {
    Column { key: format!("\"{name}\":"), values: values(table, node, name, array) }
}

fn values<'a>(table: Table, node: &Node, name: &str, array: &'a dyn Array) -> Values<'a> {
    match node {
        Node::Leaf(leaf) => {
            let spec = &table.layout().leaves[leaf.index()];
            if !spec.is_list {
                return leaf_values(spec.kind, name, array);
            }
            let list = array.as_list::<i32>();
            Values::List(list, Box::new(leaf_values(spec.kind, name, list.values())))
        }
        Node::Struct(_, children) => struct_values(table, children, array.as_struct()),
        Node::List(_, _, children) => {
            let list = array.as_list::<i32>();
            Values::List(list, Box::new(struct_values(table, children, list.values().as_struct())))
        }
    }
}

fn struct_values<'a>(table: Table, children: &[Node], array: &'a StructArray) -> Values<'a> {
    let columns = children
        .iter()
        .zip(array.fields())
        .zip(array.columns())
        .map(|((node, field), child)| column(table, node, field.name(), child.as_ref()))
        .collect();
    Values::Struct(array, columns)
}

fn leaf_values<'a>(kind: LeafKind, name: &str, array: &'a dyn Array) -> Values<'a> {
    match kind {
        LeafKind::Keyword => {
            let keys = array.as_dictionary::<Int32Type>();
            Values::Keyword(keys, keys.values().as_string())
        }
        LeafKind::Text => Values::Text(array.as_string()),
        LeafKind::Json => Values::Json(array.as_string()),
        LeafKind::I32 => Values::I32(array.as_primitive()),
        LeafKind::I64 => Values::I64(array.as_primitive::<Int64Type>()),
        LeafKind::Bool => Values::Bool(array.as_boolean()),
        LeafKind::Time => Values::Time(array.as_primitive::<TimestampMicrosecondType>(), format!(",\"{name}_dt\":\"")),
        LeafKind::Binary => panic!("{name}: an event table has no {} column", DataType::Binary),
    }
}

impl Values<'_> {
    fn is_null(&self, row: usize) -> bool {
        match self {
            Self::Keyword(a, _) => a.is_null(row),
            Self::Text(a) | Self::Json(a) => a.is_null(row),
            Self::I32(a) => a.is_null(row),
            Self::I64(a) => a.is_null(row),
            Self::Bool(a) => a.is_null(row),
            Self::Time(a, _) => a.is_null(row),
            Self::Struct(a, _) => a.is_null(row),
            Self::List(a, _) => a.is_null(row) || a.value_length(row) == 0,
        }
    }

    fn write(&self, row: usize, out: &mut String) {
        match self {
            Self::Keyword(keys, values) => {
                push_string(out, values.value(usize::try_from(keys.keys().value(row)).unwrap_or_default()));
            }
            Self::Text(a) => push_string(out, a.value(row)),
            Self::Json(a) => out.push_str(a.value(row)),
            Self::I32(a) => push_display(out, a.value(row)),
            Self::I64(a) => push_display(out, a.value(row)),
            Self::Bool(a) => out.push_str(if a.value(row) { "true" } else { "false" }),
            Self::Time(a, dt_key) => {
                push_display(out, a.value(row).div_euclid(1000));
                out.push_str(dt_key);
                push_rfc3339(out, a.value(row));
                out.push('"');
            }
            Self::Struct(_, columns) => write_object(columns, row, out),
            Self::List(list, values) => {
                let offsets = list.value_offsets();
                out.push('[');
                for i in offsets[row] as usize..offsets[row + 1] as usize {
                    if i > offsets[row] as usize {
                        out.push(',');
                    }
                    if values.is_null(i) { out.push_str("{}") } else { values.write(i, out) }
                }
                out.push(']');
            }
        }
    }
}

fn write_object(columns: &[Column<'_>], row: usize, out: &mut String) {
    out.push('{');
    let mut first = true;
    for column in columns.iter().filter(|c| !c.values.is_null(row)) {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        out.push_str(&column.key);
        column.values.write(row, out);
    }
    out.push('}');
}

fn push_display(out: &mut String, value: impl std::fmt::Display) {
    use std::fmt::Write;
    let _ = write!(out, "{value}");
}

/// Appends a JSON string with its quotes.
#[inline]
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    push_text(out, text);
    out.push('"');
}

/// Appends what stands between the quotes of a JSON string. Most are so short that a call would cost as much.
#[inline(always)]
pub fn push_text(out: &mut String, text: &str) {
    if has_escape(text.as_bytes()) {
        push_escaped(out, text);
    } else {
        out.push_str(text);
    }
}

/// Looks at eight bytes together; some may be looked at twice.
#[inline]
fn has_escape(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    match text.last_chunk::<8>() {
        Some(last) => words.iter().any(|word| word_needs_escape(*word)) || word_needs_escape(*last),
        None => match (text.first_chunk(), text.last_chunk()) {
            (Some(&[a, b, c, d]), Some(&[e, f, g, h])) => word_needs_escape([a, b, c, d, e, f, g, h]),
            _ => rest.iter().any(|byte| needs_escape(*byte)),
        },
    }
}

#[inline]
fn word_needs_escape(word: [u8; 8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(word);
    // The high bit is set of the lowest byte that is less than `n`, and of none if none is.
    let less = |word: u64, n: u64| word.wrapping_sub(ONES * n) & !word & HIGH;
    let is = |byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    less(word, 0x20) | is(b'"') | is(b'\\') != 0
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cold]
fn push_escaped(out: &mut String, text: &str) {
    use std::fmt::Write;
    let mut from = 0;
    for (i, byte) in text.bytes().enumerate().filter(|(_, byte)| needs_escape(*byte)) {
        out.push_str(&text[from..i]);
        from = i + 1;
        let _ = match byte {
            b'"' => out.write_str("\\\""),
            b'\\' => out.write_str("\\\\"),
            b'\n' => out.write_str("\\n"),
            b'\r' => out.write_str("\\r"),
            b'\t' => out.write_str("\\t"),
            other => write!(out, "\\u{other:04x}"),
        };
    }
    out.push_str(&text[from..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch_builder::TableBuilder;
    use crate::chunk::ChunkBuilder;
    use crate::identity::PartitionId;

    #[test]
    fn a_row_is_one_ocsf_object_without_our_own_columns() {
        let table = Table::ApiActivity;
        let mut b = TableBuilder::new(table);
        b.set_i64(table.expect_leaf("time"), 1_500);
        b.set_str(table.expect_leaf("src_endpoint.ip"), "192.0.2.1");
        b.set_str(table.expect_leaf("message"), "say \"hi\"\u{1}\n");
        b.set_str(table.expect_leaf("unmapped"), r#"{"n":1e400}"#);
        b.push_str(table.expect_leaf("metadata.profiles[]"), "cloud");
        b.begin_element("resources");
        b.set_str(table.expect_leaf("resources[].uid"), "arn");
        let partition = PartitionId::new("t", "i", 0);
        let mut chunk = ChunkBuilder::new(partition.clone(), "acme".into(), 0);
        chunk.push(b"", 0, 0);
        let chunk = chunk.finish();
        b.end_event(&partition, "acme", &chunk.records().next().expect("one"), 0);
        let batch = b.finish();
        let mut out = String::new();
        JsonRows::new(table, &batch).write(0, &mut out);
        let want = concat!(
            r#"{"time":1,"time_dt":"1970-01-01T00:00:00.001500Z","category_uid":6,"category_name":"Application Activity","#,
            r#""class_uid":6003,"class_name":"API Activity","message":"say \"hi\"\u0001\n","#,
            r#""metadata":{"version":"1.8.0","profiles":["cloud"],"tenant_uid":"acme"},"unmapped":{"n":1e400},"#,
            r#""src_endpoint":{"ip":"192.0.2.1"},"resources":[{"uid":"arn"}]}"#
        );
        assert_eq!(out, want);
    }
}
