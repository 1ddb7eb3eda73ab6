//! `palisade tap`: rows of running workers, as they pass.

mod line;

use std::io::{BufWriter, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::top::url;
use crate::cli::{Output, TapArgs};
use crate::tap::Request;

const PATIENCE: Duration = Duration::from_secs(5);

/// A line of a worker: a row with its table, or one of the others.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    table: String,
    row: Option<Box<RawValue>>,
    #[serde(default)]
    passed_over: u64,
    error: Option<String>,
}

/// Runs the command until it is interrupted, or has shown as many rows as were asked for.
///
/// # Errors
/// If a worker cannot be asked, does not understand what it is asked, or goes away.
pub(crate) async fn run(args: &TapArgs) -> anyhow::Result<ExitCode> {
    let client = reqwest::Client::builder().connect_timeout(PATIENCE).build().context("an HTTP client")?;
    let question = serde_json::to_string(&request(args))?;
    let (to, mut from) = mpsc::channel(64);
    let mut listening = JoinSet::new();
    for worker in &args.workers {
        let mut asked = client.post(url(worker, "console/api/tap")).body(question.clone());
        if let Some(token) = &args.token {
            asked = asked.bearer_auth(token);
        }
        listening.spawn(listen(asked, worker.clone(), to.clone()));
    }
    drop(to);
    let shown = async {
        let mut shown = Shown::new(args);
        while let Some(told) = from.recv().await {
            if !shown.take(&told)? {
                return Ok(());
            }
        }
        // Every worker has ended; the first that failed says why.
        while let Some(ended) = listening.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        shown = shown => shown?,
    }
    Ok(ExitCode::SUCCESS)
}

fn request(args: &TapArgs) -> Request {
    Request {
        stage: args.stage,
        tables: args.tables.clone(),
        condition: args.condition.clone(),
        fields: args.fields.clone(),
        redact: args.redact.clone(),
        rate: args.rate,
    }
}

/// Hands on what a worker tells, until it ends.
async fn listen(asked: reqwest::RequestBuilder, worker: String, to: mpsc::Sender<Told>) -> anyhow::Result<()> {
    let mut answer = asked.send().await.with_context(|| {
        format!("{worker} does not answer; name where a worker listens (`telemetry.listen`): palisade tap HOST:PORT")
    })?;
    if !answer.status().is_success() {
        let status = answer.status();
        let why = answer.text().await.unwrap_or_default();
        bail!("{worker}: {}", if why.is_empty() { status.to_string() } else { why });
    }
    let mut held = Vec::new();
    while let Some(bytes) = answer.chunk().await.with_context(|| format!("{worker} went away"))? {
        held.extend_from_slice(&bytes);
        while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = held.drain(..=end).collect();
            if line.len() > 1 {
                let told: Told = serde_json::from_slice(&line)
                    .with_context(|| format!("{worker}: this is no answer of a worker of this version"))?;
                if let Some(error) = &told.error {
                    bail!("{worker}: {error}");
                }
                if to.send(told).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
    bail!("{worker} has ended")
}

/// What was shown, and how more is.
struct Shown<'a> {
    out: BufWriter<std::io::Stdout>,
    output: Output,
    is_colored: bool,
    /// What was asked for; nothing: every column.
    fields: &'a [String],
    left: u64,
}

impl<'a> Shown<'a> {
    fn new(args: &'a TapArgs) -> Self {
        let stdout = std::io::stdout();
        let is_colored = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let left = args.limit.unwrap_or(u64::MAX);
        Self { is_colored, out: BufWriter::new(stdout), output: args.output, fields: &args.fields, left }
    }

    /// False once enough was shown.
    fn take(&mut self, told: &Told) -> anyhow::Result<bool> {
        let table = &told.table;
        if let Some(row) = &told.row {
            match self.output {
                Output::Json => writeln!(self.out, "{{\"table\":\"{table}\",\"row\":{row}}}")?,
                Output::Text => {
                    let row = serde_json::from_str(row.get())?;
                    writeln!(self.out, "{}", line::of(table, &row, self.fields, self.is_colored))?;
                }
            }
            self.out.flush()?;
            self.left -= 1;
        }
        if told.passed_over > 0 {
            eprintln!("{} more rows passed; see --where and --rate", told.passed_over);
        }
        Ok(self.left > 0)
    }
}
