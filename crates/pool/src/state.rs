//! A goroutine's state word and its named transitions.
//!
//! ```text
//! | untakes (bits 42-63) | references (bits 10-41) |
//! | CHANGED | GRANTED | AWAITED | DETACHED | TAKEN | WAITED | DONE | CANCELLED | RUNNING | SCHEDULED |
//!
//! born SCHEDULED ──start──▶ RUNNING ──park──▶ idle ──wake──▶ SCHEDULED
//!                             │  ▲─────woken meanwhile: park says so, and it is queued again
//!                             └──complete──▶ DONE ──take──▶ TAKEN   (untake: back)
//! ```
//!
//! Who may touch what:
//!
//! - **RUNNING** is held by one thread and grants it the body. It keeps the cell as a
//!   reference does, so the runner may **lend** the one it was given to the first waker that is
//!   cloned on its thread: a goroutine that waits and is woken counts nothing. Whoever brings
//!   the word to no reference and not RUNNING frees the cell.
//! - **DONE** publishes the result. Whoever sets **TAKEN** owns it: the handle, an arm of a
//!   select, or, once the handle is gone (**DETACHED**), whoever comes second of the end of
//!   the goroutine and the drop of its handle. One word orders the two, so exactly one does.
//! - **SCHEDULED** is set by whoever puts it into a run queue; so it is in one at most.
//! - **WAITED** says that somebody may stand in the queue of those who wait for the end.
//! - **AWAITED** says that the handle's waker lies in the cell. The handle sets it, and takes
//!   it back to change the waker, only while not DONE; the step to DONE takes it away and
//!   with it grants the waker to the runner. **CHANGED** says that it was ever taken back. Until
//!   then what lies there is the one waker that was ever put there, so the runner may read it
//!   before that step, and have none of the cell left to touch after it.
//! - **GRANTED** says that TAKEN was set for one who waits in the queue. Should he be
//!   forgotten, the handle, which he can use no more, finds the result when it is joined,
//!   awaited or dropped.

use rendez_core::shim::atomic::{AtomicU64, Ordering, fence};

const SCHEDULED: u64 = 1;
const RUNNING: u64 = 1 << 1;
const CANCELLED: u64 = 1 << 2;
const DONE: u64 = 1 << 3;
const WAITED: u64 = 1 << 4;
const TAKEN: u64 = 1 << 5;
const DETACHED: u64 = 1 << 6;
const AWAITED: u64 = 1 << 7;
const GRANTED: u64 = 1 << 8;
const CHANGED: u64 = 1 << 9;
const REFERENCE: u64 = 1 << 10;
const REFERENCES: u64 = (UNTAKE - 1) & !(REFERENCE - 1);
const UNTAKE: u64 = 1 << 42;

/// The word.
#[derive(Debug)]
pub(crate) struct State(AtomicU64);

/// A value the word had.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word(u64);

impl Word {
    pub(crate) fn is_done(self) -> bool {
        self.0 & DONE != 0
    }
    pub(crate) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }
    pub(crate) fn is_scheduled(self) -> bool {
        self.0 & SCHEDULED != 0
    }
    pub(crate) fn is_cancelled(self) -> bool {
        self.0 & CANCELLED != 0
    }
    pub(crate) fn is_waited(self) -> bool {
        self.0 & WAITED != 0
    }
    pub(crate) fn is_granted(self) -> bool {
        self.0 & GRANTED != 0
    }
    pub(crate) fn is_detached(self) -> bool {
        self.0 & DETACHED != 0
    }
    pub(crate) fn is_awaited(self) -> bool {
        self.0 & AWAITED != 0
    }
    fn n_references(self) -> u64 {
        (self.0 & REFERENCES) / REFERENCE
    }
    /// Whether nobody is left who could touch the cell.
    fn is_abandoned(self) -> bool {
        self.0 & (REFERENCES | RUNNING) == 0
    }
    /// Whether there is a result to be taken.
    pub(crate) fn is_ready(self) -> bool {
        self.0 & (DONE | TAKEN) == DONE
    }
    /// Changes whenever the result becomes there to be taken.
    pub(crate) fn epoch(self) -> u64 {
        self.0 / UNTAKE + u64::from(self.is_done())
    }
}

/// What became of a goroutine whose runner has let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parked {
    /// It was woken meanwhile: the runner has a reference, with which it queues it again.
    Woken,
    /// It waits, and the runner has no reference any more.
    Waits,
    /// As [`Waits`](Self::Waits), but nobody is left who could wake it: the runner frees it.
    Abandoned,
}

/// What the runner has after the step to DONE.
#[derive(Debug)]
pub(crate) enum Completed<W> {
    /// Not its reference: it touches the cell no more. But the handle's waker, if there is one.
    Left(Option<W>),
    /// Its reference, and what the word was. If the handle's waker was there it is the runner's.
    Stays(Word),
}

impl State {
    /// Of a goroutine that is about to be put into a run queue, with so many references.
    pub(crate) fn new(n_references: u64) -> Self {
        Self(AtomicU64::new(SCHEDULED + n_references * REFERENCE))
    }

    pub(crate) fn load(&self) -> Word {
        // ORDERING: Acquire pairs with the Release in `complete`.
        Word(self.0.load(Ordering::Acquire))
    }

    /// One reference more, made from one that is held or by the runner.
    pub(crate) fn refer(&self) {
        // ORDERING: as Arc's: a new reference is made from one that is held.
        let before = Word(self.0.fetch_add(REFERENCE, Ordering::Relaxed));
        if before.n_references() > u64::from(u32::MAX / 2) {
            std::process::abort(); // As Arc does: billions of references are leaks.
        }
    }

    /// One reference fewer. True if the caller is to free the cell.
    #[must_use]
    pub(crate) fn unrefer(&self) -> bool {
        // ORDERING: as Arc's: every use of the cell happens before its end. If one reference
        // is left it is ours, and only who has one, or runs the goroutine, makes another: the
        // registry shows cells, and makes none.
        let word = Word(self.0.load(Ordering::Acquire).wrapping_sub(REFERENCE));
        if word.is_abandoned() {
            return true;
        }
        let before = self.0.fetch_sub(REFERENCE, Ordering::Release);
        let last = Word(before - REFERENCE).is_abandoned();
        if last {
            fence(Ordering::Acquire);
        }
        last
    }

    /// Taken from a run queue: the caller runs it now.
    pub(crate) fn start(&self) -> Word {
        // ORDERING: Acquire pairs with the Release in `park` (the last runner's writes)
        // and in `wake` (the waker's).
        Word(self.0.fetch_add(RUNNING - SCHEDULED, Ordering::Acquire))
    }

    /// The runner lets go, of its reference too unless it has lent that. It touches the cell no
    /// more, but for what the answer allows.
    pub(crate) fn park(&self, lent: bool) -> Parked {
        let mut before = self.0.load(Ordering::Relaxed);
        loop {
            let woken = before & SCHEDULED != 0;
            let after = match (woken, lent) {
                (true, false) | (false, true) => before - RUNNING,
                (true, true) => before - RUNNING + REFERENCE,
                (false, false) => before - RUNNING - REFERENCE,
            };
            // ORDERING: Release pairs with the Acquire in `start`, and with that of who drops
            // the last reference; Acquire with the Release in `unrefer`, if that was dropped.
            let parked =
                self.0
                    .compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Relaxed);
            match parked {
                Ok(_) if woken => return Parked::Woken,
                Ok(_) if Word(after).is_abandoned() => return Parked::Abandoned,
                Ok(_) => return Parked::Waits,
                Err(now) => before = now,
            }
        }
    }

    /// Makes it due to run. True if the caller is to queue it.
    pub(crate) fn wake(&self) -> bool {
        self.0.fetch_or(SCHEDULED, Ordering::AcqRel) & (SCHEDULED | RUNNING | DONE) == 0
    }

    /// As [`wake`](Self::wake), and its next start finds it cancelled.
    pub(crate) fn cancel(&self) -> bool {
        let before = self.0.fetch_or(SCHEDULED | CANCELLED, Ordering::AcqRel);
        before & (SCHEDULED | RUNNING | DONE) == 0
    }

    /// The runner has stored the result. If `leaves`, and the handle is there and nobody stands in
    /// the queue, the runner's reference goes too; `awaiting` reads the handle's waker then, which
    /// is somebody else's unless it is given.
    pub(crate) fn complete<W>(
        &self,
        leaves: bool,
        awaiting: impl Fn() -> Option<W>,
    ) -> Completed<W> {
        // ORDERING: Acquire pairs with the Release in `set_awaited`, for the waker; Release also
        // as in `unrefer`. The handle has a reference, so ours is not the last.
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            let is_awaited = before & AWAITED != 0;
            let leaves = leaves
                && before & (WAITED | DETACHED) == 0
                && !(is_awaited && before & CHANGED != 0);
            // Nobody else has put one there before the word changes.
            let waker = if leaves && is_awaited {
                awaiting()
            } else {
                None
            };
            let reference = if leaves { REFERENCE } else { 0 };
            let after = ((before ^ (RUNNING | DONE)) & !AWAITED) - reference;
            let ended =
                self.0
                    .compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Acquire);
            match ended {
                Ok(_) if leaves => return Completed::Left(waker),
                Ok(_) => return Completed::Stays(Word(before)),
                Err(now) => before = now,
            }
        }
    }

    /// The handle has put its waker there. False if the goroutine has ended: nobody will
    /// wake it.
    pub(crate) fn set_awaited(&self) -> bool {
        let waits = |word| (word & DONE == 0).then_some(word | AWAITED);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, waits)
            .is_ok()
    }

    /// The handle takes its waker back. False if the goroutine has ended: it is the runner's.
    pub(crate) fn unset_awaited(&self) -> bool {
        let waits_no_more = |word| (word & DONE == 0).then_some((word & !AWAITED) | CHANGED);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, waits_no_more)
            .is_ok()
    }

    /// The handle wins the result, if it is there, and needs no more of it: as
    /// [`take`](Self::take) and [`detach`](Self::detach).
    pub(crate) fn take_last(&self) -> bool {
        let word = self.load();
        if word.is_ready() && word.n_references() == 1 {
            // Nobody else is left to change it, as in `unrefer`.
            self.0.store(word.0 | TAKEN | DETACHED, Ordering::Relaxed);
            return true;
        }
        let wins = |word| Word(word).is_ready().then_some(word | TAKEN | DETACHED);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, wins)
            .is_ok()
    }

    /// Wins the result if it is there.
    pub(crate) fn take(&self) -> bool {
        self.load().is_ready() && {
            let before = Word(self.0.fetch_or(TAKEN, Ordering::AcqRel));
            before.is_ready()
        }
    }

    /// The result that was won is another's, who waits for it.
    pub(crate) fn grant(&self) {
        self.0.fetch_or(GRANTED, Ordering::AcqRel);
    }

    /// The handle takes over what was granted to one who can use it no more, and needs no more
    /// of it, as [`take_last`](Self::take_last).
    pub(crate) fn take_granted(&self) -> bool {
        let takes = |word| {
            Word(word)
                .is_granted()
                .then_some((word & !GRANTED) | DETACHED)
        };
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, takes)
            .is_ok()
    }

    /// Whoever had the result granted gives it back.
    pub(crate) fn ungrant(&self) {
        self.0.fetch_and(!GRANTED, Ordering::AcqRel);
    }

    /// Gives a result back that was won and not used.
    pub(crate) fn untake(&self) -> Word {
        Word(self.0.fetch_add(UNTAKE - TAKEN, Ordering::AcqRel))
    }

    /// Somebody is about to queue for the end.
    pub(crate) fn set_waited(&self) -> Word {
        Word(self.0.fetch_or(WAITED, Ordering::AcqRel))
    }

    /// The handle goes, and its reference with it. False if there is more to do: the goroutine
    /// has ended, somebody is or was to be woken, or nobody else is left.
    pub(crate) fn leave(&self) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        let busy = word & (DONE | AWAITED | WAITED | DETACHED) != 0;
        if busy || Word(word).n_references() == 1 {
            return false;
        }
        let after = (word | DETACHED) - REFERENCE;
        // ORDERING: Release as in `unrefer`.
        self.0
            .compare_exchange(word, after, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The handle goes.
    pub(crate) fn detach(&self) -> Word {
        Word(self.0.fetch_or(DETACHED, Ordering::AcqRel))
    }
}
