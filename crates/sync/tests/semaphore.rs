//! The semaphore: order, weights, sizes, closing, selects.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use common::{
    Dice, LONG, assert_pending, assert_ready, block_on, poll_once, stress, within_reason,
};
use rendez_core::case::{Arm, Case};
use rendez_core::wait::{self, CaseFuture, Order};
use rendez_sync::{AcquireError, Semaphore};

#[test]
fn try_acquire_and_acquire_follow_the_table() {
    let semaphore = Semaphore::new(2);
    let first = semaphore.acquire(1).unwrap();
    let second = semaphore.try_acquire(1).unwrap();
    assert!(semaphore.try_acquire(1).is_none());
    assert!(semaphore.try_acquire_all().is_none());
    drop((first, second));
    let both = semaphore.try_acquire_all().unwrap();
    assert_eq!((both.count(), semaphore.available()), (2, 0));
    assert_eq!(semaphore.acquire(0).unwrap().count(), 0);
}

#[test]
fn more_than_the_size_fails_at_once_and_blocks_nobody() {
    let semaphore = Semaphore::new(2);
    assert_eq!(semaphore.acquire(3).unwrap_err(), AcquireError::TooMany);
    let wait = semaphore.acquire_timeout(3, LONG);
    assert_eq!(wait.unwrap_err(), AcquireError::TooMany);
    let future = pin!(semaphore.acquire_async(3));
    assert_eq!(assert_ready(future).unwrap_err(), AcquireError::TooMany);
    assert!(semaphore.try_acquire(3).is_none());
    assert!(semaphore.try_acquire(2).is_some());
}

#[test]
fn the_first_in_line_blocks_everybody_behind_it() {
    let semaphore = Semaphore::new(3);
    let mut held = semaphore.acquire(3).unwrap();
    let mut large = pin!(semaphore.acquire_async(2));
    let mut small = pin!(semaphore.acquire_async(1));
    assert_pending(large.as_mut());
    assert_pending(small.as_mut());
    drop(held.split(1));
    assert_pending(large.as_mut());
    assert_pending(small.as_mut());
    assert!(semaphore.try_acquire(1).is_none(), "a try overtakes nobody");
    assert!(semaphore.try_acquire_all().is_none());
    drop(held);
    let large = assert_ready(large).unwrap();
    let small = assert_ready(small).unwrap();
    assert_eq!((large.count(), small.count()), (2, 1));
}

#[test]
fn cancelling_the_first_in_line_lets_the_next_proceed() {
    let semaphore = Semaphore::new(2);
    let _held = semaphore.acquire(1).unwrap();
    let mut large = Box::pin(semaphore.acquire_async(2));
    let mut small = pin!(semaphore.acquire_async(1));
    assert_pending(large.as_mut());
    assert_pending(small.as_mut());
    drop(large);
    assert_eq!(assert_ready(small).unwrap().count(), 1);
}

#[test]
fn permits_granted_to_a_dropped_future_pass_on() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.acquire(1).unwrap();
    let mut gone = Box::pin(semaphore.acquire_async(1));
    let mut next = pin!(semaphore.acquire_async(1));
    assert_pending(gone.as_mut());
    assert_pending(next.as_mut());
    drop(held);
    assert_pending(next.as_mut());
    drop(gone);
    drop(assert_ready(next).unwrap());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn acquire_timeout_gives_up_and_leaves_the_line() {
    let semaphore = Semaphore::new(2);
    let held = semaphore.acquire(1).unwrap();
    let short = Duration::from_millis(2);
    assert!(semaphore.acquire_timeout(2, short).unwrap().is_none());
    assert!(
        semaphore
            .acquire_timeout(1, Duration::ZERO)
            .unwrap()
            .is_some()
    );
    drop(held);
    let both = semaphore.acquire_timeout(2, Duration::MAX).unwrap();
    assert_eq!(both.unwrap().count(), 2);
}

#[test]
fn permits_split_merge_and_are_forgotten() {
    let semaphore = Semaphore::new(5);
    let mut permit = semaphore.acquire(4).unwrap();
    assert!(permit.split(5).is_none());
    assert_eq!(permit.count(), 4);
    let one = permit.split(1).unwrap();
    permit.split(1).unwrap().forget();
    permit.merge(one);
    assert_eq!(permit.count(), 3);
    drop(permit);
    assert_eq!((semaphore.available(), semaphore.size()), (4, 5));
}

#[test]
fn merging_permits_of_two_semaphores_panics_and_loses_none() {
    let (a, b) = (Semaphore::new(1), Semaphore::new(1));
    let mut permit = a.acquire(1).unwrap();
    let foreign = b.acquire(1).unwrap();
    let merged = catch_unwind(AssertUnwindSafe(|| permit.merge(foreign)));
    assert!(merged.is_err());
    assert_eq!((permit.count(), b.available()), (1, 1));
}

#[test]
fn close_fails_those_who_wait_and_those_who_come() {
    let semaphore = Semaphore::new(1);
    let held = semaphore.acquire(1).unwrap();
    let mut waiting = pin!(semaphore.acquire_async(1));
    assert_pending(waiting.as_mut());
    assert!(semaphore.close());
    assert!(!semaphore.close() && semaphore.is_closed());
    assert_eq!(assert_ready(waiting).unwrap_err(), AcquireError::Closed);
    drop(held);
    assert_eq!(semaphore.acquire(1).unwrap_err(), AcquireError::Closed);
    assert_eq!(semaphore.acquire(9).unwrap_err(), AcquireError::Closed);
    assert!(semaphore.try_acquire(1).is_none() && semaphore.try_acquire_all().is_none());
}

#[test]
fn a_larger_size_serves_those_who_wait() {
    let semaphore = Semaphore::new(1);
    let _held = semaphore.acquire(1).unwrap();
    let mut waiting = pin!(semaphore.acquire_async(1));
    assert_pending(waiting.as_mut());
    semaphore.set_size(3);
    let _permit = assert_ready(waiting).unwrap();
    assert_eq!((semaphore.available(), semaphore.size()), (1, 3));
}

#[test]
fn a_smaller_size_takes_effect_as_permits_come_back() {
    let semaphore = Semaphore::new(4);
    let mut held = semaphore.acquire(3).unwrap();
    let mut large = pin!(semaphore.acquire_async(3));
    let mut small = pin!(semaphore.acquire_async(1));
    assert_pending(large.as_mut());
    assert_pending(small.as_mut());
    semaphore.set_size(1);
    assert_eq!(assert_ready(large).unwrap_err(), AcquireError::TooMany);
    assert_pending(small.as_mut());
    drop(held.split(2));
    assert_pending(small.as_mut());
    drop(held);
    drop(assert_ready(small).unwrap());
    assert_eq!((semaphore.available(), semaphore.size()), (1, 1));
    semaphore.set_size(2);
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn a_debt_is_paid_by_a_larger_size_too() {
    let semaphore = Semaphore::new(3);
    let held = semaphore.acquire(3).unwrap();
    semaphore.set_size(0);
    semaphore.set_size(2);
    assert_eq!(semaphore.available(), 0);
    drop(held);
    assert_eq!(semaphore.available(), 2);
}

#[test]
fn a_semaphore_may_be_a_static_and_huge() {
    static BYTES: Semaphore = Semaphore::new(Semaphore::MAX_SIZE);
    let all = BYTES.acquire(Semaphore::MAX_SIZE).unwrap();
    drop(all);
    assert_eq!(BYTES.available(), Semaphore::MAX_SIZE);
    assert!(catch_unwind(|| Semaphore::new(usize::MAX)).is_err() || usize::BITS < 64);
}

#[test]
fn a_select_takes_from_one_of_two_and_leaves_the_other() {
    let (a, b) = (Semaphore::new(1), Semaphore::new(1));
    let held = a.acquire(1).unwrap();
    let (first, second) = (a.permit(1), b.permit(1));
    let arms: [&dyn Case; 2] = [&first, &second];
    let (arm, outcome) = wait::block_any(&arms, None, Order::Fair, Location::caller()).unwrap();
    assert_eq!(arm, 1);
    let permit = second.finish(outcome).unwrap();
    assert!(wait::try_any(&arms, Order::Fair).is_none());
    drop(held);
    assert_eq!(a.available(), 1, "nobody is left in its line");
    drop(permit);
}

#[test]
fn an_epoch_changes_whenever_the_arm_becomes_ready() {
    let semaphore = Semaphore::new(1);
    let mut epochs = vec![];
    let mut look = |ready| {
        let probe = semaphore.permit(1).probe();
        assert_eq!(probe.ready, ready);
        epochs.push(probe.epoch);
    };
    let held = semaphore.acquire(1).unwrap();
    look(false);
    drop(held);
    look(true);
    let held = semaphore.acquire(1).unwrap();
    semaphore.set_size(2);
    look(true);
    semaphore.set_size(1);
    look(false);
    semaphore.close();
    look(true);
    drop(held);
    let n = epochs.len();
    epochs.dedup();
    assert!(epochs.len() >= n - 1 && epochs.is_sorted());
}

#[test]
fn weights_never_exceed_the_size_under_stress() {
    const SIZE: usize = 7;
    stress(|round| {
        let semaphore = Arc::new(Semaphore::new(SIZE));
        let inside = Arc::new(AtomicUsize::new(0));
        let workers: Vec<_> = (0..6)
            .map(|i| {
                let (semaphore, inside) = (Arc::clone(&semaphore), Arc::clone(&inside));
                thread::spawn(move || {
                    let mut dice = Dice::new(round + i);
                    for _ in 0..500 {
                        let n = dice.below(SIZE as u64 + 1) as usize;
                        let short = Duration::from_micros(dice.below(100));
                        let permit = match dice.below(6) {
                            0 => semaphore.try_acquire(n),
                            1 => Some(block_on(semaphore.acquire_async(n)).unwrap()),
                            2 => semaphore.acquire_timeout(n, short).unwrap(),
                            3 => {
                                drop(poll_once(Box::pin(semaphore.acquire_async(n)).as_mut()));
                                None
                            }
                            4 => {
                                let case = CaseFuture::new(semaphore.permit(n), Location::caller());
                                Some(block_on(case).unwrap())
                            }
                            _ => Some(semaphore.acquire(n).unwrap()),
                        };
                        if let Some(permit) = permit {
                            let now = inside.fetch_add(n, Ordering::SeqCst) + n;
                            assert!(now <= SIZE, "{now}");
                            inside.fetch_sub(n, Ordering::SeqCst);
                            drop(permit);
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().for_each(|w| w.join().unwrap());
        assert_eq!(semaphore.available(), SIZE);
    });
}

#[test]
fn a_large_request_is_not_starved_by_small_ones() {
    within_reason(|| {
        let semaphore = Arc::new(Semaphore::new(2));
        let small: Vec<_> = (0..3)
            .map(|_| {
                let semaphore = Arc::clone(&semaphore);
                thread::spawn(move || {
                    while semaphore.acquire(1).is_ok() {
                        thread::yield_now();
                    }
                })
            })
            .collect();
        for _ in 0..20 {
            drop(semaphore.acquire(2).unwrap());
        }
        semaphore.close();
        small.into_iter().for_each(|s| s.join().unwrap());
    });
}

#[test]
fn owned_permits_stand_in_the_same_line_and_cancel_safely() {
    let semaphore = Arc::new(Semaphore::new(2));
    let mut both = semaphore.acquire_owned(2).unwrap();
    let mut first = Box::pin(semaphore.acquire_owned_async(2));
    let mut second = Box::pin(semaphore.acquire_async(1));
    let mut third = Box::pin(semaphore.acquire_owned_async(1));
    assert_pending(first.as_mut());
    assert_pending(second.as_mut());
    assert_pending(third.as_mut());
    drop(both.split(1));
    assert_pending(second.as_mut());
    // It leaves the line, and who asks for less moves up.
    drop(first);
    let second = assert_ready(second.as_mut()).unwrap();
    // Granted and never polled: the permit goes on to the next.
    drop(both);
    let mut last = Box::pin(semaphore.acquire_owned_async(1));
    assert_pending(last.as_mut());
    drop(third);
    let fourth = assert_ready(last.as_mut()).unwrap();
    drop(last);
    assert!(Arc::ptr_eq(fourth.semaphore(), &semaphore));
    assert_eq!(semaphore.available(), 0);
    drop((second, fourth));
    assert_eq!(semaphore.available(), 2);
    assert_eq!(Arc::strong_count(&semaphore), 1);
    semaphore.acquire_owned(1).unwrap().forget();
    assert_eq!(
        (semaphore.available(), Arc::strong_count(&semaphore)),
        (1, 1)
    );
    semaphore.close();
    assert_eq!(
        semaphore.acquire_owned(1).unwrap_err(),
        AcquireError::Closed
    );
}
