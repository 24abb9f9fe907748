//! Whom to wake, and the list of those to wake once a lock is released.
//!
//! Waking runs foreign code (an executor's waker), so it never happens under a lock:
//! what a critical section has to wake it collects in a [`WakeList`], declared before
//! the lock is taken, which fires when it is dropped after the lock.
//!
//! Invariant: a waker that panics harms its own task alone. It has nothing to do with the
//! operation that wakes it, which has taken a value or a permit by then and would lose it
//! by unwinding. The panic hook has reported the panic; it goes no further.

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
    /// Wakes it. Does not panic, whatever the waker does.
    #[inline]
    pub fn wake(self) {
        match self {
            Self::Thread(parker) => parker.unpark(),
            Self::Task(waker) => {
                if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                    // Its drop may panic as well.
                    std::mem::forget(payload);
                }
            }
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
    // Nearly every operation wakes nobody or one; only a second one allocates. Both are
    // dropped by `fire`, which an empty list is spared.
    first: ManuallyDrop<Option<Wake>>,
    #[expect(clippy::box_collection, reason = "a word instead of four to clear")]
    rest: ManuallyDrop<Option<Box<VecDeque<Wake>>>>,
}

impl WakeList {
    /// An empty list.
    #[inline]
    pub const fn new() -> Self {
        Self {
            first: ManuallyDrop::new(None),
            rest: ManuallyDrop::new(None),
        }
    }

    /// Adds `wake`.
    #[inline]
    pub fn push(&mut self, wake: Wake) {
        if self.is_empty() {
            self.first = ManuallyDrop::new(Some(wake));
        } else {
            self.push_another(wake);
        }
    }

    #[cold]
    fn push_another(&mut self, wake: Wake) {
        self.rest.get_or_insert_default().push_back(wake);
    }

    /// Whether nobody is to be woken.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    /// Wakes everyone on it.
    #[inline]
    pub fn fire(&mut self) {
        if let Some(wake) = self.first.take() {
            wake.wake();
        }
        if self.rest.is_some() {
            self.fire_rest();
        }
    }

    /// As [`fire`](Self::fire), where there is seldom anybody.
    #[inline(never)]
    fn fire_apart(&mut self) {
        self.fire();
    }

    #[cold]
    fn fire_rest(&mut self) {
        while let Some(wake) = self.rest.as_mut().and_then(|rest| rest.pop_front()) {
            wake.wake();
        }
        *self.rest = None;
    }
}

impl Drop for WakeList {
    #[inline]
    fn drop(&mut self) {
        if !self.is_empty() {
            self.fire_apart();
        }
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;
    use crate::shim::unmodelled::{AtomicUsize, Ordering};
    use std::task;

    struct Wakes(AtomicUsize);

    impl task::Wake for Wakes {
        fn wake(self: Arc<Self>) {
            let before = self.0.fetch_add(1, Ordering::Relaxed);
            assert!(before > 0, "the first wake panics");
        }
    }

    #[test]
    fn a_waker_that_panics_in_the_lists_drop_leaves_the_others_woken() {
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let mut list = WakeList::new();
        for _ in 0..3 {
            list.push(Wake::Task(Waker::from(Arc::clone(&wakes))));
        }
        drop(list);
        assert_eq!(wakes.0.load(Ordering::Relaxed), 3);
    }
}
