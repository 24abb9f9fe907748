//! The wait for the lock, as a case.
#![allow(unsafe_code)]

use std::ptr;

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};
use rendez_core::shim::atomic::Ordering;
use rendez_core::wake::WakeList;

use super::state::{Core, Request, UPGRADABLE, WRITER};
use crate::attempt::Attempt;
use crate::deadlock::Mode;
use crate::patience;

/// Ready when the lock can be entered; enters it.
#[derive(Clone, Copy)]
pub(crate) struct Enter<'a> {
    pub(super) core: &'a Core,
    pub(super) request: Request,
}

impl Enter<'_> {
    /// As the watch for deadlocks calls what is waited for.
    pub(crate) fn mode(&self) -> Mode {
        self.request.mode()
    }
}

impl Attempt for Enter<'_> {
    #[inline]
    fn attempt(&self) -> bool {
        self.core.enter_fast(self.request)
    }
}

impl Sealed for Enter<'_> {}

// SAFETY: a node enters and leaves the one queue of its request, under the queues' lock,
// and is claimed under it.
unsafe impl Case for Enter<'_> {
    // No arm of a select: the epoch has no reader.
    fn probe(&self) -> Probe {
        let word = self.core.word.load(Ordering::Relaxed);
        Probe {
            ready: self.request.granted_to_newcomer(word).is_some(),
            epoch: 0,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        self.core
            .change(|word| self.request.granted_to_newcomer(word))
            .then_some(Outcome(0))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let since = match self.request {
            Request::Write => patience::stamp(),
            _ => ptr::null(),
        };
        let mut queues = self.core.queues.lock();
        let granted = |word| self.request.granted_to_newcomer(word);
        let next = |word| Some(granted(word).unwrap_or(word | self.request.waiting()));
        let take = || {
            self.core
                .word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next)
                .is_ok_and(|before| granted(before).is_some())
                .then_some(())
        };
        match reg.claim_self_if(take) {
            Ok(Some(())) => reg.complete_self(Outcome(0)),
            Ok(None) => queues.of(self.request).push(reg, since),
            Err(_) => {}
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        if !self.probe().ready {
            patience::spin(None, Core::PAUSES, || self.probe().ready);
        }
        let mut queues = self.core.queues.lock();
        let open = queues.of(self.request).is_open(reg.node);
        // Only a writer is woken to look: the others are handed the lock.
        if !open || self.request != Request::Write {
            return;
        }
        let take = || self.core.grant(Request::Write).then_some(());
        if let Ok(Some(())) = reg.claim_self_if(take) {
            queues.writes.remove(reg.node);
            self.core.tidy(&queues);
            reg.complete_self(Outcome(0));
        }
    }

    fn dequeue(&self, node: &Node) {
        let mut wakes = WakeList::new();
        let mut queues = self.core.queues.lock();
        if queues.of(self.request).remove(node) {
            self.core.settle(&mut queues, false, &mut wakes);
        }
    }

    fn abandon(&self, _: Outcome) {
        match self.request {
            Request::Read => self.core.leave_shared(false),
            Request::Upgradable => self.core.trade(UPGRADABLE, 0),
            Request::Write => self.core.leave_exclusive(false),
            Request::Upgrade => self.core.trade(WRITER, UPGRADABLE),
        }
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Lock
    }
}

impl Arm for Enter<'_> {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}
