//! Tables that hold exactly the truth, and tables that differ in one value.

use loadgen::{Fleet, FleetConfig};

use super::*;

/// What a test does to the tables: the value of that name becomes this expression.
type Change = (&'static str, &'static str);

/// The tables as views of the truth in `dir`, with one value changed.
async fn tables(dir: &Path, change: Option<Change>) -> anyhow::Result<SessionContext> {
    let session = SessionContext::new();
    let truth = dir.join("truth.parquet");
    session.register_parquet("told", truth.to_str().context("UTF-8")?, ParquetReadOptions::default()).await?;
    let value =
        |name: &str| change.filter(|(changed, _)| *changed == name).map_or(name.to_owned(), |(_, to)| to.to_owned());
    for table in Table::EVENTS.into_iter().chain([Table::DeadLetter]) {
        let values = VALUES.map(|(name, ..)| match name {
            "bytes_out" => format!("named_struct('bytes_out', {}) AS traffic", value(name)),
            "operation" => format!("named_struct('operation', {}) AS api", value(name)),
            name => format!("{} AS {name}", value(name)),
        });
        let sql = format!(
            "CREATE VIEW {table} AS SELECT topic AS _topic, incarnation AS _incarnation, \"partition\" AS _partition_id,
               \"offset\" AS _offset, record AS _record, {} AS tenant_uid, {} AS time, {}, {} AS reason
             FROM told WHERE \"table\" = '{table}'",
            value("tenant_uid"),
            value("time_us"),
            values.join(", "),
            value("reason"),
        );
        session.sql(&sql).await?;
    }
    Ok(session)
}

fn truth() -> (tempfile::TempDir, Fleet) {
    let config =
        FleetConfig { events: 4_000, attacks: 0, near_misses: 0, malformed_per_million: 9_000, ..Default::default() };
    let (dir, fleet) = (tempfile::tempdir().expect("a folder"), Fleet::new(config).expect("a fleet"));
    fleet.write_truth(dir.path()).expect("written");
    (dir, fleet)
}

fn accounted(dir: &Path, change: Option<Change>) -> Account {
    let truth = dir.join("truth.parquet");
    let work = async { account(&tables(dir, change).await?, &truth, Identity::Generator).await };
    crate::block_on(work).expect("an account")
}

#[test]
fn tables_that_hold_the_truth_are_accounted_for() {
    let (dir, _) = truth();
    let found = accounted(dir.path(), None);
    assert_eq!(found.unaccounted(), 0, "{found:?}");
    assert!(found.generated > 4_000 && found.rows + found.dead_letters == found.generated && found.dead_letters > 0);
}

#[test]
fn every_value_that_differs_is_noticed() {
    let (dir, _) = truth();
    let changes = [
        ("tenant_uid", "'another'"),
        ("time_us", "time_us + INTERVAL '1 second'"),
        ("src_ip", "'192.0.2.1'"),
        ("dst_ip", "CAST(NULL AS VARCHAR)"),
        ("dst_port", "dst_port + 1"),
        ("bytes_out", "bytes_out + 1"),
        ("user_name", "upper(user_name)"),
        ("activity_id", "CAST(NULL AS INT)"),
        ("action_id", "3 - action_id"),
        ("severity_id", "severity_id + 1"),
        ("status_id", "3 - status_id"),
        ("src_country", "'XX'"),
        ("operation", "'None'"),
        ("reason", "'empty of course'"),
    ];
    for change in changes {
        let found = accounted(dir.path(), Some(change));
        assert!(found.altered > 0 && found.altered == found.unaccounted(), "{change:?}: {found:?}");
    }
}

#[test]
fn what_a_table_may_not_know_is_not_held_against_it() {
    let (dir, _) = truth();
    for change in [("src_country", "CAST(NULL AS VARCHAR)"), ("bytes_out", "CAST(NULL AS BIGINT)")] {
        assert_eq!(accounted(dir.path(), Some(change)).unaccounted(), 0, "{change:?}");
    }
}

#[test]
fn partitions_are_joined_in_spans_that_memory_holds_and_every_row_is_of_one() {
    let found = spans([(0, 600_000), (1, 400_000), (2, 200_000), (5, 2_000_001), (6, 1)]);
    let found: Vec<String> = found.into_iter().map(|span| span.of("p", "o")).collect();
    let five = |slice: u32| format!("(p >= 5 AND p < 6 AND o % 3 = {slice})");
    assert_eq!(found[..2], ["(p >= -2147483648 AND p < 2)", "(p >= 2 AND p < 5)"]);
    assert_eq!(found[2..], [five(0), five(1), five(2), "(p >= 6)".to_owned()]);
    assert_eq!(spans([]).len(), 1);
}
