//! Many values at once: one lock for as many as fit, then a wait for one more.
//!
//! A user's iterator never runs under the lock: a batch is collected first. No more than it
//! says it has, nor than the channel holds: one that waits for its next value keeps none back.

use std::collections::{VecDeque, vec_deque};
use std::fmt;
use std::future::Future;
use std::iter::FusedIterator;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rendez_core::hooks;
use rendez_core::wait::{self, CaseFuture};

use crate::chan::Chan;
use crate::chan::send::SendSlot;
use crate::error::{RecvError, SendError};
use crate::receiver::{Receiver, RecvFuture, Source};
use crate::sender::Sender;

/// How many values of an iterator are made at most before they are sent.
const BATCH: usize = 64;

/// The values still to be sent.
struct Rest<I: Iterator> {
    iter: I,
    batch: VecDeque<I::Item>,
    n_sent: usize,
}

impl<I: Iterator> Rest<I> {
    fn new(iter: I) -> Self {
        Self {
            iter,
            batch: VecDeque::new(),
            n_sent: 0,
        }
    }

    /// Sends as many as fit; the first that does not, or `None` if all did.
    fn send_fitting(&mut self, chan: &Chan<I::Item>) -> Option<I::Item> {
        loop {
            if self.batch.is_empty() {
                let sure = self.iter.size_hint().0;
                let n = BATCH.min(sure).min(chan.capacity().unwrap_or(BATCH)).max(1);
                self.batch.extend(self.iter.by_ref().take(n));
            }
            if self.batch.is_empty() {
                return None;
            }
            let n = self.batch.len();
            let full = chan.send_fitting(&mut self.batch);
            self.n_sent += n - self.batch.len();
            if full {
                return self.batch.pop_front();
            }
        }
    }

    /// What could not be sent any more.
    fn unsent(&mut self, first: I::Item) -> SendError<Vec<I::Item>> {
        let first = std::iter::once(first);
        let rest = self.batch.drain(..).chain(self.iter.by_ref());
        SendError(first.chain(rest).collect())
    }
}

impl<T> Chan<T> {
    /// Sends from the front of `batch` until it is empty or, which is `true`, the next one
    /// has to wait or can never be sent.
    fn send_fitting(&self, batch: &mut VecDeque<T>) -> bool {
        let mut chan = self.lock();
        let (state, wakes) = chan.parts();
        while !state.no_sends() {
            let Some(value) = batch.pop_front() else {
                return false;
            };
            if let Err(value) = state.try_send(value, wakes) {
                batch.push_front(value);
                return true;
            }
        }
        true
    }

    /// Receives at most `max` values that need no waiting, under one lock.
    fn recv_into(&self, out: &mut Vec<T>, max: usize) -> usize {
        if max == 0 || !self.probe_recv().ready {
            return 0;
        }
        let before = out.len();
        let mut chan = self.lock();
        let (state, wakes) = chan.parts();
        while out.len() - before < max {
            let Some(value) = state.next(wakes) else {
                break;
            };
            out.push(value);
        }
        out.len() - before
    }
}

impl<T> Sender<T> {
    /// Sends all values of `iter`: as many as fit at once, then blocking until there is room
    /// for more. Returns how many there were.
    ///
    /// Values of other senders may come in between. The iterator runs on this thread and may
    /// be asked for some values before there is room for them, but for no more than it is sure to
    /// have (its `size_hint`): another channel's can be sent on as they come.
    ///
    /// # Errors
    ///
    /// [`SendError`] with all the values that were not sent, in order, if the channel is
    /// closed or no receiver is left, before or while it waits. To know them it takes the
    /// iterator to its end.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// assert_eq!(tx.send_many(1..=3), Ok(3));
    /// assert_eq!(rx.try_iter().sum::<i32>(), 6);
    /// drop(rx);
    /// assert_eq!(tx.send_many([4, 5]).unwrap_err().0, [4, 5]);
    /// ```
    #[track_caller]
    pub fn send_many<I>(&self, iter: I) -> Result<usize, SendError<Vec<T>>>
    where
        I: IntoIterator<Item = T>,
    {
        let location = Location::caller();
        hooks::switch_point();
        let mut rest = Rest::new(iter.into_iter());
        while let Some(next) = rest.send_fitting(&self.chan) {
            let send = SendSlot::new(&*self.chan, next);
            match wait::block_on_case(&send, None, location) {
                Some(Ok(())) => rest.n_sent += 1,
                Some(Err(SendError(next))) => return Err(rest.unsent(next)),
                None => unreachable!("a wait without deadline ends with a winner"),
            }
        }
        Ok(rest.n_sent)
    }

    /// The awaiting form of [`send_many`](Self::send_many).
    ///
    /// # Errors
    ///
    /// As [`send_many`](Self::send_many).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has sent the values up to some point, each whole;
    /// those after it are dropped with the iterator.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let (tx, rx) = rendez_select::bounded(3);
    /// assert_eq!(tx.send_many_async(1..=3).await, Ok(3));
    /// tx.close();
    /// assert_eq!(tx.send_many_async(4..=5).await.unwrap_err().0, [4, 5]);
    /// # assert_eq!(rx.len(), 3);
    /// # });
    /// ```
    #[track_caller]
    pub fn send_many_async<I>(&self, iter: I) -> SendManyFuture<'_, T, I::IntoIter>
    where
        I: IntoIterator<Item = T>,
    {
        SendManyFuture {
            sender: self,
            rest: Rest::new(iter.into_iter()),
            parked: None,
            location: Location::caller(),
        }
    }
}

/// What [`Sender::send_many_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct SendManyFuture<'a, T, I: Iterator<Item = T>> {
    sender: &'a Sender<T>,
    rest: Rest<I>,
    // Pinned with the whole.
    parked: Option<CaseFuture<SendSlot<&'a Chan<T>, T>>>,
    location: &'static Location<'static>,
}

impl<T, I: Iterator<Item = T>> Future for SendManyFuture<'_, T, I> {
    type Output = Result<usize, SendError<Vec<T>>>;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `parked` is pinned with the whole and only ever dropped in place; the
        // rest is never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        loop {
            if let Some(parked) = &mut this.parked {
                // SAFETY: as above.
                let sent = ready!(unsafe { Pin::new_unchecked(parked) }.poll(cx));
                this.parked = None;
                match sent {
                    Ok(()) => this.rest.n_sent += 1,
                    Err(SendError(next)) => return Poll::Ready(Err(this.rest.unsent(next))),
                }
            }
            let Some(next) = this.rest.send_fitting(&this.sender.chan) else {
                return Poll::Ready(Ok(this.rest.n_sent));
            };
            let send = SendSlot::new(&*this.sender.chan, next);
            this.parked = Some(CaseFuture::new(send, this.location));
        }
    }
}

impl<T> Receiver<T> {
    /// Takes all values the channel holds now, in one go; those promised to receivers that
    /// have been served already stay. Values the iterator is not asked for are dropped with
    /// it.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// tx.send_many([1, 2, 3]).unwrap();
    /// let all = rx.drain();
    /// assert!(rx.is_empty());
    /// assert_eq!(all.collect::<Vec<_>>(), [1, 2, 3]);
    /// ```
    #[must_use = "the values are taken out of the channel"]
    pub fn drain(&self) -> Drain<T> {
        hooks::switch_point();
        let mut values = VecDeque::new();
        match &self.source {
            Source::Chan(chan) => {
                let mut chan = chan.lock();
                let (state, wakes) = chan.parts();
                values.extend((0..state.available()).map_while(|_| state.pop_available()));
                state.settle(wakes);
            }
            _ => values.extend(self.try_recv()),
        }
        Drain(values.into_iter())
    }

    /// Receives up to `max` values into `out`: blocks until there is one, then takes what
    /// else there is. Returns how many; 0 only if `max` is 0, at once.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is empty, and closed or without senders.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// tx.send_many(1..=5).unwrap();
    /// let mut out = Vec::new();
    /// assert_eq!(rx.recv_many(&mut out, 3), Ok(3));
    /// assert_eq!(rx.recv_many(&mut out, 3), Ok(2));
    /// assert_eq!(out, [1, 2, 3, 4, 5]);
    /// ```
    #[track_caller]
    pub fn recv_many(&self, out: &mut Vec<T>, max: usize) -> Result<usize, RecvError> {
        hooks::switch_point();
        let n = self.recv_ready(out, max);
        if n > 0 || max == 0 {
            return Ok(n);
        }
        out.push(self.recv()?);
        Ok(1 + self.recv_ready(out, max - 1))
    }

    /// The awaiting form of [`recv_many`](Self::recv_many).
    ///
    /// # Errors
    ///
    /// As [`recv_many`](Self::recv_many).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has received nothing: `out` is as it was, and a value
    /// that had been granted goes to the next receiver.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let (tx, rx) = rendez_select::unbounded();
    /// tx.send_many(1..=5).unwrap();
    /// let mut out = Vec::new();
    /// assert_eq!(rx.recv_many_async(&mut out, 3).await, Ok(3));
    /// assert_eq!(out, [1, 2, 3]);
    /// # });
    /// ```
    #[track_caller]
    pub fn recv_many_async<'a>(&'a self, out: &'a mut Vec<T>, max: usize) -> RecvManyFuture<'a, T> {
        RecvManyFuture {
            receiver: self,
            out,
            max,
            first: self.recv_async(),
        }
    }

    fn recv_ready(&self, out: &mut Vec<T>, max: usize) -> usize {
        match &self.source {
            Source::Chan(chan) => chan.recv_into(out, max),
            // The clock has one message at a time.
            _ if max == 0 => 0,
            _ => self
                .try_recv()
                .map(|value| out.push(value))
                .into_iter()
                .count(),
        }
    }
}

/// What [`Receiver::recv_many_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct RecvManyFuture<'a, T> {
    receiver: &'a Receiver<T>,
    out: &'a mut Vec<T>,
    max: usize,
    // Pinned with the whole.
    first: RecvFuture<'a, T>,
}

impl<T> Future for RecvManyFuture<'_, T> {
    type Output = Result<usize, RecvError>;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `first` is pinned with the whole and never moved out; the rest is never
        // pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if this.max == 0 {
            return Poll::Ready(Ok(0));
        }
        // SAFETY: as above.
        let first = unsafe { Pin::new_unchecked(&mut this.first) };
        this.out.push(ready!(first.poll(cx))?);
        Poll::Ready(Ok(1 + this.receiver.recv_ready(this.out, this.max - 1)))
    }
}

/// The values that [`Receiver::drain`] took.
pub struct Drain<T>(vec_deque::IntoIter<T>);

impl<T> Iterator for Drain<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<T> ExactSizeIterator for Drain<T> {}
impl<T> FusedIterator for Drain<T> {}

impl<T> fmt::Debug for Drain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Drain { .. }")
    }
}

impl<T, I: Iterator<Item = T>> fmt::Debug for SendManyFuture<'_, T, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendManyFuture { .. }")
    }
}

impl<T> fmt::Debug for RecvManyFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvManyFuture { .. }")
    }
}
