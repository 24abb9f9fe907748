//! Iteration ends at close-and-drained, as Go's `range` does.
//!
//! An iterator that waits does so, for a dump, where it was made: `next` is called from an
//! adapter or a `sum` of the standard library's.

use std::fmt;
use std::future::Future;
use std::iter::FusedIterator;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::{FusedStream, Stream};
use rendez_core::case::{Arm, Case};
use rendez_core::wait::CaseFuture;

use crate::receiver::Receiver;

/// A blocking iterator over the values to come. See [`Receiver::iter`].
pub struct Iter<'a, T>(&'a Receiver<T>, &'static Location<'static>);

/// An iterator over the values that are there. See [`Receiver::try_iter`].
pub struct TryIter<'a, T>(&'a Receiver<T>);

/// A blocking iterator that owns its receiver.
pub struct IntoIter<T>(Receiver<T>, &'static Location<'static>);

impl<T> Receiver<T> {
    /// Receives, blocking, until the channel is closed and drained: Go's
    /// `for v := range ch`.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// tx.send(1).unwrap();
    /// tx.send(2).unwrap();
    /// tx.close();
    /// assert_eq!(rx.iter().sum::<i32>(), 3);
    /// ```
    #[track_caller]
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self, Location::caller())
    }

    /// Receives without waiting until there is nothing left.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// tx.send_many([1, 2]).unwrap();
    /// assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2]); // `tx` is still there
    /// ```
    pub fn try_iter(&self) -> TryIter<'_, T> {
        TryIter(self)
    }

    /// The values to come, as a stream that ends when the channel is closed and drained.
    ///
    /// # Cancel safety
    ///
    /// Dropped between two values, it has received nothing that it has not yielded.
    #[track_caller]
    pub fn stream(&self) -> RecvStream<T> {
        RecvStream {
            receiver: Some(self.clone()),
            parked: None,
            location: Location::caller(),
            ended: false,
        }
    }
}

impl<T> Iterator for Iter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv_by(|| None, self.1).ok()
    }
}

impl<T> FusedIterator for Iter<'_, T> {}

impl<T> Iterator for TryIter<'_, T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }
}

impl<T> Iterator for IntoIter<T> {
    type Item = T;
    fn next(&mut self) -> Option<T> {
        self.0.recv_by(|| None, self.1).ok()
    }
}

impl<T> FusedIterator for IntoIter<T> {}

impl<'a, T> IntoIterator for &'a Receiver<T> {
    type Item = T;
    type IntoIter = Iter<'a, T>;
    #[track_caller]
    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> IntoIterator for Receiver<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;
    #[track_caller]
    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self, Location::caller())
    }
}

impl<T> fmt::Debug for Iter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Iter { .. }")
    }
}

impl<T> fmt::Debug for TryIter<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("TryIter { .. }")
    }
}

impl<T> fmt::Debug for IntoIter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("IntoIter { .. }")
    }
}

/// What [`Receiver::stream`] gives. It can be moved freely: the place where it waits is
/// allocated when it first has to.
#[must_use = "streams do nothing unless polled"]
pub struct RecvStream<T> {
    // Until it first parks: then it lies there, for there is one of it.
    receiver: Option<Receiver<T>>,
    parked: Option<Pin<Box<CaseFuture<Receiver<T>>>>>,
    location: &'static Location<'static>,
    ended: bool,
}

// Nothing in it is pinned but what lies in the box.
impl<T> Unpin for RecvStream<T> {}

impl<T> Stream for RecvStream<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        if let Some(receiver) = &this.receiver {
            if let Some(outcome) = receiver.try_now() {
                let received = receiver.finish(outcome);
                this.ended = received.is_err();
                return Poll::Ready(received.ok());
            }
        }
        if let Some(receiver) = this.receiver.take() {
            this.parked = Some(Box::pin(CaseFuture::new(receiver, this.location)));
        }
        let parked = this.parked.as_mut().expect("it has the receiver now");
        let received = ready!(parked.as_mut().poll(cx));
        this.ended = received.is_err();
        Poll::Ready(received.ok())
    }
}

impl<T> FusedStream for RecvStream<T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T> fmt::Debug for RecvStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("RecvStream { .. }")
    }
}
