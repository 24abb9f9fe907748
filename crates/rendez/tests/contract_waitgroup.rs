//! The contract of the wait group, through the umbrella.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{HOUR, TICK, poll};
use rendez::pool::block_on;
use rendez::prelude::*;
use rendez::waitgroup::Guard;

#[test]
fn clones_share_one_counter_and_count_nothing() {
    fn bounds<T: Clone + Default + Debug + Send + Sync + Unpin + 'static>(_: &T) {}
    let wg = WaitGroup::new();
    bounds(&wg);
    let other = wg.clone();
    assert_eq!(wg.count(), 0);
    other.add(2);
    assert_eq!(wg.count(), 2);
    wg.done();
    other.done();
    wg.wait();
    assert_eq!(WaitGroup::default().count(), 0);
}

#[test]
fn wait_at_zero_returns_at_once_in_every_form() {
    let wg = WaitGroup::new();
    wg.wait();
    block_on(wg.wait_async());
    assert!(wg.wait_timeout(Duration::ZERO));
    select! { recv(wg.zero()) -> () => {}, default => unreachable!() }
}

#[test]
fn wait_timeout_tells_whether_it_reached_zero() {
    let wg = WaitGroup::new();
    wg.add(1);
    assert!(!wg.wait_timeout(TICK));
    let done = wg.clone();
    go(move || done.done());
    assert!(wg.wait_timeout(HOUR));
    assert!(wg.wait_timeout(Duration::MAX));
}

#[test]
fn a_guard_is_owned_counts_now_and_counts_down_on_drop_and_on_panic() {
    fn owned<T: Send + 'static>(_: &T) {}
    let wg = WaitGroup::new();
    let guard: Guard = wg.guard();
    owned(&guard);
    assert_eq!(wg.count(), 1);
    let panicked = go(move || {
        let _guard = guard;
        panic!("on purpose")
    });
    wg.wait();
    let panicked: Result<(), _> = panicked.join();
    assert!(panicked.is_err());
}

#[test]
fn done_below_zero_panics_and_names_the_mistake() {
    let wg = WaitGroup::new();
    let err = catch_unwind(AssertUnwindSafe(|| wg.done())).unwrap_err();
    let text = err
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| err.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap();
    assert!(text.contains("WaitGroup"), "{text}");
    assert_eq!(wg.count(), 0, "what it interrupted stays consistent");
    wg.wait();
    wg.add(1);
    wg.done();
}

#[test]
fn everybody_who_waited_is_released_though_the_group_is_used_again_at_once() {
    let wg = WaitGroup::new();
    wg.add(1);
    let mut tasks: Vec<_> = (0..3).map(|_| Box::pin(wg.wait_async())).collect();
    for task in &mut tasks {
        assert!(poll(task.as_mut()).is_pending());
    }
    wg.done();
    wg.add(1);
    for task in &mut tasks {
        assert!(poll(task.as_mut()).is_ready());
    }
    assert!(poll(pin!(wg.wait_async())).is_pending());
    wg.done();
}

#[test]
fn go_counts_and_reports_a_panic_before_it_counts_down() {
    let wg = WaitGroup::new();
    let ran = std::sync::Arc::new(AtomicUsize::new(0));
    for i in 0..10 {
        let ran = ran.clone();
        wg.go(move || {
            ran.fetch_add(1, Ordering::Relaxed);
            assert!(i != 5, "on purpose");
        });
        let (tx, rx) = oneshot::<()>();
        wg.go(async move {
            drop(tx);
            assert!(rx.recv_async().await.is_err());
        });
    }
    wg.wait();
    assert_eq!((ran.load(Ordering::Relaxed), wg.count()), (10, 0));
}

#[test]
fn zero_is_an_arm_and_waits_pinned() {
    let wg = WaitGroup::new();
    let guard = wg.guard();
    select! { recv(wg.zero()) -> () => unreachable!(), default => {} }
    go(move || drop(guard));
    select! { recv(wg.zero()) -> () => {}, default(HOUR) => unreachable!() }
}
