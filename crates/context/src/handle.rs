//! What a context's handle is: one word.
//!
//! ```text
//! word: | a pointer | 0 |     a node that can end          (`tree/shared.rs`)
//!       | a pointer | 1 |     a value                      (`value.rs`)
//!       |  0 or 4   | 2 |     background, todo
//! ```
//!
//! A chain of contexts is taken down in a loop ([`unravel`]), however long it is, and whichever
//! of its values panics.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::context::Context;
use crate::tree::counts::Last;
use crate::tree::node::Node;
use crate::tree::shared::{self, Shared};
use crate::value::{self, Valued};

const VALUE: usize = 1;
const ROOT: usize = 2;
const KIND: usize = 3;
const BACKGROUND: usize = ROOT;
const TODO: usize = 4 | ROOT;

/// A counted pointer to a place in a chain of contexts, or none.
pub(crate) struct Handle(NonNull<()>);

// SAFETY: nodes and values are Send and Sync, and their counts atomic.
unsafe impl Send for Handle {}
// SAFETY: as for Send.
unsafe impl Sync for Handle {}

/// What a handle points to.
#[derive(Clone, Copy)]
pub(crate) enum View<'a> {
    Background,
    Todo,
    Node(NodeRef<'a>),
    Value(Valued<'a>),
}

/// A node that a handle keeps.
#[derive(Clone, Copy)]
pub(crate) struct NodeRef<'a>(NonNull<Node>, PhantomData<&'a Node>);

impl<'a> NodeRef<'a> {
    /// # Safety
    ///
    /// `at` came out of a [`Shared`], and somebody keeps the node for `'a`.
    #[inline]
    pub(crate) unsafe fn new(at: NonNull<Node>) -> Self {
        Self(at, PhantomData)
    }

    #[inline]
    pub(crate) fn get(self) -> &'a Node {
        // SAFETY: kept for `'a`.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn as_ptr(self) -> NonNull<Node> {
        self.0
    }

    pub(crate) fn share(self) -> Shared {
        // SAFETY: as it was made.
        unsafe { Shared::another(self.0) }
    }
}

/// A cell whose last handle has been taken away.
pub(crate) enum Gone {
    Node(NonNull<Node>, Last),
    Value(NonNull<value::Head>),
}

impl Handle {
    pub(crate) const fn background() -> Self {
        Self::root(BACKGROUND)
    }

    pub(crate) const fn todo() -> Self {
        Self::root(TODO)
    }

    const fn root(word: usize) -> Self {
        // SAFETY: no root's word is zero.
        Self(unsafe { NonNull::new_unchecked(ptr::without_provenance_mut(word)) })
    }

    pub(crate) fn of_node(node: Shared) -> Self {
        Self(node.into_raw().cast())
    }

    /// Takes over the one count of a value that has been made.
    pub(crate) fn of_value(at: NonNull<value::Head>) -> Self {
        Self(at.cast().map_addr(|a| a | VALUE))
    }

    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        let word = self.0.addr().get();
        match word & KIND {
            // SAFETY: a word of this kind came from a `Shared`, whose count we have.
            0 => View::Node(unsafe { NodeRef::new(self.0.cast()) }),
            // SAFETY: one of this kind came from `of_value`, and we have its count.
            VALUE => View::Value(unsafe { Valued::new(self.pointer()) }),
            _ if word == BACKGROUND => View::Background,
            _ => View::Todo,
        }
    }

    /// A value's address.
    #[inline]
    fn pointer(&self) -> NonNull<value::Head> {
        // SAFETY: values are aligned, and none lies at zero.
        let at = unsafe { NonNull::new_unchecked(self.0.as_ptr().map_addr(|a| a & !KIND)) };
        at.cast()
    }

    /// Gives the count up; what that leaves to be taken down.
    fn release(self) -> Option<Gone> {
        let this = ManuallyDrop::new(self);
        match this.view() {
            View::Background | View::Todo => None,
            View::Node(node) => {
                let last = node.get().counts.remove()?;
                Some(Gone::Node(node.as_ptr(), last))
            }
            View::Value(_) => {
                let at = this.pointer();
                // SAFETY: the handle came from `of_value`, and is given up here.
                unsafe { value::release(at) }.then_some(Gone::Value(at))
            }
        }
    }
}

impl Clone for Handle {
    #[inline]
    fn clone(&self) -> Self {
        match self.view() {
            View::Background | View::Todo => {}
            View::Node(node) => node.get().counts.add(),
            View::Value(value) => value.head().retain(),
        }
        Self(self.0)
    }
}

impl Drop for Handle {
    #[inline]
    fn drop(&mut self) {
        match Self(self.0).release() {
            None => {}
            Some(Gone::Value(at)) => {
                // SAFETY: its last handle is gone.
                let parent = unsafe { value::take_parent(at) };
                if let Some(gone) = parent.at.release() {
                    unravel(gone);
                }
                // What its own handle's drop drops may panic there.
                // SAFETY: as above.
                unsafe { value::free(at) };
            }
            Some(gone) => unravel(gone),
        }
    }
}

/// Takes `gone` down, and all above it whose last handle that was.
pub(crate) fn unravel(gone: Gone) {
    let mut others: Vec<Context> = Vec::new();
    let mut next = Some(gone);
    while let Some(gone) = next {
        let parent = match gone {
            // SAFETY: the last strong handle has been taken away, and this was left.
            Gone::Node(at, last) => unsafe { shared::take_down(at, last, &mut others) },
            Gone::Value(at) => {
                // SAFETY: the last handle has been taken away.
                let parent = unsafe { value::take_parent(at) };
                // SAFETY: as above; nobody touches it after this.
                rendez_core::quiet::drop_quietly(OnDrop(|| unsafe { value::free(at) }));
                parent
            }
        };
        next = parent.at.release();
        while next.is_none() {
            match others.pop() {
                Some(other) => next = other.at.release(),
                None => return,
            }
        }
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
