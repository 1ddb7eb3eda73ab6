//! By hand where numbers are round, and as properties: more is never less.

use proptest::prelude::*;

use super::*;

fn near(found: f64, want: f64) -> bool {
    (found - want).abs() <= 1e-9 * want.abs().max(1.0)
}

#[test]
fn units_are_as_the_names_say() {
    for (what, found, want) in [
        ("20 % more, twice", grown(100.0, 0.2, 2), 144.0),
        ("a year of one event a second", kept_events(1.0, 0.0, 1, 365.0), 31_536_000.0),
        ("ten days of it", kept_events(1.0, 0.0, 3, 10.0), 864_000.0),
        ("no more than there was", kept_events(1.0, 0.0, 2, 3650.0), 2.0 * 31_536_000.0),
        ("a core does a million of 1 cpu-second a second", busy_cores(1e6, 1.0), 1.0),
        ("and back", rate_of(2.0, 10.0), 200_000.0),
        ("sizes scale what grows with them", stages_per_million(4.0, 3.0, 2.0), 11.0),
        ("two waits and a commit", queryable_s(5.0, 1.0), 11.0),
        ("by the clock", flushes(10.0, 8, 4.0, 1e9), 2.0),
        ("by the rows", flushes(1000.0, 2, 100.0, 50.0), 20.0),
        ("100 files/s of 5 ms", committer_load(100.0, 0.005), 0.5),
        ("a file a second", writes_a_month(1.0, 0.0, 0.0, 0.0), 2_628_000.0),
        ("an entry and an exchange file a flush", reads_a_month(1.0, 0.0, 0.0), 2.0 * 2_628_000.0),
        ("manifest, list and metadata", writes_a_month(0.0, 0.0, 1.0, 2.0), 6.0 * 2_628_000.0),
        ("memory", worker_memory_bytes(100.0, 50.0, 10.0, 3.0, 7.0), 360.0),
        ("three copies of a day", topic_bytes(1.0, 100.0, 1.0, 3), 25_920_000.0),
    ] {
        assert!(near(found, want), "{what}: {found}, not {want}");
    }
}

#[test]
fn whole_things_are_rounded_up_but_not_beyond() {
    assert_eq!(active_workers(7.0, 0.7, 10), 1, "10 cores of 10, 70 % busy");
    assert_eq!(active_workers(7.1, 0.7, 10), 2);
    assert_eq!(active_workers(0.0, 0.7, 10), 1, "nothing to do still takes a worker");
    assert_eq!(partitions(1e6, 7.0, 0.7, 2, 4), 10, "by rate");
    assert_eq!(partitions(1.0, 7.0, 0.7, 3, 4), 12, "no core without one");
    assert_eq!(partitions(1e6, 7.0, 0.7, 4, 1), 12, "the same number for every worker");
    assert_eq!(merge_groups(1e6, 1.0, 0.5), 2);
    assert_eq!((intervals_s(30.0, 0.0), intervals_s(30.0, 18.5), intervals_s(1.0, 0.0)), (Some(10.0), None, None));
}

/// The published scale that docs/capacity.md reckons with: 15 million events/s, a trillion events and 4 PB a day, 3,000
/// events/s a vCPU.
#[test]
fn the_published_scale_is_met_on_paper() {
    let (peak, events_a_day, bytes_a_day, per_core) = (15e6, 1e12, 4e15, 3_000.0);
    let (mean, event_bytes) = (events_a_day / DAY_SECONDS, bytes_a_day / events_a_day);
    assert!((11.57e6..11.58e6).contains(&mean) && (1.29..1.30).contains(&(peak / mean)) && near(event_bytes, 4_000.0));
    assert!(near(busy_cores(peak, 1e6 / per_core), 5_000.0));
    // Two orders of magnitude fewer cores is 3.3 cpu-seconds a million events.
    assert!(near(busy_cores(peak, 10.0 / 3.0), 50.0));
    assert!(near(topic_bytes(mean, event_bytes, 1.0, 1), bytes_a_day));
    assert!(near(kept_events(mean, 0.0, 1, 1.0), events_a_day));
}

prop_compose! {
    fn sizes()(rate in 1.0..2e7f64, more in 1.0..3.0f64, per_million in 0.1..400.0f64, share in 0.05..1.0f64,
               cores in 1u32..128) -> (f64, f64, f64, f64, u32) {
        (rate, rate * more, per_million, share, cores)
    }
}

proptest! {
    #[test]
    fn more_events_never_need_less((rate, more, per_million, share, cores) in sizes()) {
        let workers = |rate| active_workers(busy_cores(rate, per_million), share, cores);
        prop_assert!(workers(more) >= workers(rate));
        let partitions = |rate: f64| partitions(rate, per_million, share, workers(rate), cores);
        // A multiple of more workers may be smaller by less than their number.
        prop_assert!(partitions(more) + workers(more) > partitions(rate));
        prop_assert!(merge_groups(more, per_million, share) >= merge_groups(rate, per_million, share));
        prop_assert!(kept_events(more, 0.2, 3, 90.0) >= kept_events(rate, 0.2, 3, 90.0));
        prop_assert!(flushes(more, 8, 5.0, 1e5) >= flushes(rate, 8, 5.0, 1e5));
        prop_assert!(worker_memory_bytes(1e8, 1e8, more, 5.0, 900.0) >= worker_memory_bytes(1e8, 1e8, rate, 5.0, 900.0));
    }

    #[test]
    fn what_is_planned_is_never_busier_than_asked((rate, _, per_million, share, cores) in sizes()) {
        let busy = busy_cores(rate, per_million);
        let workers = active_workers(busy, share, cores);
        prop_assert!(busy <= (workers * u64::from(cores)) as f64 * share * (1.0 + 1e-6));
        let partitions = partitions(rate, per_million, share, workers, cores);
        prop_assert!(busy_cores(rate / partitions as f64, per_million) <= share * (1.0 + 1e-6));
        prop_assert_eq!(partitions % workers, 0);
    }

    #[test]
    fn more_retention_and_more_years_keep_no_fewer(growth in 0.0..2.0f64, year in 1u32..10, days in 1.0..4000.0f64, more in 0.0..900.0f64) {
        let kept = |year, days| kept_events(100.0, growth, year, days);
        prop_assert!(kept(year, days + more) >= kept(year, days) * (1.0 - 1e-9));
        prop_assert!(kept(year + 1, days) >= kept(year, days) * (1.0 - 1e-9));
        // Never more than the last rate over the time that there was.
        let time = days.min(f64::from(year) * YEAR_DAYS) * DAY_SECONDS;
        prop_assert!(kept(year, days) <= grown(100.0, growth, year) * time * (1.0 + 1e-9));
    }

    #[test]
    fn the_promise_is_kept_by_the_intervals(slo in 2.0..600.0f64, commit in 0.0..100.0f64) {
        if let Some(each) = intervals_s(slo, commit) {
            prop_assert!(queryable_s(each, commit) <= slo && each >= 1.0);
        }
    }
}
