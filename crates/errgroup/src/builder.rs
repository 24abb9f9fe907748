//! How a group is configured.

use std::error::Error;
use std::fmt;
use std::panic::Location;

use rendez_context::{Cancel, Context, ContextError};
use rendez_pool::Spawn;

use crate::group::Group;
use crate::scope::{self, Scope};
use crate::state::Shared;

/// A group to be configured: see [`Group::builder`].
///
/// # Examples
///
/// ```
/// use rendez_errgroup::Group;
/// use rendez_pool::Pool;
///
/// let pool = Pool::builder().workers(1).build()?;
/// let group: Group = Group::builder().limit(8).on(pool).build();
/// group.go(|| Ok(()));
/// group.wait().unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "a group is made by `build`, `with_context` or `scope`"]
pub struct Builder<E = Box<dyn Error + Send + Sync>> {
    limit: Option<usize>,
    executor: Option<Box<dyn Spawn>>,
    cancelled_as: Option<fn(ContextError) -> E>,
}

impl<E: fmt::Debug + Send + 'static> Builder<E> {
    pub(crate) fn new() -> Self {
        Self {
            limit: None,
            executor: None,
            cancelled_as: None,
        }
    }

    /// How many goroutines may run at the same time: see [`Group::set_limit`]. Default: any
    /// number.
    pub fn limit(mut self, n: usize) -> Self {
        self.limit = Some(n);
        self
    }

    /// Where they run: on a pool, a tokio runtime's handle, or any other [`Spawn`]. Default: on
    /// the pool of whoever starts them.
    pub fn on(mut self, executor: impl Spawn + 'static) -> Self {
        self.executor = Some(Box::new(executor));
        self
    }

    /// How the end of the context is said as an error of the group's type, where that is one of
    /// its own: see [`Group::go`].
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::ContextError;
    /// use rendez_errgroup::Group;
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// #[error("cannot fetch")]
    /// struct Error(#[from] ContextError);
    ///
    /// let group = Group::<Error>::builder().cancelled_as(Error::from).build();
    /// group.wait().unwrap();
    /// ```
    pub fn cancelled_as(mut self, f: fn(ContextError) -> E) -> Self {
        self.cancelled_as = Some(f);
        self
    }

    /// A group without context.
    pub fn build(self) -> Group<E> {
        let shared = self.shared(None);
        Group::from_parts(shared, self.executor)
    }

    /// A group and its context: see [`Group::with_context`].
    #[track_caller]
    pub fn with_context(self, ctx: &Context) -> (Group<E>, Context) {
        let (context, cancel) = ctx.with_cancel();
        let shared = self.shared(Some((context.clone(), cancel)));
        (Group::from_parts(shared, self.executor), context)
    }

    /// Runs `f` with a group of goroutines that may borrow: see [`scope`](crate::scope()).
    ///
    /// # Errors
    ///
    /// As [`scope`](crate::scope()).
    ///
    /// # Panics
    ///
    /// As [`scope`](crate::scope()).
    #[track_caller]
    pub fn scope<'env, F, R>(&'env self, ctx: &Context, f: F) -> Result<R, E>
    where
        F: for<'scope> FnOnce(&'scope Scope<'scope, 'env, E>) -> R,
    {
        let shared = self.shared(Some(ctx.with_cancel()));
        scope::run(shared, self.executor.as_deref(), f, Location::caller())
    }

    fn shared(&self, context: Option<(Context, Cancel)>) -> Shared<E> {
        Shared::new(self.limit, context, self.cancelled_as)
    }
}

impl<E> fmt::Debug for Builder<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
