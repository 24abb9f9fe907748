//! The small utilities everybody rewrites: `merge`, `tee`, `or_done`.
//!
//! The first two move values in a goroutine of their own (a thread where no pool is in use),
//! which ends with its inputs, or when nobody receives from what it feeds.
#![allow(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::time::Instant;

use rendez_core::case::{Arm, AsCase, Case, Outcome, Probe, Sealed};
use rendez_core::either::Either;
use rendez_core::goroutine::WaitKind;
use rendez_core::hooks;
use rendez_core::queue::{Node, Registration};
use rendez_core::shim::atomic::{AtomicBool, Ordering};
use rendez_core::standing::Standing;
use rendez_core::wait::CaseFuture;

use crate::error::{RecvError, RecvTimeoutError, TryRecvError};
use crate::receiver::Receiver;
use crate::sender::Sender;
use crate::{bounded, select};

/// A receiver of everything the `receivers` get, each value as soon as somebody asks for it;
/// it ends when all of them have.
///
/// The values of one receiver keep their order. Should the merged receiver be dropped, the
/// others are too, with the one value that may be on its way.
///
/// # Examples
///
/// ```
/// use rendez_select::{merge, unbounded};
///
/// let ((tx, a), (tx2, b)) = (unbounded(), unbounded());
/// let all = merge([a, b]);
/// tx.send_many([1, 2]).unwrap();
/// tx2.send_many([3, 4]).unwrap();
/// drop((tx, tx2));
/// assert_eq!(all.iter().sum::<i32>(), 10);
/// ```
#[track_caller]
pub fn merge<T: Send + 'static>(receivers: impl IntoIterator<Item = Receiver<T>>) -> Receiver<T> {
    let receivers: Vec<_> = receivers.into_iter().collect();
    let (tx, merged) = bounded(0);
    let location = Location::caller();
    if !receivers.is_empty() {
        hooks::spawn_detached(move || forward(&receivers, &tx, location));
    }
    merged
}

fn forward<T>(receivers: &[Receiver<T>], tx: &Sender<T>, location: &'static Location<'static>) {
    let nobody = tx.closed();
    let mut standing = Standing::<&dyn Case>::new();
    let last = standing.add(&nobody);
    let first = last + 1;
    for receiver in receivers {
        standing.add(receiver);
    }
    // Until only `nobody` is left.
    while standing.len() > 1 {
        let Some((arm, outcome)) = standing.block(None, location) else {
            return;
        };
        let Some(from) = arm.checked_sub(first) else {
            return;
        };
        match receivers[from].finish(outcome) {
            Ok(value) => {
                if tx.send(value).is_err() {
                    return;
                }
            }
            Err(RecvError) => {
                standing.remove(arm);
            }
        }
    }
}

/// Two receivers that each get a clone of everything `receiver` gets, and end when it does.
///
/// The next value is received once both have taken the one before, in either order. When one
/// of them is dropped the other goes on alone; when both are, so is `receiver`.
///
/// # Examples
///
/// ```
/// use rendez_select::{tee, unbounded};
///
/// let (tx, rx) = unbounded();
/// let (a, b) = tee(rx);
/// tx.send(1).unwrap();
/// assert_eq!(b.recv(), Ok(1));
/// assert_eq!(a.recv(), Ok(1));
/// ```
pub fn tee<T: Clone + Send + 'static>(receiver: Receiver<T>) -> (Receiver<T>, Receiver<T>) {
    let ((tx_a, a), (tx_b, b)) = (bounded(0), bounded(0));
    hooks::spawn_detached(move || copy(&receiver, &tx_a, &tx_b));
    (a, b)
}

fn copy<T: Clone>(receiver: &Receiver<T>, a: &Sender<T>, b: &Sender<T>) {
    let (mut has_a, mut has_b) = (true, true);
    while has_a || has_b {
        let value = select! {
            recv(receiver) -> value => match value {
                Ok(value) => value,
                Err(RecvError) => return,
            },
            recv(a.closed()) if has_a -> () => {
                has_a = false;
                continue;
            }
            recv(b.closed()) if has_b -> () => {
                has_b = false;
                continue;
            }
        };
        let (mut to_a, mut to_b) = (has_a, has_b);
        let mut rest = Some(value);
        while to_a || to_b {
            let mut next = || {
                let both = to_a && to_b;
                let value = if both { rest.clone() } else { rest.take() };
                value.expect("a value is there until the last has it")
            };
            select! {
                send(a, next()) if to_a -> sent => {
                    to_a = false;
                    has_a = sent.is_ok();
                }
                send(b, next()) if to_b -> sent => {
                    to_b = false;
                    has_b = sent.is_ok();
                }
            }
        }
    }
}

/// What `receiver` gets, until `done` is ready: whatever can stand in a `recv` arm, such as
/// a context's `done()` or another receiver.
///
/// # Examples
///
/// ```
/// use rendez_select::{bounded, or_done, unbounded};
///
/// let (tx, rx) = unbounded();
/// let (quit, quitting) = bounded::<()>(0);
/// tx.send_many([1, 2, 3]).unwrap();
/// let mut got = Vec::new();
/// for value in or_done(rx, &quitting) {
///     got.push(value);
///     if value == 2 {
///         quit.close();
///     }
/// }
/// assert_eq!(got, [1, 2]);
/// ```
pub fn or_done<T, C: AsCase>(receiver: Receiver<T>, done: C) -> OrDone<T, C> {
    OrDone {
        receiver,
        done,
        ended: AtomicBool::new(false),
    }
}

/// What [`or_done`] gives: a receiver, an iterator and a select arm. Once `done` has been
/// seen ready it stays disconnected.
pub struct OrDone<T, C> {
    receiver: Receiver<T>,
    done: C,
    ended: AtomicBool,
}

impl<T, C: AsCase> OrDone<T, C> {
    /// Receives without waiting.
    ///
    /// # Errors
    ///
    /// As [`Receiver::try_recv`]; it is disconnected once `done` is ready.
    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        hooks::switch_point();
        let case = self.__case();
        match case.try_now() {
            Some(outcome) => Ok(case.finish(outcome)?),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Receives, blocking until there is a value or `done` is ready.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if `done` is ready, or the channel is empty, and closed or without
    /// senders.
    #[track_caller]
    pub fn recv(&self) -> Result<T, RecvError> {
        match rendez_core::wait::block_on_case(&self.__case(), None, Location::caller()) {
            Some(received) => received,
            None => unreachable!("a wait without deadline ends with a winner"),
        }
    }

    /// As [`recv`](Self::recv), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvTimeoutError`].
    #[track_caller]
    pub fn recv_timeout(&self, timeout: std::time::Duration) -> Result<T, RecvTimeoutError> {
        let deadline = rendez_core::clock::deadline_after(timeout);
        match rendez_core::wait::block_on_case(&self.__case(), deadline, Location::caller()) {
            Some(received) => Ok(received?),
            None => Err(RecvTimeoutError::Timeout),
        }
    }

    /// The awaiting form of [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has received nothing.
    #[track_caller]
    pub fn recv_async(&self) -> OrDoneFuture<'_, T, C> {
        OrDoneFuture(CaseFuture::new(self.__case(), Location::caller()))
    }
}

impl<T, C: AsCase> Iterator for OrDone<T, C> {
    type Item = T;

    #[track_caller]
    fn next(&mut self) -> Option<T> {
        self.recv().ok()
    }
}

impl<T, C: AsCase> AsCase for OrDone<T, C> {
    type Case<'a>
        = OrDoneCase<'a, T, C::Case<'a>>
    where
        Self: 'a;

    fn __case(&self) -> Self::Case<'_> {
        OrDoneCase {
            ended: &self.ended,
            // Done goes before the values.
            either: Either::new(self.done.__case(), &self.receiver),
        }
    }
}

/// The case of an [`OrDone`], made for one wait.
#[doc(hidden)]
pub struct OrDoneCase<'a, T, C: Arm> {
    ended: &'a AtomicBool,
    either: Either<C, &'a Receiver<T>>,
}

// Not what `Either` writes into a node that has lost.
const ENDED: Outcome = Outcome(u64::MAX - 1);

impl<T, C: Arm> Sealed for OrDoneCase<'_, T, C> {}

// SAFETY: that of its parts.
unsafe impl<T, C: Arm> Case for OrDoneCase<'_, T, C> {
    fn probe(&self) -> Probe {
        let probe = self.either.probe();
        Probe {
            ready: probe.ready || self.ended.load(Ordering::Relaxed),
            ..probe
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        if self.ended.load(Ordering::Relaxed) {
            Some(ENDED)
        } else {
            self.either.try_now()
        }
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        if self.ended.load(Ordering::Relaxed) && reg.claim_self().is_ok() {
            reg.complete_self(ENDED);
        } else {
            self.either.enqueue(reg);
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.either.recheck(reg);
    }

    fn dequeue(&self, node: &Node) {
        self.either.dequeue(node);
    }

    fn won(&self, node: &Node) -> Outcome {
        if node.outcome() == ENDED {
            ENDED
        } else {
            self.either.won(node)
        }
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome != ENDED {
            self.either.abandon(outcome);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.either.deadline()
    }

    fn stays(&self) -> bool {
        self.either.stays()
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

impl<T, C: Arm> Arm for OrDoneCase<'_, T, C> {
    type Output = Result<T, RecvError>;

    fn finish(&self, outcome: Outcome) -> Self::Output {
        if outcome == ENDED {
            return Err(RecvError);
        }
        match self.either.finish(outcome) {
            Ok(_done) => {
                self.ended.store(true, Ordering::Relaxed);
                Err(RecvError)
            }
            Err(received) => received,
        }
    }
}

/// What [`OrDone::recv_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct OrDoneFuture<'a, T, C: AsCase + 'a>(CaseFuture<OrDoneCase<'a, T, C::Case<'a>>>);

impl<'a, T, C: AsCase + 'a> std::future::Future for OrDoneFuture<'a, T, C> {
    type Output = Result<T, RecvError>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

impl<T, C> fmt::Debug for OrDone<T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("OrDone { .. }")
    }
}

impl<T, C: Arm> fmt::Debug for OrDoneCase<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("OrDoneCase { .. }")
    }
}

impl<T, C: AsCase> fmt::Debug for OrDoneFuture<'_, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("OrDoneFuture { .. }")
    }
}
