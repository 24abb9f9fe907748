//! Sending: what a send and an offer to send do when they look, queue, leave and finish.
//!
//! - [`SendSlot`]: a send with its value in its slot, taken by whoever receives it.
//! - [`Offer`]: a send whose value is still to be made (select arms, `reserve`): served,
//!   it holds a permit.
#![allow(unsafe_code)]

use std::ops::Deref;

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Pair, PairReserve, Registration};

use super::beside::Beside;
use super::lane::Refused;
use super::queueing::{dequeue, may_queue, watch};
use super::slot::Slot;
use super::state::{CLOSED, PERMIT, SENT, State, WATCH_SEND};
use super::{Chan, Locked, QUEUED, mirror};
use crate::error::SendError;

/// Why a send that does not wait did not happen.
pub(crate) enum TrySend<T> {
    Full(T),
    Closed(T),
}

impl<T> Chan<T> {
    #[inline]
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySend<T>> {
        match self.send_at_once(value) {
            Ok(()) => Ok(()),
            Err(value) => self.try_send_slow(value),
        }
    }

    /// As [`try_send`](Self::try_send), if it does not go at once.
    #[inline(never)]
    pub(crate) fn try_send_slow(&self, value: T) -> Result<(), TrySend<T>> {
        let value = match self.beside.get() {
            None => value,
            Some(Beside::Front(_)) => match self.send_to_front(value) {
                Ok(()) => return Ok(()),
                Err(value) => value,
            },
            Some(Beside::Lane(lane)) => match lane.send(value) {
                Ok(()) => return Ok(()),
                Err((Refused::Idle, value)) => return Err(TrySend::Full(value)),
                Err((Refused::Stopped, value)) => value,
            },
        };
        if self.probe_send().ready {
            self.try_send_locked(value)
        } else {
            Err(TrySend::Full(value))
        }
    }

    /// As [`try_send_slow`](Self::try_send_slow), for who would wait for a slot now: what is granted
    /// takes up slots of the lane, but no room.
    pub(crate) fn try_send_waiting(&self, value: T) -> Result<(), TrySend<T>> {
        let unsure = || self.lane().is_some_and(|lane| lane.has_grants());
        match self.try_send_slow(value) {
            Err(TrySend::Full(value)) if unsure() => self.try_send_locked(value),
            sent => sent,
        }
    }

    /// As [`try_send`](Self::try_send), and full is full, whatever is under way.
    #[inline]
    pub(crate) fn try_send_surely(&self, value: T) -> Result<(), TrySend<T>> {
        let unsure = || self.lane().is_some_and(|l| l.glance_send().ready);
        match self.try_send(value) {
            Err(TrySend::Full(value)) if unsure() => self.try_send_locked(value),
            sent => sent,
        }
    }

    /// As [`try_send`](Self::try_send), with others in the queues, about to unlock, or at
    /// the end.
    #[inline(never)]
    fn try_send_locked(&self, value: T) -> Result<(), TrySend<T>> {
        let (mut state, value) = match self.lock_or_beside() {
            Ok(state) => (state, value),
            Err(Beside::Front(_)) => match self.send_to_front(value) {
                Ok(()) => return Ok(()),
                Err(value) => (self.lock_unmirrored(), value),
            },
            Err(Beside::Lane(lane)) => match lane.send(value) {
                Ok(()) => return Ok(()),
                Err((_, value)) => (self.lock_unmirrored(), value),
            },
        };
        let value = if state.is_plain() {
            match state.grant_to_first(value) {
                Ok(wake) => {
                    self.mirror_plain(&mut state);
                    drop(state);
                    if let Some(wake) = wake {
                        wake.wake();
                    }
                    return Ok(());
                }
                Err(value) => value,
            }
        } else {
            value
        };
        let mut chan = Locked::of(self, state);
        let (state, wakes) = chan.parts();
        if state.no_sends() {
            return Err(TrySend::Closed(value));
        }
        state.try_send(value, wakes).map_err(TrySend::Full)
    }
}

/// A send with its value; the channel may be borrowed or owned.
pub(crate) struct SendSlot<C, T> {
    chan: C,
    slot: Slot<T>,
}

impl<C: Deref<Target = Chan<T>>, T> SendSlot<C, T> {
    pub(crate) fn new(chan: C, value: T) -> Self {
        Self {
            chan,
            slot: Slot::new(Some(value)),
        }
    }

    pub(crate) fn chan(&self) -> &Chan<T> {
        &self.chan
    }

    /// Takes the value, if it is still here, of a send that does not wait.
    #[inline]
    pub(crate) fn take_value(&self) -> Option<T> {
        self.slot.take()
    }

    /// Puts it back.
    #[inline]
    pub(crate) fn put_back(&self, value: T) {
        self.slot.put(value);
    }

    /// The value of a send that has not happened.
    pub(crate) fn into_value(self) -> Option<T> {
        self.slot.take()
    }

    /// Queues, where there may be a place for the value.
    #[inline(never)]
    fn enqueue_ready(&self, mut chan: Locked<'_, T>, reg: &Registration<'_>) {
        if self.attempt(&mut chan, reg, false) {
            chan.sendq.push(reg, self.slot.as_payload());
        }
    }

    fn attempt(&self, chan: &mut Locked<'_, T>, reg: &Registration<'_>, queued: bool) -> bool {
        if queued && !chan.sendq.is_open(reg.node) {
            return false;
        }
        let leave = |state: &mut State<T>| {
            if queued {
                state.sendq.remove(reg.node);
            }
        };
        let (state, wakes) = chan.parts();
        if state.no_sends() {
            return match reg.claim_self() {
                Ok(()) => {
                    leave(state);
                    reg.complete_self(CLOSED);
                    false
                }
                Err(taken) => may_queue(taken),
            };
        }
        let pair = if state.may_meet() {
            state.recvq.pair(reg, |_| false)
        } else {
            Pair::Nobody
        };
        match pair {
            Pair::Won(receiver) => {
                leave(state);
                if let Some(value) = self.slot.take() {
                    state.give(receiver, value, wakes);
                }
                reg.complete_self(SENT);
                false
            }
            Pair::Offered(_) => unreachable!("a receiver makes no offer"),
            Pair::SelfTaken(taken) => may_queue(taken),
            Pair::Nobody if state.has_room() => match reg.claim_self() {
                Ok(()) => {
                    leave(state);
                    if let Some(Err(_)) = self.slot.take().map(|v| state.try_send(v, wakes)) {
                        unreachable!("there was room under the same lock");
                    }
                    reg.complete_self(SENT);
                    false
                }
                Err(taken) => may_queue(taken),
            },
            Pair::Nobody => true,
        }
    }
}

impl<C, T> Sealed for SendSlot<C, T> {}

// SAFETY: as for `RecvSlot`.
unsafe impl<C: Deref<Target = Chan<T>>, T> Case for SendSlot<C, T> {
    fn probe(&self) -> Probe {
        self.chan.probe_send()
    }

    fn glance(&self) -> bool {
        self.chan.may_send()
    }

    fn try_now(&self) -> Option<Outcome> {
        let value = self.slot.take()?;
        match self.chan.try_send(value) {
            Ok(()) => Some(SENT),
            Err(TrySend::Full(value)) => {
                self.slot.put(value);
                None
            }
            Err(TrySend::Closed(value)) => {
                self.slot.put(value);
                Some(CLOSED)
            }
        }
    }

    #[inline(always)]
    fn enqueue(&self, reg: &Registration<'_>) {
        let mut state = self.chan.lock_unmirrored();
        if !state.is_plain() || state.send_ready() {
            return self.enqueue_ready(Locked::of(&self.chan, state), reg);
        }
        state.sendq.push(reg, self.slot.as_payload());
        mirror(&mut state, true, false, QUEUED);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.attempt(&mut self.chan.lock(), reg, true);
    }

    fn dequeue(&self, node: &Node) {
        dequeue(&self.chan, node, |s| &mut s.sendq);
    }

    fn abandon(&self, _: Outcome) {}

    fn worth_watching(&self) -> bool {
        self.chan.worth_watching()
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
}

impl<C: Deref<Target = Chan<T>>, T> Arm for SendSlot<C, T> {
    type Output = Result<(), SendError<T>>;
    fn finish(&self, _: Outcome) -> Self::Output {
        // Still in the slot only if the channel was closed.
        self.slot
            .take()
            .map_or(Ok(()), |value| Err(SendError(value)))
    }
}

/// A send whose value is still to be made.
pub(crate) struct Offer<'a, T>(pub(crate) &'a Chan<T>);

impl<T> Offer<'_, T> {
    /// Completes a permit with its value.
    pub(crate) fn complete(&self, value: T) -> Result<(), SendError<T>> {
        let mut chan = self.0.lock();
        let (state, wakes) = chan.parts();
        state.redeem_offer(value, wakes).map_err(SendError)
    }

    fn attempt(&self, chan: &mut Locked<'_, T>, reg: &Registration<'_>, queued: bool) -> bool {
        if queued && !chan.sendq.is_open(reg.node) {
            return false;
        }
        let (state, _) = chan.parts();
        let won = if state.no_sends() {
            reg.claim_self().map(|()| Some(CLOSED))
        } else if state.has_room() {
            reg.claim_self().map(|()| Some(PERMIT))
        } else if state.may_meet() {
            match state.recvq.pair_reserve(reg) {
                PairReserve::Held => Ok(Some(PERMIT)),
                PairReserve::SelfTaken(taken) => Err(taken),
                PairReserve::Nobody => Ok(None),
            }
        } else {
            Ok(None)
        };
        match won {
            Ok(Some(outcome)) => {
                if queued {
                    state.sendq.remove(reg.node);
                }
                if outcome == PERMIT {
                    state.offer();
                }
                reg.complete_self(outcome);
                false
            }
            Ok(None) => true,
            Err(taken) => may_queue(taken),
        }
    }
}

impl<T> Sealed for Offer<'_, T> {}

// SAFETY: as for `Recv`.
unsafe impl<T> Case for Offer<'_, T> {
    fn probe(&self) -> Probe {
        self.0.probe_send()
    }

    fn glance(&self) -> bool {
        self.0.may_send()
    }

    fn try_now(&self) -> Option<Outcome> {
        let mut chan = self.0.lock();
        let (state, _) = chan.parts();
        if state.no_sends() {
            return Some(CLOSED);
        }
        let won = state.has_room() || state.may_meet() && state.recvq.reserve();
        won.then(|| {
            state.offer();
            PERMIT
        })
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut chan = self.0.lock();
        if reg.watch {
            let ready = chan.send_ready();
            watch(&mut chan, reg, ready, WATCH_SEND);
        } else if self.attempt(&mut chan, reg, false) {
            chan.sendq.push(reg, std::ptr::null());
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        if !reg.watch {
            self.attempt(&mut self.0.lock(), reg, true);
        }
    }

    fn dequeue(&self, node: &Node) {
        dequeue(self.0, node, |s| &mut s.sendq);
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome == PERMIT {
            let mut chan = self.0.lock();
            let (state, wakes) = chan.parts();
            state.unoffer(wakes);
        }
    }

    fn worth_watching(&self) -> bool {
        self.0.worth_watching()
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Send
    }
}
