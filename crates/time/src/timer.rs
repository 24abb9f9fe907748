//! One instant to come, which can be moved and called off.

use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::case::{AsCase, Case};
use rendez_core::clock::{self, Alarm};
use rendez_core::goroutine::{self, WaitKind};
use rendez_core::hooks;
use rendez_core::schedule::Schedule;
use rendez_core::wait::{self, CaseFuture};

/// Expires once, and again after each [`reset`](Self::reset): Go's `time.Timer`.
///
/// It behaves as a channel without a buffer on which the expiry is sent: the first who
/// receives gets the instant at which it was *due*, however late they come. After
/// [`stop`](Self::stop) or [`reset`](Self::reset) nothing of the earlier setting is
/// received (Go 1.23). Receiving from one that is not running waits, for ever if need be.
///
/// It is an arm of a select (`recv(timer) -> due`), and a future by itself: where it is
/// polled as one it must not be shared meanwhile, which `&mut` sees to.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use rendez_select::{select, unbounded};
/// use rendez_time::Timer;
///
/// let (_tx, rx) = unbounded::<()>();
/// let timeout = Timer::new(Duration::from_millis(1));
/// select! {
///     recv(rx) -> _ => unreachable!("nothing was sent"),
///     recv(timeout) -> due => assert!(due <= rendez_time::now()),
/// }
/// assert!(!timeout.reset(Duration::from_secs(60))); // it had been received
/// assert!(timeout.stop());
/// ```
#[derive(Debug)]
pub struct Timer {
    schedule: Schedule,
    // Of the timer as a future.
    alarm: Alarm,
}

impl UnwindSafe for Timer {}
impl RefUnwindSafe for Timer {}

impl Timer {
    /// A timer that expires `d` from now; one beyond all time runs and never expires.
    pub fn new(d: Duration) -> Self {
        Self {
            schedule: Schedule::once(d, WaitKind::Sleep),
            alarm: Alarm::new(),
        }
    }

    /// Stops it. Returns whether it was running; one that has expired and was not yet
    /// received counts as running. When this returns, nothing can be received until the
    /// next [`reset`](Self::reset).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let timer = rendez_time::Timer::new(Duration::MAX);
    /// assert!(timer.stop());
    /// assert!(!timer.stop());
    /// ```
    pub fn stop(&self) -> bool {
        hooks::switch_point();
        self.schedule.stop()
    }

    /// Makes it expire `d` from now, whether it was running or not. Returns whether it
    /// was, as [`stop`](Self::stop) does. Those who wait already wait for the new time.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let timer = rendez_time::Timer::new(Duration::MAX);
    /// assert!(timer.reset(Duration::ZERO));
    /// timer.recv();
    /// assert!(!timer.reset(Duration::ZERO));
    /// ```
    pub fn reset(&self, d: Duration) -> bool {
        hooks::switch_point();
        self.schedule.reset(d)
    }

    /// Blocks until it expires; returns when it was due.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::{Duration, Instant};
    ///
    /// let start = Instant::now();
    /// let due = rendez_time::Timer::new(Duration::from_millis(1)).recv();
    /// assert!(due >= start + Duration::from_millis(1));
    /// ```
    #[track_caller]
    pub fn recv(&self) -> Instant {
        block(&self.schedule, None, Location::caller()).expect("waits without a deadline")
    }

    /// Receives without waiting: when it was due, if it has expired.
    pub fn try_recv(&self) -> Option<Instant> {
        try_recv(&self.schedule)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let timer = rendez_time::Timer::new(Duration::MAX);
    /// assert_eq!(timer.recv_timeout(Duration::from_millis(1)), None);
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Instant> {
        let deadline = clock::deadline_after(timeout);
        block(&self.schedule, deadline, Location::caller())
    }

    /// Awaits its expiry; gives when it was due.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has received nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # rendez_core::block_on::block_on(async {
    /// let timer = rendez_time::Timer::new(Duration::from_millis(1));
    /// assert!(timer.recv_async().await <= rendez_time::now());
    /// # });
    /// ```
    #[track_caller]
    pub fn recv_async(&self) -> RecvFuture<'_> {
        RecvFuture(CaseFuture::new(&self.schedule, Location::caller()))
    }
}

pub(crate) fn block(
    schedule: &Schedule,
    deadline: Option<Instant>,
    location: &'static Location<'static>,
) -> Option<Instant> {
    wait::block_on_case(schedule, deadline, location)
}

pub(crate) fn try_recv(schedule: &Schedule) -> Option<Instant> {
    hooks::switch_point();
    let outcome = schedule.try_now()?;
    Some(schedule.instant(outcome))
}

impl AsCase for Timer {
    type Case<'a> = &'a Schedule;

    fn __case(&self) -> &Schedule {
        &self.schedule
    }
}

/// Gives when it was due. Polled again it waits for the next expiry.
impl Future for Timer {
    type Output = Instant;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        let Self { schedule, alarm } = &mut *self;
        poll_take(schedule, alarm, cx)
    }
}

/// Polls for who polls here.
#[track_caller]
pub(crate) fn poll_take(
    schedule: &Schedule,
    alarm: &mut Alarm,
    cx: &mut Context<'_>,
) -> Poll<Instant> {
    let polled = schedule.poll_take(cx, alarm);
    if polled.is_pending() {
        goroutine::parked(WaitKind::Sleep, Location::caller());
    }
    polled
}

/// What [`Timer::recv_async`] and [`Ticker::recv_async`](crate::Ticker::recv_async) give.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a>(pub(crate) CaseFuture<&'a Schedule>);

impl Future for RecvFuture<'_> {
    type Output = Instant;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}
