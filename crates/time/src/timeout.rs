//! A future that is given so much time and no more.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::clock::{self, Alarm};
use rendez_core::goroutine::{self, WaitKind};

use crate::error::Elapsed;

/// Gives `future` at most `d`, counted from the first time it is polled and not ready. An
/// output that is ready is returned, however late; one that is ready at once costs no
/// look at the clock.
///
/// When the time is up the future is not dropped by this but with it.
///
/// # Errors
///
/// [`Elapsed`] if the time was up first. A `d` beyond all time never is.
///
/// # Cancel safety
///
/// That of `future`.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use rendez_time::{Elapsed, timeout};
///
/// # rendez_core::block_on::block_on(async {
/// assert_eq!(timeout(Duration::ZERO, async { 1 }).await, Ok(1));
/// let never = std::future::pending::<()>();
/// assert!(timeout(Duration::from_millis(1), never).await.is_err());
/// # });
/// ```
#[track_caller]
pub fn timeout<F: Future>(d: Duration, future: F) -> Timeout<F> {
    Timeout {
        limit: Limit::NotCounted(d),
        alarm: Alarm::new(),
        location: Location::caller(),
        future,
    }
}

/// What [`timeout`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Timeout<F> {
    limit: Limit,
    alarm: Alarm,
    location: &'static Location<'static>,
    // The only field that is pinned.
    future: F,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    NotCounted(Duration),
    At(Instant),
    Never,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future` is pinned with the whole and never moved out; the other fields
        // are not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        if let Poll::Ready(output) = unsafe { Pin::new_unchecked(&mut this.future) }.poll(cx) {
            this.alarm.cancel();
            return Poll::Ready(Ok(output));
        }
        if let Limit::NotCounted(d) = this.limit {
            this.limit = clock::deadline_after(d).map_or(Limit::Never, Limit::At);
        }
        match this.limit {
            Limit::At(deadline) if this.alarm.set_unless_past(deadline, cx.waker()) => {
                Poll::Ready(Err(Elapsed))
            }
            _ => {
                // A future that is not ours says nothing of its wait.
                goroutine::parked_otherwise(WaitKind::Sleep, this.location);
                Poll::Pending
            }
        }
    }
}
