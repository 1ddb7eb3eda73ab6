//! `/metrics`, `/status`, `/health/live` and `/health/ready`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use axum::Router;
use axum::extract;
use axum::http::{StatusCode, header};
use axum::routing::get;
use sinks::Warehouse;
use tokio::net::TcpListener;

use super::status::Status;
use crate::config::ConsoleConfig;
use crate::console;
use crate::flight::Flight;
use crate::logging;
use crate::rules::LiveRules;

/// Whether the worker is at work: recovered, reading, and not failed.
#[derive(Clone, Default)]
pub(crate) struct Health(Arc<State>);

#[derive(Default)]
struct State {
    ready: AtomicBool,
    at_work: OnceLock<AtWork>,
}

/// What a worker works with, for whoever asks about it.
pub(crate) struct AtWork {
    pub(crate) warehouse: Warehouse,
    pub(crate) rules: LiveRules,
}

impl Health {
    /// Traffic and alerts can be relied on from now on.
    pub(crate) fn begin(&self, warehouse: Warehouse, rules: LiveRules) {
        // A worker begins once.
        let _ = self.0.at_work.set(AtWork { warehouse, rules });
        self.0.ready.store(true, Ordering::Relaxed);
    }

    /// They cannot any more.
    pub(crate) fn end(&self) {
        self.0.ready.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    /// Once it has begun.
    pub(crate) fn at_work(&self) -> Option<&AtWork> {
        self.0.at_work.get()
    }
}

/// Listens and serves until the process ends. Returns the address that was bound.
///
/// # Errors
/// If the address cannot be bound.
pub(crate) async fn serve(
    listen: SocketAddr,
    console: &ConsoleConfig,
    flight: Flight,
    health: Health,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("telemetry.listen: {listen} cannot be bound; choose a free address or leave it out")
    })?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/health/live", get(|| async { "ok\n" }))
        .route("/health/ready", get(ready))
        .with_state((flight.clone(), health.clone()))
        .merge(console::router(console, address, flight, health));
    #[expect(clippy::disallowed_methods, reason = "serves until the process ends; holds nothing that could be lost")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Says where it listens.
pub(crate) fn announce(address: SocketAddr, console: &ConsoleConfig) {
    if logging::is_for_machines() {
        return tracing::info!(%address, console = console.enabled, "listening");
    }
    eprintln!("metrics: http://{address}/metrics");
    if console.enabled {
        eprintln!("console: http://{address}/console/");
    }
}

async fn metrics(
    extract::State((flight, _)): extract::State<(Flight, Health)>,
) -> ([(header::HeaderName, &'static str); 1], String) {
    flight.telemetry().latency.oldest.set(flight.oldest_us().map_or(0.0, |us| us as f64 / 1e6));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], flight.telemetry().render())
}

async fn status(
    extract::State((flight, health)): extract::State<(Flight, Health)>,
) -> ([(header::HeaderName, &'static str); 1], String) {
    let status = serde_json::to_string(&Status::of(&flight, health.is_ready())).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], status)
}

async fn ready(extract::State((_, health)): extract::State<(Flight, Health)>) -> (StatusCode, &'static str) {
    if health.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}
