//! A goroutine as another executor runs it.
//!
//! The goroutine's cell is the same as on a pool; what schedules it is a [`Slot`] with the
//! executor's waker. Whoever wakes the goroutine sets SCHEDULED and then takes the waker;
//! [`Task::poll`] leaves the waker and then looks at SCHEDULED, both through the slot's
//! lock: so either the poll sees the wake, or the wake finds the waker.
//!
//! **The executor need not be trusted.** Only the [`Task`] runs the goroutine, and there is
//! one. If it is dropped early, at whatever point, its drop ends the goroutine, cancelled:
//! the body is dropped first and the end told last, as everywhere. If it is leaked the
//! goroutine never ends, and who waits for it waits for ever, but nothing it borrows goes
//! away before it.
//!
//! **Dumps show it.** It is in a registry of its own kind from its start to its end, since
//! nobody here knows the executor's queues and threads.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rendez_core::goroutine::{Goroutine as Identity, coarse};
use rendez_core::quiet::drop_quietly;
use rendez_core::shim::{Arc, Mutex, OnceLock};
use rendez_core::wake::Wake;

use crate::builder;
use crate::dump::Entry;
use crate::error::Payload;
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::task;

/// A goroutine to be run by an executor: what [`Spawn::spawn`](crate::Spawn::spawn) is given.
///
/// It is a future, to be polled to its end; or, if it [is a closure](Self::is_closure), better
/// [run](Self::run) where blocking is welcome. Dropped before its end it cancels the
/// goroutine.
#[must_use = "a goroutine is cancelled when its task is dropped"]
pub struct Task {
    goroutine: task::Task,
    slot: Arc<Slot>,
}

impl Task {
    /// Wraps a goroutine that is due to run and was made with `slot` for its scheduler.
    pub(crate) fn new(goroutine: task::Task, slot: Arc<Slot>) -> Self {
        Self { goroutine, slot }
    }

    /// Whether it is a closure, which its first poll runs to the end, however long that
    /// takes.
    pub fn is_closure(&self) -> bool {
        self.goroutine.is_closure()
    }

    /// The goroutine's id, unique in the process.
    pub fn id(&self) -> u64 {
        self.goroutine.identity().id()
    }

    /// The goroutine's name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.goroutine.identity().name()
    }

    /// Runs it on the calling thread to its end.
    pub fn run(self) {
        crate::block_on(self);
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.slot.set(cx.waker());
        let word = this.goroutine.word();
        if !word.is_done() && word.is_scheduled() {
            // No worker of ours has done so.
            coarse::tick();
            let _ = this.goroutine.identity().end_wait();
            this.goroutine.clone().run(&*this.slot);
        }
        if this.goroutine.word().is_done() {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // A poll that has panicked through cannot be: `run` catches what the body throws.
        if !self.goroutine.word().is_done() {
            self.goroutine.make_cancelled();
            self.goroutine.clone().run(&*self.slot);
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("is_closure", &self.is_closure())
            .finish()
    }
}

/// The waker by which the executor is told that the goroutine is due.
pub(crate) struct Slot(Mutex<Option<Waker>>);

impl Slot {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    fn set(&self, waker: &Waker) {
        if !matches!(&*self.0.lock(), Some(old) if old.will_wake(waker)) {
            let new = waker.clone();
            // Dropped after the lock: a waker is foreign code.
            let old = self.0.lock().replace(new);
            drop_quietly(old);
        }
    }

    fn wake(&self) {
        // Taken, not cloned, since that too is foreign code; the poll it leads to leaves
        // another.
        let waker = self.0.lock().take();
        if let Some(waker) = waker {
            // It may panic, and the caller be a worker between two goroutines.
            Wake::Task(waker).wake();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop_quietly(self.0.lock().take());
    }
}

impl Schedule for Slot {
    fn schedule(&self, _: task::Task) {
        self.wake();
    }

    fn reschedule(&self, _: task::Task) {
        self.wake();
    }

    fn finished(&self) {}

    fn unclaimed_panic(&self, identity: &Identity, payload: Payload) {
        builder::report(identity, payload);
    }

    fn registry(&self) -> Option<&Registry> {
        registry()
    }
}

/// All that live.
fn registry() -> Option<&'static Registry> {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    // A static would outlive a model's iteration.
    (!cfg!(rendez_loom)).then(|| REGISTRY.get_or_init(Registry::default))
}

/// Shows each that lives, as a dump does.
pub(crate) fn for_each(f: &mut dyn FnMut(Entry)) {
    if let Some(registry) = registry() {
        registry.for_each(|header| f(header.describe()));
    }
}
