//! The lock below [`Mutex`](crate::Mutex): one word, and a queue for those who sleep.
//!
//! ```text
//! word: | NUDGED (bit 2) | WAITERS (bit 1) | LOCKED (bit 0) |
//! ```
//!
//! - LOCKED is set by whoever finds it clear, waiting or not. The other bits change only
//!   under the queue's lock.
//! - WAITERS is set while anybody is queued, so that an unlock comes to the queue.
//! - NUDGED: the first waiter has been woken to compete and has not looked yet; an unlock
//!   need not wake anybody. It looks ([`recheck`]) or leaves ([`dequeue`]), and either ends
//!   the nudge.
//! - Unlocked with WAITERS implies NUDGED, so nobody sleeps beside a free lock.
//! - An unlock that finds the first waiter old hands the lock over: LOCKED stays set, the
//!   waiter is won. Dropped before it noticed, it unlocks ([`abandon`]).
//!
//! ORDERING: whoever clears LOCKED does so with Release, whoever sets it with Acquire; a
//! lock handed over is published by the waiter's own word.
//!
//! [`recheck`]: Case::recheck
//! [`dequeue`]: Case::dequeue
//! [`abandon`]: Case::abandon
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

use lock_api::GuardSend;
use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicU32, Ordering};
use rendez_core::wait::{self, CaseFuture};
use rendez_core::wake::WakeList;
use rendez_core::{clock, hooks};

use crate::attempt::Attempt;
use crate::deadlock::{Mode, Watch};
use crate::late::{Late, const_new};
use crate::patience;

const LOCKED: u32 = 1;
const WAITERS: u32 = 2;
const NUDGED: u32 = 4;

/// See [`patience::spin`].
const PAUSES: u32 = 16;

std::thread_local! {
    // The lock that the thread is about to make a guard of, which it has.
    static HELD: Cell<*const RawMutex> = const { Cell::new(ptr::null()) };
}

/// The raw lock, for use with `lock_api`.
pub struct RawMutex {
    core: Late<Core>,
    watch: Watch,
}

struct Core {
    word: AtomicU32,
    // Guards the queue and all bits but LOCKED; nothing is locked under it.
    queue: Mutex<Queue>,
}

impl RawMutex {
    const_new! {
        /// An unlocked lock.
        pub fn new() -> Self {
            Self {
                core: Late::new(Core::new()),
                watch: Watch::new(),
            }
        }
    }

    /// Locks again after a wait for something else, on behalf of the caller at `location`.
    pub(crate) fn relock(&self, location: &'static Location<'static>) {
        self.watch.before_again(Mode::Lock, location);
        self.lock_at(location);
        self.watch.entered_at(Mode::Lock, location);
    }

    #[inline]
    fn lock_at(&self, location: &'static Location<'static>) {
        if !self.core.lock_first() {
            self.core.lock_slow(None, location);
        }
    }

    #[inline]
    #[track_caller]
    fn lock_until(&self, deadline: impl FnOnce() -> Option<Instant>) -> bool {
        if self.is_held() {
            return true;
        }
        self.watch.before_bounded(Mode::Lock);
        let locked = self.core.lock_first() || self.core.lock_slow(deadline(), Location::caller());
        if locked {
            self.watch.entered(Mode::Lock);
        }
        locked
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Waits for the lock.
    pub(crate) fn lock_async(&self, location: &'static Location<'static>) -> CaseFuture<Lock<'_>> {
        CaseFuture::new(self.case(), location)
    }

    /// The wait for the lock.
    #[inline]
    pub(crate) fn case(&self) -> Lock<'_> {
        Lock(&self.core)
    }

    /// The guard that `make` makes by locking within some time, of a lock that is locked already.
    /// `lock_api` makes some guards in no other way.
    ///
    /// # Safety
    ///
    /// The caller has the lock, and gives it up to the guard.
    pub(crate) unsafe fn guard_held<G>(&self, make: impl FnOnce() -> G) -> G {
        HELD.with(|held| held.set(self));
        make()
    }

    /// Whether the lock is the caller's; it is told once.
    fn is_held(&self) -> bool {
        let told = |held: &Cell<_>| {
            let is_held = ptr::eq(held.get(), self);
            if is_held {
                held.set(ptr::null());
            }
            is_held
        };
        HELD.try_with(told).unwrap_or(false)
    }
}

impl Default for RawMutex {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawMutex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let locked = self.core.word.load(Ordering::Relaxed) & LOCKED != 0;
        f.debug_struct("RawMutex").field("locked", &locked).finish()
    }
}

// SAFETY: LOCKED is set by one at a time, or passed from one to the next.
unsafe impl lock_api::RawMutex for RawMutex {
    #[cfg(not(rendez_loom))]
    const INIT: Self = Self::new();
    #[cfg(rendez_loom)]
    const INIT: Self = Self {
        core: Late::EMPTY,
        watch: Watch::new(),
    };

    type GuardMarker = GuardSend;

    #[inline]
    #[track_caller]
    fn lock(&self) {
        self.watch.before(Mode::Lock);
        self.lock_at(Location::caller());
        self.watch.entered(Mode::Lock);
    }

    #[inline]
    #[track_caller]
    fn try_lock(&self) -> bool {
        hooks::switch_point();
        let locked = self.core.try_lock();
        if locked {
            self.watch.entered(Mode::Lock);
        }
        locked
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.watch.leaves(Mode::Lock);
        if !self.core.unlock_fast() {
            self.core.unlock_slow(false);
        }
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.core.word.load(Ordering::Relaxed) & LOCKED != 0
    }
}

// SAFETY: as for RawMutex.
unsafe impl lock_api::RawMutexFair for RawMutex {
    #[inline]
    unsafe fn unlock_fair(&self) {
        self.watch.leaves(Mode::Lock);
        if !self.core.unlock_fast() {
            self.core.unlock_slow(true);
        }
    }
}

// SAFETY: as for RawMutex.
unsafe impl lock_api::RawMutexTimed for RawMutex {
    type Duration = Duration;
    type Instant = Instant;

    #[inline]
    #[track_caller]
    fn try_lock_for(&self, timeout: Duration) -> bool {
        self.lock_until(|| clock::deadline_after(timeout))
    }

    #[inline]
    #[track_caller]
    fn try_lock_until(&self, deadline: Instant) -> bool {
        self.lock_until(|| Some(deadline))
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}

impl Core {
    const_new! {
        fn new() -> Self {
            Self {
                word: AtomicU32::new(0),
                queue: Mutex::new(Queue::new()),
            }
        }
    }

    /// What every wait begins with.
    #[inline]
    fn lock_first(&self) -> bool {
        hooks::switch_point();
        self.lock_fast()
    }

    #[inline]
    fn lock_fast(&self) -> bool {
        // One step, whatever the other bits are: they stay while somebody is on its way.
        self.word.fetch_or(LOCKED, Ordering::Acquire) & LOCKED == 0
    }

    #[inline]
    fn unlock_fast(&self) -> bool {
        self.word
            .compare_exchange(LOCKED, 0, Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    #[inline]
    fn try_lock(&self) -> bool {
        // A look first: who tries again and again does not take the line from the holder.
        self.word.load(Ordering::Relaxed) & LOCKED == 0 && self.lock_fast()
    }

    /// Changes the word as long as `to` gives a next one; whether it did.
    #[inline]
    fn change(&self, to: impl Fn(u32) -> Option<u32>) -> bool {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, to)
            .is_ok()
    }

    /// Sets LOCKED if it is clear, otherwise changes the word to `if_locked`; whether it
    /// set LOCKED.
    fn lock_or(&self, to: impl Fn(u32) -> u32, if_locked: impl Fn(u32) -> u32) -> bool {
        let next = |word| {
            Some(if word & LOCKED == 0 {
                to(word) | LOCKED
            } else {
                if_locked(word)
            })
        };
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next)
            .is_ok_and(|before| before & LOCKED == 0)
    }

    #[cold]
    fn lock_slow(&self, deadline: Option<Instant>, location: &'static Location<'static>) -> bool {
        self.spin(deadline) || wait::block_on_case(&Lock(self), deadline, location).is_some()
    }

    fn spin(&self, deadline: Option<Instant>) -> bool {
        patience::spin(deadline, PAUSES, || self.try_lock())
    }

    #[cold]
    fn unlock_slow(&self, fair: bool) {
        if !fair && self.change(|word| (word & NUDGED != 0).then_some(word & !LOCKED)) {
            return;
        }
        let mut wakes = WakeList::new();
        let mut queue = self.queue.lock();
        // LOCKED is ours and the other bits are guarded, so the word cannot change. It is swapped
        // and not stored, since loom does not see that a newcomer's vain attempt to set LOCKED
        // comes before a store.
        loop {
            match queue.first() {
                None => {
                    self.word.swap(0, Ordering::Release);
                    return;
                }
                Some(since) if fair || patience::is_old(since) => {
                    if let Some(next) = queue.claim() {
                        self.word.swap(LOCKED | waiters(&queue), Ordering::Relaxed);
                        next.complete(Outcome(0), &mut wakes);
                        return;
                    }
                }
                Some(_) => {
                    if queue.nudge(&mut wakes) {
                        self.word.swap(WAITERS | NUDGED, Ordering::Release);
                        return;
                    }
                }
            }
        }
    }
}

/// WAITERS, if anybody is queued.
fn waiters(queue: &Queue) -> u32 {
    if queue.is_empty() { 0 } else { WAITERS }
}

/// Ready when the lock is free; wins it.
#[derive(Clone, Copy)]
pub(crate) struct Lock<'a>(&'a Core);

impl Attempt for Lock<'_> {
    #[inline]
    fn attempt(&self) -> bool {
        self.0.lock_first()
    }
}

impl Sealed for Lock<'_> {}

// SAFETY: nodes enter and leave the one queue under its lock, and are claimed under it.
unsafe impl Case for Lock<'_> {
    // No arm of a select: the epoch has no reader.
    fn probe(&self) -> Probe {
        Probe {
            ready: self.0.word.load(Ordering::Relaxed) & LOCKED == 0,
            epoch: 0,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.0.try_lock().then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let since = patience::stamp();
        let mut queue = self.0.queue.lock();
        let take = || {
            self.0
                .lock_or(|word| word, |word| word | WAITERS)
                .then_some(())
        };
        match reg.claim_self_if(take) {
            Ok(Some(())) => reg.complete_self(Outcome(0)),
            Ok(None) => queue.push(reg, since),
            Err(_) => {}
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        if !self.probe().ready {
            patience::spin(None, PAUSES, || self.probe().ready);
        }
        let mut queue = self.0.queue.lock();
        if !queue.is_open(reg.node) {
            return; // the lock has been handed to it
        }
        let others = if queue.len() > 1 { WAITERS } else { 0 };
        let take = || {
            self.0
                .lock_or(|_| others, |word| word & !NUDGED)
                .then_some(())
        };
        if let Ok(Some(())) = reg.claim_self_if(take) {
            queue.remove(reg.node);
            reg.complete_self(Outcome(0));
        }
    }

    fn dequeue(&self, node: &Node) {
        let mut wakes = WakeList::new();
        let mut queue = self.0.queue.lock();
        if !queue.remove(node) {
            return;
        }
        // It may have been the nudged one. While the lock is held, the unlock nudges anew.
        let if_locked = LOCKED | waiters(&queue);
        if self
            .0
            .change(|word| (word & LOCKED != 0).then_some(if_locked))
        {
            return;
        }
        let bits = if queue.nudge(&mut wakes) {
            WAITERS | NUDGED
        } else {
            0
        };
        self.0.change(|word| Some(word & LOCKED | bits));
    }

    fn abandon(&self, _: Outcome) {
        if !self.0.unlock_fast() {
            self.0.unlock_slow(false);
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Lock
    }
}

impl Arm for Lock<'_> {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}
