//! The mutex: exclusion, order, hand-over, cancellation.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Dice, LONG, assert_pending, assert_ready, block_on, poll_once, stress, within_reason,
};
use rendez_sync::{ArcMutexGuard, Mutex, MutexGuard};

#[test]
fn try_lock_fails_while_locked_and_succeeds_when_free() {
    let mutex = Mutex::new(());
    let held = mutex.lock();
    assert!(mutex.try_lock().is_none() && mutex.is_locked());
    drop(held);
    assert!(mutex.try_lock().is_some() && !mutex.is_locked());
}

#[test]
fn a_mutex_is_a_static_and_holds_the_unsized() {
    static COUNT: Mutex<u32> = Mutex::new(1);
    *COUNT.lock() += 1;
    assert_eq!(*COUNT.lock(), 2);
    let numbers: &Mutex<[u32]> = &Mutex::new([1, 2, 3]);
    numbers.lock().reverse();
    assert_eq!(format!("{numbers:?}"), "Mutex { data: [3, 2, 1] }");
    let shown: Arc<Mutex<dyn Debug + Send>> = Arc::new(Mutex::new("x"));
    assert_eq!(format!("{:?}", &*shown.lock_arc()), "\"x\"");
}

#[test]
fn default_from_get_mut_and_into_inner_reach_the_value() {
    let mut mutex = Mutex::from(String::from("a"));
    mutex.get_mut().push('b');
    assert_eq!(mutex.into_inner(), "ab");
    assert_eq!(Mutex::<u8>::default().into_inner(), 0);
}

#[test]
fn guards_and_futures_may_be_sent() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Sync>(_: &T) {}
    let mutex = Mutex::new(1);
    send(&mutex.lock_async());
    send(&Arc::new(Mutex::new(1)).lock_arc_async());
    sync(&mutex);
    let guard = mutex.lock();
    thread::scope(|s| s.spawn(move || drop(guard)).join().unwrap());
    assert!(mutex.try_lock().is_some(), "unlocked by another thread");
}

#[test]
fn a_panic_while_locked_unlocks() {
    let mutex = Mutex::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mutex.lock();
        panic!("while locked");
    }));
    assert!(panicked.is_err());
    assert_eq!(*mutex.lock(), 1);
}

#[test]
fn an_arc_guard_keeps_the_mutex_alive() {
    let mutex = Arc::new(Mutex::new(1));
    let guard = mutex.lock_arc();
    assert!(mutex.try_lock_arc().is_none());
    assert_eq!(Arc::strong_count(&mutex), 2);
    drop(guard);
    assert_eq!(Arc::strong_count(&mutex), 1);
}

#[test]
fn a_future_keeps_the_mutex_alive_and_needs_no_other() {
    let dropped = Arc::new(());
    let mutex = Arc::new(Mutex::new(Arc::clone(&dropped)));
    let held = mutex.lock_arc();
    let mut waits = Box::pin(mutex.lock_arc_async());
    drop(mutex);
    assert_pending(waits.as_mut());
    drop(held);
    let guard = assert_ready(waits.as_mut());
    drop(waits);
    assert_eq!(Arc::strong_count(&dropped), 2);
    drop(guard);
    assert_eq!(Arc::strong_count(&dropped), 1);
}

#[test]
fn a_future_that_keeps_the_mutex_may_be_dropped_at_any_point() {
    #[derive(Clone, Copy, Debug)]
    enum Dropped {
        Unpolled,
        InLine,
        Served,
        Done,
    }
    use Dropped::*;
    for fair in [false, true] {
        let unlock = |guard| match fair {
            true => ArcMutexGuard::unlock_fair(guard),
            false => drop(guard),
        };
        for dropped in [Unpolled, InLine, Served, Done] {
            let mutex = Arc::new(Mutex::new(()));
            let held = mutex.lock_arc();
            let mut gone = Box::pin(mutex.lock_arc_async());
            if !matches!(dropped, Unpolled) {
                assert_pending(gone.as_mut());
            }
            let mut next = Box::pin(mutex.lock_arc_async());
            assert_pending(next.as_mut());
            match dropped {
                Unpolled | InLine => {
                    drop(gone);
                    assert_eq!(Arc::strong_count(&mutex), 3);
                    unlock(held);
                }
                Served => {
                    unlock(held);
                    drop(gone);
                }
                Done => {
                    unlock(held);
                    let guard = assert_ready(gone.as_mut());
                    drop(gone);
                    assert!(mutex.is_locked());
                    unlock(guard);
                }
            }
            drop(assert_ready(next.as_mut()));
            drop(next);
            assert!(!mutex.is_locked(), "{dropped:?}");
            assert_eq!(Arc::strong_count(&mutex), 1, "{dropped:?}");
        }
    }
}

#[test]
fn a_guard_can_be_narrowed() {
    let mutex = Mutex::new((1, 2));
    *MutexGuard::map(mutex.lock(), |pair| &mut pair.1) += 1;
    assert_eq!(mutex.into_inner(), (1, 3));
}

#[test]
fn lock_timeout_gives_up_and_leaves_the_line() {
    let mutex = Mutex::new(());
    let held = mutex.lock();
    let start = Instant::now();
    assert!(mutex.lock_timeout(Duration::from_millis(5)).is_none());
    assert!(start.elapsed() >= Duration::from_millis(5));
    assert!(mutex.lock_timeout(Duration::ZERO).is_none());
    drop(held);
    assert!(mutex.lock_timeout(Duration::ZERO).is_some());
    assert!(mutex.lock_timeout(Duration::MAX).is_some());
}

#[test]
fn those_who_wait_are_handed_the_lock_in_order() {
    let mutex = Mutex::new(());
    let held = mutex.lock();
    let mut line: Vec<_> = (0..4).map(|_| Box::pin(mutex.lock_async())).collect();
    line.iter_mut().for_each(|f| assert_pending(f.as_mut()));
    Mutex::unlock_fair(held);
    for i in 0..4 {
        for later in &mut line[i + 1..] {
            assert_pending(later.as_mut());
        }
        let guard = assert_ready(line[i].as_mut());
        Mutex::unlock_fair(guard);
    }
    assert!(!mutex.is_locked());
}

#[test]
fn a_newcomer_may_take_the_lock_and_who_was_woken_keeps_its_place() {
    // Only while the waiter is young: on a busy machine it may have aged, so try again.
    let barged = (0..1000).any(|_| {
        let mutex = Mutex::new(());
        let held = mutex.lock();
        let mut first = pin!(mutex.lock_async());
        let mut second = pin!(mutex.lock_async());
        assert_pending(first.as_mut());
        assert_pending(second.as_mut());
        drop(held);
        let Some(barger) = mutex.try_lock() else {
            return false;
        };
        assert_pending(first.as_mut());
        Mutex::unlock_fair(barger);
        assert_pending(second.as_mut());
        drop(assert_ready(first.as_mut()));
        true
    });
    assert!(barged);
}

#[test]
fn an_old_waiter_is_handed_the_lock_past_newcomers() {
    let mutex = Mutex::new(());
    let held = mutex.lock();
    let mut waiter = pin!(mutex.lock_async());
    assert_pending(waiter.as_mut());
    thread::sleep(Duration::from_millis(3));
    drop(held);
    assert!(mutex.try_lock().is_none(), "nobody overtakes it");
    drop(assert_ready(waiter.as_mut()));
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_future_dropped_in_line_leaves_no_trace() {
    let mutex = Mutex::new(());
    let held = mutex.lock();
    let mut gone = Box::pin(mutex.lock_async());
    let mut stays = pin!(mutex.lock_async());
    assert_pending(gone.as_mut());
    assert_pending(stays.as_mut());
    drop(gone);
    Mutex::unlock_fair(held);
    drop(assert_ready(stays.as_mut()));
    assert!(!mutex.is_locked());
}

#[test]
fn a_dropped_future_passes_on_what_it_was_handed_or_woken_for() {
    for fair in [false, true] {
        let mutex = Mutex::new(());
        let held = mutex.lock();
        let mut gone = Box::pin(mutex.lock_async());
        let mut next = pin!(mutex.lock_async());
        assert_pending(gone.as_mut());
        assert_pending(next.as_mut());
        if fair {
            Mutex::unlock_fair(held);
        } else {
            drop(held);
        }
        drop(gone);
        drop(assert_ready(next.as_mut()));
        assert!(mutex.try_lock().is_some());
    }
}

#[test]
fn a_task_is_woken_by_a_thread_and_a_thread_by_a_task() {
    within_reason(|| {
        let mutex = Arc::new(Mutex::new(0));
        let theirs = Arc::clone(&mutex);
        let tasks = thread::spawn(move || {
            block_on(async {
                for _ in 0..1000 {
                    *theirs.lock_async().await += 1;
                }
            });
        });
        for _ in 0..1000 {
            *mutex.lock() += 1;
        }
        tasks.join().unwrap();
        assert_eq!(*mutex.lock(), 2000);
    });
}

#[test]
fn whoever_locks_in_a_loop_does_not_starve_the_others() {
    within_reason(|| {
        let mutex = Arc::new(Mutex::new(()));
        let done = Arc::new(AtomicBool::new(false));
        let (theirs, stop) = (Arc::clone(&mutex), Arc::clone(&done));
        let hog = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let _guard = theirs.lock();
                thread::sleep(Duration::from_micros(100));
            }
        });
        let start = Instant::now();
        for i in 0..20 {
            thread::sleep(Duration::from_micros(100));
            if i % 2 == 0 {
                drop(mutex.lock());
            } else {
                drop(block_on(mutex.lock_async()));
            }
        }
        assert!(start.elapsed() < Duration::from_secs(10));
        done.store(true, Ordering::Relaxed);
        hog.join().unwrap();
    });
}

#[test]
fn threads_tasks_timeouts_and_cancellations_exclude_each_other() {
    stress(|round| {
        // The value is changed in two steps, so that two at once would be seen.
        let mutex = Arc::new(Mutex::new((0_u64, 0_u64)));
        let enter = |mut guard: MutexGuard<'_, (u64, u64)>| {
            guard.0 += 1;
            assert_eq!(guard.0, guard.1 + 1);
            guard.1 += 1;
            1
        };
        let workers: Vec<_> = (0..6)
            .map(|i| {
                let mutex = Arc::clone(&mutex);
                thread::spawn(move || {
                    let mut dice = Dice::new(round + i);
                    let mut entered = 0;
                    for _ in 0..500 {
                        entered += match dice.below(7) {
                            0 => mutex.try_lock().map_or(0, enter),
                            1 => block_on(async { enter(mutex.lock_async().await) }),
                            2 => {
                                let mut future = Box::pin(mutex.lock_async());
                                match poll_once(future.as_mut()) {
                                    std::task::Poll::Ready(guard) => enter(guard),
                                    std::task::Poll::Pending => 0,
                                }
                            }
                            3 => {
                                let timeout = Duration::from_micros(dice.below(200));
                                mutex.lock_timeout(timeout).map_or(0, enter)
                            }
                            4 => mutex.lock_timeout(LONG).map_or(0, enter),
                            5 => {
                                Mutex::unlock_fair(mutex.lock());
                                0
                            }
                            _ => enter(mutex.lock()),
                        };
                    }
                    entered
                })
            })
            .collect();
        let entered = workers.into_iter().map(|w| w.join().unwrap()).sum::<u64>();
        assert_eq!(*mutex.lock(), (entered, entered));
    });
}
