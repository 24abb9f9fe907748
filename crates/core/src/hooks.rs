//! The places where a scheduler or a bubble of virtual time plugs in.
//!
//! - A pool installs a [`Scheduler`] on each of its threads; core tells it before the
//!   thread blocks and after. That is how a worker hands its queue on.
//! - [`spawn_detached`] runs a closure beside the caller: on the pool that installed
//!   itself with [`set_spawner`], otherwise on a thread kept for the next one.
//! - [`switch_point`] is called by every operation that may wait, on its fast path too,
//!   so that a bubble can explore other schedules there. Outside bubbles it costs one
//!   relaxed load.
//! - [`random`] is every random choice core makes, so that a bubble can replay it.
//!
//! Invariant: hooks are called with no lock of ours held.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::goroutine;
use crate::shim::{Arc, OnceLock};
use crate::wake::Wake;

/// What a pool does when one of its threads blocks.
pub trait Scheduler: Send + Sync {
    /// The calling thread is about to sleep in one of our primitives.
    fn before_block(&self);
    /// The calling thread runs again.
    fn after_block(&self);
    /// Whether the calling thread may give way to others for a while before it blocks, since
    /// nobody waits for it to hand on what it holds.
    fn may_linger(&self) -> bool;
}

/// A bubble of virtual time: replaces clock, randomness and schedule for the goroutines
/// in it.
pub trait Bubble: Send + Sync {
    /// The bubble's time.
    fn now(&self) -> Instant;
    /// Calls for `wake` at `deadline`; returns a key for [`Bubble::cancel_alarm`].
    fn set_alarm(&self, deadline: Instant, wake: Wake) -> u64;
    /// Takes an alarm back; nothing happens if it has gone off.
    fn cancel_alarm(&self, key: u64);
    /// The next random number.
    fn random(&self) -> u64;
    /// The current goroutine could be switched here.
    fn switch_point(&self);
    /// The current goroutine is about to sleep; it is durably blocked until
    /// [`Bubble::after_block`].
    fn before_block(&self);
    /// The current goroutine runs again.
    fn after_block(&self);
}

std::thread_local! {
    static SCHEDULER: RefCell<Option<Arc<dyn Scheduler>>> = const { RefCell::new(None) };
    static RANDOM: Cell<u64> = Cell::new(RandomState::new().hash_one(0_u8) | 1);
}

/// Installs `scheduler` on the calling thread; `None` removes it. Returns the one before.
pub fn set_scheduler(scheduler: Option<Arc<dyn Scheduler>>) -> Option<Arc<dyn Scheduler>> {
    SCHEDULER.try_with(|s| s.replace(scheduler)).ok().flatten()
}

/// Whether the calling thread is a pool's.
pub fn has_scheduler() -> bool {
    SCHEDULER
        .try_with(|s| s.try_borrow().is_ok_and(|s| s.is_some()))
        .unwrap_or(false)
}

/// Whether the calling thread may give way to others for a while before it blocks.
pub(crate) fn may_linger() -> bool {
    let scheduler = SCHEDULER.try_with(|s| s.borrow().clone()).ok().flatten();
    scheduler.is_none_or(|scheduler| scheduler.may_linger())
}

/// Tells the scheduler and the bubble that the calling thread is about to sleep; they
/// are told that it runs again when the guard is dropped.
///
/// For code that blocks outside our primitives too: a pool's worker that wraps a long
/// system call in it hands its queue on first.
pub fn blocking() -> Blocking {
    let scheduler = SCHEDULER.try_with(|s| s.borrow().clone()).ok().flatten();
    if let Some(scheduler) = &scheduler {
        scheduler.before_block();
    }
    let bubble = bubble();
    if let Some(bubble) = &bubble {
        bubble.before_block();
    }
    Blocking { scheduler, bubble }
}

/// A stretch in which the calling thread sleeps. See [`blocking`].
#[must_use = "the thread counts as blocked until this is dropped"]
pub struct Blocking {
    scheduler: Option<Arc<dyn Scheduler>>,
    bubble: Option<Arc<dyn Bubble>>,
}

impl fmt::Debug for Blocking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking").finish_non_exhaustive()
    }
}

impl Drop for Blocking {
    fn drop(&mut self) {
        if let Some(bubble) = self.bubble.take() {
            bubble.after_block();
        }
        if let Some(scheduler) = self.scheduler.take() {
            scheduler.after_block();
        }
    }
}

/// Whether any bubble lives.
pub fn any_bubble() -> bool {
    bubbles::any()
}

pub mod sleepers {
    //! How many threads sleep in our primitives without a deadline, and a call when one
    //! more does: what it takes to see that a whole program has come to a stand.
    #![allow(clippy::disallowed_types)]
    // Not modelled: it orders nothing, and who reads it reads it twice, some time apart.
    use crate::shim::OnceLock;
    use crate::shim::unmodelled::{AtomicBool, AtomicUsize, Ordering};

    static ASLEEP: AtomicUsize = AtomicUsize::new(0);
    static CALL: AtomicBool = AtomicBool::new(false);
    static CALLED: OnceLock<fn()> = OnceLock::new();

    /// Whether a thread is counted. Its waker counts it out, so that it does not seem to
    /// sleep while the waker falls asleep itself.
    #[derive(Debug)]
    pub(crate) struct Sleeper(AtomicBool);

    impl Sleeper {
        pub(crate) const fn new() -> Self {
            Self(AtomicBool::new(false))
        }

        /// Its thread is about to sleep, without a deadline.
        pub(crate) fn falls_asleep(&self) {
            ASLEEP.fetch_add(1, Ordering::Relaxed);
            self.0.store(true, Ordering::Release);
            notice();
        }

        /// Its thread runs again, or is about to.
        pub(crate) fn is_woken(&self) {
            if self.0.load(Ordering::Relaxed) && self.0.swap(false, Ordering::AcqRel) {
                ASLEEP.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// How many sleep now.
    pub fn count() -> usize {
        ASLEEP.load(Ordering::Relaxed)
    }

    /// A thread has nothing to do any more, in another way than by falling asleep here.
    pub fn notice() {
        if CALL.load(Ordering::Relaxed) && CALL.swap(false, Ordering::Relaxed) {
            if let Some(called) = CALLED.get() {
                called();
            }
        }
    }

    /// Has `f` called, once, by the next thread that falls asleep. The first `f` stays.
    pub fn call(f: fn()) {
        CALLED.get_or_init(|| f);
        CALL.store(true, Ordering::Relaxed);
    }
}

pub mod quit {
    //! Whether the program handles `SIGQUIT` in another way than by a pool's dump.
    use crate::shim::unmodelled::{AtomicBool, Ordering};

    static TAKEN: AtomicBool = AtomicBool::new(false);

    /// The program does, from now on.
    pub fn take() {
        TAKEN.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub fn is_taken() -> bool {
        TAKEN.load(Ordering::Relaxed)
    }
}

mod bubbles {
    //! How many bubbles live: while none does, no hook looks for one.
    #![allow(clippy::disallowed_types)]
    // Not modelled: it only says whether to look, and a bubble is entered by the thread
    // that counted it.
    use crate::shim::unmodelled::{AtomicUsize, Ordering};

    static LIVE: AtomicUsize = AtomicUsize::new(0);

    #[inline]
    pub(super) fn any() -> bool {
        LIVE.load(Ordering::Relaxed) != 0
    }

    pub(super) fn count_in() {
        LIVE.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_out() {
        LIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Switches the bubble hooks on for as long as it lives; a bubble holds one.
#[derive(Debug)]
pub struct BubbleCount(());

impl BubbleCount {
    /// Counts one more bubble.
    #[expect(
        clippy::new_without_default,
        reason = "it counts: making one is an act"
    )]
    pub fn new() -> Self {
        bubbles::count_in();
        Self(())
    }
}

impl Drop for BubbleCount {
    fn drop(&mut self) {
        bubbles::count_out();
    }
}

/// The current goroutine's bubble.
pub fn bubble() -> Option<Arc<dyn Bubble>> {
    if !bubbles::any() {
        return None;
    }
    goroutine::with_running(|g| g.bubble().cloned())?
}

/// Whether a bubble lives somewhere. Where none does, a [`switch_point`] may be left out.
#[inline]
pub fn has_bubbles() -> bool {
    bubbles::any()
}

/// Lets a bubble switch to another goroutine. Called by every operation that may wait.
#[inline]
pub fn switch_point() {
    if bubbles::any() {
        switch_in_bubble();
    }
}

#[cold]
fn switch_in_bubble() {
    if let Some(bubble) = bubble() {
        bubble.switch_point();
    }
}

/// A random number, not for secrets; replayed inside a bubble.
#[inline]
pub fn random() -> u64 {
    if let Some(bubble) = bubble() {
        return bubble.random();
    }
    if cfg!(rendez_loom) {
        return 0;
    }
    // xorshift64*: passes what a fair choice among arms needs, in three shifts.
    RANDOM
        .try_with(|state| {
            let mut x = state.get();
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            state.set(x);
            x.wrapping_mul(0x2545_F491_4F6C_DD1D)
        })
        .unwrap_or_else(|_| RandomState::new().hash_one(0_u8))
}

/// A random number below `n`, `n` above 0.
#[inline]
pub fn random_below(n: usize) -> usize {
    // The high half of a product is fair to within n in 2^64.
    ((u128::from(random()) * n as u128) >> 64) as usize
}

/// A closure to be run beside its caller.
pub type Detached = Box<dyn FnOnce() + Send>;

static SPAWNER: OnceLock<fn(Detached)> = OnceLock::new();

/// Makes `spawner` run what [`spawn_detached`] is given. The first call wins; returns
/// whether this was it.
pub fn set_spawner(spawner: fn(Detached)) -> bool {
    SPAWNER.set(spawner).is_ok()
}

/// Runs `f` beside the caller: on the installed pool, or on a cached thread.
///
/// Where no thread can be started that is reported, once, and `f` runs on the first thread
/// there is: it never panics, since those who call it may be in the middle of a cancellation.
pub fn spawn_detached(f: impl FnOnce() + Send + 'static) {
    match SPAWNER.get() {
        Some(spawner) => spawner(Box::new(f)),
        None => threads::run(Box::new(f)),
    }
}

mod threads {
    //! The threads of [`spawn_detached`](super::spawn_detached) where no pool is
    //! installed: an idle one waits a while for the next closure, then ends.
    #![allow(clippy::disallowed_types, clippy::disallowed_methods)]
    use super::{Detached, Duration, VecDeque};
    use crate::shim::unmodelled::{Condvar, Mutex, spawn_named};
    use std::io::{self, Write};

    const KEEP_ALIVE: Duration = Duration::from_secs(10);

    struct Idle {
        // Invariant: no more closures are queued than threads are `waiting` for one, those
        // that start included; but for those for whom no thread could be started.
        queue: VecDeque<Detached>,
        waiting: usize,
        reported: bool,
    }

    static IDLE: Mutex<Idle> = Mutex::new(Idle {
        queue: VecDeque::new(),
        waiting: 0,
        reported: false,
    });
    static QUEUED: Condvar = Condvar::new();

    pub(super) fn run(f: Detached) {
        run_on(f, || spawn_named("rendez-detached", serve));
    }

    fn run_on(f: Detached, start: impl Fn() -> io::Result<()>) {
        let mut idle = IDLE.lock();
        idle.queue.push_back(f);
        QUEUED.notify_one();
        while idle.queue.len() > idle.waiting {
            idle.waiting += 1;
            drop(idle);
            let started = start();
            idle = IDLE.lock();
            if let Err(error) = started {
                idle.waiting -= 1;
                if !std::mem::replace(&mut idle.reported, true) {
                    drop(idle);
                    // `eprintln` would panic where nobody reads it.
                    let _ = writeln!(
                        io::stderr(),
                        "rendez: no thread for what runs beside its caller: {error}; it waits for one"
                    );
                }
                return;
            }
        }
    }

    /// What a thread does, counted as waiting before it starts.
    fn serve() {
        while let Some(f) = next() {
            // A panic has been reported by the panic hook; the thread serves on.
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
            crate::quiet::drop_quietly(ended);
            IDLE.lock().waiting += 1;
        }
    }

    /// The next closure to run, or `None` after a long time without one: the thread waits no
    /// more in either case.
    fn next() -> Option<Detached> {
        let mut idle = IDLE.lock();
        QUEUED.wait_while_for(&mut idle, |idle| idle.queue.is_empty(), KEEP_ALIVE);
        idle.waiting -= 1;
        idle.queue.pop_front()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_found_no_thread_runs_on_the_next_there_is() {
            /// Runs, and waits until all three have.
            fn meets(met: &'static (Mutex<u32>, Condvar)) -> Detached {
                Box::new(|| {
                    *met.0.lock() += 1;
                    met.1.notify_all();
                    met.1.wait_while(&mut met.0.lock(), |n| *n < 3);
                })
            }
            static MET: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());
            run_on(meets(&MET), || Err(io::Error::other("none is to be had")));
            assert_eq!(*MET.0.lock(), 0, "nobody can have run it");
            run(meets(&MET));
            run(meets(&MET));
            MET.1.wait_while(&mut MET.0.lock(), |n| *n < 3);
        }
    }
}
