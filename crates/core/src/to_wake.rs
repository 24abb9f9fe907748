//! Whom a waiter has woken, in two words: there may be millions of waiters.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ptr;
use std::task::{RawWakerVTable, Waker};

use crate::shim::Arc;
use crate::wake::Wake;

/// Whom to wake, taken by whoever serves the waiter, lets it go or nudges it.
///
/// | is | vtable | data |
/// |---|---|---|
/// | nobody: taken, or never set | null | null |
/// | a thread that is awake | null | `AWAKE` |
/// | a thread that sleeps, or is about to | null | of an `Arc<Parker>` |
/// | a task | of its waker | of its waker |
pub(crate) struct ToWake {
    data: *const (),
    vtable: *const RawWakerVTable,
}

const AWAKE: *const () = ptr::without_provenance(1);

// SAFETY: it stands for a `Wake`, which is `Send`.
unsafe impl Send for ToWake {}

impl ToWake {
    pub(crate) const NOBODY: Self = Self {
        data: ptr::null(),
        vtable: ptr::null(),
    };

    /// A thread that is awake.
    pub(crate) const LOOKER: Self = Self {
        data: AWAKE,
        vtable: ptr::null(),
    };

    #[inline]
    pub(crate) fn is_nobody(&self) -> bool {
        self.vtable.is_null() && self.data.is_null()
    }

    /// Whether it is a thread, awake or not.
    pub(crate) fn is_thread(&self) -> bool {
        self.vtable.is_null() && !self.data.is_null()
    }

    /// Takes whoever sleeps; it is nobody then.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Wake> {
        let (data, vtable) = (self.data, self.vtable);
        (self.data, self.vtable) = (ptr::null(), ptr::null());
        // SAFETY: null, or a waker's, and so there for ever.
        match unsafe { vtable.as_ref() } {
            // SAFETY: both are of a waker that was put here, and is taken once.
            Some(vtable) => Some(Wake::Task(unsafe { Waker::new(data, vtable) })),
            None if data.is_null() || data == AWAKE => None,
            // SAFETY: of an `Arc` that was put here, and is taken once.
            None => Some(Wake::Thread(unsafe { Arc::from_raw(data.cast()) })),
        }
    }
}

impl From<Wake> for ToWake {
    /// Somebody who sleeps, or is about to.
    #[inline]
    fn from(wake: Wake) -> Self {
        match wake {
            Wake::Thread(parker) => Self {
                data: Arc::into_raw(parker).cast(),
                vtable: ptr::null(),
            },
            Wake::Task(waker) => {
                let waker = ManuallyDrop::new(waker);
                Self {
                    data: waker.data(),
                    vtable: waker.vtable(),
                }
            }
        }
    }
}

impl Drop for ToWake {
    #[inline]
    fn drop(&mut self) {
        if !self.is_nobody() {
            drop(self.take());
        }
    }
}
