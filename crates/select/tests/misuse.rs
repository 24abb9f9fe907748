//! What no sound program does, and what hostile ones do: an answer, a panic that names the
//! mistake, or nothing, but never a hang, a lost value or an abort.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use common::{Census, Counted, at_every_capacity, channel, poll, within};
use rendez_select::{Receiver, bounded, unbounded};

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker that panics");
    }
}

fn poll_to_panic<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Panics));
    future.poll(&mut Context::from_waker(&waker))
}

#[test]
fn a_send_future_polled_after_its_end_panics_and_harms_nobody() {
    within(Duration::from_secs(60), "the receiver", || {
        at_every_capacity(|cap| {
            let (tx, rx) = channel(cap);
            let mut sent = pin!(tx.send_async(1));
            let mut received = pin!(rx.recv_async());
            assert!(poll(received.as_mut()).is_pending());
            assert_eq!(poll(sent.as_mut()), Poll::Ready(Ok(())));
            assert_eq!(poll(received.as_mut()), Poll::Ready(Ok(1)));
            let theirs = rx.clone();
            let receiver = thread::spawn(move || theirs.recv());
            let again = catch_unwind(AssertUnwindSafe(|| poll(sent.as_mut())));
            assert!(again.is_err(), "a future is not polled after its end");
            tx.send(2).unwrap();
            assert_eq!(receiver.join().unwrap(), Ok(2));
            assert!(rx.is_empty());
        });
    });
}

#[test]
fn wakers_that_panic_lose_no_value() {
    at_every_capacity(|cap| {
        // A receiver whose waker panics.
        let (tx, rx) = channel(cap);
        let mut received = Box::pin(rx.recv_async());
        assert!(poll_to_panic(received.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        assert_eq!(poll(received.as_mut()), Poll::Ready(Ok(1)));
        drop(received);
        // A sender whose waker panics, woken by each way to receive.
        let Some(cap) = cap else { return };
        let take: [fn(&Receiver<usize>) -> usize; 3] = [
            |rx| rx.recv().unwrap(),
            |rx| rx.try_recv().unwrap(),
            |rx| match poll(pin!(rx.recv_async())) {
                Poll::Ready(value) => value.unwrap(),
                Poll::Pending => panic!("a value is there"),
            },
        ];
        for take in take {
            for i in 0..cap {
                tx.try_send(i).unwrap();
            }
            let mut sent = Box::pin(tx.send_async(cap));
            assert!(poll_to_panic(sent.as_mut()).is_pending());
            for i in 0..=cap {
                assert_eq!(take(&rx), i);
            }
            assert_eq!(poll(sent.as_mut()), Poll::Ready(Ok(())));
            assert!(rx.is_empty());
        }
    });
}

#[test]
fn a_drop_that_panics_goes_on_and_those_behind_it_leak_as_in_crossbeam() {
    struct Value(u32, #[expect(dead_code, reason = "counted")] Counted);
    impl Drop for Value {
        fn drop(&mut self) {
            assert!(self.0 % 2 == 0, "value {} does not want to go", self.0);
        }
    }
    let census = Census::default();
    let (tx, rx) = unbounded();
    for i in 0..6 {
        tx.send(Value(i, census.born())).unwrap();
    }
    let panic = catch_unwind(AssertUnwindSafe(|| drop(rx))).expect_err("drops panicked");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(
        message.contains("value 1"),
        "the first panic goes on: {message}"
    );
    assert_eq!(
        census.alive(),
        4,
        "none is dropped twice, and no drop runs after it"
    );
    assert!(tx.send(Value(0, census.born())).is_err());
}

#[test]
fn values_whose_drops_panic_do_not_abort_an_unwinding_thread() {
    struct Value;
    impl Drop for Value {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let (tx, rx) = bounded(2);
    tx.send(Value).unwrap();
    tx.send(Value).unwrap();
    let unwinds = thread::spawn(move || {
        let _rx = rx;
        panic!("first");
    });
    let payload = unwinds.join().expect_err("it panicked");
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"first"));
}
