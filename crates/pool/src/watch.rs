//! Whether the monitor watches a pool: the switch between it and the pool's threads.
//!
//! The monitor lets go of a pool that has been idle for a while, so that idle pools cost
//! nothing; a thread that begins to run goroutines there makes it watch again.
//!
//! Why no running goroutine stays unwatched: a thread first shows that it runs, then a full
//! fence, then it looks at the switch. The monitor first switches off, then a full fence,
//! then looks whether anything runs. Whichever fence comes first, one of the two sees the
//! other's write.

use rendez_core::shim::atomic::{AtomicBool, Ordering, fence};

/// The switch.
#[derive(Debug)]
pub struct Watch {
    on: AtomicBool,
}

impl Watch {
    /// Switched off.
    #[expect(clippy::new_without_default, reason = "off is not a default")]
    pub fn new() -> Self {
        Self {
            on: AtomicBool::new(false),
        }
    }

    /// The caller has shown that it runs goroutines. Whether it is to call the monitor.
    #[must_use]
    pub fn begin(&self) -> bool {
        // ORDERING: pairs with the fence in `end`.
        fence(Ordering::SeqCst);
        !self.on.load(Ordering::Relaxed) && !self.on.swap(true, Ordering::AcqRel)
    }

    /// The monitor that was to be called has no thread. Whoever begins next calls again; who
    /// began meanwhile relied on this call, and goes unwatched until then.
    pub fn give_up(&self) {
        self.on.store(false, Ordering::Relaxed);
    }

    /// The monitor would let go; `busy` looks whether anything runs. Whether it may: if so it
    /// is called again.
    #[must_use]
    pub fn end(&self, busy: impl FnOnce() -> bool) -> bool {
        self.on.store(false, Ordering::Relaxed);
        // ORDERING: pairs with the fence in `begin`.
        fence(Ordering::SeqCst);
        // If somebody else switched it on again, they call the monitor.
        !busy() || self.on.swap(true, Ordering::AcqRel)
    }
}
