//! The drivers: take a set of cases through look, queue, sleep and leave, blocking a
//! thread or pending a task. The only code that makes [`Node`]s and [`Waiter`]s, and so
//! the place where their safety is kept.
//!
//! Invariants:
//!
//! - Nodes and waiter do not move while queued: on a blocked thread's stack, or inside a
//!   pinned future.
//! - However a wait ends (won, timed out, dropped, unwound), every node has left its
//!   queue before it goes away, and what had been won is finished or abandoned.
//! - A thread goes to sleep only after its wake is set and the word has been read again;
//!   whoever wins the word takes the wake and fires it. The parker keeps a token given in
//!   between. So no wake-up is lost. A thread that still spins leaves in the wake's place that
//!   it does: who takes that has nobody to wake, and the thread sees that it was taken.

use std::panic::Location;
use std::time::Instant;

use crate::case::{Arm, Case};
use crate::clock;
use crate::goroutine::{self, WaitKind};
use crate::hooks;
use crate::parker::Parker;
use crate::queue::{Node, Registration};
use crate::shim::Arc;
use crate::waiter::{Unsettled, Waiter, WakeSet};
use crate::wake::Wake;

mod arms;
mod look;
mod parting;
mod task;

pub use arms::{And, Arms, Empty, Only, Order};
pub use look::{Won, look};
pub use task::{CaseFuture, Nodes, Pending};

use look::{Look, idle, look_a_while, look_over, spin};

/// Takes a ready arm; `None` only if there was an instant at which no arm was ready.
#[track_caller]
#[inline]
pub fn try_any(arms: &[&dyn Case], order: Order) -> Option<Won> {
    hooks::switch_point();
    // Of a single arm one look is such an instant.
    match arms {
        [only] if !only.probe().ready => None,
        _ => try_each(arms, order),
    }
}

#[track_caller]
fn try_each(arms: &[&dyn Case], order: Order) -> Option<Won> {
    const LOOKS: usize = 3;
    for _ in 0..LOOKS {
        match look_over(arms, order) {
            Look::Won(won) => return Some(won),
            Look::Idle(epochs) if idle(arms) == Some(epochs) => return None,
            Look::Idle(_) | Look::Late => {}
        }
    }
    // Queued on all at once, none can become ready unnoticed.
    queue_and_sleep(arms, Deadline::Past, order, false, Location::caller())
}

/// Blocks until an arm is taken or `deadline` passes.
pub fn block_any(
    arms: &[&dyn Case],
    deadline: Option<Instant>,
    order: Order,
    location: &'static Location<'static>,
) -> Option<Won> {
    hooks::switch_point();
    if let Some(won) = look(arms, order) {
        return Some(won);
    }
    queue_and_sleep(arms, deadline.into(), order, false, location)
}

/// Blocks until an arm is ready, taking none, or until `deadline` passes.
pub fn block_ready(
    arms: &[&dyn Case],
    deadline: Option<Instant>,
    order: Order,
    location: &'static Location<'static>,
) -> Option<usize> {
    hooks::switch_point();
    // A look may say ready and be wrong; to be told takes the arms' locks.
    queue_and_sleep(arms, deadline.into(), order, true, location).map(|(arm, _)| arm)
}

/// Blocks until `case` is taken or `deadline` passes; the result is [`Arm::finish`]'s.
pub fn block_on_case<C: Arm>(
    case: &C,
    deadline: Option<Instant>,
    location: &'static Location<'static>,
) -> Option<C::Output> {
    hooks::switch_point();
    let outcome = match case.try_now() {
        Some(outcome) => outcome,
        None => queue_and_sleep(&Only(case), deadline.into(), Order::Biased, false, location)?.1,
    };
    Some(case.finish(outcome))
}

/// As [`block_on_case`], for a caller who has just looked in vain.
pub fn block_on_queued<C: Arm>(
    case: &C,
    deadline: Option<Instant>,
    location: &'static Location<'static>,
) -> Option<C::Output> {
    let (_, outcome) =
        queue_and_sleep(&Only(case), deadline.into(), Order::Biased, false, location)?;
    Some(case.finish(outcome))
}

/// As [`block_on_case`], but only as long as a peer that has already been found takes to
/// complete: for `try_` operations that meet an offer.
pub fn block_briefly<C: Arm>(case: &C, location: &'static Location<'static>) -> Option<C::Output> {
    let (_, outcome) =
        queue_and_sleep(&Only(case), Deadline::Past, Order::Biased, false, location)?;
    Some(case.finish(outcome))
}

#[derive(Clone, Copy)]
enum Deadline {
    Never,
    At(Instant),
    /// Do not sleep at all, except for a peer that completes by itself.
    Past,
}

impl Deadline {
    fn has_passed(self) -> bool {
        match self {
            Self::Never => false,
            Self::At(at) => at <= clock::now(),
            Self::Past => true,
        }
    }
}

impl From<Option<Instant>> for Deadline {
    fn from(deadline: Option<Instant>) -> Self {
        deadline.map_or(Self::Never, Self::At)
    }
}

/// The nodes of a wait that stands in queues; leaving them is its drop.
struct Queued<'a, A: Arms + ?Sized> {
    arms: &'a A,
    waiter: &'a Waiter,
    nodes: &'a [Node],
    watch: bool,
    brief: bool,
}

impl<'a, A: Arms + ?Sized> Queued<'a, A> {
    fn registration(&self, arm: usize) -> Registration<'a> {
        Registration {
            waiter: self.waiter,
            node: &self.nodes[arm],
            arm,
            watch: self.watch,
            brief: self.brief,
        }
    }

    /// Queues on every arm, or until one wins.
    #[inline(always)]
    fn enqueue(&self, start: usize) -> Option<usize> {
        match self.arms.len() {
            1 => self.enqueue_on(0),
            n => from(start, n, |i| self.enqueue_on(i)),
        }
    }

    #[inline(always)]
    fn enqueue_on(&self, arm: usize) -> Option<usize> {
        self.arms.arm(arm).enqueue(&self.registration(arm));
        self.waiter.ready()
    }

    /// Looks again at every arm (`all`), or at those whose deadline has passed.
    fn recheck(&self, start: usize, all: bool) -> Option<usize> {
        from(start, self.arms.len(), |i| {
            let arm = self.arms.arm(i);
            if all || arm.deadline().is_some_and(|d| d <= clock::now()) {
                arm.recheck(&self.registration(i));
            }
            self.waiter.ready()
        })
    }

    /// The earliest moment at which an arm becomes ready by the clock.
    #[inline]
    fn deadline(&self) -> Option<Instant> {
        let mut earliest = None::<Instant>;
        self.arms.each(&mut |_, arm| {
            if let Some(due) = arm.deadline() {
                earliest = Some(earliest.map_or(due, |e| e.min(due)));
            }
            None::<()>
        });
        earliest
    }

    fn kind(&self) -> WaitKind {
        if self.arms.len() == 1 {
            self.arms.arm(0).kind()
        } else {
            WaitKind::Select
        }
    }

    /// Ends the wait with the arm that won: leaves the other queues.
    fn won(self, arm: usize) -> Won {
        let this = std::mem::ManuallyDrop::new(self);
        leave(this.arms, this.nodes, Some(arm));
        (arm, this.arms.arm(arm).won(&this.nodes[arm]))
    }
}

impl<A: Arms + ?Sized> Drop for Queued<'_, A> {
    fn drop(&mut self) {
        give_up(self.arms, self.waiter, self.nodes, self.watch);
    }
}

/// The first thing `f` gives, of the numbers from `start` to `n` and from there on.
#[inline]
fn from<R>(start: usize, n: usize, mut f: impl FnMut(usize) -> Option<R>) -> Option<R> {
    // Plain loops: of a single arm nothing is left of them.
    for i in start..n {
        if let Some(found) = f(i) {
            return Some(found);
        }
    }
    for i in 0..start {
        if let Some(found) = f(i) {
            return Some(found);
        }
    }
    None
}

#[inline]
fn leave<A: Arms + ?Sized>(arms: &A, nodes: &[Node], winner: Option<usize>) {
    arms.each(&mut |i, arm| {
        if Some(i) != winner {
            arm.dequeue(&nodes[i]);
        }
        None::<()>
    });
}

/// Ends a wait whose result nobody wants. Cold, so that the drop of one that has ended is short.
#[cold]
fn give_up<A: Arms + ?Sized>(arms: &A, waiter: &Waiter, nodes: &[Node], watch: bool) {
    let won = waiter.abort(true).ok().flatten();
    leave(arms, nodes, won);
    if let Some(arm) = won {
        let outcome = arms.arm(arm).won(&nodes[arm]);
        if !watch {
            arms.arm(arm).abandon(outcome);
        }
    }
}

#[cold]
fn queue_and_sleep<A: Arms + ?Sized>(
    arms: &A,
    deadline: Deadline,
    order: Order,
    watch: bool,
    location: &'static Location<'static>,
) -> Option<Won> {
    if let Some(won) = look_a_while(arms, deadline, order, watch) {
        return Some(won);
    }
    let n = arms.len();
    const SMALL: usize = 4;
    if n == 1 {
        let nodes = [Node::new()];
        sleep(arms, &nodes, deadline, order, watch, location)
    } else if n <= SMALL {
        let nodes: [Node; SMALL] = std::array::from_fn(|_| Node::new());
        sleep(arms, &nodes[..n], deadline, order, watch, location)
    } else {
        let nodes: Vec<Node> = (0..n).map(|_| Node::new()).collect();
        sleep(arms, &nodes, deadline, order, watch, location)
    }
}

fn sleep<A: Arms + ?Sized>(
    arms: &A,
    nodes: &[Node],
    given: Deadline,
    order: Order,
    watch: bool,
    location: &'static Location<'static>,
) -> Option<Won> {
    Parker::with_current(|parker| {
        let n = arms.len();
        let brief = matches!(given, Deadline::Past);
        let wake = || Wake::Thread(Arc::clone(parker));
        // In one queue: whoever serves us while we spin is spared a wake.
        let looks = n == 1 && !brief && arms.arm(0).stays();
        let waiter = &if looks {
            Waiter::looking()
        } else {
            Waiter::new(wake())
        };
        let queued = Queued {
            arms,
            waiter,
            nodes,
            watch,
            brief,
        };
        // Who may not wait does not do so for a peer on its way either.
        let spin = || (!given.has_passed()).then(|| spin(arms, waiter)).flatten();
        if let Some(arm) = queued.enqueue(order.start(n)).or_else(spin) {
            return Some(queued.won(arm));
        }
        // Whether an offer or a nudge has let us go since the last time.
        let spent = || waiter.set_wake(wake()) == WakeSet::Anew;
        if looks && spent() {
            queued.recheck(0, true);
        }
        let mut deadline = given;
        let mut waiting = None;
        loop {
            if let Some(arm) = waiter.ready() {
                return Some(queued.won(arm));
            }
            if deadline.has_passed() {
                match waiter.abort(false) {
                    Ok(None) => return None,
                    Ok(Some(arm)) => return Some(queued.won(arm)),
                    // An offer holds us, and its completion is under way.
                    Err(Unsettled::Held) => deadline = Deadline::Never,
                    // The park below ends at once, by the token given with it or by time.
                    Err(Unsettled::LetGo) => {}
                }
            }
            waiting.get_or_insert_with(|| goroutine::waiting(queued.kind(), location));
            let until = match deadline {
                Deadline::At(at) => Some(queued.deadline().map_or(at, |due| due.min(at))),
                Deadline::Never | Deadline::Past => queued.deadline(),
            };
            // An offer holds us: an arm that is due cannot be won, and we are woken when
            // the offer ends, one way or the other.
            let until = until.filter(|_| !waiter.is_reserved());
            parker.park(until);
            parting::has_slept();
            if waiter.ready().is_some() {
                continue;
            }
            let spent = spent();
            if spent {
                // An offer that held us has fallen through: our own deadline counts again.
                deadline = given;
            }
            queued.recheck(order.start(n), spent);
        }
    })
}
