//! A send whose value is still to be made: the `send` arm of a select.
#![allow(unsafe_code)]

use std::fmt;

use rendez_core::case::{Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};

use super::state::{CLOSED, PERMIT, State};
use super::{Sender, Shared};
use crate::__private::{AsOffer, Offering};
use crate::error::SendError;

/// What a send that looks now gets.
fn look<T>(state: &State<T>) -> Option<Outcome> {
    if state.no_sends() {
        Some(CLOSED)
    } else {
        state.has_room().then_some(PERMIT)
    }
}

fn take<T>(state: &mut State<T>, outcome: Outcome) -> Outcome {
    if outcome == PERMIT {
        state.offer();
    }
    outcome
}

impl<T> Sealed for Sender<T> {}

// SAFETY: `dequeue` takes the node out of the one queue `enqueue` puts it in, both under the
// lock, under which alone its waiters are claimed.
unsafe impl<T> Case for Sender<T> {
    fn probe(&self) -> Probe {
        let state = self.shared.lock();
        Probe {
            ready: look(&state).is_some(),
            epoch: state.epoch,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        let mut state = self.shared.lock();
        look(&state).map(|outcome| take(&mut state, outcome))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        match look(&state) {
            Some(outcome) if reg.claim_self().is_ok() => {
                reg.complete_self(take(&mut state, outcome));
            }
            // Held by an offer elsewhere, it looks again when that falls through.
            _ => state.sendq.push(reg, std::ptr::null()),
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        let mut state = self.shared.lock();
        if let Some(outcome) = look(&state).filter(|_| reg.claim_self().is_ok()) {
            state.sendq.remove(reg.node);
            reg.complete_self(take(&mut state, outcome));
        }
    }

    fn dequeue(&self, node: &Node) {
        self.shared.lock().sendq.remove(node);
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome == PERMIT {
            self.shared.change(State::unoffer);
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
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

impl<T> Offering for Sender<T> {
    type Permit<'a>
        = Permit<'a, T>
    where
        Self: 'a;

    fn permit(&self, outcome: Outcome) -> Permit<'_, T> {
        Permit {
            sender: self,
            outcome,
        }
    }
}

/// The place that a chosen `send` arm holds until its value is made. Dropped, it goes to the
/// next who waits to send.
#[doc(hidden)]
pub struct Permit<'a, T> {
    sender: &'a Sender<T>,
    outcome: Outcome,
}

impl<T> Permit<'_, T> {
    fn shared(&self) -> &Shared<T> {
        &self.sender.shared
    }

    /// Sends the value into the place.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel was closed when the arm was chosen, or no
    /// receiver is left.
    pub fn send(self, value: T) -> Result<(), SendError<T>> {
        let this = std::mem::ManuallyDrop::new(self);
        if this.outcome != PERMIT {
            return Err(SendError(value));
        }
        let redeem = |state: &mut State<T>, wakes: &mut _| state.redeem_offer(value, wakes);
        this.shared().change(redeem).map_err(SendError)
    }
}

impl<T> Drop for Permit<'_, T> {
    fn drop(&mut self) {
        self.sender.abandon(self.outcome);
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Permit { .. }")
    }
}
