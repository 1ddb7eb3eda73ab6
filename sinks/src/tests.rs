//! The protocol as a model, searched breadth first: partitions, merge groups, collection, and workers, mergers and committers of which
//! any may crash, be overtaken or lose an answer at any point. The true protocol is safe in every state that can be
//! reached, and from every state the end can be reached; each known mistake is found.

use std::collections::HashMap;

/// Steps a merge group can take in the model.
const STEPS: usize = 2;

/// How many records each partition has and how many actors of a kind are alive at once.
#[derive(Debug, Clone, Copy)]
struct World {
    records: Vector,
    workers: usize,
    mergers: usize,
    committers: usize,
    groups: usize,
    /// Old entries are collected.
    collects: bool,
}

/// Sources and tables: who takes a range in, and who commits it.
const SOURCES: World = World { records: [3, 2], workers: 2, mergers: 0, committers: 2, groups: 0, collects: false };
/// Merges: who takes a step, with two groups.
const MERGES: World = World { records: [2, 1], workers: 1, mergers: 2, committers: 1, groups: 2, collects: false };
/// Alerts: who commits them, beside their evidence.
const ALERTS: World = World { records: [1, 1], workers: 2, mergers: 1, committers: 2, groups: 2, collects: false };
/// Collection: who creates an entry below a floor, and who finds less than it needs.
const COLLECTS: World = World { records: [3, 1], workers: 2, mergers: 1, committers: 1, groups: 1, collects: true };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    True,
    /// A commit does not check its base, and may be sent again.
    NoGuard,
    /// Ledger entries can be overwritten.
    Overwrite,
    /// Files enter the table before their entry exists.
    CommitBeforeEntry,
    /// Alerts are committed without regard to their evidence.
    AlertsDoNotWait,
    /// A worker resumes at its own group offset, stored when the files were written.
    GroupOffset,
    /// Collection asks nobody what is needed.
    Greedy,
    /// A worker that creates an entry does not look at the floor.
    NoFloor,
}

type Vector = [u8; 2];

/// A merge group's steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Chain {
    len: u8,
    vectors: [Vector; STEPS],
}

impl Chain {
    fn steps(&self) -> &[Vector] {
        &self.vectors[..self.len as usize]
    }

    fn last(&self) -> Vector {
        self.steps().last().copied().unwrap_or_default()
    }

    fn push(&mut self, vector: Vector) {
        self.vectors[self.len as usize] = vector;
        self.len += 1;
    }
}

/// What the store, the catalog and Kafka hold, and where each actor stands. Actors of a kind are interchangeable: sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// `ledger[p][s]` is the end of the range that begins at s; 0 if it is not committed.
    ledger: [[u8; 3]; 2],
    /// The events table: `palisade.next`, and the ends of the ranges whose rows it holds (a bit each).
    next: Vector,
    cuts: Vector,
    /// Merge chains: each step's vector.
    merges: [Chain; 2],
    /// The alert table: `palisade.next` of each group.
    alerts: Vector,
    group_offset: Vector,
    /// Where each partition's chain begins.
    floor: Vector,
    workers: [Worker; 2],
    mergers: [Merger; 2],
    committers: [Committer; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Worker {
    Down,
    At(u8, u8),
    Files(u8, u8, u8),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Merger {
    Down,
    Staged { group: u8, step: u8, vector: Vector },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Committer {
    Down,
    Events { want: Vector, to: Vector, cuts: Vector },
    Alerts { want: Vector, to: Vector },
}

/// What an action leads to: a state, or the invariant it breaks.
type Outcome = Result<State, &'static str>;

impl State {
    fn start() -> Self {
        Self {
            ledger: [[0; 3]; 2],
            next: [0; 2],
            cuts: [0; 2],
            merges: [Chain::default(); 2],
            alerts: [0; 2],
            group_offset: [0; 2],
            floor: [0; 2],
            workers: [Worker::Down; 2],
            mergers: [Merger::Down; 2],
            committers: [Committer::Down; 2],
        }
    }

    fn is_end(&self, world: World) -> bool {
        let merged = |g: usize| self.merges[g].last() == world.records && self.alerts[g] == self.merges[g].len;
        self.next == world.records && (0..world.groups).all(merged)
    }

    /// The end of a partition's chain from `at` on, and the ends on the way.
    fn walk(&self, p: usize, mut at: u8) -> (u8, u8) {
        let mut cuts = 0;
        while at < 3 && self.ledger[p][at as usize] > at {
            at = self.ledger[p][at as usize];
            cuts |= 1 << at;
        }
        (at, cuts)
    }

    fn with(&self, change: impl FnOnce(&mut State)) -> State {
        let mut next = *self;
        change(&mut next);
        next.workers.sort_unstable();
        next.mergers.sort_unstable();
        next.committers.sort_unstable();
        next
    }

    /// Rows of `cuts` enter the events table after `from`.
    fn add_rows(&mut self, p: usize, from: u8, to: u8, cuts: u8) -> Result<(), &'static str> {
        let held = 7 - self.cuts[p].leading_zeros().min(7) as u8;
        if to > from && from < held {
            return Err("rows twice");
        }
        if to > from && from > held {
            return Err("a gap");
        }
        self.cuts[p] |= cuts;
        self.next[p] = self.next[p].max(to);
        Ok(())
    }

    /// Each range in the table is one of the ledger's, as far as it is kept; and each that is kept is on its chain.
    fn agrees(self) -> Outcome {
        for p in 0..2 {
            let floor = self.floor[p];
            let (_, cuts) = self.walk(p, floor);
            let collected = (2 << floor) - 1;
            if self.cuts[p] & !(cuts | collected) != 0 {
                return Err("the table holds what the ledger does not");
            }
            let mut kept = (floor.max(1)..3).filter(|s| self.ledger[p][*s as usize] != 0);
            if floor > 0 && kept.any(|s| s != floor && cuts & 1 << s == 0) {
                return Err("a range that no chain leads to");
            }
        }
        Ok(self)
    }

    /// A higher floor, or the oldest entry below one deleted. The newest entry stays.
    fn collect(&self, world: World, variant: Variant, out: &mut Vec<Outcome>) {
        for (p, floor) in self.floor.into_iter().enumerate() {
            if let Some(s) = (0..floor).find(|s| self.ledger[p][*s as usize] != 0) {
                out.push(Ok(self.with(|state| state.ledger[p][s as usize] = 0)));
            }
            let (end, cuts) = self.walk(p, floor);
            let merged = self.merges[..world.groups].iter().map(|chain| chain.last()[p]).min();
            let needed = self.next[p].min(merged.unwrap_or(u8::MAX));
            for to in (floor + 1..end).filter(|to| cuts & 1 << to != 0) {
                if to <= needed || variant == Variant::Greedy {
                    out.push(self.with(|state| state.floor[p] = to).agrees());
                }
            }
        }
    }

    fn work(&self, world: World, variant: Variant, i: usize, out: &mut Vec<Outcome>) {
        let put = |w: Worker| self.with(|s| s.workers[i] = w);
        match self.workers[i] {
            Worker::Down if is_full(&self.workers, Worker::Down, world.workers) => {}
            Worker::Down => {
                for (p, records) in world.records.into_iter().enumerate() {
                    let end = self.walk(p, self.next[p]).0;
                    let at = if variant == Variant::GroupOffset { self.group_offset[p] } else { end };
                    if at < records {
                        out.push(Ok(put(Worker::At(p as u8, at))));
                    }
                }
            }
            Worker::At(p, s) => {
                for n in s + 1..=world.records[p as usize] {
                    let offset = |state: &mut State| {
                        state.workers[i] = Worker::Files(p, s, n);
                        if variant == Variant::GroupOffset {
                            state.group_offset[p as usize] = n;
                        }
                    };
                    out.push(Ok(self.with(offset)));
                }
            }
            Worker::Files(p, s, n) => self.create(world, variant, i, (p as usize, s, n), out),
        }
        if self.workers[i] != Worker::Down {
            out.push(Ok(put(Worker::Down)));
        }
    }

    /// The commit point, or being fenced at it.
    fn create(&self, world: World, variant: Variant, i: usize, (p, s, n): (usize, u8, u8), out: &mut Vec<Outcome>) {
        let taken = self.ledger[p][s as usize] != 0;
        if taken && variant != Variant::Overwrite {
            return out.push(Ok(self.with(|state| state.workers[i] = Worker::Down)));
        }
        // A name that collection made free: the worker looks at the floor when its entry is there, and goes no further.
        let is_below = s < self.floor[p] && variant != Variant::NoFloor;
        let created = self.with(|state| {
            state.ledger[p][s as usize] = n;
            let is_done = is_below || n == world.records[p];
            state.workers[i] = if is_done { Worker::Down } else { Worker::At(p as u8, n) };
        });
        out.push(created.agrees());
        if variant == Variant::CommitBeforeEntry && self.next[p] == s {
            let mut early = *self;
            // The entry would follow; a crash in between is the state that is looked at.
            out.push(
                early.add_rows(p, s, n, 1 << n).and_then(|()| early.with(|s| s.workers[i] = Worker::Down).agrees()),
            );
        }
    }

    fn merge(&self, world: World, i: usize, out: &mut Vec<Outcome>) {
        let put = |m: Merger| self.with(|s| s.mergers[i] = m);
        match self.mergers[i] {
            Merger::Down if is_full(&self.mergers, Merger::Down, world.mergers) => {}
            Merger::Down => {
                let vector = [self.walk(0, self.floor[0]).0, self.walk(1, self.floor[1]).0];
                for (group, chain) in self.merges[..world.groups].iter().enumerate() {
                    if (0..2).any(|p| chain.last()[p] < self.floor[p]) {
                        out.push(Err("a merge lacks ranges"));
                    }
                    if (chain.len as usize) < STEPS && chain.last() != vector {
                        let (group, step) = (group as u8, chain.len);
                        out.push(Ok(put(Merger::Staged { group, step, vector })));
                    }
                }
            }
            Merger::Staged { group, step, vector } => {
                out.push(Ok(put(Merger::Down)));
                let chain = &self.merges[group as usize];
                if chain.len == step {
                    let last = chain.last();
                    if vector[0] < last[0] || vector[1] < last[1] {
                        return out.push(Err("a merge goes back"));
                    }
                    out.push(Ok(self.with(|s| {
                        s.merges[group as usize].push(vector);
                        s.mergers[i] = Merger::Down;
                    })));
                }
            }
        }
    }

    fn commit(&self, world: World, variant: Variant, i: usize, out: &mut Vec<Outcome>) {
        let put = |c: Committer| self.with(|s| s.committers[i] = c);
        match self.committers[i] {
            Committer::Down if is_full(&self.committers, Committer::Down, world.committers) => {}
            Committer::Down => {
                let walks = [self.walk(0, self.next[0]), self.walk(1, self.next[1])];
                let to = walks.map(|w| w.0);
                if to != self.next {
                    out.push(Ok(put(Committer::Events { want: self.next, to, cuts: walks.map(|w| w.1) })));
                }
                let to = self.covered(variant);
                if to != self.alerts {
                    out.push(Ok(put(Committer::Alerts { want: self.alerts, to })));
                }
            }
            Committer::Events { want, to, cuts } => {
                out.push(Ok(put(Committer::Down)));
                if want == self.next || variant == Variant::NoGuard {
                    let mut after = *self;
                    let added = (0..2).try_for_each(|p| after.add_rows(p, want[p], to[p], cuts[p]));
                    // Without the guard, a lost answer lets the same commit be sent again.
                    let then = if variant == Variant::NoGuard { self.committers[i] } else { Committer::Down };
                    out.push(added.and_then(|()| after.with(|s| s.committers[i] = then).agrees()));
                }
            }
            Committer::Alerts { want, to } => {
                out.push(Ok(put(Committer::Down)));
                if want == self.alerts {
                    out.push(self.readable(to).map(|()| {
                        self.with(|s| {
                            s.alerts = to;
                            s.committers[i] = Committer::Down;
                        })
                    }));
                }
            }
        }
    }

    /// How many steps of each group have all of their evidence in the events table.
    fn covered(&self, variant: Variant) -> Vector {
        let is = |v: &Vector| variant == Variant::AlertsDoNotWait || v[0] <= self.next[0] && v[1] <= self.next[1];
        [0, 1].map(|g: usize| self.merges[g].steps().iter().take_while(|v| is(v)).count() as u8)
    }

    fn readable(&self, alerts: Vector) -> Result<(), &'static str> {
        let shown = (0..2).flat_map(|g| &self.merges[g].steps()[..alerts[g] as usize]);
        let is = |v: &Vector| v[0] <= self.next[0] && v[1] <= self.next[1];
        if shown.clone().all(is) { Ok(()) } else { Err("an alert before its evidence") }
    }

    fn actions(&self, world: World, variant: Variant) -> Vec<Outcome> {
        let mut out = Vec::new();
        for i in 0..2 {
            // Two actors in the same place do the same.
            let twin = |same: bool| i == 1 && same;
            if !twin(self.workers[0] == self.workers[1]) {
                self.work(world, variant, i, &mut out);
            }
            if !twin(self.mergers[0] == self.mergers[1]) {
                self.merge(world, i, &mut out);
            }
            if !twin(self.committers[0] == self.committers[1]) {
                self.commit(world, variant, i, &mut out);
            }
        }
        if world.collects {
            self.collect(world, variant, &mut out);
        }
        out
    }
}

/// No more actors of the kind may start.
fn is_full<T: PartialEq>(actors: &[T; 2], down: T, limit: usize) -> bool {
    actors.iter().filter(|a| **a != down).count() >= limit
}

/// What a search found: the invariant that breaks first, with the steps to it; or the number of states and how many of
/// them cannot reach the end.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Broken(&'static str, usize),
    Safe { states: usize, stuck: usize },
}

fn search(world: World, variant: Variant) -> Found {
    let mut index: HashMap<State, usize> = HashMap::from([(State::start(), 0)]);
    let mut states = vec![(State::start(), 0)];
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut at = 0;
    while at < states.len() {
        let (state, depth) = states[at];
        for outcome in state.actions(world, variant) {
            let next = match outcome {
                Ok(next) => next,
                Err(broken) => return Found::Broken(broken, depth + 1),
            };
            let to = *index.entry(next).or_insert_with(|| {
                states.push((next, depth + 1));
                states.len() - 1
            });
            edges.push((to as u32, at as u32));
        }
        at += 1;
    }
    let states: Vec<State> = states.into_iter().map(|s| s.0).collect();
    Found::Safe { states: states.len(), stuck: stuck(world, &states, edges) }
}

/// States from which the end cannot be reached; `edges` go backwards. The bound on merge steps is the model's, not the
/// protocol's: a chain that used them up early is not stuck.
fn stuck(world: World, states: &[State], mut edges: Vec<(u32, u32)>) -> usize {
    edges.sort_unstable();
    let mut reaches = vec![false; states.len()];
    let mut open: Vec<usize> = (0..states.len()).filter(|&i| states[i].is_end(world)).collect();
    while let Some(i) = open.pop() {
        if !std::mem::replace(&mut reaches[i], true) {
            let first = edges.partition_point(|e| (e.0 as usize) < i);
            open.extend(edges[first..].iter().take_while(|e| e.0 as usize == i).map(|e| e.1 as usize));
        }
    }
    let used_up = |s: &State| s.merges.iter().any(|c| c.len as usize == STEPS && c.last() != world.records);
    states.iter().zip(reaches).filter(|(state, reaches)| !reaches && !used_up(state)).count()
}

#[test]
fn the_protocol_is_safe_and_gets_to_its_end_from_everywhere() {
    for (world, least) in [(SOURCES, 5_000), (MERGES, 5_000), (ALERTS, 5_000), (COLLECTS, 5_000)] {
        let Found::Safe { states, stuck } = search(world, Variant::True) else { panic!("{world:?} breaks") };
        println!("{states} states");
        assert!(states > least, "{world:?}: {states} states, so the model lost its choices");
        assert_eq!(stuck, 0, "{world:?}");
    }
}

#[test]
fn each_known_mistake_is_found() {
    for (world, variant, broken) in [
        (SOURCES, Variant::NoGuard, "rows twice"),
        (SOURCES, Variant::Overwrite, "the table holds what the ledger does not"),
        (SOURCES, Variant::CommitBeforeEntry, "the table holds what the ledger does not"),
        (ALERTS, Variant::AlertsDoNotWait, "an alert before its evidence"),
        (COLLECTS, Variant::Greedy, "a merge lacks ranges"),
        (COLLECTS, Variant::NoFloor, "a range that no chain leads to"),
    ] {
        let found = search(world, variant);
        assert!(matches!(found, Found::Broken(what, _) if what == broken), "{variant:?}: {found:?}");
    }
    // Records that a group offset skips are never stored: no bad state, but no way to the end.
    let found = search(SOURCES, Variant::GroupOffset);
    assert!(matches!(found, Found::Safe { stuck, .. } if stuck > 0), "{found:?}");
}
