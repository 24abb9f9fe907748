//! A counted pointer to a goroutine's cell: what run queues, wakers and handles hold.
//!
//! What is done with one changes the cell's state word first, by the transitions of
//! [`state`](crate::state), and acts only if that says so.
#![allow(unsafe_code)]

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};
use std::time::Duration;

use rendez_core::goroutine::Goroutine as Identity;
use rendez_core::quiet::drop_quietly;
use rendez_core::shim::Arc;
use rendez_core::shim::atomic::Ordering;

use crate::body::Body;
use crate::cell::{self, Header, Unheard};
use crate::dump::Entry;
use crate::error::Payload;
use crate::home::Home;
use crate::schedule::{Ending, Schedule, TaskResult};
use crate::state::Word;

// A goroutine notes when it became runnable in units of 2^8 ns, a quarter of what the finest
// bucket tells apart. Half an hour in a run queue would be taken for less.
const TICK: u32 = 8;

/// A time of a pool's clock as a goroutine notes it: never zero.
#[allow(clippy::cast_possible_truncation, reason = "it wraps")]
fn tick(at: u64) -> u32 {
    (at >> TICK) as u32 | 1
}

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
        home: Home,
        identity: Identity,
    ) -> (Self, Self) {
        let cell = cell::make(body, ending, home, identity);
        (Self(cell), Self(cell))
    }

    pub(crate) fn as_ptr(&self) -> NonNull<Header> {
        self.0
    }

    /// The cell, for [`from_raw`](Self::from_raw) to be made a task again.
    pub(crate) fn into_raw(self) -> NonNull<Header> {
        ManuallyDrop::new(self).0
    }

    /// # Safety
    ///
    /// It is what [`into_raw`](Self::into_raw) gave, and used once.
    pub(crate) unsafe fn from_raw(cell: NonNull<Header>) -> Self {
        Self(cell)
    }

    pub(crate) fn header(&self) -> &Header {
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
            self.clone().schedule();
        }
    }

    /// As [`wake`](Self::wake); the queue is given the caller's reference where that can be.
    #[inline]
    pub(crate) fn wake_owned(self) {
        if self.header().state.wake() {
            self.schedule();
        }
    }

    /// Wakes it, at the end of a pool's goroutine, after which the caller runs no code but its
    /// scheduler's.
    #[inline]
    pub(crate) fn wake_at_end(self) {
        if self.header().state.wake() {
            self.schedule_by(|scheduler, task| scheduler.schedule_at_end(task));
        }
    }

    /// Queues it; the caller has made it due to run.
    #[inline]
    fn schedule(self) {
        self.schedule_by(|scheduler, task| scheduler.schedule_here(task));
    }

    #[inline]
    fn schedule_by(self, here: impl FnOnce(&dyn Schedule, Self) -> Option<Self>) {
        // Once it is queued the goroutine may run to its end, and its cell and its scheduler be
        // freed, while that still looks whom to tell.
        // SAFETY: it ends only after it was queued; by then this thread has said that it holds
        // the scheduler, or that it has not queued it.
        let scheduler = ptr::from_ref(unsafe { self.header().home.get() });
        // SAFETY: as above.
        if let Some(task) = here(unsafe { &*scheduler }, self) {
            // SAFETY: as above.
            let kept = unsafe { task.header().home.keep() };
            kept.schedule(task);
        }
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
            self.clone().schedule();
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

    /// As [`try_take`](Self::try_take), by the handle, which is not shared now and will not
    /// [detach](Self::detach) any more. What was granted to a wait is won too, and is not
    /// there if that has taken it.
    pub(crate) fn try_take_last(&self) -> bool {
        self.header().state.take_last() || self.word().is_waited() && self.take_granted()
    }

    /// Nobody can wait any more, so who has been granted the result has taken it or was forgotten.
    #[cold]
    fn take_granted(&self) -> bool {
        // Granted under this lock.
        let _joiners = self.header().joiners.lock();
        self.header().state.take_granted() || self.header().state.take_last()
    }

    /// The handle goes, and this, its reference, with it. False if it has to
    /// [detach](Self::detach).
    #[inline]
    pub(crate) fn leave(&self) -> bool {
        self.header().state.leave()
    }

    /// The handle goes: nobody will join. A panic that nobody will hear of is told.
    pub(crate) fn detach(&self) {
        let state = &self.header().state;
        if state.load().is_detached() {
            return;
        }
        let word = state.detach();
        if word.is_awaited() {
            self.stop_awaiting();
        }
        if !word.is_done() {
            return;
        }
        let ours = if word.is_waited() {
            // A future that was forgotten may have been granted the result. It borrowed the
            // handle, so nobody is left who would take it. (Granted under this lock.)
            let _joiners = self.header().joiners.lock();
            state.take() || state.load().is_granted()
        } else {
            state.take()
        };
        if ours {
            // SAFETY: TAKEN was set by us, or for one who does not come.
            if let Some(unheard) = unsafe { (self.header().vtable.discard)(self.0) } {
                unheard.tell(self.identity());
            }
        }
    }

    /// Drops the result if nobody has taken it, or gives the panic that it was.
    pub(crate) fn discard(&self) -> Option<Unheard> {
        self.header().state.take().then(|| {
            // SAFETY: TAKEN was set by us.
            unsafe { (self.header().vtable.discard)(self.0) }
        })?
    }

    /// What reports a panic of this goroutine that nobody will join, now or later. The goroutine
    /// has not ended: an ending is settled.
    pub fn reporter(&self) -> Reporter {
        Reporter {
            // SAFETY: it has not ended, nor does it before its ending is settled.
            scheduler: unsafe { self.header().home.keep() },
            task: self.clone(),
        }
    }
}

/// Reports a goroutine's panic.
#[allow(missing_debug_implementations)]
pub struct Reporter {
    task: Task,
    scheduler: Arc<dyn Schedule>,
}

impl Reporter {
    /// Reports it.
    pub fn report(self, payload: Payload) {
        report(&*self.scheduler, self.task.identity(), payload);
    }
}

/// Reports a panic that nobody will join.
pub(crate) fn report(scheduler: &dyn Schedule, identity: &Identity, payload: Payload) {
    let report = AssertUnwindSafe(|| scheduler.unclaimed_panic(identity, payload));
    if let Err(payload) = catch_unwind(report) {
        drop_quietly(payload);
    }
}

impl Clone for Task {
    fn clone(&self) -> Self {
        self.header().state.refer();
        Self(self.0)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if self.header().state.unrefer() {
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

impl Task {
    /// The goroutine that a waker wakes, with the waker's reference, if it is one of ours.
    pub(crate) fn of_waker(waker: Waker) -> Result<Self, Waker> {
        if !ptr::eq(waker.vtable(), &WAKER) {
            return Err(waker);
        }
        let waker = ManuallyDrop::new(waker);
        Ok(ManuallyDrop::into_inner(borrow(waker.data())))
    }
}

/// A waker that borrows the reference `task` counts: it is not dropped, so it counts none.
pub(crate) fn waker(task: &Task) -> impl Deref<Target = Waker> + use<> {
    // SAFETY: the functions below uphold the contract of wakers: thread-safe, and each
    // raw waker stands for one counted reference.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw_waker(task.0)) })
}

fn raw_waker(cell: NonNull<Header>) -> RawWaker {
    RawWaker::new(cell.as_ptr().cast_const().cast(), &WAKER)
}

static WAKER: RawWakerVTable = RawWakerVTable::new(
    |data| {
        let task = borrow(data);
        if !cell::borrow_from_runner(task.0) {
            task.header().state.refer();
        }
        raw_waker(task.0)
    },
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
