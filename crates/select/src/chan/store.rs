//! Where a channel's values lie while its lock is held: in the ring, and aside from it.
//!
//! A lane that has been stopped keeps its values, so that it can run again whatever is in it. What
//! finds no place there, since what is granted takes up places but is not counted, lies in the
//! ring behind it. A front that is stopped gives its values to the ring, and what was there lies in
//! a ring behind it.
//!
//! Invariants:
//!
//! 1. With a lane the ring is empty unless the lane is full, and its values are older than the ring's.
//! 2. The values of a ring behind are newer than the ring's, which may have been taken out already.

use rendez_core::shim::Arc;

use super::lane::Lane;
use super::ring::Ring;
use super::state::State;

/// Where values are that are not in the ring.
pub(crate) enum Aside<T> {
    Lane(Arc<Lane<T>>),
    // Boxed, since most channels never have one.
    Behind(Box<Ring<T>>),
}

/// All values of a channel, dropped in their order. Should one's drop panic, the ring behind is still
/// dropped.
pub(crate) type All<T> = (Ring<T>, Option<Aside<T>>);

impl<T> State<T> {
    /// How many values there are, granted or not.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.ring.len() + self.n_aside
    }

    /// Puts a value behind the others.
    #[inline]
    pub(super) fn push_back(&mut self, value: T) {
        if self.aside.is_none() {
            self.ring.push_back(value);
        } else {
            self.push_back_aside(value);
        }
    }

    // Apart, as the next: most channels have nothing aside.
    #[inline(never)]
    fn push_back_aside(&mut self, value: T) {
        match &mut self.aside {
            Some(Aside::Lane(lane)) if self.n_aside < self.cap.unsigned_abs() => {
                lane.push(value);
                self.n_aside += 1;
            }
            Some(Aside::Behind(behind)) => {
                behind.push_back(value);
                self.n_aside += 1;
            }
            _ => self.ring.push_back(value),
        }
    }

    /// Takes the oldest.
    #[inline]
    pub(super) fn pop_front(&mut self) -> Option<T> {
        if self.aside.is_none() {
            self.ring.pop_front()
        } else {
            self.pop_front_aside()
        }
    }

    #[inline(never)]
    fn pop_front_aside(&mut self) -> Option<T> {
        match &self.aside {
            Some(Aside::Lane(lane)) => {
                let value = lane.pop()?;
                match self.ring.pop_front() {
                    Some(next) => lane.push(next),
                    None => self.n_aside -= 1,
                }
                Some(value)
            }
            _ => {
                if self.ring.is_empty() {
                    self.take_behind();
                }
                self.ring.pop_front()
            }
        }
    }

    /// Puts a value before the others.
    pub(super) fn push_front(&mut self, value: T) {
        self.leave_lane();
        self.ring.push_front(value);
    }

    /// Moves all values to `lane`, which is stopped, unless they are in it. There are no more of
    /// them than it has places.
    pub(super) fn enter_lane(&mut self, lane: &Arc<Lane<T>>) {
        if self.aside.is_none() {
            self.n_aside = self.ring.len();
            while let Some(value) = self.ring.pop_front() {
                lane.push(value);
            }
            self.aside = Some(Aside::Lane(Arc::clone(lane)));
        }
    }

    /// Moves the values of a lane to the ring.
    pub(super) fn leave_lane(&mut self) {
        let Some(Aside::Lane(lane)) = &self.aside else {
            return;
        };
        let mut newer = (!self.ring.is_empty()).then(|| self.ring.take());
        while let Some(value) = lane.pop() {
            self.ring.push_back(value);
        }
        while let Some(value) = newer.as_mut().and_then(Ring::pop_front) {
            self.ring.push_back(value);
        }
        self.n_aside = 0;
        self.aside = None;
    }

    /// Puts the values of `before`, which there are, before those of the ring.
    pub(super) fn set_before(&mut self, before: Ring<T>) {
        debug_assert!(self.aside.is_none());
        if self.ring.is_empty() {
            self.ring = before;
        } else {
            self.n_aside = self.ring.len();
            let behind = std::mem::replace(&mut self.ring, before);
            self.aside = Some(Aside::Behind(Box::new(behind)));
        }
    }

    /// Whether a ring lies behind the ring.
    pub(super) fn has_behind(&self) -> bool {
        matches!(self.aside, Some(Aside::Behind(_)))
    }

    /// Makes the ring behind the ring, which is empty, if there is one.
    pub(super) fn take_behind(&mut self) {
        if let Some(Aside::Behind(behind)) = self
            .aside
            .take_if(|aside| matches!(aside, Aside::Behind(_)))
        {
            self.ring = *behind;
            self.n_aside = 0;
        }
    }

    /// All values, taken away from here.
    pub(super) fn take_all(&mut self) -> All<T> {
        self.leave_lane();
        self.n_aside = 0;
        (self.ring.take(), self.aside.take())
    }
}
