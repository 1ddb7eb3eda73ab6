//! `/metrics`, `/status`, `/health/live` and `/health/ready`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use super::status::Status;
use crate::flight::Flight;

/// Whether the worker is at work: recovered, reading, and not failed.
#[derive(Clone, Default)]
pub(crate) struct Health(Arc<AtomicBool>);

impl Health {
    /// Says whether traffic and alerts can be relied on.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.0.store(ready, Ordering::Relaxed);
    }

    fn is_ready(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Listens and serves until the process ends. Returns the address that was bound.
///
/// # Errors
/// If the address cannot be bound.
pub(crate) async fn serve(listen: SocketAddr, flight: Flight, health: Health) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("telemetry.listen: {listen} cannot be bound; choose a free address or leave it out")
    })?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .route("/health/live", get(|| async { "ok\n" }))
        .route("/health/ready", get(ready))
        .with_state((flight, health));
    #[expect(clippy::disallowed_methods, reason = "serves until the process ends; holds nothing that could be lost")]
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn metrics(State((flight, _)): State<(Flight, Health)>) -> ([(header::HeaderName, &'static str); 1], String) {
    flight.telemetry().latency.oldest.set(flight.oldest_us().map_or(0.0, |us| us as f64 / 1e6));
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], flight.telemetry().render())
}

async fn status(State((flight, health)): State<(Flight, Health)>) -> ([(header::HeaderName, &'static str); 1], String) {
    let status = serde_json::to_string(&Status::of(&flight, health.is_ready())).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], status)
}

async fn ready(State((_, health)): State<(Flight, Health)>) -> (StatusCode, &'static str) {
    if health.is_ready() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}
