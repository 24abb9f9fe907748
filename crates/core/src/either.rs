//! Two cases as one: ready when either is, the first going before the second.
//!
//! The second stands in its queue with a node of its own, for the same waiter and under the
//! same arm; so whoever serves either wins the arm. Which it was is told by the outcome:
//! only the winner writes into its node.
//!
//! An `Either` is made for one wait and stays in place while it is waited on, as its borrow
//! or the pin of the future around it sees to.
#![allow(unsafe_code)]

use std::time::Instant;

use crate::case::{Arm, Case, Outcome, Probe, Sealed};
use crate::goroutine::WaitKind;
use crate::queue::{Node, Registration};

/// What a node holds that has not won.
const LOST: Outcome = Outcome(u64::MAX);

/// Two cases as one. See the [module](self).
#[derive(Debug)]
pub struct Either<A, B> {
    first: A,
    second: B,
    // The second's.
    node: Node,
}

impl<A: Case, B: Case> Either<A, B> {
    /// Of both.
    pub fn new(first: A, second: B) -> Self {
        Self {
            first,
            second,
            node: Node::new(),
        }
    }

    fn registration<'a>(&'a self, reg: &Registration<'a>) -> Registration<'a> {
        Registration {
            node: &self.node,
            ..*reg
        }
    }
}

/// An outcome tells whose it is by its lowest bit.
fn of_first(outcome: Outcome) -> Outcome {
    Outcome(outcome.0 << 1)
}

fn of_second(outcome: Outcome) -> Outcome {
    Outcome(outcome.0 << 1 | 1)
}

fn is_first(outcome: Outcome) -> bool {
    outcome.0 & 1 == 0
}

fn inner(outcome: Outcome) -> Outcome {
    Outcome(outcome.0 >> 1)
}

impl<A, B> Sealed for Either<A, B> {}

// SAFETY: `dequeue` dequeues both; each is a case that keeps the promise for its own node.
unsafe impl<A: Case, B: Case> Case for Either<A, B> {
    fn probe(&self) -> Probe {
        let (first, second) = (self.first.probe(), self.second.probe());
        Probe {
            // Not ready before the second was looked at and not after: not ready with it.
            ready: first.ready || second.ready || self.first.probe() != first,
            // Neither decreases, so the sum is the same only if both are.
            epoch: first.epoch.wrapping_add(second.epoch),
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        let first = self.first.try_now().map(of_first);
        first.or_else(|| self.second.try_now().map(of_second))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        reg.node.set_outcome(LOST);
        self.node.set_outcome(LOST);
        self.first.enqueue(reg);
        if reg.waiter.ready().is_none() {
            self.second.enqueue(&self.registration(reg));
        }
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.first.recheck(reg);
        if reg.waiter.ready().is_none() {
            self.second.recheck(&self.registration(reg));
        }
    }

    fn dequeue(&self, node: &Node) {
        self.first.dequeue(node);
        self.second.dequeue(&self.node);
    }

    fn won(&self, node: &Node) -> Outcome {
        // The one that has lost leaves its queue; the other has left.
        self.dequeue(node);
        if self.node.outcome() == LOST {
            of_first(node.outcome())
        } else {
            of_second(self.node.outcome())
        }
    }

    fn abandon(&self, outcome: Outcome) {
        if is_first(outcome) {
            self.first.abandon(inner(outcome));
        } else {
            self.second.abandon(inner(outcome));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match (self.first.deadline(), self.second.deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    // The second's node would stay behind when the first's is unlinked in passing.
    fn stays(&self) -> bool {
        false
    }

    fn kind(&self) -> WaitKind {
        self.first.kind()
    }
}

impl<A: Arm, B: Arm> Arm for Either<A, B> {
    /// `Ok` if it was the first.
    type Output = Result<A::Output, B::Output>;

    fn finish(&self, outcome: Outcome) -> Self::Output {
        if is_first(outcome) {
            Ok(self.first.finish(inner(outcome)))
        } else {
            Err(self.second.finish(inner(outcome)))
        }
    }
}
