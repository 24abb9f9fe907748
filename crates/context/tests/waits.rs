//! Waiting for a context, and waiting for other things until it ends.

#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rendez_context::{Context, ContextError};
use rendez_core::block_on::block_on;
use rendez_select::{bounded, select, select_async};

const CANCELED: ContextError = ContextError::Canceled;
const EXPIRED: ContextError = ContextError::DeadlineExceeded;
const HOUR: Duration = Duration::from_secs(3600);

struct Counter(AtomicUsize);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counter() -> (Arc<Counter>, Waker) {
    let counter = Arc::new(Counter(AtomicUsize::new(0)));
    (Arc::clone(&counter), Waker::from(counter))
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(waker))
}

fn ended() -> Context {
    Context::background().with_cancel().0
}

#[test]
fn done_is_an_arm_of_a_select() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = bounded::<u8>(1);
    select! {
        recv(ctx.done()) -> _ => unreachable!("it lives"),
        recv(rx) -> _ => unreachable!("nothing was sent"),
        default => {}
    }
    tx.send(1).unwrap();
    select! {
        recv(ctx.done()) -> _ => unreachable!("it lives"),
        recv(rx) -> n => assert_eq!(n, Ok(1)),
    }
    let theirs = ctx.clone();
    let selecting = thread::spawn(move || {
        select! {
            recv(theirs.done()) -> err => err,
            recv(rx) -> _ => unreachable!("nothing more was sent"),
        }
    });
    cancel.cancel();
    assert_eq!(selecting.join().unwrap(), CANCELED);
    block_on(async {
        select_async! {
            recv(ctx.with_value(1_u8).done()) -> err => assert_eq!(err, CANCELED),
        }
    });
}

#[test]
fn done_of_a_root_is_never_ready() {
    let ctx = Context::background();
    select! {
        recv(ctx.done()) -> _ => unreachable!(),
        recv(ctx.without_cancel().done()) -> _ => unreachable!(),
        default(Duration::from_millis(1)) => {}
    }
}

#[test]
fn done_may_be_awaited_again_and_from_many_places() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (woken, waker) = counter();
    let mut first = ctx.done();
    let mut second = first.clone();
    let mut third = pin!(ctx.cancelled_async());
    for _ in 0..3 {
        assert!(poll(pin!(&mut first), &waker).is_pending());
        assert!(poll(pin!(&mut second), &waker).is_pending());
        assert!(poll(third.as_mut(), &waker).is_pending());
    }
    cancel.cancel();
    assert_eq!(woken.0.load(Ordering::SeqCst), 3, "each is woken once");
    for _ in 0..2 {
        assert_eq!(poll(pin!(&mut first), &waker), Poll::Ready(CANCELED));
        assert_eq!(poll(pin!(&mut second), &waker), Poll::Ready(CANCELED));
    }
    assert_eq!(poll(third, &waker), Poll::Ready(CANCELED));
}

#[test]
fn a_wait_that_is_dropped_leaves_no_trace() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (woken, waker) = counter();
    {
        let mut done = ctx.done();
        let run = pin!(ctx.run(pending::<()>()));
        let sleep = pin!(ctx.sleep_async(HOUR));
        assert!(poll(pin!(&mut done), &waker).is_pending());
        assert!(poll(run, &waker).is_pending());
        assert!(poll(sleep, &waker).is_pending());
    }
    cancel.cancel();
    assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    assert_eq!(Arc::strong_count(&woken), 2, "and no waker behind");
}

#[test]
fn run_looks_at_the_context_first_and_then_never_discards_an_output() {
    let polled = AtomicUsize::new(0);
    let ctx = ended();
    let counted = async { polled.fetch_add(1, Ordering::SeqCst) };
    assert_eq!(block_on(ctx.run(counted)), Err(CANCELED));
    assert_eq!(polled.load(Ordering::SeqCst), 0, "not even polled");

    let (ctx, cancel) = Context::background().with_cancel();
    let (_, waker) = counter();
    let (tx, rx) = bounded(1);
    let mut run = pin!(ctx.run(rx.recv_async()));
    assert!(poll(run.as_mut(), &waker).is_pending());
    tx.send(7).unwrap();
    cancel.cancel();
    assert_eq!(poll(run, &waker), Poll::Ready(Ok(Ok(7))));
}

#[test]
fn a_run_that_ends_with_its_context_passes_on_what_it_was_granted() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (_, waker) = counter();
    let (tx, rx) = bounded(1);
    {
        let mut run = pin!(ctx.run(rx.recv_async()));
        assert!(poll(run.as_mut(), &waker).is_pending());
        cancel.cancel();
        tx.send(7).unwrap();
    }
    assert_eq!(rx.try_recv(), Ok(7));
}

#[test]
fn block_on_gives_the_output_or_why_not() {
    let (ctx, cancel) = Context::background().with_cancel();
    assert_eq!(ctx.block_on(ready(1)), Ok(1));
    let theirs = ctx.clone();
    let blocked = thread::spawn(move || theirs.block_on(pending::<()>()));
    cancel.cancel();
    assert_eq!(blocked.join().unwrap(), Err(CANCELED));
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
    assert_eq!(ctx.block_on(pending::<()>()), Err(EXPIRED));
}

#[test]
fn sleep_ends_with_the_time_or_with_the_context() {
    let begun = Instant::now();
    let nap = Duration::from_millis(5);
    assert_eq!(Context::background().sleep(nap), Ok(()));
    assert_eq!(block_on(Context::background().sleep_async(nap)), Ok(()));
    assert!(begun.elapsed() >= 2 * nap);

    assert_eq!(ended().sleep(Duration::ZERO), Err(CANCELED));
    assert_eq!(block_on(ended().sleep_async(Duration::ZERO)), Err(CANCELED));
    let (ctx, _cancel) = Context::background().with_timeout(nap);
    assert_eq!(ctx.sleep(HOUR), Err(EXPIRED));
    let (ctx, _cancel) = Context::background().with_timeout(nap);
    assert_eq!(block_on(ctx.sleep_async(Duration::MAX)), Err(EXPIRED));
    assert!(begun.elapsed() < HOUR);
}

#[test]
fn an_after_func_runs_once_beside_whoever_cancels() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = mpsc::channel();
    let (go_on, gate) = mpsc::channel::<()>();
    let after = ctx.after_func(move || {
        gate.recv().unwrap();
        tx.send(thread::current().id()).unwrap();
    });
    cancel.cancel(); // returns although the closure is held up
    assert!(!after.stop());
    go_on.send(()).unwrap();
    assert_ne!(rx.recv().unwrap(), thread::current().id());
    assert!(rx.recv().is_err(), "its sender is gone: it ran once");
}

#[test]
fn an_after_func_runs_after_a_timeout() {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
    let (tx, rx) = mpsc::channel();
    let theirs = ctx.clone();
    ctx.after_func(move || tx.send(theirs.err()).unwrap());
    assert_eq!(rx.recv().unwrap(), Some(EXPIRED));
}

#[test]
fn an_after_func_of_an_ended_context_runs_at_once() {
    let (tx, rx) = mpsc::channel();
    let after = ended().after_func(move || tx.send(()).unwrap());
    rx.recv().unwrap();
    assert!(!after.stop());
}

#[test]
fn stopping_an_after_func_says_whether_it_was_prevented() {
    for ctx in [Context::background(), Context::background().with_cancel().0] {
        let after = ctx.after_func(|| ());
        let prevented = ctx.err().is_none();
        assert_eq!(after.stop(), prevented);
        assert!(!after.stop());
    }
    let (ctx, cancel) = Context::background().with_cancel();
    let kept = Arc::new(());
    let held = Arc::clone(&kept);
    let after = ctx.after_func(move || drop(held));
    assert!(after.stop());
    assert_eq!(Arc::strong_count(&kept), 1, "the closure is dropped");
    assert!(!after.stop());
    cancel.cancel();
}

#[test]
fn a_waker_that_panics_leaves_nothing_undone() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let (ctx, cancel) = Context::background().with_cancel();
    let (child, _cancel) = ctx.with_cancel();
    let (woken, waker) = counter();
    let mut first = pin!(ctx.cancelled_async());
    let mut second = pin!(child.cancelled_async());
    assert!(poll(first.as_mut(), &Waker::from(Arc::new(Panics))).is_pending());
    assert!(poll(second.as_mut(), &waker).is_pending());
    let (tx, rx) = mpsc::channel();
    ctx.after_func(move || tx.send(()).unwrap());
    cancel.cancel();
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    rx.recv().expect("the closure is started");
    assert_eq!((ctx.err(), child.err()), (Some(CANCELED), Some(CANCELED)));
    assert_eq!(poll(first, &waker), Poll::Ready(CANCELED));
}
