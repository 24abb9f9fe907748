//! Drives a future with the calling thread's parker.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

use crate::goroutine;
use crate::parker::Parker;

/// Runs `future` on the calling thread until it completes: spins briefly, then sleeps.
///
/// A pool's worker that calls this hands its queue on while it sleeps.
///
/// # Panics
///
/// If the future does.
pub fn block_on<F: Future>(future: F) -> F::Output {
    const SPINS: u32 = 50;
    // A parker of its own: the future may itself block this thread on the cached one, and
    // a token meant for this loop must not be taken there.
    let parker = Parker::new();
    let waker = parker.waker();
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        if !parker.spin(SPINS) {
            parker.park(None);
        }
        // What the future noted when it was polled is over.
        goroutine::with_running(goroutine::Goroutine::end_wait);
    }
}
