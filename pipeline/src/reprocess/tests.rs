use super::*;

#[test]
fn a_partition_that_was_read_back_says_where_its_records_stood() {
    for origin_of in [PartitionId::new("fw", "i1", 3), PartitionId::new("a.b-c_d", "8d5c41f7-2f0e", 0)] {
        let back = reprocessed(&origin_of, 7);
        assert_eq!(origin(&back), Some(origin_of.clone()));
        assert_eq!(PartitionId::parse(&back.path()), Some(back.clone()), "a folder of the ledger");
        assert_eq!(origin(&origin_of), None);
        assert_eq!(origin_topic(&back.topic), Some(&*origin_of.topic));
    }
    assert_eq!(reprocessed(&PartitionId::new("fw", "i1", 3), 7).path(), "reprocess~fw@i1~7/3");
}

#[test]
fn offsets_are_a_range_that_holds_something() {
    assert_eq!(offsets("5..90"), Ok((5, 90)));
    assert_eq!(offsets("0 .. 1"), Ok((0, 1)));
    for bad in ["5", "5..", "5..5", "9..5", "-1..5", "a..b"] {
        assert!(offsets(bad).is_err(), "{bad}");
    }
}

#[test]
fn dead_letters_without_an_event_are_read_only_if_they_are_named() {
    let condition = |reasons: &[dataflow::Reason]| Part::dead_letters(reasons).condition;
    assert_eq!(condition(&[]), "reason NOT IN ('empty', 'header')");
    assert_eq!(condition(&[dataflow::Reason::Header]), "reason IN ('header')");
}

#[test]
fn a_range_is_named_with_or_without_its_incarnation() {
    let of = |text: &str| Selection::parse_range(text, (5, 9)).map(|s| s.0[0].condition.clone());
    let all = "_topic IN ('fw', 'reprocess~fw') AND _partition_id = 2 AND _offset >= 5 AND _offset < 9";
    assert_eq!(of("fw/2").as_deref(), Some(all));
    assert_eq!(of("fw@i1/2"), Some(format!("{all} AND split_part(_incarnation, '~', 1) = 'i1'")));
    assert_eq!((of("fw"), of("fw/x")), (None, None));
}
