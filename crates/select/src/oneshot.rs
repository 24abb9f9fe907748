//! One value, once: a channel for an answer, in one allocation.
//!
//! ```text
//! value: None ──send──▶ Some ──granted to a waiter──▶ None        taken
//! ```
//!
//! Invariants when the lock is released: a value that is not promised and an open receiver,
//! never both; drained (no value, and none can come): nobody waits to receive.
//!
//! As on any channel here, a served receive holds a grant: the value stays until it is
//! fetched, and a dropped future lets the next have it.
#![allow(unsafe_code)]

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::hooks;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::{Arc, Mutex};
use rendez_core::wake::WakeList;

use crate::closed::{Closing, closing};
use crate::error::{RecvError, RecvTimeoutError, SendError, TryRecvError};
use crate::forms::{named_future, receive_forms, receiver_arm};
use crate::guarded::{Locked, release};

const GRANTED: Outcome = Outcome(0);
const CLOSED: Outcome = Outcome(1);

/// Makes a channel for one value.
///
/// # Examples
///
/// ```
/// use rendez_select::{after, oneshot, select};
/// use std::time::Duration;
///
/// let (tx, rx) = oneshot();
/// std::thread::spawn(move || tx.send("answer"));
/// select! {
///     recv(rx) -> answer => assert_eq!(answer, Ok("answer")),
///     recv(after(Duration::from_secs(5))) -> _ => panic!("too slow"),
/// }
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared(Mutex::new(State {
        value: None,
        granted: false,
        no_sender: false,
        no_receiver: false,
        closed: false,
        epoch: 0,
        recvq: Queue::new(),
        closeq: Queue::new(),
    })));
    let receiver = Receiver {
        shared: Arc::clone(&shared),
    };
    (Sender { shared }, receiver)
}

/// Sends the one value. Dropped without, it disconnects the receiver.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Receives the one value; after that, and if it will never come, it is disconnected
/// ([`RecvError`]).
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    value: Option<T>,
    // Whether the value is promised to a receive that has been served.
    granted: bool,
    no_sender: bool,
    no_receiver: bool,
    closed: bool,
    // Grows with every step after which a receive may be ready.
    epoch: u64,
    recvq: Queue,
    // Those who wait for the send to become impossible.
    closeq: Queue,
}

impl<T> Shared<T> {
    fn lock(&self) -> Locked<'_, State<T>> {
        Locked::new(&self.0)
    }
}

impl<T> State<T> {
    fn available(&self) -> bool {
        self.value.is_some() && !self.granted
    }

    fn is_drained(&self) -> bool {
        self.value.is_none() && (self.no_sender || self.closed)
    }

    fn no_sends(&self) -> bool {
        self.closed || self.no_receiver
    }

    /// What a receive that looks now gets.
    fn take(&mut self) -> Option<Outcome> {
        if self.available() {
            self.granted = true;
            Some(GRANTED)
        } else {
            self.is_drained().then_some(CLOSED)
        }
    }

    /// Restores the invariants after a change.
    fn settle(&mut self, wakes: &mut WakeList) {
        self.epoch += 1;
        if self.available() {
            if let Some(waiter) = self.recvq.claim() {
                self.granted = true;
                waiter.complete(GRANTED, wakes);
            }
        }
        if self.is_drained() {
            release(&mut self.recvq, CLOSED, wakes);
        }
        if self.no_sends() {
            release(&mut self.closeq, CLOSED, wakes);
        }
    }
}

impl<T> Sender<T> {
    /// Sends the value. Never waits.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the receiver is gone or has closed the channel.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        hooks::switch_point();
        let mut state = self.shared.lock();
        if state.no_sends() {
            drop(state);
            return Err(SendError(value));
        }
        let (state, wakes) = state.parts();
        state.value = Some(value);
        state.settle(wakes);
        Ok(())
    }

    /// Whether nothing can be sent any more: the receiver is gone or has closed the channel.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().no_sends()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let (state, wakes) = state.parts();
        state.no_sender = true;
        state.settle(wakes);
    }
}

impl<T> Receiver<T> {
    receive_forms!(T, RecvError, TryRecvError, RecvTimeoutError);

    /// Closes the channel: nothing can be sent any more, a value that was sent can still be
    /// received. `true` the first time.
    pub fn close(&self) -> bool {
        let mut state = self.shared.lock();
        let (state, wakes) = state.parts();
        let first = !std::mem::replace(&mut state.closed, true);
        state.settle(wakes);
        first
    }

    /// Whether no value can come any more but one that is here: it was closed, or the sender
    /// is gone.
    pub fn is_closed(&self) -> bool {
        let state = self.shared.lock();
        state.closed || state.no_sender
    }

    /// Whether there is nothing to receive.
    pub fn is_empty(&self) -> bool {
        !self.shared.lock().available()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let value = {
            let (state, wakes) = state.parts();
            state.no_receiver = true;
            state.settle(wakes);
            state.value.take()
        };
        drop(state);
        drop(value);
    }
}

impl<T> Sealed for Receiver<T> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under the
// lock, under which alone its waiters are claimed.
unsafe impl<T> Case for Receiver<T> {
    fn probe(&self) -> Probe {
        let state = self.shared.lock();
        Probe {
            ready: state.available() || state.is_drained(),
            epoch: state.epoch,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.shared.lock().take()
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        if !state.available() && !state.is_drained() {
            state.recvq.push(reg, std::ptr::null());
            return;
        }
        match reg.claim_self() {
            Ok(()) => {
                if let Some(outcome) = state.take() {
                    reg.complete_self(outcome);
                }
            }
            // Held by an offer elsewhere, it looks again when that falls through.
            Err(_) => state.recvq.push(reg, std::ptr::null()),
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        if (state.available() || state.is_drained()) && reg.claim_self().is_ok() {
            state.recvq.remove(reg.node);
            if let Some(outcome) = state.take() {
                reg.complete_self(outcome);
            }
        }
    }

    fn dequeue(&self, node: &Node) {
        self.shared.lock().recvq.remove(node);
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome == GRANTED {
            let mut state = self.shared.lock();
            let (state, wakes) = state.parts();
            state.granted = false;
            state.settle(wakes);
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

impl<T> Arm for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn finish(&self, outcome: Outcome) -> Self::Output {
        if outcome != GRANTED {
            return Err(RecvError);
        }
        let mut state = self.shared.lock();
        let (state, wakes) = state.parts();
        state.granted = false;
        let value = state.value.take();
        state.no_sender = true;
        state.settle(wakes);
        value.ok_or(RecvError)
    }
}

receiver_arm!(Receiver<T>);

closing!(Sender<T>);

impl<T> Closing for Sender<T> {
    fn __closing<R>(&self, f: impl FnOnce(bool, u64, &mut Queue) -> R) -> R {
        let mut state = self.shared.lock();
        f(state.no_sends(), 0, &mut state.closeq)
    }
}

named_future! {
    /// What [`Receiver::recv_async`] gives.
    RecvFuture<'a, T>(&'a Receiver<T>) -> Result<T, RecvError>
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
