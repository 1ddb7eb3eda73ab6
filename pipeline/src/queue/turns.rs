//! Which item comes next, and whether a lane has room: deficit round robin (Shreedhar and Varghese, 1995). Nothing waits in here.
//!
//! A lane hands on what its credit pays for, then the next has its turn; a lane that has more is credited again. However many
//! rows one lane sends, and in items of whatever size, all lanes that have something get the same number of rows.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;

/// What a lane is credited with a turn: rows of a full batch.
pub(super) const QUANTUM: usize = 8192;

/// A row weighs more if it has more bytes than this.
const ROW_BYTES: usize = 1024;

/// An item with the room it takes.
pub(super) struct Held<T> {
    pub(super) item: T,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// When the sender wished to send it.
    pub(super) since: Instant,
}

impl<T> Held<T> {
    fn weight(&self) -> usize {
        self.rows.max(self.bytes / ROW_BYTES).max(1)
    }
}

struct Lane<T> {
    items: VecDeque<Held<T>>,
    rows: usize,
    bytes: usize,
    credit: usize,
    is_open: bool,
    /// Told whenever the lane may have room.
    room: Arc<Notify>,
}

/// See the module's front.
pub(super) struct Turns<T> {
    lanes: BTreeMap<u64, Lane<T>>,
    /// Lanes that were ever opened.
    opened: u64,
    /// The lane whose turn it is, or the first after it.
    at: u64,
    max_rows: usize,
    max_bytes: usize,
}

impl<T> Turns<T> {
    pub(super) fn new(max_rows: usize, max_bytes: usize) -> Self {
        Self { lanes: BTreeMap::new(), opened: 0, at: 0, max_rows, max_bytes }
    }

    /// A new lane, and what tells of its room.
    pub(super) fn open(&mut self) -> (u64, Arc<Notify>) {
        let (number, room) = (self.opened, Arc::new(Notify::new()));
        let (items, told) = (VecDeque::new(), room.clone());
        self.lanes.insert(number, Lane { items, rows: 0, bytes: 0, credit: QUANTUM, is_open: true, room: told });
        self.opened += 1;
        (number, room)
    }

    /// Nothing more comes through the lane; what it holds stays. The shares of the others become larger.
    pub(super) fn close(&mut self, lane: u64) {
        if let Some(closed) = self.lanes.get_mut(&lane) {
            closed.is_open = false;
            if closed.items.is_empty() {
                self.lanes.remove(&lane);
            }
        }
        self.lanes.values().for_each(|lane| lane.room.notify_one());
    }

    /// Drops everything, and tells every sender to look again.
    pub(super) fn clear(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.items.clear();
            lane.room.notify_one();
        }
    }

    pub(super) fn has_open(&self) -> bool {
        self.lanes.values().any(|lane| lane.is_open)
    }

    /// Adds an item, or gives it back if its lane has no room.
    pub(super) fn offer(&mut self, lane: u64, held: Held<T>) -> Option<Held<T>> {
        let open = self.lanes.values().filter(|lane| lane.is_open).count().max(1);
        let (share_rows, share_bytes) = (self.max_rows / open, self.max_bytes / open);
        let Some(lane) = self.lanes.get_mut(&lane) else { return Some(held) };
        let is_room = lane.rows + held.rows.max(1) <= share_rows && lane.bytes + held.bytes <= share_bytes;
        if !is_room && !lane.items.is_empty() {
            return Some(held);
        }
        lane.rows += held.rows.max(1);
        lane.bytes += held.bytes;
        lane.items.push_back(held);
        None
    }

    pub(super) fn next(&mut self) -> Option<Held<T>> {
        if self.lanes.values().all(|lane| lane.items.is_empty()) {
            return None;
        }
        // Each lane's credit rises by a quantum a round, so this ends.
        loop {
            let Some((&number, lane)) = self.lanes.range_mut(self.at..).next() else {
                self.at = 0;
                continue;
            };
            if let Some(item) = lane.take() {
                if lane.items.is_empty() {
                    self.at = number + 1;
                    if !lane.is_open {
                        self.lanes.remove(&number);
                    }
                }
                return Some(item);
            }
            self.at = number + 1;
        }
    }
}

impl<T> Lane<T> {
    /// The next item, if the credit pays for it; otherwise there is more credit in the next turn. Who has nothing saves nothing.
    fn take(&mut self) -> Option<Held<T>> {
        let weight = self.items.front()?.weight();
        if weight > self.credit {
            self.credit += QUANTUM;
            return None;
        }
        let item = self.items.pop_front()?;
        self.credit = if self.items.is_empty() { QUANTUM } else { self.credit - weight };
        self.rows -= item.rows.max(1);
        self.bytes -= item.bytes;
        self.room.notify_one();
        Some(item)
    }
}
