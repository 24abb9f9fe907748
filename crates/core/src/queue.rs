//! A FIFO of waiters, linked through nodes that live where their owners wait.
//!
//! Invariants, all under the lock of whoever owns the queue:
//!
//! - A node is linked in at most one queue, and only while its owner cannot free it: the
//!   owner leaves by [`Queue::remove`] under the same lock, or when it has seen READY.
//! - Serving goes from the front and passes over nobody but: waiters another arm has won
//!   (unlinked in passing), waiters an offer holds (left in place), and the server itself.
//! - A served node is unlinked before its waiter is published.
//!
//! Why pushing is a safe call: a [`Node`] exists only inside a [`wait`](crate::wait)
//! driver, which pins it and takes it out through [`Case::dequeue`] before it goes away.
//! Implementing [`Case`] is `unsafe` and promises that `dequeue` does take it out.
//!
//! [`Case`]: crate::case::Case
//! [`Case::dequeue`]: crate::case::Case::dequeue
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomPinned;
use std::ptr::{self, NonNull};

use crate::case::Outcome;
use crate::shim::UnsafeCell;
use crate::waiter::{Pairing, Taken, Unpaired, Waiter, claim_both};
use crate::wake::{Wake, WakeList};

/// A place in a queue.
pub struct Node {
    links: UnsafeCell<Links>,
    // Written by the claimer before the waiter is published, read by the owner after.
    outcome: UnsafeCell<Outcome>,
    _pinned: PhantomPinned,
}

#[derive(Clone, Copy)]
struct Links {
    prev: Option<NonNull<Node>>,
    next: Option<NonNull<Node>>,
    waiter: *const Waiter,
    payload: *const (),
    // Beside the flags, in one word with them. No padding: a struct that has some is built
    // on the stack and moved, in pieces that wait for one another.
    arm: u32,
    linked: bool,
    reserved: bool,
    watch: bool,
    _unused: bool,
}

// SAFETY: `links` is used under the owning queue's lock only; `outcome` as written on it.
unsafe impl Send for Node {}
// SAFETY: as for Send.
unsafe impl Sync for Node {}

impl Node {
    /// A node in no queue.
    pub(crate) fn new() -> Self {
        Self {
            links: UnsafeCell::new(Links {
                prev: None,
                next: None,
                linked: false,
                reserved: false,
                watch: false,
                _unused: false,
                waiter: ptr::null(),
                arm: 0,
                payload: ptr::null(),
            }),
            outcome: UnsafeCell::new(Outcome(0)),
            _pinned: PhantomPinned,
        }
    }

    /// What its claimer wrote. Meaningful once its waiter is READY for its arm.
    pub fn outcome(&self) -> Outcome {
        // SAFETY: read by the owner after it has seen READY, which the only writer
        // published after writing.
        self.outcome.with(|o| unsafe { *o })
    }

    /// Writes the outcome; the caller has claimed the waiter.
    pub(crate) fn set_outcome(&self, outcome: Outcome) {
        // SAFETY: the waiter is CLAIMED by the caller: no other writer, and the owner
        // reads only after READY.
        self.outcome.with_mut(|o| unsafe { *o = outcome });
    }

    /// Whether it was queued only to be told of readiness. Read under the lock of the
    /// queue's owner, who may keep such nodes in a queue of their own.
    pub fn is_watch(&self) -> bool {
        self.get().watch
    }

    // Both: the caller holds the lock of the queue the node is in or about to enter.
    fn get(&self) -> Links {
        // SAFETY: under the queue's lock nobody writes meanwhile.
        self.links.with(|l| unsafe { *l })
    }

    fn edit(&self, f: impl FnOnce(&mut Links)) {
        // SAFETY: under the queue's lock nobody else has access.
        self.links.with_mut(|l| f(unsafe { &mut *l }));
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

/// One waiter's attempt to queue for one arm: what [`Case::enqueue`] is given.
///
/// [`Case::enqueue`]: crate::case::Case::enqueue
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    /// The waiter.
    pub waiter: &'a Waiter,
    /// Its place in this arm's queue.
    pub node: &'a Node,
    /// The arm's number.
    pub arm: usize,
    /// Only to be told that the arm is ready, not to be served.
    pub watch: bool,
    /// The owner gives up at once if nothing is ready: it may be paired only with a peer
    /// that can complete by itself, not with an offer that a task has yet to be polled for.
    pub brief: bool,
}

impl Registration<'_> {
    /// Wins the waiter for this arm, to serve it without queueing. Nothing was lost if
    /// this fails: another arm has won, or an offer holds the waiter.
    ///
    /// # Errors
    ///
    /// What is in the way.
    pub fn claim_self(&self) -> Result<(), Taken> {
        self.waiter.claim(self.arm)
    }

    /// As [`claim_self`](Self::claim_self), but only if `take` gives something; that runs
    /// while others wait for the word, so it must be a few instructions.
    ///
    /// # Errors
    ///
    /// What is in the way; `take` has not run then.
    pub fn claim_self_if<R>(&self, take: impl FnOnce() -> Option<R>) -> Result<Option<R>, Taken> {
        self.waiter.claim_if(self.arm, take)
    }

    /// Ends a won claim of this arm with `outcome`.
    pub fn complete_self(&self, outcome: Outcome) {
        self.node.set_outcome(outcome);
        self.waiter.publish_to_self();
    }
}

/// The FIFO. Guarded by its owner's lock.
#[derive(Debug, Default)]
pub struct Queue {
    head: Option<NonNull<Node>>,
    tail: Option<NonNull<Node>>,
    // A queue's memory is often beside those of a million others.
    len: u32,
    n_reserved: u32,
}

// SAFETY: the nodes it points to are Sync and outlive their stay (see the file's head).
unsafe impl Send for Queue {}

/// A waiter of a queue that has been won and unlinked. Must be completed.
#[derive(Debug)]
#[must_use = "a claimed waiter sleeps until it is completed"]
pub struct Claimed {
    node: NonNull<Node>,
    waiter: NonNull<Waiter>,
    payload: *const (),
}

impl Claimed {
    /// What its owner queued it with: a place for the value, or null.
    #[inline]
    pub fn payload(&self) -> *const () {
        self.payload
    }

    /// Writes the outcome, lets the owner go, and collects its wake.
    #[inline]
    pub fn complete(self, outcome: Outcome, wakes: &mut WakeList) {
        if let Some(wake) = self.complete_one(outcome) {
            wakes.push(wake);
        }
    }

    /// As [`complete`](Self::complete), for a caller who wakes nobody else.
    #[inline]
    #[must_use = "the owner sleeps until it is woken"]
    pub fn complete_one(self, outcome: Outcome) -> Option<Wake> {
        // SAFETY: the waiter is CLAIMED and not yet published, so its owner has neither
        // freed the node nor itself.
        unsafe {
            self.node.as_ref().set_outcome(outcome);
            self.waiter.as_ref().publish()
        }
    }
}

/// What [`Queue::pair`] came to.
#[derive(Debug)]
pub enum Pair {
    /// Both are won; the registering waiter must be completed too.
    Won(Claimed),
    /// The peer is won and the registering waiter reserved for it.
    Offered(Claimed),
    /// The registering waiter is not open any more.
    SelfTaken(Taken),
    /// No peer waits.
    Nobody,
}

/// What [`Queue::pair_reserve`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairReserve {
    /// A peer is held and the registering waiter won, which must be completed.
    Held,
    /// The registering waiter is not open any more.
    SelfTaken(Taken),
    /// No peer waits.
    Nobody,
}

impl Queue {
    /// An empty queue.
    pub const fn new() -> Self {
        Self {
            head: None,
            tail: None,
            len: 0,
            n_reserved: 0,
        }
    }

    /// How many nodes are linked, those that offers hold and those already won by
    /// another arm included.
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether no node is linked.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many of them offers hold.
    #[inline]
    pub fn n_reserved(&self) -> usize {
        self.n_reserved as usize
    }

    /// Whether somebody is linked whom no offer holds: they may be served, unless
    /// another arm has won them.
    #[inline]
    pub fn has_open(&self) -> bool {
        self.len > self.n_reserved
    }

    /// Queues the registering waiter at the end, with `payload` for whoever serves it.
    #[inline(always)]
    pub fn push(&mut self, reg: &Registration<'_>, payload: *const ()) {
        self.link(reg, payload, false);
    }

    /// Queues the registering waiter at the end, already held by an offer.
    pub fn push_reserved(&mut self, reg: &Registration<'_>, payload: *const ()) {
        self.link(reg, payload, true);
    }

    #[inline(always)]
    fn link(&mut self, reg: &Registration<'_>, payload: *const (), reserved: bool) {
        let node = NonNull::from(reg.node);
        reg.node.edit(|l| {
            debug_assert!(!l.linked);
            *l = Links {
                prev: self.tail,
                next: None,
                linked: true,
                reserved,
                watch: reg.watch,
                _unused: false,
                waiter: reg.waiter,
                arm: u32::try_from(reg.arm).expect("a select has fewer arms"),
                payload,
            };
        });
        match self.tail {
            // SAFETY: linked nodes live, and their links are ours under the lock.
            Some(tail) => unsafe { tail.as_ref() }.edit(|l| l.next = Some(node)),
            None => self.head = Some(node),
        }
        self.tail = Some(node);
        self.len += 1;
        self.n_reserved += u32::from(reserved);
    }

    /// Takes `node` out if it is linked; whether it was. It must be this queue's or none's.
    pub fn remove(&mut self, node: &Node) -> bool {
        let links = node.get();
        if !links.linked {
            return false;
        }
        match links.prev {
            // SAFETY: linked nodes live, and their links are ours under the lock.
            Some(prev) => unsafe { prev.as_ref() }.edit(|l| l.next = links.next),
            None => self.head = links.next,
        }
        match links.next {
            // SAFETY: as above.
            Some(next) => unsafe { next.as_ref() }.edit(|l| l.prev = links.prev),
            None => self.tail = links.prev,
        }
        node.edit(|l| l.linked = false);
        self.len -= 1;
        if links.reserved {
            self.n_reserved -= 1;
            // The offer finds it here no more, so it is let go now, unless it has gone.
            // SAFETY: the node was linked, so its owner has not left.
            unsafe { &*links.waiter }.let_go();
        }
        true
    }

    /// Wins the first waiter that can be served.
    #[inline]
    pub fn claim(&mut self) -> Option<Claimed> {
        if !self.has_open() {
            return None;
        }
        self.claim_at_once(|_| true).or_else(|| self.claim_first())
    }

    /// Wins the first of all, if its payload is `wanted` and nothing is in the way: nearly
    /// always that is the first that can be served. Nothing has changed if it fails.
    #[inline(always)]
    pub fn claim_at_once(&mut self, wanted: impl Fn(*const ()) -> bool) -> Option<Claimed> {
        let head = self.head?;
        // SAFETY: linked nodes live.
        let node = unsafe { head.as_ref() };
        let links = node.get();
        // SAFETY: the node is linked, so its owner has not left.
        let waiter = unsafe { &*links.waiter };
        if links.reserved || !wanted(links.payload) || !waiter.claim_open(links.arm as usize) {
            return None;
        }
        self.head = links.next;
        match links.next {
            // SAFETY: as above; its links are ours under the lock.
            Some(next) => unsafe { next.as_ref() }.edit(|l| l.prev = None),
            None => self.tail = None,
        }
        node.edit(|l| l.linked = false);
        self.len -= 1;
        Some(Claimed {
            node: head,
            waiter: NonNull::from(waiter),
            payload: links.payload,
        })
    }

    #[inline(never)]
    fn claim_first(&mut self) -> Option<Claimed> {
        self.find(false, |waiter, arm, _| match waiter.claim(arm) {
            Ok(()) => Step::Take,
            Err(Taken::Gone) => Step::Unlink,
            Err(Taken::Reserved) => Step::Pass,
        })
    }

    /// Wins the first waiter that an offer holds; the caller is an offer on this queue.
    pub fn claim_reserved(&mut self) -> Option<Claimed> {
        if self.n_reserved == 0 {
            return None;
        }
        self.find(true, |waiter, arm, _| match waiter.claim_reserved(arm) {
            Ok(()) => Step::Take,
            Err(_) => Step::Unlink,
        })
    }

    /// Lets the first waiter that can be served be held by an offer; it stays in place.
    pub fn reserve(&mut self) -> bool {
        let mut reserved = false;
        let _ = self.find(false, |waiter, _, _| match waiter.reserve() {
            Ok(()) => {
                reserved = true;
                Step::Hold
            }
            Err(Taken::Gone) => Step::Unlink,
            Err(Taken::Reserved) => Step::Pass,
        });
        reserved
    }

    /// Lets go one waiter that an offer held, the latest; it is woken to look again.
    pub fn unreserve(&mut self, wakes: &mut WakeList) {
        let mut at = self.tail;
        while let Some(node) = at {
            // SAFETY: linked nodes live.
            let node = unsafe { node.as_ref() };
            let links = node.get();
            if links.reserved {
                node.edit(|l| l.reserved = false);
                self.n_reserved -= 1;
                // SAFETY: the node is linked, so its owner has not left.
                unsafe { &*links.waiter }.unreserve(wakes);
                return;
            }
            at = links.prev;
        }
    }

    /// Wins the first waiter that can be served together with the registering one, or
    /// neither. `offers` says of a peer's payload whether it has only an offer to make:
    /// then the registering waiter is reserved instead of won, and stays to be queued by
    /// [`push_reserved`](Self::push_reserved).
    #[inline]
    pub fn pair(&mut self, reg: &Registration<'_>, offers: impl Fn(*const ()) -> bool) -> Pair {
        if self.has_open() {
            self.pair_first(reg, offers)
        } else {
            Pair::Nobody
        }
    }

    fn pair_first(&mut self, reg: &Registration<'_>, offers: impl Fn(*const ()) -> bool) -> Pair {
        let mut end = Pair::Nobody;
        let mut offered = false;
        let peer = self.find(false, |waiter, arm, payload| {
            if ptr::eq(waiter, reg.waiter) {
                return Step::Pass;
            }
            offered = offers(payload);
            if offered && reg.brief && !waiter.is_thread() {
                return Step::Pass;
            }
            let pairing = if offered {
                Pairing::Reserve
            } else {
                Pairing::Claim
            };
            match claim_both((reg.waiter, reg.arm), (waiter, arm), pairing) {
                Ok(()) => Step::Take,
                Err(Unpaired::First(taken)) => {
                    end = Pair::SelfTaken(taken);
                    Step::Stop
                }
                Err(Unpaired::Second(Taken::Gone)) => Step::Unlink,
                Err(Unpaired::Second(Taken::Reserved)) => Step::Pass,
            }
        });
        match peer {
            Some(peer) if offered => Pair::Offered(peer),
            Some(peer) => Pair::Won(peer),
            None => end,
        }
    }

    /// Lets the caller's offer hold the first waiter that can be served, and wins the
    /// registering waiter at the same time, or neither. The peer stays in its place.
    pub fn pair_reserve(&mut self, reg: &Registration<'_>) -> PairReserve {
        let mut end = PairReserve::Nobody;
        let _ = self.find(false, |waiter, arm, _| {
            if ptr::eq(waiter, reg.waiter) {
                return Step::Pass;
            }
            match claim_both((waiter, arm), (reg.waiter, reg.arm), Pairing::Reserve) {
                Ok(()) => {
                    end = PairReserve::Held;
                    Step::Hold
                }
                Err(Unpaired::First(Taken::Gone)) => Step::Unlink,
                Err(Unpaired::First(Taken::Reserved)) => Step::Pass,
                Err(Unpaired::Second(taken)) => {
                    end = PairReserve::SelfTaken(taken);
                    Step::Stop
                }
            }
        });
        end
    }

    /// Notes that an offer holds `node`, which is linked here.
    pub fn hold(&mut self, node: &Node) {
        node.edit(|l| {
            debug_assert!(l.linked && !l.reserved);
            l.reserved = true;
        });
        self.n_reserved += 1;
    }

    /// Whether `node` is linked here and no offer holds it.
    pub fn is_open(&self, node: &Node) -> bool {
        let links = node.get();
        links.linked && !links.reserved
    }

    /// What `node` was queued with, if it is linked here.
    pub fn payload(&self, node: &Node) -> Option<*const ()> {
        let links = node.get();
        links.linked.then_some(links.payload)
    }

    /// Wins the first waiter that can be served if its payload is `wanted`; whoever is
    /// behind it is not overtaken by looking further.
    #[inline]
    pub fn claim_first_if(&mut self, wanted: impl Fn(*const ()) -> bool) -> Option<Claimed> {
        if !self.has_open() {
            return None;
        }
        self.claim_at_once(&wanted)
            .or_else(|| self.find_first_if(wanted))
    }

    #[inline(never)]
    fn find_first_if(&mut self, wanted: impl Fn(*const ()) -> bool) -> Option<Claimed> {
        self.find(false, |waiter, arm, payload| {
            let won = if wanted(payload) {
                waiter.claim(arm)
            } else {
                waiter.is_open()
            };
            match won {
                Ok(()) if wanted(payload) => Step::Take,
                Ok(()) => Step::Stop,
                Err(Taken::Gone) => Step::Unlink,
                Err(Taken::Reserved) => Step::Pass,
            }
        })
    }

    /// Wins the first waiter that can be served among those whose payload is `wanted`.
    pub fn claim_if(&mut self, wanted: impl Fn(*const ()) -> bool) -> Option<Claimed> {
        self.find(false, |waiter, arm, payload| {
            if !wanted(payload) {
                return Step::Pass;
            }
            match waiter.claim(arm) {
                Ok(()) => Step::Take,
                Err(Taken::Gone) => Step::Unlink,
                Err(Taken::Reserved) => Step::Pass,
            }
        })
    }

    /// The payload of the first waiter that can be served.
    pub fn first(&mut self) -> Option<*const ()> {
        let mut first = None;
        let _ = self.find(false, |waiter, _, payload| match waiter.is_open() {
            Ok(()) => {
                first = Some(payload);
                Step::Stop
            }
            Err(Taken::Gone) => Step::Unlink,
            Err(Taken::Reserved) => Step::Pass,
        });
        first
    }

    /// Wakes the first waiter that can be served, so that its owner looks again; it keeps
    /// its place. Whether there was one.
    pub fn nudge(&mut self, wakes: &mut WakeList) -> bool {
        let mut nudged = false;
        let _ = self.find(false, |waiter, _, _| match waiter.nudge(wakes) {
            Ok(()) => {
                nudged = true;
                Step::Stop
            }
            Err(Taken::Gone) => Step::Unlink,
            Err(Taken::Reserved) => Step::Pass,
        });
        nudged
    }

    /// Wakes everyone who can be served, so that they look again; they keep their places.
    /// Those whom an offer holds look again anyway if it lets them go.
    pub fn nudge_all(&mut self, wakes: &mut WakeList) {
        let _ = self.find(false, |waiter, _, _| match waiter.nudge(wakes) {
            Err(Taken::Gone) => Step::Unlink,
            Ok(()) | Err(Taken::Reserved) => Step::Pass,
        });
    }

    /// Goes from the front over the nodes that are (or are not) reserved here, and does
    /// what `step` says of each.
    fn find(
        &mut self,
        reserved: bool,
        mut step: impl FnMut(&Waiter, usize, *const ()) -> Step,
    ) -> Option<Claimed> {
        let mut at = self.head;
        while let Some(ptr) = at {
            // SAFETY: linked nodes live.
            let node = unsafe { ptr.as_ref() };
            let links = node.get();
            at = links.next;
            if links.reserved != reserved {
                continue;
            }
            // SAFETY: the node is linked, so its owner has not left.
            let waiter = unsafe { &*links.waiter };
            match step(waiter, links.arm as usize, links.payload) {
                Step::Take => {
                    self.remove(node);
                    return Some(Claimed {
                        node: ptr,
                        waiter: NonNull::from(waiter),
                        payload: links.payload,
                    });
                }
                Step::Unlink if waiter.miss(links.arm as usize) => {
                    self.remove(node);
                }
                // It waits again by now.
                Step::Unlink => at = Some(ptr),
                Step::Hold => {
                    node.edit(|l| l.reserved = true);
                    self.n_reserved += 1;
                    return None;
                }
                Step::Pass => {}
                Step::Stop => return None,
            }
        }
        None
    }
}

/// What to do with the node at hand while going through a queue.
enum Step {
    Take,
    Unlink,
    Hold,
    Pass,
    Stop,
}
