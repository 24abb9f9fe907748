//! The permits and the line: one word, and a queue under a lock.
//!
//! ```text
//! word: | epoch (bits 42-63) | permits (bits 2-41) | CLOSED (bit 1) | SLOW (bit 0) |
//! ```
//!
//! - SLOW is set while anybody is queued or a debt is owed. While it is, the word changes
//!   only under the lock, and the permits are handed out from the front of the queue.
//!   Otherwise taking and releasing are one compare-and-swap each.
//! - The **debt** is how many of the permits to come back do not count: the size has
//!   shrunk by more than were available. With a debt there are no permits.
//! - The **epoch** changes with every step that can make an arm ready (more permits, a new
//!   size, the close, an empty line), so two looks that find it unchanged saw nothing become ready between
//!   them. It wraps after four million of them, far more than fit between two looks.
//! - Permits, those that are out and the debt are in balance with the size:
//!   `permits + out - debt = size`, forgotten ones counting as out.
//!
//! ORDERING: a release is Release and a taking Acquire, so what was done under a permit is
//! seen by the next to hold it.

use std::ptr;

use rendez_core::case::{Outcome, Probe};
use rendez_core::contended;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicU64, AtomicUsize, Ordering};
use rendez_core::waiter::Taken;
use rendez_core::wake::WakeList;

use crate::late::const_new;

const SLOW: u64 = 1;
const CLOSED: u64 = 2;
const PERMIT: u64 = 4;
const EPOCH: u64 = 1 << 42;

const MAX_PERMITS: u64 = EPOCH / PERMIT - 1;

/// As many as fit the word and a `usize`.
pub(super) const MAX_SIZE: usize = if usize::BITS < 64 {
    usize::MAX
} else {
    MAX_PERMITS as usize
};

fn permits_of(word: u64) -> u64 {
    word % EPOCH / PERMIT
}

/// How an attempt to take permits ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Granted,
    TooMany,
    Closed,
}

impl Verdict {
    pub(super) fn into_outcome(self) -> Outcome {
        Outcome(self as u64)
    }

    pub(super) fn from_outcome(outcome: Outcome) -> Self {
        [Self::Granted, Self::TooMany, Self::Closed]
            .into_iter()
            .find(|verdict| verdict.into_outcome() == outcome)
            .expect("written by the semaphore")
    }
}

pub(super) struct State {
    word: AtomicU64,
    // Changes under the lock.
    size: AtomicUsize,
    // The innermost lock.
    line: Mutex<Line>,
}

struct Line {
    queue: Queue,
    debt: u64,
}

impl State {
    const_new! {
        pub(super) fn new(size: usize) -> Self {
            Self {
                word: AtomicU64::new(size as u64 * PERMIT),
                size: AtomicUsize::new(size),
                line: Mutex::new(Line { queue: Queue::new(), debt: 0 }),
            }
        }
    }

    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    pub(super) fn available(&self) -> usize {
        permits_of(self.word.load(Ordering::Acquire)) as usize
    }

    pub(super) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(super) fn probe(&self, n: usize) -> Probe {
        let word = self.word.load(Ordering::Acquire);
        Probe {
            ready: word & CLOSED != 0
                || n > self.size()
                || word & SLOW == 0 && permits_of(word) >= n as u64,
            epoch: word / EPOCH,
        }
    }

    /// Takes `n` permits if nobody waits.
    #[inline]
    pub(super) fn try_take(&self, n: usize) -> bool {
        let n = n as u64;
        contended::update(&self.word, Ordering::Acquire, |word| {
            (word & (SLOW | CLOSED) == 0 && permits_of(word) >= n).then(|| word - n * PERMIT)
        })
        .is_ok()
    }

    /// Takes all there are if nobody waits; `None` if there are none.
    pub(super) fn try_take_all(&self) -> Option<usize> {
        contended::update(&self.word, Ordering::Acquire, |word| {
            let permits = permits_of(word);
            (word & (SLOW | CLOSED) == 0 && permits > 0).then(|| word - permits * PERMIT)
        })
        .ok()
        .map(|word| permits_of(word) as usize)
    }

    /// What can be said of `n` permits without waiting.
    pub(super) fn decide(&self, n: usize) -> Option<Verdict> {
        self.refused(n)
            .or_else(|| self.try_take(n).then_some(Verdict::Granted))
    }

    fn refused(&self, n: usize) -> Option<Verdict> {
        if self.is_closed() {
            Some(Verdict::Closed)
        } else {
            (n > self.size()).then_some(Verdict::TooMany)
        }
    }

    /// Wins the waiter if its end is clear, otherwise queues it.
    pub(super) fn enqueue(&self, n: usize, reg: &Registration<'_>) {
        let mut line = self.line.lock();
        // Set before the last look: a release after it comes to the queue.
        self.word.fetch_or(SLOW, Ordering::AcqRel);
        // Whom an offer holds is passed over, as when permits come back.
        let first = line.queue.first().is_none();
        let decide = || {
            self.refused(n)
                .or_else(|| (first && self.take(n)).then_some(Verdict::Granted))
        };
        match reg.claim_self_if(decide) {
            Ok(Some(verdict)) => reg.complete_self(verdict.into_outcome()),
            // An offer holds it: it looks again when that falls through.
            Ok(None) | Err(Taken::Reserved) => line.queue.push(reg, ptr::without_provenance(n)),
            Err(Taken::Gone) => {}
        }
        self.tidy(&line);
    }

    /// Takes the node out of the line; those behind it move up.
    pub(super) fn leave(&self, node: &Node) {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        line.queue.remove(node);
        self.serve_under(&mut line, &mut wakes);
    }

    /// Gives `n` permits back.
    #[inline]
    pub(super) fn release(&self, n: usize) {
        if n == 0 {
            return;
        }
        let added = n as u64 * PERMIT;
        let fast = contended::update(&self.word, Ordering::Release, |word| {
            (word & SLOW == 0).then(|| word.wrapping_add(added).wrapping_add(EPOCH))
        });
        if fast.is_err() {
            self.release_slow(n as u64);
        }
    }

    #[cold]
    fn release_slow(&self, n: u64) {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        self.put(&mut line, n);
        self.serve_under(&mut line, &mut wakes);
    }

    pub(super) fn set_size(&self, size: usize) {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        // While SLOW is set the permits are ours to count.
        self.word.fetch_or(SLOW, Ordering::AcqRel);
        let before = self.size.swap(size, Ordering::Relaxed);
        if let Some(fewer) = before.checked_sub(size) {
            let here = permits_of(self.word.load(Ordering::Relaxed)).min(fewer as u64);
            self.change(|word| (word - here * PERMIT).wrapping_add(EPOCH));
            line.debt += fewer as u64 - here;
        } else {
            self.put(&mut line, (size - before) as u64);
        }
        let too_many = |n: *const ()| n.addr() > size;
        while let Some(waiter) = line.queue.claim_if(too_many) {
            waiter.complete(Verdict::TooMany.into_outcome(), &mut wakes);
        }
        self.serve_under(&mut line, &mut wakes);
    }

    pub(super) fn close(&self) -> bool {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        let before = self.word.fetch_or(CLOSED, Ordering::AcqRel);
        if before & CLOSED != 0 {
            return false;
        }
        self.word.fetch_add(EPOCH, Ordering::AcqRel);
        while let Some(waiter) = line.queue.claim() {
            waiter.complete(Verdict::Closed.into_outcome(), &mut wakes);
        }
        self.tidy(&line);
        true
    }

    /// Looks again on behalf of a waiter that an offer has let go: others may have been
    /// served past it, or told of the end.
    pub(super) fn recheck(&self, n: usize, reg: &Registration<'_>) {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        if line.queue.is_open(reg.node) {
            if let Some(verdict) = self.refused(n) {
                if reg.claim_self().is_ok() {
                    line.queue.remove(reg.node);
                    reg.complete_self(verdict.into_outcome());
                }
            }
        }
        self.serve_under(&mut line, &mut wakes);
    }

    /// Grants from the front as long as the permits suffice. Nobody behind the first is
    /// looked at.
    fn serve_under(&self, line: &mut Line, wakes: &mut WakeList) {
        if !line.queue.is_empty() {
            // SLOW is set: the permits change under this lock only.
            let mut permits = permits_of(self.word.load(Ordering::Relaxed)) as usize;
            while let Some(waiter) = line.queue.claim_first_if(|n| n.addr() <= permits) {
                let n = waiter.payload().addr();
                permits -= n;
                self.word.fetch_sub(n as u64 * PERMIT, Ordering::AcqRel);
                waiter.complete(Verdict::Granted.into_outcome(), wakes);
            }
        }
        self.tidy(line);
    }

    /// Takes `n` permits under the lock, with SLOW set.
    fn take(&self, n: usize) -> bool {
        let n = n as u64;
        let enough = permits_of(self.word.load(Ordering::Relaxed)) >= n;
        if enough {
            self.word.fetch_sub(n * PERMIT, Ordering::AcqRel);
        }
        enough
    }

    /// Adds `n` permits, paying the debt first; under the lock.
    fn put(&self, line: &mut Line, n: u64) {
        let paid = n.min(line.debt);
        line.debt -= paid;
        let added = (n - paid) * PERMIT;
        self.change(|word| word.wrapping_add(added).wrapping_add(EPOCH));
    }

    /// Clears SLOW once nobody is queued and no debt is owed, which may make arms ready.
    fn tidy(&self, line: &Line) {
        if line.queue.is_empty() && line.debt == 0 {
            self.change(|word| {
                if word & SLOW == 0 {
                    word
                } else {
                    (word & !SLOW).wrapping_add(EPOCH)
                }
            });
        }
    }

    fn change(&self, to: impl Fn(u64) -> u64) {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(to(word)))
            .expect("every word has a successor");
    }
}
