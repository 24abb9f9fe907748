//! What a group's handles and goroutines share: the count, the slots, and what went wrong.
//!
//! A goroutine of a group is a goroutine with a [`Member`] for its ending:
//!
//! 1. its result is settled, when its body is gone: an error or a panic is kept, and the
//!    first of them cancels the context;
//! 2. the member is dropped: it gives its slot back, then counts down.
//!
//! Invariants:
//!
//! - What a member records it records before it counts down; so who has seen the count at
//!   zero finds it.
//! - `failed` and the verdict change together, under the verdict's lock. Whoever turns
//!   `failed` cancels the context, so the cause is the first error kept.
//! - A panic is in one place: kept for a wait, resumed by one, or, once no handle is left,
//!   given to its pool's `on_panic`.
//! - No user code runs, and no value of the user's is dropped, under the lock.

use std::error::Error;
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use rendez_context::{Cancel, Context, ContextError};
use rendez_core::case::Arm;
use rendez_core::countdown::{Countdown, Zero};
use rendez_core::goroutine::WaitKind;
use rendez_core::quiet::{drop_each_quietly, drop_quietly};
use rendez_core::shim::atomic::{AtomicBool, Ordering};
use rendez_core::shim::{Arc, Mutex};
use rendez_core::wait::{self, Order};
use rendez_pool::__private::{Ending, On, Reporter, Task, TaskResult, spawned_at};
use rendez_pool::{Goroutine, JoinError, Payload};

use crate::error::{Failure, cause_of, from_context};
use crate::slots::{Slot, Slots};

pub(crate) struct Shared<E> {
    pub(crate) members: Countdown,
    pub(crate) slots: Slots,
    pub(crate) context: Option<Context>,
    cancel: Option<Cancel>,
    // Whether the verdict is not empty; see the head of the file.
    failed: AtomicBool,
    // The innermost lock.
    verdict: Mutex<Verdict<E>>,
    cancelled_as: Option<fn(ContextError) -> E>,
}

/// What has gone wrong since the last wait.
struct Verdict<E> {
    // In the order they came.
    errors: Vec<E>,
    panic: Option<(Reporter, Payload)>,
    // A goroutine has ended without result.
    lost: bool,
    // No handle is left: nobody will wait.
    unheld: bool,
}

impl<E> Drop for Verdict<E> {
    fn drop(&mut self) {
        drop_each_quietly(mem::take(&mut self.errors));
    }
}

impl<E> Shared<E> {
    pub(crate) fn new(
        limit: Option<usize>,
        context: Option<(Context, Cancel)>,
        cancelled_as: Option<fn(ContextError) -> E>,
    ) -> Self {
        let (context, cancel) = context.unzip();
        Self {
            members: Countdown::new(0, WaitKind::WaitGroup),
            slots: Slots::new(limit),
            context,
            cancel,
            failed: AtomicBool::new(false),
            verdict: Mutex::new(Verdict {
                errors: Vec::new(),
                panic: None,
                lost: false,
                unheld: false,
            }),
            cancelled_as,
        }
    }

    /// Ready when no goroutine is left.
    pub(crate) fn zero(&self) -> Zero<'_> {
        Zero(&self.members)
    }

    /// Sets the limit.
    ///
    /// # Panics
    ///
    /// If goroutines run.
    #[track_caller]
    pub(crate) fn set_limit(&self, limit: Option<usize>) {
        let running = match self.members.count() {
            0 => self.slots.set_limit(limit).err(),
            n => Some(n),
        };
        if let Some(n) = running {
            panic!("the limit of a group is changed while {n} of its goroutines run");
        }
    }

    /// Ends the context, as the first wait does.
    #[track_caller]
    pub(crate) fn end_context(&self) {
        if let Some(cancel) = &self.cancel {
            cancel.cancel();
        }
    }

    fn cancel_with(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        if let Some(cancel) = &self.cancel {
            // Wakes whoever waits for the context, whose wakers may panic.
            let _ =
                catch_unwind(AssertUnwindSafe(|| cancel.cancel_with(cause))).map_err(drop_quietly);
        }
    }

    /// Keeps something that went wrong. Returns whether it is the first.
    fn keep(&self, what: impl FnOnce(&mut Verdict<E>)) -> bool {
        let mut verdict = self.verdict.lock();
        what(&mut verdict);
        !self.failed.swap(true, Ordering::Relaxed)
    }

    fn keep_panic(&self, task: &Task, payload: Payload) -> Option<Payload> {
        let mut verdict = self.verdict.lock();
        if verdict.unheld || verdict.panic.is_some() {
            return Some(payload);
        }
        verdict.panic = Some((task.reporter(), payload));
        self.failed.store(true, Ordering::Relaxed);
        None
    }

    /// Cancels the context because of something that is no error of the group's.
    pub(crate) fn fail(&self, why: &str) {
        self.cancel_with(Failure::say(why));
    }

    /// What the goroutines came to; nobody runs any more.
    ///
    /// # Panics
    ///
    /// With the first panic of a goroutine, or if one was lost and there is no error.
    pub(crate) fn outcome(&self) -> Result<(), Vec<E>> {
        if !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut verdict = self.verdict.lock();
        if let Some((reporter, payload)) = verdict.panic.take() {
            let more = !verdict.errors.is_empty() || verdict.lost;
            self.failed.store(more, Ordering::Relaxed);
            drop(verdict);
            drop(reporter);
            resume_unwind(payload);
        }
        let errors = mem::take(&mut verdict.errors);
        let lost = mem::take(&mut verdict.lost);
        self.failed.store(false, Ordering::Relaxed);
        drop(verdict);
        assert!(
            !(lost && errors.is_empty()),
            "a goroutine of the group was dropped by its executor before its end"
        );
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors)
        }
    }

    /// The first error, for who wants no other.
    ///
    /// # Panics
    ///
    /// As [`outcome`](Self::outcome).
    pub(crate) fn first_error(&self) -> Result<(), E> {
        self.outcome().map_err(|errors| {
            let mut errors = errors.into_iter();
            let first = errors.next().expect("a failed outcome has an error");
            drop_each_quietly(errors);
            first
        })
    }

    /// No handle is left. A panic that nobody has heard of is reported, and so is every one
    /// to come.
    pub(crate) fn unhold(&self) {
        let mut verdict = self.verdict.lock();
        verdict.unheld = true;
        let panic = verdict.panic.take();
        let errors = mem::take(&mut verdict.errors);
        drop(verdict);
        if let Some((reporter, payload)) = panic {
            reporter.report(payload);
        }
        drop_each_quietly(errors);
    }
}

impl<E: fmt::Debug + Send + 'static> Shared<E> {
    fn keep_error(&self, error: E) {
        // If something has failed before, it is not the first and the context knows.
        let cause = (self.cancel.is_some() && !self.failed.load(Ordering::Relaxed))
            .then(|| cause_of(&error));
        let first = self.keep(|verdict| verdict.errors.push(error));
        if let Some(cause) = cause.filter(|_| first) {
            self.cancel_with(cause);
        }
    }

    /// Waits for a slot, if the group has a limit. `None` if the context ended first, which
    /// is then among the group's errors: see [`Group::go`](crate::Group::go).
    pub(crate) fn take_slot(&self, location: &'static Location<'static>) -> Option<bool> {
        let Some(limit) = self.slots.limit() else {
            return Some(false);
        };
        check(limit);
        if self.slots.try_take() {
            return Some(true);
        }
        let slot = Slot(&self.slots);
        if let Some(context) = &self.context {
            let done = context.done();
            let ended = rendez_core::case::AsCase::__case(&done);
            let arms: [&dyn rendez_core::case::Case; 2] = [&slot, &ended];
            let (arm, outcome) = wait::block_any(&arms, None, Order::Biased, location)
                .expect("without a deadline a wait ends only by being served");
            if arm == 0 {
                slot.finish(outcome);
                return Some(true);
            }
            if self.skip(ended.finish(outcome)) {
                return None;
            }
        }
        let _ = wait::block_on_case(&slot, None, location);
        Some(true)
    }

    /// Whether a goroutine may be given up because the context has ended: if the group
    /// will say so.
    pub(crate) fn skip(&self, end: ContextError) -> bool {
        if self.failed.load(Ordering::Acquire) {
            return true;
        }
        let error = match self.cancelled_as {
            Some(make) => Some(make(end)),
            None => from_context(end),
        };
        let Some(error) = error else { return false };
        let _ = self.keep(|verdict| verdict.errors.push(error));
        true
    }

    /// Starts a goroutine, which has a slot or needs none.
    ///
    /// # Safety
    ///
    /// What it borrows lives until [`zero`](Self::zero) is ready.
    #[expect(unsafe_code)]
    pub(crate) unsafe fn start<M, G>(
        self: &Arc<Self>,
        on: &On<'_>,
        goroutine: G,
        has_slot: bool,
        location: &'static Location<'static>,
    ) where
        G: Goroutine<M, Output = Result<(), E>>,
    {
        if self.members.add(1).is_err() {
            if has_slot {
                self.slots.release();
            }
            panic!("a group has fewer than 2^32 goroutines");
        }
        let member = Member {
            group: Arc::clone(self),
            has_slot,
            settled: false,
        };
        // SAFETY: the member counts down when it is dropped.
        drop(unsafe { on.start_borrowing(goroutine, member, spawned_at(location)) });
    }
}

/// Nobody would ever come to run.
#[track_caller]
pub(crate) fn check(limit: usize) {
    assert!(
        limit > 0,
        "Group::go with a limit of zero, under which no goroutine can start"
    );
}

/// One goroutine of a group: see the head of the file.
struct Member<E: fmt::Debug + Send + 'static> {
    group: Arc<Shared<E>>,
    has_slot: bool,
    settled: bool,
}

impl<E: fmt::Debug + Send + 'static> Member<E> {
    fn lose(&self) {
        if self.group.keep(|verdict| verdict.lost = true) {
            self.group
                .fail("a goroutine of the group was dropped by its executor");
        }
    }
}

impl<E: fmt::Debug + Send + 'static> Ending<Result<(), E>> for Member<E> {
    fn settle(
        &mut self,
        task: &Task,
        result: TaskResult<Result<(), E>>,
    ) -> TaskResult<Result<(), E>> {
        self.settled = true;
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.group.keep_error(error),
            Err(JoinError::Cancelled) => self.lose(),
            Err(JoinError::Panicked(payload)) => {
                let left = self.group.keep_panic(task, payload);
                self.group.fail("a goroutine of the group panicked");
                // Nobody joins it, so it goes to the pool's hook.
                return left.map_or(Ok(Ok(())), |payload| Err(JoinError::Panicked(payload)));
            }
        }
        Ok(Ok(()))
    }

    fn unclaimed_panic(&self, payload: Payload) -> Option<Payload> {
        Some(payload)
    }
}

impl<E: fmt::Debug + Send + 'static> Drop for Member<E> {
    fn drop(&mut self) {
        if !self.settled {
            self.lose();
        }
        if self.has_slot {
            self.group.slots.release();
        }
        let _ = self.group.members.done();
    }
}
