//! `palisade decode`: lines on stdin -> OCSF JSON lines on stdout, in order, or a report; dead letters on stderr with line
//! and reason.

mod explain;
mod report;

use std::io::{BufReader, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use dataflow::json::{JsonRows, push_string};
use dataflow::{BatchBuilder, Chunk, ChunkBuilder, DeadLetters, Decoder, PartitionId, TableBatch};
use ingest::decode::{AutoDecoder, DecodeConfig, FlowFields, VpcFlowConfig};
use ingest::files::Lines;
use ingest::mapping::{MappingError, Mappings};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::{DecodeArgs, Output};
use crate::clock;

use report::Report;

/// Lines decoded at a time: bounded, and enough that a batch costs little.
pub(super) const LINES: usize = 1024;
pub(super) const LINE_LIMIT: usize = 1 << 20;

/// One line of `--wrapped` input.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    raw: String,
}

/// Lines of one turn: what goes through the decoder, and for `--wrapped` what each line's answer is.
struct Turn {
    lines: ChunkBuilder,
    answers: Vec<Answer>,
}

/// What a wrapped line gets.
enum Answer {
    /// The events, or the dead letter, of the line at this offset.
    Decoded { id: String, offset: i64 },
    /// The wrapper itself is broken.
    Broken(String),
}

/// Runs the command.
///
/// # Errors
/// If stdin cannot be read or stdout cannot be written, the fields named are no flow log's, or a mapping file is wrong.
pub(crate) fn run(args: &DecodeArgs) -> anyhow::Result<ExitCode> {
    let mut decoder = decoder(args)?;
    let mut report = args.report.then(Report::default);
    let mut input = Lines::new(BufReader::with_capacity(1 << 18, std::io::stdin().lock()), LINE_LIMIT, true);
    let mut out = std::io::BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
    let (mut next, mut dead_total, mut head) = (0_i64, 0_u64, None);
    loop {
        let partition = PartitionId::new("stdin", "0", 0);
        let lines = ChunkBuilder::new(partition, args.tenant.as_str().into(), next);
        let mut turn = Turn { lines, answers: Vec::new() };
        let mut read = 0;
        while read < LINES && turn.lines.bytes() < LINE_LIMIT {
            let is_line = input.next(|line, full_len| {
                if next == 0 && !args.wrapped {
                    head = ingest::files::head_of(line, full_len);
                }
                turn.add(args.wrapped, line, full_len, next);
            });
            if !is_line.context("stdin")? {
                break;
            }
            next += 1;
            read += 1;
        }
        if read == 0 {
            break;
        }
        turn.lines.set_head(head.clone());
        dead_total += turn.finish(args, &mut decoder, report.as_mut(), &mut out)?;
    }
    if let Some(report) = &report {
        let terminal = std::io::stdout().is_terminal();
        match args.output {
            Output::Json => report.write_json(next.unsigned_abs(), &decoder, &mut out)?,
            Output::Text => report.write_text(next.unsigned_abs(), &decoder, &mut out, terminal)?,
        }
    }
    out.flush()?;
    if dead_total > 0 && !args.wrapped {
        eprintln!("{dead_total} of {next} lines could not be decoded");
    }
    Ok(if args.strict && dead_total > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn decoder(args: &DecodeArgs) -> anyhow::Result<AutoDecoder> {
    let mappings = Mappings::load(&args.mapping).map_err(|errors| anyhow::anyhow!(lines(&errors)))?;
    let mut decoder = AutoDecoder::with_mappings(config(args)?, mappings);
    if args.explain || args.report {
        decoder.explain();
    }
    Ok(decoder)
}

/// What is wrong with mapping files, one a line.
pub(crate) fn lines(errors: &[MappingError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn config(args: &DecodeArgs) -> anyhow::Result<DecodeConfig> {
    let fields = args.vpc_flow_fields.clone().map(FlowFields::try_from).transpose().context("--vpc-flow-fields")?;
    let vpc_flow = VpcFlowConfig { fields: fields.unwrap_or_default() };
    Ok(DecodeConfig { format: args.format, vpc_flow, ..DecodeConfig::default() })
}

impl Turn {
    fn add(&mut self, wrapped: bool, line: &[u8], full_len: u64, offset: i64) {
        let received_at = clock::now_us();
        if !wrapped {
            return self.lines.push_cut(line, full_len, offset, received_at);
        }
        let parsed = std::str::from_utf8(line).map_err(|e| e.to_string()).and_then(|text| {
            serde_json::from_str::<Wrapped<'_>>(text).map_err(|e| format!("not {{\"id\", \"raw\"}}: {e}"))
        });
        self.answers.push(match parsed {
            Ok(Wrapped { id, raw }) => {
                self.lines.push(raw.as_bytes(), offset, received_at);
                Answer::Decoded { id: id.get().to_owned(), offset }
            }
            Err(what) => Answer::Broken(what),
        });
    }

    /// Decodes and prints; returns how many lines were dead letters.
    fn finish(
        self,
        args: &DecodeArgs,
        decoder: &mut AutoDecoder,
        report: Option<&mut Report>,
        out: &mut impl Write,
    ) -> anyhow::Result<u64> {
        let chunk = self.lines.finish();
        let (mut rows, mut dead) = (BatchBuilder::new(), DeadLetters::new());
        decoder.decode(&chunk, &mut rows, &mut dead);
        let events = Events::new(rows.finish());
        let letters = dead.finish().map(|b| b.rows);
        let dead_count = letters.as_ref().map_or(0, |l| l.num_rows()) as u64;
        if args.wrapped {
            let broken = self.answers.iter().filter(|a| matches!(a, Answer::Broken(_))).count() as u64;
            write_answers(&self.answers, &events, letters.as_ref(), out)?;
            return Ok(dead_count + broken);
        }
        let taken = decoder.take_taken();
        match report {
            Some(report) => report.add(&taken, &events, letters.as_ref()),
            None => write_events(&chunk, &events, out)?,
        }
        out.flush()?;
        if args.explain {
            let mut text = String::new();
            explain::push(&taken, args.output, &mut text);
            eprint!("{text}");
        }
        letters.iter().for_each(print_letters);
        Ok(dead_count)
    }
}

/// Decoded rows, found by the offset of their line.
struct Events {
    batches: Vec<TableBatch>,
    /// (offset, index within the record, batch, row), sorted.
    order: Vec<(i64, i32, usize, usize)>,
}

impl Events {
    fn new(batches: Vec<TableBatch>) -> Self {
        let mut order = Vec::new();
        for (b, batch) in batches.iter().enumerate() {
            let (offsets, records) = (i64_column(&batch.rows, "_offset"), i32_column(&batch.rows, "_record"));
            order.extend((0..batch.rows.num_rows()).map(|row| (offsets[row], records[row], b, row)));
        }
        order.sort_unstable();
        Self { batches, order }
    }

    fn writers(&self) -> Vec<JsonRows<'_>> {
        self.batches.iter().map(|b| JsonRows::new(b.table, &b.rows)).collect()
    }

    fn of(&self, offset: i64) -> &[(i64, i32, usize, usize)] {
        let from = self.order.partition_point(|e| e.0 < offset);
        let len = self.order[from..].partition_point(|e| e.0 == offset);
        &self.order[from..from + len]
    }
}

fn i64_column<'a>(rows: &'a RecordBatch, name: &str) -> &'a [i64] {
    rows.column_by_name(name).expect("an identity column").as_primitive::<Int64Type>().values()
}

fn i32_column<'a>(rows: &'a RecordBatch, name: &str) -> &'a [i32] {
    rows.column_by_name(name).expect("an identity column").as_primitive::<Int32Type>().values()
}

fn write_events(chunk: &Chunk, events: &Events, out: &mut impl Write) -> std::io::Result<()> {
    let writers = events.writers();
    let mut text = String::new();
    for record in chunk.records() {
        for (_, _, batch, row) in events.of(record.offset) {
            writers[*batch].write(*row, &mut text);
            text.push('\n');
        }
    }
    out.write_all(text.as_bytes())
}

fn write_answers(
    answers: &[Answer],
    events: &Events,
    letters: Option<&RecordBatch>,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let writers = events.writers();
    let mut text = String::new();
    for answer in answers {
        match answer {
            Answer::Broken(what) => push_error(&mut text, "null", "invalid_wrapper", what),
            Answer::Decoded { id, offset } => match letters.and_then(|l| letter_of(l, *offset)) {
                Some((reason, detail)) => push_error(&mut text, id, reason, detail),
                None => {
                    text.push_str(&format!("{{\"id\":{id},\"events\":["));
                    for (i, (_, _, batch, row)) in events.of(*offset).iter().enumerate() {
                        text.push_str(if i > 0 { "," } else { "" });
                        writers[*batch].write(*row, &mut text);
                    }
                    text.push_str("]}");
                }
            },
        }
        text.push('\n');
    }
    out.write_all(text.as_bytes())
}

fn push_error(text: &mut String, id: &str, reason: &str, detail: &str) {
    text.push_str(&format!("{{\"id\":{id},\"error\":{{\"reason\":\"{reason}\",\"detail\":"));
    push_string(text, detail);
    text.push_str("}}");
}

/// Reason and detail of the dead letter at an offset.
fn letter_of(letters: &RecordBatch, offset: i64) -> Option<(&str, &str)> {
    let row = i64_column(letters, "_offset").binary_search(&offset).ok()?;
    Some((keyword(letters, "reason", row), text(letters, "detail", row)))
}

fn keyword<'a>(rows: &'a RecordBatch, name: &str, row: usize) -> &'a str {
    let column = rows.column_by_name(name).expect("a dead letter's column").as_dictionary::<Int32Type>();
    column.values().as_string::<i32>().value(column.keys().value(row) as usize)
}

fn text<'a>(rows: &'a RecordBatch, name: &str, row: usize) -> &'a str {
    let column = rows.column_by_name(name).expect("a dead letter's column").as_string::<i32>();
    if column.is_null(row) { "" } else { column.value(row) }
}

/// One line a dead letter: `line 7: invalid_json: …`.
fn print_letters(letters: &RecordBatch) {
    for (row, offset) in i64_column(letters, "_offset").iter().enumerate() {
        eprintln!("line {}: {}: {}", offset + 1, keyword(letters, "reason", row), text(letters, "detail", row));
    }
}
