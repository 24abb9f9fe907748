//! How workers sleep without missing work.
//!
//! # The parts
//!
//! A **core** is the right to run goroutines, with a run queue of its own; there are as
//! many as the pool has workers. A thread runs goroutines while it holds a core. A core
//! that nobody holds lies here, idle. A thread that holds a core and has found its own
//! queue empty is **searching**: it looks through everybody's queues.
//!
//! # The danger
//!
//! Somebody queues a goroutine and sees no need to wake anyone, because a searcher is
//! about. That searcher has just looked into this queue, finds nothing elsewhere, and goes
//! to sleep. The goroutine lies in a queue for ever.
//!
//! # The protocol
//!
//! One word counts the idle cores and the searchers.
//!
//! - Who **queues work** then calls [`Sleep::work_came`]: a full fence, then a look at the
//!   word. If a core is idle and nobody searches, it takes a core, counts it as searching,
//!   and starts a thread with it. One searcher is enough: see the last point. It may look at the
//!   word once more before it does, and leaves it if somebody searches by now, or if somebody has
//!   taken the work. It may start another thread with one core more, which searches as well.
//! - Who **takes many** from a queue to its own, without searching, calls it as well: in between
//!   they lay in none, where whoever went idle did not see them.
//! - Who **goes idle** first counts its core idle and itself not searching, then a full
//!   fence, then looks at every queue once more. If there is work, it takes a core again.
//! - A **searcher that finds work** stops searching before it runs it; if it was the last
//!   one it makes a full fence and looks at every queue, since others may have queued more
//!   meanwhile and relied on it. If they have, it wakes one as [`Sleep::work_came`] does.
//!
//! # Why that is enough
//!
//! The two fences are ordered. If the queuer's comes first, the idler's second look sees
//! the work. If the idler's comes first, the queuer sees an idle core, and either nobody
//! searches, so that it wakes one, or another searcher is still about, whose own end of
//! search comes later in the order of the word than the queuer's look. Its fence comes after
//! that, and so after the queuer's: the look it takes then, as the last searcher or as one who
//! goes idle, sees the work.
//!
//! # One processor
//!
//! A second thread would take the processor from the first, and run what that was about to run. So
//! work needs nobody to be woken while the holder of a core runs a goroutine, unless the monitor has
//! found it stuck there. The holder shows that it runs none any more before it goes idle, and so
//! before its fence: a queuer who sees it run made its own before, and the holder's second look
//! sees the work. A holder that blocks hands its queue on, or goes idle; one that turns out to be
//! stuck does not go idle, but the monitor looks for work again as long as it is.

use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicU64, Ordering, fence};

const SEARCHER: u64 = 1;
const IDLE: u64 = 1 << 32;

/// The idle cores, and how many threads search.
#[derive(Debug)]
pub struct Sleep<C> {
    // | idle cores (bits 32-63) | searchers (bits 0-31) |
    word: AtomicU64,
    // As many as the word counts, changed together with it; the latest on top, whose
    // queue's memory is the warmest. Innermost but for the threads' lock.
    idle: Mutex<Vec<C>>,
}

impl<C> Sleep<C> {
    /// All of `cores` idle.
    pub fn new(cores: Vec<C>) -> Self {
        Self {
            word: AtomicU64::new(IDLE * cores.len() as u64),
            idle: Mutex::new(cores),
        }
    }

    /// Work was queued. Gives a core if the caller must start a thread with it, which
    /// begins as a searcher. It need not if `is_seen_to`, asked where a core is idle and nobody
    /// searches.
    #[must_use]
    pub fn work_came(&self, is_seen_to: impl FnOnce() -> bool) -> Option<C> {
        // ORDERING: pairs with the fence in `idle`: see "Why that is enough".
        fence(Ordering::SeqCst);
        let word = self.word.load(Ordering::Relaxed);
        if word % IDLE == 0 && word >= IDLE && !is_seen_to() {
            self.wake_one()
        } else {
            None
        }
    }

    #[cold]
    fn wake_one(&self) -> Option<C> {
        self.wake_if(|n_searchers| n_searchers == 0)
    }

    /// Gives a core, if one is idle, with which the caller starts a thread that begins as a
    /// searcher, however many search.
    #[cold]
    #[must_use]
    pub fn wake_another(&self) -> Option<C> {
        self.wake_if(|_| true)
    }

    fn wake_if(&self, wakes: impl FnOnce(u64) -> bool) -> Option<C> {
        let mut idle = self.idle.lock();
        if !wakes(self.word.load(Ordering::Relaxed) % IDLE) {
            return None;
        }
        let core = idle.pop()?;
        self.word.fetch_sub(IDLE - SEARCHER, Ordering::Relaxed);
        Some(core)
    }

    /// The caller, who holds a core, begins to search, unless half of the others do: more
    /// would only get into each other's way.
    pub fn begin_search(&self, n_cores: usize) -> bool {
        let searchers = self.word.load(Ordering::Relaxed) % IDLE;
        if searchers * 2 >= n_cores as u64 {
            return false;
        }
        self.word.fetch_add(SEARCHER, Ordering::Relaxed);
        true
    }

    /// The caller will start a thread with a core that was not idle: it begins as a searcher.
    pub fn join_search(&self) {
        self.word.fetch_add(SEARCHER, Ordering::Relaxed);
    }

    /// Whether anybody searches.
    pub fn is_searched(&self) -> bool {
        self.word.load(Ordering::Relaxed) % IDLE != 0
    }

    /// How many cores lie idle.
    pub fn n_idle(&self) -> usize {
        (self.word.load(Ordering::Relaxed) / IDLE) as usize
    }

    /// The caller has found work and stops searching. If it was the last searcher and `work`,
    /// which looks at every queue, finds more, gives a core as [`work_came`](Self::work_came)
    /// does.
    #[must_use]
    pub fn found(&self, work: impl FnOnce() -> bool) -> Option<C> {
        let before = self.word.fetch_sub(SEARCHER, Ordering::Relaxed);
        if before % IDLE != SEARCHER || before < IDLE {
            return None;
        }
        // ORDERING: pairs with the fence in `work_came`.
        fence(Ordering::SeqCst);
        if work() { self.wake_one() } else { None }
    }

    /// Leaves `core` idle; the caller stops searching if it did. `work` looks at every
    /// queue: if there is work after all, gives a core back, whose holder searches.
    #[must_use]
    pub fn idle(&self, core: C, searching: bool, work: impl FnOnce() -> bool) -> Option<C> {
        let mut idle = self.idle.lock();
        idle.push(core);
        let searcher = if searching { SEARCHER } else { 0 };
        self.word.fetch_add(IDLE - searcher, Ordering::Relaxed);
        drop(idle);
        // ORDERING: pairs with the fence in `work_came`.
        fence(Ordering::SeqCst);
        if work() { self.wake_one() } else { None }
    }

    /// Takes an idle core, for a thread that has work of its own.
    pub fn take(&self) -> Option<C> {
        if self.word.load(Ordering::Relaxed) < IDLE {
            return None;
        }
        let mut idle = self.idle.lock();
        let core = idle.pop()?;
        self.word.fetch_sub(IDLE, Ordering::Relaxed);
        Some(core)
    }
}
