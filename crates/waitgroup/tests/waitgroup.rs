//! WaitGroup: counts, waits of every form, reuse, misuse.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use rendez_core::block_on::block_on;
use rendez_waitgroup::WaitGroup;

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What a call panics with.
fn panic_of(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    payload.downcast_ref::<String>().expect("a text").clone()
}

#[test]
fn two_groups_in_lockstep_are_reused_round_after_round() {
    const N: usize = 16;
    let (first, second) = (WaitGroup::new(), WaitGroup::default());
    for _ in 0..8 {
        first.add(N);
        second.add(N);
        let reported = AtomicUsize::new(0);
        thread::scope(|s| {
            for i in 0..N {
                let (first, second, reported) = (&first, &second, &reported);
                s.spawn(move || {
                    first.done();
                    if i % 2 == 0 {
                        second.wait();
                    } else {
                        block_on(second.wait_async());
                    }
                    reported.fetch_add(1, Ordering::SeqCst);
                });
            }
            first.wait();
            for _ in 0..N {
                assert_eq!(reported.load(Ordering::SeqCst), 0, "released too soon");
                second.done();
            }
        });
        assert_eq!(reported.load(Ordering::SeqCst), N);
    }
}

#[test]
fn what_was_done_before_done_is_seen_after_wait() {
    for i in 0..1000 {
        let wg = WaitGroup::new();
        let n = AtomicUsize::new(0);
        thread::scope(|s| {
            for _ in 0..2 {
                wg.add(1);
                s.spawn(|| {
                    n.fetch_add(1, Ordering::Relaxed);
                    wg.done();
                });
            }
            if i % 2 == 0 {
                wg.wait();
            } else {
                block_on(wg.wait_async());
            }
            assert_eq!(n.load(Ordering::Relaxed), 2);
        });
    }
}

#[test]
fn done_below_zero_panics_and_names_the_callers_line() {
    let wg = WaitGroup::new();
    wg.add(1);
    wg.done();
    let line = line!() + 1;
    let text = panic_of(|| wg.done());
    assert!(text.contains("negative WaitGroup counter"), "{text}");
    assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
    assert_eq!(wg.count(), 0, "it stays at zero");
    wg.wait();
}

#[test]
fn an_add_beyond_the_limit_panics_and_changes_nothing() {
    let wg = WaitGroup::new();
    wg.add(1);
    let text = panic_of(|| wg.add(u32::MAX as usize));
    assert!(text.contains(file!()), "{text}");
    assert_eq!(wg.count(), 1);
    wg.add(0);
    assert_eq!(wg.count(), 1);
}

#[test]
fn a_guard_counts_down_through_a_panic_and_elsewhere() {
    let wg = WaitGroup::new();
    let guard = wg.guard();
    let panics = thread::spawn(move || {
        let _guard = guard;
        std::panic::resume_unwind(Box::new(()));
    });
    wg.wait();
    assert!(panics.join().is_err());
    // Owned: it keeps the group, and a clone does not count.
    let clone = wg.clone();
    let guard = wg.guard();
    drop(wg);
    assert_eq!(clone.count(), 1);
    thread::spawn(move || drop(guard));
    clone.wait();
}

#[test]
fn a_bounded_wait_tells_whether_zero_came() {
    let wg = WaitGroup::new();
    assert!(wg.wait_timeout(Duration::ZERO), "it is at zero");
    wg.add(1);
    assert!(!wg.wait_timeout(Duration::ZERO));
    assert!(!wg.wait_timeout(Duration::from_millis(1)));
    thread::scope(|s| {
        s.spawn(|| assert!(wg.wait_timeout(Duration::MAX)));
        s.spawn(|| assert!(wg.wait_timeout(Duration::from_secs(60))));
        wg.done();
    });
}

#[test]
fn who_waited_before_the_zero_is_released_although_the_group_is_used_again() {
    let wg = WaitGroup::new();
    wg.add(1);
    let mut before = pin!(wg.wait_async());
    assert!(poll_once(before.as_mut()).is_pending());
    wg.done();
    wg.add(1);
    let mut after = pin!(wg.wait_async());
    assert!(poll_once(after.as_mut()).is_pending());
    assert!(poll_once(before).is_ready());
    wg.done();
    assert!(poll_once(after).is_ready());
}

#[test]
fn an_add_while_somebody_waits_is_waited_for_too() {
    let wg = WaitGroup::new();
    wg.add(1);
    let mut waiting = pin!(wg.wait_async());
    assert!(poll_once(waiting.as_mut()).is_pending());
    wg.add(1);
    wg.done();
    assert!(poll_once(waiting.as_mut()).is_pending());
    wg.done();
    assert!(poll_once(waiting).is_ready());
}

#[test]
fn a_dropped_wait_leaves_the_others_alone() {
    let wg = WaitGroup::new();
    wg.add(1);
    let mut dropped = Box::pin(wg.wait_async());
    let mut stays = pin!(wg.wait_async());
    assert!(poll_once(dropped.as_mut()).is_pending());
    assert!(poll_once(stays.as_mut()).is_pending());
    drop(dropped);
    wg.done();
    assert!(poll_once(stays).is_ready());
}

#[test]
fn adds_and_waits_from_everywhere_end() {
    let wg = WaitGroup::new();
    let running = AtomicUsize::new(0);
    thread::scope(|s| {
        for i in 0..4 {
            let (wg, running) = (&wg, &running);
            s.spawn(move || {
                for n in 0..300 {
                    let guard = wg.guard();
                    running.fetch_add(1, Ordering::SeqCst);
                    let mut early = Box::pin(wg.wait_async());
                    let _ = poll_once(early.as_mut());
                    running.fetch_sub(1, Ordering::SeqCst);
                    drop(guard);
                    match (n + i) % 3 {
                        0 => wg.wait(),
                        1 => block_on(wg.wait_async()),
                        _ => drop(early),
                    }
                }
            });
        }
    });
    wg.wait();
    assert_eq!((wg.count(), running.load(Ordering::SeqCst)), (0, 0));
}
