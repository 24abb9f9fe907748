//! Futures that are dropped, grants, offers and permits.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, Count, at_every_capacity, channel, poll, poll_with, until};
use rendez_core::block_on::block_on;
use rendez_select::{
    Receiver, RecvError, Select, Sender, TryRecvError, TrySendError, bounded, select, select_async,
    unbounded,
};

#[test]
fn a_served_future_withholds_one_value_and_no_more() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        let mut served = Box::pin(rx.recv_async());
        assert!(poll(served.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        // Its value is reserved, everything behind it goes on.
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        let theirs = tx.clone();
        let sender = thread::spawn(move || theirs.send(2).unwrap());
        // Whoever comes takes the front.
        assert_eq!(rx.recv(), Ok(1));
        sender.join().unwrap();
        assert_eq!(poll(served.as_mut()), Poll::Ready(Ok(2)));
    });
}

#[test]
fn a_dropped_grant_passes_to_the_next_waiter() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        let count = Arc::new(Count::default());
        let mut first = Box::pin(rx.recv_async());
        let mut second = Box::pin(rx.recv_async());
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll_with(second.as_mut(), &count).is_pending());
        tx.try_send(7).unwrap();
        assert_eq!(count.get(), 0);
        drop(first);
        assert_eq!(count.get(), 1, "the wake is passed on too");
        assert_eq!(poll(second.as_mut()), Poll::Ready(Ok(7)));
    });
}

#[test]
fn a_returned_value_is_received_first_and_counted_nowhere() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        let mut cancelled = Box::pin(rx.recv_async());
        assert!(poll(cancelled.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        drop(cancelled);
        assert_eq!(rx.len(), 0);
        assert!(!rx.is_empty(), "there is something to receive");
        for i in 0..cap.unwrap_or(2) {
            tx.try_send(10 + i).unwrap();
        }
        assert_eq!(rx.len(), cap.unwrap_or(2));
        assert_eq!(rx.try_recv(), Ok(1));
        for i in 0..cap.unwrap_or(2) {
            assert_eq!(rx.try_recv(), Ok(10 + i));
        }
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    });
}

#[test]
fn a_returned_value_survives_close_and_dies_with_the_last_receiver() {
    let census = Census::default();
    let (tx, rx) = bounded(0);
    let mut cancelled = Box::pin(rx.recv_async());
    assert!(poll(cancelled.as_mut()).is_pending());
    tx.try_send(census.born()).unwrap();
    drop(cancelled);
    tx.close();
    assert!(rx.try_recv().is_ok());
    assert!(matches!(rx.try_recv(), Err(TryRecvError::Disconnected)));

    let (tx, rx) = bounded(0);
    let mut cancelled = Box::pin(rx.recv_async());
    assert!(poll(cancelled.as_mut()).is_pending());
    tx.try_send(census.born()).unwrap();
    drop(cancelled);
    drop(rx);
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_pending_send_that_is_dropped_drops_its_value_once_and_never_delivers() {
    let census = Census::default();
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        for _ in 0..cap {
            tx.send(census.born()).unwrap();
        }
        let mut parked = Box::pin(tx.send_async(census.born()));
        assert!(poll(parked.as_mut()).is_pending());
        drop(parked);
        assert_eq!(census.alive(), cap);
        assert_eq!(rx.try_iter().count(), cap);
        assert_eq!(census.alive(), 0);
    }
}

#[test]
fn a_parked_senders_value_is_taken_while_it_is_parked() {
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        for i in 0..cap {
            tx.send(i).unwrap();
        }
        let count = Arc::new(Count::default());
        let mut parked = Box::pin(tx.send_async(cap));
        assert!(poll_with(parked.as_mut(), &count).is_pending());
        for i in 0..=cap {
            assert_eq!(rx.recv(), Ok(i));
        }
        assert_eq!(count.get(), 1);
        // Never polled again: the value has gone all the same.
        drop(parked);
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn nobody_overtakes_a_queued_waiter() {
    let (tx, rx) = bounded(1);
    tx.send(0).unwrap();
    let mut parked = Box::pin(tx.send_async(1));
    assert!(poll(parked.as_mut()).is_pending());
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(
        tx.try_send(2),
        Err(TrySendError::Full(2)),
        "its place is taken"
    );
    assert_eq!(poll(parked.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(rx.recv(), Ok(1));

    let (tx, rx) = unbounded();
    let mut first = Box::pin(rx.recv_async());
    assert!(poll(first.as_mut()).is_pending());
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty), "it is promised");
    assert_eq!(poll(first.as_mut()), Poll::Ready(Ok(1)));
}

#[test]
fn a_permit_holds_its_place_through_a_close() {
    let (tx, rx) = bounded(1);
    let permit = tx.reserve().unwrap();
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    tx.close();
    assert_eq!(
        rx.try_recv(),
        Err(TryRecvError::Empty),
        "a value may still come"
    );
    permit.send(5).unwrap();
    assert_eq!(rx.recv(), Ok(5));
    assert_eq!(rx.recv(), Err(RecvError));
    assert!(tx.reserve().is_err());
}

#[test]
fn a_dropped_permit_gives_its_place_back() {
    let (tx, rx) = bounded(1);
    drop(tx.reserve().unwrap());
    tx.try_send(1).unwrap();
    let mut waiting = Box::pin(tx.reserve_async());
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(rx.recv(), Ok(1));
    match poll(waiting.as_mut()) {
        Poll::Ready(Ok(permit)) => permit.send(2).unwrap(),
        other => panic!("{other:?}"),
    }
    assert_eq!(rx.recv(), Ok(2));
    let permit = tx.reserve().unwrap();
    drop(rx);
    assert_eq!(permit.send(3).unwrap_err().0, 3);
}

#[test]
fn a_permit_at_capacity_zero_reserves_a_receiver() {
    let (tx, rx) = bounded(0);
    let receiver = thread::spawn(move || rx.recv());
    let permit = tx.reserve().unwrap();
    drop(permit);
    // It was put back, and is served by the next.
    tx.send(4).unwrap();
    assert_eq!(receiver.join().unwrap(), Ok(4));
}

#[test]
fn a_value_expression_that_panics_puts_the_peer_back() {
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        let receiver = thread::spawn(move || (rx.recv(), rx));
        let value = || -> u8 { panic!("no value") };
        let caught = catch_unwind(AssertUnwindSafe(|| {
            select! { send(tx, value()) -> _ => unreachable!() }
        }));
        assert!(caught.is_err());
        tx.send(3).unwrap();
        let (got, rx) = receiver.join().unwrap();
        assert_eq!(got, Ok(3));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    }
}

#[test]
fn an_operation_dropped_uncompleted_panics_and_loses_nothing() {
    let (tx, rx) = bounded(1);
    tx.send(1).unwrap();
    let caught = catch_unwind(AssertUnwindSafe(|| {
        let mut select = Select::new();
        select.recv(&rx);
        drop(select.select());
    }));
    assert!(caught.is_err());
    assert_eq!(rx.try_recv(), Ok(1));
}

#[test]
fn a_select_future_dropped_at_any_point_loses_nothing() {
    async fn either(a: Receiver<u8>, b: Receiver<u8>) -> u8 {
        select_async! {
            recv(a) -> v => v.unwrap(),
            recv(b) -> v => v.unwrap(),
        }
    }
    for served in [false, true] {
        let ((ta, a), (_tb, b)) = (bounded(1), bounded(1));
        let mut select = Box::pin(either(a.clone(), b.clone()));
        assert!(poll(select.as_mut()).is_pending());
        if served {
            ta.send(6).unwrap();
        }
        drop(select);
        assert_eq!(a.try_recv().ok(), served.then_some(6));
        assert_eq!(b.try_recv(), Err(TryRecvError::Empty));
        drop(ta);
    }
}

#[test]
fn a_select_that_lost_everywhere_else_can_be_served_again() {
    // One waiter on two channels, each served in turn: the loser's value stays.
    let ((ta, a), (tb, b)) = (bounded(1), bounded(1));
    for round in 0..10 {
        let mut select = Box::pin(async {
            select_async! {
                recv(a) -> v => (0, v.unwrap()),
                recv(b) -> v => (1, v.unwrap()),
            }
        });
        assert!(poll(select.as_mut()).is_pending());
        let (first, second) = if round % 2 == 0 {
            (&ta, &tb)
        } else {
            (&tb, &ta)
        };
        first.send(round).unwrap();
        second.send(100 + round).unwrap();
        assert_eq!(poll(select.as_mut()), Poll::Ready((round % 2, round)));
        drop(select);
        let other = if round % 2 == 0 { &b } else { &a };
        assert_eq!(other.try_recv(), Ok(100 + round));
    }
}

#[test]
fn futures_are_send_when_the_values_are() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Send + Sync>(_: &T) {}
    let (tx, rx): (Sender<u8>, Receiver<u8>) = bounded(1);
    sync(&tx);
    sync(&rx);
    send(&tx.send_async(1));
    send(&rx.recv_async());
    send(&tx.reserve_async());
    send(&rx.stream());
    send(&async {
        select_async! {
            recv(rx) -> _ => {},
            send(tx, 1) -> _ => {},
        }
    });
}

#[test]
fn a_blocked_thread_and_a_task_queue_in_one_line() {
    let (tx, rx) = bounded(0);
    let mut task = Box::pin(rx.recv_async());
    assert!(poll(task.as_mut()).is_pending());
    let theirs = rx.clone();
    let thread = thread::spawn(move || theirs.recv());
    tx.send(1).unwrap(); // the task came first
    assert_eq!(poll(task.as_mut()), Poll::Ready(Ok(1)));
    tx.send(2).unwrap();
    assert_eq!(thread.join().unwrap(), Ok(2));
    until(|| rx.is_empty());
    assert!(block_on(async { tx.is_full() }));
}

/// A full channel may owe its last slot to a permit; a send arm that meets a receiver then
/// makes it an offer beyond that slot. Dropped, the offer lets the receiver go.
#[test]
fn an_offer_that_falls_through_lets_its_receiver_go_though_another_permit_is_out() {
    for cap in [1, 3] {
        let (tx, rx) = bounded::<u8>(cap);
        let permits: Vec<_> = (0..cap).map(|_| tx.reserve().unwrap()).collect();
        let mut offering = Box::pin(async {
            select_async! { send(tx, 1) -> r => r }
        });
        assert!(poll(offering.as_mut()).is_pending());
        let count = Arc::new(Count::default());
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll_with(receiving.as_mut(), &count).is_pending());
        drop(offering);
        assert_eq!(count.get(), 1, "it looks again");
        assert!(poll_with(receiving.as_mut(), &count).is_pending());
        drop(permits);
        tx.send(2).unwrap();
        assert_eq!(poll(receiving.as_mut()), Poll::Ready(Ok(2)));
    }
}

#[test]
fn values_of_offers_whose_receiver_has_gone_do_not_count_beyond_the_capacity() {
    for cap in [0, 1, 3] {
        let (tx, rx) = bounded::<usize>(cap);
        let permits: Vec<_> = (0..cap).map(|_| tx.reserve().unwrap()).collect();
        let mut offering = Box::pin(tx.reserve_async());
        assert!(poll(offering.as_mut()).is_pending());
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll(receiving.as_mut()).is_pending());
        let Poll::Ready(Ok(beyond)) = poll(offering.as_mut()) else {
            panic!("the receiver is offered to")
        };
        drop(receiving);
        for (n, permit) in permits.into_iter().enumerate() {
            permit.send(n).unwrap();
        }
        beyond.send(cap).unwrap();
        assert_eq!(rx.len(), cap);
        assert_eq!(
            rx.iter().take(cap + 1).collect::<Vec<_>>(),
            Vec::from_iter(0..=cap)
        );
    }
}

#[test]
fn a_grant_dropped_after_close_gives_the_last_value_to_one_and_the_end_to_the_others() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        let mut served = Box::pin(rx.recv_async());
        let mut next = pin!(rx.recv_async());
        let mut last = pin!(rx.recv_async());
        assert!(poll(served.as_mut()).is_pending());
        assert!(poll(next.as_mut()).is_pending());
        assert!(poll(last.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        tx.close();
        drop(served);
        assert_eq!(poll(next.as_mut()), Poll::Ready(Ok(1)));
        assert_eq!(poll(last.as_mut()), Poll::Ready(Err(RecvError)));
    });
}

#[test]
fn a_thread_held_by_an_offer_waits_past_its_deadline_and_a_future_stays_pending() {
    let (tx, rx) = bounded(0);
    let (reserved, go_on) = bounded(0);
    thread::scope(|s| {
        let blocked = s.spawn(|| {
            let start = Instant::now();
            (rx.recv_timeout(Duration::from_millis(5)), start.elapsed())
        });
        let offering = s.spawn(|| {
            let permit = tx.reserve().unwrap();
            reserved.send(()).unwrap();
            thread::sleep(Duration::from_millis(20));
            permit.send(1)
        });
        go_on.recv().unwrap();
        assert_eq!(offering.join().unwrap(), Ok(()));
        let (got, took) = blocked.join().unwrap();
        assert_eq!(got, Ok(1));
        assert!(
            took >= Duration::from_millis(5),
            "past its deadline: {took:?}"
        );
    });
    // The same for a future, and the offer falls through.
    let mut waiting = pin!(async {
        select_async! { recv(rx) -> got => got, default(Duration::from_millis(1)) => Ok(0) }
    });
    assert!(poll(waiting.as_mut()).is_pending());
    let permit = tx.reserve().unwrap();
    thread::sleep(Duration::from_millis(5));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(permit);
    assert_eq!(poll(waiting.as_mut()), Poll::Ready(Ok(0)));
}
