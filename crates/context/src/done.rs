//! A context's end as something to wait for: an arm of a select, a future, a blocking wait.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::Poll;

use rendez_core::case::{Arm, AsCase, Case, IntoArm, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node as Place, Registration};
use rendez_core::wait::{self, CaseFuture};

use crate::context::Context;
use crate::error::ContextError;
use crate::tree::node::Node;

/// A context's end. See [`Context::done`].
///
/// An arm of a select, `recv(ctx.done()) -> err`, and a future; both give the
/// [`ContextError`]. It may be waited for any number of times.
///
/// # Cancel safety
///
/// As a future, dropped before it completes it leaves no trace.
#[must_use = "futures do nothing unless polled"]
pub struct Done<'a> {
    ended: Ended<'a>,
    location: &'static Location<'static>,
    // Made when it first has to wait as a future.
    waiting: Option<Pin<Box<CaseFuture<Ended<'a>>>>>,
}

/// Waiting for the end.
impl Context {
    /// The context's end: an arm of a select, and a future.
    ///
    /// Of a context that never ends it is never ready, as Go's nil channel.
    ///
    /// # Examples
    ///
    /// As a future:
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use rendez_context::{Context, ContextError};
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// cancel.cancel();
    /// assert_eq!(ctx.done().await, ContextError::Canceled);
    /// # });
    /// ```
    #[track_caller]
    pub fn done(&self) -> Done<'_> {
        Done {
            ended: self.ended(WaitKind::Context),
            location: Location::caller(),
            waiting: None,
        }
    }

    /// Blocks until the context has ended; for ever if it never does.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    /// use std::time::Duration;
    ///
    /// let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(1));
    /// assert_eq!(ctx.wait(), ContextError::DeadlineExceeded);
    /// ```
    #[track_caller]
    pub fn wait(&self) -> ContextError {
        wait::block_on_case(&self.ended(WaitKind::Context), None, Location::caller())
            .expect("without a deadline a wait ends only by being served")
    }

    /// Awaits the context's end. As [`done`](Self::done), but allocates nothing, since it need
    /// not be `Unpin`.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it leaves no trace.
    #[track_caller]
    pub fn cancelled_async(&self) -> Cancelled<'_> {
        let ended = self.ended(WaitKind::Context);
        Cancelled(CaseFuture::new(ended, Location::caller()))
    }

    pub(crate) fn ended(&self, kind: WaitKind) -> Ended<'_> {
        Ended {
            node: self.node(),
            kind,
        }
    }
}

impl Future for Done<'_> {
    type Output = ContextError;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<ContextError> {
        let this = &mut *self;
        if this.waiting.is_none() {
            if let Some(err) = this.ended.err() {
                return Poll::Ready(err);
            }
        }
        let waiting = this
            .waiting
            .get_or_insert_with(|| Box::pin(CaseFuture::new(this.ended, this.location)));
        waiting.as_mut().poll(cx)
    }
}

impl Clone for Done<'_> {
    fn clone(&self) -> Self {
        Self {
            waiting: None,
            ..*self
        }
    }
}

// The case lasts as long as the context, not only as this `Done`.
impl<'c> AsCase for Done<'c> {
    type Case<'a>
        = Ended<'c>
    where
        Self: 'a;

    fn __case(&self) -> Ended<'c> {
        self.ended
    }
}

impl<'c> IntoArm<'c> for Done<'c> {
    type Arm = Ended<'c>;

    fn __into_arm(self) -> Ended<'c> {
        self.ended
    }
}

impl fmt::Debug for Done<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Done").field(&self.ended.err()).finish()
    }
}

/// What [`Context::cancelled_async`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Cancelled<'a>(CaseFuture<Ended<'a>>);

impl Future for Cancelled<'_> {
    type Output = ContextError;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<ContextError> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

/// The case: ready once the node's word says so.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Ended<'a> {
    node: Option<&'a Node>,
    // What who waits here is said to be doing.
    kind: WaitKind,
}

impl Ended<'_> {
    #[inline]
    pub(crate) fn err(&self) -> Option<ContextError> {
        self.node?.err()
    }
}

impl fmt::Debug for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ended").field(&self.err()).finish()
    }
}

impl Sealed for Ended<'_> {}

// SAFETY: `dequeue` takes the place out of the one queue `enqueue` puts it in, both under
// the node's lock, and a claim is won under that lock only.
unsafe impl Case for Ended<'_> {
    #[inline]
    fn probe(&self) -> Probe {
        // It becomes ready once and stays so: not ready twice is not ready between.
        Probe {
            ready: self.err().is_some(),
            epoch: 0,
        }
    }

    #[inline]
    fn try_now(&self) -> Option<Outcome> {
        self.err().map(|_| Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        if let Some(node) = self.node {
            node.enqueue(reg);
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        if let Some(node) = self.node {
            node.recheck(reg);
        }
    }

    fn dequeue(&self, place: &Place) {
        if let Some(node) = self.node {
            node.dequeue(place);
        }
    }

    // A context that has ended stays so for everybody.
    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        self.kind
    }
}

impl Arm for Ended<'_> {
    type Output = ContextError;

    /// # Panics
    ///
    /// Never: the arm wins only once the context has ended.
    fn finish(&self, _: Outcome) -> ContextError {
        self.err().expect("an arm wins once its context has ended")
    }
}
