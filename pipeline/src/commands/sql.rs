//! `palisade sql`: one query, or an interactive session with history and completion.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table as TextTable, presets};
use dataflow::Table;
use datafusion::prelude::SessionContext;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Editor, Helper};
use sinks::Warehouse;

use crate::cli::{Output, SqlArgs};
use crate::clock;
use crate::warehouse_sql;

/// Rows that an interactive query shows.
const SHOWN: usize = 200;

/// Runs the command.
///
/// # Errors
/// If the warehouse cannot be opened or the query fails.
pub(crate) async fn run(args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let warehouse = args.at.open().await?;
    match &args.query {
        Some(query) => {
            let session = warehouse_sql::session(&warehouse).await?;
            let batches = warehouse_sql::query(&session, query).await?;
            print(&batches, args.output, usize::MAX)?;
        }
        None if std::io::stdin().is_terminal() => interactive(&warehouse, args.output).await?,
        None => {
            let text = std::io::read_to_string(std::io::stdin()).context("stdin")?;
            let session = warehouse_sql::session(&warehouse).await?;
            for query in text.split(';').filter(|q| !q.trim().is_empty()) {
                print(&warehouse_sql::query(&session, query).await?, args.output, usize::MAX)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn interactive(warehouse: &Warehouse, output: Output) -> anyhow::Result<()> {
    let session = warehouse_sql::session(warehouse).await?;
    let mut editor: Editor<Words, _> = Editor::new()?;
    editor.set_helper(Some(Words::new(&session)));
    let history = history_file();
    let _ = history.as_ref().map(|h| editor.load_history(h));
    eprintln!("Tables: {}. End a query with `;`, leave with ctrl-d.", Table::ALL.map(Table::name).join(", "));
    loop {
        match editor.readline("palisade> ") {
            Ok(text) => {
                editor.add_history_entry(text.trim())?;
                // A new session for each query: it sees what was committed since.
                let session = warehouse_sql::session(warehouse).await?;
                for query in text.split(';').filter(|q| !q.trim().is_empty()) {
                    answer(&session, query, output).await?;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e.into()),
        }
    }
    let _ = history.map(|h| editor.save_history(&h));
    Ok(())
}

async fn answer(session: &SessionContext, query: &str, output: Output) -> anyhow::Result<()> {
    let started = clock::instant();
    match warehouse_sql::query(session, query).await {
        Ok(batches) => {
            let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
            print(&batches, output, SHOWN)?;
            eprintln!("{rows} rows in {:.3} s", started.elapsed().as_secs_f64());
        }
        Err(e) => eprintln!("{e:#}"),
    }
    Ok(())
}

fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from);
    let base = state.or_else(|| std::env::home_dir().map(|h| h.join(".local/state")))?.join("palisade");
    std::fs::create_dir_all(&base).ok()?;
    Some(base.join("sql_history"))
}

/// Prints rows: a table, or one JSON object a line.
fn print(batches: &[RecordBatch], output: Output, most: usize) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    match output {
        Output::Json => print_json(batches, &mut out)?,
        Output::Text => print_table(batches, most, &mut out)?,
    }
    out.flush()?;
    Ok(())
}

fn print_json(batches: &[RecordBatch], out: &mut impl Write) -> anyhow::Result<()> {
    let mut writer = arrow::json::LineDelimitedWriter::new(out);
    writer.write_batches(&batches.iter().collect::<Vec<_>>())?;
    writer.finish()?;
    Ok(())
}

fn print_table(batches: &[RecordBatch], most: usize, out: &mut impl Write) -> anyhow::Result<()> {
    let Some(first) = batches.first() else { return Ok(writeln!(out, "no rows")?) };
    let mut table = TextTable::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(first.schema().fields().iter().map(|f| f.name().clone()));
    let options = FormatOptions::default().with_null("");
    let mut left = most;
    for batch in batches {
        let columns: Result<Vec<_>, _> =
            batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options)).collect();
        let columns = columns?;
        for row in 0..batch.num_rows().min(left) {
            let schema = batch.schema();
            let cells =
                columns.iter().zip(schema.fields()).map(|(c, f)| cell(&c.value(row).to_string(), f.data_type()));
            table.add_row(cells.collect::<Vec<_>>());
        }
        left = left.saturating_sub(batch.num_rows());
    }
    writeln!(out, "{table}")?;
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if total > most {
        writeln!(out, "… and {} rows more; add LIMIT or use --output json", total - most)?;
    }
    Ok(())
}

fn cell(text: &str, data_type: &DataType) -> Cell {
    let cell = Cell::new(text);
    if data_type.is_numeric() { cell.set_alignment(CellAlignment::Right) } else { cell }
}

/// Completes table and column names; a query goes on until its `;`.
struct Words(Vec<String>);

impl Words {
    fn new(_: &SessionContext) -> Self {
        let keywords = ["SELECT", "FROM", "WHERE", "GROUP BY", "ORDER BY", "LIMIT", "HAVING", "count(*)", "AS", "AND"];
        let mut words: Vec<String> = keywords.iter().map(|w| (*w).to_owned()).collect();
        for table in Table::ALL {
            words.push(table.name().to_owned());
            words.extend(table.layout().leaves.iter().map(|l| l.path.replace("[]", "")));
        }
        words.sort();
        words.dedup();
        Self(words)
    }
}

impl Helper for Words {}
impl Hinter for Words {
    type Hint = String;
}
impl Highlighter for Words {}

impl Validator for Words {
    fn validate(&self, input: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = input.input().trim_end();
        let done = text.is_empty() || text.ends_with(';');
        Ok(if done { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for Words {
    type Candidate = Pair;

    fn complete(&self, line: &str, at: usize, _: &rustyline::Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let start = line[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).map_or(0, |i| i + 1);
        let typed = line[start..at].to_lowercase();
        let found = self.0.iter().filter(|w| w.to_lowercase().starts_with(&typed));
        Ok((start, found.map(|w| Pair { display: w.clone(), replacement: w.clone() }).collect()))
    }
}
