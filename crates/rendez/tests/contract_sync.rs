//! The contract of the locks and the rest of `sync`, through the umbrella.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::await_holding_lock
)]

mod common;

use std::collections::HashMap;
use std::error::Error;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::{HOUR, TICK, is_send, poll};
use rendez::pool::block_on;
use rendez::prelude::*;
use rendez::sync::{
    AcquireError, Atomic, Barrier, Lazy, MappedMutexGuard, MutexGuard, OnceCell, Permit, Pool,
    Pooled, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, Shared, once_func,
    once_value,
};

fn message(payload: Box<dyn std::any::Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().expect("a text")).to_owned(),
    }
}

// --- Mutex, RwLock ------------------------------------------------------------------------

#[test]
fn a_mutex_has_every_form() {
    fn bounds<T: Send + Sync + Debug + Default + From<i32>>(_: &T) {}
    static SHARED: Mutex<i32> = Mutex::new(0);
    *SHARED.lock() += 1;
    let mut m = Mutex::new(1);
    bounds(&m);
    {
        let mut guard: MutexGuard<'_, i32> = is_send(m.lock());
        *guard += 1;
        assert!(m.try_lock().is_none());
        assert!(m.lock_timeout(TICK).is_none());
        assert!(poll(pin!(is_send(m.lock_async()))).is_pending());
    }
    assert_eq!(*m.try_lock().unwrap(), 2);
    assert_eq!(*m.lock_timeout(Duration::MAX).unwrap(), 2);
    assert_eq!(*block_on(m.lock_async()), 2);
    *m.get_mut() = 5;
    assert_eq!(m.into_inner(), 5);
    let unsized_: &Mutex<[i32]> = &Mutex::new([1, 2]);
    assert_eq!(unsized_.lock().len(), 2);
}

#[test]
fn a_mutex_is_not_poisoned() {
    let m = Mutex::new(0);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _guard = m.lock();
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_eq!(*m.lock(), 0);
}

#[test]
fn guards_map_own_and_move_between_threads() {
    let m = Arc::new(Mutex::new((1, "a")));
    let mapped: MappedMutexGuard<'_, i32> = MutexGuard::map(m.lock(), |pair| &mut pair.0);
    std::thread::scope(|s| {
        s.spawn(move || drop(mapped));
    });
    let owned = m.lock_arc();
    let guard = go(move || {
        assert_eq!(owned.1, "a");
        owned
    })
    .join()
    .unwrap();
    assert!(m.try_lock().is_none());
    drop(guard);
    assert!(m.try_lock().is_some());
    // A guard lives over an await in a task that moves.
    let moved = m.clone();
    go(async move {
        let mut guard = moved.lock_async().await;
        rendez::pool::yield_now().await;
        guard.0 = 2;
    })
    .join()
    .unwrap();
    assert_eq!(m.lock().0, 2);
}

#[test]
fn a_dropped_lock_passes_its_turn_on() {
    let m = Mutex::new(());
    let guard = m.lock();
    let mut first = Box::pin(m.lock_async());
    let mut second = pin!(m.lock_async());
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    drop(guard);
    drop(first);
    assert!(poll(second).is_ready());
}

#[test]
fn a_rwlock_has_every_form() {
    static SHARED: RwLock<i32> = RwLock::new(0);
    *SHARED.write() += 1;
    let mut l = RwLock::new(1);
    {
        let a: RwLockReadGuard<'_, i32> = is_send(l.read());
        let b = l.try_read().unwrap();
        let c = block_on(is_send(l.read_async()));
        assert_eq!(*a + *b + *c, 3);
        assert!(l.try_write().is_none());
        assert!(l.write_timeout(TICK).is_none());
        assert!(poll(pin!(is_send(l.write_async()))).is_pending());
    }
    {
        let mut w: RwLockWriteGuard<'_, i32> = l.write();
        *w = 2;
        assert!(l.try_read().is_none());
        assert!(l.read_timeout(TICK).is_none());
        let r = RwLockWriteGuard::downgrade(w);
        assert_eq!(*r + *l.read(), 4);
    }
    {
        let u = l.upgradable_read();
        assert_eq!(*l.read(), 2);
        assert!(l.try_write().is_none());
        let mut w = RwLockUpgradableReadGuard::upgrade(u);
        *w = 3;
    }
    assert_eq!(*block_on(l.write_async()), 3);
    assert_eq!(*l.write_timeout(HOUR).unwrap(), 3);
    *l.get_mut() = 5;
    assert_eq!(l.into_inner(), 5);
}

#[test]
fn a_waiting_writer_blocks_new_readers() {
    let l = RwLock::new(());
    let reader = l.read();
    let mut writer = Box::pin(l.write_async());
    assert!(poll(writer.as_mut()).is_pending());
    assert!(l.try_read().is_none());
    // One that gives up lets them in.
    drop(writer);
    assert!(l.try_read().is_some());
    drop(reader);
}

#[test]
fn readers_queued_during_a_write_enter_before_the_next_writer() {
    let l = RwLock::new(());
    let w = l.write();
    let mut r1 = pin!(l.read_async());
    let mut w2 = pin!(l.write_async());
    let mut r2 = pin!(l.read_async());
    assert!(poll(r1.as_mut()).is_pending());
    assert!(poll(w2.as_mut()).is_pending());
    assert!(poll(r2.as_mut()).is_pending());
    drop(w);
    let (Poll::Ready(a), Poll::Ready(b)) = (poll(r1), poll(r2)) else {
        panic!("both readers enter");
    };
    assert!(poll(w2.as_mut()).is_pending());
    drop((a, b));
    assert!(poll(w2).is_ready());
}

// --- Once and its kin ---------------------------------------------------------------------

#[test]
fn once_runs_once_in_both_forms() {
    static ONCE: Once = Once::new();
    let n = AtomicUsize::new(0);
    ONCE.call_once(|| {
        n.fetch_add(1, Ordering::Relaxed);
    });
    ONCE.call_once(|| unreachable!());
    let once = Once::default();
    block_on(is_send(once.call_once_async(async {
        n.fetch_add(1, Ordering::Relaxed);
    })));
    block_on(once.call_once_async(|| async { unreachable!() }));
    assert_eq!(n.load(Ordering::Relaxed), 2);
}

#[test]
fn a_panic_in_once_is_reported_to_every_caller() {
    let once = Once::new();
    for _ in 0..3 {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            once.call_once(|| panic!("on purpose"));
        }));
        assert!(message(panicked.unwrap_err()).contains("on purpose"));
    }
    let cell = OnceCell::<u8>::new();
    for make in [|| panic!("in cell"), || 1] {
        let panicked = catch_unwind(AssertUnwindSafe(|| *cell.get_or_init(make)));
        assert!(message(panicked.unwrap_err()).contains("in cell"));
    }
    let f = once_func(|| panic!("in func"));
    for _ in 0..2 {
        let panicked = catch_unwind(AssertUnwindSafe(&f));
        assert!(message(panicked.unwrap_err()).contains("in func"));
    }
    let v = once_value(|| -> i32 { panic!("in value") });
    for _ in 0..2 {
        let panicked = catch_unwind(AssertUnwindSafe(&v));
        assert!(message(panicked.unwrap_err()).contains("in value"));
    }
}

#[test]
fn a_once_cell_is_set_once() {
    static CELL: OnceCell<String> = OnceCell::new();
    assert_eq!(CELL.get(), None);
    assert_eq!(CELL.get_or_init(|| "a".into()), "a");
    let mut cell = OnceCell::new();
    assert_eq!(cell.get_or_try_init(|| Err("no")), Err("no"));
    assert_eq!(cell.get_or_try_init(|| Ok::<_, &str>(5)), Ok(&5));
    assert_eq!(cell.get_or_init(|| 6), &5);
    assert_eq!(block_on(cell.get_or_init_async(async { 7 })), &5);
    assert_eq!(cell.take(), Some(5));
    assert_eq!(cell.take(), None);
    let tried = block_on(is_send(
        cell.get_or_try_init_async(async { Err::<i32, _>("no") }),
    ));
    assert_eq!(tried, Err("no"));
    let tried = block_on(cell.get_or_try_init_async(|| async { Ok::<_, &str>(8) }));
    assert_eq!(tried, Ok(&8));
    assert_eq!(cell.into_inner(), Some(8));
}

#[test]
fn once_func_and_once_value_run_once_and_are_shared() {
    fn sync<T: Send + Sync>(_: &T) {}
    let n = AtomicUsize::new(0);
    let f = once_func(|| {
        n.fetch_add(1, Ordering::Relaxed);
    });
    let text = String::from("moved");
    let v = once_value(move || text + "!");
    sync(&f);
    sync(&v);
    scope(|s| {
        for _ in 0..4 {
            s.go(|| {
                f();
                assert_eq!(*v(), "moved!");
            });
        }
    });
    assert_eq!(n.load(Ordering::Relaxed), 1);
    static LAZY: Lazy<Vec<i32>> = Lazy::new(|| vec![1, 2]);
    assert_eq!(LAZY.len(), 2);
    let captured = 3;
    let lazy = Lazy::new(|| captured + 1);
    assert_eq!(*lazy, 4);
}

// --- Cond ---------------------------------------------------------------------------------

#[test]
fn a_cond_wakes_first_come_first_served() {
    let (m, cond) = (Mutex::new(0), Cond::new());
    let mut first = pin!(is_send(cond.wait_async(m.lock())));
    assert!(poll(first.as_mut()).is_pending());
    let mut second = pin!(cond.wait_async(m.lock()));
    assert!(poll(second.as_mut()).is_pending());
    *m.lock() = 1;
    cond.notify_one();
    assert!(poll(second.as_mut()).is_pending());
    let Poll::Ready(guard) = poll(first) else {
        panic!("it came first");
    };
    assert_eq!(*guard, 1);
    drop(guard);
    cond.notify_all();
    assert!(poll(second).is_ready());
}

#[test]
fn a_cond_blocks_with_a_condition_and_for_a_time() {
    let (m, cond) = (Mutex::new(0), Cond::default());
    let mut guard = m.lock();
    cond.wait_timeout(&mut guard, TICK);
    assert_eq!(*guard, 0);
    drop(guard);
    scope(|s| {
        s.go(|| {
            let mut guard = m.lock();
            cond.wait_while(&mut guard, |n| *n < 3);
            assert_eq!(*guard, 3);
        });
        s.go(|| {
            let mut guard = m.lock();
            while *guard < 3 {
                cond.wait(&mut guard);
            }
        });
        for _ in 0..3 {
            *m.lock() += 1;
            cond.notify_all();
        }
    });
}

// --- Semaphore ----------------------------------------------------------------------------

#[test]
fn a_semaphore_is_weighted_and_first_come_first_served() {
    static SEM: Semaphore = Semaphore::new(1);
    drop(SEM.acquire(1).unwrap());
    let sem = Semaphore::new(3);
    let a: Permit<'_> = is_send(sem.acquire(2).unwrap());
    assert_eq!(sem.available(), 1);
    assert!(sem.try_acquire(2).is_none());
    let mut big = Box::pin(is_send(sem.acquire_async(3)));
    assert!(poll(big.as_mut()).is_pending());
    assert!(sem.try_acquire(1).is_none(), "a try never overtakes");
    let mut small = pin!(sem.acquire_async(1));
    assert!(
        poll(small.as_mut()).is_pending(),
        "the head blocks all behind"
    );
    drop(big);
    assert!(poll(small).is_ready(), "and lets them in when it goes");
    drop(a);
    assert_eq!(sem.available(), 3);
    assert!(sem.try_acquire(0).is_some() && sem.acquire(0).is_ok());
}

#[test]
fn more_than_the_size_fails_at_once() {
    let sem = Semaphore::new(2);
    assert_eq!(sem.acquire(3).err(), Some(AcquireError::TooMany));
    assert_eq!(
        block_on(sem.acquire_async(3)).err(),
        Some(AcquireError::TooMany)
    );
    assert!(sem.try_acquire(3).is_none());
    fn error<E: Error + Copy + PartialEq + Debug + Send + Sync + 'static>(_: E) {}
    error(AcquireError::Closed);
}

#[test]
fn permits_split_merge_and_are_forgotten() {
    let sem = Semaphore::new(5);
    let mut p = sem.try_acquire_all().unwrap();
    assert!(sem.try_acquire_all().is_none_or(|p| p.count() == 0));
    assert_eq!(p.count(), 5);
    let two = p.split(2).unwrap();
    assert!(p.split(4).is_none());
    assert_eq!((p.count(), two.count()), (3, 2));
    p.merge(two);
    assert_eq!(p.count(), 5);
    drop(p.split(1));
    assert_eq!(sem.available(), 1);
    p.forget();
    assert_eq!(sem.available(), 1);
}

#[test]
fn closing_a_semaphore_ends_those_who_wait_and_keeps_permits_valid() {
    let sem = Semaphore::new(1);
    let held = sem.acquire(1).unwrap();
    let mut waiting = pin!(sem.acquire_async(1));
    assert!(poll(waiting.as_mut()).is_pending());
    sem.close();
    assert!(matches!(
        poll(waiting),
        Poll::Ready(Err(AcquireError::Closed))
    ));
    assert_eq!(sem.acquire(1).err(), Some(AcquireError::Closed));
    assert!(sem.try_acquire(1).is_none());
    drop(held);
}

#[test]
fn the_size_of_a_semaphore_changes() {
    let sem = Semaphore::new(1);
    let held = sem.acquire(1).unwrap();
    let mut waiting = pin!(sem.acquire_async(2));
    assert!(matches!(
        poll(waiting.as_mut()),
        Poll::Ready(Err(AcquireError::TooMany))
    ));
    let mut waiting = pin!(sem.acquire_async(1));
    assert!(poll(waiting.as_mut()).is_pending());
    sem.set_size(2);
    let Poll::Ready(Ok(second)) = poll(waiting) else {
        panic!("there is room now");
    };
    sem.set_size(1);
    drop(held);
    assert!(sem.try_acquire(1).is_none());
    drop(second);
    assert_eq!(sem.available(), 1);
}

#[test]
fn a_done_context_beats_a_grant_in_the_same_instant() {
    let sem = Semaphore::new(1);
    let (ctx, cancel) = rendez::prelude::Context::background().with_cancel();
    cancel.cancel();
    assert!(ctx.block_on(sem.acquire_async(1)).is_err());
    assert_eq!(sem.available(), 1);
    // Served and cancelled before it looks again.
    let (ctx, cancel) = rendez::prelude::Context::background().with_cancel();
    let held = sem.acquire(1).unwrap();
    let mut waiting = pin!(ctx.run(sem.acquire_async(1)));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(held);
    cancel.cancel();
    let Poll::Ready(got) = poll(waiting) else {
        panic!("either is there");
    };
    assert!(got.is_err(), "the context is done");
    assert_eq!(sem.available(), 1, "the permit was given back");
}

// --- SingleFlight, Barrier ----------------------------------------------------------------

#[test]
fn a_single_flight_runs_once_for_all_who_ask() {
    let flights: SingleFlight<&str, i32> = SingleFlight::new();
    let alone: Shared<i32> = flights.run("key", || 1);
    assert_eq!((alone.value, alone.shared), (1, false));
    let runs = AtomicUsize::new(0);
    let (entered_tx, entered) = bounded(1);
    let (leave, left) = bounded::<()>(0);
    scope(|s| {
        let leader = s.go(|| {
            flights.run("key", || {
                runs.fetch_add(1, Ordering::Relaxed);
                entered_tx.send(()).unwrap();
                left.recv().unwrap_err();
                2
            })
        });
        entered.recv().unwrap();
        let mut joined = pin!(is_send(flights.run_async("key", async { unreachable!() })));
        assert!(poll(joined.as_mut()).is_pending());
        leave.close();
        let joined = block_on(joined);
        let led = leader.join().unwrap();
        assert_eq!((joined.value, joined.shared), (2, true));
        assert_eq!((led.value, led.shared), (2, true));
    });
    assert_eq!(runs.load(Ordering::Relaxed), 1);
}

#[test]
fn a_flight_forgotten_is_flown_again() {
    let flights = SingleFlight::new();
    let mut first = pin!(flights.run_async(1, std::future::pending::<i32>()));
    assert!(poll(first.as_mut()).is_pending());
    flights.forget(&1);
    assert_eq!(flights.run(1, || 5).value, 5);
}

#[test]
fn a_panic_in_a_flight_reaches_every_waiter() {
    let flights: SingleFlight<u8, u8> = SingleFlight::new();
    let (entered_tx, entered) = bounded(1);
    let (leave, left) = bounded::<()>(0);
    scope(|s| {
        let leader = s.go(|| {
            flights.run(1, || {
                entered_tx.send(()).unwrap();
                left.recv().unwrap_err();
                panic!("on purpose")
            })
        });
        entered.recv().unwrap();
        let mut joined = Box::pin(flights.run_async(1, async { 1 }));
        assert!(poll(joined.as_mut()).is_pending());
        leave.close();
        let panicked = catch_unwind(AssertUnwindSafe(|| block_on(joined)));
        assert!(message(panicked.err().unwrap()).contains("on purpose"));
        assert!(leader.join().is_err());
    });
    assert_eq!(flights.run(1, || 2).value, 2);
}

#[test]
fn a_barrier_lets_all_go_and_names_one_leader() {
    let barrier = Barrier::new(3);
    let leaders: usize = scope(|s| {
        let a = s.go(|| barrier.wait().is_leader());
        let b = s.go(async { barrier.wait_async().await.is_leader() });
        let c = barrier.wait().is_leader();
        [a.join().unwrap(), b.join().unwrap(), c]
            .into_iter()
            .filter(|l| *l)
            .count()
    });
    assert_eq!(leaders, 1);
    Barrier::new(1).wait();
    Barrier::new(0).wait();
}

// --- Map, Pool, Atomic --------------------------------------------------------------------

#[test]
fn a_map_is_gos_sync_map() {
    let map: Map<String, i32> = Map::new();
    let key = |k: &str| k.to_owned();
    assert_eq!(map.load(&key("a")), None);
    map.store(key("a"), 1);
    assert_eq!(
        (map.load("a"), map.load(&key("a")), map.len()),
        (Some(1), Some(1), 1)
    );
    assert_eq!(map.load_or_store(key("a"), 9), (1, true));
    assert_eq!(map.load_or_store(key("b"), 2), (2, false));
    assert_eq!(
        map.load_or_store_with(key("b"), || unreachable!()),
        (2, true)
    );
    assert_eq!(map.load_or_store_with(key("c"), || 3), (3, false));
    assert_eq!(map.swap(key("a"), 10), Some(1));
    assert_eq!(map.swap(key("d"), 4), None);
    assert!(map.compare_and_swap(&key("a"), &10, 11));
    assert!(!map.compare_and_swap(&key("a"), &10, 12));
    assert!(!map.compare_and_swap(&key("missing"), &0, 1));
    assert!(!map.compare_and_delete("a", &10));
    assert!(!map.compare_and_delete("missing", &10));
    assert!(map.compare_and_delete(&key("a"), &11));
    assert_eq!(map.load_and_delete(&key("b")), Some(2));
    assert_eq!(map.load_and_delete(&key("b")), None);
    map.delete(&key("d"));
    let mut seen = HashMap::new();
    map.range(|k, v| {
        map.store(key("e"), 5);
        map.delete("c");
        seen.insert(k.clone(), *v);
        true
    });
    assert_eq!(seen.get("c"), Some(&3));
    let mut n = 0;
    map.store(key("f"), 6);
    map.range(|_, _| {
        n += 1;
        false
    });
    assert_eq!((n, map.len()), (1, 2));
    map.clear();
    assert!(map.is_empty());
}

#[test]
fn a_pool_makes_lends_and_takes_back() {
    let made = Arc::new(AtomicUsize::new(0));
    let pool = Pool::new({
        let made = made.clone();
        move || {
            made.fetch_add(1, Ordering::Relaxed);
            Vec::<u8>::new()
        }
    });
    {
        let mut buffer: Pooled<'_, Vec<u8>> = is_send(pool.get());
        buffer.push(1);
    }
    assert_eq!(pool.get().len(), 1, "the same again");
    assert_eq!(made.load(Ordering::Relaxed), 1);
    let taken: Vec<u8> = pool.get().detach();
    assert_eq!(taken, [1]);
    assert!(pool.get().is_empty());
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[test]
fn an_atomic_holds_any_value() {
    let value = Atomic::new(String::from("a"));
    let a: Arc<String> = value.load();
    value.store(String::from("b"));
    assert_eq!((a.as_str(), value.load().as_str()), ("a", "b"));
    let old: Arc<String> = value.swap(String::from("c"));
    assert_eq!(*old, "b");
    assert!(!value.compare_and_swap(&old, String::from("d")));
    let now = value.load();
    assert!(value.compare_and_swap(&now, String::from("d")));
    value.store(Arc::new(String::from("e")));
    assert_eq!(*value.load(), "e");
}
