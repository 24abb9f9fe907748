//! One channel: a lock around [`State`], its readiness mirrored where a look costs one
//! load, and the counts of its [handles](handle).
//!
//! Every operation takes the lock through [`Chan::lock`], whose guard mirrors readiness
//! when it is dropped and then, unlocked, wakes whom the operation served. So a wake is
//! issued before the operation that caused it returns, and never under the lock; and no
//! value is dropped under it.

mod at_once;
mod beside;
mod front;
pub(crate) mod handle;
mod lane;
mod looking;
mod queueing;
pub(crate) mod recv;
mod ring;
pub(crate) mod send;
pub(crate) mod slot;
pub(crate) mod state;
mod store;

use std::ops::{Deref, DerefMut};

use rendez_core::backoff::Company;
use rendez_core::case::Probe;
use rendez_core::hooks;
use rendez_core::lock::{WordGuard, WordLock};
use rendez_core::shim::OnceLock;
use rendez_core::shim::atomic::{AtomicU32, AtomicUsize, Ordering};
use rendez_core::wake::WakeList;

use beside::Beside;
use lane::{Glance, Lane};
use ring::Ring;
use state::{CLOSED_BY_CALL, State};
use store::Aside;

// Bit 0 is the lock's.
const LOCKED: u64 = WordLock::<()>::LOCKED;
const RECV_READY: u64 = 1 << 1;
const SEND_READY: u64 = 1 << 2;
const QUEUED: u64 = 1 << 3;
const ENDED: u64 = 1 << 4;
const RUNNING: u64 = 1 << 5;
const ASIDE: u64 = 1 << 6;
const EPOCH: u64 = 1 << 7;
/// Values are received by the front. To who sends it looks as if there were values and room: there are.
const FRONTED: u64 = RUNNING | RECV_READY | SEND_READY;
/// Changes each time the epoch has grown by 64.
const AGE: u64 = EPOCH << 6;

/// The capacity from which on values pass in batches: looking pays, and so does a lane.
const LEAST: usize = 2;

/// The channel itself, shared by its handles.
// In this order: the word and what every operation needs come first, and what is hardly ever changed
// far behind them, so that who receives by the front does not read what who sends writes.
#[repr(C)]
pub(crate) struct Chan<T> {
    // Guards everything a value passes through. Only the front's lock is taken under it. Its word:
    //
    //     | epoch (bits 7-63) | ASIDE | RUNNING | ENDED | QUEUED | SEND_READY | RECV_READY | LOCKED |
    //
    // QUEUED: somebody stands in a queue. ENDED: closed, or an end has no handle left. With
    // neither, an operation that need not wait concerns the ring alone. ASIDE: values lie elsewhere.
    // RUNNING: values pass by the lane, and ASIDE is set beside it, or are received by the front, as
    // FRONTED says; grants are counted there, and no other flag is set. The epoch grows whenever a flag
    // rises. While LOCKED is set the flags say nothing: whom an operation has served may already run,
    // and must not see them as they were before.
    state: WordLock<State<T>>,
    cap: Option<usize>,
    pub(crate) n_senders: AtomicUsize,
    pub(crate) n_receivers: AtomicUsize,
    /// For how many more of a worker's losses of the lock it counts that a thread of no pool
    /// uses the channel too. A guess: nothing is ordered by it.
    n_mixed: AtomicU32,
    /// Once two have fought for the lock, or many values have passed.
    beside: OnceLock<Beside<T>>,
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
            beside: OnceLock::new(),
        }
    }

    pub(crate) fn capacity(&self) -> Option<usize> {
        self.cap
    }

    /// Whether values are likely to pass without anybody queueing. Where there is no room
    /// for a batch each side sleeps once for every value anyway, and at capacity 0 a peer
    /// must find somebody queued.
    pub(crate) fn worth_watching(&self) -> bool {
        self.cap.is_none_or(|cap| cap >= LEAST)
    }

    #[inline]
    pub(crate) fn lock(&self) -> Locked<'_, T> {
        Locked::of(self, self.lock_unmirrored())
    }

    /// Locks the state, which the caller mirrors.
    #[inline]
    fn lock_unmirrored(&self) -> WordGuard<'_, State<T>> {
        self.stop_beside(self.lock_beside())
    }

    /// Locks for what neither lane nor front has a part in, and changes nothing that is mirrored.
    #[inline]
    pub(crate) fn lock_beside(&self) -> WordGuard<'_, State<T>> {
        self.state.lock_among(|| self.company())
    }

    /// Asked by who has found the lock taken. Among workers alone the others go on meanwhile, and
    /// with room for ever they go on for long; a thread at the other end waits for what a worker that
    /// slept would do. Where values pass in batches, who is left alone gets more done.
    #[cold]
    fn company(&self) -> Company {
        /// A batch or two of a thread's, in which it loses the lock at least once.
        const MIXED: u32 = 64;
        if hooks::has_scheduler() {
            let Some(left) = self.n_mixed.load(Ordering::Relaxed).checked_sub(1) else {
                return self.cap.map_or(Company::Apart, |_| Company::Workers);
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
            .lock_if(|word| word & (ready | QUEUED | ENDED | RUNNING) == ready)
    }

    /// Locks, if nobody holds the lock, nothing has ended and nothing runs beside it.
    #[inline]
    fn lock_unended(&self) -> Option<WordGuard<'_, State<T>>> {
        self.state.lock_if(|word| word & (ENDED | RUNNING) == 0)
    }

    /// Mirrors what is ready in a channel that has not ended and is not watched.
    #[inline(always)]
    fn mirror_plain(&self, guard: &mut WordGuard<'_, State<T>>) {
        let state = &mut **guard;
        let recv = (state.available() > 0) | state.sendq.has_open();
        let send = state.recvq.has_open() | state.has_room();
        let queued = (state.sendq.len() | state.recvq.len()) != 0;
        if !queued {
            if let Some(beside) = self.beside.get() {
                if beside.goes_on(guard) {
                    return;
                }
            }
        }
        mirror(guard, recv, send, if queued { QUEUED } else { 0 });
    }

    #[inline]
    pub(crate) fn probe_recv(&self) -> Probe {
        self.probe(RECV_READY, Lane::glance_recv)
    }

    #[inline]
    pub(crate) fn probe_send(&self) -> Probe {
        self.probe(SEND_READY, Lane::glance_send)
    }

    #[inline]
    fn probe(&self, flag: u64, glance: impl FnOnce(&Lane<T>) -> Glance) -> Probe {
        // ORDERING: the Acquire in `peek` pairs with the Release of the lock, and keeps the
        // looks of a double collect in their order.
        let word = self.state.peek();
        if word & (RUNNING | LOCKED) == RUNNING {
            return self.probe_beside(word, glance);
        }
        Probe {
            ready: word & (flag | LOCKED) != 0,
            epoch: word / EPOCH,
        }
    }

    /// Looks at what runs beside the lock by `word`.
    fn probe_beside(&self, word: u64, glance: impl FnOnce(&Lane<T>) -> Glance) -> Probe {
        let Glance { ready, times } = match self.lane() {
            Some(lane) => glance(lane),
            // What is sent behind a front raises no epoch, so two looks could miss it: who takes the
            // lock finds out.
            None => Glance {
                ready: true,
                times: 0,
            },
        };
        Probe {
            // If it was stopped meanwhile, what was seen does not belong together.
            ready: ready || self.state.peek() != word,
            epoch: (word / EPOCH).wrapping_add(times),
        }
    }

    /// As the probe of a receive, but a value under way may not be seen.
    #[inline]
    pub(crate) fn may_recv(&self) -> bool {
        let lane = self.lane().and_then(|lane| lane.may_recv());
        lane.unwrap_or_else(|| self.probe_recv().ready)
    }

    /// As the probe of a send, but a slot that becomes free may not be seen.
    #[inline]
    pub(crate) fn may_send(&self) -> bool {
        let lane = self.lane().and_then(|lane| lane.may_send());
        lane.unwrap_or_else(|| self.probe_send().ready)
    }

    /// How many values it holds, as `len` says.
    pub(crate) fn len(&self) -> usize {
        self.len_running().unwrap_or_else(|| self.lock().counted())
    }

    /// Whether there is nothing to receive.
    pub(crate) fn is_empty(&self) -> bool {
        self.len_running()
            .map_or_else(|| self.lock().available() == 0, |n| n == 0)
    }

    /// Whether a send would find no room.
    pub(crate) fn is_full(&self) -> bool {
        self.len_running().map_or_else(
            || !self.lock().has_room(),
            |n| self.cap.is_some_and(|cap| n >= cap),
        )
    }

    /// Whether nothing can be sent any more.
    pub(crate) fn no_sends(&self) -> bool {
        !self.is_running() && self.lock().no_sends()
    }

    /// Whether no value can come any more but those here.
    pub(crate) fn no_more(&self) -> bool {
        !self.is_running() && self.lock().no_more()
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
    chan: &'a Chan<T>,
    // Declared, and so dropped, before the wakes: unlocks first.
    state: WordGuard<'a, State<T>>,
    wakes: WakeList,
}

impl<'a, T> Locked<'a, T> {
    #[inline]
    fn of(chan: &'a Chan<T>, state: WordGuard<'a, State<T>>) -> Self {
        Self {
            chan,
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
            self.chan.mirror_plain(&mut self.state);
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

/// Mirrors what is ready, as the caller knows it.
#[inline]
fn mirror<T>(guard: &mut WordGuard<'_, State<T>>, recv: bool, send: bool, rest: u64) {
    let aside = aside(guard, rest);
    let flags = if recv { RECV_READY } else { 0 } | if send { SEND_READY } else { 0 };
    let before = guard.word();
    let risen = flags & !before != 0;
    let epoch = (before & !(EPOCH - 1)) + u64::from(risen) * EPOCH;
    guard.set_word(epoch | aside | rest | flags);
    debug_assert!(is_mirrored(guard));
}

/// The flag that values lie where neither end gets at them at once. Of a channel that has ended
/// only those at the front are asked for.
#[inline]
fn aside<T>(state: &State<T>, rest: u64) -> u64 {
    match state.aside {
        None => 0,
        Some(Aside::Behind(_)) if rest & ENDED != 0 => 0,
        Some(_) => ASIDE,
    }
}

/// Whether the word says what is ready.
fn is_mirrored<T>(guard: &WordGuard<'_, State<T>>) -> bool {
    let word = guard.word();
    if word & FRONTED == FRONTED {
        return true;
    }
    let [recv, send] = [RECV_READY, SEND_READY].map(|flag| word & flag != 0);
    let aside = aside(guard, word);
    (recv, send, word & ASIDE) == (guard.recv_ready(), guard.send_ready(), aside)
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use crate::{Select, bounded, unbounded};

    /// Whether values pass by a lane after so many of them, sent and received by one thread.
    fn runs_after(values: usize, cap: usize) -> bool {
        let (tx, rx) = bounded(cap);
        for i in 0..values {
            tx.send(i).unwrap();
            assert_eq!(rx.recv(), Ok(i));
        }
        assert!(tx.is_empty() && !tx.is_full());
        tx.chan.is_running()
    }

    #[test]
    fn a_lane_begins_where_many_values_have_passed_and_batches_fit() {
        let aside = cfg!(rendez_lanes);
        assert_eq!(runs_after(10, 2), aside);
        assert_eq!(runs_after(100, 1), aside);
        assert!(runs_after(100, 2));
        assert!(runs_after(100, 100));
        // Its memory would be more than one that nobody fights for may take.
        assert_eq!(runs_after(100, 1000), aside);
        let (tx, rx) = unbounded();
        for i in 0..100 {
            tx.send(i).unwrap();
            assert_eq!(rx.recv(), Ok(i));
        }
        assert!(!tx.chan.is_running());
    }

    #[test]
    fn a_lane_begins_where_batches_pass() {
        for cap in [2, 3, 100] {
            // So many pass one by one before, by which each end comes to be the 64th to get ready.
            for before in 0..4 {
                let (tx, rx) = bounded(cap);
                for i in 0..before {
                    tx.send(i).unwrap();
                    assert_eq!(rx.recv(), Ok(i));
                }
                for _ in 0..80 {
                    (0..cap).for_each(|i| tx.send(i).unwrap());
                    (0..cap).for_each(|i| assert_eq!(rx.recv(), Ok(i)));
                }
                assert!(tx.chan.is_running(), "{cap}, {before}");
            }
        }
    }

    #[test]
    fn what_is_granted_takes_up_no_room() {
        let (tx, rx) = bounded(2);
        tx.chan.expect_rivals();
        tx.send(1).unwrap();
        let mut select = Select::new();
        let arm = select.recv(&rx);
        let granted = select.select();
        tx.send(2).unwrap();
        assert!(tx.chan.is_running() && !tx.is_full());
        // No slot is left, but room for one.
        assert!(!tx.chan.may_send());
        for i in 3..=4 {
            assert_eq!(tx.chan.try_send_waiting(i).is_ok(), i == 3);
        }
        assert_eq!((arm, granted.recv(&rx)), (0, Ok(1)));
        assert_eq!(rx.try_iter().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    #[cfg(not(rendez_lanes))]
    fn a_lane_that_is_stopped_again_and_again_rests() {
        let (tx, rx) = bounded(100);
        for _ in 0..3 {
            for i in 0..200 {
                tx.send(i).unwrap();
                assert_eq!(rx.recv(), Ok(i));
            }
            assert!(tx.chan.is_running());
            assert_eq!(rx.drain().count(), 0);
            assert!(tx.chan.is_running(), "many had passed");
            for i in 0..4 {
                tx.send(i).unwrap();
                assert_eq!(rx.drain().count(), 1);
            }
            assert!(!tx.chan.is_running());
        }
    }
}
