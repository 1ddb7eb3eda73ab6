//! The plan against everyone who may come after it: tables, groups that are redone, receivers of alerts.

use std::collections::BTreeMap;

use dataflow::{PartitionId, Positions, Table};
use proptest::collection::vec;
use proptest::prelude::any;

use super::partition;
use crate::ledger::Floor;
use crate::outbox::AlertChain;
use crate::upkeep::plan::{ChainView, Decision, Held, Link, View, plan};
use crate::warehouse::{MERGE_TABLES, Nexts};

/// Choices out of a list of bytes, so that a failing case shrinks.
struct Dice(Vec<u8>);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        usize::from(self.0.pop().unwrap_or(0)) % n.max(1)
    }

    fn is_one_in(&mut self, n: usize) -> bool {
        self.below(n) == n - 1
    }
}

/// A chain of links, each a little younger than the one before.
fn chain(links: Vec<Link>, cursor: Option<i64>) -> ChainView {
    let mut positions: std::collections::BTreeSet<i64> = links.iter().map(|link| link.start).collect();
    positions.extend(links.last().map(|link| link.next));
    let last = links.last().map_or(0, |link| link.start);
    ChainView { floor: None, links, positions, last, cursor, is_unmerged: false }
}

fn source(dice: &mut Dice) -> ChainView {
    let (mut at, mut time, mut links) = (dice.below(3) as i64, 0, Vec::new());
    for _ in 0..=dice.below(8) {
        let next = at + 1 + dice.below(3) as i64;
        time += dice.below(3) as i64;
        links.push(Link { start: at, next, written_at: time, has_alerts: dice.is_one_in(4), ..Link::default() });
        at = next;
    }
    let cursor = dice.is_one_in(3).then(|| links[dice.below(links.len())].start);
    chain(links, cursor)
}

/// Steps of a group over the sources: each merges a little more of each.
fn merges(dice: &mut Dice, sources: &BTreeMap<PartitionId, Result<ChainView, String>>) -> ChainView {
    let (mut vector, mut time, mut links) = (Positions::new(), 0, Vec::new());
    for step in 0..dice.below(7) as i64 {
        for (partition, source) in sources {
            let positions = &source.as_ref().expect("readable").positions;
            let merged = vector.get(partition).copied().unwrap_or(i64::MIN);
            let further: Vec<i64> = positions.iter().copied().filter(|at| *at >= merged).take(3).collect();
            // Nothing of a partition is merged before its first entry is.
            let at = further[dice.below(further.len())];
            if Some(&at) != positions.first() {
                vector.insert(partition.clone(), at);
            }
        }
        time += dice.below(3) as i64;
        let state = (!dice.is_one_in(3)).then(|| vector.clone());
        let has_alerts = dice.is_one_in(4);
        links.push(Link { start: step, next: step + 1, written_at: time, has_alerts, state, ..Link::default() });
    }
    let cursor = (dice.is_one_in(3) && !links.is_empty()).then(|| links[dice.below(links.len())].start);
    chain(links, cursor)
}

fn world(dice: &mut Dice) -> (View, BTreeMap<u32, Vec<Positions>>) {
    let mut view = View::default();
    for n in 0..=dice.below(2) as i32 {
        view.sources.insert(partition(n), Ok(source(dice)));
    }
    let mut vectors = BTreeMap::new();
    for group in 0..=dice.below(2) as u32 {
        let chain = merges(dice, &view.sources);
        // Every step has a vector, whether or not a state was written with it.
        let all = chain.links.iter().scan(Positions::new(), |last, link| {
            link.state.iter().for_each(|state| last.clone_from(state));
            Some(last.clone())
        });
        vectors.insert(group, all.collect());
        view.merges.insert(group, Ok(chain));
    }
    for table in Table::ALL {
        let mut nexts = Nexts::default();
        for (partition, source) in &view.sources {
            let positions: Vec<i64> = source.as_ref().expect("readable").positions.iter().copied().collect();
            if !dice.is_one_in(40) {
                // Mostly near the end.
                let back = dice.below(positions.len()).min(dice.below(positions.len()));
                nexts.sources.insert(partition.clone(), positions[positions.len() - 1 - back]);
            }
        }
        for (group, chain) in view.merges.iter().filter(|_| MERGE_TABLES.contains(&table)) {
            let steps = chain.as_ref().expect("readable").links.len();
            if steps > 0 && !dice.is_one_in(10) {
                nexts.merges.insert(*group, (steps - dice.below(steps).min(dice.below(steps))) as i64);
            }
        }
        view.tables.insert(table.into(), Ok(nexts));
    }
    (view, vectors)
}

/// The floor of each chain.
type Floors<'a> = BTreeMap<&'a AlertChain, i64>;

fn floor_of(floors: &Floors<'_>, chain: &AlertChain) -> i64 {
    floors[chain]
}

/// The source chain can be walked from one position to another on what is kept.
fn walks(view: &View, partition: &PartitionId, floor: i64, from: i64, to: i64) -> bool {
    let links = &view.sources[partition].as_ref().expect("readable").links;
    let mut at = from;
    while at < to {
        match links.iter().find(|link| link.start == at && link.start >= floor) {
            Some(link) => at = link.next,
            None => return false,
        }
    }
    at == to
}

/// Nobody who comes later misses anything.
fn check(view: &View, vectors: &BTreeMap<u32, Vec<Positions>>, decisions: &[Decision], horizon: i64) {
    let floors: Floors<'_> = decisions.iter().map(|decision| (&decision.chain, decision.to)).collect();
    for (partition, source) in &view.sources {
        let (chain, source) = (AlertChain::Partition(partition.clone()), source.as_ref().expect("readable"));
        let floor = floor_of(&floors, &chain);
        kept(source, floor, horizon);
        let end = source.positions.last().copied().expect("an entry");
        for (table, nexts) in &view.tables {
            match nexts.as_ref().expect("readable").sources.get(partition) {
                Some(next) => assert!(walks(view, partition, floor, *next, end), "{table} of {partition} from {next}"),
                None => assert_eq!(Some(&floor), source.positions.first(), "{table} has no next of {partition}"),
            }
        }
    }
    for (group, merges) in &view.merges {
        let (chain, merges) = (AlertChain::Group(*group), merges.as_ref().expect("readable"));
        let floor = floor_of(&floors, &chain);
        if !merges.links.is_empty() {
            kept(merges, floor, horizon);
        }
        for table in MERGE_TABLES {
            let nexts = view.tables[&table.into()].as_ref().expect("readable");
            let next = nexts.merges.get(group).copied().unwrap_or(0);
            assert!(floor <= (next - 1).max(0), "{table} begins at {next} of group {group}, which begins at {floor}");
        }
        redo(view, &vectors[group], merges, (*group, floor), &floors, horizon);
    }
}

/// The newest entry, what is young, and alerts that have not left.
fn kept(chain: &ChainView, floor: i64, horizon: i64) {
    assert!(chain.positions.contains(&floor) && floor <= chain.last, "{floor} of {chain:?}");
    for link in chain.links.iter().filter(|link| link.start < floor) {
        assert!(link.written_at < horizon, "{link:?} is young");
        let waits = link.has_alerts && chain.cursor.is_some_and(|cursor| cursor <= link.start);
        assert!(!waits, "alerts of {link:?} wait");
    }
}

/// Whoever takes the group up, from its newest state or one that is not old, comes to its newest step, and on to the end.
fn redo(
    view: &View,
    vectors: &[Positions],
    merges: &ChainView,
    (group, floor): (u32, i64),
    floors: &Floors<'_>,
    horizon: i64,
) {
    let stated: Vec<usize> = (0..vectors.len()).filter(|step| merges.links[*step].state.is_some()).collect();
    let young = stated.iter().copied().filter(|step| merges.links[*step].written_at >= horizon);
    let from: Vec<Option<usize>> = young.chain(stated.last().copied()).map(Some).collect();
    for state in if from.is_empty() { vec![None] } else { from } {
        let first = state.map_or(0, |step| step as i64);
        assert!(floor <= first, "group {group} begins at {floor}, after {state:?}");
        let none = Positions::new();
        let vector = state.map_or(&none, |step| &vectors[step]);
        for (partition, source) in &view.sources {
            let source = source.as_ref().expect("readable");
            let low = floor_of(floors, &AlertChain::Partition(partition.clone()));
            let begin = vector.get(partition).copied().unwrap_or(source.positions.first().copied().expect("an entry"));
            let end = source.positions.last().copied().expect("an entry");
            assert!(walks(view, partition, low, begin, end), "group {group} from {state:?}: {partition} from {begin}");
        }
    }
}

/// The view after a plan was made true.
fn collected(mut view: View, decisions: &[Decision]) -> View {
    for decision in decisions {
        let chain = match &decision.chain {
            AlertChain::Partition(partition) => view.sources.get_mut(partition),
            AlertChain::Group(group) => view.merges.get_mut(group),
        };
        let Some(Ok(chain)) = chain else { panic!("a chain of the view") };
        if decision.to > decision.from {
            chain.links.retain(|link| link.start >= decision.to);
            chain.positions.retain(|at| *at >= decision.to);
            let (path, sums) = (decision.chain.path(), Default::default());
            chain.floor = Some(Floor { chain: path, position: decision.to, collected: sums });
        }
    }
    view
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]
    #[test]
    fn nobody_who_comes_later_misses_anything(bytes in vec(any::<u8>(), 0..400), horizon in 0_i64..24) {
        let mut dice = Dice(bytes);
        let (view, vectors) = world(&mut dice);
        let first = plan(&view, horizon);
        check(&view, &vectors, &first, horizon);
        // Later, on what is left.
        let left = collected(view.clone(), &first);
        let later = plan(&left, horizon + 3);
        for (before, after) in first.iter().zip(&later) {
            assert!(before.to <= after.to && after.from == before.to, "{before:?}, then {after:?}");
        }
        check(&view, &vectors, &later, horizon + 3);
    }
}

/// Two entries, one state that has merged both, tables that have both: all but the newest may go.
fn settled() -> View {
    let links = |states: &[Option<Positions>]| -> Vec<Link> {
        let link = |(n, state): (usize, &Option<Positions>)| {
            let start = n as i64;
            Link { start, next: start + 1, written_at: start, state: state.clone(), ..Link::default() }
        };
        states.iter().enumerate().map(link).collect()
    };
    let both = Positions::from([(partition(0), 2)]);
    let nexts = Nexts { sources: both.clone(), merges: BTreeMap::from([(0, 2)]) };
    View {
        tables: Table::ALL.into_iter().map(|table| (table.into(), Ok(nexts.clone()))).collect(),
        sources: BTreeMap::from([(partition(0), Ok(chain(links(&[None, None]), None)))]),
        merges: BTreeMap::from([(0, Ok(chain(links(&[None, Some(both)]), None)))]),
    }
}

fn floors(view: &View, horizon: i64) -> Vec<i64> {
    plan(view, horizon).iter().map(|decision| decision.to).collect()
}

#[test]
fn what_is_old_and_needed_by_nobody_goes() {
    let view = settled();
    assert_eq!(floors(&view, 9), [1, 1], "the newest entry of each chain stays");
    assert_eq!(floors(&view, 1), [0, 0], "the state that would be begun at is not old enough");
    assert!(plan(&view, 9).iter().all(|decision| decision.held.is_none() && !decision.more));
}

#[test]
fn whoever_needs_an_entry_is_named() {
    let of = |view: &mut View, table: Table, change: &dyn Fn(&mut Nexts)| {
        change(view.tables.get_mut(&table.into()).expect("a table").as_mut().expect("readable"));
    };
    let source = |view: &mut View, change: &dyn Fn(&mut ChainView)| {
        change(view.sources.get_mut(&partition(0)).expect("a chain").as_mut().expect("readable"));
    };
    let merge = |view: &mut View, change: &dyn Fn(&mut ChainView)| {
        change(view.merges.get_mut(&0).expect("a chain").as_mut().expect("readable"));
    };
    type Change<'a> = Box<dyn Fn(&mut View) + 'a>;
    let table = Table::DnsActivity;
    let cases: [(Change<'_>, [i64; 2], &str); 12] = [
        (Box::new(|v| of(v, table, &|n| _ = n.sources.insert(partition(0), 0))), [0, 1], "has not taken them in"),
        (Box::new(|v| of(v, table, &|n| n.sources.clear())), [0, 1], "dns_activity has no palisade.next"),
        (Box::new(|v| of(v, table, &|n| _ = n.sources.insert(partition(0), 7))), [0, 1], "no position of the chain"),
        (Box::new(|v| _ = v.tables.insert(table.into(), Err("catalog down".into()))), [0, 1], "catalog down"),
        (Box::new(|v| _ = v.tables.insert(Table::LateWindow.into(), Err("gone".into()))), [0, 0], "gone"),
        (Box::new(|v| of(v, Table::LateWindow, &|n| n.merges.clear())), [1, 0], "late_window has no palisade.next"),
        (Box::new(|v| merge(v, &|c| c.links[1].state = None)), [0, 0], "no state that is old enough"),
        (Box::new(|v| merge(v, &|c| c.links[1].state = Some(Positions::from([(partition(0), 1)])))), [1, 1], ""),
        (
            Box::new(|v| merge(v, &|c| c.links[1].state = Some(Positions::new()))),
            [0, 1],
            "merge group 0 has not merged the partition",
        ),
        (Box::new(|v| _ = v.merges.insert(0, Err("a gap".into()))), [0, 0], "merge group 0: a gap"),
        (
            Box::new(|v| {
                source(v, &|c| {
                    c.links[0].has_alerts = true;
                    c.cursor = Some(0);
                });
            }),
            [0, 1],
            "alerts have not left",
        ),
        (Box::new(|v| _ = v.sources.insert(partition(0), Err("e is damaged".into()))), [0, 1], "e is damaged"),
    ];
    for (nth, (change, want, why)) in cases.into_iter().enumerate() {
        let mut view = settled();
        change(&mut view);
        assert_eq!(floors(&view, 9), want, "case {nth}");
        let held: Vec<String> = plan(&view, 9).iter().filter_map(|d| Some(d.held.as_ref()?.to_string())).collect();
        assert!(held.iter().any(|held| held.contains(why)) || why.is_empty(), "case {nth}: {held:?}");
    }
}

#[test]
fn what_no_group_merges_waits_for_none() {
    let mut view = settled();
    view.merges.insert(0, Err("a gap".into()));
    view.sources.get_mut(&partition(0)).expect("a chain").as_mut().expect("readable").is_unmerged = true;
    let plan = plan(&view, 9);
    assert_eq!((plan[0].to, &plan[0].held), (1, &None));
    assert_eq!(plan[1].held, Some(Held::Fault("a gap".into())));
}

/// A range and a state an hour; all is merged and in the tables at once.
fn hourly(hours: i64) -> View {
    let links = |state: &dyn Fn(i64) -> Option<Positions>| -> Vec<Link> {
        let link = |n| Link { start: n, next: n + 1, written_at: n, state: state(n), ..Link::default() };
        (0..hours).map(link).collect()
    };
    let merged = |n| Positions::from([(partition(0), n + 1)]);
    let nexts = Nexts { sources: merged(hours - 1), merges: BTreeMap::from([(0, hours)]) };
    View {
        tables: Table::ALL.into_iter().map(|table| (table.into(), Ok(nexts.clone()))).collect(),
        sources: BTreeMap::from([(partition(0), Ok(chain(links(&|_| None), None)))]),
        merges: BTreeMap::from([(0, Ok(chain(links(&|n| Some(merged(n))), None)))]),
    }
}

#[test]
fn the_release_before_an_upgrade_finds_its_last_state_for_a_whole_retention() {
    let (upgrade, retention) = (30, 24);
    let last_own = upgrade - 1;
    for now in upgrade..=upgrade + retention {
        let floors = floors(&hourly(now), now - retention);
        let is_kept = floors[1] <= last_own && floors[0] <= last_own + 1;
        assert!(is_kept, "at {now}, chains begin at {floors:?}: the state of {last_own} or its deltas are gone");
    }
    let later = floors(&hourly(upgrade + retention + 1), upgrade + 1);
    assert!(later[1] > last_own, "kept for ever: {later:?}");
}

#[test]
fn an_alert_that_left_holds_nothing() {
    let mut view = settled();
    let chain = view.sources.get_mut(&partition(0)).expect("a chain").as_mut().expect("readable");
    chain.links[0].has_alerts = true;
    assert_eq!(floors(&view, 9), [1, 1], "no receiver ever took the chain up");
    view.sources.get_mut(&partition(0)).expect("a chain").as_mut().expect("readable").cursor = Some(1);
    assert_eq!(floors(&view, 9), [1, 1]);
}
