//! What the feature `deadlock-detect` finds, and what it leaves alone.
#![cfg(feature = "deadlock-detect")]
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::await_holding_lock
)]

mod common;

use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex as StdMutex, mpsc};
use std::thread;
use std::time::Duration;

use common::{assert_pending, block_on, poll_once, within_reason};
use rendez_sync::deadlock::{self, Hazard, Report};
use rendez_sync::{
    Cond, MappedMutexGuard, Mutex, MutexGuard, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard,
};

/// The reports that `f` and the threads it starts give rise to. One caller at a time.
fn reports_of(f: impl FnOnce()) -> Vec<Report> {
    static ONE: StdMutex<()> = StdMutex::new(());
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let (tx, rx) = mpsc::channel();
    let tx = StdMutex::new(tx);
    deadlock::set_hook(move |report| {
        let _ = tx.lock().unwrap().send(report.clone());
    });
    let end = catch_unwind(AssertUnwindSafe(f));
    assert!(deadlock::take_hook());
    if let Err(payload) = end {
        std::panic::resume_unwind(payload);
    }
    rx.try_iter().collect()
}

fn hazards_of(f: impl FnOnce()) -> Vec<Hazard> {
    reports_of(f).iter().map(Report::hazard).collect()
}

/// Runs `f` on a thread of its own and waits for it; whether it panicked.
fn apart(f: impl FnOnce() + Send) -> bool {
    thread::scope(|s| s.spawn(f).join().is_err())
}

#[track_caller]
fn here() -> &'static Location<'static> {
    Location::caller()
}

#[test]
fn a_lock_taken_twice_panics_with_both_places() {
    let mutex = Mutex::new(());
    let (mut first, mut second) = (here(), here());
    let reports = reports_of(|| {
        let held = {
            first = here();
            mutex.lock()
        };
        let again = catch_unwind(AssertUnwindSafe(|| {
            second = here();
            drop(mutex.lock());
        }));
        let text = *again.unwrap_err().downcast::<String>().unwrap();
        for place in [first, second] {
            let place = format!("{}:{}", place.file(), place.line() + 1);
            assert!(text.contains(&place), "{text} does not name {place}");
        }
        drop(held);
        drop(mutex.lock());
    });
    let [report] = &reports[..] else {
        panic!("{reports:?}")
    };
    assert_eq!((report.hazard(), report.steps().len()), (Hazard::Relock, 1));
    let step = report.steps()[0];
    assert_eq!(step.held_since().line(), first.line() + 1);
    assert_eq!(step.wanted_at().line(), second.line() + 1);
    assert!(step.goroutine().is_some());
}

#[test]
fn exclusive_holds_of_a_read_write_lock_exclude_their_owner() {
    let lock = RwLock::new(());
    let panics = |f: &dyn Fn()| catch_unwind(AssertUnwindSafe(f)).is_err();
    let hazards = hazards_of(|| {
        let reading = lock.read();
        assert!(panics(&|| drop(lock.write())));
        drop(reading);
        let writing = lock.write();
        assert!(panics(&|| drop(lock.write())));
        assert!(panics(&|| drop(lock.read())));
        assert!(panics(&|| drop(lock.upgradable_read())));
        let reading = RwLockWriteGuard::downgrade(writing);
        assert!(panics(&|| drop(lock.write())));
        drop(reading);
        let first = lock.upgradable_read();
        assert!(panics(&|| drop(lock.upgradable_read())));
        let writing = RwLockUpgradableReadGuard::upgrade(first);
        assert!(panics(&|| drop(lock.read())));
        let first = RwLockWriteGuard::downgrade_to_upgradable(writing);
        assert!(panics(&|| drop(lock.upgradable_read())));
        drop(RwLockUpgradableReadGuard::downgrade(first));
        drop(lock.write());
    });
    assert_eq!(hazards, [Hazard::Relock; 8]);
}

#[test]
fn an_upgrade_beside_a_read_of_ones_own_panics() {
    let lock = RwLock::new(());
    let hazards = hazards_of(|| {
        let first = lock.upgradable_read();
        let reading = lock.read();
        let upgrade = AssertUnwindSafe(|| drop(RwLockUpgradableReadGuard::upgrade(first)));
        assert!(catch_unwind(upgrade).is_err());
        drop(reading);
        drop(lock.write());
    });
    assert_eq!(hazards, [Hazard::RecursiveRead, Hazard::Relock]);
}

#[test]
fn a_recursive_read_is_told_once_and_panics_when_a_writer_waits() {
    within_reason(|| {
        let lock = RwLock::new(());
        let hazards = hazards_of(|| {
            for _ in 0..2 {
                drop((lock.read(), lock.read()));
            }
            let reading = lock.read();
            thread::scope(|s| {
                let writer = s.spawn(|| drop(lock.write()));
                while lock.try_read().is_some() {
                    thread::yield_now();
                }
                let again = catch_unwind(AssertUnwindSafe(|| drop(lock.read())));
                drop(reading);
                assert!(again.is_err());
                writer.join().unwrap();
            });
        });
        assert_eq!(hazards, [Hazard::RecursiveRead, Hazard::Relock]);
    });
}

#[test]
fn reads_by_several_goroutines_are_no_hazard() {
    let lock = RwLock::new(());
    let hazards = hazards_of(|| {
        let reading = lock.read();
        assert!(!apart(|| drop(lock.read())));
        drop(reading);
        drop(lock.write());
    });
    assert_eq!(hazards, []);
}

#[test]
fn two_orders_that_never_meet_are_reported_once_with_all_places() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let reports = reports_of(|| {
        for _ in 0..3 {
            assert!(!apart(|| drop((a.lock(), b.lock()))));
            assert!(!apart(|| drop((b.lock(), a.lock()))));
        }
    });
    let [report] = &reports[..] else {
        panic!("{reports:?}")
    };
    assert_eq!(report.hazard(), Hazard::LockOrder);
    let [one, other] = report.steps() else {
        panic!("{report}")
    };
    assert_ne!(one.goroutine(), other.goroutine());
    // Each step's two locks are taken on one line.
    assert_eq!(one.held_since().line(), one.wanted_at().line());
    assert_eq!(other.held_since().line(), other.wanted_at().line());
    assert_ne!(one.held_since().line(), other.held_since().line());
    let text = report.to_string();
    assert!(text.contains("deadlock.rs"), "{text}");
}

#[test]
fn one_goroutine_that_takes_both_orders_is_reported() {
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    let hazards = hazards_of(|| {
        drop((a.lock(), b.read()));
        drop((b.write(), a.lock()));
    });
    assert_eq!(hazards, [Hazard::LockOrder]);
}

#[test]
fn a_circle_of_three_is_found_when_it_closes() {
    let locks = [0, 1, 2].map(Mutex::new);
    let reports = reports_of(|| {
        for i in 0..3 {
            assert!(!apart(|| drop((
                locks[i].lock(),
                locks[(i + 1) % 3].lock()
            ))));
        }
    });
    let [report] = &reports[..] else {
        panic!("{reports:?}")
    };
    assert_eq!(report.steps().len(), 3);
}

#[test]
fn the_same_order_everywhere_is_no_circle() {
    let locks = [0, 1, 2, 3].map(Mutex::new);
    let hazards = hazards_of(|| {
        for (i, j) in [(0, 1), (1, 2), (0, 3), (2, 3), (0, 2)] {
            assert!(!apart(|| drop((locks[i].lock(), locks[j].lock()))));
        }
    });
    assert_eq!(hazards, []);
}

#[test]
fn unlocking_out_of_order_is_seen() {
    let (a, b, c) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    let hazards = hazards_of(|| {
        let (first, second) = (a.lock(), b.try_lock().unwrap());
        drop(first);
        drop(c.lock()); // b before c, and not a before c
        drop(second);
        drop((c.lock(), a.lock()));
    });
    assert_eq!(hazards, []);
    let hazards = hazards_of(|| drop((c.lock(), b.lock())));
    assert_eq!(hazards, [Hazard::LockOrder]);
}

#[test]
fn a_common_lock_keeps_two_orders_apart() {
    let (gate, a, b) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    let hazards = hazards_of(|| {
        drop((gate.lock(), a.lock(), b.lock()));
        drop((gate.lock(), b.lock(), a.lock()));
    });
    assert_eq!(hazards, []);
    // Once without it, and they may meet.
    let hazards = hazards_of(|| drop((b.lock(), a.lock())));
    assert_eq!(hazards, [Hazard::LockOrder]);
}

#[test]
fn a_guard_sent_away_still_counts_for_its_locker_until_it_is_unlocked() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let hazards = hazards_of(|| {
        let guard = a.lock();
        drop(b.lock());
        assert!(!apart(|| drop(guard)));
        drop(a.lock());
        let guard = a.lock();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(a.lock()))).is_err());
        assert!(!apart(|| {
            drop(b.lock()); // not under a: this goroutine has not locked it
            drop(guard);
        }));
    });
    assert_eq!(hazards, [Hazard::Relock]);
    let hazards = hazards_of(|| drop((b.lock(), a.lock())));
    assert_eq!(hazards, [Hazard::LockOrder]);
}

#[test]
fn read_guards_dropped_elsewhere_accuse_nobody() {
    let lock = RwLock::new(());
    let hazards = hazards_of(|| {
        let guard = lock.read();
        thread::scope(|s| {
            let theirs = s.spawn(|| lock.read()).join().unwrap();
            // Whose of the two is dropped here cannot be known.
            s.spawn(move || drop(guard)).join().unwrap();
            drop(theirs);
        });
        drop(lock.write());
    });
    assert_eq!(hazards, []);
}

#[test]
fn mapped_guards_and_owned_guards_hold_and_let_go() {
    let (pair, other) = (Arc::new(Mutex::new((1, 2))), Mutex::new(()));
    let hazards = hazards_of(|| {
        let mapped: MappedMutexGuard<'_, i32> = MutexGuard::map(pair.lock(), |p| &mut p.1);
        assert!(catch_unwind(AssertUnwindSafe(|| drop(pair.lock()))).is_err());
        drop(other.lock());
        drop(mapped);
        let owned = pair.lock_arc();
        assert!(catch_unwind(AssertUnwindSafe(|| drop(pair.lock_arc()))).is_err());
        drop(owned);
        drop(pair.lock());
    });
    assert_eq!(hazards, [Hazard::Relock; 2]);
    let hazards = hazards_of(|| drop((other.lock(), pair.lock())));
    assert_eq!(hazards, [Hazard::LockOrder]);
}

#[test]
fn tries_wait_for_nobody_but_count_as_holds() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let hazards = hazards_of(|| {
        let held = a.try_lock().unwrap();
        assert!(a.try_lock().is_none());
        drop(b.try_lock().unwrap());
        drop(held);
        drop((b.try_lock().unwrap(), a.lock()));
    });
    assert_eq!(hazards, [], "a before b was only tried");
    let hazards = hazards_of(|| drop((a.try_lock().unwrap(), b.lock())));
    assert_eq!(hazards, [Hazard::LockOrder]);
}

#[test]
fn bounded_waits_are_reported_and_end_by_themselves() {
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    let short = Duration::from_millis(1);
    let hazards = hazards_of(|| {
        let held = a.lock();
        assert!(a.lock_timeout(short).is_none());
        assert!(b.read_timeout(short).is_some());
        drop(held);
        let held = b.write();
        assert!(b.write_timeout(short).is_none());
        assert!(a.lock_timeout(short).is_some());
        drop(held);
    });
    let expected = [Hazard::Relock, Hazard::Relock, Hazard::LockOrder];
    assert_eq!(hazards, expected);
}

#[test]
fn futures_are_reported_at_their_first_poll_and_never_panic() {
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    let hazards = hazards_of(|| {
        let held = block_on(a.lock_async());
        let mut again = pin!(a.lock_async());
        assert_pending(again.as_mut());
        assert_pending(again.as_mut());
        drop(held);
        assert!(poll_once(again).is_ready());
        block_on(async {
            drop((a.lock_async().await, b.read_async().await));
            drop((b.write_async().await, a.lock_async().await));
        });
    });
    assert_eq!(hazards, [Hazard::Relock, Hazard::LockOrder]);
}

#[test]
fn futures_that_keep_their_lock_are_watched_too() {
    let (a, b) = (Arc::new(Mutex::new(())), Arc::new(RwLock::new(())));
    let hazards = hazards_of(|| {
        let held = block_on(a.lock_arc_async());
        assert_pending(pin!(a.lock_arc_async()));
        drop(block_on(b.write_arc_async()));
        drop(held);
        drop((block_on(b.read_arc_async()), a.lock()));
    });
    assert_eq!(hazards, [Hazard::Relock, Hazard::LockOrder]);
}

#[test]
fn a_future_that_reads_twice_behind_a_writer_is_reported() {
    let lock = RwLock::new(());
    let hazards = hazards_of(|| {
        let reading = block_on(lock.read_async());
        let mut writer = Box::pin(lock.write_async());
        apart(|| assert_pending(writer.as_mut()));
        let mut again = pin!(lock.read_async());
        assert_pending(again.as_mut());
        assert_pending(again.as_mut());
        drop(writer);
        assert!(poll_once(again).is_ready());
        drop(reading);
    });
    assert_eq!(hazards, [Hazard::RecursiveRead, Hazard::Relock]);
}

#[test]
fn tasks_of_one_thread_are_told_apart_by_their_wakers() {
    use std::future::Future;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    struct Task(AtomicUsize);
    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let mutex = Mutex::new(());
    let tasks = [(); 2].map(|()| Waker::from(Arc::new(Task(AtomicUsize::new(0)))));
    let hazards = hazards_of(|| {
        let mut cx = tasks.each_ref().map(Context::from_waker);
        let mut first = pin!(mutex.lock_async());
        let held = first.as_mut().poll(&mut cx[0]);
        let mut second = pin!(mutex.lock_async());
        assert!(second.as_mut().poll(&mut cx[1]).is_pending());
        drop(held);
        assert!(second.as_mut().poll(&mut cx[1]).is_ready());
    });
    assert_eq!(hazards, []);
}

#[test]
fn a_wait_on_a_condition_leaves_the_mutex_and_takes_it_in_order() {
    let (mutex, other, changed) = (Mutex::new(()), Mutex::new(()), Cond::new());
    let short = Duration::from_millis(1);
    let hazards = hazards_of(|| {
        let mut guard = mutex.lock();
        changed.wait_timeout(&mut guard, short);
        drop(guard);
        let mut guard = mutex.lock();
        let held = other.lock();
        // The mutex is taken again while the other is held: the other way round.
        changed.wait_timeout(&mut guard, short);
        drop((held, guard));
        drop(mutex.lock());
    });
    assert_eq!(hazards, [Hazard::LockOrder]);
}

#[test]
fn what_is_known_of_a_lock_goes_with_it() {
    let b = Mutex::new(());
    let hazards = hazards_of(|| {
        for _ in 0..100 {
            let a = Mutex::new(());
            std::mem::forget(a.lock());
            drop(b.lock());
            a.into_inner();
            let a = Mutex::new(());
            drop((b.lock(), a.lock()));
        }
    });
    assert_eq!(hazards, []);
}

#[test]
fn the_hook_may_lock_and_a_moved_lock_stays_the_same() {
    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let hazards = hazards_of(|| {
        deadlock::set_hook(|report| SEEN.lock().push(report.to_string()));
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        drop((a.lock(), b.lock()));
        let moved = Box::new((b, a));
        drop((moved.0.lock(), moved.1.lock()));
        assert_eq!(SEEN.lock().len(), 1);
    });
    assert_eq!(hazards, []);
}
