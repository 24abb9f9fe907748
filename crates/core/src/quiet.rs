//! Dropping what is the user's where a panic of its drop must not take the caller along.

use std::mem;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops `value`. A panic of its drop has been reported by the panic hook, and goes no further.
///
/// For values of the user's in the middle of work that has to be finished, and for several of
/// them: the second panic while the first unwinds would end the process.
#[inline]
pub fn drop_quietly<T>(value: T) {
    if !mem::needs_drop::<T>() {
        return;
    }
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        drop_payload(payload);
    }
}

/// A payload may panic when dropped, and its panic's payload too; not for ever.
#[cold]
fn drop_payload(payload: Box<dyn std::any::Any + Send>) {
    let mut panic = Err(payload);
    for _ in 0..8 {
        let Err(payload) = panic else { return };
        panic = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    }
    mem::forget(panic);
}

/// [`drop_quietly`] for each of `values`: one that panics hides no other.
pub fn drop_each_quietly<T>(values: impl IntoIterator<Item = T>) {
    values.into_iter().for_each(drop_quietly);
}

/// A value that is [dropped quietly](drop_quietly).
#[derive(Debug)]
pub struct Quiet<T>(Option<T>);

impl<T> Quiet<T> {
    /// Of `value`.
    pub const fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Quiet<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Quiet<T> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;
    use crate::shim::Arc;
    use crate::shim::unmodelled::{AtomicUsize, Ordering};

    /// Panics when dropped, with another for its payload, so many times.
    struct Nested(usize, Arc<AtomicUsize>);

    impl Drop for Nested {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
            if self.0 > 0 {
                std::panic::panic_any(Self(self.0 - 1, Arc::clone(&self.1)));
            }
        }
    }

    #[test]
    fn payloads_that_panic_are_dropped_in_turn() {
        let drops = Arc::new(AtomicUsize::new(0));
        drop_each_quietly([Nested(0, Arc::clone(&drops)), Nested(3, Arc::clone(&drops))]);
        assert_eq!(drops.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn a_payload_without_end_is_forgotten() {
        drop_quietly(Nested(1000, Arc::new(AtomicUsize::new(0))));
    }
}
