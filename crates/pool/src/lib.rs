//! Goroutines: closures and futures on one pool of threads, where blocking is always safe.
//!
//! [`go`] starts either kind:
//!
//! ```
//! use rendez_pool::go;
//!
//! let sum = go(|| (1..=10).sum::<u32>()); // a closure
//! let product = go(async { (1..=5).product::<u32>() }); // a future
//! assert_eq!(sum.join().unwrap(), 55);
//! assert_eq!(product.join().unwrap(), 120);
//! ```
//!
//! A few workers, one for each processor, take goroutines from queues of their own and
//! from each other's. A goroutine of either kind that blocks in one of rendez's primitives
//! hands its worker's queue to another thread first, so a pool of a single worker does not
//! deadlock on a channel. A panic ends its goroutine alone and is carried to
//! [`JoinHandle::join`].
//!
//! Followed: Go's `go` statement and scheduler, [`std::thread::scope`], tokio's join
//! handles. Differences from Go: a goroutine has a handle, a panic does not end the
//! program, and a future costs no stack.

mod apart;
mod body;
mod builder;
mod burst;
mod cell;
mod cells;
mod cgroup;
mod core;
mod crew;
mod dump;
mod error;
mod executor;
mod foreign;
mod home;
mod join;
mod joiners;
mod limit;
mod list;
mod live;
mod monitor;
mod ordered;
mod os;
mod own_thread;
mod pool;
#[cfg(feature = "signal")]
mod quit;
mod registry;
mod schedule;
mod scope;
mod shared;
mod sleep;
mod slot;
mod spawn;
mod standstill;
mod state;
mod stats;
mod task;
mod threads;
#[cfg(feature = "tracing")]
mod trace;
mod waitgroup;
mod watch;
mod worker;
mod yielding;

use std::future::Future;
use std::panic::Location;

pub use crate::body::{Goroutine, marker};
pub use crate::builder::Builder;
pub use crate::dump::{Dump, Entry, State, dump};
pub use crate::error::{JoinError, Payload, SpawnError, Unfinished};
pub use crate::executor::{FuturesSpawner, Spawn, SpawnExt};
pub use crate::foreign::Task;
pub use crate::join::JoinHandle;
pub use crate::ordered::{par_map, try_par_map};
pub use crate::pool::Pool;
#[cfg(feature = "signal")]
pub use crate::quit::{OnQuit, set_on_quit};
pub use crate::scope::{Scope, scope};
pub use crate::spawn::{Spawner, spawn};
pub use crate::stats::{Histogram, Metrics};
pub use crate::waitgroup::WaitGroupExt;
pub use crate::yielding::{YieldNow, yield_now, yield_thread};

/// Who a goroutine is: what the hook of its panic is told.
pub use rendez_core::goroutine::Goroutine as Identity;
/// What a goroutine waits for: in dumps and metrics.
pub use rendez_core::goroutine::WaitKind;

/// For sibling crates and the models of the parts; not an interface.
#[doc(hidden)]
pub mod __private {
    pub use crate::cells::{Kept, Link, Shelf};
    pub use crate::crew::{Cores, Crew};
    pub use crate::executor::On;
    pub use crate::join::goroutine_on;
    pub use crate::limit::Limit;
    pub use crate::live::{Account, Begun, Live};
    pub use crate::ordered::map;
    pub use crate::schedule::{Ending, Schedule, TaskResult, spawned_at};
    pub use crate::sleep::Sleep;
    pub use crate::task::{Reporter, Task};
    pub use crate::watch::Watch;
}

/// Starts a goroutine, a closure or a future, on the caller's pool, the global one outside
/// of any: Go's `go` statement.
///
/// It runs at some time from now, whether or not its handle is kept. Never blocks.
///
/// An `async` closure, or one that returns a future, would make a future and never poll it:
/// write `go(async { … })`.
///
/// # Examples
///
/// ```
/// let handle = rendez_pool::go(|| 6 * 7);
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
#[track_caller]
pub fn go<M, G>(goroutine: G) -> JoinHandle<G::Output>
where
    G: Goroutine<M> + 'static,
    G::Output: 'static,
{
    let identity = schedule::spawned_at(Location::caller());
    pool::with_current(|pool| JoinHandle::start(pool, goroutine, (), identity))
}

/// Runs `future` on the calling thread until it completes.
///
/// Inside a goroutine this blocks it, as every blocking call does: safely.
///
/// # Examples
///
/// ```
/// assert_eq!(rendez_pool::block_on(async { 42 }), 42);
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    rendez_core::block_on::block_on(future)
}

/// How many goroutines of the caller's pool have been started and have not ended: Go's
/// `runtime.NumGoroutine`.
pub fn num_goroutines() -> usize {
    pool::current().n_live()
}

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
