//! The handle of a goroutine, and its end as something a select can wait for.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::case::{Arm, AsCase, Case, IntoArm, Outcome, Probe, Sealed};
use rendez_core::goroutine::{Goroutine as Identity, WaitKind};
use rendez_core::hooks;
use rendez_core::queue::{Node, Registration};
use rendez_core::shim::Arc;
use rendez_core::wait::{self, CaseFuture};

use crate::body::Goroutine;
use crate::error::JoinError;
use crate::own_thread::OwnThread;
use crate::schedule::{Ending, Schedule, TaskResult, spawned_at};
use crate::scope::Running;
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
    // Before the task: a wait under way ends before the handle lets go.
    waiting: Option<Waiting<T>>,
    task: Task,
    // Hears of a panic that the handle drops.
    scope: Option<Arc<Running>>,
}

type Waiting<T> = Pin<Box<CaseFuture<Finished<Task, T>>>>;

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
        unsafe { Self::start_borrowing(shared, goroutine, ending, identity, None) }
    }

    /// Starts a goroutine on a thread of its own.
    pub(crate) fn start_alone<M, G>(shared: &Arc<Shared>, goroutine: G, identity: Identity) -> Self
    where
        G: Goroutine<M, Output = T> + 'static,
        T: 'static,
    {
        hooks::switch_point();
        let own = OwnThread::new(Arc::clone(shared));
        let scheduler = Arc::clone(&own) as Arc<dyn Schedule>;
        // SAFETY: nothing is borrowed.
        let (due, handle) = unsafe { Self::make(scheduler, goroutine, (), identity, None) };
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
        scope: Option<Arc<Running>>,
    ) -> Self
    where
        G: Goroutine<M, Output = T>,
        E: Ending<T>,
    {
        hooks::switch_point();
        let scheduler = Arc::clone(shared) as Arc<dyn Schedule>;
        // SAFETY: as the caller promises.
        let (due, handle) = unsafe { Self::make(scheduler, goroutine, ending, identity, scope) };
        shared.launch(due);
        handle
    }

    /// Makes a goroutine that is due to run, and its handle.
    ///
    /// # Safety
    ///
    /// What it borrows lives until `ending` has been dropped.
    pub(crate) unsafe fn make<M, G, E>(
        scheduler: Arc<dyn Schedule>,
        goroutine: G,
        ending: E,
        identity: Identity,
        scope: Option<Arc<Running>>,
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
        let (due, task) = unsafe { Task::new(body, ending, scheduler, identity) };
        let handle = Self {
            waiting: None,
            task,
            scope,
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
    pub fn join(mut self) -> Result<T, JoinError> {
        // A poll that was left pending still waits, and would be given the result instead.
        self.waiting = None;
        if self.is_spent() {
            return Err(JoinError::Cancelled);
        }
        let case = Finished::<_, T>::new(&self.task);
        wait::block_on_case(&case, None, Location::caller())
            .expect("a wait without a deadline ends with its case")
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

    /// Whether the result was there and has been taken.
    fn is_spent(&self) -> bool {
        let word = self.task.word();
        word.is_done() && !word.is_ready()
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If polled again after it has given the result.
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waiting.is_none() {
            if self.task.try_take() {
                // SAFETY: won just now; the goroutine gives a `T`.
                return Poll::Ready(unsafe { self.task.take() });
            }
            if self.is_spent() {
                return Poll::Ready(Err(JoinError::Cancelled));
            }
        }
        let location = Location::caller();
        let this = &mut *self;
        let waiting = this.waiting.get_or_insert_with(|| {
            let ended = Finished::new(this.task.clone());
            Box::pin(CaseFuture::new(ended, location))
        });
        let result = std::task::ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        Poll::Ready(result)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.waiting = None;
        let Some(payload) = self.task.detach() else {
            return;
        };
        let unheard = match &self.scope {
            Some(scope) => scope.keep_panic(payload),
            None => Some(payload),
        };
        if let Some(payload) = unheard {
            self.task.report(payload);
        }
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// A goroutine's end, as a case: gives the result to one.
pub struct Finished<R, T> {
    task: R,
    // Gives a `T`, holds none.
    _result: PhantomData<fn() -> T>,
}

impl<R, T> Finished<R, T> {
    fn new(task: R) -> Self {
        Self {
            task,
            _result: PhantomData,
        }
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
    unsafe { JoinHandle::make(scheduler, goroutine, (), identity, None) }
}

/// How a case holds its task: by reference or as its owner.
#[doc(hidden)]
pub trait Hold {
    /// The task.
    fn task(&self) -> &Task;
}

impl Hold for Task {
    fn task(&self) -> &Task {
        self
    }
}

impl Hold for &Task {
    fn task(&self) -> &Task {
        self
    }
}

impl<T> Hold for JoinHandle<T> {
    fn task(&self) -> &Task {
        &self.task
    }
}

impl<R, T> Sealed for Finished<R, T> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under
// its lock, and joiners are claimed under that lock only.
unsafe impl<R: Hold, T> Case for Finished<R, T> {
    fn probe(&self) -> Probe {
        let word = self.task.task().word();
        Probe {
            ready: word.is_ready(),
            epoch: word.epoch(),
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.task.task().try_take().then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.task.task().enqueue(reg);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.task.task().recheck(reg);
    }

    fn dequeue(&self, node: &Node) {
        self.task.task().dequeue(node);
    }

    fn abandon(&self, _: Outcome) {
        self.task.task().untake();
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Join
    }
}

impl<R: Hold, T> Arm for Finished<R, T> {
    type Output = TaskResult<T>;

    fn finish(&self, _: Outcome) -> TaskResult<T> {
        // SAFETY: the case has won, and the goroutine gives a `T`.
        unsafe { self.task.task().take() }
    }
}

impl<R, T> fmt::Debug for Finished<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Finished").finish_non_exhaustive()
    }
}

impl<T> AsCase for JoinHandle<T> {
    type Case<'a>
        = Finished<&'a Task, T>
    where
        T: 'a;

    fn __case(&self) -> Finished<&Task, T> {
        Finished::new(&self.task)
    }
}

impl<'a, T: 'a> IntoArm<'a> for JoinHandle<T> {
    type Arm = Finished<Self, T>;

    fn __into_arm(self) -> Finished<Self, T> {
        Finished::new(self)
    }
}
