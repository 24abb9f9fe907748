//! The awaited forms.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use rendez_context::Ended;
use rendez_core::case::{Arm, AsCase};
use rendez_core::countdown::Zero;
use rendez_core::queue::Node;
use rendez_core::shim::Arc;
use rendez_core::wait::{And, CaseFuture, Empty, Order, Pending};
use rendez_pool::{Goroutine, Spawn};

use crate::group;
use crate::slots::Slot;
use crate::state::{Shared, check};

type Arms<'a> = And<And<Empty, Slot<'a>>, Option<Ended<'a>>>;

/// What [`Group::go_async`](crate::Group::go_async) gives.
#[must_use = "futures do nothing unless polled"]
pub struct GoFuture<'a, E, M, G> {
    shared: &'a Arc<Shared<E>>,
    executor: Option<&'a dyn Spawn>,
    // Taken when it is started or given up.
    goroutine: Option<G>,
    // The wait at the limit, once there is one. Pinned with the whole.
    waiting: Option<Pending<Arms<'a>, [Node; 2]>>,
    // Whether it has a slot, for a goroutine not yet started.
    has_slot: bool,
    location: &'static Location<'static>,
    _marker: PhantomData<fn() -> M>,
}

impl<'a, E, M, G> GoFuture<'a, E, M, G>
where
    E: fmt::Debug + Send + 'static,
    G: Goroutine<M, Output = Result<(), E>>,
{
    /// # Safety
    ///
    /// What the goroutine borrows lives until the group's count is zero.
    pub(crate) unsafe fn new(
        shared: &'a Arc<Shared<E>>,
        executor: Option<&'a dyn Spawn>,
        goroutine: G,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            shared,
            executor,
            goroutine: Some(goroutine),
            waiting: None,
            has_slot: false,
            location,
            _marker: PhantomData,
        }
    }
}

fn wait_at<'a>(
    slot: Slot<'a>,
    ended: Option<Ended<'a>>,
    location: &'static Location<'static>,
) -> Pending<Arms<'a>, [Node; 2]> {
    Pending::new(Empty.and(slot).and(ended), Order::Biased, false, location)
}

impl<E, M, G> Future for GoFuture<'_, E, M, G>
where
    E: fmt::Debug + Send + 'static,
    G: Goroutine<M, Output = Result<(), E>>,
{
    type Output = ();

    /// # Panics
    ///
    /// If polled again after it has completed, or if the limit is zero.
    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<()> {
        // SAFETY: `waiting` is never moved out of its place while it is `Some`; the others
        // are not pinned: the goroutine is moved to its cell before it is polled.
        let this = unsafe { self.get_unchecked_mut() };
        let shared = this.shared;
        assert!(
            this.goroutine.is_some(),
            "`GoFuture` polled after completion"
        );
        if let Some(limit) = shared.slots.limit().filter(|_| !this.has_slot) {
            check(limit);
            let waited = this.waiting.is_some();
            if waited || !shared.slots.try_take() {
                let slot = Slot(&shared.slots);
                let location = this.location;
                let waiting = this.waiting.get_or_insert_with(|| {
                    let ended = shared.context.as_ref().map(|ctx| ctx.done().__case());
                    wait_at(slot, ended, location)
                });
                // SAFETY: pinned with the whole.
                let mut waiting = unsafe { Pin::new_unchecked(waiting) };
                let (arm, outcome) = ready!(waiting.as_mut().poll_won(cx));
                if arm == 1 {
                    let end = waiting.arms().1.finish(outcome);
                    if shared.skip(end) {
                        this.waiting = None;
                        this.goroutine = None;
                        return Poll::Ready(());
                    }
                    waiting.set(wait_at(slot, None, location));
                    ready!(waiting.as_mut().poll_won(cx));
                }
                this.waiting = None;
            }
            this.has_slot = true;
            if waited && limit > 1 {
                // Behind those that are due to run: when they have, their slots are free, and
                // whoever starts many waits once for all of those. Whoever has time to run
                // something may run this one.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let goroutine = this.goroutine.take().expect("looked at above");
        let has_slot = std::mem::take(&mut this.has_slot);
        // SAFETY: as the maker has promised.
        unsafe {
            shared.start(
                &group::on(this.executor),
                goroutine,
                has_slot,
                this.location,
            )
        };
        Poll::Ready(())
    }
}

impl<E, M, G> Drop for GoFuture<'_, E, M, G> {
    fn drop(&mut self) {
        if self.has_slot {
            self.shared.slots.release();
        }
    }
}

impl<E, M, G> fmt::Debug for GoFuture<'_, E, M, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GoFuture")
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// What [`Group::wait_async`](crate::Group::wait_async) gives.
#[must_use = "futures do nothing unless polled"]
pub struct WaitFuture<'a, E> {
    shared: &'a Shared<E>,
    // Pinned with the whole.
    zero: CaseFuture<Zero<'a>>,
}

impl<'a, E> WaitFuture<'a, E> {
    pub(crate) fn new(shared: &'a Shared<E>, location: &'static Location<'static>) -> Self {
        let zero = CaseFuture::new(shared.zero(), location);
        Self { shared, zero }
    }
}

impl<E> Future for WaitFuture<'_, E> {
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Result<(), E>> {
        let shared = self.shared;
        // SAFETY: the field is pinned with the whole and never moved out.
        let zero = unsafe { self.map_unchecked_mut(|this| &mut this.zero) };
        ready!(zero.poll(cx));
        shared.end_context();
        Poll::Ready(shared.first_error())
    }
}

impl<E> fmt::Debug for WaitFuture<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFuture").finish_non_exhaustive()
    }
}
