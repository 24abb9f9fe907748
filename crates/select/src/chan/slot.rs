//! The place of one value in a parked operation, which its peer reads or fills.
//!
//! A slot lives in the parked thread's frame or in the pinned future. It is used by one
//! side at a time: by its owner before it is queued and after its waiter is READY or has
//! left the queue, by the peer that has claimed that waiter in between. Both happen under
//! the channel's lock, except for the owner's last look.
#![allow(unsafe_code)]

use rendez_core::queue::Claimed;
use rendez_core::shim::UnsafeCell;

/// A value on its way out of, or into, a parked operation.
pub(crate) struct Slot<T>(UnsafeCell<Option<T>>);

impl<T> Slot<T> {
    pub(crate) fn new(value: Option<T>) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// What the owner queues itself with.
    pub(crate) fn as_payload(&self) -> *const () {
        std::ptr::from_ref(self).cast()
    }

    /// Takes the value, on the owner's side.
    pub(crate) fn take(&self) -> Option<T> {
        // SAFETY: called by the owner only while no peer has its waiter claimed: under
        // the channel's lock before it is queued, or after READY.
        self.0.with_mut(|v| unsafe { (*v).take() })
    }

    /// Puts a value, on the owner's side.
    pub(crate) fn put(&self, value: T) {
        // SAFETY: as for `take`.
        let old = self.0.with_mut(|v| unsafe { (*v).replace(value) });
        debug_assert!(old.is_none());
    }
}

/// Takes the value of a claimed sender; `None` if it only made an offer.
pub(crate) fn take_from<T>(sender: &Claimed) -> Option<T> {
    let slot = sender.payload().cast::<Slot<T>>();
    // SAFETY: on a channel of `T`, a sender queues with null or with its `Slot<T>`. It is
    // claimed and not completed, so its owner keeps the slot in place and off its hands.
    let slot = unsafe { slot.as_ref() }?;
    slot.take()
}

/// Hands a value to a claimed receiver; gives it back if the receiver wants a grant.
pub(crate) fn hand_to<T>(receiver: &Claimed, value: T) -> Result<(), T> {
    let slot = receiver.payload().cast::<Slot<T>>();
    // SAFETY: on a channel of `T`, a receiver queues with null or with its `Slot<T>`; the
    // rest as in `take_from`.
    match unsafe { slot.as_ref() } {
        Some(slot) => {
            slot.put(value);
            Ok(())
        }
        None => Err(value),
    }
}
