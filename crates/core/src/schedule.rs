//! An instant, or a grid of them, that can be waited for, moved and called off: what is
//! common to timers, tickers and the channels that the clock feeds.
//!
//! Nothing fires it. Whoever waits sleeps until it is due and takes it if nobody was
//! faster; so a schedule that nobody waits for costs nothing, and one that is dropped
//! leaves nothing behind.
//!
//! Invariants, under `inner`'s lock:
//!
//! - Whoever stands in the queue sleeps no longer than until `due`: who moves it to an
//!   earlier instant nudges everyone, and they read it again.
//! - A due instant is taken at most once. What is taken, stopped or moved is not received
//!   afterwards; a take is undone only if nothing has happened to the schedule since.
//!
//! `epoch` is odd while `due` is being written and otherwise counts the writes: between
//! two looks that find the same even epoch `due` was one and the same.
#![allow(unsafe_code)]

use std::fmt;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::case::{Arm, AsCase, Case, Outcome, Probe, Sealed};
use crate::clock::{self, Alarm, nanos};
use crate::goroutine::WaitKind;
use crate::hooks;
use crate::queue::{Node, Queue, Registration};
use crate::shim::Mutex;
use crate::shim::atomic::{AtomicU64, Ordering, fence};
use crate::waiter::Taken;
use crate::wake::{Wake, WakeList};

/// Not running: no instant to come.
const STOPPED: u64 = u64::MAX;
/// Running, but due beyond all time.
const FAR: u64 = u64::MAX - 1;

/// An instant, or a grid of them.
pub struct Schedule {
    base: Instant,
    epoch: AtomicU64,
    // The next instant, in nanoseconds after `base`; written under the lock.
    due: AtomicU64,
    // Innermost. Guards the queue and every write of `due`.
    inner: Mutex<Inner>,
    kind: WaitKind,
}

struct Inner {
    // In nanoseconds; `None` for a single instant.
    period: Option<u64>,
    // The instant taken last, unless the schedule was stopped or moved since.
    taken: Option<u64>,
    waiters: Queue,
    // Whom `poll_take` has told to wait.
    polled: Option<Waker>,
}

impl Schedule {
    /// One instant.
    pub fn at(when: Instant, kind: WaitKind) -> Self {
        Self::new(when, 0, None, kind)
    }

    /// One instant, `d` from now; a `d` beyond all time never comes.
    pub fn once(d: Duration, kind: WaitKind) -> Self {
        Self::new(clock::now(), offset(nanos(d)), None, kind)
    }

    /// An instant every `period`, the first one period from now. Who comes late misses
    /// those in between, as with Go's ticker, and the grid does not drift. A period of
    /// zero is due always.
    pub fn every(period: Duration, kind: WaitKind) -> Self {
        let period = nanos(period);
        Self::new(clock::now(), offset(period), Some(period), kind)
    }

    fn new(base: Instant, due: u64, period: Option<u64>, kind: WaitKind) -> Self {
        Self {
            base,
            epoch: AtomicU64::new(0),
            due: AtomicU64::new(due),
            inner: Mutex::new(Inner {
                period,
                taken: None,
                waiters: Queue::new(),
                polled: None,
            }),
            kind,
        }
    }

    /// Whether it could be taken now.
    pub fn is_due(&self) -> bool {
        self.has_passed(self.due.load(Ordering::Relaxed))
    }

    /// The instant that `outcome` took.
    pub fn instant(&self, outcome: Outcome) -> Instant {
        self.base + Duration::from_nanos(outcome.0)
    }

    /// Calls it off. Whether it was running, which one that is due and not taken is.
    pub fn stop(&self) -> bool {
        let mut inner = self.inner.lock();
        inner.taken = None;
        let was_running = self.due.load(Ordering::Relaxed) != STOPPED;
        if was_running {
            self.write(STOPPED);
        }
        was_running
    }

    /// Moves it to `d` from now and sets it running; a grid goes on from there with `d`
    /// as its period. Whether it was running, as for [`stop`](Self::stop).
    pub fn reset(&self, d: Duration) -> bool {
        let d = nanos(d);
        let due = offset(self.elapsed().saturating_add(d));
        let mut wakes = WakeList::new();
        let mut inner = self.inner.lock();
        inner.taken = None;
        if inner.period.is_some() {
            inner.period = Some(d);
        }
        self.set(due, &mut inner, &mut wakes) != STOPPED
    }

    /// Writes `due` and nudges those who would sleep past it. What it was before.
    fn set(&self, due: u64, inner: &mut Inner, wakes: &mut WakeList) -> u64 {
        let before = self.due.load(Ordering::Relaxed);
        self.write(due);
        if due < before {
            inner.waiters.nudge_all(wakes);
            if let Some(waker) = inner.polled.take() {
                wakes.push(Wake::Task(waker));
            }
        }
        before
    }

    /// The caller holds the lock.
    fn write(&self, due: u64) {
        let epoch = self.epoch.load(Ordering::Relaxed);
        self.epoch.store(epoch + 1, Ordering::Relaxed);
        // ORDERING: whoever reads the new `due` in `probe` also sees that the epoch moved.
        fence(Ordering::Release);
        self.due.store(due, Ordering::Relaxed);
        self.epoch.store(epoch + 2, Ordering::Release);
    }

    fn elapsed(&self) -> u64 {
        nanos(clock::now().saturating_duration_since(self.base))
    }

    fn has_passed(&self, due: u64) -> bool {
        // The clock is asked only where time can decide.
        due < FAR && due <= self.elapsed()
    }

    /// The time now, if it can decide anything: asked before the lock is taken, since the
    /// clock may be a bubble's.
    fn now(&self) -> u64 {
        if self.due.load(Ordering::Relaxed) < FAR {
            self.elapsed()
        } else {
            0
        }
    }

    fn take(&self, now: u64, inner: &mut Inner) -> Option<Outcome> {
        let due = self.due.load(Ordering::Relaxed);
        if due >= FAR {
            return None;
        }
        let late = now.checked_sub(due)?;
        let next = match inner.period {
            None => STOPPED,
            Some(0) => now,
            // The next point of the grid after now.
            Some(period) => offset(due.saturating_add((late / period + 1).saturating_mul(period))),
        };
        inner.taken = Some(due);
        self.write(next);
        Some(Outcome(due))
    }

    /// Wins the waiter and takes the instant, or neither: one taken for a waiter that
    /// another arm wins would be missed by whoever finds it taken meanwhile.
    fn attempt(&self, now: u64, reg: &Registration<'_>, inner: &mut Inner) -> Result<bool, Taken> {
        let won = reg.claim_self_if(|| {
            if reg.watch {
                (self.due.load(Ordering::Relaxed) <= now).then_some(Outcome(0))
            } else {
                self.take(now, inner)
            }
        })?;
        if let Some(outcome) = won {
            inner.waiters.remove(reg.node);
            reg.complete_self(outcome);
        }
        Ok(won.is_some())
    }

    /// Takes the instant, or has `cx` woken when it can be taken. For a single poller,
    /// which owns the schedule and `alarm`.
    pub fn poll_take(&self, cx: &Context<'_>, alarm: &mut Alarm) -> Poll<Instant> {
        hooks::switch_point();
        if let Some(outcome) = self.try_now() {
            alarm.cancel();
            return Poll::Ready(self.instant(outcome));
        }
        let waker = cx.waker().clone();
        // In the slot before `due` is read: who moves that later finds it there.
        let before = self.inner.lock().polled.replace(waker);
        drop(before);
        match self.deadline() {
            Some(due) => alarm.set(due, cx.waker()),
            None => alarm.cancel(),
        }
        // The alarm may have been set for this very instant before, and have gone off.
        match self.try_now() {
            Some(outcome) => {
                alarm.cancel();
                Poll::Ready(self.instant(outcome))
            }
            None => Poll::Pending,
        }
    }
}

/// `nanos` as a due instant of something that runs.
fn offset(nanos: u64) -> u64 {
    nanos.min(FAR)
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("due", &self.deadline())
            .field("running", &(self.due.load(Ordering::Relaxed) != STOPPED))
            .finish_non_exhaustive()
    }
}

impl Sealed for Schedule {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under
// its lock; waiters are claimed by their owners only.
unsafe impl Case for Schedule {
    fn probe(&self) -> Probe {
        // ORDERING: the first load pairs with the Release at the end of `write`, the
        // fence with the one inside it.
        let epoch = self.epoch.load(Ordering::Acquire);
        let due = self.due.load(Ordering::Relaxed);
        let passed = self.has_passed(due);
        fence(Ordering::Acquire);
        let steady = epoch % 2 == 0 && self.epoch.load(Ordering::Relaxed) == epoch;
        Probe {
            ready: passed || !steady,
            epoch,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        let now = self.now();
        if self.due.load(Ordering::Relaxed) > now {
            return None;
        }
        self.take(now, &mut self.inner.lock())
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let now = self.now();
        let mut inner = self.inner.lock();
        match self.attempt(now, reg, &mut inner) {
            // One that an offer holds is queued too: should the offer let it go, it must
            // be nudged like the others.
            Ok(false) | Err(Taken::Reserved) => inner.waiters.push(reg, std::ptr::null()),
            Ok(true) | Err(Taken::Gone) => {}
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        let now = self.now();
        let _ = self.attempt(now, reg, &mut self.inner.lock());
    }

    fn dequeue(&self, node: &Node) {
        self.inner.lock().waiters.remove(node);
    }

    fn abandon(&self, outcome: Outcome) {
        let mut wakes = WakeList::new();
        let mut inner = self.inner.lock();
        if inner.taken == Some(outcome.0) {
            inner.taken = None;
            self.set(outcome.0, &mut inner, &mut wakes);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let due = self.due.load(Ordering::Relaxed);
        if due >= FAR {
            return None;
        }
        self.base.checked_add(Duration::from_nanos(due))
    }

    // Time makes it ready, and nobody notes that.
    fn stays(&self) -> bool {
        false
    }

    fn kind(&self) -> WaitKind {
        self.kind
    }
}

impl Arm for Schedule {
    type Output = Instant;

    fn finish(&self, outcome: Outcome) -> Instant {
        self.instant(outcome)
    }
}

/// Ready from an instant on; `None` is never. It is not taken, so many can wait for it.
#[derive(Clone, Copy, Debug)]
pub struct Until(pub Option<Instant>);

impl Until {
    fn has_come(&self) -> bool {
        self.0.is_some_and(|when| when <= clock::now())
    }
}

impl Sealed for Until {}

// SAFETY: it has no queue; waiters are claimed by their owners only.
unsafe impl Case for Until {
    fn probe(&self) -> Probe {
        Probe {
            ready: self.has_come(),
            epoch: 0,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.has_come().then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.recheck(reg);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        if self.has_come() && reg.claim_self().is_ok() {
            reg.complete_self(Outcome(0));
        }
    }

    fn dequeue(&self, _: &Node) {}

    fn abandon(&self, _: Outcome) {}

    fn deadline(&self) -> Option<Instant> {
        self.0
    }

    fn stays(&self) -> bool {
        false
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Sleep
    }
}

impl Arm for Until {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}

impl AsCase for Until {
    type Case<'a>
        = Self
    where
        Self: 'a;

    fn __case(&self) -> Self {
        *self
    }
}
