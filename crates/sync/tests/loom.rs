//! Models of the locks: under `--cfg rendez_loom` every interleaving is explored,
//! otherwise each runs once.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rendez_core::block_on::block_on;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{Arc, model, thread};
use rendez_sync::{
    AcquireError, Barrier, Cond, Map, Mutex, Once, OnceCell, Pool, RwLock,
    RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore, SingleFlight,
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
fn a_future_may_be_the_last_that_keeps_its_mutex() {
    model(
        "mutex: unlock by the other keeper against a task, cancelled or not",
        || {
            for polled_again in [false, true] {
                let mutex = Arc::new(Mutex::new(0));
                let guard = mutex.lock_arc();
                let mut waits = Box::pin(mutex.lock_arc_async());
                assert!(poll_once(waits.as_mut()).is_pending());
                drop(mutex);
                let unlocker = thread::spawn(move || drop(guard));
                if polled_again {
                    *block_on(waits) += 1;
                } else {
                    drop(waits);
                }
                unlocker.join().unwrap();
            }
        },
    );
}

#[test]
fn a_future_may_be_the_last_that_keeps_its_read_write_lock() {
    model(
        "rwlock: unlock by the other keeper against a cancelled writer",
        || {
            let lock = Arc::new(RwLock::new(0));
            let guard = lock.read_arc();
            let mut waits = Box::pin(lock.write_arc_async());
            assert!(poll_once(waits.as_mut()).is_pending());
            drop(lock);
            let unlocker = thread::spawn(move || drop(guard));
            drop(waits);
            unlocker.join().unwrap();
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
fn a_write_lock_handed_over_passes_on_when_its_future_is_dropped() {
    model("rwlock: fair unlock against a cancelled writer", || {
        let lock = Arc::new(RwLock::new(0));
        let held = lock.write();
        let mut cancelled = Box::pin(lock.write_async());
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || *theirs.write() += 1);
        RwLockWriteGuard::unlock_fair(held);
        drop(cancelled);
        writer.join().unwrap();
        assert_eq!(*lock.read(), 1);
    });
}

#[test]
fn a_woken_writer_that_is_dropped_lets_in_the_readers_behind_it() {
    model(
        "rwlock: a writer is woken, dropped, a reader waits behind it",
        || {
            let lock = Arc::new(RwLock::new(0));
            let held = lock.write_arc();
            let mut cancelled = Box::pin(lock.write_async());
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let theirs = Arc::clone(&lock);
            let leaver = thread::spawn(move || drop(held));
            let reader = thread::spawn(move || assert_eq!(*theirs.read(), 0));
            drop(cancelled);
            leaver.join().unwrap();
            reader.join().unwrap();
            assert!(!lock.is_locked());
        },
    );
}

#[test]
fn a_reader_admitted_and_dropped_lets_the_writer_in() {
    model(
        "rwlock: a cancelled reader against unlock, a writer waits",
        || {
            let lock = Arc::new(RwLock::new(0));
            let held = lock.write();
            let mut cancelled = Box::pin(lock.read_async());
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let theirs = Arc::clone(&lock);
            let writer = thread::spawn(move || *theirs.write() += 1);
            drop(held);
            drop(cancelled);
            writer.join().unwrap();
            assert_eq!(*lock.read(), 1);
        },
    );
}

#[test]
fn a_downgrade_lets_readers_in_and_writers_later() {
    model("rwlock: downgrade against a reader and a writer", || {
        let lock = Arc::new(RwLock::new(0));
        let mut held = lock.write();
        let theirs = Arc::clone(&lock);
        let reader = thread::spawn(move || assert!([1, 2].contains(&*theirs.read())));
        let theirs = Arc::clone(&lock);
        let writer = thread::spawn(move || *theirs.write() += 1);
        *held = 1;
        let held = RwLockWriteGuard::downgrade(held);
        assert_eq!(*held, 1);
        drop(held);
        reader.join().unwrap();
        writer.join().unwrap();
        assert_eq!(*lock.read(), 2);
    });
}

#[test]
fn a_dropped_upgrade_lets_the_readers_in_that_it_blocked() {
    model(
        "rwlock: a cancelled upgrade against the last reader, another comes",
        || {
            let lock = Arc::new(RwLock::new(0));
            let held = lock.read_arc();
            let mut upgrade = Box::pin(RwLock::upgrade_async(lock.upgradable_read()));
            assert!(poll_once(upgrade.as_mut()).is_pending());
            let theirs = Arc::clone(&lock);
            let reader = thread::spawn(move || assert_eq!(*theirs.read(), 0));
            let leaver = thread::spawn(move || drop(held));
            drop(upgrade);
            reader.join().unwrap();
            leaver.join().unwrap();
            assert!(!lock.is_locked());
        },
    );
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

#[test]
fn a_cell_is_filled_once_and_seen_by_all() {
    model("once: three ask for a value", || {
        let cell = Arc::new(OnceCell::new());
        let runs = Arc::new(AtomicUsize::new(0));
        let others = [0, 1].map(|_| {
            let (cell, runs) = (Arc::clone(&cell), Arc::clone(&runs));
            thread::spawn(move || {
                let make = || runs.fetch_add(1, Ordering::Relaxed) + 7;
                assert_eq!(*cell.get_or_init(make), 7);
            })
        });
        let make = || async { runs.fetch_add(1, Ordering::Relaxed) + 7 };
        assert_eq!(*block_on(cell.get_or_init_async(make)), 7);
        others.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_failure_lets_the_next_make_the_value() {
    model("once: a maker fails, another waits", || {
        let cell = Arc::new(OnceCell::new());
        let theirs = Arc::clone(&cell);
        let waiter = thread::spawn(move || assert_eq!(*theirs.get_or_init(|| 1), 1));
        let failed = cell.get_or_try_init(|| Err(())).is_err();
        waiter.join().unwrap();
        assert!(failed || cell.get() == Some(&1));
        assert_eq!(cell.get(), Some(&1));
    });
}

#[test]
fn a_makers_panic_is_everybodys() {
    model("once: a maker panics, another waits", || {
        let cell = Arc::new(OnceCell::new());
        let theirs = Arc::clone(&cell);
        let ask = |cell: &OnceCell<u8>, make: fn() -> u8| {
            catch_unwind(AssertUnwindSafe(|| *cell.get_or_init(make))).ok()
        };
        let waiter = thread::spawn(move || ask(&theirs, || 1));
        let own = ask(&cell, || std::panic::resume_unwind(Box::new(())));
        assert_eq!(waiter.join().unwrap(), own);
        assert_eq!(cell.get().copied(), own);
    });
}

#[test]
fn a_once_that_panicked_tells_who_waits() {
    model("once: panic against wait", || {
        let once = Arc::new(Once::new());
        let panic_in = |once: &Once| {
            catch_unwind(AssertUnwindSafe(|| {
                once.call_once(|| std::panic::resume_unwind(Box::new(())));
            }))
            .is_err()
        };
        let theirs = Arc::clone(&once);
        let other = thread::spawn(move || assert!(panic_in(&theirs)));
        assert!(panic_in(&once));
        other.join().unwrap();
        assert!(!once.is_completed());
    });
}

#[test]
fn a_cancelled_maker_passes_the_turn_on() {
    model("once: a cancelled maker and a cancelled waiter", || {
        let cell = Arc::new(OnceCell::new());
        let mut maker = Box::pin(cell.get_or_init_async(std::future::pending));
        assert!(poll_once(maker.as_mut()).is_pending());
        let theirs = Arc::clone(&cell);
        let waiter = thread::spawn(move || assert_eq!(*theirs.get_or_init(|| 1), 1));
        let mut cancelled = Box::pin(cell.get_or_init_async(|| async { 1 }));
        let _ = poll_once(cancelled.as_mut());
        drop(maker);
        drop(cancelled);
        waiter.join().unwrap();
        assert_eq!(cell.get(), Some(&1));
    });
}

#[test]
fn a_signal_reaches_who_waits_for_it() {
    model("cond: a thread and a task wait, two signals", || {
        let shared = Arc::new((Mutex::new(0), Cond::new()));
        let waiters = [false, true].map(|task| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (count, changed) = &*shared;
                let mut guard = count.lock();
                while *guard == 0 {
                    if task {
                        guard = block_on(changed.wait_async(guard));
                    } else {
                        changed.wait(&mut guard);
                    }
                }
                *guard -= 1;
            })
        });
        let (count, changed) = &*shared;
        for _ in 0..2 {
            *count.lock() += 1;
            changed.notify_one();
        }
        waiters.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*count.lock(), 0);
    });
}

#[test]
fn a_signal_to_a_dropped_future_passes_on() {
    model("cond: signal against a cancelled wait", || {
        let shared = Arc::new((Mutex::new(false), Cond::new()));
        let theirs = Arc::clone(&shared);
        let (ready, changed) = &*shared;
        let mut cancelled = Box::pin(changed.wait_async(ready.lock()));
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let mut stays = Box::pin(changed.wait_async(ready.lock()));
        assert!(poll_once(stays.as_mut()).is_pending());
        let signaller = thread::spawn(move || {
            let (ready, changed) = &*theirs;
            *ready.lock() = true;
            assert!(changed.notify_one());
        });
        // Once or not at all, before, while or after it is signalled.
        let _ = poll_once(cancelled.as_mut()).map(|guard| {
            drop(guard);
            changed.notify_one();
        });
        drop(cancelled);
        assert!(*block_on(stays));
        signaller.join().unwrap();
    });
}

#[test]
fn a_broadcast_reaches_all_who_wait() {
    model("cond: two wait, one broadcast", || {
        let shared = Arc::new((Mutex::new(false), Cond::new()));
        let waiters = [(), ()].map(|()| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (ready, changed) = &*shared;
                changed.wait_while(&mut ready.lock(), |ready| !*ready);
            })
        });
        let (ready, changed) = &*shared;
        *ready.lock() = true;
        changed.notify_all();
        waiters.into_iter().for_each(|t| t.join().unwrap());
    });
}

#[test]
fn a_barrier_lets_both_go_twice_with_one_leader_each_time() {
    model("barrier: two come, twice", || {
        let barrier = Arc::new(Barrier::new(2));
        let theirs = Arc::clone(&barrier);
        let led = |b: &Barrier| usize::from(b.wait().is_leader());
        let other = thread::spawn(move || [led(&theirs), led(&theirs)]);
        let ours = [
            led(&barrier),
            usize::from(block_on(barrier.wait_async()).is_leader()),
        ];
        let theirs = other.join().unwrap();
        assert_eq!([ours[0] + theirs[0], ours[1] + theirs[1]], [1, 1]);
    });
}

#[test]
fn a_barrier_passes_with_or_without_who_gives_up() {
    model("barrier: a wait is cancelled as another comes", || {
        let barrier = Arc::new(Barrier::new(2));
        let mut cancelled = Box::pin(barrier.wait_async());
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let theirs = Arc::clone(&barrier);
        let other = thread::spawn(move || theirs.wait().is_leader());
        drop(cancelled);
        // Either it was counted at the instant it gave up, or this one comes instead.
        let mut instead = Box::pin(barrier.wait_async());
        let led = poll_once(instead.as_mut()).map(|end| end.is_leader());
        assert!(other.join().unwrap() != (led == Poll::Ready(true)));
    });
}

#[test]
fn two_who_ask_at_once_share_or_follow() {
    model("single flight: two run", || {
        let flights = Arc::new(SingleFlight::new());
        let runs = Arc::new(AtomicUsize::new(0));
        let (theirs, counted) = (Arc::clone(&flights), Arc::clone(&runs));
        let make = move |runs: &AtomicUsize| runs.fetch_add(1, Ordering::Relaxed);
        let other = thread::spawn(move || theirs.run(1, || make(&counted)));
        let ours = block_on(flights.run_async(1, || async { make(&runs) }));
        let theirs = other.join().unwrap();
        let shared = runs.load(Ordering::Relaxed) == 1;
        assert_eq!((ours.shared, theirs.shared), (shared, shared));
        assert_eq!(ours.value == theirs.value, shared);
    });
}

#[test]
fn a_cancelled_leader_leaves_a_flight_that_lands_or_none() {
    model(
        "single flight: a leader is cancelled as another comes",
        || {
            let flights = Arc::new(SingleFlight::new());
            let mut leader = Box::pin(flights.run_async(1, std::future::pending()));
            assert!(poll_once(leader.as_mut()).is_pending());
            let theirs = Arc::clone(&flights);
            let other = thread::spawn(move || theirs.run(1, || 7).value);
            drop(leader);
            assert_eq!(other.join().unwrap(), 7);
            assert_eq!(flights.run(1, || 8).value, 8);
        },
    );
}

#[test]
fn a_pools_object_has_one_holder() {
    model("pool: objects go round between two", || {
        let pool = Arc::new(Pool::with_capacity(1, || AtomicUsize::new(0)));
        let work = |pool: &Pool<AtomicUsize>| {
            for _ in 0..2 {
                let object = pool.get();
                assert_eq!(object.fetch_add(1, Ordering::Relaxed), 0);
                let second = pool.get();
                assert_eq!(second.fetch_add(1, Ordering::Relaxed), 0);
                object.fetch_sub(1, Ordering::Relaxed);
                second.fetch_sub(1, Ordering::Relaxed);
            }
        };
        let theirs = Arc::clone(&pool);
        let other = thread::spawn(move || work(&theirs));
        work(&pool);
        other.join().unwrap();
    });
}

/// A number is its own hash, so a model knows which keys share a branch: in a model one tells
/// one bit apart, the lowest first. From 100 on they have one hash.
#[derive(Clone, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed");
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n.min(100);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

type Plain = Map<u64, u64, BuildHasherDefault<Itself>>;

/// A map with these keys, and what `f` does to it on another thread.
fn map_beside(
    keys: &[u64],
    f: impl FnOnce(&Plain) + Send + 'static,
) -> (Arc<Plain>, thread::JoinHandle<()>) {
    let map = Arc::new(keys.iter().map(|&k| (k, k)).collect::<Plain>());
    let theirs = Arc::clone(&map);
    (map, thread::spawn(move || f(&theirs)))
}

fn keys_of(map: &Plain) -> Vec<u64> {
    let mut keys = Vec::new();
    map.range(|&k, _| {
        keys.push(k);
        true
    });
    keys.sort_unstable();
    assert_eq!(map.len(), keys.len());
    keys
}

#[test]
fn of_two_swaps_one_sees_the_other() {
    model("map: two swap the value of a key that is new", || {
        let (map, other) = map_beside(&[], |map| {
            let old = map.swap(0, 1);
            assert!(old.is_none() || old == Some(2));
        });
        let old = map.swap(0, 2);
        let now = map.load(&0);
        other.join().unwrap();
        assert!(old.is_none() || old == Some(1));
        assert!(now == Some(2) || old.is_none() && now == Some(1));
        assert_eq!(keys_of(&map), [0]);
    });
}

#[test]
fn a_key_stored_into_a_branch_that_goes_is_kept() {
    model("map: a branch is emptied as a key is stored there", || {
        let (map, other) = map_beside(&[0, 2], |map| {
            assert!(map.delete(&0));
            assert!(map.delete(&2));
        });
        map.store(4, 4);
        assert_eq!(map.load(&4), Some(4));
        other.join().unwrap();
        assert_eq!(keys_of(&map), [4]);
    });
}

#[test]
fn a_branch_below_a_branch_that_goes_is_kept() {
    model("map: two branches are emptied as a third is made", || {
        let (map, other) = map_beside(&[0, 4], |map| {
            assert!(map.delete(&0));
            assert!(map.delete(&4));
        });
        assert_eq!(map.load_or_store(8, 8), (8, false));
        assert_eq!(map.load_or_store(2, 2), (2, false));
        other.join().unwrap();
        assert_eq!(keys_of(&map), [2, 8]);
    });
}

#[test]
fn two_who_empty_a_branch_leave_none_behind() {
    model("map: two delete, a third stores, of one branch", || {
        let (map, other) = map_beside(&[0, 2], |map| assert!(map.delete(&0)));
        let theirs = Arc::clone(&map);
        let third = thread::spawn(move || theirs.store(6, 6));
        assert_eq!(map.load_and_delete(&2), Some(2));
        other.join().unwrap();
        third.join().unwrap();
        assert_eq!(keys_of(&map), [6]);
    });
}

#[test]
fn a_map_with_a_key_at_every_moment_is_never_empty() {
    model("map: one key goes after another has come", || {
        let (map, other) = map_beside(&[0], |map| {
            map.store(1, 1);
            assert!(map.delete(&0));
        });
        assert!(!map.is_empty());
        other.join().unwrap();
        assert_eq!(map.len(), 1);
    });
}

#[test]
fn loads_do_not_go_back_in_time() {
    model(
        "map: two loads as a key leaves with its branch and returns",
        || {
            let (map, other) = map_beside(&[0, 2], |map| {
                let age = |value| match value {
                    Some(2) => 0,
                    None => 1,
                    _ => 2,
                };
                let first = age(map.load(&2));
                let second = age(map.load(&2));
                assert!(first <= second);
            });
            map.delete(&0);
            map.delete(&2);
            map.store(2, 3);
            other.join().unwrap();
            assert_eq!(map.load(&2), Some(3));
        },
    );
}

#[test]
fn a_crowd_loses_nobody() {
    model("map: of keys with one hash two come and one goes", || {
        let (map, other) = map_beside(&[100], |map| map.store(101, 101));
        let theirs = Arc::clone(&map);
        let third = thread::spawn(move || assert!(theirs.delete(&100)));
        map.store(102, 102);
        other.join().unwrap();
        third.join().unwrap();
        assert_eq!(keys_of(&map), [101, 102]);
        assert!(map.compare_and_delete(&101, &101));
        assert_eq!(keys_of(&map), [102]);
    });
}

#[test]
fn a_clear_takes_all_or_comes_before() {
    model("map: a clear against a store and a load", || {
        let (map, other) = map_beside(&[0], Plain::clear);
        map.store(2, 2);
        let (old, new) = (map.load(&0), map.load(&2));
        other.join().unwrap();
        let left = keys_of(&map);
        assert!(left.is_empty() || left == [2] && new.is_some());
        assert!(old.is_some() || left.is_empty() == new.is_none());
    });
}
