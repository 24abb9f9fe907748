//! What programs put into contexts may panic when it is dropped. A second panic while a first
//! unwinds would end the process, so each test's process ending well is a part of the test.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::error::Error;
use std::fmt;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Poll, Wake, Waker};
use std::time::Duration;

use rendez_context::{Context, ContextError};

/// Panics when it is dropped, even during a panic.
#[derive(Debug)]
struct Bomb(Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        panic!("a drop panics, on purpose");
    }
}

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("bomb")
    }
}

impl Error for Bomb {}

#[derive(Default)]
struct Bombs(Arc<AtomicUsize>);

impl Bombs {
    fn one(&self) -> Bomb {
        Bomb(Arc::clone(&self.0))
    }

    fn n_dropped(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn every_value_of_a_chain_is_dropped_whichever_panic() {
    let bombs = Bombs::default();
    let (root, _cancel) = Context::background().with_cancel();
    let mut chain = root.clone();
    for _ in 0..100 {
        let (child, cancel) = chain.with_value(bombs.one()).with_cancel();
        cancel.detach();
        chain = child.without_cancel().with_value(bombs.one());
        chain = Context::merge(&[&chain, &child]).0;
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(chain)));
    assert_eq!(bombs.n_dropped(), 200);
    assert_eq!(root.__n_children(), 0);
}

#[test]
fn a_value_dropped_with_its_own_handle_tells_of_its_panic() {
    let bombs = Bombs::default();
    let ctx = Context::background().with_value(bombs.one());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(ctx))).is_err());
    assert_eq!(bombs.n_dropped(), 1);
}

#[test]
fn closures_that_never_run_are_dropped_whichever_panic() {
    let bombs = Bombs::default();
    let (root, _cancel) = Context::background().with_cancel();
    let (ctx, cancel) = root.with_cancel();
    cancel.detach();
    for _ in 0..3 {
        let bomb = bombs.one();
        let _after = ctx.after_func(move || drop(bomb));
    }
    let _ = catch_unwind(AssertUnwindSafe(|| drop(ctx)));
    assert_eq!(bombs.n_dropped(), 3);
    assert_eq!(root.__n_children(), 0);
}

#[test]
fn causes_are_dropped_whichever_panic() {
    let bombs = Bombs::default();
    let (root, cancel_root) = Context::background().with_cancel();
    let hour = Duration::from_secs(3600);
    let (timed, cancel) = root.with_timeout_cause(hour, bombs.one());
    cancel.cancel_with(bombs.one());
    // Comes too late: who gave it hears of its panic.
    assert!(catch_unwind(AssertUnwindSafe(|| cancel.cancel_with(bombs.one()))).is_err());
    assert_eq!(timed.err(), Some(ContextError::Canceled));
    cancel_root.cancel_with(bombs.one());
    for last in [timed, root] {
        let _ = catch_unwind(AssertUnwindSafe(|| drop(last)));
    }
    drop((cancel, cancel_root));
    assert_eq!(bombs.n_dropped(), 4);
}

/// Polled, it is pending until it is told.
struct Source(
    #[expect(dead_code, reason = "dropped")] Bomb,
    mpsc::Sender<Waker>,
    Arc<AtomicUsize>,
);

impl Future for Source {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let _ = self.1.send(cx.waker().clone());
        match self.2.load(Ordering::SeqCst) {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

#[test]
fn a_source_that_panics_when_dropped_has_ended_its_context_or_goes_with_it() {
    let bombs = Bombs::default();
    let told = Arc::new(AtomicUsize::new(0));
    let (tx, wakers) = mpsc::channel();
    let ctx = Context::until(Source(bombs.one(), tx, Arc::clone(&told)));
    let (child, _cancel) = ctx.with_value(1_u8).with_cancel();
    told.store(1, Ordering::SeqCst);
    wakers.recv().unwrap().wake();
    assert_eq!(child.wait(), ContextError::Canceled);
    while bombs.n_dropped() == 0 {
        std::thread::yield_now();
    }

    let bomb = bombs.one();
    let never = async move {
        let _bomb = bomb;
        pending::<()>().await;
    };
    let ctx = Context::until(never).with_value(bombs.one());
    let _ = catch_unwind(AssertUnwindSafe(|| drop(ctx)));
    assert_eq!(bombs.n_dropped(), 3);
}

/// A waker that panics when it is woken.
struct Alarmed;

impl Wake for Alarmed {
    fn wake(self: Arc<Self>) {
        panic!("a wake panics, on purpose");
    }
}

#[test]
fn a_cancel_wakes_and_starts_all_whichever_panic() {
    let bombs = Bombs::default();
    let (ctx, cancel) = Context::background().with_cancel();
    let mut waiting: Vec<_> = (0..2).map(|_| Box::pin(ctx.cancelled_async())).collect();
    for wait in &mut waiting {
        let waker = Waker::from(Arc::new(Alarmed));
        let mut cx = std::task::Context::from_waker(&waker);
        assert!(wait.as_mut().poll(&mut cx).is_pending());
    }
    let blocked = ctx.clone();
    let blocked = std::thread::spawn(move || blocked.wait());
    let (tx, started) = mpsc::channel();
    for i in 0..2 {
        let (tx, bomb) = (tx.clone(), bombs.one());
        ctx.after_func(move || {
            let _bomb = bomb;
            tx.send(i).unwrap();
        });
    }
    let (child, _cancel) = ctx.with_cancel();
    let _ = catch_unwind(AssertUnwindSafe(|| cancel.cancel()));
    assert_eq!(child.err(), Some(ContextError::Canceled));
    assert_eq!(blocked.join().unwrap(), ContextError::Canceled);
    let mut got = [started.recv().unwrap(), started.recv().unwrap()];
    got.sort_unstable();
    assert_eq!(got, [0, 1]);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    for wait in waiting {
        assert!(pin!(wait).poll(&mut cx).is_ready());
    }
}
