//! One run for all who ask for the same thing at the same time.
//!
//! - A *flight* is one key's run: a [`OnceCell`] of its result, which says who leads and
//!   who takes over when a leader is cancelled, and a word on who is on board.
//!
//! ```text
//! aboard: | CLOSED (bit 31) | SHARED (bit 30) | how many are on board |
//! ```
//!
//! - A flight is boarded while it is not closed. The leader closes it when the result is
//!   there and before anybody sees it, so that who comes after that begins anew; the last
//!   to leave without a result closes it too. Whoever closes takes it out of the map.
//! - The map has only a `Weak`: the result goes when the last on board has left.
#![allow(unsafe_code)]

use std::borrow::Borrow;
use std::fmt;
use std::future::Future;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rendez_core::shim::atomic::{AtomicU32, Ordering};
use rendez_core::shim::{Arc, Weak};

use crate::map::Map;
use crate::once::{OnceCell, Ran, Running};
use crate::panicked::{Panicked, Payload};
use crate::work::{ByFuture, Work};

const CLOSED: u32 = 1 << 31;
const SHARED: u32 = 1 << 30;
const NUMBER: u32 = SHARED - 1;

/// Runs a function once for all who ask with the same key at the same time.
///
/// x/sync's `singleflight.Group`: the first to come runs its function, whoever comes with
/// the same key before it has ended waits and is given the same value, cloned; the next to
/// come after that runs anew. Threads and tasks share flights. A value that may fail is a
/// `Result` whose error can be cloned.
///
/// If the function panics, every one of them panics, the one that ran it with the payload
/// itself. If the one that runs it is cancelled, one of those who wait runs its own.
///
/// # Examples
///
/// ```
/// use rendez_sync::SingleFlight;
///
/// let lookups = SingleFlight::new();
/// let found = lookups.run("example.com", || "192.0.2.1".to_owned());
/// assert_eq!((found.value.as_str(), found.shared), ("192.0.2.1", false));
/// ```
pub struct SingleFlight<K, V> {
    flights: Map<K, Weak<Flight<V>>>,
    // A model does not see how the map orders who stores and who loads.
    #[cfg(rendez_loom)]
    order: rendez_core::shim::Mutex<()>,
}

/// What [`SingleFlight::run`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared<V> {
    /// What the function gave.
    pub value: V,
    /// Whether it was given to more than one caller.
    pub shared: bool,
}

struct Flight<V> {
    aboard: AtomicU32,
    result: OnceCell<Result<V, Panicked>>,
}

impl<V> Flight<V> {
    /// A flight with its first on board.
    fn new() -> Self {
        Self {
            aboard: AtomicU32::new(1),
            result: OnceCell::new(),
        }
    }

    fn board(&self) -> bool {
        self.aboard
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |aboard| {
                (aboard & CLOSED == 0).then_some(aboard + 1)
            })
            .is_ok()
    }

    /// Ends boarding; those on board now share the result.
    fn close(&self) {
        let close = |aboard: u32| {
            let shared = if aboard & NUMBER > 1 { SHARED } else { 0 };
            Some(aboard | shared | CLOSED)
        };
        let _ = self
            .aboard
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, close);
    }

    /// Leaves; whether nobody is on board now and nobody can board any more.
    fn leave(&self) -> bool {
        let leave = |aboard: u32| {
            let left = aboard - 1;
            let closed = if left & NUMBER == 0 { CLOSED } else { 0 };
            Some(left | closed)
        };
        let before = self
            .aboard
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, leave);
        before.is_ok_and(|before| before & CLOSED == 0 && before & NUMBER == 1)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> SingleFlight<K, V> {
    /// No flight is under way.
    #[must_use]
    pub fn new() -> Self {
        Self {
            flights: Map::new(),
            #[cfg(rendez_loom)]
            order: rendez_core::shim::Mutex::new(()),
        }
    }

    fn with_map<R>(&self, f: impl FnOnce(&Map<K, Weak<Flight<V>>>) -> R) -> R {
        #[cfg(rendez_loom)]
        let _order = self.order.lock();
        f(&self.flights)
    }

    /// Gives what `f`, or the `f` of another who is on it already, gives for `key`; blocks
    /// until it is there.
    ///
    /// # Panics
    ///
    /// If the function that ran did, or if called from within it with the same key.
    #[track_caller]
    pub fn run(&self, key: K, f: impl FnOnce() -> V) -> Shared<V> {
        let seat = Seat::take(self, key);
        let mut own = None;
        let result = seat.flight.result.get_or_init(|| {
            let result = catch_unwind(AssertUnwindSafe(f));
            seat.land(result, &mut own)
        });
        seat.give(result, own)
    }

    /// As [`run`](Self::run), with a future or a closure that makes one; it boards with
    /// its first poll.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    ///
    /// # Cancel safety
    ///
    /// Dropped while its own future runs, it hands the flight to one of those who wait,
    /// which runs its own; dropped while it waits, it leaves the others alone.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let flights = rendez_sync::SingleFlight::new();
    /// let fetched = flights.run_async("key", || async { 7 }).await;
    /// assert_eq!(fetched.value, 7);
    /// # });
    /// ```
    #[track_caller]
    pub fn run_async<M, W>(&self, key: K, work: W) -> RunFuture<'_, K, V, M, W>
    where
        W: Work<M>,
        W::Future: Future<Output = V>,
    {
        RunFuture {
            flights: self,
            start: Some((key, work)),
            location: Location::caller(),
            running: None,
            seat: None,
        }
    }

    /// Lets the next who comes with `key` run anew, although a flight is under way; those
    /// on board of that are still given its value.
    ///
    /// # Examples
    ///
    /// ```
    /// let flights = rendez_sync::SingleFlight::new();
    /// let outer = flights.run(1, || {
    ///     flights.forget(&1);
    ///     flights.run(1, || "inner").value
    /// });
    /// assert_eq!(outer.value, "inner");
    /// ```
    pub fn forget<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.with_map(|map| map.delete(key));
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Default for SingleFlight<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> fmt::Debug for SingleFlight<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SingleFlight").finish_non_exhaustive()
    }
}

/// A place on board of a flight.
struct Seat<'a, K: Hash + Eq + Clone, V: Clone> {
    flights: &'a SingleFlight<K, V>,
    key: K,
    flight: Arc<Flight<V>>,
}

impl<'a, K: Hash + Eq + Clone, V: Clone> Seat<'a, K, V> {
    /// Boards the flight of `key`, or starts one.
    fn take(flights: &'a SingleFlight<K, V>, key: K) -> Self {
        loop {
            let under_way = flights.with_map(|map| map.load(&key));
            if let Some(flight) = under_way.as_ref().and_then(Weak::upgrade) {
                if flight.board() {
                    return Self {
                        flights,
                        key,
                        flight,
                    };
                }
            }
            // None, or one that is over: its own end takes it out, or this does.
            if let Some(over) = under_way {
                flights.with_map(|map| map.delete_if(&key, |flight| flight.ptr_eq(&over)));
            }
            let flight = Arc::new(Flight::new());
            let weak = Arc::downgrade(&flight);
            let (_, taken) = flights.with_map(|map| map.load_or_store(key.clone(), weak));
            if !taken {
                return Self {
                    flights,
                    key,
                    flight,
                };
            }
        }
    }

    fn take_out(&self) {
        let own = Arc::downgrade(&self.flight);
        self.flights
            .with_map(|map| map.delete_if(&self.key, |flight| flight.ptr_eq(&own)));
    }

    /// Closes the flight with the leader's result, before anybody is told of it.
    fn land(&self, result: Result<V, Payload>, own: &mut Option<Payload>) -> Result<V, Panicked> {
        self.flight.close();
        self.take_out();
        result.map_err(|payload| {
            let panicked = Panicked::new(&*payload);
            *own = Some(payload);
            panicked
        })
    }

    fn give(&self, result: &Result<V, Panicked>, own: Option<Payload>) -> Shared<V> {
        match (result, own) {
            (Ok(value), _) => Shared {
                value: value.clone(),
                shared: self.flight.aboard.load(Ordering::Acquire) & SHARED != 0,
            },
            (Err(_), Some(payload)) => resume_unwind(payload),
            (Err(panicked), None) => panicked.resume(),
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Drop for Seat<'_, K, V> {
    fn drop(&mut self) {
        if self.flight.leave() {
            self.take_out();
        }
    }
}

/// What [`SingleFlight::run_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct RunFuture<'a, K: Hash + Eq + Clone, V: Clone, M, W: Work<M>> {
    flights: &'a SingleFlight<K, V>,
    start: Option<(K, W)>,
    location: &'static Location<'static>,
    // Borrows from `seat`'s flight, on the heap; dropped before it.
    running: Option<Running<'static, ByFuture, Caught<M, W>>>,
    seat: Option<Seat<'a, K, V>>,
}

impl<K: Hash + Eq + Clone, V: Clone, M, W> Future for RunFuture<'_, K, V, M, W>
where
    W: Work<M>,
    W::Future: Future<Output = V>,
{
    type Output = Shared<V>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Shared<V>> {
        // SAFETY: `running`'s content is never moved, only dropped in place; the rest is
        // not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        if let Some((key, work)) = this.start.take() {
            let seat = this.seat.insert(Seat::take(this.flights, key));
            // SAFETY: the gate lies in an `Arc` that `seat` keeps, and `running` is dropped
            // before `seat` is.
            let gate = unsafe { &*std::ptr::from_ref(seat.flight.result.gate()) };
            let caught = Caught {
                work: Some(work),
                future: None,
            };
            let running = Running::new(gate, caught, this.location);
            this.running = Some(running);
        }
        let (Some(running), Some(seat)) = (&mut this.running, &this.seat) else {
            panic!("polled after it had completed");
        };
        // SAFETY: it stays in place until it is dropped.
        let ran = ready!(unsafe { Pin::new_unchecked(running) }.poll(cx));
        let mut own = None;
        if let Ran::Now(turn, result) = ran {
            let result = seat.land(result, &mut own);
            seat.flight.result.put(turn, result);
        }
        this.running = None;
        let seat = this.seat.take().expect("on board until it is over");
        Poll::Ready(seat.give(seat.flight.result.made(), own))
    }
}

impl<K: Hash + Eq + Clone, V: Clone, M, W: Work<M>> fmt::Debug for RunFuture<'_, K, V, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunFuture").finish_non_exhaustive()
    }
}

/// Work whose panic is its result.
struct Caught<M, W: Work<M>> {
    work: Option<W>,
    future: Option<W::Future>,
}

impl<M, W: Work<M>> Future for Caught<M, W> {
    type Output = Result<<W::Future as Future>::Output, Payload>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `future`'s content is never moved, only dropped in place; `work` is not
        // pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            if let Some(work) = this.work.take() {
                this.future = Some(work.begin());
            }
            let future = this.future.as_mut().expect("polled after it had completed");
            // SAFETY: it stays in place until it is dropped.
            unsafe { Pin::new_unchecked(future) }.poll(cx)
        }));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(payload) => Poll::Ready(Err(payload)),
        }
    }
}
