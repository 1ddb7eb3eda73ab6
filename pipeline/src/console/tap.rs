//! `palisade tap` asks here: rows of a stage as they pass, a JSON object a line, until the one who asks goes away.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::{Interval, interval};

use super::access::Sight;
use super::{Console, no_content, refuse};
use crate::clock;
use crate::tap::{Listener, Look, Request};

/// How often something is said, if only that there is nothing: whoever has gone away is noticed by it.
const EVERY: Duration = Duration::from_secs(1);

/// Answers with lines `{"table":…,"row":{…}}`, `{"passed_over":N}`, and, as the last, `{"error":…}`.
pub(super) async fn tap(State(Console(console)): State<Console>, headers: HeaderMap, request: String) -> Response {
    if console.access.sight(&headers) < Sight::Content {
        return no_content();
    }
    let request: Request = match serde_json::from_str(&request) {
        Ok(request) => request,
        Err(error) => return refuse(StatusCode::BAD_REQUEST, &format!("this is no question for rows: {error}")),
    };
    let look = match Look::new(&request, &console.redaction) {
        Ok(look) => look,
        Err(error) => return refuse(StatusCode::UNPROCESSABLE_ENTITY, &format!("{error:#}")),
    };
    let Some(listener) = console.flight.telemetry().taps.listen(request.stage) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many look already; end another `palisade tap`");
    };
    let flow = Flow { listener, look, ticks: interval(EVERY), passed_over: 0 };
    let lines = futures::stream::unfold(Some(flow), |flow| async move {
        let (text, flow) = flow?.lines().await;
        Some((Ok::<_, Infallible>(text), flow))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}

struct Flow {
    listener: Listener,
    look: Look,
    ticks: Interval,
    /// Rows, since it was last told.
    passed_over: u64,
}

impl Flow {
    /// What is to be said next, and what comes after it.
    async fn lines(mut self) -> (String, Option<Self>) {
        loop {
            tokio::select! {
                biased;
                _ = self.ticks.tick() => {
                    let passed_over = std::mem::take(&mut self.passed_over) + self.listener.take_passed_over();
                    let text = if passed_over > 0 { format!("{{\"passed_over\":{passed_over}}}\n") } else { "\n".to_owned() };
                    return (text, Some(self));
                }
                seen = self.listener.next() => {
                    let Some(seen) = seen else { return (String::new(), None) };
                    let mut text = String::new();
                    match self.look.take(&seen, clock::instant(), &mut text) {
                        Ok(passed_over) => self.passed_over += passed_over,
                        Err(error) => return (format!("{}\n", serde_json::json!({"error": format!("{error:#}")})), None),
                    }
                    if !text.is_empty() {
                        return (text, Some(self));
                    }
                }
            }
        }
    }
}
