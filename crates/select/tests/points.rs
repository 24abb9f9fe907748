//! Every future dropped at every point: before its first poll, while it waits, after it was
//! served, and after others have come by. Nothing is lost, doubled or left behind.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread;

use common::{Census, Count, Counted, at_every_capacity, channel, poll, poll_with, within};
use futures_core::Stream;
use futures_sink::Sink;
use rendez_core::block_on::block_on;
use rendez_select::{
    Receiver, RecvError, Select, Sender, TryRecvError, bounded, select, select_async, unbounded,
};

type Boxed<'a> = Pin<Box<dyn Future<Output = Option<Counted>> + 'a>>;

/// Each way to await one value.
fn receives<'a>(rx: &'a Receiver<Counted>, other: &'a Receiver<Counted>) -> Vec<Boxed<'a>> {
    vec![
        Box::pin(async move { rx.recv_async().await.ok() }),
        Box::pin(async move {
            let mut out = Vec::new();
            rx.recv_many_async(&mut out, 5).await.ok();
            out.pop()
        }),
        Box::pin(async move {
            let mut stream = rx.stream();
            poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await
        }),
        Box::pin(async move {
            select_async! {
                recv(rx) -> v => v.ok(),
                recv(other) -> v => v.ok(),
            }
        }),
        Box::pin(async move {
            select_async! {
                recv(other) -> v => v.ok(),
                await(rx.recv_async()) -> v => v.ok(),
            }
        }),
        Box::pin(async move {
            let mut select = Select::new();
            select.recv(other);
            select.recv(rx);
            let op = select.select_async().await;
            if op.index() == 1 {
                op.recv(rx)
            } else {
                op.recv(other)
            }
            .ok()
        }),
        Box::pin(async move {
            let mut selector = rendez_select::Selector::new();
            selector.add(other);
            selector.add(rx);
            selector.wait_async().await.1.ok()
        }),
    ]
}

#[test]
fn a_receive_dropped_anywhere_leaves_the_value_to_the_next() {
    at_every_capacity(|cap| {
        let (_keep, other) = channel(cap);
        for which in 0..receives(&other, &other).len() {
            for point in 0..3 {
                let census = Census::default();
                let (tx, rx) = channel(cap);
                let mut future = receives(&rx, &other).swap_remove(which);
                if point > 0 {
                    assert!(poll(future.as_mut()).is_pending());
                }
                // Behind it, and so the next.
                let count = Arc::new(Count::default());
                let mut next = pin!(rx.recv_async());
                assert!(poll_with(next.as_mut(), &count).is_pending());
                if point == 2 {
                    tx.try_send(census.born()).unwrap();
                    assert_eq!(count.get(), 0, "it was the other's turn");
                }
                drop(future);
                if point < 2 {
                    tx.try_send(census.born()).unwrap();
                }
                assert_eq!(count.get(), 1);
                assert!(matches!(poll(next), Poll::Ready(Ok(_))));
                assert!(matches!(rx.try_recv(), Err(TryRecvError::Empty)));
                assert_eq!(census.alive(), 0);
            }
        }
    });
}

#[test]
fn a_served_receive_withholds_exactly_one_value() {
    at_every_capacity(|cap| {
        let (_keep, other) = channel(cap);
        for which in 0..receives(&other, &other).len() {
            let census = Census::default();
            let (tx, rx) = channel(cap);
            let mut served = receives(&rx, &other).swap_remove(which);
            assert!(poll(served.as_mut()).is_pending());
            tx.try_send(census.born()).unwrap();
            assert!(matches!(rx.try_recv(), Err(TryRecvError::Empty)));
            let mut parked = Box::pin(tx.send_async(census.born()));
            let _ = poll(parked.as_mut());
            assert!(rx.try_recv().is_ok(), "what is behind it goes on");
            assert!(poll(served.as_mut()).is_ready());
            drop((served, parked));
            assert_eq!(census.alive(), 0);
        }
    });
}

#[test]
fn a_close_reaches_futures_that_wait_and_those_that_were_served() {
    at_every_capacity(|cap| {
        let (_keep, other) = channel(cap);
        for which in 0..receives(&other, &other).len() {
            let census = Census::default();
            let (tx, rx) = channel(cap);
            let mut served = receives(&rx, &other).swap_remove(which);
            let count = Arc::new(Count::default());
            let mut waiting = pin!(rx.recv_async());
            assert!(poll(served.as_mut()).is_pending());
            assert!(poll_with(waiting.as_mut(), &count).is_pending());
            tx.try_send(census.born()).unwrap();
            tx.close();
            assert_eq!(
                count.get(),
                0,
                "a value is still here, promised to the other"
            );
            assert!(matches!(poll(served.as_mut()), Poll::Ready(Some(_))));
            assert_eq!(count.get(), 1);
            assert!(matches!(poll(waiting), Poll::Ready(Err(RecvError))));
        }
        // Dropped after the close, its value is the other's.
        let census = Census::default();
        let (tx, rx) = channel(cap);
        let mut served = Box::pin(rx.recv_async());
        let mut waiting = pin!(rx.recv_async());
        assert!(poll(served.as_mut()).is_pending() && poll(waiting.as_mut()).is_pending());
        tx.try_send(census.born()).unwrap();
        drop(tx);
        drop(served);
        assert!(matches!(poll(waiting), Poll::Ready(Ok(_))));
        assert_eq!(census.alive(), 0);
    });
}

/// Each way to await that one value is sent.
fn sends<'a>(tx: &'a Sender<Counted>, census: &'a Census) -> Vec<Boxed<'a>> {
    vec![
        Box::pin(async move {
            let sent = tx.send_async(census.born()).await;
            sent.err().map(|err| err.0)
        }),
        Box::pin(async move {
            let sent = tx.send_many_async([census.born()]).await;
            sent.err().and_then(|err| err.0.into_iter().next())
        }),
        Box::pin(async move {
            let mut sink = tx.sink();
            let mut sink = Pin::new(&mut sink);
            if let Err(err) = sink.as_mut().start_send(census.born()) {
                return Some(err.0);
            }
            let sent = poll_fn(|cx| sink.as_mut().poll_flush(cx)).await;
            sent.err().map(|err| err.0)
        }),
        Box::pin(async move {
            match tx.reserve_async().await {
                Ok(permit) => permit.send(census.born()).err().map(|err| err.0),
                Err(_) => Some(census.born()),
            }
        }),
        Box::pin(async move {
            select_async! { send(tx, census.born()) -> sent => sent.err().map(|err| err.0) }
        }),
        Box::pin(async move {
            let mut select = Select::new();
            select.send(tx);
            let sent = select.select_async().await.send(tx, census.born());
            sent.err().map(|err| err.0)
        }),
    ]
}

#[test]
fn a_send_dropped_anywhere_sends_once_or_never() {
    for cap in [0, 1, 3] {
        for which in 0..6 {
            for point in 0..3 {
                let census = Census::default();
                let (tx, rx) = bounded(cap);
                for _ in 0..cap {
                    tx.send(census.born()).unwrap();
                }
                let mut future = sends(&tx, &census).swap_remove(which);
                if point > 0 {
                    assert!(poll(future.as_mut()).is_pending());
                }
                let count = Arc::new(Count::default());
                let mut next = pin!(tx.send_async(census.born()));
                assert!(poll_with(next.as_mut(), &count).is_pending());
                let mut received = 0;
                if point == 2 {
                    // Serves the first: its value is taken, or it has a permit.
                    let mut receiving = pin!(rx.recv_async());
                    received += usize::from(poll(receiving.as_mut()).is_ready());
                    drop(future);
                    received += usize::from(received == 0 && poll(receiving).is_ready());
                } else {
                    drop(future);
                }
                // The other gets through, whatever became of the first.
                while poll(next.as_mut()).is_pending() {
                    received += rx.try_iter().count();
                }
                received += rx.try_iter().count();
                let sent = cap + 1;
                let taken = usize::from(point == 2 && which < 3);
                assert_eq!(received, sent + taken, "cap {cap}, {which}, {point}");
                assert_eq!(census.alive(), 0);
            }
        }
    }
}

#[test]
fn a_close_gives_every_parked_send_its_value_back() {
    for cap in [0, 1] {
        for which in 0..6 {
            let census = Census::default();
            let (tx, rx) = bounded(cap);
            for _ in 0..cap {
                tx.send(census.born()).unwrap();
            }
            let mut parked = sends(&tx, &census).swap_remove(which);
            assert!(poll(parked.as_mut()).is_pending());
            rx.close();
            assert!(matches!(poll(parked.as_mut()), Poll::Ready(Some(_))));
            assert_eq!(rx.iter().count(), cap);
        }
    }
}

#[test]
fn a_value_that_panics_in_an_async_select_puts_its_peer_back() {
    for cap in [0, 1] {
        let (tx, rx) = bounded::<u8>(cap);
        let count = Arc::new(Count::default());
        let mut receiving = Box::pin(rx.recv_async());
        assert!(poll_with(receiving.as_mut(), &count).is_pending());
        let evaluated = Cell::new(0);
        let value = || -> u8 {
            evaluated.set(evaluated.get() + 1);
            panic!("no value")
        };
        let mut sending = Box::pin(async {
            select_async! { send(tx, value()) -> _ => {} }
        });
        assert!(catch_unwind(AssertUnwindSafe(|| poll(sending.as_mut()))).is_err());
        drop(sending);
        assert_eq!(evaluated.get(), 1);
        // At the head of its queue, before one who came later.
        assert!(poll_with(receiving.as_mut(), &count).is_pending());
        let mut later = pin!(rx.recv_async());
        assert!(poll(later.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        assert_eq!(poll(receiving.as_mut()), Poll::Ready(Ok(1)));
        assert!(poll(later.as_mut()).is_pending());
    }
}

#[test]
fn a_hundred_thousand_waiters_are_served_dropped_and_closed_in_linear_time() {
    const N: usize = 100_000;
    within(
        std::time::Duration::from_secs(100),
        "100,000 waiters",
        || {
            let (tx, rx) = bounded::<usize>(0);
            let receivers: Vec<_> = (0..N).map(|_| rx.clone()).collect();
            let mut waiting: Vec<_> = receivers
                .iter()
                .map(|rx| Box::pin(rx.recv_async()))
                .collect();
            for future in &mut waiting {
                assert!(poll(future.as_mut()).is_pending());
            }
            for i in 0..N / 2 {
                tx.try_send(i).unwrap();
            }
            for (i, future) in waiting[..N / 2].iter_mut().enumerate() {
                assert_eq!(poll(future.as_mut()), Poll::Ready(Ok(i)));
            }
            // Every second of the rest goes, from the back.
            let mut rest = waiting.split_off(N / 2);
            let mut i = 0;
            rest.retain(|_| {
                i += 1;
                i % 2 == 0
            });
            tx.close();
            for future in &mut rest {
                assert_eq!(poll(future.as_mut()), Poll::Ready(Err(RecvError)));
            }
            // And as many senders.
            let (tx, rx) = bounded::<usize>(0);
            let mut parked: Vec<_> = (0..N).map(|i| Box::pin(tx.send_async(i))).collect();
            for future in &mut parked {
                assert!(poll(future.as_mut()).is_pending());
            }
            assert!(rx.try_iter().take(N / 2).eq(0..N / 2));
            parked.truncate(N * 3 / 4);
            assert!(rx.try_iter().eq(N / 2..N * 3 / 4));
        },
    );
}

#[test]
fn threads_and_tasks_meet_in_both_directions_at_every_capacity() {
    at_every_capacity(|cap| {
        const N: usize = 300;
        let (there, to_task) = channel(cap);
        let (back, to_thread) = channel(cap);
        let task = thread::spawn(move || {
            block_on(async move {
                while let Ok(i) = to_task.recv_async().await {
                    select_async! { send(back, i + 1) -> sent => sent.unwrap() }
                }
            });
        });
        for i in 0..N {
            there.send(i).unwrap();
            let got = if i % 2 == 0 {
                to_thread.recv()
            } else {
                select! { recv(to_thread) -> v => v }
            };
            assert_eq!(got, Ok(i + 1));
        }
        drop(there);
        task.join().unwrap();
        assert_eq!(to_thread.recv(), Err(RecvError));
    });
}

#[test]
fn a_panicking_drop_of_a_value_harms_nobody() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "a value's drop panics");
        }
    }
    let caught = |f: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(f)).is_err();
    let (tx, rx) = bounded(0);
    let mut parked = Some(Box::pin(tx.send_async(Bomb(true))));
    assert!(poll(parked.as_mut().unwrap().as_mut()).is_pending());
    assert!(caught(&mut || parked = None));
    let mut receiving = Box::pin(rx.recv_async());
    assert!(poll(receiving.as_mut()).is_pending());
    tx.try_send(Bomb(false)).ok().unwrap();
    assert!(matches!(poll(receiving.as_mut()), Poll::Ready(Ok(_))));
    let (tx, rx) = unbounded();
    tx.send_many([Bomb(true), Bomb(false)]).ok().unwrap();
    let drained = Cell::new(Some(rx.drain()));
    assert!(caught(&mut || drop(drained.take())));
    tx.send(Bomb(false)).ok().unwrap();
    assert_eq!(rx.try_iter().count(), 1);
}
