//! Atomic: whole values, none lost.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;
use std::thread;

use common::within_reason;
use rendez_sync::Atomic;

#[test]
fn a_value_is_loaded_stored_swapped_and_compared() {
    let atomic = Atomic::new(1);
    let first = atomic.load();
    atomic.store(2);
    assert_eq!(*atomic.swap(Arc::new(3)), 2);
    assert!(!atomic.compare_and_swap(&first, 4));
    assert!(
        !atomic.compare_and_swap(&Arc::new(3), 4),
        "equal, but another"
    );
    assert!(atomic.compare_and_swap(&atomic.load(), 4));
    assert_eq!(atomic.with(|n| *n), 4);
    assert_eq!(format!("{atomic:?}"), "Atomic(4)");
    assert_eq!((*first, *atomic.into_inner()), (1, 4));
    assert_eq!(*Atomic::<u8>::default().load(), 0);
}

#[test]
fn what_is_replaced_is_dropped_once() {
    let counted = Arc::new(());
    let atomic = Atomic::new(Some(Arc::clone(&counted)));
    let loaded = atomic.load();
    atomic.store(None);
    assert_eq!(Arc::strong_count(&counted), 2, "still loaded");
    drop(loaded);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn readers_see_no_torn_value() {
    within_reason(|| {
        let atomic = Atomic::new([0_u64; 8]);
        thread::scope(|s| {
            for writer in 1..3 {
                let atomic = &atomic;
                s.spawn(move || (0..2000).for_each(|n| atomic.store([n * writer; 8])));
            }
            for _ in 0..2 {
                s.spawn(|| {
                    for _ in 0..2000 {
                        let seen = atomic.load();
                        assert_eq!(*seen, [seen[0]; 8]);
                        assert!(atomic.with(|seen| *seen == [seen[0]; 8]));
                    }
                });
            }
        });
    });
}

#[test]
fn swaps_lose_nothing() {
    within_reason(|| {
        const EACH: u64 = 1000;
        let (swapped, counted) = (Atomic::new(0), Atomic::new(0));
        let sum: u64 = thread::scope(|s| {
            let threads: Vec<_> = (0..3)
                .map(|i| {
                    let (swapped, counted) = (&swapped, &counted);
                    s.spawn(move || {
                        let mut sum = 0;
                        for n in 1..=EACH {
                            sum += *swapped.swap(i * EACH + n);
                            while {
                                let old = counted.load();
                                !counted.compare_and_swap(&old, *old + 1)
                            } {}
                        }
                        sum
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(sum + *swapped.load(), (1..=3 * EACH).sum());
        assert_eq!(*counted.load(), 3 * EACH);
    });
}

#[test]
fn of_two_stores_and_loads_crosswise_one_is_seen() {
    within_reason(|| {
        for _ in 0..2000 {
            let (x, y) = (Atomic::new(0), Atomic::new(0));
            let [a, b] = thread::scope(|s| {
                let a = s.spawn(|| {
                    x.store(1);
                    *y.load()
                });
                let b = s.spawn(|| {
                    y.store(1);
                    *x.load()
                });
                [a.join().unwrap(), b.join().unwrap()]
            });
            assert!(a == 1 || b == 1);
        }
    });
}
