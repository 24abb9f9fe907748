//! How a future waits for a lock: it tries to take it before it writes anything, and may keep
//! the lock alive meanwhile.
#![allow(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::case::{Arm, Case, Outcome, Sealed, case_of};
use rendez_core::wait::CaseFuture;

/// The wait for a lock, as a case.
pub(crate) trait Attempt: Arm<Output = ()> {
    /// Takes the lock if that needs no waiting.
    fn attempt(&self) -> bool;
}

/// Polls a wait for a lock. Who can take it at once has not waited, and writes nothing.
#[inline]
pub(crate) fn poll<C: Attempt>(wait: Pin<&mut CaseFuture<C>>, cx: &mut Context<'_>) -> Poll<()> {
    if wait.is_waiting() {
        wait.poll(cx)
    } else if wait.case().attempt() {
        Poll::Ready(())
    } else {
        wait.poll_looked(cx)
    }
}

/// What keeps a lock alive.
pub(crate) trait Keep {
    /// The wait for the lock.
    type Case<'a>: Attempt
    where
        Self: 'a;

    /// The wait for the lock, which is always the same one.
    fn case(&self) -> Self::Case<'_>;
}

/// The wait for a lock that is kept alive.
pub(crate) struct Kept<K>(pub(crate) K);

impl<K> Sealed for Kept<K> {}

// SAFETY: it is the case of the one lock, which is there as long as this.
unsafe impl<K: Keep> Case for Kept<K> {
    case_of!(this => this.0.case());
}

impl<K: Keep> Arm for Kept<K> {
    type Output = ();
    fn finish(&self, outcome: Outcome) {
        self.0.case().finish(outcome);
    }
}

impl<K: Keep> Attempt for Kept<K> {
    #[inline]
    fn attempt(&self) -> bool {
        self.0.case().attempt()
    }
}
