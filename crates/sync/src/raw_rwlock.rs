//! The lock below [`RwLock`](crate::RwLock): one word, and queues for those who sleep.
//!
//! ```text
//! word: | readers (from bit 4) | BLOCKED (3) | WAITERS (2) | UPGRADABLE (1) | WRITER (0) |
//! ```
//!
//! - WRITER excludes everything else. UPGRADABLE is one reader more, who alone may turn
//!   into the writer.
//! - The holders change by anybody's compare-and-swap, WAITERS and BLOCKED only under the
//!   queues' lock. WAITERS is set while anybody is queued: whoever leaves the lock then
//!   settles who is next. BLOCKED is set while a writer or an upgrade waits: newcomers
//!   that read must queue.
//! - **Phases alternate.** A writer that leaves lets in all readers queued, and one
//!   upgradable; readers that leave let in a writer. An upgrade goes before everybody.
//! - A first writer that is young is only woken to compete with newcomers; it keeps its
//!   place. An old one is handed the lock. Everybody else is always handed it.
//!
//! **Nobody sleeps in vain**: a waiter is queued only in the step that sees somebody hold
//! the lock against it (or a writer before it) with WAITERS set; that holder's leaving
//! settles, and so does every waiter that leaves its queue.
//!
//! ORDERING: leaving is Release and entering Acquire; a lock handed over is published by
//! the waiter's own word, after the hand-over has acquired it.
#![allow(unsafe_code)]

use std::fmt;
use std::panic::Location;
use std::ptr;
use std::time::{Duration, Instant};

use lock_api::GuardSend;
use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::wait::{self, CaseFuture};
use rendez_core::wake::WakeList;
use rendez_core::{clock, hooks};

use crate::late::{Late, const_new};
use crate::patience;

const WRITER: usize = 1;
const UPGRADABLE: usize = 2;
const WAITERS: usize = 4;
const BLOCKED: usize = 8;
const READER: usize = 16;

/// What is asked of the lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    Read,
    Upgradable,
    Write,
    /// From upgradable to writer.
    Upgrade,
}

impl Request {
    /// The word once it is granted, if the holders allow it.
    #[inline]
    fn granted(self, word: usize) -> Option<usize> {
        match self {
            Self::Read if word & WRITER == 0 => word.checked_add(READER),
            Self::Upgradable if word & (WRITER | UPGRADABLE) == 0 => Some(word | UPGRADABLE),
            Self::Write if word & !(WAITERS | BLOCKED) == 0 => Some(word | WRITER),
            Self::Upgrade if word & !(WAITERS | BLOCKED) == UPGRADABLE => {
                Some(word ^ (UPGRADABLE | WRITER))
            }
            _ => None,
        }
    }

    /// As [`granted`](Self::granted), for somebody who has not queued.
    #[inline]
    fn granted_to_newcomer(self, word: usize) -> Option<usize> {
        if word & BLOCKED != 0 && matches!(self, Self::Read | Self::Upgradable) {
            return None;
        }
        self.granted(word)
    }

    /// What is set in the word when it queues.
    fn waiting(self) -> usize {
        match self {
            Self::Read | Self::Upgradable => WAITERS,
            Self::Write | Self::Upgrade => WAITERS | BLOCKED,
        }
    }
}

/// The raw lock, for use with `lock_api`.
pub struct RawRwLock {
    core: Late<Core>,
}

struct Core {
    word: AtomicUsize,
    // Guards the queues and the bits WAITERS and BLOCKED; nothing is locked under it.
    queues: Mutex<Queues>,
}

/// Those who wait, by what they wait for.
struct Queues {
    reads: Queue,
    upgradables: Queue,
    writes: Queue,
    // Of length one at most: there is one upgradable holder.
    upgrades: Queue,
}

impl Queues {
    const fn new() -> Self {
        Self {
            reads: Queue::new(),
            upgradables: Queue::new(),
            writes: Queue::new(),
            upgrades: Queue::new(),
        }
    }

    fn of(&mut self, request: Request) -> &mut Queue {
        match request {
            Request::Read => &mut self.reads,
            Request::Upgradable => &mut self.upgradables,
            Request::Write => &mut self.writes,
            Request::Upgrade => &mut self.upgrades,
        }
    }

    fn bits(&self) -> usize {
        if !(self.writes.is_empty() && self.upgrades.is_empty()) {
            WAITERS | BLOCKED
        } else if !(self.reads.is_empty() && self.upgradables.is_empty()) {
            WAITERS
        } else {
            0
        }
    }
}

impl RawRwLock {
    const_new! {
        /// An unlocked lock.
        pub fn new() -> Self {
            Self { core: Late::new(Core::new()) }
        }
    }

    /// Waits for the lock as `request` says.
    pub(crate) fn wait(
        &self,
        request: Request,
        location: &'static Location<'static>,
    ) -> CaseFuture<Enter<'_>> {
        let core = &*self.core;
        CaseFuture::new(Enter { core, request }, location)
    }
}

impl Default for RawRwLock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RawRwLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.core.word.load(Ordering::Relaxed);
        f.debug_struct("RawRwLock")
            .field("readers", &(word / READER))
            .field("upgradable", &(word & UPGRADABLE != 0))
            .field("writer", &(word & WRITER != 0))
            .finish()
    }
}

// SAFETY: `Request::granted` never grants WRITER beside another holder, and nothing else
// adds a holder.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[cfg(not(rendez_loom))]
    const INIT: Self = Self::new();
    #[cfg(rendez_loom)]
    const INIT: Self = Self { core: Late::EMPTY };

    type GuardMarker = GuardSend;

    #[inline]
    #[track_caller]
    fn lock_shared(&self) {
        self.core.enter(Request::Read, Location::caller());
    }

    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.core.try_enter(Request::Read)
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.core.leave_shared(false);
    }

    #[inline]
    #[track_caller]
    fn lock_exclusive(&self) {
        self.core.enter(Request::Write, Location::caller());
    }

    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.core.try_enter(Request::Write)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.core.leave_exclusive(false);
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.core.word.load(Ordering::Relaxed) & !(WAITERS | BLOCKED) != 0
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.core.word.load(Ordering::Relaxed) & WRITER != 0
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    unsafe fn unlock_shared_fair(&self) {
        self.core.leave_shared(true);
    }

    unsafe fn unlock_exclusive_fair(&self) {
        self.core.leave_exclusive(true);
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        self.core.trade(WRITER, READER);
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    #[inline]
    #[track_caller]
    fn lock_upgradable(&self) {
        self.core.enter(Request::Upgradable, Location::caller());
    }

    #[inline]
    fn try_lock_upgradable(&self) -> bool {
        self.core.try_enter(Request::Upgradable)
    }

    unsafe fn unlock_upgradable(&self) {
        self.core.trade(UPGRADABLE, 0);
    }

    #[inline]
    #[track_caller]
    unsafe fn upgrade(&self) {
        self.core.enter(Request::Upgrade, Location::caller());
    }

    #[inline]
    unsafe fn try_upgrade(&self) -> bool {
        self.core.try_enter(Request::Upgrade)
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self) {
        self.core.trade(UPGRADABLE, READER);
    }

    unsafe fn downgrade_to_upgradable(&self) {
        self.core.trade(WRITER, UPGRADABLE);
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        let deadline = clock::deadline_after(timeout);
        (self.core).enter_until(Request::Read, deadline, Location::caller())
    }

    #[track_caller]
    fn try_lock_shared_until(&self, deadline: Instant) -> bool {
        (self.core).enter_until(Request::Read, Some(deadline), Location::caller())
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        let deadline = clock::deadline_after(timeout);
        (self.core).enter_until(Request::Write, deadline, Location::caller())
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> bool {
        (self.core).enter_until(Request::Write, Some(deadline), Location::caller())
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
                word: AtomicUsize::new(0),
                queues: Mutex::new(Queues::new()),
            }
        }
    }

    #[inline]
    fn enter(&self, request: Request, location: &'static Location<'static>) {
        if !self.try_enter(request) {
            self.enter_slow(request, None, location);
        }
    }

    #[inline]
    fn enter_until(
        &self,
        request: Request,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> bool {
        self.try_enter(request) || self.enter_slow(request, deadline, location)
    }

    #[inline]
    fn try_enter(&self, request: Request) -> bool {
        hooks::switch_point();
        if request == Request::Write && self.write_fast() {
            return true;
        }
        self.change(|word| request.granted_to_newcomer(word))
    }

    /// Without a look first, which would fetch the line twice.
    #[inline]
    fn write_fast(&self) -> bool {
        self.word
            .compare_exchange_weak(0, WRITER, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    }

    #[cold]
    fn enter_slow(
        &self,
        request: Request,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> bool {
        let enter = Enter {
            core: self,
            request,
        };
        patience::spin(|| enter.probe().ready && enter.try_now().is_some())
            || wait::block_on_case(&enter, deadline, location).is_some()
    }

    /// Changes the word as long as `to` gives a next one; whether it did.
    #[inline]
    fn change(&self, to: impl Fn(usize) -> Option<usize>) -> bool {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, to)
            .is_ok()
    }

    fn grant(&self, request: Request) -> bool {
        self.change(|word| request.granted(word))
    }

    #[inline]
    fn leave_shared(&self, fair: bool) {
        let before = self.word.fetch_sub(READER, Ordering::Release);
        if before & WAITERS != 0 && before / READER == 1 {
            self.leave_slow(fair);
        }
    }

    #[inline]
    fn leave_exclusive(&self, fair: bool) {
        let unlocked = self
            .word
            .compare_exchange(WRITER, 0, Ordering::Release, Ordering::Relaxed);
        if unlocked.is_err() {
            self.leave_exclusive_slow(fair);
        }
    }

    /// Holds `new` instead of `old`, which leaves others more room.
    fn trade(&self, old: usize, new: usize) {
        let before = self
            .word
            .fetch_add(new.wrapping_sub(old), Ordering::Release);
        if before & WAITERS != 0 {
            let mut wakes = WakeList::new();
            let mut queues = self.queues.lock();
            if old == WRITER {
                self.admit(&mut queues, &mut wakes);
            }
            self.settle(&mut queues, false, &mut wakes);
        }
    }

    #[cold]
    fn leave_slow(&self, fair: bool) {
        let mut wakes = WakeList::new();
        let mut queues = self.queues.lock();
        self.settle(&mut queues, fair, &mut wakes);
    }

    #[cold]
    fn leave_exclusive_slow(&self, fair: bool) {
        let mut wakes = WakeList::new();
        let mut queues = self.queues.lock();
        let readers = queues.reads.first().is_some() || queues.upgradables.first().is_some();
        let heir = queues
            .writes
            .first()
            .filter(|&since| !readers && (fair || patience::is_old(since)))
            .and_then(|_| queues.writes.claim());
        if let Some(heir) = heir {
            self.tidy(&queues);
            heir.complete(Outcome(0), &mut wakes);
            return;
        }
        // As a reader we keep writers out while the readers enter.
        self.word.fetch_add(READER - WRITER, Ordering::AcqRel);
        self.admit(&mut queues, &mut wakes);
        self.word.fetch_sub(READER, Ordering::AcqRel);
        self.settle(&mut queues, fair, &mut wakes);
    }

    /// Lets in all readers queued, and an upgradable. The caller holds the lock itself as
    /// a reader or upgradable, so no writer can.
    fn admit(&self, queues: &mut Queues, wakes: &mut WakeList) {
        while let Some(reader) = queues.reads.claim() {
            self.word.fetch_add(READER, Ordering::AcqRel);
            reader.complete(Outcome(0), wakes);
        }
        if queues.upgradables.first().is_some() && self.grant(Request::Upgradable) {
            match queues.upgradables.claim() {
                Some(upgradable) => upgradable.complete(Outcome(0), wakes),
                None => drop(self.word.fetch_and(!UPGRADABLE, Ordering::AcqRel)),
            }
        }
    }

    /// Lets in whoever is next now, and brings the word in line with the queues.
    fn settle(&self, queues: &mut Queues, fair: bool, wakes: &mut WakeList) {
        loop {
            if queues.upgrades.first().is_some() {
                if self.grant(Request::Upgrade) {
                    match queues.upgrades.claim() {
                        Some(upgrade) => upgrade.complete(Outcome(0), wakes),
                        None => {
                            self.word.fetch_xor(UPGRADABLE | WRITER, Ordering::AcqRel);
                            continue;
                        }
                    }
                }
            } else if let Some(since) = queues.writes.first() {
                if !(fair || patience::is_old(since)) {
                    let free = Request::Write.granted(self.word.load(Ordering::Relaxed));
                    if free.is_some() && !queues.writes.nudge(wakes) {
                        continue;
                    }
                } else if self.grant(Request::Write) {
                    match queues.writes.claim() {
                        Some(writer) => writer.complete(Outcome(0), wakes),
                        None => {
                            self.word.fetch_and(!WRITER, Ordering::AcqRel);
                            continue;
                        }
                    }
                }
            } else if queues.bits() != 0 && self.grant(Request::Read) {
                self.admit(queues, wakes);
                self.word.fetch_sub(READER, Ordering::AcqRel);
            }
            break;
        }
        self.tidy(queues);
    }

    fn tidy(&self, queues: &Queues) {
        let bits = queues.bits();
        self.change(|word| Some(word & !(WAITERS | BLOCKED) | bits));
    }
}

/// Ready when the lock can be entered; enters it.
#[derive(Clone, Copy)]
pub(crate) struct Enter<'a> {
    core: &'a Core,
    request: Request,
}

impl Sealed for Enter<'_> {}

// SAFETY: a node enters and leaves the one queue of its request, under the queues' lock,
// and is claimed under it.
unsafe impl Case for Enter<'_> {
    // No arm of a select: the epoch has no reader.
    fn probe(&self) -> Probe {
        let word = self.core.word.load(Ordering::Relaxed);
        Probe {
            ready: self.request.granted_to_newcomer(word).is_some(),
            epoch: 0,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.core
            .change(|word| self.request.granted_to_newcomer(word))
            .then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let since = match self.request {
            Request::Write => patience::stamp(),
            _ => ptr::null(),
        };
        let mut queues = self.core.queues.lock();
        let granted = |word| self.request.granted_to_newcomer(word);
        let next = |word| Some(granted(word).unwrap_or(word | self.request.waiting()));
        let take = || {
            self.core
                .word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next)
                .is_ok_and(|before| granted(before).is_some())
                .then_some(())
        };
        match reg.claim_self_if(take) {
            Ok(Some(())) => reg.complete_self(Outcome(0)),
            Ok(None) => queues.of(self.request).push(reg, since),
            Err(_) => {}
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        patience::spin(|| self.probe().ready);
        let mut queues = self.core.queues.lock();
        let open = queues.of(self.request).is_open(reg.node);
        // Only a writer is woken to look: the others are handed the lock.
        if !open || self.request != Request::Write {
            return;
        }
        let take = || self.core.grant(Request::Write).then_some(());
        if let Ok(Some(())) = reg.claim_self_if(take) {
            queues.writes.remove(reg.node);
            self.core.tidy(&queues);
            reg.complete_self(Outcome(0));
        }
    }

    fn dequeue(&self, node: &Node) {
        let mut wakes = WakeList::new();
        let mut queues = self.core.queues.lock();
        if queues.of(self.request).remove(node) {
            self.core.settle(&mut queues, false, &mut wakes);
        }
    }

    fn abandon(&self, _: Outcome) {
        match self.request {
            Request::Read => self.core.leave_shared(false),
            Request::Upgradable => self.core.trade(UPGRADABLE, 0),
            Request::Write => self.core.leave_exclusive(false),
            Request::Upgrade => self.core.trade(WRITER, UPGRADABLE),
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Lock
    }
}

impl Arm for Enter<'_> {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}
