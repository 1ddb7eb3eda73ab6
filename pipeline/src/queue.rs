//! A channel bounded by rows and by bytes, named and measured. Senders may be tasks or threads; receivers are threads.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::telemetry::QueueGauges;

/// What a queue counts.
pub(crate) trait Weigh {
    fn rows(&self) -> usize;
    fn bytes(&self) -> usize;
}

/// The sending end.
pub(crate) struct Sender<T> {
    items: mpsc::UnboundedSender<Held<T>>,
    limits: Arc<Limits>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), limits: self.limits.clone() }
    }
}

/// The receiving end.
pub(crate) struct Receiver<T> {
    items: mpsc::UnboundedReceiver<Held<T>>,
}

struct Limits {
    rows: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    max_rows: usize,
    max_bytes: usize,
    gauges: QueueGauges,
}

/// An item with the room it takes; the room is free again when the item is received.
struct Held<T> {
    item: T,
    rows: usize,
    bytes: usize,
    limits: Arc<Limits>,
    _room: [OwnedSemaphorePermit; 2],
}

/// Says that the receiver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Closed;

/// A queue that holds at most `max_rows` and `max_bytes`; a single larger item waits for an empty queue and passes alone.
pub(crate) fn bounded<T: Weigh>(max_rows: usize, max_bytes: usize, gauges: QueueGauges) -> (Sender<T>, Receiver<T>) {
    #[expect(clippy::disallowed_methods, reason = "the bound is the two semaphores: an item holds its room")]
    let (tx, rx) = mpsc::unbounded_channel();
    let semaphore = |n: usize| Arc::new(Semaphore::new(n.min(Semaphore::MAX_PERMITS)));
    // Permits of bytes are counted in KiB, so that a u32 spans terabytes.
    let limits = Limits {
        rows: semaphore(max_rows),
        bytes: semaphore(kib(max_bytes)),
        max_rows,
        max_bytes: kib(max_bytes),
        gauges,
    };
    (Sender { items: tx, limits: Arc::new(limits) }, Receiver { items: rx })
}

/// The sending end of a queue whose receiver is gone.
pub(crate) fn closed<T: Weigh>() -> Sender<T> {
    bounded(1, 1, QueueGauges::detached()).0
}

fn kib(bytes: usize) -> usize {
    bytes.div_ceil(1024).max(1)
}

impl<T: Weigh> Sender<T> {
    /// Waits for room and sends.
    pub(crate) async fn send(&self, item: T) -> Result<(), Closed> {
        let (rows, bytes) = (item.rows(), item.bytes());
        let l = &self.limits;
        let take = |s: &Arc<Semaphore>, n: usize, max: usize| {
            s.clone().acquire_many_owned(u32::try_from(n.clamp(1, max)).unwrap_or(u32::MAX))
        };
        let row_room = take(&l.rows, rows, l.max_rows).await.map_err(|_| Closed)?;
        let byte_room = take(&l.bytes, kib(bytes), l.max_bytes).await.map_err(|_| Closed)?;
        l.gauges.add(rows, bytes);
        let held = Held { item, rows, bytes, limits: l.clone(), _room: [row_room, byte_room] };
        self.items.send(held).map_err(|_| Closed)
    }
}

impl<T> Receiver<T> {
    /// Waits for an item; None when every sender is gone and the queue is empty.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.items.recv().await.map(Held::release)
    }

    /// An item if one waits.
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        self.items.try_recv().ok().map(Held::release)
    }
}

impl<T> Held<T> {
    fn release(self) -> T {
        self.limits.gauges.remove(self.rows, self.bytes);
        self.item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(usize, usize);

    impl Weigh for Item {
        fn rows(&self) -> usize {
            self.0
        }
        fn bytes(&self) -> usize {
            self.1
        }
    }

    #[tokio::test]
    async fn a_full_queue_makes_the_sender_wait() {
        let (tx, mut rx) = bounded(10, 1 << 20, QueueGauges::detached());
        tx.send(Item(6, 1)).await.expect("room");
        let mut second = Box::pin(tx.send(Item(6, 1)));
        assert!(futures_poll(&mut second).await.is_none(), "no room for six more rows");
        assert_eq!(rx.recv().await.expect("first").0, 6);
        second.await.expect("room now");
        assert_eq!(rx.try_recv().expect("second").0, 6);
    }

    #[tokio::test]
    async fn an_item_larger_than_the_queue_passes_alone() {
        let (tx, mut rx) = bounded(10, 1 << 10, QueueGauges::detached());
        tx.send(Item(1_000, 1 << 30)).await.expect("alone");
        let mut second = Box::pin(tx.send(Item(1, 1)));
        assert!(futures_poll(&mut second).await.is_none());
        rx.recv().await.expect("the large one");
        second.await.expect("room now");
    }

    #[tokio::test]
    async fn a_sender_learns_that_the_receiver_is_gone() {
        let (tx, rx) = bounded(1, 1, QueueGauges::detached());
        drop(rx);
        assert_eq!(tx.send(Item(1, 1)).await, Err(Closed));
    }

    /// Polls once.
    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|cx| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
                std::task::Poll::Ready(v) => Some(v),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
