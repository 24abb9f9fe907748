//! Any executor: goroutines with their handles, scopes and panics, on somebody else's
//! threads.
//!
//! [`Spawn`] is what an executor has to give; it is implemented for [`Pool`], for the
//! `futures` crates' `Spawn` through [`FuturesSpawner`], and for tokio's `Handle` with the
//! feature `tokio`. The other way round, a [`Pool`] is a `Spawn` of the `futures` crates.
//!
//! Soundness: as a scope's, whatever the executor does; see [`foreign`](crate::foreign).
#![allow(unsafe_code)]

use std::fmt;
use std::panic::Location;

use futures_task::FutureObj;
use rendez_core::goroutine::Goroutine as Identity;
use rendez_core::hooks;
use rendez_core::shim::Arc;

use crate::body::Goroutine;
use crate::error::SpawnError;
use crate::foreign::{Slot, Task};
use crate::home::Home;
use crate::join::JoinHandle;
use crate::pool::{self, Pool};
use crate::schedule::{Ending, Schedule, spawned_at};
use crate::scope::Scope;
use crate::shared::Shared;

/// An executor that can run goroutines.
///
/// Through [`SpawnExt`] it starts goroutines with [handles](JoinHandle) and
/// [scopes](SpawnExt::scope); error groups take one too. On an executor other than a
/// [`Pool`] a goroutine keeps its identity, its panic is carried to its handle, and a future
/// may use that executor's own sockets and timers. What it does not get is a pool's promise
/// that blocking is safe: a *future* that blocks one of the executor's threads just blocks it.
/// A *closure*, which may block for long, runs where the executor wants blocking work: on a
/// tokio runtime by `spawn_blocking`, where there is no such place on a thread of its own.
///
/// Whatever an implementation does with a task is sound. A task it drops is a goroutine
/// cancelled; one it forgets is a goroutine that never ends.
///
/// # Examples
///
/// ```
/// use rendez_pool::{Spawn, SpawnError, SpawnExt, Task};
///
/// /// Runs each goroutine on a thread of its own.
/// struct Threads;
///
/// impl Spawn for Threads {
///     fn spawn(&self, task: Task) -> Result<(), SpawnError> {
///         let thread = std::thread::Builder::new();
///         thread.spawn(|| task.run()).map(drop).map_err(SpawnError::other)
///     }
/// }
///
/// let handle = Threads.go(async { 6 * 7 });
/// assert_eq!(handle.join().unwrap(), 42);
/// ```
pub trait Spawn: Send + Sync {
    /// Runs `task` at some time from now. Does not block.
    ///
    /// # Errors
    ///
    /// If the executor takes no more; the task has been dropped then, which cancels it.
    fn spawn(&self, task: Task) -> Result<(), SpawnError>;

    /// The pool this is, whose goroutines need no task.
    #[doc(hidden)]
    fn __pool(&self) -> Option<&Pool> {
        None
    }
}

macro_rules! delegate {
    ($($pointer:ty),*) => {$(
        impl<S: Spawn + ?Sized> Spawn for $pointer {
            fn spawn(&self, task: Task) -> Result<(), SpawnError> {
                (**self).spawn(task)
            }
            fn __pool(&self) -> Option<&Pool> {
                (**self).__pool()
            }
        }
    )*};
}

delegate!(&S, Box<S>, Arc<S>);

impl Spawn for Pool {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        if self.is_shut_down() {
            return Err(SpawnError::Shutdown);
        }
        drop(if task.is_closure() {
            self.go(|| task.run())
        } else {
            self.go(task)
        });
        Ok(())
    }

    fn __pool(&self) -> Option<&Pool> {
        Some(self)
    }
}

impl futures_task::Spawn for Pool {
    fn spawn_obj(&self, future: FutureObj<'static, ()>) -> Result<(), futures_task::SpawnError> {
        self.status()?;
        drop(self.go(future));
        Ok(())
    }

    fn status(&self) -> Result<(), futures_task::SpawnError> {
        if self.is_shut_down() {
            Err(futures_task::SpawnError::shutdown())
        } else {
            Ok(())
        }
    }
}

/// Makes a `Spawn` of the `futures` crates one of ours.
///
/// Futures are spawned on it. Closures, for which such an executor has no place, run on a
/// cached thread, or on the global pool once that is in use.
///
/// # Examples
///
/// ```
/// use rendez_pool::{FuturesSpawner, Pool, SpawnExt};
///
/// // Any of theirs will do; a pool is one as well.
/// let theirs = Pool::builder().workers(1).build()?;
/// let handle = FuturesSpawner(theirs).go(async { 6 * 7 });
/// assert_eq!(handle.join().unwrap(), 42);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FuturesSpawner<S>(pub S);

impl<S: futures_task::Spawn + Send + Sync> Spawn for FuturesSpawner<S> {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        let result = if task.is_closure() {
            self.0
                .status()
                .map(|()| hooks::spawn_detached(|| task.run()))
        } else {
            self.0.spawn_obj(FutureObj::new(Box::new(task)))
        };
        result.map_err(|error| {
            if error.is_shutdown() {
                SpawnError::Shutdown
            } else {
                SpawnError::other(error)
            }
        })
    }
}

/// Futures are spawned as tasks of the runtime, closures by `spawn_blocking`.
#[cfg(feature = "tokio")]
impl Spawn for tokio::runtime::Handle {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        // A runtime that has been shut down drops what it is given: a goroutine cancelled.
        if task.is_closure() {
            drop(self.spawn_blocking(|| task.run()));
        } else {
            drop(tokio::runtime::Handle::spawn(self, task));
        }
        Ok(())
    }
}

/// Goroutines on any executor.
pub trait SpawnExt: Spawn {
    /// Starts a goroutine on this executor: see [`go`](crate::go).
    ///
    /// If the executor refuses it, it never runs, and its handle gives
    /// [`JoinError::Cancelled`](crate::JoinError::Cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_pool::{Pool, SpawnExt};
    ///
    /// fn answer(executor: &dyn rendez_pool::Spawn) -> u32 {
    ///     executor.go(|| 6 * 7).join().unwrap()
    /// }
    /// assert_eq!(answer(Pool::global()), 42);
    /// ```
    #[track_caller]
    fn go<M, G>(&self, goroutine: G) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static;

    /// Runs `f` with a [`Scope`] whose goroutines run on this executor: see
    /// [`scope`](crate::scope()).
    ///
    /// Blocks the calling thread until they have ended. So on an executor with a single
    /// thread it must not be called from one of its own tasks, nor on any from one whose
    /// progress the goroutines need.
    ///
    /// # Panics
    ///
    /// As [`scope`](crate::scope()).
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_pool::{FuturesSpawner, Pool, SpawnExt};
    ///
    /// let theirs = FuturesSpawner(Pool::global().clone());
    /// let words = ["a", "b"];
    /// let n = theirs.scope(|s| s.go(async { words.len() }).join().unwrap());
    /// assert_eq!(n, 2);
    /// ```
    #[track_caller]
    fn scope<'env, F, R>(&'env self, f: F) -> R
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R;
}

impl<S: Spawn + ?Sized> SpawnExt for S {
    #[track_caller]
    fn go<M, G>(&self, goroutine: G) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static,
    {
        On::from(&self as &dyn Spawn).start(goroutine, spawned_at(Location::caller()))
    }

    #[track_caller]
    fn scope<'env, F, R>(&'env self, f: F) -> R
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    {
        crate::scope::on(On::from(&self as &dyn Spawn), f, Location::caller())
    }
}

/// Where goroutines are started.
#[derive(Clone)]
pub struct On<'a>(Place<'a>);

#[derive(Clone)]
enum Place<'a> {
    Pool(Arc<Shared>),
    Foreign(&'a dyn Spawn),
}

impl On<'_> {
    /// The calling goroutine's pool, or the global one.
    pub fn current() -> Self {
        Self(Place::Pool(pool::current()))
    }

    /// The pool, if it is one.
    pub(crate) fn pool(&self) -> Option<Arc<Shared>> {
        match &self.0 {
            Place::Pool(shared) => Some(Arc::clone(shared)),
            Place::Foreign(_) => None,
        }
    }

    /// Starts a goroutine.
    pub(crate) fn start<M, G>(&self, goroutine: G, identity: Identity) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static,
    {
        // SAFETY: nothing is borrowed.
        unsafe { self.start_borrowing(goroutine, (), identity) }
    }

    /// Starts a goroutine that may borrow.
    ///
    /// # Safety
    ///
    /// What it borrows lives until `ending` has been dropped.
    pub unsafe fn start_borrowing<M, G, E>(
        &self,
        goroutine: G,
        ending: E,
        identity: Identity,
    ) -> JoinHandle<G::Output>
    where
        G: Goroutine<M>,
        E: Ending<G::Output>,
    {
        match &self.0 {
            Place::Pool(shared) => {
                // SAFETY: as the caller promises.
                unsafe { JoinHandle::start_borrowing(shared, goroutine, ending, identity) }
            }
            Place::Foreign(spawner) => {
                hooks::switch_point();
                let slot = Arc::new(Slot::new());
                let home = Home::other(Arc::clone(&slot) as Arc<dyn Schedule>);
                // SAFETY: as the caller promises.
                let (due, handle) = unsafe { JoinHandle::make(home, goroutine, ending, identity) };
                due.enter();
                // A refusal has dropped the task, which the handle tells.
                let _ = spawner.spawn(Task::new(due, slot));
                handle
            }
        }
    }
}

impl<'a> From<&'a Pool> for On<'a> {
    fn from(pool: &'a Pool) -> Self {
        Self(Place::Pool(Arc::clone(pool.shared())))
    }
}

impl<'a> From<&'a dyn Spawn> for On<'a> {
    fn from(spawner: &'a dyn Spawn) -> Self {
        match spawner.__pool() {
            Some(pool) => pool.into(),
            None => Self(Place::Foreign(spawner)),
        }
    }
}

impl fmt::Debug for On<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Place::Pool(_) => "On(a pool)",
            Place::Foreign(_) => "On(an executor)",
        })
    }
}
