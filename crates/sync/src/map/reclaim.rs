//! When memory that others may still read is freed: seize's collector, and a stand-in for loom.
//!
//! Who reads pins; what is taken out of the map is retired, and freed when no pin is left that
//! was there by then. Nothing is freed under a pin that could see it, and dropping the
//! [`Reclaim`] frees all that is retired.
#![allow(unsafe_code)]

#[cfg(not(rendez_loom))]
pub(super) use real::{Pin, Reclaim};
#[cfg(rendez_loom)]
pub(super) use stand_in::{Pin, Reclaim};

#[cfg(not(rendez_loom))]
mod real {
    use std::cell::Cell;

    use rendez_core::quiet::drop_quietly;
    use rendez_core::shim::atomic::{AtomicPtr, Ordering};
    use seize::{Collector, Guard, LocalGuard, OwnedGuard};

    /// How far a thread is.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Life {
        /// It has not pinned yet.
        New,
        /// seize knows it.
        Known,
        /// It ends, and seize will forget it, or has.
        Ending,
    }

    thread_local! {
        static LIFE: Cell<Life> = const { Cell::new(Life::New) };
        static END: End = const { End };
    }

    /// Notes that its thread ends.
    struct End;

    impl Drop for End {
        fn drop(&mut self) {
            let _ = LIFE.try_with(|life| life.set(Life::Ending));
        }
    }

    /// Frees one of the retired. A panic would leave the rest of its batch unfreed.
    unsafe fn free<T>(value: *mut T, _: &Collector) {
        // SAFETY: it was a box, and is retired once.
        drop_quietly(unsafe { Box::from_raw(value) });
    }

    /// Where one map's garbage waits.
    pub(crate) struct Reclaim(Collector);

    /// Keeps whatever is reachable from being freed.
    pub(crate) enum Pin<'a> {
        OfThread(LocalGuard<'a>),
        /// seize gives a number to each thread, and panics when asked for that of one that has given
        /// it back at its end. A thread's values that are dropped after that may still use a map.
        Alone(OwnedGuard<'a>),
    }

    impl Reclaim {
        pub(crate) fn new() -> Self {
            Self(Collector::new())
        }

        #[inline]
        pub(crate) fn pin(&self) -> Pin<'_> {
            if LIFE.try_with(Cell::get) == Ok(Life::Known) {
                Pin::OfThread(self.0.enter())
            } else {
                self.pin_early_or_late()
            }
        }

        #[cold]
        fn pin_early_or_late(&self) -> Pin<'_> {
            if LIFE.try_with(Cell::get) != Ok(Life::New) {
                return Pin::Alone(self.0.enter_owned());
            }
            let pin = Pin::OfThread(self.0.enter());
            // After seize's own, and so dropped before it.
            if END.try_with(|_| ()).is_ok() {
                let _ = LIFE.try_with(|life| life.set(Life::Known));
            }
            pin
        }
    }

    impl Pin<'_> {
        /// What `place` points to, valid as long as the pin.
        #[inline]
        pub(crate) fn load<T>(&self, place: &AtomicPtr<T>) -> *mut T {
            // ORDERING: with the store of whoever put the pointer there.
            match self {
                Self::OfThread(guard) => guard.protect(place, Ordering::Acquire),
                Self::Alone(guard) => guard.protect(place, Ordering::Acquire),
            }
        }

        /// Frees `value`, and drops it, when no pin protects it any more.
        ///
        /// # Safety
        ///
        /// It was a `Box`, it cannot be reached by who pins from now on, and nobody else retires it.
        #[inline]
        pub(crate) unsafe fn retire<T>(&self, value: *mut T) {
            // SAFETY: the caller's.
            unsafe {
                match self {
                    Self::OfThread(guard) => guard.defer_retire(value, free),
                    Self::Alone(guard) => guard.defer_retire(value, free),
                }
            }
        }

        /// Frees what this thread has retired as soon as the pins that see it are gone, if those are
        /// few: otherwise some dozens are freed together.
        pub(crate) fn flush(&self) {
            match self {
                Self::OfThread(guard) => guard.flush(),
                Self::Alone(guard) => guard.flush(),
            }
        }

        /// A small number that differs from thread to thread.
        #[inline]
        pub(crate) fn thread(&self) -> usize {
            match self {
                Self::OfThread(guard) => guard.thread_id(),
                Self::Alone(_) => 0,
            }
        }
    }
}

/// Loom cannot look into seize. Here everything retired waits for the end of the map, which
/// pins nothing too early and shows every read of what is not published.
#[cfg(rendez_loom)]
mod stand_in {
    use std::marker::PhantomData;
    use std::ptr;

    use rendez_core::shim::atomic::{AtomicPtr, Ordering};
    use rendez_core::shim::unmodelled;

    struct Retired {
        next: *mut Retired,
        value: *mut (),
        free: unsafe fn(*mut ()),
    }

    /// Where one map's garbage waits, and how often a number was asked for.
    pub(crate) struct Reclaim(unmodelled::AtomicPtr<Retired>, unmodelled::AtomicUsize);

    /// Keeps whatever is reachable from being freed.
    pub(crate) struct Pin<'a>(&'a Reclaim, PhantomData<*mut ()>);

    impl Reclaim {
        pub(crate) fn new() -> Self {
            let retired = unmodelled::AtomicPtr::new(ptr::null_mut());
            Self(retired, unmodelled::AtomicUsize::new(0))
        }

        pub(crate) fn pin(&self) -> Pin<'_> {
            Pin(self, PhantomData)
        }
    }

    impl Pin<'_> {
        pub(crate) fn load<T>(&self, place: &AtomicPtr<T>) -> *mut T {
            place.load(Ordering::Acquire)
        }

        /// # Safety
        ///
        /// It was a `Box`, and nobody else retires it.
        pub(crate) unsafe fn retire<T>(&self, value: *mut T) {
            // Loom's threads take turns, and none ends between these lines.
            let next = self.0.0.load(Ordering::Relaxed);
            let retired = Box::into_raw(Box::new(Retired {
                next,
                value: value.cast(),
                // SAFETY: it was a box.
                free: |value| drop(unsafe { Box::from_raw(value.cast::<T>()) }),
            }));
            self.0.0.store(retired, Ordering::Relaxed);
        }

        pub(crate) fn flush(&self) {}

        /// Another for each call, as if each was of a thread of its own.
        pub(crate) fn thread(&self) -> usize {
            self.0.1.fetch_add(1, Ordering::Relaxed)
        }
    }

    impl Drop for Reclaim {
        fn drop(&mut self) {
            let mut next = *self.0.get_mut();
            while !next.is_null() {
                // SAFETY: each is in the list once, and nobody reads any more.
                unsafe {
                    let retired = Box::from_raw(next);
                    (retired.free)(retired.value);
                    next = retired.next;
                }
            }
        }
    }
}
