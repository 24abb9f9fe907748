//! The channel's cases: what a receive, a send and an offer to send do when they look,
//! queue, leave and finish.
//!
//! - [`Recv`]: a receive without a slot (futures, select arms): served, it holds a grant
//!   and comes for the front.
//! - [`RecvSlot`]: a blocked thread's receive: served, it has the value in its slot.
//! - [`SendSlot`]: a send with its value in its slot, taken by whoever receives it.
//! - [`Offer`]: a send whose value is still to be made (select arms, `reserve`): served,
//!   it holds a permit.
#![allow(unsafe_code)]

use std::ops::Deref;

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Claimed, Node, Pair, PairReserve, Queue, Registration};
use rendez_core::waiter::Taken;
use rendez_core::wake::WakeList;

use super::slot::Slot;
use super::state::{CLOSED, GRANTED, HANDED, PERMIT, SENT, State, WATCH_RECV, WATCH_SEND};
use super::{Chan, ENDED, Locked, mirror_plain};
use crate::error::{RecvError, SendError};

/// Whether a waiter that could not be won is still to be queued.
fn may_queue(taken: Taken) -> bool {
    // Held by an offer on another channel, it may become open again.
    taken == Taken::Reserved
}

/// How a receive puts away the value it has won while it is queueing.
trait Receiving<T> {
    fn payload(&self) -> *const ();
    /// Won an available value.
    fn win(&self, state: &mut Locked<'_, T>) -> Outcome;
    /// Won a sender with its value.
    fn win_from(&self, state: &mut State<T>, sender: Claimed, wakes: &mut WakeList) -> Outcome;
}

/// Tries to win `reg` for a receive; `queued` if its node already stands in the queue.
/// Returns whether it is to be queued.
fn attempt_recv<T>(
    chan: &mut Locked<'_, T>,
    how: &impl Receiving<T>,
    reg: &Registration<'_>,
    queued: bool,
) -> bool {
    if queued && !chan.recvq.is_open(reg.node) {
        return false;
    }
    let leave = |chan: &mut Locked<'_, T>| {
        if queued {
            chan.recvq.remove(reg.node);
        }
    };
    if chan.available() > 0 {
        return match reg.claim_self() {
            Ok(()) => {
                leave(chan);
                let outcome = how.win(chan);
                reg.complete_self(outcome);
                false
            }
            Err(taken) => may_queue(taken),
        };
    }
    match chan.sendq.pair(reg, |payload| payload.is_null()) {
        Pair::Won(sender) => {
            leave(chan);
            let (state, wakes) = chan.parts();
            let outcome = how.win_from(state, sender, wakes);
            reg.complete_self(outcome);
            false
        }
        Pair::Offered(sender) => {
            let (state, wakes) = chan.parts();
            state.offer();
            sender.complete(PERMIT, wakes);
            if queued {
                state.recvq.hold(reg.node);
            } else {
                state.recvq.push_reserved(reg, how.payload());
            }
            false
        }
        Pair::SelfTaken(taken) => may_queue(taken),
        Pair::Nobody if chan.is_drained() => match reg.claim_self() {
            Ok(()) => {
                leave(chan);
                reg.complete_self(CLOSED);
                false
            }
            Err(taken) => may_queue(taken),
        },
        Pair::Nobody => true,
    }
}

fn enqueue_recv<T>(chan: &Chan<T>, how: &impl Receiving<T>, reg: &Registration<'_>) {
    let mut chan = chan.lock();
    if reg.watch {
        let ready = chan.recv_ready();
        watch(&mut chan, reg, ready, WATCH_RECV);
    } else if attempt_recv(&mut chan, how, reg, false) {
        chan.recvq.push(reg, how.payload());
    }
}

fn recheck_recv<T>(chan: &Chan<T>, how: &impl Receiving<T>, reg: &Registration<'_>) {
    if !reg.watch {
        attempt_recv(&mut chan.lock(), how, reg, true);
    }
}

fn watch<T>(chan: &mut Locked<'_, T>, reg: &Registration<'_>, ready: bool, end: *const ()) {
    if !ready {
        chan.watchq.push(reg, end);
    } else if reg.claim_self().is_ok() {
        reg.complete_self(Outcome(0));
    }
}

/// Takes `node` out of whichever of the channel's queues it stands in.
fn dequeue<T>(chan: &Chan<T>, node: &Node, queue: fn(&mut State<T>) -> &mut Queue) {
    let mut chan = chan.lock();
    let (state, _) = chan.parts();
    if node.is_watch() {
        &mut state.watchq
    } else {
        queue(state)
    }
    .remove(node);
}

/// A receive that is granted a value.
pub(crate) struct Recv<'a, T>(pub(crate) &'a Chan<T>);

impl<T> Recv<'_, T> {
    pub(crate) fn finish(&self, outcome: Outcome) -> Result<T, RecvError> {
        if outcome == CLOSED {
            return Err(RecvError);
        }
        match self.0.redeem() {
            Some(value) => Ok(value),
            None => unreachable!("a grant has its value in the channel"),
        }
    }
}

impl<T> Receiving<T> for Recv<'_, T> {
    fn payload(&self) -> *const () {
        std::ptr::null()
    }

    fn win(&self, chan: &mut Locked<'_, T>) -> Outcome {
        let (state, wakes) = chan.parts();
        state.grant();
        state.settle(wakes);
        GRANTED
    }

    fn win_from(&self, state: &mut State<T>, sender: Claimed, wakes: &mut WakeList) -> Outcome {
        state.take_granted(sender, wakes);
        GRANTED
    }
}

impl<T> Sealed for Recv<'_, T> {}

// SAFETY: `dequeue` takes the node out of the queue `enqueue` puts it in, both under the
// channel's lock, under which alone waiters of these queues are claimed.
unsafe impl<T> Case for Recv<'_, T> {
    fn probe(&self) -> Probe {
        self.0.probe_recv()
    }

    fn try_now(&self) -> Option<Outcome> {
        let mut chan = self.0.lock();
        if chan.available() > 0 {
            return Some(self.win(&mut chan));
        }
        let (state, wakes) = chan.parts();
        if let Some(sender) = state.sendq.claim_first_if(|payload| !payload.is_null()) {
            return Some(self.win_from(state, sender, wakes));
        }
        state.is_drained().then_some(CLOSED)
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        enqueue_recv(self.0, self, reg);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        recheck_recv(self.0, self, reg);
    }

    fn dequeue(&self, node: &Node) {
        dequeue(self.0, node, |s| &mut s.recvq);
    }

    fn abandon(&self, outcome: Outcome) {
        if outcome == GRANTED {
            let mut chan = self.0.lock();
            let (state, wakes) = chan.parts();
            state.ungrant(wakes);
        }
    }

    fn worth_watching(&self) -> bool {
        self.0.worth_watching()
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

impl<T> Arm for Recv<'_, T> {
    type Output = Result<T, RecvError>;
    fn finish(&self, outcome: Outcome) -> Self::Output {
        Recv::finish(self, outcome)
    }
}

/// A receive that is handed its value.
pub(crate) struct RecvSlot<'a, T> {
    chan: &'a Chan<T>,
    slot: Slot<T>,
}

impl<'a, T> RecvSlot<'a, T> {
    pub(crate) fn new(chan: &'a Chan<T>) -> Self {
        Self {
            chan,
            slot: Slot::new(None),
        }
    }
}

impl<T> Receiving<T> for RecvSlot<'_, T> {
    fn payload(&self) -> *const () {
        self.slot.as_payload()
    }

    fn win(&self, chan: &mut Locked<'_, T>) -> Outcome {
        let (state, wakes) = chan.parts();
        if let Some(value) = state.try_recv(wakes) {
            self.slot.put(value);
        }
        HANDED
    }

    fn win_from(&self, state: &mut State<T>, sender: Claimed, wakes: &mut WakeList) -> Outcome {
        if let Some(value) = state.take(sender, wakes) {
            self.slot.put(value);
        }
        HANDED
    }
}

impl<T> Sealed for RecvSlot<'_, T> {}

// SAFETY: as for `Recv`; the slot stays in place as long as the node is queued, because
// the case is borrowed for that time.
unsafe impl<T> Case for RecvSlot<'_, T> {
    fn probe(&self) -> Probe {
        self.chan.probe_recv()
    }

    fn try_now(&self) -> Option<Outcome> {
        match self.chan.try_recv() {
            TryRecv::Value(value) => {
                self.slot.put(value);
                Some(HANDED)
            }
            TryRecv::Drained => Some(CLOSED),
            TryRecv::Empty | TryRecv::Offer => None,
        }
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        enqueue_recv(self.chan, self, reg);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        recheck_recv(self.chan, self, reg);
    }

    fn dequeue(&self, node: &Node) {
        dequeue(self.chan, node, |s| &mut s.recvq);
    }

    /// Only an unwinding wait abandons this: the value is received by the next.
    fn abandon(&self, outcome: Outcome) {
        if let Some(value) = self.slot.take().filter(|_| outcome == HANDED) {
            let mut chan = self.chan.lock();
            let (state, wakes) = chan.parts();
            state.put_back(value, wakes);
        }
    }

    fn worth_watching(&self) -> bool {
        self.chan.worth_watching()
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

impl<T> Arm for RecvSlot<'_, T> {
    type Output = Result<T, RecvError>;
    fn finish(&self, _: Outcome) -> Self::Output {
        self.slot.take().ok_or(RecvError)
    }
}

/// What a receive that does not wait finds.
pub(crate) enum TryRecv<T> {
    Value(T),
    /// Nothing now.
    Empty,
    /// Nothing now, but a sender may have a value in the making.
    Offer,
    /// Nothing ever again.
    Drained,
}

impl<T> Chan<T> {
    /// Comes for a promised value.
    #[inline]
    fn redeem(&self) -> Option<T> {
        let (mut state, _) = self.lock_plain();
        if state.word() & ENDED == 0 {
            // It was counted nowhere: nothing becomes ready, and nothing ends.
            return state.redeem();
        }
        let mut chan = Locked::of(state);
        let (state, wakes) = chan.parts();
        let value = state.redeem();
        state.end_if_drained(wakes);
        value
    }

    #[inline]
    pub(crate) fn try_recv(&self) -> TryRecv<T> {
        if !self.probe_recv().ready {
            return TryRecv::Empty;
        }
        let (mut state, plain) = self.lock_plain();
        if plain {
            return match state.pop_available() {
                Some(value) => {
                    mirror_plain(&mut state);
                    TryRecv::Value(value)
                }
                None => TryRecv::Empty,
            };
        }
        Self::try_recv_among(Locked::of(state))
    }

    /// As [`try_recv`](Self::try_recv), with others in the queues, or at the end.
    fn try_recv_among(mut chan: Locked<'_, T>) -> TryRecv<T> {
        let (state, wakes) = chan.parts();
        if let Some(value) = state.next(wakes) {
            TryRecv::Value(value)
        } else if state.is_drained() {
            TryRecv::Drained
        } else if state.sendq.has_open() {
            TryRecv::Offer
        } else {
            TryRecv::Empty
        }
    }

    #[inline]
    pub(crate) fn try_send(&self, value: T) -> Result<(), TrySend<T>> {
        if !self.probe_send().ready {
            return Err(TrySend::Full(value));
        }
        let (mut state, plain) = self.lock_plain();
        if plain {
            if !state.has_room() {
                return Err(TrySend::Full(value));
            }
            state.insert(value);
            mirror_plain(&mut state);
            return Ok(());
        }
        Self::try_send_among(Locked::of(state), value)
    }

    /// As [`try_send`](Self::try_send), with others in the queues, or at the end.
    fn try_send_among(mut chan: Locked<'_, T>, value: T) -> Result<(), TrySend<T>> {
        let (state, wakes) = chan.parts();
        if state.no_sends() {
            return Err(TrySend::Closed(value));
        }
        state.try_send(value, wakes).map_err(TrySend::Full)
    }
}

/// Why a send that does not wait did not happen.
pub(crate) enum TrySend<T> {
    Full(T),
    Closed(T),
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

    /// Whether the value is still here, of a send that does not wait.
    pub(crate) fn has_value(&self) -> bool {
        self.slot.is_full()
    }

    /// The value of a send that has not happened.
    pub(crate) fn into_value(self) -> Option<T> {
        self.slot.take()
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
        match state.recvq.pair(reg, |_| false) {
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

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut chan = self.chan.lock();
        if self.attempt(&mut chan, reg, false) {
            chan.sendq.push(reg, self.slot.as_payload());
        }
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
        } else if state.is_rendezvous() {
            match state.recvq.pair_reserve(reg) {
                PairReserve::Held => Ok(Some(PERMIT)),
                PairReserve::SelfTaken(taken) => Err(taken),
                PairReserve::Nobody => Ok(None),
            }
        } else if state.has_room() {
            reg.claim_self().map(|()| Some(PERMIT))
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

    fn try_now(&self) -> Option<Outcome> {
        let mut chan = self.0.lock();
        let (state, _) = chan.parts();
        if state.no_sends() {
            return Some(CLOSED);
        }
        let won = if state.is_rendezvous() {
            state.recvq.reserve()
        } else {
            state.has_room()
        };
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
