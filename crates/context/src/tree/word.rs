//! A node's state in one word: whether it has ended, and who did it.
//!
//! ```text
//! word: | who ended it: a pointer, null while it lives | LINKED (bit 1) | OCCUPIED (bit 0) |
//!
//!  LIVE ──end_vacant──▶ ENDED                 by one CAS, without the node's lock
//!  LIVE ──occupy──▶ LIVE|OCCUPIED ──end_occupied──▶ ENDED|OCCUPIED      under its lock
//! ```
//!
//! - **OCCUPIED** is set, under the node's lock, before anything is put into what the lock
//!   guards: a waiter, a child, an alarm, a closure, a cause. It stays. Once it is set the node
//!   ends under its lock only; while it is not, there is nobody to tell.
//! - **LINKED**: the node may stand in its parent's list: set from the start, if it has a
//!   parent that can end. Cleared by whoever takes it out, as their last access to it: a node
//!   without it may be freed without asking the parent. A merged node, which several may take
//!   out of several lists, keeps it.
//! - The pointer is the place that cancelled, or one of [`MARKS`].
//!
//! ORDERING: the store that ends a node is Release and every look at the word Acquire, so what
//! was written before the end, a cause above all, is seen by whoever sees the end.
#![allow(unsafe_code)]

use std::panic::Location;
use std::ptr;

use rendez_core::shim::atomic::{AtomicPtr, Ordering};

use crate::error::ContextError;

const OCCUPIED: usize = 1;
const LINKED: usize = 2;
const FLAGS: usize = OCCUPIED | LINKED;

/// What stands for a location where there is none: statics, for their addresses.
#[repr(align(4))]
struct Mark(#[expect(dead_code, reason = "an address needs a byte")] u32);

static MARKS: [Mark; 5] = [Mark(0), Mark(1), Mark(2), Mark(3), Mark(4)];
const EXPIRED: usize = 0;
const WITH_PARENT_EXPIRED: usize = 1;
const N_EXPIRED: usize = 2;
const WITH_PARENT_CANCELED: usize = 2;
const DROPPED: usize = 3;
const GIVEN: usize = 4;

/// Who ended a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// A call of `cancel` here.
    At(&'static Location<'static>),
    /// Its `Cancel` was dropped.
    Dropped,
    /// Somebody who gave a cause, which the node keeps.
    Given,
    /// Its own deadline.
    Expired,
    /// Its parent, which ended as said.
    WithParent(ContextError),
}

impl Why {
    pub(crate) fn err(self) -> ContextError {
        match self {
            Self::Expired => ContextError::DeadlineExceeded,
            Self::WithParent(err) => err,
            _ => ContextError::Canceled,
        }
    }

    fn pointer(self) -> *mut () {
        let mark = match self {
            Self::At(location) => return ptr::from_ref(location).cast_mut().cast(),
            Self::Expired => EXPIRED,
            Self::WithParent(ContextError::DeadlineExceeded) => WITH_PARENT_EXPIRED,
            Self::WithParent(ContextError::Canceled) => WITH_PARENT_CANCELED,
            Self::Dropped => DROPPED,
            Self::Given => GIVEN,
        };
        ptr::from_ref(&MARKS[mark]).cast_mut().cast()
    }
}

/// The word as it was at one look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct State(*mut ());

impl State {
    pub(crate) fn is_occupied(self) -> bool {
        self.0.addr() & OCCUPIED != 0
    }

    pub(crate) fn is_linked(self) -> bool {
        self.0.addr() & LINKED != 0
    }

    #[inline]
    pub(crate) fn has_ended(self) -> bool {
        self.0.addr() > FLAGS
    }

    #[inline]
    pub(crate) fn err(self) -> Option<ContextError> {
        if !self.has_ended() {
            return None;
        }
        let first = ptr::from_ref(&MARKS).addr();
        let expired = (self.0.addr() & !FLAGS).wrapping_sub(first) < N_EXPIRED * size_of::<Mark>();
        Some(if expired {
            ContextError::DeadlineExceeded
        } else {
            ContextError::Canceled
        })
    }

    pub(crate) fn why(self) -> Option<Why> {
        if !self.has_ended() {
            return None;
        }
        let pointer = self.0.map_addr(|a| a & !FLAGS);
        let offset = pointer.addr().wrapping_sub(ptr::from_ref(&MARKS).addr());
        Some(match offset / size_of::<Mark>() {
            EXPIRED => Why::Expired,
            WITH_PARENT_EXPIRED => Why::WithParent(ContextError::DeadlineExceeded),
            WITH_PARENT_CANCELED => Why::WithParent(ContextError::Canceled),
            DROPPED => Why::Dropped,
            GIVEN => Why::Given,
            // SAFETY: what is no mark was made from a `&'static Location`, in `pointer`.
            _ => Why::At(unsafe { &*pointer.cast_const().cast() }),
        })
    }

    fn flags(self) -> usize {
        self.0.addr() & FLAGS
    }
}

/// The word.
#[derive(Debug)]
pub(crate) struct Word(AtomicPtr<()>);

impl Word {
    /// Of a node that lives; `linked` says whether it has a parent's list to stand in.
    pub(crate) fn new(linked: bool) -> Self {
        let flags = if linked { LINKED } else { 0 };
        Self(AtomicPtr::new(ptr::without_provenance_mut(flags)))
    }

    #[inline]
    pub(crate) fn load(&self) -> State {
        State(self.0.load(Ordering::Acquire))
    }

    /// Ends the node, if it lives and is not occupied. It is in its parent's list no more:
    /// the caller holds the lock of that, and nobody touches the node for the parent's sake
    /// after this.
    pub(crate) fn end_vacant(&self, why: Why) -> Result<(), State> {
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            let state = State(before);
            if state.has_ended() || state.is_occupied() {
                return Err(state);
            }
            match self.exchange(before, why.pointer()) {
                Ok(()) => return Ok(()),
                Err(now) => before = now,
            }
        }
    }

    /// Ends the node; the caller holds its lock and has found it occupied and living.
    pub(crate) fn end_occupied(&self, why: Why) {
        let state = self.load();
        debug_assert!(state.is_occupied() && !state.has_ended());
        // Nobody else writes: those who would end it, or occupy it, need the lock, and it is
        // let go of only once it has ended.
        let ended = why.pointer().map_addr(|a| a | state.flags());
        self.0.store(ended, Ordering::Release);
    }

    /// Sets OCCUPIED; the caller holds the node's lock. Returns the state before.
    pub(crate) fn occupy(&self) -> State {
        let state = self.load();
        if state.is_occupied() {
            return state;
        }
        self.update(|state| state.0.map_addr(|a| a | OCCUPIED))
    }

    /// Clears LINKED. The node has ended, occupied, so that its word changes in this alone;
    /// of two who clear it the second holds a handle.
    pub(crate) fn clear_linked(&self) {
        let state = self.load();
        debug_assert!(state.is_occupied() && state.has_ended());
        let left = state.0.map_addr(|a| a & !LINKED);
        self.0.store(left, Ordering::Release);
    }

    fn update(&self, to: impl Fn(State) -> *mut ()) -> State {
        let mut before = self.0.load(Ordering::Acquire);
        loop {
            match self.exchange(before, to(State(before))) {
                Ok(()) => return State(before),
                Err(now) => before = now,
            }
        }
    }

    fn exchange(&self, before: *mut (), after: *mut ()) -> Result<(), *mut ()> {
        self.0
            .compare_exchange_weak(before, after, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_is_read_back_as_it_was_written() {
        for why in [
            Why::At(Location::caller()),
            Why::Dropped,
            Why::Given,
            Why::Expired,
            Why::WithParent(ContextError::Canceled),
            Why::WithParent(ContextError::DeadlineExceeded),
        ] {
            let vacant = Word::new(true);
            vacant.end_vacant(why).unwrap();
            assert_eq!(vacant.load().why(), Some(why));
            assert_eq!(vacant.load().err(), Some(why.err()));
            assert!(!vacant.load().is_linked());

            let occupied = Word::new(false);
            assert!(!occupied.occupy().has_ended());
            assert!(occupied.end_vacant(why).is_err());
            occupied.end_occupied(why);
            assert_eq!(occupied.load().why(), Some(why));
            assert_eq!(occupied.load().err(), Some(why.err()));
        }
    }

    #[test]
    fn a_node_ends_once() {
        let word = Word::new(false);
        assert_eq!(word.load().err(), None);
        assert!(word.end_vacant(Why::Dropped).is_ok());
        assert!(word.end_vacant(Why::Expired).is_err());
        assert_eq!(word.load().why(), Some(Why::Dropped));
        assert!(word.occupy().has_ended());
    }
}
