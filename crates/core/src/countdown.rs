//! Count down to zero and release everyone who waits: the heart of a wait group, a join
//! handle, a latch.
//!
//! ```text
//! word: | epoch (bits 33-63) | count (bits 1-32) | WAITERS (bit 0) |
//! ```
//!
//! - `done` is one RMW, unless somebody waits at the turn to zero.
//! - The **epoch** goes up with the `add` that leaves zero, in the same step; so two looks
//!   at the word that find the same epoch and no zero prove that there was none between.
//! - WAITERS is set, under the lock, before a waiter is queued and while the count is
//!   above zero; so whoever turns the count to zero sees it and releases them.
//! - **Reuse.** An `add` that raises the count from zero and still sees WAITERS releases
//!   the waiters itself before it returns: they were parked before the zero, and nobody
//!   who starts to wait after that `add` may be released with them. The one who reached
//!   zero comes late then, finds the count above zero, and leaves.
//!
//! ORDERING: `done` is Release and every observation of zero Acquire, so all work before
//! a `done` happens before the return of a wait it releases.
#![allow(unsafe_code)]

use crate::case::{Arm, Case, Outcome, Probe, Sealed};
use crate::goroutine::WaitKind;
use crate::queue::{Node, Queue, Registration};
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicU64, Ordering, fence};
use crate::wake::WakeList;

const WAITERS: u64 = 1;
const ONE: u64 = 1 << 1;
const EPOCH: u64 = 1 << 33;

fn count_of(word: u64) -> u64 {
    word % EPOCH / ONE
}

/// A count with those who wait for its zero.
#[derive(Debug)]
pub struct Countdown {
    word: AtomicU64,
    // Guards the queue; the innermost lock of whatever embeds this.
    waiters: Mutex<Queue>,
    kind: WaitKind,
}

/// The count was to go where it cannot: below zero or beyond 2^32 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl Countdown {
    /// Starts at `count`; `kind` is what those who wait are said to be doing.
    pub fn new(count: u32, kind: WaitKind) -> Self {
        Self {
            word: AtomicU64::new(u64::from(count) * ONE),
            waiters: Mutex::new(Queue::new()),
            kind,
        }
    }

    /// The count.
    pub fn count(&self) -> usize {
        // ORDERING: Acquire pairs with the Release in `done`.
        let count = count_of(self.word.load(Ordering::Acquire));
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Raises the count by `n`.
    ///
    /// # Errors
    ///
    /// If the count would go beyond 2^32 - 1; it is unchanged then.
    pub fn add(&self, n: usize) -> Result<(), OutOfRange> {
        let n = u64::from(u32::try_from(n).map_err(|_| OutOfRange)?);
        if n == 0 {
            return Ok(());
        }
        let mut before = self.word.load(Ordering::Relaxed);
        loop {
            let count = count_of(before);
            if count + n > u64::from(u32::MAX) {
                return Err(OutOfRange);
            }
            let epoch = if count == 0 { EPOCH } else { 0 };
            let after = before.wrapping_add(epoch) + n * ONE;
            match self.word.compare_exchange_weak(
                before,
                after,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => break,
                Err(now) => before = now,
            }
        }
        if count_of(before) == 0 && before & WAITERS != 0 {
            self.release(|_| true);
        }
        Ok(())
    }

    /// Lowers the count by one; at zero, releases everyone.
    ///
    /// # Errors
    ///
    /// If the count is zero; it stays so.
    pub fn done(&self) -> Result<(), OutOfRange> {
        if count_of(self.word.load(Ordering::Relaxed)) == 0 {
            return Err(OutOfRange);
        }
        let before = self.word.fetch_sub(ONE, Ordering::Release);
        if count_of(before) == 0 {
            // Two were one too many at the same time.
            self.word.fetch_add(ONE, Ordering::Relaxed);
            return Err(OutOfRange);
        }
        if count_of(before) == 1 && before & WAITERS != 0 {
            // ORDERING: makes what every other `done` published visible to those released.
            fence(Ordering::Acquire);
            self.release(|count| count == 0);
        }
        Ok(())
    }

    #[cold]
    fn release(&self, if_count: impl Fn(u64) -> bool) {
        let mut wakes = WakeList::new();
        let mut waiters = self.waiters.lock();
        if if_count(count_of(self.word.load(Ordering::Acquire))) {
            while let Some(waiter) = waiters.claim() {
                waiter.complete(Outcome(0), &mut wakes);
            }
            self.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
        drop(waiters);
    }

    fn is_zero(&self) -> bool {
        self.count() == 0
    }
}

/// Ready when the count is zero.
#[derive(Clone, Copy, Debug)]
pub struct Zero<'a>(pub &'a Countdown);

impl Sealed for Zero<'_> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under
// its lock, and `claim` is called under that lock only.
unsafe impl Case for Zero<'_> {
    fn probe(&self) -> Probe {
        let word = self.0.word.load(Ordering::Acquire);
        Probe {
            ready: count_of(word) == 0,
            epoch: word / EPOCH,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.0.is_zero().then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut waiters = self.0.waiters.lock();
        // Set before the count is looked at: a `done` that turns it to zero after the
        // look sees it.
        let before = self.0.word.fetch_or(WAITERS, Ordering::Acquire);
        if count_of(before) > 0 {
            waiters.push(reg, std::ptr::null());
            return;
        }
        if before & WAITERS == 0 {
            self.0.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
        if reg.claim_self().is_ok() {
            reg.complete_self(Outcome(0));
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        // The zero may have come while an offer held the waiter.
        let mut waiters = self.0.waiters.lock();
        if self.0.is_zero() && reg.claim_self().is_ok() {
            waiters.remove(reg.node);
            reg.complete_self(Outcome(0));
        }
    }

    fn dequeue(&self, node: &Node) {
        let mut waiters = self.0.waiters.lock();
        waiters.remove(node);
        if waiters.is_empty() && self.0.word.load(Ordering::Relaxed) & WAITERS != 0 {
            self.0.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
    }

    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        self.0.kind
    }
}

impl Arm for Zero<'_> {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}
