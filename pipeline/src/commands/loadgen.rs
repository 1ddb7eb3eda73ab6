//! `palisade loadgen`: a synthetic fleet's logs to stdout or files, with labels and truth beside the files; and the score
//! of a warehouse that read such files.

use std::io::{BufWriter, Write};
use std::process::ExitCode;

use anyhow::Context;
use loadgen::{Fleet, FleetConfig, Label};
use sinks::{Warehouse, WarehouseConfig};

use crate::account::{self, Identity};
use crate::cli::{LoadgenAction, LoadgenArgs, Output, ScoreArgs, WriteArgs};
use crate::setup;
use crate::summary::{ScoreSummary, grouped};
use crate::warehouse_sql;

/// Runs the command.
///
/// # Errors
/// If the fleet cannot be made so, nothing can be written, or the warehouse cannot be read.
pub(crate) fn run(args: &LoadgenArgs) -> anyhow::Result<ExitCode> {
    match &args.action {
        None => write(&args.write),
        Some(LoadgenAction::Score(args)) => crate::block_on(score(args)),
    }
}

fn write(args: &WriteArgs) -> anyhow::Result<ExitCode> {
    let span_us = i64::try_from(args.span.as_micros())?;
    let fleet = Fleet::new(FleetConfig { seed: args.seed, events: args.events, span_us, ..FleetConfig::default() })?;
    match &args.out {
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("{}", dir.display()))?;
            let files = loadgen::write_files(&fleet, dir, args.compression.into(), args.files)?;
            fleet.write_truth(dir)?;
            let (events, files) = (grouped(args.events), files.len());
            eprintln!("{events} records in {files} files, labels.json and truth.parquet in {}", dir.display());
        }
        None => {
            let mut out = BufWriter::with_capacity(1 << 18, std::io::stdout().lock());
            loadgen::write_stream(&fleet, &mut out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn score(args: &ScoreArgs) -> anyhow::Result<ExitCode> {
    let labels = args.truth.join("labels.json");
    let text = std::fs::read_to_string(&labels).with_context(|| format!("{}", labels.display()))?;
    let labels: Vec<Label> = serde_json::from_str(&text).with_context(|| format!("{}", labels.display()))?;
    let warehouse = Warehouse::open(WarehouseConfig::at(&args.warehouse)).await?;
    let session = warehouse_sql::session(&warehouse).await?;
    let account = account::account(&session, &args.truth.join("truth.parquet"), Identity::Files).await?;
    let alerts = account::alerts(&session, setup::builtin_rules()?.as_ref()).await?;
    let summary = ScoreSummary::new(&account, &loadgen::score(&labels, &alerts));
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Json => writeln!(out, "{}", serde_json::to_string(&summary)?)?,
        Output::Text => summary.write_text(&mut out)?,
    }
    Ok(ExitCode::SUCCESS)
}
