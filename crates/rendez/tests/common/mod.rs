//! What the contract's tests share.
#![allow(dead_code, reason = "each of them uses some of it")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Long enough to see that something waits.
pub(crate) const TICK: Duration = Duration::from_millis(5);
/// For ever, in a test.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Polls once, with a waker that does nothing.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

pub(crate) fn is_send<T: Send>(value: T) -> T {
    value
}

/// Neither `Clone`, nor `Debug`, nor `PartialEq`.
pub(crate) struct Opaque;

/// Counts its drops.
pub(crate) struct Counted(pub(crate) Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
