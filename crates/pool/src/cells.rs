//! The memory of goroutines' cells: what a thread frees it keeps, up to a bound, for the next
//! ones it starts.
//!
//! Per size, a thread keeps at most two batches of a hundred or two. One more goes to a shelf
//! that all threads share, and is taken from there by one that has none: so cells started by
//! one thread and ended by another cost a lock for each batch.
//!
//! The shelf follows the need. While a pool is at work it takes whatever comes, up to a large
//! bound, and the [monitor](crate::monitor) gives back half of what nobody has needed for a
//! while. Otherwise it is short. All else goes back to the system's allocator, what a thread
//! keeps when it ends too.
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
use rendez_core::shim::unmodelled::{AtomicBool, Ordering};

/// The smallest size of memory.
const LEAST: usize = 24;
/// How far sizes are apart. With the word that the usual allocator adds to each they fill what
/// it takes for them, which are multiples of this.
const GRAIN: usize = 16;
const CLASSES: usize = 36;
/// Larger cells are left to the allocator.
const LARGEST: usize = size(CLASSES - 1);
/// How many make a batch.
const BATCH: usize = if cfg!(rendez_loom) { 1 } else { 128 };
/// How many batches of a size lie on the shelf whatever the need.
const SHELVED: usize = if cfg!(rendez_loom) { 1 } else { 16 };
/// How many do at most.
const MOST: usize = if cfg!(rendez_loom) { 1 } else { 8192 };

/// Whether the shelf is looked after. Not modelled: it is read and acted upon under the lock.
static AT_WORK: AtomicBool = AtomicBool::new(false);

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
pub struct Shelf(Mutex<Shelved>);

#[derive(Debug, Default)]
struct Shelved {
    // The latest last: it is the warmest.
    batches: Vec<Batch>,
    // The least there were since they were last looked after.
    unused: usize,
}

#[cfg_attr(rendez_loom, expect(dead_code))]
struct Thread([Kept; CLASSES]);

#[cfg(not(rendez_loom))]
std::thread_local! {
    static THREAD: Thread = const { Thread([const { Kept::new() }; CLASSES]) };
}

#[cfg(not(rendez_loom))]
static SHELF: [Shelf; CLASSES] = [const {
    Shelf(Mutex::new(Shelved {
        batches: Vec::new(),
        unused: 0,
    }))
}; CLASSES];

/// A pool is at work, and somebody looks after the shelf by [`look_after`] until none is.
pub(crate) fn begin_work() {
    AT_WORK.store(true, Ordering::Relaxed);
}

/// No pool is at work any more.
pub(crate) fn end_work() {
    AT_WORK.store(false, Ordering::Relaxed);
    give_back(|shelved| shelved.batches.len());
}

/// Gives back half of what nobody has needed since the last time.
pub(crate) fn look_after() {
    give_back(|shelved| shelved.unused / 2);
}

#[cfg_attr(rendez_loom, expect(clippy::missing_const_for_fn))]
fn give_back(spare: impl Fn(&Shelved) -> usize) {
    #[cfg(rendez_loom)]
    let _ = spare;
    #[cfg(not(rendez_loom))]
    for (class, shelf) in SHELF.iter().enumerate() {
        let batches = shelf.spare(&spare);
        batches.into_iter().for_each(|batch| batch.free(class));
    }
}

/// Memory of `class` that is kept.
#[inline]
fn take(class: usize) -> Option<NonNull<Link>> {
    #[cfg(rendez_loom)]
    return None;
    #[cfg(not(rendez_loom))]
    THREAD
        .try_with(|thread| {
            let memory = thread.0[class].take(&SHELF[class]);
            thread.0[class].fetch_next(size(class));
            memory
        })
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
    if layout.size() > LARGEST || layout.align() > GRAIN {
        None
    } else {
        Some(layout.size().saturating_sub(LEAST).div_ceil(GRAIN))
    }
}

const fn size(class: usize) -> usize {
    LEAST + class * GRAIN
}

fn layout(class: usize) -> Layout {
    Layout::from_size_align(size(class), GRAIN).expect("a small power of two")
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

    /// Gives them back to the allocator.
    fn free(mut self, class: usize) {
        while let Some(memory) = self.pop() {
            // SAFETY: allocated with this layout.
            unsafe { dealloc(memory.as_ptr().cast(), layout(class)) };
        }
    }
}

/// This memory will be written soon, and may be far away: another thread has freed it.
#[cfg(not(rendez_loom))]
#[inline]
fn fetch(memory: *const Link, size: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    for at in (0..size).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a hint, for any address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(memory.cast::<i8>().wrapping_add(at)) };
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (memory, size);
}

impl Default for Batch {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Shelf {
    fn take(&self) -> Batch {
        let mut shelved = self.0.lock();
        let batch = shelved.batches.pop();
        shelved.unused = shelved.unused.min(shelved.batches.len());
        batch.unwrap_or(Batch::EMPTY)
    }

    /// Puts a full batch there; gives it back if there is no place left.
    fn put(&self, full: Batch) -> Batch {
        let mut shelved = self.0.lock();
        let at_work = AT_WORK.load(Ordering::Relaxed);
        let places = if at_work { MOST } else { SHELVED };
        if shelved.batches.len() >= places {
            return full;
        }
        shelved.batches.push(full);
        Batch::EMPTY
    }

    /// Takes as many as `n` says from it, the coldest, if so many are left as always are.
    #[cfg_attr(rendez_loom, expect(dead_code))]
    fn spare(&self, n: impl Fn(&Shelved) -> usize) -> Vec<Batch> {
        let mut shelved = self.0.lock();
        let n = n(&shelved).min(shelved.batches.len().saturating_sub(SHELVED));
        let spare = shelved.batches.drain(..n).collect();
        shelved.batches.shrink_to(2 * SHELVED);
        shelved.unused = shelved.batches.len();
        spare
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

    /// What is taken next, of so many bytes, is fetched while the caller is at what it has taken.
    #[cfg(not(rendez_loom))]
    #[inline]
    fn fetch_next(&self, size: usize) {
        let now = self.now.take();
        fetch(now.first, size);
        self.now.set(now);
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
            kept.now.take().free(class);
            kept.next.take().free(class);
        }
    }
}

#[cfg(all(test, not(rendez_loom)))]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    /// Of a class that no goroutine of these tests is of.
    type Large = [usize; 60];

    fn shelf() -> &'static Shelf {
        &SHELF[class::<Large>().expect("not too large")]
    }

    #[test]
    fn memory_is_used_again_for_its_size() {
        let first = boxed([1_u8; 473]);
        // SAFETY: made above.
        unsafe { free(first) };
        let second = boxed([2_u64; 60]);
        assert_eq!(first.addr(), second.addr());
        // SAFETY: made above.
        unsafe { free(second) };
    }

    /// The memory of all at once.
    struct All(Vec<NonNull<Large>>);

    // SAFETY: arrays of numbers, and nobody else's.
    unsafe impl Send for All {}

    impl All {
        fn make(n: usize) -> Self {
            Self((0..n).map(|i| boxed([i; 60])).collect())
        }

        /// How many batches lie on the shelf then.
        fn free(self) -> usize {
            for (i, large) in self.0.into_iter().enumerate() {
                // SAFETY: made above, read and freed once.
                unsafe {
                    assert_eq!(large.read(), [i; 60]);
                    free(large);
                }
            }
            let shelved = shelf().0.lock();
            assert!(shelved.batches.iter().all(|batch| batch.n == BATCH));
            shelved.batches.len()
        }
    }

    /// One test, since there is one shelf.
    #[test]
    fn what_one_thread_frees_another_takes_and_the_shelf_follows_the_need() {
        const N: usize = 2 * BATCH * SHELVED;
        let all = All::make(N);
        let addresses: std::collections::HashSet<_> = all.0.iter().map(|p| p.addr()).collect();
        let n_shelved = rendez_core::shim::thread::spawn(move || all.free())
            .join()
            .expect("it does not panic");
        assert_eq!(n_shelved, SHELVED, "no pool is at work");
        let again = All::make(N);
        let n_again = again.0.iter().filter(|p| addresses.contains(&p.addr()));
        assert!(n_again.count() >= BATCH * SHELVED);

        begin_work();
        let n_shelved = again.free();
        assert!(n_shelved >= 2 * SHELVED - 2, "{n_shelved}");
        let len = || shelf().0.lock().batches.len();
        look_after();
        assert_eq!(len(), n_shelved, "somebody may have needed them");
        look_after();
        assert_eq!(len(), (n_shelved - n_shelved / 2).max(SHELVED));
        end_work();
        assert_eq!(len(), SHELVED);
    }

    #[test]
    fn what_is_too_large_or_aligned_too_strictly_is_the_allocators() {
        #[repr(align(64))]
        struct Line(u8);
        let large = boxed([7_u8; LARGEST + 1]);
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
