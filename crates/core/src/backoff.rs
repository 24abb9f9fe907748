//! How long the loser of a short fight stays away: for a lock without a queue, or a word that
//! is changed by comparisons.
//!
//! Some rounds of pauses, each twice as long as the one before; then, the holder having been
//! preempted or the lock being fought for, it sleeps for moments that grow to a millisecond. So a
//! thread never burns a processor for long, and never sleeps for ever: each of its sleeps ends by
//! the clock.
//!
//! How long the pauses are depends on the [`Company`]. Two who take turns at every operation
//! spend most of their time on moving cache lines, so where one alone gets more done the other
//! stays away long; and a pool's worker among workers, whose work the others do as well, sleeps
//! soon; one for whom nobody waits sleeps longer where it has lost again and again. Where the two
//! wait for one another it comes back as soon as it can.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::hooks;
use crate::shim::{multicore, pause, thread};

/// Who else takes a lock, and so how long the loser stays away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Whoever holds it will wait for the loser, or does not come again soon: a moment too
    /// long is lost to both.
    Passing,
    /// Whoever holds it comes again at once: the longer it is left alone the more it gets
    /// done.
    Busy,
    /// Other workers of a pool, who do meanwhile what the loser would have done.
    Workers,
    /// The same, and nobody waits for the loser: who loses again and again stays away longer.
    Apart,
    /// Of a word that is changed by one comparison: whoever was faster is done already.
    Rivals,
}

impl Company {
    /// What is to be expected where nothing else is known.
    pub(crate) fn by_thread() -> Self {
        if hooks::has_scheduler() {
            Self::Workers
        } else {
            Self::Passing
        }
    }
}

/// Longer and longer waits for somebody who is a few instructions from done.
#[derive(Debug)]
pub struct Backoff {
    /// So many rounds of pauses are left.
    rounds: u32,
    /// How many pauses the next one has; each has twice as many as the one before.
    pauses: u32,
    /// Then it gives way so many times.
    yields: u32,
    /// Then it sleeps: the last time for so many microseconds, to which the system adds some of its
    /// own.
    sleep: Option<u64>,
    /// Whether its first sleep depends on the thread's last.
    remembers: bool,
}

impl Backoff {
    /// None yet.
    #[must_use]
    pub fn among(company: Company) -> Self {
        let (rounds, pauses, yields) = if multicore() {
            match company {
                Company::Passing => (8, 1, 0),
                Company::Busy => (3, 16, 0),
                Company::Workers | Company::Apart => (2, 4, 0),
                Company::Rivals => (3, 4, 16),
            }
        } else {
            (0, 0, 16)
        };
        Self {
            rounds,
            pauses,
            yields,
            sleep: None,
            remembers: company == Company::Apart,
        }
    }

    /// One more.
    pub fn pause(&mut self) {
        /// The longest sleep, in microseconds.
        const LONGEST: u64 = 1000;
        if self.rounds > 0 {
            self.rounds -= 1;
            pause(self.pauses);
            self.pauses *= 2;
        } else if self.yields > 0 {
            self.yields -= 1;
            thread::yield_now();
        } else {
            let sleep = match self.sleep {
                Some(last) => (last * 2).min(LONGEST),
                None if self.remembers => sleep_after_last(),
                None => 1,
            };
            thread::sleep(Duration::from_micros(sleep));
            self.sleep = Some(sleep);
            if self.remembers {
                let _ = LAST_SLEEP.try_with(|last| last.set(Some((Instant::now(), sleep))));
            }
        }
    }
}

std::thread_local! {
    /// When a sleep that is remembered ended, and how long it was.
    static LAST_SLEEP: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// How long to sleep first: twice as long as the last time, if that was a moment ago.
fn sleep_after_last() -> u64 {
    const MOMENT: Duration = Duration::from_millis(2);
    // Below, the system's own share is more; above, somebody might wait for what this thread has.
    const SPAN: (u64, u64) = (50, 200);
    match LAST_SLEEP.try_with(Cell::get) {
        Ok(Some((end, sleep))) if end.elapsed() < MOMENT => (sleep * 2).clamp(SPAN.0, SPAN.1),
        _ => 1,
    }
}
