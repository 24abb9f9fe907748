//! What can go wrong with a goroutine.

use std::any::Any;
use std::fmt;

use crate::dump::Dump;

/// What a panic carries.
pub type Payload = Box<dyn Any + Send + 'static>;

/// Why a goroutine has no result.
#[derive(thiserror::Error)]
pub enum JoinError {
    /// It panicked, with this payload.
    #[error("goroutine panicked: {}", message(.0))]
    Panicked(Payload),
    /// It was cancelled before its end, its pool took no new goroutine, or the system gave no
    /// thread to one that was to have its own.
    #[error("goroutine was cancelled")]
    Cancelled,
}

impl JoinError {
    /// The panic's payload.
    ///
    /// # Panics
    ///
    /// If the goroutine did not panic; see [`try_into_panic`](Self::try_into_panic).
    ///
    /// # Examples
    ///
    /// ```
    /// let error = rendez_pool::go(|| panic!("oh")).join().unwrap_err();
    /// assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "oh");
    /// ```
    #[track_caller]
    pub fn into_panic(self) -> Payload {
        match self {
            Self::Panicked(payload) => payload,
            Self::Cancelled => panic!("no panic to be had: {self}"),
        }
    }

    /// The panic's payload, if the goroutine panicked.
    ///
    /// # Errors
    ///
    /// Itself, if the goroutine did not panic.
    pub fn try_into_panic(self) -> Result<Payload, Self> {
        match self {
            Self::Panicked(payload) => Ok(payload),
            Self::Cancelled => Err(self),
        }
    }

    /// Goes on with the goroutine's panic in the caller.
    ///
    /// # Panics
    ///
    /// Always: with the goroutine's payload, or, if it was cancelled, with a message that
    /// says so.
    #[track_caller]
    pub fn resume(self) -> ! {
        match self {
            Self::Panicked(payload) => std::panic::resume_unwind(payload),
            Self::Cancelled => panic!("{self}"),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(payload) => f.debug_tuple("Panicked").field(&message(payload)).finish(),
            Self::Cancelled => f.write_str("Cancelled"),
        }
    }
}

/// The text of a panic, if it has one.
pub(crate) fn message(payload: &Payload) -> &str {
    if let Some(s) = payload.downcast_ref::<&str>() {
        s
    } else if let Some(s) = payload.downcast_ref::<String>() {
        s
    } else {
        "Box<dyn Any>"
    }
}

/// Goroutines had not ended when the time for a shutdown was up.
///
/// Its `Display` says how many, and then shows each as a [`Dump`] does.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{n} goroutines have not ended:\n\n{dump}")]
pub struct Unfinished {
    n: usize,
    dump: Dump,
}

impl Unfinished {
    pub(crate) fn new(n: usize, dump: Dump) -> Self {
        // One that moved while the dump was made may not be in it.
        let n = n.max(dump.goroutines().len());
        Self { n, dump }
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.n
    }

    /// Which they were: id, name, where they were started, and where they waited.
    pub fn dump(&self) -> &Dump {
        &self.dump
    }
}

/// An executor runs no new goroutine. See [`Spawn`](crate::Spawn).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// It has been shut down.
    #[error("the executor has been shut down")]
    Shutdown,
    /// For a reason of its own.
    #[error("the executor runs no new goroutine")]
    Other(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SpawnError {
    /// For a reason of the executor's own.
    pub fn other(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Other(source.into())
    }
}
