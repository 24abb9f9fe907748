//! Every receiver sees every value: the handles and their cases. The protocol is in
//! `broadcast/state.rs`.
#![allow(unsafe_code)]

mod offer;
mod state;

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::{Arc, Mutex};
use rendez_core::{clock, hooks, wait};

use crate::chan::slot::Slot;
use crate::closed::{Closing, closing};
use crate::error::{SendError, SendTimeoutError, TrySendError};
use crate::forms::{named_future, receive_forms, receiver_arm};
use crate::guarded::Locked;
use state::{CLOSED, Fetched, GRANTED, SENT, State};

#[doc(hidden)]
pub use offer::Permit;

pub use crate::error::{
    BroadcastRecvError as RecvError, BroadcastRecvTimeoutError as RecvTimeoutError,
    BroadcastTryRecvError as TryRecvError,
};

/// Makes a channel on which every receiver sees every value sent since it subscribed. It
/// keeps the last `cap` values that somebody has still to see; a send never waits, and a
/// receiver that is too slow is told how many values it has missed.
///
/// # Panics
///
/// If `cap` is 0: it could keep nothing.
///
/// # Examples
///
/// ```
/// use rendez_select::broadcast;
///
/// let (tx, a) = broadcast::broadcast(2);
/// let b = tx.subscribe();
/// tx.send(1).unwrap();
/// tx.send(2).unwrap();
/// assert_eq!((a.recv(), b.recv()), (Ok(1), Ok(1)));
/// tx.send(3).unwrap();
/// tx.send(4).unwrap();
/// assert_eq!(a.recv(), Err(broadcast::RecvError::Lagged(1)));
/// assert_eq!(a.recv(), Ok(3));
/// ```
#[track_caller]
pub fn broadcast<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    channel(cap, false)
}

/// As [`broadcast`], but a sender waits while the slowest receiver has `cap` values still to
/// see: nobody misses any.
///
/// # Panics
///
/// If `cap` is 0.
///
/// # Examples
///
/// ```
/// let (tx, rx) = rendez_select::broadcast_waiting(1);
/// tx.send(1).unwrap();
/// assert!(tx.try_send(2).is_err());
/// assert_eq!(rx.recv(), Ok(1));
/// tx.send(2).unwrap();
/// ```
#[track_caller]
pub fn broadcast_waiting<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    channel(cap, true)
}

#[track_caller]
fn channel<T>(cap: usize, waits: bool) -> (Sender<T>, Receiver<T>) {
    assert!(cap > 0, "a broadcast channel keeps at least one value");
    let shared = Arc::new(Shared {
        state: Mutex::new(State::new(cap, waits)),
        cap,
    });
    let sender = Sender { shared };
    let receiver = sender.subscribe();
    (sender, receiver)
}

/// Sends values that every receiver sees. When the last clone is dropped, receivers are
/// disconnected once they have seen what was sent.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees every value sent since it subscribed. A clone sees what is still to come for this
/// one.
///
/// A receive fails with [`RecvError::Lagged`] once if values were overwritten that it had
/// not seen, and goes on with the oldest that is left; with [`RecvError::Disconnected`] once
/// it has seen all and no more can come.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    seat: usize,
}

struct Shared<T> {
    state: Mutex<State<T>>,
    cap: usize,
}

impl<T> Shared<T> {
    fn lock(&self) -> Locked<'_, State<T>> {
        Locked::new(&self.state)
    }

    /// Changes the state, wakes, and drops what nobody will see, in this order.
    fn change<R>(&self, f: impl FnOnce(&mut State<T>, &mut rendez_core::wake::WakeList) -> R) -> R {
        let mut locked = self.lock();
        let (state, wakes) = locked.parts();
        let result = f(state, wakes);
        let garbage = state.take_garbage();
        drop(locked);
        drop(garbage);
        result
    }

    fn close(&self) -> bool {
        self.change(|state, wakes| {
            let first = !std::mem::replace(&mut state.closed, true);
            state.end(wakes);
            first
        })
    }

    fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        self.change(|state, wakes| {
            if state.no_sends() {
                Err(TrySendError::Disconnected(value))
            } else if !state.has_room() {
                Err(TrySendError::Full(value))
            } else {
                state.push(value, wakes);
                Ok(())
            }
        })
    }
}

impl<T> Sender<T> {
    /// Sends without waiting.
    ///
    /// # Errors
    ///
    /// [`TrySendError`] with the value: the slowest receiver is too far behind, on a channel
    /// whose sender waits; or it is closed or there is no receiver.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        hooks::switch_point();
        self.shared.try_send(value)
    }

    /// Sends to every receiver there is. Waits only on a channel made by
    /// [`broadcast_waiting`].
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel is closed or there is no receiver.
    #[track_caller]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.send_by(value, None, Location::caller())
            .map_err(|err| SendError(err.into_inner()))
    }

    /// As [`send`](Self::send), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value.
    #[track_caller]
    pub fn send_timeout(&self, value: T, timeout: Duration) -> Result<(), SendTimeoutError<T>> {
        self.send_by(value, clock::deadline_after(timeout), Location::caller())
    }

    /// As [`send`](Self::send), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// [`SendTimeoutError`], with the value.
    #[track_caller]
    pub fn send_deadline(&self, value: T, deadline: Instant) -> Result<(), SendTimeoutError<T>> {
        self.send_by(value, Some(deadline), Location::caller())
    }

    fn send_by(
        &self,
        value: T,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<(), SendTimeoutError<T>> {
        let send = SendCase::new(&self.shared, value);
        match wait::block_on_case(&send, deadline, location) {
            Some(sent) => Ok(sent?),
            None => match send.slot.take() {
                Some(value) => Err(SendTimeoutError::Timeout(value)),
                None => unreachable!("a send that timed out still has its value"),
            },
        }
    }

    /// The awaiting form of [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has sent nothing and drops the value. While it waits,
    /// the value may be taken at any time, whether it is polled or not.
    #[track_caller]
    pub fn send_async(&self, value: T) -> SendFuture<'_, T> {
        SendFuture(wait::CaseFuture::new(
            SendCase::new(&self.shared, value),
            Location::caller(),
        ))
    }

    /// Another receiver: it sees what is sent from now on.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver {
            shared: Arc::clone(&self.shared),
            seat: self.shared.lock().subscribe(),
        }
    }

    /// Closes the channel: no more values can be sent, receivers see those that were.
    /// `true` the first time.
    pub fn close(&self) -> bool {
        self.shared.close()
    }

    /// Whether nothing can be sent: closed, or there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().no_sends()
    }

    /// How many values it keeps: those that somebody has still to see.
    pub fn len(&self) -> usize {
        self.shared.lock().len()
    }

    /// Whether everybody has seen everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values it keeps at most.
    pub fn capacity(&self) -> usize {
        self.shared.cap
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.lock().n_senders
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.lock().n_receivers
    }

    /// Whether both send into the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

closing!(Sender<T>);

impl<T> Closing for Sender<T> {
    fn __closing<R>(&self, f: impl FnOnce(bool, u64, &mut Queue) -> R) -> R {
        let mut state = self.shared.lock();
        f(state.no_sends(), state.n_gone, &mut state.closeq)
    }
}

impl<T> Receiver<T> {
    /// Closes the channel from this end; see [`Sender::close`].
    pub fn close(&self) -> bool {
        self.shared.close()
    }

    /// Whether no value can come any more but those here: closed, or no sender is left.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().no_more()
    }

    /// How many values are still to come, those that were overwritten left out.
    pub fn len(&self) -> usize {
        self.shared.lock().to_come(self.seat)
    }

    /// Whether it has seen all that was sent.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many values the channel keeps at most.
    pub fn capacity(&self) -> usize {
        self.shared.cap
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.shared.lock().n_senders
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.lock().n_receivers
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<T: Clone> Receiver<T> {
    receive_forms!(T, RecvError, TryRecvError, RecvTimeoutError);
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().n_senders += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            seat: self.shared.lock().clone_seat(self.seat),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.shared.change(|state, wakes| {
            state.n_senders -= 1;
            state.end(wakes);
        });
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.shared
            .change(|state, wakes| state.leave(self.seat, wakes));
    }
}

impl<T> Sealed for Receiver<T> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under the
// lock, under which alone its waiters are claimed.
unsafe impl<T: Clone> Case for Receiver<T> {
    fn probe(&self) -> Probe {
        let state = self.shared.lock();
        Probe {
            ready: state.look(self.seat).is_some(),
            epoch: state.epoch,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.shared.lock().take(self.seat)
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        if state.look(self.seat).is_some() && reg.claim_self().is_ok() {
            if let Some(outcome) = state.take(self.seat) {
                reg.complete_self(outcome);
            }
        } else {
            // Not ready, or held by an offer elsewhere: it looks again when that falls
            // through.
            state.recvq(self.seat).push(reg, std::ptr::null());
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        if state.look(self.seat).is_some() && reg.claim_self().is_ok() {
            state.recvq(self.seat).remove(reg.node);
            if let Some(outcome) = state.take(self.seat) {
                reg.complete_self(outcome);
            }
        }
    }

    fn dequeue(&self, node: &Node) {
        self.shared.lock().recvq(self.seat).remove(node);
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome == GRANTED {
            self.shared
                .change(|state, wakes| state.ungrant(self.seat, wakes));
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

impl<T: Clone> Arm for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn finish(&self, outcome: Outcome) -> Self::Output {
        if outcome != GRANTED {
            return Err(RecvError::Disconnected);
        }
        let fetched = self
            .shared
            .change(|state, wakes| state.redeem(self.seat, wakes));
        match fetched {
            // The last to see it need not copy it.
            Fetched::Value(value) => Ok(Arc::try_unwrap(value).unwrap_or_else(|v| T::clone(&v))),
            Fetched::Lagged(n) => Err(RecvError::Lagged(n)),
        }
    }
}

receiver_arm!(Receiver<T: Clone>);

/// A send with its value.
struct SendCase<'a, T> {
    shared: &'a Shared<T>,
    slot: Slot<T>,
}

impl<'a, T> SendCase<'a, T> {
    fn new(shared: &'a Shared<T>, value: T) -> Self {
        Self {
            shared,
            slot: Slot::new(Some(value)),
        }
    }
}

impl<T> Sealed for SendCase<'_, T> {}

// SAFETY: as for `Receiver`; the slot stays in place as long as the node is queued, because
// the case is borrowed for that time.
unsafe impl<T> Case for SendCase<'_, T> {
    fn probe(&self) -> Probe {
        let state = self.shared.lock();
        Probe {
            ready: state.no_sends() || state.has_room(),
            epoch: state.epoch,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        let value = self.slot.take()?;
        let (outcome, value) = match self.shared.try_send(value) {
            Ok(()) => return Some(SENT),
            Err(TrySendError::Full(value)) => (None, value),
            Err(TrySendError::Disconnected(value)) => (Some(CLOSED), value),
        };
        self.slot.put(value);
        outcome
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.shared.change(|state, wakes| {
            let (closed, room) = (state.no_sends(), state.has_room());
            // It stands in no other queue, so nothing can hold it but this.
            if (!closed && !room) || reg.claim_self().is_err() {
                state.sendq.push(reg, self.slot.as_payload());
                return;
            }
            if !closed {
                if let Some(value) = self.slot.take() {
                    state.push(value, wakes);
                }
            }
            reg.complete_self(if closed { CLOSED } else { SENT });
        });
    }

    fn dequeue(&self, node: &Node) {
        self.shared.lock().sendq.remove(node);
    }

    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
}

impl<T> Arm for SendCase<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn finish(&self, _: Outcome) -> Self::Output {
        // Still in the slot only if the channel was closed.
        self.slot
            .take()
            .map_or(Ok(()), |value| Err(SendError(value)))
    }
}

named_future! {
    /// What [`Receiver::recv_async`] gives.
    RecvFuture<'a, T: Clone>(&'a Receiver<T>) -> Result<T, RecvError>
}

named_future! {
    /// What [`Sender::send_async`] gives.
    SendFuture<'a, T>(SendCase<'a, T>) -> Result<(), SendError<T>>
}

impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Sender { .. }")
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Receiver { .. }")
    }
}
