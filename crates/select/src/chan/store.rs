//! Where a channel's values lie while its lock is held: in the ring, or in the lane.
//!
//! A lane that has been stopped keeps its values, so that it can run again whatever is in it. What
//! finds no place there, since what is granted takes up places but is not counted, lies in the
//! ring behind it.
//!
//! Invariants, if there is a lane here:
//!
//! 1. The ring is empty unless the lane is full.
//! 2. The lane's values are older than the ring's.

use rendez_core::shim::Arc;

use super::lane::Lane;
use super::ring::Ring;
use super::state::State;

impl<T> State<T> {
    /// How many values there are, granted or not.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.ring.len() + self.in_lane
    }

    /// Puts a value behind the others.
    #[inline]
    pub(super) fn push_back(&mut self, value: T) {
        if self.lane.is_none() {
            self.ring.push_back(value);
        } else {
            self.push_back_laned(value);
        }
    }

    // Apart, as the next: most channels have no lane.
    #[inline(never)]
    fn push_back_laned(&mut self, value: T) {
        match &self.lane {
            Some(lane) if self.in_lane < self.cap.unsigned_abs() => {
                lane.push(value);
                self.in_lane += 1;
            }
            _ => self.ring.push_back(value),
        }
    }

    /// Takes the oldest.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<T> {
        if self.lane.is_none() {
            self.ring.pop_front()
        } else {
            self.pop_front_laned()
        }
    }

    #[inline(never)]
    fn pop_front_laned(&mut self) -> Option<T> {
        let lane = self.lane.as_ref()?;
        let value = lane.pop()?;
        match self.ring.pop_front() {
            Some(next) => lane.push(next),
            None => self.in_lane -= 1,
        }
        Some(value)
    }

    /// Puts a value before the others.
    pub(super) fn push_front(&mut self, value: T) {
        self.leave_lane();
        self.ring.push_front(value);
    }

    /// Moves all values to `lane`, which is stopped, unless they are in it. There are no more of
    /// them than it has places.
    pub(super) fn enter_lane(&mut self, lane: &Arc<Lane<T>>) {
        if self.lane.is_none() {
            self.in_lane = self.ring.len();
            while let Some(value) = self.ring.pop_front() {
                lane.push(value);
            }
            self.lane = Some(Arc::clone(lane));
        }
    }

    /// Moves all values to the ring.
    pub(super) fn leave_lane(&mut self) {
        let Some(lane) = self.lane.take() else {
            return;
        };
        self.in_lane = 0;
        let mut newer = (!self.ring.is_empty()).then(|| self.ring.take());
        while let Some(value) = lane.pop() {
            self.ring.push_back(value);
        }
        while let Some(value) = newer.as_mut().and_then(Ring::pop_front) {
            self.ring.push_back(value);
        }
    }
}
