//! Models of what the feature `deadlock-detect` adds: that what it knows of the locks is true at
//! every moment, and that it accuses whom it must and nobody else.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Mutex as StdMutex;
use std::task::{Context, Waker};

use rendez_core::block_on::block_on;
use rendez_core::shim::{Arc, model, thread};
use rendez_sync::deadlock::{self, Hazard};
use rendez_sync::{Mutex, RwLock, RwLockUpgradableReadGuard};

/// Explores `f`; after each run `of_reports` judges what has been reported in it.
fn reported(name: &str, f: impl Fn() + Send + Sync + 'static, of_reports: fn(&[Hazard]) -> bool) {
    static ONE: StdMutex<()> = StdMutex::new(());
    let _one = ONE.lock().unwrap_or_else(|e| e.into_inner());
    let told = std::sync::Arc::new(StdMutex::new(Vec::new()));
    let theirs = std::sync::Arc::clone(&told);
    deadlock::set_hook(move |report| theirs.lock().unwrap().push(report.hazard()));
    model(name, move || {
        told.lock().unwrap().clear();
        f();
        let told = told.lock().unwrap();
        assert!(of_reports(&told), "{told:?}");
    });
    deadlock::take_hook();
}

/// Asks for it, and goes on without.
fn ask(lock: &Mutex<u32>) {
    let mut future = pin!(lock.lock_async());
    drop(
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop())),
    );
}

#[test]
fn whoever_locks_in_turn_is_accused_of_nothing() {
    reported(
        "deadlock-detect: a mutex, unlock against lock",
        || {
            let mutex = Arc::new(Mutex::new(0));
            let theirs = Arc::clone(&mutex);
            let other = thread::spawn(move || {
                *theirs.lock() += 1;
                *theirs.lock() += 1;
            });
            *mutex.lock() += 1;
            other.join().unwrap();
            assert_eq!(*mutex.lock(), 3);
        },
        <[_]>::is_empty,
    );
}

#[test]
fn a_lock_handed_over_changes_its_owner() {
    reported(
        "deadlock-detect: a fair unlock against a blocking and an awaited lock",
        || {
            let mutex = Arc::new(Mutex::new(0));
            let guard = mutex.lock();
            let theirs = Arc::clone(&mutex);
            let other = thread::spawn(move || *theirs.lock() += 1);
            Mutex::unlock_fair(guard);
            *block_on(mutex.lock_async()) += 1;
            other.join().unwrap();
            assert_eq!(*mutex.lock(), 2);
        },
        <[_]>::is_empty,
    );
}

#[test]
fn a_guard_dropped_elsewhere_lets_its_locker_go() {
    reported(
        "deadlock-detect: a guard sent away, its locker locks anew after",
        || {
            let mutex = Arc::new(Mutex::new(0));
            let sent = mutex.lock_arc();
            let other = thread::spawn(move || drop(sent));
            drop(mutex.try_lock());
            other.join().unwrap();
            *mutex.lock() += 1;
        },
        <[_]>::is_empty,
    );
}

#[test]
fn two_orders_are_told_once_whoever_closes_the_circle() {
    reported(
        "deadlock-detect: two locks, two orders",
        || {
            let locks = [0, 1].map(|_| Arc::new(Mutex::new(0)));
            let [a, b] = locks.clone();
            let other = thread::spawn(move || {
                let _held = b.lock();
                ask(&a);
            });
            let [a, b] = locks;
            let held = a.lock();
            ask(&b);
            drop(held);
            other.join().unwrap();
        },
        |told| told == [Hazard::LockOrder],
    );
}

#[test]
fn an_order_goes_with_its_lock() {
    reported(
        "deadlock-detect: two orders, one of the locks dropped between",
        || {
            let a = Arc::new(Mutex::new(0));
            let theirs = Arc::clone(&a);
            let other = thread::spawn(move || {
                let gone = Mutex::new(0);
                let _held = theirs.lock();
                ask(&gone);
            });
            let b = Mutex::new(0);
            let held = b.lock();
            ask(&a);
            drop(held);
            other.join().unwrap();
        },
        <[_]>::is_empty,
    );
}

#[test]
fn readers_and_a_writer_are_accused_of_nothing() {
    reported(
        "deadlock-detect: two readers, a writer",
        || {
            let lock = Arc::new(RwLock::new(0));
            let theirs = Arc::clone(&lock);
            let reader = thread::spawn(move || assert!(*theirs.read() <= 1));
            let theirs = Arc::clone(&lock);
            let writer = thread::spawn(move || *theirs.write() += 1);
            assert!(*lock.read() <= 1);
            reader.join().unwrap();
            writer.join().unwrap();
            assert_eq!(*lock.read(), 1);
        },
        <[_]>::is_empty,
    );
}

#[test]
fn an_upgrade_beside_readers_is_accused_of_nothing() {
    reported(
        "deadlock-detect: an upgrade against a reader",
        || {
            let lock = Arc::new(RwLock::new(0));
            let theirs = Arc::clone(&lock);
            let reader = thread::spawn(move || assert!(*theirs.read() <= 1));
            *RwLockUpgradableReadGuard::upgrade(lock.upgradable_read()) += 1;
            reader.join().unwrap();
            assert_eq!(*lock.read(), 1);
        },
        <[_]>::is_empty,
    );
}

#[test]
fn a_recursive_read_is_given_or_panics_and_never_hangs() {
    reported(
        "deadlock-detect: a read within a read against a writer",
        || {
            let lock = Arc::new(RwLock::new(0));
            let theirs = Arc::clone(&lock);
            let writer = thread::spawn(move || *theirs.write() += 1);
            let outer = lock.read();
            let inner = catch_unwind(AssertUnwindSafe(|| drop(lock.read())));
            drop((outer, inner));
            writer.join().unwrap();
            assert_eq!(*lock.read(), 1);
        },
        |told| {
            let [first, rest @ ..] = told else {
                return false;
            };
            *first == Hazard::RecursiveRead && (rest.is_empty() || *rest == [Hazard::Relock])
        },
    );
}
