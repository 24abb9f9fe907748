//! What can be waited for: the protocol between a select and its arms.
//!
//! A case is looked at ([`probe`], [`try_now`]), queued on ([`enqueue`]), left
//! ([`dequeue`]) and, if it won, either finished ([`Arm::finish`]) or given back
//! ([`abandon`]). Channel ends, wait groups, join handles, timers and permits are such
//! cases, so one select waits on any mix of them.
//!
//! The life of a wait, driven by [`wait`](crate::wait):
//!
//! ```text
//! look:  probe, try_now                      ready? ──▶ finish
//! queue: enqueue on each arm in turn         won meanwhile? ──▶ leave the others, finish
//! sleep: until the claim word is READY       (or the deadline: abort, leave all)
//! leave: dequeue from every arm but the winner
//! ```
//!
//! **Architecture invariant:** nothing in here knows what a channel is.
//!
//! [`probe`]: Case::probe
//! [`try_now`]: Case::try_now
//! [`enqueue`]: Case::enqueue
//! [`dequeue`]: Case::dequeue
//! [`abandon`]: Case::abandon
#![allow(unsafe_code)]

use std::rc::Rc;
use std::time::Instant;

use crate::goroutine::WaitKind;
use crate::queue::{Node, Registration};
use crate::shim::Arc;

/// How a case came out, in its own code: whoever serves a case writes it, the case's own
/// [`Arm::finish`] reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome(pub u64);

/// One look at a case, by plain loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether [`Case::try_now`] is worth a try. `false` is certain: there was an instant, in
    /// this look, at which the case was not ready. `true` is not.
    pub ready: bool,
    /// Never decreases, and has changed whenever the case became ready. Two looks at all
    /// arms of a select that find none ready and every epoch unchanged prove an instant,
    /// between them, at which none was.
    pub epoch: u64,
}

impl Probe {
    /// Of a case that is never ready.
    pub const NEVER: Self = Self {
        ready: false,
        epoch: 0,
    };
}

/// Keeps [`Case`] to the rendez crates.
#[doc(hidden)]
pub trait Sealed {}

/// Something that can be waited for.
///
/// # Safety
///
/// After [`dequeue`](Self::dequeue) returns, no queue links `node`, and nobody else will
/// touch it or its waiter on behalf of this case, except to finish a claim already won.
/// A claim is won only through a queue whose lock the case holds.
pub unsafe trait Case: Sealed {
    /// Looks, without lock or effect.
    fn probe(&self) -> Probe;

    /// Looks, for who looks again in a moment: what is under way may not be seen.
    fn glance(&self) -> bool {
        self.probe().ready
    }

    /// Takes the case if that needs no waiting.
    fn try_now(&self) -> Option<Outcome>;

    /// Wins the waiter for this arm if the case is ready, otherwise queues it. Does
    /// neither if another arm has won. The driver sees from the waiter which it was.
    fn enqueue(&self, reg: &Registration<'_>);

    /// Looks again on behalf of a waiter already queued: an offer has let it go, or the
    /// case's deadline has passed. Wins the waiter if the case is ready now.
    fn recheck(&self, reg: &Registration<'_>) {
        let _ = reg;
    }

    /// Leaves the queue, if `node` still stands in it.
    fn dequeue(&self, node: &Node);

    /// The outcome of a wait that this case has won, standing with `node`. A case made of
    /// several also takes those that have lost out of their queues.
    fn won(&self, node: &Node) -> Outcome {
        node.outcome()
    }

    /// Gives back what `outcome` had taken, so that nothing is lost: a value or a permit
    /// goes to the next waiter.
    fn abandon(&self, outcome: Outcome);

    /// When the case becomes ready by the clock alone. Such a case need not queue: the
    /// driver calls [`recheck`](Self::recheck) then.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// Whether its node may stay queued while nobody waits, as a [standing](crate::standing)
    /// wait leaves it: whoever comes by then unlinks it and notes so, nobody is kept waiting by
    /// it, and nothing but that queue makes the case ready.
    fn stays(&self) -> bool {
        true
    }

    /// Whether a thread should look again and again for a little while before it queues:
    /// a peer can make the case ready without meeting a waiter, and is spared waking one.
    fn worth_watching(&self) -> bool {
        false
    }

    /// What a goroutine that waits here is said to be doing.
    fn kind(&self) -> WaitKind;
}

/// A case together with what it gives.
pub trait Arm: Case {
    /// What the case gives.
    type Output;

    /// Completes the case after it has won with `outcome`.
    fn finish(&self, outcome: Outcome) -> Self::Output;
}

/// The methods of a [`Case`] that is another one: `$case`, where `$this` is `self`.
#[doc(hidden)]
#[macro_export]
macro_rules! case_of {
    ($this:ident => $case:expr) => {
        fn probe(&self) -> $crate::case::Probe {
            let $this = self;
            $case.probe()
        }
        fn glance(&self) -> bool {
            let $this = self;
            $case.glance()
        }
        fn try_now(&self) -> ::core::option::Option<$crate::case::Outcome> {
            let $this = self;
            $case.try_now()
        }
        #[inline(always)]
        fn enqueue(&self, reg: &$crate::queue::Registration<'_>) {
            let $this = self;
            $case.enqueue(reg);
        }
        fn recheck(&self, reg: &$crate::queue::Registration<'_>) {
            let $this = self;
            $case.recheck(reg);
        }
        fn dequeue(&self, node: &$crate::queue::Node) {
            let $this = self;
            $case.dequeue(node);
        }
        fn won(&self, node: &$crate::queue::Node) -> $crate::case::Outcome {
            let $this = self;
            $case.won(node)
        }
        fn abandon(&self, outcome: $crate::case::Outcome) {
            let $this = self;
            $case.abandon(outcome);
        }
        fn deadline(&self) -> ::core::option::Option<::std::time::Instant> {
            let $this = self;
            $case.deadline()
        }
        fn stays(&self) -> bool {
            let $this = self;
            $case.stays()
        }
        fn worth_watching(&self) -> bool {
            let $this = self;
            $case.worth_watching()
        }
        fn kind(&self) -> $crate::goroutine::WaitKind {
            let $this = self;
            $case.kind()
        }
    };
}

pub use case_of;

impl<C: Sealed + ?Sized> Sealed for &C {}

// SAFETY: the same case.
unsafe impl<C: Case + ?Sized> Case for &C {
    case_of!(this => **this);
}

impl<C: Arm + ?Sized> Arm for &C {
    type Output = C::Output;
    fn finish(&self, outcome: Outcome) -> Self::Output {
        (**self).finish(outcome)
    }
}

impl<C: Sealed> Sealed for Option<C> {}

// SAFETY: the same case, or one that queues nobody.
unsafe impl<C: Case> Case for Option<C> {
    fn probe(&self) -> Probe {
        self.as_ref().map_or(Probe::NEVER, Case::probe)
    }
    fn glance(&self) -> bool {
        self.as_ref().is_some_and(Case::glance)
    }
    fn try_now(&self) -> Option<Outcome> {
        self.as_ref()?.try_now()
    }
    fn enqueue(&self, reg: &Registration<'_>) {
        if let Some(case) = self {
            case.enqueue(reg);
        }
    }
    fn recheck(&self, reg: &Registration<'_>) {
        if let Some(case) = self {
            case.recheck(reg);
        }
    }
    fn dequeue(&self, node: &Node) {
        if let Some(case) = self {
            case.dequeue(node);
        }
    }
    fn won(&self, node: &Node) -> Outcome {
        self.as_ref()
            .map_or_else(|| node.outcome(), |case| case.won(node))
    }
    fn abandon(&self, outcome: Outcome) {
        if let Some(case) = self {
            case.abandon(outcome);
        }
    }
    fn deadline(&self) -> Option<Instant> {
        self.as_ref()?.deadline()
    }
    fn stays(&self) -> bool {
        self.as_ref().is_none_or(Case::stays)
    }
    fn worth_watching(&self) -> bool {
        self.as_ref().is_none_or(Case::worth_watching)
    }
    fn kind(&self) -> WaitKind {
        self.as_ref().map_or(WaitKind::Select, Case::kind)
    }
}

impl<C: Arm> Arm for Option<C> {
    type Output = C::Output;

    /// # Panics
    ///
    /// Never: an arm that is `None` does not win.
    fn finish(&self, outcome: Outcome) -> Self::Output {
        self.as_ref()
            .expect("an absent arm never wins")
            .finish(outcome)
    }
}

/// What may stand as an arm: a thing that is a case, a pointer to one, or an `Option`
/// of one, whose `None` is never ready. Reached by the macros through method probing.
#[doc(hidden)]
pub trait AsCase {
    /// The case.
    type Case<'a>: Arm
    where
        Self: 'a;

    /// Makes the case.
    fn __case(&self) -> Self::Case<'_>;
}

macro_rules! through_pointers {
    ($($Pointer:ty),*) => {$(
        impl<C: AsCase + ?Sized> AsCase for $Pointer {
            type Case<'a>
                = C::Case<'a>
            where
                Self: 'a;

            fn __case(&self) -> Self::Case<'_> {
                (**self).__case()
            }
        }
    )*};
}

// Probing goes through pointers by itself, but not those in an `Option`.
through_pointers!(&C, &mut C, Box<C>, Rc<C>, Arc<C>);

impl<C: AsCase> AsCase for Option<C> {
    type Case<'a>
        = Option<C::Case<'a>>
    where
        Self: 'a;

    fn __case(&self) -> Self::Case<'_> {
        self.as_ref().map(|present| present.__case())
    }
}

/// What a set of arms that is made at run time takes: what is a case by itself, or a reference
/// to whatever may stand as an arm.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand as an arm",
    label = "neither something that can be waited for nor a reference to it"
)]
pub trait IntoArm<'a> {
    /// The case.
    type Arm: Arm + 'a;

    /// Makes the case.
    fn __into_arm(self) -> Self::Arm;
}

impl<'a, C: AsCase + ?Sized> IntoArm<'a> for &'a C {
    type Arm = C::Case<'a>;

    fn __into_arm(self) -> C::Case<'a> {
        self.__case()
    }
}

impl<'a, C: IntoArm<'a>> IntoArm<'a> for Option<C> {
    type Arm = Option<C::Arm>;

    fn __into_arm(self) -> Option<C::Arm> {
        self.map(|present| present.__into_arm())
    }
}
