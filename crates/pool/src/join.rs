//! The handle of a goroutine, and its end as something a select can wait for.
#![allow(unsafe_code)]

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::case::{Arm, AsCase, Case, IntoArm, Outcome, Probe, Sealed};
use rendez_core::goroutine::{self, Goroutine as Identity, WaitKind};
use rendez_core::hooks;
use rendez_core::queue::{Node, Registration};
use rendez_core::shim::Arc;
use rendez_core::wait;

use crate::body::Goroutine;
use crate::error::JoinError;
use crate::home::Home;
use crate::own_thread::OwnThread;
use crate::schedule::{Ending, Schedule, TaskResult, spawned_at};
use crate::shared::Shared;
use crate::task::Task;

/// A goroutine's handle: to wait for its end, or to cancel it.
///
/// Dropping it detaches the goroutine, which goes on. Besides [`join`](Self::join) and
/// [`join_async`](Self::join_async) it can be awaited itself, and `&handle` can stand in an
/// arm of a select, which gives the result once and is never ready after that.
///
/// # Examples
///
/// ```
/// let a = rendez_pool::go(|| 1);
/// let b = rendez_pool::go(async { 2 });
/// assert_eq!(a.join().unwrap() + b.join().unwrap(), 3);
/// ```
pub struct JoinHandle<T> {
    task: ManuallyDrop<Task>,
    // Gives a `T`, holds none.
    _result: PhantomData<fn() -> T>,
}

impl<T: Send> JoinHandle<T> {
    /// Starts a goroutine on `shared`'s pool.
    pub(crate) fn start<M, G, E>(
        shared: &Arc<Shared>,
        goroutine: G,
        ending: E,
        identity: Identity,
    ) -> Self
    where
        G: Goroutine<M, Output = T> + 'static,
        T: 'static,
        E: Ending<T> + 'static,
    {
        // SAFETY: nothing is borrowed.
        unsafe { Self::start_borrowing(shared, goroutine, ending, identity) }
    }

    /// Starts a goroutine on a thread of its own.
    pub(crate) fn start_alone<M, G>(shared: &Arc<Shared>, goroutine: G, identity: Identity) -> Self
    where
        G: Goroutine<M, Output = T> + 'static,
        T: 'static,
    {
        hooks::switch_point();
        let own = OwnThread::new(Arc::clone(shared));
        let home = Home::other(Arc::clone(&own) as Arc<dyn Schedule>);
        // SAFETY: nothing is borrowed.
        let (due, handle) = unsafe { Self::make(home, goroutine, (), identity) };
        shared.launch_alone(due, &own);
        handle
    }

    /// Starts a goroutine that may borrow.
    ///
    /// # Safety
    ///
    /// What it borrows lives until `ending` has been dropped.
    pub(crate) unsafe fn start_borrowing<M, G, E>(
        shared: &Arc<Shared>,
        goroutine: G,
        ending: E,
        identity: Identity,
    ) -> Self
    where
        G: Goroutine<M, Output = T>,
        E: Ending<T>,
    {
        hooks::switch_point();
        let home = Home::pool(shared);
        // SAFETY: as the caller promises.
        let (due, handle) = unsafe { Self::make(home, goroutine, ending, identity) };
        shared.launch(due);
        handle
    }

    /// Makes a goroutine that is due to run, and its handle.
    ///
    /// # Safety
    ///
    /// What it borrows lives until `ending` has been dropped.
    pub(crate) unsafe fn make<M, G, E>(
        home: Home,
        goroutine: G,
        ending: E,
        identity: Identity,
    ) -> (Task, Self)
    where
        G: Goroutine<M, Output = T>,
        E: Ending<T>,
    {
        let body = goroutine.into_body();
        #[cfg(feature = "tracing")]
        let body = crate::trace::Traced::new(body, &identity);
        // SAFETY: as the caller promises. The result lives in the cell until the handle
        // takes or drops it; the handle's type keeps it from outliving what that borrows.
        let (due, task) = unsafe { Task::new(body, ending, home, identity) };
        let handle = Self {
            task: ManuallyDrop::new(task),
            _result: PhantomData,
        };
        (due, handle)
    }
}

impl<T> JoinHandle<T> {
    /// Blocks until the goroutine has ended and gives its result.
    ///
    /// # Errors
    ///
    /// If it panicked or was cancelled, or if an arm of a select has already taken the
    /// result, which reads as cancelled.
    ///
    /// # Examples
    ///
    /// ```
    /// assert_eq!(rendez_pool::go(|| "done").join().unwrap(), "done");
    /// ```
    #[track_caller]
    pub fn join(self) -> Result<T, JoinError> {
        self.join_from(Location::caller())
    }

    /// As [`join`](Self::join), for a caller at `location`.
    pub(crate) fn join_from(self, location: &'static Location<'static>) -> Result<T, JoinError> {
        if !self.is_finished() {
            let _ = wait::block_on_case(&Ended(&self.task), None, location);
        }
        self.take()
    }

    /// Awaits the goroutine's end and gives its result, as awaiting the handle itself.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it detaches the goroutine. To keep the handle, await
    /// `&mut handle`.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_pool::block_on(async {
    /// let handle = rendez_pool::go(|| 1);
    /// assert_eq!(handle.join_async().await.unwrap(), 1);
    /// # });
    /// ```
    #[track_caller]
    pub fn join_async(self) -> Self {
        self
    }

    /// Cancels it: a future is dropped instead of being polled again, a closure that has
    /// not begun never does; one that runs is left alone. Does not wait for that.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_pool::{JoinError, go};
    ///
    /// let sleeper = go(std::future::pending::<()>());
    /// sleeper.cancel();
    /// assert!(matches!(sleeper.join(), Err(JoinError::Cancelled)));
    /// ```
    pub fn cancel(&self) {
        self.task.cancel();
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        self.task.word().is_done()
    }

    /// Its id, unique in the process.
    pub fn id(&self) -> u64 {
        self.task.identity().id()
    }

    /// Its name, if it was given one.
    pub fn name(&self) -> Option<&str> {
        self.task.identity().name()
    }

    /// The result of a goroutine that has ended; the handle is not shared.
    fn take(&self) -> Result<T, JoinError> {
        if self.task.try_take_last() {
            // SAFETY: won just now; the goroutine gives a `T`.
            unsafe { self.task.take() }
        } else {
            Err(JoinError::Cancelled)
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// Polled again after it has given the result, it gives [`JoinError::Cancelled`].
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        hooks::switch_point();
        if self.task.await_end(cx.waker()) {
            goroutine::parked(WaitKind::Join, Location::caller());
            return Poll::Pending;
        }
        Poll::Ready(self.take())
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if !self.task.leave() {
            self.task.detach();
            // SAFETY: it has not left, and is not used again.
            unsafe { ManuallyDrop::drop(&mut self.task) };
        }
    }
}

impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// A goroutine's end, as a case for its handle, which then takes the result.
struct Ended<'a>(&'a Task);

impl Sealed for Ended<'_> {}

// SAFETY: as `Finished`.
unsafe impl Case for Ended<'_> {
    fn probe(&self) -> Probe {
        let ready = self.0.word().is_done();
        Probe {
            ready,
            epoch: u64::from(ready),
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.0.word().is_done().then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.0.enqueue_last(reg);
    }

    fn dequeue(&self, node: &Node) {
        self.0.dequeue(node);
    }

    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        WaitKind::Join
    }
}

impl Arm for Ended<'_> {
    type Output = ();

    fn finish(&self, _: Outcome) {}
}

/// A goroutine's end, as a case: gives the result to one.
pub struct Finished<H, T> {
    handle: H,
    // Gives a `T`, holds none.
    _result: PhantomData<fn() -> T>,
}

impl<H: Borrow<JoinHandle<T>>, T> Finished<H, T> {
    fn new(handle: H) -> Self {
        Self {
            handle,
            _result: PhantomData,
        }
    }

    fn task(&self) -> &Task {
        &self.handle.borrow().task
    }
}

/// A goroutine on a scheduler of the caller's, for the models.
#[track_caller]
pub fn goroutine_on<M, G>(
    scheduler: Arc<dyn Schedule>,
    goroutine: G,
) -> (Task, JoinHandle<G::Output>)
where
    G: Goroutine<M> + 'static,
    G::Output: 'static,
{
    let identity = spawned_at(Location::caller());
    // SAFETY: nothing is borrowed.
    unsafe { JoinHandle::make(Home::other(scheduler), goroutine, (), identity) }
}

impl<H, T> Sealed for Finished<H, T> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under
// its lock, and joiners are claimed under that lock only.
unsafe impl<H: Borrow<JoinHandle<T>>, T> Case for Finished<H, T> {
    fn probe(&self) -> Probe {
        let word = self.task().word();
        Probe {
            ready: word.is_ready(),
            epoch: word.epoch(),
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.task().try_take().then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.task().enqueue(reg);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.task().recheck(reg);
    }

    fn dequeue(&self, node: &Node) {
        self.task().dequeue(node);
    }

    fn abandon(&self, _: Outcome) {
        self.task().untake();
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Join
    }
}

impl<H: Borrow<JoinHandle<T>>, T> Arm for Finished<H, T> {
    type Output = TaskResult<T>;

    fn finish(&self, _: Outcome) -> TaskResult<T> {
        // SAFETY: the case has won, and the goroutine gives a `T`.
        unsafe { self.task().take() }
    }
}

impl<H, T> fmt::Debug for Finished<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").finish_non_exhaustive()
    }
}

impl<T> AsCase for JoinHandle<T> {
    type Case<'a>
        = Finished<&'a Self, T>
    where
        T: 'a;

    fn __case(&self) -> Finished<&Self, T> {
        Finished::new(self)
    }
}

impl<'a, T: 'a> IntoArm<'a> for JoinHandle<T> {
    type Arm = Finished<Self, T>;

    fn __into_arm(self) -> Finished<Self, T> {
        Finished::new(self)
    }
}
