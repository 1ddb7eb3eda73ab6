//! One pane of one rule: states in the order they came, and which keys they hold.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::row::{Row, RowConverter, Rows, SortField};

use crate::codes::Texts;
use crate::error::Result;
use crate::evidence::StateColumns;
use crate::group_table::StateLayout;
use crate::sql::Need;

/// Tenant and key of state rows as bytes that are equal where the keys are.
#[derive(Debug)]
pub(super) struct KeyBytes {
    converter: RowConverter,
    columns: usize,
}

impl KeyBytes {
    pub(super) fn new(layout: &StateLayout) -> Result<Self> {
        let fields = layout.schema.fields()[..layout.group].iter().map(|f| SortField::new(f.data_type().clone()));
        Ok(Self { converter: RowConverter::new(fields.collect())?, columns: layout.group })
    }

    fn of(&self, state: &RecordBatch) -> Result<Rows> {
        Ok(self.converter.convert_columns(&state.columns()[..self.columns])?)
    }

    /// All rows of a state with their keys.
    pub(super) fn keyed(&self, state: RecordBatch) -> Result<Keyed> {
        Ok(Keyed { keys: self.of(&state)?, state })
    }
}

/// A state batch with its rows' keys. Panes share it: each holds some of its rows.
#[derive(Debug)]
pub(super) struct Keyed {
    state: RecordBatch,
    keys: Rows,
}

impl Keyed {
    pub(super) fn state(&self) -> &RecordBatch {
        &self.state
    }

    pub(super) fn len(&self) -> usize {
        self.state.num_rows()
    }

    /// The key of a row.
    pub(super) fn key(&self, row: usize) -> &[u8] {
        self.keys.row(row).data()
    }

    /// Some of its rows as a batch.
    pub(super) fn take(&self, rows: &[u32]) -> Result<RecordBatch> {
        take(&self.state, rows)
    }
}

fn take(state: &RecordBatch, rows: &[u32]) -> Result<RecordBatch> {
    if rows.len() == state.num_rows() {
        return Ok(state.clone());
    }
    Ok(take_record_batch(state, &UInt32Array::from(rows.to_vec()))?)
}

/// See the module's front.
#[derive(Debug)]
pub(crate) struct Pane {
    inputs: usize,
    keys: Texts,
    /// How many rows each input gave each key.
    rows: Vec<u64>,
    /// The keys that the fresh states hold.
    is_fresh: Vec<bool>,
    /// States of earlier steps.
    settled: Vec<Part>,
    /// States added since the last step.
    fresh: Vec<Part>,
}

/// Rows of a state batch, rising, and the number of each one's key, from 0.
#[derive(Debug)]
struct Part {
    state: RecordBatch,
    rows: Vec<u32>,
    keys: Vec<u32>,
}

impl Part {
    /// The rows of the keys that `of` gives something, and what it gives.
    fn of<T>(&self, of: impl Fn(u32) -> Option<T>) -> Result<(RecordBatch, Vec<T>)> {
        let pairs = self.rows.iter().zip(&self.keys).filter_map(|(row, key)| Some((*row, of(*key)?)));
        let (rows, given): (Vec<u32>, Vec<T>) = pairs.unzip();
        Ok((take(&self.state, &rows)?, given))
    }
}

impl Pane {
    /// A pane of a rule that reads so many inputs.
    pub(super) fn new(inputs: usize) -> Self {
        let (keys, rows, is_fresh) = (Texts::default(), Vec::new(), Vec::new());
        Self { inputs, keys, rows, is_fresh, settled: Vec::new(), fresh: Vec::new() }
    }

    /// How many keys it holds.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// True if states were added since the last step.
    pub(super) fn is_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// The number of a key, from 0 in the order of first sight.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        self.keys.find(key).map(|number| number as usize - 1)
    }

    /// The key that has the number.
    pub(super) fn key(&self, number: usize) -> Option<&[u8]> {
        self.keys.bytes(number as u32 + 1)
    }

    /// The numbers of the keys that the states added since the last step hold.
    pub(super) fn fresh_keys(&self) -> impl Iterator<Item = usize> {
        self.is_fresh.iter().enumerate().filter(|(_, is_fresh)| **is_fresh).map(|(number, _)| number)
    }

    /// States of earlier steps, for a snapshot.
    pub(super) fn settled(&self) -> impl Iterator<Item = Result<RecordBatch>> {
        self.settled.iter().map(|part| take(&part.state, &part.rows))
    }

    /// How many states of earlier steps there are.
    pub(super) fn settled_len(&self) -> usize {
        self.settled.len()
    }

    /// Bytes held, roughly: of a state that panes share, its share of the rows.
    pub(super) fn bytes(&self) -> usize {
        let share = |part: &Part| part.state.get_array_memory_size() * part.rows.len() / part.state.num_rows().max(1);
        let parts = self.settled.iter().chain(&self.fresh);
        parts.map(|part| share(part) + part.keys.len() * 8).sum::<usize>() + self.keys.size() + self.rows.capacity() * 8
    }

    /// Adds rows of a state. At most `room` keys are held: rows of further ones are given back, and not held on to.
    pub(super) fn add(&mut self, keyed: &Keyed, rows: Vec<u32>, room: usize) -> Result<Vec<u32>> {
        let (mut part, over) = self.part(keyed, rows, room);
        if part.rows.is_empty() {
            return Ok(over);
        }
        if !over.is_empty() {
            part.state = take(&part.state, &part.rows)?;
            part.rows = (0..part.keys.len() as u32).collect();
        }
        part.keys.iter().for_each(|&key| self.is_fresh[key as usize] = true);
        self.fresh.push(part);
        Ok(over)
    }

    /// Adds a state that is not new.
    pub(super) fn restore(&mut self, keyed: &Keyed) {
        let (part, _) = self.part(keyed, (0..keyed.state.num_rows() as u32).collect(), usize::MAX);
        self.settled.push(part);
    }

    fn part(&mut self, keyed: &Keyed, mut rows: Vec<u32>, room: usize) -> (Part, Vec<u32>) {
        let (mut keys, mut over) = (Vec::with_capacity(rows.len()), Vec::new());
        let counts = StateColumns::of(&keyed.state, self.inputs);
        rows.retain(|&row| {
            let known = self.number(keyed.keys.row(row as usize).as_ref(), room);
            match known {
                Some(key) => {
                    for (total, rows) in self.rows[key * self.inputs..].iter_mut().zip(counts.rows(row as usize)) {
                        *total += rows.unsigned_abs();
                    }
                    keys.push(key as u32);
                }
                None => over.push(row),
            }
            known.is_some()
        });
        (Part { state: keyed.state.clone(), rows, keys }, over)
    }

    /// The number of a key, a new one if there is room for it.
    fn number(&mut self, key: &[u8], room: usize) -> Option<usize> {
        let number = if self.keys.len() < room { Some(self.keys.number(key)) } else { self.keys.find(key) };
        let key = number? as usize - 1;
        if key == self.is_fresh.len() {
            self.is_fresh.push(false);
            self.rows.extend(std::iter::repeat_n(0, self.inputs));
        }
        Some(key)
    }

    /// Fresh states become settled ones. When there are many, neighbors of like size are merged, so that a pane holds few
    /// and a state is merged about as often as its pane doubles.
    pub(super) fn settle(
        &mut self,
        mut merge: impl FnMut([&RecordBatch; 2]) -> Result<RecordBatch>,
        bytes: &KeyBytes,
    ) -> Result<()> {
        for part in std::mem::take(&mut self.fresh) {
            part.keys.iter().for_each(|&key| self.is_fresh[key as usize] = false);
            self.settled.push(part);
            while self.settled.len() > SETTLED_MAX
                && let [.., a, b] = self.settled.as_slice()
                && a.rows.len() < 2 * b.rows.len()
            {
                let state = merge([&take(&a.state, &a.rows)?, &take(&b.state, &b.rows)?])?;
                let number = |key: Row<'_>| self.keys.find(key.as_ref()).unwrap_or(1) - 1;
                let keys: Vec<u32> = bytes.of(&state)?.iter().map(number).collect();
                self.settled.truncate(self.settled.len() - 2);
                self.settled.push(Part { rows: (0..keys.len() as u32).collect(), state, keys });
            }
        }
        Ok(())
    }

    /// The states of the marked keys; of all if there are no marks.
    pub(super) fn states(&self, marks: Option<&[bool]>) -> Result<Vec<RecordBatch>> {
        let mut states = Vec::new();
        for part in self.settled.iter().chain(&self.fresh) {
            let Some(marks) = marks else {
                states.push(take(&part.state, &part.rows)?);
                continue;
            };
            let pairs = part.rows.iter().zip(&part.keys);
            let rows: Vec<u32> = pairs.filter(|(_, key)| marks[**key as usize]).map(|(row, _)| *row).collect();
            if !rows.is_empty() {
                states.push(take(&part.state, &rows)?);
            }
        }
        Ok(states)
    }

    /// The states of the marked keys: of earlier steps, and those added since.
    pub(super) fn parts(&self, marks: &[bool]) -> Result<(Vec<RecordBatch>, Vec<RecordBatch>)> {
        let marked = |parts: &[Part]| {
            let states = parts.iter().map(|part| part.of(|key| marks[key as usize].then_some(())));
            states.map(|state| Ok(state?.0)).collect::<Result<Vec<_>>>()
        };
        Ok((marked(&self.settled)?, marked(&self.fresh)?))
    }

    /// The states of the keys that `number` gives a number, and the number of each of their rows.
    pub(super) fn numbered(&self, number: impl Fn(u32) -> Option<i64>) -> Result<Vec<(RecordBatch, Vec<i64>)>> {
        self.settled.iter().chain(&self.fresh).map(|part| part.of(&number)).collect()
    }

    fn rows_of(&self, key: usize, need: &Need) -> u64 {
        let rows = self.rows[key * self.inputs..][..self.inputs].iter().enumerate();
        rows.filter(|(input, _)| need.inputs.contains(input)).map(|(_, rows)| rows).sum()
    }
}

/// Settled states that are left as they are: most panes are gone before they have more.
const SETTLED_MAX: usize = 8;

/// Which keys of a window's panes are worth evaluating: those that have the rows that HAVING needs, and `changed`: only if
/// a fresh state holds them. None means all of them.
///
/// A key that has `n` rows in `p` panes has `n / p` of them in one: only keys with so many in some pane are looked up in
/// the others, and of most rules they are few.
pub(super) fn worth(window: &[&Pane], needs: &[Need], changed: bool) -> Option<Vec<Vec<bool>>> {
    if needs.is_empty() && !changed {
        return None;
    }
    let mut marks: Vec<Vec<bool>> = window.iter().map(|pane| vec![false; pane.len()]).collect();
    let panes = window.len().max(1) as u64;
    let is_heavy = |pane: &Pane, key: usize, need: &Need| pane.rows_of(key, need) >= need.rows.div_ceil(panes);
    let heavy = |need: &&Need| -> usize {
        window.iter().map(|pane| (0..pane.len()).filter(|&key| is_heavy(pane, key, need)).count()).sum()
    };
    let rarest = needs.iter().min_by_key(heavy);
    for (p, pane) in window.iter().enumerate() {
        for key in 0..pane.len() {
            let is_start = rarest.map_or(pane.is_fresh[key], |need| is_heavy(pane, key, need));
            if is_start && !marks[p][key] {
                mark(window, pane.keys.bytes(key as u32 + 1).unwrap_or_default(), needs, changed, &mut marks);
            }
        }
    }
    Some(marks)
}

fn mark(window: &[&Pane], key: &[u8], needs: &[Need], changed: bool, marks: &mut [Vec<bool>]) {
    let find = |pane: &&Pane| pane.keys.find(key).map(|number| number as usize - 1);
    let places: Vec<Option<usize>> = window.iter().map(find).collect();
    let held = || window.iter().zip(&places).filter_map(|(pane, place)| Some((pane, (*place)?)));
    let has_rows = |need: &Need| held().map(|(pane, key)| pane.rows_of(key, need)).sum::<u64>() >= need.rows;
    if (changed && !held().any(|(pane, key)| pane.is_fresh[key])) || !needs.iter().all(has_rows) {
        return;
    }
    for (marks, place) in marks.iter_mut().zip(&places) {
        if let Some(key) = place {
            marks[*key] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::rule_state;
    use super::*;
    use crate::tests::{delta, event, partition, rule};

    const COUNT: &str = "SELECT window_start, src_ip, count(*) AS n
        FROM TUMBLE(TABLE network_activity, DESCRIPTOR(time), INTERVAL '1' MINUTE)
        GROUP BY window_start, window_end, src_ip HAVING count(*) > 2";

    /// A row for each address, in panes of one rule.
    struct Bench {
        rules: std::sync::Arc<crate::RuleSet>,
        layout: StateLayout,
        bytes: KeyBytes,
    }

    impl Bench {
        fn new() -> Self {
            let rules = rule("", COUNT);
            let layout = StateLayout::new(rules.rules()[0].window().expect("a window"), false);
            let bytes = KeyBytes::new(&layout).expect("keys");
            Self { rules, layout, bytes }
        }

        fn state(&self, addresses: &str) -> RecordBatch {
            let rows: Vec<_> = addresses.chars().map(|address| event(1, &address.to_string(), 1)).collect();
            let delta = delta(&self.rules, &partition(0), 0, &rows);
            let columns = delta.parts()[0].state.columns()[1..].to_vec();
            RecordBatch::try_new(self.layout.schema.clone(), columns).expect("a state")
        }

        fn keyed(&self, addresses: &str) -> Keyed {
            self.bytes.keyed(self.state(addresses)).expect("keys")
        }

        /// Adds a state; the addresses that found no room.
        fn add(&self, pane: &mut Pane, addresses: &str, room: usize) -> String {
            let keyed = self.keyed(addresses);
            let over = pane.add(&keyed, (0..keyed.state.num_rows() as u32).collect(), room).expect("added");
            over.iter().map(|&row| crate::json::text(keyed.state.column(1), row as usize)).collect()
        }

        /// A pane with settled states and fresh ones.
        fn pane(&self, settled: &[&str], fresh: &[&str]) -> Pane {
            let mut pane = Pane::new(1);
            settled.iter().for_each(|rows| pane.restore(&self.keyed(rows)));
            for rows in fresh {
                assert!(self.add(&mut pane, rows, usize::MAX).is_empty());
            }
            pane
        }

        fn needs(&self) -> &[Need] {
            &self.rules.rules()[0].window().expect("a window").needs
        }
    }

    /// The addresses of the states that are worth evaluating, pane by pane.
    fn asked(panes: &[&Pane], needs: &[Need], changed: bool) -> Vec<String> {
        let marks = worth(panes, needs, changed);
        let of = |(i, pane): (usize, &&Pane)| {
            let states = pane.states(marks.as_ref().map(|marks| marks[i].as_slice())).expect("states");
            let keys = states.iter().flat_map(|state| {
                (0..state.num_rows()).map(|row| crate::json::text(state.column(1), row)).collect::<Vec<_>>()
            });
            keys.collect::<String>()
        };
        panes.iter().enumerate().map(of).collect()
    }

    #[test]
    fn only_keys_with_enough_rows_over_all_panes_are_asked_about() {
        let bench = Bench::new();
        let (first, second) = (bench.pane(&["aab", "cc"], &[]), bench.pane(&["b"], &["a", "ccd"]));
        assert_eq!(asked(&[&first, &second], bench.needs(), false), ["ac", "ac"]);
        assert_eq!(asked(&[&first, &second], &[], false), ["abc", "bacd"], "nothing is known: all");
    }

    #[test]
    fn of_an_open_window_only_keys_that_changed_are() {
        let bench = Bench::new();
        let (first, second) = (bench.pane(&["aaabbb"], &[]), bench.pane(&["b"], &["a", "c"]));
        assert_eq!(asked(&[&first, &second], bench.needs(), true), ["a", "a"]);
        assert_eq!(asked(&[&first, &second], &[], true), ["a", "ac"]);
    }

    #[test]
    fn settled_states_stay_few_and_keep_their_rows() {
        let bench = Bench::new();
        let mut pane = bench.pane(&[], &["a"; 40]);
        let rule = &bench.rules.rules()[0];
        let plan = rule.window().expect("a window");
        let merge = |states: [&RecordBatch; 2]| rule_state::merge(rule, plan, &bench.layout, states);
        pane.settle(merge, &bench.bytes).expect("settled");
        assert!(pane.settled_len() <= SETTLED_MAX && !pane.is_fresh(), "{}", pane.settled_len());
        let rows = |state: Result<RecordBatch>| StateColumns::of(&state.expect("a state"), 1).rows(0).sum::<i64>();
        assert_eq!(pane.settled().map(rows).sum::<i64>(), 40);
        assert_eq!((pane.len(), asked(&[&pane], bench.needs(), false)[0].is_empty()), (1, false));
        assert!(pane.bytes() > 0);
    }

    #[test]
    fn rows_of_keys_beyond_the_room_are_given_back() {
        let bench = Bench::new();
        let mut pane = bench.pane(&["ab"], &[]);
        assert_eq!(bench.add(&mut pane, "acbd", 3), "d");
        assert_eq!(asked(&[&pane], &[], false), ["abacb"]);
        let before = pane.bytes();
        assert_eq!(bench.add(&mut pane, "defg", 3), "defg");
        assert_eq!(pane.bytes(), before, "what found no room is not held");
    }
}
