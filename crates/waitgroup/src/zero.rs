//! A wait group's zero as something a select can wait for.
#![allow(unsafe_code)]

use rendez_core::case::{Arm, AsCase, Case, IntoArm, Outcome, Probe, Sealed};
use rendez_core::countdown::{self, Countdown};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};

/// Ready while the counter is zero. See [`WaitGroup::zero`](crate::WaitGroup::zero).
#[derive(Clone, Copy, Debug)]
pub struct Zero<'a>(countdown::Zero<'a>);

impl<'a> Zero<'a> {
    pub(crate) fn new(count: &'a Countdown) -> Self {
        Self(countdown::Zero(count))
    }
}

impl Sealed for Zero<'_> {}

// SAFETY: the countdown's own case.
unsafe impl Case for Zero<'_> {
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
        self.0.kind()
    }
}

impl Arm for Zero<'_> {
    type Output = ();
    fn finish(&self, outcome: Outcome) {
        self.0.finish(outcome);
    }
}

impl AsCase for Zero<'_> {
    type Case<'a>
        = Self
    where
        Self: 'a;

    fn __case(&self) -> Self {
        *self
    }
}

impl<'a> IntoArm<'a> for Zero<'a> {
    type Arm = Self;

    fn __into_arm(self) -> Self {
        self
    }
}
