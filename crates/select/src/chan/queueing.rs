//! What a receive and a send have in common when they queue and leave.

use rendez_core::case::Outcome;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::waiter::Taken;

use super::state::State;
use super::{Chan, Locked};

/// Whether a waiter that could not be won is still to be queued.
pub(super) fn may_queue(taken: Taken) -> bool {
    // Held by an offer on another channel, it may become open again.
    taken == Taken::Reserved
}

/// Queues `reg` to be told that its end is ready, unless it is.
pub(super) fn watch<T>(
    chan: &mut Locked<'_, T>,
    reg: &Registration<'_>,
    ready: bool,
    end: *const (),
) {
    if !ready {
        chan.watchq.push(reg, end);
    } else if reg.claim_self().is_ok() {
        reg.complete_self(Outcome(0));
    }
}

/// Takes `node` out of whichever of the channel's queues it stands in.
pub(super) fn dequeue<T>(chan: &Chan<T>, node: &Node, queue: fn(&mut State<T>) -> &mut Queue) {
    let mut chan = chan.lock();
    let (state, _) = chan.parts();
    if node.is_watch() {
        &mut state.watchq
    } else {
        queue(state)
    }
    .remove(node);
}
