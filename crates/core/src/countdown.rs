//! Count down to zero and release everyone who waits: the heart of a wait group, a join
//! handle, a latch.
//!
//! ```text
//! word: | count (bits 1-63) | WAITERS (bit 0) |
//! ```
//!
//! - `add` and `done` are one RMW each, unless somebody waits at the turn to zero.
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
const ONE: u64 = 2;

/// A count with those who wait for its zero.
#[derive(Debug)]
pub struct Countdown {
    word: AtomicU64,
    // How often zero has been reached from above: the probe's epoch.
    zeros: AtomicU64,
    // Guards the queue; the innermost lock of whatever embeds this.
    waiters: Mutex<Queue>,
    kind: WaitKind,
}

/// The count was to go where it cannot: below zero or beyond 2^62.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl Countdown {
    /// Starts at `count`; `kind` is what those who wait are said to be doing.
    pub fn new(count: u32, kind: WaitKind) -> Self {
        Self {
            word: AtomicU64::new(u64::from(count) * ONE),
            zeros: AtomicU64::new(0),
            waiters: Mutex::new(Queue::new()),
            kind,
        }
    }

    /// The count.
    pub fn count(&self) -> usize {
        // ORDERING: Acquire pairs with the Release in `done`.
        let count = self.word.load(Ordering::Acquire) / ONE;
        usize::try_from(count).unwrap_or(usize::MAX)
    }

    /// Raises the count by `n`.
    ///
    /// # Errors
    ///
    /// If the count would go beyond 2^62; it is unchanged then.
    pub fn add(&self, n: usize) -> Result<(), OutOfRange> {
        const MAX: u64 = 1 << 62;
        let n = u64::try_from(n)
            .ok()
            .filter(|&n| n <= MAX)
            .ok_or(OutOfRange)?;
        if n == 0 {
            return Ok(());
        }
        let before = self
            .word
            .fetch_add(n.checked_mul(ONE).ok_or(OutOfRange)?, Ordering::Relaxed);
        if (before / ONE).checked_add(n).is_none_or(|sum| sum > MAX) {
            self.word.fetch_sub(n * ONE, Ordering::Relaxed);
            return Err(OutOfRange);
        }
        if before == WAITERS {
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
        let before = self.word.fetch_sub(ONE, Ordering::Release);
        if before < ONE {
            self.word.fetch_add(ONE, Ordering::Relaxed);
            return Err(OutOfRange);
        }
        if before / ONE == 1 {
            // ORDERING: makes what every other `done` published visible to those released.
            fence(Ordering::Acquire);
            self.zeros.fetch_add(1, Ordering::Release);
            if before & WAITERS != 0 {
                self.release(|count| count == 0);
            }
        }
        Ok(())
    }

    #[cold]
    fn release(&self, if_count: impl Fn(u64) -> bool) {
        let mut wakes = WakeList::new();
        let mut waiters = self.waiters.lock();
        if if_count(self.word.load(Ordering::Acquire) / ONE) {
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
        let epoch = self.0.zeros.load(Ordering::Acquire);
        Probe {
            ready: self.0.is_zero(),
            epoch,
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
        if before / ONE > 0 {
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
