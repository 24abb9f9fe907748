//! Wait for a group of goroutines to finish: Go's `sync.WaitGroup`, for threads and tasks.
//!
//! ```
//! use rendez_waitgroup::WaitGroup;
//!
//! let wg = WaitGroup::new();
//! for _ in 0..3 {
//!     let guard = wg.guard();
//!     std::thread::spawn(move || {
//!         let _guard = guard; // counts down when the thread is done, by a panic too
//!     });
//! }
//! wg.wait();
//! ```
//!
//! Followed: Go 1.25's `WaitGroup`. Differences: the counter cannot be driven below zero
//! through a [`Guard`]; reuse while earlier waiters have not returned is defined instead
//! of a panic: who waited before the zero is released by it, who waits after a later
//! [`add`](WaitGroup::add) is not.

mod zero;

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rendez_core::countdown::{Countdown, OutOfRange};
use rendez_core::goroutine::WaitKind;
use rendez_core::shim::Arc;
use rendez_core::wait::{self, CaseFuture};
use rendez_core::{clock, hooks};

pub use crate::zero::Zero;

/// A counter of goroutines at work, and those who wait for it to reach zero.
///
/// Clones share the one counter; cloning does not count. Every method can be called from
/// any thread or task at any time.
#[derive(Clone)]
pub struct WaitGroup {
    count: Arc<Countdown>,
}

impl WaitGroup {
    /// A group at zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let wg = rendez_waitgroup::WaitGroup::new();
    /// wg.wait(); // nobody to wait for
    /// ```
    pub fn new() -> Self {
        Self {
            count: Arc::new(Countdown::new(0, WaitKind::WaitGroup)),
        }
    }

    /// Raises the counter by `n`. Never blocks.
    ///
    /// An `add` from zero that runs beside a `wait` is defined: the wait either sees zero
    /// and returns, or waits for the new work. (Go calls that misuse.)
    ///
    /// # Panics
    ///
    /// If the counter would pass 2^32 - 1; it is unchanged then.
    ///
    /// # Examples
    ///
    /// ```
    /// let wg = rendez_waitgroup::WaitGroup::new();
    /// wg.add(2);
    /// assert_eq!(wg.count(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn add(&self, n: usize) {
        hooks::switch_point();
        if let Err(OutOfRange) = self.count.add(n) {
            panic!(
                "WaitGroup::add({n}) at {} raises the counter beyond its limit",
                Location::caller()
            );
        }
    }

    /// Lowers the counter by one; at zero, releases all who wait. Never blocks.
    ///
    /// # Panics
    ///
    /// If the counter is zero: there was a `done` without its `add`. It stays zero. A
    /// [`Guard`] cannot do this.
    ///
    /// # Examples
    ///
    /// ```
    /// let wg = rendez_waitgroup::WaitGroup::new();
    /// wg.add(1);
    /// wg.done();
    /// assert_eq!(wg.count(), 0);
    /// ```
    #[inline]
    #[track_caller]
    pub fn done(&self) {
        hooks::switch_point();
        if let Err(OutOfRange) = self.count.done() {
            panic!(
                "negative WaitGroup counter: the `done` at {} had no `add`",
                Location::caller()
            );
        }
    }

    /// The counter.
    pub fn count(&self) -> usize {
        self.count.count()
    }

    /// Counts one more, until the guard is dropped: at the end of its scope, by `return`,
    /// `?` or a panic. The way to use a wait group.
    ///
    /// # Examples
    ///
    /// ```
    /// let wg = rendez_waitgroup::WaitGroup::new();
    /// let guard = wg.guard();
    /// assert_eq!(wg.count(), 1);
    /// drop(guard);
    /// assert_eq!(wg.count(), 0);
    /// ```
    #[track_caller]
    pub fn guard(&self) -> Guard {
        self.add(1);
        Guard {
            group: self.clone(),
        }
    }

    /// Blocks until the counter is zero; returns at once if it is.
    ///
    /// Everything done before the `done`s that led to zero is visible after it.
    ///
    /// # Examples
    ///
    /// ```
    /// let wg = rendez_waitgroup::WaitGroup::new();
    /// let guard = wg.guard();
    /// let worker = std::thread::spawn(move || drop(guard));
    /// wg.wait();
    /// # worker.join().unwrap();
    /// ```
    #[track_caller]
    pub fn wait(&self) {
        let _ = wait::block_on_case(&self.zero(), None, Location::caller());
    }

    /// As [`wait`](Self::wait), for at most `timeout`. Returns whether zero was reached.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let wg = rendez_waitgroup::WaitGroup::new();
    /// wg.add(1);
    /// assert!(!wg.wait_timeout(Duration::from_millis(1)));
    /// wg.done();
    /// assert!(wg.wait_timeout(Duration::MAX));
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = clock::deadline_after(timeout);
        wait::block_on_case(&self.zero(), deadline, Location::caller()).is_some()
    }

    /// Awaits zero.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it leaves no trace.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let wg = rendez_waitgroup::WaitGroup::new();
    /// wg.wait_async().await;
    /// # });
    /// ```
    #[track_caller]
    pub fn wait_async(&self) -> WaitFuture<'_> {
        WaitFuture(CaseFuture::new(self.zero(), Location::caller()))
    }

    /// The counter's zero as an arm of a select: `recv(wg.zero()) -> _ => …`.
    pub fn zero(&self) -> Zero<'_> {
        Zero::new(&self.count)
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl UnwindSafe for WaitGroup {}
impl RefUnwindSafe for WaitGroup {}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup")
            .field("count", &self.count())
            .finish()
    }
}

/// One counted goroutine: counts down when dropped. See [`WaitGroup::guard`].
#[must_use = "the group counts down when this is dropped"]
pub struct Guard {
    group: WaitGroup,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A stray `done` may have spent our count; its caller was not told, since the
        // counter was not yet zero. A drop has no good place to panic: zero is reached.
        let _ = self.group.count.done();
    }
}

impl UnwindSafe for Guard {}
impl RefUnwindSafe for Guard {}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("count", &self.group.count())
            .finish()
    }
}

/// What [`WaitGroup::wait_async`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct WaitFuture<'a>(CaseFuture<Zero<'a>>);

impl Future for WaitFuture<'_> {
    type Output = ();

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
