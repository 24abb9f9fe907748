//! Waiting for the other side to lose interest: no receiver is left, or the channel is
//! closed.
//!
//! Who waits stands in a queue of its own, which the close, and the drop of the last
//! receiver, empty under the channel's lock after they have made sends impossible.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::case::{Arm, AsCase, Case, IntoArm, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::wait::CaseFuture;

use crate::sender::Sender;

const CLOSED: Outcome = Outcome(0);

/// A sending end that may become useless. Named in bounds only.
#[doc(hidden)]
pub trait Closing {
    /// Calls `f` under the channel's lock: whether nothing can be sent, how often that has
    /// begun after it had ended, and those who wait for it.
    fn __closing<R>(&self, f: impl FnOnce(bool, u64, &mut Queue) -> R) -> R;
}

/// A select arm that is ready once nothing can be sent any more: the channel is closed or no
/// receiver is left. See [`Sender::closed`].
pub struct Closed<'a, S>(&'a S);

/// What [`Sender::closed_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct ClosedFuture<'a, S: Closing>(CaseFuture<Closed<'a, S>>);

impl<'a, S: Closing> Closed<'a, S> {
    pub(crate) fn of(sender: &'a S) -> Self {
        Self(sender)
    }
}

impl<'a, S: Closing> ClosedFuture<'a, S> {
    #[track_caller]
    pub(crate) fn of(sender: &'a S) -> Self {
        Self(CaseFuture::new(
            Closed(sender),
            std::panic::Location::caller(),
        ))
    }
}

/// The methods of a sending end that is [`Closing`].
macro_rules! closing {
    ($Sender:ident<T>) => {
        impl<T> $Sender<T> {
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
            pub fn closed(&self) -> $crate::Closed<'_, Self> {
                $crate::Closed::of(self)
            }

            /// Awaits that nothing can be sent any more: the channel is closed or no receiver
            /// is left. What makes the values can stop then.
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
            pub fn closed_async(&self) -> $crate::ClosedFuture<'_, Self> {
                $crate::ClosedFuture::of(self)
            }
        }
    };
}

pub(crate) use closing;

closing!(Sender<T>);

impl<T> Closing for Sender<T> {
    fn __closing<R>(&self, f: impl FnOnce(bool, u64, &mut Queue) -> R) -> R {
        let mut state = self.chan.lock_beside();
        // What is closed stays so.
        f(state.no_sends(), 0, &mut state.closeq)
    }
}

impl<S> Sealed for Closed<'_, S> {}

// SAFETY: `dequeue` takes the node out of the queue `enqueue` puts it in, both under the
// channel's lock, under which alone its waiters are claimed.
unsafe impl<S: Closing> Case for Closed<'_, S> {
    fn probe(&self) -> Probe {
        self.0.__closing(|ready, epoch, _| Probe { ready, epoch })
    }

    fn try_now(&self) -> Option<Outcome> {
        self.0.__closing(|closed, _, _| closed.then_some(CLOSED))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.0.__closing(|closed, _, queue| {
            if closed && reg.claim_self().is_ok() {
                reg.complete_self(CLOSED);
            } else {
                // Held by an offer elsewhere, it looks again when that falls through.
                queue.push(reg, std::ptr::null());
            }
        });
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.0.__closing(|closed, _, queue| {
            if closed && reg.claim_self().is_ok() {
                queue.remove(reg.node);
                reg.complete_self(CLOSED);
            }
        });
    }

    fn dequeue(&self, node: &Node) {
        self.0.__closing(|_, _, queue| queue.remove(node));
    }

    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
}

impl<S: Closing> Arm for Closed<'_, S> {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}

impl<S: Closing> AsCase for Closed<'_, S> {
    type Case<'a>
        = &'a Self
    where
        Self: 'a;

    fn __case(&self) -> &Self {
        self
    }
}

impl<'a, S: Closing> IntoArm<'a> for Closed<'a, S> {
    type Arm = Self;

    fn __into_arm(self) -> Self {
        self
    }
}

impl<S: Closing> Future for ClosedFuture<'_, S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

impl<S> fmt::Debug for Closed<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Closed { .. }")
    }
}

impl<S: Closing> fmt::Debug for ClosedFuture<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("ClosedFuture { .. }")
    }
}
