//! Who runs here: the goroutine's id, name, labels, bubble and where it waits.
//!
//! A pool runs each stretch of a goroutine's work under [`run_as`]; the identity is part
//! of the pool's own cell and borrowed for that long. A thread outside any pool is given
//! one when it is first asked for.
//!
//! Invariant: a goroutine's wait site is `Some` only while it waits or is parked between
//! two polls, so a dump that reads it tells the truth at some instant of the dump.
#![allow(unsafe_code)]

use std::cell::{Cell, OnceCell};
use std::fmt;
use std::marker::PhantomData;
use std::panic::Location;
use std::ptr;
use std::time::Instant;

use crate::hooks::Bubble;
use crate::shim::unmodelled::Mutex;
use crate::shim::{Arc, unique_id};

/// What a goroutine waits for, in the words a dump uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitKind {
    /// A receive on a channel.
    Receive,
    /// A send on a channel.
    Send,
    /// A select over several cases.
    Select,
    /// A wait group reaching zero.
    WaitGroup,
    /// Another goroutine's end.
    Join,
    /// A lock.
    Lock,
    /// A semaphore.
    Semaphore,
    /// A condition.
    Cond,
    /// A context's end.
    Context,
    /// A point in time.
    Sleep,
}

impl fmt::Display for WaitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Receive => "chan receive",
            Self::Send => "chan send",
            Self::Select => "select",
            Self::WaitGroup => "wait group wait",
            Self::Join => "join",
            Self::Lock => "lock",
            Self::Semaphore => "semaphore acquire",
            Self::Cond => "cond wait",
            Self::Context => "context done",
            Self::Sleep => "sleep",
        })
    }
}

/// Where a goroutine waits, and since when.
#[derive(Clone, Copy, Debug)]
pub struct WaitSite {
    /// What it waits for.
    pub kind: WaitKind,
    /// The caller's place.
    pub location: &'static Location<'static>,
    /// When it began.
    pub since: Instant,
}

/// One goroutine's identity.
pub struct Goroutine {
    id: u64,
    name: Option<Box<str>>,
    labels: Vec<(Box<str>, Box<str>)>,
    spawned_at: Option<&'static Location<'static>>,
    bubble: Option<Arc<dyn Bubble>>,
    // Guards only the site; the innermost lock of all, held for one assignment.
    site: Mutex<Option<WaitSite>>,
}

impl Goroutine {
    /// A goroutine with a fresh id, spawned at `spawned_at`, that inherits labels and
    /// bubble from `parent`.
    pub fn new(
        name: Option<Box<str>>,
        spawned_at: Option<&'static Location<'static>>,
        parent: Option<&Self>,
    ) -> Self {
        Self {
            id: unique_id(),
            name,
            labels: parent.map(|p| p.labels.clone()).unwrap_or_default(),
            spawned_at,
            bubble: parent.and_then(|p| p.bubble.clone()),
            site: Mutex::new(None),
        }
    }

    fn of_thread() -> Self {
        Self::new(None, None, None)
    }

    /// Gives it a name.
    #[must_use]
    pub fn with_name(mut self, name: Option<Box<str>>) -> Self {
        self.name = name;
        self
    }

    /// Adds a label, shown in dumps and inherited by the goroutines it starts.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// Puts it into `bubble`.
    #[must_use]
    pub fn with_bubble(mut self, bubble: Arc<dyn Bubble>) -> Self {
        self.bubble = Some(bubble);
        self
    }

    /// Its id, unique in the process and never used again.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Its labels, in the order they were given.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(k, v)| (&**k, &**v))
    }

    /// Where it was spawned; `None` for a thread outside any pool.
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.spawned_at
    }

    /// The bubble it lives in.
    pub fn bubble(&self) -> Option<&Arc<dyn Bubble>> {
        self.bubble.as_ref()
    }

    /// Where it waits now.
    pub fn wait_site(&self) -> Option<WaitSite> {
        *self.site.lock()
    }

    /// Notes where it waits, or that it runs again.
    pub fn set_wait_site(&self, site: Option<WaitSite>) {
        *self.site.lock() = site;
    }
}

impl fmt::Debug for Goroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Goroutine")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("labels", &self.labels)
            .field("spawned_at", &self.spawned_at)
            .field("wait_site", &self.wait_site())
            .finish_non_exhaustive()
    }
}

#[cfg(not(rendez_loom))]
std::thread_local! {
    // What a pool runs here; null outside `run_as`.
    static RUNNING: Cell<*const Goroutine> = const { Cell::new(ptr::null()) };
    // The thread's own identity, from the first time it is asked for.
    static OWN: OnceCell<Goroutine> = const { OnceCell::new() };
}

// A model's threads share one of the system's: std's statics would give all one identity.
#[cfg(rendez_loom)]
crate::shim::thread_local! {
    static RUNNING: Cell<*const Goroutine> = Cell::new(ptr::null());
    static OWN: OnceCell<Goroutine> = OnceCell::new();
}

/// Runs `f` with the goroutine that runs on this thread. Inside a thread-local
/// destructor, when the thread's own identity is gone, with a passing one.
pub fn with_current<R>(f: impl FnOnce(&Goroutine) -> R) -> R {
    let running = running();
    if !running.is_null() {
        // SAFETY: it is what `run_as`, further up this thread's stack, has borrowed.
        return f(unsafe { &*running });
    }
    let mut f = Some(f);
    let mut call = |g: &Goroutine| f.take().map(|f| f(g));
    OWN.try_with(|own| call(own.get_or_init(Goroutine::of_thread)))
        .unwrap_or_else(|_| call(&Goroutine::of_thread()))
        .expect("called once")
}

/// As [`with_current`], but only if a goroutine of a pool runs here.
pub fn with_running<R>(f: impl FnOnce(&Goroutine) -> R) -> Option<R> {
    let running = running();
    // SAFETY: as in `with_current`.
    (!running.is_null()).then(|| f(unsafe { &*running }))
}

fn running() -> *const Goroutine {
    RUNNING.try_with(Cell::get).unwrap_or(ptr::null())
}

/// Runs `f` as `goroutine`.
pub fn run_as<R>(goroutine: &Goroutine, f: impl FnOnce() -> R) -> R {
    struct Restore(*const Goroutine);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = RUNNING.try_with(|r| r.set(self.0));
        }
    }
    let before = RUNNING.try_with(|r| r.replace(goroutine));
    let _restore = Restore(before.unwrap_or(ptr::null()));
    f()
}

/// Notes on the current goroutine that it waits, until the guard is dropped.
pub(crate) fn waiting(kind: WaitKind, location: &'static Location<'static>) -> Waiting {
    let site = WaitSite {
        kind,
        location,
        since: Instant::now(),
    };
    with_current(|g| g.set_wait_site(Some(site)));
    Waiting(PhantomData)
}

/// Clears the wait site when dropped, on the thread that set it. See [`waiting`].
#[derive(Debug)]
pub(crate) struct Waiting(PhantomData<*const ()>);

impl Drop for Waiting {
    fn drop(&mut self) {
        with_current(|g| g.set_wait_site(None));
    }
}
