//! The lane: how values pass a bounded channel while nobody waits, without its lock.
//!
//! ```text
//! tail, head:     | STOPPED (bit 63) | index (bits 0-62) |
//! index:          | lap | place below the capacity |
//! a slot's stamp:   i        free, for the value at index i
//!                   i + 1    holds it
//! ```
//!
//! A ring whose two ends are words of their own. Who sends claims an index by moving the tail
//! on, writes the slot and then its stamp; who receives moves the head on, reads, and frees the
//! slot for the next lap by its stamp. So the two ends meet in the slots alone: neither reads
//! the other's word, whose line it would take away. One end's rivals meet in one comparison.
//!
//! **Idle** is what an end is called whose slot is not ready: full or empty, or about to be
//! otherwise, since the one before has been claimed and is not done. Who then waits asks again
//! under the lock; who does not looks at both ends, and asks there if they do not agree.
//!
//! **Stopped**, the lane belongs to the holder of the channel's lock, and all that is done to
//! the channel is done under it: nobody else moves an end, since a comparison that expects a
//! running end fails. It is stopped by setting the bit at both ends, so whatever was sent
//! or received before is seen by who stops it, and what comes later finds it stopped and takes
//! the lock. Claims that were made before may not be done with their slots yet, and are waited
//! for where a slot is needed, and nowhere else: for a few instructions of somebody who needs
//! no lock and runs no foreign code, unless he has been preempted.
//!
//! Invariants:
//!
//! 1. `head <= tail <= head + a lap`.
//! 2. Neither ever moves back.
//!
//! This is Dmitry Vyukov's bounded queue, as in crossbeam's channels, with a bit that stops it.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;
use rendez_core::backoff::{Backoff, Company};
use rendez_core::shim::UnsafeCell;
use rendez_core::shim::atomic::{AtomicU64, Ordering};

const STOPPED: u64 = 1 << 63;

/// Why the lane did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Idle,
    /// The lock is the way.
    Stopped,
}

/// Whether an end is ready, and how often it may have become so since the lane runs.
pub(super) struct Glance {
    pub(super) ready: bool,
    pub(super) times: u64,
}

pub(super) struct Lane<T> {
    tail: CachePadded<End>,
    head: CachePadded<End>,
    // A power of two above the number of slots, less one.
    places: u64,
    slots: Box<[Slot<T>]>,
    // The indices of tail and head when it began to run.
    ran_from: (AtomicU64, AtomicU64),
}

struct Slot<T> {
    stamp: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a slot's value is touched by who has claimed its index, one at a time.
unsafe impl<T: Send> Sync for Lane<T> {}
// SAFETY: it owns the values.
unsafe impl<T: Send> Send for Lane<T> {}

impl<T> Lane<T> {
    /// How many bytes a lane of `cap` values takes.
    pub(super) fn bytes(cap: usize) -> usize {
        cap.saturating_mul(size_of::<Slot<T>>())
    }

    /// An empty one, stopped.
    pub(super) fn new(cap: usize) -> Self {
        let slot = |place| Slot {
            stamp: AtomicU64::new(place as u64),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Self {
            tail: CachePadded::new(End::stopped()),
            head: CachePadded::new(End::stopped()),
            places: (cap as u64 + 1).next_power_of_two() - 1,
            slots: (0..cap).map(slot).collect(),
            ran_from: (AtomicU64::new(0), AtomicU64::new(0)),
        }
    }

    #[inline]
    fn place(&self, i: u64) -> usize {
        (i & self.places) as usize
    }

    #[inline]
    fn slot(&self, i: u64) -> &Slot<T> {
        &self.slots[self.place(i)]
    }

    #[inline]
    fn next(&self, i: u64) -> u64 {
        if self.place(i) + 1 < self.slots.len() {
            i + 1
        } else {
            (i | self.places) + 1
        }
    }

    /// The index of the same slot a lap later.
    #[inline]
    fn lap_later(&self, i: u64) -> u64 {
        i + self.places + 1
    }

    /// How many steps it is from `from` to `to`.
    fn steps(&self, from: u64, to: u64) -> u64 {
        let lap_of = |i: u64| i >> self.places.trailing_ones();
        let laps = lap_of(to).wrapping_sub(lap_of(from));
        laps.wrapping_mul(self.slots.len() as u64)
            .wrapping_add(self.place(to) as u64)
            .wrapping_sub(self.place(from) as u64)
    }

    /// Puts a value down behind the others, if that goes at once.
    #[inline(always)]
    pub(super) fn send_at_once(&self, value: T) -> Result<(), T> {
        let Some(i) = self.tail.running() else {
            return Err(value);
        };
        let (slot, next) = (self.slot(i), self.next(i));
        if !slot.is_stamped(i) || !self.tail.claim(i, next) {
            return Err(value);
        }
        // SAFETY: the index is claimed, and its slot is free.
        unsafe { slot.fill(i, value) };
        Ok(())
    }

    /// Takes the oldest value, if that goes at once.
    #[inline(always)]
    pub(super) fn recv_at_once(&self) -> Option<T> {
        let i = self.head.running()?;
        let (slot, next, later) = (self.slot(i), self.next(i), self.lap_later(i));
        if !slot.is_stamped(i + 1) || !self.head.claim(i, next) {
            return None;
        }
        // SAFETY: the index is claimed, and its slot holds a value.
        Some(unsafe { slot.empty(later) })
    }

    /// As [`send_at_once`](Self::send_at_once), again for as long as rivals are faster.
    ///
    /// # Errors
    ///
    /// The value, if there is no slot to be seen, or the lane is stopped.
    pub(super) fn send(&self, mut value: T) -> Result<(), (Refused, T)> {
        let mut backoff = None;
        loop {
            let before = self.tail.running();
            match self.send_at_once(value) {
                Ok(()) => return Ok(()),
                Err(back) => value = back,
            }
            match self.tail.running() {
                None => return Err((Refused::Stopped, value)),
                after if after == before => return Err((Refused::Idle, value)),
                Some(_) => stay_away(&mut backoff),
            }
        }
    }

    /// As [`recv_at_once`](Self::recv_at_once), again for as long as rivals are faster.
    ///
    /// # Errors
    ///
    /// If there is none to be seen, or the lane is stopped.
    pub(super) fn recv(&self) -> Result<T, Refused> {
        let mut backoff = None;
        loop {
            let before = self.head.running();
            if let Some(value) = self.recv_at_once() {
                return Ok(value);
            }
            match self.head.running() {
                None => return Err(Refused::Stopped),
                after if after == before => return Err(Refused::Idle),
                Some(_) => stay_away(&mut backoff),
            }
        }
    }

    /// Whether a value can be seen, if it runs.
    #[inline]
    pub(super) fn may_recv(&self) -> Option<bool> {
        let i = self.head.running()?;
        Some(self.slot(i).is_stamped(i + 1))
    }

    /// Whether a slot can be seen, if it runs.
    #[inline]
    pub(super) fn may_send(&self) -> Option<bool> {
        let i = self.tail.running()?;
        Some(self.slot(i).is_stamped(i))
    }

    /// Whether it holds something, or may be stopped.
    pub(super) fn glance_recv(&self) -> Glance {
        let head = self.head.running();
        let tail = self.tail.running();
        Glance {
            // The head has not moved back since: equal, they were so when the tail was read.
            ready: head.is_none() || tail.is_none() || head != tail,
            times: self.times(&self.ran_from.0, tail),
        }
    }

    /// Whether there is room, or it may be stopped.
    pub(super) fn glance_send(&self) -> Glance {
        let tail = self.tail.running();
        let head = self.head.running();
        let full = head.map(|head| self.lap_later(head));
        Glance {
            ready: tail.is_none() || head.is_none() || tail != full,
            times: self.times(&self.ran_from.1, head),
        }
    }

    /// How often an end that was found at `i` has moved since the lane runs.
    fn times(&self, ran_from: &AtomicU64, i: Option<u64>) -> u64 {
        // ORDERING: Acquire keeps this before whatever tells that the lane has run all the
        // while, and pairs with the Release of `run`.
        i.map_or(0, |i| self.steps(ran_from.load(Ordering::Acquire), i))
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.tail.running().is_some()
    }

    /// How many values it holds, if it runs.
    pub(super) fn len_running(&self) -> Option<usize> {
        loop {
            let tail = self.tail.running()?;
            let head = self.head.running()?;
            // The two belong together if the tail stood still.
            if self.tail.running()? == tail {
                return Some(self.steps(head, tail) as usize);
            }
        }
    }
}

/// What the holder of the channel's lock does.
impl<T> Lane<T> {
    /// Stops it. How often its ends may have become ready since it ran.
    pub(super) fn stop(&self) -> u64 {
        self.tail.stop();
        self.head.stop();
        let (tail, head) = &self.ran_from;
        self.steps(tail.load(Ordering::Relaxed), self.tail.index())
            + self.steps(head.load(Ordering::Relaxed), self.head.index())
    }

    /// Lets it run.
    pub(super) fn run(&self) {
        let (tail, head) = (self.tail.index(), self.head.index());
        self.ran_from.0.store(tail, Ordering::Release);
        self.ran_from.1.store(head, Ordering::Release);
        self.head.run(head);
        self.tail.run(tail);
    }

    /// Puts a value down; there is a slot.
    pub(super) fn push(&self, value: T) {
        let i = self.tail.index();
        debug_assert_ne!(i, self.lap_later(self.head.index()));
        let slot = self.slot(i);
        slot.await_stamp(i);
        // SAFETY: the lane is stopped, and the slot is free.
        unsafe { slot.fill(i, value) };
        self.tail.set(self.next(i));
    }

    /// Takes the oldest value.
    #[inline]
    pub(super) fn pop(&self) -> Option<T> {
        let i = self.head.index();
        if i == self.tail.index() {
            return None;
        }
        let slot = self.slot(i);
        slot.await_stamp(i + 1);
        self.head.set(self.next(i));
        // SAFETY: the lane is stopped, and the slot holds a value.
        Some(unsafe { slot.empty(self.lap_later(i)) })
    }
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl<T> Slot<T> {
    #[inline]
    fn is_stamped(&self, stamp: u64) -> bool {
        // ORDERING: Acquire pairs with the Releases of `fill` and `empty`.
        self.stamp.load(Ordering::Acquire) == stamp
    }

    /// Waits for whoever has claimed the slot before and is about to stamp it so.
    #[inline]
    fn await_stamp(&self, stamp: u64) {
        let mut backoff = None;
        while !self.is_stamped(stamp) {
            stay_away(&mut backoff);
        }
    }

    /// Puts the value at `i` into it.
    ///
    /// # Safety
    ///
    /// It is stamped `i`, and nobody else has claimed that.
    #[inline]
    unsafe fn fill(&self, i: u64, value: T) {
        // SAFETY: so nobody else touches the slot.
        self.value
            .with_mut(|place| unsafe { (*place).write(value) });
        self.stamp.store(i + 1, Ordering::Release);
    }

    /// Takes its value out, and frees it for the value at `next`.
    ///
    /// # Safety
    ///
    /// It is stamped as holding a value, and nobody else has claimed that.
    #[inline]
    unsafe fn empty(&self, next: u64) -> T {
        // SAFETY: so nobody else touches the slot, whose value is read once.
        let value = self
            .value
            .with(|place| unsafe { (*place).assume_init_read() });
        self.stamp.store(next, Ordering::Release);
        value
    }
}

/// One of the two words.
struct End(AtomicU64);

impl End {
    fn stopped() -> Self {
        Self(AtomicU64::new(STOPPED))
    }

    /// Its index, if it runs.
    #[inline]
    fn running(&self) -> Option<u64> {
        // ORDERING: Acquire pairs with the Release of `run`.
        let word = self.0.load(Ordering::Acquire);
        (word & STOPPED == 0).then_some(word)
    }

    /// Its index, whether it runs or not.
    #[inline]
    fn index(&self) -> u64 {
        self.0.load(Ordering::Relaxed) & !STOPPED
    }

    /// Moves it on from `i`, if it is there and runs.
    #[inline]
    fn claim(&self, i: u64, next: u64) -> bool {
        self.0
            .compare_exchange(i, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    fn stop(&self) {
        // ORDERING: AcqRel: what was done before is seen by who stops it, and what he has
        // done by whoever finds it stopped.
        self.0.fetch_or(STOPPED, Ordering::AcqRel);
    }

    fn run(&self, i: u64) {
        self.0.store(i, Ordering::Release);
    }

    /// Moves it, stopped.
    #[inline]
    fn set(&self, i: u64) {
        self.0.store(i | STOPPED, Ordering::Release);
    }
}

/// Waits a little, and longer each time: somebody was faster, or is not done yet.
#[cold]
fn stay_away(backoff: &mut Option<Backoff>) {
    backoff
        .get_or_insert_with(|| Backoff::among(Company::Rivals))
        .pause();
}
