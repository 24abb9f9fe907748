//! The handle: where a context comes from, what it says, what is derived from it.

use std::error::Error;
use std::panic::Location;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use rendez_core::clock;
use rendez_core::clock::Alarm;

use crate::cancel::Cancel;
use crate::error::{Cause, ContextError, share};
use crate::handle::{Handle, NodeRef, View};
use crate::tree::bell;
use crate::tree::end;
use crate::tree::node::{Kind, Merged, Node};
use crate::tree::shared::{Due, Shared, Timed};
use crate::tree::word::Why;
use crate::value::{self, Detached};

/// Says when to stop: a place in a tree of contexts, each of which ends when it is cancelled,
/// when its deadline passes, or with its parent.
///
/// Clones are the same context. A context is passed down as `&Context`, and checked
/// ([`check`](Self::check)), waited for ([`done`](Self::done)) or wrapped around what waits
/// ([`run`](Self::run), [`block_on`](Self::block_on)).
///
/// Dropping all handles of a context that has not ended frees it at once: its parent keeps
/// nothing of it.
///
/// # Examples
///
/// ```
/// use rendez_context::{Context, ContextError};
/// use std::time::Duration;
///
/// let (ctx, cancel) = Context::background().with_timeout(Duration::from_secs(5));
/// assert_eq!(ctx.err(), None);
/// cancel.cancel();
/// assert_eq!(ctx.err(), Some(ContextError::Canceled));
/// ```
#[derive(Clone)]
pub struct Context {
    pub(crate) at: Handle,
}

impl Default for Context {
    /// [`background`](Self::background).
    fn default() -> Self {
        Self::background()
    }
}

/// Where contexts come from.
impl Context {
    /// The root of all contexts: it never ends, has no deadline and no values.
    ///
    /// Costs nothing. Go's `context.Background`.
    pub const fn background() -> Self {
        Self {
            at: Handle::background(),
        }
    }

    /// As [`background`](Self::background), for where it is not yet clear which context to
    /// use. Go's `context.TODO`.
    pub const fn todo() -> Self {
        Self { at: Handle::todo() }
    }

    /// A context that ends when its [`Cancel`] says so, or with this one.
    ///
    /// It has ended on return if this one has. Go's `WithCancel` and `WithCancelCause`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    ///
    /// let (parent, cancel) = Context::background().with_cancel();
    /// let (child, _cancel_child) = parent.with_cancel();
    /// cancel.cancel();
    /// assert_eq!(child.check(), Err(ContextError::Canceled));
    /// ```
    #[track_caller]
    pub fn with_cancel(&self) -> (Self, Cancel) {
        self.derive(None, Due::Of(self.due()), Location::caller())
    }

    /// A context that also ends at `deadline`, with
    /// [`DeadlineExceeded`](ContextError::DeadlineExceeded).
    ///
    /// A deadline that has passed: it has ended on return. A deadline later than this
    /// context's is without effect.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    /// use std::time::Instant;
    ///
    /// let (ctx, _cancel) = Context::background().with_deadline(Instant::now());
    /// assert_eq!(ctx.err(), Some(ContextError::DeadlineExceeded));
    /// ```
    #[track_caller]
    pub fn with_deadline(&self, deadline: Instant) -> (Self, Cancel) {
        self.timed(Some(deadline), clock::now(), None, Location::caller())
    }

    /// As [`with_deadline`](Self::with_deadline), `timeout` from now.
    ///
    /// A timeout of zero: it has ended on return. One that is longer than time itself:
    /// there is no deadline.
    #[track_caller]
    pub fn with_timeout(&self, timeout: Duration) -> (Self, Cancel) {
        let now = clock::now();
        self.timed(now.checked_add(timeout), now, None, Location::caller())
    }

    /// As [`with_deadline`](Self::with_deadline); should the context end by a deadline, its
    /// [`cause`](Self::cause) is `cause`.
    ///
    /// That holds when an ancestor's earlier deadline ends it, too, unless that one has a
    /// cause of its own: the first cause wins. (Go forgets the child's in this case.) When it is
    /// cancelled, `cause` is not used.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    /// use std::time::Instant;
    ///
    /// let (ctx, _cancel) =
    ///     Context::background().with_deadline_cause(Instant::now(), "the index is too slow");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "the index is too slow");
    /// ```
    #[track_caller]
    pub fn with_deadline_cause(
        &self,
        deadline: Instant,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> (Self, Cancel) {
        let cause = Some(share(cause.into()));
        self.timed(Some(deadline), clock::now(), cause, Location::caller())
    }

    /// As [`with_timeout`](Self::with_timeout), with a cause as
    /// [`with_deadline_cause`](Self::with_deadline_cause) has it.
    #[track_caller]
    pub fn with_timeout_cause(
        &self,
        timeout: Duration,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> (Self, Cancel) {
        let cause = Some(share(cause.into()));
        let now = clock::now();
        self.timed(now.checked_add(timeout), now, cause, Location::caller())
    }

    /// A context that carries `value`, found by its type: [`value`](Self::value).
    ///
    /// A type of your own makes a key of your own; an earlier value of the same type is
    /// hidden. Meant for what goes with a request through all layers, an id or an
    /// identity, not for optional arguments. Go's `WithValue`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    ///
    /// struct RequestId(u64);
    ///
    /// let ctx = Context::background().with_value(RequestId(7));
    /// let (child, _cancel) = ctx.with_cancel();
    /// assert_eq!(child.value::<RequestId>().unwrap().0, 7);
    /// assert!(child.value::<u64>().is_none());
    /// ```
    #[must_use = "the value is in the context that is returned"]
    pub fn with_value<V: Send + Sync + 'static>(&self, value: V) -> Self {
        Self {
            at: Handle::of_value(value::new(self.clone(), value)),
        }
    }

    /// A context with this one's values that does not end with it, and has no deadline.
    ///
    /// For work that has to go on after a request is over. Go's `WithoutCancel`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    ///
    /// let (ctx, cancel) = Context::background().with_value(7_u64).with_cancel();
    /// let cleanup = ctx.without_cancel();
    /// cancel.cancel();
    /// assert_eq!(cleanup.err(), None);
    /// assert_eq!(cleanup.value::<u64>(), Some(&7));
    /// ```
    #[must_use = "the context that does not end is the one returned"]
    pub fn without_cancel(&self) -> Self {
        self.with_value(Detached)
    }

    /// A context that ends with the first of `contexts` to end, or when its [`Cancel`] says so.
    ///
    /// The cause is that one's, the deadline the earliest, and a value that of the first
    /// context that has one. Of no contexts at all it is as
    /// [`background().with_cancel()`](Self::with_cancel).
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    ///
    /// let (request, _cancel) = Context::background().with_cancel();
    /// let (shutdown, stop) = Context::background().with_cancel();
    /// let (ctx, _cancel) = Context::merge(&[&request, &shutdown]);
    /// stop.cancel_with("the server stops");
    /// assert_eq!(ctx.cause().unwrap().to_string(), "the server stops");
    /// ```
    #[track_caller]
    pub fn merge(contexts: &[&Self]) -> (Self, Cancel) {
        let location = Location::caller();
        let (first, others) = match contexts {
            [] => return Self::background().derive(None, Due::Of(None), location),
            [only] => return only.derive(None, Due::Of(only.due()), location),
            [first, others @ ..] => (first, others),
        };
        let timed = contexts
            .iter()
            .filter_map(|c| Some((c.deadline()?, c.due())));
        let earliest = timed.min_by_key(|&(deadline, _)| deadline);
        let others = others.iter().map(|&c| c.clone());
        let kind = Kind::Merged(Merged::new(others));
        let due = Due::Of(earliest.and_then(|(_, due)| due));
        first.derive(Some(Box::new(kind)), due, location)
    }

    fn timed(
        &self,
        deadline: Option<Instant>,
        now: Instant,
        cause: Option<Cause>,
        made_at: &'static Location<'static>,
    ) -> (Self, Cancel) {
        let inherited = self.deadline();
        // A later one than an ancestor's never comes first.
        let own = deadline.filter(|&d| inherited.is_none_or(|earlier| d < earlier));
        if let (Some(_), None, Some(node)) = (deadline.filter(|&d| d <= now), own, self.node()) {
            // Nor has the ancestor's been told yet, perhaps: it is time for that.
            end::end(node.timed_by(), Why::Expired);
        }
        let kind = cause.map(|cause| Box::new(Kind::TimeoutCause(cause)));
        let due = own.map_or(Due::Of(self.due()), Due::Own);
        let (ctx, cancel) = self.derive(kind, due, made_at);
        if let (Some(deadline), Some(node)) = (own, cancel.node()) {
            if deadline <= now {
                end::end(node, Why::Expired);
            } else if node.err().is_none() {
                node.set_alarm(Alarm::at(deadline, bell::of(node)));
            }
        }
        (ctx, cancel)
    }

    pub(crate) fn derive(
        &self,
        kind: Option<Box<Kind>>,
        due: Due,
        made_at: &'static Location<'static>,
    ) -> (Self, Cancel) {
        let (node, theirs) = Shared::pair(self.clone(), kind, due, made_at);
        node.join(&node);
        let at = Handle::of_node(node);
        (Self { at }, Cancel::new(theirs))
    }
}

/// What a context says.
impl Context {
    /// Why the context has ended; `None` while it has not. Costs one atomic load.
    ///
    /// It is `Some` exactly when [`done`](Self::done) is ready, and never `None` again.
    #[inline]
    pub fn err(&self) -> Option<ContextError> {
        self.node()?.err()
    }

    /// `Err` once the context has ended: for `ctx.check()?` in a loop that does not wait.
    ///
    /// # Errors
    ///
    /// As [`err`](Self::err) says.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    ///
    /// fn sum(ctx: &Context, items: &[u64]) -> Result<u64, ContextError> {
    ///     let mut sum = 0;
    ///     for item in items {
    ///         ctx.check()?;
    ///         sum += item;
    ///     }
    ///     Ok(sum)
    /// }
    /// assert_eq!(sum(&Context::background(), &[1, 2, 3]), Ok(6));
    /// ```
    #[inline]
    pub fn check(&self) -> Result<(), ContextError> {
        self.err().map_or(Ok(()), Err)
    }

    /// What ended the context, or the ancestor it ended with; `None` while it has not ended.
    ///
    /// The error given to [`cancel_with`](Cancel::cancel_with) or to
    /// [`with_timeout_cause`](Self::with_timeout_cause); else a [`Canceled`](crate::Canceled),
    /// which says where `cancel` was called, or [`ContextError::DeadlineExceeded`]. The first
    /// wins. Go's `Cause`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Canceled, Context};
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// assert!(ctx.cause().is_none());
    /// cancel.cancel();
    /// let cause = ctx.cause().unwrap();
    /// let who = cause.downcast_ref::<Canceled>().unwrap().location();
    /// assert_eq!(cause.to_string(), format!("context canceled at {who}"));
    /// assert_eq!(who.file(), file!());
    /// ```
    pub fn cause(&self) -> Option<Cause> {
        self.node()?.cause()
    }

    /// When the context ends at the latest: its own deadline or an ancestor's, whichever is
    /// earlier.
    pub fn deadline(&self) -> Option<Instant> {
        self.node()?.deadline()
    }

    /// The time left until [`deadline`](Self::deadline), zero once it has passed.
    pub fn remaining(&self) -> Option<Duration> {
        let deadline = self.deadline()?;
        Some(deadline.saturating_duration_since(clock::now()))
    }

    /// The value of type `V` that the context carries: the one added last.
    ///
    /// Goes up the chain, so it costs as much as that is long. Go's `Value`.
    pub fn value<V: Send + Sync + 'static>(&self) -> Option<&V> {
        // What else merged contexts inherit from, the last to be looked at first.
        let mut later = Vec::new();
        let mut at = self;
        loop {
            at = match at.view() {
                View::Node(node) => {
                    if let Some(merged) = node.get().merged() {
                        later.extend(merged.others.iter().rev().map(|(c, _)| c));
                    }
                    &node.get().parent
                }
                View::Value(value) => {
                    if let Some(found) = value.get() {
                        return Some(found);
                    }
                    value.parent()
                }
                View::Background | View::Todo => later.pop()?,
            };
        }
    }

    #[inline]
    pub(crate) fn view(&self) -> View<'_> {
        self.at.view()
    }

    #[inline]
    pub(crate) fn node_ref(&self) -> Option<NodeRef<'_>> {
        match self.view() {
            View::Node(node) => Some(node),
            View::Value(value) => value.node(),
            View::Background | View::Todo => None,
        }
    }

    /// The node it ends with.
    #[inline]
    pub(crate) fn node(&self) -> Option<&Node> {
        Some(self.node_ref()?.get())
    }

    /// As [`node`](Self::node), kept.
    pub(crate) fn shared_node(&self) -> Option<Shared> {
        Some(self.node_ref()?.share())
    }

    /// Where the deadline lies that it is under.
    pub(crate) fn due(&self) -> Option<NonNull<Timed>> {
        self.node()?.due()
    }

    /// How many derived contexts and closures wait in its list: for tests.
    #[doc(hidden)]
    pub fn __n_children(&self) -> usize {
        self.node().map_or(0, Node::n_children)
    }

    /// What its alarm would call: for models, which know no time.
    #[doc(hidden)]
    pub fn __bell(&self) -> Option<std::task::Waker> {
        self.shared_node().as_ref().map(bell::of)
    }
}
