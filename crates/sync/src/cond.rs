//! Conditions: waiting for a state that another goroutine brings about.
//!
//! Who waits is queued before it unlocks, in the same step of the wait, so a notifier that
//! changes the state under the mutex finds it. A notification wins one waiter and is not
//! kept: nobody who comes later can take it.
//!
//! The case queues and then unlocks, so it is entered with the mutex held and left without
//! it, by whatever end; the wait locks it again.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use lock_api::RawMutex as _;
use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim;
use rendez_core::wait::{self, CaseFuture};
use rendez_core::wake::WakeList;
use rendez_core::{clock, hooks};

use crate::late::const_new;
use crate::mutex::{LockFuture, Mutex, MutexGuard};
use crate::raw_mutex::RawMutex;

/// How a waiter was released.
const BY_ONE: Outcome = Outcome(0);
const BY_ALL: Outcome = Outcome(1);

/// A condition that goroutines wait for with a [`Mutex`] unlocked.
///
/// Follows Go's `sync.Cond`: waiters are released in the order in which they came, exactly
/// one by each [`notify_one`](Self::notify_one), and never without a notification. The
/// state may still have changed again before the mutex is back, so a wait stands in a
/// loop; [`wait_while`](Self::wait_while) is that loop. Threads and tasks wait in one line.
///
/// # Examples
///
/// ```
/// use rendez_sync::{Cond, Mutex};
///
/// let (ready, changed) = (Mutex::new(false), Cond::new());
/// std::thread::scope(|s| {
///     s.spawn(|| {
///         *ready.lock() = true;
///         changed.notify_one();
///     });
///     let mut guard = ready.lock();
///     changed.wait_while(&mut guard, |ready| !*ready);
///     assert!(*guard);
/// });
/// ```
pub struct Cond {
    // The innermost lock.
    waiters: shim::Mutex<Queue>,
}

impl Cond {
    const_new! {
        /// A condition nobody waits for.
        pub fn new() -> Self {
            Self { waiters: shim::Mutex::new(Queue::new()) }
        }
    }

    /// Unlocks the mutex, blocks until notified and locks it again.
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_until(guard, None, Location::caller());
    }

    /// As [`wait`](Self::wait), for at most `timeout`, after which it only waits for the
    /// mutex. Returns whether it was notified.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let (mutex, changed) = (rendez_sync::Mutex::new(()), rendez_sync::Cond::new());
    /// let mut guard = mutex.lock();
    /// assert!(!changed.wait_timeout(&mut guard, Duration::from_millis(1)));
    /// ```
    #[track_caller]
    pub fn wait_timeout<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> bool {
        self.wait_until(guard, clock::deadline_after(timeout), Location::caller())
    }

    /// Waits as long as `condition` holds, looking with the mutex locked: first, and after
    /// each notification.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_sync::{Cond, Mutex};
    ///
    /// let (queue, filled) = (Mutex::new(vec![]), Cond::new());
    /// std::thread::scope(|s| {
    ///     s.spawn(|| {
    ///         queue.lock().push(7);
    ///         filled.notify_one();
    ///     });
    ///     let mut queue = queue.lock();
    ///     filled.wait_while(&mut queue, |queue| queue.is_empty());
    ///     assert_eq!(queue.pop(), Some(7));
    /// });
    /// ```
    #[track_caller]
    pub fn wait_while<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) {
        while condition(guard) {
            self.wait(guard);
        }
    }

    /// As [`wait_while`](Self::wait_while), for at most `timeout`. Returns whether the
    /// condition holds no more.
    #[track_caller]
    pub fn wait_while_timeout<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        timeout: Duration,
    ) -> bool {
        let deadline = clock::deadline_after(timeout);
        while condition(guard) {
            if !self.wait_until(guard, deadline, Location::caller()) {
                return !condition(guard);
            }
        }
        true
    }

    fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> bool {
        let mutex = lock_api::MutexGuard::mutex(guard);
        // SAFETY: the lock is held by `guard`. The case unlocks it, and `Relock` locks it
        // again, on unwinding too, before the guard can be used.
        let raw = unsafe { mutex.raw() };
        let case = Notified::new(self, raw);
        let _relock = Relock(&case, location);
        wait::block_on_case(&case, deadline, location).is_some()
    }

    /// Unlocks the mutex, awaits a notification and gives a guard of the mutex, locked
    /// again. The wait begins with the first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it leaves the line and the mutex unlocked; a
    /// [`notify_one`](Self::notify_one) that had already released it passes to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use rendez_sync::{Cond, Mutex};
    ///
    /// let (ready, changed) = (Mutex::new(false), Cond::new());
    /// std::thread::scope(|s| s.spawn(|| *ready.lock() = true).join().unwrap());
    /// let mut guard = ready.lock_async().await;
    /// while !*guard {
    ///     guard = changed.wait_async(guard).await;
    /// }
    /// # });
    /// ```
    #[track_caller]
    pub fn wait_async<'a, T: ?Sized>(&'a self, guard: MutexGuard<'a, T>) -> CondFuture<'a, T> {
        CondFuture::new(self, guard, Location::caller())
    }

    /// Releases the goroutine that has waited longest. Returns whether there was one.
    ///
    /// It need not hold the mutex, but the state must have been changed under it.
    pub fn notify_one(&self) -> bool {
        hooks::switch_point();
        let mut wakes = WakeList::new();
        let mut waiters = self.waiters.lock();
        match waiters.claim() {
            Some(waiter) => {
                waiter.complete(BY_ONE, &mut wakes);
                true
            }
            None => false,
        }
    }

    /// Releases everybody who waits now. Returns how many they are.
    pub fn notify_all(&self) -> usize {
        hooks::switch_point();
        let mut wakes = WakeList::new();
        let mut waiters = self.waiters.lock();
        let mut n = 0;
        while let Some(waiter) = waiters.claim() {
            waiter.complete(BY_ALL, &mut wakes);
            n += 1;
        }
        n
    }
}

impl Default for Cond {
    fn default() -> Self {
        Self::new()
    }
}

impl UnwindSafe for Cond {}
impl RefUnwindSafe for Cond {}

impl fmt::Debug for Cond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_waiting = self.waiters.lock().len();
        f.debug_struct("Cond")
            .field("n_waiting", &n_waiting)
            .finish()
    }
}

/// Ready when notified. Queueing on it unlocks the mutex.
struct Notified<'a> {
    cond: &'a Cond,
    mutex: &'a RawMutex,
    unlocked: Cell<bool>,
}

impl<'a> Notified<'a> {
    /// The caller holds `mutex`.
    fn new(cond: &'a Cond, mutex: &'a RawMutex) -> Self {
        let unlocked = Cell::new(false);
        Self {
            cond,
            mutex,
            unlocked,
        }
    }
}

/// Locks the mutex again when dropped, if the case has unlocked it.
struct Relock<'a>(&'a Notified<'a>, &'static Location<'static>);

impl Drop for Relock<'_> {
    fn drop(&mut self) {
        if self.0.unlocked.get() {
            self.0.mutex.relock(self.1);
        }
    }
}

impl Sealed for Notified<'_> {}

// SAFETY: nodes enter and leave the one queue under its lock, and are claimed under it.
unsafe impl Case for Notified<'_> {
    fn probe(&self) -> Probe {
        Probe::NEVER
    }

    fn try_now(&self) -> Option<Outcome> {
        None
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.cond.waiters.lock().push(reg, std::ptr::null());
        self.unlocked.set(true);
        // SAFETY: whoever made the case held the mutex, and a case is queued once.
        unsafe { self.mutex.unlock() };
    }

    fn dequeue(&self, node: &Node) {
        self.cond.waiters.lock().remove(node);
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome == BY_ONE {
            self.cond.notify_one();
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Cond
    }
}

impl Arm for Notified<'_> {
    type Output = Outcome;
    fn finish(&self, outcome: Outcome) -> Outcome {
        outcome
    }
}

/// What [`Cond::wait_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct CondFuture<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    location: &'static Location<'static>,
    stage: Stage<'a, T>,
}

enum Stage<'a, T: ?Sized> {
    /// The mutex is held until the case is queued.
    Waiting(CaseFuture<Notified<'a>>),
    Locking(LockFuture<'a, T>, &'a Cond, Outcome),
    Over,
}

impl<'a, T: ?Sized> CondFuture<'a, T> {
    fn new(cond: &'a Cond, guard: MutexGuard<'a, T>, location: &'static Location<'static>) -> Self {
        let mutex = Mutex::of(&guard);
        std::mem::forget(guard);
        let case = Notified::new(cond, mutex.raw());
        Self {
            mutex,
            location,
            stage: Stage::Waiting(CaseFuture::new(case, location)),
        }
    }
}

impl<'a, T: ?Sized> Future for CondFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the futures in `stage` are never moved, only replaced.
        let this = unsafe { self.get_unchecked_mut() };
        loop {
            match &mut this.stage {
                Stage::Waiting(notified) => {
                    let cond = notified.case().cond;
                    // SAFETY: it stays in place until it is replaced.
                    let outcome = ready!(unsafe { Pin::new_unchecked(notified) }.poll(cx));
                    let lock = this.mutex.lock_async_at(this.location);
                    this.stage = Stage::Locking(lock, cond, outcome);
                }
                Stage::Locking(lock, ..) => {
                    // SAFETY: it stays in place until it is replaced.
                    let guard = ready!(unsafe { Pin::new_unchecked(lock) }.poll(cx));
                    this.stage = Stage::Over;
                    return Poll::Ready(guard);
                }
                Stage::Over => panic!("polled after it had completed"),
            }
        }
    }
}

impl<T: ?Sized> Drop for CondFuture<'_, T> {
    fn drop(&mut self) {
        match &self.stage {
            Stage::Waiting(notified) if !notified.case().unlocked.get() => {
                // SAFETY: the guard it was made of has been forgotten, its lock not
                // released.
                unsafe { self.mutex.raw().unlock() }
            }
            Stage::Locking(_, cond, BY_ONE) => drop(cond.notify_one()),
            _ => {}
        }
    }
}

impl<T: ?Sized> fmt::Debug for CondFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CondFuture").finish_non_exhaustive()
    }
}
