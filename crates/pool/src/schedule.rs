//! What runs goroutines, and what comes after their end, as their cells see both.

use std::panic::Location;

use rendez_core::goroutine::{self, Goroutine as Identity};
use rendez_core::shim::Arc;

use crate::error::{JoinError, Payload};
use crate::registry::Registry;
use crate::scope::Running;
use crate::task::Task;

/// What a goroutine gives.
pub type TaskResult<T> = Result<T, JoinError>;

/// What runs goroutines, as their cells see it.
pub trait Schedule: Send + Sync {
    /// Puts a goroutine that was started or woken into a run queue.
    fn schedule(&self, task: Task);
    /// Puts a goroutine that was woken while it ran into a run queue, behind the others.
    fn reschedule(&self, task: Task);
    /// As [`schedule`](Self::schedule) of a woken one, if the calling thread holds this
    /// scheduler until it returns from whatever it is doing now, whatever becomes of the
    /// goroutines. Otherwise gives it back.
    fn schedule_here(&self, task: Task) -> Option<Task> {
        Some(task)
    }
    /// As [`schedule_here`](Self::schedule_here), at the end of a goroutine that the calling
    /// thread has run, which runs no other code before it takes the next.
    fn schedule_at_end(&self, task: Task) -> Option<Task> {
        self.schedule_here(task)
    }
    /// A goroutine has come to its end; its result is published next.
    fn finished(&self);
    /// A goroutine panicked and nobody will join it.
    fn unclaimed_panic(&self, identity: &Identity, payload: Payload);
    /// Where goroutines that wait are entered, to be shown in dumps.
    fn registry(&self) -> Option<&Registry> {
        None
    }
}

/// What happens after a goroutine's end: its drop is the last thing a goroutine does.
///
/// Implementers are ours. None of these functions panics: what they call of the user's they
/// catch.
pub trait Ending<T>: Send {
    /// Sees the result before the end is published, the body being gone; what it gives back
    /// is what the handle gets. Not called if the goroutine is freed with nobody left who
    /// could wake it.
    fn settle(&mut self, task: &Task, result: TaskResult<T>) -> TaskResult<T> {
        let _ = task;
        result
    }

    /// Takes a panic that nobody will join, or gives it back for the scheduler's hook.
    fn unclaimed_panic(&self, payload: Payload) -> Option<Payload>;

    /// The scope that hears of a panic which a handle drops later.
    fn scope(&self) -> Option<Arc<Running>> {
        None
    }
}

impl<T> Ending<T> for () {
    fn unclaimed_panic(&self, payload: Payload) -> Option<Payload> {
        Some(payload)
    }
}

/// Where a goroutine was started, for its identity.
pub fn spawned_at(location: &'static Location<'static>) -> Identity {
    goroutine::with_running(|parent| Identity::new(None, Some(location), Some(parent)))
        .unwrap_or_else(|| Identity::new(None, Some(location), None))
}
