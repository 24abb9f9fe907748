//! The monitor: one thread for all pools that notices what a scheduler cannot see from
//! inside, a worker that does not come back from a goroutine.
//!
//! Every few milliseconds it looks at each pool that runs anything. A worker that was in the
//! same turn at the last look is **stuck**: in a file read, foreign code, a long loop.
//!
//! - What waits for it goes to the shared queue: the goroutine in its next slot, which no thief can
//!   reach, and those in its queue, which a worker that never runs out of work would not look at.
//! - If work lies anywhere and no core is idle, another core is put into service in its
//!   place (see [`crew`](crate::crew)).
//! - Pools whose shared queue is not empty are asked to look at it soon.
//!
//! A thread that sleeps in the kernel is replaced at once; it leaves a processor free. One
//! that computes is replaced too, but the more such threads a pool has already, the longer it
//! takes for one more: relief for what waits, not a thread for each of a thousand loops.
//!
//! It also gives back memory of [`cells`] that nobody needs.
//!
//! A pool in which nothing has run for a while is let go ([`watch`](crate::watch)); when
//! there is none left the monitor looks whether the program stands still for good
//! ([`standstill`](crate::standstill)), and sleeps until it is called.

use std::time::{Duration, Instant};

use rendez_core::goroutine::coarse;
use rendez_core::hooks;
use rendez_core::shim::unmodelled::{Condvar, Mutex, spawn_named};
use rendez_core::shim::{Arc, Weak};

use crate::core::RETIRE;
use crate::dump::{self, Dump};
use crate::shared::Shared;
use crate::standstill::{self, Still};
use crate::{cells, os};

/// How long between two looks. Stuck is who is seen twice in one turn: after at most two
/// periods.
const PERIOD: Duration = Duration::from_millis(4);
/// How many goroutines behind one that is stuck are moved at a look; thieves see to longer queues.
const BATCH: usize = 256;
/// After how many looks at an idle pool it is let go.
const PATIENCE: u32 = 25;
/// How many times an idle program is looked at, so long apart, after somebody has called.
const LOOKS: u32 = 5;

#[derive(Default)]
struct Calls {
    // Pools that have called and are not yet watched.
    pools: Vec<Weak<Shared>>,
    running: bool,
    look_again: bool,
}

static CALLS: Mutex<Calls> = Mutex::new(Calls {
    pools: Vec::new(),
    running: false,
    look_again: false,
});
static CALLED: Condvar = Condvar::new();

/// Makes the monitor watch `pool`. False if there is none, since no thread was to be had:
/// the pool then runs as well as it does without.
#[cold]
#[must_use]
pub(crate) fn call(pool: Weak<Shared>) -> bool {
    let mut calls = CALLS.lock();
    if !calls.running {
        calls.running = spawn_named("rendez-monitor", run).is_ok();
    }
    if !calls.running {
        return false;
    }
    calls.pools.push(pool);
    drop(calls);
    CALLED.notify_one();
    true
}

/// A pool under watch.
struct Watched {
    pool: Weak<Shared>,
    // The turn in which each core was at the last look.
    turns: Vec<Option<u64>>,
    quiet: u32,
    last_relief: Option<Instant>,
}

/// A thread has fallen asleep since the program was last looked at.
fn look_again() {
    CALLS.lock().look_again = true;
    CALLED.notify_one();
}

fn run() {
    let mut watched: Vec<Watched> = Vec::new();
    let mut n_looks = 0_u32;
    let mut seen = None;
    let mut looks_left = 0;
    loop {
        let mut calls = CALLS.lock();
        while watched.is_empty() && calls.pools.is_empty() && !calls.look_again && looks_left == 0 {
            CALLED.wait(&mut calls);
        }
        if std::mem::take(&mut calls.look_again) || !calls.pools.is_empty() {
            looks_left = LOOKS;
        }
        let new = std::mem::take(&mut calls.pools);
        drop(calls);
        watched.extend(new.into_iter().map(Watched::new));
        // At once, so that who is stuck already is seen again after one period.
        coarse::tick();
        cells::begin_work();
        watched.retain_mut(Watched::look);
        if !watched.is_empty() {
            rendez_core::shim::thread::sleep(PERIOD);
            n_looks = n_looks.wrapping_add(1);
            if n_looks % PATIENCE == 0 {
                cells::look_after();
            }
            continue;
        }
        cells::end_work();
        // Two looks at a program that stands still lie this far apart, but who calls because
        // it runs is not kept waiting.
        let mut calls = CALLS.lock();
        let nobody = |calls: &mut Calls| calls.pools.is_empty();
        CALLED.wait_while_for(&mut calls, nobody, PERIOD * PATIENCE);
        if !calls.pools.is_empty() {
            continue;
        }
        drop(calls);
        looks_left = match look_at_all(&mut seen) {
            Look::Settled => 0,
            Look::Unclear => looks_left - 1,
            Look::Again => looks_left.max(2) - 1,
        };
    }
}

/// What a look at an idle program has given.
enum Look {
    /// Nothing changes until somebody calls.
    Settled,
    /// Somebody is about who is not ours.
    Unclear,
    /// It stands still, for the first time since something moved.
    Again,
}

/// No pool runs anything: does the program stand still? What was seen the last time must be
/// seen again before it is reported.
fn look_at_all(seen: &mut Option<Still>) -> Look {
    let pools = dump::pools();
    if !pools.iter().any(|pool| pool.n_live() > 0) {
        *seen = None;
        return Look::Settled;
    }
    // Called again from here on, so that nobody falls asleep unseen.
    hooks::sleepers::call(look_again);
    let now = standstill::look(&pools, 1);
    let same = now == *seen;
    *seen = now;
    if seen.is_none() {
        return Look::Unclear;
    }
    if !same {
        return Look::Again;
    }
    if !standstill::all_wait(&Dump::of(&pools)) {
        return Look::Unclear;
    }
    // The dump took its time.
    if standstill::look(&pools, 1) == *seen {
        for pool in pools.iter().filter(|pool| pool.n_live() > 0) {
            pool.stands_still();
        }
    }
    Look::Settled
}

impl Watched {
    fn new(pool: Weak<Shared>) -> Self {
        Self {
            pool,
            turns: Vec::new(),
            quiet: 0,
            last_relief: None,
        }
    }

    /// Looks at the pool. Whether to go on watching it.
    fn look(&mut self) -> bool {
        let Some(pool) = self.pool.upgrade() else {
            return false;
        };
        let mut any = false;
        for (i, core) in pool.queues.cores.iter().enumerate() {
            let turn = core.running();
            any |= turn.is_some();
            if i == self.turns.len() {
                self.turns.push(None);
            }
            let before = std::mem::replace(&mut self.turns[i], turn);
            if let Some(turn) = turn.filter(|_| turn == before) {
                core.is_stuck_in(turn);
                self.stuck(&pool, i);
            }
        }
        if any {
            pool.share();
        } else if pool.queues.has_work() {
            // No thread was to be had for it, or one is on its way.
            pool.work_came();
        }
        self.quiet = if any { 0 } else { self.quiet + 1 };
        self.quiet < PATIENCE
            || !pool
                .watch
                .end(|| pool.is_running() || pool.queues.has_work())
    }

    /// The holder of the core at `i` does not come back.
    fn stuck(&mut self, pool: &Arc<Shared>, i: usize) {
        let Some(core) = pool.queues.cores.get(i) else {
            return;
        };
        if core.relieve(&pool.queues, BATCH) {
            pool.work_came();
        }
        if core.is_asked(RETIRE) || !pool.queues.has_work() {
            return;
        }
        if pool.sleep.n_idle() > 0 {
            pool.work_came();
            return;
        }
        if os::sleeps(core.thread()) != Some(true) {
            let n_stuck = pool.crew.n_retiring() / pool.crew.n_workers().max(1);
            let n_stuck = u32::try_from(n_stuck).unwrap_or(u32::MAX).min(16);
            let now = Instant::now();
            if (self.last_relief).is_some_and(|at| now - at < PERIOD * n_stuck * n_stuck) {
                return;
            }
            self.last_relief = Some(now);
        }
        pool.retake(i);
    }
}
