//! Sequences on a condition, a barrier and a single flight.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Poll;

use rendez_sync::{Barrier, Cond, Mutex, MutexGuard, Shared, SingleFlight};

use crate::sequences::{Step, Waits, each, play};

mod cond {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Op {
        /// Waits with the guard there is.
        Wait,
        NotifyOne,
        NotifyAll,
        Lock,
        TryLock,
        Unlock,
        Step(Step),
    }

    const OPS: [Op; 10] = [
        Op::Wait,
        Op::NotifyOne,
        Op::NotifyAll,
        Op::Lock,
        Op::TryLock,
        Op::Unlock,
        Op::Step(Step::PollOldest),
        Op::Step(Step::PollNewest),
        Op::Step(Step::DropOldest),
        Op::Step(Step::DropNewest),
    ];

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Want {
        Notified,
        Locked,
    }

    struct Run<'a> {
        mutex: &'a Mutex<()>,
        cond: &'a Cond,
        waits: Waits<'a, Want, MutexGuard<'a, ()>>,
        guard: Option<MutexGuard<'a, ()>>,
        n_waits: usize,
        /// Those that were to be released, if nobody leaves meanwhile.
        n_notified: usize,
        n_returned: usize,
        /// Waits dropped, each of which may have been released.
        n_dropped: usize,
    }

    impl<'a> Run<'a> {
        fn done(&mut self, done: Option<(Want, MutexGuard<'a, ()>)>) {
            if let Some((want, guard)) = done {
                assert!(self.guard.replace(guard).is_none(), "locked twice");
                self.n_returned += usize::from(want == Want::Notified);
            }
        }

        fn apply(&mut self, op: Op) -> bool {
            let done = match op {
                Op::Wait => {
                    let Some(guard) = self.guard.take() else {
                        return false;
                    };
                    self.n_waits += 1;
                    self.waits
                        .start(Want::Notified, self.cond.wait_async(guard))
                }
                Op::NotifyOne => {
                    self.n_notified += usize::from(self.cond.notify_one());
                    None
                }
                Op::NotifyAll => {
                    self.n_notified += self.cond.notify_all();
                    None
                }
                Op::Lock => self.waits.start(Want::Locked, self.mutex.lock_async()),
                Op::TryLock => self.mutex.try_lock().map(|guard| (Want::Locked, guard)),
                Op::Unlock => return self.guard.take().is_some(),
                Op::Step(step) => {
                    let n = self.waits.count(|want| *want == Want::Notified);
                    let Ok(done) = step.apply(&mut self.waits) else {
                        return false;
                    };
                    let left = self.waits.count(|want| *want == Want::Notified);
                    self.n_dropped += if done.is_none() { n - left } else { 0 };
                    done
                }
            };
            self.done(done);
            true
        }

        fn check(mut self) {
            loop {
                while let Some(done) = self.waits.settle() {
                    self.done(Some(done));
                }
                let locks = self.waits.count(|want| *want == Want::Locked);
                assert_eq!(self.mutex.is_locked(), self.guard.is_some());
                assert!(self.guard.is_some() || locks == 0, "free beside a waiter");
                if self.guard.take().is_none() {
                    break;
                }
            }
            assert!(self.n_returned <= self.n_notified, "released by nobody");
            let left = self.waits.len();
            assert_eq!(left + self.n_returned + self.n_dropped, self.n_waits);
            // A notification of one that then leaves goes to the next, if there is one.
            let lost = self.n_notified - self.n_returned;
            assert!(
                left == 0 || lost <= self.n_dropped,
                "a notification was lost"
            );
            self.waits.assert_all_pend();
            assert_eq!(self.cond.notify_all(), left, "who waits");
        }
    }

    #[test]
    fn a_condition() {
        each("cond", &OPS, 6, |sequence| {
            let (mutex, cond) = (Mutex::new(()), Cond::new());
            let mut run = Run {
                mutex: &mutex,
                cond: &cond,
                waits: Waits::new(),
                guard: None,
                n_waits: 0,
                n_notified: 0,
                n_returned: 0,
                n_dropped: 0,
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }

    /// Without `notify_all` and with the waits' own notifications: none is lost.
    #[test]
    fn a_notification_passes_on_from_who_leaves() {
        use Op::{Lock, NotifyOne, Wait};
        let steps = [Step::PollOldest, Step::DropOldest, Step::DropNewest].map(Op::Step);
        let ops: Vec<_> = [Lock, Wait, NotifyOne].into_iter().chain(steps).collect();
        each("cond, one by one", &ops, 7, |sequence| {
            let (mutex, cond) = (Mutex::new(()), Cond::new());
            let mut waits: Waits<'_, (), MutexGuard<'_, ()>> = Waits::new();
            let mut guard = None;
            // In the order of arrival: whether each has been notified.
            let mut line: Vec<bool> = Vec::new();
            play(sequence, |op| {
                match op {
                    Lock => {
                        if guard.is_some() {
                            return false;
                        }
                        guard = mutex.try_lock();
                        return guard.is_some();
                    }
                    Wait => {
                        let Some(guard) = guard.take() else {
                            return false;
                        };
                        assert!(waits.start((), cond.wait_async(guard)).is_none());
                        line.push(false);
                    }
                    NotifyOne => {
                        let next = line.iter().position(|notified| !notified);
                        assert_eq!(cond.notify_one(), next.is_some());
                        line[next.unwrap_or(0)..]
                            .iter_mut()
                            .take(1)
                            .for_each(|n| *n = true);
                    }
                    Op::Step(step) => {
                        let i = if step == Step::DropNewest {
                            line.len().wrapping_sub(1)
                        } else {
                            0
                        };
                        let Ok(done) = step.apply(&mut waits) else {
                            return false;
                        };
                        if step == Step::PollOldest {
                            let free = guard.is_none();
                            assert_eq!(done.is_some(), line[0] && free, "the oldest");
                            if done.is_some() {
                                line.remove(0);
                            }
                            guard = done.map(|(_, guard)| guard).or(guard.take());
                        } else if line.remove(i) {
                            // What it was told is told to the next.
                            let next = line.iter_mut().find(|notified| !**notified);
                            next.into_iter().for_each(|n| *n = true);
                        }
                    }
                    _ => unreachable!(),
                }
                true
            })?;
            drop(guard);
            let mut n = 0;
            while let Some((_, guard)) = waits.settle() {
                drop(guard);
                n += 1;
            }
            assert_eq!(n, line.iter().filter(|notified| **notified).count());
            Ok(())
        });
    }
}

#[test]
fn a_barrier() {
    #[derive(Clone, Copy, Debug)]
    enum Op {
        Wait,
        Step(Step),
    }
    let steps = Step::ALL.map(Op::Step);
    let ops: Vec<_> = [Op::Wait].into_iter().chain(steps).collect();
    for n in 1..=3 {
        each(&format!("barrier({n})"), &ops, 7, |sequence| {
            let barrier = Barrier::new(n);
            let mut waits = Waits::new();
            let (mut leaders, mut followers, mut come) = (0, 0, 0);
            let mut done = |done: Option<((), rendez_sync::BarrierWaitResult)>| {
                if let Some((_, passed)) = done {
                    leaders += usize::from(passed.is_leader());
                    followers += usize::from(!passed.is_leader());
                }
            };
            let mut dropped = 0;
            play(sequence, |op| {
                match op {
                    Op::Wait => {
                        come += 1;
                        done(waits.start((), barrier.wait_async()));
                    }
                    Op::Step(step) => {
                        let before = waits.len();
                        let Ok(passed) = step.apply(&mut waits) else {
                            return false;
                        };
                        dropped += if passed.is_none() {
                            before - waits.len()
                        } else {
                            0
                        };
                        done(passed);
                    }
                }
                true
            })?;
            while let Some(passed) = waits.settle() {
                done(Some(passed));
            }
            waits.assert_all_pend();
            assert!(waits.len() < n, "all have come");
            assert_eq!(waits.len() + leaders + followers + dropped, come);
            // Who left after the others had gone on has come all the same.
            assert!(followers <= leaders * (n - 1) && leaders * (n - 1) <= followers + dropped);
            Ok(())
        });
    }
}

#[test]
fn a_single_flight() {
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Op {
        Run,
        /// Whoever leads lands at his next poll.
        Land,
        Forget,
        Step(Step),
    }
    let steps = Step::ALL.map(Op::Step);
    let ops: Vec<_> = [Op::Run, Op::Land, Op::Forget]
        .into_iter()
        .chain(steps)
        .collect();
    each("single flight", &ops, 6, |sequence| {
        let flights = SingleFlight::<u8, u8>::new();
        let lands = Rc::new(Cell::new(0));
        let running = Rc::new(Cell::new(0_usize));
        // Leaders are woken by hand.
        let wakers = Rc::new(std::cell::RefCell::new(Vec::<std::task::Waker>::new()));
        let mut waits: Waits<'_, (), Shared<u8>> = Waits::new();
        let mut forgotten = 0;
        struct Runs(Rc<Cell<usize>>);
        impl Drop for Runs {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }
        play(sequence, |op| {
            match op {
                Op::Run => {
                    let (lands, running, wakers) = (lands.clone(), running.clone(), wakers.clone());
                    let work = move || {
                        running.set(running.get() + 1);
                        let runs = Runs(running);
                        std::future::poll_fn(move |cx| {
                            let _ = &runs;
                            if lands.get() > 0 {
                                lands.set(lands.get() - 1);
                                return Poll::Ready(7);
                            }
                            wakers.borrow_mut().push(cx.waker().clone());
                            Poll::Pending
                        })
                    };
                    let _ = waits.start((), flights.run_async(1, work));
                }
                Op::Land => {
                    lands.set(lands.get() + 1);
                    wakers.take().into_iter().for_each(std::task::Waker::wake);
                }
                Op::Forget => {
                    flights.forget(&1);
                    forgotten += 1;
                }
                Op::Step(step) => return step.apply(&mut waits).is_ok(),
            }
            assert!(running.get() <= 1 + forgotten, "two run");
            true
        })?;
        loop {
            while let Some((_, landed)) = waits.settle() {
                assert_eq!(landed.value, 7);
            }
            assert!(waits.len() == 0 || running.get() > 0, "nobody leads");
            if waits.len() == 0 {
                break;
            }
            waits.assert_all_pend();
            lands.set(1);
            let before = waits.len();
            wakers.take().into_iter().for_each(std::task::Waker::wake);
            let landed = waits.settle();
            assert!(landed.is_some() && waits.len() < before, "nobody lands");
        }
        assert_eq!(running.get(), 0);
        Ok(())
    });
}
