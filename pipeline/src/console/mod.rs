//! The console: a page that shows a worker while it works, served beside its metrics.
//!
//! **Data in:** telemetry, flight and feed, once a second for all who watch; the warehouse and the rules, when somebody asks. **Data out:** one
//! page with its style and script, a stream of [`moment`]s, answers of [`lookup`], and rows as they pass ([`tap`]). Everything is in the binary; the page asks nobody else.
//!
//! Who may see what ([`access`]): figures, whoever reaches the address, as with `/metrics`; alerts, dead letters, rows and tables, on a loopback
//! address or with the token; SQL, with the token only. Nothing here changes anything.

mod access;
mod lookup;
mod moment;
mod tap;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Redirect, Response, Sse};
use axum::routing::{get, post};
use futures::Stream;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::config::ConsoleConfig;
use crate::flight::Flight;
use crate::tap::Redaction;
use crate::telemetry::{AtWork, Health};
use access::{Access, Sight};
use moment::Moments;

/// Pages that may watch at once.
const WATCHERS_MAX: usize = 64;

/// What a page may load, and whom it may ask: itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(Clone)]
struct Console(Arc<Inner>);

struct Inner {
    access: Access,
    flight: Flight,
    health: Health,
    moments: Moments,
    /// What nobody is shown through a tap.
    redaction: Redaction,
    watchers: Arc<Semaphore>,
    /// One query at a time: the worker has other things to do.
    queries: Arc<Semaphore>,
}

impl Inner {
    /// What a worker works with, for whoever may see what is in events.
    #[expect(clippy::result_large_err, reason = "an answer, made once a request")]
    fn content(&self, headers: &HeaderMap) -> Result<&AtWork, Response> {
        if self.access.sight(headers) < Sight::Content {
            return Err(no_content());
        }
        self.health.at_work().ok_or_else(not_yet)
    }
}

/// The console of a worker that listens at the address.
pub(crate) fn router(config: &ConsoleConfig, address: SocketAddr, flight: Flight, health: Health) -> Router {
    if !config.enabled {
        return Router::new();
    }
    let console = Console(Arc::new(Inner {
        access: Access::new(config.token.as_ref().map(|token| token.0.clone()), address.ip()),
        moments: Moments::start(flight.clone(), health.clone()),
        redaction: config.redaction.clone(),
        watchers: Arc::new(Semaphore::new(WATCHERS_MAX)),
        queries: Arc::new(Semaphore::new(1)),
        flight,
        health,
    }));
    Router::new()
        .route("/", get(|| async { Redirect::to("/console/") }))
        .route("/console/", get(|| page("text/html; charset=utf-8", include_str!("assets/index.html"))))
        .route("/console/console.css", get(|| page("text/css; charset=utf-8", include_str!("assets/console.css"))))
        .route("/console/console.js", get(|| page("text/javascript; charset=utf-8", include_str!("assets/console.js"))))
        .route("/console/events", get(events))
        .route("/console/api/session", post(session))
        .route("/console/api/rules", get(rules))
        .route("/console/api/tables", get(tables))
        .route("/console/api/tables/{table}", get(snapshots))
        .route("/console/api/dead-letters", get(dead_letters))
        .route("/console/api/alerts/{revision}", get(alert))
        .route("/console/api/sql", post(sql))
        .route("/console/api/tap", post(tap::tap))
        .with_state(console)
}

async fn page(kind: &'static str, text: &'static str) -> Response {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text).into_response()
}

/// A moment a second, until the page goes away.
async fn events(State(Console(console)): State<Console>, headers: HeaderMap) -> Response {
    let Ok(permit) = console.watchers.clone().try_acquire_owned() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many pages watch this worker; close one");
    };
    let sight = console.access.sight(&headers);
    let stream: std::pin::Pin<Box<dyn Stream<Item = Result<Event, Infallible>> + Send>> =
        Box::pin(futures::stream::unfold((console.moments.watch(), permit), move |(mut watch, permit)| async move {
            let moment = watch.next(sight >= Sight::Content).await?;
            Some((Ok(Event::default().data(&*moment)), (watch, permit)))
        }));
    Sse::new(stream).keep_alive(KeepAlive::default()).into_response()
}

/// Whoever has the token gets a cookie that says so.
async fn session(State(Console(console)): State<Console>, headers: HeaderMap, token: String) -> Response {
    match console.access.admit(&headers, token.trim()) {
        Some(cookie) => (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response(),
        None => refuse(StatusCode::FORBIDDEN, "that is not the token of telemetry.console.token"),
    }
}

async fn rules(State(Console(console)): State<Console>, headers: HeaderMap) -> Response {
    let at_work = match console.content(&headers) {
        Ok(at_work) => at_work,
        Err(refused) => return refused,
    };
    json(&lookup::rules(at_work, console.flight.telemetry()))
}

async fn tables(State(Console(console)): State<Console>, headers: HeaderMap) -> Response {
    let at_work = match console.content(&headers) {
        Ok(at_work) => at_work,
        Err(refused) => return refused,
    };
    answer(lookup::tables(at_work.warehouse.clone())).await
}

async fn snapshots(State(Console(console)): State<Console>, headers: HeaderMap, Path(table): Path<String>) -> Response {
    let at_work = match console.content(&headers) {
        Ok(at_work) => at_work,
        Err(refused) => return refused,
    };
    answer(lookup::snapshots(at_work.warehouse.clone(), table)).await
}

async fn dead_letters(State(Console(console)): State<Console>, headers: HeaderMap) -> Response {
    let at_work = match console.content(&headers) {
        Ok(at_work) => at_work,
        Err(refused) => return refused,
    };
    answer(lookup::dead_letters(at_work.warehouse.clone(), console.queries.clone())).await
}

async fn alert(State(Console(console)): State<Console>, headers: HeaderMap, Path(revision): Path<String>) -> Response {
    let at_work = match console.content(&headers) {
        Ok(at_work) => at_work,
        Err(refused) => return refused,
    };
    let seen = console.flight.telemetry().feed.alert(&revision);
    answer(lookup::alert(at_work.warehouse.clone(), console.queries.clone(), revision, seen)).await
}

async fn sql(State(Console(console)): State<Console>, headers: HeaderMap, query: String) -> Response {
    match console.access.sight(&headers) {
        Sight::All => {}
        _ if !console.access.has_token() => {
            return refuse(StatusCode::FORBIDDEN, "SQL is off: this worker has no telemetry.console.token");
        }
        _ => return refuse(StatusCode::UNAUTHORIZED, "SQL needs the token of telemetry.console.token"),
    }
    let Some(at_work) = console.health.at_work() else { return not_yet() };
    answer(lookup::sql(at_work.warehouse.clone(), console.queries.clone(), query)).await
}

/// Looks to the end, also for a page that went away: what is dropped halfway could leave a connection of the catalog, which is the
/// committer's too, in the middle of something.
async fn answer<T: Serialize + Send + 'static>(
    found: impl Future<Output = anyhow::Result<T>> + Send + 'static,
) -> Response {
    #[expect(clippy::disallowed_methods, reason = "bounded in time, and holds nothing that could be lost")]
    match tokio::spawn(found).await {
        Ok(Ok(found)) => json(&found),
        Ok(Err(error)) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error:#}")),
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn json<T: Serialize>(value: &T) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], text).into_response()
        }
        Err(error) => refuse(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], why.to_owned()).into_response()
}

fn no_content() -> Response {
    refuse(
        StatusCode::UNAUTHORIZED,
        "what is in events is shown on a loopback address, or with telemetry.console.token",
    )
}

fn not_yet() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the worker is not at work yet")
}
