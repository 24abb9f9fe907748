//! What an async select awaits: cases, which queue, and plain futures, which are polled.
//!
//! Both lists have a place for every arm, so that an arm has one number; a future's place
//! among the cases, and a case's among the futures, is taken by [`Elsewhere`].
//!
//! Exactly one arm commits. A case that was won before a future completes goes first (in a
//! biased select: unless the future's arm stands before it); a future that completes before
//! any case is won commits, and what a case wins from then until it has left its queue is
//! abandoned, which passes it on.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::case::{Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};
use rendez_core::wait::{self, Arms, Order, Pending, Won};
use rendez_core::{clock, hooks};

/// The future of an `await` arm, until it is dropped, and then its output.
#[derive(Debug)]
pub struct Awaiting<F: Future> {
    // Pinned with the whole.
    future: Option<F>,
    output: Option<F::Output>,
}

impl<F: Future> Awaiting<F> {
    /// Awaits `future`; `None` never completes.
    pub fn new(future: Option<F>) -> Self {
        Self {
            future,
            output: None,
        }
    }

    /// Drops the future.
    pub fn leave(self: Pin<&mut Self>) {
        self.parts().0.set(None);
    }

    /// The output of a future that has completed.
    ///
    /// # Panics
    ///
    /// Never: the arm has won.
    pub fn output(self: Pin<&mut Self>) -> F::Output {
        self.parts().1.take().expect("the arm that won completed")
    }

    fn parts(self: Pin<&mut Self>) -> (Pin<&mut Option<F>>, &mut Option<F::Output>) {
        // SAFETY: `future` is pinned with the whole and dropped in place; `output` is never
        // pinned.
        unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.future), &mut this.output)
        }
    }
}

/// An arm of the other list.
#[derive(Clone, Copy, Debug)]
pub struct Elsewhere;

impl Sealed for Elsewhere {}

// SAFETY: it queues nobody.
unsafe impl Case for Elsewhere {
    fn probe(&self) -> Probe {
        Probe::NEVER
    }
    fn try_now(&self) -> Option<Outcome> {
        None
    }
    fn enqueue(&self, _: &Registration<'_>) {}
    fn dequeue(&self, _: &Node) {}
    fn abandon(&self, _: Outcome) {}
    fn kind(&self) -> WaitKind {
        WaitKind::Select
    }
}

/// One arm among the futures.
pub trait FutureArm {
    /// Whether it is one.
    const IS_FUTURE: bool;
    /// Polls it; whether it has completed.
    fn poll_done(&mut self, cx: &mut Context<'_>) -> bool;
}

impl FutureArm for Elsewhere {
    const IS_FUTURE: bool = false;
    fn poll_done(&mut self, _: &mut Context<'_>) -> bool {
        false
    }
}

impl<F: Future> FutureArm for Pin<&mut Awaiting<F>> {
    const IS_FUTURE: bool = true;
    fn poll_done(&mut self, cx: &mut Context<'_>) -> bool {
        let (mut future, output) = self.as_mut().parts();
        let Some(pinned) = future.as_mut().as_pin_mut() else {
            return false;
        };
        let Poll::Ready(ready) = pinned.poll(cx) else {
            return false;
        };
        *output = Some(ready);
        future.set(None);
        true
    }
}

/// A list with a place for each arm.
pub trait Futures {
    /// Whether there is a future in it.
    const ANY: bool;
    /// How many arms.
    const LEN: usize;
    /// Polls the `i`-th; whether it has completed.
    fn poll_done(&mut self, i: usize, cx: &mut Context<'_>) -> bool;
}

/// No arm: where a list begins.
#[derive(Clone, Copy, Debug)]
pub struct NoFuture;

/// A list of arms and one more.
#[derive(Clone, Copy, Debug)]
pub struct AndFuture<R, F>(R, F);

impl NoFuture {
    /// A list of `arm` alone.
    pub fn and<F: FutureArm>(self, arm: F) -> AndFuture<Self, F> {
        AndFuture(self, arm)
    }
}

impl<R: Futures, F: FutureArm> AndFuture<R, F> {
    /// This list and `arm` after it.
    pub fn and<G: FutureArm>(self, arm: G) -> AndFuture<Self, G> {
        AndFuture(self, arm)
    }
}

impl Futures for NoFuture {
    const ANY: bool = false;
    const LEN: usize = 0;
    fn poll_done(&mut self, _: usize, _: &mut Context<'_>) -> bool {
        false
    }
}

impl<R: Futures, F: FutureArm> Futures for AndFuture<R, F> {
    const ANY: bool = R::ANY || F::IS_FUTURE;
    const LEN: usize = R::LEN + 1;
    fn poll_done(&mut self, i: usize, cx: &mut Context<'_>) -> bool {
        if i == R::LEN {
            self.1.poll_done(cx)
        } else {
            self.0.poll_done(i, cx)
        }
    }
}

/// How long a select waits.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Not at all.
    Now,
    /// Until then.
    At(Instant),
    /// For ever.
    Never,
}

impl Limit {
    /// For so long from now.
    pub fn after(timeout: Duration) -> Self {
        clock::deadline_after(timeout).map_or(Self::Never, Self::At)
    }
}

/// Awaits the arm that wins, or the time.
#[track_caller]
pub fn wait_async<A: Arms, F: Futures, const N: usize>(
    arms: A,
    futures: F,
    order: Order,
    limit: Limit,
) -> WaitFuture<A, F, N> {
    WaitFuture {
        pending: Pending::new(arms, order, false, Location::caller()),
        futures,
        order,
        limit,
        looked: false,
    }
}

/// What an async select awaits.
#[must_use = "futures do nothing unless polled"]
pub struct WaitFuture<A: Arms, F: Futures, const N: usize> {
    // Pinned with the whole.
    pending: Pending<A, [Node; N]>,
    futures: F,
    order: Order,
    limit: Limit,
    looked: bool,
}

const DONE: Outcome = Outcome(0);

impl<A: Arms, F: Futures, const N: usize> Future for WaitFuture<A, F, N> {
    type Output = Option<Won>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Won>> {
        // SAFETY: `pending` is pinned with the whole and never moved out; the rest is never
        // pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let mut pending = unsafe { Pin::new_unchecked(&mut this.pending) };
        let looked = std::mem::replace(&mut this.looked, true);
        if F::ANY && !looked {
            // Futures and cases in one order, as if they were alike.
            let won = arms_in::<N>(this.order).into_iter().find_map(|i| {
                if this.futures.poll_done(i, cx) {
                    return Some((i, DONE));
                }
                let case = pending.arms().arm(i);
                let outcome = case.probe().ready.then(|| case.try_now()).flatten()?;
                Some((i, outcome))
            });
            if won.is_some() {
                return Poll::Ready(won);
            }
        }
        let deadline = match this.limit {
            Limit::Now => {
                let arms = pending.arms();
                let cases: [&dyn Case; N] = std::array::from_fn(|i| arms.arm(i));
                return Poll::Ready(wait::try_any(&cases, this.order));
            }
            Limit::At(deadline) => Some(deadline),
            Limit::Never => None,
        };
        let won = pending.as_mut().poll_until(cx, deadline);
        if F::ANY && (looked || won.is_ready()) {
            // Which futures may still win: all, or none, or those before the case that has.
            let bound = match won {
                Poll::Ready(Some(_)) if this.order == Order::Fair => 0,
                Poll::Ready(Some((arm, _))) => arm,
                Poll::Ready(None) | Poll::Pending => N,
            };
            // Given back if a future wins after all, or panics.
            let held = match won {
                Poll::Ready(Some((arm, outcome))) => Some(Held(pending.arms().arm(arm), outcome)),
                _ => None,
            };
            let done = arms_in::<N>(this.order)
                .into_iter()
                .find(|&i| i < bound && this.futures.poll_done(i, cx));
            if let Some(i) = done {
                return Poll::Ready(Some((i, DONE)));
            }
            std::mem::forget(held);
        }
        won
    }
}

/// What a case has won; dropped, it is given back.
struct Held<'a>(&'a dyn Case, Outcome);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.abandon(self.1);
    }
}

/// The arms in the order in which they are looked at.
fn arms_in<const N: usize>(order: Order) -> [usize; N] {
    let mut arms = std::array::from_fn(|i| i);
    if order == Order::Fair {
        for i in (1..N).rev() {
            arms.swap(i, hooks::random_below(i + 1));
        }
    }
    arms
}

impl<A: Arms, F: Futures, const N: usize> fmt::Debug for WaitFuture<A, F, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFuture").finish_non_exhaustive()
    }
}
