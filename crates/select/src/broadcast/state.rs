//! What a broadcast channel's lock guards.
//!
//! ```text
//!   base                                                    tail
//! ring = [ oldest that somebody has still to see ....... newest ]
//!            ▲ a receiver's `next`
//! ```
//!
//! Invariants when the lock is released:
//!
//! 1. A receiver with values to come and no promise out has nobody who waits to receive.
//! 2. Room and a waiting sender: never both.
//! 3. Nothing can be sent: no sender waits. A receiver that has seen all of what can no
//!    longer grow has nobody who waits to receive.
//! 4. The front of the ring has still to be seen by somebody.
//!
//! A receive that is served holds a promise for its receiver's next value. The value is
//! determined when it is fetched: should it be overwritten meanwhile, that is a lag. A select's
//! send arm that is chosen holds a permit: a place, also through a close, until it has its value.

use std::collections::VecDeque;

use rendez_core::case::Outcome;
use rendez_core::queue::Queue;
use rendez_core::shim::Arc;
use rendez_core::wake::WakeList;

use crate::chan::slot;
use crate::guarded::release;

/// A receive: the next value is promised to it.
pub(super) const GRANTED: Outcome = Outcome(0);
/// A send: the value has been taken.
pub(super) const SENT: Outcome = Outcome(1);
/// There is nothing to come, or nothing can be sent.
pub(super) const CLOSED: Outcome = Outcome(2);
/// A send still without a value: a permit is out for it.
pub(super) const PERMIT: Outcome = Outcome(3);

pub(super) struct State<T> {
    ring: VecDeque<Entry<T>>,
    base: u64,
    cap: usize,
    // Permits out: places held for values that are still to come.
    offers: usize,
    // Whether a sender waits for the slowest receiver, rather than overwrite.
    waits: bool,
    // By a receiver's place.
    seats: Vec<Option<Seat>>,
    pub(super) n_receivers: usize,
    pub(super) n_senders: usize,
    pub(super) closed: bool,
    // Grows with every step after which a receive or a send may be ready.
    pub(super) epoch: u64,
    // How often the last receiver has gone.
    pub(super) n_gone: u64,
    pub(super) sendq: Queue,
    pub(super) closeq: Queue,
    // Values nobody will see: dropped once the lock is released.
    garbage: Vec<Arc<T>>,
}

struct Entry<T> {
    // Shared, so that no user's code (a clone, a drop) runs under the lock.
    value: Arc<T>,
    unseen: usize,
}

/// One receiver.
struct Seat {
    next: u64,
    granted: bool,
    recvq: Queue,
}

/// What a receive fetches.
pub(super) enum Fetched<T> {
    Value(Arc<T>),
    Lagged(u64),
}

impl<T> State<T> {
    pub(super) fn new(cap: usize, waits: bool) -> Self {
        Self {
            ring: VecDeque::new(),
            base: 0,
            cap,
            offers: 0,
            waits,
            seats: Vec::new(),
            n_receivers: 0,
            n_senders: 1,
            closed: false,
            epoch: 0,
            n_gone: 0,
            sendq: Queue::new(),
            closeq: Queue::new(),
            garbage: Vec::new(),
        }
    }

    /// The values nobody will see, to be dropped after the lock.
    pub(super) fn take_garbage(&mut self) -> Vec<Arc<T>> {
        std::mem::take(&mut self.garbage)
    }

    fn tail(&self) -> u64 {
        self.base + self.ring.len() as u64
    }

    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    pub(super) fn no_sends(&self) -> bool {
        self.closed || self.n_receivers == 0
    }

    pub(super) fn no_more(&self) -> bool {
        self.closed || self.n_senders == 0
    }

    pub(super) fn has_room(&self) -> bool {
        !self.waits || self.ring.len() + self.offers < self.cap
    }

    /// Gives a new receiver a place; it sees what is sent from `next` on.
    fn sit(&mut self, next: u64) -> usize {
        for i in next.max(self.base)..self.tail() {
            self.entry(i).unseen += 1;
        }
        self.n_receivers += 1;
        let seat = Seat {
            next,
            granted: false,
            recvq: Queue::new(),
        };
        match self.seats.iter().position(Option::is_none) {
            Some(free) => {
                self.seats[free] = Some(seat);
                free
            }
            None => {
                self.seats.push(Some(seat));
                self.seats.len() - 1
            }
        }
    }

    pub(super) fn subscribe(&mut self) -> usize {
        self.sit(self.tail())
    }

    pub(super) fn clone_seat(&mut self, of: usize) -> usize {
        let next = self.seat(of).next;
        self.sit(next)
    }

    pub(super) fn leave(&mut self, seat: usize, wakes: &mut WakeList) {
        let Some(gone) = self.seats[seat].take() else {
            return;
        };
        for i in gone.next.max(self.base)..self.tail() {
            self.entry(i).unseen -= 1;
        }
        self.n_receivers -= 1;
        self.n_gone += u64::from(self.n_receivers == 0);
        self.sweep();
        self.settle_senders(wakes);
        self.end(wakes);
    }

    fn seat(&mut self, seat: usize) -> &mut Seat {
        self.seats[seat].as_mut().expect("a receiver has its seat")
    }

    fn entry(&mut self, i: u64) -> &mut Entry<T> {
        let at = usize::try_from(i - self.base).expect("within the ring");
        &mut self.ring[at]
    }

    /// Removes from the front what everybody has seen.
    fn sweep(&mut self) {
        while self.ring.front().is_some_and(|entry| entry.unseen == 0) {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(entry) = self.ring.pop_front() {
            self.base += 1;
            self.garbage.push(entry.value);
        }
    }

    /// How many values are to come for a receiver, those it has missed left out.
    pub(super) fn to_come(&self, seat: usize) -> usize {
        let next = self.seats[seat].as_ref().map_or(0, |seat| seat.next);
        usize::try_from(self.tail() - next.max(self.base)).unwrap_or(usize::MAX)
    }

    /// What a receive that looks now gets.
    pub(super) fn take(&mut self, seat: usize) -> Option<Outcome> {
        let outcome = self.look(seat)?;
        if outcome == GRANTED {
            self.seat(seat).granted = true;
        }
        Some(outcome)
    }

    /// What a receive would get.
    pub(super) fn look(&self, seat: usize) -> Option<Outcome> {
        let seat = self.seats[seat].as_ref()?;
        if seat.next < self.tail() {
            (!seat.granted).then_some(GRANTED)
        } else {
            (self.no_more() && self.offers == 0).then_some(CLOSED)
        }
    }

    pub(super) fn recvq(&mut self, seat: usize) -> &mut Queue {
        &mut self.seat(seat).recvq
    }

    /// Comes for a promised value.
    pub(super) fn redeem(&mut self, seat: usize, wakes: &mut WakeList) -> Fetched<T> {
        let base = self.base;
        let of = self.seat(seat);
        of.granted = false;
        let at = of.next;
        if at < base {
            of.next = base;
            self.settle_seat(seat, wakes);
            return Fetched::Lagged(base - at);
        }
        of.next += 1;
        let entry = self.entry(at);
        entry.unseen -= 1;
        let value = Arc::clone(&entry.value);
        self.sweep();
        self.settle_senders(wakes);
        self.settle_seat(seat, wakes);
        Fetched::Value(value)
    }

    /// Gives a promise back.
    pub(super) fn ungrant(&mut self, seat: usize, wakes: &mut WakeList) {
        self.seat(seat).granted = false;
        self.settle_seat(seat, wakes);
    }

    /// Sends a value, for which there is room.
    pub(super) fn push(&mut self, value: T, wakes: &mut WakeList) {
        if self.ring.len() == self.cap {
            self.pop();
        }
        self.ring.push_back(Entry {
            value: Arc::new(value),
            unseen: self.n_receivers,
        });
        self.settle_seats(wakes);
    }

    /// Restores invariant 1 for everybody.
    fn settle_seats(&mut self, wakes: &mut WakeList) {
        for seat in 0..self.seats.len() {
            self.settle_seat(seat, wakes);
        }
    }

    fn settle_seat(&mut self, seat: usize, wakes: &mut WakeList) {
        self.epoch += 1;
        let outcome = self.look(seat);
        let Some(of) = &mut self.seats[seat] else {
            return;
        };
        match outcome {
            Some(GRANTED) => {
                if let Some(waiter) = of.recvq.claim() {
                    of.granted = true;
                    waiter.complete(GRANTED, wakes);
                }
            }
            Some(outcome) => release(&mut of.recvq, outcome, wakes),
            None => {}
        }
    }

    /// Lets one permit out, for which there is room.
    pub(super) fn offer(&mut self) {
        self.offers += 1;
    }

    /// Completes a permit. Gives the value back if no receiver is left.
    pub(super) fn redeem_offer(&mut self, value: T, wakes: &mut WakeList) -> Result<(), T> {
        if self.n_receivers == 0 {
            self.unoffer(wakes);
            return Err(value);
        }
        self.offers -= 1;
        self.push(value, wakes);
        Ok(())
    }

    /// Gives a permit back: its place passes on, or was the last thing to come.
    pub(super) fn unoffer(&mut self, wakes: &mut WakeList) {
        self.offers -= 1;
        self.settle_senders(wakes);
        self.settle_seats(wakes);
    }

    /// Restores invariant 2.
    fn settle_senders(&mut self, wakes: &mut WakeList) {
        self.epoch += 1;
        while !self.no_sends() && self.has_room() {
            let Some(sender) = self.sendq.claim() else {
                return;
            };
            match slot::take_from(&sender) {
                Some(value) => {
                    self.push(value, wakes);
                    sender.complete(SENT, wakes);
                }
                None => {
                    self.offers += 1;
                    sender.complete(PERMIT, wakes);
                }
            }
        }
    }

    /// Restores invariant 3 after sends have become impossible or senders have gone.
    pub(super) fn end(&mut self, wakes: &mut WakeList) {
        self.epoch += 1;
        if self.no_sends() {
            release(&mut self.sendq, CLOSED, wakes);
            release(&mut self.closeq, CLOSED, wakes);
        }
        if self.no_more() {
            self.settle_seats(wakes);
        }
    }
}
