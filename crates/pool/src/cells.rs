//! The memory of goroutines' cells: what a thread frees it keeps, up to a bound, for the next
//! ones it starts.
//!
//! Per size, a thread keeps at most two batches of a hundred or two. One more goes to a shelf
//! that all threads share, up to a bound too, and is taken from there by one that has none: so
//! cells started by one thread and ended by another cost a lock for each batch. All else goes
//! back to the system's allocator, what a thread keeps when it ends too.
//!
//! Invariants:
//!
//! - All memory of a size class has that class's layout, whatever lies in it.
//! - A list is its thread's alone, or is on the shelf, under its lock. What lies in it belongs
//!   to nobody else, and begins with the link to the next.
//!
//! Under loom every cell is the allocator's, so that no model finds what one before has left;
//! the lists and the shelf have a model of their own, with batches of one.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::ptr::{self, NonNull};

use rendez_core::shim::Mutex;

/// Sizes are rounded up to a multiple of this.
const GRAIN: usize = 32;
/// Larger cells than this many grains are left to the allocator.
const CLASSES: usize = 16;
/// How many make a batch.
const BATCH: usize = if cfg!(rendez_loom) { 1 } else { 128 };
/// How many batches of a size lie on the shelf.
const SHELVED: usize = if cfg!(rendez_loom) { 1 } else { 16 };

/// A piece of memory that is kept.
#[derive(Debug)]
pub struct Link {
    next: *mut Link,
}

/// So many pieces of memory.
#[derive(Debug)]
struct Batch {
    first: *mut Link,
    n: usize,
}

// SAFETY: it owns the memory.
unsafe impl Send for Batch {}

/// What a thread keeps of one size.
#[derive(Default)]
#[allow(missing_debug_implementations)]
pub struct Kept {
    now: Cell<Batch>,
    // Empty or full.
    next: Cell<Batch>,
}

/// Full batches of one size that are nobody's.
#[derive(Debug, Default)]
pub struct Shelf(Mutex<Vec<Batch>>);

#[cfg_attr(rendez_loom, expect(dead_code))]
struct Thread([Kept; CLASSES]);

#[cfg(not(rendez_loom))]
std::thread_local! {
    static THREAD: Thread = const { Thread([const { Kept::new() }; CLASSES]) };
}

#[cfg(not(rendez_loom))]
static SHELF: [Shelf; CLASSES] = [const { Shelf(Mutex::new(Vec::new())) }; CLASSES];

/// Memory of `class` that is kept.
#[inline]
fn take(class: usize) -> Option<NonNull<Link>> {
    #[cfg(rendez_loom)]
    return None;
    #[cfg(not(rendez_loom))]
    THREAD
        .try_with(|thread| thread.0[class].take(&SHELF[class]))
        .unwrap_or(None)
}

/// Keeps memory of `class`; whether it did.
///
/// # Safety
///
/// As [`Kept::put`].
#[inline]
unsafe fn put(memory: NonNull<Link>, class: usize) -> bool {
    #[cfg(rendez_loom)]
    return false;
    #[cfg(not(rendez_loom))]
    THREAD
        // SAFETY: as the caller promises.
        .try_with(|thread| unsafe { thread.0[class].put(memory, &SHELF[class]) })
        .unwrap_or(false)
}

/// The class a type's memory is of, if it is of any.
const fn class<T>() -> Option<usize> {
    let layout = Layout::new::<T>();
    let fits = layout.size() > 0 && layout.size() <= GRAIN * CLASSES && layout.align() <= GRAIN / 2;
    if fits {
        Some((layout.size() - 1) / GRAIN)
    } else {
        None
    }
}

fn layout(class: usize) -> Layout {
    Layout::from_size_align((class + 1) * GRAIN, GRAIN / 2).expect("a small power of two")
}

/// Puts `value` into memory of its own, to be freed by [`free`].
pub(crate) fn boxed<T>(value: T) -> NonNull<T> {
    let Some(class) = class::<T>() else {
        return NonNull::from(Box::leak(Box::new(value)));
    };
    let memory = take(class).unwrap_or_else(|| {
        let layout = layout(class);
        // SAFETY: its size is not zero.
        let memory = NonNull::new(unsafe { alloc(layout) });
        memory.unwrap_or_else(|| handle_alloc_error(layout)).cast()
    });
    let memory = memory.cast::<T>();
    // SAFETY: the memory is nobody else's, and of a class that has room for a `T`.
    unsafe { memory.write(value) };
    memory
}

/// Drops the value and frees its memory.
///
/// # Safety
///
/// It was made by [`boxed`] as a `T`, and nobody uses it any more.
pub(crate) unsafe fn free<T>(value: NonNull<T>) {
    let Some(class) = class::<T>() else {
        // SAFETY: made from a box then.
        drop(unsafe { Box::from_raw(value.as_ptr()) });
        return;
    };
    // SAFETY: it is the caller's alone.
    unsafe { value.drop_in_place() };
    let memory = value.cast::<Link>();
    // SAFETY: as above, and of this class.
    if !unsafe { put(memory, class) } {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(memory.as_ptr().cast(), layout(class)) };
    }
}

impl Batch {
    const EMPTY: Self = Self {
        first: ptr::null_mut(),
        n: 0,
    };

    #[inline]
    fn pop(&mut self) -> Option<NonNull<Link>> {
        let first = NonNull::new(self.first)?;
        // SAFETY: what lies in the list begins with a link and is the list's.
        self.first = unsafe { first.as_ref() }.next;
        self.n -= 1;
        Some(first)
    }

    #[inline]
    fn push(&mut self, memory: NonNull<Link>) {
        let next = self.first;
        // SAFETY: the memory is the caller's, and every class has room for a link.
        unsafe { memory.write(Link { next }) };
        self.first = memory.as_ptr();
        self.n += 1;
    }
}

impl Default for Batch {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Shelf {
    fn take(&self) -> Batch {
        self.0.lock().pop().unwrap_or(Batch::EMPTY)
    }

    /// Puts a full batch there; gives it back if there is no place left.
    fn put(&self, full: Batch) -> Batch {
        let mut batches = self.0.lock();
        if batches.len() == SHELVED {
            return full;
        }
        batches.push(full);
        Batch::EMPTY
    }
}

impl Kept {
    const fn new() -> Self {
        Self {
            now: Cell::new(Batch::EMPTY),
            next: Cell::new(Batch::EMPTY),
        }
    }

    /// One of those that are kept here or on the shelf. It is the caller's.
    #[inline]
    pub fn take(&self, shelf: &Shelf) -> Option<NonNull<Link>> {
        let mut now = self.now.take();
        if now.n == 0 {
            now = self.another(shelf);
        }
        let memory = now.pop();
        self.now.set(now);
        memory
    }

    #[cold]
    fn another(&self, shelf: &Shelf) -> Batch {
        let next = self.next.take();
        if next.n > 0 { next } else { shelf.take() }
    }

    /// Puts a full batch aside; gives it back if there is no place left.
    #[cold]
    fn make_room(&self, full: Batch, shelf: &Shelf) -> Batch {
        let before = self.next.replace(full);
        if before.n > 0 {
            shelf.put(before)
        } else {
            before
        }
    }

    /// Keeps a piece here, or others on the shelf in its place; whether it did.
    ///
    /// # Safety
    ///
    /// The piece is the caller's, of this size, and has room for a link.
    #[inline]
    pub unsafe fn put(&self, memory: NonNull<Link>, shelf: &Shelf) -> bool {
        let mut now = self.now.take();
        if now.n == BATCH {
            now = self.make_room(now, shelf);
            if now.n == BATCH {
                self.now.set(now);
                return false;
            }
        }
        now.push(memory);
        self.now.set(now);
        true
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        for (class, kept) in self.0.iter().enumerate() {
            for list in [&kept.now, &kept.next] {
                let mut list = list.take();
                while let Some(memory) = list.pop() {
                    // SAFETY: allocated with this layout.
                    unsafe { dealloc(memory.as_ptr().cast(), layout(class)) };
                }
            }
        }
    }
}

#[cfg(all(test, not(rendez_loom)))]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    /// Of a class that no goroutine of these tests is of.
    type Large = [usize; 60];

    #[test]
    fn memory_is_used_again_for_its_size() {
        let first = boxed([1_u8; 449]);
        // SAFETY: made above.
        unsafe { free(first) };
        let second = boxed([2_u64; 60]);
        assert_eq!(first.addr(), second.addr());
        // SAFETY: made above.
        unsafe { free(second) };
    }

    #[test]
    fn what_one_thread_frees_another_takes_and_no_more_is_kept_than_the_bound() {
        const N: usize = 2 * BATCH * SHELVED;
        struct All(Vec<NonNull<Large>>);
        // SAFETY: arrays of numbers, and nobody else's.
        unsafe impl Send for All {}
        let make = || All((0..N).map(|i| boxed([i; 60])).collect());
        let free_all = |all: All| {
            for (i, large) in all.0.into_iter().enumerate() {
                // SAFETY: made above, read and freed once.
                unsafe {
                    assert_eq!(large.read(), [i; 60]);
                    free(large);
                }
            }
            let shelved: usize = SHELF[14].0.lock().iter().map(|batch| batch.n).sum();
            assert_eq!(shelved, BATCH * SHELVED);
        };
        let all = make();
        let addresses: std::collections::HashSet<_> = all.0.iter().map(|p| p.addr()).collect();
        rendez_core::shim::thread::spawn(move || free_all(all))
            .join()
            .expect("it does not panic");
        let again = make();
        let n_again = again.0.iter().filter(|p| addresses.contains(&p.addr()));
        assert!(n_again.count() >= BATCH * SHELVED);
        free_all(again);
    }

    #[test]
    fn what_is_too_large_or_aligned_too_strictly_is_the_allocators() {
        #[repr(align(64))]
        struct Line(u8);
        let large = boxed([7_u8; GRAIN * CLASSES + 1]);
        let line = boxed(Line(3));
        // SAFETY: made above.
        unsafe {
            assert_eq!(large.as_ref()[512], 7);
            assert_eq!((line.as_ref().0, line.addr().get() % 64), (3, 0));
            free(large);
            free(line);
        }
    }

    #[test]
    fn a_value_is_dropped_once() {
        let value = std::rc::Rc::new(());
        let cell = boxed(std::rc::Rc::clone(&value));
        assert_eq!(std::rc::Rc::strong_count(&value), 2);
        // SAFETY: made above.
        unsafe { free(cell) };
        assert_eq!(std::rc::Rc::strong_count(&value), 1);
    }
}
