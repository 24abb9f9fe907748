//! The read-write lock: exclusion, phases, upgrades, cancellation.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::pin::pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use common::{Dice, assert_pending, assert_ready, block_on, poll_once, stress, within_reason};
use rendez_sync::{
    ArcRwLockUpgradableReadGuard, RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard,
};

#[test]
fn try_forms_follow_the_table() {
    let lock = RwLock::new(());
    {
        let _writer = lock.write();
        assert!(lock.try_read().is_none());
        assert!(lock.try_write().is_none());
        assert!(lock.try_upgradable_read().is_none());
    }
    {
        let _reader = lock.read();
        assert!(lock.try_read().is_some());
        assert!(lock.try_write().is_none());
        assert!(lock.try_upgradable_read().is_some());
        let mut writer = pin!(lock.write_async());
        assert_pending(writer.as_mut());
        assert!(lock.try_read().is_none(), "a writer waits");
        assert!(lock.try_upgradable_read().is_none(), "a writer waits");
    }
    assert!(!lock.is_locked());
    assert!(lock.try_write().is_some());
}

#[test]
fn readers_are_inside_together() {
    within_reason(|| {
        let lock = RwLock::new(());
        let inside = Barrier::new(4);
        thread::scope(|s| {
            for i in 0..4 {
                let (lock, inside) = (&lock, &inside);
                s.spawn(move || {
                    let _reader = if i % 2 == 0 {
                        lock.read()
                    } else {
                        block_on(lock.read_async())
                    };
                    inside.wait();
                });
            }
        });
    });
}

#[test]
fn timeouts_give_up_and_unblock_the_readers_behind() {
    let lock = RwLock::new(());
    let reader = lock.read();
    assert!(lock.write_timeout(Duration::from_millis(2)).is_none());
    assert!(lock.try_read().is_some(), "the writer has left");
    drop(reader);
    let writer = lock.write();
    assert!(lock.read_timeout(Duration::from_millis(2)).is_none());
    drop(writer);
    assert!(lock.read_timeout(Duration::MAX).is_some());
    assert!(lock.write_timeout(Duration::MAX).is_some());
}

#[test]
fn readers_queued_during_a_write_all_enter_before_the_next_writer() {
    let lock = RwLock::new(());
    let writing = lock.write();
    let mut next = pin!(lock.write_async());
    let mut readers: Vec<_> = (0..3).map(|_| Box::pin(lock.read_async())).collect();
    assert_pending(next.as_mut());
    readers.iter_mut().for_each(|r| assert_pending(r.as_mut()));
    drop(writing);
    assert_pending(next.as_mut());
    let inside: Vec<_> = readers
        .iter_mut()
        .map(|r| assert_ready(r.as_mut()))
        .collect();
    assert_pending(next.as_mut());
    drop(inside);
    drop(assert_ready(next.as_mut()));
}

#[test]
fn a_waiting_writer_goes_before_readers_that_come_later() {
    let lock = RwLock::new(());
    let reading = lock.read();
    let mut writer = pin!(lock.write_async());
    assert_pending(writer.as_mut());
    let mut late = pin!(lock.read_async());
    assert_pending(late.as_mut());
    drop(reading);
    assert_pending(late.as_mut());
    drop(assert_ready(writer.as_mut()));
    drop(assert_ready(late.as_mut()));
}

#[test]
fn a_dropped_writer_lets_the_readers_in_that_it_blocked() {
    let lock = RwLock::new(());
    let _reading = lock.read();
    let mut writer = Box::pin(lock.write_async());
    let mut late = pin!(lock.read_async());
    assert_pending(writer.as_mut());
    assert_pending(late.as_mut());
    drop(writer);
    drop(assert_ready(late.as_mut()));
}

#[test]
fn dropped_futures_pass_on_what_they_were_given() {
    let lock = RwLock::new(());
    let writing = lock.write();
    let mut reader = Box::pin(lock.read_async());
    let mut writer = Box::pin(lock.write_async());
    let mut last = pin!(lock.write_async());
    assert_pending(reader.as_mut());
    assert_pending(writer.as_mut());
    assert_pending(last.as_mut());
    drop(writing);
    drop(reader); // was inside
    drop(writer); // was woken
    drop(assert_ready(last.as_mut()));
    assert!(!lock.is_locked());
}

#[test]
fn an_old_writer_is_handed_the_lock_past_newcomers() {
    let lock = RwLock::new(());
    let writing = lock.write();
    let mut writer = pin!(lock.write_async());
    assert_pending(writer.as_mut());
    thread::sleep(Duration::from_millis(3));
    drop(writing);
    assert!(lock.try_write().is_none() && lock.try_read().is_none());
    drop(assert_ready(writer.as_mut()));
    assert!(!lock.is_locked());
}

#[test]
fn a_downgrade_lets_the_readers_in_and_keeps_writers_out() {
    let lock = RwLock::new(1);
    let mut writing = lock.write();
    let mut reader = pin!(lock.read_async());
    let mut writer = pin!(lock.write_async());
    assert_pending(reader.as_mut());
    assert_pending(writer.as_mut());
    *writing = 2;
    let reading = RwLockWriteGuard::downgrade(writing);
    assert_eq!(*reading + *assert_ready(reader.as_mut()), 4);
    assert_pending(writer.as_mut());
    drop(reading);
    assert_eq!(*assert_ready(writer.as_mut()), 2);
}

#[test]
fn an_upgradable_reader_is_alone_of_its_kind_and_may_turn_into_the_writer() {
    let lock = RwLock::new(1);
    let first = lock.upgradable_read();
    let mut second = pin!(lock.upgradable_read_async());
    assert_pending(second.as_mut());
    assert!(lock.try_read().is_some(), "an upgradable blocks no reader");
    let reading = lock.read();
    let first = RwLockUpgradableReadGuard::try_upgrade(first).unwrap_err();
    drop(reading);
    let mut writing = RwLockUpgradableReadGuard::upgrade(first);
    *writing += 1;
    assert_pending(second.as_mut());
    let first = RwLockWriteGuard::downgrade_to_upgradable(writing);
    let reading = RwLockUpgradableReadGuard::downgrade(first);
    assert_eq!(*reading + *assert_ready(second.as_mut()), 4);
}

#[test]
fn an_upgrade_waits_for_the_readers_and_blocks_new_ones() {
    within_reason(|| {
        let lock = Arc::new(RwLock::new(0));
        let reading = lock.read();
        let theirs = Arc::clone(&lock);
        let upgrader = thread::spawn(move || {
            let guard = theirs.upgradable_read();
            *RwLockUpgradableReadGuard::upgrade(guard) = 1;
        });
        while lock.try_read().is_some() {
            thread::yield_now();
        }
        assert_eq!(*reading, 0);
        drop(reading);
        upgrader.join().unwrap();
        assert_eq!(*lock.read(), 1);
    });
}

#[test]
fn an_awaited_upgrade_goes_before_writers_and_after_readers() {
    let lock = RwLock::new(1);
    let reading = lock.read();
    let first = lock.upgradable_read();
    let mut writer = pin!(lock.write_async());
    assert_pending(writer.as_mut());
    let mut upgrade = pin!(RwLock::upgrade_async(first));
    assert_pending(upgrade.as_mut());
    drop(reading);
    assert_pending(writer.as_mut());
    let mut writing = assert_ready(upgrade.as_mut());
    *writing = 2;
    assert_pending(writer.as_mut());
    drop(writing);
    assert_eq!(*assert_ready(writer.as_mut()), 2);
}

#[test]
fn a_dropped_upgrade_leaves_the_lock_and_lets_those_in_that_it_blocked() {
    // Whether it has been given the lock by the time or not.
    for served in [false, true] {
        let lock = RwLock::new(());
        let mut reading = Some(lock.read());
        let mut upgrade = Box::pin(RwLock::upgrade_async(lock.upgradable_read()));
        assert_pending(upgrade.as_mut());
        let mut reader = pin!(lock.read_async());
        let mut upgradable = pin!(lock.upgradable_read_async());
        assert_pending(reader.as_mut());
        assert_pending(upgradable.as_mut());
        if served {
            reading.take();
            assert_pending(reader.as_mut());
        }
        drop(upgrade);
        drop(assert_ready(reader.as_mut()));
        drop(assert_ready(upgradable.as_mut()));
        drop(reading);
        assert!(!lock.is_locked());
    }
}

#[test]
fn a_bounded_upgrade_gives_the_guard_back_and_unblocks_readers() {
    let lock = RwLock::new(());
    let short = Duration::from_millis(2);
    let reading = lock.read();
    let first = lock.upgradable_read();
    let first = RwLockUpgradableReadGuard::try_upgrade_for(first, short).unwrap_err();
    assert!(lock.try_read().is_some(), "the upgrade has left");
    assert!(lock.try_upgradable_read().is_none(), "its guard has not");
    drop(reading);
    let writing = RwLockUpgradableReadGuard::try_upgrade_for(first, short).unwrap();
    assert!(lock.try_read().is_none());
    drop(writing);
    assert!(!lock.is_locked());
}

#[test]
fn arc_guards_and_conversions() {
    let lock = Arc::new(RwLock::from(1));
    *lock.write_arc() += 1;
    let reading = lock.read_arc();
    assert_eq!((*reading, Arc::strong_count(&lock)), (2, 2));
    let upgradable = lock.upgradable_read_arc();
    assert!(lock.try_upgradable_read_arc().is_none());
    assert_eq!(*lock.try_read_arc().unwrap(), 2);
    assert!(lock.try_write_arc().is_none());
    drop(reading);
    let writing = ArcRwLockUpgradableReadGuard::upgrade(upgradable);
    assert!(lock.try_read_arc().is_none());
    drop(writing);
    assert!(lock.try_write_arc().is_some());
    assert!(lock.try_upgradable_read_arc().is_some());
    let mut lock = Arc::into_inner(lock).unwrap();
    *lock.get_mut() += 1;
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn futures_that_keep_the_lock_may_be_dropped_at_any_point() {
    fn of<F: Future>(wait: impl Fn(&Arc<RwLock<()>>) -> F) {
        for n_polls in 0..4 {
            let lock = Arc::new(RwLock::new(()));
            let held = lock.write_arc();
            let mut gone = Box::pin(wait(&lock));
            if n_polls > 0 {
                assert_pending(gone.as_mut());
            }
            let mut next = Box::pin(wait(&lock));
            assert_pending(next.as_mut());
            // In line; served, but not told; done, with a guard that outlives it.
            if n_polls > 1 {
                drop(held);
                let guard = (n_polls > 2).then(|| assert_ready(gone.as_mut()));
                drop(gone);
                assert_eq!(Arc::strong_count(&lock), 2 + usize::from(guard.is_some()));
            } else {
                drop(gone);
                drop(held);
            }
            drop(assert_ready(next.as_mut()));
            drop(next);
            assert!(!lock.is_locked(), "after {n_polls}");
            assert_eq!(Arc::strong_count(&lock), 1, "after {n_polls}");
        }
    }
    of(RwLock::read_arc_async);
    of(RwLock::write_arc_async);
    of(RwLock::upgradable_read_arc_async);
}

/// Readers count one, writers ten thousand: the sum shows who is inside together.
#[test]
fn readers_and_writers_exclude_each_other_under_stress() {
    const WRITER: i64 = 10_000;
    stress(|round| {
        for (readers, writers) in [(1, 2), (3, 2), (10, 2)] {
            let lock = Arc::new(RwLock::new(0_u64));
            let inside = Arc::new(AtomicI64::new(0));
            let workers: Vec<_> = (0..readers + writers)
                .map(|i| {
                    let (lock, inside) = (Arc::clone(&lock), Arc::clone(&inside));
                    thread::spawn(move || {
                        let mut dice = Dice::new(round + i);
                        let read = || {
                            let now = inside.fetch_add(1, Ordering::SeqCst) + 1;
                            assert!((1..WRITER).contains(&now), "{now}");
                            inside.fetch_sub(1, Ordering::SeqCst);
                        };
                        let write = |value: &mut u64| {
                            let now = inside.fetch_add(WRITER, Ordering::SeqCst) + WRITER;
                            assert_eq!(now, WRITER);
                            *value += 1;
                            inside.fetch_sub(WRITER, Ordering::SeqCst);
                            1
                        };
                        let mut written = 0;
                        for _ in 0..200 {
                            let short = Duration::from_micros(dice.below(100));
                            let writes = i < writers;
                            match (dice.below(5), writes) {
                                (0, true) => written += write(&mut block_on(lock.write_async())),
                                (1, true) => {
                                    written +=
                                        lock.write_timeout(short).map_or(0, |mut v| write(&mut v));
                                }
                                (2, true) => {
                                    let guard = lock.upgradable_read();
                                    read();
                                    let mut guard = RwLockUpgradableReadGuard::upgrade(guard);
                                    written += write(&mut guard);
                                    let _guard = RwLockWriteGuard::downgrade(guard);
                                    read();
                                }
                                (3, true) => {
                                    drop(poll_once(Box::pin(lock.write_async()).as_mut()));
                                }
                                (_, true) => written += write(&mut lock.write()),
                                (0, false) => {
                                    let _guard = block_on(lock.read_async());
                                    read();
                                }
                                (1, false) => {
                                    if let Some(_guard) = lock.read_timeout(short) {
                                        read();
                                    }
                                }
                                (2, false) => {
                                    drop(poll_once(Box::pin(lock.read_async()).as_mut()));
                                }
                                (_, false) => {
                                    let _guard = lock.read();
                                    read();
                                }
                            }
                        }
                        written
                    })
                })
                .collect();
            let written = workers.into_iter().map(|w| w.join().unwrap()).sum::<u64>();
            assert_eq!(*lock.read(), written);
            assert!(!lock.is_locked());
        }
    });
}
