//! How a pool is configured.

use std::fmt;
use std::io;
use std::time::Duration;

use rendez_core::goroutine::Goroutine as Identity;
use rendez_core::shim::{Arc, thread};

use crate::dump::Dump;
use crate::error::{Payload, message};
use crate::os;
use crate::pool::Pool;
use crate::shared::Policy;
use crate::threads::Config;

/// A pool to be configured: see [`Pool::builder`].
#[must_use = "a pool is made by `build`"]
pub struct Builder {
    workers: Option<usize>,
    config: Config,
    policy: Policy,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            workers: None,
            config: Config {
                name: "rendez".into(),
                stack_size: None,
                keep_alive: Duration::from_secs(10),
            },
            policy: Policy {
                on_panic: Arc::new(report),
                on_deadlock: Arc::new(report_deadlock),
                max_blocking: None,
            },
        }
    }

    /// How many goroutines run at the same time, those that block not counted. Default: the
    /// processors the process may use at that moment, at least two; a quota that changes later
    /// is not followed, see [`set_workers`](crate::Pool::set_workers).
    pub fn workers(mut self, n: usize) -> Self {
        self.workers = Some(n);
        self
    }

    /// What its threads' names begin with. Default: `rendez`.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.config.name = name.into();
        self
    }

    /// The stack of each of its threads, in bytes. Default: the standard library's.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.config.stack_size = Some(bytes);
        self
    }

    /// How long a thread without work is kept for the next. Default: 10 s.
    pub fn keep_alive(mut self, keep_alive: Duration) -> Self {
        self.config.keep_alive = keep_alive;
        self
    }

    /// What to do with the panic of a goroutine that nobody joins. Default: a line on stderr
    /// that names the goroutine and where it was started, after the panic hook's own.
    ///
    /// # Examples
    ///
    /// ```
    /// let (tx, rx) = rendez_select::bounded(1);
    /// let told = move |goroutine: &rendez_pool::Identity, _| {
    ///     tx.send(goroutine.name().map(str::to_owned)).unwrap();
    /// };
    /// let pool = rendez_pool::Pool::builder().workers(1).on_panic(told).build()?;
    /// drop(rendez_pool::spawn().name("fetch").on(&pool).go(|| panic!("nobody joins")));
    /// assert_eq!(rx.recv().unwrap().as_deref(), Some("fetch"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on_panic(mut self, f: impl Fn(&Identity, Payload) + Send + Sync + 'static) -> Self {
        self.policy.on_panic = Arc::new(f);
        self
    }

    /// What to do, once, when all goroutines are asleep for good: each waits in one of our
    /// primitives, no timer is set, and every other thread of the process waits likewise.
    /// Default: the dump on stderr, as Go's `all goroutines are asleep - deadlock!`; but the
    /// process is not ended.
    ///
    /// It is never called while any thread might still wake a goroutine, one that reads a
    /// socket or belongs to another runtime for instance. Only Linux tells whether there is
    /// one; elsewhere it is never called.
    pub fn on_deadlock(mut self, f: impl Fn(&Dump) + Send + Sync + 'static) -> Self {
        self.policy.on_deadlock = Arc::new(f);
        self
    }

    /// How many closures run at the same time at most; more of them wait for room, in order.
    /// One that waits in one of our primitives does not count meanwhile, so closures that
    /// start others and wait for them never wait for ever. Default: no limit; a closure gets
    /// a worker, or a thread more where the workers are stuck.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_pool::Pool;
    ///
    /// let pool = Pool::builder().workers(1).max_blocking(1).build()?;
    /// let (tx, rx) = rendez_select::bounded(0);
    /// let waits = pool.go(move || rx.recv()); // so it does not count
    /// pool.go(move || tx.send(1)).join().unwrap().unwrap();
    /// assert_eq!(waits.join().unwrap(), Ok(1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn max_blocking(mut self, n: usize) -> Self {
        self.policy.max_blocking = Some(n);
        self
    }

    /// Makes the pool. Its threads start with its first goroutine.
    ///
    /// # Errors
    ///
    /// If it is to have no workers, more than 65536, a name that no thread can have, or a stack
    /// that the system does not give, or if the system gives no thread at all.
    pub fn build(self) -> io::Result<Pool> {
        let invalid = |what| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        let workers = match self.workers {
            Some(0) => return invalid("a pool needs at least one worker"),
            Some(n) if n > MAX_WORKERS => return invalid("a pool has at most 65536 workers"),
            Some(n) => n,
            None => os::processors(),
        };
        if self.config.name.contains('\0') {
            return invalid("a thread's name contains no NUL");
        }
        if self.policy.max_blocking == Some(0) {
            return invalid("a pool runs at least one closure");
        }
        probe(self.config.stack_size)?;
        Ok(Pool::with_config(workers, self.config, self.policy))
    }

    /// The global pool, which must be there even if no thread is to be had at the moment.
    pub(crate) fn build_global(self, workers: usize) -> Pool {
        Pool::with_config(workers, self.config, self.policy)
    }
}

/// Starts a thread: the one way to know whether the system gives such stacks, or any.
fn probe(stack_size: Option<usize>) -> io::Result<()> {
    let mut builder = thread::Builder::new();
    if let Some(size) = stack_size {
        builder = builder.stack_size(size);
    }
    match builder.spawn(|| ()) {
        Ok(thread) => {
            let _ = thread.join();
            Ok(())
        }
        Err(error) => {
            let what = match stack_size {
                Some(size) => format!("no thread with a stack of {size} bytes is to be had"),
                None => "no thread is to be had".to_owned(),
            };
            Err(io::Error::new(error.kind(), format!("{what}: {error}")))
        }
    }
}

/// How many workers a pool has at most.
pub(crate) const MAX_WORKERS: usize = 1 << 16;

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.workers)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The default of [`Builder::on_deadlock`].
fn report_deadlock(dump: &Dump) {
    eprintln!("rendez: all goroutines are asleep - deadlock!\n\n{dump}");
}

/// The default of [`Builder::on_panic`].
pub(crate) fn report(goroutine: &Identity, payload: Payload) {
    let name = goroutine.name().map(|name| format!(" '{name}'"));
    let place = goroutine
        .spawned_at()
        .map(|at| format!(", started at {at},"));
    eprintln!(
        "goroutine {}{}{} panicked: {}",
        goroutine.id(),
        name.unwrap_or_default(),
        place.unwrap_or_default(),
        message(&payload)
    );
}
