//! The lane: how values pass a bounded channel while nobody waits, without its lock.
//!
//! ```text
//! tail, head:     | position (bits 12-63) | granted (bits 1-11, in the head) | STOPPED (bit 0) |
//! position:       | lap | place below the capacity |
//! a slot's stamp:   p        free, for the value at position p
//!                   p + 1    holds it
//! ```
//!
//! A ring whose two ends are words of their own. Who sends claims a position by moving the tail
//! on, writes the slot and then its stamp; who receives moves the head on, reads, and frees the
//! slot for the next lap by its stamp. So the two ends meet in the slots alone: neither reads
//! the other's word, whose line it would take away. One end's rivals meet in one comparison.
//!
//! **Granted** is how many of the oldest values are promised to receivers that have not come for
//! them yet. Who has no grant takes the front all the same, so that values are received in the
//! order sent, but only if there are more values than grants: if he sees one so many places on.
//! The count is in the head's word because who comes for his grant takes the front and one from
//! the count at once.
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
//! 1. `head + granted <= tail <= head + a lap`.
//! 2. Neither ever moves back; nor, while it runs, does `head + granted`.
//!
//! This is Dmitry Vyukov's bounded queue, as in crossbeam's channels, with a bit that stops it.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;
use rendez_core::backoff::{Backoff, Company};
use rendez_core::shim::UnsafeCell;
use rendez_core::shim::atomic::{AtomicU64, Ordering};

const STOPPED: u64 = 1;
const GRANT: u64 = 1 << 1;
/// A position is a multiple of this. They wrap around, after months of nothing else, since a lap
/// is a power of two of them.
const STEP: u64 = 1 << 12;
/// With more grants than this it does not run.
pub(super) const MOST_GRANTED: u32 = 1000;

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

pub(crate) struct Lane<T> {
    tail: CachePadded<End>,
    head: CachePadded<End>,
    // The last position of the first lap, as which a power of two above the number of slots are
    // counted.
    last: u64,
    slots: Box<[Slot<T>]>,
    // The positions of tail and head when it began to run.
    ran_from: (AtomicU64, AtomicU64),
}

struct Slot<T> {
    stamp: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a slot's value is touched by who has claimed its position, one at a time.
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
            stamp: AtomicU64::new(place as u64 * STEP),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        Self {
            tail: CachePadded::new(End::stopped()),
            head: CachePadded::new(End::stopped()),
            last: ((cap as u64 + 1).next_power_of_two() - 1) * STEP,
            slots: (0..cap).map(slot).collect(),
            ran_from: (AtomicU64::new(0), AtomicU64::new(0)),
        }
    }

    #[inline]
    fn place(&self, p: u64) -> usize {
        ((p & self.last) / STEP) as usize
    }

    #[inline]
    fn slot(&self, p: u64) -> &Slot<T> {
        &self.slots[self.place(p)]
    }

    #[inline]
    fn next(&self, p: u64) -> u64 {
        if self.place(p) + 1 < self.slots.len() {
            p + STEP
        } else {
            (p | self.last).wrapping_add(STEP)
        }
    }

    /// The position of the same slot a lap later.
    #[inline]
    fn lap_later(&self, p: u64) -> u64 {
        p.wrapping_add(self.last + STEP)
    }

    /// The position `n` steps on; a lap at most.
    #[inline]
    fn on(&self, p: u64, n: u64) -> u64 {
        let beyond = (self.place(p) as u64 + n).checked_sub(self.slots.len() as u64);
        match beyond {
            None => p + n * STEP,
            Some(place) => (self.lap_later(p) & !self.last) | (place * STEP),
        }
    }

    /// How many steps it is from `from` to `to`.
    fn steps(&self, from: u64, to: u64) -> u64 {
        let lap_of = |p: u64| p >> (self.last + STEP).trailing_zeros();
        let laps = lap_of(to).wrapping_sub(lap_of(from)) & lap_of(u64::MAX);
        laps.wrapping_mul(self.slots.len() as u64)
            .wrapping_add(self.place(to) as u64)
            .wrapping_sub(self.place(from) as u64)
    }

    /// Puts a value down behind the others, if that goes at once.
    #[inline(always)]
    pub(super) fn send_at_once(&self, value: T) -> Result<(), T> {
        let Some(p) = self.tail.running() else {
            return Err(value);
        };
        let (slot, next) = (self.slot(p), self.next(p));
        if !slot.is_stamped(p) || !self.tail.claim(p, next) {
            return Err(value);
        }
        // SAFETY: the position is claimed, and its slot is free.
        unsafe { slot.fill(p, value) };
        Ok(())
    }

    /// Takes the oldest value, if that goes at once and nothing is granted.
    #[inline(always)]
    pub(super) fn recv_at_once(&self) -> Option<T> {
        let p = self.head.running_ungranted()?;
        let (slot, next, later) = (self.slot(p), self.next(p), self.lap_later(p));
        if !slot.is_stamped(p + 1) || !self.head.claim(p, next) {
            return None;
        }
        // SAFETY: the position is claimed, and its slot holds a value.
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

    /// Takes the oldest value, if there are more than are granted.
    ///
    /// # Errors
    ///
    /// If there is none to be seen, or the lane is stopped.
    pub(super) fn recv(&self) -> Result<T, Refused> {
        let word = self.move_head(|word, next| next | (word % STEP))?;
        Ok(self.take(position(word)))
    }

    /// Promises a value to the caller, if there are more than are granted.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub(super) fn grant(&self) -> Result<(), Refused> {
        self.move_head(|word, _| word + GRANT).map(drop)
    }

    /// Moves the head on, or grants, as `moved` says from its word and the next position, if a value
    /// can be seen beyond those granted. The word before.
    fn move_head(&self, moved: impl Fn(u64, u64) -> u64) -> Result<u64, Refused> {
        let mut backoff = None;
        loop {
            let word = self.head.running().ok_or(Refused::Stopped)?;
            let (p, granted) = (position(word), grants(word));
            if granted >= u64::from(MOST_GRANTED) {
                return Err(Refused::Stopped);
            }
            if !self.holds_beyond(p, granted) {
                if self.head.running() == Some(word) {
                    return Err(Refused::Idle);
                }
            } else if self.head.claim(word, moved(word, self.next(p))) {
                return Ok(word);
            }
            stay_away(&mut backoff);
        }
    }

    /// Comes for a value that was promised, if it runs.
    pub(super) fn redeem(&self) -> Option<T> {
        let mut backoff = None;
        loop {
            let word = self.head.running()?;
            let p = position(word);
            debug_assert_ne!(grants(word), 0);
            let next = self.next(p) | ((word - GRANT) % STEP);
            if self.head.claim(word, next) {
                return Some(self.take(p));
            }
            stay_away(&mut backoff);
        }
    }

    /// Takes the value at `p`, which the caller has claimed. It may be about to be put down.
    #[inline]
    fn take(&self, p: u64) -> T {
        let slot = self.slot(p);
        slot.await_stamp(p + 1);
        // SAFETY: it is claimed, and holds a value.
        unsafe { slot.empty(self.lap_later(p)) }
    }

    /// Whether a value can be seen beyond those that are `granted` from `p` on.
    #[inline]
    fn holds_beyond(&self, p: u64, granted: u64) -> bool {
        let beyond = self.on(p, granted);
        self.slot(beyond).is_stamped(beyond + 1)
    }

    /// Whether a value can be seen, if it runs.
    #[inline]
    pub(super) fn may_recv(&self) -> Option<bool> {
        let word = self.head.running()?;
        Some(self.holds_beyond(position(word), grants(word)))
    }

    /// Whether a slot can be seen, if it runs.
    #[inline]
    pub(super) fn may_send(&self) -> Option<bool> {
        let p = self.tail.running()?;
        Some(self.slot(p).is_stamped(p))
    }

    /// Whether something is granted, if it runs.
    pub(super) fn has_grants(&self) -> bool {
        self.head.running().is_some_and(|word| grants(word) != 0)
    }

    /// Whether it holds something, or may be stopped.
    pub(super) fn glance_recv(&self) -> Glance {
        let head = self.head.running();
        let tail = self.tail.running();
        // What is granted included, it has not moved back since: equal to the tail, it was so when
        // that was read.
        let end = head.map(|word| self.on(position(word), grants(word)));
        Glance {
            ready: end.is_none() || tail.is_none() || end != tail,
            times: self.times(&self.ran_from.0, tail),
        }
    }

    /// Whether there is room, or it may be stopped.
    pub(super) fn glance_send(&self) -> Glance {
        let tail = self.tail.running();
        let head = self.head.running();
        let full = head.map(|word| self.lap_later(position(word)));
        Glance {
            // What is granted takes up slots here, but no room.
            ready: tail.is_none() || head.is_none_or(|word| grants(word) != 0) || tail != full,
            times: self.times(&self.ran_from.1, head.map(position)),
        }
    }

    /// How often an end that was found at `p` has moved since the lane runs.
    fn times(&self, ran_from: &AtomicU64, p: Option<u64>) -> u64 {
        // ORDERING: Acquire keeps this before whatever tells that the lane has run all the
        // while, and pairs with the Release of `run`.
        p.map_or(0, |p| self.steps(ran_from.load(Ordering::Acquire), p))
    }

    /// Whether it runs.
    pub(super) fn is_running(&self) -> bool {
        self.tail.running().is_some()
    }

    /// How many values it holds beyond those granted, if it runs.
    pub(super) fn len_running(&self) -> Option<usize> {
        loop {
            let tail = self.tail.running()?;
            let head = self.head.running()?;
            // The two belong together if the tail stood still.
            if self.tail.running()? == tail {
                return Some((self.steps(position(head), tail) - grants(head)) as usize);
            }
        }
    }
}

/// What the holder of the channel's lock does.
impl<T> Lane<T> {
    /// Stops it. How often its ends may have become ready since it ran, and how much is granted.
    pub(super) fn stop(&self) -> (u64, u32) {
        self.tail.stop();
        let granted = grants(self.head.stop()) as u32;
        let (tail, head) = &self.ran_from;
        let times = self.steps(tail.load(Ordering::Relaxed), self.tail.position())
            + self.steps(head.load(Ordering::Relaxed), self.head.position());
        (times, granted)
    }

    /// Lets it run, with so much granted.
    pub(super) fn run(&self, granted: u32) {
        let (tail, head) = (self.tail.position(), self.head.position());
        self.ran_from.0.store(tail, Ordering::Release);
        self.ran_from.1.store(head, Ordering::Release);
        self.head.run(head + u64::from(granted) * GRANT);
        self.tail.run(tail);
    }

    /// How many values it holds.
    pub(super) fn len_stopped(&self) -> usize {
        self.steps(self.head.position(), self.tail.position()) as usize
    }

    /// Puts a value down; there is a slot.
    pub(super) fn push(&self, value: T) {
        let p = self.tail.position();
        debug_assert_ne!(p, self.lap_later(self.head.position()));
        let slot = self.slot(p);
        slot.await_stamp(p);
        // SAFETY: the lane is stopped, and the slot is free.
        unsafe { slot.fill(p, value) };
        self.tail.set(self.next(p));
    }

    /// Takes the oldest value.
    #[inline]
    pub(super) fn pop(&self) -> Option<T> {
        let p = self.head.position();
        if p == self.tail.position() {
            return None;
        }
        self.head.set(self.next(p));
        Some(self.take(p))
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

    /// Puts the value at `p` into it.
    ///
    /// # Safety
    ///
    /// It is stamped `p`, and nobody else has claimed that.
    #[inline]
    unsafe fn fill(&self, p: u64, value: T) {
        // SAFETY: so nobody else touches the slot.
        self.value
            .with_mut(|place| unsafe { (*place).write(value) });
        self.stamp.store(p + 1, Ordering::Release);
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

/// A word's position.
#[inline]
fn position(word: u64) -> u64 {
    word & !(STEP - 1)
}

/// How much is granted by the head's word.
#[inline]
fn grants(word: u64) -> u64 {
    word % STEP / GRANT
}

/// One of the two words.
struct End(AtomicU64);

impl End {
    fn stopped() -> Self {
        Self(AtomicU64::new(STOPPED))
    }

    /// The word, if it runs: of the tail, the position.
    #[inline]
    fn running(&self) -> Option<u64> {
        // ORDERING: Acquire pairs with the Release of `run`.
        let word = self.0.load(Ordering::Acquire);
        (word & STOPPED == 0).then_some(word)
    }

    /// As [`running`](Self::running), if nothing is granted: the position.
    #[inline]
    fn running_ungranted(&self) -> Option<u64> {
        // ORDERING: as above.
        let word = self.0.load(Ordering::Acquire);
        (word % STEP == 0).then_some(word)
    }

    /// Its position, whether it runs or not.
    #[inline]
    fn position(&self) -> u64 {
        position(self.0.load(Ordering::Relaxed))
    }

    /// Makes it `next`, if it is `word`, and so runs.
    #[inline]
    fn claim(&self, word: u64, next: u64) -> bool {
        self.0
            .compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// The word before.
    fn stop(&self) -> u64 {
        // ORDERING: AcqRel: what was done before is seen by who stops it, and what he has
        // done by whoever finds it stopped.
        self.0.fetch_or(STOPPED, Ordering::AcqRel)
    }

    fn run(&self, word: u64) {
        self.0.store(word, Ordering::Release);
    }

    /// Moves it, stopped.
    #[inline]
    fn set(&self, p: u64) {
        self.0.store(p | STOPPED, Ordering::Release);
    }
}

/// Waits a little, and longer each time: somebody was faster, or is not done yet.
#[cold]
fn stay_away(backoff: &mut Option<Backoff>) {
    backoff
        .get_or_insert_with(|| Backoff::among(Company::Rivals))
        .pause();
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;

    /// From the first position, and from a lap before they wrap around.
    #[test]
    fn positions_are_counted_over_every_end_of_a_lap() {
        for cap in 1..20 {
            let lane = Lane::<u8>::new(cap);
            for first in [0, 0_u64.wrapping_sub(lane.last + STEP)] {
                let mut from = first;
                for _ in 0..3 * cap {
                    let mut to = from;
                    for n in 0..=cap as u64 {
                        assert_eq!((lane.on(from, n), lane.steps(from, to)), (to, n));
                        to = lane.next(to);
                    }
                    assert_eq!(lane.on(from, cap as u64), lane.lap_later(from));
                    from = lane.next(from);
                }
            }
        }
    }

    #[test]
    fn what_is_granted_is_left_to_who_comes_for_it() {
        for cap in 1..10 {
            let lane = Lane::new(cap);
            (0..cap).for_each(|n| lane.push(n));
            lane.run(cap as u32);
            assert_eq!(
                (lane.len_running(), lane.recv()),
                (Some(0), Err(Refused::Idle))
            );
            assert!(!lane.glance_recv().ready && lane.glance_send().ready);
            assert_eq!(lane.redeem(), Some(0));
            lane.send(cap).unwrap();
            assert_eq!(lane.len_running(), Some(1));
            assert!(lane.glance_recv().ready);
            lane.grant().unwrap();
            assert_eq!(lane.grant(), Err(Refused::Idle));
            (1..=cap).for_each(|n| assert_eq!(lane.redeem(), Some(n)));
            assert_eq!((lane.recv(), lane.stop().1), (Err(Refused::Idle), 0));
            assert_eq!((lane.len_stopped(), lane.pop()), (0, None));
        }
    }
}
