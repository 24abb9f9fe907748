//! The waker that an alarm calls when a node's deadline has come.
//!
//! It holds a weak reference, so that an alarm keeps no context alive; and it *is* that
//! reference, so that a deadline costs no allocation of its own.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::end;
use super::shared::{Shared, Weak};
use super::word::Why;

/// A waker that ends `node`, if it is still there, because its time has come.
pub(crate) fn of(node: &Shared) -> Waker {
    let raw = RawWaker::new(node.downgrade().into_raw(), &VTABLE);
    // SAFETY: the functions of the table take a pointer from `Weak::into_raw`, keep
    // one count per waker, and work from any thread, as `Weak` does.
    unsafe { Waker::from_raw(raw) }
}

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

/// # Safety
///
/// `data` is a waker's.
unsafe fn reference(data: *const ()) -> ManuallyDrop<Weak> {
    // SAFETY: by the caller; the waker's count is neither spent nor doubled.
    ManuallyDrop::new(unsafe { Weak::from_raw(data) })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: a waker's data.
    let node = unsafe { reference(data) };
    RawWaker::new(Weak::clone(&node).into_raw(), &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: a waker's data, whose count is spent here.
    ring(&ManuallyDrop::into_inner(unsafe { reference(data) }));
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: a waker's data.
    let node = unsafe { reference(data) };
    ring(&node);
}

unsafe fn release(data: *const ()) {
    // SAFETY: a waker's data, whose count is spent here.
    drop(ManuallyDrop::into_inner(unsafe { reference(data) }));
}

fn ring(node: &Weak) {
    if let Some(node) = node.upgrade() {
        end::end(&node, Why::Expired);
    }
}
