//! Who runs here: the goroutine's id, name, labels, bubble and where it waits.
//!
//! A pool [`enter`]s a goroutine around each stretch of its work. A thread outside any
//! pool is given an identity when one is first asked for.
//!
//! Invariant: a goroutine's wait site is `Some` only while it waits or is parked between
//! two polls, so a dump that reads it tells the truth at some instant of the dump.

use std::cell::RefCell;
use std::fmt;
use std::panic::Location;
use std::time::Instant;

use crate::hooks::Bubble;
use crate::shim::{Arc, Mutex, unique_id};

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

std::thread_local! {
    static CURRENT: RefCell<Option<Arc<Goroutine>>> = const { RefCell::new(None) };
}

/// The goroutine that runs on this thread. Inside a thread-local destructor, when the
/// thread's own identity is gone, a passing one.
pub fn current() -> Arc<Goroutine> {
    CURRENT
        .try_with(|c| Arc::clone(c.borrow_mut().get_or_insert_with(thread_identity)))
        .unwrap_or_else(|_| thread_identity())
}

/// The goroutine that runs on this thread, if it already has an identity.
pub fn try_current() -> Option<Arc<Goroutine>> {
    CURRENT.try_with(|c| c.borrow().clone()).ok().flatten()
}

fn thread_identity() -> Arc<Goroutine> {
    Arc::new(Goroutine::new(None, None, None))
}

/// Makes `goroutine` the current one until the guard is dropped.
pub fn enter(goroutine: Arc<Goroutine>) -> Entered {
    let previous = CURRENT
        .try_with(|c| c.borrow_mut().replace(goroutine))
        .ok()
        .flatten();
    Entered { previous }
}

/// Restores the goroutine that ran here before. See [`enter`].
#[derive(Debug)]
#[must_use = "the goroutine leaves when this is dropped"]
pub struct Entered {
    previous: Option<Arc<Goroutine>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left =
            CURRENT.try_with(|c| std::mem::replace(&mut *c.borrow_mut(), self.previous.take()));
        drop(left);
    }
}

/// Notes on the current goroutine that it waits, until the guard is dropped.
pub(crate) fn waiting(kind: WaitKind, location: &'static Location<'static>) -> Waiting {
    let goroutine = current();
    goroutine.set_wait_site(Some(WaitSite {
        kind,
        location,
        since: Instant::now(),
    }));
    Waiting { goroutine }
}

/// Clears the wait site when dropped. See [`waiting`].
#[derive(Debug)]
pub(crate) struct Waiting {
    goroutine: Arc<Goroutine>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.goroutine.set_wait_site(None);
    }
}
