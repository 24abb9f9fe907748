//! Who runs a thing that is to happen once, and who waits for it.
//!
//! ```text
//! IDLE --enter--> RUNNING --complete--> DONE
//!   ▲                │ ▲ │
//!   └─ given up, ────┘ │ └─fail──▶ FAILED
//!      nobody waits    └ given up: the first waiter has the turn now
//! ```
//!
//! - The state changes under the lock. DONE and FAILED are final, so a look without the
//!   lock that finds them may be trusted. FAILED is what a panic leads to: it will never
//!   happen, and everybody is told so in the words of `panicked`, left there before.
//! - Whoever has a [`Turn`] runs; one is out while the state is RUNNING, or won by a waiter
//!   that has not noticed. Dropped, it is given up.
//! - `runner` is the goroutine that has the initialiser on its stack at this instant: only
//!   it can write its own id there, so comparing needs no order. It finds re-entrance,
//!   which would otherwise wait for itself.
//!
//! ORDERING: the store of DONE is Release and every look Acquire, so what the run wrote is
//! seen by all who come after.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::{self, WaitKind};
use rendez_core::hooks;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicU8, AtomicU64, Ordering};
use rendez_core::wait::{self, CaseFuture};
use rendez_core::wake::WakeList;

use crate::late::const_new;
use crate::panicked::Panicked;

const IDLE: u8 = 0;
const RUNNING: u8 = 1;
const DONE: u8 = 2;
const FAILED: u8 = 3;

const NOBODY: u64 = 0;

pub(crate) struct Gate {
    state: AtomicU8,
    runner: AtomicU64,
    // Guards the queue and the changes of `state`; nothing is locked under it.
    waiters: Mutex<Queue>,
    // Written once, before the state that lets others read it.
    panicked: Mutex<Option<Panicked>>,
}

/// How an attempt to enter ends.
pub(crate) enum Entered<'a> {
    /// It is for the caller to run now.
    Run(Turn<'a>),
    Done,
    Failed,
}

impl Gate {
    const_new! {
        pub(crate) fn new() -> Self {
            Self {
                state: AtomicU8::new(IDLE),
                runner: AtomicU64::new(NOBODY),
                waiters: Mutex::new(Queue::new()),
                panicked: Mutex::new(None),
            }
        }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) == DONE
    }

    /// Waits until it has happened, or gives the turn.
    ///
    /// # Panics
    ///
    /// If the caller is running it, or if what ran panicked.
    pub(crate) fn enter(&self, location: &'static Location<'static>) -> Option<Turn<'_>> {
        self.refuse_reentry(location);
        let entered = wait::block_on_case(&Enter(self), None, location);
        self.turn(entered.expect("a wait without a deadline ends with a result"))
    }

    /// The turn that was won, unless it has happened.
    ///
    /// # Panics
    ///
    /// In the words of what ran, if that panicked.
    pub(crate) fn turn<'a>(&self, entered: Entered<'a>) -> Option<Turn<'a>> {
        match entered {
            Entered::Run(turn) => Some(turn),
            Entered::Done => None,
            Entered::Failed => self.report(),
        }
    }

    #[cold]
    fn report(&self) -> ! {
        let words = self.panicked.lock().clone();
        words.expect("left before the gate fails").resume()
    }

    /// As [`enter`](Self::enter), awaited. Before each poll the caller looks with
    /// [`refuse_reentry`](Self::refuse_reentry).
    pub(crate) fn enter_async(
        &self,
        location: &'static Location<'static>,
    ) -> CaseFuture<Enter<'_>> {
        CaseFuture::new(Enter(self), location)
    }

    /// Enters if that needs no waiting.
    pub(crate) fn try_enter(&self) -> Option<Entered<'_>> {
        hooks::switch_point();
        let enter = Enter(self);
        enter.try_now().map(|outcome| enter.finish(outcome))
    }

    /// # Panics
    ///
    /// If the calling goroutine is running it, further up its stack.
    pub(crate) fn refuse_reentry(&self, location: &'static Location<'static>) {
        let runner = self.runner.load(Ordering::Relaxed);
        if runner != NOBODY && runner == goroutine::with_current(goroutine::Goroutine::id) {
            panic!("re-entrant initialisation at {location}: it would wait for itself");
        }
    }

    /// Opens it for an owner who is alone.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Ends the run.
    fn end(&self, state: u8) {
        let mut wakes = WakeList::new();
        let mut waiters = self.waiters.lock();
        self.state.store(state, Ordering::Release);
        while let Some(waiter) = waiters.claim() {
            waiter.complete(Outcome(state.into()), &mut wakes);
        }
    }

    /// Gives the turn to the first waiter, or to whoever comes.
    #[cold]
    fn give_up(&self) {
        let mut wakes = WakeList::new();
        let mut waiters = self.waiters.lock();
        match waiters.claim() {
            Some(next) => next.complete(Outcome(RUNNING.into()), &mut wakes),
            None => self.state.store(IDLE, Ordering::Release),
        }
    }

    /// What can be had without waiting; under the lock.
    fn take(&self) -> Option<Outcome> {
        match self.state.load(Ordering::Acquire) {
            IDLE => {
                self.state.store(RUNNING, Ordering::Relaxed);
                Some(Outcome(RUNNING.into()))
            }
            RUNNING => None,
            over => Some(Outcome(over.into())),
        }
    }
}

/// The right to run.
#[must_use = "dropped, the turn passes to the next"]
pub(crate) struct Turn<'a>(&'a Gate);

impl Turn<'_> {
    /// Runs `f`, or a part of it, with re-entrance found out.
    ///
    /// A panic ends the turn before it unwinds on: a waker called while unwinding could
    /// not panic itself without ending the process.
    pub(crate) fn run<R>(self, f: impl FnOnce() -> R) -> (Self, R) {
        let gate = self.0;
        let me = goroutine::with_current(goroutine::Goroutine::id);
        let outer = gate.runner.swap(me, Ordering::Relaxed);
        let result = catch_unwind(AssertUnwindSafe(f));
        gate.runner.store(outer, Ordering::Relaxed);
        match result {
            Ok(result) => (self, result),
            Err(payload) => {
                *gate.panicked.lock() = Some(Panicked::new(&*payload));
                self.end(FAILED);
                resume_unwind(payload)
            }
        }
    }

    /// It has happened.
    pub(crate) fn complete(self) {
        self.end(DONE);
    }

    fn end(self, state: u8) {
        let gate = self.0;
        std::mem::forget(self);
        gate.end(state);
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// Ready when it is over, or nobody runs it; takes the turn then.
#[derive(Clone, Copy)]
pub(crate) struct Enter<'a>(&'a Gate);

impl Sealed for Enter<'_> {}

// SAFETY: nodes enter and leave the one queue under its lock, and are claimed under it.
unsafe impl Case for Enter<'_> {
    // No arm of a select: the epoch has no reader.
    fn probe(&self) -> Probe {
        Probe {
            ready: self.0.state.load(Ordering::Relaxed) != RUNNING,
            epoch: 0,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        let _waiters = self.0.waiters.lock();
        self.0.take()
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut waiters = self.0.waiters.lock();
        match reg.claim_self_if(|| self.0.take()) {
            Ok(Some(outcome)) => reg.complete_self(outcome),
            Ok(None) => waiters.push(reg, std::ptr::null()),
            Err(_) => {}
        }
    }

    fn dequeue(&self, node: &Node) {
        self.0.waiters.lock().remove(node);
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome == Outcome(RUNNING.into()) {
            self.0.give_up();
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Lock
    }
}

impl<'a> Arm for Enter<'a> {
    type Output = Entered<'a>;

    fn finish(&self, outcome: Outcome) -> Entered<'a> {
        match outcome {
            Outcome(o) if o == RUNNING.into() => Entered::Run(Turn(self.0)),
            Outcome(o) if o == DONE.into() => Entered::Done,
            _ => Entered::Failed,
        }
    }
}
