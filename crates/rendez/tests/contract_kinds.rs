//! The contract of `oneshot`, `broadcast` and `watch`, through the umbrella.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Instant;

use common::{Counted, Opaque, TICK, is_send, poll};
use rendez::pool::block_on;
use rendez::prelude::*;
use rendez::select::{
    RecvError, RecvTimeoutError, SendError, TryRecvError, TrySendError, broadcast,
    broadcast_waiting, watch,
};

// --- oneshot ------------------------------------------------------------------------------

#[test]
fn a_oneshot_gives_one_value_in_every_form() {
    let one = |v| {
        let (tx, rx) = oneshot();
        assert_eq!(tx.send(v), Ok(()));
        rx
    };
    assert_eq!(one(1).recv(), Ok(1));
    assert_eq!(one(2).try_recv(), Ok(2));
    assert_eq!(one(3).recv_timeout(TICK), Ok(3));
    assert_eq!(one(4).recv_deadline(Instant::now()), Ok(4));
    assert_eq!(block_on(is_send(one(5).recv_async())), Ok(5));
    assert_eq!(select! { recv(one(6)) -> v => v }, Ok(6));
    assert_eq!(
        block_on(async {
            select_async! { recv(one(7)) -> v => v }
        }),
        Ok(7)
    );
}

#[test]
fn a_oneshot_waits() {
    let (tx, rx) = oneshot();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(rx.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
    let mut recv = Box::pin(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    drop(recv);
    let sender = go(move || tx.send(1));
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(rx.recv(), Err(RecvError), "there is only one");
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
}

#[test]
fn a_oneshot_whose_other_end_is_gone_is_an_error() {
    let (tx, rx) = oneshot::<Opaque>();
    drop(rx);
    assert!(tx.is_closed());
    assert!(matches!(tx.send(Opaque), Err(SendError(Opaque))));
    let (tx, rx) = oneshot::<u8>();
    let mut recv = pin!(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    drop(tx);
    assert_eq!(poll(recv), Poll::Ready(Err(RecvError)));
    assert!(rx.is_closed());
    let (tx, rx) = oneshot::<u8>();
    let closed = async {
        tx.closed_async().await;
        tx.send(1)
    };
    let mut closed = pin!(closed);
    assert!(poll(closed.as_mut()).is_pending());
    assert!(rx.close());
    assert_eq!(poll(closed), Poll::Ready(Err(SendError(1))));
    assert_eq!(rx.recv(), Err(RecvError));
}

#[test]
fn a_oneshots_value_is_dropped_once_wherever_it_is() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = oneshot();
    tx.send(Counted(drops.clone())).ok().unwrap();
    drop(rx);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
    // Also after a grant whose future is dropped.
    let (tx, rx) = oneshot();
    let mut recv = Box::pin(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    tx.send(Counted(drops.clone())).ok().unwrap();
    drop(recv);
    assert_eq!(drops.load(Ordering::SeqCst), 1, "it stays receivable");
    assert!(rx.try_recv().is_ok());
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

// --- broadcast ----------------------------------------------------------------------------

#[test]
fn every_receiver_of_a_broadcast_sees_every_value() {
    let (tx, rx) = broadcast(4);
    let (rx2, late) = (tx.subscribe(), {
        tx.send(1).unwrap();
        tx.subscribe()
    });
    tx.send(2).unwrap();
    assert_eq!((rx.recv().unwrap(), rx.recv().unwrap()), (1, 2));
    assert_eq!(rx2.try_recv().unwrap(), 1);
    assert_eq!(block_on(is_send(rx2.recv_async())).unwrap(), 2);
    assert_eq!(late.recv().unwrap(), 2, "what is sent from then on");
    assert!(rx.try_recv().is_err());
    let cloned = rx.clone();
    tx.clone().send(3).unwrap();
    assert_eq!(select! { recv(cloned) -> v => v.unwrap() }, 3);
    assert_eq!(select! { recv(rx) -> v => v.unwrap(), default => 0 }, 3);
    assert_eq!(
        block_on(async {
            select_async! { recv(late) -> v => v.unwrap() }
        }),
        3
    );
}

#[test]
fn a_slow_receiver_of_a_broadcast_is_told_how_many_it_missed() {
    use rendez::select::broadcast::RecvError as Lagging;
    let (tx, rx) = broadcast(2);
    for i in 0..7 {
        tx.send(i).unwrap();
    }
    assert_eq!(rx.recv(), Err(Lagging::Lagged(5)));
    assert_eq!((rx.recv(), rx.recv()), (Ok(5), Ok(6)));
    assert!(rx.try_recv().is_err());
    drop(tx);
    assert_eq!(rx.recv(), Err(Lagging::Disconnected));
    let err: Box<dyn Error + Send + Sync> = Lagging::Lagged(5).into();
    assert!(err.to_string().contains('5'));
}

#[test]
fn a_waiting_broadcast_waits_for_its_slowest_receiver() {
    let (tx, rx) = broadcast_waiting(2);
    let slow = tx.subscribe();
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    assert_eq!((rx.recv().unwrap(), rx.recv().unwrap()), (1, 2));
    assert_eq!(tx.try_send(3), Err(TrySendError::Full(3)));
    assert!(tx.send_timeout(3, TICK).unwrap_err().is_timeout());
    let mut third = pin!(tx.send_async(3));
    assert!(poll(third.as_mut()).is_pending());
    assert_eq!(slow.recv().unwrap(), 1);
    assert_eq!(poll(third), Poll::Ready(Ok(())));
    assert_eq!((slow.recv().unwrap(), slow.recv().unwrap()), (2, 3));
    // The drop of the slowest lets the sender on.
    tx.send(4).unwrap();
    assert_eq!((rx.recv().unwrap(), rx.recv().unwrap()), (3, 4));
    tx.send(5).unwrap();
    let sender = {
        let tx = tx.clone();
        go(move || tx.send(6))
    };
    drop(slow);
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!((rx.recv().unwrap(), rx.recv().unwrap()), (5, 6));
}

#[test]
fn a_broadcast_without_receivers_or_closed_takes_nothing() {
    let (tx, rx) = broadcast(2);
    drop(rx);
    assert!(tx.is_closed());
    assert_eq!(tx.send(1), Err(SendError(1)));
    let rx = tx.subscribe();
    tx.send(2).unwrap();
    assert!(tx.close() && !tx.close() && !rx.close());
    assert_eq!(tx.send(3), Err(SendError(3)));
    assert_eq!(rx.recv(), Ok(2), "what was sent before is received");
    assert!(rx.recv().is_err());
}

// --- watch --------------------------------------------------------------------------------

#[test]
fn a_watch_has_the_latest_value() {
    let (tx, rx) = watch(1);
    assert_eq!((rx.get(), tx.get()), (1, 1));
    assert!(!rx.has_changed());
    tx.send(2).unwrap();
    tx.send(3).unwrap();
    assert!(rx.has_changed());
    assert_eq!(rx.changed(), Ok(3), "what came before is passed over");
    assert_eq!(rx.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
    tx.send(4).unwrap();
    assert_eq!(block_on(is_send(rx.changed_async())), Ok(4));
    tx.send(5).unwrap();
    assert_eq!(rx.get(), 5);
    select! { recv(rx) -> _ => panic!("it was seen"), default => {} }
    tx.send(6).unwrap();
    assert_eq!(select! { recv(rx) -> v => v }, Ok(6));
}

#[test]
fn changed_waits_for_a_value_not_seen() {
    let (tx, rx) = watch("a");
    let mut changed = pin!(rx.changed_async());
    assert!(poll(changed.as_mut()).is_pending());
    tx.send("b").unwrap();
    assert_eq!(poll(changed), Poll::Ready(Ok("b")));
    let waiter = {
        let rx = rx.clone();
        go(move || rx.changed())
    };
    tx.send("c").unwrap();
    assert_eq!(waiter.join().unwrap(), Ok("c"));
    assert!(rx.has_changed(), "each receiver sees for itself");
    let late = tx.subscribe();
    assert_eq!(late.get(), "c");
}

#[test]
fn a_watch_that_ends_still_has_its_last_value() {
    let (tx, rx) = watch(1);
    tx.send(2).unwrap();
    drop(tx);
    assert!(rx.is_closed());
    assert_eq!(rx.changed(), Ok(2), "unseen");
    assert_eq!(rx.changed(), Err(RecvError));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    assert_eq!(rx.get(), 2);
    let (tx, rx) = watch(1);
    drop(rx);
    assert_eq!(tx.send(2), Err(SendError(2)));
}
