//! A sender as a `futures` sink.
//!
//! The sink takes one value more than the channel: while that waits for room it stands
//! among the senders like any other, so a receiver may take it whether or not the sink is
//! polled.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_sink::Sink;
use rendez_core::wait::CaseFuture;

use crate::chan::handle::Keeper;
use crate::chan::send::SendSlot;
use crate::error::SendError;
use crate::sender::Sender;

type Parked<T> = CaseFuture<SendSlot<Keeper<T>, T>>;

/// What [`Sender::sink`] gives. It can be moved freely: the place where it waits is
/// allocated when it first has to.
///
/// Closing it sends what it holds and gives up its sender; the channel is disconnected if
/// that was the last. A value that cannot be sent comes back in the error.
#[must_use = "sinks do nothing unless polled"]
pub struct SendSink<T> {
    sender: Option<Sender<T>>,
    parked: Option<Pin<Box<Parked<T>>>>,
    location: &'static Location<'static>,
}

// Nothing in it is pinned but what lies in the box.
impl<T> Unpin for SendSink<T> {}

impl<T> Sender<T> {
    /// A sink that sends into this channel.
    ///
    /// # Cancel safety
    ///
    /// Dropped while a value waits, it drops that value, unless a receiver took it.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use std::pin::Pin;
    /// use futures_sink::Sink;
    ///
    /// # rendez_core::block_on::block_on(async {
    /// let (tx, rx) = rendez_select::bounded(1);
    /// let mut sink = tx.sink();
    /// poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx)).await.unwrap();
    /// Pin::new(&mut sink).start_send(7).unwrap();
    /// poll_fn(|cx| Pin::new(&mut sink).poll_flush(cx)).await.unwrap();
    /// assert_eq!(rx.recv_async().await, Ok(7));
    /// # });
    /// ```
    #[track_caller]
    pub fn sink(&self) -> SendSink<T> {
        SendSink {
            sender: Some(self.clone()),
            parked: None,
            location: Location::caller(),
        }
    }
}

impl<T> SendSink<T> {
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let Some(parked) = &mut self.parked else {
            return Poll::Ready(Ok(()));
        };
        let sent = ready!(parked.as_mut().poll(cx));
        self.parked = None;
        Poll::Ready(sent)
    }
}

impl<T> Sink<T> for SendSink<T> {
    type Error = SendError<T>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_sent(cx)
    }

    /// # Panics
    ///
    /// If the sink was not ready: it already holds a value that waits.
    fn start_send(self: Pin<&mut Self>, value: T) -> Result<(), SendError<T>> {
        let this = self.get_mut();
        assert!(
            this.parked.is_none(),
            "`start_send` on a sink that is not ready"
        );
        let Some(sender) = &this.sender else {
            return Err(SendError(value));
        };
        match sender.try_send(value) {
            Ok(()) => Ok(()),
            Err(err) if err.is_full() => {
                let send = SendSlot::new(sender.chan.keeper(), err.into_inner());
                this.parked = Some(Box::pin(CaseFuture::new(send, this.location)));
                Ok(())
            }
            Err(err) => Err(SendError(err.into_inner())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        self.get_mut().poll_sent(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError<T>>> {
        let this = self.get_mut();
        let sent = ready!(this.poll_sent(cx));
        this.sender = None;
        Poll::Ready(sent)
    }
}

impl<T> fmt::Debug for SendSink<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SendSink { .. }")
    }
}
