//! The contract of the channels, through the umbrella: names, types and the corners that a
//! program may rely on.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::fmt::Debug;
use std::iter::FusedIterator;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{Counted, HOUR, Opaque, TICK, poll};
use futures_util::stream::FusedStream;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use rendez::pool::{Pool, block_on};
use rendez::prelude::*;
use rendez::select::{
    Permit, ReadyTimeoutError, RecvError, RecvTimeoutError, SelectTimeoutError, SendError,
    SendTimeoutError, TryReadyError, TryRecvError, TrySelectError, TrySendError, WeakReceiver,
    WeakSender, at,
};

fn is_send<T: Send>(_: &T) {}
fn is_unpin<T: Unpin>(_: &T) {}

#[test]
fn ends_are_what_crossbeams_are() {
    fn end<T: Clone + Debug + Send + Sync + Unpin + UnwindSafe + RefUnwindSafe + 'static>(_: &T) {}
    // `Cell` is `Send` and not `Sync`.
    let (tx, rx) = bounded::<std::cell::Cell<u8>>(1);
    end(&tx);
    end(&rx);
    assert_eq!(format!("{tx:?} {rx:?}"), "Sender { .. } Receiver { .. }");
    assert!(tx.same_channel(&tx.clone()) && rx.same_channel(&rx.clone()));
    let (tx2, rx2) = unbounded();
    assert!(!tx.same_channel(&tx2) && !rx.same_channel(&rx2));
    assert_eq!((tx.capacity(), tx2.capacity()), (Some(1), None));
    assert_eq!((rx.capacity(), rx2.capacity()), (Some(1), None));
}

#[test]
fn iterators_are_what_crossbeams_are() {
    fn fused<T, I: FusedIterator<Item = T> + Debug>(_: &I) {}
    let (tx, rx) = unbounded();
    tx.send_many(1..=6).unwrap();
    drop(tx);
    fused(&rx.iter());
    assert_eq!(
        format!("{:?} {:?}", rx.iter(), rx.try_iter()),
        "Iter { .. } TryIter { .. }"
    );
    assert_eq!(rx.try_iter().next(), Some(1));
    let mut seen = 0;
    for v in rx.clone().into_iter().take(1) {
        seen = v;
    }
    assert_eq!(seen, 2);
    assert_eq!((&rx).into_iter().next(), Some(3));
    let all = rx.into_iter();
    fused(&all);
    assert_eq!(format!("{all:?}"), "IntoIter { .. }");
    assert_eq!(all.collect::<Vec<i32>>(), [4, 5, 6]);
}

#[test]
fn errors_say_disconnected_in_the_words_of_crossbeam() {
    fn error<E: Error + Clone + Copy + PartialEq + Eq + Send + Sync + 'static>(
        e: E,
        text: &str,
        debug: &str,
    ) {
        assert_eq!(
            (e.to_string(), format!("{e:?}")),
            (text.into(), debug.into())
        );
        let copy = e;
        assert!(e == copy && e.source().is_none());
    }
    error(
        SendError(1),
        "sending on a disconnected channel",
        r#""SendError(..)""#,
    );
    error(
        TrySendError::Full(1),
        "sending on a full channel",
        r#""Full(..)""#,
    );
    error(
        TrySendError::Disconnected(1),
        "sending on a disconnected channel",
        r#""Disconnected(..)""#,
    );
    error(
        SendTimeoutError::Timeout(1),
        "timed out waiting on send operation",
        r#""SendTimeoutError(..)""#,
    );
    error(
        SendTimeoutError::Disconnected(1),
        "sending on a disconnected channel",
        r#""SendTimeoutError(..)""#,
    );
    error(
        RecvError,
        "receiving on an empty and disconnected channel",
        "RecvError",
    );
    error(
        TryRecvError::Empty,
        "receiving on an empty channel",
        "Empty",
    );
    error(
        TryRecvError::Disconnected,
        "receiving on an empty and disconnected channel",
        "Disconnected",
    );
    error(
        RecvTimeoutError::Timeout,
        "timed out waiting on receive operation",
        "Timeout",
    );
    error(
        RecvTimeoutError::Disconnected,
        "channel is empty and disconnected",
        "Disconnected",
    );
    error(
        TrySelectError,
        "all operations in select would block",
        "TrySelectError",
    );
    error(
        SelectTimeoutError,
        "timed out waiting on select",
        "SelectTimeoutError",
    );
    error(
        TryReadyError,
        "all operations in select would block",
        "TryReadyError",
    );
    error(
        ReadyTimeoutError,
        "timed out waiting on select",
        "ReadyTimeoutError",
    );
}

#[test]
fn errors_convert_and_give_their_values_back() {
    assert_eq!(
        TrySendError::from(SendError(1)),
        TrySendError::Disconnected(1)
    );
    assert_eq!(
        SendTimeoutError::from(SendError(1)),
        SendTimeoutError::Disconnected(1)
    );
    assert_eq!(TryRecvError::from(RecvError), TryRecvError::Disconnected);
    assert_eq!(
        RecvTimeoutError::from(RecvError),
        RecvTimeoutError::Disconnected
    );
    assert_eq!(SendError(1).into_inner(), 1);
    assert!(TrySendError::Full(1).is_full() && TrySendError::Disconnected(1).is_disconnected());
    assert!(SendTimeoutError::Timeout(1).is_timeout());
    assert!(SendTimeoutError::Disconnected(1).is_disconnected());
    assert_eq!(SendTimeoutError::Timeout(1).into_inner(), 1);
    assert!(TryRecvError::Empty.is_empty() && TryRecvError::Disconnected.is_disconnected());
    assert!(RecvTimeoutError::Timeout.is_timeout());
    assert!(RecvTimeoutError::Disconnected.is_disconnected());
}

#[test]
fn an_error_needs_nothing_of_its_value() {
    fn sends(tx: &Sender<Opaque>) -> Result<(), Box<dyn Error>> {
        tx.send(Opaque)?;
        Ok(tx.try_send(Opaque)?)
    }
    let (tx, rx) = bounded(0);
    drop(rx);
    assert_eq!(
        sends(&tx).unwrap_err().to_string(),
        "sending on a disconnected channel"
    );
    assert!(matches!(
        tx.send_timeout(Opaque, TICK),
        Err(SendTimeoutError::Disconnected(_))
    ));
    assert!(matches!(
        tx.send_deadline(Opaque, Instant::now()),
        Err(SendTimeoutError::Disconnected(_))
    ));
    assert!(matches!(tx.reserve(), Err(SendError(()))));
    let err: Box<dyn Error + Send + Sync> = RecvError.into();
    assert!(err.is::<RecvError>());
}

#[test]
fn futures_are_send_and_pinned_where_they_keep_their_waiter_inside() {
    // `AssertNotUnpin<T>::check` is ambiguous if `T: Unpin`.
    macro_rules! not_unpin {
        ($value:expr) => {{
            trait Ambiguous<A> {
                fn check(&self) {}
            }
            impl<T> Ambiguous<()> for T {}
            struct Invalid;
            impl<T: Unpin> Ambiguous<Invalid> for T {}
            $value.check()
        }};
    }
    let (tx, rx) = bounded::<std::cell::Cell<u8>>(1);
    let mut many = Vec::new();
    let mut select = rendez::select::Select::new();
    select.recv(&rx);
    is_send(&tx.send_async(0.into()));
    is_send(&tx.reserve_async());
    is_send(&tx.closed_async());
    is_send(&tx.send_many_async([]));
    is_send(&rx.recv_async());
    is_send(&rx.recv_many_async(&mut many, 1));
    not_unpin!(tx.send_async(0.into()));
    not_unpin!(tx.reserve_async());
    not_unpin!(tx.closed_async());
    not_unpin!(rx.recv_async());
    is_send(&rx.stream());
    is_send(&tx.sink());
    is_unpin(&rx.stream());
    is_unpin(&tx.sink());
    is_send(&select.ready_async());
}

#[test]
fn closing_is_true_once_from_either_end_and_keeps_what_is_buffered() {
    for from_receiver in [false, true] {
        let (tx, rx) = bounded(3);
        tx.send_many([1, 2]).unwrap();
        assert!(!tx.is_closed() && !rx.is_closed());
        assert!(if from_receiver {
            rx.close()
        } else {
            tx.close()
        });
        assert!(!tx.close() && !rx.close() && !tx.clone().close());
        assert!(tx.is_closed() && rx.is_closed());
        assert_eq!(tx.send(3), Err(SendError(3)));
        assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
        assert_eq!(
            tx.send_timeout(3, HOUR),
            Err(SendTimeoutError::Disconnected(3))
        );
        assert_eq!(block_on(tx.send_async(3)), Err(SendError(3)));
        assert!(tx.reserve().is_err());
        assert_eq!((rx.len(), rx.recv(), rx.try_recv()), (2, Ok(1), Ok(2)));
        assert_eq!(rx.recv(), Err(RecvError));
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
        assert_eq!(rx.recv_timeout(HOUR), Err(RecvTimeoutError::Disconnected));
        assert_eq!(block_on(rx.recv_async()), Err(RecvError));
        assert_eq!(rx.recv_many(&mut vec![], 2), Err(RecvError));
    }
}

#[test]
fn is_closed_says_whose_end_is_gone() {
    let (tx, rx) = unbounded();
    tx.send(1).unwrap();
    drop(tx);
    assert!(rx.is_closed());
    assert_eq!(rx.sender_count(), 0);
    assert_eq!(rx.recv(), Ok(1));

    let (tx, rx) = bounded::<u8>(1);
    let second = rx.clone();
    assert_eq!((tx.receiver_count(), tx.sender_count()), (2, 1));
    assert_eq!((rx.receiver_count(), rx.sender_count()), (2, 1));
    drop(rx);
    assert!(!tx.is_closed());
    drop(second);
    assert!(tx.is_closed());
    block_on(tx.closed_async());
}

#[test]
fn closed_async_resolves_when_the_last_receiver_goes_or_at_a_close() {
    for close in [false, true] {
        let (tx, rx) = bounded::<u8>(1);
        let mut closed = pin!(tx.closed_async());
        assert!(poll(closed.as_mut()).is_pending());
        if close {
            rx.close();
        } else {
            drop(rx);
        }
        assert!(poll(closed).is_ready());
    }
}

#[test]
fn weak_handles_keep_no_end() {
    let (tx, rx) = unbounded();
    let (weak_tx, weak_rx): (WeakSender<i32>, WeakReceiver<i32>) = (tx.downgrade(), rx.downgrade());
    assert_eq!((tx.sender_count(), tx.receiver_count()), (1, 1));
    let (tx2, rx2) = (weak_tx.upgrade().unwrap(), weak_rx.upgrade().unwrap());
    assert_eq!((tx.sender_count(), tx.receiver_count()), (2, 2));
    assert!(tx2.same_channel(&tx) && rx2.same_channel(&rx));
    drop((tx, tx2));
    assert!(weak_tx.upgrade().is_none());
    assert_eq!(rx2.recv(), Err(RecvError));
    drop((rx, rx2));
    assert!(weak_rx.upgrade().is_none());
    let (_, _) = (weak_tx.clone(), weak_rx.clone());
}

#[test]
fn a_weak_sender_upgrades_after_a_close_and_sends_nothing() {
    let (tx, _rx) = bounded(1);
    let weak = tx.downgrade();
    tx.close();
    assert_eq!(weak.upgrade().unwrap().send(1), Err(SendError(1)));
}

#[test]
fn values_in_the_buffer_are_dropped_with_the_last_receiver() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = bounded(2);
    tx.send(Counted(drops.clone())).unwrap();
    tx.send(Counted(drops.clone())).unwrap();
    drop(rx);
    assert_eq!(drops.load(Ordering::SeqCst), 2);
    assert!(tx.send(Counted(drops.clone())).is_err());
}

#[test]
fn a_permit_holds_a_place() {
    let (tx, rx) = bounded(1);
    let permit: Permit<'_, i32> = tx.reserve().unwrap();
    assert_eq!(tx.try_send(1), Err(TrySendError::Full(1)));
    assert_eq!(
        (rx.try_recv(), rx.is_empty()),
        (Err(TryRecvError::Empty), true)
    );
    assert_eq!(permit.send(2), Ok(()));
    assert_eq!(rx.recv(), Ok(2));
    drop(tx.reserve().unwrap());
    assert_eq!(tx.try_send(3), Ok(()));
    assert_eq!(rx.recv(), Ok(3));
    let permit = block_on(tx.reserve_async()).unwrap();
    is_send(&permit);
    permit.send(4).unwrap();
}

#[test]
fn a_dropped_permit_lets_the_next_sender_in() {
    let (tx, rx) = bounded(1);
    let permit = tx.reserve().unwrap();
    let mut send = pin!(tx.send_async(1));
    assert!(poll(send.as_mut()).is_pending());
    drop(permit);
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(poll(send), Poll::Ready(Ok(())));
}

#[test]
fn a_permit_taken_before_the_close_still_delivers() {
    let (tx, rx) = bounded(2);
    let permit = tx.reserve().unwrap();
    tx.send(1).unwrap();
    tx.close();
    assert_eq!(rx.recv(), Ok(1));
    // Not disconnected: something may still come.
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(rx.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
    let mut recv = pin!(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    assert_eq!(permit.send(2), Ok(()));
    assert_eq!(poll(recv), Poll::Ready(Ok(2)));
    assert_eq!(rx.recv(), Err(RecvError));
}

#[test]
fn a_permit_given_up_after_the_close_ends_the_receivers() {
    let (tx, rx) = bounded::<i32>(2);
    let permit = tx.reserve().unwrap();
    rx.close();
    let receiver = go({
        let rx = rx.clone();
        move || rx.recv()
    });
    let mut recv = pin!(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    drop(permit);
    assert_eq!(poll(recv), Poll::Ready(Err(RecvError)));
    assert_eq!(receiver.join().unwrap(), Err(RecvError));
}

#[test]
fn a_permit_gives_the_value_back_if_no_receiver_is_left() {
    for cap in [1, 3] {
        let (tx, rx) = bounded(cap);
        let permit = tx.reserve().unwrap();
        drop(rx);
        assert_eq!(permit.send(5), Err(SendError(5)));
    }
    let (tx, rx) = unbounded();
    let permit = tx.reserve().unwrap();
    drop(rx);
    assert_eq!(permit.send(5), Err(SendError(5)));
}

#[test]
fn a_permit_of_an_unbounded_channel_comes_at_once() {
    let (tx, rx) = unbounded();
    let (a, b) = (tx.reserve().unwrap(), tx.reserve().unwrap());
    tx.send(1).unwrap();
    b.send(2).unwrap();
    a.send(3).unwrap();
    assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn a_permit_at_capacity_0_is_a_receiver() {
    let (tx, rx) = bounded(0);
    assert!(poll(pin!(tx.reserve_async())).is_pending());
    let receiver = go(move || rx.recv());
    let permit = tx.reserve().unwrap();
    assert_eq!(
        tx.try_send(0),
        Err(TrySendError::Full(0)),
        "the receiver is taken"
    );
    permit.send(1).unwrap();
    assert_eq!(receiver.join().unwrap(), Ok(1));
}

#[test]
fn a_permit_at_capacity_0_given_up_leaves_the_receiver_where_it_was() {
    let (tx, rx) = bounded(0);
    let (mut first, mut second) = (pin!(rx.recv_async()), pin!(rx.recv_async()));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    drop(tx.reserve().unwrap());
    tx.try_send(1).unwrap();
    tx.try_send(2).unwrap();
    assert_eq!(poll(first), Poll::Ready(Ok(1)));
    assert_eq!(poll(second), Poll::Ready(Ok(2)));
}

#[test]
fn a_permit_at_capacity_0_taken_before_the_close_delivers() {
    let (tx, rx) = bounded(0);
    let mut recv = pin!(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    let permit = tx.reserve().unwrap();
    tx.close();
    assert!(poll(recv.as_mut()).is_pending(), "something may still come");
    assert_eq!(permit.send(1), Ok(()));
    assert_eq!(poll(recv), Poll::Ready(Ok(1)));
}

#[test]
fn send_many_tells_how_many_or_what_is_left() {
    let (tx, rx) = unbounded();
    assert_eq!(tx.send_many(Vec::<i32>::new()), Ok(0));
    assert_eq!(tx.send_many(0..1000), Ok(1000));
    assert_eq!(block_on(tx.send_many_async([1000, 1001])), Ok(2));
    assert!(rx.drain().eq(0..1002));
    drop(rx);
    assert_eq!(tx.send_many([1, 2]), Err(SendError(vec![1, 2])));
    assert_eq!(
        block_on(tx.send_many_async(vec![1, 2])),
        Err(SendError(vec![1, 2]))
    );
}

#[test]
fn send_many_waits_and_gives_the_unsent_rest_at_a_close() {
    let (tx, rx) = bounded(2);
    let sender = {
        let tx = tx.clone();
        go(move || tx.send_many(0..10))
    };
    for i in 0..3 {
        assert_eq!(rx.recv(), Ok(i));
    }
    let mut awaited = pin!(tx.send_many_async([20, 21]));
    while rx.len() < 2 {
        std::thread::yield_now();
    }
    assert!(poll(awaited.as_mut()).is_pending());
    // What is unsent is known once it parked: two lie in the buffer.
    rx.close();
    let rest = sender.join().unwrap().unwrap_err().0;
    let first = *rest.first().unwrap();
    assert_eq!(rest, (first..10).collect::<Vec<_>>());
    assert_eq!(poll(awaited), Poll::Ready(Err(SendError(vec![20, 21]))));
    assert_eq!(
        rx.iter().collect::<Vec<_>>(),
        (3..first).collect::<Vec<_>>()
    );
}

#[test]
fn recv_many_takes_what_is_there_up_to_max() {
    let (tx, rx) = bounded(5);
    let mut out = vec![0];
    assert_eq!(
        rx.recv_many(&mut out, 0),
        Ok(0),
        "at once, though it is empty"
    );
    assert_eq!(block_on(rx.recv_many_async(&mut out, 0)), Ok(0));
    tx.send_many(1..=5).unwrap();
    assert_eq!(rx.recv_many(&mut out, 2), Ok(2));
    assert_eq!(block_on(rx.recv_many_async(&mut out, usize::MAX)), Ok(3));
    assert_eq!(out, [0, 1, 2, 3, 4, 5]);
    drop(tx);
    assert_eq!(rx.recv_many(&mut out, 0), Ok(0), "even when disconnected");
    assert_eq!(rx.recv_many(&mut out, usize::MAX), Err(RecvError));
    assert_eq!(block_on(rx.recv_many_async(&mut out, 1)), Err(RecvError));
}

#[test]
fn drain_takes_all_that_is_buffered_and_lets_waiting_senders_in() {
    let (tx, rx) = bounded(2);
    tx.send_many([1, 2]).unwrap();
    let mut third = pin!(tx.send_async(3));
    assert!(poll(third.as_mut()).is_pending());
    let drained = rx.drain();
    assert_eq!(poll(third), Poll::Ready(Ok(())));
    tx.try_send(4).unwrap();
    let drained: Vec<_> = drained.collect();
    assert_eq!(drained, [1, 2]);
    assert_eq!(rx.drain().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(rx.drain().count(), 0);
}

#[test]
fn len_and_capacity_are_gos() {
    let (tx, rx) = bounded(2);
    assert_eq!(
        (tx.len(), rx.len(), tx.is_empty(), tx.is_full()),
        (0, 0, true, false)
    );
    tx.send_many([1, 2]).unwrap();
    let mut third = pin!(tx.send_async(3));
    assert!(poll(third.as_mut()).is_pending());
    assert_eq!(
        (tx.len(), rx.len(), rx.is_empty(), rx.is_full()),
        (2, 2, false, true)
    );
    let (tx, rx) = bounded::<u8>(0);
    let mut send = pin!(tx.send_async(3));
    assert!(poll(send.as_mut()).is_pending());
    assert_eq!((tx.len(), rx.len(), rx.capacity()), (0, 0, Some(0)));
    assert!(tx.is_empty() && tx.is_full() && rx.is_empty() && rx.is_full());
}

#[test]
fn a_served_unpolled_future_withholds_one_value() {
    let (tx, rx) = unbounded();
    let mut first = pin!(rx.recv_async());
    assert!(poll(first.as_mut()).is_pending());
    tx.send_many([1, 2, 3]).unwrap();
    // Whoever polls gets the front: one value is reserved, the others go on.
    assert_eq!((rx.try_recv(), rx.try_recv()), (Ok(1), Ok(2)));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(poll(first), Poll::Ready(Ok(3)));
}

#[test]
fn a_grant_dropped_goes_to_the_next_waiter() {
    for cap in [0, 1, 3] {
        let (tx, rx) = bounded(cap);
        let mut first = Box::pin(rx.recv_async());
        let mut second = pin!(rx.recv_async());
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        drop(first);
        assert_eq!(poll(second), Poll::Ready(Ok(1)));
    }
}

#[test]
fn a_value_that_returns_is_first_and_counts_in_no_len() {
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        let mut recv = Box::pin(rx.recv_async());
        assert!(poll(recv.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        drop(recv);
        assert_eq!((rx.len(), tx.len()), (0, 0));
        assert!(!rx.is_empty() && !tx.is_empty());
        assert_eq!(rx.is_full(), cap == 0);
        if cap == 1 {
            tx.try_send(2).unwrap();
        }
        select! {
            recv(rx) -> got => assert_eq!(got, Ok(1)),
            default => panic!("it makes `recv` ready"),
        }
        assert!(cap == 0 || rx.try_recv() == Ok(2));
        assert!(rx.is_empty());
    }
}

#[test]
fn a_value_that_returns_with_no_receiver_left_is_dropped_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = bounded(0);
    let mut recv = Box::pin({
        let rx = rx.clone();
        async move { rx.recv_async().await.is_ok() }
    });
    assert!(poll(recv.as_mut()).is_pending());
    tx.try_send(Counted(drops.clone())).ok().unwrap();
    drop(rx);
    assert_eq!(drops.load(Ordering::SeqCst), 0);
    drop(recv);
    assert_eq!(drops.load(Ordering::SeqCst), 1);
}

#[test]
fn a_parked_senders_value_is_taken_whether_it_is_polled_again_or_not() {
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        for i in 0..cap {
            tx.send(i).unwrap();
        }
        let mut send = pin!(tx.send_async(9));
        assert!(poll(send.as_mut()).is_pending());
        for i in 0..cap {
            assert_eq!(rx.recv(), Ok(i));
        }
        assert_eq!(rx.recv(), Ok(9));
        assert_eq!(poll(send), Poll::Ready(Ok(())));
    }
}

#[test]
fn a_pending_send_that_is_dropped_sends_nothing_and_drops_its_value_once() {
    let drops = Arc::new(AtomicUsize::new(0));
    for polled in [false, true] {
        let (tx, rx) = bounded(0);
        let mut send = Box::pin(tx.send_async(Counted(drops.clone())));
        if polled {
            assert!(poll(send.as_mut()).is_pending());
        }
        drop(send);
        assert_eq!(drops.swap(0, Ordering::SeqCst), 1);
        assert!(matches!(rx.try_recv(), Err(TryRecvError::Empty)));
    }
}

#[test]
fn a_close_gives_parked_senders_their_value_back_unpolled_ones_too() {
    for cap in [0, 1] {
        let (tx, rx) = bounded(cap);
        for i in 0..cap {
            tx.send(i).unwrap();
        }
        let blocked = {
            let tx = tx.clone();
            go(move || tx.send(8))
        };
        let mut awaited = pin!(tx.send_async(9));
        assert!(poll(awaited.as_mut()).is_pending());
        rx.close();
        assert_eq!(blocked.join().unwrap(), Err(SendError(8)));
        assert_eq!(rx.iter().collect::<Vec<_>>(), (0..cap).collect::<Vec<_>>());
        assert_eq!(poll(awaited), Poll::Ready(Err(SendError(9))));
    }
}

#[test]
fn nobody_overtakes_a_queued_receiver() {
    let (tx, rx) = bounded(1);
    let mut first = pin!(rx.recv_async());
    assert!(poll(first.as_mut()).is_pending());
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(poll(first), Poll::Ready(Ok(1)));
}

#[test]
fn nobody_overtakes_a_queued_sender() {
    let (tx, rx) = bounded(1);
    tx.send(1).unwrap();
    let (mut second, mut third) = (pin!(tx.send_async(2)), pin!(tx.reserve_async()));
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    assert_eq!(rx.recv(), Ok(1));
    assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
    assert_eq!(rx.recv(), Ok(2));
    assert_eq!(
        tx.try_send(9),
        Err(TrySendError::Full(9)),
        "the place is given"
    );
    assert_eq!(poll(second), Poll::Ready(Ok(())));
    let Poll::Ready(Ok(permit)) = poll(third) else {
        panic!("a place was free");
    };
    permit.send(3).unwrap();
    assert_eq!(rx.recv(), Ok(3));
}

#[test]
fn threads_and_tasks_stand_in_one_queue() {
    let (tx, rx) = bounded(0);
    let mut first = pin!(rx.recv_async());
    assert!(poll(first.as_mut()).is_pending());
    let second = {
        let rx = rx.clone();
        std::thread::spawn(move || rx.recv())
    };
    tx.try_send(1).unwrap();
    // Succeeds once the thread waits.
    while tx.try_send(2).is_err() {
        std::thread::yield_now();
    }
    // Values are received in the order sent, by whoever comes for them first.
    assert_eq!(second.join().unwrap(), Ok(1));
    assert_eq!(poll(first), Poll::Ready(Ok(2)));
}

#[test]
fn a_stream_ends_at_close_and_drained_and_stays_ended() {
    let (tx, rx) = bounded(2);
    let mut stream = rx.stream();
    fn stream_of<T, S: Stream<Item = T> + FusedStream + Unpin + 'static>(_: &S) {}
    stream_of(&stream);
    tx.send_many([1, 2]).unwrap();
    tx.close();
    block_on(async {
        assert_eq!(
            (stream.next().await, stream.next().await),
            (Some(1), Some(2))
        );
        assert!(!stream.is_terminated());
        assert_eq!(stream.next().await, None);
        assert!(stream.is_terminated());
        assert_eq!(stream.next().await, None);
    });
}

#[test]
fn a_sink_takes_a_value_more_than_the_channel() {
    let (tx, rx) = bounded(1);
    fn sink_of<T, S: Sink<T, Error = SendError<T>> + Unpin + 'static>(_: &S) {}
    let mut sink = tx.sink();
    sink_of(&sink);
    block_on(async {
        sink.feed(1).await.unwrap();
        sink.feed(2).await.unwrap();
        assert_eq!(rx.recv_async().await, Ok(1));
        sink.flush().await.unwrap();
        assert_eq!(rx.recv_async().await, Ok(2));
        sink.send(3).await.unwrap();
        drop(tx);
        sink.close().await.unwrap();
        assert_eq!(rx.recv_async().await, Ok(3));
        assert_eq!(rx.recv_async().await, Err(RecvError));
    });
}

#[test]
fn a_stream_forwards_into_a_sink() {
    let ((tx, rx), (tx2, rx2)) = (unbounded(), bounded(1));
    tx.send_many(0..100).unwrap();
    drop(tx);
    let forwarding = go(async move { rx.stream().map(Ok).forward(tx2.sink()).await });
    assert!(rx2.iter().eq(0..100));
    assert_eq!(forwarding.join().unwrap(), Ok(()));
}

#[test]
fn a_sink_without_receivers_gives_the_value_back() {
    let (tx, rx) = bounded(0);
    let mut sink = tx.sink();
    drop(rx);
    assert_eq!(block_on(sink.send(1)), Err(SendError(1)));
}

#[test]
fn clock_fed_receivers_are_crossbeams() {
    let start = Instant::now();
    let when = start + TICK;
    assert_eq!(at(when).recv(), Ok(when));
    let after = after(TICK);
    assert_eq!((after.capacity(), after.len()), (Some(1), 0));
    assert!(after.recv().unwrap() >= when);
    assert_eq!(after.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(after.recv_timeout(TICK), Err(RecvTimeoutError::Timeout));
    let ticks = tick(TICK);
    let (a, b) = (ticks.recv().unwrap(), block_on(ticks.recv_async()).unwrap());
    assert!(b >= a + TICK);
    assert_eq!(never::<()>().try_recv(), Err(TryRecvError::Empty));
    assert_eq!(
        never::<()>().recv_timeout(TICK),
        Err(RecvTimeoutError::Timeout)
    );
    assert_eq!(
        rendez::select::after(Duration::MAX).recv_timeout(TICK),
        Err(RecvTimeoutError::Timeout)
    );
}

#[test]
fn timeouts_saturate() {
    let (tx, rx) = bounded(1);
    assert_eq!(
        rx.recv_timeout(Duration::ZERO),
        Err(RecvTimeoutError::Timeout)
    );
    assert_eq!(
        rx.recv_deadline(Instant::now() - TICK),
        Err(RecvTimeoutError::Timeout)
    );
    let receiver = {
        let rx = rx.clone();
        go(move || rx.recv_timeout(Duration::MAX))
    };
    tx.send_timeout(1, Duration::MAX).unwrap();
    assert_eq!(receiver.join().unwrap(), Ok(1));
}

#[test]
fn any_wait_is_bounded_by_a_context() {
    use rendez::context::ContextError;
    let (tx, rx) = bounded::<u8>(0);
    let (ctx, cancel) = rendez::prelude::Context::background().with_timeout(TICK);
    assert_eq!(
        ctx.block_on(rx.recv_async()),
        Err(ContextError::DeadlineExceeded)
    );
    assert_eq!(
        block_on(ctx.run(tx.send_async(1))),
        Err(ContextError::DeadlineExceeded)
    );
    drop(cancel);
}

#[test]
fn zero_sized_values_and_large_capacities_work() {
    let (tx, rx) = bounded(100_000);
    for _ in 0..100_000 {
        tx.try_send(()).unwrap();
    }
    assert_eq!(tx.try_send(()), Err(TrySendError::Full(())));
    assert_eq!((rx.len(), rx.try_iter().count()), (100_000, 100_000));
}

#[test]
fn tasks_of_two_workers_that_fight_for_a_channel_lose_no_value_and_keep_each_senders_order() {
    const SENDERS: usize = 4;
    const EACH: usize = 20_000;
    for cap in [2, 100] {
        let pool = Pool::builder().workers(2).build().unwrap();
        let (tx, rx) = bounded(cap);
        for sender in 0..SENDERS {
            let tx = tx.clone();
            pool.go(async move {
                for i in 0..EACH {
                    tx.send_async((sender, i)).await.unwrap();
                }
            });
        }
        drop(tx);
        let receiver = pool.go(async move {
            let mut next = [0; SENDERS];
            while let Ok((sender, i)) = rx.recv_async().await {
                assert_eq!(i, next[sender]);
                next[sender] += 1;
            }
            next
        });
        assert_eq!(receiver.join().unwrap(), [EACH; SENDERS]);
    }
}
