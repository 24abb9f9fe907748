//! What the trie is made of: entries, crowds, branches, and the tagged pointers between them.
//!
//! | bits of a link | |
//! |---|---|
//! | `00`, null | nothing |
//! | `00` | an [`Entry`]: a key and its value |
//! | `01` | a [`Branch`]: slots for what follows in the hash |
//! | `10` | a [`Crowd`]: the entries of several keys that have one hash |
//! | `1..` | frozen: the slot changes no more, its branch is about to be replaced |
//!
//! Entries and crowds never change. What a slot holds is owned through it; whoever replaces it
//! retires what is not in the place of it.
#![allow(unsafe_code)]

use std::borrow::Borrow;
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::{self, NonNull};

use rendez_core::shim::atomic::{AtomicPtr, Ordering};

use super::reclaim::Pin;

/// How many bits of the hash a branch tells apart.
pub(super) const BITS: u32 = if cfg!(rendez_loom) { 1 } else { 4 };
const WIDTH: usize = 1 << BITS;

const BRANCH: usize = 0b001;
const CROWD: usize = 0b010;
const FROZEN: usize = 0b100;
const TAGS: usize = 0b111;

/// A key and its value. Aligned so that the tags have room.
#[repr(align(8))]
pub(super) struct Entry<K, V> {
    /// Kept so that the user's hasher runs once per call, and keys are compared if it is equal.
    pub(super) hash: u64,
    pub(super) key: K,
    pub(super) value: V,
}

/// Entries of one hash, two at least.
#[repr(align(8))]
pub(super) struct Crowd<K, V> {
    pub(super) hash: u64,
    pub(super) entries: Vec<NonNull<Entry<K, V>>>,
}

/// A slot for each value of the next bits of the hash.
#[repr(align(8))]
pub(super) struct Branch<K, V> {
    pub(super) slots: [Slot<K, V>; WIDTH],
}

/// Holds a link.
pub(super) struct Slot<K, V>(AtomicPtr<()>, PhantomData<Link<K, V>>);

/// A tagged pointer, or none.
pub(super) struct Link<K, V>(*mut (), PhantomData<*mut (K, V)>);

/// What a link points to.
pub(super) enum Child<'g, K, V> {
    Nothing,
    Entry(Shared<'g, Entry<K, V>>),
    Crowd(Shared<'g, Crowd<K, V>>),
    Branch(Shared<'g, Branch<K, V>>),
}

/// A reference that can be turned back into the pointer it was made from, to be linked
/// elsewhere or retired.
pub(super) struct Shared<'g, T>(NonNull<T>, PhantomData<&'g T>);

impl<T> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Shared<'_, T> {}

impl<'g, T> Shared<'g, T> {
    /// # Safety
    ///
    /// It is valid for `'g`.
    #[inline]
    unsafe fn new(pointer: NonNull<T>) -> Self {
        Self(pointer, PhantomData)
    }

    #[inline]
    pub(super) fn pointer(self) -> NonNull<T> {
        self.0
    }

    #[inline]
    pub(super) fn get(self) -> &'g T {
        // SAFETY: it is valid for `'g`.
        unsafe { self.0.as_ref() }
    }
}

/// A box that others may have pointers into once it is shared.
pub(super) struct Unshared<T>(NonNull<T>);

impl<T> Unshared<T> {
    pub(super) fn new(value: T) -> Self {
        Self(NonNull::from(Box::leak(Box::new(value))))
    }

    /// Leaves it to the slot that holds it now.
    #[inline]
    pub(super) fn share<'g>(self) -> Shared<'g, T> {
        let shared = Shared(self.0, PhantomData);
        std::mem::forget(self);
        shared
    }

    #[inline]
    pub(super) fn pointer(&self) -> NonNull<T> {
        self.0
    }
}

impl<T> Deref for Unshared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: it is a box of ours.
        unsafe { self.0.as_ref() }
    }
}

impl<T> Drop for Unshared<T> {
    fn drop(&mut self) {
        // SAFETY: it was never shared, or `drop` would not run.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl<K, V> Clone for Link<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Link<K, V> {}

impl<K, V> Link<K, V> {
    pub(super) const NOTHING: Self = Self(ptr::null_mut(), PhantomData);

    #[inline]
    fn tagged<T>(pointer: NonNull<T>, tag: usize) -> Self {
        let pointer = pointer.as_ptr().cast::<()>();
        Self(pointer.map_addr(|at| at | tag), PhantomData)
    }

    #[inline]
    pub(super) fn entry(entry: NonNull<Entry<K, V>>) -> Self {
        Self::tagged(entry, 0)
    }

    pub(super) fn crowd(crowd: NonNull<Crowd<K, V>>) -> Self {
        Self::tagged(crowd, CROWD)
    }

    pub(super) fn branch(branch: NonNull<Branch<K, V>>) -> Self {
        Self::tagged(branch, BRANCH)
    }

    /// The same, not frozen.
    fn thawed(self) -> Self {
        Self(self.0.map_addr(|at| at & !FROZEN), PhantomData)
    }

    #[inline]
    pub(super) fn is_frozen(self) -> bool {
        self.0.addr() & FROZEN != 0
    }

    pub(super) fn is_nothing(self) -> bool {
        self.0.addr() & !FROZEN == 0
    }

    pub(super) fn is_branch(self) -> bool {
        self.0.addr() & BRANCH != 0
    }

    /// The pointer as it was made.
    ///
    /// # Safety
    ///
    /// There is one, and it is as [`child`](Self::child) says.
    #[inline]
    unsafe fn shared<'g, T>(self) -> Shared<'g, T> {
        let pointer = self.0.map_addr(|at| at & !TAGS).cast();
        // SAFETY: the caller's.
        unsafe { Shared::new(NonNull::new_unchecked(pointer)) }
    }

    /// What it points to.
    ///
    /// # Safety
    ///
    /// It was loaded under a pin that lasts for `'g`, or nobody else has the trie.
    #[inline]
    pub(super) unsafe fn child<'g>(self) -> Child<'g, K, V> {
        // SAFETY: the tag tells the type; a slot's links are valid under the pin.
        unsafe {
            match self.0.addr() & (BRANCH | CROWD) {
                BRANCH => Child::Branch(self.shared()),
                CROWD => Child::Crowd(self.shared()),
                _ if self.is_nothing() => Child::Nothing,
                _ => Child::Entry(self.shared()),
            }
        }
    }
}

impl<K, V> Slot<K, V> {
    pub(super) fn new(link: Link<K, V>) -> Self {
        Self(AtomicPtr::new(link.0), PhantomData)
    }

    #[inline]
    pub(super) fn load(&self, pin: &Pin<'_>) -> Link<K, V> {
        Link(pin.load(&self.0), PhantomData)
    }

    /// What is there, where nobody else has the trie.
    pub(super) fn alone(&mut self) -> Link<K, V> {
        Link(self.0.load(Ordering::Relaxed), PhantomData)
    }

    /// Puts `new` where `old` is, if it still is. Never changes a frozen slot for an `old`
    /// that is not frozen.
    #[inline]
    pub(super) fn replace(&self, old: Link<K, V>, new: Link<K, V>) -> bool {
        // ORDERING: publishes what `new` points to, to `Pin::load`.
        self.0
            .compare_exchange(old.0, new.0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Keeps it as it is for ever, and gives what that is.
    fn freeze(&self, pin: &Pin<'_>) -> Link<K, V> {
        loop {
            let link = self.load(pin);
            let frozen = Link(link.0.map_addr(|at| at | FROZEN), PhantomData);
            if link.is_frozen() || self.replace(link, frozen) {
                return link.thawed();
            }
        }
    }
}

/// Which of so many slots is for `hash`, where `shift` of its bits are behind.
#[inline]
pub(super) fn index(hash: u64, shift: u32, width: usize) -> usize {
    (hash >> shift) as usize & (width - 1)
}

impl<K, V> Branch<K, V> {
    /// One with only `link` in it, of a key with `hash`, where `shift` bits are behind.
    pub(super) fn with(link: Link<K, V>, hash: u64, shift: u32) -> Self {
        let at = index(hash, shift, WIDTH);
        Self {
            slots: std::array::from_fn(|i| Slot::new(if i == at { link } else { Link::NOTHING })),
        }
    }

    #[inline]
    pub(super) fn slot(&self, hash: u64, shift: u32) -> &Slot<K, V> {
        &self.slots[index(hash, shift, WIDTH)]
    }

    pub(super) fn is_empty(&self, pin: &Pin<'_>) -> bool {
        self.slots.iter().all(|slot| slot.load(pin).is_nothing())
    }

    /// Freezes every slot and gives what can stand in its place.
    pub(super) fn freeze(&self, pin: &Pin<'_>) -> (Link<K, V>, Option<Unshared<Self>>) {
        let links: [_; WIDTH] = std::array::from_fn(|i| self.slots[i].freeze(pin));
        let mut live = links.iter().filter(|link| !link.is_nothing());
        match (live.next(), live.next()) {
            (None, _) => (Link::NOTHING, None),
            // A branch cannot move up: it tells other bits apart there.
            (Some(&only), None) if !only.is_branch() => (only, None),
            _ => {
                let copy = Unshared::new(Self {
                    slots: links.map(Slot::new),
                });
                (Link::branch(copy.pointer()), Some(copy))
            }
        }
    }
}

impl<K, V> Crowd<K, V> {
    /// Where in it `key` is.
    pub(super) fn find<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let is = |entry: &NonNull<Entry<K, V>>| {
            // SAFETY: whoever can see the crowd can see its entries: they are retired when it is
            // out of its slot.
            unsafe { entry.as_ref() }.key.borrow() == key
        };
        self.entries.iter().position(is)
    }
}

impl<'g, K, V> Shared<'g, Crowd<K, V>> {
    /// The entry at `at`.
    pub(super) fn at(self, at: usize) -> Shared<'g, Entry<K, V>> {
        // SAFETY: as above.
        unsafe { Shared::new(self.get().entries[at]) }
    }
}
