//! Sending, receiving and closing.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::pin::{Pin, pin};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use common::{Census, at_every_capacity, channel, poll};
use futures_core::Stream;
use rendez_core::block_on::block_on;
use rendez_select::{
    RecvError, RecvTimeoutError, SendTimeoutError, TryRecvError, TrySendError, bounded, unbounded,
};

#[test]
fn values_arrive_in_the_order_sent_between_any_two_kinds() {
    at_every_capacity(|cap| {
        for (task_sends, task_receives) in
            [(false, false), (false, true), (true, false), (true, true)]
        {
            let (tx, rx) = channel(cap);
            let sender = thread::spawn(move || {
                for i in 0..200 {
                    if task_sends {
                        block_on(tx.send_async(i)).unwrap();
                    } else {
                        tx.send(i).unwrap();
                    }
                }
            });
            let mut got = Vec::new();
            loop {
                let received = if task_receives {
                    block_on(rx.recv_async())
                } else {
                    rx.recv()
                };
                match received {
                    Ok(i) => got.push(i),
                    Err(RecvError) => break,
                }
            }
            assert_eq!(got, (0..200).collect::<Vec<_>>());
            sender.join().unwrap();
        }
    });
}

#[test]
fn len_and_capacity_are_gos() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        assert_eq!((tx.capacity(), rx.capacity()), (cap, cap));
        let room = cap.unwrap_or(5);
        for i in 0..room {
            assert_eq!(tx.len(), i);
            tx.try_send(i).unwrap();
        }
        assert_eq!((tx.len(), rx.len()), (room, room));
        assert_eq!(rx.is_empty(), room == 0);
        assert_eq!(tx.is_full(), cap.is_some());
        if cap.is_some() {
            assert_eq!(tx.try_send(9), Err(TrySendError::Full(9)));
        }
    });
}

#[test]
fn close_is_true_once_and_lets_buffered_values_be_received() {
    at_every_capacity(|cap| {
        for from_receiver in [false, true] {
            let (tx, rx) = channel(cap);
            let n = cap.unwrap_or(5);
            for i in 0..n {
                tx.send(i).unwrap();
            }
            assert!(!tx.is_closed() && !rx.is_closed());
            assert!(if from_receiver {
                rx.close()
            } else {
                tx.close()
            });
            assert!(!tx.close() && !rx.close());
            assert!(tx.is_closed() && rx.is_closed());
            assert_eq!(tx.send(7).unwrap_err().0, 7);
            assert_eq!(tx.try_send(7), Err(TrySendError::Disconnected(7)));
            assert_eq!(block_on(tx.send_async(7)).unwrap_err().0, 7);
            assert_eq!(rx.iter().collect::<Vec<_>>(), (0..n).collect::<Vec<_>>());
            assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
            assert_eq!(rx.recv(), Err(RecvError));
            assert_eq!(block_on(rx.recv_async()), Err(RecvError));
        }
    });
}

#[test]
fn close_releases_everyone_who_waits() {
    let (tx, rx) = bounded::<u8>(0);
    thread::scope(|s| {
        let blocked = s.spawn(|| rx.recv());
        let awaiting = s.spawn(|| block_on(rx.recv_async()));
        common::until(|| tx.receiver_count() == 1);
        tx.close();
        assert_eq!(blocked.join().unwrap(), Err(RecvError));
        assert_eq!(awaiting.join().unwrap(), Err(RecvError));
    });
    let (tx, rx) = bounded::<u8>(0);
    let mut parked = pin!(tx.send_async(5));
    assert!(poll(parked.as_mut()).is_pending());
    rx.close();
    match poll(parked) {
        Poll::Ready(Err(e)) => assert_eq!(e.0, 5, "an unpolled future has its value back"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stream_that_waits_is_one_receiver() {
    let (tx, rx) = bounded::<u8>(1);
    let mut stream = rx.stream();
    drop(rx);
    let next = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_next(cx));
    assert!(poll(pin!(next)).is_pending());
    assert_eq!(tx.receiver_count(), 1);
}

#[test]
fn the_last_handle_of_an_end_disconnects() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel::<u8>(cap);
        let (tx2, rx2) = (tx.clone(), rx.clone());
        assert_eq!((tx.sender_count(), tx.receiver_count()), (2, 2));
        drop(tx);
        assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
        drop(tx2);
        assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
        drop((rx, rx2));

        let (tx, rx) = channel::<u8>(cap);
        drop(rx);
        assert_eq!(tx.try_send(1), Err(TrySendError::Disconnected(1)));
        assert!(tx.is_closed());
    });
}

#[test]
fn values_nobody_can_receive_any_more_are_dropped_once() {
    at_every_capacity(|cap| {
        let census = Census::default();
        let (tx, rx) = channel(cap);
        for _ in 0..cap.unwrap_or(5) {
            tx.send(census.born()).unwrap();
        }
        drop(rx);
        assert_eq!(census.alive(), 0);
        let back = tx.send(census.born()).unwrap_err();
        assert_eq!(census.alive(), 1);
        drop(back);
        assert_eq!(census.alive(), 0);
    });
}

#[test]
fn timeouts_give_the_value_back_and_take_nothing() {
    let soon = Duration::from_millis(2);
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        assert_eq!(rx.recv_timeout(soon), Err(RecvTimeoutError::Timeout));
        for i in 0..cap.unwrap_or(0) {
            tx.send(i).unwrap();
        }
        if cap.is_some() {
            assert_eq!(tx.send_timeout(9, soon), Err(SendTimeoutError::Timeout(9)));
            let past = Instant::now();
            assert_eq!(tx.send_deadline(9, past), Err(SendTimeoutError::Timeout(9)));
        }
        assert_eq!(rx.len(), cap.unwrap_or(0));
        drop(tx);
        for _ in 0..cap.unwrap_or(0) {
            rx.recv_timeout(Duration::MAX).unwrap();
        }
        assert_eq!(
            rx.recv_timeout(Duration::MAX),
            Err(RecvTimeoutError::Disconnected)
        );
        assert_eq!(
            rx.recv_deadline(Instant::now()),
            Err(RecvTimeoutError::Disconnected)
        );
    });
}

#[test]
fn a_huge_capacity_reserves_no_memory() {
    let (tx, rx) = bounded(usize::MAX);
    tx.send(1).unwrap();
    assert_eq!(rx.capacity(), Some(usize::MAX));
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn zero_sized_and_large_values_pass() {
    at_every_capacity(|cap| {
        let (tx, rx) = channel(cap);
        let sender = thread::spawn(move || (0..100).try_for_each(|_| tx.send(())));
        assert_eq!(rx.iter().count(), 100);
        sender.join().unwrap().unwrap();
        let (tx, rx) = channel(cap);
        let sender = thread::spawn(move || (0..100_u8).all(|i| tx.send([i; 4096]).is_ok()));
        for (i, value) in rx.iter().enumerate() {
            assert!(value.iter().all(|&b| usize::from(b) == i));
        }
        assert!(sender.join().unwrap());
    });
}

#[test]
fn a_value_whose_drop_panics_harms_no_channel() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let (tx, rx) = unbounded();
    tx.send(Bomb).unwrap();
    tx.send(Bomb).unwrap();
    let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(rx.recv())));
    assert!(first.is_err());
    assert_eq!(rx.len(), 1);
    let rest = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(rx)));
    assert!(rest.is_err());
    assert!(tx.is_closed());
    let (back, _) = (tx.try_send(Bomb), ());
    match back {
        Err(TrySendError::Disconnected(bomb)) => std::mem::forget(bomb),
        other => std::mem::forget(other),
    }
}

#[test]
fn handles_work_in_thread_local_destructors() {
    struct AtExit(rendez_select::Sender<u8>, rendez_select::Receiver<u8>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            let got = self.1.recv().unwrap();
            self.0.send(got + 1).unwrap();
            rendez_select::select! {
                recv(self.1) -> v => self.0.send(v.unwrap()).unwrap(),
            }
        }
    }
    std::thread_local!(static HELD: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) });
    let (tx, answers) = bounded(0);
    let (questions, rx) = bounded(0);
    let thread = thread::spawn(move || {
        HELD.with(|h| *h.borrow_mut() = Some(AtExit(tx, rx)));
        // Ours are made later, so they are gone earlier.
        rendez_select::select! { default => {} }
    });
    questions.send(1).unwrap();
    assert_eq!(answers.recv(), Ok(2));
    questions.send(5).unwrap();
    assert_eq!(answers.recv(), Ok(5));
    thread.join().unwrap();
}

#[test]
fn futures_are_driven_in_thread_local_destructors() {
    struct AtExit(rendez_select::Sender<u8>, rendez_select::Receiver<u8>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            block_on(async {
                let got = self.1.recv_async().await.unwrap();
                self.0.send_async(got + 1).await.unwrap();
                rendez_select::select_async! {
                    recv(self.1) -> v => self.0.send_async(v.unwrap()).await.unwrap(),
                }
                let mut selector = rendez_select::Selector::new();
                selector.add(&self.1);
                let (_, v) = selector.wait_async().await;
                self.0
                    .reserve_async()
                    .await
                    .unwrap()
                    .send(v.unwrap())
                    .unwrap();
                // Neither is ready: the clock wakes it.
                rendez_select::select_async! {
                    recv(self.1) -> _ => unreachable!(),
                    default(Duration::from_millis(1)) => {}
                }
            });
        }
    }
    std::thread_local!(static HELD: std::cell::RefCell<Option<AtExit>> = const { std::cell::RefCell::new(None) });
    let (tx, answers) = bounded(0);
    let (questions, rx) = bounded(0);
    let thread = thread::spawn(move || {
        HELD.with(|h| *h.borrow_mut() = Some(AtExit(tx, rx)));
        // Ours are made later, so they are gone earlier.
        rendez_select::select! { default(Duration::from_millis(1)) => {} }
    });
    for (question, answer) in [(1, 2), (5, 5), (7, 7)] {
        questions.send(question).unwrap();
        assert_eq!(answers.recv(), Ok(answer));
    }
    thread.join().unwrap();
}

#[test]
fn many_waiters_are_served_in_less_than_quadratic_time() {
    const N: usize = 50_000;
    let (tx, rx) = bounded::<usize>(0);
    let mut waiting: Vec<_> = (0..N).map(|_| Box::pin(rx.recv_async())).collect();
    for future in &mut waiting {
        assert!(poll(future.as_mut()).is_pending());
    }
    // From the middle, which costs the queue no search, and from the front.
    for future in waiting.drain(N / 4..N / 2) {
        drop(future);
    }
    for i in 0..waiting.len() {
        tx.try_send(i).unwrap();
    }
    for (i, future) in waiting.iter_mut().enumerate() {
        assert_eq!(poll(future.as_mut()), Poll::Ready(Ok(i)));
    }
}

#[test]
fn streams_end_as_iterators_do() {
    use futures_core::Stream;
    let (tx, rx) = unbounded();
    for i in 0..3 {
        tx.send(i).unwrap();
    }
    let mut stream = rx.stream();
    let mut next = || {
        block_on(std::future::poll_fn(|cx| {
            std::pin::Pin::new(&mut stream).poll_next(cx)
        }))
    };
    assert_eq!((next(), next()), (Some(0), Some(1)));
    drop(tx);
    assert_eq!((next(), next(), next()), (Some(2), None, None));
}

/// Whoever polls a send has begun it: one that the same task begins later does not go first,
/// also where others are busy with the channel.
#[test]
fn sends_that_one_task_begins_together_arrive_in_their_order() {
    const PAIRS: u32 = 20_000;
    const SENDERS: usize = 4;
    let pool = rendez_pool::Pool::builder().workers(2).build().unwrap();
    let (tx, rx) = bounded(4);
    let senders = [(); SENDERS].map(|()| tx.clone());
    let senders = senders.into_iter().enumerate().map(|(me, tx)| {
        pool.go(async move {
            for n in 0..PAIRS {
                let mut first = pin!(tx.send_async((me, 2 * n)));
                let mut second = pin!(tx.send_async((me, 2 * n + 1)));
                let (mut sent_first, mut sent_second) = (false, false);
                std::future::poll_fn(|cx| {
                    sent_first = sent_first || first.as_mut().poll(cx).is_ready();
                    sent_second = sent_second || second.as_mut().poll(cx).is_ready();
                    if sent_first && sent_second {
                        Poll::Ready(())
                    } else {
                        Poll::Pending
                    }
                })
                .await;
            }
        })
    });
    let senders: Vec<_> = senders.collect();
    drop(tx);
    let receiver = pool.go(async move {
        let mut next = [0; SENDERS];
        while let Ok((who, n)) = rx.recv_async().await {
            assert_eq!(n, next[who], "of {who}");
            next[who] += 1;
        }
        next
    });
    senders.into_iter().for_each(|s| s.join().unwrap());
    assert_eq!(receiver.join().unwrap(), [2 * PAIRS; SENDERS]);
}
