//! One goroutine's cell: a single allocation that holds its identity, its state, its body
//! and then its result.
//!
//! Who has a pointer to it, a [`Task`], knows its type only through the functions in its
//! [`Vtable`].
//!
//! Invariants:
//!
//! - The body is touched only by the one who holds RUNNING, the result only by the one
//!   who set TAKEN (see [`state`](crate::state)), both by the last owner of the cell.
//! - A body is dropped before its end is published. So once [`Ending`] is dropped, after which
//!   the runner only wakes who awaits the handle, nothing of the cell refers to what the goroutine borrowed, however
//!   long wakers keep the memory, except a result that a living handle may still take.
//! - No user code runs, and none of its values is dropped, under a lock.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::{Context, Poll};

use rendez_core::goroutine::{self, Goroutine as Identity};
use rendez_core::quiet::drop_quietly;
use rendez_core::shim::atomic::{AtomicU32, Ordering};
use rendez_core::shim::{Arc, UnsafeCell};

use crate::body::Body;
use crate::cells;
use crate::dump::{Entry, State as Shown};
use crate::error::{JoinError, Payload};
use crate::home::Home;
use crate::joiners::{Awaiting, Joiners, wake_awaiting};
use crate::schedule::{Ending, Schedule, TaskResult};
use crate::scope::Running;
use crate::state::{Completed, Parked, State};
use crate::task::{Task, report, waker};

/// The part of a cell that does not depend on what it runs.
pub(crate) struct Header {
    // There may be millions of these: every word counts.
    pub(crate) state: State,
    // One more than its place in the registry; 0: not there.
    place: AtomicU32,
    // When it became runnable, if that is measured: see `set_due`.
    pub(crate) due_since: AtomicU32,
    pub(crate) vtable: &'static Vtable,
    pub(crate) home: Home,
    pub(crate) identity: Identity,
    pub(crate) joiners: Joiners,
    // Who is woken at the end because the handle is awaited: see `state`.
    pub(crate) awaiting: Awaiting,
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
    pub(crate) fn enter(&self) {
        if self.place().is_none() {
            // SAFETY: it has not ended, nor does it meanwhile.
            if let Some(registry) = unsafe { self.home.get() }.registry() {
                registry.enter(self);
            }
        }
    }

    /// Takes it out of the registry; it ends.
    #[inline]
    fn leave(&self) {
        if self.place().is_some() {
            // SAFETY: as in `enter`: the caller ends it, later.
            if let Some(registry) = unsafe { self.home.get() }.registry() {
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

#[cfg(not(rendez_loom))]
std::thread_local! {
    // What a thread polls.
    static POLLED: std::cell::Cell<Polled> = const { std::cell::Cell::new(Polled::NOTHING) };
}

#[cfg(rendez_loom)]
rendez_core::shim::thread_local! {
    static POLLED: std::cell::Cell<Polled> = std::cell::Cell::new(Polled::NOTHING);
}

#[derive(Clone, Copy)]
struct Polled {
    // Null if nothing.
    cell: *const Header,
    /// Whether the runner's reference has been lent.
    lent: bool,
}

impl Polled {
    const NOTHING: Self = Self {
        cell: ptr::null(),
        lent: false,
    };
}

/// Whether the caller may have the reference that the runner of `cell` was given: it runs on
/// this thread, and the first who asks in a turn is lent it.
#[inline]
pub(crate) fn borrow_from_runner(cell: NonNull<Header>) -> bool {
    POLLED
        .try_with(|polled| {
            let now = polled.get();
            let lends = ptr::eq(now.cell, cell.as_ptr()) && !now.lent;
            if lends {
                polled.set(Polled { lent: true, ..now });
            }
            lends
        })
        .unwrap_or(false)
}

/// Whether a goroutine runs on this thread, and has not ended.
pub(crate) fn is_polling() -> bool {
    POLLED
        .try_with(|p| !p.get().cell.is_null())
        .unwrap_or(false)
}

/// The goroutine that runs on this thread is about to block in it.
pub(crate) fn enter_running() {
    let polled = POLLED.try_with(|p| p.get().cell).unwrap_or(ptr::null());
    // SAFETY: `Cell::poll`, further up this thread's stack, keeps the cell alive.
    if let Some(header) = unsafe { polled.as_ref() } {
        header.enter();
    }
}

/// What a cell of one type can do.
pub(crate) struct Vtable {
    pub(crate) is_closure: bool,
    pub(crate) run: unsafe fn(Task, &dyn Schedule),
    /// Moves the result out; the caller has set TAKEN, and `out` has room for it.
    pub(crate) take: unsafe fn(NonNull<Header>, out: *mut ()),
    /// Drops the result, or gives the panic that it was; the caller has set TAKEN.
    pub(crate) discard: unsafe fn(NonNull<Header>) -> Option<Unheard>,
    pub(crate) free: unsafe fn(NonNull<Header>),
}

// The header comes first, so that a pointer to it is a pointer to the cell.
#[repr(C)]
struct Cell<B: Body, E> {
    header: Header,
    stage: UnsafeCell<Stage<B>>,
    // Dropped by who makes it DONE, or else with the cell.
    ending: UnsafeCell<ManuallyDrop<E>>,
}

/// Makes a cell whose goroutine is due to run, with two references.
pub(crate) fn make<B: Body, E: Ending<B::Output>>(
    body: B,
    ending: E,
    home: Home,
    identity: Identity,
) -> NonNull<Header> {
    let cell = cells::boxed(Cell {
        header: Header {
            state: State::new(2),
            place: AtomicU32::new(0),
            due_since: AtomicU32::new(0),
            vtable: &Cell::<B, E>::VTABLE,
            home,
            identity,
            joiners: Joiners::new(),
            awaiting: Awaiting::new(),
        },
        stage: UnsafeCell::new(Stage::Body(body)),
        ending: UnsafeCell::new(ManuallyDrop::new(ending)),
    });
    cell.cast()
}

enum Stage<B: Body> {
    Body(B),
    Output(B::Output),
    Cancelled,
    // Rare, and there may be millions of cells.
    Panic(Box<Unheard>),
    Empty,
}

/// A panic that nobody has heard of yet.
pub(crate) struct Unheard {
    payload: Payload,
    scope: Option<Arc<Running>>,
    scheduler: Arc<dyn Schedule>,
}

impl Unheard {
    /// Nobody will join: its scope hears of it, or the goroutine's scheduler.
    pub(crate) fn tell(self, goroutine: &Identity) {
        let left = match self.scope {
            Some(scope) => scope.keep_panic(self.payload),
            None => Some(self.payload),
        };
        if let Some(payload) = left {
            report(&*self.scheduler, goroutine, payload);
        }
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
        let cell = unsafe { task.as_ptr().cast::<Self>().as_ref() };
        let header = &cell.header;
        let cancelled = header.state.start().is_cancelled();
        let result = if cancelled {
            (Poll::Ready(Err(JoinError::Cancelled)), false)
        } else {
            cell.poll(&task)
        };
        let (result, lent) = result;
        if let Poll::Ready(result) = result {
            if lent {
                header.state.refer();
            }
            // SAFETY: the cell is of our type.
            if unsafe { Self::end(&task, result) } {
                // Its reference is gone.
                std::mem::forget(task);
            }
            return;
        }
        header.enter();
        let task = ManuallyDrop::new(task);
        match header.state.park(lent) {
            Parked::Waits => {}
            Parked::Woken => scheduler.reschedule(ManuallyDrop::into_inner(task)),
            // SAFETY: the state says so.
            Parked::Abandoned => unsafe { Self::free(task.as_ptr()) },
        }
    }

    /// Polls the body; the caller holds RUNNING. Also says whether its reference was lent.
    fn poll(&self, task: &Task) -> (Poll<TaskResult<B::Output>>, bool) {
        let waker = waker(task);
        let mut cx = Context::from_waker(&waker);
        let polled = Polled {
            cell: &self.header,
            lent: false,
        };
        let before = POLLED.try_with(|p| p.replace(polled));
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
        let after = POLLED.try_with(|p| p.replace(before.unwrap_or(Polled::NOTHING)));
        let poll = match poll {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(JoinError::Panicked(payload))),
        };
        (poll, after.is_ok_and(|polled| polled.lent))
    }

    /// Ends the goroutine; the caller holds RUNNING. Returns whether the caller's reference went
    /// with it.
    ///
    /// # Safety
    ///
    /// The cell is of our type. (It is no argument: that would have to live until this returns.)
    unsafe fn end(task: &Task, result: TaskResult<B::Output>) -> bool {
        // SAFETY: as the caller promises, and `task` keeps it.
        let cell = unsafe { task.as_ptr().cast::<Self>().as_ref() };
        let header = &cell.header;
        header.leave();
        let result = match cell.drop_body() {
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
        let result = cell.ending.with_mut(|ending| {
            // SAFETY: the ending is the runner's until it drops it, below.
            unsafe { &mut *ending }.settle(task, result)
        });
        let ended = match result {
            Ok(output) => Stage::Output(output),
            Err(JoinError::Cancelled) => Stage::Cancelled,
            Err(JoinError::Panicked(payload)) => {
                let scope = cell.ending.with(|ending| {
                    // SAFETY: as above.
                    unsafe { &*ending }.scope()
                });
                // SAFETY: it has not ended.
                let scheduler = unsafe { header.home.keep() };
                Stage::Panic(Box::new(Unheard {
                    payload,
                    scope,
                    scheduler,
                }))
            }
        };
        cell.stage.with_mut(|stage| {
            // SAFETY: RUNNING grants access; the stage is empty.
            unsafe { *stage = ended };
        });
        // SAFETY: it has not ended, and who runs it keeps its scheduler.
        unsafe { header.home.get() }.finished();
        let is_pools = header.home.is_pool();
        let leaves = !std::mem::needs_drop::<E>();
        let completed = (header.state).complete(leaves, || header.awaiting.read());
        let word = match completed {
            Completed::Left(waker) => {
                if let Some(waker) = waker {
                    // SAFETY: the step to DONE has granted it.
                    unsafe { wake_awaiting(waker, is_pools) };
                }
                return true;
            }
            Completed::Stays(word) => word,
        };
        let unheard = if word.is_detached() {
            // SAFETY: the cell is ours, and who comes second of its end and its handle's drop
            // alone has the result.
            unsafe { Self::discard(NonNull::from(header)) }
        } else if word.is_waited() && task.release() {
            task.discard()
        } else {
            None
        };
        if let Some(unheard) = unheard {
            // SAFETY: the ending is the runner's until it drops it, below.
            let left = cell
                .ending
                .with(|ending| unsafe { &*ending }.unclaimed_panic(unheard.payload));
            if let Some(payload) = left {
                report(&*unheard.scheduler, &header.identity, payload);
            }
        }
        cell.drop_ending();
        if word.is_awaited() {
            // At last, since the handle's owner runs at once.
            if let Some(waker) = header.awaiting.read() {
                // SAFETY: the step to DONE has granted it.
                unsafe { wake_awaiting(waker, is_pools) };
            }
        }
        false
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

    unsafe fn discard(header: NonNull<Header>) -> Option<Unheard> {
        // SAFETY: the cell is of our type.
        match unsafe { header.cast::<Self>().as_ref() }.take_stage() {
            Stage::Panic(unheard) => Some(*unheard),
            stage => {
                drop_quietly(stage);
                None
            }
        }
    }

    /// Moves the result out; TAKEN was set on the caller's behalf.
    fn take_result(&self) -> TaskResult<B::Output> {
        match self.take_stage() {
            Stage::Output(output) => Ok(output),
            Stage::Cancelled => Err(JoinError::Cancelled),
            Stage::Panic(unheard) => Err(JoinError::Panicked(unheard.payload)),
            // Granted to an arm of a select, which has taken it.
            Stage::Empty => Err(JoinError::Cancelled),
            Stage::Body(_) => unreachable!("TAKEN is set over a result"),
        }
    }

    fn take_stage(&self) -> Stage<B> {
        self.stage.with_mut(|stage| {
            // SAFETY: TAKEN grants access to the result.
            std::mem::replace(unsafe { &mut *stage }, Stage::Empty)
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
            // SAFETY: it has not ended.
            let scheduler = unsafe { cell.header.home.keep() };
            scheduler.finished();
            cell.drop_ending();
        }
        // SAFETY: as above; `make` made it so.
        unsafe { cells::free(header.cast::<Self>()) };
    }
}
