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
use rendez_core::shim::{Arc, Mutex, expect_sleepers, thread};

use crate::core::Core;

/// From how many threads on the system is told how many there are.
const MANY: usize = 256;

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
        let n_alive = self.n_alive();
        if n_alive >= MANY && n_alive.is_power_of_two() {
            // As many again may come before this is asked next.
            expect_sleepers(2 * n_alive);
        }
        let started = builder.spawn(main);
        #[cfg(all(feature = "signal", unix))]
        crate::quit::install();
        started.map(drop).inspect_err(|_| {
            let _ = self.alive.done();
        })
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
