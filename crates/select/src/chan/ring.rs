//! The values of a channel, oldest first: a ring whose size is a power of two.
//!
//! ```text
//! head <= tail, both counted on for ever; the value at `i` lies in slot `i & (size - 1)`
//! ```
//!
//! Invariant: the slots of `head .. tail` hold values, the others hold none; there are at
//! most `size` between them.
//!
//! It does what a `VecDeque` does, in fewer instructions: there is no length to keep beside
//! the ends, and an index is wrapped by one `and`.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::mem::{ManuallyDrop, MaybeUninit, forget, needs_drop};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;

use rendez_core::shim::thread;

/// How many bytes a ring keeps however empty it is.
pub(super) const KEPT: usize = 64 * 1024;
/// A ring of which less than one part in so many is used gives memory back.
const SPARSE: usize = 16;
/// The first size.
const FIRST: usize = 4;

// In this order: what every operation needs lies beside the channel's word.
#[repr(C)]
pub(crate) struct Ring<T> {
    head: usize,
    tail: usize,
    size: usize,
    slots: NonNull<T>,
    // Whether the slots are a box; else they are another's, or none.
    boxed: bool,
    // So few values that memory is to be given back are none when shifted by this.
    sparse: u8,
    _values: PhantomData<T>,
}

// SAFETY: it owns its values.
unsafe impl<T: Send> Send for Ring<T> {}

impl<T> Ring<T> {
    /// As many slots as it keeps. A power of two as its size is, so a larger one is twice as
    /// large, and has less memory once it has given some back.
    const KEPT_SLOTS: usize = {
        let size = if size_of::<T>() == 0 {
            1
        } else {
            size_of::<T>()
        };
        let most = if size > KEPT { 1 } else { KEPT / size };
        1 << most.ilog2()
    };

    /// For `sparse`, with `size` slots.
    fn sparse_at(size: usize) -> u8 {
        if size_of::<T>() != 0 && size > Self::KEPT_SLOTS {
            (size / SPARSE).max(1).ilog2() as u8
        } else {
            0
        }
    }

    /// A ring without slots.
    pub(crate) const fn new() -> Self {
        Self::within(NonNull::dangling(), 0)
    }

    /// A ring in `size` slots, which must be its alone as long as it lives. Where they are
    /// too few it leaves them.
    pub(crate) const fn within(slots: NonNull<T>, size: usize) -> Self {
        Self {
            head: 0,
            tail: 0,
            size,
            slots,
            boxed: false,
            sparse: 0,
            _values: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.tail.wrapping_sub(self.head)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.tail == self.head
    }

    #[inline]
    fn slot(&self, i: usize) -> *mut T {
        // SAFETY: within the slots, `size` being a power of two (or zero-sized values).
        unsafe { self.slots.as_ptr().add(i & self.size.wrapping_sub(1)) }
    }

    /// Puts a value behind the others.
    #[inline]
    pub(crate) fn push_back(&mut self, value: T) {
        if self.len() == self.size {
            self.grow();
        }
        // SAFETY: not full, so the slot at `tail` is free.
        unsafe { self.slot(self.tail).write(value) };
        self.tail = self.tail.wrapping_add(1);
    }

    /// As [`push_back`](Self::push_back), if there is a slot.
    #[inline(always)]
    pub(crate) fn push_back_at_once(&mut self, value: T) -> Result<(), T> {
        if self.len() == self.size {
            return Err(value);
        }
        // SAFETY: not full, so the slot at `tail` is free.
        unsafe { self.slot(self.tail).write(value) };
        self.tail = self.tail.wrapping_add(1);
        Ok(())
    }

    /// As [`pop_front`](Self::pop_front), if there are more than `least` and no memory is to be
    /// given back.
    #[inline(always)]
    pub(crate) fn pop_front_at_once(&mut self, least: usize) -> Option<T> {
        let len = self.len();
        if len <= least || len >> self.sparse == 0 {
            return None;
        }
        // SAFETY: the slot at `head` holds a value, which is in the ring no more.
        let value = unsafe { self.slot(self.head).read() };
        self.head = self.head.wrapping_add(1);
        Some(value)
    }

    /// Puts a value before the others.
    pub(crate) fn push_front(&mut self, value: T) {
        if self.len() == self.size {
            self.grow();
        }
        self.head = self.head.wrapping_sub(1);
        // SAFETY: not full, so the slot before the old `head` is free.
        unsafe { self.slot(self.head).write(value) };
    }

    /// Takes the oldest.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        // SAFETY: the slot at `head` holds a value, which is in the ring no more.
        let value = unsafe { self.slot(self.head).read() };
        self.head = self.head.wrapping_add(1);
        if self.len() < self.size / SPARSE && self.size > Self::KEPT_SLOTS {
            self.give_room_back();
        }
        Some(value)
    }

    /// Takes the newest.
    pub(crate) fn pop_back(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        self.tail = self.tail.wrapping_sub(1);
        // SAFETY: the slot before the old `tail` holds a value, which is in the ring no more.
        Some(unsafe { self.slot(self.tail).read() })
    }

    /// All of them, taken away from here.
    pub(crate) fn take(&mut self) -> Self {
        if !self.boxed {
            if self.is_empty() {
                return Self::new();
            }
            self.move_into_box(self.size);
        }
        std::mem::replace(self, Self::new())
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let size = if size_of::<T>() == 0 {
            1 << (usize::BITS - 1)
        } else {
            self.size
                .checked_mul(2)
                .expect("a channel's size")
                .max(FIRST)
        };
        self.extend(size);
    }

    /// After a burst: moves what is left to less memory. That has been paid for by many times as
    /// many receives, and the old memory is free as a whole: an allocator that was asked for so
    /// much has it at hand then for the next burst, where it would take a part of it back to the
    /// system, and have it cleared anew.
    #[cold]
    #[inline(never)]
    fn give_room_back(&mut self) {
        if size_of::<T>() != 0 {
            let size = (2 * self.len()).next_power_of_two();
            self.move_into_box(size.max(Self::KEPT_SLOTS));
        }
    }

    /// Makes it `size` slots, more than it has. The memory is extended in place where the
    /// allocator can, and only those values move that must.
    fn extend(&mut self, size: usize) {
        if !self.boxed {
            return self.move_into_box(size);
        }
        let (len, old) = (self.len(), self.size);
        let first = self.head & (old - 1);
        // SAFETY: made here as a box of so many slots. Should the memory not be had, it still
        // is one, which `self` owns.
        let mut slots = ManuallyDrop::new(unsafe { self.as_box() }.into_vec());
        slots.reserve_exact(size - old);
        let start = slots.as_mut_ptr();
        // The values at the start go on behind those at the end.
        let wrapped = (first + len).saturating_sub(old);
        // SAFETY: there is memory for `size` slots, of which those from `old` on, as many
        // and more, hold no values.
        unsafe {
            start.add(old).copy_from_nonoverlapping(start, wrapped);
            slots.set_len(size);
        }
        let slots = ManuallyDrop::into_inner(slots).into_boxed_slice();
        self.slots = NonNull::from(Box::leak(slots)).cast();
        self.size = size;
        self.sparse = Self::sparse_at(size);
        self.head = first;
        self.tail = first + len;
    }

    /// Moves the values to `size` slots of its own, for which they are not too many.
    fn move_into_box(&mut self, size: usize) {
        let len = self.len();
        let slots = Box::<[T]>::new_uninit_slice(size);
        let slots = NonNull::from(Box::leak(slots)).cast::<T>();
        // The values in the order of the slots: from `head` to the end, then from the start.
        let first = self.head & self.size.wrapping_sub(1);
        let before_end = len.min(self.size.wrapping_sub(first));
        // SAFETY: both runs hold values, which move to the start of the new slots; those are
        // memory of their own.
        unsafe {
            let old = self.slots.as_ptr();
            slots
                .as_ptr()
                .copy_from_nonoverlapping(old.add(first), before_end);
            slots
                .as_ptr()
                .add(before_end)
                .copy_from_nonoverlapping(old, len - before_end);
        }
        self.free();
        (self.head, self.tail) = (0, len);
        (self.size, self.slots, self.boxed) = (size, slots, true);
        self.sparse = Self::sparse_at(size);
    }

    /// The slots as the box they are.
    ///
    /// # Safety
    ///
    /// They are [`boxed`](Self::boxed), and used by the box alone from here on.
    unsafe fn as_box(&self) -> Box<[MaybeUninit<T>]> {
        let slots = NonNull::slice_from_raw_parts(self.slots.cast(), self.size);
        // SAFETY: a box of so many slots was leaked for them.
        unsafe { Box::from_raw(slots.as_ptr()) }
    }

    /// Frees the slots; the values have been moved out, or dropped.
    fn free(&mut self) {
        if self.boxed {
            // SAFETY: they are, and are used no more.
            drop(unsafe { self.as_box() });
        }
    }
}

/// Drops each value. Should one's drop panic, that goes on and those behind it leak, as
/// crossbeam's do; but not while the thread is unwinding already, which that would abort.
impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while needs_drop::<T>() && !self.is_empty() {
            let value = self.pop_front();
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
                if !thread::panicking() {
                    resume_unwind(payload);
                }
                // Reported by the panic hook; its own drop may panic as well.
                forget(payload);
            }
        }
        self.free();
    }
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::rc::Rc;

    #[test]
    fn it_holds_what_a_deque_holds_however_it_grows_and_shrinks() {
        let token = Rc::new(());
        let (mut ring, mut deque) = (Ring::new(), VecDeque::new());
        let mut random = 1_u64;
        let mut n = 0;
        // Up, down, and around the places where memory is taken and given back.
        for (steps, up) in [
            (9_000, 90),
            (9_000, 10),
            (9_000, 50),
            (30_000, 75),
            (20_000, 20),
            (60_000, 70),
            (60_000, 10),
            (30_000, 80),
        ] {
            for _ in 0..steps {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let roll = (random >> 33) % 100;
                n += 1;
                if roll >= up {
                    let once = ring.pop_front_at_once(0);
                    let popped = once.or_else(|| ring.pop_front());
                    assert_eq!(popped.map(|(n, _)| n), deque.pop_front());
                } else if roll == 0 {
                    ring.push_front((n, Rc::clone(&token)));
                    deque.push_front(n);
                } else {
                    let pushed = ring.push_back_at_once((n, Rc::clone(&token)));
                    if let Err(value) = pushed {
                        ring.push_back(value);
                    }
                    deque.push_back(n);
                }
                assert_eq!(ring.len(), deque.len());
                assert_eq!(ring.is_empty(), deque.is_empty());
                let kept = ring.size * size_of::<(u64, Rc<()>)>();
                assert!(kept <= KEPT || ring.size <= SPARSE * (ring.len() + 1));
            }
        }
        let mut rest = ring.take();
        assert!(ring.is_empty() && rest.len() == deque.len());
        assert_eq!(rest.pop_front().map(|(n, _)| n), deque.pop_front());
        drop(rest);
        assert_eq!(Rc::strong_count(&token), 1);
    }

    #[test]
    fn at_once_neither_takes_memory_nor_what_is_promised() {
        let mut ring = Ring::new();
        assert_eq!(ring.push_back_at_once(0_u64), Err(0));
        (0..10_000).for_each(|n| ring.push_back(n));
        let size = ring.size;
        while ring.push_back_at_once(0).is_ok() {}
        assert_eq!((ring.len(), ring.size), (size, size));
        let mut n = 0;
        while ring.pop_front_at_once(3).is_some() {
            n += 1;
        }
        assert_eq!(
            size - n,
            size / SPARSE - 1,
            "then memory is to be given back"
        );
        ring.pop_front();
        assert!(ring.size < size);
        while ring.pop_front_at_once(3).is_some() {}
        assert_eq!(ring.len(), 3);
    }

    /// Of values whose size is no power of two the memory that is kept is no power of two of them.
    #[test]
    fn who_gives_memory_back_has_less_then() {
        fn drains<T: Copy>(value: T) {
            let mut ring = Ring::new();
            (0..10_000).for_each(|_| ring.push_back(value));
            loop {
                let (slots, size) = (ring.slots, ring.size);
                if ring.pop_front().is_none() {
                    break;
                }
                assert!(ring.slots == slots || ring.size < size, "of {size}");
            }
            assert!(ring.size * size_of::<T>() <= KEPT || ring.size < SPARSE);
        }
        drains(0_u8);
        drains([0_u8; 3]);
        drains([0_u64; 3]);
        drains([0_u64; 6]);
        drains([0_u64; 33]);
    }

    #[test]
    fn values_without_a_size_are_counted() {
        let mut ring = Ring::new();
        (0..100).for_each(|_| ring.push_back(()));
        assert_eq!(ring.len(), 100);
        assert_eq!(ring.pop_front_at_once(99), Some(()));
        assert_eq!((0..101).filter_map(|_| ring.pop_front()).count(), 99);
    }
}
