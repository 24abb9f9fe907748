//! What a pool's thread does: run goroutines while it holds a core.
//!
//! A thread that is about to block in one of our primitives lets its core go first, to
//! another thread if there is work in its queue, otherwise to the idle ones; that is what
//! makes blocking safe in a goroutine of either kind. When it runs again it takes a core if
//! one is idle, and otherwise finishes its goroutine without: it is then one thread more
//! than there are cores, until the goroutine ends or blocks again.
//!
//! Invariants:
//!
//! - `Worker::core` is `None` while the thread sleeps in a primitive, so a queue always
//!   belongs to a thread that can run it, or to nobody and is empty. The monitor sees to the
//!   queue of one that is stuck elsewhere.
//! - A core shows an odd turn exactly while its holder runs goroutines, another for each, and
//!   the pool is watched while any does.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::ptr;
use std::time::{Duration, Instant};

use rendez_core::goroutine::{self, Glimpse, coarse};
use rendez_core::hooks;
use rendez_core::shim::{Arc, multicore, pause, thread};

use crate::cell::{enter_running, is_polling};
use crate::core::{Core, RETIRE};
use crate::live::Account;
use crate::os;
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::shared::Shared;
use crate::stats::{SAMPLE, Stats, Writers};
use crate::task::Task;

/// A thread of a pool.
struct Worker {
    shared: Arc<Shared>,
    core: RefCell<Option<Box<Core>>>,
    /// Whether what runs is a closure.
    in_closure: Cell<bool>,
    /// The system's number of this thread.
    number: u32,
    /// What dumps see of it.
    glimpse: Arc<Glimpse>,
    /// Whether closures here count against the limit.
    is_counted: bool,
}

std::thread_local! {
    // Null, or the worker on this thread's stack: see `as_worker`. A pointer, which needs no
    // drop, is there at once and as long as the thread.
    static WORKER: Cell<*const Worker> = const { Cell::new(ptr::null()) };
}

/// Runs `f` with the worker of this thread, if it is one.
#[inline]
fn with_worker<R>(f: impl FnOnce(Option<&Worker>) -> R) -> R {
    let worker = WORKER.try_with(Cell::get).unwrap_or(ptr::null());
    // SAFETY: set while the worker lives, further up this thread's stack.
    f(unsafe { worker.as_ref() })
}

/// As [`with_worker`], if it is one of `shared`'s.
#[inline]
fn with_worker_of<R>(shared: &Shared, f: impl FnOnce(Option<&Worker>) -> R) -> R {
    with_worker(|worker| f(worker.filter(|w| ptr::eq(&*w.shared, shared))))
}

/// The pool whose thread this is.
pub(crate) fn pool() -> Option<Arc<Shared>> {
    with_pool(|pool| pool.map(Arc::clone))
}

/// Runs `f` with the pool whose thread this is, if it is one.
#[inline]
pub(crate) fn with_pool<R>(f: impl FnOnce(Option<&Arc<Shared>>) -> R) -> R {
    with_worker(|worker| f(worker.map(|w| &w.shared)))
}

/// Whether this is a thread of that pool.
pub(crate) fn is_of(shared: &Shared) -> bool {
    with_worker_of(shared, |worker| worker.is_some())
}

/// Runs `f` with the account of the core the calling thread holds, if it is one of
/// `shared`'s.
#[inline]
pub(crate) fn with_account<R>(shared: &Shared, f: impl FnOnce(Option<&Account>) -> R) -> R {
    with_worker_of(shared, |worker| {
        let core = worker.map(|worker| worker.core.borrow());
        let core = core.as_ref().and_then(|core| core.as_ref());
        f(core.map(|core| &core.seen.account))
    })
}

/// What became of a goroutine pushed to the calling thread's own queue.
pub(crate) enum Pushed {
    /// Only this thread will run it, next.
    Next,
    /// It lies where others may steal it, or has pushed another there.
    Stealable,
    /// This thread holds no core of that pool.
    NotHere(Task),
}

/// Why a goroutine is queued.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was started.
    New,
    /// It was woken.
    Woken,
    /// It was woken while it ran.
    Again,
    /// It was woken by the end of a goroutine, which the calling thread may have run.
    AtEnd,
}

/// Pushes a goroutine to the queue of the core the calling thread holds, if it is one of
/// `shared`'s.
pub(crate) fn push(shared: &Shared, task: Task, why: Why) -> Pushed {
    let pushed = push_here(shared, task, why);
    if let Pushed::NotHere(task) = &pushed {
        if why == Why::New {
            shared.stats.spawned(Writers::Many);
        }
        if sampled() {
            task.set_due(shared.clock());
        }
    }
    pushed
}

/// As [`push`], but for what a thread without a core of that pool has to count.
#[inline]
fn push_here(shared: &Shared, task: Task, why: Why) -> Pushed {
    with_worker_of(shared, |worker| {
        let Some(worker) = worker else {
            return Pushed::NotHere(task);
        };
        let mut core = worker.core.borrow_mut();
        let Some(core) = core.as_mut() else {
            return Pushed::NotHere(task);
        };
        if why == Why::New {
            core.seen.stats.spawned(Writers::One);
        }
        if core.samples() {
            task.set_due(shared.clock());
        }
        let has_ended = !is_polling();
        let behind = match why {
            Why::Again => true,
            // By a goroutine that has ended: it may have been one of many that somebody
            // waits for, who would be woken and wait again for each.
            _ if has_ended => core.has_work(),
            _ => worker.in_closure.get(),
        };
        if behind {
            core.push_back(task);
            return Pushed::Stealable;
        }
        if has_ended && why == Why::AtEnd {
            core.push_after(task);
            return Pushed::Next;
        }
        if core.push_next(task) {
            Pushed::Stealable
        } else {
            Pushed::Next
        }
    })
}

/// Whether to measure the latency of a goroutine that a thread without a core queues.
fn sampled() -> bool {
    std::thread_local! {
        static UNTIL: Cell<u32> = const { Cell::new(0) };
    }
    let next = |until: &Cell<u32>| {
        let n = until.get();
        until.set(if n == 0 { SAMPLE - 1 } else { n - 1 });
        n == 0
    };
    UNTIL.try_with(next).unwrap_or(false)
}

/// A pool's thread from its first core to its end.
pub(crate) fn main(shared: Arc<Shared>, core: Box<Core>) {
    as_worker(shared, true, |worker| {
        let mut given = Some(core);
        while let Some(core) = given {
            worker.hold(core);
            worker.run();
            given = worker.shared.threads.wait();
        }
    });
}

/// A pool's thread that never holds a core: `f` is given what runs a goroutine on it.
pub(crate) fn without_core(shared: &Arc<Shared>, f: impl FnOnce(&dyn Fn(Task, &dyn Schedule))) {
    as_worker(Arc::clone(shared), false, |worker| {
        f(&|task, scheduler| {
            worker.run_one(task, scheduler);
            worker.glimpse.hide();
        });
    });
}

/// Makes the calling thread one of the pool's while `f` runs.
fn as_worker(shared: Arc<Shared>, is_counted: bool, f: impl FnOnce(&Worker)) {
    struct Ended(Arc<Shared>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.threads.ended();
        }
    }
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            let _ = WORKER.try_with(|w| w.set(ptr::null()));
        }
    }
    let ended = Ended(Arc::clone(&shared));
    hooks::set_scheduler(Some(Arc::new(Hook)));
    let worker = Worker {
        glimpse: shared.glimpses.add(),
        is_counted,
        shared,
        core: RefCell::new(None),
        in_closure: Cell::new(false),
        number: os::thread_number(),
    };
    // Dropped before the worker, however `f` ends.
    let leave = Leave;
    let _ = WORKER.try_with(|w| w.set(&raw const worker));
    coarse::tick();
    f(&worker);
    drop(leave);
    hooks::set_scheduler(None);
    worker.shared.glimpses.remove(&worker.glimpse);
    drop(worker);
    drop(ended);
}

impl Worker {
    /// Takes a core that nobody held.
    fn hold(&self, core: Box<Core>) {
        core.held_by(self.number);
        self.core.replace(Some(core));
        coarse::tick();
    }

    /// Runs one goroutine, or its next stretch. The thread shows it until it shows another, or
    /// the caller hides it.
    fn run_one(&self, task: Task, scheduler: &dyn Schedule) {
        let identity = task.identity();
        if let Some((kind, waited)) = identity.end_wait() {
            self.count(|stats, by| stats.waited(kind, waited, by));
        }
        if let Some(late) = task.take_lateness(|| self.shared.clock()) {
            self.count(|stats, by| stats.latency(late, by));
        }
        self.glimpse.show(identity);
        let is_closure = task.is_closure();
        self.in_closure.set(is_closure);
        task.run(scheduler);
        if is_closure {
            self.in_closure.set(false);
            self.make_room();
        }
    }

    /// A closure on this thread has ended or is about to wait, if closures are counted.
    fn make_room(&self) {
        if self.shared.limit.is_some() && self.is_counted {
            self.shared.make_room();
        }
    }

    /// Counts something on the core's counters, or on the pool's.
    fn count(&self, f: impl FnOnce(&Stats, Writers)) {
        match &*self.core.borrow() {
            Some(core) => f(&core.seen.stats, Writers::One),
            None => f(&self.shared.stats, Writers::Many),
        }
    }

    /// Runs goroutines until the core is gone.
    fn run(&self) {
        // The pool may have been let go by the monitor while the core was idle.
        let mut unwatched = true;
        loop {
            while let Some(task) = self.next() {
                if std::mem::take(&mut unwatched) {
                    self.shared.begin_watch();
                }
                self.run_one(task, &*self.shared);
                if self.goes_on() {
                    continue;
                }
                self.glimpse.hide();
                if let Some(mut core) = self.core.take() {
                    core.end_turn();
                    self.shared.retire(core);
                    return;
                }
                // It blocked, and its core has gone on without us.
                let Some(core) = self.shared.sleep.take() else {
                    return;
                };
                self.hold(core);
                unwatched = true;
            }
            let core = self.core.take().expect("the loop above ends with a core");
            if !self.idle(core) {
                return;
            }
            unwatched = true;
        }
    }

    /// Whether it holds its core still, and was not asked to put it out of service.
    fn goes_on(&self) -> bool {
        let core = self.core.borrow();
        core.as_ref()
            .is_some_and(|core| !core.seen.is_asked(RETIRE))
    }

    /// Lets the core go idle. Returns whether it was given back, since there is work.
    fn idle(&self, mut core: Box<Core>) -> bool {
        let shared = &self.shared;
        shared.burst.found_none(std::mem::take(&mut core.part));
        if core.seen.is_asked(RETIRE) {
            shared.retire(core);
            return false;
        }
        shared.settle(&core);
        let searching = std::mem::take(&mut core.searching);
        match shared
            .sleep
            .idle(core, searching, || shared.queues.has_work())
        {
            Some(mut core) => {
                core.searching = true;
                self.hold(core);
                true
            }
            None => false,
        }
    }

    /// The next goroutine: its own, a shared one, or a stolen one.
    fn next(&self) -> Option<Task> {
        let shared = &self.shared;
        let mut guard = self.core.borrow_mut();
        let core = guard.as_mut()?;
        let task = core.pop(&shared.queues).or_else(|| {
            core.end_turn();
            self.glimpse.hide();
            search(core, shared)
        })?;
        core.begin_turn();
        let has_brought = std::mem::take(&mut core.has_brought);
        if std::mem::take(&mut core.searching) {
            let part = std::mem::take(&mut core.part);
            drop(guard);
            shared.burst.found(part);
            // It showed no turn meanwhile: the monitor may have let the pool go.
            shared.begin_watch();
            if let Some(mut core) = shared.sleep.found(|| shared.wants_more()) {
                core.part = shared.burst.part(|| shared.clock());
                shared.start(core, true);
            }
        } else if has_brought {
            drop(guard);
            shared.work_came();
        }
        Some(task)
    }
}

/// Looks through everybody's queues for a while.
fn search(core: &mut Core, shared: &Shared) -> Option<Task> {
    /// About as long as waking a thread takes, which a little patience saves.
    const PATIENCE: Duration = Duration::from_micros(20);
    const PAUSE: u32 = 8;
    /// Who has just run out of work leaves short queues to their owners for so long: they run
    /// what they have pushed sooner than it comes to another core, and later there is more.
    const COURTESY: Duration = Duration::from_micros(2);
    /// A queue is short if it holds less work than this, judged by what the thief itself has
    /// run before: of the smallest goroutines a theft costs as much as several.
    const LITTLE: Duration = Duration::from_micros(10);
    const SHORTEST: usize = 8;
    const SHORT: usize = 128;
    let was_woken = core.searching;
    let mut start = Instant::now();
    let pace = core.take_pace(start);
    if !was_woken && multicore() && goes_away(core, shared, start, pace) {
        stay_away(core, shared);
        start = Instant::now();
    }
    core.searching = was_woken || shared.sleep.begin_search(shared.crew.n_workers());
    if !core.searching {
        return None;
    }
    let courteous = !was_woken && multicore();
    let pace = pace.map_or(LITTLE, |pace| pace.max(Duration::from_nanos(1)));
    let n_little = LITTLE.as_nanos() / pace.as_nanos();
    let short = usize::try_from(n_little).map_or(SHORT, |n| n.clamp(SHORTEST, SHORT));
    // The shared queue was empty a moment ago. Who looks again at once takes what is queued there
    // one by one, at a miss or two for the thread outside that queues it.
    let task = core.steal_from_cores(&shared.queues, if courteous { short } else { 1 });
    if task.is_some() {
        core.found(start);
        return task;
    }
    if !multicore() {
        return give_way(core, shared, start);
    }
    loop {
        pause(PAUSE);
        // Without an attempt to steal, which counts for more than a look.
        let waited = start.elapsed();
        let courteous = courteous && waited < COURTESY;
        let min = if courteous { short } else { 1 };
        let task = shared
            .queues
            .has_work()
            .then(|| core.steal(&shared.queues, min));
        if let Some(task) = task.flatten() {
            core.found(start + waited);
            return Some(task);
        }
        if waited >= PATIENCE {
            return None;
        }
    }
}

/// Whether a worker that has run out of work leaves what others have to them: see
/// [`apart`](crate::apart).
fn goes_away(core: &mut Core, shared: &Shared, now: Instant, pace: Option<Duration>) -> bool {
    let queues = &shared.queues;
    core.apart.goes(
        &shared.away,
        now,
        pace,
        shared.away.n_present(shared.crew.n_workers()),
        || queues.n_turns(),
        || queues.has_much(),
    )
}

/// Takes naps until somebody needs this worker, or it is time to come back.
#[cold]
fn stay_away(core: &mut Core, shared: &Shared) {
    /// Of each worker that is away, so that together they do not wake more often.
    const NAP: Duration = Duration::from_micros(100);
    let away = &shared.away;
    let n_workers = shared.crew.n_workers();
    away.stay(n_workers, |n_away| {
        let nap = NAP * u32::try_from(n_away).unwrap_or(u32::MAX).min(32);
        let mut before = shared.queues.n_turns();
        loop {
            thread::sleep(nap);
            let n = shared.queues.n_turns();
            let is_needed = n == before || core.seen.is_asked(RETIRE) || shared.queues.needs_more();
            let n_present = away.n_present(n_workers);
            if is_needed || !core.apart.naps_on(away, Instant::now(), n, n_present) {
                return;
            }
            before = n;
        }
    });
    core.apart.is_back(away, Instant::now());
}

/// On one processor nobody brings work while this thread searches. So it lets the other threads
/// run, which then need not wake it for what they bring: the first of it would take the processor
/// from them.
#[cold]
fn give_way(core: &mut Core, shared: &Shared, start: Instant) -> Option<Task> {
    const TIMES: u32 = 16;
    /// Somebody computes, who will bring none soon.
    const LONG: Duration = Duration::from_millis(1);
    for _ in 0..TIMES {
        thread::yield_now();
        if shared.queues.has_work() {
            return core.steal(&shared.queues, 1);
        }
        if start.elapsed() >= LONG {
            break;
        }
    }
    None
}

/// Lets a thread's core go while the thread sleeps.
struct Hook;

std::thread_local! {
    // When the thread began to sleep.
    static ASLEEP_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl hooks::Scheduler for Hook {
    fn before_block(&self) {
        with_worker(|worker| worker.map(Worker::before_block));
    }

    fn after_block(&self) {
        with_worker(|worker| worker.map(Worker::after_block));
    }

    fn may_linger(&self) -> bool {
        // A thread without a core is one too many as it is.
        with_worker(|worker| {
            worker.is_none_or(|worker| {
                let core = worker.core.borrow();
                let core = core.as_ref();
                core.is_some_and(|core| !core.has_work() && !worker.shared.queues.has_shared())
            })
        })
    }
}

impl Worker {
    fn before_block(&self) {
        enter_running();
        if self.in_closure.get() {
            self.make_room();
        }
        self.glimpse.set_blocked(true);
        let _ = ASLEEP_SINCE.try_with(|since| since.set(Some(Instant::now())));
        let Some(mut core) = self.core.take() else {
            return;
        };
        core.end_turn();
        if core.seen.is_asked(RETIRE) {
            self.shared.retire(core);
        } else if core.has_work() {
            self.shared.start(core, false);
        } else if self.idle(core) {
            let core = self.core.take().expect("given back");
            self.shared.start(core, true);
        }
    }

    fn after_block(&self) {
        self.glimpse.set_blocked(false);
        if self.in_closure.get() && self.is_counted {
            self.shared.take_room();
        }
        let since = ASLEEP_SINCE.try_with(Cell::take).ok().flatten();
        let site = goroutine::with_running(goroutine::Goroutine::wait_site).flatten();
        if let (Some(since), Some(site)) = (since, site) {
            let waited = since.elapsed();
            self.shared.stats.waited(site.kind, waited, Writers::Many);
        }
        if self.core.borrow().is_some() {
            return;
        }
        let Some(mut core) = self.shared.sleep.take() else {
            return;
        };
        core.begin_turn();
        self.hold(core);
        self.shared.begin_watch();
    }
}

impl Schedule for Shared {
    fn schedule(&self, task: Task) {
        self.queue(task, Why::Woken);
    }

    fn reschedule(&self, task: Task) {
        // It goes behind the others, whom somebody was woken for when they came.
        if let Pushed::NotHere(task) = push(self, task, Why::Again) {
            self.queues.push(task);
            self.work_came();
        }
    }

    fn schedule_here(&self, task: Task) -> Option<Task> {
        self.queue_here(task, Why::Woken)
    }

    fn schedule_at_end(&self, task: Task) -> Option<Task> {
        self.queue_here(task, Why::AtEnd)
    }

    fn finished(&self) {
        self.one_less();
    }

    fn unclaimed_panic(
        &self,
        identity: &rendez_core::goroutine::Goroutine,
        payload: crate::error::Payload,
    ) {
        (self.on_panic)(identity, payload);
    }

    fn registry(&self) -> Option<&Registry> {
        Some(&self.registry)
    }
}

impl Shared {
    /// Puts a goroutine that is due to run into the queue of the core the calling thread holds,
    /// which keeps the pool; gives it back if that holds none.
    fn queue_here(&self, task: Task, why: Why) -> Option<Task> {
        match push_here(self, task, why) {
            Pushed::Next => None,
            Pushed::Stealable => {
                self.work_came();
                None
            }
            Pushed::NotHere(task) => Some(task),
        }
    }

    /// Puts a goroutine that is due to run into a queue.
    pub(crate) fn queue(&self, task: Task, why: Why) {
        match push(self, task, why) {
            Pushed::Next => {}
            Pushed::Stealable => self.work_came(),
            Pushed::NotHere(task) => {
                self.queues.push(task);
                self.work_came();
            }
        }
    }
}
