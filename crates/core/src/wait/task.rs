//! The driver of tasks: a wait whose every step is a poll.
//!
//! It is a blocked thread's wait in pieces: what that has on its stack lies here in the future,
//! from the poll that queues to the one that sees the end, or to the drop. The invariants are
//! those of [`wait`](super).
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll};
use std::time::Instant;

use super::{Arms, Only, Order, Queued, Won, give_up, leave, look};
use crate::case::{Arm, Outcome};
use crate::clock::{self, Alarm};
use crate::goroutine;
use crate::hooks;
use crate::queue::Node;
use crate::waiter::{Unsettled, Waiter, WakeSet};
use crate::wake::Wake;

/// A wait as a task makes it. [`poll_won`](Self::poll_won) is a future's poll; `N` holds as many
/// nodes as there are arms.
///
/// It begins as its arms and nothing else: what queueing takes is made by the poll that queues.
pub struct Pending<A: Arms, N: Nodes> {
    arms: A,
    location: &'static Location<'static>,
    // There from the queueing to the end of the wait, and dropped there: at the end of one that
    // has not waited a look suffices. Pinned with the whole.
    place: ManuallyDrop<Option<Place<N>>>,
    order: Order,
    watch: bool,
}

/// What a task that is queued stands with.
struct Place<N> {
    nodes: N,
    waiter: Waiter,
    // Few wait for a time, and there may be millions.
    alarm: Option<Box<Alarm>>,
    _pinned: PhantomPinned,
}

/// Room for the nodes of a wait.
pub trait Nodes: AsRef<[Node]> {
    /// Nodes for `n` arms.
    fn make(n: usize) -> Self;
}

impl<const N: usize> Nodes for [Node; N] {
    #[inline]
    fn make(n: usize) -> Self {
        debug_assert_eq!(n, N);
        std::array::from_fn(|_| Node::new())
    }
}

impl Nodes for Box<[Node]> {
    fn make(n: usize) -> Self {
        (0..n).map(|_| Node::new()).collect()
    }
}

impl<A: Arms, N: Nodes> Pending<A, N> {
    /// A wait on `arms`; it begins with its first poll.
    #[inline]
    pub fn new(arms: A, order: Order, watch: bool, location: &'static Location<'static>) -> Self {
        Self {
            arms,
            location,
            place: ManuallyDrop::new(None),
            order,
            watch,
        }
    }

    /// The arms.
    pub fn arms(&self) -> &A {
        &self.arms
    }

    /// Polls: looks, queues, or sees which arm has won. The caller finishes that arm
    /// before it does anything else. Polled again after that, it waits anew.
    pub fn poll_won(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Won> {
        // SAFETY: nothing is moved out; nodes and waiter stay where they are pinned.
        let this = unsafe { self.get_unchecked_mut() };
        match this.look_first() {
            Some(won) => Poll::Ready(won),
            None => this.poll_queued(cx, None),
        }
    }

    /// The look that comes before the first queueing.
    fn look_first(&self) -> Option<Won> {
        hooks::switch_point();
        // A look may say ready and be wrong; who only watches queues, to be told.
        let looks = self.place.is_none() && !self.watch;
        looks.then(|| look(&self.arms, self.order)).flatten()
    }

    /// As [`poll_won`](Self::poll_won), but gives up with `None` once `deadline` passes.
    pub fn poll_until(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        deadline: Option<Instant>,
    ) -> Poll<Option<Won>> {
        // SAFETY: nothing is moved out; nodes and waiter stay where they are pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if let Some(won) = this.look_first() {
            return Poll::Ready(Some(won));
        }
        // An alarm for a deadline that has passed would be late.
        let limit = deadline.filter(|&at| at > clock::now());
        if let Poll::Ready(won) = this.poll_queued(cx, limit) {
            return Poll::Ready(Some(won));
        }
        if deadline == limit {
            return Poll::Pending;
        }
        let Some(place) = &*this.place else {
            return Poll::Pending;
        };
        let won = match place.waiter.abort(false) {
            Ok(won) => won,
            // An offer holds us, and its end wakes us, or it has ended and has woken us.
            Err(Unsettled::Held | Unsettled::LetGo) => return Poll::Pending,
        };
        let nodes = place.nodes.as_ref();
        leave(&this.arms, nodes, won);
        let won = won.map(|arm| (arm, this.arms.arm(arm).won(&nodes[arm])));
        *this.place = None;
        Poll::Ready(won)
    }

    // Apart, so that those who need not wait are not burdened with it.
    #[inline(never)]
    fn poll_queued(&mut self, cx: &mut Context<'_>, limit: Option<Instant>) -> Poll<Won> {
        let won = if self.place.is_none() {
            self.enqueue(cx)
        } else {
            self.look_again(cx)
        };
        self.settle(won, cx, limit)
    }

    /// The end of a poll: of the wait too if `won`; else it is woken at `limit`, if not before.
    #[inline(always)]
    fn settle(
        &mut self,
        mut won: Option<usize>,
        cx: &mut Context<'_>,
        limit: Option<Instant>,
    ) -> Poll<Won> {
        if won.is_none() {
            let due = self.queued().deadline();
            if due.is_some() || limit.is_some() {
                won = self.wait_until(cx, due, limit);
            }
        }
        let queued = self.queued();
        if let Some(arm) = won {
            let won = ManuallyDrop::into_inner(queued).won(arm);
            *self.place = None;
            return Poll::Ready(won);
        }
        goroutine::parked(queued.kind(), self.location);
        Poll::Pending
    }

    /// The queues it stands in. It is made where it is needed, so that it need not lie in memory.
    #[inline]
    fn queued(&self) -> ManuallyDrop<Queued<'_, A>> {
        let Some(place) = &*self.place else {
            unreachable!("made by `enqueue`")
        };
        ManuallyDrop::new(Queued {
            arms: &self.arms,
            waiter: &place.waiter,
            nodes: place.nodes.as_ref(),
            watch: self.watch,
            brief: false,
        })
    }

    /// Makes the place where it waits and queues.
    #[inline(always)]
    fn enqueue(&mut self, cx: &Context<'_>) -> Option<usize> {
        let n = self.arms.len();
        // Foreign code, which may panic: nothing has been begun then.
        let wake = Wake::Task(cx.waker().clone());
        let place = Some(Place {
            nodes: N::make(n),
            waiter: Waiter::new(wake),
            alarm: None,
            _pinned: PhantomPinned,
        });
        // Built where it lies, since nothing has to be dropped there before.
        // SAFETY: the field is ours, and it was `None`.
        unsafe { ptr::write(&raw mut self.place, ManuallyDrop::new(place)) };
        self.queued().enqueue(self.order.start(n))
    }

    /// Whether an arm has won, for one who is queued and is polled again.
    #[inline(never)]
    fn look_again(&self, cx: &Context<'_>) -> Option<usize> {
        let queued = self.queued();
        queued.waiter.ready().or_else(|| {
            // As above: should it panic, the wake before is still there.
            let wake = Wake::Task(cx.waker().clone());
            let spent = queued.waiter.set_wake(wake) == WakeSet::Anew;
            // It may have been won before the new wake was there.
            queued
                .waiter
                .ready()
                .or_else(|| queued.recheck(self.order.start(self.arms.len()), spent))
        })
    }

    /// Sees to it that it is polled at the earlier of the two: when an arm is `due`, and `limit`.
    #[cold]
    fn wait_until(
        &mut self,
        cx: &Context<'_>,
        due: Option<Instant>,
        limit: Option<Instant>,
    ) -> Option<usize> {
        let place = self.place.as_mut()?;
        let earliest = due.into_iter().chain(limit).min()?;
        // Set the alarm, then look once more: time may have passed meanwhile.
        // An offer holds us: an arm that is due cannot be won, and we are woken when
        // the offer ends, one way or the other.
        if !place.waiter.is_reserved() {
            let alarm = place.alarm.get_or_insert_default();
            alarm.set(earliest, cx.waker());
        }
        let start = self.order.start(self.arms.len());
        due.and_then(|_| self.queued().recheck(start, false))
    }
}

impl<C: Arm> Pending<Only<C>, [Node; 1]> {
    /// How it was served while it waited, if it was: there is nothing else to leave then.
    #[inline]
    fn take_served(&mut self) -> Option<Outcome> {
        let place = self.place.as_ref()?;
        if !place.waiter.is_won_by(0) {
            return None;
        }
        let outcome = self.arms.0.won(&place.nodes[0]);
        *self.place = None;
        Some(outcome)
    }
}

impl<A: Arms, N: Nodes> Pending<A, N> {
    #[cold]
    fn leave_unserved(&mut self) {
        if let Some(place) = &*self.place {
            give_up(&self.arms, &place.waiter, place.nodes.as_ref(), self.watch);
        }
        *self.place = None;
    }
}

impl<A: Arms, N: Nodes> Drop for Pending<A, N> {
    #[inline]
    fn drop(&mut self) {
        if self.place.is_some() {
            self.leave_unserved();
        }
    }
}

impl<A: Arms, N: Nodes> fmt::Debug for Pending<A, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("n_arms", &self.arms.len())
            .field("waiter", &self.place.as_ref().map(|place| &place.waiter))
            .finish_non_exhaustive()
    }
}

/// One case as a future. Cancel-safe: dropped before it completes, it has taken nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct CaseFuture<C: Arm>(Pending<Only<C>, [Node; 1]>);

impl<C: Arm> CaseFuture<C> {
    /// Waits for `case`; `location` is what dumps show.
    pub fn new(case: C, location: &'static Location<'static>) -> Self {
        Self(Pending::new(Only(case), Order::Biased, false, location))
    }

    /// The case.
    pub fn case(&self) -> &C {
        &self.0.arms.0
    }

    /// Whether it waits: it has been polled, and has not given its result since.
    pub fn is_waiting(&self) -> bool {
        self.0.place.is_some()
    }

    /// Polls, for a caller who has just looked in vain: it should not [wait](Self::is_waiting) yet.
    #[inline]
    pub fn poll_looked(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        if self.is_waiting() {
            return self.poll_waiting(cx);
        }
        // SAFETY: nothing is moved out; node and waiter stay where they are pinned.
        let pending = unsafe { &mut self.get_unchecked_mut().0 };
        let won = pending.enqueue(cx);
        let (_, outcome) = std::task::ready!(pending.settle(won, cx, None));
        Poll::Ready(pending.arms.0.finish(outcome))
    }

    /// Polls one that [waits](Self::is_waiting).
    #[inline]
    pub fn poll_waiting(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        // SAFETY: nothing is moved out; node and waiter stay where they are pinned.
        let pending = unsafe { &mut self.get_unchecked_mut().0 };
        let outcome = match pending.take_served() {
            Some(outcome) => outcome,
            None => std::task::ready!(pending.poll_queued(cx, None)).1,
        };
        Poll::Ready(pending.arms.0.finish(outcome))
    }
}

impl<C: Arm> Future for CaseFuture<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        if self.is_waiting() {
            hooks::switch_point();
            return self.poll_waiting(cx);
        }
        match self.0.look_first() {
            Some((_, outcome)) => Poll::Ready(self.0.arms.0.finish(outcome)),
            None => self.poll_looked(cx),
        }
    }
}
