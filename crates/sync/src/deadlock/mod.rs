//! Deadlocks reported before they happen: the feature `deadlock-detect`.
//!
//! With the feature every [`Mutex`](crate::Mutex) and [`RwLock`](crate::RwLock) remembers who
//! holds it, and in which orders the locks of the program have been taken. Three things are
//! found, each with the places in the source at which they come about:
//!
//! - [**Relock**](Hazard::Relock): a goroutine waits for a lock that it holds itself. A thread
//!   that would block so panics instead, since nobody else could ever let it go on.
//! - [**Recursive read**](Hazard::RecursiveRead): a goroutine reads a lock that it reads
//!   already, which waits for ever as soon as a writer comes between the two. It is reported
//!   once for each lock; with the writer there, a thread panics.
//! - [**Lock order**](Hazard::LockOrder): locks have been taken in orders that form a circle,
//!   such as A before B here and B before A there. It is reported when the circle closes, once,
//!   whether or not the goroutines would really have met, and they go on. Orders under a common
//!   lock, which keeps them apart, do not count as a circle.
//!
//! Reports are printed to standard error, or given to a [hook](set_hook). All this is for tests
//! and for hunting: each lock and unlock passes one lock of the whole process. Without the
//! feature nothing is left of it, neither in the types nor in the code.
//!
//! The forms of locking count so: what blocks and what is awaited may wait for ever; a bounded
//! wait is reported likewise but never panics; a `try_` form cannot wait, so only what is
//! waited for while it is held counts. A future that waits for what its own goroutine holds is
//! reported and goes on waiting, since a future joined with it may hold the lock.
//!
//! Whoever locks owns the lock until it is unlocked, by whatever goroutine: who sends a guard
//! away and locks again is reported. Among several readers one that unlocks where it has not
//! locked cannot be told from the others; the lock forgets its readers then, rather than accuse
//! the wrong one. A task on an executor of another kind than rendez's pool is known by its
//! waker in `_async` forms, and by its thread in the others.
//!
//! It follows the habits of `parking_lot`'s `deadlock_detection`, which finds deadlocks that
//! have happened, and of lock-order checkers such as the thread sanitizer's.

#[cfg(feature = "deadlock-detect")]
mod graph;
#[cfg(not(feature = "deadlock-detect"))]
mod off;
#[cfg(feature = "deadlock-detect")]
mod report;
#[cfg(feature = "deadlock-detect")]
mod watch;

#[cfg(not(feature = "deadlock-detect"))]
pub(crate) use off::{Asked, Watch};
#[cfg(feature = "deadlock-detect")]
pub use report::{Hazard, Report, Step, set_hook, take_hook};
#[cfg(feature = "deadlock-detect")]
pub(crate) use watch::{Asked, Watch};

/// How a lock is held, or asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A mutex.
    Lock,
    /// The rest: a read-write lock.
    Read,
    Upgradable,
    Write,
    /// From upgradable to writer; held, it is `Write`.
    Upgrade,
}

#[cfg(feature = "deadlock-detect")]
impl Mode {
    fn is_exclusive(self) -> bool {
        matches!(self, Self::Lock | Self::Write | Self::Upgrade)
    }

    fn lock(self) -> &'static str {
        match self {
            Self::Lock => "mutex",
            _ => "read-write lock",
        }
    }
}
