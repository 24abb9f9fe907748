//! A place in a channel, held for a value that is still to come.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rendez_core::case::{Case, Outcome};
use rendez_core::wait::{Only, Order, Pending};

use crate::chan::Chan;
use crate::chan::send::Offer;
use crate::chan::state::PERMIT;
use crate::error::SendError;
use crate::sender::Sender;

/// A place for one value: see [`Sender::reserve`]. Dropped unused, the place goes to the
/// next who waits to send; at capacity 0 the receiver it held waits on, at the head of
/// its queue.
///
/// # Examples
///
/// ```
/// let (tx, rx) = rendez_select::bounded(1);
/// let place = tx.reserve().unwrap();
/// assert!(tx.try_send(1).is_err()); // it is taken
/// place.send(2).unwrap();
/// assert_eq!(rx.recv(), Ok(2));
/// ```
#[must_use = "the place is given up when the permit is dropped"]
pub struct Permit<'a, T> {
    chan: &'a Chan<T>,
    outcome: Outcome,
}

impl<'a, T> Permit<'a, T> {
    pub(crate) fn new(chan: &'a Chan<T>, outcome: Outcome) -> Self {
        Self { chan, outcome }
    }

    pub(crate) fn or_closed(self) -> Result<Self, SendError<()>> {
        if self.outcome == PERMIT {
            Ok(self)
        } else {
            Err(SendError(()))
        }
    }

    /// Sends the value into the place, without waiting. It is delivered even if the
    /// channel was closed since.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if no receiver is left.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let this = std::mem::ManuallyDrop::new(self);
        if this.outcome == PERMIT {
            Offer(this.chan).complete(value)
        } else {
            Err(SendError(value))
        }
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        Offer(self.chan).abandon(self.outcome);
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Permit { .. }")
    }
}

/// What [`Sender::reserve_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct ReserveFuture<'a, T> {
    sender: &'a Sender<T>,
    pending: Pending<Only<&'a Sender<T>>, [rendez_core::queue::Node; 1]>,
}

impl<'a, T> ReserveFuture<'a, T> {
    pub(crate) fn new(sender: &'a Sender<T>, location: &'static Location<'static>) -> Self {
        Self {
            sender,
            pending: Pending::new(Only(sender), Order::Biased, false, location),
        }
    }
}

impl<'a, T> Future for ReserveFuture<'a, T> {
    type Output = Result<Permit<'a, T>, SendError<()>>;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let sender = self.sender;
        // SAFETY: the field is pinned with the whole and never moved out.
        let pending = unsafe { self.map_unchecked_mut(|this| &mut this.pending) };
        let (_, outcome) = ready!(pending.poll_won(cx));
        Poll::Ready(sender.permit(outcome).or_closed())
    }
}

impl<T> fmt::Debug for ReserveFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("ReserveFuture { .. }")
    }
}
