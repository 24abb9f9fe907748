//! One object at hand per thread, taken and put without any atomic read-modify-write.
//!
//! - A thread has a *seat*: a number that no other living thread has. It takes the lowest
//!   free one when it first uses a pool and gives it back when it ends, under one lock, so
//!   whoever gets the seat next sees what was left in its slots.
//! - Only the thread in a seat touches the slots of that number, and it runs no foreign
//!   code meanwhile, so nothing reaches a slot twice at once.
//! - Threads beyond [`SEATS`], and those whose thread-locals are gone, have none: for them
//!   a slot is always empty to take and full to put.
//! - `era` goes up when all slots are to be emptied; what is found from an earlier era is
//!   dropped by its seat.
#![allow(unsafe_code)]

use rendez_core::shim::UnsafeCell;
use rendez_core::shim::atomic::{AtomicU64, Ordering};

const SEATS: usize = 64;

pub(super) struct Slots<T> {
    era: AtomicU64,
    slots: Box<[Slot<T>]>,
}

// Two lines apart: neighbours do not share one, nor a pair that is fetched together.
#[repr(align(128))]
struct Slot<T>(UnsafeCell<Option<(u64, T)>>);

// SAFETY: a slot is touched by the thread in its seat only, and the seat is handed on under
// a lock; objects go from thread to thread, so they must be Send.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T: Send> Slots<T> {
    pub(super) fn new() -> Self {
        Self {
            era: AtomicU64::new(0),
            slots: (0..SEATS).map(|_| Slot(UnsafeCell::new(None))).collect(),
        }
    }

    /// The object at hand.
    #[inline]
    pub(super) fn take(&self) -> Option<T> {
        let slot = self.slots.get(seats::mine()?)?;
        // SAFETY: the seat is this thread's; moving a value out runs nothing.
        let (era, object) = slot.0.with_mut(|slot| unsafe { (*slot).take() })?;
        (era == self.era.load(Ordering::Relaxed)).then_some(object)
    }

    /// Keeps `object` at hand, or gives it back if there is one.
    #[inline]
    pub(super) fn put(&self, object: T) -> Option<T> {
        let Some(slot) = seats::mine().and_then(|seat| self.slots.get(seat)) else {
            return Some(object);
        };
        let era = self.era.load(Ordering::Relaxed);
        // SAFETY: the seat is this thread's; moving values runs nothing.
        let (full, _stale) = slot.0.with_mut(|slot| unsafe {
            match &*slot {
                Some((at, _)) if *at == era => (Some(object), None),
                _ => (None, (*slot).replace((era, object))),
            }
        });
        full
    }

    /// Has every slot emptied by its thread.
    pub(super) fn clear(&self) {
        self.era.fetch_add(1, Ordering::Relaxed);
    }
}

mod seats {
    //! Which thread sits where.
    use std::collections::BTreeSet;

    use rendez_core::shim::unmodelled::Mutex;

    struct Free {
        // Below `next`.
        seats: BTreeSet<usize>,
        next: usize,
    }

    static FREE: Mutex<Free> = Mutex::new(Free {
        seats: BTreeSet::new(),
        next: 0,
    });

    struct Seat(usize);

    impl Seat {
        fn take() -> Self {
            let mut free = FREE.lock();
            // A model does not see the lock that hands a seat on, so it hands none on soon.
            if cfg!(rendez_loom) {
                free.next += 1;
                return Self(free.next % super::SEATS);
            }
            Self(free.seats.pop_first().unwrap_or_else(|| {
                free.next += 1;
                free.next - 1
            }))
        }
    }

    impl Drop for Seat {
        fn drop(&mut self) {
            if !cfg!(rendez_loom) {
                FREE.lock().seats.insert(self.0);
            }
        }
    }

    rendez_core::shim::thread_local! {
        static SEAT: Seat = Seat::take();
    }

    /// The calling thread's seat.
    #[inline]
    pub(super) fn mine() -> Option<usize> {
        SEAT.try_with(|seat| seat.0).ok()
    }
}
