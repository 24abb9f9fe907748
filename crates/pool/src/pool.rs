//! A pool and its handle: what all of its threads share, how it is built, started on,
//! and shut down.
//!
//! One word counts the goroutines that have not ended and says whether the pool takes new
//! ones:
//!
//! ```text
//! | live goroutines (from bit 2) | SHUT | UNHELD |
//! ```
//!
//! - **SHUT**: [`Pool::shutdown`] was called; a goroutine started after that is refused.
//! - **UNHELD**: the last handle is gone. Its goroutines may still start others.
//! - Whoever brings the count to zero with either flag set, or sets a flag at zero, lets
//!   the threads end. Counting and looking are one RMW, so no goroutine slips in between.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::time::{Duration, Instant};

use rendez_core::countdown::{Countdown, Zero};
use rendez_core::goroutine::{Goroutine as Identity, WaitKind};
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{Arc, OnceLock, Weak};
use rendez_core::{clock, hooks, wait};

use crate::body::Goroutine;
use crate::builder::{Builder, MAX_WORKERS};
use crate::core::{Core, Queues, RETIRE, SHARE};
use crate::crew::{Cores, Crew};
use crate::dump::{self, Dump, Entry};
use crate::error::{Payload, Unfinished};
use crate::join::JoinHandle;
use crate::limit::Limit;
use crate::own_thread::OwnThread;
use crate::registry::{Glimpses, Registry};
use crate::sleep::Sleep;
use crate::stats::{Metrics, Stats, Writers};
use crate::task::Task;
use crate::threads::{Config, Threads};
use crate::watch::Watch;
use crate::worker::Why;
use crate::{list, monitor, os, worker};

const UNHELD: usize = 1;
const SHUT: usize = 1 << 1;
const ONE: usize = 1 << 2;

/// What a pool does with a panic that nobody joins.
pub(crate) type OnPanic = Arc<dyn Fn(&Identity, Payload) + Send + Sync>;

/// What a pool does when all goroutines are asleep.
pub(crate) type OnDeadlock = Arc<dyn Fn(&Dump) + Send + Sync>;

/// What is asked of a pool besides its threads.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) on_panic: OnPanic,
    pub(crate) on_deadlock: OnDeadlock,
    pub(crate) max_blocking: Option<usize>,
}

/// What the threads of a pool share.
pub(crate) struct Shared {
    pub(crate) queues: Queues,
    pub(crate) sleep: Sleep<Box<Core>>,
    pub(crate) crew: Crew<Box<Core>>,
    pub(crate) watch: Watch,
    pub(crate) threads: Threads,
    pub(crate) on_panic: OnPanic,
    on_deadlock: OnDeadlock,
    deadlock_told: OnceLock<()>,
    pub(crate) limit: Option<Limit<Task>>,
    pub(crate) registry: Registry,
    pub(crate) glimpses: Glimpses,
    // What threads without a core count.
    pub(crate) stats: Stats,
    epoch: Instant,
    // See the head of the file.
    live: AtomicUsize,
    // At zero once the last goroutine has ended after SHUT or UNHELD.
    drained: Countdown,
    no_thread: OnceLock<()>,
    // To be handed to new threads.
    this: Weak<Self>,
}

impl Shared {
    /// A core lies idle and there is work: wakes one.
    #[inline]
    pub(crate) fn work_came(&self) {
        if let Some(core) = self.sleep.work_came() {
            self.start(core, true);
        }
    }

    /// Starts a thread with `core`, or wakes a spare one.
    #[cold]
    pub(crate) fn start(&self, mut core: Box<Core>, searching: bool) {
        core.searching = searching;
        let Some(this) = self.this.upgrade() else {
            return;
        };
        let given = self.threads.give(core, |core| worker::main(this, core));
        if let Err((mut core, error)) = given {
            if self.no_thread.set(()).is_ok() {
                eprintln!(
                    "rendez: no thread to be had ({error}); goroutines wait for one that runs"
                );
            }
            // Whoever comes free, or queues more, finds them in the shared queue.
            core.give_away(&self.queues);
            core.searching = false;
            let _ = self.sleep.idle(core, searching, || false);
            // Nobody may come free: the monitor tries again.
            self.begin_watch();
        }
    }

    /// A thread holds a core anew and has begun a turn.
    pub(crate) fn begin_watch(&self) {
        if self.watch.begin() && !monitor::call(self.this.clone()) {
            self.watch.give_up();
        }
    }

    /// Whether any thread that holds a core runs a goroutine.
    pub(crate) fn is_running(&self) -> bool {
        self.queues
            .cores
            .iter()
            .any(|core| core.running().is_some())
    }

    /// Lets what lies in the shared queue have its turn soon.
    pub(crate) fn share(&self) {
        if self.queues.has_shared() {
            for core in self.queues.cores.iter() {
                core.ask(SHARE);
            }
        }
    }

    /// The holder of the core at `index` is stuck: another takes its place.
    pub(crate) fn retake(&self, index: usize) {
        if let Some(core) = self.crew.retake(index, self) {
            self.sleep.join_search();
            self.start(core, true);
        }
    }

    /// Puts a core out of service whose holder was asked to.
    #[cold]
    pub(crate) fn retire(&self, mut core: Box<Core>) {
        core.give_away(&self.queues);
        let searching = std::mem::take(&mut core.searching);
        self.crew.retire(core, self);
        if searching {
            if let Some(core) = self.sleep.found(|| self.queues.has_work()) {
                self.start(core, true);
            }
        }
        self.work_came();
    }

    /// Changes how many cores there are.
    fn resize(&self, n: usize) {
        for core in self.crew.resize(n, self) {
            if let Some(core) = self.sleep.idle(core, false, || self.queues.has_work()) {
                self.start(core, true);
            }
        }
    }

    /// Starts a goroutine, unless the pool takes none: then it ends at once, cancelled.
    pub(crate) fn launch(&self, task: Task) {
        let refused = self.live.fetch_add(ONE, Ordering::Relaxed) & SHUT != 0;
        if refused {
            task.refuse();
            task.run(self);
        } else {
            if task.identity().is_described() {
                task.enter();
            }
            match &self.limit {
                Some(limit) if task.is_closure() => {
                    if let Some(task) = limit.enter(task) {
                        self.queue(task, Why::New);
                    }
                }
                _ => self.queue(task, Why::New),
            }
        }
    }

    /// A closure has ended or waits: another may run in its place.
    pub(crate) fn make_room(&self) {
        let next = self.limit.as_ref().and_then(Limit::leave);
        if let Some(task) = next {
            self.queue(task, Why::New);
        }
    }

    /// A closure that waited goes on.
    pub(crate) fn take_room(&self) {
        if let Some(limit) = &self.limit {
            limit.enter_again();
        }
    }

    /// All goroutines are asleep for good: tells so, once.
    pub(crate) fn stands_still(self: &Arc<Self>) {
        if self.deadlock_told.set(()).is_ok() {
            let dump = Dump::of(std::slice::from_ref(self));
            // A hook that panics has been reported.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.on_deadlock)(&dump)));
        }
    }

    /// How many of its threads run no goroutine.
    pub(crate) fn n_spare_threads(&self) -> usize {
        self.glimpses.n_spare()
    }

    /// Starts a goroutine on a thread of its own.
    pub(crate) fn launch_alone(&self, task: Task, own: &Arc<OwnThread>) {
        let refused = self.live.fetch_add(ONE, Ordering::Relaxed) & SHUT != 0;
        if refused {
            task.refuse();
            task.run(&**own);
            return;
        }
        task.enter();
        self.stats.spawned(Writers::Many);
        if let Err((task, error)) = own.start(task) {
            if self.no_thread.set(()).is_ok() {
                eprintln!("rendez: no thread to be had ({error}) for a goroutine of its own");
            }
            task.refuse();
            task.run(&**own);
        }
    }

    /// The time of latencies: nanoseconds since the pool was made, never zero.
    pub(crate) fn clock(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_nanos()).map_or(u64::MAX, |n| n.max(1))
    }

    /// Shows what it knows of each goroutine, the most telling first.
    pub(crate) fn find(&self, f: &mut dyn FnMut(Entry)) {
        self.registry.for_each(|header| f(header.describe()));
        self.glimpses.for_each(f);
        if self.queues.for_each(|task| f(task.describe())) {
            self.work_came();
        }
        if let Some(limit) = &self.limit {
            limit.for_each(|task| f(task.describe()));
        }
    }

    pub(crate) fn metrics(&self) -> Metrics {
        let mut metrics = Metrics {
            workers: self.crew.n_workers(),
            running: self.glimpses.n_running(),
            runnable: self.queues.n_queued() + self.limit.as_ref().map_or(0, Limit::n_waiting),
            threads: self.threads.n_alive(),
            ..Metrics::default()
        };
        self.stats.add_to(&mut metrics);
        for core in self.queues.cores.iter() {
            core.stats.add_to(&mut metrics);
        }
        metrics.waiting = self
            .n_live()
            .saturating_sub(metrics.running + metrics.runnable);
        metrics
    }

    /// A goroutine has ended.
    pub(crate) fn one_less(&self) {
        // ORDERING: Release, so that who sees the count at zero sees what they did.
        let before = self.live.fetch_sub(ONE, Ordering::AcqRel);
        if before / ONE == 1 && before % ONE != 0 {
            self.drain();
        }
    }

    /// Takes no new goroutine, or is held no more; the threads end with the last one.
    fn close(&self, flag: usize) {
        if self.live.fetch_or(flag, Ordering::AcqRel) / ONE == 0 {
            self.drain();
        }
    }

    #[cold]
    fn drain(&self) {
        // More than one may come here, each after a count of zero: the first is enough.
        let _ = self.drained.done();
        self.threads.close();
    }

    pub(crate) fn n_live(&self) -> usize {
        self.live.load(Ordering::Acquire) / ONE
    }
}

impl Cores<Box<Core>> for Shared {
    fn index(&self, core: &Box<Core>) -> usize {
        core.index
    }

    fn make(&self) -> Option<Box<Core>> {
        (self.queues.cores.len() < list::MAX).then(|| self.queues.add_core())
    }

    fn take_idle(&self) -> Option<Box<Core>> {
        self.sleep.take()
    }

    fn ask(&self, index: usize) {
        if let Some(core) = self.queues.cores.get(index) {
            core.ask(RETIRE);
        }
    }

    fn unask(&self, index: usize) {
        if let Some(core) = self.queues.cores.get(index) {
            core.granted(RETIRE);
        }
    }
}

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
        self.0.close(UNHELD);
    }
}

impl Pool {
    /// The pool of [`go`](crate::go) outside any other pool. It has as many workers as the
    /// process may use processors, at least two, or as many as the environment variable
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
        let shared = Arc::new_cyclic(|this| Shared {
            queues: Queues::new(),
            sleep: Sleep::new(Vec::new()),
            crew: Crew::new(),
            watch: Watch::new(),
            threads: Threads::new(config),
            on_panic: policy.on_panic,
            on_deadlock: policy.on_deadlock,
            deadlock_told: OnceLock::new(),
            limit: policy.max_blocking.map(Limit::new),
            registry: Registry::default(),
            glimpses: Glimpses::default(),
            stats: Stats::new(),
            epoch: Instant::now(),
            live: AtomicUsize::new(0),
            drained: Countdown::new(1, WaitKind::WaitGroup),
            no_thread: OnceLock::new(),
            this: this.clone(),
        });
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
    #[track_caller]
    pub fn go<M, G>(&self, goroutine: G) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static,
    {
        JoinHandle::start(
            self.shared(),
            goroutine,
            (),
            crate::task::spawned_at(Location::caller()),
        )
    }

    /// Runs `f` with a [`Scope`](crate::Scope) on this pool: see [`scope`](crate::scope()).
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
        self.shared().live.load(Ordering::Acquire) & SHUT != 0
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

    /// How many goroutines have been started and have not ended.
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
        shared.close(SHUT);
        let wait = |zero| wait::block_on_case(&zero, deadline, location);
        let ended = wait(Zero(&shared.drained))
            .and_then(|()| wait(shared.threads.all_ended()))
            .is_some();
        let n_live = shared.n_live();
        // A thread that takes its time to end is no goroutine.
        if ended || n_live == 0 {
            return Ok(());
        }
        Err(Unfinished::new(n_live, self.dump()))
    }
}

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
    let entered = ENTERED.try_with(|entered| entered.borrow().clone());
    let entered = entered.ok().flatten();
    entered.unwrap_or_else(|| Arc::clone(Pool::global().shared()))
}

/// Runs `f` with [`current`]'s pool, which it does not count.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Arc<Shared>) -> R) -> R {
    worker::with_pool(|pool| f(pool.unwrap_or_else(|| Pool::global().shared())))
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
