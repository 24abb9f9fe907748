//! The handle that ends a context.

use std::error::Error;
use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};

use crate::error::share;
use crate::tree::end;
use crate::tree::node::Given;
use crate::tree::shared::Shared;
use crate::tree::word::Why;

/// Ends the context it was made with. Go's `CancelFunc` and `CancelCauseFunc`.
///
/// **Dropping it cancels**, as `defer cancel()` does: bind it to a name (`_cancel`, not `_`) that
/// lives as long as the work, or [`detach`](Self::detach) it.
///
/// Once a call returns, the context and every context derived from it have ended, even if
/// another thread was first and is still at it. Who waits has been woken by then, or is being
/// woken by that other thread. Nothing waits for the work itself.
///
/// # Examples
///
/// ```
/// use rendez_context::{Context, ContextError};
///
/// let (ctx, cancel) = Context::background().with_cancel();
/// let worker = std::thread::spawn(move || ctx.wait());
/// cancel.cancel();
/// assert_eq!(worker.join().unwrap(), ContextError::Canceled);
/// ```
#[must_use = "the context is cancelled when this is dropped"]
pub struct Cancel {
    // `None` once detached.
    node: Option<Shared>,
}

impl Cancel {
    pub(crate) fn new(node: Shared) -> Self {
        Self { node: Some(node) }
    }

    /// What it ends, unless it is detached.
    pub(crate) fn node(&self) -> Option<&Shared> {
        self.node.as_ref()
    }

    /// Ends the context with [`Canceled`](crate::ContextError::Canceled). Nothing happens if
    /// it has ended.
    ///
    /// The caller's place is remembered: [`Context::cause`](crate::Context::cause) and `Debug`
    /// tell it.
    #[track_caller]
    pub fn cancel(&self) {
        if let Some(node) = &self.node {
            end::end(node, Why::At(Location::caller()));
        }
    }

    /// As [`cancel`](Self::cancel), with `cause` for a [`cause`](crate::Context::cause).
    ///
    /// Nothing happens if the context has ended: the first cause wins.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    /// use std::io;
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// cancel.cancel_with(io::Error::other("disk full"));
    /// assert_eq!(ctx.err(), Some(ContextError::Canceled));
    /// assert!(ctx.cause().unwrap().is::<io::Error>());
    /// ```
    #[track_caller]
    pub fn cancel_with(&self, cause: impl Into<Box<dyn Error + Send + Sync>>) {
        let Some(node) = &self.node else { return };
        let at = Location::caller();
        let cause = share(cause.into());
        end::end_given(node, Given { cause, at });
    }

    /// Gives the handle up without cancelling: the context ends at its deadline, with its
    /// parent, or never.
    ///
    /// # Examples
    ///
    /// ```
    /// let (ctx, cancel) = rendez_context::Context::background().with_cancel();
    /// cancel.detach();
    /// assert_eq!(ctx.err(), None);
    /// ```
    pub fn detach(mut self) {
        self.node = None;
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            end::end(node, Why::Dropped);
        }
    }
}

impl UnwindSafe for Cancel {}
impl RefUnwindSafe for Cancel {}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let err = self.node.as_ref().and_then(|node| node.err());
        f.debug_struct("Cancel").field("ended", &err).finish()
    }
}
