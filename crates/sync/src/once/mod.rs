//! Things that happen once: [`Once`], [`OnceCell`], [`Lazy`] and functions that run once.
//!
//! All stand on the gate: who runs, who waits, who takes over when a runner gives up.

mod cell;
mod func;
mod gate;
mod lazy;
mod running;

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

pub use self::cell::{GetOrInitFuture, GetOrTryInitFuture, OnceCell};
pub use self::func::{once_func, once_value};
use self::gate::Gate;
pub use self::lazy::Lazy;
pub(crate) use self::running::{Ran, Running};
use crate::late::const_new;
use crate::work::Work;

/// A thing that happens at most once, however many ask for it.
///
/// Follows Go's `sync.Once`: whoever returns knows that the function has run, and what it
/// did is visible. A panic in it is reported to the caller that ran it with its own payload,
/// and in the same words to every other, as Go's `OnceFunc` does. Once it has happened, asking
/// costs one load.
///
/// # Examples
///
/// ```
/// use rendez_sync::Once;
///
/// static START: Once = Once::new();
///
/// let mut runs = 0;
/// START.call_once(|| runs += 1);
/// START.call_once(|| runs += 1);
/// assert_eq!(runs, 1);
/// ```
pub struct Once {
    gate: Gate,
}

impl Once {
    const_new! {
        /// One that has not happened.
        pub fn new() -> Self {
            Self { gate: Gate::new() }
        }
    }

    /// Runs `f` if nothing has run yet; blocks while another runs.
    ///
    /// # Panics
    ///
    /// If `f` does, or what ran before did, in the same words; or if called from within the function that
    /// runs (Go waits for ever).
    #[inline]
    #[track_caller]
    pub fn call_once(&self, f: impl FnOnce()) {
        if !self.gate.is_done() {
            self.call_slow(f, Location::caller());
        }
    }

    #[cold]
    fn call_slow(&self, f: impl FnOnce(), location: &'static Location<'static>) {
        if let Some(turn) = self.gate.enter(location) {
            turn.run(f).0.complete();
        }
    }

    /// Runs a future, or the one that a closure makes, if nothing has run yet; awaits
    /// another that runs.
    ///
    /// # Panics
    ///
    /// As [`call_once`](Self::call_once).
    ///
    /// # Cancel safety
    ///
    /// Dropped while its future runs, it has not happened: the next caller, waiting or to
    /// come, runs its own.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let once = rendez_sync::Once::new();
    /// once.call_once_async(|| async {}).await;
    /// assert!(once.is_completed());
    /// # });
    /// ```
    #[track_caller]
    pub fn call_once_async<M, W>(&self, work: W) -> CallOnceFuture<'_, M, W>
    where
        W: Work<M>,
        W::Future: Future<Output = ()>,
    {
        CallOnceFuture {
            running: Running::new(&self.gate, work, Location::caller()),
        }
    }

    /// Whether it has happened. A function that panicked has not.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.gate.is_done()
    }
}

impl Default for Once {
    fn default() -> Self {
        Self::new()
    }
}

impl UnwindSafe for Once {}
impl RefUnwindSafe for Once {}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("completed", &self.is_completed())
            .finish()
    }
}

/// What [`Once::call_once_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct CallOnceFuture<'a, M, W: Work<M>> {
    running: Running<'a, M, W>,
}

impl<M, W> Future for CallOnceFuture<'_, M, W>
where
    W: Work<M>,
    W::Future: Future<Output = ()>,
{
    type Output = ();

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the field is pinned with the whole and never moved out.
        let running = unsafe { self.map_unchecked_mut(|this| &mut this.running) };
        if let Ran::Now(turn, ()) = ready!(running.poll(cx)) {
            turn.complete();
        }
        Poll::Ready(())
    }
}

impl<M, W: Work<M>> fmt::Debug for CallOnceFuture<'_, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallOnceFuture").finish_non_exhaustive()
    }
}
