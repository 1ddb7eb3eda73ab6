//! A channel bounded by rows and by bytes, named and measured. Senders may be tasks or threads; the receiver is a thread.
//!
//! It has lanes. What is sent through one lane comes in its order; lanes take turns ([`turns`]), and each has its own share of the
//! bound. So whoever sends much waits for himself: an item of another lane waits for no more than a turn of each.

mod turns;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

use crate::clock;
use crate::telemetry::QueueGauges;
use turns::{Held, Turns};

/// What a queue counts.
pub(crate) trait Weigh {
    fn rows(&self) -> usize;
    fn bytes(&self) -> usize;
}

/// Opens lanes.
pub(crate) struct Lanes<T> {
    shared: Arc<Shared<T>>,
}

/// The sending end of a lane. Clones send through the same lane.
pub(crate) struct Sender<T> {
    shared: Arc<Shared<T>>,
    lane: Arc<LaneEnd<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), lane: self.lane.clone() }
    }
}

/// The receiving end.
pub(crate) struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

/// Says that the receiver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

struct Shared<T> {
    state: Mutex<State<T>>,
    /// An item came, or a sender went.
    arrived: Notify,
    gauges: QueueGauges,
}

struct State<T> {
    turns: Turns<T>,
    may_open: bool,
    is_closed: bool,
}

/// The last of a lane's ends closes it.
struct LaneEnd<T> {
    shared: Arc<Shared<T>>,
    number: u64,
    room: Arc<Notify>,
    /// Who of the lane's senders may try next: in the order that they came.
    turn: Semaphore,
}

/// A queue without lanes yet, of at most `max_rows` and `max_bytes` in all lanes together. A single item that is larger than a
/// lane's share waits until the lane is empty.
pub(crate) fn lanes<T: Weigh>(max_rows: usize, max_bytes: usize, gauges: QueueGauges) -> (Lanes<T>, Receiver<T>) {
    let state = State { turns: Turns::new(max_rows, max_bytes), may_open: true, is_closed: false };
    let shared = Arc::new(Shared { state: Mutex::new(state), arrived: Notify::new(), gauges });
    (Lanes { shared: shared.clone() }, Receiver { shared })
}

/// A queue of one lane.
pub(crate) fn bounded<T: Weigh>(max_rows: usize, max_bytes: usize, gauges: QueueGauges) -> (Sender<T>, Receiver<T>) {
    let (lanes, receiver) = lanes(max_rows, max_bytes, gauges);
    (lanes.open(), receiver)
}

/// The sending end of a queue whose receiver is gone.
pub(crate) fn closed<T: Weigh>() -> Sender<T> {
    bounded(1, 1, QueueGauges::detached()).0
}

impl<T> Lanes<T> {
    /// One more lane. The shares of the others become smaller; what they hold already stays.
    pub(crate) fn open(&self) -> Sender<T> {
        let (number, room) = self.shared.state().turns.open();
        let lane = LaneEnd { shared: self.shared.clone(), number, room, turn: Semaphore::new(1) };
        Sender { shared: self.shared.clone(), lane: Arc::new(lane) }
    }
}

impl<T: Weigh> Sender<T> {
    /// Waits for room in the lane and sends.
    pub(crate) async fn send(&self, item: T) -> Result<(), Closed> {
        let since = clock::instant();
        let _turn = self.lane.turn.acquire().await.map_err(|_| Closed)?;
        let (rows, bytes) = (item.rows(), item.bytes());
        let mut held = Held { item, rows, bytes, since };
        loop {
            let room = self.lane.room.notified();
            match self.shared.offer(self.lane.number, held)? {
                None => return Ok(()),
                Some(back) => held = back,
            }
            room.await;
        }
    }
}

impl<T> Shared<T> {
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the item back if its lane is full.
    fn offer(&self, lane: u64, held: Held<T>) -> Result<Option<Held<T>>, Closed> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Closed);
        }
        let (rows, bytes) = (held.rows, held.bytes);
        let back = state.turns.offer(lane, held);
        drop(state);
        if back.is_none() {
            self.gauges.add(rows, bytes);
            self.arrived.notify_one();
        }
        Ok(back)
    }

    fn next(&self) -> Option<T> {
        let held = self.state().turns.next()?;
        self.gauges.remove(held.rows, held.bytes, clock::instant() - held.since);
        Some(held.item)
    }

    fn has_senders(&self) -> bool {
        let state = self.state();
        state.may_open || state.turns.has_open()
    }
}

impl<T> Receiver<T> {
    /// Waits for an item; None when every sender is gone and the queue is empty.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        loop {
            let arrived = self.shared.arrived.notified();
            // Before the items: what a sender sent before it went is then among them.
            let has_senders = self.shared.has_senders();
            if let Some(item) = self.shared.next() {
                return Some(item);
            }
            if !has_senders {
                return None;
            }
            arrived.await;
        }
    }

    /// An item if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        self.shared.next()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_closed = true;
        state.turns.clear();
    }
}

impl<T> Drop for LaneEnd<T> {
    fn drop(&mut self) {
        self.shared.state().turns.close(self.number);
        self.shared.arrived.notify_one();
    }
}

impl<T> Drop for Lanes<T> {
    fn drop(&mut self) {
        self.shared.state().may_open = false;
        self.shared.arrived.notify_one();
    }
}

#[cfg(test)]
mod tests;
