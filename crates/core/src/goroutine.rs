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
use std::time::{Duration, Instant};

use crate::hooks::Bubble;
use crate::shim::unmodelled::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::shim::{Arc, OnceLock, is_main_thread, spin_loop};

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

impl WaitKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Receive,
        Self::Send,
        Self::Select,
        Self::WaitGroup,
        Self::Join,
        Self::Lock,
        Self::Semaphore,
        Self::Cond,
        Self::Context,
        Self::Sleep,
    ];
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
    spawned_at: Option<&'static Location<'static>>,
    // Most have none, and are small: there may be millions.
    extra: Option<Arc<Extra>>,
    site: Site,
}

/// What few goroutines have. One without a name is shared by all that inherit it, so that
/// starting one more costs a count.
#[derive(Clone, Default)]
struct Extra {
    name: Option<Box<str>>,
    inherited: Option<Arc<Inherited>>,
}

/// What goes over to the goroutines that one starts.
#[derive(Clone, Default)]
struct Inherited {
    labels: Vec<(Box<str>, Box<str>)>,
    bubble: Option<Arc<dyn Bubble>>,
}

impl Goroutine {
    /// A goroutine with a fresh id, spawned at `spawned_at`, that inherits labels and
    /// bubble from `parent`.
    pub fn new(
        name: Option<Box<str>>,
        spawned_at: Option<&'static Location<'static>>,
        parent: Option<&Self>,
    ) -> Self {
        let made = Self {
            id: next_id(),
            spawned_at,
            extra: parent
                .and_then(|p| p.extra.as_ref())
                .and_then(Extra::inherit),
            site: Site::new(),
        };
        if name.is_some() {
            made.with_name(name)
        } else {
            made
        }
    }

    fn of_thread() -> Self {
        Self::new(None, None, None)
    }

    /// Gives it a name.
    #[must_use]
    pub fn with_name(mut self, name: Option<Box<str>>) -> Self {
        if name.is_some() || self.extra.is_some() {
            self.extra().name = name;
        }
        self
    }

    /// Gives it a label, shown in dumps and inherited by the goroutines it starts, in place
    /// of one it has inherited under that key.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        let labels = &mut self.own().labels;
        match labels.iter_mut().find(|(k, _)| **k == *key) {
            Some((_, inherited)) => *inherited = value.into(),
            None => labels.push((key.into(), value.into())),
        }
        self
    }

    /// Puts it into `bubble`.
    #[must_use]
    pub fn with_bubble(mut self, bubble: Arc<dyn Bubble>) -> Self {
        self.own().bubble = Some(bubble);
        self
    }

    /// What it has inherited and hands on, to be changed.
    fn own(&mut self) -> &mut Inherited {
        Arc::make_mut(self.extra().inherited.get_or_insert_default())
    }

    fn extra(&mut self) -> &mut Extra {
        Arc::make_mut(self.extra.get_or_insert_default())
    }

    fn inherited(&self) -> Option<&Inherited> {
        self.extra.as_ref()?.inherited.as_deref()
    }

    /// Its id, unique in the process and never used again.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.extra.as_ref()?.name.as_deref()
    }

    /// Its labels, in the order they were given.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        let labels = self.inherited().into_iter().flat_map(|i| &i.labels);
        labels.map(|(k, v)| (&**k, &**v))
    }

    /// Whether it has a name or labels.
    pub fn is_described(&self) -> bool {
        self.name().is_some() || self.labels().next().is_some()
    }

    /// Where it was spawned; `None` for a thread outside any pool.
    pub fn spawned_at(&self) -> Option<&'static Location<'static>> {
        self.spawned_at
    }

    /// The bubble it lives in.
    pub fn bubble(&self) -> Option<&Arc<dyn Bubble>> {
        self.inherited()?.bubble.as_ref()
    }

    /// Where it waits now.
    pub fn wait_site(&self) -> Option<WaitSite> {
        self.site.read()
    }

    /// Notes where it waits, or that it runs again. Called by whoever runs it.
    pub fn set_wait_site(&self, site: Option<WaitSite>) {
        match site {
            Some(site) => self.site.write(site.kind, site.location, nanos(site.since)),
            None => self.site.clear(),
        }
    }

    /// It runs again: clears where it waited, and tells what for and how long.
    pub fn end_wait(&self) -> Option<(WaitKind, Duration)> {
        let (kind, since) = self.site.end()?;
        let waited = coarse::now().saturating_sub(since);
        Some((kind, Duration::from_nanos(waited)))
    }
}

impl Extra {
    /// What a goroutine has that one with this starts.
    fn inherit(self: &Arc<Self>) -> Option<Arc<Self>> {
        if self.name.is_none() {
            return Some(Arc::clone(self));
        }
        let inherited = Some(Arc::clone(self.inherited.as_ref()?));
        Some(Arc::new(Self {
            name: None,
            inherited,
        }))
    }
}

/// An id no goroutine has had. Each thread takes a few at a time, so that starting goroutines
/// on several does not make them wait for each other.
fn next_id() -> u64 {
    const BLOCK: u64 = 64;
    static NEXT: AtomicU64 = AtomicU64::new(1);
    std::thread_local! {
        static MINE: Cell<u64> = const { Cell::new(0) };
    }
    let take = |mine: &Cell<u64>| {
        let mut id = mine.get();
        if id % BLOCK == 0 {
            id = NEXT.fetch_add(1, Ordering::Relaxed) * BLOCK;
        }
        mine.set(id + 1);
        id
    };
    MINE.try_with(take)
        .unwrap_or_else(|_| NEXT.fetch_add(1, Ordering::Relaxed) * BLOCK)
}

/// A wait site that its goroutine's runner writes with plain stores and anybody reads.
///
/// Invariant: while `what` is not zero and does not change, `location` belongs to it: it is
/// zero while the location is written.
struct Site {
    // | kind + 1 (8 bits) | nanoseconds since the epoch (56 bits) |, zero: none.
    what: AtomicU64,
    location: AtomicPtr<Location<'static>>,
}

const KIND: u32 = 56;

impl Site {
    const fn new() -> Self {
        Self {
            what: AtomicU64::new(0),
            location: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn write(&self, kind: WaitKind, location: &'static Location<'static>, since: u64) {
        self.what.store(0, Ordering::Relaxed);
        // ORDERING: Release, so that who reads this location reads zero or what follows.
        self.location
            .store(ptr::from_ref(location).cast_mut(), Ordering::Release);
        let what = (kind as u64 + 1) << KIND | since & ((1 << KIND) - 1);
        self.what.store(what, Ordering::Release);
    }

    fn clear(&self) {
        self.what.store(0, Ordering::Relaxed);
    }

    fn end(&self) -> Option<(WaitKind, u64)> {
        let what = self.what.load(Ordering::Relaxed);
        let read = decode(what)?;
        self.clear();
        Some(read)
    }

    fn read(&self) -> Option<WaitSite> {
        loop {
            let what = self.what.load(Ordering::Acquire);
            let (kind, since) = decode(what)?;
            let location = self.location.load(Ordering::Acquire);
            if self.what.load(Ordering::Relaxed) == what {
                return Some(WaitSite {
                    kind,
                    // SAFETY: written from a `&'static` before `what` said there is one.
                    location: unsafe { &*location },
                    since: epoch() + Duration::from_nanos(since),
                });
            }
        }
    }
}

fn decode(what: u64) -> Option<(WaitKind, u64)> {
    let kind = (what >> KIND).checked_sub(1)?;
    let kind = *WaitKind::ALL.get(usize::try_from(kind).ok()?)?;
    Some((kind, what & ((1 << KIND) - 1)))
}

/// What wait sites count from.
fn epoch() -> Instant {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

fn nanos(at: Instant) -> u64 {
    let since = at.saturating_duration_since(epoch());
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

pub mod coarse {
    //! A clock that costs a load: a pool's threads set it when they begin to run, its
    //! monitor every few milliseconds while they do. Only for goroutines of a pool.
    use super::{AtomicU64, Instant, Ordering, nanos};

    static NOW: AtomicU64 = AtomicU64::new(0);

    /// Sets it.
    pub fn tick() {
        NOW.store(nanos(Instant::now()), Ordering::Relaxed);
    }

    /// When it was last set.
    pub(super) fn now() -> u64 {
        NOW.load(Ordering::Relaxed)
    }
}

/// Notes that the goroutine that runs here is parked in a future, until it runs again. A
/// thread outside any pool keeps no note: what it polls may go to another.
pub fn parked(kind: WaitKind, location: &'static Location<'static>) {
    with_running(|g| g.site.write(kind, location, coarse::now()));
}

/// As [`parked`], unless what it polled has noted what it waits for.
pub fn parked_otherwise(kind: WaitKind, location: &'static Location<'static>) {
    with_running(|g| {
        if g.wait_site().is_none() {
            g.site.write(kind, location, coarse::now());
        }
    });
}

/// What others see of who runs on a thread. Its thread writes it with plain stores.
///
/// Invariant: `turn` is odd while the rest is written, and changes with it; but that nobody runs
/// here is an id of zero, whatever the rest says.
#[derive(Debug, Default)]
pub struct Glimpse {
    turn: AtomicU64,
    id: AtomicU64,
    spawned_at: AtomicPtr<Location<'static>>,
    blocked: AtomicBool,
}

impl Glimpse {
    /// `goroutine` runs here now.
    pub fn show(&self, goroutine: &Goroutine) {
        let place = goroutine.spawned_at.map_or(ptr::null(), ptr::from_ref);
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn + 1, Ordering::Relaxed);
        // ORDERING: Release, so that who reads one of these sees `turn` odd or later.
        self.id.store(goroutine.id, Ordering::Release);
        self.spawned_at.store(place.cast_mut(), Ordering::Release);
        self.turn.store(turn + 2, Ordering::Release);
    }

    /// Nobody runs here any more.
    pub fn hide(&self) {
        self.id.store(0, Ordering::Relaxed);
    }

    /// Whether the thread sleeps in one of our primitives.
    pub fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// Whether a goroutine computes here.
    pub fn is_running(&self) -> bool {
        self.id.load(Ordering::Relaxed) != 0 && !self.blocked.load(Ordering::Relaxed)
    }

    /// The id of who runs here, and where it was spawned.
    pub fn look(&self) -> Option<(u64, Option<&'static Location<'static>>)> {
        loop {
            let turn = self.turn.load(Ordering::Acquire);
            let id = self.id.load(Ordering::Acquire);
            let place = self.spawned_at.load(Ordering::Acquire);
            if turn % 2 == 0 && self.turn.load(Ordering::Relaxed) == turn {
                // SAFETY: null, or written from a `&'static`.
                return (id != 0).then_some((id, unsafe { place.as_ref() }));
            }
            spin_loop();
        }
    }
}

impl fmt::Debug for Goroutine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Goroutine")
            .field("id", &self.id)
            .field("name", &self.name())
            .field("labels", &self.labels().collect::<Vec<_>>())
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
    static OWN: OnceCell<Own> = const { OnceCell::new() };
}

// A model's threads share one of the system's: std's statics would give all one identity.
#[cfg(rendez_loom)]
crate::shim::thread_local! {
    static RUNNING: Cell<*const Goroutine> = Cell::new(ptr::null());
    static OWN: OnceCell<Own> = OnceCell::new();
}

/// A thread's own identity.
enum Own {
    /// Of the main thread, which others look at.
    Main(&'static Goroutine),
    Other(Goroutine),
}

static MAIN: OnceLock<Goroutine> = OnceLock::new();

impl Own {
    fn new() -> Self {
        let of_thread = Goroutine::of_thread();
        if is_main_thread() && MAIN.get().is_none() {
            let name = Some("main".into());
            Self::Main(MAIN.get_or_init(|| of_thread.with_name(name)))
        } else {
            Self::Other(of_thread)
        }
    }

    fn get(&self) -> &Goroutine {
        match self {
            Self::Main(main) => main,
            Self::Other(other) => other,
        }
    }
}

/// The identity of the program's main thread, once it has had to do with goroutines.
pub fn of_main_thread() -> Option<&'static Goroutine> {
    MAIN.get()
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
    OWN.try_with(|own| call(own.get_or_init(Own::new).get()))
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
