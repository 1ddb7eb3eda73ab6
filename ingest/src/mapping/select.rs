//! Which mapping takes a record. The names of a record are looked at once, whatever the number of mappings: a bit for each
//! name that some mapping asks for, then two operations on words a mapping rule out those whose names are not there.

use crate::decode::json::{At, Doc};
use crate::decode::keys::ByKey;
use crate::decode::names::Names;
use crate::decode::pairs::Pairs;
use crate::decode::syslog::Line;

use super::condition::{Condition, Key, Test, weight};
use super::plan::Plan;

/// The mappings of one format.
#[derive(Debug, Default)]
pub(super) struct Selector {
    /// Its number among all of them.
    pub(super) number: usize,
    keys: Names<u8>,
    /// The most telling first.
    candidates: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    plan: usize,
    /// Names that must be there, by their bits.
    needs: u128,
    /// Where the name of each condition stands among the names.
    keys: Vec<Option<u8>>,
}

/// Names that conditions may ask for, in one format.
const KEYS_MAX: usize = 128;

/// Where the names that are asked for stand in the record at hand.
#[derive(Debug)]
pub(crate) struct Places {
    places: [u32; KEYS_MAX],
    present: u128,
    /// By selector and key of a line: the name among those that are asked for.
    names: ByKey<Option<u8>>,
}

impl Default for Places {
    fn default() -> Self {
        Self { places: [0; KEYS_MAX], present: 0, names: ByKey::default() }
    }
}

impl Places {
    #[inline]
    fn note(&mut self, key: u8, place: u32) {
        let bit = 1 << key;
        if self.present & bit == 0 {
            self.present |= bit;
            self.places[usize::from(key)] = place;
        }
    }

    fn of(&self, key: Option<u8>) -> Option<u32> {
        key.filter(|key| self.present & (1 << key) != 0).map(|key| self.places[usize::from(key)])
    }
}

impl Selector {
    /// Adds a mapping.
    ///
    /// # Errors
    /// If the mappings ask for too many names.
    pub(super) fn add(&mut self, index: usize, plan: &Plan) -> Result<(), String> {
        let mut candidate = Candidate { plan: index, needs: 0, keys: Vec::new() };
        for condition in &plan.conditions {
            let Key::Field(path) = &condition.key else {
                candidate.keys.push(None);
                continue;
            };
            let key = match self.keys.get(path[0].as_bytes()) {
                Some(key) => *key,
                None => {
                    let key = self.keys.names().len();
                    if key >= KEYS_MAX {
                        return Err(format!("mappings of one format match on more than {KEYS_MAX} names"));
                    }
                    self.keys.add(path[0], key as u8)?;
                    key as u8
                }
            };
            candidate.keys.push(Some(key));
            if !matches!(condition.test, Test::Absent) {
                candidate.needs |= 1 << key;
            }
        }
        self.candidates.push(candidate);
        Ok(())
    }

    /// Puts the most telling first: those with more, and more exact, conditions.
    pub(super) fn sort(&mut self, plans: &[Plan]) {
        self.candidates.sort_by_key(|c| std::cmp::Reverse(weight(&plans[c.plan].conditions)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.candidates.is_empty()
    }

    /// True if the header rules out not all mappings: the others need not be split for.
    pub(super) fn may_take(&self, plans: &[Plan], header: &Line<'_>) -> bool {
        self.candidates.iter().any(|c| plans[c.plan].conditions.iter().all(|condition| of_header(condition, header)))
    }

    /// The mapping of an object of a document.
    pub(super) fn of_object(
        &self,
        plans: &[Plan],
        doc: Doc<'_>,
        at: At,
        header: &Line<'_>,
        places: &mut Places,
    ) -> Option<usize> {
        places.present = 0;
        for member in doc.members(at) {
            if let Some(key) = self.keys.get_rare(doc.key(&member)) {
                places.note(*key, member.at.index());
            }
        }
        self.first(plans, header, places, |condition, place| condition.holds(doc, place.map(At::of_index)))
    }

    /// The mapping of pairs.
    pub(super) fn of_pairs(
        &self,
        plans: &[Plan],
        (pairs, line): (&Pairs, &str),
        header: &Line<'_>,
        places: &mut Places,
    ) -> Option<usize> {
        let mut names = std::mem::take(&mut places.names);
        let known = names.of(self.number, pairs.keys(), |key| self.keys.get(key.as_bytes()).copied());
        places.present = 0;
        for (place, pair) in (0..).zip(pairs.list()) {
            let name = match pair.id {
                Some(id) => known[usize::from(id)],
                None => self.keys.get_rare(pairs.name(line, pair).as_bytes()).copied(),
            };
            if let Some(name) = name {
                places.note(name, place);
            }
        }
        places.names = names;
        self.first(plans, header, places, |condition, place| match place {
            Some(place) => condition.test.takes(Some(pairs.get(line, place as usize).1)),
            None => matches!(condition.test, Test::Absent),
        })
    }

    fn first(
        &self,
        plans: &[Plan],
        header: &Line<'_>,
        places: &Places,
        holds: impl Fn(&Condition, Option<u32>) -> bool,
    ) -> Option<usize> {
        let fits = |candidate: &&Candidate| {
            candidate.needs & !places.present == 0
                && plans[candidate.plan].conditions.iter().zip(&candidate.keys).all(|(condition, key)| match condition
                    .key
                {
                    Key::Header(_) => of_header(condition, header),
                    Key::Field(_) => holds(condition, places.of(*key)),
                })
        };
        self.candidates.iter().find(fits).map(|c| c.plan)
    }
}

/// True if a condition on the syslog header holds.
pub(super) fn of_header(condition: &Condition, header: &Line<'_>) -> bool {
    let Key::Header(field) = condition.key else { return true };
    match field.of(header) {
        "" => matches!(condition.test, Test::Absent),
        text => condition.test.takes(Some(text)),
    }
}
