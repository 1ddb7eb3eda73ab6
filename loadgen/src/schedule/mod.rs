//! When each record is intended to be sent: a pure function of its index, and back.
//!
//! **Data in:** a shape: a constant rate, a ramp, steps, or a recorded curve. **Data out:** the microsecond since the start at
//! which record `n` is due, and how many records are due before a microsecond.
//!
//! A schedule is pieces on which the rate is linear. Record `n` is due when the integral of the rate is `n`, so that any
//! process computes the time of any record without having seen the others.
//!
//! Invariants:
//! - `time_us` never falls, and `records_before(us)` is the number of records whose time is below `us`, exactly.
//! - Between any two moments the number of records differs from the integral of the rate by at most one.
//! - Only additions, products, quotients and square roots, which every machine rounds alike.
//!
//! Absent on purpose: a clock.

mod parse;

use crate::error::Error;
pub use parse::rate;

const MICROS: f64 = 1e6;

/// The highest rate, events a second.
const RATE_MAX: f64 = 1e9;

/// The longest shape, seconds: ten years.
const SECONDS_MAX: f64 = 315_360_000.0;

/// A stretch in which the rate goes linearly from one value to another.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    start_us: i64,
    seconds: f64,
    /// Records a second at the start.
    from: f64,
    /// Records a second at the end.
    to: f64,
    /// The integral of the rate over all pieces before.
    before: f64,
}

impl Piece {
    /// The integral of the rate over the first `seconds` of the piece.
    fn integral(&self, seconds: f64) -> f64 {
        if self.from == self.to {
            return self.from * seconds;
        }
        seconds * (self.from + 0.5 * (self.to - self.from) * (seconds / self.seconds))
    }

    /// The second of the piece at which its integral is `records`: the stable root of the quadratic equation.
    fn seconds_of(&self, records: f64) -> f64 {
        if self.from == self.to {
            return records / self.from;
        }
        let slope = (self.to - self.from) / self.seconds;
        let root = (self.from * self.from + 2.0 * slope * records).max(0.0).sqrt();
        let sum = self.from + root;
        if sum > 0.0 { (2.0 * records / sum).min(self.seconds) } else { 0.0 }
    }

    fn end_us(&self) -> i64 {
        self.start_us + (self.seconds * MICROS) as i64
    }
}

/// Intended send times. After the shape's end its last rate holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Never empty; the last one has no end.
    pieces: Vec<Piece>,
    /// Where the shape ends, before its last rate holds; none if it has no end.
    shape_us: Option<i64>,
}

impl Schedule {
    /// The same rate forever.
    ///
    /// # Errors
    /// [`Error::Schedule`] if the rate is not positive, or above a thousand million.
    pub fn constant(rate: f64) -> Result<Self, Error> {
        Self::new(&[], rate)
    }

    /// From one rate to another in `seconds`; then that rate.
    ///
    /// # Errors
    /// [`Error::Schedule`] for a rate or a time that cannot be.
    pub fn ramp(from: f64, to: f64, seconds: f64) -> Result<Self, Error> {
        Self::new(&[(from, to, seconds)], to)
    }

    /// Each rate for `seconds`; then the last one.
    ///
    /// # Errors
    /// [`Error::Schedule`] for a rate or a time that cannot be.
    pub fn steps(rates: &[f64], seconds: f64) -> Result<Self, Error> {
        let steps: Vec<_> = rates.iter().map(|rate| (*rate, *rate, seconds)).collect();
        Self::new(&steps, rates.last().copied().unwrap_or(0.0))
    }

    /// Stretches of (first rate, last rate, seconds), and the rate that holds after them.
    fn new(stretches: &[(f64, f64, f64)], after: f64) -> Result<Self, Error> {
        let mut pieces: Vec<Piece> = Vec::with_capacity(stretches.len() + 1);
        let (mut start_us, mut before) = (0, 0.0);
        for (from, to, seconds) in stretches.iter().copied().chain([(after, after, f64::INFINITY)]) {
            check(from, to, seconds)?;
            let piece = Piece { start_us, seconds, from, to, before };
            pieces.push(piece);
            if seconds.is_finite() {
                start_us = piece.end_us();
                before += piece.integral(seconds);
            }
        }
        let schedule = Self { shape_us: (!stretches.is_empty()).then_some(start_us), pieces };
        match schedule.time_us(0) {
            Some(_) => Ok(schedule),
            None => Err(Error::Schedule("the rate is zero throughout: no record is ever due".to_owned())),
        }
    }

    /// When the shape ends, microseconds since the start; none if it has no end.
    pub fn shape_us(&self) -> Option<i64> {
        self.shape_us
    }

    /// When a record is due, microseconds since the start; none if the rate falls to zero before it is.
    pub fn time_us(&self, index: u64) -> Option<i64> {
        let records = index as f64;
        // Of pieces that begin at the same integral all but the last have no records.
        let at = self.pieces.partition_point(|p| p.before <= records).saturating_sub(1);
        let piece = &self.pieces[at];
        if piece.from == 0.0 && piece.to == 0.0 {
            return None;
        }
        let us = piece.seconds_of(records - piece.before) * MICROS;
        Some(piece.start_us.saturating_add(us as i64))
    }

    /// How many records are due before `us` since the start.
    pub fn records_before(&self, us: i64) -> u64 {
        if us <= 0 {
            return 0;
        }
        let at = self.pieces.partition_point(|p| p.start_us < us).saturating_sub(1);
        let piece = &self.pieces[at];
        let seconds = ((us - piece.start_us) as f64 / MICROS).min(piece.seconds);
        let mut records = (piece.before + piece.integral(seconds)).ceil() as u64;
        // The sum is rounded: at most the neighbors are meant.
        while records > 0 && self.time_us(records - 1).is_none_or(|due| due >= us) {
            records -= 1;
        }
        while self.time_us(records).is_some_and(|due| due < us) {
            records += 1;
        }
        records
    }
}

fn check(from: f64, to: f64, seconds: f64) -> Result<(), Error> {
    for rate in [from, to] {
        if !(0.0..=RATE_MAX).contains(&rate) {
            return Err(Error::Schedule(format!("a rate of {rate} a second; it must be 0 to {RATE_MAX:.0}")));
        }
    }
    if seconds.is_infinite() || (1e-3..=SECONDS_MAX).contains(&seconds) {
        Ok(())
    } else {
        Err(Error::Schedule(format!("a stretch of {seconds} seconds; it must be a millisecond to ten years")))
    }
}

#[cfg(test)]
mod tests;
