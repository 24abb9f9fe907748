//! `Selector`: receives from any number of channels again and again.
//!
//! The protocol is [`rendez_core::standing`]'s; here it gets its values, and keys that are
//! never used twice in place of its places, which are.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::case::Arm;
use rendez_core::clock;
use rendez_core::standing::Standing;
use rendez_core::wait::Won;

use crate::error::RecvError;
use crate::receiver::Receiver;

/// Receives from many channels, again and again: a select whose registrations are kept from
/// wait to wait. Waiting costs by the channels that have become ready, not by those there
/// are, so 10,000 channels can be waited on in a loop.
///
/// Channels that are always ready take turns. A channel that is closed and drained is ready,
/// with an error, until it is [removed](Self::remove). Between two waits nothing is reserved:
/// other receivers of the same channels get what comes.
///
/// (A `send` arm of somebody else's select that meets a waiting `Selector` at capacity 0
/// makes it look at all its channels once more.)
///
/// # Examples
///
/// ```
/// use rendez_select::{Selector, unbounded};
///
/// let mut selector = Selector::new();
/// let mut senders = Vec::new();
/// for _ in 0..3 {
///     let (tx, rx) = unbounded();
///     senders.push((selector.add(rx), tx));
/// }
/// let (key, tx) = &senders[1];
/// tx.send("hello").unwrap();
/// assert_eq!(selector.wait(), (*key, Ok("hello")));
/// drop(senders);
/// while !selector.is_empty() {
///     let (key, gone) = selector.wait();
///     assert!(gone.is_err());
///     selector.remove(key);
/// }
/// ```
pub struct Selector<T> {
    standing: Standing<Receiver<T>>,
    // By arm, where there is one.
    keys: Vec<usize>,
    arms: HashMap<usize, usize>,
    next: usize,
}

impl<T> Selector<T> {
    /// Without channels.
    pub fn new() -> Self {
        Self {
            standing: Standing::new(),
            keys: Vec::new(),
            arms: HashMap::new(),
            next: 0,
        }
    }

    /// Adds a receiver, of which it keeps a clone; returns the key of what is received from
    /// it. Keys count up from 0 and are not used again.
    pub fn add(&mut self, receiver: impl Borrow<Receiver<T>>) -> usize {
        let key = self.next;
        self.next += 1;
        let arm = self.standing.add(receiver.borrow().clone());
        if arm == self.keys.len() {
            self.keys.push(key);
        } else {
            self.keys[arm] = key;
        }
        self.arms.insert(key, arm);
        key
    }

    /// Removes the receiver with this key and gives it back; `None` if there is none.
    pub fn remove(&mut self, key: usize) -> Option<Receiver<T>> {
        self.standing.remove(self.arms.remove(&key)?)
    }

    /// How many receivers there are.
    pub fn len(&self) -> usize {
        self.standing.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.standing.is_empty()
    }

    /// Receives from a channel that is ready, blocking until one is.
    ///
    /// # Panics
    ///
    /// If there is no receiver: it would never return.
    #[track_caller]
    pub fn wait(&mut self) -> (usize, Result<T, RecvError>) {
        self.assert_not_empty();
        match self.standing.block(None, Location::caller()) {
            Some(won) => self.received(won),
            None => unreachable!("a wait without deadline ends with a winner"),
        }
    }

    /// As [`wait`](Self::wait), for at most `timeout`.
    #[track_caller]
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<(usize, Result<T, RecvError>)> {
        self.wait_by(clock::deadline_after(timeout), Location::caller())
    }

    /// As [`wait`](Self::wait), until `deadline` at most.
    #[track_caller]
    pub fn wait_deadline(&mut self, deadline: Instant) -> Option<(usize, Result<T, RecvError>)> {
        self.wait_by(Some(deadline), Location::caller())
    }

    fn wait_by(
        &mut self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Option<(usize, Result<T, RecvError>)> {
        let won = self.standing.block(deadline, location)?;
        Some(self.received(won))
    }

    /// Receives from a channel that is ready; `None` only if there was an instant at which
    /// none was.
    #[track_caller]
    pub fn try_wait(&mut self) -> Option<(usize, Result<T, RecvError>)> {
        let won = self.standing.try_now(Location::caller())?;
        Some(self.received(won))
    }

    /// The awaiting form of [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// If there is no receiver: it would never complete.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has received nothing: a value it had been granted goes
    /// to the next receiver of that channel.
    #[track_caller]
    pub fn wait_async(&mut self) -> SelectorFuture<'_, T> {
        self.assert_not_empty();
        SelectorFuture {
            selector: self,
            location: Location::caller(),
        }
    }

    #[track_caller]
    fn assert_not_empty(&self) {
        assert!(
            !self.is_empty(),
            "no receivers have been added to `Selector`"
        );
    }

    fn received(&self, (arm, outcome): Won) -> (usize, Result<T, RecvError>) {
        let receiver = self.standing.case(arm).expect("an absent arm never wins");
        (self.keys[arm], receiver.finish(outcome))
    }
}

impl<T> Default for Selector<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Selector<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Selector { .. }")
    }
}

/// What [`Selector::wait_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct SelectorFuture<'a, T> {
    selector: &'a mut Selector<T>,
    location: &'static Location<'static>,
}

impl<T> Future for SelectorFuture<'_, T> {
    type Output = (usize, Result<T, RecvError>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let won = this.selector.standing.poll(cx, this.location);
        won.map(|won| this.selector.received(won))
    }
}

impl<T> Drop for SelectorFuture<'_, T> {
    fn drop(&mut self) {
        self.selector.standing.cancel();
    }
}

impl<T> fmt::Debug for SelectorFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectorFuture { .. }")
    }
}
