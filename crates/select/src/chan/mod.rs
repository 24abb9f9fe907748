//! One channel: a lock around [`State`], its readiness mirrored where a look costs one
//! load, and the counts of its handles.
//!
//! Every operation takes the lock through [`Chan::lock`], whose guard mirrors readiness
//! when it is dropped and then, unlocked, wakes whom the operation served. So a wake is
//! issued before the operation that caused it returns, and never under the lock; and no
//! value is dropped under it.

pub(crate) mod ops;
pub(crate) mod slot;
pub(crate) mod state;

use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rendez_core::case::Probe;
use rendez_core::shim::atomic::{AtomicU64, AtomicUsize, Ordering};
use rendez_core::shim::{Mutex, MutexGuard, thread};
use rendez_core::wake::WakeList;

use state::State;

const RECV_READY: u64 = 1;
const SEND_READY: u64 = 1 << 1;
const LOCKED: u64 = 1 << 2;
const EPOCH: u64 = 1 << 3;

/// The channel itself, shared by its handles.
pub(crate) struct Chan<T> {
    // | epoch (bits 3-63) | LOCKED | SEND_READY | RECV_READY |, written under the lock. The
    // epoch grows whenever a flag rises. While LOCKED is set the flags say nothing: whom
    // an operation has served may already run, and must not see them as they were before.
    status: AtomicU64,
    // Guards everything a value passes through. No other lock is taken under it.
    state: Mutex<State<T>>,
    cap: Option<usize>,
    pub(crate) n_senders: AtomicUsize,
    pub(crate) n_receivers: AtomicUsize,
}

impl<T> Chan<T> {
    pub(crate) fn new(cap: Option<usize>) -> Self {
        let state = State::new(cap);
        let status = if state.send_ready() { SEND_READY } else { 0 };
        Self {
            status: AtomicU64::new(status),
            state: Mutex::new(state),
            cap,
            n_senders: AtomicUsize::new(1),
            n_receivers: AtomicUsize::new(1),
        }
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.cap
    }

    pub(crate) fn lock(&self) -> Locked<'_, T> {
        let state = self.state.lock();
        // ORDERING: before anybody is served, which publishes it to them.
        let status = self.status.load(Ordering::Relaxed);
        self.status.store(status | LOCKED, Ordering::Relaxed);
        Locked {
            chan: self,
            state: Some(state),
            wakes: WakeList::new(),
        }
    }

    pub(crate) fn probe_recv(&self) -> Probe {
        self.probe(RECV_READY)
    }

    pub(crate) fn probe_send(&self) -> Probe {
        self.probe(SEND_READY)
    }

    fn probe(&self, flag: u64) -> Probe {
        // ORDERING: Acquire pairs with the Release in `Locked::drop`, and keeps the looks
        // of a double collect in their order.
        let status = self.status.load(Ordering::Acquire);
        Probe {
            ready: status & (flag | LOCKED) != 0,
            epoch: status / EPOCH,
        }
    }

    /// Closes; whether this was the first time.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        let first = !std::mem::replace(&mut state.closed, true);
        state.end();
        first
    }

    /// The last sender is gone.
    pub(crate) fn senders_gone(&self) {
        let mut state = self.lock();
        state.no_senders = true;
        state.end();
    }

    /// The last receiver is gone, and with it every value nobody can receive any more.
    pub(crate) fn receivers_gone(&self) {
        let mut state = self.lock();
        state.no_receivers = true;
        state.end();
        let values = state.clear();
        drop(state);
        drop_all(values);
    }
}

/// Drops each value. Should one's drop panic, that goes on and those behind it leak, as
/// crossbeam's do; but not while the thread is unwinding already, which that would abort.
fn drop_all<T>(values: VecDeque<T>) {
    let mut values = ManuallyDrop::new(values);
    while let Some(value) = values.pop_front() {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
            if !thread::panicking() {
                resume_unwind(payload);
            }
            // Reported by the panic hook; its own drop may panic as well.
            std::mem::forget(payload);
        }
    }
    drop(ManuallyDrop::into_inner(values));
}

/// The locked state. See the file's head for what its drop does.
pub(crate) struct Locked<'a, T> {
    chan: &'a Chan<T>,
    // Some until dropped.
    state: Option<MutexGuard<'a, State<T>>>,
    wakes: WakeList,
}

impl<T> Locked<'_, T> {
    /// State and wakes, for the moves that need both.
    pub(crate) fn parts(&mut self) -> (&mut State<T>, &mut WakeList) {
        let state = self.state.as_mut().expect("locked until dropped");
        (state, &mut self.wakes)
    }

    fn end(&mut self) {
        let (state, wakes) = self.parts();
        state.end(wakes);
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = State<T>;
    fn deref(&self) -> &State<T> {
        self.state.as_ref().expect("locked until dropped")
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut State<T> {
        self.state.as_mut().expect("locked until dropped")
    }
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        let Some(mut state) = self.state.take() else {
            return;
        };
        let (recv, send) = (state.recv_ready(), state.send_ready());
        if (recv || send) && !state.watchq.is_empty() {
            state.tell_watchers(recv, send, &mut self.wakes);
        }
        let flags = if recv { RECV_READY } else { 0 } | if send { SEND_READY } else { 0 };
        let before = self.chan.status.load(Ordering::Relaxed);
        let risen = flags & !before != 0;
        let epoch = before / EPOCH + u64::from(risen);
        self.chan
            .status
            .store((epoch * EPOCH) | flags, Ordering::Release);
        drop(state);
        self.wakes.fire();
    }
}
