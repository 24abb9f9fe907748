//! Handles that do not keep their end of a channel alive.
//!
//! A weak handle keeps the channel's memory, but is not counted: the counts alone decide
//! when an end is gone, and a count that has reached zero never rises again.

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use crate::chan::handle::Keeper;
use crate::receiver::{Receiver, Source};
use crate::sender::Sender;

/// Knows a channel to send into without keeping it connected: see [`Sender::downgrade`].
pub struct WeakSender<T> {
    chan: Keeper<T>,
}

/// Knows a channel to receive from without keeping it connected: see
/// [`Receiver::downgrade`].
pub struct WeakReceiver<T> {
    of: Weak<T>,
}

enum Weak<T> {
    Chan(Keeper<T>),
    // Of the clock: it has no other end, so there is nothing to keep connected.
    Clock(Receiver<T>),
}

impl<T> Sender<T> {
    /// A handle that does not keep the channel connected: once the last sender is dropped,
    /// receivers are disconnected however many weak handles there are.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// let weak = tx.downgrade();
    /// weak.upgrade().unwrap().send(1).unwrap();
    /// drop(tx);
    /// assert!(weak.upgrade().is_none());
    /// assert_eq!(rx.iter().collect::<Vec<_>>(), [1]);
    /// ```
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender {
            chan: self.chan.keeper(),
        }
    }
}

impl<T> WeakSender<T> {
    /// A sender, if there still is one.
    pub fn upgrade(&self) -> Option<Sender<T>> {
        let chan = self.chan.upgrade()?;
        Some(Sender { chan })
    }
}

impl<T> Receiver<T> {
    /// A handle that does not keep the channel connected: once the last receiver is
    /// dropped, senders are disconnected however many weak handles there are. That of a
    /// receiver of the clock can always be upgraded.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::unbounded();
    /// let weak = rx.downgrade();
    /// tx.send(1).unwrap();
    /// assert_eq!(weak.upgrade().unwrap().recv(), Ok(1));
    /// drop(rx);
    /// assert!(weak.upgrade().is_none());
    /// assert!(tx.send(2).is_err());
    /// ```
    pub fn downgrade(&self) -> WeakReceiver<T> {
        let of = match &self.source {
            Source::Chan(chan) => Weak::Chan(chan.keeper()),
            _ => Weak::Clock(self.clone()),
        };
        WeakReceiver { of }
    }
}

impl<T> WeakReceiver<T> {
    /// A receiver, if there still is one.
    pub fn upgrade(&self) -> Option<Receiver<T>> {
        match &self.of {
            Weak::Chan(chan) => {
                let source = Source::Chan(chan.upgrade()?);
                Some(Receiver { source })
            }
            Weak::Clock(receiver) => Some(receiver.clone()),
        }
    }
}

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self {
            chan: self.chan.clone(),
        }
    }
}

impl<T> Clone for WeakReceiver<T> {
    fn clone(&self) -> Self {
        let of = match &self.of {
            Weak::Chan(chan) => Weak::Chan(chan.clone()),
            Weak::Clock(receiver) => Weak::Clock(receiver.clone()),
        };
        Self { of }
    }
}

impl<T> UnwindSafe for WeakSender<T> {}
impl<T> RefUnwindSafe for WeakSender<T> {}
impl<T> UnwindSafe for WeakReceiver<T> {}
impl<T> RefUnwindSafe for WeakReceiver<T> {}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("WeakSender { .. }")
    }
}

impl<T> fmt::Debug for WeakReceiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("WeakReceiver { .. }")
    }
}
