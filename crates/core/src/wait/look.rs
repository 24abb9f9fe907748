//! Looking, without queueing: once, twice to be sure that nothing is ready, or for a while
//! because a peer that finds nobody queued has nobody to wake.
//!
//! Nobody sleeps here: what is overlooked is found by who queues next.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::{Arms, Deadline, Order};
use crate::case::Outcome;
use crate::hooks;
use crate::shim::{multicore, spin_loop, thread};
use crate::waiter::Waiter;

/// The arm that won, and how.
pub type Won = (usize, Outcome);

/// What a look over all arms found.
pub(super) enum Look {
    /// A ready arm, now taken.
    Won(Won),
    /// No ready arm, and the sum of their epochs.
    Idle(u64),
    /// Ready arms that others have taken.
    Late,
}

/// Takes a ready arm without waiting; `None` if none could be taken at this look.
#[inline]
pub fn look<A: Arms + ?Sized>(arms: &A, order: Order) -> Option<Won> {
    match look_over(arms, order) {
        Look::Won(won) => Some(won),
        Look::Idle(_) | Look::Late => None,
    }
}

pub(super) fn look_over<A: Arms + ?Sized>(arms: &A, order: Order) -> Look {
    let n = arms.len();
    let try_arm = |i: usize| arms.arm(i).try_now().map(|outcome| (i, outcome));
    let in_order = order == Order::Biased || n == 1;
    // Uniform among the ready ones: the k-th one seen replaces the choice with
    // probability 1/k.
    let (mut n_ready, mut chosen, mut epochs) = (0, 0, 0_u64);
    for i in 0..n {
        let probe = arms.arm(i).probe();
        if !probe.ready {
            epochs = epochs.wrapping_add(probe.epoch);
            continue;
        }
        n_ready += 1;
        if in_order {
            if let Some(won) = try_arm(i) {
                return Look::Won(won);
            }
        } else if n_ready == 1 || hooks::random_below(n_ready) == 0 {
            chosen = i;
        }
    }
    if n_ready == 0 {
        return Look::Idle(epochs);
    }
    if in_order {
        return Look::Late;
    }
    // Somebody was faster at the chosen one: any other will do.
    let won = try_arm(chosen).or_else(|| {
        let start = hooks::random_below(n);
        (start..n)
            .chain(0..start)
            .filter(|&i| arms.arm(i).probe().ready)
            .find_map(try_arm)
    });
    won.map_or(Look::Late, Look::Won)
}

/// The sum of all epochs if no arm is ready. Epochs never decrease, so the sum is the
/// same twice only if each is.
pub(super) fn idle<A: Arms + ?Sized>(arms: &A) -> Option<u64> {
    let mut sum = 0_u64;
    for i in 0..arms.len() {
        let probe = arms.arm(i).probe();
        if probe.ready {
            return None;
        }
        sum = sum.wrapping_add(probe.epoch);
    }
    Some(sum)
}

/// Looks for about as long as a sleep and its wake would take, before it queues. A peer that
/// comes meanwhile finds nobody to wake, which would cost it more than all the looking.
pub(super) fn look_a_while<A: Arms + ?Sized>(
    arms: &A,
    deadline: Deadline,
    order: Order,
    watch: bool,
) -> Option<Won> {
    let n = arms.len();
    // A pool's worker has other goroutines to run, and virtual time stands still.
    let may = !watch && !matches!(deadline, Deadline::Past) && multicore();
    if !may || hooks::has_scheduler() || hooks::bubble().is_some() {
        return None;
    }
    if !(0..n).all(|i| arms.arm(i).worth_watching()) {
        return None;
    }
    turns(7, 100, || {
        if (0..n).any(|i| arms.arm(i).probe().ready) {
            look(arms, order).map(Some)
        } else {
            deadline.has_passed().then_some(None)
        }
    })
    .flatten()
}

/// Waits a little, queued, for a peer that is already on its way.
pub(super) fn spin(waiter: &Waiter) -> Option<usize> {
    multicore()
        .then(|| turns(6, 50, || waiter.ready()))
        .flatten()
}

/// Asks `done` after pauses, each twice as long as the one before, since a peer is faster the
/// less its cache lines are asked for; then each time giving way to other threads, which on
/// a busy machine lets the peer run.
///
/// If it lets a stranger run instead, for as long as the system gives him, a sleep and its
/// wake would have been better: a thread to which that happens gives way no more for a while.
fn turns<R>(pauses: u32, yields: u32, mut done: impl FnMut() -> Option<R>) -> Option<R> {
    /// A turn that took so long was a stranger's.
    const LONG: Duration = Duration::from_millis(1);
    /// So many waits give way to nobody then.
    const WARY: u32 = 100;
    std::thread_local! {
        static WARY_FOR: Cell<u32> = const { Cell::new(0) };
    }
    for step in 0..pauses {
        (0..1_u32 << step).for_each(|_| spin_loop());
        if let Some(done) = done() {
            return Some(done);
        }
    }
    let wary = WARY_FOR.try_with(|wary| wary.replace(wary.get().saturating_sub(1)));
    if wary.unwrap_or(1) > 0 {
        return None;
    }
    let mut before = Instant::now();
    for _ in 0..yields {
        thread::yield_now();
        let now = Instant::now();
        let long = now - before > LONG;
        before = now;
        if long {
            let _ = WARY_FOR.try_with(|wary| wary.set(WARY));
        }
        if let Some(done) = done() {
            return Some(done);
        }
        if long {
            break;
        }
    }
    None
}
