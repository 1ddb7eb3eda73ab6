//! Shapes as people write them: `20k`, `1k..50k/60s`, `1k,5k,20k/30s`, and curves recorded as CSV.

use super::Schedule;
use crate::error::Error;

/// The head of a curve's file.
const CURVE_HEAD: &str = "seconds,events_per_second";

/// A rate in events a second: `250`, `20k`, `1.5M`.
///
/// # Errors
/// [`Error::Schedule`] if it is none.
pub fn rate(text: &str) -> Result<f64, Error> {
    let text = text.trim();
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1e3),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1.0), |digits| (digits, 1e6)),
    };
    match digits.parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value * unit),
        _ => Err(wrong(text, "a rate such as 250, 20k or 1.5M events a second")),
    }
}

impl Schedule {
    /// `FROM..TO/TIME`: from one rate to another, such as `1k..50k/60s`.
    ///
    /// # Errors
    /// [`Error::Schedule`] with what was expected.
    pub fn parse_ramp(text: &str) -> Result<Self, Error> {
        let expected = || wrong(text, "FROM..TO/TIME, such as 1k..50k/60s");
        let (rates, time) = text.rsplit_once('/').ok_or_else(expected)?;
        let (from, to) = rates.split_once("..").ok_or_else(expected)?;
        Self::ramp(rate(from)?, rate(to)?, seconds(time)?)
    }

    /// `RATE,RATE,…/TIME`: each rate for that time, such as `1k,5k,20k/30s`.
    ///
    /// # Errors
    /// [`Error::Schedule`] with what was expected.
    pub fn parse_steps(text: &str) -> Result<Self, Error> {
        let (rates, time) =
            text.rsplit_once('/').ok_or_else(|| wrong(text, "RATE,RATE,…/TIME, such as 1k,5k,20k/30s"))?;
        let rates = rates.split(',').map(rate).collect::<Result<Vec<f64>, Error>>()?;
        Self::steps(&rates, seconds(time)?)
    }

    /// A recorded curve: lines of `seconds,events_per_second`, each rate from that second until the next line's; the last
    /// one for as long as the one before. The first line's second is the start.
    ///
    /// # Errors
    /// [`Error::Schedule`] with the line.
    pub fn parse_curve(csv: &str) -> Result<Self, Error> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (line, text) in (1..).zip(csv.lines()) {
            if text.trim().is_empty() || (line == 1 && text.trim().eq_ignore_ascii_case(CURVE_HEAD)) {
                continue;
            }
            let point = point(text).ok_or_else(|| at_line(line, text, "expected seconds,events_per_second"))?;
            if points.last().is_some_and(|last| last.0 >= point.0) {
                return Err(at_line(line, text, "seconds must rise"));
            }
            points.push(point);
        }
        let last = points.last().ok_or_else(|| Error::Schedule("the curve has no lines".to_owned()))?.1;
        Self::new(&stretches(&points), last)
    }
}

fn point(text: &str) -> Option<(f64, f64)> {
    let (second, rate) = text.split_once(',')?;
    let number = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    Some((number(second)?, number(rate)?))
}

/// The stretches between the points, and one after the last that is as long as the one before, or a second.
fn stretches(points: &[(f64, f64)]) -> Vec<(f64, f64, f64)> {
    let mut stretches: Vec<_> = points.windows(2).map(|w| (w[0].1, w[0].1, w[1].0 - w[0].0)).collect();
    if let Some((_, rate)) = points.last() {
        let seconds = stretches.last().map_or(1.0, |(_, _, seconds)| *seconds);
        stretches.push((*rate, *rate, seconds));
    }
    stretches
}

fn seconds(text: &str) -> Result<f64, Error> {
    let duration: jiff::SignedDuration = text.trim().parse().map_err(|_| wrong(text, "a time such as 30s or 5m"))?;
    Ok(duration.as_secs_f64())
}

fn wrong(text: &str, expected: &str) -> Error {
    Error::Schedule(format!("{text:?}: expected {expected}"))
}

fn at_line(line: usize, text: &str, what: &str) -> Error {
    Error::Schedule(format!("line {line} of the curve, {text:?}: {what}"))
}
