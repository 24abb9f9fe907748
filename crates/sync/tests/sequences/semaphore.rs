//! Sequences on a semaphore: permits that are split, merged and forgotten, a size that
//! changes, a close.

use std::time::Duration;

use rendez_sync::{AcquireError, Permit, Semaphore};

use crate::sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Acquire(usize),
    TryAcquire(usize),
    /// Blocking, with no time to wait.
    AcquireZero(usize),
    TryAcquireAll,
    ReleaseOldest,
    ReleaseNewest,
    Split,
    /// The two oldest.
    Merge,
    Forget,
    SetSize(usize),
    Close,
    Step(Step),
}

const OPS: [Op; 22] = [
    Op::Acquire(0),
    Op::Acquire(1),
    Op::Acquire(2),
    Op::Acquire(3),
    Op::TryAcquire(1),
    Op::TryAcquire(2),
    Op::AcquireZero(1),
    Op::TryAcquireAll,
    Op::ReleaseOldest,
    Op::ReleaseNewest,
    Op::Split,
    Op::Merge,
    Op::Forget,
    Op::SetSize(0),
    Op::SetSize(1),
    Op::SetSize(2),
    Op::SetSize(3),
    Op::Close,
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

type Done<'a> = Result<Permit<'a>, AcquireError>;

struct Run<'a> {
    semaphore: &'a Semaphore,
    /// Each for how many.
    waits: Waits<'a, usize, Done<'a>>,
    permits: Vec<Permit<'a>>,
    forgotten: usize,
    size: usize,
    closed: bool,
}

impl<'a> Run<'a> {
    fn done(&mut self, done: Option<(usize, Done<'a>)>) {
        match done {
            Some((n, Ok(permit))) => {
                assert_eq!(permit.count(), n);
                self.permits.push(permit);
            }
            Some((_, Err(AcquireError::Closed))) => assert!(self.closed),
            _ => {}
        }
    }

    fn out(&self) -> usize {
        self.forgotten + self.permits.iter().map(Permit::count).sum::<usize>()
    }

    fn apply(&mut self, op: Op) -> bool {
        let semaphore = self.semaphore;
        match op {
            Op::Acquire(n) => {
                let done = self.waits.start(n, semaphore.acquire_async(n));
                self.done(done);
            }
            Op::TryAcquire(n) => self.permits.extend(semaphore.try_acquire(n)),
            Op::AcquireZero(n) => match semaphore.acquire_timeout(n, Duration::ZERO) {
                Ok(permit) => self.permits.extend(permit),
                Err(AcquireError::Closed) => assert!(self.closed),
                Err(_) => assert!(n > self.size),
            },
            Op::TryAcquireAll => self.permits.extend(semaphore.try_acquire_all()),
            Op::SetSize(n) => {
                if n == self.size {
                    return false;
                }
                semaphore.set_size(n);
                self.size = n;
            }
            Op::Close => {
                assert_ne!(semaphore.close(), self.closed);
                let first = !self.closed;
                self.closed = true;
                return first;
            }
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => self.done(done),
                Err(()) => return false,
            },
            _ if self.permits.is_empty() => return false,
            Op::ReleaseOldest => drop(self.permits.remove(0)),
            Op::ReleaseNewest => {
                let newest = self.permits.pop();
                return !self.permits.is_empty() && newest.is_some();
            }
            Op::Split => {
                assert!(self.permits[0].split(4).is_none());
                let one = self.permits[0].split(1);
                let splits = one.is_some();
                self.permits.extend(one);
                return splits;
            }
            Op::Merge => {
                if self.permits.len() < 2 {
                    return false;
                }
                let second = self.permits.remove(1);
                self.permits[0].merge(second);
            }
            Op::Forget => {
                let permit = self.permits.remove(0);
                self.forgotten += permit.count();
                permit.forget();
            }
        }
        true
    }

    fn check(mut self) {
        loop {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            assert_eq!(self.semaphore.size(), self.size);
            assert_eq!(self.semaphore.is_closed(), self.closed);
            let available = self.semaphore.available();
            assert_eq!(
                available,
                self.size.saturating_sub(self.out()),
                "in balance"
            );
            assert!(!self.closed || self.waits.len() == 0, "a close was missed");
            for n in self.waits.kinds() {
                assert!(*n <= self.size, "who asks for too many");
            }
            // Polled last first, who came first may have come to be behind another, so all
            // are asked for what the first would be.
            let least = self.waits.kinds().min();
            let first = self.waits.kinds().next();
            if let (Some(&least), Some(&first)) = (least, first) {
                assert!(
                    least > available || first > available,
                    "permits and a waiter"
                );
            }
            self.waits.assert_all_pend();
            assert!(self.waits.len() == 0 || self.semaphore.try_acquire(0).is_none());
            if self.permits.is_empty() {
                break;
            }
            drop(self.permits.remove(0));
        }
        self.waits.clear();
        let all = self.size.saturating_sub(self.forgotten);
        let left = self
            .semaphore
            .try_acquire_all()
            .map_or(0, |all| all.count());
        assert_eq!(left, if self.closed { 0 } else { all });
    }
}

#[test]
fn permits_are_in_balance_and_nobody_sleeps_beside_them() {
    for size in 0..=2 {
        each(&format!("size {size}"), &OPS, 4, |sequence| {
            let semaphore = Semaphore::new(size);
            let mut run = Run {
                semaphore: &semaphore,
                waits: Waits::new(),
                permits: Vec::new(),
                forgotten: 0,
                size,
                closed: false,
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }
}
