//! Contexts that end with a future, or with what a select can wait for.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::{Future, pending, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use rendez_context::{Context, ContextError};
use rendez_select::bounded;

const CANCELED: Option<ContextError> = Some(ContextError::Canceled);

/// A future that is ready once it is told so; it counts its polls, and holds something.
fn told() -> (
    impl Future<Output = ()> + Send,
    impl Fn(bool),
    Arc<AtomicUsize>,
) {
    let state = Arc::new(Mutex::new((false, None::<Waker>)));
    let polls = Arc::new(AtomicUsize::new(0));
    let (theirs, counted) = (Arc::clone(&state), Arc::clone(&polls));
    let future = poll_fn(move |cx| {
        counted.fetch_add(1, Ordering::SeqCst);
        let mut state = theirs.lock().unwrap();
        state.1 = Some(cx.waker().clone());
        if state.0 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    let tell = move |ready| {
        let waker = {
            let mut state = state.lock().unwrap();
            state.0 |= ready;
            state.1.clone()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    };
    (future, tell, polls)
}

fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

#[test]
fn a_ready_source_ends_the_context_on_return() {
    assert_eq!(Context::until(ready(7)).err(), CANCELED);
}

#[test]
fn the_context_ends_when_its_source_completes_and_not_before() {
    let (source, tell, polls) = told();
    let ctx = Context::until(source);
    let (child, _cancel) = ctx.with_value(1_u8).with_cancel();
    tell(false);
    until(|| polls.load(Ordering::SeqCst) >= 2);
    assert_eq!(child.err(), None);
    tell(true);
    assert_eq!(child.wait(), ContextError::Canceled);
    let cause = ctx.cause().unwrap().to_string();
    assert!(cause.contains(file!()), "{cause}");
    tell(true);
    assert!(format!("{ctx:?}").starts_with("context.Background.Until("));
}

#[test]
fn the_source_is_dropped_with_the_last_handle_and_at_the_end() {
    let held = Arc::new(());
    let source = || {
        let held = Arc::clone(&held);
        async move {
            pending::<()>().await;
            drop(held);
        }
    };
    let ctx = Context::until(source());
    assert_eq!(Arc::strong_count(&held), 2);
    drop(ctx);
    assert_eq!(Arc::strong_count(&held), 1);

    let (done, tell, _) = told();
    let ctx = Context::until({
        let source = source();
        async move {
            done.await;
            drop(source);
        }
    });
    assert_eq!(Arc::strong_count(&held), 2);
    tell(true);
    ctx.wait();
    until(|| Arc::strong_count(&held) == 1);
}

#[test]
fn a_source_that_panics_ends_the_context() {
    let first = AssertUnwindSafe(|| Context::until(async { panic!("a source that panics") }));
    assert!(catch_unwind(first).is_err(), "its first poll is ours");

    let (source, tell, _) = told();
    let ctx = Context::until(async move {
        source.await;
        panic!("a source that panics");
    });
    assert_eq!(ctx.err(), None);
    tell(true);
    assert_eq!(ctx.wait(), ContextError::Canceled);
    let cause = ctx.cause().unwrap().to_string();
    assert_eq!(cause, "the source of the context panicked");
}

#[test]
fn what_a_select_waits_for_is_a_source() {
    let (tx, rx) = bounded::<u8>(0);
    let ctx = Context::until_case(rx);
    assert_eq!(ctx.err(), None);
    tx.send(1).unwrap();
    assert_eq!(ctx.wait(), ContextError::Canceled);
    until(|| tx.is_closed());

    let (tx, rx) = bounded::<u8>(1);
    let ctx = Context::until_case(rx.clone());
    drop(ctx);
    tx.send(1).unwrap();
    assert_eq!(rx.try_recv(), Ok(1), "dropped, it takes nothing");
}

#[test]
fn wakes_from_everywhere_end_it_once() {
    for _ in 0..50 {
        let (source, tell, _) = told();
        let ctx = Context::until(source);
        thread::scope(|s| {
            s.spawn(|| tell(false));
            s.spawn(|| tell(true));
            s.spawn(|| drop(ctx.clone()));
        });
        assert_eq!(ctx.wait(), ContextError::Canceled);
    }
}
