//! What can go wrong with time: it is up.

/// The time was up first. See [`timeout`](crate::timeout).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("timed out")]
pub struct Elapsed;
