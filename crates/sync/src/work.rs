//! What an `_async` form may be given to run: a future, or a closure that makes one.

use std::future::Future;
use std::marker::PhantomData;

/// Work to be awaited, begun only if it is this caller's turn: a future, or a closure that
/// makes one. `Marker` tells them apart and is always inferred.
pub trait Work<Marker> {
    /// What is awaited.
    type Future: Future;

    /// Makes the future.
    #[doc(hidden)]
    fn begin(self) -> Self::Future;
}

/// Marks a future as [`Work`].
#[derive(Debug)]
pub struct ByFuture(PhantomData<()>);

/// Marks a closure as [`Work`].
#[derive(Debug)]
pub struct ByClosure(PhantomData<()>);

impl<F: Future> Work<ByFuture> for F {
    type Future = F;

    fn begin(self) -> F {
        self
    }
}

impl<F: FnOnce() -> Fut, Fut: Future> Work<ByClosure> for F {
    type Future = Fut;

    fn begin(self) -> Fut {
        self()
    }
}
