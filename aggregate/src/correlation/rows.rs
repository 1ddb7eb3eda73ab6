//! Hits as Arrow rows: what a delta ships and a snapshot keeps.
//!
//! A row names its correlation and rule by number, its keys and values from that correlation up to the rule itself. A finding of a
//! correlation below is a row, too: the rows it stands for are a JSON list.

use std::num::NonZeroU32;
use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, Int32Builder, Int64Builder, ListBuilder, RecordBatch, StringArray, StringBuilder,
    UInt16Builder, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, UInt16Type};
use dataflow::json::push_string;
use dataflow::watermark::window_time;

use super::hit::{Hit, Later, Rows, Value, number};
use super::{CorrelationPlan, HitInput, Kind, Step};
use crate::error::{AggregateError, Result};
use crate::evidence::EvidenceRow;
use crate::rows::Common;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let list = |is_nullable| DataType::List(Arc::new(Field::new("item", DataType::Utf8, is_nullable)));
    Arc::new(Schema::new(vec![
        Field::new("tenant_uid", DataType::Utf8, false),
        Field::new("keys", list(true), false),
        Field::new("values", list(true), false),
        Field::new("node", DataType::UInt16, false),
        Field::new("reference", DataType::UInt16, false),
        Field::new("time", DataType::Int64, false),
        Field::new("event_time", DataType::Int64, false),
        Field::new("source", DataType::Utf8, false),
        Field::new("offset", DataType::Int64, false),
        Field::new("record", DataType::Int32, false),
        Field::new("input", DataType::UInt16, false),
        Field::new("rows", DataType::Utf8, true),
    ]))
});

/// What the numbers of a row take, and its keys and values about.
const ROW_BYTES: usize = 160;

/// Hits being gathered: those of a range, or a state's.
#[derive(Debug, Default)]
pub(crate) struct HitRows {
    tenants: StringBuilder,
    keys: ListBuilder<StringBuilder>,
    values: ListBuilder<StringBuilder>,
    /// Node, reference, input.
    numbers: [UInt16Builder; 3],
    /// Time, event time, offset.
    longs: [Int64Builder; 3],
    sources: StringBuilder,
    records: Int32Builder,
    rows: StringBuilder,
    /// Of each row what decides its merge group: tenant and routing key.
    routes: Vec<u32>,
    text: String,
}

impl HitRows {
    /// Adds the rows of one batch that meet a base rule. `columns` are the input's fields, `common` the rows' own columns.
    pub(crate) fn extend(
        &mut self,
        plan: &CorrelationPlan,
        (number, input): (usize, &HitInput),
        columns: &[ArrayRef],
        common: &Common,
        source: &str,
    ) {
        let texts: Vec<&StringArray> = columns.iter().map(|column| column.as_string()).collect();
        let kinds = up(plan, input.node);
        for index in 0..common.times().len() {
            let row = common.row(index);
            if !counts(kinds.first().copied(), input.steps.first(), &texts, index) {
                continue;
            }
            self.tenants.append_value(row.tenant);
            for step in &input.steps {
                push_list(&mut self.text, &step.key, &texts, index);
                self.keys.values().append_value(&self.text);
                match value(&mut self.text, &step.value, &texts, index) {
                    true => self.values.values().append_value(&self.text),
                    false => self.values.values().append_null(),
                }
            }
            self.keys.append(true);
            self.values.append(true);
            self.route(plan, row.tenant, input.steps.last(), &texts, index);
            let identity = (row.time, row.offset, row.record, number);
            self.place((input.node, input.reference), window_time(row.time, row.received_at), identity, source);
            self.rows.append_null();
        }
    }

    fn route(
        &mut self,
        plan: &CorrelationPlan,
        tenant: &str,
        root: Option<&Step>,
        texts: &[&StringArray],
        index: usize,
    ) {
        // As `merge_group::group_of` writes tenant and keys.
        self.text.clear();
        self.text.push('[');
        push_string(&mut self.text, tenant);
        for &field in &plan.routes {
            self.text.push(',');
            push_text(&mut self.text, root.and_then(|step| *step.key.get(field)?), texts, index);
        }
        self.text.push(']');
        self.routes.push(crc32fast::hash(self.text.as_bytes()));
    }

    fn place(&mut self, slot: (usize, usize), time: i64, row: (i64, i64, i32, usize), source: &str) {
        let ((node, reference), (event_time, offset, record, input)) = (slot, row);
        for (builder, number) in self.numbers.iter_mut().zip([node, reference, input]) {
            builder.append_value(u16::try_from(number).unwrap_or(u16::MAX));
        }
        for (builder, long) in self.longs.iter_mut().zip([time, event_time, offset]) {
            builder.append_value(long);
        }
        self.sources.append_value(source);
        self.records.append_value(record);
    }

    /// Adds a hit that a key holds.
    pub(super) fn push(&mut self, tenant: &str, key: &str, node: usize, hit: &Hit) {
        self.tenants.append_value(tenant);
        self.keys.values().append_value(key);
        match &hit.value {
            Value::None => self.values.values().append_null(),
            Value::Text(text) => self.values.values().append_value(text),
            Value::Number(number) => self.values.values().append_value(number.to_string()),
        }
        for later in &hit.later {
            self.keys.values().append_value(&later.key);
            self.values.values().append_option(later.value.as_deref());
        }
        self.keys.append(true);
        self.values.append(true);
        let slot = (node, usize::from(hit.reference));
        match &hit.rows {
            Rows::One(row) => {
                self.place(slot, hit.time, (row.time, row.offset, row.record, row.input), &row.source);
                self.rows.append_null();
            }
            Rows::Many(rows) => {
                let row = |r: &EvidenceRow| serde_json::json!([r.time, &*r.source, r.offset, r.record, r.input]);
                let all = serde_json::Value::from_iter(rows.iter().map(row));
                self.place(slot, hit.time, (hit.time, 0, 0, 0), "");
                self.rows.append_value(all.to_string());
            }
        }
    }

    /// Bytes held, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.tenants.values_slice().len() + self.sources.values_slice().len() + self.routes.len() * ROW_BYTES
    }

    /// The rows as one batch; none is held afterwards.
    pub(super) fn finish(&mut self) -> Result<RecordBatch> {
        let [node, reference, input] = &mut self.numbers;
        let [time, event_time, offset] = &mut self.longs;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.tenants.finish()),
            Arc::new(self.keys.finish()),
            Arc::new(self.values.finish()),
            Arc::new(node.finish()),
            Arc::new(reference.finish()),
            Arc::new(time.finish()),
            Arc::new(event_time.finish()),
            Arc::new(self.sources.finish()),
            Arc::new(offset.finish()),
            Arc::new(self.records.finish()),
            Arc::new(input.finish()),
            Arc::new(self.rows.finish()),
        ];
        Ok(RecordBatch::try_new(SCHEMA.clone(), columns)?)
    }

    /// The rows of each merge group, in their order; none is held afterwards.
    ///
    /// # Errors
    /// If Arrow cannot rearrange them, which it can.
    pub(crate) fn split(&mut self, groups: NonZeroU32) -> Result<Vec<RecordBatch>> {
        let routes = std::mem::take(&mut self.routes);
        let batch = self.finish()?;
        if groups.get() == 1 {
            return Ok(vec![batch]);
        }
        let mut rows: Vec<Vec<u32>> = vec![Vec::new(); groups.get() as usize];
        for (row, route) in (0..).zip(routes) {
            rows[(route % groups) as usize].push(row);
        }
        rows.into_iter().map(|rows| Ok(take_record_batch(&batch, &UInt32Array::from(rows))?)).collect()
    }
}

/// The types of a correlation and of those above it.
fn up(plan: &CorrelationPlan, node: usize) -> Vec<Kind> {
    let node = plan.nodes.get(node);
    let up = std::iter::successors(node, |node| plan.nodes.get(node.then?.0));
    up.map(|node| node.kind).collect()
}

/// True unless the correlation takes a value and the row has none.
fn counts(kind: Option<Kind>, step: Option<&Step>, texts: &[&StringArray], row: usize) -> bool {
    let (Some(kind), Some(step)) = (kind, step) else { return false };
    let text = |column: &Option<usize>| at(*column, texts, row);
    !kind.has_value()
        || step.value.iter().all(|column| text(column).is_some_and(|t| !kind.is_number() || number(t).is_some()))
}

fn at<'a>(column: Option<usize>, texts: &[&'a StringArray], row: usize) -> Option<&'a str> {
    let column = texts.get(column?)?;
    column.is_valid(row).then(|| column.value(row))
}

fn push_text(out: &mut String, column: Option<usize>, texts: &[&StringArray], row: usize) {
    match at(column, texts, row) {
        Some(text) => push_string(out, text),
        None => out.push_str("null"),
    }
}

/// `["a",null]`
fn push_list(out: &mut String, columns: &[Option<usize>], texts: &[&StringArray], row: usize) {
    out.clear();
    out.push('[');
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        push_text(out, *column, texts, row);
    }
    out.push(']');
}

/// Writes a value: the text of one field, of several their list. False if one is not there, or none is taken.
fn value(out: &mut String, columns: &[Option<usize>], texts: &[&StringArray], row: usize) -> bool {
    if columns.is_empty() || columns.iter().any(|column| at(*column, texts, row).is_none()) {
        return false;
    }
    match columns {
        [one] => {
            out.clear();
            out.push_str(at(*one, texts, row).unwrap_or_default());
        }
        many => push_list(out, many, texts, row),
    }
    true
}

/// Hits that were shipped or kept.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    tenants: &'a StringArray,
    lists: [(&'a [i32], &'a StringArray); 2],
    numbers: [&'a [u16]; 3],
    longs: [&'a [i64]; 3],
    sources: &'a StringArray,
    records: &'a [i32],
    rows: &'a StringArray,
    source: Arc<str>,
}

/// One of them: tenant, number of its correlation, key, the hit; and its value as text.
pub(super) type Read<'a> = (&'a str, usize, &'a str, Hit, Option<&'a str>);

impl<'a> Batch<'a> {
    /// # Errors
    /// If the batch is none of hits.
    pub(crate) fn of(batch: &'a RecordBatch) -> Result<Self> {
        if batch.schema() != *SCHEMA {
            return Err(AggregateError::Decode { what: "delta", why: "it has no rows of a correlation".to_owned() });
        }
        let list = |column: usize| {
            let list = batch.column(column).as_list::<i32>();
            (list.value_offsets(), list.values().as_string::<i32>())
        };
        let number = |column: usize| &**batch.column(column).as_primitive::<UInt16Type>().values();
        let long = |column: usize| &**batch.column(column).as_primitive::<Int64Type>().values();
        Ok(Self {
            tenants: batch.column(0).as_string(),
            lists: [list(1), list(2)],
            numbers: [number(3), number(4), number(10)],
            longs: [long(5), long(6), long(8)],
            sources: batch.column(7).as_string(),
            records: batch.column(9).as_primitive::<Int32Type>().values(),
            rows: batch.column(11).as_string(),
            source: Arc::from(""),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.tenants.len()
    }

    /// The hit in a row; its value is not set. None if the row names no key, which none of ours does.
    pub(super) fn read(&mut self, row: usize) -> Option<Read<'a>> {
        let [keys, values] = self.lists.map(|(ends, texts)| {
            let range = ends[row] as usize..ends[row + 1] as usize;
            range.map(move |i| texts.is_valid(i).then(|| texts.value(i)))
        });
        let mut both = keys.zip(values);
        let (key, value) = both.next()?;
        let later = both.map(|(key, value)| Later { key: key.unwrap_or_default().into(), value: value.map(Arc::from) });
        let hit = Hit {
            time: self.longs[0][row],
            reference: self.numbers[1][row],
            value: Value::None,
            later: later.collect(),
            rows: self.rows_of(row)?,
        };
        Some((self.tenants.value(row), usize::from(self.numbers[0][row]), key?, hit, value))
    }

    fn rows_of(&mut self, row: usize) -> Option<Rows> {
        if self.rows.is_valid(row) {
            let rows: Vec<(i64, String, i64, i32, usize)> = serde_json::from_str(self.rows.value(row)).ok()?;
            let row = |(time, source, offset, record, input): (i64, String, i64, i32, usize)| EvidenceRow {
                time,
                source: source.into(),
                offset,
                record,
                input,
            };
            return Some(Rows::Many(rows.into_iter().map(row).collect()));
        }
        // A range comes from one partition.
        if *self.source != *self.sources.value(row) {
            self.source = self.sources.value(row).into();
        }
        Some(Rows::One(EvidenceRow {
            time: self.longs[1][row],
            source: self.source.clone(),
            offset: self.longs[2][row],
            record: self.records[row],
            input: usize::from(self.numbers[2][row]),
        }))
    }
}
