//! Whether what is being polled is polled for a context that has ended meanwhile.
//!
//! Who bounds a future by a context lets it be ready at the last moment: an output that is
//! there is given out. A wait whose success would have to be undone anyway, as a semaphore's,
//! asks here, and gives up what it was granted instead.

use std::cell::Cell;

crate::shim::thread_local! {
    #[cfg_attr(not(rendez_loom), expect(clippy::missing_const_for_thread_local, reason = "loom's has no const form"))]
    static OVERDUE: Cell<bool> = Cell::new(false);
}

/// Restores what was.
struct Restore(bool);

impl Drop for Restore {
    fn drop(&mut self) {
        let _ = OVERDUE.try_with(|overdue| overdue.set(self.0));
    }
}

/// Polls by `poll`, for a context that has ended.
pub fn overdue<R>(poll: impl FnOnce() -> R) -> R {
    let _restore = Restore(OVERDUE.try_with(|it| it.replace(true)).unwrap_or(false));
    poll()
}

/// Whether the poll that calls this comes too late.
pub fn is_overdue() -> bool {
    OVERDUE.try_with(Cell::get).unwrap_or(false)
}
