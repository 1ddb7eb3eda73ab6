//! STIX 2.1 bundles: the indicators in them that are valid now.
//!
//! Category: the first of `indicator_types`, else of `labels`, else `unknown`. Confidence: 50 where the indicator has none.
//! Of several versions of an object the newest counts. Revoked indicators and those out of their time are left out;
//! indicators and alternatives of patterns that are not understood are left out and reported.

use hashbrown::HashMap;
use serde::{Deserialize, Deserializer, de};
use serde_json::value::RawValue;

use super::Builder;
use super::domains::{self, Reach};
use super::pattern::{self, Observable};
use crate::error::EnrichError;
use crate::files::Input;

/// Of an indicator that says nothing of it.
const CONFIDENCE: u8 = 50;

#[derive(Deserialize)]
struct Bundle<'a> {
    r#type: String,
    #[serde(borrow, default)]
    objects: Vec<&'a RawValue>,
}

/// What every object has.
#[derive(Deserialize)]
struct Head {
    r#type: String,
    id: String,
    #[serde(default)]
    modified: Option<Time>,
}

#[derive(Deserialize)]
struct Indicator {
    pattern: String,
    #[serde(default)]
    pattern_type: Option<String>,
    #[serde(default)]
    valid_from: Option<Time>,
    #[serde(default)]
    valid_until: Option<Time>,
    #[serde(default)]
    revoked: bool,
    #[serde(default)]
    confidence: Option<u8>,
    #[serde(default)]
    indicator_types: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
}

/// A time, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Time(i64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let time = text.parse::<jiff::Timestamp>();
        time.map(|time| Self(time.as_microsecond())).map_err(|_| de::Error::custom(format!("`{text}` is not a time")))
    }
}

/// Adds the indicators of a bundle.
///
/// # Errors
/// If the file is no JSON or no bundle, with its place.
pub(super) fn read(input: &Input, now_us: i64, intel: &mut Builder) -> Result<(), EnrichError> {
    let wrong = |line, column, what| EnrichError::Text { name: input.name.clone(), line, column, what };
    let bundle: Bundle<'_> = serde_json::from_slice(&input.bytes)
        .map_err(|e| wrong(e.line() as u64, e.column() as u64, format!("not a STIX bundle: {e}")))?;
    if bundle.r#type != "bundle" {
        return Err(wrong(1, 1, format!("a STIX `{}`, not a `bundle`", bundle.r#type)));
    }
    for (id, object) in newest(input, &bundle.objects, intel) {
        if let Err(what) = add(object, now_us, intel, |what| format!("{}: {id}: {what}", input.name)) {
            intel.skipped.note(|| format!("{}: {id}: {what}", input.name));
        }
    }
    Ok(())
}

/// The indicators, in the order of the file, each in its newest version.
fn newest<'a>(input: &Input, objects: &[&'a RawValue], intel: &mut Builder) -> Vec<(String, &'a RawValue)> {
    let mut found: Vec<(Head, &RawValue)> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (number, object) in objects.iter().enumerate() {
        match serde_json::from_str::<Head>(object.get()) {
            Err(e) => intel.skipped.note(|| format!("{}: objects[{number}]: {e}", input.name)),
            Ok(head) if head.r#type != "indicator" => {}
            Ok(head) => match places.get(&head.id) {
                Some(&place) if found[place].0.modified <= head.modified => found[place] = (head, object),
                Some(_) => {}
                None => {
                    places.insert(head.id.clone(), found.len());
                    found.push((head, object));
                }
            },
        }
    }
    found.into_iter().map(|(head, object)| (head.id, object)).collect()
}

fn add(object: &RawValue, now_us: i64, intel: &mut Builder, named: impl Fn(&str) -> String) -> Result<(), String> {
    let indicator: Indicator = serde_json::from_str(object.get()).map_err(|e| e.to_string())?;
    if let Some(other) = indicator.pattern_type.as_deref().filter(|kind| *kind != "stix") {
        return Err(format!("a pattern of type `{other}`"));
    }
    let confidence = indicator.confidence.unwrap_or(CONFIDENCE);
    if confidence > 100 {
        return Err(format!("confidence {confidence} is not a number from 0 to 100"));
    }
    let alternatives = pattern::parse(&indicator.pattern).map_err(|what| not_understood(&indicator.pattern, &what))?;
    let counts = counts(&indicator, now_us, intel);
    for what in &alternatives.unknown {
        intel.skipped.note(|| named(&not_understood(&indicator.pattern, what)));
    }
    if !counts || alternatives.known.is_empty() {
        return Ok(());
    }
    let category = indicator.indicator_types.iter().chain(&indicator.labels).find(|text| !text.is_empty());
    let claim = intel.claim(category.map_or("unknown", String::as_str), confidence)?;
    for observable in alternatives.known {
        if let Err(what) = take(observable, claim, intel) {
            intel.skipped.note(|| named(&what));
        }
    }
    Ok(())
}

fn not_understood(pattern: &str, what: &str) -> String {
    let shown: String = pattern.chars().take(120).collect();
    format!("the pattern {shown:?} is not understood: {what}")
}

/// True if the indicator is in force. Its times are noted: they are when the table has to be made anew.
fn counts(indicator: &Indicator, now_us: i64, intel: &mut Builder) -> bool {
    if indicator.revoked {
        return false;
    }
    let (from, until) = (indicator.valid_from.map(|time| time.0), indicator.valid_until.map(|time| time.0));
    from.into_iter().chain(until).for_each(|boundary| intel.validity.note(boundary, now_us));
    from.is_none_or(|from| from <= now_us) && until.is_none_or(|until| now_us < until)
}

fn take(observable: Observable, claim: i32, intel: &mut Builder) -> Result<(), String> {
    match observable {
        Observable::Network(network) => intel.add_network(network, claim),
        Observable::Domain(name) => intel.add_domain(&name, claim)?,
        Observable::Host(name) => intel.add_name(&domains::parse(&name)?.0, Reach::Name, claim),
    }
    Ok(())
}
