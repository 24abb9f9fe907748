//! A place for one goroutine, which a core runs next.
#![allow(unsafe_code)]

use std::ptr::{self, NonNull};

use rendez_core::shim::atomic::{AtomicPtr, Ordering};

use crate::cell::Header;
use crate::task::Task;

/// A place for one goroutine. One thread at a time may put into it, anybody may take.
pub(crate) struct Slot(
    // Counts as a task's reference, unless it is null.
    AtomicPtr<Header>,
);

impl Default for Slot {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Slot {
    pub(crate) fn is_some(&self) -> bool {
        !self.0.load(Ordering::Relaxed).is_null()
    }

    /// Puts `task` there; gives what lay there before.
    pub(crate) fn put(&self, task: Task) -> Option<Task> {
        let new = task.into_raw().as_ptr();
        if !self.is_some() {
            // Others only take, so it is still empty. A core changes hands through a lock, so
            // whoever holds it sees what the last holder put.
            // ORDERING: Release pairs with the Acquire in `take`.
            self.0.store(new, Ordering::Release);
            return None;
        }
        self.swap(new)
    }

    /// Takes what lies there.
    pub(crate) fn take(&self) -> Option<Task> {
        if !self.is_some() {
            return None;
        }
        self.swap(ptr::null_mut())
    }

    fn swap(&self, new: *mut Header) -> Option<Task> {
        let old = NonNull::new(self.0.swap(new, Ordering::AcqRel));
        // SAFETY: put here by its owner, and taken out once.
        old.map(|old| unsafe { Task::from_raw(old) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.take());
    }
}
