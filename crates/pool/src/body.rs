//! What a goroutine runs: a closure or a future, told apart by a marker so that one
//! function takes both.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// What [`go`](crate::go) takes: a closure or a future.
///
/// The marker only tells the two apart for the compiler; it is always inferred.
///
/// An `async` closure, or a closure that returns a future, counts as a closure: it would
/// make a future that nobody polls. Write `go(async { … })` instead.
pub trait Goroutine<Marker>: Send + Sized {
    /// What it returns.
    type Output: Send;

    #[doc(hidden)]
    type Body: Body<Output = Self::Output>;

    #[doc(hidden)]
    fn into_body(self) -> Self::Body;
}

/// The two kinds of goroutine, for the `Marker` of [`Goroutine`].
#[allow(missing_debug_implementations)]
pub mod marker {
    /// A closure.
    pub enum Closure {}
    /// A future.
    pub enum Future {}
}

impl<F, T> Goroutine<marker::Closure> for F
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    type Output = T;
    type Body = Closure<F>;

    fn into_body(self) -> Closure<F> {
        Closure(Some(self))
    }
}

impl<F> Goroutine<marker::Future> for F
where
    F: Future + Send,
    F::Output: Send,
{
    type Output = F::Output;
    type Body = Async<F>;

    fn into_body(self) -> Async<F> {
        Async(self)
    }
}

/// A goroutine's code as the scheduler sees it: something to be polled to its end.
#[doc(hidden)]
pub trait Body: Send {
    /// What it returns.
    type Output: Send;

    /// Whether it runs on its thread's stack to its end: it may compute for long, and what
    /// it wakes must not wait for it.
    const IS_CLOSURE: bool;

    /// Whether its drop does nothing.
    fn is_spent(&self) -> bool;

    /// Runs it, or the next stretch of it.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output>;
}

/// A closure: its one poll runs it.
#[doc(hidden)]
#[derive(Debug)]
pub struct Closure<F>(Option<F>);

// A closure is called by value and never pinned.
impl<F> Unpin for Closure<F> {}

impl<F: FnOnce() -> T + Send, T: Send> Body for Closure<F> {
    type Output = T;
    const IS_CLOSURE: bool = true;

    fn is_spent(&self) -> bool {
        self.0.is_none()
    }

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        let f = self.0.take().expect("a closure is polled once");
        Poll::Ready(f())
    }
}

/// A future.
#[doc(hidden)]
#[derive(Debug)]
pub struct Async<F>(F);

impl<F: Future + Send> Body for Async<F>
where
    F::Output: Send,
{
    type Output = F::Output;
    const IS_CLOSURE: bool = false;

    fn is_spent(&self) -> bool {
        !std::mem::needs_drop::<F>()
    }

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}
