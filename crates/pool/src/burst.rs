//! Whether two workers are woken at once when a pool's rest ends.
//!
//! A wake costs its waker as much as a short goroutine takes, and the woken thread begins later
//! still. A worker that starts a burst of short goroutines and wakes a second worker for them
//! pays for that with their time, and the second comes when half is done. So whoever ends a rest
//! from outside wakes a second worker right after the first, which has not begun by then, if the
//! last burst needed a second one soon and had work for it. One that is woken so and finds
//! nothing puts an end to that, until a burst needs a second one again.
//!
//! It is a guess, on which nothing else depends: every access is relaxed.

use std::time::Duration;

use rendez_core::shim::atomic::{AtomicBool, AtomicU64, Ordering};

/// The part of a worker that is woken in a burst.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Part {
    /// None that matters.
    #[default]
    Any,
    /// The second worker, woken by another soon after the rest's end.
    Second,
    /// The second worker, woken along with the first.
    Along,
}

/// What a pool remembers of its last burst. Times are of the pool's clock, in nanoseconds.
#[derive(Debug)]
pub(crate) struct Burst {
    // When the rest ended; 0 once a worker was woken by another, or if there was no rest.
    began: AtomicU64,
    needs_two: AtomicBool,
}

impl Burst {
    /// Who needs a second worker later than this after the rest's end needs it woken then: one
    /// woken along with the first would have given up.
    const SOON: Duration = Duration::from_micros(100);

    pub(crate) fn new() -> Self {
        Self {
            began: AtomicU64::new(0),
            needs_two: AtomicBool::new(false),
        }
    }

    /// A rest ends, and a worker was woken. Whether to wake a second one along with it.
    pub(crate) fn begin(&self, now: u64) -> bool {
        self.began.store(now, Ordering::Relaxed);
        self.needs_two.load(Ordering::Relaxed)
    }

    /// The part of a worker whom another wakes.
    pub(crate) fn part(&self, now: impl FnOnce() -> u64) -> Part {
        let began = self.began.load(Ordering::Relaxed);
        if began == 0 {
            return Part::Any;
        }
        self.began.store(0, Ordering::Relaxed);
        if u128::from(now().saturating_sub(began)) < Self::SOON.as_nanos() {
            Part::Second
        } else {
            Part::Any
        }
    }

    /// One who was woken has found work.
    pub(crate) fn found(&self, part: Part) {
        if part == Part::Second {
            self.needs_two.store(true, Ordering::Relaxed);
        }
    }

    /// One who was woken has found none.
    pub(crate) fn found_none(&self, part: Part) {
        if part == Part::Along {
            self.needs_two.store(false, Ordering::Relaxed);
        }
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;

    const SOON: u64 = Burst::SOON.as_nanos() as u64;

    #[test]
    fn two_are_woken_after_a_burst_that_needed_two_until_one_finds_nothing() {
        let burst = Burst::new();
        assert!(!burst.begin(1));
        let part = burst.part(|| SOON);
        assert_eq!(part, Part::Second);
        burst.found(part);
        for at in 10..20 {
            assert!(burst.begin(at * SOON));
            burst.found(Part::Along);
        }
        burst.found_none(Part::Along);
        assert!(!burst.begin(20 * SOON));
    }

    #[test]
    fn a_second_one_that_finds_nothing_or_is_needed_late_or_is_the_third_tells_nothing() {
        let burst = Burst::new();
        assert_eq!(burst.part(|| 5), Part::Any, "before any rest has ended");
        assert!(!burst.begin(1));
        let part = burst.part(|| SOON);
        burst.found_none(part);
        assert_eq!(burst.part(|| SOON), Part::Any, "the third");
        assert!(!burst.begin(10 * SOON));
        let part = burst.part(|| 11 * SOON);
        assert_eq!(part, Part::Any, "late");
        burst.found(part);
        assert!(!burst.begin(20 * SOON));
    }

    #[test]
    fn a_second_one_that_finds_nothing_leaves_what_was_learned() {
        let burst = Burst::new();
        assert!(!burst.begin(1));
        let part = burst.part(|| 2);
        burst.found(part);
        burst.found_none(part);
        assert!(burst.begin(3));
    }
}
