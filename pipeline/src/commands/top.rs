//! `palisade top`: workers that run, watched from outside.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::task::JoinSet;

use crate::cli::TopArgs;
use crate::clock;
use crate::live::{self, Fleet, Live};
use crate::telemetry::Status;

/// Between two questions to a worker.
const EVERY: Duration = Duration::from_secs(1);
/// A worker that has not answered by then is called silent.
const PATIENCE: Duration = Duration::from_secs(3);

/// Runs the command until it is interrupted.
///
/// # Errors
/// If none of the workers answers at first.
pub(crate) async fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().context("an HTTP client")?;
    let fleet = Arc::new(Mutex::new(Fleet::new(&args.workers, clock::instant())));
    let mut asking = JoinSet::new();
    for (worker, address) in args.workers.iter().enumerate() {
        asking.spawn(ask(client.clone(), worker, url(address, "status"), fleet.clone()));
    }
    while let Some(asked) = asking.join_next().await {
        asked.context("a question to a worker")?;
    }
    if let Some(silence) = lock(&fleet).silence() {
        bail!("no worker answers: {silence}; name where they listen (`telemetry.listen`): palisade top HOST:PORT ...");
    }
    let live = live::watch(fleet.clone(), args.no_live)?;
    for (worker, address) in args.workers.iter().enumerate() {
        asking.spawn(keep_asking(client.clone(), worker, url(address, "status"), fleet.clone()));
    }
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        () = unread(&live) => {}
    }
    drop(live);
    Ok(ExitCode::SUCCESS)
}

/// Waits until nobody reads what is shown (`palisade top | head`).
async fn unread(live: &Live) {
    let mut ticks = tokio::time::interval(EVERY);
    while !live.has_ended() {
        ticks.tick().await;
    }
}

fn lock(fleet: &Mutex<Fleet>) -> std::sync::MutexGuard<'_, Fleet> {
    fleet.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a worker answers: it is `host:9464`, or a URL whose path is a proxy's.
pub(super) fn url(worker: &str, path: &str) -> String {
    let base = worker.trim_end_matches('/');
    if base.contains("://") { format!("{base}/{path}") } else { format!("http://{base}/{path}") }
}

async fn keep_asking(client: reqwest::Client, worker: usize, url: String, fleet: Arc<Mutex<Fleet>>) {
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ask(client.clone(), worker, url.clone(), fleet.clone()).await;
    }
}

async fn ask(client: reqwest::Client, worker: usize, url: String, fleet: Arc<Mutex<Fleet>>) {
    let answer = status(&client, &url).await.map_err(|error| root_cause(&error));
    lock(&fleet).take(worker, clock::instant(), answer);
}

async fn status(client: &reqwest::Client, url: &str) -> anyhow::Result<Status> {
    let answer = client.get(url).send().await?.error_for_status()?.bytes().await?;
    serde_json::from_slice(&answer).context("this is no status of a worker of this version")
}

/// What is at the bottom of it: what stands above repeats the URL.
fn root_cause(error: &anyhow::Error) -> String {
    match error.chain().find(|cause| cause.is::<serde_json::Error>()) {
        Some(_) => format!("{error:#}"),
        None => error.root_cause().to_string(),
    }
}

#[cfg(test)]
mod tests {

    #[test]
    fn a_worker_is_named_by_its_address_or_by_a_url() {
        for (worker, wanted) in [
            ("127.0.0.1:9464", "http://127.0.0.1:9464/status"),
            ("https://palisade.example/eu/", "https://palisade.example/eu/status"),
        ] {
            assert_eq!(super::url(worker, "status"), wanted);
        }
    }
}
