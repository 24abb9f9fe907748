//! Sleeping: a thread or a task that waits for an instant and for nothing else.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rendez_core::clock;
use rendez_core::schedule::Until;
use rendez_core::wait::{self, CaseFuture};

/// Blocks for at least `d`; not at all if it is zero, for ever if it is beyond all time.
///
/// Unlike `std::thread::sleep` it lets a pool's worker hand its other goroutines on
/// meanwhile, and follows the clock of a bubble.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// rendez_time::sleep(Duration::from_micros(100));
/// assert!(start.elapsed() >= Duration::from_micros(100));
/// ```
#[track_caller]
pub fn sleep(d: Duration) {
    let _ = wait::block_on_case(&Until(clock::deadline_after(d)), None, Location::caller());
}

/// Waits for at least `d` from the call, awaiting.
///
/// # Cancel safety
///
/// Dropped before it completes, it leaves no trace.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// # rendez_core::block_on::block_on(async {
/// let start = Instant::now();
/// rendez_time::sleep_async(Duration::from_micros(100)).await;
/// assert!(start.elapsed() >= Duration::from_micros(100));
/// # });
/// ```
#[track_caller]
pub fn sleep_async(d: Duration) -> Sleep {
    Sleep(CaseFuture::new(
        Until(clock::deadline_after(d)),
        Location::caller(),
    ))
}

/// What [`sleep_async`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep(CaseFuture<Until>);

impl Future for Sleep {
    type Output = ();

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}
