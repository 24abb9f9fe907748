//! The word, the queues, and how both change on the fast paths.

use std::panic::Location;
use std::time::Instant;

use rendez_core::case::Case;
use rendez_core::queue::Queue;
use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::wait;
use rendez_core::wake::WakeList;
use rendez_core::{contended, hooks};

use super::enter::Enter;
use crate::deadlock::Mode;
use crate::late::const_new;
use crate::patience;

pub(super) const WRITER: usize = 1;
pub(super) const UPGRADABLE: usize = 2;
pub(super) const WAITERS: usize = 4;
pub(super) const BLOCKED: usize = 8;
pub(super) const READER: usize = 16;

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
    pub(super) fn granted(self, word: usize) -> Option<usize> {
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
    pub(super) fn granted_to_newcomer(self, word: usize) -> Option<usize> {
        if word & BLOCKED != 0 && matches!(self, Self::Read | Self::Upgradable) {
            return None;
        }
        self.granted(word)
    }

    /// As the watch for deadlocks calls it.
    pub(crate) fn mode(self) -> Mode {
        match self {
            Self::Read => Mode::Read,
            Self::Upgradable => Mode::Upgradable,
            Self::Write => Mode::Write,
            Self::Upgrade => Mode::Upgrade,
        }
    }

    /// What is set in the word when it queues.
    pub(super) fn waiting(self) -> usize {
        match self {
            Self::Read | Self::Upgradable => WAITERS,
            Self::Write | Self::Upgrade => WAITERS | BLOCKED,
        }
    }
}

pub(super) struct Core {
    pub(super) word: AtomicUsize,
    // Guards the queues and the bits WAITERS and BLOCKED; nothing is locked under it.
    pub(super) queues: Mutex<Queues>,
}

/// Those who wait, by what they wait for.
pub(super) struct Queues {
    pub(super) reads: Queue,
    pub(super) upgradables: Queue,
    pub(super) writes: Queue,
    // Of length one at most: there is one upgradable holder.
    pub(super) upgrades: Queue,
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

    pub(super) fn of(&mut self, request: Request) -> &mut Queue {
        match request {
            Request::Read => &mut self.reads,
            Request::Upgradable => &mut self.upgradables,
            Request::Write => &mut self.writes,
            Request::Upgrade => &mut self.upgrades,
        }
    }

    pub(super) fn bits(&self) -> usize {
        if !(self.writes.is_empty() && self.upgrades.is_empty()) {
            WAITERS | BLOCKED
        } else if !(self.reads.is_empty() && self.upgradables.is_empty()) {
            WAITERS
        } else {
            0
        }
    }
}

impl Default for Core {
    fn default() -> Self {
        Self::new()
    }
}

impl Core {
    /// See [`patience::spin`]. Twice a mutex's: it has more than one holder to wait for.
    pub(super) const PAUSES: u32 = 32;

    const_new! {
        pub(super) fn new() -> Self {
            Self {
                word: AtomicUsize::new(0),
                queues: Mutex::new(Queues::new()),
            }
        }
    }

    #[inline]
    pub(super) fn try_enter(&self, request: Request) -> bool {
        hooks::switch_point();
        self.change(|word| request.granted_to_newcomer(word))
    }

    /// As [`try_enter`](Self::try_enter), but takes it to be free: without a look first, which
    /// would fetch the line once more. Not for those who try again and again.
    #[inline]
    pub(super) fn enter_fast(&self, request: Request) -> bool {
        let free = |entered| {
            self.word
                .compare_exchange_weak(0, entered, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        };
        request.granted_to_newcomer(0).is_some_and(free) || self.try_enter(request)
    }

    #[cold]
    pub(super) fn enter_slow(
        &self,
        request: Request,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> bool {
        let enter = Enter {
            core: self,
            request,
        };
        patience::spin(deadline, Core::PAUSES, || {
            enter.probe().ready && enter.try_now().is_some()
        }) || wait::block_on_case(&enter, deadline, location).is_some()
    }

    /// Changes the word as long as `to` gives a next one; whether it did.
    #[inline]
    pub(super) fn change(&self, to: impl Fn(usize) -> Option<usize>) -> bool {
        contended::update(&self.word, Ordering::AcqRel, to).is_ok()
    }

    pub(super) fn grant(&self, request: Request) -> bool {
        self.change(|word| request.granted(word))
    }

    #[inline]
    pub(super) fn leave_shared(&self, fair: bool) {
        let before = self.word.fetch_sub(READER, Ordering::Release);
        if before & WAITERS != 0 && before / READER == 1 {
            self.leave_slow(fair);
        }
    }

    #[inline]
    pub(super) fn leave_exclusive(&self, fair: bool) {
        let unlocked = self
            .word
            .compare_exchange(WRITER, 0, Ordering::Release, Ordering::Relaxed);
        if unlocked.is_err() {
            self.leave_exclusive_slow(fair);
        }
    }

    /// Holds `new` instead of `old`, which leaves others more room.
    pub(super) fn trade(&self, old: usize, new: usize) {
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
}
