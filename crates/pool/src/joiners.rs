//! Those who wait for a goroutine's end: arms of selects and a blocked join in a queue, and
//! the handle, if it is awaited, by a waker of its own.
//!
//! The end serves the queue once: everybody who only watches is told, and who came first wins
//! the result. A result that is given back serves the next. A handle that is joined or awaited
//! is only told, and takes the result itself: nobody else can wait then, so that whoever still
//! stands in the queue was forgotten, and gets nothing in its place.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};
use std::task::{RawWaker, RawWakerVTable, Waker};

use rendez_core::case::Outcome;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::atomic::{AtomicPtr, Ordering};
use rendez_core::shim::{Mutex, MutexGuard};
use rendez_core::wake::{Wake, WakeList};

use crate::cells;
use crate::state::Word;
use crate::task::Task;

/// Those who wait for a goroutine's end in a queue, which is made for the first of them. The
/// innermost lock of the pool.
pub(crate) struct Joiners(
    // Null: nobody has waited.
    AtomicPtr<Mutex<Queue>>,
);

impl Joiners {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    fn get(&self) -> Option<&Mutex<Queue>> {
        // ORDERING: Acquire pairs with the Release in `make`.
        let queue = self.0.load(Ordering::Acquire);
        // SAFETY: null, or made by `make` and there until our drop.
        unsafe { queue.as_ref() }
    }

    #[cold]
    fn make(&self) -> &Mutex<Queue> {
        let made = cells::boxed(Mutex::new(Queue::new()));
        let before = self.0.compare_exchange(
            ptr::null_mut(),
            made.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        let theirs = before.err().and_then(NonNull::new);
        if theirs.is_some() {
            // SAFETY: made above, and nobody's.
            unsafe { cells::free(made) };
        }
        // SAFETY: as in `get`.
        unsafe { theirs.unwrap_or(made).as_ref() }
    }

    /// Of a goroutine for whose end somebody may wait, or is about to.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.get().unwrap_or_else(|| self.make()).lock()
    }
}

impl Drop for Joiners {
    fn drop(&mut self) {
        // ORDERING: the last owner of the cell drops it, and sees what others have done.
        if let Some(queue) = NonNull::new(self.0.load(Ordering::Relaxed)) {
            // SAFETY: made by `make`, and ours alone.
            unsafe { cells::free(queue) };
        }
    }
}

/// The place of the handle's waker, in words that may be read while they are written: the state
/// word tells whether what was read is one, and whose.
pub(crate) struct Awaiting {
    data: AtomicPtr<()>,
    vtable: AtomicPtr<RawWakerVTable>,
}

impl Awaiting {
    pub(crate) fn new() -> Self {
        Self {
            data: AtomicPtr::new(ptr::null_mut()),
            vtable: AtomicPtr::new(ptr::null_mut()),
        }
    }

    fn put(&self, waker: Waker) {
        let waker = ManuallyDrop::new(waker);
        let vtable = ptr::from_ref(waker.vtable()).cast_mut();
        self.data.store(waker.data().cast_mut(), Ordering::Relaxed);
        self.vtable.store(vtable, Ordering::Relaxed);
    }

    /// What lies there, if anything: a waker if the state word says so.
    #[inline]
    pub(crate) fn read(&self) -> Option<RawWaker> {
        let data = self.data.load(Ordering::Relaxed);
        let vtable = self.vtable.load(Ordering::Relaxed);
        // SAFETY: null, or of a waker, and so there for ever.
        unsafe { vtable.as_ref() }.map(|vtable| RawWaker::new(data, vtable))
    }

    /// Moves the waker out.
    ///
    /// # Safety
    ///
    /// There is one, and it is the caller's.
    unsafe fn take(&self) -> Waker {
        let raw = self.read().expect("a waker was put there");
        // SAFETY: as the caller promises.
        unsafe { Waker::from_raw(raw) }
    }

    fn is(&self, waker: &Waker) -> bool {
        ptr::eq(self.data.load(Ordering::Relaxed), waker.data())
            && ptr::eq(self.vtable.load(Ordering::Relaxed), waker.vtable())
    }
}

/// The end has come of a goroutine, a pool's or not: wakes who awaits its handle.
///
/// # Safety
///
/// It is the handle's waker, and the caller's.
#[inline]
pub(crate) unsafe fn wake_awaiting(waker: RawWaker, is_pools: bool) {
    // SAFETY: as the caller promises.
    let waker = unsafe { Waker::from_raw(waker) };
    match Task::of_waker(waker) {
        // A task of another executor may end in the middle of anything, in a drop for instance.
        Ok(task) if is_pools => task.wake_at_end(),
        Ok(task) => task.wake_owned(),
        Err(waker) => Wake::Task(waker).wake(),
    }
}

impl Task {
    /// Has `waker` woken at the end, in place of the one before. False if that has come. Only
    /// the handle calls this, by one thread at a time.
    pub(crate) fn await_end(&self, waker: &Waker) -> bool {
        let header = self.header();
        let mut old = None;
        // One look: the end takes AWAITED away and keeps the slot.
        let word = header.state.load();
        if word.is_done() {
            return false;
        }
        if word.is_awaited() {
            // The runner only reads it.
            if header.awaiting.is(waker) {
                return !header.state.load().is_done();
            }
            old = self.take_awaiting();
            if old.is_none() {
                return false;
            }
        }
        // Foreign code, which may panic: nobody is awaiting then.
        let new = waker.clone();
        header.awaiting.put(new);
        let awaits = header.state.set_awaited();
        if !awaits {
            // SAFETY: still ours.
            drop(unsafe { header.awaiting.take() });
        }
        drop(old);
        awaits
    }

    /// The handle awaits no more.
    #[cold]
    pub(crate) fn stop_awaiting(&self) {
        drop(self.take_awaiting());
    }

    /// The handle takes its waker back, if it is not the runner's.
    fn take_awaiting(&self) -> Option<Waker> {
        let ours = self.header().state.unset_awaited();
        // SAFETY: AWAITED was set, and is not any more.
        ours.then(|| unsafe { self.header().awaiting.take() })
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

    /// Queues the handle, to be told of the end, or tells it at once.
    pub(crate) fn enqueue_last(&self, reg: &Registration<'_>) {
        let header = self.header();
        let mut joiners = header.joiners.lock();
        let ended = header.state.set_waited().is_done();
        if !ended {
            joiners.push(reg, WATCHES);
        } else if reg.claim_self().is_ok() {
            reg.complete_self(Outcome(0));
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
        self.header().state.ungrant();
        self.header().state.untake();
        self.release();
    }

    /// The result is there: tells who watches, and serves who came first. Returns whether
    /// the handle went meanwhile, and left the result to the caller.
    #[cold]
    pub(crate) fn release(&self) -> bool {
        let header = self.header();
        let mut wakes = WakeList::new();
        let mut joiners = header.joiners.lock();
        while let Some(watcher) = joiners.claim_if(|payload| !payload.is_null()) {
            watcher.complete(Outcome(0), &mut wakes);
        }
        let mut given_back = None;
        if joiners.has_open() && header.state.take() {
            match joiners.claim() {
                Some(joiner) => {
                    header.state.grant();
                    joiner.complete(Outcome(0), &mut wakes);
                }
                None => given_back = Some(header.state.untake()),
            }
        }
        drop(joiners);
        given_back.is_some_and(Word::is_detached)
    }
}

const WATCHES: *const () = ptr::without_provenance(1);

/// Tells a watcher from one who takes the result.
fn payload(reg: &Registration<'_>) -> *const () {
    if reg.watch { WATCHES } else { ptr::null() }
}
