//! An instant every period.

use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::Stream;
use rendez_core::case::AsCase;
use rendez_core::clock::{self, Alarm};
use rendez_core::goroutine::WaitKind;
use rendez_core::hooks;
use rendez_core::schedule::Schedule;
use rendez_core::wait::CaseFuture;

use crate::timer::{RecvFuture, block, poll_take, try_recv};

/// Ticks every period: Go's `time.Ticker`.
///
/// At most one tick is held: who comes late gets the tick that was due, misses those
/// after it, and waits for the next point of the grid, which does not drift. After
/// [`stop`](Self::stop) or [`reset`](Self::reset) no earlier tick is received (Go 1.23).
///
/// It is an arm of a select (`recv(ticker) -> due`), and a `Stream` by itself: where it is
/// polled as one it must not be shared meanwhile, which `&mut` sees to.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let period = Duration::from_millis(1);
/// let ticker = rendez_time::Ticker::new(period);
/// let first = ticker.recv();
/// let nanos = ticker.recv().duration_since(first).as_nanos();
/// assert_eq!(nanos % period.as_nanos(), 0, "on the grid");
/// ```
#[derive(Debug)]
pub struct Ticker {
    schedule: Schedule,
    // Of the ticker as a stream.
    alarm: Alarm,
}

impl UnwindSafe for Ticker {}
impl RefUnwindSafe for Ticker {}

impl Ticker {
    /// A ticker whose first tick is due `period` from now; with a period beyond all time
    /// it never ticks.
    ///
    /// # Panics
    ///
    /// If `period` is zero, as Go's does.
    #[track_caller]
    pub fn new(period: Duration) -> Self {
        assert!(!period.is_zero(), "Ticker::new: the period is zero");
        Self {
            schedule: Schedule::every(period, WaitKind::Sleep),
            alarm: Alarm::new(),
        }
    }

    /// Stops it. Returns whether it was running. When this returns, nothing can be
    /// received until the next [`reset`](Self::reset); those who wait go on waiting.
    pub fn stop(&self) -> bool {
        hooks::switch_point();
        self.schedule.stop()
    }

    /// Makes it tick every `period` from now on, whether it was running or not. Returns
    /// whether it was.
    ///
    /// # Panics
    ///
    /// If `period` is zero, as Go's does; it goes on as before then.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let ticker = rendez_time::Ticker::new(Duration::from_secs(3600));
    /// assert!(ticker.reset(Duration::from_millis(1)));
    /// ticker.recv();
    /// assert!(ticker.stop());
    /// assert!(!ticker.reset(Duration::from_secs(1)));
    /// ```
    #[track_caller]
    pub fn reset(&self, period: Duration) -> bool {
        assert!(!period.is_zero(), "Ticker::reset: the period is zero");
        hooks::switch_point();
        self.schedule.reset(period)
    }

    /// Blocks until the next tick; returns when it was due.
    #[track_caller]
    pub fn recv(&self) -> Instant {
        block(&self.schedule, None, Location::caller()).expect("waits without a deadline")
    }

    /// Receives without waiting: when the tick was due, if there is one.
    pub fn try_recv(&self) -> Option<Instant> {
        try_recv(&self.schedule)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Instant> {
        let deadline = clock::deadline_after(timeout);
        block(&self.schedule, deadline, Location::caller())
    }

    /// Awaits the next tick; gives when it was due.
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
    /// let ticker = rendez_time::Ticker::new(Duration::from_millis(1));
    /// assert!(ticker.recv_async().await < ticker.recv_async().await);
    /// # });
    /// ```
    #[track_caller]
    pub fn recv_async(&self) -> RecvFuture<'_> {
        RecvFuture(CaseFuture::new(&self.schedule, Location::caller()))
    }
}

impl AsCase for Ticker {
    type Case<'a> = &'a Schedule;

    fn __case(&self) -> &Schedule {
        &self.schedule
    }
}

/// Its ticks; it does not end.
impl Stream for Ticker {
    type Item = Instant;

    #[track_caller]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        let Self { schedule, alarm } = &mut *self;
        poll_take(schedule, alarm, cx).map(Some)
    }
}
