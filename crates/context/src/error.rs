//! Why a context has ended.

use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;

use rendez_core::shim::Arc;
use thiserror::Error;

/// What ended a context, in one word. What is behind it says
/// [`Context::cause`](crate::Context::cause).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum ContextError {
    /// Somebody cancelled it. Go's `context.Canceled`.
    #[error("context canceled")]
    Canceled,
    /// Its deadline passed. Go's `context.DeadlineExceeded`.
    #[error("context deadline exceeded")]
    DeadlineExceeded,
}

impl ContextError {
    /// Whether time ran out. Go's `DeadlineExceeded.Timeout()`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::ContextError;
    ///
    /// assert!(ContextError::DeadlineExceeded.is_timeout());
    /// assert!(!ContextError::Canceled.is_timeout());
    /// ```
    pub fn is_timeout(self) -> bool {
        self == Self::DeadlineExceeded
    }
}

/// A deadline becomes [`io::ErrorKind::TimedOut`], a cancellation [`io::ErrorKind::Other`]:
/// never `Interrupted`, which callers retry.
impl From<ContextError> for io::Error {
    fn from(error: ContextError) -> Self {
        let kind = match error {
            ContextError::Canceled => io::ErrorKind::Other,
            ContextError::DeadlineExceeded => io::ErrorKind::TimedOut,
        };
        Self::new(kind, error)
    }
}

/// An error shared by all contexts that ended because of it.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Shares `error`. A [`Cause`] that has been boxed is itself again, so that one context's
/// cause can be another's.
pub(crate) fn share(error: Box<dyn Error + Send + Sync>) -> Cause {
    match error.downcast::<Cause>() {
        Ok(cause) => *cause,
        Err(error) => Cause::from(error),
    }
}

/// The cause of a context that was cancelled without one: who did it.
///
/// Its [`source`](Error::source) is [`ContextError::Canceled`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Canceled {
    pub(crate) at: &'static Location<'static>,
    pub(crate) dropped: bool,
}

impl Canceled {
    /// Where `cancel` was called; where the [`Cancel`](crate::Cancel) was made, if it was
    /// dropped instead.
    pub fn location(&self) -> &'static Location<'static> {
        self.at
    }
}

impl fmt::Display for Canceled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, dropped } = self;
        if *dropped {
            write!(f, "context canceled: the Cancel made at {at} was dropped")
        } else {
            write!(f, "context canceled at {at}")
        }
    }
}

impl fmt::Debug for Canceled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canceled({self})")
    }
}

impl Error for Canceled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&ContextError::Canceled)
    }
}
