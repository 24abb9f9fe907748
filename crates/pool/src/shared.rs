//! What all threads of a pool share.

use std::fmt;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::time::Instant;

use rendez_core::countdown::{Countdown, Zero};
use rendez_core::goroutine::{Goroutine as Identity, WaitKind};
use rendez_core::quiet::{Quiet, drop_quietly};
use rendez_core::shim::{Arc, Mutex, OnceLock, Weak, multicore, pause};
use rendez_core::wait;

use crate::apart::Away;
use crate::burst::{Burst, Part};
use crate::core::{Core, Queues, RETIRE, SHARE};
use crate::crew::{Cores, Crew};
use crate::dump::{Dump, Entry};
use crate::error::Payload;
use crate::limit::Limit;
use crate::live::{Begun, Live};
use crate::own_thread::OwnThread;
use crate::registry::{Glimpses, Registry};
use crate::sleep::Sleep;
use crate::stats::{Metrics, Stats, Writers};
use crate::task::Task;
use crate::threads::{Config, Threads};
use crate::watch::Watch;
use crate::worker::Why;
use crate::{list, monitor, worker};

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

/// Writes a line to stderr; `eprintln` would panic where nobody reads it.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What the threads of a pool share.
pub(crate) struct Shared {
    pub(crate) queues: Queues,
    pub(crate) sleep: Sleep<Box<Core>>,
    pub(crate) crew: Crew<Box<Core>>,
    pub(crate) watch: Watch,
    pub(crate) threads: Threads,
    // The user's, and dropped by whoever lets go of the pool last: the monitor for one.
    pub(crate) on_panic: Quiet<OnPanic>,
    on_deadlock: Quiet<OnDeadlock>,
    deadlock_told: OnceLock<()>,
    pub(crate) limit: Option<Limit<Task>>,
    pub(crate) registry: Registry,
    pub(crate) glimpses: Glimpses,
    // What threads without a core count.
    pub(crate) stats: Stats,
    epoch: Instant,
    pub(crate) burst: Burst,
    pub(crate) away: Away,
    live: Live,
    // At zero once the last goroutine has ended of a pool that was shut or let go.
    drained: Countdown,
    no_thread: OnceLock<()>,
    // To be handed to new threads.
    this: Weak<Self>,
    // Itself, while goroutines live or may be started: they do not count it. See `live`.
    kept: Mutex<Vec<Arc<Self>>>,
}

impl Shared {
    /// Without workers yet: see [`resize`](Self::resize).
    pub(crate) fn new(config: Config, policy: Policy) -> Arc<Self> {
        let shared = Arc::new_cyclic(|this| Self {
            queues: Queues::new(),
            sleep: Sleep::new(Vec::new()),
            crew: Crew::new(),
            watch: Watch::new(),
            threads: Threads::new(config),
            on_panic: Quiet::new(policy.on_panic),
            on_deadlock: Quiet::new(policy.on_deadlock),
            deadlock_told: OnceLock::new(),
            limit: policy.max_blocking.map(Limit::new),
            registry: Registry::default(),
            glimpses: Glimpses::default(),
            stats: Stats::new(),
            epoch: Instant::now(),
            burst: Burst::new(),
            away: Away::new(),
            live: Live::new(),
            drained: Countdown::new(1, WaitKind::WaitGroup),
            no_thread: OnceLock::new(),
            this: this.clone(),
            kept: Mutex::new(Vec::new()),
        });
        shared.keep();
        shared
    }

    /// Itself, which somebody keeps.
    pub(crate) fn this(&self) -> Arc<Self> {
        self.this.upgrade().expect("somebody keeps it")
    }

    /// Keeps itself until [`drain`](Self::drain) is called once more.
    #[cold]
    fn keep(&self) {
        self.kept.lock().push(self.this());
    }

    /// A core lies idle and there is work: wakes one.
    #[inline]
    pub(crate) fn work_came(&self) {
        if let Some(core) = self.sleep.work_came(|| self.is_seen_to()) {
            self.wake(core);
        }
    }

    /// Wakes a worker for work that has come, or two if a rest ends.
    #[cold]
    fn wake(&self, mut core: Box<Core>) {
        if worker::is_of(self) {
            core.part = self.burst.part(|| self.clock());
            return self.start(core, true);
        }
        // Nobody searches either, or there were no core to start.
        let was_at_rest = !self.is_running();
        self.start(core, true);
        if was_at_rest && multicore() && self.burst.begin(self.clock()) {
            if let Some(mut core) = self.sleep.wake_another() {
                core.part = Part::Along;
                self.start(core, true);
            }
        }
    }

    /// Whether work that has come needs nobody to be woken.
    #[cold]
    fn is_seen_to(&self) -> bool {
        self.one_is_enough() || multicore() && self.is_taken_soon()
    }

    /// Whether there is one processor, and a worker that runs on it.
    fn one_is_enough(&self) -> bool {
        !multicore() && self.queues.any_comes_back()
    }

    /// Whether a worker takes what this thread has queued, or begins to search, before one could
    /// be woken: it has often just ended what this thread waited for.
    fn is_taken_soon(&self) -> bool {
        /// Little beside a wake.
        const LOOKS: u32 = 8;
        if worker::is_of(self) {
            return false;
        }
        for _ in 0..LOOKS {
            let is_running = self.is_running();
            if self.sleep.is_searched() || !self.queues.has_work() {
                return true;
            }
            if !is_running {
                return false;
            }
            pause(1);
        }
        false
    }

    /// Whether work lies in any queue for which another thread should run.
    pub(crate) fn wants_more(&self) -> bool {
        self.queues.has_work() && !self.one_is_enough()
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
                say(format_args!(
                    "rendez: no thread to be had ({error}); goroutines wait for one that runs"
                ));
            }
            // Whoever comes free, or queues more, finds them in the shared queue.
            core.give_away(&self.queues);
            core.searching = false;
            core.part = Part::Any;
            self.settle(&core);
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
        self.settle(&core);
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
    pub(crate) fn resize(&self, n: usize) {
        for core in self.crew.resize(n, self) {
            if let Some(core) = self.sleep.idle(core, false, || self.queues.has_work()) {
                self.start(core, true);
            }
        }
    }

    /// Starts a goroutine, unless the pool takes none: then it ends at once, cancelled.
    pub(crate) fn launch(&self, task: Task) {
        if self.begin() == Begun::Refused {
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
            let told = catch_unwind(AssertUnwindSafe(|| (self.on_deadlock)(&dump)));
            drop_quietly(told);
        }
    }

    /// How many of its threads run no goroutine.
    pub(crate) fn n_spare_threads(&self) -> usize {
        self.glimpses.n_spare()
    }

    /// Starts a goroutine on a thread of its own.
    pub(crate) fn launch_alone(&self, task: Task, own: &Arc<OwnThread>) {
        if self.begin() == Begun::Refused {
            task.refuse();
            task.run(&**own);
            return;
        }
        task.enter();
        self.stats.spawned(Writers::Many);
        if let Err((task, error)) = own.start(task) {
            if self.no_thread.set(()).is_ok() {
                say(format_args!(
                    "rendez: no thread to be had ({error}) for a goroutine of its own"
                ));
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

    /// A goroutine begins.
    fn begin(&self) -> Begun {
        worker::with_account(self, |mine| self.live.begin(mine, || self.keep()))
    }

    /// A goroutine has ended; the caller keeps the pool.
    pub(crate) fn one_less(&self) {
        if worker::with_account(self, |mine| self.live.end(mine)) {
            self.drain();
        }
    }

    /// A core will lie idle or go out of service.
    pub(crate) fn settle(&self, core: &Core) {
        if self.live.settle(&core.seen.account) {
            self.drain();
        }
    }

    /// Takes no new goroutine.
    pub(crate) fn shut_down(&self) {
        if self.live.shut() {
            self.drain();
        }
    }

    pub(crate) fn is_shut_down(&self) -> bool {
        self.live.is_shut()
    }

    /// Its last handle is gone.
    pub(crate) fn let_go(&self) {
        if self.live.let_go() {
            self.drain();
        }
    }

    /// Waits until its goroutines and then its threads have ended, after it was shut down.
    /// Whether they have by `deadline`.
    pub(crate) fn wait_ended(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> bool {
        let wait = |zero| wait::block_on_case(&zero, deadline, location);
        wait(Zero(&self.drained))
            .and_then(|()| wait(self.threads.all_ended()))
            .is_some()
    }

    /// It has come to its end; the caller keeps it.
    #[cold]
    fn drain(&self) {
        // It may come to its end again: the first time is enough.
        let _ = self.drained.done();
        self.threads.close();
        // Kept before what has ended now began.
        let kept = self.kept.lock().pop();
        debug_assert!(kept.is_some(), "a pool kept itself until its end");
    }

    pub(crate) fn n_live(&self) -> usize {
        self.live
            .count(|| self.queues.cores.iter().map(|core| &core.account))
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
