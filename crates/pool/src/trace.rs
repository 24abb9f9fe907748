//! A span for each goroutine: feature `tracing`.
//!
//! The span lies around the goroutine's body, so a goroutine is all there is to change:
//! it is entered for every stretch in which the body runs and while it is dropped, and
//! closed with it. A panic on its way out of the body is an event in it.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::goroutine::Goroutine as Identity;
use tracing::{Span, field};

use crate::body::Body;
use crate::error::message;

/// A body in its span.
pub(crate) struct Traced<B> {
    span: Span,
    // Dropped in the span.
    body: ManuallyDrop<B>,
}

impl<B> Traced<B> {
    /// The span is a child of the starter's current one.
    pub(crate) fn new(body: B, goroutine: &Identity) -> Self {
        let span = tracing::info_span!(
            target: "rendez",
            "goroutine",
            id = goroutine.id(),
            name = goroutine.name(),
            spawned_at = goroutine.spawned_at().map(field::display),
        );
        Self {
            span,
            body: ManuallyDrop::new(body),
        }
    }
}

impl<B: Body> Body for Traced<B> {
    type Output = B::Output;
    const IS_CLOSURE: bool = B::IS_CLOSURE;

    // Its drop ends the span.
    fn is_spent(&self) -> bool {
        false
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<B::Output> {
        // SAFETY: the body is pinned with the whole, and dropped where it lies.
        let this = unsafe { self.get_unchecked_mut() };
        let _in_span = this.span.enter();
        // SAFETY: as above.
        let body = unsafe { Pin::new_unchecked(&mut *this.body) };
        match catch_unwind(AssertUnwindSafe(|| body.poll(cx))) {
            Ok(poll) => poll,
            Err(payload) => {
                let panic = message(&payload);
                tracing::error!(target: "rendez", panic, "goroutine panicked");
                resume_unwind(payload)
            }
        }
    }
}

impl<B> Drop for Traced<B> {
    fn drop(&mut self) {
        let _in_span = self.span.enter();
        // SAFETY: dropped once, here.
        unsafe { ManuallyDrop::drop(&mut self.body) };
    }
}
