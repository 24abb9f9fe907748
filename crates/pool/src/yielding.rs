//! Letting others run.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::hooks;
use rendez_core::shim::thread;

/// Lets the other goroutines that are due on this worker run first: Go's
/// `runtime.Gosched`, awaited.
///
/// # Cancel safety
///
/// Dropped before it completes, it leaves no trace.
///
/// # Examples
///
/// ```
/// let counted = rendez_pool::go(async {
///     for _ in 0..10 {
///         rendez_pool::yield_now().await;
///     }
///     10
/// });
/// assert_eq!(counted.join().unwrap(), 10);
/// ```
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false }
}

/// What [`yield_now`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        hooks::switch_point();
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Lets other threads run first, those of the pool included. For closures; a future awaits
/// [`yield_now`].
pub fn yield_thread() {
    hooks::switch_point();
    thread::yield_now();
}
