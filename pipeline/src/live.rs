//! A line on the terminal while a worker runs: rate, lag, latency, alerts. Plain lines now and then in a pipe.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::clock;
use crate::flight::Flight;
use crate::summary::grouped;
use crate::telemetry::Telemetry;

/// Shows the line until dropped.
pub(crate) struct LiveLine(tokio::task::JoinHandle<()>);

impl Drop for LiveLine {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts the line; `total` is how many events will come, if that is known.
pub(crate) fn start(telemetry: Telemetry, flight: Flight, total: Option<u64>) -> LiveLine {
    let terminal = std::io::stderr().is_terminal();
    #[expect(clippy::disallowed_methods, reason = "aborted when the line is dropped; holds nothing that could be lost")]
    let task = tokio::spawn(async move {
        let bar = terminal.then(|| bar(total));
        let mut ticks = tokio::time::interval(Duration::from_millis(if terminal { 500 } else { 10_000 }));
        let mut last = (clock::instant(), 0);
        ticks.tick().await;
        loop {
            ticks.tick().await;
            let (now, received) = (clock::instant(), telemetry.received_total());
            let rate = (received - last.1) as f64 / (now - last.0).as_secs_f64();
            last = (now, received);
            let text = line(&telemetry, &flight, rate);
            match &bar {
                Some(bar) => {
                    bar.set_position(received);
                    bar.set_message(text);
                }
                None => eprintln!("{} events, {text}", grouped(received)),
            }
        }
    });
    LiveLine(task)
}

fn bar(total: Option<u64>) -> ProgressBar {
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let template = match total {
        Some(_) => "{bar:30.cyan} {percent:>3}%  {msg}",
        None => "{spinner} {human_pos} events  {msg}",
    };
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn line(telemetry: &Telemetry, flight: &Flight, rate: f64) -> String {
    let (queryable, _) = flight.latencies();
    format!(
        "{} events/s, {} in flight, queryable p99 {:.1} s, {} alerts, {} dead letters",
        grouped(rate as u64),
        grouped(telemetry.in_flight.get().max(0) as u64),
        queryable.quantile_ms(0.99) / 1000.0,
        telemetry.alerts_total(),
        telemetry.dead_letters_total(),
    )
}
