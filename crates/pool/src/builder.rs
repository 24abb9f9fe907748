//! How a pool is configured.

use std::fmt;
use std::io;
use std::time::Duration;

use rendez_core::goroutine::Goroutine as Identity;
use rendez_core::shim::{Arc, thread};

use crate::error::{Payload, message};
use crate::os;
use crate::pool::{OnPanic, Pool};
use crate::threads::Config;

/// A pool to be configured: see [`Pool::builder`].
#[must_use = "a pool is made by `build`"]
pub struct Builder {
    workers: Option<usize>,
    config: Config,
    on_panic: OnPanic,
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
            on_panic: Arc::new(report),
        }
    }

    /// How many goroutines run at the same time, those that block not counted. Default: the
    /// processors the process may use, at least two.
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
    pub fn on_panic(mut self, f: impl Fn(&Identity, Payload) + Send + Sync + 'static) -> Self {
        self.on_panic = Arc::new(f);
        self
    }

    /// Makes the pool. Its threads start with its first goroutine.
    ///
    /// # Errors
    ///
    /// If it is to have no workers, a name that no thread can have, or a stack that the
    /// system does not give.
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
        if let Some(size) = self.config.stack_size {
            // The one way to know whether the system gives such stacks.
            let probe = thread::Builder::new().stack_size(size).spawn(|| ());
            let _ = probe?.join();
        }
        Ok(Pool::with_config(workers, self.config, self.on_panic))
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
