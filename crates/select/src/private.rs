//! What the macros call. Not public API.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use rendez_core::case::{Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};
use rendez_core::wait::{self, Won};
use rendez_core::{clock, hooks};

pub use rendez_core::case::{Arm, AsCase, Case};
pub use rendez_core::wait::{Empty, Order, try_any};

pub use crate::awaiting::{Awaiting, Elsewhere, Limit, NoFuture, wait_async};

use crate::permit::Permit;
use crate::sender::Sender;

/// Blocks until an arm wins.
#[track_caller]
pub fn block(cases: &[&dyn Case], order: Order) -> Option<Won> {
    wait::block_any(cases, None, order, Location::caller())
}

/// Blocks until an arm wins or the time has passed.
#[track_caller]
pub fn block_timeout(cases: &[&dyn Case], order: Order, timeout: Duration) -> Option<Won> {
    // The clock is asked only if it matters.
    hooks::switch_point();
    if let Some(won) = wait::look(cases, order) {
        return Some(won);
    }
    wait::block_any(
        cases,
        clock::deadline_after(timeout),
        order,
        Location::caller(),
    )
}

/// What may stand in a `send` arm: a sender, a reference to one, or an `Option` of one.
pub trait AsOffer {
    /// The value it sends.
    type Value;
    /// The case.
    fn __offer(&self) -> OfferCase<'_, Self::Value>;
}

impl<T> AsOffer for Sender<T> {
    type Value = T;
    fn __offer(&self) -> OfferCase<'_, T> {
        OfferCase(Some(self))
    }
}

impl<S: AsOffer + ?Sized> AsOffer for &S {
    type Value = S::Value;
    fn __offer(&self) -> OfferCase<'_, S::Value> {
        (**self).__offer()
    }
}

impl<S: AsOffer> AsOffer for Option<S> {
    type Value = S::Value;
    fn __offer(&self) -> OfferCase<'_, S::Value> {
        self.as_ref().map_or(OfferCase(None), AsOffer::__offer)
    }
}

/// A `send` arm; never ready if there is no sender.
pub struct OfferCase<'a, T>(Option<&'a Sender<T>>);

impl<T> fmt::Debug for OfferCase<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OfferCase").field(&self.0).finish()
    }
}

/// A case that, having won, holds a permit.
pub trait Offering {
    /// The value it sends.
    type Value;
    /// The permit of the outcome it won with.
    fn permit(&self, outcome: Outcome) -> Permit<'_, Self::Value>;
}

impl<T> Offering for OfferCase<'_, T> {
    type Value = T;
    fn permit(&self, outcome: Outcome) -> Permit<'_, T> {
        match self.0 {
            Some(sender) => sender.permit(outcome),
            None => unreachable!("an absent arm never wins"),
        }
    }
}

// An arm whose guard is false.
impl<O: Offering> Offering for Option<O> {
    type Value = O::Value;
    fn permit(&self, outcome: Outcome) -> Permit<'_, O::Value> {
        match self {
            Some(offer) => offer.permit(outcome),
            None => unreachable!("an absent arm never wins"),
        }
    }
}

impl<T> Sealed for OfferCase<'_, T> {}

#[allow(unsafe_code)]
// SAFETY: the sender's case, or one that queues nobody.
unsafe impl<T> Case for OfferCase<'_, T> {
    fn probe(&self) -> Probe {
        self.0.probe()
    }
    fn try_now(&self) -> Option<Outcome> {
        self.0.try_now()
    }
    fn enqueue(&self, reg: &Registration<'_>) {
        self.0.enqueue(reg);
    }
    fn recheck(&self, reg: &Registration<'_>) {
        self.0.recheck(reg);
    }
    fn dequeue(&self, node: &Node) {
        self.0.dequeue(node);
    }
    fn abandon(&self, outcome: Outcome) {
        self.0.abandon(outcome);
    }
    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
}
