//! A pool's threads: started when there is a core and nobody to hold it, kept a while for
//! the next one, then ended.
//!
//! Invariant: a core given to a thread is in that thread's mailbox before the thread is
//! unparked, and a thread leaves the list of spares only by being popped by the giver or by
//! itself, under the lock. So a core is never given to a thread that has ended.

use std::io;
use std::time::{Duration, Instant};

use rendez_core::countdown::{Countdown, Zero};
use rendez_core::goroutine::WaitKind;
use rendez_core::hooks;
use rendez_core::shim::unmodelled::{AtomicUsize, Ordering};
use rendez_core::shim::{Arc, Mutex, expect_sleepers, thread};

use crate::core::Core;

/// The threads of all pools, of which the system is told. Not modelled: it orders nothing.
static CROWD: Crowd = Crowd::new();

/// How many threads there are, and how many the system expects.
#[derive(Debug)]
struct Crowd {
    n: AtomicUsize,
    expected: AtomicUsize,
}

impl Crowd {
    /// From how many threads on the system is told.
    const MANY: usize = 256;

    const fn new() -> Self {
        Self {
            n: AtomicUsize::new(0),
            expected: AtomicUsize::new(Self::MANY - 1),
        }
    }

    /// One more; gives how many the system is to expect if those are more than it does.
    fn one_more(&self) -> Option<usize> {
        let n = self.n.fetch_add(1, Ordering::Relaxed) + 1;
        if n <= self.expected.load(Ordering::Relaxed) {
            return None;
        }
        // As many again may come before it is told again.
        let more = |expected| (n > expected).then_some(2 * n - 1);
        let told = self
            .expected
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        told.is_ok().then_some(2 * n)
    }

    fn one_less(&self) {
        self.n.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How a pool's threads are made.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: String,
    pub(crate) stack_size: Option<usize>,
    pub(crate) keep_alive: Duration,
}

pub(crate) struct Threads {
    config: Config,
    spares: Mutex<Spares>,
    /// How many there are.
    alive: Countdown,
}

struct Spares {
    // The latest on top: its caches are the warmest, and the oldest get to end.
    idle: Vec<Arc<Spare>>,
    closed: bool,
    n_started: u64,
}

/// A thread that waits for a core.
struct Spare {
    mailbox: Mutex<Option<Box<Core>>>,
    thread: thread::Thread,
}

impl Threads {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            spares: Mutex::new(Spares {
                idle: Vec::new(),
                closed: false,
                n_started: 0,
            }),
            alive: Countdown::new(0, WaitKind::Join),
        }
    }

    /// Gives `core` to a spare thread, or to a new one that runs `main` with it.
    ///
    /// # Errors
    ///
    /// If the system gives no thread: the core comes back.
    pub(crate) fn give(
        &self,
        core: Box<Core>,
        main: impl FnOnce(Box<Core>) + Send + 'static,
    ) -> Result<(), (Box<Core>, io::Error)> {
        let mut spares = self.spares.lock();
        if let Some(spare) = spares.idle.pop() {
            drop(spares);
            *spare.mailbox.lock() = Some(core);
            spare.thread.unpark();
            return Ok(());
        }
        let number = spares.n_started;
        spares.n_started += 1;
        drop(spares);

        let core = Arc::new(Mutex::new(Some(core)));
        let given = Arc::clone(&core);
        let started = self.start(number, move || {
            let core = given.lock().take();
            main(core.expect("a thread is started with a core"));
        });
        started.map_err(|error| {
            let core = core.lock().take();
            (core.expect("no thread has taken it"), error)
        })
    }

    /// Starts a thread for one goroutine alone.
    ///
    /// # Errors
    ///
    /// If the system gives none.
    pub(crate) fn start_own(&self, main: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut spares = self.spares.lock();
        let number = spares.n_started;
        spares.n_started += 1;
        drop(spares);
        self.start(number, main)
    }

    fn start(&self, number: u64, main: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut builder = thread::Builder::new().name(format!("{}-{number}", self.config.name));
        if let Some(size) = self.config.stack_size {
            builder = builder.stack_size(size);
        }
        let _ = self.alive.add(1);
        if let Some(n) = CROWD.one_more() {
            expect_sleepers(n);
        }
        let started = builder.spawn(main);
        #[cfg(all(feature = "signal", unix))]
        crate::quit::install();
        started.map(drop).inspect_err(|_| self.ended())
    }

    /// Waits for a core; `None` if none comes for so long that the calling thread is to end.
    pub(crate) fn wait(&self) -> Option<Box<Core>> {
        let me = Arc::new(Spare {
            mailbox: Mutex::new(None),
            thread: thread::current(),
        });
        let mut spares = self.spares.lock();
        if spares.closed {
            return None;
        }
        spares.idle.push(Arc::clone(&me));
        drop(spares);
        hooks::sleepers::notice();

        let until = Instant::now().checked_add(self.config.keep_alive);
        loop {
            if let Some(core) = me.mailbox.lock().take() {
                return Some(core);
            }
            let left = until.map(|at| at.saturating_duration_since(Instant::now()));
            match left {
                None => thread::park(),
                Some(left) if !left.is_zero() => thread::park_timeout(left),
                Some(_) => {}
            }
            let mut spares = self.spares.lock();
            if spares.closed || left.is_some_and(|left| left.is_zero()) {
                if let Some(i) = spares.idle.iter().position(|s| Arc::ptr_eq(s, &me)) {
                    spares.idle.remove(i);
                    return None;
                }
                // Popped: a core is on its way.
            }
        }
    }

    /// The calling thread ends.
    pub(crate) fn ended(&self) {
        CROWD.one_less();
        let _ = self.alive.done();
    }

    /// Lets every spare thread end, and each that runs out of work.
    pub(crate) fn close(&self) {
        let mut spares = self.spares.lock();
        spares.closed = true;
        for spare in &spares.idle {
            spare.thread.unpark();
        }
    }

    /// Ready once all have ended.
    pub(crate) fn all_ended(&self) -> Zero<'_> {
        Zero(&self.alive)
    }

    pub(crate) fn n_alive(&self) -> usize {
        self.alive.count()
    }
}

#[cfg(all(test, not(rendez_loom)))]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_told_of_a_crowd_in_steps_that_double() {
        let crowd = Crowd::new();
        let told: Vec<_> = (1..=1100)
            .filter_map(|n| crowd.one_more().map(|expected| (n, expected)))
            .collect();
        assert_eq!(told, [(256, 512), (512, 1024), (1024, 2048)]);
        (0..1100).for_each(|_| crowd.one_less());
        assert!((0..2047).all(|_| crowd.one_more().is_none()));
        assert_eq!(crowd.one_more(), Some(4096));
    }

    #[test]
    fn no_step_is_missed_by_those_who_come_at_once() {
        let crowd = Arc::new(Crowd::new());
        let come = || {
            let crowd = Arc::clone(&crowd);
            thread::spawn(move || (0..500).filter_map(|_| crowd.one_more()).max())
        };
        let all = [come(), come(), come()];
        let most = all.into_iter().filter_map(|t| t.join().unwrap()).max();
        assert!(most.is_some_and(|most| most >= 1500), "{most:?}");
    }
}
