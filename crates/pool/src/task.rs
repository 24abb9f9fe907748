//! One goroutine's cell: a single allocation that holds its identity, its state, its body
//! and then its result.
//!
//! A [`Task`] is a counted pointer to such a cell whose type is known only to the
//! functions in its [`Vtable`]; run queues, wakers and handles all hold one.
//!
//! Invariants:
//!
//! - The body is touched only by the one who holds RUNNING, the result only by the one
//!   who set TAKEN (see [`state`](crate::state)), both by the last owner of the cell.
//! - A body is dropped before its end is published. So once [`Ending`] is dropped, which
//!   comes last of all, nothing of the cell refers to what the goroutine borrowed, however
//!   long wakers keep the memory, except a result that a living handle may still take.
//! - No user code runs, and none of its values is dropped, under a lock.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use rendez_core::case::Outcome;
use rendez_core::goroutine::{self, Goroutine as Identity};
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::atomic::{AtomicPtr, AtomicU32, Ordering, fence};
use rendez_core::shim::{Arc, Mutex, UnsafeCell};
use rendez_core::wake::WakeList;

use crate::body::Body;
use crate::cells;
use crate::dump::{Entry, State as Shown};
use crate::error::{JoinError, Payload};
use crate::registry::Registry;
use crate::state::{State, Word};

/// What runs goroutines, as their cells see it.
pub trait Schedule: Send + Sync {
    /// Puts a goroutine that was started or woken into a run queue.
    fn schedule(&self, task: Task);
    /// Puts a goroutine that was woken while it ran into a run queue, behind the others.
    fn reschedule(&self, task: Task);
    /// Whether the calling thread holds this scheduler until it returns from whatever it is
    /// doing now, whatever becomes of the goroutines.
    fn is_held_here(&self) -> bool {
        false
    }
    /// A goroutine has come to its end; its result is published next.
    fn finished(&self);
    /// A goroutine panicked and nobody will join it.
    fn unclaimed_panic(&self, identity: &Identity, payload: Payload);
    /// Where goroutines that wait are entered, to be shown in dumps.
    fn registry(&self) -> Option<&Registry> {
        None
    }
}

/// What happens after a goroutine's end: its drop is the last thing a goroutine does.
pub trait Ending<T>: Send {
    /// Sees the result before the end is published, the body being gone; what it gives back
    /// is what the handle gets. Not called if the goroutine is freed with nobody left who
    /// could wake it.
    fn settle(&mut self, task: &Task, result: TaskResult<T>) -> TaskResult<T> {
        let _ = task;
        result
    }

    /// Takes a panic that nobody will join, or gives it back for the scheduler's hook.
    fn unclaimed_panic(&self, payload: Payload) -> Option<Payload>;
}

impl<T> Ending<T> for () {
    fn unclaimed_panic(&self, payload: Payload) -> Option<Payload> {
        Some(payload)
    }
}

/// The part of a cell that does not depend on what it runs.
pub(crate) struct Header {
    // There may be millions of these: every word counts.
    state: State,
    refs: AtomicU32,
    // One more than its place in the registry; 0: not there.
    place: AtomicU32,
    // When it became runnable, if that is measured: see `set_due`.
    due_since: AtomicU32,
    vtable: &'static Vtable,
    scheduler: Arc<dyn Schedule>,
    identity: Identity,
    // Those who wait for the end. The innermost lock of the pool.
    joiners: Mutex<Queue>,
}

impl Header {
    pub(crate) fn place(&self) -> Option<usize> {
        (self.place.load(Ordering::Relaxed) as usize).checked_sub(1)
    }

    pub(crate) fn set_place(&self, place: Option<usize>) {
        let place = place.map_or(0, |i| u32::try_from(i + 1).unwrap_or(u32::MAX));
        self.place.store(place, Ordering::Relaxed);
    }

    /// Enters it in the registry, if it is not there; the caller runs it, or nobody does.
    #[inline]
    fn enter(&self) {
        if self.place().is_none() {
            if let Some(registry) = self.scheduler.registry() {
                registry.enter(self);
            }
        }
    }

    /// Takes it out of the registry; it ends.
    #[inline]
    fn leave(&self) {
        if self.place().is_some() {
            if let Some(registry) = self.scheduler.registry() {
                registry.leave(self);
            }
        }
    }

    /// As a dump shows it.
    pub(crate) fn describe(&self) -> Entry {
        let word = self.state.load();
        let site = self.identity.wait_site();
        let state = if word.is_running() && site.is_none() {
            Shown::Running
        } else if word.is_scheduled() {
            Shown::Runnable
        } else {
            Shown::waiting(site)
        };
        Entry::new(&self.identity, state)
    }
}

std::thread_local! {
    // What a thread polls; null if nothing.
    static POLLED: std::cell::Cell<*const Header> = const { std::cell::Cell::new(ptr::null()) };
}

/// Whether a goroutine runs on this thread, and has not ended.
pub(crate) fn is_polling() -> bool {
    POLLED.try_with(|p| !p.get().is_null()).unwrap_or(false)
}

/// The goroutine that runs on this thread is about to block in it.
pub(crate) fn enter_running() {
    let polled = POLLED.try_with(std::cell::Cell::get).unwrap_or(ptr::null());
    // SAFETY: `Cell::poll`, further up this thread's stack, keeps the cell alive.
    if let Some(header) = unsafe { polled.as_ref() } {
        header.enter();
    }
}

struct Vtable {
    is_closure: bool,
    run: unsafe fn(Task, &dyn Schedule),
    /// Moves the result out; the caller has set TAKEN, and `out` has room for it.
    take: unsafe fn(NonNull<Header>, out: *mut ()),
    /// Drops the result, or gives the panic that it was; the caller has set TAKEN.
    discard: unsafe fn(NonNull<Header>) -> Option<Payload>,
    free: unsafe fn(NonNull<Header>),
}

// The header comes first, so that a pointer to it is a pointer to the cell.
#[repr(C)]
struct Cell<B: Body, E> {
    header: Header,
    stage: UnsafeCell<Stage<B>>,
    // Dropped by who makes it DONE, or else with the cell.
    ending: UnsafeCell<ManuallyDrop<E>>,
}

enum Stage<B: Body> {
    Body(B),
    Result(Result<B::Output, JoinError>),
    Empty,
}

// A goroutine notes when it became runnable in units of 2^8 ns, a quarter of what the finest
// bucket tells apart. Half an hour in a run queue would be taken for less.
const TICK: u32 = 8;

/// A time of a pool's clock as a goroutine notes it: never zero.
#[allow(clippy::cast_possible_truncation, reason = "it wraps")]
fn tick(at: u64) -> u32 {
    (at >> TICK) as u32 | 1
}

/// What a goroutine gives.
pub type TaskResult<T> = Result<T, JoinError>;

/// A counted pointer to a goroutine's cell.
#[doc(hidden)]
pub struct Task(NonNull<Header>);

// SAFETY: every access to the cell's parts is granted by the state word, and bodies,
// results and endings are Send.
unsafe impl Send for Task {}
// SAFETY: as above.
unsafe impl Sync for Task {}

impl Task {
    /// Makes the cell; the first reference is due to run, the second for its handle.
    ///
    /// # Safety
    ///
    /// What `body` and its result borrow must live until `ending` has been dropped, or,
    /// the result, until the handle has.
    pub(crate) unsafe fn new<B: Body, E: Ending<B::Output>>(
        body: B,
        ending: E,
        scheduler: Arc<dyn Schedule>,
        identity: Identity,
    ) -> (Self, Self) {
        let cell = cells::boxed(Cell {
            header: Header {
                state: State::new(),
                refs: AtomicU32::new(2),
                place: AtomicU32::new(0),
                due_since: AtomicU32::new(0),
                vtable: &Cell::<B, E>::VTABLE,
                scheduler,
                identity,
                joiners: Mutex::new(Queue::new()),
            },
            stage: UnsafeCell::new(Stage::Body(body)),
            ending: UnsafeCell::new(ManuallyDrop::new(ending)),
        });
        let header = cell.cast();
        (Self(header), Self(header))
    }

    fn header(&self) -> &Header {
        // SAFETY: the reference we count keeps the cell alive.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.header().identity
    }

    /// Shows it in dumps from now on, before it has begun.
    pub(crate) fn enter(&self) {
        self.header().enter();
    }

    /// As a dump shows it.
    pub(crate) fn describe(&self) -> Entry {
        self.header().describe()
    }

    /// It becomes runnable at this time of the pool's clock, in nanoseconds, and that is
    /// measured.
    pub(crate) fn set_due(&self, at: u64) {
        self.header().due_since.store(tick(at), Ordering::Relaxed);
    }

    /// How long ago it became runnable, now being this time of the pool's clock, if that is
    /// measured.
    #[inline]
    pub(crate) fn take_lateness(&self, now: impl FnOnce() -> u64) -> Option<Duration> {
        let due = &self.header().due_since;
        let at = due.load(Ordering::Relaxed);
        (at != 0).then(|| {
            due.store(0, Ordering::Relaxed);
            let ticks = tick(now()).wrapping_sub(at);
            Duration::from_nanos(u64::from(ticks) << TICK)
        })
    }

    pub(crate) fn is_closure(&self) -> bool {
        self.header().vtable.is_closure
    }

    pub(crate) fn word(&self) -> Word {
        self.header().state.load()
    }

    /// Runs the goroutine, or its next stretch. The caller took it from a run queue of
    /// `scheduler`.
    pub fn run(self, scheduler: &dyn Schedule) {
        // SAFETY: the vtable is that of the cell's type.
        unsafe { (self.header().vtable.run)(self, scheduler) }
    }

    /// Makes it due to run.
    fn wake(&self) {
        if self.header().state.wake() {
            self.header().scheduler.schedule(self.clone());
        }
    }

    /// As [`wake`](Self::wake); the queue is given the caller's reference where that can be.
    fn wake_owned(self) {
        if !self.header().state.wake() {
            return;
        }
        // Once it is queued, the goroutine may run to its end and its cell be freed, and the
        // scheduler with it, while that still looks whom to tell.
        let scheduler: *const dyn Schedule = &*self.header().scheduler;
        // SAFETY: the cell keeps its scheduler, and we the cell.
        let kept = (!unsafe { &*scheduler }.is_held_here()).then(|| self.clone());
        // SAFETY: kept by us in the cell, or held by this thread.
        unsafe { &*scheduler }.schedule(self);
        drop(kept);
    }

    /// Makes its first turn its end; the caller is about to run it.
    pub(crate) fn refuse(&self) {
        let queued = self.header().state.cancel();
        debug_assert!(!queued, "a new goroutine is due to run");
    }

    /// Makes its next turn its end; the caller alone runs it, and is not running it now.
    pub(crate) fn make_cancelled(&self) {
        let _ = self.header().state.cancel();
    }

    /// Drops a future at its next turn; a closure that has begun is left alone.
    pub(crate) fn cancel(&self) {
        if self.header().state.cancel() {
            self.header().scheduler.schedule(self.clone());
        }
    }

    /// Wins the result, if it is there.
    pub(crate) fn try_take(&self) -> bool {
        self.header().state.take()
    }

    /// Moves the result out.
    ///
    /// # Safety
    ///
    /// The caller has won it by [`try_take`](Self::try_take) or through a case, and `T` is
    /// what the body gives.
    pub(crate) unsafe fn take<T>(&self) -> TaskResult<T> {
        let mut out = std::mem::MaybeUninit::<TaskResult<T>>::uninit();
        // SAFETY: as this function's own; `take` initializes `out`.
        unsafe {
            (self.header().vtable.take)(self.0, out.as_mut_ptr().cast());
            out.assume_init()
        }
    }

    /// The handle goes: nobody will join. Gives the panic that nobody will hear of.
    pub(crate) fn detach(&self) -> Option<Payload> {
        if self.header().state.detach().is_ready() {
            self.discard()
        } else {
            None
        }
    }

    /// Drops the result if nobody has taken it, or gives the panic that it was.
    fn discard(&self) -> Option<Payload> {
        self.header().state.take().then(|| {
            // SAFETY: TAKEN was set by us.
            unsafe { (self.header().vtable.discard)(self.0) }
        })?
    }

    /// Reports a panic of this goroutine that nobody will join.
    pub fn report(&self, payload: Payload) {
        let header = self.header();
        let report = AssertUnwindSafe(|| {
            header.scheduler.unclaimed_panic(&header.identity, payload);
        });
        if let Err(payload) = catch_unwind(report) {
            drop_quietly(payload);
        }
    }

    /// Queues a joiner, or lets it win at once.
    pub(crate) fn enqueue(&self, reg: &Registration<'_>) {
        let header = self.header();
        let mut joiners = header.joiners.lock();
        header.state.set_waited();
        if !self.serve(reg) {
            joiners.push(reg, payload(reg));
        }
    }

    /// Lets a queued joiner win if the result is there.
    pub(crate) fn recheck(&self, reg: &Registration<'_>) {
        let mut joiners = self.header().joiners.lock();
        if self.serve(reg) {
            joiners.remove(reg.node);
        }
    }

    /// Whether the registering joiner has been served, or cannot be any more.
    fn serve(&self, reg: &Registration<'_>) -> bool {
        let state = &self.header().state;
        if !state.load().is_ready() {
            return false;
        }
        let won = reg.claim_self_if(|| (reg.watch || state.take()).then_some(()));
        if let Ok(Some(())) = won {
            reg.complete_self(Outcome(0));
            return true;
        }
        false
    }

    pub(crate) fn dequeue(&self, node: &Node) {
        self.header().joiners.lock().remove(node);
    }

    /// Gives back a result that was won and not used. The handle still lives.
    pub(crate) fn untake(&self) {
        self.header().state.untake();
        self.release();
    }

    /// The result is there: tells who watches, and serves who came first. Returns whether
    /// the handle went meanwhile, and left the result to the caller.
    #[cold]
    fn release(&self) -> bool {
        let header = self.header();
        let mut wakes = WakeList::new();
        let mut joiners = header.joiners.lock();
        while let Some(watcher) = joiners.claim_if(|payload| !payload.is_null()) {
            watcher.complete(Outcome(0), &mut wakes);
        }
        let mut given_back = None;
        if joiners.has_open() && header.state.take() {
            match joiners.claim() {
                Some(joiner) => joiner.complete(Outcome(0), &mut wakes),
                None => given_back = Some(header.state.untake()),
            }
        }
        drop(joiners);
        given_back.is_some_and(Word::is_detached)
    }
}

/// A place for one goroutine. One thread at a time may put into it, anybody may take.
pub(crate) struct Slot(AtomicPtr<Header>);

impl Default for Slot {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl Slot {
    pub(crate) fn is_some(&self) -> bool {
        !self.0.load(Ordering::Relaxed).is_null()
    }

    /// Puts `task` there; gives what lay there before.
    pub(crate) fn put(&self, task: Task) -> Option<Task> {
        let new = ManuallyDrop::new(task).0.as_ptr();
        if !self.is_some() {
            // Others only take, so it is still empty.
            // ORDERING: Release pairs with the Acquire in `take`.
            self.0.store(new, Ordering::Release);
            return None;
        }
        NonNull::new(self.0.swap(new, Ordering::AcqRel)).map(Task)
    }

    /// Takes what lies there.
    pub(crate) fn take(&self) -> Option<Task> {
        if !self.is_some() {
            return None;
        }
        NonNull::new(self.0.swap(ptr::null_mut(), Ordering::AcqRel)).map(Task)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Tells a watcher from one who takes the result.
fn payload(reg: &Registration<'_>) -> *const () {
    if reg.watch {
        ptr::without_provenance(1)
    } else {
        ptr::null()
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        // ORDERING: as Arc's: a new reference is made from one that is held.
        let before = self.header().refs.fetch_add(1, Ordering::Relaxed);
        if before > u32::MAX / 2 {
            std::process::abort(); // As Arc does: billions of references are leaks.
        }
        Self(self.0)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // ORDERING: as Arc's: every use of the cell happens before its end.
        if self.header().refs.fetch_sub(1, Ordering::Release) == 1 {
            fence(Ordering::Acquire);
            // SAFETY: the last reference is gone; the vtable is that of the cell's type.
            unsafe { (self.header().vtable.free)(self.0) }
        }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("identity", self.identity())
            .finish_non_exhaustive()
    }
}

impl<B: Body, E: Ending<B::Output>> Cell<B, E> {
    const VTABLE: Vtable = Vtable {
        is_closure: B::IS_CLOSURE,
        run: Self::run,
        take: Self::take,
        discard: Self::discard,
        free: Self::free,
    };

    unsafe fn run(task: Task, scheduler: &dyn Schedule) {
        // SAFETY: the cell is of our type, and `task` keeps it.
        let cell = unsafe { task.0.cast::<Self>().as_ref() };
        let header = &cell.header;
        let cancelled = header.state.start().is_cancelled();
        let result = if cancelled {
            Poll::Ready(Err(JoinError::Cancelled))
        } else {
            cell.poll(&task)
        };
        if let Poll::Ready(result) = result {
            cell.end(&task, result);
            return;
        }
        header.enter();
        if header.state.park() {
            scheduler.reschedule(task);
        }
    }

    /// Polls the body; the caller holds RUNNING.
    fn poll(&self, task: &Task) -> Poll<TaskResult<B::Output>> {
        // Borrows the reference `task` counts: not dropped, so not counted either.
        let waker = ManuallyDrop::new(waker(ManuallyDrop::new(Task(task.0))));
        let mut cx = Context::from_waker(&waker);
        let before = POLLED.try_with(|p| p.replace(&self.header));
        let poll = catch_unwind(AssertUnwindSafe(|| {
            goroutine::run_as(&self.header.identity, || {
                self.stage.with_mut(|stage| {
                    // SAFETY: RUNNING grants access to the body, which stays in its cell
                    // until it is dropped there.
                    let Stage::Body(body) = (unsafe { &mut *stage }) else {
                        unreachable!("a goroutine that runs has a body")
                    };
                    // SAFETY: as above.
                    unsafe { Pin::new_unchecked(body) }.poll(&mut cx)
                })
            })
        }));
        let _ = POLLED.try_with(|p| p.set(before.unwrap_or(ptr::null())));
        match poll {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(JoinError::Panicked(payload))),
        }
    }

    /// Ends the goroutine; the caller holds RUNNING.
    fn end(&self, task: &Task, result: TaskResult<B::Output>) {
        let header = &self.header;
        header.leave();
        let result = match self.drop_body() {
            Ok(()) => result,
            // The goroutine's own panic, if there was one, comes first; a cancel does not hide one.
            Err(payload) if !matches!(result, Err(JoinError::Panicked(_))) => {
                drop_quietly(result);
                Err(JoinError::Panicked(payload))
            }
            Err(payload) => {
                drop_quietly(payload);
                result
            }
        };
        let result = self.ending.with_mut(|ending| {
            // SAFETY: the ending is the runner's until it drops it, below.
            unsafe { &mut *ending }.settle(task, result)
        });
        self.stage.with_mut(|stage| {
            // SAFETY: RUNNING grants access; the stage is empty.
            unsafe { *stage = Stage::Result(result) };
        });
        header.scheduler.finished();
        let word = header.state.complete();
        let abandoned = word.is_detached() || word.is_waited() && task.release();
        if let Some(payload) = abandoned.then(|| task.discard()).flatten() {
            // SAFETY: the ending is the runner's until it drops it, below.
            let left = self
                .ending
                .with(|ending| unsafe { &*ending }.unclaimed_panic(payload));
            if let Some(payload) = left {
                task.report(payload);
            }
        }
        self.drop_ending();
    }

    /// Drops the body where it lies; gives the panic of its drop.
    fn drop_body(&self) -> Result<(), Payload> {
        let spent = self.stage.with_mut(|stage| {
            // SAFETY: the caller holds RUNNING or the last reference.
            let stage = unsafe { &mut *stage };
            let spent = matches!(stage, Stage::Body(body) if body.is_spent());
            if spent {
                *stage = Stage::Empty;
            }
            spent
        });
        if spent {
            return Ok(());
        }
        catch_unwind(AssertUnwindSafe(|| {
            goroutine::run_as(&self.header.identity, || {
                self.stage.with_mut(|stage| {
                    // SAFETY: the caller holds RUNNING or the last reference.
                    unsafe { *stage = Stage::Empty };
                });
            });
        }))
    }

    fn drop_ending(&self) {
        // SAFETY: only the runner that ended the goroutine, or, if none has, the last owner of
        // the cell comes here, once and last of all.
        let ending = self
            .ending
            .with_mut(|ending| unsafe { ManuallyDrop::take(&mut *ending) });
        drop_quietly(ending);
    }

    unsafe fn take(header: NonNull<Header>, out: *mut ()) {
        // SAFETY: the cell is of our type.
        let cell = unsafe { header.cast::<Self>().as_ref() };
        let result = cell.take_result();
        // SAFETY: the caller has made room for a result of our type.
        unsafe { out.cast::<TaskResult<B::Output>>().write(result) };
    }

    unsafe fn discard(header: NonNull<Header>) -> Option<Payload> {
        // SAFETY: the cell is of our type.
        let cell = unsafe { header.cast::<Self>().as_ref() };
        match cell.take_result() {
            Err(JoinError::Panicked(payload)) => Some(payload),
            result => {
                drop_quietly(result);
                None
            }
        }
    }

    /// Moves the result out; TAKEN was set on the caller's behalf.
    fn take_result(&self) -> TaskResult<B::Output> {
        self.stage.with_mut(|stage| {
            // SAFETY: TAKEN grants access to the result.
            match std::mem::replace(unsafe { &mut *stage }, Stage::Empty) {
                Stage::Result(result) => result,
                Stage::Body(_) | Stage::Empty => unreachable!("TAKEN is set over a result"),
            }
        })
    }

    unsafe fn free(header: NonNull<Header>) {
        // SAFETY: the cell is of our type, and its last reference is gone.
        let cell = unsafe { header.cast::<Self>().as_ref() };
        if !cell.header.state.load().is_done() {
            // Nobody can wake it any more: it ends here, unheard.
            cell.header.leave();
            if let Err(payload) = cell.drop_body() {
                drop_quietly(payload);
            }
            cell.header.scheduler.finished();
            cell.drop_ending();
        }
        // SAFETY: as above; `Task::new` made it so.
        unsafe { cells::free(header.cast::<Self>()) };
    }
}

/// Drops a value of the user's; a panic of its drop has been reported by the panic hook
/// and must not take the caller along.
fn drop_quietly<T>(value: T) {
    if !std::mem::needs_drop::<T>() {
        return;
    }
    let mut panic = catch_unwind(AssertUnwindSafe(|| drop(value)));
    // A payload may panic when dropped, and its panic's payload too; not for ever.
    for _ in 0..8 {
        let Err(payload) = panic else { return };
        panic = catch_unwind(AssertUnwindSafe(|| drop(payload)));
    }
    std::mem::forget(panic);
}

/// A waker that owns `task`'s count.
fn waker(task: ManuallyDrop<Task>) -> Waker {
    // SAFETY: the functions below uphold the contract of wakers: thread-safe, and each
    // raw waker stands for one counted reference.
    unsafe { Waker::from_raw(raw_waker(task)) }
}

fn raw_waker(task: ManuallyDrop<Task>) -> RawWaker {
    RawWaker::new(task.0.as_ptr().cast_const().cast(), &WAKER)
}

static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| raw_waker(ManuallyDrop::new(Task::clone(&borrow(data)))),
    |data| ManuallyDrop::into_inner(borrow(data)).wake_owned(),
    |data| borrow(data).wake(),
    |data| drop(ManuallyDrop::into_inner(borrow(data))),
);

/// The task a raw waker stands for.
fn borrow(data: *const ()) -> ManuallyDrop<Task> {
    // SAFETY: `raw_waker` made it from a task's pointer, which is not null.
    let header = unsafe { NonNull::new_unchecked(data.cast_mut().cast()) };
    ManuallyDrop::new(Task(header))
}

/// Where a goroutine was started, for its identity.
pub fn spawned_at(location: &'static Location<'static>) -> Identity {
    goroutine::with_running(|parent| Identity::new(None, Some(location), Some(parent)))
        .unwrap_or_else(|| Identity::new(None, Some(location), None))
}
