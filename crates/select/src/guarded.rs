//! A lock whose critical section collects whom it wakes, and a release for those who wait
//! for an end to be closed.

use std::ops::{Deref, DerefMut};

use rendez_core::case::Outcome;
use rendez_core::queue::Queue;
use rendez_core::shim::{Mutex, MutexGuard};
use rendez_core::wake::WakeList;

/// A locked state. Dropped, it unlocks first and then wakes.
pub(crate) struct Locked<'a, S> {
    state: MutexGuard<'a, S>,
    wakes: WakeList,
}

impl<'a, S> Locked<'a, S> {
    pub(crate) fn new(state: &'a Mutex<S>) -> Self {
        Self {
            state: state.lock(),
            wakes: WakeList::new(),
        }
    }

    /// State and wakes, for the moves that need both.
    pub(crate) fn parts(&mut self) -> (&mut S, &mut WakeList) {
        (&mut self.state, &mut self.wakes)
    }
}

impl<S> Deref for Locked<'_, S> {
    type Target = S;
    fn deref(&self) -> &S {
        &self.state
    }
}

impl<S> DerefMut for Locked<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.state
    }
}

/// Serves all who stand in `queue` with `outcome`.
pub(crate) fn release(queue: &mut Queue, outcome: Outcome, wakes: &mut WakeList) {
    while let Some(waiter) = queue.claim() {
        waiter.complete(outcome, wakes);
    }
}
