//! `palisade tables receivers`: who gets alerts, and what did not reach them.

use std::io::Write;

use anyhow::bail;
use serde::Serialize;
use sinks::Warehouse;

use super::print;
use crate::cli::ReceiversArgs;
use crate::listing::Listing;

#[derive(Debug, Serialize)]
struct Line {
    receiver: String,
    waiting: usize,
    refused: usize,
}

/// Prints a line a receiver, or a line an alert that one refused.
///
/// # Errors
/// If the ledger cannot be read, or nobody has the name.
pub(super) async fn run(warehouse: &Warehouse, args: &ReceiversArgs) -> anyhow::Result<()> {
    let ledger = warehouse.ledger();
    let known = ledger.receivers().await?;
    if let Some(receiver) = args.refused.as_ref().or(args.forget.as_ref())
        && !known.iter().any(|line| line.receiver == *receiver)
    {
        let names: Vec<&str> = known.iter().map(|line| line.receiver.as_str()).collect();
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        bail!("no receiver {receiver} has got alerts of this warehouse; known: {names}");
    }
    if let Some(receiver) = &args.refused {
        let mut out = std::io::stdout().lock();
        for refused in ledger.refused_alerts(receiver).await? {
            writeln!(out, "{refused}")?;
        }
        return Ok(());
    }
    if let Some(receiver) = &args.forget {
        return Ok(ledger.forget_receiver(receiver).await?);
    }
    let line = |of: sinks::outbox::Delivered| Line { receiver: of.receiver, waiting: of.waiting, refused: of.refused };
    let lines: Vec<Line> = known.into_iter().map(line).collect();
    print(&lines, args.at.output, |out, terminal| text(&lines, out, terminal))
}

fn text(lines: &[Line], out: &mut impl Write, terminal: bool) -> std::io::Result<()> {
    let mut listing = Listing::new(&["receiver", "waiting", "refused"], &[1, 2]);
    for l in lines {
        listing.push(vec![l.receiver.clone(), l.waiting.to_string(), l.refused.to_string()]);
    }
    listing.write(out, terminal)
}
