//! What can go wrong here.

use thiserror::Error;

/// Why permits could not be had. See [`Semaphore::acquire`](crate::Semaphore::acquire).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum AcquireError {
    /// More were asked for than the semaphore has in all.
    #[error("more permits asked for than the semaphore has")]
    TooMany,
    /// The semaphore is closed.
    #[error("acquire on a closed semaphore")]
    Closed,
}
