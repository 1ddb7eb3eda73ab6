//! A build without traces: see the feature `opentelemetry`.

use sinks::http::HttpConfig;

use crate::telemetry::Telemetry;

/// Nothing.
pub(crate) struct Exporter {
    never: std::convert::Infallible,
}

impl Exporter {
    /// # Errors
    /// Always.
    pub(crate) fn start(_: &HttpConfig, _: &Telemetry, _: &str) -> anyhow::Result<Self> {
        anyhow::bail!("telemetry.traces: this binary was built without the feature `opentelemetry`")
    }

    pub(crate) async fn stop(self) {
        match self.never {}
    }
}
