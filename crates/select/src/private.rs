//! What the macros call. Not public API.

use std::panic::Location;
use std::rc::Rc;
use std::time::Duration;

use rendez_core::case::Outcome;
use rendez_core::shim::Arc;
use rendez_core::wait::{self, Won};
use rendez_core::{clock, hooks};

pub use rendez_core::case::{Arm, AsCase, Case};
pub use rendez_core::wait::{Empty, Order, try_any};

pub use crate::awaiting::{Awaiting, Elsewhere, Limit, NoFuture, wait_async};

use crate::permit::Permit;
use crate::sender::Sender;

/// Lets values pass as they do once two have fought for the channel's lock, for tests.
pub fn expect_rivals<T>(tx: &Sender<T>) {
    tx.chan.expect_rivals();
}

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

/// Blocks until an arm wins, or for as long as `limit` says.
#[track_caller]
pub fn block_limit(cases: &[&dyn Case], order: Order, limit: Limit) -> Option<Won> {
    let deadline = match limit {
        Limit::Now => return try_any(cases, order),
        Limit::At(deadline) => Some(deadline),
        Limit::Never => None,
    };
    wait::block_any(cases, deadline, order, Location::caller())
}

/// What may stand in a `send` arm: a sender that can wait, a pointer to one, or an `Option` of
/// one.
pub trait AsOffer {
    /// The case.
    type Offer<'a>: Offering
    where
        Self: 'a;

    /// Makes the case.
    fn __offer(&self) -> Self::Offer<'_>;
}

impl<T> AsOffer for Sender<T> {
    type Offer<'a>
        = &'a Self
    where
        Self: 'a;

    fn __offer(&self) -> &Self {
        self
    }
}

macro_rules! through_pointers {
    ($($Pointer:ty),*) => {$(
        impl<S: AsOffer + ?Sized> AsOffer for $Pointer {
            type Offer<'a>
                = S::Offer<'a>
            where
                Self: 'a;

            fn __offer(&self) -> Self::Offer<'_> {
                (**self).__offer()
            }
        }
    )*};
}

// Probing goes through pointers by itself, but not those in an `Option`.
through_pointers!(&S, &mut S, Box<S>, Rc<S>, Arc<S>);

impl<S: AsOffer> AsOffer for Option<S> {
    type Offer<'a>
        = Option<S::Offer<'a>>
    where
        Self: 'a;

    fn __offer(&self) -> Self::Offer<'_> {
        self.as_ref().map(|present| present.__offer())
    }
}

/// A case that, having won, holds a permit: what sends the value, by its method `send`.
pub trait Offering: Case {
    /// The permit.
    type Permit<'a>
    where
        Self: 'a;

    /// The permit of the outcome it won with.
    fn permit(&self, outcome: Outcome) -> Self::Permit<'_>;
}

impl<T> Offering for Sender<T> {
    type Permit<'a>
        = Permit<'a, T>
    where
        Self: 'a;

    fn permit(&self, outcome: Outcome) -> Permit<'_, T> {
        Permit::new(&self.chan, outcome)
    }
}

impl<O: Offering + ?Sized> Offering for &O {
    type Permit<'a>
        = O::Permit<'a>
    where
        Self: 'a;

    fn permit(&self, outcome: Outcome) -> Self::Permit<'_> {
        (**self).permit(outcome)
    }
}

// No sender, or an arm whose guard is false.
impl<O: Offering> Offering for Option<O> {
    type Permit<'a>
        = O::Permit<'a>
    where
        Self: 'a;

    fn permit(&self, outcome: Outcome) -> Self::Permit<'_> {
        match self {
            Some(offer) => offer.permit(outcome),
            None => unreachable!("an absent arm never wins"),
        }
    }
}
