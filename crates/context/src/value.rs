//! Contexts that carry a value, found by its type.
//!
//! A context that does not end with its parent is one, too: its value is the private
//! [`Detached`], and it has no node to end with.
//!
//! Invariants: a value's cell is one allocation, headed by a [`Head`], through which alone it is
//! known; it lives as long as handles are counted there; the node it ends with is kept by its
//! parent.
#![allow(unsafe_code)]

use std::any::{TypeId, type_name};
use std::marker::PhantomData;
use std::ptr::NonNull;

use rendez_core::shim::atomic::{AtomicUsize, Ordering, fence};

use crate::context::Context;
use crate::handle::NodeRef;
use crate::tree::node::Node;

/// The value of a context that does not end with its parent.
pub(crate) struct Detached;

/// The part of a cell that does not depend on what its value is.
pub(crate) struct Head {
    // How many handles there are.
    count: AtomicUsize,
    parent: Context,
    // What it ends with; the parent keeps it.
    node: Option<NonNull<Node>>,
    type_id: TypeId,
    of_type: &'static OfType,
}

// The head comes first, so that a pointer to it is a pointer to the cell.
#[repr(C)]
struct Cell<V> {
    head: Head,
    value: V,
}

struct OfType {
    name: fn() -> &'static str,
    free: unsafe fn(NonNull<Head>),
}

impl<V: Send + Sync + 'static> Cell<V> {
    const OF_TYPE: OfType = OfType {
        name: type_name::<V>,
        free: Self::free,
    };

    unsafe fn free(at: NonNull<Head>) {
        // SAFETY: the cell is of our type, made in `new`, and the caller's alone.
        drop(unsafe { Box::from_raw(at.cast::<Self>().as_ptr()) });
    }
}

impl Head {
    pub(crate) fn retain(&self) {
        // ORDERING: Relaxed, as the caller's own handle keeps the cell.
        let before = self.count.fetch_add(1, Ordering::Relaxed);
        if before > usize::MAX / 2 {
            std::process::abort();
        }
    }
}

/// Takes a handle of `at` away; whether it was the last.
///
/// By pointer: once it is taken away another's may be the last, and free the cell, so no
/// reference to it lives on.
///
/// # Safety
///
/// `at` came out of [`new`], and the handle is the caller's, who has it no more.
pub(crate) unsafe fn release(at: NonNull<Head>) -> bool {
    // SAFETY: by the caller the cell is there until the count has been lowered.
    let count = unsafe { &raw const (*at.as_ptr()).count };
    // SAFETY: as above; who lowers an atomic does not touch it after that.
    // ORDERING: Release, and Acquire for the last: what every handle did comes first.
    let last = unsafe { &*count }.fetch_sub(1, Ordering::Release) == 1;
    if last {
        fence(Ordering::Acquire);
    }
    last
}

/// A cell with one handle, which is the caller's.
pub(crate) fn new<V: Send + Sync + 'static>(parent: Context, value: V) -> NonNull<Head> {
    let is_detached = TypeId::of::<V>() == TypeId::of::<Detached>();
    let node = parent.node_ref().filter(|_| !is_detached);
    let cell = Box::new(Cell {
        head: Head {
            count: AtomicUsize::new(1),
            node: node.map(NodeRef::as_ptr),
            parent,
            type_id: TypeId::of::<V>(),
            of_type: &Cell::<V>::OF_TYPE,
        },
        value,
    });
    NonNull::from(Box::leak(cell)).cast()
}

/// A cell that a handle keeps.
#[derive(Clone, Copy)]
pub(crate) struct Valued<'a>(NonNull<Head>, PhantomData<&'a Head>);

impl<'a> Valued<'a> {
    /// # Safety
    ///
    /// `at` came out of [`new`], and a handle keeps it for `'a`.
    #[inline]
    pub(crate) unsafe fn new(at: NonNull<Head>) -> Self {
        Self(at, PhantomData)
    }

    #[inline]
    pub(crate) fn head(self) -> &'a Head {
        // SAFETY: kept for `'a`.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn parent(self) -> &'a Context {
        &self.head().parent
    }

    /// What it ends with.
    #[inline]
    pub(crate) fn node(self) -> Option<NodeRef<'a>> {
        let at = self.head().node?;
        // SAFETY: it came from a handle of the parent's, which keeps the node.
        Some(unsafe { NodeRef::new(at) })
    }

    #[inline]
    pub(crate) fn get<V: 'static>(self) -> Option<&'a V> {
        let is_that = self.head().type_id == TypeId::of::<V>();
        // SAFETY: the cell is of that type, and kept for `'a`.
        is_that.then(|| unsafe { &(*self.0.cast::<Cell<V>>().as_ptr()).value })
    }

    pub(crate) fn is_detached(self) -> bool {
        self.get::<Detached>().is_some()
    }

    pub(crate) fn type_name(self) -> &'static str {
        (self.head().of_type.name)()
    }
}

/// Takes the parent of a cell that is about to be freed.
///
/// # Safety
///
/// The last handle of `at` has been taken away.
pub(crate) unsafe fn take_parent(mut at: NonNull<Head>) -> Context {
    // SAFETY: the cell is the caller's alone.
    let head = unsafe { at.as_mut() };
    std::mem::take(&mut head.parent)
}

/// Drops the value, and frees the cell even if that panics.
///
/// # Safety
///
/// As for [`take_parent`], and nobody touches it after this.
pub(crate) unsafe fn free(at: NonNull<Head>) {
    // SAFETY: by the caller.
    unsafe { (at.as_ref().of_type.free)(at) };
}
