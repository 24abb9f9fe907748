//! A node's memory, and who keeps it: handles that count.
//!
//! A node with a deadline of its own has that, and the alarm for it, behind it in the same
//! memory ([`Timed`]), and every node below that has no earlier one points there: it is an
//! ancestor's, which its parents keep. So most nodes pay one word for deadlines.
//!
//! Invariants:
//!
//! - A node lies in a [`Timed`] if and only if its [`Node::due`] points to itself.
//! - [`Counts`] says who frees: a node is taken down once, by whoever had the last strong
//!   handle, and its memory freed once.
#![allow(unsafe_code)]

use std::mem::{self, ManuallyDrop, MaybeUninit};
use std::ops::Deref;
use std::panic::Location;
use std::ptr::NonNull;
use std::time::Instant;

use rendez_core::clock::Alarm;
use rendez_core::quiet::drop_quietly;
use rendez_core::shim::UnsafeCell;

use super::counts::Last;
use super::node::{Kind, Node};
use crate::context::Context;
use crate::handle::{self, Gone};

/// A node with a deadline of its own. The node comes first: a pointer to it is one to both.
#[repr(C)]
pub(crate) struct Timed {
    node: Node,
    pub(crate) deadline: Instant,
    // Under the node's lock.
    alarm: UnsafeCell<Alarm>,
}

impl Timed {
    pub(crate) fn node(&self) -> &Node {
        &self.node
    }

    /// Puts `alarm` in the place of the one there.
    ///
    /// # Safety
    ///
    /// The caller holds the node's lock.
    pub(super) unsafe fn swap_alarm(&self, alarm: Alarm) -> Alarm {
        // SAFETY: by the caller nobody else has access.
        self.alarm
            .with_mut(|a| mem::replace(unsafe { &mut *a }, alarm))
    }
}

/// When a node that is made ends at the latest.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// At a time of its own.
    Own(Instant),
    /// With an ancestor, or never.
    Of(Option<NonNull<Timed>>),
}

/// A handle that keeps the node alive.
pub(crate) struct Shared(NonNull<Node>);

// SAFETY: a node is Send and Sync, and its counts are atomic.
unsafe impl Send for Shared {}
// SAFETY: as for Send.
unsafe impl Sync for Shared {}

impl Shared {
    /// Two handles of a node that lives, in no list yet.
    pub(crate) fn pair(
        parent: Context,
        kind: Option<Box<Kind>>,
        due: Due,
        made_at: &'static Location<'static>,
    ) -> (Self, Self) {
        let at = match due {
            Due::Own(deadline) => {
                let at = room::<Timed>();
                // SAFETY: the room is ours; every field is written, the node below.
                unsafe {
                    (&raw mut (*at.as_ptr()).deadline).write(deadline);
                    (&raw mut (*at.as_ptr()).alarm).write(UnsafeCell::new(Alarm::new()));
                }
                Node::write(at.cast(), parent, kind, Some(at), made_at);
                at.cast()
            }
            Due::Of(ancestor) => {
                let at = room();
                Node::write(at, parent, kind, ancestor, made_at);
                at
            }
        };
        (Self(at), Self(at))
    }

    /// Gives its count to who takes the pointer.
    pub(crate) fn into_raw(self) -> NonNull<Node> {
        ManuallyDrop::new(self).0
    }

    /// One more handle of a node.
    ///
    /// # Safety
    ///
    /// `at` came out of a `Shared`, and somebody keeps the node.
    pub(crate) unsafe fn another(at: NonNull<Node>) -> Self {
        // SAFETY: by the caller.
        unsafe { at.as_ref() }.counts.add();
        Self(at)
    }

    pub(crate) fn downgrade(&self) -> Weak {
        self.counts.add_weak();
        Weak(self.0)
    }
}

impl Deref for Shared {
    type Target = Node;

    #[inline]
    fn deref(&self) -> &Node {
        // SAFETY: our count keeps it.
        unsafe { self.0.as_ref() }
    }
}

impl Clone for Shared {
    fn clone(&self) -> Self {
        // SAFETY: our count keeps it.
        unsafe { Self::another(self.0) }
    }
}

impl Drop for Shared {
    #[inline]
    fn drop(&mut self) {
        if let Some(last) = self.counts.remove() {
            handle::unravel(Gone::Node(self.0, last));
        }
    }
}

/// A handle that keeps the memory only.
pub(crate) struct Weak(NonNull<Node>);

// SAFETY: as for `Shared`.
unsafe impl Send for Weak {}
// SAFETY: as for `Shared`.
unsafe impl Sync for Weak {}

impl Weak {
    pub(crate) fn upgrade(&self) -> Option<Shared> {
        // SAFETY: our count keeps the memory; the counts outlive the node.
        let lives = unsafe { &(*self.0.as_ptr()).counts }.upgrade();
        lives.then(|| Shared(self.0))
    }

    /// Gives its count to who takes the pointer.
    pub(crate) fn into_raw(self) -> *const () {
        ManuallyDrop::new(self).0.as_ptr().cast_const().cast()
    }

    /// # Safety
    ///
    /// `raw` came out of [`into_raw`](Self::into_raw), and its count is not used twice.
    pub(crate) unsafe fn from_raw(raw: *const ()) -> Self {
        // SAFETY: by the caller it came from a pointer that is not null.
        Self(unsafe { NonNull::new_unchecked(raw.cast_mut().cast()) })
    }
}

impl Clone for Weak {
    fn clone(&self) -> Self {
        // SAFETY: as in `upgrade`.
        unsafe { &(*self.0.as_ptr()).counts }.add_weak();
        Self(self.0)
    }
}

impl Drop for Weak {
    fn drop(&mut self) {
        // SAFETY: as in `upgrade`.
        if unsafe { &(*self.0.as_ptr()).counts }.remove_weak() {
            // SAFETY: it was the last handle of all, so the node has been taken down.
            unsafe { free(self.0) };
        }
    }
}

/// Takes a node down: out of its parents' lists, and what it holds dropped. Gives the first
/// of its parents, and into `others` the rest.
///
/// # Safety
///
/// The caller has taken away the last strong handle, and that left `last`.
pub(crate) unsafe fn take_down(
    at: NonNull<Node>,
    last: Last,
    others: &mut Vec<Context>,
) -> Context {
    let node = at.as_ptr();
    // SAFETY: of all that is left only weak handles may look, and at the counts only. The
    // node's parts are taken out once, here; the memory is freed by whoever has the last
    // handle of all.
    unsafe {
        (*node).unlink();
        let parent = (&raw const (*node).parent).read();
        let kind = (&raw const (*node).kind).read();
        (&raw mut (*node).inner).drop_in_place();
        if (*node).is_timed() {
            (&raw mut (*at.cast::<Timed>().as_ptr()).alarm).drop_in_place();
        }
        if last == Last::Alone || (*node).counts.remove_weak() {
            free(at);
        }
        match kind.map(|kind| *kind) {
            None => {}
            Some(Kind::Merged(merged)) => merged.give_up(others),
            kind => drop_quietly(kind),
        }
        parent
    }
}

fn room<T>() -> NonNull<T> {
    let room = Box::<T>::new_uninit();
    NonNull::from(Box::leak(room)).cast()
}

/// # Safety
///
/// The node has been taken down, and nobody else has a handle.
unsafe fn free(at: NonNull<Node>) {
    // SAFETY: by the caller the memory is ours, made by `room` for what it is said to be.
    unsafe {
        if at.as_ref().is_timed() {
            drop(Box::from_raw(at.cast::<MaybeUninit<Timed>>().as_ptr()));
        } else {
            drop(Box::from_raw(at.cast::<MaybeUninit<Node>>().as_ptr()));
        }
    }
}
