//! One face over std and loom.
//!
//! Every other file of the project takes its locks, atomics, cells and threads from
//! here, so that the code the models explore is the code that ships. Under
//! `--cfg rendez_loom` the types are loom's; otherwise they are std's and
//! parking_lot's. These are the only files that may name `std::sync`, atomics or loom.
//!
//! What loom lacks decides what is offered: no time (a timeout is modelled as a thread
//! that claims), no `const fn new`, no scoped threads, no `Weak`.

pub(crate) mod coarse;
mod fetch;
mod futexes;
#[cfg(rendez_loom)]
mod loom;
mod pause;
mod slack;
#[cfg(not(rendez_loom))]
mod std;

pub use self::fetch::fetch_to_change;
pub use self::futexes::expect_sleepers;
#[cfg(rendez_loom)]
pub use self::loom::*;
pub use self::pause::pause;
pub use self::slack::ExactTimeouts;
#[cfg(not(rendez_loom))]
pub use self::std::*;

/// An id no other call in this process has returned. Not modelled by loom: it orders
/// nothing, it only tells two waiters apart.
pub fn unique_id() -> u64 {
    use ::std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Whether this is the program's main thread, or one of that name.
pub fn is_main_thread() -> bool {
    !cfg!(rendez_loom) && ::std::thread::current().name() == Some("main")
}

/// What stays std's and parking_lot's under loom: counters and caches that no waiting
/// protocol depends on, and whose statics must outlive a model's iteration.
pub mod unmodelled {
    #![allow(clippy::disallowed_types, clippy::disallowed_methods)]
    pub use ::std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
    pub use parking_lot::{Condvar, Mutex, MutexGuard};

    /// Starts a thread with a name.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn spawn_named(name: &str, f: impl FnOnce() + Send + 'static) -> ::std::io::Result<()> {
        ::std::thread::Builder::new()
            .name(name.into())
            .spawn(f)
            .map(drop)
    }
}
