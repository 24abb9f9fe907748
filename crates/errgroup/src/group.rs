//! A group's handle.

use std::error::Error;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};

use rendez_context::Context;
use rendez_core::hooks;
use rendez_core::shim::Arc;
use rendez_core::wait;
use rendez_pool::__private::On;
use rendez_pool::{Goroutine, Spawn};

use crate::builder::Builder;
use crate::futures::{GoFuture, WaitFuture};
use crate::state::Shared;

/// Goroutines that work on parts of one task and fail together: Go's `errgroup.Group`.
///
/// Each returns `Result<(), E>`; [`wait`](Self::wait) waits for all and gives the first error.
/// With a [context](Self::with_context) the first error also cancels the others. Closures and
/// futures may be mixed. Clones are handles of the same group, for goroutines that start
/// others.
///
/// # Panics in goroutines
///
/// A panic is printed at once, by the panic hook of the thread it happens on, and cancels the
/// group's context at once. `wait` resumes it with its own payload, when all have ended. If
/// every handle is dropped without a wait, it goes to the `on_panic` of the goroutine's pool
/// (by default, a line on stderr), as do a second panic and later ones. So none is lost.
///
/// # Dropping
///
/// When the last handle is dropped the goroutines go on, and the context is cancelled: nobody
/// waits for them any more. Their errors are dropped.
///
/// # Differences from Go
///
/// `wait` hands the error out, where Go's keeps it for every later `Wait`: after it the group
/// is as new, but for its context, which stays cancelled. A panic is carried, where Go's ends
/// the program. [`go`](Self::go) does not wait at the limit for longer than the context
/// lasts.
///
/// # Examples
///
/// ```
/// use rendez_errgroup::Group;
///
/// let group: Group = Group::new();
/// group.go(|| Ok(()));
/// group.go(async {
///     let n: u8 = "300".parse()?;
///     assert_eq!(n, 44, "never reached");
///     Ok(())
/// });
/// let error = group.wait().unwrap_err();
/// assert_eq!(error.to_string(), "number too large to fit in target type");
/// ```
///
/// An `async` closure would make a future and never poll it, so it is none of the two:
///
/// ```compile_fail
/// let group: rendez_errgroup::Group = rendez_errgroup::Group::new();
/// group.go(async || Ok(())); // write `async { … }`
/// ```
pub struct Group<E = Box<dyn Error + Send + Sync>>
where
    E: fmt::Debug + Send + 'static,
{
    held: Arc<Held<E>>,
}

/// What the handles share: its drop says that none is left.
struct Held<E: fmt::Debug + Send + 'static> {
    shared: Arc<Shared<E>>,
    // `None`: on the pool of whoever starts a goroutine.
    executor: Option<Box<dyn Spawn>>,
}

impl<E: fmt::Debug + Send + 'static> Drop for Held<E> {
    fn drop(&mut self) {
        self.shared.unhold();
        self.shared.end_context();
    }
}

impl<E: fmt::Debug + Send + 'static> Group<E> {
    /// A group without limit or context: all its goroutines run, whatever the others come to.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A group and its context, made from `ctx`, for its goroutines to watch.
    ///
    /// The context is cancelled by the first error, with that for its
    /// [cause](rendez_context::Context::cause) (see [`Failure`](crate::Failure)), by a panic,
    /// by the first wait that ends, and when the last handle is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    /// use rendez_errgroup::Group;
    ///
    /// let (group, ctx) = Group::<String>::with_context(&Context::background());
    /// group.go(|| Err("disk full".into()));
    /// group.go(move || {
    ///     ctx.wait(); // returns since the other has failed
    ///     Err(ctx.cause().unwrap().to_string())
    /// });
    /// assert_eq!(group.wait_all().unwrap_err(), ["disk full", "disk full"]);
    /// ```
    #[track_caller]
    pub fn with_context(ctx: &Context) -> (Self, Context) {
        Self::builder().with_context(ctx)
    }

    /// A group to be configured: its limit, its executor.
    pub fn builder() -> Builder<E> {
        Builder::new()
    }

    pub(crate) fn from_parts(shared: Shared<E>, executor: Option<Box<dyn Spawn>>) -> Self {
        let shared = Arc::new(shared);
        Self {
            held: Arc::new(Held { shared, executor }),
        }
    }

    fn shared(&self) -> &Arc<Shared<E>> {
        &self.held.shared
    }

    /// Sets how many goroutines may run at the same time; `None`: any number. Go's
    /// `SetLimit`.
    ///
    /// Under a limit of zero none can start: [`try_go`](Self::try_go) refuses, and
    /// [`go`](Self::go) panics, where Go's would wait for ever.
    ///
    /// # Panics
    ///
    /// If goroutines of the group run.
    ///
    /// # Examples
    ///
    /// ```
    /// let group: rendez_errgroup::Group = rendez_errgroup::Group::new();
    /// group.set_limit(Some(0));
    /// assert!(!group.try_go(|| Ok(())));
    /// group.set_limit(None);
    /// assert!(group.try_go(|| Ok(())));
    /// group.wait().unwrap();
    /// ```
    #[track_caller]
    pub fn set_limit(&self, limit: Option<usize>) {
        self.shared().set_limit(limit);
    }

    /// Starts a goroutine, a closure or a future; at the limit, blocks until another has ended.
    ///
    /// Who waits is served in order of arrival. Below the limit the goroutine starts whatever has
    /// happened before: after an error, after the context's end, after a wait, as Go's.
    ///
    /// At the limit, if the group's context ends first, the goroutine is dropped unstarted, and
    /// the next wait does not return `Ok`: it gives the error that ended the context, or, if that
    /// ended from outside, the [`ContextError`](rendez_context::ContextError). An `E` other than
    /// the boxed or shared [`Error`], [`io::Error`](std::io::Error), `ContextError`, `String` or
    /// `&'static str` cannot say that, unless
    /// [`cancelled_as`](crate::Builder::cancelled_as) tells how: then `go` waits on.
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    ///
    /// # Examples
    ///
    /// ```
    /// let group: rendez_errgroup::Group = rendez_errgroup::Group::new();
    /// group.set_limit(Some(2));
    /// for i in 0..10 {
    ///     group.go(move || if i < 10 { Ok(()) } else { Err("too many".into()) });
    /// }
    /// group.wait().unwrap();
    /// ```
    #[track_caller]
    pub fn go<M, G>(&self, goroutine: G)
    where
        G: Goroutine<M, Output = Result<(), E>> + 'static,
    {
        hooks::switch_point();
        let location = Location::caller();
        if let Some(has_slot) = self.shared().take_slot(location) {
            self.start(goroutine, has_slot, location);
        }
    }

    /// Starts a goroutine unless the limit is reached or somebody waits at it. Returns whether
    /// it was started; if not, it has been dropped. Go's `TryGo`.
    ///
    /// # Examples
    ///
    /// ```
    /// let group: rendez_errgroup::Group = rendez_errgroup::Group::builder().limit(1).build();
    /// let (tx, rx) = std::sync::mpsc::channel::<()>();
    /// assert!(group.try_go(move || Ok(rx.recv()?)));
    /// assert!(!group.try_go(|| Ok(())));
    /// tx.send(()).unwrap();
    /// group.wait().unwrap();
    /// ```
    #[track_caller]
    pub fn try_go<M, G>(&self, goroutine: G) -> bool
    where
        G: Goroutine<M, Output = Result<(), E>> + 'static,
    {
        hooks::switch_point();
        let has_slot = self.shared().slots.limit().is_some();
        if has_slot && !self.shared().slots.try_take() {
            return false;
        }
        self.start(goroutine, has_slot, Location::caller());
        true
    }

    /// As [`go`](Self::go), awaiting its turn at the limit.
    ///
    /// # Panics
    ///
    /// As [`go`](Self::go), when polled.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it drops the goroutine unstarted and leaves the line; a
    /// turn it was given goes to the next. Once it has completed the goroutine runs.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let group: rendez_errgroup::Group = rendez_errgroup::Group::builder().limit(1).build();
    /// for _ in 0..3 {
    ///     group.go_async(async { Ok(()) }).await;
    /// }
    /// group.wait_async().await.unwrap();
    /// # });
    /// ```
    #[track_caller]
    pub fn go_async<M, G>(&self, goroutine: G) -> GoFuture<'_, E, M, G>
    where
        G: Goroutine<M, Output = Result<(), E>> + 'static,
    {
        let executor = self.held.executor.as_deref();
        // SAFETY: nothing is borrowed.
        #[expect(unsafe_code)]
        unsafe {
            GoFuture::new(self.shared(), executor, goroutine, Location::caller())
        }
    }

    fn start<M, G>(&self, goroutine: G, has_slot: bool, location: &'static Location<'static>)
    where
        G: Goroutine<M, Output = Result<(), E>> + 'static,
    {
        let on = on(self.held.executor.as_deref());
        // SAFETY: nothing is borrowed.
        #[expect(unsafe_code)]
        unsafe {
            self.shared().start(&on, goroutine, has_slot, location);
        }
    }

    /// Blocks until all goroutines have ended, cancels the group's context, and gives the first
    /// error, if there was one. Go's `Wait`.
    ///
    /// The error goes to the one wait that returns it: after it the group may be used again, and
    /// the next wait tells of what came since. Of several waits at the same time one gets it;
    /// clones that all need the outcome should leave the waiting to one.
    ///
    /// # Errors
    ///
    /// The first in time. The others are dropped; [`wait_all`](Self::wait_all) gives all.
    ///
    /// # Panics
    ///
    /// If a goroutine panicked: with the payload of the first, and before any error, which the
    /// next wait gives. If a goroutine never came to its end, since its executor dropped it or
    /// took no more, and there is no error to tell of it.
    #[track_caller]
    pub fn wait(&self) -> Result<(), E> {
        self.block();
        self.shared().first_error()
    }

    /// As [`wait`](Self::wait), giving every error.
    ///
    /// # Errors
    ///
    /// All, in the order they came.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_errgroup::Group;
    ///
    /// let group = Group::<String>::new();
    /// for i in 0..3 {
    ///     group.go(move || Err(format!("part {i}")));
    /// }
    /// assert_eq!(group.wait_all().unwrap_err().len(), 3);
    /// ```
    #[track_caller]
    pub fn wait_all(&self) -> Result<(), Vec<E>> {
        self.block();
        self.shared().outcome()
    }

    #[track_caller]
    fn block(&self) {
        let _ = wait::block_on_case(&self.shared().zero(), None, Location::caller());
        self.shared().end_context();
    }

    /// As [`wait`](Self::wait), awaited.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait), when polled.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has taken no error and cancelled nothing.
    #[track_caller]
    pub fn wait_async(&self) -> WaitFuture<'_, E> {
        WaitFuture::new(self.shared(), Location::caller())
    }

    /// How many of its goroutines have not ended.
    pub fn num_goroutines(&self) -> usize {
        self.shared().members.count()
    }
}

/// Where goroutines go that are started without more ado.
pub(crate) fn on(executor: Option<&dyn Spawn>) -> On<'_> {
    executor.map_or_else(On::current, On::from)
}

impl<E: fmt::Debug + Send + 'static> Clone for Group<E> {
    fn clone(&self) -> Self {
        Self {
            held: Arc::clone(&self.held),
        }
    }
}

impl<E: fmt::Debug + Send + 'static> Default for Group<E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<E: fmt::Debug + Send + 'static> UnwindSafe for Group<E> {}
impl<E: fmt::Debug + Send + 'static> RefUnwindSafe for Group<E> {}

impl<E: fmt::Debug + Send + 'static> fmt::Debug for Group<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("goroutines", &self.num_goroutines())
            .field("limit", &self.shared().slots.limit())
            .finish()
    }
}
