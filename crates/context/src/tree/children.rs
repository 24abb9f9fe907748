//! A node's children: a list through links that lie in the children themselves.
//!
//! Invariants, all under the lock of the node whose list it is:
//!
//! - A link is linked in at most one list, and its node lives as long as it is: a node
//!   takes its links out, under this lock, before it is freed.
//! - What [`Children::drain`] has taken out is touched only while the lock is still held: a
//!   child that is being freed waits for it, unless its LINKED bit has been cleared.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomPinned;
use std::ptr::NonNull;

use rendez_core::shim::UnsafeCell;

use super::node::Node;

/// A child's place in a parent's list.
pub(crate) struct Link {
    cell: UnsafeCell<Links>,
    _pinned: PhantomPinned,
}

#[derive(Clone, Copy)]
struct Links {
    prev: Option<NonNull<Link>>,
    next: Option<NonNull<Link>>,
    // Whose place it is; `None` while it is in no list.
    child: Option<NonNull<Node>>,
}

// SAFETY: `cell` is used under the lock of the list's owner only.
unsafe impl Send for Link {}
// SAFETY: as for Send.
unsafe impl Sync for Link {}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            cell: UnsafeCell::new(Links {
                prev: None,
                next: None,
                child: None,
            }),
            _pinned: PhantomPinned,
        }
    }

    // Both: the caller holds the lock of the list the link is in or about to enter.
    fn get(&self) -> Links {
        // SAFETY: under that lock nobody writes meanwhile.
        self.cell.with(|l| unsafe { *l })
    }

    fn edit(&self, f: impl FnOnce(&mut Links)) {
        // SAFETY: under that lock nobody else has access.
        self.cell.with_mut(|l| f(unsafe { &mut *l }));
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// The list. Guarded by its owner's lock.
// Its end is the `prev` of its beginning: every node has a list, and most are empty.
#[derive(Debug, Default)]
pub(crate) struct Children {
    head: Option<NonNull<Link>>,
}

// SAFETY: the links it points to are Sync and outlive their stay (see the file's head).
unsafe impl Send for Children {}

impl Children {
    /// Puts `child` at the end.
    ///
    /// # Safety
    ///
    /// `link` is one of `child`'s and in no list; neither moves, and the child takes the
    /// link out with [`remove`](Self::remove) before it is freed.
    pub(crate) unsafe fn push(&mut self, link: &Link, child: &Node) {
        let at = NonNull::from(link);
        // SAFETY: linked links live.
        let head = self.head.map(|head| unsafe { head.as_ref() });
        let tail = head.and_then(|head| head.get().prev);
        link.edit(|l| {
            debug_assert!(l.child.is_none());
            *l = Links {
                prev: tail.or(Some(at)),
                next: None,
                child: Some(NonNull::from(child)),
            };
        });
        match (head, tail) {
            (Some(head), Some(tail)) => {
                // SAFETY: as above.
                unsafe { tail.as_ref() }.edit(|l| l.next = Some(at));
                head.edit(|l| l.prev = Some(at));
            }
            _ => self.head = Some(at),
        }
    }

    /// Takes `link` out, if it is in. It must be in this list or in none.
    pub(crate) fn remove(&mut self, link: &Link) {
        let links = link.get();
        if links.child.is_none() {
            return;
        }
        match links.prev {
            Some(prev) if self.head != Some(NonNull::from(link)) => {
                // SAFETY: linked links live.
                unsafe { prev.as_ref() }.edit(|l| l.next = links.next);
            }
            _ => self.head = links.next,
        }
        // The one after it, or, if it was the end, the beginning.
        if let Some(next) = links.next.or(self.head) {
            // SAFETY: as above.
            unsafe { next.as_ref() }.edit(|l| l.prev = links.prev);
        }
        link.edit(|l| l.child = None);
    }

    /// Takes all out, one at a time.
    pub(crate) fn drain(&mut self) -> Drain {
        Drain(self.head.take())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_none()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        let mut n = 0;
        let mut at = self.head;
        while let Some(link) = at {
            n += 1;
            // SAFETY: linked links live.
            at = unsafe { link.as_ref() }.get().next;
        }
        n
    }
}

/// Children that have been taken out of a list whose lock is still held.
#[derive(Debug, Default)]
pub(crate) struct Drain(Option<NonNull<Link>>);

impl Drain {
    /// The next, by its link. Reads all of the link before it returns.
    ///
    /// # Safety
    ///
    /// The lock of the list that was drained is still held; what is returned is used only
    /// as long as it is, and not after the child's LINKED bit has been cleared.
    pub(crate) unsafe fn next<'a>(&mut self) -> Option<(&'a Node, &'a Link)> {
        // SAFETY: it was linked when the list was drained, and its node cannot be freed
        // before the lock is released, since its LINKED bit is set.
        let link = unsafe { self.0?.as_ref() };
        let links = link.get();
        link.edit(|l| l.child = None);
        self.0 = links.next;
        // SAFETY: as above.
        let child = unsafe { links.child?.as_ref() };
        Some((child, link))
    }
}
