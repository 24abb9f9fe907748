//! A group whose goroutines borrow: it does not end before they have.
//!
//! Soundness is as for `rendez_pool::scope`: a goroutine's body is gone before its member
//! counts down, the last thing it does, and [`run`] returns, or unwinds, only at zero. What the
//! group keeps of it, errors and panics, borrows nothing.
#![allow(unsafe_code)]

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use rendez_context::Context;
use rendez_core::hooks;
use rendez_core::shim::Arc;
use rendez_core::wait;
use rendez_pool::{Goroutine, Spawn};

use crate::futures::GoFuture;
use crate::group;
use crate::state::Shared;

/// A group whose goroutines may borrow from outside it: see [`scope`].
pub struct Scope<'scope, 'env: 'scope, E: 'static = Box<dyn Error + Send + Sync>> {
    shared: Arc<Shared<E>>,
    executor: Option<&'env dyn Spawn>,
    // Invariant in both, as in std: neither may be made shorter or longer.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

/// Runs `f`, which may start goroutines that borrow what lives outside it, and returns its
/// result when all of them have ended, or the first error of one.
///
/// The group's context, made from `ctx`, is [`Scope::context`]; it is cancelled as a
/// [`Group`](crate::Group)'s, and when the scope has ended. Blocks the calling thread.
///
/// # Errors
///
/// The first error of a goroutine. The result of `f` is dropped then.
///
/// # Panics
///
/// If `f` panics, which cancels the context, or a goroutine does, with the payload of the
/// first; always after all have ended. As [`Group::wait`](crate::Group::wait) if an executor
/// dropped a goroutine.
///
/// # Examples
///
/// ```
/// use rendez_context::Context;
/// use rendez_errgroup as errgroup;
///
/// let texts = ["1", "2", "x"];
/// let mut numbers = [0; 3];
/// let result = errgroup::scope(&Context::background(), |g| {
///     for (number, text) in numbers.iter_mut().zip(texts) {
///         g.go(move || {
///             *number = text.parse()?; // borrows
///             Ok(())
///         });
///     }
/// });
/// let error: Box<dyn std::error::Error + Send + Sync> = result.unwrap_err();
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert_eq!(numbers[..2], [1, 2]);
/// ```
#[track_caller]
pub fn scope<'env, E, F, R>(ctx: &Context, f: F) -> Result<R, E>
where
    E: fmt::Debug + Send + 'static,
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env, E>) -> R,
{
    let shared = Shared::new(None, Some(ctx.with_cancel()), None);
    run(shared, None, f, Location::caller())
}

#[track_caller]
pub(crate) fn run<'env, E, F, R>(
    shared: Shared<E>,
    executor: Option<&'env dyn Spawn>,
    f: F,
    location: &'static Location<'static>,
) -> Result<R, E>
where
    E: fmt::Debug + Send + 'static,
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env, E>) -> R,
{
    let shared = Arc::new(shared);
    let scope = Scope {
        shared: Arc::clone(&shared),
        executor,
        _scope: PhantomData,
        _env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    if result.is_err() {
        shared.fail("the group's scope panicked");
    }
    // A hook may panic; the goroutines must have ended all the same.
    let mut interrupted = None;
    while shared.members.count() > 0 {
        let wait = || wait::block_on_case(&shared.zero(), None, location);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(wait)) {
            interrupted.get_or_insert(payload);
        }
    }
    shared.end_context();
    match (result, interrupted) {
        (Err(payload), _) | (_, Some(payload)) => {
            // What the goroutines panicked with is reported, since it is not resumed.
            shared.unhold();
            resume_unwind(payload)
        }
        (Ok(result), None) => shared.first_error().map(|()| result),
    }
}

impl<'scope, E: fmt::Debug + Send + 'static> Scope<'scope, '_, E> {
    /// The group's context, cancelled by the first error.
    pub fn context(&self) -> &Context {
        (self.shared.context.as_ref()).expect("a scope is made with a context")
    }

    /// Sets how many goroutines may run at the same time: see
    /// [`Group::set_limit`](crate::Group::set_limit).
    ///
    /// # Panics
    ///
    /// If goroutines of the scope run.
    #[track_caller]
    pub fn limit(&self, n: usize) {
        self.shared.set_limit(Some(n));
    }

    /// Starts a goroutine, a closure or a future, that may borrow what outlives the scope: see
    /// [`Group::go`](crate::Group::go).
    ///
    /// # Panics
    ///
    /// If the limit is zero.
    #[track_caller]
    pub fn go<M, G>(&'scope self, goroutine: G)
    where
        G: Goroutine<M, Output = Result<(), E>> + 'scope,
    {
        hooks::switch_point();
        let location = Location::caller();
        if let Some(has_slot) = self.shared.take_slot(location) {
            self.start(goroutine, has_slot, location);
        }
    }

    /// Starts a goroutine unless the limit is reached: see
    /// [`Group::try_go`](crate::Group::try_go).
    #[track_caller]
    pub fn try_go<M, G>(&'scope self, goroutine: G) -> bool
    where
        G: Goroutine<M, Output = Result<(), E>> + 'scope,
    {
        hooks::switch_point();
        let has_slot = self.shared.slots.limit().is_some();
        if has_slot && !self.shared.slots.try_take() {
            return false;
        }
        self.start(goroutine, has_slot, Location::caller());
        true
    }

    /// As [`go`](Self::go), awaiting its turn at the limit: for goroutines of the scope that
    /// start others.
    ///
    /// # Cancel safety
    ///
    /// As [`Group::go_async`](crate::Group::go_async).
    #[track_caller]
    pub fn go_async<M, G>(&'scope self, goroutine: G) -> GoFuture<'scope, E, M, G>
    where
        G: Goroutine<M, Output = Result<(), E>> + 'scope,
    {
        // SAFETY: the scope does not end before the count is zero, nor can the future be
        // polled after it.
        unsafe { GoFuture::new(&self.shared, self.executor, goroutine, Location::caller()) }
    }

    fn start<M, G>(&self, goroutine: G, has_slot: bool, location: &'static Location<'static>)
    where
        G: Goroutine<M, Output = Result<(), E>> + 'scope,
    {
        let on = group::on(self.executor);
        // SAFETY: the scope does not end before the count is zero.
        unsafe { self.shared.start(&on, goroutine, has_slot, location) };
    }

    /// How many of its goroutines have not ended.
    pub fn num_goroutines(&self) -> usize {
        self.shared.members.count()
    }
}

impl<E> fmt::Debug for Scope<'_, '_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("goroutines", &self.shared.members.count())
            .finish()
    }
}
