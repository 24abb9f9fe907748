//! Waiting for something else at most until the context ends.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use rendez_core::block_on;
use rendez_core::case::Arm;
use rendez_core::clock;
use rendez_core::goroutine::WaitKind;
use rendez_core::overdue::overdue;
use rendez_core::queue::Node as Place;
use rendez_core::wait::{self, CaseFuture, Only, Order, Pending};

use crate::context::Context;
use crate::done::Ended;
use crate::error::ContextError;

/// Bounding other waits.
impl Context {
    /// Awaits `future` for at most as long as the context lives.
    ///
    /// The context is looked at first: if it has ended, `future` is not polled at all. After
    /// that an output that is ready is returned, never discarded, even if the context ends in
    /// the same instant. (Only a semaphore's permits, which could as well be had later, are
    /// given back then.)
    ///
    /// # Errors
    ///
    /// As [`err`](Self::err) says, once the context has ended and `future` is still pending.
    ///
    /// # Cancel safety
    ///
    /// `future`'s own: it is dropped with this. With rendez's futures nothing is lost.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use rendez_context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
    /// let never = std::future::pending::<()>();
    /// assert_eq!(ctx.run(never).await, Err(ContextError::DeadlineExceeded));
    ///
    /// assert_eq!(Context::background().run(async { 7 }).await, Ok(7));
    /// # });
    /// ```
    #[track_caller]
    pub fn run<F: Future>(&self, future: F) -> Run<'_, F> {
        let ended = self.ended(WaitKind::Context);
        Run {
            ended: CaseFuture::new(ended, Location::caller()),
            future,
            begun: false,
        }
    }

    /// As [`run`](Self::run), on the calling thread, which sleeps meanwhile.
    ///
    /// So that every wait, `rx.recv_async()` or any other future, has a blocking form that a
    /// context bounds.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// assert_eq!(ctx.block_on(async { 7 }), Ok(7));
    /// cancel.cancel();
    /// assert_eq!(ctx.block_on(async { 7 }), Err(ContextError::Canceled));
    /// ```
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> Result<F::Output, ContextError> {
        block_on::block_on(self.run(future))
    }

    /// Blocks for `duration`, or until the context ends.
    ///
    /// # Errors
    ///
    /// As [`err`](Self::err) says, if the context ends first or has ended.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// assert_eq!(Context::background().sleep(Duration::from_millis(1)), Ok(()));
    ///
    /// let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
    /// assert_eq!(ctx.sleep(Duration::MAX), Err(ContextError::DeadlineExceeded));
    /// ```
    #[track_caller]
    pub fn sleep(&self, duration: Duration) -> Result<(), ContextError> {
        let deadline = clock::deadline_after(duration);
        let ended = self.ended(WaitKind::Sleep);
        wait::block_on_case(&ended, deadline, Location::caller()).map_or(Ok(()), Err)
    }

    /// As [`sleep`](Self::sleep), awaited. The time begins with this call.
    ///
    /// # Errors
    ///
    /// As [`sleep`](Self::sleep).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it leaves no trace.
    #[track_caller]
    pub fn sleep_async(&self, duration: Duration) -> Sleep<'_> {
        let ended = Only(self.ended(WaitKind::Sleep));
        Sleep {
            pending: Pending::new(ended, Order::Biased, false, Location::caller()),
            until: clock::deadline_after(duration),
        }
    }
}

/// What [`Context::run`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct Run<'a, F> {
    ended: CaseFuture<Ended<'a>>,
    future: F,
    begun: bool,
}

impl<F: Future> Future for Run<'_, F> {
    type Output = Result<F::Output, ContextError>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        // SAFETY: both futures are pinned with the whole and never moved out.
        let this = unsafe { self.get_unchecked_mut() };
        let ended = this.ended.case().err();
        if !std::mem::replace(&mut this.begun, true) {
            if let Some(err) = ended {
                return Poll::Ready(Err(err));
            }
        }
        let too_late = ended.is_some();
        // SAFETY: as above.
        let (future, ended) = unsafe {
            (
                Pin::new_unchecked(&mut this.future),
                Pin::new_unchecked(&mut this.ended),
            )
        };
        let polled = if too_late {
            overdue(|| future.poll(cx))
        } else {
            future.poll(cx)
        };
        match polled {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => ended.poll(cx).map(Err),
        }
    }
}

impl<F> fmt::Debug for Run<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("ended", self.ended.case())
            .finish_non_exhaustive()
    }
}

/// What [`Context::sleep_async`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Sleep<'a> {
    pending: Pending<Only<Ended<'a>>, [Place; 1]>,
    until: Option<Instant>,
}

impl Future for Sleep<'_> {
    type Output = Result<(), ContextError>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        let until = self.until;
        // SAFETY: the field is pinned with the whole and never moved out.
        let mut pending = unsafe { self.map_unchecked_mut(|this| &mut this.pending) };
        let won = ready!(pending.as_mut().poll_until(cx, until));
        Poll::Ready(match won {
            Some((_, outcome)) => Err(pending.arms().0.finish(outcome)),
            None => Ok(()),
        })
    }
}
