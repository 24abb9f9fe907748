//! Barrier: nobody passes before all have come, one of them leads, and it can be reused.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::{Dice, assert_pending, assert_ready, block_on, poll_once, stress};
use rendez_sync::Barrier;

#[test]
fn the_last_to_come_leads_and_lets_all_go() {
    let barrier = Barrier::new(3);
    let mut first = pin!(barrier.wait_async());
    let mut second = pin!(barrier.wait_async());
    assert_pending(first.as_mut());
    assert_pending(second.as_mut());
    assert!(barrier.wait().is_leader());
    assert!(!assert_ready(first).is_leader());
    assert!(!assert_ready(second).is_leader());
}

#[test]
fn a_barrier_for_one_or_none_holds_nobody_up() {
    for n in [0, 1] {
        let barrier = Barrier::new(n);
        assert!(barrier.wait().is_leader());
        assert!(assert_ready(pin!(barrier.wait_async())).is_leader());
    }
}

#[test]
fn whoever_gives_up_has_not_come() {
    let barrier = Barrier::new(2);
    let mut gone = Box::pin(barrier.wait_async());
    assert_pending(gone.as_mut());
    drop(gone);
    drop(barrier.wait_async());
    let mut first = pin!(barrier.wait_async());
    assert_pending(first.as_mut());
    assert!(assert_ready(pin!(barrier.wait_async())).is_leader());
    assert!(!assert_ready(first).is_leader());
}

#[test]
fn whoever_was_let_go_and_is_dropped_has_come() {
    let barrier = Barrier::new(2);
    let mut served = Box::pin(barrier.wait_async());
    assert_pending(served.as_mut());
    assert!(barrier.wait().is_leader());
    drop(served);
    let mut next = pin!(barrier.wait_async());
    assert_pending(next.as_mut());
    assert!(barrier.wait().is_leader());
    assert_ready(next);
}

#[test]
fn rounds_do_not_mix_and_each_has_one_leader() {
    stress(|seed| {
        const N: usize = 3;
        const ROUNDS: usize = 50;
        let barrier = Barrier::new(N);
        let (come, leaders) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|s| {
            for i in 0..N as u64 {
                let (barrier, come, leaders) = (&barrier, &come, &leaders);
                let mut dice = Dice::new(seed + i);
                s.spawn(move || {
                    for round in 1..=ROUNDS {
                        come.fetch_add(1, Ordering::SeqCst);
                        let end = match dice.below(3) {
                            0 => barrier.wait(),
                            1 => block_on(barrier.wait_async()),
                            _ => {
                                drop(barrier.wait_async());
                                barrier.wait()
                            }
                        };
                        // Nobody of the next round passes before all have come to it.
                        let now = come.load(Ordering::SeqCst);
                        assert!((round * N..=(round + 1) * N).contains(&now), "{now}");
                        leaders.fetch_add(usize::from(end.is_leader()), Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(leaders.load(Ordering::SeqCst), ROUNDS);
        assert!(poll_once(Box::pin(barrier.wait_async()).as_mut()).is_pending());
    });
}
