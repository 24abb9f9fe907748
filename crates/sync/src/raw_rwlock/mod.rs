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

mod enter;
mod next;
mod state;

use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use lock_api::GuardSend;
use rendez_core::clock;
use rendez_core::shim::atomic::Ordering;
use rendez_core::wait::CaseFuture;

pub(crate) use self::enter::Enter;
pub(crate) use self::state::Request;
use self::state::{BLOCKED, Core, READER, UPGRADABLE, WAITERS, WRITER};
use crate::deadlock::{Mode, Watch};
use crate::late::{Late, const_new};

/// The raw lock, for use with `lock_api`.
pub struct RawRwLock {
    core: Late<Core>,
    watch: Watch,
}

impl RawRwLock {
    const_new! {
        /// An unlocked lock.
        pub fn new() -> Self {
            Self {
                core: Late::new(Core::new()),
                watch: Watch::new(),
            }
        }
    }

    #[inline]
    #[track_caller]
    fn enter(&self, request: Request) {
        self.watch.before(request.mode());
        if !self.core.enter_fast(request) {
            self.watch.must_wait(request.mode());
            self.core.enter_slow(request, None, Location::caller());
        }
        self.watch.entered(request.mode());
    }

    #[inline]
    #[track_caller]
    fn try_enter(&self, request: Request) -> bool {
        let entered = self.core.try_enter(request);
        if entered {
            self.watch.entered(request.mode());
        }
        entered
    }

    #[inline]
    #[track_caller]
    fn enter_until(&self, request: Request, deadline: Option<Instant>) -> bool {
        self.watch.before_bounded(request.mode());
        let entered = self.core.enter_fast(request)
            || self.core.enter_slow(request, deadline, Location::caller());
        if entered {
            self.watch.entered(request.mode());
        }
        entered
    }

    pub(crate) fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Waits for the lock as `request` says.
    pub(crate) fn wait(
        &self,
        request: Request,
        location: &'static Location<'static>,
    ) -> CaseFuture<Enter<'_>> {
        CaseFuture::new(self.case(request), location)
    }

    /// The wait for the lock as `request` says.
    #[inline]
    pub(crate) fn case(&self, request: Request) -> Enter<'_> {
        let core = &*self.core;
        Enter { core, request }
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
    const INIT: Self = Self {
        core: Late::EMPTY,
        watch: Watch::new(),
    };

    type GuardMarker = GuardSend;

    #[inline]
    #[track_caller]
    fn lock_shared(&self) {
        self.enter(Request::Read);
    }

    #[inline]
    #[track_caller]
    fn try_lock_shared(&self) -> bool {
        self.try_enter(Request::Read)
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        self.watch.leaves(Mode::Read);
        self.core.leave_shared(false);
    }

    #[inline]
    #[track_caller]
    fn lock_exclusive(&self) {
        self.enter(Request::Write);
    }

    #[inline]
    #[track_caller]
    fn try_lock_exclusive(&self) -> bool {
        self.try_enter(Request::Write)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        self.watch.leaves(Mode::Write);
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
        self.watch.leaves(Mode::Read);
        self.core.leave_shared(true);
    }

    unsafe fn unlock_exclusive_fair(&self) {
        self.watch.leaves(Mode::Write);
        self.core.leave_exclusive(true);
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    unsafe fn downgrade(&self) {
        self.watch.turns(Mode::Write, Mode::Read);
        self.core.trade(WRITER, READER);
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    #[inline]
    #[track_caller]
    fn lock_upgradable(&self) {
        self.enter(Request::Upgradable);
    }

    #[inline]
    #[track_caller]
    fn try_lock_upgradable(&self) -> bool {
        self.try_enter(Request::Upgradable)
    }

    unsafe fn unlock_upgradable(&self) {
        self.watch.leaves(Mode::Upgradable);
        self.core.trade(UPGRADABLE, 0);
    }

    #[inline]
    #[track_caller]
    unsafe fn upgrade(&self) {
        self.enter(Request::Upgrade);
    }

    #[inline]
    #[track_caller]
    unsafe fn try_upgrade(&self) -> bool {
        self.try_enter(Request::Upgrade)
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    unsafe fn downgrade_upgradable(&self) {
        self.watch.turns(Mode::Upgradable, Mode::Read);
        self.core.trade(UPGRADABLE, READER);
    }

    unsafe fn downgrade_to_upgradable(&self) {
        self.watch.turns(Mode::Write, Mode::Upgradable);
        self.core.trade(WRITER, UPGRADABLE);
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: Duration) -> bool {
        self.enter_until(Request::Read, clock::deadline_after(timeout))
    }

    #[track_caller]
    fn try_lock_shared_until(&self, deadline: Instant) -> bool {
        self.enter_until(Request::Read, Some(deadline))
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> bool {
        self.enter_until(Request::Write, clock::deadline_after(timeout))
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> bool {
        self.enter_until(Request::Write, Some(deadline))
    }
}

// SAFETY: as for RawRwLock.
unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {
    #[track_caller]
    fn try_lock_upgradable_for(&self, timeout: Duration) -> bool {
        self.enter_until(Request::Upgradable, clock::deadline_after(timeout))
    }

    #[track_caller]
    fn try_lock_upgradable_until(&self, deadline: Instant) -> bool {
        self.enter_until(Request::Upgradable, Some(deadline))
    }

    #[track_caller]
    unsafe fn try_upgrade_for(&self, timeout: Duration) -> bool {
        self.enter_until(Request::Upgrade, clock::deadline_after(timeout))
    }

    #[track_caller]
    unsafe fn try_upgrade_until(&self, deadline: Instant) -> bool {
        self.enter_until(Request::Upgrade, Some(deadline))
    }
}
