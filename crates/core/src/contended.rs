//! Changing a word that others change at the same time.
//!
//! A core that asks for a cache line stops the one that has it: two that take turns at every
//! change spend nearly all their time on moving the line. So whoever finds that another was
//! faster stays away for a while, in which that one makes its next changes, a hundred or so, at
//! full speed. The loser's change comes a microsecond later, and everybody's are done sooner.
//!
//! Nobody waits for anybody: a change fails only because another has succeeded.

use crate::shim::atomic::{AtomicU64, AtomicUsize, Ordering};
use crate::shim::{multicore, pause};

/// A word that can be changed by comparison.
pub trait Word {
    /// What it holds.
    type Value: Copy;

    /// What it holds now.
    fn read(&self) -> Self::Value;

    /// Puts `after` in the place of `before`; whether that was there.
    fn replace(&self, before: Self::Value, after: Self::Value, success: Ordering) -> bool;
}

macro_rules! words {
    ($($atomic:ty: $value:ty,)*) => {$(
        impl Word for $atomic {
            type Value = $value;

            #[inline]
            fn read(&self) -> $value {
                self.load(Ordering::Relaxed)
            }

            #[inline]
            fn replace(&self, before: $value, after: $value, success: Ordering) -> bool {
                self.compare_exchange(before, after, success, Ordering::Relaxed)
                    .is_ok()
            }
        }
    )*};
}
words! { AtomicU64: u64, AtomicUsize: usize, }

/// Changes the word to what `to` gives for it, with the ordering `success`; what it was before.
///
/// # Errors
///
/// If `to` gives nothing: the word it was asked about, unchanged.
#[inline]
pub fn update<W: Word>(
    word: &W,
    success: Ordering,
    to: impl Fn(W::Value) -> Option<W::Value>,
) -> Result<W::Value, W::Value> {
    let mut n_lost = 0;
    loop {
        let before = word.read();
        let after = to(before).ok_or(before)?;
        if word.replace(before, after, success) {
            return Ok(before);
        }
        stay_away(n_lost);
        n_lost += 1;
    }
}

/// Pauses, each time for longer, up to a microsecond or two.
#[cold]
fn stay_away(n_lost: u32) {
    const PAUSES: u32 = 16;
    const DOUBLINGS: u32 = 2;
    if multicore() {
        pause(PAUSES << n_lost.min(DOUBLINGS));
    }
}
