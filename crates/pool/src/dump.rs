//! A dump: every goroutine that lives, and where it waits.
//!
//! A pool's goroutines are found in three places: the registry (those that have waited or have a
//! name), the run queues (those that have not begun), and on the threads that run them. One
//! that moves from one to another just then may be found twice, and counts once, or not at
//! all; in a program that is stuck none moves. Those on other executors are in a registry from
//! their start to their end. The main thread keeps its note of where it waits where all can see it.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::Location;
use std::time::{Duration, Instant};

use rendez_core::goroutine::{self, Goroutine as Identity, WaitKind, WaitSite};
use rendez_core::shim::unmodelled::Mutex;
use rendez_core::shim::{Arc, Weak};

use crate::foreign;
use crate::shared::Shared;

/// The goroutines that lived at one time: see [`dump`].
///
/// Its `Display` is like what Go prints on `SIGQUIT`:
///
/// ```text
/// goroutine 7 'fetch' [chan receive at src/main.rs:12, 3.2 s] {host: a}
///     started at src/main.rs:10
/// ```
#[derive(Clone, Debug, Default)]
pub struct Dump {
    goroutines: Vec<Entry>,
}

/// One goroutine in a [`Dump`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its id.
    pub id: u64,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// Its labels, in the order they were given, those of its parents first.
    pub labels: Vec<(String, String)>,
    /// Where it was started.
    pub spawned_at: Option<&'static Location<'static>>,
    /// What it did.
    pub state: State,
}

/// What a goroutine did when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// It ran on a thread, or blocked outside our primitives.
    Running,
    /// It lay in a run queue.
    Runnable,
    /// It waited in one of our primitives.
    Waiting {
        /// What for.
        kind: WaitKind,
        /// The caller's place.
        location: &'static Location<'static>,
        /// How long by then.
        waited: Duration,
    },
    /// It waited for something that is not ours, in a future.
    Parked,
}

impl State {
    /// Of a goroutine that waits there.
    pub(crate) fn waiting(site: Option<WaitSite>) -> Self {
        site.map_or(Self::Parked, |site| Self::Waiting {
            kind: site.kind,
            location: site.location,
            waited: Instant::now().saturating_duration_since(site.since),
        })
    }
}

impl Entry {
    pub(crate) fn new(identity: &Identity, state: State) -> Self {
        let labels = identity.labels();
        Self {
            id: identity.id(),
            name: identity.name().map(Into::into),
            labels: labels.map(|(k, v)| (k.into(), v.into())).collect(),
            spawned_at: identity.spawned_at(),
            state,
        }
    }
}

impl Entry {
    /// One without name or labels that runs.
    pub(crate) fn running(id: u64, spawned_at: Option<&'static Location<'static>>) -> Self {
        Self {
            id,
            name: None,
            labels: Vec::new(),
            spawned_at,
            state: State::Running,
        }
    }
}

impl Dump {
    /// The goroutines, the oldest first.
    pub fn goroutines(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.goroutines.iter()
    }

    /// Of these pools.
    pub(crate) fn of(pools: &[Arc<Shared>]) -> Self {
        Self::collect(pools, false)
    }

    fn collect(pools: &[Arc<Shared>], elsewhere: bool) -> Self {
        let mut found = BTreeMap::new();
        let mut add = |entry: Entry| {
            // What the registry knows, which comes first, is the most there is to know.
            found.entry(entry.id).or_insert(entry);
        };
        pools.iter().for_each(|pool| pool.find(&mut add));
        if elsewhere {
            foreign::for_each(&mut add);
            add_main(&mut add);
        }
        Self {
            goroutines: found.into_values().collect(),
        }
    }
}

/// The main thread, if it waits in one of our primitives.
fn add_main(add: &mut dyn FnMut(Entry)) {
    let main = goroutine::of_main_thread();
    if let Some((main, site)) = main.and_then(|main| Some((main, main.wait_site()?))) {
        add(Entry::new(main, State::waiting(Some(site))));
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, goroutine) in self.goroutines.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            writeln!(f, "{goroutine}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "goroutine {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " '{name}'")?;
        }
        write!(f, " [{}]", self.state)?;
        if let [(key, value), rest @ ..] = &*self.labels {
            write!(f, " {{{key}: {value}")?;
            for (key, value) in rest {
                write!(f, ", {key}: {value}")?;
            }
            write!(f, "}}")?;
        }
        if let Some(at) = self.spawned_at {
            write!(f, "\n    started at {}:{}", at.file(), at.line())?;
        }
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Runnable => f.write_str("runnable"),
            Self::Parked => f.write_str("parked"),
            Self::Waiting {
                kind,
                location,
                waited,
            } => {
                let (file, line) = (location.file(), location.line());
                write!(f, "{kind} at {file}:{line}, {:.1} s", waited.as_secs_f64())
            }
        }
    }
}

/// Every goroutine that lives, in all pools of the process and on other executors, and where
/// it waits.
///
/// Followed: Go's goroutine profile and the dump on `SIGQUIT`. The program's main thread is in
/// it, named `main`, while it waits in one of our primitives. Other threads that are no
/// goroutines are not, nor are tasks that other executors were given without us.
///
/// # Examples
///
/// ```
/// let (tx, rx) = rendez_select::bounded::<()>(0);
/// let handle = rendez_pool::spawn().name("stuck").go(move || rx.recv());
/// let text = loop {
///     let text = rendez_pool::dump().to_string();
///     if text.contains("chan receive") {
///         break text;
///     }
/// };
/// assert!(text.contains("'stuck' [chan receive at "));
/// drop(tx);
/// assert!(handle.join().unwrap().is_err());
/// ```
pub fn dump() -> Dump {
    Dump::collect(&pools(), true)
}

/// All pools that live.
pub(crate) fn pools() -> Vec<Arc<Shared>> {
    let mut pools = POOLS.lock();
    let alive = pools.iter().filter_map(Weak::upgrade).collect();
    pools.retain(|pool| pool.strong_count() > 0);
    alive
}

static POOLS: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// A pool has been made.
pub(crate) fn enlist(pool: Weak<Shared>) {
    let mut pools = POOLS.lock();
    pools.retain(|pool| pool.strong_count() > 0);
    pools.push(pool);
}
