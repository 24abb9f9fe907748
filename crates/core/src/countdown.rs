//! Count down to zero and release everyone who waits: the heart of a wait group, a join
//! handle, a latch.
//!
//! ```text
//! word: | epoch (bits 33-63) | count (bits 1-32) | WAITERS (bit 0) |
//! ```
//!
//! - `add` and `done` are one RMW each, unless somebody waits at a turn to or from zero.
//! - The **epoch** goes up with the `add` that leaves zero, in the same step; so two looks
//!   at the word that find the same epoch and no zero prove that there was none between.
//! - WAITERS is set, under the lock, before a waiter is queued and while the count is
//!   above zero; so whoever turns the count to zero sees it and releases them.
//! - **Reuse.** An `add` that raises the count from zero and still sees WAITERS releases
//!   the waiters itself before it returns: they were parked before the zero. Each stands in
//!   the queue with the epoch it came in, so nobody is released with them who came after
//!   that `add` had counted. The one who reached zero comes late then, finds the count above
//!   zero and nobody of an earlier epoch, and leaves.
//!
//! ORDERING: `done` is Release and every observation of zero Acquire, so all work before
//! a `done` happens before the return of a wait it releases.
#![allow(unsafe_code)]

use crate::case::{Arm, Case, Outcome, Probe, Sealed};
use crate::contended;
use crate::goroutine::WaitKind;
use crate::queue::{Node, Queue, Registration};
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicU64, Ordering, fence};
use crate::waiter::Taken;
use crate::wake::WakeList;

const WAITERS: u64 = 1;
const ONE: u64 = 1 << 1;
const EPOCH: u64 = 1 << 33;

fn count_of(word: u64) -> u64 {
    word % EPOCH / ONE
}

/// What a waiter queues with: the epoch of the word it saw.
fn epoch_of(word: u64) -> *const () {
    let epoch = usize::try_from(word / EPOCH).expect("31 bits");
    std::ptr::without_provenance(epoch)
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
    #[inline]
    pub fn add(&self, n: usize) -> Result<(), OutOfRange> {
        let n = u64::from(u32::try_from(n).map_err(|_| OutOfRange)?);
        if n == 0 {
            return Ok(());
        }
        let raise = |word| {
            let count = count_of(word);
            let epoch = if count == 0 { EPOCH } else { 0 };
            (count + n <= u64::from(u32::MAX)).then(|| word.wrapping_add(epoch) + n * ONE)
        };
        let before =
            contended::update(&self.word, Ordering::Relaxed, raise).map_err(|_| OutOfRange)?;
        if count_of(before) == 0 && before & WAITERS != 0 {
            self.release();
        }
        Ok(())
    }

    /// Lowers the count by one; at zero, releases everyone.
    ///
    /// # Errors
    ///
    /// If the count is zero; it stays so.
    #[inline]
    pub fn done(&self) -> Result<(), OutOfRange> {
        // By comparison, so that a `done` too many never shows below zero: an `add` beside it
        // would find the count at its limit, and somebody could wait for a zero that is there.
        let lower = |word| (count_of(word) > 0).then(|| word - ONE);
        let before =
            contended::update(&self.word, Ordering::Release, lower).map_err(|_| OutOfRange)?;
        if count_of(before) == 1 && before & WAITERS != 0 {
            // ORDERING: makes what every other `done` published visible to those released.
            fence(Ordering::Acquire);
            self.release();
        }
        Ok(())
    }

    /// Releases those who came before the latest zero; at zero, everyone.
    #[cold]
    fn release(&self) {
        let mut wakes = WakeList::new();
        let mut waiters = self.waiters.lock();
        // Epochs only grow along the queue.
        while let Some(waiter) = waiters.claim_first_if(self.passed()) {
            waiter.complete(Outcome(0), &mut wakes);
        }
        self.forget_waiters(&waiters);
        drop(waiters);
    }

    /// Whether the count has been zero since a waiter saw that epoch.
    fn passed(&self) -> impl Fn(*const ()) -> bool {
        let word = self.word.load(Ordering::Acquire);
        move |epoch| count_of(word) == 0 || epoch != epoch_of(word)
    }

    /// Takes WAITERS back if nobody stands in the queue, which the caller has locked.
    fn forget_waiters(&self, waiters: &Queue) {
        if waiters.is_empty() && self.word.load(Ordering::Relaxed) & WAITERS != 0 {
            self.word.fetch_and(!WAITERS, Ordering::Relaxed);
        }
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
        let queues = count_of(before) > 0
            || match reg.claim_self() {
                Ok(()) => {
                    reg.complete_self(Outcome(0));
                    false
                }
                // An offer holds it: this zero is given to it when it is let go.
                Err(taken) => taken == Taken::Reserved,
            };
        if queues {
            waiters.push(reg, epoch_of(before));
        } else {
            self.0.forget_waiters(&waiters);
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        // The zero may have come, and gone, while an offer held the waiter.
        let mut waiters = self.0.waiters.lock();
        let queued_at = waiters.payload(reg.node);
        if queued_at.is_some_and(self.0.passed()) && reg.claim_self().is_ok() {
            waiters.remove(reg.node);
            reg.complete_self(Outcome(0));
            self.0.forget_waiters(&waiters);
        }
    }

    fn dequeue(&self, node: &Node) {
        let mut waiters = self.0.waiters.lock();
        waiters.remove(node);
        self.0.forget_waiters(&waiters);
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
