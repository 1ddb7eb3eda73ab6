use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::Poll;

use proptest::prelude::*;

use super::turns::QUANTUM;
use super::*;

/// An item of a lane: its number, rows and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    lane: usize,
    number: usize,
    rows: usize,
    bytes: usize,
}

impl Weigh for Item {
    fn rows(&self) -> usize {
        self.rows
    }

    fn bytes(&self) -> usize {
        self.bytes
    }
}

fn item(rows: usize, bytes: usize) -> Item {
    Item { lane: 0, number: 0, rows, bytes }
}

fn of_lane(lane: usize, number: usize, rows: usize) -> Item {
    Item { lane, number, rows, bytes: 1 }
}

/// Polls once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        Poll::Ready(match Pin::new(&mut *future).poll(cx) {
            Poll::Ready(v) => Some(v),
            Poll::Pending => None,
        })
    })
    .await
}

fn queue_of(lanes: usize, max_rows: usize) -> (Vec<Sender<Item>>, Receiver<Item>) {
    let (opener, receiver) = super::lanes(max_rows, usize::MAX, QueueGauges::detached());
    ((0..lanes).map(|_| opener.open()).collect(), receiver)
}

#[tokio::test]
async fn a_full_queue_makes_the_sender_wait() {
    let (tx, mut rx) = bounded(10, 1 << 20, QueueGauges::detached());
    tx.send(item(6, 1)).await.expect("room");
    let mut second = Box::pin(tx.send(item(6, 1)));
    assert!(poll_once(&mut second).await.is_none(), "no room for six more rows");
    let mut third = Box::pin(tx.send(item(1, 1)));
    assert!(poll_once(&mut third).await.is_none(), "there would be room, but the second was first");
    assert_eq!(rx.recv().await.expect("first").rows, 6);
    second.await.expect("room now");
    third.await.expect("and for the third");
    assert_eq!(
        [rx.try_recv(), rx.try_recv(), rx.try_recv()].map(|item| item.map(|i| i.rows)),
        [Some(6), Some(1), None]
    );
}

#[tokio::test]
async fn an_item_larger_than_the_queue_passes_alone() {
    let (tx, mut rx) = bounded(10, 1 << 10, QueueGauges::detached());
    tx.send(item(1_000, 1 << 30)).await.expect("alone");
    let mut second = Box::pin(tx.send(item(1, 1)));
    assert!(poll_once(&mut second).await.is_none());
    rx.recv().await.expect("the large one");
    second.await.expect("room now");
}

#[tokio::test]
async fn a_sender_learns_that_the_receiver_is_gone() {
    let (tx, rx) = bounded(1, 1, QueueGauges::detached());
    tx.send(item(1, 1)).await.expect("room");
    let mut waits = Box::pin(tx.send(item(1, 1)));
    assert!(poll_once(&mut waits).await.is_none());
    drop(rx);
    assert_eq!(waits.await, Err(Closed));
    assert_eq!(tx.send(item(1, 1)).await, Err(Closed));
}

#[tokio::test]
async fn what_was_sent_is_received_though_the_senders_are_gone() {
    let (opener, mut rx) = super::lanes(100, 100, QueueGauges::detached());
    let (first, second) = (opener.open(), opener.open());
    first.send(item(1, 1)).await.expect("room");
    second.clone().send(item(2, 1)).await.expect("room");
    drop((first, second));
    assert_eq!((rx.recv().await.map(|i| i.rows), rx.recv().await.map(|i| i.rows)), (Some(1), Some(2)));
    let mut end = Box::pin(rx.recv());
    assert!(poll_once(&mut end).await.is_none(), "another lane may be opened");
    drop(opener);
    assert_eq!(end.await, None);
}

#[tokio::test]
async fn a_flood_waits_for_itself_and_the_other_lane_for_one_turn_of_it() {
    let (senders, mut rx) = queue_of(2, 400_000);
    let [flood, other] = &senders[..] else { panic!("two lanes") };
    for number in 0..200 {
        flood.send(of_lane(0, number, 1_000)).await.expect("its share is not full");
    }
    let mut more = Box::pin(flood.send(of_lane(0, 200, 1_000)));
    assert!(poll_once(&mut more).await.is_none(), "the flood has filled its share");
    assert_eq!(rx.recv().await.map(|i| i.lane), Some(0));
    let mut own = Box::pin(other.send(of_lane(1, 0, 500)));
    assert_eq!(poll_once(&mut own).await, Some(Ok(())), "the other has room of its own");
    let mut before = 0;
    while rx.recv().await.expect("an item").lane == 0 {
        before += 1_000;
    }
    assert!(before <= QUANTUM, "{before} rows of the flood came first, of 199,000 that were there before");
}

#[tokio::test]
async fn lanes_get_the_same_rows_whatever_the_size_of_their_items() {
    let (senders, mut rx) = queue_of(3, usize::MAX);
    let sizes = [3 * QUANTUM, 100, QUANTUM / 2 + 1];
    for (lane, (sender, rows)) in senders.iter().zip(sizes).enumerate() {
        for number in 0..60 * QUANTUM / rows {
            sender.send(of_lane(lane, number, rows)).await.expect("room");
        }
    }
    let mut rows = [0; 3];
    while rows.iter().sum::<usize>() < 120 * QUANTUM {
        let item = rx.recv().await.expect("an item");
        rows[item.lane] += item.rows;
        let (least, most) = (rows.iter().min().expect("three"), rows.iter().max().expect("three"));
        assert!(most - least <= 4 * QUANTUM, "{rows:?}: further apart than the largest item and a turn");
    }
}

#[tokio::test]
async fn large_rows_weigh_more() {
    let (senders, mut rx) = queue_of(2, usize::MAX);
    for number in 0..8 {
        senders[0].send(Item { lane: 0, number, rows: 1, bytes: 4 << 20 }).await.expect("room");
        senders[1].send(of_lane(1, number, 1)).await.expect("room");
    }
    let order: Vec<usize> = (0..12).filter_map(|_| rx.try_recv()).map(|item| item.lane).collect();
    assert_eq!(order[..12], [0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0], "4 MiB are a half of a turn");
}

#[tokio::test]
async fn a_lane_that_opens_and_one_that_closes_change_the_shares() {
    let (opener, mut rx) = super::lanes(100, usize::MAX, QueueGauges::detached());
    let first = opener.open();
    first.send(item(60, 1)).await.expect("all of the queue is its own");
    let second = opener.open();
    let mut more = Box::pin(first.send(item(30, 1)));
    assert!(poll_once(&mut more).await.is_none(), "more than a half already");
    second.send(item(50, 1)).await.expect("a half");
    drop(second);
    more.await.expect("the only one again");
    let rows: Vec<usize> = (0..3).filter_map(|_| rx.try_recv()).map(|item| item.rows).collect();
    assert_eq!(rows, [60, 30, 50], "the lanes' own order holds, and a lane that is closed still hands on");
}

proptest! {
    /// What a partition's source says of it comes in the order that it was said, whatever other sources do meanwhile.
    #[test]
    fn each_item_comes_once_and_in_the_order_of_its_lane(
        steps in proptest::collection::vec((0..4_usize, 0..20_000_usize, 0..3_usize), 1..200),
    ) {
        let mut turns: Turns<(usize, usize)> = Turns::new(40_000, usize::MAX);
        let lanes: Vec<u64> = (0..4).map(|_| turns.open().0).collect();
        let (mut sent, mut got) = (BTreeMap::<usize, Vec<usize>>::new(), BTreeMap::<usize, Vec<usize>>::new());
        for (number, (lane, rows, receive)) in steps.into_iter().enumerate() {
            if turns.offer(lanes[lane], Held { item: (lane, number), rows, bytes: 1, since: clock::instant() }).is_none() {
                sent.entry(lane).or_default().push(number);
            }
            for _ in 0..receive {
                turns.next().into_iter().for_each(|held| got.entry(held.item.0).or_default().push(held.item.1));
            }
        }
        while let Some(held) = turns.next() {
            got.entry(held.item.0).or_default().push(held.item.1);
        }
        prop_assert_eq!(sent, got);
    }
}
