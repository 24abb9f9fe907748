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
//!   between. So no wake-up is lost.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::future::Future;
use std::marker::PhantomPinned;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::case::{Arm, Case, Outcome};
use crate::clock::{self, Alarm};
use crate::goroutine::{self, WaitKind};
use crate::hooks;
use crate::parker::Parker;
use crate::queue::{Node, Registration};
use crate::shim::{Arc, multicore, spin_loop, thread};
use crate::waiter::{Unsettled, Waiter, WakeSet};
use crate::wake::Wake;

/// The cases of one wait.
pub trait Arms {
    /// How many.
    fn len(&self) -> usize;
    /// The `i`-th.
    fn arm(&self, i: usize) -> &dyn Case;
    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Arms for [&dyn Case] {
    fn len(&self) -> usize {
        <[_]>::len(self)
    }
    fn arm(&self, i: usize) -> &dyn Case {
        self[i]
    }
}

/// The one case of a plain operation.
#[derive(Debug)]
pub struct Only<C>(pub C);

impl<C: Case> Arms for Only<C> {
    #[inline]
    fn len(&self) -> usize {
        1
    }
    #[inline]
    fn arm(&self, _: usize) -> &dyn Case {
        &self.0
    }
}

/// No case: where a typed list begins.
#[derive(Clone, Copy, Debug)]
pub struct Empty;

impl Empty {
    /// A list of `case` alone.
    pub fn and<C: Case>(self, case: C) -> And<Self, C> {
        And(self, case)
    }
}

impl<R: Arms, C: Case> And<R, C> {
    /// This list and `case` after it.
    pub fn and<D: Case>(self, case: D) -> And<Self, D> {
        And(self, case)
    }
}

impl Arms for Empty {
    fn len(&self) -> usize {
        0
    }
    fn arm(&self, _: usize) -> &dyn Case {
        unreachable!("an arm's number is below the number of arms")
    }
}

/// A list of cases and one more: it keeps its arms' types, so that a future over it is
/// `Send` when they are.
#[derive(Clone, Copy, Debug)]
pub struct And<R, C>(pub R, pub C);

impl<R: Arms, C: Case> Arms for And<R, C> {
    #[inline]
    fn len(&self) -> usize {
        self.0.len() + 1
    }
    #[inline]
    fn arm(&self, i: usize) -> &dyn Case {
        if i == self.0.len() {
            &self.1
        } else {
            self.0.arm(i)
        }
    }
}

/// Which of several ready arms is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each with the same probability.
    Fair,
    /// The first.
    Biased,
}

impl Order {
    /// Where to begin among `n` arms.
    fn start(self, n: usize) -> usize {
        if self == Self::Biased || n < 2 {
            0
        } else {
            hooks::random_below(n)
        }
    }
}

/// The arm that won, and how.
pub type Won = (usize, Outcome);

/// What a look over all arms found.
enum Look {
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

fn look_over<A: Arms + ?Sized>(arms: &A, order: Order) -> Look {
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

/// Takes a ready arm; `None` only if there was an instant at which no arm was ready.
#[track_caller]
pub fn try_any(arms: &[&dyn Case], order: Order) -> Option<Won> {
    hooks::switch_point();
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

/// The sum of all epochs if no arm is ready. Epochs never decrease, so the sum is the
/// same twice only if each is.
fn idle<A: Arms + ?Sized>(arms: &A) -> Option<u64> {
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
    #[inline]
    fn enqueue(&self, start: usize) -> Option<usize> {
        from(start, self.arms.len(), |i| {
            self.arms.arm(i).enqueue(&self.registration(i));
            self.waiter.ready()
        })
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
        for i in 0..self.arms.len() {
            if let Some(due) = self.arms.arm(i).deadline() {
                earliest = Some(earliest.map_or(due, |e| e.min(due)));
            }
        }
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
    for (i, node) in nodes.iter().enumerate().take(arms.len()) {
        if Some(i) != winner {
            arms.arm(i).dequeue(node);
        }
    }
}

/// Ends a wait whose result nobody wants.
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
        let wake = Wake::Thread(Arc::clone(parker));
        let waiter = &if n == 1 {
            Waiter::single(wake)
        } else {
            Waiter::many(wake)
        };
        let queued = Queued {
            arms,
            waiter,
            nodes,
            watch,
            brief,
        };
        if let Some(arm) = queued
            .enqueue(order.start(n))
            .or_else(|| spin(waiter, brief))
        {
            return Some(queued.won(arm));
        }
        let mut deadline = given;
        let mut waiting = None;
        loop {
            if let Some(arm) = waiter.ready() {
                return Some(queued.won(arm));
            }
            let expired = match deadline {
                Deadline::Never => false,
                Deadline::At(at) => at <= clock::now(),
                Deadline::Past => true,
            };
            if expired {
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
            if waiter.ready().is_some() {
                continue;
            }
            let spent = waiter.set_wake(Wake::Thread(Arc::clone(parker))) == WakeSet::Anew;
            if spent {
                // An offer that held us has fallen through: our own deadline counts again.
                deadline = given;
            }
            queued.recheck(order.start(n), spent);
        }
    })
}

/// Looks for about as long as a sleep and its wake would take, before it queues. A peer that
/// comes meanwhile finds nobody to wake, which would cost it more than all the looking.
fn look_a_while<A: Arms + ?Sized>(
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
        } else if matches!(deadline, Deadline::At(at) if at <= clock::now()) {
            Some(None)
        } else {
            None
        }
    })
    .flatten()
}

/// Waits a little, queued, for a peer that is already on its way.
fn spin(waiter: &Waiter, brief: bool) -> Option<usize> {
    if brief || !multicore() {
        return None;
    }
    turns(6, 50, || waiter.ready())
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

/// A wait as a task makes it. [`poll_won`](Self::poll_won) is a future's poll; `N` is an
/// array of as many nodes as there are arms.
pub struct Pending<A: Arms, N: AsRef<[Node]>> {
    arms: A,
    nodes: N,
    waiter: Option<Waiter>,
    alarm: Alarm,
    order: Order,
    watch: bool,
    location: &'static Location<'static>,
    _pinned: PhantomPinned,
}

impl<A: Arms, const N: usize> Pending<A, [Node; N]> {
    /// A wait on `arms`, of which there are `N`; it begins with its first poll.
    pub fn new(arms: A, order: Order, watch: bool, location: &'static Location<'static>) -> Self {
        debug_assert_eq!(arms.len(), N);
        Self::with_nodes(
            arms,
            std::array::from_fn(|_| Node::new()),
            order,
            watch,
            location,
        )
    }
}

impl<A: Arms> Pending<A, Box<[Node]>> {
    /// A wait on any number of arms; it begins with its first poll.
    pub fn boxed(arms: A, order: Order, watch: bool, location: &'static Location<'static>) -> Self {
        let nodes = (0..arms.len()).map(|_| Node::new()).collect();
        Self::with_nodes(arms, nodes, order, watch, location)
    }
}

impl<A: Arms, N: AsRef<[Node]>> Pending<A, N> {
    fn with_nodes(
        arms: A,
        nodes: N,
        order: Order,
        watch: bool,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            arms,
            nodes,
            waiter: None,
            alarm: Alarm::new(),
            order,
            watch,
            location,
            _pinned: PhantomPinned,
        }
    }

    /// The arms.
    pub fn arms(&self) -> &A {
        &self.arms
    }

    /// Polls: looks, queues, or sees which arm has won. The caller finishes that arm
    /// before it does anything else. Polled again after that, it waits anew.
    pub fn poll_won(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Won> {
        self.poll_by(cx, None)
    }

    /// As [`poll_won`](Self::poll_won), for a caller who has just looked in vain.
    pub fn poll_looked(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Won> {
        // SAFETY: nothing is moved out; nodes and waiter stay where they are pinned.
        unsafe { self.get_unchecked_mut() }.poll_queued(cx, None)
    }

    /// As `poll_won`, and has the task woken at `limit` too.
    fn poll_by(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: Option<Instant>) -> Poll<Won> {
        // SAFETY: nothing is moved out; nodes and waiter stay where they are pinned.
        let this = unsafe { self.get_unchecked_mut() };
        hooks::switch_point();
        if this.waiter.is_none() {
            // A look may say ready and be wrong; who only watches queues, to be told.
            if let Some(won) = (!this.watch)
                .then(|| look(&this.arms, this.order))
                .flatten()
            {
                return Poll::Ready(won);
            }
        }
        this.poll_queued(cx, limit)
    }

    /// As [`poll_won`](Self::poll_won), but gives up with `None` once `deadline` passes.
    pub fn poll_until(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        deadline: Option<Instant>,
    ) -> Poll<Option<Won>> {
        if let Poll::Ready(won) = self.as_mut().poll_by(cx, deadline) {
            return Poll::Ready(Some(won));
        }
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        // SAFETY: nothing is moved out; nodes and waiter stay where they are pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if deadline > clock::now() {
            return Poll::Pending;
        }
        let Some(waiter) = &this.waiter else {
            return Poll::Pending;
        };
        let won = match waiter.abort(false) {
            Ok(won) => won,
            // An offer holds us, and its end wakes us, or it has ended and has woken us.
            Err(Unsettled::Held | Unsettled::LetGo) => return Poll::Pending,
        };
        let nodes = this.nodes.as_ref();
        leave(&this.arms, nodes, won);
        let won = won.map(|arm| (arm, this.arms.arm(arm).won(&nodes[arm])));
        this.waiter = None;
        this.alarm.cancel();
        Poll::Ready(won)
    }

    fn poll_queued(&mut self, cx: &mut Context<'_>, limit: Option<Instant>) -> Poll<Won> {
        let n = self.arms.len();
        let first = self.waiter.is_none();
        let waiter = self.waiter.get_or_insert_with(|| {
            // Foreign code, which may panic: nothing has been begun then.
            let wake = Wake::Task(cx.waker().clone());
            if n == 1 {
                Waiter::single(wake)
            } else {
                Waiter::many(wake)
            }
        });
        let queued = std::mem::ManuallyDrop::new(Queued {
            arms: &self.arms,
            waiter,
            nodes: self.nodes.as_ref(),
            watch: self.watch,
            brief: false,
        });
        let won = if first {
            queued.enqueue(self.order.start(n))
        } else {
            waiter.ready().or_else(|| {
                // As above: should it panic, the wake before is still there.
                let wake = Wake::Task(cx.waker().clone());
                let spent = waiter.set_wake(wake) == WakeSet::Anew;
                // It may have been won before the new wake was there.
                waiter
                    .ready()
                    .or_else(|| queued.recheck(self.order.start(n), spent))
            })
        };
        let won = won.or_else(|| {
            let due = queued.deadline();
            let earliest = match (due, limit) {
                (None, None) => return None,
                (Some(due), Some(limit)) => due.min(limit),
                (Some(at), None) | (None, Some(at)) => at,
            };
            // Set the alarm, then look once more: time may have passed meanwhile.
            // An offer holds us: an arm that is due cannot be won, and we are woken when
            // the offer ends, one way or the other.
            if !waiter.is_reserved() {
                self.alarm.set(earliest, cx.waker());
            }
            due.and_then(|_| queued.recheck(self.order.start(n), false))
        });
        if let Some(arm) = won {
            let won = std::mem::ManuallyDrop::into_inner(queued).won(arm);
            self.waiter = None;
            self.alarm.cancel();
            return Poll::Ready(won);
        }
        goroutine::parked(queued.kind(), self.location);
        Poll::Pending
    }
}

impl<A: Arms, N: AsRef<[Node]>> Drop for Pending<A, N> {
    fn drop(&mut self) {
        if let Some(waiter) = &self.waiter {
            give_up(&self.arms, waiter, self.nodes.as_ref(), self.watch);
        }
    }
}

impl<A: Arms, N: AsRef<[Node]>> fmt::Debug for Pending<A, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("n_arms", &self.arms.len())
            .field("waiter", &self.waiter)
            .finish_non_exhaustive()
    }
}

/// One case as a future. Cancel-safe: dropped before it completes, it has taken nothing.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct CaseFuture<C: Arm>(Pending<Only<C>, [Node; 1]>);

impl<C: Arm> CaseFuture<C> {
    /// Waits for `case`; `location` is what dumps show.
    pub fn new(case: C, location: &'static Location<'static>) -> Self {
        Self(Pending::new(Only(case), Order::Biased, false, location))
    }

    /// The case.
    pub fn case(&self) -> &C {
        &self.0.arms.0
    }

    /// Whether it waits: it has been polled, and has not given its result since.
    pub fn is_waiting(&self) -> bool {
        self.0.waiter.is_some()
    }

    /// Polls, for a caller who has just looked in vain.
    pub fn poll_looked(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        // SAFETY: the field is pinned with the whole and never moved out.
        let mut pending = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        let (_, outcome) = std::task::ready!(pending.as_mut().poll_looked(cx));
        Poll::Ready(pending.arms.0.finish(outcome))
    }
}

impl<C: Arm> Future for CaseFuture<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<C::Output> {
        // SAFETY: the field is pinned with the whole and never moved out.
        let mut pending = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        let (_, outcome) = std::task::ready!(pending.as_mut().poll_won(cx));
        Poll::Ready(pending.arms.0.finish(outcome))
    }
}
