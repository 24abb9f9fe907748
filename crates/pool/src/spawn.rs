//! One goroutine to be configured before it starts.

use std::panic::Location;

use crate::body::Goroutine;
use crate::executor::{On, Spawn};
use crate::join::JoinHandle;
use crate::pool;
use crate::schedule::spawned_at;

/// A goroutine to be given a name or labels: `spawn().name("fetch").go(f)`.
///
/// # Examples
///
/// ```
/// let handle = rendez_pool::spawn().name("fetch").label("host", "a").go(|| 1);
/// assert_eq!(handle.name(), Some("fetch"));
/// assert_eq!(handle.join().unwrap(), 1);
/// ```
pub fn spawn() -> Spawner<'static> {
    Spawner::default()
}

/// See [`spawn`].
#[derive(Clone, Debug, Default)]
#[must_use = "a goroutine is started by `go`"]
pub struct Spawner<'a> {
    on: Option<On<'a>>,
    name: Option<Box<str>>,
    labels: Vec<(String, String)>,
    own_thread: bool,
}

impl<'a> Spawner<'a> {
    /// Its name, shown in dumps and reports.
    pub fn name(mut self, name: impl Into<Box<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Gives it a label, shown in dumps, that the goroutines it starts inherit. One that was
    /// inherited under the same key is replaced, as by Go's `pprof.WithLabels`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_pool::{dump, spawn};
    ///
    /// let (tx, rx) = rendez_select::bounded::<()>(0);
    /// let handle = spawn().label("host", "a").go(move || rx.recv().is_err());
    /// assert!(dump().to_string().contains("{host: a}"));
    /// drop(tx);
    /// assert!(handle.join().unwrap());
    /// ```
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Gives it a thread of its own from beginning to end, on which nothing else ever runs
    /// and which ends with it: Go's `runtime.LockOSThread`. For code that depends on its
    /// thread, or changes it. It runs beside the pool's workers.
    ///
    /// If the system gives no thread the goroutine never runs: its handle gives
    /// [`JoinError::Cancelled`](crate::JoinError::Cancelled), and the first time that happens
    /// in a pool the system's reason is written to stderr.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::thread;
    ///
    /// let alone = rendez_pool::spawn().own_thread().go(async {
    ///     let before = thread::current().id();
    ///     rendez_pool::yield_now().await;
    ///     before == thread::current().id()
    /// });
    /// assert!(alone.join().unwrap());
    /// ```
    pub fn own_thread(mut self) -> Self {
        self.own_thread = true;
        self
    }

    /// Has it run on `executor`, a [`Pool`](crate::Pool) for instance, and not on the caller's
    /// pool. A [thread of its own](Self::own_thread) belongs to that pool, or to the caller's if
    /// `executor` is none.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_pool::{Pool, spawn};
    ///
    /// let pool = Pool::builder().workers(1).thread_name("mine").build()?;
    /// let name = || std::thread::current().name().map(str::to_owned);
    /// let ran_on = spawn().name("fetch").on(&pool).go(name);
    /// assert_eq!(ran_on.join().unwrap().as_deref(), Some("mine-0"));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn on<'b>(self, executor: &'b dyn Spawn) -> Spawner<'b> {
        Spawner {
            on: Some(executor.into()),
            name: self.name,
            labels: self.labels,
            own_thread: self.own_thread,
        }
    }

    /// Starts it: see [`go`](crate::go).
    #[track_caller]
    pub fn go<M, G>(self, goroutine: G) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static,
    {
        let mut identity = spawned_at(Location::caller()).with_name(self.name);
        for (key, value) in &self.labels {
            identity = identity.with_label(key, value);
        }
        let on = self.on.unwrap_or_else(On::current);
        if self.own_thread {
            let pool = on.pool().unwrap_or_else(pool::current);
            JoinHandle::start_alone(&pool, goroutine, identity)
        } else {
            on.start(goroutine, identity)
        }
    }
}
