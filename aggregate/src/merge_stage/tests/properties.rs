//! Any split of the same rows gives the alerts that plain DataFusion gives over all of them; a rebuilt state goes on as
//! the one it was taken from.

use std::num::NonZeroU32;

use arrow::array::{ArrayRef, AsArray, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use datafusion::prelude::{SessionConfig, SessionContext};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::exchange::Deltas;
use crate::tests::deltas;

const ORACLE: &str = "SELECT window_start, src_ip, count(*) AS n, sum(traffic.bytes_out) AS total,
      count(DISTINCT dst_port) AS ports, min(dst_port) AS low, max(src_ip) AS top, avg(traffic.bytes_out) AS mean,
      count(*) FILTER (WHERE dst_port > 2) AS high, count(DISTINCT upper(src_ip)) AS ips
    FROM HOP(TABLE network_activity, DESCRIPTOR(time), INTERVAL '20' SECOND, INTERVAL '50' SECOND)
    WHERE dst_port IS NULL OR dst_port <> 5
    GROUP BY window_start, window_end, src_ip
    HAVING count(*) > 2";

/// Final alerts: tenant, window start and values, with evidence.
type Finals = BTreeMap<String, (String, Vec<String>)>;

fn note(finals: &mut Finals, alerts: Option<&TableBatch>) {
    let Some(alerts) = alerts else { return };
    let evidence = crate::tests::ocsf(alerts);
    for (i, line) in lines(Some(alerts)).into_iter().enumerate() {
        let uids =
            evidence[i].split(r#"{"uid":"fw"#).skip(1).map(|t| t.split('"').next().unwrap_or_default().to_owned());
        let id = texts(alerts, "finding_info.uid").remove(i);
        let mut words = line.splitn(3, ' ');
        let (change, _, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
        match change {
            Some("Close") => drop(finals.remove(&id)),
            _ => drop(finals.insert(id, (rest.to_owned(), uids.collect()))),
        }
    }
}

#[derive(Debug, Clone)]
struct Plan {
    /// Events with the partition each came through.
    events: Vec<(usize, Event)>,
    /// Where partitions are cut into ranges, which range comes next, and where steps and restores happen.
    choices: Vec<Index>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let one = (0..3_usize, 0..200_i64, 0..4_u8, 0..7_i32, 0..50_i64, any::<bool>());
    let events = proptest::collection::vec(one, 1..60).prop_map(|all| {
        let build = |(p, at, ip, port, bytes, tenant): (usize, i64, u8, i32, i64, bool)| {
            let src_ip = (ip > 0).then(|| format!("10.0.0.{ip}"));
            let tenant = if tenant { "acme" } else { "globex" };
            let time = at * SECOND;
            let dst_port = (port > 0).then_some(port);
            (p, Event { tenant, time, received: time, src_ip, dst_port, bytes_out: (bytes > 9).then_some(bytes) })
        };
        all.into_iter().map(build).collect()
    });
    (events, proptest::collection::vec(any::<Index>(), 400)).prop_map(|(events, choices)| Plan { events, choices })
}

/// How a plan's rows are cut up.
#[derive(Debug, Clone, Copy)]
enum Split {
    /// One range a partition, one step, one merge group.
    Whole,
    /// As the choices say, with so many merge groups.
    Chosen(u32),
}

/// The merge chains of all groups over the plan's rows.
fn run(rules: &Arc<RuleSet>, plan: &Plan, split: Split) -> Finals {
    let (cut, groups) = match split {
        Split::Whole => (false, 1),
        Split::Chosen(groups) => (true, groups),
    };
    let mut choices = plan.choices.iter();
    let mut choose = |n: usize| if cut { choices.next().map_or(0, |c| c.index(n)) } else { 0 };
    let mut queues: Vec<Vec<Event>> = vec![Vec::new(); 3];
    plan.events.iter().for_each(|(p, e)| queues[*p].push(e.clone()));
    let mut chains: Vec<Chain> = (0..groups).map(|group| Chain::new(rules, group)).collect();
    let (mut finals, mut next) = (Finals::new(), [0_i64; 3]);
    while queues.iter().any(|q| !q.is_empty()) {
        let waiting: Vec<usize> = (0..3).filter(|&p| !queues[p].is_empty()).collect();
        let p = waiting[choose(waiting.len())];
        let len = if cut { 1 + choose(queues[p].len()) } else { queues[p].len() };
        let rows: Vec<Event> = queues[p].drain(..len).collect();
        let range = OffsetRange { start: next[p], next: next[p] + len as i64 };
        next[p] = range.next;
        let groups = NonZeroU32::new(groups).expect("above zero");
        let file = deltas(rules, &partition(p as i32), range.start, &rows, groups).encode().expect("encoded");
        for chain in &mut chains {
            chain.apply(&partition(p as i32), range, &file);
            if cut && choose(3) > 0 {
                let watermark = (choose(2) == 0).then(|| choose(260) as i64 * SECOND);
                chain.step(watermark, &mut finals);
            }
            if cut && choose(4) == 0 {
                chain.restart(rules, &mut finals);
            }
        }
    }
    chains.iter_mut().for_each(|chain| chain.step(Some(1_000 * SECOND), &mut finals));
    finals
}

/// One merge group.
struct Chain {
    group: u32,
    merge: MergeStage,
    number: i64,
}

impl Chain {
    fn new(rules: &Arc<RuleSet>, group: u32) -> Self {
        Self { group, merge: MergeStage::new(rules, group), number: 0 }
    }

    fn apply(&mut self, partition: &PartitionId, range: OffsetRange, file: &[u8]) {
        let delta = Deltas::decode_group(file, self.group).expect("decoded");
        self.merge.apply(partition, range, &delta).expect("applied");
    }

    fn step(&mut self, watermark: Option<i64>, finals: &mut Finals) {
        note(finals, step(&mut self.merge, self.number, watermark).alerts.as_ref());
        self.number += 1;
    }

    fn restart(&mut self, rules: &Arc<RuleSet>, finals: &mut Finals) {
        self.step(None, finals);
        let bytes = self.merge.snapshot().expect("a snapshot");
        self.merge = MergeStage::restore(rules, self.group, &bytes).expect("restored");
    }
}

/// The same question to plain DataFusion, window by window: tenant, window start and values of each alert.
fn oracle(plan: &Plan) -> Vec<String> {
    let events: Vec<&Event> = plan.events.iter().map(|(_, e)| e).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("tenant_uid", Arc::new(StringArray::from_iter_values(events.iter().map(|e| e.tenant)))),
        ("at", Arc::new(Int64Array::from_iter_values(events.iter().map(|e| e.time / SECOND)))),
        ("src_ip", Arc::new(StringArray::from_iter(events.iter().map(|e| e.src_ip.clone())))),
        ("dst_port", Arc::new(Int32Array::from_iter(events.iter().map(|e| e.dst_port)))),
        ("bytes_out", Arc::new(Int64Array::from_iter(events.iter().map(|e| e.bytes_out)))),
    ];
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(1));
    context.register_batch("t", RecordBatch::try_from_iter(columns).expect("a batch")).expect("registered");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let starts = Int64Array::from_iter_values((-40..220).step_by(20));
    let windows = RecordBatch::try_from_iter([("start", Arc::new(starts) as ArrayRef)]).expect("a batch");
    context.register_batch("w", windows).expect("registered");
    let sql = "SELECT start, tenant_uid, src_ip, count(*), sum(bytes_out), count(DISTINCT dst_port), min(dst_port),
           max(src_ip), avg(bytes_out), count(*) FILTER (WHERE dst_port > 2), count(DISTINCT upper(src_ip))
         FROM t CROSS JOIN w WHERE at >= start AND at < start + 50 AND (dst_port IS NULL OR dst_port <> 5)
         GROUP BY start, tenant_uid, src_ip HAVING count(*) > 2";
    let rows = runtime.block_on(async { context.sql(sql).await?.collect().await }).expect("the oracle's answer");
    let mut all: Vec<String> = rows.iter().flat_map(oracle_lines).collect();
    all.sort();
    all
}

fn oracle_lines(batch: &RecordBatch) -> Vec<String> {
    let names = ["src_ip", "n", "total", "ports", "low", "top", "mean", "high", "ips"];
    let line = |row: usize| {
        let start = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(row);
        let mut out = format!("{start} {} ", crate::json::text(batch.column(1), row));
        out.push_str(&format!(r#"{{"window_start":"{}""#, dataflow::time::rfc3339(start * SECOND)));
        for (name, column) in names.iter().zip(&batch.columns()[2..]) {
            out.push_str(&format!(",\"{name}\":"));
            crate::json::push_value(&mut out, column.as_ref(), row);
        }
        out.push('}');
        out
    };
    (0..batch.num_rows()).map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_order_restore_and_number_of_groups_gives_what_one_batch_gives(plan in plans()) {
        let want = oracle(&plan);
        for head in ["allowed_lateness: 1h\nevidence: 3", "allowed_lateness: 1h\nevidence: 3\nemit: on_threshold"] {
            let rules = rule(head, ORACLE);
            let whole = run(&rules, &plan, Split::Whole);
            for groups in [1, 2, 16] {
                prop_assert_eq!(&run(&rules, &plan, Split::Chosen(groups)), &whole, "{} groups, {}", groups, head);
            }
            let mut values: Vec<String> = whole.into_values().map(|(values, _)| values).collect();
            values.sort();
            prop_assert_eq!(&values, &want);
        }
    }

    #[test]
    fn a_rebuilt_state_goes_on_byte_for_byte(plan in plans()) {
        let rules = rule("allowed_lateness: 20s\nevidence: 3\nemit: on_threshold", ORACLE);
        let mut merge = MergeStage::new(&rules, 0);
        let mut choices = plan.choices.iter().map(|c| c.index(250) as i64 * SECOND);
        for (number, (p, event)) in (0_i64..).zip(&plan.events) {
            apply(&mut merge, &rules, *p as i32, number, std::slice::from_ref(event));
            let mut other = None;
            if number % 3 == 2 {
                step(&mut merge, number, None);
                other = Some(MergeStage::restore(&rules, 0, &merge.snapshot().expect("a snapshot")).expect("restored"));
            }
            let watermark = choices.next();
            let (output, later) = (step(&mut merge, number, watermark), other.as_mut().map(|o| step(o, number, watermark)));
            if let (Some(other), Some(later)) = (other, later) {
                prop_assert_eq!(output.alerts.map(|a| a.rows), later.alerts.map(|a| a.rows));
                prop_assert_eq!(output.late.map(|a| a.rows), later.late.map(|a| a.rows));
                prop_assert_eq!(merge.snapshot().expect("a snapshot"), other.snapshot().expect("a snapshot"));
            }
        }
    }
}
