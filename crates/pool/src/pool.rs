//! A pool's handle: how it is started on, asked, resized and shut down.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::time::{Duration, Instant};

use rendez_core::shim::{Arc, OnceLock};
use rendez_core::{clock, hooks};

use crate::body::Goroutine;
use crate::builder::{Builder, MAX_WORKERS};
use crate::dump::{self, Dump};
use crate::error::Unfinished;
use crate::join::JoinHandle;
use crate::schedule::spawned_at;
use crate::shared::{Policy, Shared};
use crate::stats::Metrics;
use crate::threads::Config;
use crate::{os, worker};

/// Threads that run goroutines.
///
/// Most programs use the [global](Self::global) pool through [`go`](crate::go). A pool of
/// its own gives a part of a program its own number of workers, and an end that can be
/// waited for. Clones are handles of the same pool; when the last one is dropped, the pool
/// goes on until its goroutines have ended, then its threads end.
///
/// # Examples
///
/// ```
/// use rendez_pool::Pool;
///
/// let pool = Pool::builder().workers(2).thread_name("digest").build()?;
/// let answer = pool.go(|| 6 * 7);
/// assert_eq!(answer.join().unwrap(), 42);
/// pool.shutdown();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Pool {
    held: Arc<Held>,
}

/// What the handles of a pool share: its drop says that no handle is left.
struct Held(Arc<Shared>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.let_go();
    }
}

impl Pool {
    /// The pool of [`go`](crate::go) outside any other pool. It has as many workers as the
    /// process may use processors when it starts (the quota of its control group counted), at
    /// least two, or as many as the environment variable
    /// `RENDEZ_PROCS` says, as Go's `GOMAXPROCS`. Its threads start with its first
    /// goroutine.
    pub fn global() -> &'static Self {
        static GLOBAL: OnceLock<Pool> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            let pool = Self::builder().build_global(procs());
            hooks::set_spawner(|f| drop(Self::global().go(f)));
            pool
        })
    }

    /// A pool to be configured.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) fn with_config(n_workers: usize, config: Config, policy: Policy) -> Self {
        let shared = Shared::new(config, policy);
        shared.resize(n_workers);
        dump::enlist(Arc::downgrade(&shared));
        Self {
            held: Arc::new(Held(shared)),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.held.0
    }

    /// Starts a goroutine on this pool: see [`go`](crate::go).
    ///
    /// On a pool that has been shut down it is refused: it never runs, and its handle gives
    /// [`JoinError::Cancelled`](crate::JoinError::Cancelled).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = rendez_pool::Pool::builder().workers(1).build()?;
    /// assert_eq!(pool.go(|| 1).join().unwrap(), 1);
    /// assert_eq!(pool.go(async { 2 }).join().unwrap(), 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn go<M, G>(&self, goroutine: G) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static,
    {
        JoinHandle::start(self.shared(), goroutine, (), spawned_at(Location::caller()))
    }

    /// Runs `f` with a [`Scope`](crate::Scope) on this pool: see [`scope`](crate::scope()).
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = rendez_pool::Pool::builder().workers(1).build()?;
    /// let mut n = 1;
    /// pool.scope(|s| {
    ///     s.go(|| n += 1);
    /// });
    /// assert_eq!(n, 2);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn scope<'env, F, R>(&'env self, f: F) -> R
    where
        F: for<'scope> FnOnce(&'scope crate::Scope<'scope, 'env>) -> R,
    {
        crate::scope::on(self.into(), f, Location::caller())
    }

    /// Runs `future` on the calling thread; the goroutines that it starts by [`go`](crate::go)
    /// run on this pool, unless the caller is itself a goroutine: then on the caller's.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = rendez_pool::Pool::builder().workers(1).build()?;
    /// let n = pool.block_on(async { rendez_pool::go(|| rendez_pool::num_goroutines()).await });
    /// assert_eq!(n.unwrap(), 1); // of this pool
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        struct Leave(Option<Arc<Shared>>);
        impl Drop for Leave {
            fn drop(&mut self) {
                let _ = ENTERED.try_with(|entered| entered.replace(self.0.take()));
            }
        }
        let this = Some(Arc::clone(self.shared()));
        let before = ENTERED.try_with(|entered| entered.replace(this));
        let _leave = Leave(before.ok().flatten());
        crate::block_on(future)
    }

    /// Whether [`shutdown`](Self::shutdown) has been called: it takes no new goroutine.
    pub fn is_shut_down(&self) -> bool {
        self.shared().is_shut_down()
    }

    /// How many workers it has: goroutines that run at the same time, those that block
    /// not counted.
    pub fn workers(&self) -> usize {
        self.shared().crew.n_workers()
    }

    /// Changes how many workers it has, also while they run: Go's `GOMAXPROCS(n)`. Where
    /// there are to be fewer, a goroutine that runs now goes on until it next waits, yields or
    /// ends. Does not wait for that.
    ///
    /// # Panics
    ///
    /// If `n` is zero or above 65536.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = rendez_pool::Pool::builder().workers(1).build()?;
    /// pool.set_workers(4);
    /// assert_eq!(pool.workers(), 4);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn set_workers(&self, n: usize) {
        assert!(n > 0, "a pool needs at least one worker");
        assert!(n <= MAX_WORKERS, "a pool has at most {MAX_WORKERS} workers");
        self.shared().resize(n);
    }

    /// How many goroutines have been started and have not ended. Off by up to a few dozen for
    /// each worker if goroutines start and end without a pause meanwhile, but zero only if
    /// there was an instant at which none lived.
    pub fn num_goroutines(&self) -> usize {
        self.shared().n_live()
    }

    /// What it does at the moment and has done so far.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = rendez_pool::Pool::builder().workers(2).build()?;
    /// pool.go(|| ()).join().unwrap();
    /// let metrics = pool.metrics();
    /// assert_eq!((metrics.workers, metrics.spawned), (2, 1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn metrics(&self) -> Metrics {
        self.shared().metrics()
    }

    /// Every goroutine of this pool that lives, and where it waits: see [`dump`](crate::dump).
    pub fn dump(&self) -> Dump {
        Dump::of(std::slice::from_ref(self.shared()))
    }

    /// How many threads it has at the moment, those that block and those kept for later
    /// included.
    pub fn num_threads(&self) -> usize {
        self.shared().threads.n_alive()
    }

    /// Takes no new goroutine, waits for those that have been started, and ends the threads.
    ///
    /// # Panics
    ///
    /// If called from one of its own goroutines, which would wait for itself.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = rendez_pool::Pool::builder().workers(1).build()?;
    /// let started = pool.go(|| "done");
    /// pool.shutdown();
    /// assert_eq!(started.join().unwrap(), "done");
    /// assert!(pool.go(|| "too late").join().is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn shutdown(&self) {
        let _ = self.shut(None, Location::caller());
    }

    /// As [`shutdown`](Self::shutdown), but waits for at most `timeout`.
    ///
    /// # Errors
    ///
    /// If goroutines have not ended by then, with a dump of them; they go on, and their threads
    /// end with them.
    ///
    /// # Panics
    ///
    /// If called from one of its own goroutines, which would wait for itself.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use rendez_pool::Pool;
    ///
    /// let pool = Pool::builder().workers(1).build()?;
    /// let (tx, rx) = rendez_select::bounded::<()>(0);
    /// let stuck = pool.go(move || rx.recv());
    /// let rest = pool.shutdown_timeout(Duration::from_millis(50)).unwrap_err();
    /// let ids: Vec<_> = rest.dump().goroutines().map(|goroutine| goroutine.id).collect();
    /// assert_eq!((rest.count(), ids), (1, vec![stuck.id()]));
    /// drop(tx);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn shutdown_timeout(&self, timeout: Duration) -> Result<(), Unfinished> {
        self.shut(clock::deadline_after(timeout), Location::caller())
    }

    #[track_caller]
    fn shut(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<(), Unfinished> {
        let shared = self.shared();
        assert!(
            !worker::is_of(shared),
            "a pool is shut down from one of its own goroutines, which would wait for itself"
        );
        shared.shut_down();
        let ended = shared.wait_ended(deadline, location);
        let n_live = shared.n_live();
        // A thread that takes its time to end is no goroutine.
        if ended || n_live == 0 {
            return Ok(());
        }
        Err(Unfinished::new(n_live, self.dump()))
    }
}

impl UnwindSafe for Pool {}
impl RefUnwindSafe for Pool {}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("workers", &self.workers())
            .field("goroutines", &self.num_goroutines())
            .field("threads", &self.num_threads())
            .finish()
    }
}

std::thread_local! {
    // The pool whose `block_on` runs on a thread that is no pool's.
    static ENTERED: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// The calling goroutine's pool, or the one whose `block_on` this is, or the global one.
pub(crate) fn current() -> Arc<Shared> {
    worker::pool().unwrap_or_else(outside)
}

fn outside() -> Arc<Shared> {
    entered().unwrap_or_else(|| Arc::clone(Pool::global().shared()))
}

fn entered() -> Option<Arc<Shared>> {
    let entered = ENTERED.try_with(|entered| entered.borrow().clone());
    entered.ok().flatten()
}

/// Runs `f` with [`current`]'s pool, which it does not count if it is the caller's or the global
/// one.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Arc<Shared>) -> R) -> R {
    worker::with_pool(|pool| match pool {
        Some(pool) => f(pool),
        None => match entered() {
            Some(entered) => f(&entered),
            None => f(Pool::global().shared()),
        },
    })
}

/// How many workers the global pool has.
fn procs() -> usize {
    let Some(given) = std::env::var_os("RENDEZ_PROCS") else {
        return os::processors();
    };
    let n = given.to_str().and_then(|s| s.trim().parse().ok());
    match n {
        Some(n) if (1..=MAX_WORKERS).contains(&n) => n,
        _ => {
            eprintln!("rendez: RENDEZ_PROCS={given:?} is not a number of workers; ignored");
            os::processors()
        }
    }
}
