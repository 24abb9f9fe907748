//! Sleeping: a thread or a task that waits for an instant and for nothing else.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::clock::{self, Alarm};
use rendez_core::goroutine::{self, WaitKind};
use rendez_core::schedule::Until;
use rendez_core::{hooks, wait};

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
    Sleep {
        until: clock::deadline_after(d),
        alarm: Alarm::new(),
        location: Location::caller(),
    }
}

/// What [`sleep_async`] gives. Nobody else can serve it, so an alarm is all it needs.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    until: Option<Instant>,
    alarm: Alarm,
    location: &'static Location<'static>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        hooks::switch_point();
        if let Some(until) = self.until {
            if self.alarm.set_unless_past(until, cx.waker()) {
                return Poll::Ready(());
            }
        }
        goroutine::parked(WaitKind::Sleep, self.location);
        Poll::Pending
    }
}
