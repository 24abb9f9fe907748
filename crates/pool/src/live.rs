//! How many goroutines of a pool live, and the end of the last one.
//!
//! ```text
//! word: | claims (from bit 2) | SHUT | UNHELD |
//! ```
//!
//! A goroutine that lives holds a claim. So that starting and ending one is no step on a
//! shared word, whoever holds a core keeps claims in hand, in the core's [`Account`]: who
//! starts a goroutine gives it one of those, who ends one takes its claim back. They come
//! from the word and return to it by the dozen, and all return before a core lies idle or is
//! out of service. So the claims are the goroutines that live and those in hand, and a pool in
//! which nothing runs has none in hand.
//!
//! - **SHUT**: the pool was shut down; a goroutine started after that is refused.
//! - **UNHELD**: the last handle is gone. Its goroutines may still start others.
//! - With either set, claims that end return at once. Whoever brings the claims to none then,
//!   or sets the first flag at none, brings the pool **to its end**: its threads end, and it keeps
//!   itself no more. Counting and looking are one RMW, so no goroutine slips in between; one that
//!   is given a claim in hand is counted already. Whoever starts a goroutine after the end has
//!   it keep itself **again**: so ends are one more than beginnings again, or as many.

use rendez_core::shim::atomic::{AtomicU64, AtomicUsize, Ordering};
use rendez_core::shim::thread;

const UNHELD: usize = 1;
const SHUT: usize = 1 << 1;
const FLAGS: usize = SHUT | UNHELD;
const ONE: usize = 1 << 2;

/// How many claims are taken at a time, and the most that are kept after some have returned.
const DOZEN: u64 = 32;

/// The word.
#[derive(Debug, Default)]
pub struct Live(AtomicUsize);

/// The claims in hand of who holds a core. One thread at a time writes it, anybody reads.
///
/// ```text
/// | changes (bits 32-63) | MOVING (31) | claims (bits 0-30) |
/// ```
///
/// MOVING is set while claims go between here and the word, so that a count of the living
/// does not miss them or count them twice.
#[derive(Debug, Default)]
pub struct Account(AtomicU64);

const MOVING: u64 = 1 << 31;
const CHANGE: u64 = 1 << 32;

/// What became of a goroutine that was to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begun {
    /// It lives.
    Counted,
    /// It is counted, but the pool takes none: it is to end at once.
    Refused,
}

impl Account {
    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed) % MOVING
    }

    fn set(&self, claims: u64, moving: u64) {
        let changes = self.0.load(Ordering::Relaxed) / CHANGE;
        let word = changes.wrapping_add(1) << 32 | moving | claims;
        // ORDERING: Release pairs with the Acquire in `count`: who reads this sees where the
        // word stood.
        self.0.store(word, Ordering::Release);
    }
}

impl Live {
    /// None lives.
    pub fn new() -> Self {
        Self::default()
    }

    /// A goroutine begins; `mine` is the account of the core the caller holds. If the pool has
    /// come to its end, `again` is called.
    #[inline]
    pub fn begin(&self, mine: Option<&Account>, again: impl FnOnce()) -> Begun {
        if let Some(mine) = mine {
            let claims = mine.get();
            if claims > 0 && self.0.load(Ordering::Relaxed) & SHUT == 0 {
                mine.set(claims - 1, 0);
                return Begun::Counted;
            }
            return self.begin_many(mine, claims, again);
        }
        begun(self.0.fetch_add(ONE, Ordering::Relaxed), again)
    }

    #[cold]
    fn begin_many(&self, mine: &Account, claims: u64, again: impl FnOnce()) -> Begun {
        if self.0.load(Ordering::Relaxed) & FLAGS != 0 {
            return begun(self.0.fetch_add(ONE, Ordering::Relaxed), again);
        }
        mine.set(claims, MOVING);
        // ORDERING: Release pairs with the Acquire in `count`: who sees the word changed sees
        // MOVING.
        let before = self
            .0
            .fetch_add((1 + DOZEN as usize) * ONE, Ordering::Release);
        mine.set(claims + DOZEN, 0);
        begun(before, again)
    }

    /// A goroutine has ended. True if that brings the pool to its end.
    #[inline]
    #[must_use]
    pub fn end(&self, mine: Option<&Account>) -> bool {
        let Some(mine) = mine else {
            return self.less(1);
        };
        let claims = mine.get() + 1;
        mine.set(claims, 0);
        let flagged = self.0.load(Ordering::Relaxed) & FLAGS != 0;
        if flagged || claims > 2 * DOZEN {
            self.give_back(mine, if flagged { 0 } else { DOZEN })
        } else {
            false
        }
    }

    /// Returns what is in hand, since the core will lie idle or go out of service. True as
    /// [`end`](Self::end).
    #[must_use]
    pub fn settle(&self, mine: &Account) -> bool {
        mine.get() > 0 && self.give_back(mine, 0)
    }

    #[cold]
    fn give_back(&self, mine: &Account, keep: u64) -> bool {
        let claims = mine.get();
        mine.set(claims, MOVING);
        let last = self.less(claims - keep);
        mine.set(keep, 0);
        last
    }

    fn less(&self, n: u64) -> bool {
        let n = usize::try_from(n).expect("a few dozen");
        // ORDERING: Release, so that who sees none sees what they did, and as in `begin_many`.
        let before = self.0.fetch_sub(n * ONE, Ordering::AcqRel);
        before / ONE == n && before & FLAGS != 0
    }

    /// No goroutine is taken any more. True if that brings the pool to its end.
    #[must_use]
    pub fn shut(&self) -> bool {
        self.0.fetch_or(SHUT, Ordering::AcqRel) == 0
    }

    /// Nobody outside can start one any more. True as [`shut`](Self::shut).
    #[must_use]
    pub fn let_go(&self) -> bool {
        self.0.fetch_or(UNHELD, Ordering::AcqRel) == 0
    }

    /// Whether it was shut.
    pub fn is_shut(&self) -> bool {
        self.0.load(Ordering::Acquire) & SHUT != 0
    }

    /// How many live, `accounts` being all there are. Exact if for a moment none begins or ends;
    /// otherwise off by a few dozen for each account, but none only if for a moment none lived.
    pub fn count<'a, A>(&self, accounts: impl Fn() -> A) -> usize
    where
        A: Iterator<Item = &'a Account>,
    {
        const TRIES: u32 = 16;
        // ORDERING: Acquire pairs with the Release in `Account::set`.
        let look = || {
            let (mut claims, mut seen, mut moving) = (0_u64, 0_u64, false);
            for word in accounts().map(|account| account.0.load(Ordering::Acquire)) {
                claims += word % MOVING;
                moving |= word & MOVING != 0;
                // Of words that only grow, so it is the same only if all of them are.
                seen = seen.wrapping_add(word / CHANGE);
            }
            (claims, seen, moving)
        };
        let mut tries = TRIES;
        loop {
            let before = look();
            let all = self.0.load(Ordering::Acquire) / ONE;
            tries -= 1;
            let n = all.saturating_sub(usize::try_from(before.0).unwrap_or(usize::MAX));
            if before == look() && !before.2 {
                return n;
            }
            if tries == 0 {
                return n.max(usize::from(all > 0));
            }
            if before.2 {
                thread::yield_now();
            }
        }
    }
}

fn begun(before: usize, again: impl FnOnce()) -> Begun {
    if before & FLAGS != 0 && before / ONE == 0 {
        again();
    }
    if before & SHUT == 0 {
        Begun::Counted
    } else {
        Begun::Refused
    }
}
