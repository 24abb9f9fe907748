//! Pool: no object has two holders, objects come back, and none is kept for nothing.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Dice, stress, within_reason};
use rendez_sync::{Pool, Pooled};

#[test]
fn an_object_comes_back_to_its_thread_as_it_was_left() {
    let pool = Pool::new(Vec::new);
    pool.get().push(1);
    assert_eq!(*pool.get(), [1]);
    let (held, other) = (pool.get(), pool.get());
    assert_eq!((held.len(), other.len()), (1, 0));
}

#[test]
fn an_object_detached_does_not_come_back() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let pool = Pool::new(move || counted.fetch_add(1, Ordering::Relaxed));
    assert_eq!(pool.get().detach(), 0);
    assert_eq!(pool.get().detach(), 1);
    pool.put(7);
    assert_eq!(*pool.get(), 7);
}

#[test]
fn objects_go_from_thread_to_thread() {
    within_reason(|| {
        let pool = Pool::new(|| 0);
        let held: Vec<Pooled<'_, i32>> = (1..=5)
            .map(|n| {
                let mut object = pool.get();
                *object = n;
                object
            })
            .collect();
        // Dropped elsewhere: one stays with that thread, the others are for all.
        thread::scope(|s| s.spawn(|| drop(held)).join().unwrap());
        let mut seen: Vec<_> = (0..4).map(|_| pool.get().detach()).collect();
        seen.sort_unstable();
        assert!(seen.iter().all(|n| (1..=5).contains(n)), "{seen:?}");
    });
}

#[test]
fn no_more_are_kept_than_allowed() {
    let counted = Arc::new(());
    let theirs = Arc::clone(&counted);
    let pool = Pool::with_capacity(2, move || Arc::clone(&theirs));
    let held: Vec<_> = (0..10).map(|_| pool.get()).collect();
    assert_eq!(Arc::strong_count(&counted), 12);
    drop(held);
    assert_eq!(
        Arc::strong_count(&counted),
        2 + 3,
        "one at hand, two shared"
    );
    pool.clear();
    assert_eq!(Arc::strong_count(&counted), 2);
    drop(pool);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn what_a_burst_left_goes_when_nobody_needs_it() {
    within_reason(|| {
        let counted = Arc::new(());
        let theirs = Arc::clone(&counted);
        let pool = Pool::new(move || Arc::clone(&theirs));
        drop((0..20).map(|_| pool.get()).collect::<Vec<_>>());
        assert_eq!(Arc::strong_count(&counted), 2 + 20);
        // Two at a time are in use from now on.
        let start = Instant::now();
        while Arc::strong_count(&counted) > 2 + 3 {
            assert!(start.elapsed() < Duration::from_secs(50), "{pool:?}");
            drop((pool.get(), pool.get()));
            thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_clear_reaches_other_threads_when_they_come() {
    within_reason(|| {
        let pool = Pool::new(|| 0);
        let (kept, cleared) = (AtomicBool::new(false), AtomicBool::new(false));
        thread::scope(|s| {
            let (kept, cleared, pool) = (&kept, &cleared, &pool);
            let other = s.spawn(move || {
                *pool.get() = 1;
                kept.store(true, Ordering::Release);
                while !cleared.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                *pool.get()
            });
            while !kept.load(Ordering::Acquire) {
                thread::yield_now();
            }
            pool.clear();
            cleared.store(true, Ordering::Release);
            assert_eq!(other.join().unwrap(), 0);
        });
    });
}

#[test]
fn a_maker_that_panics_leaves_the_pool_as_it_was() {
    let fails = Arc::new(AtomicBool::new(true));
    let theirs = Arc::clone(&fails);
    let pool = Pool::new(move || assert!(!theirs.load(Ordering::Relaxed)));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(pool.get()))).is_err());
    fails.store(false, Ordering::Relaxed);
    drop(pool.get());
}

#[test]
fn an_object_that_uses_the_pool_as_it_is_dropped_may() {
    struct Nosy(&'static Pool<Option<Nosy>>);
    impl Drop for Nosy {
        fn drop(&mut self) {
            drop(self.0.get());
        }
    }
    within_reason(|| {
        let pool: &'static Pool<Option<Nosy>> =
            Box::leak(Box::new(Pool::with_capacity(1, || None)));
        for _ in 0..3 {
            let mut held: Vec<_> = (0..4).map(|_| pool.get()).collect();
            held.iter_mut()
                .for_each(|object| **object = Some(Nosy(pool)));
            drop(held);
            pool.clear();
        }
    });
}

#[test]
fn a_pool_may_be_used_as_a_thread_ends() {
    struct AtExit(&'static Pool<u8>);
    impl Drop for AtExit {
        fn drop(&mut self) {
            *self.0.get() += 1;
        }
    }
    thread_local!(static AT_EXIT: std::cell::OnceCell<AtExit> = const { std::cell::OnceCell::new() });
    within_reason(|| {
        let pool: &'static Pool<u8> = Box::leak(Box::new(Pool::default()));
        for _ in 0..3 {
            let set = move || AT_EXIT.with(|at_exit| at_exit.get_or_init(|| AtExit(pool)).0.get());
            thread::spawn(move || drop(set())).join().unwrap();
        }
        assert!(format!("{pool:?}").contains("capacity"));
    });
}

#[test]
fn no_object_has_two_holders() {
    stress(|seed| {
        let made = Arc::new(AtomicUsize::new(0));
        let theirs = Arc::clone(&made);
        let pool = Pool::with_capacity(3, move || {
            theirs.fetch_add(1, Ordering::Relaxed);
            AtomicBool::new(false)
        });
        // More threads than sit at once, one generation after the other.
        for generation in 0..3 {
            thread::scope(|s| {
                for i in 0..4 {
                    let pool = &pool;
                    let mut dice = Dice::new(seed + generation * 4 + i);
                    s.spawn(move || {
                        let mut held: Vec<Pooled<'_, AtomicBool>> = Vec::new();
                        for _ in 0..200 {
                            if dice.below(2) == 0 && held.len() < 3 {
                                let object = pool.get();
                                assert!(!object.swap(true, Ordering::Relaxed), "it is held");
                                held.push(object);
                            } else if let Some(object) = held.pop() {
                                object.store(false, Ordering::Relaxed);
                            }
                            if dice.below(50) == 0 {
                                pool.clear();
                            }
                        }
                        held.iter().for_each(|o| o.store(false, Ordering::Relaxed));
                    });
                }
            });
        }
        assert!(made.load(Ordering::Relaxed) >= 1);
    });
}
