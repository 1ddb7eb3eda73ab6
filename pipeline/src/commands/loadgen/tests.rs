use clap::Parser;

use super::*;
use crate::cli::{Cli, Command};

fn parsed(args: &[&str]) -> Result<WriteArgs, String> {
    let line = ["palisade", "loadgen"].iter().chain(args);
    match Cli::try_parse_from(line).map_err(|e| e.to_string())?.command {
        Command::Loadgen(args) => Ok(args.write),
        other => Err(format!("{other:?}")),
    }
}

#[test]
fn a_topic_needs_brokers_and_brokers_need_a_topic() {
    assert!(parsed(&["--kafka", "a:9092"]).expect_err("no topic").contains("--topic"));
    assert!(parsed(&["--topic", "logs"]).expect_err("no brokers").contains("--kafka"));
    assert!(parsed(&["--kafka", "a:9092", "--topic", "logs", "--files", "2"]).is_err());
    let args = parsed(&["--kafka", "a:9092", "--topic", "logs", "--partitions", "9", "--out", "x"]).expect("a topic");
    assert_eq!((args.partitions, args.topic.as_deref(), args.duration), (Some(9), Some("logs"), None));
}

#[test]
fn a_shape_is_sent_to_a_topic_too_and_what_needs_one_is_not_left_out_silently() {
    let to = |more: &[&str]| {
        target(&parsed(&[&["--kafka", "a:9092", "--topic", "logs"], more].concat()).expect("arguments"))
    };
    let topic = Target::Kafka { brokers: "a:9092".to_owned(), topic: "logs".to_owned() };
    for shape in [["--rate", "500"], ["--ramp", "1k..2k/10s"], ["--step", "1k,2k/10s"], ["--curve", "x.csv"]] {
        assert_eq!(to(&shape).expect("a target"), Some(topic.clone()), "{shape:?}");
    }
    assert_eq!(to(&["--duration", "10s"]).expect("none"), None);
    for option in
        [["--connections", "2"], ["--shard", "1/2"], ["--start-at", "2026-01-05T08:00:00Z"], ["--ca", "x.pem"]]
    {
        assert!(to(&option).expect_err("it would be left out").to_string().contains(option[0]), "{option:?}");
        assert_eq!(to(&[option, ["--rate", "500"]].concat()).expect("a target"), Some(topic.clone()));
    }
}

#[test]
fn partitions_that_tenants_cannot_share_are_refused_before_anything_is_asked_of_the_brokers() {
    for partitions in ["0", "4"] {
        let args = parsed(&["--kafka", "nowhere:1", "--topic", "logs", "--partitions", partitions]).expect("arguments");
        let error = write(&args).expect_err("refused").to_string();
        assert_eq!(error, format!("--partitions {partitions}: it must be a multiple of the 3 tenants"));
    }
}

#[test]
fn records_are_received_from_now_on_or_up_to_now() {
    let args = |more: &[&str]| parsed(&[&["--kafka", "a:9092", "--topic", "logs"], more].concat());
    let now = 1_000_000_000;
    let soon = pace(&args(&["--duration", "10s"]).expect("arguments"), 60_000_000, now).expect("a pace");
    assert_eq!(soon, Pace::Open { start_wall_us: now, wall_span_us: 10_000_000 });
    let past = pace(&args(&[]).expect("arguments"), 60_000_000, now).expect("a pace");
    assert_eq!(past, Pace::AsFast { start_wall_us: now - 60_000_000, wall_span_us: 60_000_000 });
}
