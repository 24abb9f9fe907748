//! What has been found, in words, and who is told. Nothing here is called under the graph's
//! lock.

use std::fmt;
use std::panic::Location;

use rendez_core::shim::Arc;
use rendez_core::shim::unmodelled::Mutex;

use super::graph::Owner;

/// The kinds of mistakes that are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hazard {
    /// A goroutine waits for a lock that it holds itself.
    Relock,
    /// A goroutine reads a lock that it reads already.
    RecursiveRead,
    /// Locks have been taken in orders that form a circle.
    LockOrder,
}

/// A deadlock, or what may become one.
#[derive(Clone, Debug)]
pub struct Report {
    pub(super) hazard: Hazard,
    pub(super) steps: Vec<Step>,
}

/// One lock that was held while another, or the same, was waited for. In a circle each step
/// waits for the lock that the next one holds, and the last for that of the first.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub(super) owner: Owner,
    pub(super) held: Place,
    pub(super) wanted: Place,
}

/// A lock, and where it was locked or asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) lock: u64,
    pub(super) at: &'static Location<'static>,
}

impl Report {
    /// What kind of mistake it is.
    pub fn hazard(&self) -> Hazard {
        self.hazard
    }

    /// Who held what, and waited for what: one step, or as many as a circle has locks.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl Step {
    /// The goroutine's id; `None` for a task of a foreign executor.
    pub fn goroutine(&self) -> Option<u64> {
        match self.owner {
            Owner::Goroutine(id) => Some(id),
            Owner::Task(_) => None,
        }
    }

    /// Where it had locked the lock that it held.
    pub fn held_since(&self) -> &'static Location<'static> {
        self.held.at
    }

    /// Where it waited for the other one.
    pub fn wanted_at(&self) -> &'static Location<'static> {
        self.wanted.at
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.hazard {
            Hazard::Relock => "deadlock: a goroutine waits for a lock that it holds itself",
            Hazard::RecursiveRead => {
                "possible deadlock: a goroutine reads a lock that it reads already, which waits \
                 for ever when a writer comes between"
            }
            Hazard::LockOrder => "possible deadlock: locks are taken in orders that form a circle",
        })?;
        self.steps
            .iter()
            .try_for_each(|step| write!(f, "\n  {step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.owner {
            Owner::Goroutine(id) => write!(f, "goroutine {id}")?,
            Owner::Task(_) => f.write_str("a task")?,
        }
        write!(f, " holds {}, and waits for {}", self.held, self.wanted)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.kind, self.lock, self.at)
    }
}

type Hook = Arc<dyn Fn(&Report) + Send + Sync>;

// Held for the copy of a pointer; nothing is locked under it.
static HOOK: Mutex<Option<Hook>> = Mutex::new(None);

/// Has `hook` called with every report from now on, in place of a print to standard error.
/// It runs on the thread that was about to wait, and may use locks itself.
///
/// # Examples
///
/// ```
/// use rendez_sync::{Mutex, deadlock};
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::thread;
///
/// static CIRCLES: AtomicUsize = AtomicUsize::new(0);
/// deadlock::set_hook(|report| {
///     assert_eq!(report.hazard(), deadlock::Hazard::LockOrder);
///     CIRCLES.fetch_add(report.steps().len(), Ordering::Relaxed);
/// });
///
/// let (a, b) = (Mutex::new(1), Mutex::new(2));
/// thread::scope(|s| s.spawn(|| *a.lock() += *b.lock()).join().unwrap());
/// thread::scope(|s| s.spawn(|| *b.lock() += *a.lock()).join().unwrap());
/// assert_eq!(CIRCLES.load(Ordering::Relaxed), 2);
/// assert!(deadlock::take_hook());
/// ```
pub fn set_hook(hook: impl Fn(&Report) + Send + Sync + 'static) {
    let before = HOOK.lock().replace(Arc::new(hook));
    drop(before);
}

/// Takes the hook back, so that reports are printed again. Returns whether there was one.
pub fn take_hook() -> bool {
    let before = HOOK.lock().take();
    before.is_some()
}

/// Tells whoever is to be told.
pub(super) fn tell(report: &Report) {
    let hook = HOOK.lock().clone();
    match hook {
        Some(hook) => hook(report),
        None => eprintln!("{report}"),
    }
}
