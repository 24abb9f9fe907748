//! Sequences on a mutex and a read-write lock: guards that are dropped, handed over, downgraded
//! and upgraded.

use std::time::Duration;

use lock_api::{RwLockUpgradableReadGuard as Upgradable, RwLockWriteGuard as Write};
use rendez_sync::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
};

use crate::sequences::{Step, Waits, each, play};

/// Longer than a waiter is overtaken.
const PATIENCE: Duration = Duration::from_micros(1100);

mod mutex {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Op {
        Lock,
        TryLock,
        /// Blocking, with no time to wait.
        LockZero,
        Unlock,
        UnlockFair,
        /// Until those who wait are not overtaken any more.
        Age,
        Step(Step),
    }

    struct Run<'a> {
        mutex: &'a Mutex<()>,
        waits: Waits<'a, (), MutexGuard<'a, ()>>,
        guard: Option<MutexGuard<'a, ()>>,
    }

    impl<'a> Run<'a> {
        fn locked(&mut self, guard: MutexGuard<'a, ()>) {
            assert!(self.guard.replace(guard).is_none(), "locked twice");
        }

        fn apply(&mut self, op: Op) -> bool {
            let mutex = self.mutex;
            let done = match op {
                Op::Lock => self.waits.start((), mutex.lock_async()),
                Op::TryLock => mutex.try_lock().map(|guard| ((), guard)),
                Op::LockZero => mutex.lock_timeout(Duration::ZERO).map(|guard| ((), guard)),
                Op::Unlock => return self.guard.take().is_some(),
                Op::UnlockFair => {
                    let Some(guard) = self.guard.take() else {
                        return false;
                    };
                    Mutex::unlock_fair(guard);
                    None
                }
                Op::Age => {
                    std::thread::sleep(PATIENCE);
                    None
                }
                Op::Step(step) => match step.apply(&mut self.waits) {
                    Ok(done) => done,
                    Err(()) => return false,
                },
            };
            if let Some(((), guard)) = done {
                self.locked(guard);
            }
            true
        }

        fn check(mut self) {
            loop {
                while let Some(((), guard)) = self.waits.settle() {
                    self.locked(guard);
                }
                assert_eq!(self.mutex.is_locked(), self.guard.is_some());
                assert!(
                    self.guard.is_some() || self.waits.len() == 0,
                    "free beside a waiter"
                );
                self.waits.assert_all_pend();
                if self.guard.take().is_none() {
                    break;
                }
            }
        }
    }

    fn sequences(ops: &[Op], length: usize) {
        let all: Vec<_> = ops.iter().copied().chain(Step::ALL.map(Op::Step)).collect();
        each("mutex", &all, length, |sequence| {
            let mutex = Mutex::new(());
            let mut run = Run {
                mutex: &mutex,
                waits: Waits::new(),
                guard: None,
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }

    #[test]
    fn a_mutex() {
        let ops = [
            Op::Lock,
            Op::TryLock,
            Op::LockZero,
            Op::Unlock,
            Op::UnlockFair,
        ];
        sequences(&ops, 6);
    }

    #[test]
    fn a_mutex_whose_waiters_age() {
        sequences(&[Op::Lock, Op::Unlock, Op::TryLock, Op::Age], 4);
    }
}

mod rwlock {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Op {
        Read,
        Write,
        Upgradable,
        /// The upgradable reader waits to write.
        Upgrade,
        TryRead,
        TryWrite,
        TryUpgradable,
        TryUpgrade,
        /// Blocking, with no time to wait.
        ReadZero,
        WriteZero,
        /// The writer, or the upgradable reader, goes on as a reader.
        Downgrade,
        DowngradeToUpgradable,
        LeaveOldest,
        LeaveNewest,
        LeaveFair,
        Age,
        Step(Step),
    }

    enum Guard<'a> {
        Read(RwLockReadGuard<'a, ()>),
        Write(RwLockWriteGuard<'a, ()>),
        Upgradable(RwLockUpgradableReadGuard<'a, ()>),
    }

    /// What is waited for, and of an upgrade that it has a reader's place.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Want {
        Read,
        Write,
        Upgradable,
        Upgrade,
    }

    struct Run<'a> {
        lock: &'a RwLock<()>,
        waits: Waits<'a, Want, Guard<'a>>,
        guards: Vec<Guard<'a>>,
    }

    impl<'a> Run<'a> {
        fn enter(&mut self, guard: Option<Guard<'a>>) {
            self.guards.extend(guard);
            let (read, write, upgradable) = self.held();
            assert!(
                write == 0 || read + write + upgradable == 1,
                "a writer with others"
            );
            assert!(upgradable <= 1, "two that may upgrade");
        }

        fn held(&self) -> (usize, usize, usize) {
            let n = |is: fn(&Guard<'a>) -> bool| self.guards.iter().filter(|g| is(g)).count();
            (
                n(|guard| matches!(guard, Guard::Read(_))),
                n(|guard| matches!(guard, Guard::Write(_))),
                n(|guard| matches!(guard, Guard::Upgradable(_)))
                    + self.waits.count(|want| *want == Want::Upgrade),
            )
        }

        fn take(&mut self, is: fn(&Guard<'a>) -> bool) -> Option<Guard<'a>> {
            let i = self.guards.iter().position(is)?;
            Some(self.guards.remove(i))
        }

        fn start(&mut self, want: Want, future: impl Future<Output = Guard<'a>> + 'a) {
            let done = self.waits.start(want, future);
            self.enter(done.map(|(_, guard)| guard));
        }

        fn apply(&mut self, op: Op) -> bool {
            let lock = self.lock;
            match op {
                Op::Read => self.start(Want::Read, async { Guard::Read(lock.read_async().await) }),
                Op::Write => {
                    self.start(Want::Write, async {
                        Guard::Write(lock.write_async().await)
                    });
                }
                Op::Upgradable => self.start(Want::Upgradable, async {
                    Guard::Upgradable(lock.upgradable_read_async().await)
                }),
                Op::TryRead => self.enter(lock.try_read().map(Guard::Read)),
                Op::TryWrite => self.enter(lock.try_write().map(Guard::Write)),
                Op::TryUpgradable => {
                    self.enter(lock.try_upgradable_read().map(Guard::Upgradable));
                }
                Op::ReadZero => self.enter(lock.read_timeout(Duration::ZERO).map(Guard::Read)),
                Op::WriteZero => self.enter(lock.write_timeout(Duration::ZERO).map(Guard::Write)),
                Op::Upgrade | Op::TryUpgrade => {
                    let upgradable = self.take(|guard| matches!(guard, Guard::Upgradable(_)));
                    let Some(Guard::Upgradable(guard)) = upgradable else {
                        return false;
                    };
                    if op == Op::Upgrade {
                        self.start(Want::Upgrade, async {
                            Guard::Write(RwLock::upgrade_async(guard).await)
                        });
                    } else {
                        self.enter(Some(match Upgradable::try_upgrade(guard) {
                            Ok(guard) => Guard::Write(guard),
                            Err(guard) => Guard::Upgradable(guard),
                        }));
                    }
                }
                Op::Downgrade => {
                    let guard = match self.take(|guard| !matches!(guard, Guard::Read(_))) {
                        Some(Guard::Write(guard)) => Write::downgrade(guard),
                        Some(Guard::Upgradable(guard)) => Upgradable::downgrade(guard),
                        _ => return false,
                    };
                    self.enter(Some(Guard::Read(guard)));
                }
                Op::DowngradeToUpgradable => {
                    let writer = self.take(|guard| matches!(guard, Guard::Write(_)));
                    let Some(Guard::Write(guard)) = writer else {
                        return false;
                    };
                    let guard = Write::downgrade_to_upgradable(guard);
                    self.enter(Some(Guard::Upgradable(guard)));
                }
                Op::LeaveOldest | Op::LeaveFair if self.guards.is_empty() => return false,
                Op::LeaveNewest if self.guards.len() < 2 => return false,
                Op::LeaveOldest => drop(self.guards.remove(0)),
                Op::LeaveNewest => drop(self.guards.pop()),
                Op::LeaveFair => match self.guards.remove(0) {
                    Guard::Read(guard) => lock_api::RwLockReadGuard::unlock_fair(guard),
                    Guard::Write(guard) => Write::unlock_fair(guard),
                    Guard::Upgradable(guard) => drop(guard),
                },
                Op::Age => std::thread::sleep(PATIENCE),
                Op::Step(step) => match step.apply(&mut self.waits) {
                    Ok(done) => self.enter(done.map(|(_, guard)| guard)),
                    Err(()) => return false,
                },
            }
            true
        }

        fn check(mut self) {
            loop {
                while let Some((_, guard)) = self.waits.settle() {
                    self.enter(Some(guard));
                }
                let (read, write, upgradable) = self.held();
                let n = |want| self.waits.count(|kind| *kind == want);
                let (reads, writes, upgradables, upgrades) = (
                    n(Want::Read),
                    n(Want::Write),
                    n(Want::Upgradable),
                    n(Want::Upgrade),
                );
                assert!(upgrades == 0 || read > 0, "an upgrade beside nobody");
                assert!(
                    writes == 0 || read + write + upgradable > 0,
                    "a writer, and it is free"
                );
                let blocked = write + writes + upgrades > 0;
                assert!(reads == 0 || blocked, "a reader beside no writer");
                let blocked = blocked || upgradable > 0;
                assert!(upgradables == 0 || blocked, "an upgradable beside none");
                self.waits.assert_all_pend();
                if self.waits.len() == 0 {
                    let lock = self.lock;
                    assert_eq!(lock.is_locked(), read + write + upgradable > 0);
                    assert_eq!(lock.try_read().is_some(), write == 0);
                    let upgrades = lock.try_upgradable_read().is_some();
                    assert_eq!(upgrades, write + upgradable == 0);
                    let writes = lock.try_write().is_some();
                    assert_eq!(writes, read + write + upgradable == 0);
                }
                if self.guards.is_empty() {
                    break;
                }
                drop(self.guards.remove(0));
            }
            assert_eq!(self.waits.len(), 0);
        }
    }

    fn sequences(ops: &[Op], length: usize) {
        let all: Vec<_> = ops.iter().copied().chain(Step::ALL.map(Op::Step)).collect();
        each("rwlock", &all, length, |sequence| {
            let lock = RwLock::new(());
            let mut run = Run {
                lock: &lock,
                waits: Waits::new(),
                guards: Vec::new(),
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }

    const OPS: [Op; 15] = [
        Op::Read,
        Op::Write,
        Op::Upgradable,
        Op::Upgrade,
        Op::TryRead,
        Op::TryWrite,
        Op::TryUpgradable,
        Op::TryUpgrade,
        Op::ReadZero,
        Op::WriteZero,
        Op::Downgrade,
        Op::DowngradeToUpgradable,
        Op::LeaveOldest,
        Op::LeaveNewest,
        Op::LeaveFair,
    ];

    #[test]
    fn a_rwlock() {
        sequences(&OPS, 4);
    }

    #[test]
    fn a_rwlock_that_is_only_awaited() {
        use Op::{LeaveFair, LeaveNewest, LeaveOldest, Read, Upgradable, Upgrade, Write};
        sequences(
            &[
                Read,
                Write,
                Upgradable,
                Upgrade,
                LeaveOldest,
                LeaveNewest,
                LeaveFair,
            ],
            5,
        );
    }

    #[test]
    fn a_rwlock_whose_waiters_age() {
        use Op::{Age, LeaveOldest, Read, Upgradable, Write};
        sequences(&[Read, Write, Upgradable, LeaveOldest, Age], 3);
    }
}
