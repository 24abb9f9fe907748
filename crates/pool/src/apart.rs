//! Whether a worker that runs out of work leaves what the others have to them.
//!
//! Goroutines that talk to each other in short turns may get less done on two workers than on
//! one: the second steals one of them, which soon waits for one of the first's; meanwhile both
//! fight for a channel's lock and for the goroutines' cache lines. No single theft tells. So a
//! worker that runs out of work counts everybody's turns for a while, then stays **away** and
//! counts them again. If there were as many without it, it stays away for longer, before it counts
//! anew. If not, it does not try again soon, and later each time.
//!
//! It is away in naps. After each it looks whether the others need it after all: much is queued,
//! or something that is nobody's, or something behind a turn that takes long. Then it searches at
//! once, so nothing waits for it longer than a nap. To the others it is meanwhile like one that
//! runs a goroutine: it holds its core and does not search, and before it goes idle it looks at
//! every queue as everybody does.
//!
//! Turns are what a pool can count; but in longer ones more may get done, so where they are not
//! short their number tells nothing, and it stays.
//!
//! It is a guess, on which nothing else depends: every access is relaxed.

use std::time::{Duration, Instant};

use rendez_core::shim::atomic::{AtomicBool, AtomicUsize, Ordering};

/// For so long turns are counted, with this worker and without.
const WINDOW: Duration = Duration::from_millis(1);
/// If it has run out of work so seldom, it is of use.
const TOO_LONG: Duration = Duration::from_millis(4);
/// It stays away for so long before it counts anew.
const STAY: Duration = Duration::from_millis(20);
/// After an attempt in vain it makes none for so long, at first and at most.
const SOON: Duration = Duration::from_millis(4);
const LATE: Duration = Duration::from_millis(320);
/// A turn that takes less is short, where workers get into each other's way and where not.
const SHORT_TOGETHER: Duration = Duration::from_nanos(1800);
const SHORT: Duration = Duration::from_nanos(600);

/// How many workers of a pool are away.
#[derive(Debug)]
pub(crate) struct Away {
    n: AtomicUsize,
    // Whether one tries; several would count each other's attempts.
    tries: AtomicBool,
}

impl Away {
    pub(crate) fn new() -> Self {
        Self {
            n: AtomicUsize::new(0),
            tries: AtomicBool::new(false),
        }
    }

    /// Runs `f`, in which the caller stays away, with how many of `n_workers` then do, unless
    /// nobody else would be left.
    pub(crate) fn stay(&self, n_workers: usize, f: impl FnOnce(usize)) {
        let n = self.n.fetch_add(1, Ordering::Relaxed) + 1;
        if n < n_workers {
            f(n);
        }
        self.n.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many of `n_workers` are not away.
    pub(crate) fn n_present(&self, n_workers: usize) -> usize {
        n_workers.saturating_sub(self.n.load(Ordering::Relaxed))
    }
}

/// What a worker knows of how it is without it.
#[derive(Debug)]
pub(crate) struct Apart {
    state: State,
    /// For how long it will not try again after an attempt in vain.
    rest: Duration,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// It will count from the next time on.
    Ready,
    /// It tries again then.
    Rests(Instant),
    /// It counts with itself.
    Together(Count),
    /// It counts without itself, and has counted how long a turn takes with it.
    Alone(Count, Turn),
    /// It stays away until then.
    Away(Instant),
}

/// When a count began, and how many turns there had been.
#[derive(Clone, Copy, Debug)]
struct Count {
    since: Instant,
    n: u64,
}

/// Picoseconds from one turn to the next, whoever's.
#[derive(Clone, Copy, Debug)]
struct Turn(u128);

impl Count {
    fn turn(self, now: Instant, n: u64) -> Turn {
        let time = now.saturating_duration_since(self.since).as_nanos();
        Turn(time * 1000 / u128::from(n.saturating_sub(self.n).max(1)))
    }
}

impl Turn {
    /// Whether each turn takes less than `short`, if `n_workers` run them.
    fn is_below(self, short: Duration, n_workers: usize) -> bool {
        self.0 * (n_workers as u128) < short.as_nanos() * 1000
    }

    /// But for what one count differs from the next.
    fn is_as_good_as(self, other: Self) -> bool {
        self.0 * 97 <= other.0 * 100
    }
}

impl Apart {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Ready,
            rest: SOON,
        }
    }

    /// The worker has run out of work, of which each turn took `pace`; `n_present` are not away.
    /// Whether to go away: then [`naps_on`](Self::naps_on) tells how long, and
    /// [`is_back`](Self::is_back) follows.
    pub(crate) fn goes(
        &mut self,
        away: &Away,
        now: Instant,
        pace: Option<Duration>,
        n_present: usize,
        n_turns: impl FnOnce() -> u64,
        has_much: impl FnOnce() -> bool,
    ) -> bool {
        match self.state {
            State::Rests(until) if now < until => return false,
            // Unless it was needed for something else.
            State::Away(until) if now < until && pace.is_none_or(|pace| pace < SHORT_TOGETHER) => {
                return true;
            }
            State::Together(count) => {
                let time = now.saturating_duration_since(count.since);
                if time < WINDOW {
                    return false;
                }
                self.state = State::Ready;
                if time > TOO_LONG {
                    return false;
                }
                let n = n_turns();
                let together = count.turn(now, n);
                let tries = together.is_below(SHORT_TOGETHER, n_present)
                    && !has_much()
                    && !away.tries.swap(true, Ordering::Relaxed);
                if tries {
                    self.state = State::Alone(Count { since: now, n }, together);
                }
                return tries;
            }
            _ => {}
        }
        let count = Count {
            since: now,
            n: n_turns(),
        };
        self.state = State::Together(count);
        false
    }

    /// A nap is over, after `n` turns of everybody, and nobody needs the worker. Whether it takes
    /// another.
    pub(crate) fn naps_on(&mut self, away: &Away, now: Instant, n: u64, n_present: usize) -> bool {
        match self.state {
            State::Away(until) => now < until,
            State::Alone(count, together) => {
                if now.saturating_duration_since(count.since) < WINDOW {
                    return true;
                }
                let alone = count.turn(now, n);
                if !alone.is_below(SHORT, n_present) || !alone.is_as_good_as(together) {
                    return false;
                }
                away.tries.store(false, Ordering::Relaxed);
                self.state = State::Away(now + STAY);
                self.rest = SOON;
                true
            }
            _ => false,
        }
    }

    /// The worker is not away any more.
    pub(crate) fn is_back(&mut self, away: &Away, now: Instant) {
        if let State::Alone(..) = self.state {
            away.tries.store(false, Ordering::Relaxed);
            self.state = State::Rests(now + self.rest);
            self.rest = (self.rest * 2).min(LATE);
        }
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Two workers, of whom one runs out of work every millisecond.
    struct Two {
        away: Away,
        apart: Apart,
        now: Instant,
        n: u64,
    }

    impl Two {
        fn new() -> Self {
            Self {
                away: Away::new(),
                apart: Apart::new(),
                now: Instant::now(),
                n: 0,
            }
        }

        fn pass(&mut self, time: Duration, n: u64) {
            self.now += time;
            self.n += n;
        }

        fn goes(&mut self, pace: Option<Duration>, much: bool) -> bool {
            let n = self.n;
            self.apart
                .goes(&self.away, self.now, pace, 2, || n, || much)
        }

        /// A count with both and so many turns, and what follows.
        fn together(&mut self, n: u64) -> bool {
            assert!(!self.goes(None, false), "it counts first");
            self.pass(MS, n);
            self.goes(None, false)
        }

        fn naps_on(&mut self) -> bool {
            self.apart.naps_on(&self.away, self.now, self.n, 1)
        }

        fn is_back(&mut self) {
            self.apart.is_back(&self.away, self.now);
        }
    }

    #[test]
    fn it_stays_away_where_as_much_gets_done_without_it_and_counts_anew_later() {
        let mut two = Two::new();
        assert!(two.together(10_000));
        two.pass(MS / 2, 5_000);
        assert!(two.naps_on());
        two.pass(MS / 2, 5_000);
        assert!(two.naps_on());
        two.pass(STAY - MS, 1);
        assert!(two.naps_on());
        two.is_back();
        assert!(two.goes(None, false), "it was needed for a moment");
        two.pass(MS, 1);
        assert!(!two.naps_on());
        two.is_back();
        assert!(two.together(10_000));
    }

    #[test]
    fn it_does_not_try_again_soon_where_less_gets_done_without_it_and_later_each_time() {
        let mut two = Two::new();
        for rest in [SOON, SOON * 2, SOON * 4] {
            assert!(two.together(10_000));
            two.pass(MS, 9_000);
            assert!(!two.naps_on());
            two.is_back();
            two.pass(rest - MS, 0);
            assert!(!two.together(0));
        }
    }

    #[test]
    fn it_does_not_try_where_turns_are_long_or_much_is_queued_or_it_is_mostly_at_work() {
        let mut two = Two::new();
        assert!(!two.together(1_000), "each takes two microseconds");
        assert!(!two.goes(None, true));
        two.pass(MS, 10_000);
        assert!(!two.goes(None, true), "much is queued");
        assert!(!two.goes(None, false));
        two.pass(TOO_LONG + MS, 100_000);
        assert!(!two.goes(None, false), "it was at work");
    }

    #[test]
    fn it_comes_back_for_long_turns() {
        let mut two = Two::new();
        assert!(two.together(10_000));
        two.pass(MS, 10_000);
        assert!(two.naps_on());
        two.is_back();
        assert!(two.goes(Some(SHORT), false));
        two.is_back();
        assert!(!two.goes(Some(MS), false));
    }

    #[test]
    fn one_tries_at_a_time_and_one_is_never_away() {
        let mut two = Two::new();
        assert!(two.together(10_000));
        two.away.stay(2, |n| {
            assert_eq!(n, 1);
            assert_eq!(two.away.n_present(2), 1);
            two.away.stay(2, |_| panic!("nobody would be left"));
        });
        let mut other = Apart::new();
        let mut goes = |two: &Two, passed, n| {
            let now = two.now + passed;
            other.goes(&two.away, now, None, 2, || n, || false)
        };
        assert!(!goes(&two, Duration::ZERO, 0));
        assert!(!goes(&two, MS, 10_000), "the first one tries");
        two.is_back();
        assert!(!goes(&two, MS, 10_000));
        assert!(goes(&two, MS * 2, 20_000));
    }
}
