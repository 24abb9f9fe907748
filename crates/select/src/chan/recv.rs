//! Receiving: what a receive does when it looks, queues, leaves and finishes.
//!
//! - [`Recv`]: a receive without a slot (futures, select arms): served, it holds a grant
//!   and comes for the front.
//! - [`RecvSlot`]: a blocked thread's receive: served, it has the value in its slot.
#![allow(unsafe_code)]

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Claimed, Node, Pair, Registration};
use rendez_core::wake::WakeList;

use super::beside::Beside;
use super::front::Front;
use super::lane::{Lane, Refused};
use super::queueing::{dequeue, may_queue, watch};
use super::slot::Slot;
use super::state::{CLOSED, GRANTED, HANDED, PERMIT, State, WATCH_RECV};
use super::{Chan, Locked, QUEUED, RECV_READY, mirror};
use crate::error::RecvError;

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
    #[inline]
    pub(crate) fn try_recv(&self) -> TryRecv<T> {
        match self.recv_at_once() {
            Some(value) => TryRecv::Value(value),
            None => self.try_recv_slow(),
        }
    }

    /// As [`try_recv`](Self::try_recv), if it does not go at once.
    #[inline(never)]
    pub(crate) fn try_recv_slow(&self) -> TryRecv<T> {
        match self.at_front(Lane::recv, Front::recv) {
            Ok(value) => return TryRecv::Value(value),
            Err(Refused::Idle) => return TryRecv::Empty,
            Err(Refused::Stopped) => {}
        }
        if self.probe_recv().ready {
            self.try_recv_locked()
        } else {
            TryRecv::Empty
        }
    }

    /// As [`try_recv`](Self::try_recv), and empty is empty, whatever is under way.
    #[inline]
    pub(crate) fn try_recv_surely(&self) -> TryRecv<T> {
        let unsure = || self.lane().is_some_and(|l| l.glance_recv().ready);
        match self.try_recv() {
            TryRecv::Empty if unsure() => self.try_recv_locked(),
            received => received,
        }
    }

    /// As [`try_recv`](Self::try_recv), with others in the queues, about to unlock, or at
    /// the end.
    #[inline(never)]
    fn try_recv_locked(&self) -> TryRecv<T> {
        let mut state = match self.lock_or_beside() {
            Ok(state) => state,
            Err(_) => match self.at_front(Lane::recv, Front::recv) {
                Ok(value) => return TryRecv::Value(value),
                Err(_) => self.lock_unmirrored(),
            },
        };
        if state.is_plain() {
            if let Some((value, wake)) = state.exchange_with_first() {
                self.mirror_plain(&mut state);
                drop(state);
                if let Some(wake) = wake {
                    wake.wake();
                }
                return TryRecv::Value(value);
            }
        }
        let mut chan = Locked::of(self, state);
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

    /// Comes for a promised value.
    #[inline]
    fn redeem(&self) -> Option<T> {
        let value = match self.beside.get() {
            None => None,
            Some(Beside::Lane(lane)) => lane.redeem(),
            Some(Beside::Front(front)) => front.redeem(),
        };
        if value.is_some() {
            return value;
        }
        if let Some(mut state) = self.lock_unended() {
            // It was counted nowhere: nothing becomes ready, and nothing ends. If values lie aside no
            // more, the next to mirror tells.
            return state.redeem();
        }
        let mut chan = self.lock();
        let (state, wakes) = chan.parts();
        let value = state.redeem();
        state.end_if_drained(wakes);
        value
    }
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
    let pair = if chan.no_sends() {
        Pair::Nobody
    } else {
        chan.sendq.pair(reg, |payload| payload.is_null())
    };
    match pair {
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

#[inline(always)]
fn enqueue_recv<T>(chan: &Chan<T>, how: &impl Receiving<T>, reg: &Registration<'_>) {
    let mut state = chan.lock_unmirrored();
    if reg.watch || !state.is_plain() || state.recv_ready() {
        return enqueue_ready(Locked::of(chan, state), how, reg);
    }
    state.recvq.push(reg, how.payload());
    mirror(&mut state, false, true, QUEUED);
}

/// As [`enqueue_recv`], where there may be something to receive, or somebody to be told.
#[inline(never)]
fn enqueue_ready<T>(mut chan: Locked<'_, T>, how: &impl Receiving<T>, reg: &Registration<'_>) {
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

    fn glance(&self) -> bool {
        self.0.may_recv()
    }

    fn try_now(&self) -> Option<Outcome> {
        if self.0.at_front(Lane::grant, Front::grant).is_ok() {
            return Some(GRANTED);
        }
        if let Some(mut state) = self.0.lock_plain(RECV_READY) {
            state.grant();
            let (more, room) = (state.available() > 0, state.has_room());
            mirror(&mut state, more, room, 0);
            return Some(GRANTED);
        }
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

    #[inline(always)]
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

    fn glance(&self) -> bool {
        self.chan.may_recv()
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

    #[inline]
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
