//! The errors, under crossbeam-channel's names and with its meaning. `Debug` never shows
//! the value, so it needs no `T: Debug`.

use std::fmt;

use thiserror::Error;

/// A send failed: the channel is closed or no receiver is left. Holds the value.
#[derive(Clone, Copy, Eq, PartialEq, Error)]
#[error("sending on a disconnected channel")]
pub struct SendError<T>(pub T);

/// A send that does not wait failed. Holds the value.
#[derive(Clone, Copy, Eq, PartialEq, Error)]
pub enum TrySendError<T> {
    /// The channel is full, or at capacity 0 nobody is receiving.
    #[error("sending on a full channel")]
    Full(T),
    /// The channel is closed or no receiver is left.
    #[error("sending on a disconnected channel")]
    Disconnected(T),
}

/// A send that waits for a limited time failed. Holds the value.
#[derive(Clone, Copy, Eq, PartialEq, Error)]
pub enum SendTimeoutError<T> {
    /// The time passed before there was room or a receiver.
    #[error("timed out waiting on send operation")]
    Timeout(T),
    /// The channel is closed or no receiver is left.
    #[error("sending on a disconnected channel")]
    Disconnected(T),
}

/// A receive failed: the channel is empty, and closed or without senders.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
#[error("receiving on an empty and disconnected channel")]
pub struct RecvError;

/// A receive that does not wait failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
pub enum TryRecvError {
    /// There is nothing to receive now.
    #[error("receiving on an empty channel")]
    Empty,
    /// There will never be anything to receive.
    #[error("receiving on an empty and disconnected channel")]
    Disconnected,
}

/// A receive that waits for a limited time failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
pub enum RecvTimeoutError {
    /// The time passed before a value came.
    #[error("timed out waiting on receive operation")]
    Timeout,
    /// There will never be anything to receive.
    #[error("channel is empty and disconnected")]
    Disconnected,
}

/// No operation of a [`Select`](crate::Select) was ready.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Error)]
#[error("all operations in select would block")]
pub struct TrySelectError;

/// No operation of a [`Select`](crate::Select) became ready in time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Error)]
#[error("timed out waiting on select")]
pub struct SelectTimeoutError;

/// No operation of a [`Select`](crate::Select) was ready.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Error)]
#[error("all operations in select would block")]
pub struct TryReadyError;

/// No operation of a [`Select`](crate::Select) became ready in time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Error)]
#[error("timed out waiting on select")]
pub struct ReadyTimeoutError;

/// A receive from a [`broadcast`](crate::broadcast()) failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
pub enum BroadcastRecvError {
    /// So many values were overwritten before they were seen. The next receive gives the
    /// oldest that is left.
    #[error("receiving from a broadcast channel lagged behind by {0}")]
    Lagged(u64),
    /// There will never be anything to receive.
    #[error("receiving on an empty and disconnected channel")]
    Disconnected,
}

/// A receive from a [`broadcast`](crate::broadcast()) that does not wait failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
pub enum BroadcastTryRecvError {
    /// There is nothing to receive now.
    #[error("receiving on an empty channel")]
    Empty,
    /// So many values were overwritten before they were seen.
    #[error("receiving from a broadcast channel lagged behind by {0}")]
    Lagged(u64),
    /// There will never be anything to receive.
    #[error("receiving on an empty and disconnected channel")]
    Disconnected,
}

/// A receive from a [`broadcast`](crate::broadcast()) that waits for a limited time failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Error)]
pub enum BroadcastRecvTimeoutError {
    /// The time passed before a value came.
    #[error("timed out waiting on receive operation")]
    Timeout,
    /// So many values were overwritten before they were seen.
    #[error("receiving from a broadcast channel lagged behind by {0}")]
    Lagged(u64),
    /// There will never be anything to receive.
    #[error("receiving on an empty and disconnected channel")]
    Disconnected,
}

impl From<BroadcastRecvError> for BroadcastTryRecvError {
    fn from(err: BroadcastRecvError) -> Self {
        match err {
            BroadcastRecvError::Lagged(n) => Self::Lagged(n),
            BroadcastRecvError::Disconnected => Self::Disconnected,
        }
    }
}

impl From<BroadcastRecvError> for BroadcastRecvTimeoutError {
    fn from(err: BroadcastRecvError) -> Self {
        match err {
            BroadcastRecvError::Lagged(n) => Self::Lagged(n),
            BroadcastRecvError::Disconnected => Self::Disconnected,
        }
    }
}

// The texts of those with a value are crossbeam-channel's to the letter: in quotes.

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt("SendError(..)", f)
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Full(_) => "Full(..)",
            Self::Disconnected(_) => "Disconnected(..)",
        };
        fmt::Debug::fmt(text, f)
    }
}

impl<T> fmt::Debug for SendTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt("SendTimeoutError(..)", f)
    }
}

impl<T> SendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TrySendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(v) | Self::Disconnected(v) => v,
        }
    }

    /// Whether there was no room.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether it can never succeed.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl<T> SendTimeoutError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Timeout(v) | Self::Disconnected(v) => v,
        }
    }

    /// Whether the time passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout(_))
    }

    /// Whether it can never succeed.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected(_))
    }
}

impl TryRecvError {
    /// Whether there was nothing now.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Whether there will never be anything.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl RecvTimeoutError {
    /// Whether the time passed.
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::Timeout)
    }

    /// Whether there will never be anything.
    pub fn is_disconnected(&self) -> bool {
        matches!(self, Self::Disconnected)
    }
}

impl<T> From<SendError<T>> for TrySendError<T> {
    fn from(err: SendError<T>) -> Self {
        Self::Disconnected(err.0)
    }
}

impl<T> From<SendError<T>> for SendTimeoutError<T> {
    fn from(err: SendError<T>) -> Self {
        Self::Disconnected(err.0)
    }
}

impl From<RecvError> for TryRecvError {
    fn from(_: RecvError) -> Self {
        Self::Disconnected
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(_: RecvError) -> Self {
        Self::Disconnected
    }
}
