//! Functions of places on the earth. A place is written `latitude,longitude` in degrees, as the columns `src_coordinates`
//! and `dst_coordinates` have it.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, StringArray};
use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
use datafusion::error::Result;

/// Mean radius of the earth in km (IUGG).
const RADIUS_KM: f64 = 6_371.008_8;

/// Two things at once are taken to be a second apart.
const SHORTEST_US: i64 = 1_000_000;

const HOUR_US: f64 = 3_600_000_000.0;

/// `distance_km(place, place)`: along the great circle.
pub(super) fn distance_km(args: &[ArrayRef]) -> Result<ArrayRef> {
    let pairs = args[0].as_string::<i32>().iter().zip(args[1].as_string::<i32>());
    Ok(Arc::new(pairs.map(|(a, b)| Some(great_circle(place(a?)?, place(b?)?))).collect::<Float64Array>()))
}

/// `place_at(time, place)`: both as one text that sorts by time, for `array_agg`, `min` and `max`.
pub(super) fn place_at(args: &[ArrayRef]) -> Result<ArrayRef> {
    let times = args[0].as_primitive::<TimestampMicrosecondType>();
    let pairs = times.iter().zip(args[1].as_string::<i32>());
    let written = pairs.map(|(time, text)| {
        let (time, text) = (time.filter(|us| *us >= 0)?, text?);
        place(text).map(|_| format!("{time:017} {text}"))
    });
    Ok(Arc::new(written.collect::<StringArray>()))
}

/// `max_speed_kmh(list of place_at, km)`: the fastest way from one place to the next in time that is longer than that many
/// km. NULL if there is none.
pub(super) fn max_speed_kmh(args: &[ArrayRef]) -> Result<ArrayRef> {
    let (lists, shortest) = (args[0].as_list::<i32>(), args[1].as_primitive::<Float64Type>());
    let speeds = lists.iter().zip(shortest).map(|(list, shortest)| {
        let list = list?;
        fastest(list.as_string::<i32>().iter().flatten().filter_map(visit).collect(), shortest?)
    });
    Ok(Arc::new(speeds.collect::<Float64Array>()))
}

fn fastest(mut visits: Vec<(i64, Place)>, shortest_km: f64) -> Option<f64> {
    visits.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let ways = visits.windows(2).map(|way| {
        let hours = (way[1].0 - way[0].0).max(SHORTEST_US) as f64 / HOUR_US;
        (great_circle(way[0].1, way[1].1), hours)
    });
    let speeds = ways.filter(|(km, _)| *km > shortest_km).map(|(km, hours)| km / hours);
    speeds.max_by(f64::total_cmp)
}

/// What [`place_at`] wrote.
fn visit(text: &str) -> Option<(i64, Place)> {
    let (time, at) = text.split_once(' ')?;
    Some((time.parse().ok()?, place(at)?))
}

/// Degrees north and east.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Place {
    north: f64,
    east: f64,
}

impl Place {
    fn total_cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.north.total_cmp(&other.north).then(self.east.total_cmp(&other.east))
    }
}

fn place(text: &str) -> Option<Place> {
    let (north, east) = text.split_once(',')?;
    let degrees = |text: &str, most: f64| text.trim().parse().ok().filter(|degrees: &f64| degrees.abs() <= most);
    Some(Place { north: degrees(north, 90.0)?, east: degrees(east, 180.0)? })
}

/// The haversine formula.
fn great_circle(a: Place, b: Place) -> f64 {
    let half = |from: f64, to: f64| ((to - from).to_radians() / 2.0).sin().powi(2);
    let h = half(a.north, b.north) + a.north.to_radians().cos() * b.north.to_radians().cos() * half(a.east, b.east);
    2.0 * RADIUS_KM * h.sqrt().min(1.0).asin()
}
