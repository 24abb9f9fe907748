//! `Selector`: receives from any number of channels, and whatever else can be waited for,
//! again and again.
//!
//! The protocol is [`rendez_core::standing`]'s; here it gets its values, and keys that are
//! never used twice in place of its places, which are.
#![allow(unsafe_code)]

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::case::{Arm, Case, IntoArm, Outcome, Sealed, case_of};
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
/// Receivers of one type are [added](Self::add) as they are; anything else that can stand in
/// a `recv` arm is added [with](Self::add_with) what is to be made of what it gives. (Timers,
/// tickers, permits of a semaphore and an `or_done` are the exception to the cost: each is
/// looked at in every wait, and queues anew.)
///
/// A `Selector<T>` borrows nothing. One whose arms borrow is a [`BorrowingSelector`], which
/// [`new`](Self::new) makes as well: which of the two follows from what is added.
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
pub struct Selector<T, A: SelectorArm<T> + ?Sized = dyn SelectorArm<T> + Send> {
    standing: Standing<Member<T, A>>,
    // By arm, where there is one.
    keys: Vec<usize>,
    arms: HashMap<usize, usize>,
    next: usize,
}

/// A [`Selector`] of arms that borrow for as long as `'a`: one that waits for `ctx.done()` too,
/// for example.
pub type BorrowingSelector<'a, T> = Selector<T, dyn SelectorArm<T> + Send + 'a>;

/// One arm.
enum Member<T, A: ?Sized> {
    Receiver(Receiver<T>),
    Other(Box<A>),
}

/// An arm of another type, and what is made of what it gives. Part of a [`Selector`]'s type for
/// its lifetime alone.
#[doc(hidden)]
pub trait SelectorArm<T>: Sealed {
    /// What is waited for.
    fn case(&self) -> &dyn Case;
    /// What is received.
    ///
    /// # Errors
    ///
    /// As the function says that it was added with.
    fn finish(&self, outcome: Outcome) -> Result<T, RecvError>;
}

struct Mapped<A, F> {
    arm: A,
    map: F,
}

impl<A: Arm, F> Sealed for Mapped<A, F> {}

impl<T, A: Arm, F: Fn(A::Output) -> Result<T, RecvError>> SelectorArm<T> for Mapped<A, F> {
    fn case(&self) -> &dyn Case {
        &self.arm
    }

    fn finish(&self, outcome: Outcome) -> Result<T, RecvError> {
        (self.map)(self.arm.finish(outcome))
    }
}

impl<T, A: SelectorArm<T> + ?Sized> Member<T, A> {
    fn case(&self) -> &dyn Case {
        match self {
            Self::Receiver(receiver) => receiver,
            Self::Other(other) => other.case(),
        }
    }

    fn finish(&self, outcome: Outcome) -> Result<T, RecvError> {
        match self {
            Self::Receiver(receiver) => receiver.finish(outcome),
            Self::Other(other) => other.finish(outcome),
        }
    }
}

impl<T, A: ?Sized> Sealed for Member<T, A> {}

// SAFETY: the one case it holds.
unsafe impl<T, A: SelectorArm<T> + ?Sized> Case for Member<T, A> {
    case_of!(this => this.case());
}

impl<'a, T> BorrowingSelector<'a, T> {
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
        self.add_member(Member::Receiver(receiver.borrow().clone()))
    }

    /// Adds anything that can stand in a `recv` arm: what is received is what `map` makes of
    /// what the arm gives. Returns the key.
    ///
    /// Oneshot, broadcast and watch receivers, `ctx.done()`, `wg.zero()`, a semaphore's
    /// permit and join handles are given as they are, or by reference; timers and tickers by
    /// reference. `None` is never ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_select::{Selector, oneshot, unbounded};
    ///
    /// #[derive(Debug, PartialEq)]
    /// enum Event {
    ///     Job(u32),
    ///     Answer(&'static str),
    /// }
    ///
    /// let (jobs, queue) = unbounded();
    /// let (reply, answer) = oneshot();
    /// let mut selector = Selector::new();
    /// let job = selector.add_with(&queue, |job| job.map(Event::Job));
    /// selector.add_with(answer, |answer| answer.map(Event::Answer));
    /// jobs.send(1).unwrap();
    /// assert_eq!(selector.wait(), (job, Ok(Event::Job(1))));
    /// reply.send("yes").unwrap();
    /// assert_eq!(selector.wait().1, Ok(Event::Answer("yes")));
    /// ```
    pub fn add_with<A>(
        &mut self,
        arm: A,
        map: impl Fn(<A::Arm as Arm>::Output) -> Result<T, RecvError> + Send + 'a,
    ) -> usize
    where
        A: IntoArm<'a>,
        A::Arm: Send,
    {
        let arm = arm.__into_arm();
        self.add_member(Member::Other(Box::new(Mapped { arm, map })))
    }

    fn add_member(&mut self, member: Member<T, dyn SelectorArm<T> + Send + 'a>) -> usize {
        let key = self.next;
        self.next += 1;
        let arm = self.standing.add(member);
        if arm == self.keys.len() {
            self.keys.push(key);
        } else {
            self.keys[arm] = key;
        }
        self.arms.insert(key, arm);
        key
    }

    /// Removes what has this key. A receiver that was [added](Self::add) is given back,
    /// anything else is dropped.
    pub fn remove(&mut self, key: usize) -> Option<Receiver<T>> {
        match self.standing.remove(self.arms.remove(&key)?)? {
            Member::Receiver(receiver) => Some(receiver),
            Member::Other(_) => None,
        }
    }

    /// How many receivers and other arms there are.
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
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use rendez_select::{Selector, unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// let mut selector = Selector::new();
    /// let key = selector.add(rx);
    /// tx.send(1).unwrap();
    /// assert_eq!(selector.wait_async().await, (key, Ok(1)));
    /// # });
    /// ```
    #[track_caller]
    pub fn wait_async(&mut self) -> SelectorFuture<'_, T, dyn SelectorArm<T> + Send + 'a> {
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
}

impl<T, A: SelectorArm<T> + ?Sized> Selector<T, A> {
    fn received(&self, (arm, outcome): Won) -> (usize, Result<T, RecvError>) {
        let member = self.standing.case(arm).expect("an absent arm never wins");
        (self.keys[arm], member.finish(outcome))
    }
}

impl<T> Default for BorrowingSelector<'_, T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, A: SelectorArm<T> + ?Sized> fmt::Debug for Selector<T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Selector { .. }")
    }
}

/// What [`Selector::wait_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct SelectorFuture<'s, T, A: SelectorArm<T> + ?Sized = dyn SelectorArm<T> + Send> {
    selector: &'s mut Selector<T, A>,
    location: &'static Location<'static>,
}

impl<T, A: SelectorArm<T> + ?Sized> Future for SelectorFuture<'_, T, A> {
    type Output = (usize, Result<T, RecvError>);

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let won = this.selector.standing.poll(cx, this.location);
        won.map(|won| this.selector.received(won))
    }
}

impl<T, A: SelectorArm<T> + ?Sized> Drop for SelectorFuture<'_, T, A> {
    fn drop(&mut self) {
        self.selector.standing.cancel();
    }
}

impl<T, A: SelectorArm<T> + ?Sized> fmt::Debug for SelectorFuture<'_, T, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectorFuture { .. }")
    }
}
