//! One channel: a lock around [`State`], its readiness mirrored where a look costs one
//! load, and the counts of its [handles](handle).
//!
//! Every operation takes the lock through [`Chan::lock`], whose guard mirrors readiness
//! when it is dropped and then, unlocked, wakes whom the operation served. So a wake is
//! issued before the operation that caused it returns, and never under the lock; and no
//! value is dropped under it.

pub(crate) mod handle;
mod queueing;
pub(crate) mod recv;
mod ring;
pub(crate) mod send;
pub(crate) mod slot;
pub(crate) mod state;

use std::ops::{Deref, DerefMut};

use rendez_core::case::Probe;
use rendez_core::hooks;
use rendez_core::lock::{Company, WordGuard, WordLock};
use rendez_core::shim::atomic::{AtomicU32, AtomicUsize, Ordering};
use rendez_core::wake::WakeList;

use ring::Ring;
use state::{CLOSED_BY_CALL, State};

// Bit 0 is the lock's.
const LOCKED: u64 = WordLock::<()>::LOCKED;
const RECV_READY: u64 = 1 << 1;
const SEND_READY: u64 = 1 << 2;
const QUEUED: u64 = 1 << 3;
const ENDED: u64 = 1 << 4;
const EPOCH: u64 = 1 << 5;

/// The channel itself, shared by its handles.
// In this order: the word, and what every operation needs, come first.
#[repr(C)]
pub(crate) struct Chan<T> {
    // Guards everything a value passes through. No other lock is taken under it. Its word:
    //
    //     | epoch (bits 5-63) | ENDED | QUEUED | SEND_READY | RECV_READY | LOCKED |
    //
    // QUEUED: somebody stands in a queue. ENDED: closed, or an end has no handle left. With
    // neither, an operation that need not wait concerns the buffer alone. The epoch grows whenever a flag rises. While LOCKED is set the flags say nothing: whom
    // an operation has served may already run, and must not see them as they were before.
    state: WordLock<State<T>>,
    cap: Option<usize>,
    pub(crate) n_senders: AtomicUsize,
    pub(crate) n_receivers: AtomicUsize,
    /// For how many more of a worker's losses of the lock it counts that a thread of no pool
    /// uses the channel too. A guess: nothing is ordered by it.
    n_mixed: AtomicU32,
}

impl<T> Chan<T> {
    fn new(cap: Option<usize>, buf: Ring<T>) -> Self {
        let state = State::new(cap, buf);
        let word = if state.send_ready() { SEND_READY } else { 0 };
        Self {
            state: WordLock::new(word, state),
            cap,
            n_senders: AtomicUsize::new(1),
            n_receivers: AtomicUsize::new(1),
            n_mixed: AtomicU32::new(0),
        }
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.cap
    }

    /// Whether values are likely to pass without anybody queueing. Where there is no room
    /// for a batch each side sleeps once for every value anyway, and at capacity 0 a peer
    /// must find somebody queued.
    pub(crate) fn worth_watching(&self) -> bool {
        self.cap.is_none_or(|cap| cap > 1)
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        Locked::of(self.lock_unmirrored())
    }

    /// Locks for what changes nothing that is mirrored.
    #[inline]
    fn lock_unmirrored(&self) -> WordGuard<'_, State<T>> {
        self.state.lock_among(|| self.company())
    }

    /// Asked by who has found the lock taken. Among workers alone the others go on meanwhile; a
    /// thread at the other end waits for what a worker that slept would do. Where values pass
    /// in batches, who is left alone gets more done.
    #[cold]
    fn company(&self) -> Company {
        /// A batch or two of a thread's, in which it loses the lock at least once.
        const MIXED: u32 = 64;
        if hooks::has_scheduler() {
            let Some(left) = self.n_mixed.load(Ordering::Relaxed).checked_sub(1) else {
                return Company::Workers;
            };
            self.n_mixed.store(left, Ordering::Relaxed);
        } else {
            self.n_mixed.store(MIXED, Ordering::Relaxed);
        }
        if self.worth_watching() {
            Company::Busy
        } else {
            Company::Passing
        }
    }

    /// Locks, if nobody holds the lock, `ready` is mirrored, nobody is queued and nothing has
    /// ended; which stays so if what then changes is the buffer alone.
    #[inline]
    fn lock_plain(&self, ready: u64) -> Option<WordGuard<'_, State<T>>> {
        self.state
            .lock_if(|word| word & (ready | QUEUED | ENDED) == ready)
    }

    /// Locks, if nobody holds the lock and nothing has ended.
    #[inline]
    fn lock_unended(&self) -> Option<WordGuard<'_, State<T>>> {
        self.state.lock_if(|word| word & ENDED == 0)
    }

    #[inline]
    pub(crate) fn probe_recv(&self) -> Probe {
        self.probe(RECV_READY)
    }

    #[inline]
    pub(crate) fn probe_send(&self) -> Probe {
        self.probe(SEND_READY)
    }

    #[inline]
    fn probe(&self, flag: u64) -> Probe {
        // ORDERING: the Acquire in `peek` pairs with the Release of the lock, and keeps the
        // looks of a double collect in their order.
        let word = self.state.peek();
        Probe {
            ready: word & (flag | LOCKED) != 0,
            epoch: word / EPOCH,
        }
    }

    /// Closes; whether this was the first time.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        let first = state.ends_by(CLOSED_BY_CALL);
        state.end();
        first
    }
}

/// The locked state. See the file's head for what its drop does.
pub(crate) struct Locked<'a, T> {
    // Declared, and so dropped, before the wakes: unlocks first.
    state: WordGuard<'a, State<T>>,
    wakes: WakeList,
}

impl<'a, T> Locked<'a, T> {
    #[inline]
    fn of(state: WordGuard<'a, State<T>>) -> Self {
        Self {
            state,
            wakes: WakeList::new(),
        }
    }

    /// State and wakes, for the moves that need both.
    #[inline]
    pub(crate) fn parts(&mut self) -> (&mut State<T>, &mut WakeList) {
        (&mut self.state, &mut self.wakes)
    }

    fn end(&mut self) {
        let (state, wakes) = self.parts();
        state.end(wakes);
    }
}

impl<T> Deref for Locked<'_, T> {
    type Target = State<T>;
    #[inline]
    fn deref(&self) -> &State<T> {
        &self.state
    }
}

impl<T> DerefMut for Locked<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut State<T> {
        &mut self.state
    }
}

impl<T> Drop for Locked<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.state.is_plain() {
            mirror_plain(&mut self.state);
        } else {
            self.mirror_all();
        }
    }
}

impl<T> Locked<'_, T> {
    /// Mirrors the readiness of a channel that has ended or is watched, whose watchers are told.
    #[inline(never)]
    fn mirror_all(&mut self) {
        let state = &mut *self.state;
        let (recv, send) = (state.recv_ready(), state.send_ready());
        if !state.watchq.is_empty() && (recv || send) {
            state.tell_watchers(recv, send, &mut self.wakes);
        }
        let queued = state.sendq.len() | state.recvq.len() | state.watchq.len() != 0;
        let ended = state.no_sends() | state.no_more();
        let rest = if queued { QUEUED } else { 0 } | if ended { ENDED } else { 0 };
        mirror(&mut self.state, recv, send, rest);
    }
}

/// Mirrors what is ready in a channel that has not ended and is not watched.
#[inline(always)]
fn mirror_plain<T>(guard: &mut WordGuard<'_, State<T>>) {
    let state = &mut **guard;
    let recv = (state.available() > 0) | state.sendq.has_open();
    let send = state.recvq.has_open() | state.has_room();
    let queued = (state.sendq.len() | state.recvq.len()) != 0;
    mirror(guard, recv, send, if queued { QUEUED } else { 0 });
}

/// Mirrors what is ready, as the caller knows it.
#[inline]
fn mirror<T>(guard: &mut WordGuard<'_, State<T>>, recv: bool, send: bool, rest: u64) {
    debug_assert_eq!((recv, send), (guard.recv_ready(), guard.send_ready()));
    let flags = if recv { RECV_READY } else { 0 } | if send { SEND_READY } else { 0 };
    let before = guard.word();
    let risen = flags & !before != 0;
    let epoch = (before & !(EPOCH - 1)) + u64::from(risen) * EPOCH;
    guard.set_word(epoch | rest | flags);
}
