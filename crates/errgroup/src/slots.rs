//! The limit: how many goroutines of a group may run, and the line of those who would start
//! another.
//!
//! ```text
//! word: | epoch (bits 33-63) | taken (bits 1-32) | SLOW (bit 0) |
//! ```
//!
//! - SLOW is set, under the lock, before anybody is queued, and cleared when nobody is.
//!   While it is set slots change under the lock only, and go to the front of the line.
//!   Otherwise taking and giving back are one compare-and-swap each.
//! - Whoever queues sets SLOW and then looks once more: a slot given back before that look
//!   is seen by it, one given back after it sees SLOW and serves the line.
//! - While anybody is queued every slot is taken. So a line cannot outlive its limit: the
//!   limit changes only while no slot is.
//! - The epoch changes with every slot given back and with the limit.
//!
//! ORDERING: giving back is Release and taking Acquire: what a goroutine did is seen by the
//! one started in its place.
#![allow(unsafe_code)]

use std::ptr;

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicU64, AtomicUsize, Ordering};
use rendez_core::wake::WakeList;

const SLOW: u64 = 1;
const ONE: u64 = 1 << 1;
const EPOCH: u64 = 1 << 33;
/// So many fit the word; no group has more goroutines.
const MAX: usize = u32::MAX as usize;
const UNLIMITED: usize = usize::MAX;

fn taken_of(word: u64) -> usize {
    usize::try_from(word % EPOCH / ONE).unwrap_or(usize::MAX)
}

#[derive(Debug)]
pub(crate) struct Slots {
    word: AtomicU64,
    // Changes under the lock.
    limit: AtomicUsize,
    // The innermost lock.
    line: Mutex<Queue>,
}

impl Slots {
    pub(crate) fn new(limit: Option<usize>) -> Self {
        Self {
            word: AtomicU64::new(0),
            limit: AtomicUsize::new(stored(limit)),
            line: Mutex::new(Queue::new()),
        }
    }

    /// `None`: without limit, nobody takes slots.
    #[inline]
    pub(crate) fn limit(&self) -> Option<usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        (limit != UNLIMITED).then_some(limit)
    }

    /// Sets the limit.
    ///
    /// # Errors
    ///
    /// If slots are taken: how many.
    pub(crate) fn set_limit(&self, limit: Option<usize>) -> Result<(), usize> {
        let line = self.line.lock();
        // While SLOW is set the slots change under this lock only.
        let before = self.word.fetch_or(SLOW, Ordering::AcqRel);
        let taken = taken_of(before);
        if taken == 0 {
            self.limit.store(stored(limit), Ordering::Relaxed);
            self.change(|word| word.wrapping_add(EPOCH));
        }
        self.tidy(&line);
        if taken == 0 { Ok(()) } else { Err(taken) }
    }

    /// Takes a slot if there is one and nobody waits for it.
    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        let limit = self.limit.load(Ordering::Relaxed);
        self.word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, |word| {
                (word & SLOW == 0 && taken_of(word) < limit).then(|| word + ONE)
            })
            .is_ok()
    }

    /// Gives a slot back.
    #[inline]
    pub(crate) fn release(&self) {
        let fast = self
            .word
            .fetch_update(Ordering::Release, Ordering::Relaxed, |word| {
                (word & SLOW == 0).then(|| (word - ONE).wrapping_add(EPOCH))
            });
        if fast.is_err() {
            self.release_slow();
        }
    }

    #[cold]
    fn release_slow(&self) {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        self.change(|word| (word - ONE).wrapping_add(EPOCH));
        self.serve(&mut line, &mut wakes);
        self.tidy(&line);
    }

    /// Hands slots to the front of the line.
    fn serve(&self, line: &mut Queue, wakes: &mut WakeList) {
        while self.has_room() {
            let Some(waiter) = line.claim() else { break };
            self.word.fetch_add(ONE, Ordering::AcqRel);
            waiter.complete(Outcome(0), wakes);
        }
    }

    fn has_room(&self) -> bool {
        taken_of(self.word.load(Ordering::Acquire)) < self.limit.load(Ordering::Relaxed)
    }

    fn tidy(&self, line: &Queue) {
        if line.is_empty() {
            self.word.fetch_and(!SLOW, Ordering::AcqRel);
        }
    }

    fn change(&self, to: impl Fn(u64) -> u64) {
        self.word
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(to(word)))
            .expect("every word has a successor");
    }
}

fn stored(limit: Option<usize>) -> usize {
    limit.map_or(UNLIMITED, |n| n.min(MAX))
}

/// A slot, as a case: gives the right to start one goroutine, which [`Slots::release`] ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a>(pub(crate) &'a Slots);

impl Sealed for Slot<'_> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under its
// lock, and `claim` is called under that lock only.
unsafe impl Case for Slot<'_> {
    fn probe(&self) -> Probe {
        let word = self.0.word.load(Ordering::Acquire);
        Probe {
            ready: word & SLOW == 0 && self.0.has_room(),
            epoch: word / EPOCH,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.0.try_take().then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let slots = self.0;
        let mut line = slots.line.lock();
        // Set before the last look: see the head of the file.
        slots.word.fetch_or(SLOW, Ordering::AcqRel);
        let take = || {
            let free = line.is_empty() && slots.has_room();
            free.then(|| slots.word.fetch_add(ONE, Ordering::AcqRel))
        };
        match reg.claim_self_if(take) {
            Ok(Some(_)) => reg.complete_self(Outcome(0)),
            Ok(None) => line.push(reg, ptr::null()),
            Err(_) => {}
        }
        slots.tidy(&line);
    }

    fn recheck(&self, _: &Registration<'_>) {
        // An offer may have held the waiter while it was passed over.
        let mut wakes = WakeList::new();
        let mut line = self.0.line.lock();
        self.0.serve(&mut line, &mut wakes);
        self.0.tidy(&line);
    }

    fn dequeue(&self, node: &Node) {
        let mut line = self.0.line.lock();
        line.remove(node);
        self.0.tidy(&line);
    }

    fn abandon(&self, _: Outcome) {
        self.0.release();
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Semaphore
    }
}

impl Arm for Slot<'_> {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}
