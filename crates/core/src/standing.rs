//! A wait that is made again and again on the same cases, which stay queued in between:
//! what a wait costs depends on how many cases have become ready, not on how many there are.
//!
//! ```text
//!    ┌────── won, missed, its time has come ───────┐
//!    ▼                                             │
//!   due ──looked at, not ready──▶ idle ──enqueue──▶ queued
//! ```
//!
//! - **due**: to be looked at, in the order in which they became so. An arm that has won
//!   goes to the end, so none is passed over for ever.
//! - **idle**: looked at and not ready; queued before the next look at the others.
//! - **queued**: its node stands in its case's queue, or has been missed: whoever came by
//!   while the waiter could not be claimed has unlinked the node and noted the arm
//!   ([`Waiter::miss`](crate::waiter::Waiter)).
//!
//! Between two waits the waiter is READY, as one that has given up, so nobody hands it
//! anything and nothing is withheld from others. A case that cannot be left queued like that
//! ([`Case::stays`]) is a *visitor*: it leaves its queue whenever the waiter is closed, and
//! is due in each wait. After an offer has held the waiter, queues
//! that passed it over meanwhile have not noted so: then every arm is due again.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};
use std::time::Instant;

use crate::case::Case;
use crate::clock::{self, Alarm};
use crate::goroutine::{self, WaitKind};
use crate::hooks;
use crate::parker::Parker;
use crate::queue::{Node, Registration};
use crate::shim::Arc;
use crate::wait::Won;
use crate::waiter::{Waiter, WakeSet};
use crate::wake::Wake;

/// A set of cases that is waited on again and again.
pub struct Standing<C: Case> {
    waiter: Box<Waiter>,
    // By arm. A vacant place is in `vacant`, and an arm is in at most one of the lists.
    places: Vec<Option<Box<Place<C>>>>,
    vacant: Vec<usize>,
    due: VecDeque<usize>,
    idle: Vec<usize>,
    // The arms that do not stay queued; among them all that become ready by the clock.
    visitors: Vec<usize>,
    // Whether the waiter can be claimed, or has been and nobody has looked.
    open: bool,
    alarm: Alarm,
}

struct Place<C> {
    case: C,
    node: Node,
    at: At,
}

/// Where an arm is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// In `due` or `idle`.
    Listed,
    Queued,
}

/// How long to wait.
#[derive(Clone, Copy)]
enum Limit {
    Never,
    At(Instant),
    Now,
}

impl<C: Case> Standing<C> {
    /// No cases.
    pub fn new() -> Self {
        Self {
            waiter: Box::new(Waiter::standing()),
            places: Vec::new(),
            vacant: Vec::new(),
            due: VecDeque::new(),
            idle: Vec::new(),
            visitors: Vec::new(),
            open: false,
            alarm: Alarm::new(),
        }
    }

    /// How many cases there are.
    pub fn len(&self) -> usize {
        self.places.len() - self.vacant.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a case; its arm's number, which no other has at the same time.
    pub fn add(&mut self, case: C) -> usize {
        let stays = case.stays();
        let place = Some(Box::new(Place {
            case,
            node: Node::new(),
            at: At::Listed,
        }));
        let arm = match self.vacant.pop() {
            Some(arm) => {
                self.places[arm] = place;
                arm
            }
            None => {
                self.places.push(place);
                self.places.len() - 1
            }
        };
        self.due.push_back(arm);
        if !stays {
            self.visitors.push(arm);
        }
        arm
    }

    /// The case of `arm`.
    pub fn case(&self, arm: usize) -> Option<&C> {
        self.places.get(arm)?.as_ref().map(|place| &place.case)
    }

    /// Takes a case out.
    pub fn remove(&mut self, arm: usize) -> Option<C> {
        self.case(arm)?;
        self.cancel();
        self.collect();
        let place = self.places[arm].take()?;
        place.case.dequeue(&place.node);
        if place.at == At::Listed {
            self.due.retain(|&i| i != arm);
            self.idle.retain(|&i| i != arm);
        }
        self.visitors.retain(|&i| i != arm);
        self.vacant.push(arm);
        Some(place.case)
    }

    /// Takes a case that is ready; `None` only if there was an instant at which none was.
    pub fn try_now(&mut self, location: &'static Location<'static>) -> Option<Won> {
        self.block_by(Limit::Now, location)
    }

    /// Blocks until a case is taken or `deadline` passes.
    pub fn block(
        &mut self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Option<Won> {
        self.block_by(deadline.map_or(Limit::Never, Limit::At), location)
    }

    fn block_by(&mut self, limit: Limit, location: &'static Location<'static>) -> Option<Won> {
        hooks::switch_point();
        self.cancel();
        Parker::with_current(|parker| {
            let wake = || Wake::Thread(Arc::clone(parker));
            let mut bounded = limit;
            let mut waiting = None;
            loop {
                if let Some(won) = self.look_or_queue(&wake, matches!(limit, Limit::Now)) {
                    return Some(won);
                }
                if self.time_has_come() {
                    continue;
                }
                let expired = match bounded {
                    Limit::Never => false,
                    Limit::At(at) => at <= clock::now(),
                    Limit::Now => true,
                };
                if expired {
                    self.close();
                    if !self.open {
                        // Queues may have passed us over while an offer held us.
                        if self.collect() {
                            continue;
                        }
                        return None;
                    }
                    // It has won, or an offer holds us and its completion is under way.
                    bounded = Limit::Never;
                    continue;
                }
                waiting.get_or_insert_with(|| goroutine::waiting(WaitKind::Select, location));
                // As in a plain wait: what is due cannot be won while an offer holds us.
                let due = self.deadline().filter(|_| !self.waiter.is_reserved());
                parker.park(match bounded {
                    Limit::At(at) => Some(due.map_or(at, |due| due.min(at))),
                    Limit::Never | Limit::Now => due,
                });
                if self.waiter.set_wake(wake()) == WakeSet::Anew {
                    // An offer that held us has fallen through: look at all again.
                    bounded = limit;
                    self.close();
                }
            }
        })
    }

    /// Polls until a case is taken. Once it is pending, [`cancel`](Self::cancel) ends it.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<Won> {
        hooks::switch_point();
        let wake = || Wake::Task(cx.waker().clone());
        if self.open && self.waiter.set_wake(wake()) == WakeSet::Anew {
            self.close();
        }
        loop {
            if let Some(won) = self.look_or_queue(&wake, false) {
                self.alarm.cancel();
                return Poll::Ready(won);
            }
            // Set the alarm, then look at the time: it may have passed meanwhile.
            // As in a plain wait: what is due cannot be won while an offer holds us.
            if let Some(due) = self.deadline().filter(|_| !self.waiter.is_reserved()) {
                self.alarm.set(due, cx.waker());
            }
            if !self.time_has_come() {
                break;
            }
        }
        goroutine::parked(WaitKind::Select, location);
        Poll::Pending
    }

    /// The arm that has won, or wins now; without one, the waiter is left open and every arm
    /// queued.
    fn look_or_queue(&mut self, wake: &impl Fn() -> Wake, brief: bool) -> Option<Won> {
        if !self.open {
            if let Some(won) = self.look(wake) {
                return Some(won);
            }
        }
        // A look may have been held by an offer, which leaves it open.
        if !self.open {
            if let Some(won) = self.queue(wake(), brief) {
                return Some(won);
            }
        }
        self.won()
    }

    /// Ends a wait: gives back what had been won, and lets an offer go.
    pub fn cancel(&mut self) {
        self.alarm.cancel();
        if !self.open {
            return;
        }
        let won = match self.waiter.abort(false) {
            Ok(won) => won,
            Err(_) => self.waiter.abort(true).ok().flatten(),
        };
        self.closed();
        if let Some((arm, outcome)) = won.map(|arm| self.taken(arm)) {
            if let Some(place) = &self.places[arm] {
                place.case.abandon(outcome);
            }
        }
    }

    /// Closes the waiter, unless it has won or an offer holds it.
    fn close(&mut self) {
        if self.open && self.waiter.abort(false) == Ok(None) {
            self.closed();
        }
    }

    /// Takes note that the waiter is closed now: visitors leave.
    fn closed(&mut self) {
        self.open = false;
        for at in 0..self.visitors.len() {
            self.requeue(self.visitors[at]);
        }
    }

    /// The arm that has won, if one has.
    fn won(&mut self) -> Option<Won> {
        if !self.open {
            return None;
        }
        let arm = self.waiter.ready()?;
        self.closed();
        Some(self.taken(arm))
    }

    /// The outcome of an arm that was claimed. It has left its queue.
    fn taken(&mut self, arm: usize) -> Won {
        self.now_due(arm);
        let place = self.places[arm].as_ref();
        let place = place.expect("an absent arm never wins");
        (arm, place.case.won(&place.node))
    }

    /// Looks at the arms that are due, with the waiter closed.
    fn look(&mut self, wake: &impl Fn() -> Wake) -> Option<Won> {
        self.collect();
        if !self.idle.is_empty() {
            // Queued first, so that none starves while another is always ready.
            if let Some(won) = self.queue(wake(), true) {
                return Some(won);
            }
            self.close();
            if self.open {
                return self.won();
            }
        }
        while let Some(arm) = self.due.pop_front() {
            let Some(place) = &self.places[arm] else {
                continue;
            };
            let taken = || place.case.try_now();
            match place.case.probe().ready.then(taken).flatten() {
                Some(outcome) => {
                    self.due.push_back(arm);
                    return Some((arm, outcome));
                }
                None => self.idle.push(arm),
            }
        }
        None
    }

    /// Opens the waiter and queues every arm that is not; the arm that wins meanwhile. A
    /// `brief` wait passes over the offers of tasks; an arm that may have one is not left
    /// queued beside it, where neither would learn of the other.
    fn queue(&mut self, wake: Wake, brief: bool) -> Option<Won> {
        // Before it is open: a node must not leave its queue while an offer may take hold of
        // the waiter there.
        self.collect();
        let mut missed = Vec::new();
        let reserved = self.waiter.reopen(wake, &mut missed);
        debug_assert!(!reserved, "a closed waiter is held by no offer");
        self.open = true;
        self.note(false, &missed);
        let mut unsure = Vec::new();
        while let Some(arm) = self.idle.pop().or_else(|| self.due.pop_front()) {
            if self.waiter.ready().is_some() {
                self.due.push_front(arm);
                break;
            }
            let Some(place) = &mut self.places[arm] else {
                continue;
            };
            place.at = At::Queued;
            place.case.enqueue(&Registration {
                waiter: &self.waiter,
                node: &place.node,
                arm,
                watch: false,
                brief,
            });
            let winner = self.waiter.ready();
            // One that has not won may have come too late to be queued.
            let in_doubt = match winner {
                Some(winner) => winner != arm,
                None => brief && !self.waiter.is_reserved() && place.case.probe().ready,
            };
            if in_doubt {
                place.case.dequeue(&place.node);
                // Won in this very moment, it is found below.
                if self.waiter.ready() != Some(arm) {
                    place.at = At::Listed;
                    unsure.push(arm);
                }
            }
            if winner.is_some() {
                break;
            }
        }
        self.idle.append(&mut unsure);
        self.won()
    }

    /// Takes note of what was missed since the last look, with the waiter closed. Returns
    /// whether that may be anything: an offer had held it.
    fn collect(&mut self) -> bool {
        let mut missed = Vec::new();
        let reserved = self.waiter.collect(&mut missed);
        self.note(reserved, &missed);
        reserved
    }

    fn note(&mut self, reserved: bool, missed: &[usize]) {
        for &arm in missed {
            self.now_due(arm);
        }
        if reserved {
            for arm in 0..self.places.len() {
                self.requeue(arm);
            }
        }
    }

    /// Makes an arm due that has left its queue.
    fn now_due(&mut self, arm: usize) {
        if let Some(place) = self.places[arm].as_mut().filter(|p| p.at == At::Queued) {
            place.at = At::Listed;
            self.due.push_back(arm);
        }
    }

    /// Makes an arm due wherever it is.
    fn requeue(&mut self, arm: usize) {
        if let Some(place) = self.places[arm].as_ref().filter(|p| p.at == At::Queued) {
            place.case.dequeue(&place.node);
            self.now_due(arm);
        }
    }

    /// Whether the time of an arm has come, and so there is to be looked again.
    fn time_has_come(&mut self) -> bool {
        if self.deadline().is_none_or(|due| due > clock::now()) {
            return false;
        }
        self.close();
        !self.open || self.waiter.ready().is_some()
    }

    fn deadline(&self) -> Option<Instant> {
        let deadline = |&arm: &usize| self.case(arm).and_then(Case::deadline);
        self.visitors.iter().filter_map(deadline).min()
    }
}

impl<C: Case> Default for Standing<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Case> Drop for Standing<C> {
    fn drop(&mut self) {
        self.cancel();
        for place in self.places.iter().flatten() {
            place.case.dequeue(&place.node);
        }
    }
}

impl<C: Case> fmt::Debug for Standing<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standing")
            .field("len", &self.len())
            .field("waiter", &self.waiter)
            .finish_non_exhaustive()
    }
}
