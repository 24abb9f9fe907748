//! What a channel's lock guards, and the moves between its parts.
//!
//! ```text
//! buf = [ oldest ......................... newest ]
//!         granted + returned + counted = buf.len()
//!         counted + offers + room = capacity
//! ```
//!
//! - **granted**: values reserved for receivers already served (a future, a select arm)
//!   that have not come for them yet. Whoever comes takes the front.
//! - **returned**: values without a place of their own: their grant was dropped with
//!   nobody else waiting, or an offer was completed after its receiver had gone.
//! - **counted**: what `len` says, at most the capacity.
//! - **offers**: permits out: a slot, or a receiver where no slot is left, held for a
//!   value that is still to come.
//! - **room**: for how many values more there is a slot; negative by as many offers as hold
//!   a receiver. An unbounded channel has more of it than there is memory, and counts it only
//!   where that costs nothing.
//!
//! Invariants when the lock is released:
//!
//! 1. An available value (not granted) and an open receiver: never both.
//! 2. Room (counted + offers below the capacity) and an open sender: never both.
//! 3. An open receiver and an open sender of different selects: never both.
//! 4. Closed: no sender waits. Closed and drained (buffer empty, no permit out): no
//!    receiver waits.
//!
//! *Open* leaves out waiters that an offer on another channel holds. When such a waiter
//! is let go it is woken and looks at all its arms again, which restores 1 to 4 for it. Until it
//! has, others find it open where it should not be: so nobody takes a receiver while a value is
//! available (`may_meet`), nor lets a sender send once no value can be sent.

use rendez_core::case::Outcome;
use rendez_core::queue::{Claimed, Queue};
use rendez_core::shim::Arc;
use rendez_core::wake::{Wake, WakeList};

use super::front::Front;
use super::lane::{Lane, MOST_GRANTED};
use super::ring::Ring;
use super::slot;
use super::store::{All, Aside};

/// A receive: one value is reserved for it, at the front.
pub(crate) const GRANTED: Outcome = Outcome(0);
/// A receive: the value lies in the receiver's slot.
pub(crate) const HANDED: Outcome = Outcome(1);
/// A send: the value has been taken from the sender's slot.
pub(crate) const SENT: Outcome = Outcome(2);
/// A send still without a value: a permit is out for it.
pub(crate) const PERMIT: Outcome = Outcome(3);
/// The channel is closed.
pub(crate) const CLOSED: Outcome = Outcome(4);

/// The capacity of an unbounded channel, with as much above it as below.
const UNBOUNDED: isize = isize::MAX / 2;

/// The payload of those who watch the receiving end.
pub(crate) const WATCH_RECV: *const () = std::ptr::null();
/// The payload of those who watch the sending end.
pub(crate) const WATCH_SEND: *const () = std::ptr::without_provenance(1);

// In this order: the first 64 bytes, with the word before them, are all that an operation
// needs while nobody is queued.
#[repr(C)]
pub(crate) struct State<T> {
    pub(super) ring: Ring<T>,
    granted: u32,
    returned: u32,
    room: isize,
    offers: isize,
    pub(super) cap: isize,
    /// Who keep the channel's memory: the two ends, and weak handles.
    n_keepers: usize,
    pub(crate) sendq: Queue,
    pub(crate) recvq: Queue,
    pub(crate) watchq: Queue,
    /// Those who wait for sends to become impossible.
    pub(crate) closeq: Queue,
    // Of `CLOSED_BY_CALL`, `NO_SENDERS` and `NO_RECEIVERS`.
    ends: u8,
    /// Where values are that are not in the ring.
    pub(super) aside: Option<Aside<T>>,
    /// How many of them, unless a lane runs.
    pub(super) n_aside: usize,
    /// Whether the lane is not to go on at once, since its last run was too short.
    pub(super) lane_rests: bool,
}

/// It was closed by a call.
pub(super) const CLOSED_BY_CALL: u8 = 1;
/// Its last sender is gone.
pub(super) const NO_SENDERS: u8 = 1 << 1;
/// Its last receiver is.
pub(super) const NO_RECEIVERS: u8 = 1 << 2;

impl<T> State<T> {
    pub(super) fn new(cap: Option<usize>, buf: Ring<T>) -> Self {
        let cap = cap.map_or(UNBOUNDED, |cap| isize::try_from(cap).unwrap_or(UNBOUNDED));
        Self {
            ring: buf,
            granted: 0,
            returned: 0,
            room: cap,
            offers: 0,
            cap,
            n_keepers: 2,
            sendq: Queue::new(),
            recvq: Queue::new(),
            watchq: Queue::new(),
            closeq: Queue::new(),
            ends: 0,
            aside: None,
            n_aside: 0,
            lane_rests: false,
        }
    }

    /// Whether values could pass by the lane: there is nothing else, and those that are not in it yet
    /// are at most `most`, with room for as many.
    pub(super) fn suits_lane(&self, most: usize) -> bool {
        let few = match self.aside {
            Some(_) => self.ring.is_empty(),
            None => self.ring.len() <= most.min(self.cap.unsigned_abs() / 2),
        };
        few && self.has_values_alone()
    }

    /// Whether values could be received by the front: there is nothing else, and not less than
    /// `least` of the ring's are not granted.
    pub(super) fn suits_front(&self, least: usize) -> bool {
        let many = self.ring.len() >= least + self.granted as usize;
        many && self.has_values_alone()
    }

    /// Whether nothing but values is here, all available or granted, and nobody.
    fn has_values_alone(&self) -> bool {
        let queued = self.sendq.len() | self.recvq.len();
        let promised = self.granted <= MOST_GRANTED && self.returned == 0;
        self.is_plain() && queued == 0 && promised && self.offers == 0
    }

    /// Lets `front` run, which is stopped, with the ring; what is behind that is the ring then.
    pub(super) fn run_front(&mut self, front: &Front<T>) {
        front.run(self.ring.take(), std::mem::take(&mut self.granted));
        self.take_behind();
    }

    /// Stops `front`, which runs. Its values are the ring.
    pub(super) fn stop_front(&mut self, front: &Front<T>) {
        let (ring, granted) = front.stop();
        self.granted = granted;
        if !ring.is_empty() {
            self.set_before(ring);
        }
        self.room = self.cap.saturating_sub_unsigned(self.available());
    }

    /// Lets `lane` run, which is stopped.
    pub(super) fn run_lane(&mut self, lane: &Arc<Lane<T>>) {
        self.enter_lane(lane);
        lane.run(std::mem::take(&mut self.granted));
    }

    /// Stops `lane`, which runs. How often its ends may have become ready since.
    pub(super) fn stop_lane(&mut self, lane: &Lane<T>) -> u64 {
        let (times, granted) = lane.stop();
        self.n_aside = lane.len_stopped();
        self.granted = granted;
        self.room = self.cap.saturating_sub_unsigned(self.available());
        times
    }

    /// Values without a receiver.
    #[inline]
    pub(crate) fn available(&self) -> usize {
        self.len() - self.granted as usize
    }

    /// Whether a value that comes may go to an open receiver: not while there is one before it.
    #[inline]
    pub(crate) fn may_meet(&self) -> bool {
        self.available() == 0
    }

    /// What `len` says.
    #[inline]
    pub(crate) fn counted(&self) -> usize {
        self.available() - self.returned as usize
    }

    /// Whether a value can be put down without a receiver waiting.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.room > 0
    }

    /// Permits out for which there is no slot: each was given for a receiver it holds.
    fn offers_beyond(&self) -> usize {
        self.room.min(0).unsigned_abs()
    }

    /// It ends in this way; whether it had not before. Its lane has run for the last time.
    pub(super) fn ends_by(&mut self, how: u8) -> bool {
        self.leave_lane();
        let before = self.ends;
        self.ends |= how;
        before & how == 0
    }

    /// Whether it has neither ended in any way nor anybody who only watches it.
    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        (self.ends == 0) & self.watchq.is_empty()
    }

    /// Whether no value can be sent any more, permits apart.
    #[inline]
    pub(crate) fn no_sends(&self) -> bool {
        self.ends & (CLOSED_BY_CALL | NO_RECEIVERS) != 0
    }

    /// Whether no value can come any more but those here and those with a permit.
    #[inline]
    pub(crate) fn no_more(&self) -> bool {
        self.ends & (CLOSED_BY_CALL | NO_SENDERS) != 0
    }

    /// Whether nothing will ever be received again.
    #[inline]
    pub(crate) fn is_drained(&self) -> bool {
        self.no_more() && self.len() == 0 && self.offers == 0
    }

    /// Whether a receive is worth a try.
    #[inline]
    pub(crate) fn recv_ready(&self) -> bool {
        (self.available() > 0) | self.sendq.has_open() || self.is_drained()
    }

    /// Whether a send is worth a try.
    #[inline]
    pub(crate) fn send_ready(&self) -> bool {
        self.no_sends() | self.recvq.has_open() || self.has_room()
    }

    /// Puts a value down at the back, where there is room.
    #[inline]
    pub(crate) fn put(&mut self, value: T) {
        debug_assert!(self.has_room());
        self.push_back(value);
        self.room -= 1;
    }

    /// As [`put`](Self::put), if that takes no memory.
    #[inline(always)]
    pub(super) fn put_at_once(&mut self, value: T) -> Result<(), T> {
        debug_assert!(self.has_room());
        self.ring.push_back_at_once(value)?;
        self.room_changes(-1);
        Ok(())
    }

    /// As [`pop_available`](Self::pop_available), if it is counted and gives no memory back.
    #[inline(always)]
    pub(super) fn pop_at_once(&mut self) -> Option<T> {
        if self.returned != 0 {
            return None;
        }
        let value = self.ring.pop_front_at_once(self.granted as usize)?;
        self.room_changes(1);
        Some(value)
    }

    /// There is so much more room, if that is worth counting: a store less before the next to lock.
    #[inline(always)]
    fn room_changes(&mut self, by: isize) {
        if self.cap != UNBOUNDED {
            self.room += by;
        }
    }

    /// As [`put`](Self::put), where there may be none.
    pub(crate) fn insert(&mut self, value: T) {
        self.push_back(value);
        if self.room + self.offers > 0 {
            self.room -= 1;
        } else {
            self.returned += 1;
        }
    }

    /// Takes the front, of which the caller knows that it is not promised to another.
    #[inline]
    pub(crate) fn pop_available(&mut self) -> Option<T> {
        if self.available() == 0 {
            return None;
        }
        self.uncount();
        self.pop_front()
    }

    /// One value fewer is available.
    #[inline]
    fn uncount(&mut self) {
        if self.returned == 0 {
            self.room += 1;
        } else {
            self.returned -= 1;
        }
    }

    /// Serves a claimed receiver with an available value.
    fn serve(&mut self, receiver: Claimed, wakes: &mut WakeList) {
        if receiver.payload().is_null() {
            self.grant();
            receiver.complete(GRANTED, wakes);
        } else if let Some(value) = self.pop_available() {
            match slot::hand_to(&receiver, value) {
                Ok(()) => receiver.complete(HANDED, wakes),
                Err(_) => unreachable!("a receiver with a slot takes the value"),
            }
        }
    }

    /// Promises one available value to the caller.
    #[inline]
    pub(crate) fn grant(&mut self) {
        self.uncount();
        self.granted += 1;
    }

    /// Comes for a promised value. Changes what is ready only if that was the last of a
    /// channel that has ended.
    #[inline]
    pub(crate) fn redeem(&mut self) -> Option<T> {
        self.granted -= 1;
        self.pop_front()
    }

    /// Gives a promise back: the value goes to the next receiver, or stays, received
    /// first and counted nowhere.
    pub(crate) fn ungrant(&mut self, wakes: &mut WakeList) {
        self.granted -= 1;
        self.returned += 1;
        self.settle(wakes);
    }

    /// Grants a new value to the first receiver, as it nearly always goes if that is a future.
    /// Nothing has changed if it does not go so.
    #[inline(always)]
    pub(crate) fn grant_to_first(&mut self, value: T) -> Result<Option<Wake>, T> {
        if !self.may_meet() {
            return Err(value);
        }
        let Some(receiver) = self.recvq.claim_at_once(|payload| payload.is_null()) else {
            return Err(value);
        };
        self.push_back(value);
        self.granted += 1;
        Ok(receiver.complete_one(GRANTED))
    }

    /// Receives while somebody waits to send, as it nearly always goes: his value goes in
    /// behind the others, and the front comes out. Nothing has changed if it does not go so.
    #[inline(always)]
    pub(crate) fn exchange_with_first(&mut self) -> Option<(T, Option<Wake>)> {
        // Nothing available, or exactly one place becomes free by taking it.
        let one_place = self.room == 0 && self.returned == 0;
        if self.available() != 0 && !one_place {
            return None;
        }
        let sender = self.sendq.claim_at_once(|payload| !payload.is_null())?;
        let Some(value) = slot::take_from(&sender) else {
            unreachable!("a sender with a slot has a value in it");
        };
        let value = self.exchange(value);
        Some((value, sender.complete_one(SENT)))
    }

    /// Sends a value if that needs no waiting.
    #[inline]
    pub(crate) fn try_send(&mut self, value: T, wakes: &mut WakeList) -> Result<(), T> {
        let receiver = if self.may_meet() {
            self.recvq.claim()
        } else {
            None
        };
        if let Some(receiver) = receiver {
            self.give(receiver, value, wakes);
            Ok(())
        } else if self.has_room() {
            self.put(value);
            Ok(())
        } else {
            Err(value)
        }
    }

    /// Gives a value to a claimed receiver: handed over if nothing is queued before it.
    #[inline]
    pub(crate) fn give(&mut self, receiver: Claimed, value: T, wakes: &mut WakeList) {
        if self.available() != 0 {
            self.give_behind(receiver, value, wakes);
        } else if receiver.payload().is_null() {
            // Neither an available value more, nor less room: there is nothing to settle.
            self.push_back(value);
            self.granted += 1;
            receiver.complete(GRANTED, wakes);
        } else {
            let value = self.exchange(value);
            match slot::hand_to(&receiver, value) {
                Ok(()) => receiver.complete(HANDED, wakes),
                Err(_) => unreachable!("a receiver with a slot takes the value"),
            }
        }
    }

    /// As [`give`](Self::give), where a value is available before it.
    #[cold]
    fn give_behind(&mut self, receiver: Claimed, value: T, wakes: &mut WakeList) {
        self.insert(value);
        self.serve(receiver, wakes);
        self.settle(wakes);
    }

    /// Receives a value if one is available, and refills from those who wait to send.
    #[inline]
    pub(crate) fn try_recv(&mut self, wakes: &mut WakeList) -> Option<T> {
        let value = self.pop_available()?;
        self.settle(wakes);
        Some(value)
    }

    /// As [`try_recv`](Self::try_recv), and from a sender that waits with its value.
    pub(crate) fn next(&mut self, wakes: &mut WakeList) -> Option<T> {
        self.try_recv(wakes).or_else(|| {
            let sender = self.sendq.claim_first_if(|payload| !payload.is_null())?;
            self.take(sender, wakes)
        })
    }

    /// One more keeps the memory.
    pub(super) fn keep(&mut self) {
        self.n_keepers = self
            .n_keepers
            .checked_add(1)
            .expect("too many weak handles");
    }

    /// One less does. Whether it was the last.
    #[must_use]
    pub(super) fn keep_no_more(&mut self) -> bool {
        self.n_keepers -= 1;
        self.n_keepers == 0
    }

    /// Takes a value back that was received and not wanted: it is received first.
    pub(crate) fn put_back(&mut self, value: T, wakes: &mut WakeList) {
        self.push_front(value);
        self.returned += 1;
        self.settle(wakes);
    }

    /// Gives up all values: no receiver is left to want them.
    pub(super) fn clear(&mut self) -> All<T> {
        self.returned = 0;
        self.granted = 0;
        self.room = self.cap - self.offers;
        self.take_all()
    }

    /// What a receiver gets when a value comes straight from its sender: that value, or,
    /// if values lie here that are promised to others, the oldest of them, the new one
    /// taking its place. A promise is for one receive, not for a value: who comes first
    /// takes the front, so values are received in the order sent.
    fn exchange(&mut self, value: T) -> T {
        match self.pop_front() {
            Some(front) => {
                self.push_back(value);
                front
            }
            None => value,
        }
    }

    /// Receives straight from a claimed sender, which is let go.
    pub(crate) fn take(&mut self, sender: Claimed, wakes: &mut WakeList) -> Option<T> {
        let value = slot::take_from(&sender).map(|value| self.exchange(value));
        sender.complete(SENT, wakes);
        value
    }

    /// Takes a claimed sender's value under a promise to the caller.
    pub(crate) fn take_granted(&mut self, sender: Claimed, wakes: &mut WakeList) {
        if let Some(value) = slot::take_from(&sender) {
            self.push_back(value);
            self.granted += 1;
        }
        sender.complete(SENT, wakes);
    }

    /// Lets one permit out.
    pub(crate) fn offer(&mut self) {
        self.offers += 1;
        self.room -= 1;
    }

    fn unoffer_one(&mut self) {
        self.offers -= 1;
        self.room += 1;
    }

    /// Completes a permit. Gives the value back if no receiver is left.
    pub(crate) fn redeem_offer(&mut self, value: T, wakes: &mut WakeList) -> Result<(), T> {
        self.unoffer_one();
        if self.ends & NO_RECEIVERS != 0 {
            return Err(value);
        }
        match self.recvq.claim_reserved().or_else(|| self.recvq.claim()) {
            Some(receiver) => self.give(receiver, value, wakes),
            None => self.insert(value),
        }
        // Its slot is free if an open receiver took the value, which a sender may wait for that
        // passed over that receiver: it belongs to the same select, or is about to leave.
        self.settle(wakes);
        self.end_if_drained(wakes);
        Ok(())
    }

    /// Gives a permit back: a receiver it held is let go, or the slot passes on.
    pub(crate) fn unoffer(&mut self, wakes: &mut WakeList) {
        self.unoffer_one();
        if self.recvq.n_reserved() > self.offers_beyond() {
            self.recvq.unreserve(wakes);
        }
        self.settle(wakes);
    }

    /// Restores invariants 1, 2 and 4; only who stands open in a queue can want for it.
    #[inline]
    pub(crate) fn settle(&mut self, wakes: &mut WakeList) {
        if self.recvq.has_open() || self.sendq.has_open() {
            self.settle_waiters(wakes);
        }
    }

    fn settle_waiters(&mut self, wakes: &mut WakeList) {
        loop {
            if self.available() > 0 {
                if let Some(receiver) = self.recvq.claim() {
                    self.serve(receiver, wakes);
                    continue;
                }
            }
            if self.has_room() && !self.no_sends() {
                if let Some(sender) = self.sendq.claim() {
                    match slot::take_from(&sender) {
                        Some(value) => {
                            self.insert(value);
                            sender.complete(SENT, wakes);
                        }
                        None => {
                            self.offer();
                            sender.complete(PERMIT, wakes);
                        }
                    }
                    continue;
                }
            }
            break;
        }
        // A receiver served above may have taken the last value.
        self.end_if_drained(wakes);
    }

    /// Restores invariant 4 after sends have become impossible.
    pub(crate) fn end(&mut self, wakes: &mut WakeList) {
        if self.no_sends() {
            for queue in [&mut self.sendq, &mut self.closeq] {
                while let Some(waiter) = queue.claim() {
                    waiter.complete(CLOSED, wakes);
                }
            }
        }
        self.end_if_drained(wakes);
    }

    #[inline]
    pub(crate) fn end_if_drained(&mut self, wakes: &mut WakeList) {
        if self.is_drained() {
            while let Some(receiver) = self.recvq.claim() {
                receiver.complete(CLOSED, wakes);
            }
        }
    }

    /// Tells those who only watch an end that it is ready.
    pub(crate) fn tell_watchers(&mut self, recv: bool, send: bool, wakes: &mut WakeList) {
        let ready = |payload| if payload == WATCH_SEND { send } else { recv };
        while let Some(watcher) = self.watchq.claim_if(ready) {
            watcher.complete(Outcome(0), wakes);
        }
    }
}
