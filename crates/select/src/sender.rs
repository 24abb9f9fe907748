//! The sending end.

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::case::{Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};
use rendez_core::shim::atomic::Ordering;
use rendez_core::wait::{self, CaseFuture};
use rendez_core::{clock, hooks};

use crate::chan::Chan;
use crate::chan::handle::{Handle, Sending};
use crate::chan::send::{Offer, SendSlot, TrySend};
use crate::error::{SendError, SendTimeoutError, TrySendError};
use crate::permit::Permit;

/// The sending end of a channel. Clones send into the same channel; when the last one is
/// dropped the channel is disconnected: what it holds can still be received.
///
/// # Examples
///
/// ```
/// use rendez_select::unbounded;
///
/// let (tx, rx) = unbounded();
/// let second = tx.clone();
/// tx.send(1).unwrap();
/// second.send(2).unwrap();
/// drop((tx, second));
/// assert_eq!(rx.iter().collect::<Vec<_>>(), [1, 2]);
/// ```
pub struct Sender<T> {
    pub(crate) chan: Handle<T, Sending>,
}

impl<T> Sender<T> {
    /// Sends without waiting.
    ///
    /// On a full channel, and at capacity 0 when nobody is receiving, it fails with
    /// `Full`. Nobody who already waits to send is overtaken.
    ///
    /// # Errors
    ///
    /// [`TrySendError`], with the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_select::{TrySendError, bounded};
    ///
    /// let (tx, rx) = bounded(1);
    /// assert_eq!(tx.try_send(1), Ok(()));
    /// assert_eq!(tx.try_send(2), Err(TrySendError::Full(2)));
    /// drop(rx);
    /// assert_eq!(tx.try_send(3), Err(TrySendError::Disconnected(3)));
    /// ```
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        hooks::switch_point();
        self.chan.try_send_surely(value).map_err(|e| match e {
            TrySend::Full(value) => TrySendError::Full(value),
            TrySend::Closed(value) => TrySendError::Disconnected(value),
        })
    }

    /// Sends, blocking while the channel is full; at capacity 0, until a receiver takes
    /// the value.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel is closed or no receiver is left,
    /// before or while it waits. (Go panics here.)
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::bounded(1);
    /// tx.send("a").unwrap();
    /// drop(rx);
    /// assert_eq!(tx.send("b").unwrap_err().0, "b");
    /// ```
    #[track_caller]
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.chan.send_at_once(value) {
            Ok(()) => Ok(()),
            Err(value) => self.send_slow(value, Location::caller()),
        }
    }

    /// As [`send`](Self::send), if it does not go at once.
    #[inline(never)]
    fn send_slow(
        &self,
        value: T,
        location: &'static Location<'static>,
    ) -> Result<(), SendError<T>> {
        self.send_by(value, || None, location)
            .map_err(|e| SendError(e.into_inner()))
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use rendez_select::{SendTimeoutError, bounded};
    ///
    /// let (tx, _rx) = bounded(0);
    /// let nobody = tx.send_timeout(1, Duration::from_millis(1));
    /// assert_eq!(nobody, Err(SendTimeoutError::Timeout(1)));
    /// ```
    #[track_caller]
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_by(value, || clock::deadline_after(timeout), Location::caller())
    }

    /// As [`send`](Self::send), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value.
    #[track_caller]
    pub fn send_deadline(&self, value: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_by(value, || Some(deadline), Location::caller())
    }

    fn send_by(
        &self,
        value: T,
        deadline: impl FnOnce() -> Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        hooks::switch_point();
        match self.chan.try_send_waiting(value) {
            Ok(()) => Ok(()),
            Err(TrySend::Closed(value)) => Err(SendTimeoutError::Disconnected(value)),
            // The clock is not looked at before this.
            Err(TrySend::Full(value)) => self.send_waiting(value, deadline(), location),
        }
    }

    #[cold]
    fn send_waiting(
        &self,
        value: T,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        let send = SendSlot::new(&*self.chan, value);
        match wait::block_on_queued(&send, deadline, location) {
            Some(sent) => Ok(sent?),
            None => match send.into_value() {
                Some(value) => Err(SendTimeoutError::Timeout(value)),
                None => unreachable!("a send that timed out still has its value"),
            },
        }
    }

    /// Sends, awaiting room; at capacity 0, a receiver.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has sent nothing and drops the value. While it
    /// waits, a receiver may take the value at any time, whether it is polled or not.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let (tx, rx) = rendez_select::bounded(1);
    /// tx.send_async(7).await.unwrap();
    /// assert_eq!(rx.recv_async().await, Ok(7));
    /// # });
    /// ```
    #[track_caller]
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        let send = SendSlot::new(&*self.chan, value);
        SendFuture(CaseFuture::new(send, Location::caller()))
    }

    /// Reserves a place for one value, blocking while there is none: a free slot, or where there
    /// is none, as at capacity 0, a receiver that waits. The value is sent later, and without
    /// waiting, by [`Permit::send`]. A receiver so reserved waits for the value even past its own
    /// time limit: who holds a permit should not block before it is used.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the channel is closed or no receiver is left.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::bounded(1);
    /// let permit = tx.reserve().unwrap();
    /// assert!(tx.try_send(0).is_err());
    /// permit.send(1).unwrap();
    /// assert_eq!(rx.recv(), Ok(1));
    /// ```
    #[track_caller]
    pub fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        let won = wait::block_any(&[self], None, wait::Order::Biased, Location::caller());
        match won {
            Some((_, outcome)) => self.permit(outcome).or_closed(),
            None => unreachable!("a wait without deadline ends with a winner"),
        }
    }

    /// The awaiting form of [`reserve`](Self::reserve).
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it holds no place; one it had been given goes to the
    /// next who waits.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let (tx, rx) = rendez_select::bounded(1);
    /// let place = tx.reserve_async().await.unwrap();
    /// place.send("made when there was room").unwrap();
    /// assert!(rx.recv_async().await.is_ok());
    /// # });
    /// ```
    #[track_caller]
    pub fn reserve_async(&self) -> crate::permit::ReserveFuture<'_, T> {
        crate::permit::ReserveFuture::new(self, Location::caller())
    }

    /// Closes the channel, as Go's `close(ch)`: no more values can be sent, those it
    /// holds can still be received, and then receives fail. Senders that wait get their
    /// values back. Returns `true` the first time; closing again does nothing. (Go panics.)
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// tx.send(1).unwrap();
    /// assert!(tx.close());
    /// assert!(!tx.close());
    /// assert!(tx.send(2).is_err());
    /// assert_eq!(rx.recv(), Ok(1));
    /// assert!(rx.recv().is_err());
    /// ```
    pub fn close(&self) -> bool {
        self.chan.close()
    }

    /// Whether nothing can be sent any more: closed, or no receiver is left.
    pub fn is_closed(&self) -> bool {
        self.chan.no_sends()
    }

    /// Whether there is nothing to receive; at capacity 0 always, but for a value that
    /// came back (see the crate's guarantees).
    pub fn is_empty(&self) -> bool {
        self.chan.is_empty()
    }

    /// Whether a send would wait; at capacity 0 always.
    pub fn is_full(&self) -> bool {
        self.chan.is_full()
    }

    /// How many values the channel holds, as Go's `len`.
    pub fn len(&self) -> usize {
        self.chan.len()
    }

    /// The capacity, as Go's `cap`; `None` if unbounded.
    pub fn capacity(&self) -> Option<usize> {
        self.chan.capacity()
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.chan.n_senders.load(Ordering::Relaxed)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.chan.n_receivers.load(Ordering::Relaxed)
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.chan.is_of(&other.chan)
    }

    fn offer(&self) -> Offer<'_, T> {
        Offer(&self.chan)
    }

    pub(crate) fn permit(&self, outcome: Outcome) -> Permit<'_, T> {
        Permit::new(&self.chan, outcome)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            chan: self.chan.clone(),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}

impl<T> Sealed for Sender<T> {}

#[allow(unsafe_code)]
// SAFETY: the channel's own case.
unsafe impl<T> Case for Sender<T> {
    fn probe(&self) -> Probe {
        self.offer().probe()
    }
    fn glance(&self) -> bool {
        self.offer().glance()
    }
    fn try_now(&self) -> Option<Outcome> {
        self.offer().try_now()
    }
    fn enqueue(&self, reg: &Registration<'_>) {
        self.offer().enqueue(reg);
    }
    fn recheck(&self, reg: &Registration<'_>) {
        self.offer().recheck(reg);
    }
    fn dequeue(&self, node: &Node) {
        self.offer().dequeue(node);
    }
    fn abandon(&self, outcome: Outcome) {
        self.offer().abandon(outcome);
    }
    fn worth_watching(&self) -> bool {
        self.offer().worth_watching()
    }
    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
}

/// What [`Sender::send_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct SendFuture<'a, T>(Waiting<'a, T>);

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    ///
    /// If polled again after its end.
    #[inline(always)]
    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned with the whole and never moved out.
        let waiting = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        if !waiting.is_waiting() {
            // Without its value it would win a peer and have nothing for it.
            let Some(value) = waiting.case().take_value() else {
                ended();
            };
            match waiting.case().chan().send_at_once(value) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(value) => waiting.case().put_back(value),
            }
        }
        poll_slow(waiting, cx)
    }
}

/// The future of a send.
type Waiting<'a, T> = CaseFuture<SendSlot<&'a Chan<T>, T>>;

// All apart, so that those who need not wait are not burdened with it.

/// A poll that does not end at once.
#[inline(never)]
fn poll_slow<T>(
    waiting: Pin<&mut Waiting<'_, T>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), SendError<T>>> {
    hooks::switch_point();
    if waiting.is_waiting() {
        return poll_waiting(waiting, cx);
    }
    let Some(value) = waiting.case().take_value() else {
        ended();
    };
    match waiting.case().chan().try_send_slow(value) {
        Ok(()) => return Poll::Ready(Ok(())),
        Err(TrySend::Closed(value)) => return Poll::Ready(Err(SendError(value))),
        Err(TrySend::Full(value)) => match waiting.case().chan().send_looking(value) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(value) => waiting.case().put_back(value),
        },
    }
    poll_looked(waiting, cx)
}

/// A first poll that has found no place.
#[inline(never)]
fn poll_looked<T>(
    waiting: Pin<&mut Waiting<'_, T>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), SendError<T>>> {
    waiting.poll_looked(cx)
}

/// A poll after the first.
#[inline(never)]
fn poll_waiting<T>(
    waiting: Pin<&mut Waiting<'_, T>>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), SendError<T>>> {
    waiting.poll_waiting(cx)
}

#[cold]
fn ended() -> ! {
    panic!("a `SendFuture` was polled after its end");
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendFuture { .. }")
    }
}
