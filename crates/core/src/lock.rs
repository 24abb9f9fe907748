//! A lock that is one bit of a word, for critical sections of a few dozen instructions.
//!
//! ```text
//! word: | the owner's own bits (1-63) | LOCKED (bit 0) |
//! ```
//!
//! The other bits are written by whoever holds the lock and may be read by anybody with one
//! load: a channel mirrors its readiness there. Taking the lock is one read-modify-write,
//! releasing it one store, which carries the new bits.
//!
//! **Who waits for it is not recorded**, so there is nobody to be woken, and the release can be
//! a plain store. Who finds it taken [backs off](crate::backoff).
//!
//! Loom gives up on loops that wait, so that the models of what is built on this lock pass
//! through a lock of loom's first and find the bit free; the bit has a model of its own, over
//! `WordLock::lock_spinning`.
//!
//! The holder runs no foreign code and waits for nobody but such as are a few instructions from
//! done (the architecture's invariant), so the lock is always released soon.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::backoff::{Backoff, Company};
use crate::shim::atomic::{AtomicU64, Ordering};
#[cfg(not(rendez_loom))]
use crate::shim::multicore;
use crate::shim::{UnsafeCell, fetch_to_change};

const LOCKED: u64 = 1;

/// A value guarded by one bit of a word. See the file's head.
// In this order: who takes the lock is at the beginning of the value next.
#[repr(C)]
pub struct WordLock<T> {
    word: AtomicU64,
    #[cfg(rendez_loom)]
    gate: crate::shim::Mutex<()>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock hands the value from thread to thread, one at a time; the word is an
// atomic.
unsafe impl<T: Send> Sync for WordLock<T> {}
// SAFETY: it owns the value.
unsafe impl<T: Send> Send for WordLock<T> {}

impl<T> WordLock<T> {
    /// The word's lowest bit, set while somebody holds the lock.
    pub const LOCKED: u64 = LOCKED;

    /// Guards `value`; the owner's bits are those of `word`.
    pub fn new(word: u64, value: T) -> Self {
        debug_assert_eq!(word & LOCKED, 0);
        Self {
            word: AtomicU64::new(word),
            #[cfg(rendez_loom)]
            gate: crate::shim::Mutex::new(()),
            value: UnsafeCell::new(value),
        }
    }

    /// The word as it is now. While it is [`LOCKED`](Self::LOCKED), the other bits are those
    /// from before the holder's changes.
    #[inline]
    pub fn peek(&self) -> u64 {
        // ORDERING: Acquire pairs with the Release of the guard's drop.
        self.word.load(Ordering::Acquire)
    }

    /// Takes the lock.
    #[inline]
    pub fn lock(&self) -> WordGuard<'_, T> {
        self.lock_among(Company::by_thread)
    }

    /// As [`lock`](Self::lock); `company` is asked only if somebody holds it.
    #[inline]
    pub fn lock_among(&self, company: impl FnOnce() -> Company) -> WordGuard<'_, T> {
        #[cfg(rendez_loom)]
        let gate = self.gate.lock();
        WordGuard {
            lock: self,
            word: self.take(company),
            #[cfg(rendez_loom)]
            _gate: Some(gate),
        }
    }

    /// As [`lock_among`](Self::lock_among), of one whose holder takes it again as soon as he has released
    /// it: sets the bit some times without a look, which would come too late.
    #[inline]
    pub fn lock_between(&self, company: impl FnOnce() -> Company) -> WordGuard<'_, T> {
        #[cfg(not(rendez_loom))]
        if multicore() {
            /// A few microseconds where the line has to come from another core each time.
            const TRIES: u32 = 32;
            for _ in 0..TRIES {
                if self.word.fetch_or(LOCKED, Ordering::Acquire) & LOCKED == 0 {
                    return WordGuard {
                        lock: self,
                        word: self.word.load(Ordering::Relaxed) & !LOCKED,
                    };
                }
            }
        }
        self.lock_among(company)
    }

    /// Fetches the word's line for a change, before it is looked at.
    #[inline]
    pub fn expect_change(&self) {
        fetch_to_change(&self.word);
    }

    /// Takes the lock if nobody holds it and the owner's bits are `wanted`. Who asks again
    /// should do so by [`lock`](Self::lock), which stays away from a lock that is taken.
    #[inline]
    pub fn lock_if(&self, wanted: impl FnOnce(u64) -> bool) -> Option<WordGuard<'_, T>> {
        #[cfg(rendez_loom)]
        let gate = self.gate.lock();
        let word = self.word.load(Ordering::Relaxed);
        if word & LOCKED != 0 || !wanted(word) {
            return None;
        }
        self.word
            .compare_exchange(word, word | LOCKED, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(WordGuard {
            lock: self,
            word,
            #[cfg(rendez_loom)]
            _gate: Some(gate),
        })
    }

    /// As [`lock`](Self::lock), by the bit alone.
    #[cfg(rendez_loom)]
    pub fn lock_spinning(&self) -> WordGuard<'_, T> {
        WordGuard {
            lock: self,
            word: self.take(Company::by_thread),
            _gate: None,
        }
    }

    /// Sets the bit; the word before.
    #[inline]
    fn take(&self, company: impl FnOnce() -> Company) -> u64 {
        fetch_to_change(&self.word);
        let word = self.word.load(Ordering::Relaxed) & !LOCKED;
        let taken =
            self.word
                .compare_exchange(word, word | LOCKED, Ordering::Acquire, Ordering::Relaxed);
        match taken {
            Ok(word) => word,
            Err(_) => self.take_slow(company()),
        }
    }

    #[cold]
    fn take_slow(&self, company: Company) -> u64 {
        let mut backoff = Backoff::among(company);
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if word & LOCKED == 0
                && self
                    .word
                    .compare_exchange_weak(
                        word,
                        word | LOCKED,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok()
            {
                return word;
            }
            backoff.pause();
        }
    }
}

impl<T> fmt::Debug for WordLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordLock")
            .field("word", &self.peek())
            .finish_non_exhaustive()
    }
}

/// Holds the lock until it is dropped.
pub struct WordGuard<'a, T> {
    lock: &'a WordLock<T>,
    // As it will be stored by the release; LOCKED is not set.
    word: u64,
    #[cfg(rendez_loom)]
    _gate: Option<crate::shim::MutexGuard<'a, ()>>,
}

impl<T> WordGuard<'_, T> {
    /// The owner's bits.
    #[inline]
    pub fn word(&self) -> u64 {
        self.word
    }

    /// Sets the owner's bits, seen by others from the release on.
    #[inline]
    pub fn set_word(&mut self, word: u64) {
        debug_assert_eq!(word & LOCKED, 0);
        self.word = word;
    }
}

impl<T> Deref for WordGuard<'_, T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so nobody else has access.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T> DerefMut for WordGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`; the guard is borrowed exclusively.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Drop for WordGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // ORDERING: Release pairs with the Acquire of the next `lock`, and of `peek`.
        self.lock.word.store(self.word, Ordering::Release);
    }
}

impl<T> fmt::Debug for WordGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WordGuard").finish_non_exhaustive()
    }
}
