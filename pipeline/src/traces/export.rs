//! Spans to a collector: OTLP over HTTP, protobuf.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Told};
use prost::Message;
use sinks::http::{Answer, HttpConfig, Post};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use uuid::Uuid;

use super::{Span, Traces, Value};
use crate::telemetry::Telemetry;

/// How long spans are gathered.
const EVERY: Duration = Duration::from_secs(1);
/// How long a worker that ends waits for its last spans.
const LAST: Duration = Duration::from_secs(5);
/// Spans of one request.
const BATCH: usize = 512;
/// Where a collector takes traces, below its address.
const PATH: &str = "/v1/traces";

/// Sends what is told, beside the worker.
pub(crate) struct Exporter {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// From now on spans are sent. `worker` is who tells.
    ///
    /// # Errors
    /// If URL, header or certificate cannot be used.
    pub(crate) fn start(to: &HttpConfig, telemetry: &Telemetry, worker: &str) -> anyhow::Result<Self> {
        let post = Post::new(to, PATH)?;
        let input = telemetry.traces.open().ok_or_else(|| anyhow::anyhow!("traces are sent already"))?;
        let resource = resource(&telemetry.region, worker);
        let sending = Sending { post, input, resource, traces: telemetry.traces.clone(), is_failing: false };
        let (stop, stopped) = watch::channel(false);
        #[expect(clippy::disallowed_methods, reason = "joined by `stop`")]
        let task = tokio::spawn(sending.run(stopped));
        Ok(Self { stop, task })
    }

    /// Sends what is left, once, and returns.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        match timeout(LAST, self.task).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!("the exporter of traces failed: {error}"),
            Err(_) => tracing::warn!("the collector takes traces too slowly; the last ones are left"),
        }
    }
}

struct Sending {
    post: Post,
    input: mpsc::Receiver<Span>,
    resource: Resource,
    traces: Traces,
    is_failing: bool,
}

impl Sending {
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut waiting = Vec::new();
        loop {
            let is_last = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                _ = ticks.tick() => false,
            };
            while self.gather(&mut waiting) && self.send(&mut waiting).await {}
            if is_last {
                let left = waiting.len() + self.input.len();
                return self.count("failed", left);
            }
        }
    }

    /// Fills a request; false if nothing waits.
    fn gather(&mut self, waiting: &mut Vec<Span>) -> bool {
        while waiting.len() < BATCH
            && let Ok(span) = self.input.try_recv()
        {
            waiting.push(span);
        }
        !waiting.is_empty()
    }

    /// Sends what waits; false if it waits on, since the collector does not take it now.
    async fn send(&mut self, waiting: &mut Vec<Span>) -> bool {
        let body = request(&self.resource, waiting).encode_to_vec();
        let (outcome, why) = match self.post.bytes("application/x-protobuf", body).await {
            Answer::Taken => ("sent", None),
            Answer::Refused(why) => ("failed", Some(why)),
            Answer::Later(why, _) => ("", Some(why)),
        };
        if let Some(why) = &why
            && !self.is_failing
        {
            tracing::warn!(collector = self.post.place(), "traces are not taken: {why}");
        }
        self.is_failing = why.is_some();
        if outcome.is_empty() {
            return false;
        }
        self.count(outcome, waiting.len());
        waiting.clear();
        true
    }

    fn count(&self, outcome: &str, spans: usize) {
        self.traces.spans.with_label_values(&[outcome]).inc_by(spans as u64);
    }
}

/// Who tells, in OpenTelemetry's words.
fn resource(region: &str, worker: &str) -> Resource {
    let attributes = [
        ("service.name", "palisade"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", worker),
        ("cloud.region", region),
    ];
    let attributes = attributes.into_iter().map(|(name, value)| attribute(name, value.into())).collect();
    Resource { attributes, ..Resource::default() }
}

fn request(resource: &Resource, spans: &[Span]) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope { name: "palisade".to_owned(), ..InstrumentationScope::default() };
    let spans = ScopeSpans { scope: Some(scope), spans: spans.iter().map(told).collect(), ..ScopeSpans::default() };
    let all = ResourceSpans { resource: Some(resource.clone()), scope_spans: vec![spans], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![all] }
}

fn told(span: &Span) -> Told {
    let whole = whole_id(span.attempt);
    let (span_id, parent_span_id) = match span.is_whole {
        true => (whole, Vec::new()),
        false => (whole_id(Uuid::new_v4()), whole),
    };
    let link =
        |attempt: &Uuid| Link { trace_id: attempt.as_bytes().to_vec(), span_id: whole_id(*attempt), ..Link::default() };
    let nanos = |us: i64| u64::try_from(us).unwrap_or(0).saturating_mul(1000);
    Told {
        trace_id: span.attempt.as_bytes().to_vec(),
        span_id,
        parent_span_id,
        name: span.name.to_owned(),
        kind: SpanKind::Internal as i32,
        start_time_unix_nano: nanos(span.start_us),
        end_time_unix_nano: nanos(span.end_us.max(span.start_us)),
        attributes: span.attributes.iter().map(|(name, value)| attribute(name, value.clone())).collect(),
        links: span.made_of.iter().map(link).collect(),
        ..Told::default()
    }
}

/// The span of an entry as a whole: whoever knows the attempt can name it.
fn whole_id(attempt: Uuid) -> Vec<u8> {
    attempt.as_bytes()[8..].to_vec()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => Any::StringValue(text),
        Value::Number(number) => Any::IntValue(number),
    };
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_named_by_the_attempt_and_links_to_what_it_was_made_of() {
        let (step, range) = (Uuid::new_v4(), Uuid::new_v4());
        let whole = Span { made_of: vec![range], ..Span::whole("step", step, (5, 9)) }.with("palisade.step", 3_i64);
        let part = Span::part("alert", step, (7, 6)).with("palisade.rule", "r");
        let sent = request(&resource("eu", "w1"), &[whole, part]).encode_to_vec();
        let read = ExportTraceServiceRequest::decode(&*sent).expect("what was sent");
        let [all] = &read.resource_spans[..] else { panic!("{read:?}") };
        let [whole, part] = &all.scope_spans[0].spans[..] else { panic!("{all:?}") };
        assert_eq!((&*whole.trace_id, &*part.trace_id), (&step.as_bytes()[..], &step.as_bytes()[..]));
        assert_eq!((whole.parent_span_id.len(), &part.parent_span_id), (0, &whole.span_id));
        assert_ne!(part.span_id, whole.span_id);
        assert_eq!((&*whole.links[0].trace_id, &whole.links[0].span_id), (&range.as_bytes()[..], &whole_id(range)));
        assert_eq!((whole.start_time_unix_nano, whole.end_time_unix_nano), (5_000, 9_000));
        assert_eq!(part.end_time_unix_nano, 7_000, "a clock that was set back makes no span of negative length");
        let resource: Vec<_> = all.resource.iter().flat_map(|r| &r.attributes).map(|a| a.key.as_str()).collect();
        assert_eq!(resource, ["service.name", "service.version", "service.instance.id", "cloud.region"]);
    }
}
