//! Timers, tickers, sleep and timeout for threads and tasks, with Go 1.23's rules.
//!
//! ```
//! use std::time::Duration;
//! use rendez_time::{Ticker, Timer};
//!
//! let ticker = Ticker::new(Duration::from_millis(1));
//! let first = ticker.recv();
//! assert!(ticker.recv() >= first + Duration::from_millis(1));
//!
//! let timer = Timer::new(Duration::ZERO);
//! assert!(timer.stop()); // expired, but nobody has received it: nobody ever will
//! assert_eq!(timer.try_recv(), None);
//! ```
//!
//! A [`Timer`] and a [`Ticker`] are waited for by blocking, by awaiting on any executor,
//! and as an arm of a select. Nothing runs behind them: who waits sleeps until the
//! instant, so one that nobody waits for costs nothing, and a dropped one is gone.
//! [`after_func`] alone is kept until it has run. The one thread that wakes tasks at
//! their time is started when a task first waits for one.
//!
//! Durations saturate: one beyond all time never comes. Inside a bubble of virtual time
//! all of this follows the bubble's clock.

mod after_func;
mod error;
mod sleep;
mod ticker;
mod timeout;
mod timer;

use std::time::Instant;

use rendez_core::clock;

pub use crate::after_func::{AfterFunc, after_func};
pub use crate::error::Elapsed;
pub use crate::sleep::{Sleep, sleep, sleep_async};
pub use crate::ticker::Ticker;
pub use crate::timeout::{Timeout, timeout};
pub use crate::timer::{RecvFuture, Timer};

/// The present: the system's monotonic clock, or the bubble's.
///
/// # Examples
///
/// ```
/// let before = rendez_time::now();
/// assert!(rendez_time::now() >= before);
/// ```
#[inline]
pub fn now() -> Instant {
    clock::now()
}

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
