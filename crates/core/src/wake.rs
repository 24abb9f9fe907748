//! Whom to wake, and the list of those to wake once a lock is released.
//!
//! Waking runs foreign code (an executor's waker), so it never happens under a lock:
//! what a critical section has to wake it collects in a [`WakeList`], declared before
//! the lock is taken, which fires when it is dropped after the lock.

use std::collections::VecDeque;
use std::task::Waker;

use crate::parker::Parker;
use crate::shim::Arc;

/// Somebody asleep: a thread or a task.
#[derive(Debug)]
pub enum Wake {
    /// A thread, asleep on its parker.
    Thread(Arc<Parker>),
    /// A task, to be polled again.
    Task(Waker),
}

impl Wake {
    /// Wakes it.
    pub fn wake(self) {
        match self {
            Self::Thread(parker) => parker.unpark(),
            Self::Task(waker) => waker.wake(),
        }
    }

    /// Whether it is a thread, which runs on as soon as it is woken.
    pub fn is_thread(&self) -> bool {
        matches!(self, Self::Thread(_))
    }
}

/// Those to wake after the lock. Fires on drop, in the order of [`WakeList::push`].
#[derive(Debug, Default)]
pub struct WakeList {
    // Nearly every operation wakes nobody or one; only a second one allocates.
    first: Option<Wake>,
    rest: VecDeque<Wake>,
}

impl WakeList {
    /// An empty list.
    pub const fn new() -> Self {
        Self {
            first: None,
            rest: VecDeque::new(),
        }
    }

    /// Adds `wake`.
    pub fn push(&mut self, wake: Wake) {
        if self.is_empty() {
            self.first = Some(wake);
        } else {
            self.rest.push_back(wake);
        }
    }

    /// Whether nobody is to be woken.
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_empty()
    }

    /// Wakes everyone on it. Should a waker panic, the others stay on the list and are
    /// woken when it is dropped.
    pub fn fire(&mut self) {
        if let Some(wake) = self.first.take() {
            wake.wake();
        }
        while let Some(wake) = self.rest.pop_front() {
            wake.wake();
        }
    }
}

impl Drop for WakeList {
    fn drop(&mut self) {
        self.fire();
    }
}
