//! What the tests share.
#![allow(dead_code)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use rendez_select::{Receiver, Sender, bounded, unbounded};

/// Runs a test for a rendezvous, small buffers, and none at all.
pub(crate) fn at_every_capacity(test: impl Fn(Option<usize>)) {
    for cap in [Some(0), Some(1), Some(3), None] {
        test(cap);
    }
}

/// A channel of that capacity.
pub(crate) fn channel<T>(cap: Option<usize>) -> (Sender<T>, Receiver<T>) {
    cap.map_or_else(unbounded, bounded)
}

/// Counts how often it has been woken.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, &Arc::new(Count::default()))
}

/// Polls once, `count` being woken.
pub(crate) fn poll_with<F: Future + ?Sized>(
    future: Pin<&mut F>,
    count: &Arc<Count>,
) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(count));
    future.poll(&mut Context::from_waker(&waker))
}

/// Counts how many live.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census(Arc<AtomicUsize>);

impl Census {
    pub(crate) fn born(&self) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(Self(Arc::clone(&self.0)))
    }

    pub(crate) fn alive(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A value that is counted as long as it lives.
#[derive(Debug)]
pub(crate) struct Counted(Census);

impl Drop for Counted {
    fn drop(&mut self) {
        let before = self.0.0.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "dropped twice");
    }
}

/// Ends the process if `f` takes longer than any machine should need.
pub(crate) fn within<R>(limit: Duration, what: &str, f: impl FnOnce() -> R) -> R {
    let ended = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ended);
    let what = what.to_owned();
    let watchdog = std::thread::spawn(move || {
        std::thread::park_timeout(limit);
        if !seen.load(Ordering::SeqCst) {
            eprintln!("{what} hangs");
            std::process::exit(101);
        }
    });
    let result = f();
    ended.store(true, Ordering::SeqCst);
    watchdog.thread().unpark();
    result
}

/// Waits until `condition` holds.
pub(crate) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}
