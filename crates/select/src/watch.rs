//! The latest value: who receives sees the newest, and none twice.
//!
//! Each value has a version; a receiver remembers the one it saw last. Those who wait stand
//! in one queue, which a send empties after it has put down the new version; so nobody waits
//! who has not seen the newest.
#![allow(unsafe_code)]

use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::hooks;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::atomic::{AtomicU64, Ordering};
use rendez_core::shim::{Arc, Mutex};

use crate::closed::{Closing, closing};
use crate::error::{RecvError, RecvTimeoutError, SendError, TryRecvError};
use crate::forms::{named_future, receive_forms, receiver_arm};
use crate::guarded::{Locked, release};

const CHANGED: Outcome = Outcome(0);
const CLOSED: Outcome = Outcome(1);

/// Makes a channel that holds the latest value, `initial` at first, which counts as seen.
///
/// # Examples
///
/// ```
/// use rendez_select::watch;
///
/// let (tx, rx) = watch("starting");
/// assert_eq!(rx.get(), "starting");
/// tx.send("reading").unwrap();
/// tx.send("running").unwrap();
/// assert_eq!(rx.changed(), Ok("running")); // the newest only
/// drop(tx);
/// assert!(rx.changed().is_err());
/// ```
pub fn watch<T>(initial: T) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared(Mutex::new(State {
        value: Arc::new(initial),
        version: 0,
        closed: false,
        n_senders: 1,
        n_receivers: 1,
        n_gone: 0,
        recvq: Queue::new(),
        closeq: Queue::new(),
    })));
    let receiver = Receiver {
        shared: Arc::clone(&shared),
        seen: AtomicU64::new(0),
    };
    (Sender { shared }, receiver)
}

/// Puts down the latest value. When the last clone is dropped, receivers are disconnected
/// once they have seen it.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

/// Sees the latest value. A clone has seen what this one has.
///
/// As a select arm, and by `recv`, it gives the next value that it has not seen; it fails
/// with [`RecvError`] once there is none to come.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    // The version seen last. Read and written under the lock.
    seen: AtomicU64,
}

struct Shared<T>(Mutex<State<T>>);

struct State<T> {
    // Shared, so that no user's code (a clone, a drop) runs under the lock.
    value: Arc<T>,
    version: u64,
    closed: bool,
    n_senders: usize,
    n_receivers: usize,
    // How often the last receiver has gone.
    n_gone: u64,
    recvq: Queue,
    // Those who wait for sends to become impossible.
    closeq: Queue,
}

impl<T> Shared<T> {
    fn lock(&self) -> Locked<'_, State<T>> {
        Locked::new(&self.0)
    }
}

impl<T> State<T> {
    fn no_sends(&self) -> bool {
        self.closed || self.n_receivers == 0
    }

    fn no_more(&self) -> bool {
        self.closed || self.n_senders == 0
    }
}

impl<T> Sender<T> {
    /// Puts down the latest value. Never waits.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel is closed or there is no receiver.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        hooks::switch_point();
        let mut state = self.shared.lock();
        if state.no_sends() {
            drop(state);
            return Err(SendError(value));
        }
        let before = {
            let (state, wakes) = state.parts();
            state.version += 1;
            let before = std::mem::replace(&mut state.value, Arc::new(value));
            release(&mut state.recvq, CHANGED, wakes);
            before
        };
        drop(state);
        drop(before);
        Ok(())
    }

    /// Another receiver, which has seen the value that is the latest now.
    pub fn subscribe(&self) -> Receiver<T> {
        let mut state = self.shared.lock();
        state.n_receivers += 1;
        Receiver {
            shared: Arc::clone(&self.shared),
            seen: AtomicU64::new(state.version),
        }
    }

    /// Closes the channel: no value can be put down any more. `true` the first time.
    pub fn close(&self) -> bool {
        self.shared.close()
    }

    /// Whether nothing can be sent: closed, or there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().no_sends()
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

impl<T: Clone> Sender<T> {
    /// The latest value.
    pub fn get(&self) -> T {
        let value = Arc::clone(&self.shared.lock().value);
        T::clone(&value)
    }
}

impl<T> Shared<T> {
    fn close(&self) -> bool {
        let mut state = self.lock();
        let (state, wakes) = state.parts();
        let first = !std::mem::replace(&mut state.closed, true);
        release(&mut state.recvq, CLOSED, wakes);
        release(&mut state.closeq, CLOSED, wakes);
        first
    }
}

impl<T> Receiver<T> {
    /// Closes the channel from this end; see [`Sender::close`].
    pub fn close(&self) -> bool {
        self.shared.close()
    }

    /// Whether no value can come any more: closed, or no sender is left.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().no_more()
    }

    /// Whether there is a value it has not seen.
    pub fn has_changed(&self) -> bool {
        self.is_new(&self.shared.lock())
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

    fn is_new(&self, state: &State<T>) -> bool {
        self.seen.load(Ordering::Relaxed) != state.version
    }

    fn outcome(&self, state: &State<T>) -> Option<Outcome> {
        if self.is_new(state) {
            Some(CHANGED)
        } else {
            state.no_more().then_some(CLOSED)
        }
    }
}

impl<T: Clone> Receiver<T> {
    /// The latest value, which then counts as seen.
    pub fn get(&self) -> T {
        let state = self.shared.lock();
        self.seen.store(state.version, Ordering::Relaxed);
        let value = Arc::clone(&state.value);
        drop(state);
        T::clone(&value)
    }

    receive_forms!(T, RecvError, TryRecvError, RecvTimeoutError);

    /// Blocks until there is a value it has not seen, and gives the latest: the same as
    /// [`recv`](Self::recv).
    ///
    /// # Errors
    ///
    /// [`RecvError`] if it has seen the last.
    #[track_caller]
    pub fn changed(&self) -> Result<T, RecvError> {
        self.recv()
    }

    /// The awaiting form of [`changed`](Self::changed).
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has seen nothing.
    #[track_caller]
    pub fn changed_async(&self) -> RecvFuture<'_, T> {
        self.recv_async()
    }
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
        let mut state = self.shared.lock();
        state.n_receivers += 1;
        Self {
            shared: Arc::clone(&self.shared),
            seen: AtomicU64::new(self.seen.load(Ordering::Relaxed)),
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let (state, wakes) = state.parts();
        state.n_senders -= 1;
        if state.n_senders == 0 {
            release(&mut state.recvq, CLOSED, wakes);
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let (state, wakes) = state.parts();
        state.n_receivers -= 1;
        if state.n_receivers == 0 {
            state.n_gone += 1;
            release(&mut state.closeq, CLOSED, wakes);
        }
    }
}

impl<T> Sealed for Receiver<T> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under the
// lock, under which alone its waiters are claimed.
unsafe impl<T: Clone> Case for Receiver<T> {
    fn probe(&self) -> Probe {
        let state = self.shared.lock();
        Probe {
            ready: self.outcome(&state).is_some(),
            epoch: state.version,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.outcome(&self.shared.lock())
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        match self.outcome(&state) {
            Some(outcome) if reg.claim_self().is_ok() => reg.complete_self(outcome),
            // Not ready, or held by an offer elsewhere: it looks again when that falls
            // through.
            _ => state.recvq.push(reg, std::ptr::null()),
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        if let Some(outcome) = self.outcome(&state) {
            if reg.claim_self().is_ok() {
                state.recvq.remove(reg.node);
                reg.complete_self(outcome);
            }
        }
    }

    fn dequeue(&self, node: &Node) {
        self.shared.lock().recvq.remove(node);
    }

    // Nothing is seen before `finish`.
    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

impl<T: Clone> Arm for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn finish(&self, outcome: Outcome) -> Self::Output {
        if outcome == CHANGED {
            Ok(self.get())
        } else {
            Err(RecvError)
        }
    }
}

receiver_arm!(Receiver<T: Clone>);

closing!(Sender<T>);

impl<T> Closing for Sender<T> {
    fn __closing<R>(&self, f: impl FnOnce(bool, u64, &mut Queue) -> R) -> R {
        let mut state = self.shared.lock();
        f(state.no_sends(), state.n_gone, &mut state.closeq)
    }
}

named_future! {
    /// What [`Receiver::recv_async`] and [`Receiver::changed_async`] give.
    RecvFuture<'a, T: Clone>(&'a Receiver<T>) -> Result<T, RecvError>
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
