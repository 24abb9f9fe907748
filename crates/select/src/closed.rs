//! Waiting for the other side to lose interest: no receiver is left, or the channel is
//! closed.
//!
//! Who waits stands in a queue of its own, which the close, and the drop of the last
//! receiver, empty under the channel's lock after they have made sends impossible. That
//! never changes back, so a wait that finds it needs no epoch.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::case::{Arm, AsCase, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};
use rendez_core::wait::CaseFuture;

use crate::chan::state::CLOSED;
use crate::sender::Sender;

/// A select arm that is ready once nothing can be sent any more: see [`Sender::closed`].
pub struct Closed<'a, T>(&'a Sender<T>);

/// What [`Sender::closed_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct ClosedFuture<'a, T>(CaseFuture<Closed<'a, T>>);

impl<T> Sender<T> {
    /// Ready, as an arm of a select, once nothing can be sent any more: the channel is
    /// closed or no receiver is left.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_select::{bounded, never, select};
    ///
    /// let (tx, rx) = bounded::<u8>(0);
    /// drop(rx);
    /// select! {
    ///     recv(tx.closed()) -> () => {}
    ///     recv(never::<u8>()) -> _ => unreachable!(),
    /// }
    /// ```
    pub fn closed(&self) -> Closed<'_, T> {
        Closed(self)
    }

    /// Awaits that nothing can be sent any more: the channel is closed or no receiver is
    /// left. What makes the values can stop then.
    ///
    /// # Cancel safety
    ///
    /// It changes nothing, so it can be dropped at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let (tx, rx) = rendez_select::bounded::<u8>(1);
    /// drop(rx);
    /// tx.closed_async().await;
    /// assert!(tx.is_closed());
    /// # });
    /// ```
    #[track_caller]
    pub fn closed_async(&self) -> ClosedFuture<'_, T> {
        ClosedFuture(CaseFuture::new(self.closed(), Location::caller()))
    }
}

impl<T> Sealed for Closed<'_, T> {}

// SAFETY: `dequeue` takes the node out of the queue `enqueue` puts it in, both under the
// channel's lock, under which alone its waiters are claimed.
unsafe impl<T> Case for Closed<'_, T> {
    fn probe(&self) -> Probe {
        Probe {
            ready: self.0.is_closed(),
            epoch: 0,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.0.is_closed().then_some(CLOSED)
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut chan = self.0.chan.lock();
        if !chan.no_sends() {
            chan.closeq.push(reg, std::ptr::null());
        } else if reg.claim_self().is_ok() {
            reg.complete_self(CLOSED);
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        // The close may have come while an offer held the waiter.
        let mut chan = self.0.chan.lock();
        if chan.no_sends() && reg.claim_self().is_ok() {
            chan.closeq.remove(reg.node);
            reg.complete_self(CLOSED);
        }
    }

    fn dequeue(&self, node: &Node) {
        self.0.chan.lock().closeq.remove(node);
    }

    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
}

impl<T> Arm for Closed<'_, T> {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}

impl<T> AsCase for Closed<'_, T> {
    type Case<'a>
        = &'a Self
    where
        Self: 'a;

    fn __case(&self) -> &Self {
        self
    }
}

impl<T> Future for ClosedFuture<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Closed { .. }")
    }
}

impl<T> fmt::Debug for ClosedFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("ClosedFuture { .. }")
    }
}
