//! `hits-with-rsigma PRODUCT/SERVICE RULES... EVENTS`: Sigma rules over raw JSON logs by rsigma, an independent judge of `palisade rules run`.
//!
//! **Data in:** which log the file is, as in a rule's `logsource`; rule files or folders of them; a file of one JSON document a line,
//! gzip if it ends in `.gz`.
//! **Data out:** for each line, a JSON line for each rule that it meets, `{"rule_id", "line"}`, and for each correlation that fires
//! on it, `{"rule_id", "line", "time", "group", "value"}`, with the line's own `eventTime`.
//!
//! Invariants: lines are taken in their order, since rsigma's time is that of the line that it looks at; a rule that it does not take
//! ends the run.
//! Absent: field mappings (fields are those of the document), hits of rules of another log source.

use std::error::Error;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use rsigma_eval::{
    CorrelationConfig, CorrelationEngine, EvaluationResult, JsonEvent, LogSourceExtractor, TimestampFallback,
};
use rsigma_parser::{LogSource, SigmaCollection, parse_sigma_directory, parse_sigma_file};
use serde_json::{Map, Value, json};

const TIME: &str = "eventTime";

type Fallible<T> = Result<T, Box<dyn Error>>;

fn main() -> Fallible<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [log, rules @ .., events] = arguments.as_slice() else {
        return Err("usage: hits-with-rsigma PRODUCT/SERVICE RULES... EVENTS".into());
    };
    let mut engine = engine(rules)?;
    engine.set_logsource_extractor(Some(only(log)));
    let mut out = std::io::stdout().lock();
    for (number, line) in open(events)?.lines().enumerate() {
        let Ok(document) = serde_json::from_str::<Value>(&line?) else { continue };
        for found in engine.process_event(&JsonEvent::borrow(&document)) {
            writeln!(out, "{}", told(&found, number, &document[TIME]))?;
        }
    }
    Ok(())
}

fn engine(paths: &[String]) -> Fallible<CorrelationEngine> {
    let mut engine = CorrelationEngine::new(CorrelationConfig {
        timestamp_fields: vec![TIME.to_owned()],
        timestamp_fallback: TimestampFallback::Skip,
        emit_detections: false,
        ..CorrelationConfig::default()
    });
    for path in paths {
        engine.add_collection(&collection(Path::new(path))?)?;
    }
    Ok(engine)
}

/// Every line is of this log, and of no category: rules that name another are left out.
fn only(log: &str) -> LogSourceExtractor {
    let (product, service) = log.split_once('/').unwrap_or((log, ""));
    let own = LogSource {
        product: Some(product.to_owned()),
        service: Some(service.to_owned()),
        category: Some(String::new()),
        ..LogSource::default()
    };
    // Fields of no name: the line itself is not asked.
    LogSourceExtractor::new().with_field_names("", "", "").with_defaults(own)
}

fn collection(path: &Path) -> Fallible<SigmaCollection> {
    let found = if path.is_dir() { parse_sigma_directory(path)? } else { parse_sigma_file(path)? };
    match found.errors.first() {
        Some(error) => Err(error.as_str().into()),
        None => Ok(found),
    }
}

fn open(path: &str) -> Fallible<Box<dyn BufRead>> {
    let file = File::open(path)?;
    let text: Box<dyn Read> = if path.ends_with(".gz") { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Box::new(BufReader::new(text)))
}

fn told(found: &EvaluationResult, line: usize, time: &Value) -> Value {
    let rule = found.header.rule_id.as_deref();
    let Some(fired) = found.as_correlation() else { return json!({"rule_id": rule, "line": line}) };
    let group: Map<String, Value> = fired.group_key.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    json!({"rule_id": rule, "line": line, "time": time, "group": group, "value": fired.aggregated_value})
}
