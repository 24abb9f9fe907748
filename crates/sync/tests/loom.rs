//! Models of the locks: under `--cfg rendez_loom` every interleaving is explored,
//! otherwise each runs once.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rendez_core::block_on::block_on;
use rendez_core::shim::{Arc, model, thread};
use rendez_sync::{
    AcquireError, Mutex, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore,
};

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn an_unlock_wakes_who_begins_to_wait() {
    model("mutex: unlock against lock, twice each", || {
        let mutex = Arc::new(Mutex::new(0));
        let theirs = Arc::clone(&mutex);
        let other = thread::spawn(move || {
            *theirs.lock() += 1;
            *theirs.lock() += 1;
        });
        *mutex.lock() += 1;
        *mutex.lock() += 1;
        other.join().unwrap();
        assert_eq!(*mutex.lock(), 4);
    });
}

#[test]
fn three_lock_and_each_gets_it() {
    model("mutex: three contend, a nudge and a barger", || {
        let mutex = Arc::new(Mutex::new(0));
        let others = [0, 1].map(|_| {
            let theirs = Arc::clone(&mutex);
            thread::spawn(move || *theirs.lock() += 1)
        });
        *mutex.lock() += 1;
        others.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*mutex.lock(), 3);
    });
}

#[test]
fn a_lock_handed_over_excludes_a_barger() {
    model("mutex: fair unlock against lock and try_lock", || {
        let mutex = Arc::new(Mutex::new(0));
        let guard = mutex.lock();
        let theirs = Arc::clone(&mutex);
        let waiter = thread::spawn(move || *theirs.lock() += 1);
        let theirs = Arc::clone(&mutex);
        let barger = thread::spawn(move || {
            if let Some(mut guard) = theirs.try_lock() {
                *guard += 1;
            }
        });
        Mutex::unlock_fair(guard);
        waiter.join().unwrap();
        barger.join().unwrap();
        assert!((1..=2).contains(&*mutex.lock()));
    });
}

#[test]
fn a_dropped_future_passes_the_lock_on() {
    model(
        "mutex: unlock against a cancelled task, another waits",
        || {
            let mutex = Arc::new(Mutex::new(0));
            let guard = mutex.lock();
            let mut cancelled = Box::pin(mutex.lock_async());
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let theirs = Arc::clone(&mutex);
            let waiter = thread::spawn(move || *theirs.lock() += 1);
            drop(guard);
            drop(cancelled);
            waiter.join().unwrap();
            assert_eq!(*mutex.lock(), 1);
        },
    );
}

#[test]
fn a_future_dropped_after_a_hand_over_passes_it_on() {
    model("mutex: fair unlock against a cancelled task", || {
        let mutex = Arc::new(Mutex::new(0));
        let theirs = Arc::clone(&mutex);
        let guard = mutex.lock();
        let canceller = thread::spawn(move || {
            let mut future = Box::pin(theirs.lock_async());
            if let Poll::Ready(mut guard) = poll_once(future.as_mut()) {
                *guard += 1;
            }
        });
        Mutex::unlock_fair(guard);
        *block_on(mutex.lock_async()) += 1;
        canceller.join().unwrap();
        assert!(!mutex.is_locked());
    });
}

#[test]
fn a_writer_excludes_readers() {
    model("rwlock: a writer against two readers", || {
        let lock = Arc::new(RwLock::new((0, 0)));
        let readers = [0, 1].map(|_| {
            let theirs = Arc::clone(&lock);
            thread::spawn(move || {
                let guard = theirs.read();
                assert_eq!(guard.0, guard.1);
            })
        });
        let mut guard = lock.write();
        guard.0 = 1;
        guard.1 = 1;
        drop(guard);
        readers.into_iter().for_each(|t| t.join().unwrap());
        assert!(!lock.is_locked());
    });
}

#[test]
fn two_writers_and_a_reader_all_enter() {
    model("rwlock: two writers, a reader", || {
        let lock = Arc::new(RwLock::new(0));
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || *theirs.write() += 1);
        let theirs = Arc::clone(&lock);
        let reader = thread::spawn(move || assert!(*theirs.read() <= 2));
        *lock.write() += 1;
        writer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(*lock.read(), 2);
    });
}

#[test]
fn a_cancelled_writer_lets_the_readers_in() {
    model(
        "rwlock: a cancelled writer against a blocked reader",
        || {
            let lock = Arc::new(RwLock::new(0));
            let held = lock.read();
            let mut writer = Box::pin(lock.write_async());
            assert!(poll_once(writer.as_mut()).is_pending());
            let theirs = Arc::clone(&lock);
            let reader = thread::spawn(move || assert_eq!(*theirs.read(), 0));
            drop(writer);
            reader.join().unwrap();
            drop(held);
            assert!(!lock.is_locked());
        },
    );
}

#[test]
fn a_writer_woken_and_cancelled_passes_on() {
    model("rwlock: last reader against a cancelled writer", || {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.read();
        let mut cancelled = Box::pin(lock.write_async());
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || *theirs.write() += 1);
        drop(held);
        drop(cancelled);
        writer.join().unwrap();
        assert_eq!(*lock.read(), 1);
    });
}

#[test]
fn an_upgrade_waits_for_the_readers() {
    model("rwlock: an upgrade against a reader", || {
        let lock = Arc::new(RwLock::new(0));
        let theirs = Arc::clone(&lock);
        let reader = thread::spawn(move || assert!(*theirs.read() <= 1));
        let guard = lock.upgradable_read();
        let mut guard = RwLockUpgradableReadGuard::upgrade(guard);
        *guard += 1;
        let guard = RwLockWriteGuard::downgrade(guard);
        reader.join().unwrap();
        assert_eq!(*guard, 1);
    });
}

#[test]
fn two_upgradables_take_turns() {
    model("rwlock: two upgradables", || {
        let lock = Arc::new(RwLock::new(0));
        let theirs = Arc::clone(&lock);
        let other = thread::spawn(move || {
            let guard = theirs.upgradable_read();
            *RwLockUpgradableReadGuard::upgrade(guard) += 1;
        });
        let guard = lock.upgradable_read();
        *RwLockUpgradableReadGuard::upgrade(guard) += 1;
        other.join().unwrap();
        assert_eq!(*lock.read(), 2);
    });
}

#[test]
fn two_take_turns_at_one_permit() {
    model(
        "semaphore: release against acquire, thread and task",
        || {
            let semaphore = Arc::new(Semaphore::new(1));
            let theirs = Arc::clone(&semaphore);
            let other = thread::spawn(move || drop(theirs.acquire(1).unwrap()));
            drop(block_on(semaphore.acquire_async(1)).unwrap());
            other.join().unwrap();
            assert_eq!(semaphore.available(), 1);
        },
    );
}

#[test]
fn a_grant_to_a_dropped_future_passes_on() {
    model(
        "semaphore: release against a cancelled head, another waits",
        || {
            let semaphore = Arc::new(Semaphore::new(2));
            let held = semaphore.acquire(1).unwrap();
            let mut cancelled = Box::pin(semaphore.acquire_async(2));
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let theirs = Arc::clone(&semaphore);
            let other = thread::spawn(move || drop(theirs.acquire(1).unwrap()));
            let theirs = Arc::clone(&semaphore);
            let releaser = thread::spawn(move || {
                let mut future = Box::pin(theirs.acquire_async(1));
                drop(poll_once(future.as_mut()));
            });
            drop(held);
            drop(cancelled);
            other.join().unwrap();
            releaser.join().unwrap();
            assert_eq!(semaphore.available(), 2);
        },
    );
}

#[test]
fn a_close_reaches_who_begins_to_wait() {
    model("semaphore: close against acquire and release", || {
        let semaphore = Arc::new(Semaphore::new(1));
        let held = semaphore.acquire(1).unwrap();
        let theirs = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || match theirs.acquire(1) {
            Ok(permit) => drop(permit),
            Err(e) => assert_eq!(e, AcquireError::Closed),
        });
        let theirs = Arc::clone(&semaphore);
        let closer = thread::spawn(move || assert!(theirs.close()));
        drop(held);
        waiter.join().unwrap();
        closer.join().unwrap();
        assert_eq!(semaphore.available(), 1);
    });
}

#[test]
fn a_resize_beside_a_release_keeps_the_balance() {
    model("semaphore: set_size against release and acquire", || {
        let semaphore = Arc::new(Semaphore::new(2));
        let held = semaphore.acquire(2).unwrap();
        let theirs = Arc::clone(&semaphore);
        let resizer = thread::spawn(move || theirs.set_size(1));
        let theirs = Arc::clone(&semaphore);
        let waiter = thread::spawn(move || drop(theirs.acquire(1).unwrap()));
        drop(held);
        waiter.join().unwrap();
        resizer.join().unwrap();
        assert_eq!((semaphore.available(), semaphore.size()), (1, 1));
    });
}
