use proptest::prelude::*;

use super::*;

const HOUR_US: i64 = 3_600 * SECOND_US;

/// A week in an office.
fn office() -> Rate {
    Rate {
        hours: vec![2, 2, 2, 2, 2, 3, 5, 10, 30, 60, 70, 70, 55, 65, 70, 70, 60, 40, 20, 10, 6, 4, 3, 2],
        days: vec![100, 110, 110, 105, 90, 20, 15],
        ..Rate::default()
    }
}

fn config(rate: Rate, span_us: i64) -> FleetConfig {
    // A Monday at midnight.
    FleetConfig { rate, span_us, start_us: 1_767_571_200_000_000, ..FleetConfig::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn times_never_fall_and_the_count_before_a_time_is_the_count(
        count in 1i64..400, span_s in 1i64..200_000, number in 0u64..9, at in 0f64..1.0,
    ) {
        let rate = Rate { bursts_per_day: 9, storms_per_day: 5, ..office() };
        let span_us = span_s * SECOND_US;
        let curve = Curve::new(&config(rate, span_us), 11, number);
        let times: Vec<i64> = (0..count).map(|k| curve.at(k, count)).collect();
        prop_assert!(times.windows(2).all(|w| w[0] <= w[1]));
        prop_assert!(times.iter().all(|us| (0..span_us).contains(us)));
        for us in [0, (span_us as f64 * at) as i64, times[count as usize / 2], span_us] {
            prop_assert_eq!(curve.before(us, count), times.iter().filter(|t| **t < us).count() as i64);
        }
    }
}

/// Records of each hour, as a share of all, against the share that the weights say: the largest error, of one.
fn worst_hour(curve: &Curve, rate: &Rate, hours: i64, count: i64) -> f64 {
    let start_us = config(Rate::default(), 1).start_us;
    let minute = |m: i64| rate.weight(start_us + m * 60 * SECOND_US + 30 * SECOND_US) as f64;
    let whole: f64 = (0..hours * 60).map(minute).sum();
    let error = |hour: i64| {
        let sent = curve.before((hour + 1) * HOUR_US, count) - curve.before(hour * HOUR_US, count);
        let wanted = (hour * 60..(hour + 1) * 60).map(minute).sum::<f64>() / whole * count as f64;
        (sent as f64 - wanted).abs() / wanted
    };
    (0..hours).map(error).fold(0.0, f64::max)
}

#[test]
fn every_hour_of_a_week_has_its_share_within_a_hundredth() {
    let curve = Curve::new(&config(office(), 7 * DAY_US), 1, 0);
    assert!(worst_hour(&curve, &office(), 7 * 24, 5_000_000) < 0.01);
    // The measure sees a curve that is none.
    assert!(worst_hour(&Curve::even(7 * DAY_US), &office(), 7 * 24, 5_000_000) > 0.5);
    // Or one of another day.
    let sunday = Rate { days: vec![15, 100, 110, 110, 105, 90, 20], ..office() };
    assert!(worst_hour(&curve, &sunday, 7 * 24, 5_000_000) > 0.5);
}

#[test]
fn a_burst_is_as_many_times_the_rate_and_then_over() {
    let rate = Rate { bursts_per_day: 24, burst_seconds: 60, burst_times: 10, ..Rate::default() };
    let curve = Curve::new(&config(rate, 6 * HOUR_US), 3, 0);
    let a_second = |s: i64| curve.before((s + 1) * SECOND_US, 1 << 24) - curve.before(s * SECOND_US, 1 << 24);
    let counts: Vec<i64> = (0..6 * 3_600).map(a_second).collect();
    let low = counts.iter().min().copied().unwrap_or(0);
    let high: Vec<&i64> = counts.iter().filter(|c| **c > low * 5).collect();
    assert!((340..=380).contains(&high.len()), "six bursts of a minute: {}", high.len());
    // A second in which a burst begins or ends is between the two.
    assert!(high.iter().filter(|c| !(low * 9..=low * 11).contains(**c)).count() <= 12);
}

#[test]
fn what_was_kept_comes_after_the_outage_in_its_order() {
    let rate = Rate { storms_per_day: 48, storm_seconds: 80, ..Rate::default() };
    let curve = Curve::new(&config(rate, 2 * HOUR_US), 3, 0);
    assert_eq!(curve.storms.len(), 4);
    for storm in &curve.storms {
        assert_eq!((storm.back_us - storm.lost_us, storm.done_us - storm.back_us), (80 * SECOND_US, 10 * SECOND_US));
        assert_eq!(curve.storm(storm.lost_us), Some(storm));
        assert_eq!(curve.storm(storm.done_us - 1), Some(storm));
        assert_eq!((curve.storm(storm.lost_us - 1), curve.storm(storm.done_us)), (None, None));
        assert_eq!(storm.made_us(storm.back_us), storm.lost_us);
        assert!(storm.made_us(storm.done_us - 1) < storm.back_us);
    }
}

#[test]
fn zones_shift_the_day() {
    let rate = Rate { zones: vec![0, 6], ..office() };
    let busiest = |number| {
        let curve = Curve::new(&config(rate.clone(), DAY_US), 1, number);
        let sent = |hour: i64| curve.before((hour + 1) * HOUR_US, 100_000) - curve.before(hour * HOUR_US, 100_000);
        (0..24).max_by_key(|hour| sent(*hour)).expect("an hour")
    };
    assert!((busiest(0) - busiest(1) - 6).abs() <= 4, "{} {}", busiest(0), busiest(1));
    assert!(busiest(1) < 10 && busiest(0) >= 9);
}

#[test]
fn the_heaviest_rate_of_the_longest_run_has_a_sum() {
    let most = 1_000;
    let rate = Rate {
        hours: vec![most; 24],
        days: vec![most; 7],
        minutes: vec![most; 10],
        bursts_per_day: 1_440,
        burst_times: 100,
        storms_per_day: 1_440,
        ..Rate::default()
    };
    let curve = Curve::new(&config(rate, 366 * DAY_US), 1, 0);
    assert!(curve.sums.is_sorted() && curve.at(1 << 40, 1 << 41) > 100 * DAY_US);
}
