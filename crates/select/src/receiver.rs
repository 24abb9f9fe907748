//! The receiving end, of a channel or of the clock.

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};
use rendez_core::schedule::Schedule;
use rendez_core::shim::Arc;
use rendez_core::shim::atomic::Ordering;
use rendez_core::wait::{self, CaseFuture};
use rendez_core::{clock, hooks};

use crate::chan::Chan;
use crate::chan::handle::{Handle, Receiving};
use crate::chan::recv::{Recv, RecvSlot, TryRecv};
use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::forms::receiver_arm;

/// The receiving end of a channel, or of [`after`](crate::after), [`at`](crate::at),
/// [`tick`](crate::tick) or [`never`](crate::never). Clones receive from the same
/// channel, each value going to one of them; when the last one is dropped, so is what the
/// channel holds.
///
/// # Examples
///
/// ```
/// use rendez_select::bounded;
///
/// let (tx, rx) = bounded(2);
/// tx.send("a").unwrap();
/// tx.close();
/// assert_eq!(rx.recv(), Ok("a"));
/// assert!(rx.recv().is_err());
/// ```
pub struct Receiver<T> {
    pub(crate) source: Source<T>,
}

/// Where the values come from.
pub(crate) enum Source<T> {
    Chan(Handle<T, Receiving>),
    Clock(Arc<Clock<T>>),
    Never,
}

/// The clock as a channel.
pub(crate) struct Clock<T> {
    schedule: Schedule,
    // How an instant becomes a `T`: always the identity, kept as a function so that the types
    // agree without a cast.
    message: fn(Instant) -> T,
}

impl Clock<Instant> {
    pub(crate) fn new(schedule: Schedule) -> Self {
        Self {
            schedule,
            message: |instant| instant,
        }
    }
}

impl<T> Receiver<T> {
    /// Receives without waiting.
    ///
    /// # Errors
    ///
    /// [`TryRecvError::Empty`] if there is nothing now, at capacity 0 if nobody is
    /// sending; [`TryRecvError::Disconnected`] if there will never be anything.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_select::{TryRecvError, unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
    /// tx.send(1).unwrap();
    /// assert_eq!(rx.try_recv(), Ok(1));
    /// drop(tx);
    /// assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
    /// ```
    #[track_caller]
    #[inline]
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        hooks::switch_point();
        match &self.source {
            Source::Chan(chan) => match chan.try_recv_surely() {
                TryRecv::Value(value) => Ok(value),
                TryRecv::Drained => Err(TryRecvError::Disconnected),
                TryRecv::Empty => Err(TryRecvError::Empty),
                TryRecv::Offer => {
                    match wait::block_briefly(&RecvSlot::new(chan), Location::caller()) {
                        Some(received) => Ok(received?),
                        None => Err(TryRecvError::Empty),
                    }
                }
            },
            clock => {
                let taken = clock.schedule().and_then(Schedule::try_now);
                taken
                    .map(|outcome| clock.message(outcome))
                    .ok_or(TryRecvError::Empty)
            }
        }
    }

    /// Receives, blocking until there is a value. What was sent before a close is
    /// received first.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is empty, and closed or without senders.
    #[track_caller]
    #[inline]
    pub fn recv(&self) -> Result<T, RecvError> {
        if let Source::Chan(chan) = &self.source {
            if let Some(value) = chan.recv_at_once() {
                return Ok(value);
            }
        }
        self.recv_slow(Location::caller())
    }

    /// As [`recv`](Self::recv), if it does not go at once.
    #[inline(never)]
    fn recv_slow(&self, location: &'static Location<'static>) -> Result<T, RecvError> {
        self.recv_by(|| None, location).map_err(|_| RecvError)
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use rendez_select::{RecvTimeoutError, unbounded};
    ///
    /// let (tx, rx) = unbounded::<u8>();
    /// let nothing = rx.recv_timeout(Duration::from_millis(1));
    /// assert_eq!(nothing, Err(RecvTimeoutError::Timeout));
    /// # drop(tx);
    /// ```
    #[track_caller]
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvTimeoutError> {
        self.recv_by(|| clock::deadline_after(timeout), Location::caller())
    }

    /// As [`recv`](Self::recv), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    #[track_caller]
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        self.recv_by(|| Some(deadline), Location::caller())
    }

    pub(crate) fn recv_by(
        &self,
        deadline: impl FnOnce() -> Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<T, RecvTimeoutError> {
        hooks::switch_point();
        if let Source::Chan(chan) = &self.source {
            match chan.try_recv_slow() {
                TryRecv::Value(value) => return Ok(value),
                TryRecv::Drained => return Err(RecvTimeoutError::Disconnected),
                TryRecv::Empty | TryRecv::Offer => {}
            }
        }
        // The clock is not looked at before this.
        self.recv_waiting(deadline(), location)
    }

    #[cold]
    fn recv_waiting(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<T, RecvTimeoutError> {
        let received = match &self.source {
            Source::Chan(chan) => wait::block_on_queued(&RecvSlot::new(chan), deadline, location),
            _ => wait::block_on_case(self, deadline, location),
        };
        Ok(received.ok_or(RecvTimeoutError::Timeout)??)
    }

    /// Receives, awaiting a value.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has received nothing: a value it had been granted
    /// goes to the next receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let (tx, rx) = rendez_select::bounded(1);
    /// tx.send_async(1).await.unwrap();
    /// assert_eq!(rx.recv_async().await, Ok(1));
    /// drop(tx);
    /// assert!(rx.recv_async().await.is_err());
    /// # });
    /// ```
    #[track_caller]
    pub fn recv_async(&self) -> RecvFuture<'_, T> {
        RecvFuture(CaseFuture::new(self, Location::caller()))
    }

    /// Closes the channel from this end: see [`Sender::close`](crate::Sender::close).
    /// On a receiver of the clock it does nothing and returns `false`.
    pub fn close(&self) -> bool {
        self.chan().is_some_and(Chan::close)
    }

    /// Whether no value can come any more but those here: closed, or no sender is left.
    pub fn is_closed(&self) -> bool {
        self.chan().is_some_and(|chan| chan.no_more())
    }

    /// Whether there is nothing to receive.
    pub fn is_empty(&self) -> bool {
        match &self.source {
            Source::Chan(chan) => chan.is_empty(),
            other => !other.is_due(),
        }
    }

    /// Whether a send would wait; at capacity 0 always.
    pub fn is_full(&self) -> bool {
        match &self.source {
            Source::Chan(chan) => chan.is_full(),
            Source::Never => true,
            timed => timed.is_due(),
        }
    }

    /// How many values the channel holds, as Go's `len`.
    pub fn len(&self) -> usize {
        match &self.source {
            Source::Chan(chan) => chan.len(),
            other => usize::from(other.is_due()),
        }
    }

    /// The capacity, as Go's `cap`; `None` if unbounded.
    pub fn capacity(&self) -> Option<usize> {
        match &self.source {
            Source::Chan(chan) => chan.capacity(),
            Source::Never => Some(0),
            Source::Clock(..) => Some(1),
        }
    }

    /// How many senders there are; 0 for a receiver of the clock.
    pub fn sender_count(&self) -> usize {
        self.chan()
            .map_or(0, |chan| chan.n_senders.load(Ordering::Relaxed))
    }

    /// How many receivers there are; 0 for a receiver of the clock.
    pub fn receiver_count(&self) -> usize {
        self.chan()
            .map_or(0, |chan| chan.n_receivers.load(Ordering::Relaxed))
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        match (&self.source, &other.source) {
            (Source::Chan(a), Source::Chan(b)) => a.is_of(b),
            (Source::Clock(a), Source::Clock(b)) => Arc::ptr_eq(a, b),
            (Source::Never, Source::Never) => true,
            _ => false,
        }
    }

    fn chan(&self) -> Option<&Chan<T>> {
        match &self.source {
            Source::Chan(chan) => Some(chan),
            _ => None,
        }
    }
}

impl<T> Source<T> {
    fn schedule(&self) -> Option<&Schedule> {
        match self {
            Self::Clock(clock) => Some(&clock.schedule),
            Self::Chan(_) | Self::Never => None,
        }
    }

    fn is_due(&self) -> bool {
        self.schedule().is_some_and(Schedule::is_due)
    }

    /// The message of the clock that `outcome` took.
    fn message(&self, outcome: Outcome) -> T {
        match self {
            Self::Clock(clock) => (clock.message)(clock.schedule.instant(outcome)),
            Self::Chan(_) | Self::Never => unreachable!("only the clock gives instants"),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let source = match &self.source {
            Source::Chan(chan) => Source::Chan(chan.clone()),
            Source::Clock(clock) => Source::Clock(Arc::clone(clock)),
            Source::Never => Source::Never,
        };
        Self { source }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}

impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> Sealed for Receiver<T> {}

#[allow(unsafe_code)]
// SAFETY: the channel's own case, or the schedule's, or one that queues nobody.
unsafe impl<T> Case for Receiver<T> {
    fn probe(&self) -> Probe {
        match &self.source {
            Source::Chan(chan) => Recv(chan).probe(),
            other => other.schedule().map_or(Probe::NEVER, Case::probe),
        }
    }

    fn glance(&self) -> bool {
        match &self.source {
            Source::Chan(chan) => Recv(chan).glance(),
            other => other.schedule().is_some_and(Case::glance),
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        match &self.source {
            Source::Chan(chan) => Recv(chan).try_now(),
            other => other.schedule()?.try_now(),
        }
    }

    #[inline(always)]
    fn enqueue(&self, reg: &Registration<'_>) {
        match &self.source {
            Source::Chan(chan) => Recv(chan).enqueue(reg),
            Source::Clock(clock) => clock.schedule.enqueue(reg),
            Source::Never => {}
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        match &self.source {
            Source::Chan(chan) => Recv(chan).recheck(reg),
            Source::Clock(clock) => clock.schedule.recheck(reg),
            Source::Never => {}
        }
    }

    fn dequeue(&self, node: &Node) {
        match &self.source {
            Source::Chan(chan) => Recv(chan).dequeue(node),
            Source::Clock(clock) => clock.schedule.dequeue(node),
            Source::Never => {}
        }
    }

    fn abandon(&self, outcome: Outcome) {
        match &self.source {
            Source::Chan(chan) => Recv(chan).abandon(outcome),
            Source::Clock(clock) => clock.schedule.abandon(outcome),
            Source::Never => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.source.schedule()?.deadline()
    }

    fn stays(&self) -> bool {
        match &self.source {
            Source::Clock(clock) => clock.schedule.stays(),
            Source::Chan(_) | Source::Never => true,
        }
    }

    fn worth_watching(&self) -> bool {
        match &self.source {
            Source::Chan(chan) => chan.worth_watching(),
            // Ready by the clock alone.
            Source::Clock(..) | Source::Never => true,
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

impl<T> Arm for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn finish(&self, outcome: Outcome) -> Self::Output {
        match &self.source {
            Source::Chan(chan) => Recv(chan).finish(outcome),
            clock => Ok(clock.message(outcome)),
        }
    }
}

receiver_arm!(Receiver<T>);

/// What [`Receiver::recv_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct RecvFuture<'a, T>(CaseFuture<&'a Receiver<T>>);

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    #[inline(always)]
    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the field is pinned with the whole and never moved out.
        let waiting = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        if !waiting.is_waiting() {
            if let Source::Chan(chan) = &waiting.case().source {
                // Without a grant: between a grant and its value others would find a closed
                // channel neither ready nor at its end.
                if let Some(value) = chan.recv_at_once() {
                    return Poll::Ready(Ok(value));
                }
            }
        }
        poll_slow(waiting, cx)
    }
}

// All apart, so that those who need not wait are not burdened with it.

/// A poll that does not end at once.
#[inline(never)]
fn poll_slow<T>(
    waiting: Pin<&mut CaseFuture<&Receiver<T>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, RecvError>> {
    hooks::switch_point();
    if waiting.is_waiting() {
        return poll_waiting(waiting, cx);
    }
    if let Source::Chan(chan) = &waiting.case().source {
        match chan.try_recv_slow() {
            TryRecv::Value(value) => return Poll::Ready(Ok(value)),
            TryRecv::Drained => return Poll::Ready(Err(RecvError)),
            TryRecv::Empty | TryRecv::Offer => {}
        }
        if let Some(value) = chan.recv_looking() {
            return Poll::Ready(Ok(value));
        }
    }
    poll_looked(waiting, cx)
}

/// A first poll that has found nothing.
#[inline(never)]
fn poll_looked<T>(
    waiting: Pin<&mut CaseFuture<&Receiver<T>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, RecvError>> {
    waiting.poll_looked(cx)
}

/// A poll after the first.
#[inline(never)]
fn poll_waiting<T>(
    waiting: Pin<&mut CaseFuture<&Receiver<T>>>,
    cx: &mut Context<'_>,
) -> Poll<Result<T, RecvError>> {
    waiting.poll_waiting(cx)
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvFuture { .. }")
    }
}
