//! Receivers that the clock feeds: `at`, `after` and `tick`. They need no sender, no
//! queue and no thread: whoever waits on one sleeps until its deadline and takes the
//! message if nobody was faster.

use std::time::{Duration, Instant};

use rendez_core::case::{Outcome, Probe};
use rendez_core::clock;
use rendez_core::queue::Registration;
use rendez_core::shim::atomic::{AtomicBool, AtomicU64, Ordering};

/// One message at one instant.
pub(crate) struct At {
    due: Instant,
    taken: AtomicBool,
}

/// One message each period; a late receiver misses the ticks in between.
pub(crate) struct Tick {
    start: Instant,
    period: Duration,
    // When the next message is due, in nanoseconds after `start`.
    next: AtomicU64,
}

/// Either of them.
pub(crate) trait Timed {
    /// When the next message is due; `None` if there is none.
    fn due(&self) -> Option<Instant>;
    /// Takes the message if it is due; the outcome tells its instant.
    fn take(&self) -> Option<Outcome>;
    /// The instant of a message taken.
    fn instant(&self, outcome: Outcome) -> Instant;

    fn is_due(&self) -> bool {
        self.due().is_some_and(|due| due <= clock::now())
    }

    fn probe(&self) -> Probe {
        // Time makes it ready, so two looks that find it not ready suffice without epoch.
        Probe {
            ready: self.is_due(),
            epoch: 0,
        }
    }

    /// Wins the waiter and takes the message, or neither: a message taken for a waiter
    /// that another arm wins would be missed by whoever finds it taken meanwhile.
    fn attempt(&self, reg: &Registration<'_>) {
        if self.is_due() {
            let take = || {
                if reg.watch {
                    self.is_due().then_some(Outcome(0))
                } else {
                    self.take()
                }
            };
            if let Ok(Some(outcome)) = reg.claim_self_if(take) {
                reg.complete_self(outcome);
            }
        }
    }

    /// Undoes a take.
    fn put_back(&self, outcome: Outcome);
}

impl At {
    pub(crate) fn new(due: Instant) -> Self {
        Self {
            due,
            taken: AtomicBool::new(false),
        }
    }
}

impl Timed for At {
    fn due(&self) -> Option<Instant> {
        (!self.taken.load(Ordering::Relaxed)).then_some(self.due)
    }

    fn take(&self) -> Option<Outcome> {
        (self.is_due() && !self.taken.swap(true, Ordering::Relaxed)).then_some(Outcome(0))
    }

    fn instant(&self, _: Outcome) -> Instant {
        self.due
    }

    fn put_back(&self, _: Outcome) {
        self.taken.store(false, Ordering::Relaxed);
    }
}

impl Tick {
    pub(crate) fn new(start: Instant, period: Duration) -> Self {
        Self {
            start,
            period,
            next: AtomicU64::new(nanos(period)),
        }
    }

    fn at(&self, offset: u64) -> Instant {
        self.start + Duration::from_nanos(offset)
    }
}

fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl Timed for Tick {
    fn due(&self) -> Option<Instant> {
        self.start
            .checked_add(Duration::from_nanos(self.next.load(Ordering::Relaxed)))
    }

    fn take(&self) -> Option<Outcome> {
        let mut due = self.next.load(Ordering::Relaxed);
        loop {
            let now = nanos(clock::now().saturating_duration_since(self.start));
            if due > now {
                return None;
            }
            // As Go's ticker: the next point of the grid after now, so that a late
            // receiver misses ticks and the grid does not drift.
            let period = nanos(self.period);
            let missed = (now - due).checked_div(period);
            let next = missed.map_or(now, |n| due.saturating_add((n + 1).saturating_mul(period)));
            match self
                .next
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return Some(Outcome(due)),
                Err(current) => due = current,
            }
        }
    }

    fn instant(&self, outcome: Outcome) -> Instant {
        self.at(outcome.0)
    }

    fn put_back(&self, outcome: Outcome) {
        self.next.fetch_min(outcome.0, Ordering::Relaxed);
    }
}
