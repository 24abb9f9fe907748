//! Channels of other kinds: one value, every value to everybody, the latest value; and what
//! is built from channels.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, Count, poll, poll_with, until, within};
use rendez_core::block_on::block_on;
use rendez_select::{
    Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
    bounded, broadcast, broadcast_waiting, merge, never, oneshot, or_done, select, select_async,
    tee, unbounded, watch,
};

const LONG: Duration = Duration::from_secs(100);
const SHORT: Duration = Duration::from_millis(1);

#[test]
fn a_oneshot_gives_its_value_once_in_every_form() {
    for form in 0..5 {
        let (tx, rx) = oneshot();
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
        let sender = thread::spawn(move || tx.send(7).unwrap());
        let got = match form {
            0 => rx.recv(),
            1 => block_on(rx.recv_async()),
            2 => rx
                .recv_deadline(Instant::now() + LONG)
                .map_err(|_| RecvError),
            3 => select! { recv(rx) -> v => v, recv(never::<u8>()) -> _ => unreachable!() },
            _ => block_on(async {
                select_async! { recv(rx) -> v => v, await(std::future::pending()) -> v => v }
            }),
        };
        assert_eq!(got, Ok(7));
        sender.join().unwrap();
        assert_eq!(rx.recv(), Err(RecvError));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    }
}

#[test]
fn a_oneshots_ends_notice_each_other() {
    let (tx, rx) = oneshot::<u8>();
    drop(tx);
    assert_eq!(rx.recv(), Err(RecvError));
    let (tx, rx) = oneshot::<u8>();
    let count = Arc::new(Count::default());
    {
        let mut closed = pin!(tx.closed_async());
        assert!(poll_with(closed.as_mut(), &count).is_pending());
        drop(rx);
        assert_eq!(count.get(), 1);
        assert!(poll(closed).is_ready());
    }
    assert!(tx.is_closed());
    assert_eq!(tx.send(3), Err(SendError(3)));
    let (tx, rx) = oneshot::<u8>();
    assert!(rx.close() && !rx.close());
    assert_eq!(tx.send(4), Err(SendError(4)));
    assert_eq!(rx.recv(), Err(RecvError));
    // What was sent before stays.
    let (tx, rx) = oneshot::<u8>();
    tx.send(5).unwrap();
    rx.close();
    assert_eq!(rx.recv(), Ok(5));
}

#[test]
fn a_oneshots_grant_passes_on_and_its_value_is_dropped_once() {
    let census = Census::default();
    let (tx, rx) = oneshot();
    {
        let mut first = Box::pin(rx.recv_async());
        let count = Arc::new(Count::default());
        let mut second = pin!(rx.recv_async());
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll_with(second.as_mut(), &count).is_pending());
        tx.send(census.born()).unwrap();
        assert!(
            matches!(rx.try_recv(), Err(TryRecvError::Empty)),
            "it is promised"
        );
        drop(first);
        assert_eq!(count.get(), 1);
        assert!(matches!(poll(second), Poll::Ready(Ok(_))));
    }
    let (tx, rx) = oneshot();
    tx.send(census.born()).unwrap();
    drop(rx);
    assert_eq!(census.alive(), 0);
}

#[test]
fn everybody_sees_every_value_since_they_subscribed() {
    let (tx, a) = broadcast(4);
    tx.send(1).unwrap();
    let b = tx.subscribe();
    let c = a.clone();
    tx.clone().send(2).unwrap();
    assert_eq!((a.len(), b.len(), c.len(), tx.len()), (2, 1, 2, 2));
    assert_eq!((a.recv(), a.recv()), (Ok(1), Ok(2)));
    assert_eq!(b.try_recv(), Ok(2));
    assert_eq!(b.try_recv(), Err(broadcast::TryRecvError::Empty));
    assert_eq!(block_on(c.recv_async()), Ok(1));
    assert_eq!(select! { recv(c) -> v => v, default => Ok(0) }, Ok(2));
    assert!(tx.is_empty(), "nobody has to see them any more");
    assert_eq!(
        a.recv_timeout(SHORT),
        Err(broadcast::RecvTimeoutError::Timeout)
    );
    drop(tx);
    for rx in [a, b, c] {
        assert_eq!(rx.recv(), Err(broadcast::RecvError::Disconnected));
    }
}

#[test]
fn a_slow_receiver_is_told_what_it_missed() {
    let (tx, slow) = broadcast(2);
    let fast = tx.subscribe();
    for i in 0..5 {
        tx.send(i).unwrap();
        assert_eq!(fast.recv(), Ok(i));
    }
    assert_eq!(slow.len(), 2);
    assert_eq!(slow.recv(), Err(broadcast::RecvError::Lagged(3)));
    assert_eq!((slow.recv(), slow.recv()), (Ok(3), Ok(4)));
    // Served and not polled, it may miss its value too.
    let mut served = pin!(slow.recv_async());
    assert!(poll(served.as_mut()).is_pending());
    tx.send_all_of(5..8);
    assert_eq!(
        poll(served),
        Poll::Ready(Err(broadcast::RecvError::Lagged(1)))
    );
    assert_eq!(slow.recv(), Ok(6));
}

trait SendAllOf {
    fn send_all_of(&self, values: std::ops::Range<i32>);
}

impl SendAllOf for broadcast::Sender<i32> {
    fn send_all_of(&self, values: std::ops::Range<i32>) {
        values.for_each(|i| self.send(i).unwrap());
    }
}

#[test]
fn a_waiting_broadcast_waits_for_the_slowest() {
    let (tx, a) = broadcast_waiting(1);
    let b = tx.subscribe();
    tx.send(1).unwrap();
    assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    assert!(tx.send_timeout(2, SHORT).is_err());
    let count = Arc::new(Count::default());
    let mut parked = pin!(tx.send_async(2));
    assert!(poll_with(parked.as_mut(), &count).is_pending());
    assert_eq!(a.recv(), Ok(1));
    assert_eq!(count.get(), 0);
    assert_eq!(b.recv(), Ok(1));
    assert_eq!(count.get(), 1);
    assert_eq!((a.recv(), b.recv()), (Ok(2), Ok(2)), "taken while parked");
    assert!(poll(parked).is_ready());
    // The slowest may go.
    tx.send(3).unwrap();
    assert_eq!(a.recv(), Ok(3));
    let mut parked = pin!(tx.send_async(4));
    assert!(poll(parked.as_mut()).is_pending());
    drop(b);
    assert!(poll(parked).is_ready());
    // With the last, values come back.
    let mut parked = pin!(tx.send_async(5));
    assert!(poll(parked.as_mut()).is_pending());
    drop(a);
    assert_eq!(poll(parked), Poll::Ready(Err(SendError(5))));
    assert_eq!(tx.send(6), Err(SendError(6)));
    let c = tx.subscribe();
    tx.send(7).unwrap();
    assert!(tx.close() && !c.close());
    assert_eq!(c.recv(), Ok(7));
    assert_eq!(c.recv(), Err(broadcast::RecvError::Disconnected));
}

#[test]
fn a_broadcasts_sender_is_a_send_arm() {
    let (tx, rx) = broadcast_waiting(1);
    let (count, evaluated) = (Arc::new(Count::default()), std::cell::Cell::new(0));
    let value = |v: u8| {
        evaluated.set(evaluated.get() + 1);
        v
    };
    assert!(select! { send(tx, value(1)) -> sent => sent.is_ok(), default => false });
    assert!(select! { send(&tx, value(2)) -> _ => false, default => true });
    let absent: Option<broadcast::Sender<u8>> = None;
    assert!(select! { send(absent, value(2)) -> _ => false, default => true });
    for drops in [false, true] {
        let mut waiting = Box::pin(async {
            select_async! {
                send(tx, value(2)) -> sent => sent,
                recv(never::<u8>()) -> _ => unreachable!(),
            }
        });
        assert!(poll_with(waiting.as_mut(), &count).is_pending());
        let mut behind = pin!(tx.send_async(3));
        assert!(poll(behind.as_mut()).is_pending());
        assert_eq!(rx.recv(), Ok(1));
        assert_eq!(
            tx.try_send(9),
            Err(TrySendError::Full(9)),
            "its place is held"
        );
        if drops {
            drop(waiting);
        } else {
            assert!(matches!(poll(waiting.as_mut()), Poll::Ready(Ok(()))));
            assert_eq!(rx.recv(), Ok(2));
        }
        assert!(poll(behind).is_ready(), "whose place is free goes on");
        assert_eq!(rx.recv(), Ok(3));
        tx.send(1).unwrap();
    }
    assert_eq!((count.get(), evaluated.get()), (2, 2));
    assert_eq!(rx.recv(), Ok(1));
    // A value that panics leaves its place; one that is late is delivered through a close.
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let no_value = || -> u8 { panic!("no value") };
        select! { send(tx, no_value()) -> _ => {} }
    }));
    assert!(caught.is_err());
    let sent = select! {
        send(tx, {
            tx.close();
            assert_eq!(rx.try_recv(), Err(broadcast::TryRecvError::Empty), "one is to come");
            4
        }) -> sent => sent,
    };
    assert_eq!((sent, rx.recv()), (Ok(()), Ok(4)));
    assert_eq!(rx.recv(), Err(broadcast::RecvError::Disconnected));
    assert_eq!(select! { send(tx, 5) -> sent => sent }, Err(SendError(5)));
    let (tx, rx) = broadcast(1);
    let rx = std::cell::Cell::new(Some(rx));
    assert_eq!(
        select! { send(tx, { rx.take(); 6 }) -> sent => sent },
        Err(SendError(6))
    );
}

#[test]
fn broadcast_values_are_dropped_once() {
    let census = Census::default();
    let (tx, a) = broadcast(3);
    let values = || Arc::new(census.born());
    let b = tx.subscribe();
    for _ in 0..5 {
        tx.send(values()).unwrap();
    }
    assert_eq!(census.alive(), 3);
    drop(a.recv());
    drop(a.recv());
    drop(b);
    assert_eq!(
        census.alive(),
        2,
        "the first of three was seen by all who are left"
    );
    let mut served = Box::pin(a.recv_async());
    drop(poll(served.as_mut()));
    drop(served);
    drop(a);
    assert_eq!(census.alive(), 0);
}

#[test]
fn threads_and_tasks_see_all_of_a_waiting_broadcast() {
    within(LONG, "a waiting broadcast", || {
        const N: usize = 2000;
        let (tx, rx) = broadcast_waiting(3);
        let readers: Vec<_> = (0..4)
            .map(|i| {
                let rx = rx.clone();
                thread::spawn(move || {
                    let mut next = 0;
                    loop {
                        let got = match i % 3 {
                            0 => rx.recv(),
                            1 => block_on(rx.recv_async()),
                            _ => {
                                select! { recv(rx) -> v => v, recv(never::<u8>()) -> _ => continue }
                            }
                        };
                        match got {
                            Ok(n) => assert_eq!(n, next),
                            Err(broadcast::RecvError::Disconnected) => return next,
                            Err(lagged) => panic!("{lagged}"),
                        }
                        next += 1;
                    }
                })
            })
            .collect();
        drop(rx);
        for i in 0..N {
            if i % 2 == 0 {
                tx.send(i).unwrap();
            } else {
                block_on(tx.send_async(i)).unwrap();
            }
        }
        drop(tx);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), N);
        }
    });
}

#[test]
#[should_panic(expected = "at least one value")]
fn a_broadcast_without_capacity_is_refused() {
    let _ = broadcast::<u8>(0);
}

#[test]
fn a_watch_shows_the_latest_value_and_none_twice() {
    let (tx, rx) = watch(0);
    assert_eq!((rx.get(), tx.get()), (0, 0));
    assert_eq!(
        rx.try_recv(),
        Err(TryRecvError::Empty),
        "the first counts as seen"
    );
    tx.send(1).unwrap();
    tx.send(2).unwrap();
    let late = tx.subscribe();
    assert!(rx.has_changed() && !late.has_changed());
    assert_eq!(rx.clone().changed(), Ok(2));
    assert_eq!(rx.changed(), Ok(2));
    assert_eq!(rx.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    let count = Arc::new(Count::default());
    {
        let mut waiting = pin!(late.changed_async());
        assert!(poll_with(waiting.as_mut(), &count).is_pending());
        tx.send(3).unwrap();
        tx.send(4).unwrap();
        assert_eq!(count.get(), 1);
        assert_eq!(poll(waiting), Poll::Ready(Ok(4)));
    }
    assert_eq!(select! { recv(rx) -> v => v, default => Ok(0) }, Ok(4));
    tx.send(5).unwrap();
    drop(tx);
    assert_eq!(rx.recv(), Ok(5), "the last is still to be seen");
    assert_eq!(rx.recv(), Err(RecvError));
    assert_eq!(late.get(), 5);
    assert_eq!(block_on(late.changed_async()), Err(RecvError));
    let (tx, rx) = watch(1);
    drop(rx);
    assert_eq!(tx.send(2), Err(SendError(2)));
    assert_eq!(tx.get(), 1);
    let rx = tx.subscribe();
    assert!(rx.close() && tx.is_closed());
    assert!(rx.changed().is_err());
}

#[test]
fn a_watcher_never_goes_back_and_sees_the_last() {
    within(LONG, "watchers", || {
        const N: usize = 5000;
        let (tx, rx) = watch(0);
        let watchers: Vec<_> = (0..3)
            .map(|i| {
                let rx = rx.clone();
                thread::spawn(move || {
                    let mut last = 0;
                    loop {
                        let got = if i == 0 {
                            block_on(rx.changed_async())
                        } else {
                            rx.changed()
                        };
                        match got {
                            Ok(n) => assert!(n > std::mem::replace(&mut last, n)),
                            Err(RecvError) => return last,
                        }
                    }
                })
            })
            .collect();
        for i in 1..=N {
            tx.send(i).unwrap();
        }
        drop(tx);
        for watcher in watchers {
            assert_eq!(watcher.join().unwrap(), N);
        }
    });
}

#[test]
fn merged_receivers_give_everything_and_end_together() {
    within(LONG, "a merge", || {
        let channels: Vec<_> = (0..5)
            .map(|i| common::channel([Some(0), Some(1), None][i % 3]))
            .collect();
        let merged = merge(
            channels
                .iter()
                .map(|(_, rx): &(_, Receiver<usize>)| rx.clone()),
        );
        let senders: Vec<_> = channels
            .into_iter()
            .enumerate()
            .map(|(i, (tx, _))| {
                thread::spawn(move || (0..100).for_each(|n| tx.send(n * 5 + i).unwrap()))
            })
            .collect();
        let mut got: Vec<_> = merged.iter().collect();
        got.sort_unstable();
        assert_eq!(got, Vec::from_iter(0..500));
        for sender in senders {
            sender.join().unwrap();
        }
        assert_eq!(merge::<u8>([]).recv(), Err(RecvError));
    });
}

#[test]
fn a_merge_lets_its_receivers_go_when_nobody_listens() {
    within(LONG, "a merge that is dropped", || {
        let (tx, rx) = unbounded::<u8>();
        let merged = merge([rx]);
        drop(merged);
        until(|| tx.is_closed());
        let (tx, rx) = unbounded::<u8>();
        let (a, b) = tee(rx);
        drop(a);
        tx.send(1).unwrap();
        assert_eq!(b.recv(), Ok(1));
        drop(b);
        until(|| tx.is_closed());
    });
}

#[test]
fn a_tee_gives_everything_to_both_in_either_order() {
    within(LONG, "a tee", || {
        let (tx, rx) = bounded(0);
        let (a, b) = tee(rx);
        let sender = thread::spawn(move || (0..100).for_each(|i| tx.send(i).unwrap()));
        for i in 0..100 {
            let (first, second) = if i % 2 == 0 { (&a, &b) } else { (&b, &a) };
            assert_eq!(first.recv(), Ok(i));
            assert_eq!(second.recv(), Ok(i));
        }
        sender.join().unwrap();
        assert_eq!((a.recv(), b.recv()), (Err(RecvError), Err(RecvError)));
    });
}

#[test]
fn or_done_ends_with_its_channel_or_with_done() {
    let (tx, rx) = unbounded();
    let (quit, quitting) = bounded::<()>(0);
    let either = or_done(rx.clone(), &quitting);
    assert_eq!(either.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(either.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout));
    tx.send(1).unwrap();
    assert_eq!(either.recv(), Ok(1));
    let count = Arc::new(Count::default());
    {
        let mut waiting = pin!(either.recv_async());
        assert!(poll_with(waiting.as_mut(), &count).is_pending());
        tx.send(2).unwrap();
        assert_eq!(count.get(), 1);
        assert_eq!(poll(waiting), Poll::Ready(Ok(2)));
    }
    {
        // Dropped, it has taken nothing.
        let mut waiting = Box::pin(either.recv_async());
        assert!(poll(waiting.as_mut()).is_pending());
        tx.send(3).unwrap();
        drop(waiting);
        assert_eq!(either.recv(), Ok(3));
    }
    tx.send(4).unwrap();
    assert_eq!(
        select! { recv(either) -> v => v, recv(never::<u8>()) -> _ => Ok(0) },
        Ok(4)
    );
    thread::scope(|s| {
        let blocked = s.spawn(|| either.recv());
        let selecting =
            s.spawn(|| select! { recv(either) -> v => v, recv(never::<u8>()) -> _ => Ok(0) });
        quit.close();
        assert_eq!(blocked.join().unwrap(), Err(RecvError));
        assert_eq!(selecting.join().unwrap(), Err(RecvError));
    });
    tx.send(5).unwrap();
    assert_eq!(either.recv(), Err(RecvError), "done goes before values");
    assert_eq!(rx.try_recv(), Ok(5));
    // A `done` that is ready once ends it for good.
    let (once_tx, once) = oneshot();
    let mut ending = or_done(rx, once);
    once_tx.send(()).unwrap();
    assert_eq!(ending.next(), None);
    assert_eq!(ending.next(), None);
    drop(tx);
    let (tx, rx) = unbounded();
    tx.send_many([1, 2]).unwrap();
    drop(tx);
    assert_eq!(or_done(rx, never::<u8>()).collect::<Vec<_>>(), [1, 2]);
}

/// A receive of one kind, by its deadline or by awaiting it: what it gives, `None` if that took
/// too long.
macro_rules! bounded_forms {
    ($rx:expr, $put:expr, $got:expr, $timeout:pat) => {
        let (past, long) = (Instant::now(), Duration::MAX);
        assert!(matches!($rx.recv_deadline(past), Err($timeout)));
        assert!(matches!($rx.recv_timeout(Duration::ZERO), Err($timeout)));
        assert!(matches!(
            $rx.recv_timeout(Duration::from_millis(1)),
            Err($timeout)
        ));
        let awaited = |limit: Duration| {
            block_on(async {
                select_async! {
                    recv($rx) -> got => Some(got),
                    default(limit) => None,
                }
            })
        };
        assert_eq!(awaited(Duration::ZERO), None);
        assert_eq!(awaited(Duration::from_millis(1)), None);
        // What is there is received however late it is.
        $put;
        assert_eq!($rx.recv_deadline(past), Ok($got));
        $put;
        assert_eq!(awaited(Duration::ZERO), Some(Ok($got)));
        $put;
        assert_eq!($rx.recv_timeout(long), Ok($got));
        $put;
        assert_eq!(awaited(long), Some(Ok($got)));
        thread::scope(|s| {
            s.spawn(|| $put);
            assert_eq!($rx.recv_timeout(long), Ok($got));
            s.spawn(|| $put);
            assert_eq!(awaited(long), Some(Ok($got)));
        });
    };
}

#[test]
fn instants_in_the_past_and_durations_beyond_all_time_are_fine_for_every_kind() {
    let (tx, rx) = broadcast(4);
    bounded_forms!(
        rx,
        tx.send(1).unwrap(),
        1,
        broadcast::RecvTimeoutError::Timeout
    );
    let (tx, rx) = broadcast_waiting(1);
    bounded_forms!(
        rx,
        tx.send(1).unwrap(),
        1,
        broadcast::RecvTimeoutError::Timeout
    );
    let (past, long) = (Instant::now(), Duration::MAX);
    assert_eq!(tx.send_deadline(1, past), Ok(()));
    assert_eq!(tx.send_deadline(2, past), Err(SendTimeoutError::Timeout(2)));
    assert_eq!(
        tx.send_timeout(2, Duration::ZERO),
        Err(SendTimeoutError::Timeout(2))
    );
    thread::scope(|s| {
        s.spawn(|| assert_eq!(tx.send_timeout(2, long), Ok(())));
        assert_eq!((rx.recv(), rx.recv()), (Ok(1), Ok(2)));
    });
    let (tx, rx) = watch(0);
    bounded_forms!(rx, tx.send(1).unwrap(), 1, RecvTimeoutError::Timeout);

    let (past, long) = (Instant::now(), Duration::MAX);
    let answer = || {
        let (tx, rx) = oneshot();
        assert_eq!(rx.recv_deadline(past), Err(RecvTimeoutError::Timeout));
        assert_eq!(
            rx.recv_timeout(Duration::ZERO),
            Err(RecvTimeoutError::Timeout)
        );
        (tx, rx)
    };
    let (tx, rx) = answer();
    tx.send(1).unwrap();
    assert_eq!(rx.recv_deadline(past), Ok(1));
    assert_eq!(rx.recv_deadline(past), Err(RecvTimeoutError::Disconnected));
    let (tx, rx) = answer();
    thread::scope(|s| {
        s.spawn(|| tx.send(1).unwrap());
        assert_eq!(rx.recv_timeout(long), Ok(1));
    });
    let (tx, rx) = answer();
    thread::scope(|s| {
        s.spawn(|| tx.send(1).unwrap());
        let got = block_on(async {
            select_async! { recv(rx) -> got => got, default(long) => Ok(0) }
        });
        assert_eq!(got, Ok(1));
    });
}

/// Polls so often, others running in between; then it is dropped, however it stands.
fn polled<F: Future>(times: u64, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..times {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return Some(output);
        }
        thread::yield_now();
    }
    None
}

#[test]
fn futures_of_every_kind_dropped_at_any_point_lose_nothing() {
    const N: u64 = 2_000;
    within(LONG, "futures that are dropped", || {
        let (tx, rx) = broadcast_waiting(2);
        let (latest, watcher) = watch(0);
        let others = rx.clone();
        thread::scope(|s| {
            s.spawn(move || {
                for n in 0..N {
                    while polled(1 + n % 3, tx.send_async(n)).is_none() {
                        // Taken while it waited, it is not sent again.
                        if tx.is_empty() {
                            break;
                        }
                    }
                    latest.send(n + 1).unwrap();
                }
            });
            let sees_all = |rx: broadcast::Receiver<u64>, seed: u64| {
                let mut last = None;
                for turn in seed.. {
                    match polled(turn % 4, rx.recv_async()) {
                        Some(Ok(n)) => {
                            assert!(last <= Some(n), "in the order sent");
                            last = Some(n);
                        }
                        Some(Err(err)) => {
                            assert_eq!(err, broadcast::RecvError::Disconnected);
                            break;
                        }
                        None => {}
                    }
                }
                assert!(last.is_some());
            };
            s.spawn(move || sees_all(rx, 0));
            s.spawn(move || sees_all(others, 1));
            s.spawn(move || {
                let mut last = 0;
                for turn in 0.. {
                    match polled(turn % 4, watcher.changed_async()) {
                        Some(Ok(n)) => {
                            assert!(n > last, "newer each time");
                            last = n;
                        }
                        Some(Err(RecvError)) => break,
                        None => {}
                    }
                }
                assert_eq!(last, N, "the last is seen");
            });
        });
        for n in 0..N / 4 {
            let (tx, rx) = oneshot();
            let (values, both) = bounded(1);
            let (quit, quitting) = bounded::<()>(0);
            let both = or_done(both, quitting);
            thread::scope(|s| {
                s.spawn(|| {
                    tx.send(n).unwrap();
                    values.send(n).unwrap();
                    let gone = polled(n % 3, values.closed_async());
                    assert!(gone.is_none(), "its receiver is there");
                });
                let answer = polled(n % 4, rx.recv_async());
                assert_eq!(answer.unwrap_or_else(|| rx.recv()), Ok(n));
                let value = polled(n % 3, both.recv_async());
                assert_eq!(value.unwrap_or_else(|| both.recv()), Ok(n));
            });
            drop(quit);
            assert_eq!(block_on(both.recv_async()), Err(RecvError));
        }
    });
}
