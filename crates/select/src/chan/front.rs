//! The front: how the values of an unbounded channel are received without its lock.
//!
//! ```text
//! front = [ oldest ... ]   ring = [ ... newest ]
//!           granted
//! ```
//!
//! Who sends to an unbounded channel never waits, and so is soon ahead of who receives. While the
//! front *runs*, the oldest values are in it, under a lock of its own, and the channel's lock is the
//! senders': the two ends share nothing. Who finds no more in it than is granted *fills* it: he takes
//! all that is behind it in one step, which is the more the longer he was at it. If that is little,
//! who receives is close behind who sends, and he stops it.
//!
//! **Stopped**, it is empty, and all is under the channel's lock again; so are those who fill, run or
//! stop it, with this lock inside the channel's.
//!
//! Invariants:
//!
//! 1. There are at least as many values in it as are granted.
//! 2. Those in it are older than those in the channel's ring.

use crossbeam_utils::CachePadded;
use rendez_core::backoff::Company;
use rendez_core::lock::{WordGuard, WordLock};
use rendez_core::shim::atomic::{AtomicUsize, Ordering};

use super::lane::{MOST_GRANTED, Refused};
use super::ring::Ring;

const RUNS: u64 = 1 << 1;

pub(super) struct Front<T> {
    values: CachePadded<WordLock<Values<T>>>,
    /// With how many it was filled the last time. A guess: nothing is ordered by it.
    last_filled: AtomicUsize,
}

struct Values<T> {
    ring: Ring<T>,
    granted: u32,
}

impl<T> Front<T> {
    /// A stopped one.
    pub(super) fn new() -> Self {
        let none = Values {
            ring: Ring::new(),
            granted: 0,
        };
        Self {
            values: CachePadded::new(WordLock::new(0, none)),
            last_filled: AtomicUsize::new(0),
        }
    }

    /// Takes the oldest value, if that goes at once.
    #[inline(always)]
    pub(super) fn recv_at_once(&self) -> Option<T> {
        let mut values = self.values.lock_if(|word| word == RUNS)?;
        let granted = values.granted as usize;
        values.ring.pop_front_at_once(granted)
    }

    /// Takes the oldest value, if there are more than are granted.
    ///
    /// # Errors
    ///
    /// If there are no more, or it is stopped.
    pub(super) fn recv(&self) -> Result<T, Refused> {
        let mut values = self.lock().ok_or(Refused::Stopped)?;
        if values.available() == 0 {
            return Err(Refused::Idle);
        }
        values.ring.pop_front().ok_or(Refused::Idle)
    }

    /// Promises a value to the caller, if there are more than are granted.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub(super) fn grant(&self) -> Result<(), Refused> {
        let mut values = self.lock().ok_or(Refused::Stopped)?;
        if values.granted >= MOST_GRANTED {
            return Err(Refused::Stopped);
        }
        if values.available() == 0 {
            return Err(Refused::Idle);
        }
        values.granted += 1;
        Ok(())
    }

    /// Comes for a value that was promised, if it runs.
    pub(super) fn redeem(&self) -> Option<T> {
        let mut values = self.lock()?;
        values.granted -= 1;
        values.ring.pop_front()
    }

    /// Locks it, if it runs.
    fn lock(&self) -> Option<WordGuard<'_, Values<T>>> {
        if !self.is_running() {
            return None;
        }
        let values = self.values.lock_among(|| Company::Rivals);
        (values.word() & RUNS != 0).then_some(values)
    }

    /// With how many values it was filled the last time.
    pub(super) fn last_filled(&self) -> usize {
        self.last_filled.load(Ordering::Relaxed)
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.values.peek() & RUNS != 0
    }
}

/// What the holder of the channel's lock does.
impl<T> Front<T> {
    /// Lets it run with these values, of which so many are granted.
    pub(super) fn run(&self, ring: Ring<T>, granted: u32) {
        let mut values = self.values.lock();
        values.ring = ring;
        values.granted = granted;
        values.set_word(RUNS);
    }

    /// Puts the values of `ring` behind its own, which runs, if those are granted; `least` more than
    /// are granted, so that it costs each of them little to take those along. Whether there are values
    /// now.
    pub(super) fn fill(&self, ring: &mut Ring<T>, least: usize) -> bool {
        let mut values = self.values.lock();
        if values.available() != 0 {
            return true;
        }
        if ring.len() < least + values.granted as usize {
            return false;
        }
        self.last_filled.store(ring.len(), Ordering::Relaxed);
        while let Some(granted) = values.ring.pop_back() {
            ring.push_front(granted);
        }
        std::mem::swap(&mut values.ring, ring);
        true
    }

    /// How many values are in it that are not granted; it runs.
    pub(super) fn len(&self) -> usize {
        self.values.lock().available()
    }

    /// Stops it. Its values, of which so many are granted.
    pub(super) fn stop(&self) -> (Ring<T>, u32) {
        let mut values = self.values.lock();
        values.set_word(0);
        (values.ring.take(), std::mem::take(&mut values.granted))
    }
}

impl<T> Values<T> {
    fn available(&self) -> usize {
        self.ring.len() - self.granted as usize
    }
}
