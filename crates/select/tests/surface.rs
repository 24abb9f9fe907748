//! What senders and receivers offer beyond sending and receiving one value.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, Count, at_every_capacity, channel, poll, poll_with, until, within};
use futures_core::FusedStream;
use futures_sink::Sink;
use rendez_core::block_on::block_on;
use rendez_select::{
    Receiver, RecvError, RecvTimeoutError, Select, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError, after, at, bounded, broadcast, never, oneshot, select,
    select_async, tick, unbounded, watch,
};

#[test]
fn closed_resolves_on_close_and_with_the_last_receiver() {
    at_every_capacity(|cap| {
        for close in [false, true] {
            let (tx, rx) = channel::<u8>(cap);
            let count = Arc::new(Count::default());
            let mut closed = pin!(tx.closed_async());
            assert!(poll_with(closed.as_mut(), &count).is_pending());
            if close {
                assert!(rx.close());
            } else {
                drop(rx);
            }
            assert_eq!(count.get(), 1);
            assert!(poll(closed).is_ready());
            assert!(poll(pin!(tx.closed_async())).is_ready());
            select! { recv(tx.closed()) -> () => {} }
        }
    });
}

#[test]
fn closed_wakes_blocked_selects_and_forgets_dropped_futures() {
    let (tx, rx) = bounded::<u8>(0);
    let mut dropped = Box::pin(tx.closed_async());
    assert!(poll(dropped.as_mut()).is_pending());
    drop(dropped);
    thread::scope(|s| {
        let blocked = s.spawn(|| {
            select! {
                recv(tx.closed()) -> () => true,
                recv(never::<u8>()) -> _ => false,
            }
        });
        let awaiting = s.spawn(|| block_on(tx.closed_async()));
        drop(rx);
        assert!(blocked.join().unwrap());
        awaiting.join().unwrap();
    });
}

#[test]
fn weak_handles_keep_nothing_connected() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel::<u8>(cap);
        let (weak_tx, weak_rx) = (tx.downgrade(), rx.downgrade());
        assert_eq!((tx.sender_count(), rx.receiver_count()), (1, 1));
        let tx2 = weak_tx.upgrade().unwrap();
        assert_eq!(rx.sender_count(), 2);
        assert!(tx2.same_channel(&tx));
        drop((tx, tx2));
        assert!(weak_tx.clone().upgrade().is_none());
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
        assert!(weak_rx.upgrade().unwrap().same_channel(&rx));
        drop(rx);
        assert!(weak_rx.clone().upgrade().is_none());
    });
    let weak = never::<u8>().downgrade();
    assert!(weak.upgrade().is_some());
}

#[test]
fn handles_made_and_dropped_at_once_count_each_value_and_free_the_channel_once() {
    let token = Arc::new(());
    for round in 0..2_000 {
        let (tx, rx) = unbounded();
        let (weak_tx, weak_rx) = (tx.downgrade(), rx.downgrade());
        std::thread::scope(|s| {
            s.spawn(|| (0..10).for_each(|_| drop(weak_tx.upgrade())));
            s.spawn(|| (0..10).for_each(|_| drop(weak_rx.clone().upgrade())));
            let token = &token;
            s.spawn(move || {
                for _ in 0..round % 20 {
                    let _ = tx.clone().send(Arc::clone(token));
                }
            });
            s.spawn(move || (0..round % 10).for_each(|_| drop(rx.clone().try_recv())));
        });
        assert!(weak_tx.upgrade().is_none() && weak_rx.upgrade().is_none());
        drop((weak_tx, weak_rx));
        assert_eq!(Arc::strong_count(&token), 1, "round {round}");
    }
}

#[test]
fn a_weak_handle_does_not_keep_values() {
    let census = Census::default();
    let (tx, rx) = unbounded();
    tx.send(census.born()).unwrap();
    let (weak_tx, weak_rx) = (tx.downgrade(), rx.downgrade());
    drop((tx, rx));
    assert_eq!(census.alive(), 0);
    assert!(weak_tx.upgrade().is_none() && weak_rx.upgrade().is_none());
}

#[test]
fn many_values_go_through_in_order_in_both_forms() {
    at_every_capacity(|cap| {
        for (sends_async, receives_async) in [(false, false), (true, false), (false, true)] {
            const N: usize = 500;
            let (tx, rx) = channel(cap);
            let sender = thread::spawn(move || {
                if sends_async {
                    block_on(tx.send_many_async(0..N))
                } else {
                    tx.send_many(0..N)
                }
            });
            let mut got = Vec::new();
            loop {
                let before = got.len();
                let n = if receives_async {
                    block_on(rx.recv_many_async(&mut got, 7))
                } else {
                    rx.recv_many(&mut got, 7)
                };
                match n {
                    Ok(n) => assert!((1..=7).contains(&n) && got.len() == before + n),
                    Err(RecvError) => break,
                }
            }
            assert_eq!(got, Vec::from_iter(0..N));
            assert_eq!(sender.join().unwrap(), Ok(N));
        }
    });
}

#[test]
fn the_unsent_rest_comes_back_whole() {
    at_every_capacity(|cap| {
        let census = Census::default();
        let (tx, rx) = channel(cap);
        let fits = cap.unwrap_or(200);
        {
            let values = (0..200).map(|_| census.born());
            let mut sending = pin!(tx.send_many_async(values));
            let first = poll(sending.as_mut());
            assert_eq!(first.is_pending(), cap.is_some());
            assert_eq!(rx.len(), fits);
            rx.close();
            if cap.is_some() {
                let Poll::Ready(Err(SendError(rest))) = poll(sending) else {
                    panic!("it was closed")
                };
                assert_eq!(rest.len(), 200 - fits);
            }
        }
        assert_eq!(census.alive(), fits);
        let SendError(rest) = tx.send_many((0..3).map(|_| census.born())).unwrap_err();
        assert_eq!(rest.len(), 3);
        drop(rest);
        assert_eq!(rx.drain().count(), fits);
        assert_eq!(census.alive(), 0);
        assert_eq!(tx.send_many(std::iter::empty()), Ok(0));
    });
}

impl PartialEq for common::Counted {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

#[test]
fn an_iterator_may_use_the_channel_it_feeds() {
    let (tx, rx) = unbounded();
    let n = tx.send_many((0..100).map(|i| {
        let _ = rx.try_recv();
        tx.len() + i
    }));
    assert_eq!(n, Ok(100));
}

#[test]
fn an_iterator_that_waits_for_its_next_value_holds_back_none_before_it() {
    at_every_capacity(|cap| {
        for awaits in [false, true] {
            within(Duration::from_secs(20), "values on their way", move || {
                let ((feed, input), (tx, rx)) = (bounded(1), channel(cap));
                let forwards = thread::spawn(move || {
                    if awaits {
                        block_on(tx.send_many_async(&input))
                    } else {
                        tx.send_many(&input)
                    }
                });
                for i in 0..100 {
                    feed.send(i).unwrap();
                    assert_eq!(rx.recv(), Ok(i));
                }
                drop(feed);
                assert_eq!(forwards.join().unwrap(), Ok(100));
            });
        }
    });
    // Nor does one that says how many it has, where that is more than fit.
    let (tx, rx) = bounded(1);
    tx.send(0).unwrap();
    let n = tx.send_many((1..10).inspect(|&i| {
        assert_eq!(rx.try_recv(), Ok(i - 1));
    }));
    assert_eq!(n, Ok(9));
}

#[test]
fn receiving_none_of_many_is_at_once_and_a_dropped_receive_of_many_takes_nothing() {
    let (tx, rx) = bounded::<u8>(2);
    let mut out = vec![9];
    assert_eq!(rx.recv_many(&mut out, 0), Ok(0));
    assert_eq!(block_on(rx.recv_many_async(&mut out, 0)), Ok(0));
    {
        let mut dropped = Box::pin(rx.recv_many_async(&mut out, 5));
        assert!(poll(dropped.as_mut()).is_pending());
        tx.send(1).unwrap();
    }
    assert_eq!(out, [9]);
    tx.close();
    assert_eq!(rx.recv_many(&mut out, 5), Ok(1));
    assert_eq!(rx.recv_many(&mut out, 5), Err(RecvError));
    assert_eq!(out, [9, 1]);
    // Those who wait to send are served too.
    let (tx, rx) = bounded::<u8>(0);
    let mut parked = pin!(tx.send_async(1));
    assert!(poll(parked.as_mut()).is_pending());
    assert_eq!(rx.recv_many(&mut out, 5), Ok(1));
    assert!(poll(parked).is_ready());
    let (clock, mut due) = (at(Instant::now()), Vec::new());
    assert_eq!(clock.recv_many(&mut due, 5), Ok(1));
}

#[test]
fn drain_takes_what_is_buffered_and_lets_waiting_senders_in() {
    let (tx, rx) = bounded(2);
    tx.send_many([1, 2]).unwrap();
    let mut parked = pin!(tx.send_async(3));
    assert!(poll(parked.as_mut()).is_pending());
    let mut drained = rx.drain();
    assert_eq!(drained.len(), 2);
    assert_eq!(
        (drained.next(), drained.next(), drained.next()),
        (Some(1), Some(2), None)
    );
    assert!(poll(parked).is_ready());
    assert_eq!(rx.len(), 1);
    // A value promised to another stays.
    let (tx, rx) = unbounded();
    let mut served = pin!(rx.recv_async());
    assert!(poll(served.as_mut()).is_pending());
    tx.send_many([1, 2, 3]).unwrap();
    assert_eq!(rx.drain().count(), 2);
    assert!(poll(served).is_ready());
    assert_eq!(never::<u8>().drain().count(), 0);
}

#[test]
fn a_sink_holds_one_value_more_and_gives_failures_back() {
    let (tx, rx) = bounded(1);
    let mut sink = tx.sink();
    let mut sink = Pin::new(&mut sink);
    let (mut flushed, count) = (false, Arc::new(Count::default()));
    for i in 0..2 {
        assert!(poll(pin!(poll_fn(|cx| sink.as_mut().poll_ready(cx)))).is_ready());
        sink.as_mut().start_send(i).unwrap();
    }
    let flush = |sink: &mut Pin<&mut rendez_select::SendSink<i32>>| {
        poll_with(pin!(poll_fn(|cx| sink.as_mut().poll_flush(cx))), &count)
    };
    assert!(flush(&mut sink).is_pending());
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(count.get(), 1);
    assert_eq!(
        rx.recv(),
        Ok(1),
        "taken although the sink was not polled again"
    );
    flushed |= flush(&mut sink).is_ready();
    assert!(flushed);
    // Its sender goes with its close.
    drop(tx);
    assert!(!rx.is_closed());
    assert!(poll(pin!(poll_fn(|cx| sink.as_mut().poll_close(cx)))).is_ready());
    assert!(rx.is_closed());
    assert_eq!(sink.as_mut().start_send(5), Err(SendError(5)));

    let (tx, rx) = bounded(0);
    let mut sink = tx.sink();
    let mut sink = Pin::new(&mut sink);
    sink.as_mut().start_send(7).unwrap();
    assert!(flush(&mut sink).is_pending());
    drop(rx);
    assert_eq!(flush(&mut sink), Poll::Ready(Err(SendError(7))));
    assert_eq!(sink.as_mut().start_send(8), Err(SendError(8)));
}

#[test]
fn a_stream_is_terminated_once_it_has_ended() {
    use futures_core::Stream;
    let (tx, rx) = unbounded();
    tx.send(1).unwrap();
    tx.close();
    let mut stream = rx.stream();
    assert!(!stream.is_terminated());
    let next = |stream: &mut rendez_select::RecvStream<i32>| {
        block_on(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)))
    };
    assert_eq!(next(&mut stream), Some(1));
    assert_eq!(next(&mut stream), None);
    assert!(stream.is_terminated());
    assert_eq!(next(&mut stream), None);
}

#[test]
fn a_list_made_at_run_time_is_awaited() {
    let ((tx, rx), (out, out_rx)) = (bounded::<u8>(1), bounded::<u8>(0));
    let count = Arc::new(Count::default());
    let mut select = Select::new_biased();
    let recv = select.recv(&rx);
    let send = select.send(&out);
    {
        let mut waiting = pin!(select.select_async());
        assert!(poll_with(waiting.as_mut(), &count).is_pending());
        tx.send(4).unwrap();
        assert_eq!(count.get(), 1);
        let Poll::Ready(op) = poll(waiting) else {
            panic!("it was served")
        };
        assert_eq!(op.index(), recv);
        assert_eq!(op.recv(&rx), Ok(4));
    }
    {
        let mut dropped = Box::pin(select.select_async());
        assert!(poll(dropped.as_mut()).is_pending());
        tx.send(5).unwrap();
    }
    assert_eq!(rx.try_recv(), Ok(5), "dropped, it has taken nothing");
    {
        let mut ready = pin!(select.ready_async());
        assert!(poll(ready.as_mut()).is_pending());
        tx.send(6).unwrap();
        assert_eq!(poll(ready), Poll::Ready(recv));
    }
    assert_eq!(rx.try_recv(), Ok(6), "it is told, not served");
    thread::scope(|s| {
        let receiver = s.spawn(|| out_rx.recv());
        let op = block_on(select.select_async());
        assert_eq!(op.index(), send);
        op.send(&out, 7).unwrap();
        assert_eq!(receiver.join().unwrap(), Ok(7));
    });
    fn is_send<T: Send>(_: &T) {}
    is_send(&select.select_async());
    is_send(&select.ready_async());
}

#[test]
#[should_panic(expected = "no operations have been added")]
fn an_empty_list_cannot_be_awaited() {
    drop(Select::new().select_async());
}

#[test]
fn types_have_crossbeams_traits() {
    fn unwind_safe<T: UnwindSafe + RefUnwindSafe>(_: &T) {}
    fn error<E: Error + Send + 'static>(e: E) -> String {
        e.to_string()
    }
    fn sync<T: Send + Sync>(_: &T) {}
    struct Opaque;
    let (tx, rx) = bounded::<Opaque>(1);
    unwind_safe(&tx);
    unwind_safe(&rx);
    let (weak_tx, weak_rx) = (tx.downgrade(), rx.downgrade());
    sync(&weak_tx);
    sync(&weak_rx);
    // Nor do those that crossbeam has not.
    unwind_safe(&weak_tx);
    unwind_safe(&weak_rx);
    let (tx1, rx1) = oneshot::oneshot::<std::cell::Cell<&mut u8>>();
    unwind_safe(&tx1);
    unwind_safe(&rx1);
    let (tx1, rx1) = watch::watch(Opaque);
    unwind_safe(&tx1);
    unwind_safe(&rx1);
    let (tx1, rx1) = broadcast::broadcast::<Opaque>(1);
    unwind_safe(&tx1);
    unwind_safe(&rx1);
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { .. } Receiver { .. }");
    assert_eq!(
        error(SendError(Opaque)),
        "sending on a disconnected channel"
    );
    assert_eq!(
        error(TrySendError::Full(Opaque)),
        "sending on a full channel"
    );
    assert_eq!(
        format!("{:?}", SendTimeoutError::Timeout(Opaque)),
        r#""SendTimeoutError(..)""#
    );
    assert!(TrySendError::from(SendError(1)).is_disconnected());
    assert!(SendTimeoutError::from(SendError(1)).is_disconnected());
    assert_eq!(TryRecvError::from(RecvError), TryRecvError::Disconnected);
    assert_eq!(
        RecvTimeoutError::from(RecvError),
        RecvTimeoutError::Disconnected
    );
    let clones: (Sender<Opaque>, Receiver<Opaque>) = (tx.clone(), rx.clone());
    assert!(tx.same_channel(&clones.0) && rx.same_channel(&clones.1));
    assert!(!rx.same_channel(&never()));
    let mut n = 0;
    drop((tx, clones.0));
    for _ in &rx {
        n += 1;
    }
    for _ in rx {
        n += 1;
    }
    assert_eq!(n, 0);
    let _ = Select::default().clone();
}

#[test]
fn durations_beyond_all_time_and_instants_in_the_past_are_fine() {
    let long = Duration::MAX;
    let past = Instant::now();
    let (tx, rx) = bounded(1);
    assert_eq!(tx.send_timeout(1, long), Ok(()));
    assert_eq!(rx.recv_timeout(long), Ok(1));
    assert_eq!(rx.recv_deadline(past), Err(RecvTimeoutError::Timeout));
    assert_eq!(tx.send_deadline(2, past), Ok(()));
    assert_eq!(tx.send_deadline(3, past), Err(SendTimeoutError::Timeout(3)));
    assert_eq!(rx.recv_deadline(past), Ok(2));
    tx.send(4).unwrap();
    assert_eq!(
        select! { recv(rx) -> v => v, default(long) => Ok(0) },
        Ok(4)
    );
    tx.send(5).unwrap();
    let awaited = async {
        select_async! { recv(rx) -> v => v, default(long) => Ok(0) }
    };
    assert_eq!(block_on(awaited), Ok(5));
    let mut list = Select::new();
    list.recv(&rx);
    assert!(list.select_deadline(past).is_err());
    assert!(list.ready_timeout(Duration::ZERO).is_err());
    tx.send(6).unwrap();
    assert_eq!(list.ready_timeout(long), Ok(0));
    assert!(after(long).try_recv().is_err() && tick(long).try_recv().is_err());
    assert_eq!(at(past).recv(), Ok(past));
    assert!(after(Duration::ZERO).recv().is_ok());
    until(|| !at(past).is_empty());
}
