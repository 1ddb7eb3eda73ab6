use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000_000;

/// How many records are due in each second of the first `seconds`.
fn a_second(schedule: &Schedule, seconds: i64) -> Vec<u64> {
    let before = |s: i64| schedule.records_before(s * SECOND);
    (0..seconds).map(|s| before(s + 1) - before(s)).collect()
}

#[test]
fn a_constant_rate_is_that_many_in_every_second() {
    let schedule = Schedule::constant(20_000.0).expect("a rate");
    assert_eq!(a_second(&schedule, 5), [20_000; 5]);
    assert_eq!((schedule.time_us(0), schedule.time_us(1), schedule.time_us(20_000)), (Some(0), Some(50), Some(SECOND)));
    assert_eq!(schedule.shape_us(), None);
}

#[test]
fn a_ramp_rises_steps_stand_and_a_curve_is_what_was_recorded() {
    let ramp = Schedule::parse_ramp("0..1k/10s").expect("a ramp");
    assert_eq!(a_second(&ramp, 12), [50, 150, 250, 350, 450, 550, 650, 750, 850, 950, 1_000, 1_000]);
    let steps = Schedule::parse_steps("1k,5k,250/2s").expect("steps");
    assert_eq!(a_second(&steps, 8), [1_000, 1_000, 5_000, 5_000, 250, 250, 250, 250]);
    let curve = Schedule::parse_curve("seconds,events_per_second\n0,100\n1,0\n3,200\n").expect("a curve");
    assert_eq!(a_second(&curve, 6), [100, 0, 0, 200, 200, 200]);
    assert_eq!(
        [&ramp, &steps, &curve].map(Schedule::shape_us),
        [Some(10 * SECOND), Some(6 * SECOND), Some(5 * SECOND)]
    );
}

#[test]
fn a_rate_that_falls_to_zero_ends_the_schedule() {
    let curve = Schedule::parse_curve("0,10\n1,0\n").expect("a curve");
    assert_eq!((curve.time_us(9), curve.time_us(10)), (Some(900_000), None));
    assert_eq!(curve.records_before(i64::MAX), 10);
    let down = Schedule::ramp(100.0, 0.0, 2.0).expect("a ramp");
    assert_eq!((down.records_before(SECOND), down.records_before(9 * SECOND)), (75, 100));
}

#[test]
fn what_is_no_shape_is_refused_with_what_would_do() {
    let message = |result: Result<Schedule, Error>| result.expect_err("refused").to_string();
    let cases = [
        (message(Schedule::parse_ramp("1k-5k/9s")), r#""1k-5k/9s": expected FROM..TO/TIME, such as 1k..50k/60s"#),
        (
            message(Schedule::parse_ramp("1k..5x/9s")),
            r#""5x": expected a rate such as 250, 20k or 1.5M events a second"#,
        ),
        (message(Schedule::parse_steps("1k,2k/soon")), r#""soon": expected a time such as 30s or 5m"#),
        (message(Schedule::parse_curve("")), "the curve has no lines"),
        (message(Schedule::parse_curve("0,1\n0,2")), r#"line 2 of the curve, "0,2": seconds must rise"#),
        (message(Schedule::parse_curve("x\n")), r#"line 1 of the curve, "x": expected seconds,events_per_second"#),
        (message(Schedule::constant(0.0)), "the rate is zero throughout: no record is ever due"),
        (message(Schedule::constant(2e9)), "a rate of 2000000000 a second; it must be 0 to 1000000000"),
        (message(Schedule::ramp(1.0, 2.0, 0.0)), "a stretch of 0 seconds; it must be a millisecond to ten years"),
    ];
    for (got, want) in cases {
        assert_eq!(got, want);
    }
    assert_eq!(
        (rate("250").ok(), rate("20k").ok(), rate("1.5M").ok()),
        (Some(250.0), Some(20_000.0), Some(1_500_000.0))
    );
    assert!(rate("-1").is_err() && rate("inf").is_err() && rate("").is_err());
}

/// Any shape of a few stretches: rates up to 200,000, also zero.
fn shape() -> impl Strategy<Value = Vec<(f64, f64, f64)>> {
    let rate = || prop_oneof![1 => Just(0.0), 6 => 0.01..200_000.0];
    proptest::collection::vec((rate(), rate(), 0.001..30.0), 1..6)
}

/// The integral of a shape up to a second, by its definition.
fn integral(stretches: &[(f64, f64, f64)], after: f64, until: f64) -> f64 {
    let (mut sum, mut start) = (0.0, 0.0);
    for (from, to, seconds) in stretches {
        let inside = (until - start).clamp(0.0, *seconds);
        let at = from + (to - from) * inside / seconds;
        sum += inside * (from + at) / 2.0;
        start += seconds;
    }
    sum + after * (until - start).max(0.0)
}

proptest! {
    /// A stretch begins on a whole microsecond, so a shape may be shorter than was asked by one a stretch.
    #[test]
    fn any_second_holds_its_integral(stretches in shape(), after in 1.0..100_000.0, from in 0.0..200.0_f64) {
        let schedule = Schedule::new(&stretches, after).expect("a shape");
        let us = (from * 1e6) as i64;
        let got = (schedule.records_before(us + SECOND) - schedule.records_before(us)) as f64;
        let from = us as f64 / 1e6;
        let want = integral(&stretches, after, from + 1.0) - integral(&stretches, after, from);
        let rounding = stretches.len() as f64 * 2e-6 * 200_000.0;
        prop_assert!((got - want).abs() <= 1.0 + rounding, "{got} records, {want} intended");
        prop_assert!(want < 400.0 || (got / want - 1.0).abs() < 0.01, "{got} records, {want} intended");
    }

    #[test]
    fn back_is_the_inverse_of_there(stretches in shape(), after in 1.0..100_000.0, index in 0_u64..5_000_000) {
        let schedule = Schedule::new(&stretches, after).expect("a shape");
        let us = schedule.time_us(index).expect("the last rate holds");
        prop_assert!(schedule.records_before(us) <= index && index < schedule.records_before(us + 1));
        prop_assert!(us <= schedule.time_us(index + 1).expect("the last rate holds"));
    }
}
