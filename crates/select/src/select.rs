//! `Select`: a select over a list of operations that is made at run time.
//!
//! Two phases, as crossbeam's: selecting commits to one operation, completing it gives
//! the value. In between, a receive holds a grant and a send a permit.

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rendez_core::case::{Arm, Case, Outcome};
use rendez_core::clock;
use rendez_core::queue::Node;
use rendez_core::wait::{self, Arms, Order, Pending, Won};

use crate::error::{
    ReadyTimeoutError, RecvError, SelectTimeoutError, SendError, TryReadyError, TrySelectError,
};
use crate::receiver::Receiver;
use crate::sender::Sender;

/// Waits on any number of channel operations, chosen at run time, for the first that is
/// ready.
///
/// Among several ready operations one is chosen at random, unless it was made with
/// [`new_biased`](Self::new_biased): then the first added.
///
/// It is crossbeam's, and takes channels. Whatever else can stand in a `recv` arm, a list made
/// at run time can wait for through a [`Selector`](crate::Selector).
///
/// # Examples
///
/// ```
/// use rendez_select::{Select, bounded};
///
/// let (tx1, rx1) = bounded::<i32>(1);
/// let (_tx2, rx2) = bounded::<i32>(1);
/// tx1.send(7).unwrap();
///
/// let mut select = Select::new();
/// let first = select.recv(&rx1);
/// select.recv(&rx2);
/// let op = select.select();
/// assert_eq!(op.index(), first);
/// assert_eq!(op.recv(&rx1), Ok(7));
/// ```
pub struct Select<'a> {
    // The operations not removed, with their indices.
    cases: Vec<&'a dyn Case>,
    indices: Vec<usize>,
    next: usize,
    order: Order,
}

#[allow(unsafe_code)]
// SAFETY: for channels of values that are not `Send`, what another thread can do with a
// list is to look, wait and give back: that moves values between places of the channel,
// under its lock, and neither runs their code nor drops one (the borrowed receiver keeps
// the channel connected). A value leaves only through the ends, which are not `Send` then.
unsafe impl Send for Select<'_> {}

#[allow(unsafe_code)]
// SAFETY: as for Send; a shared list can only be cloned.
unsafe impl Sync for Select<'_> {}

impl<'a> Select<'a> {
    /// An empty list, with fair choice.
    pub fn new() -> Self {
        Self::with_order(Order::Fair)
    }

    /// An empty list; of several ready operations the one added first is chosen.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_select::{Select, unbounded};
    ///
    /// let (tx, urgent) = unbounded();
    /// let (tx2, other) = unbounded();
    /// tx.send(1).unwrap();
    /// tx2.send(2).unwrap();
    /// let mut select = Select::new_biased();
    /// select.recv(&urgent);
    /// select.recv(&other);
    /// assert_eq!(select.select().recv(&urgent), Ok(1));
    /// ```
    pub fn new_biased() -> Self {
        Self::with_order(Order::Biased)
    }

    fn with_order(order: Order) -> Self {
        Self {
            cases: Vec::new(),
            indices: Vec::new(),
            next: 0,
            order,
        }
    }

    /// Adds a send; returns its index.
    pub fn send<T>(&mut self, sender: &'a Sender<T>) -> usize {
        self.add(sender)
    }

    /// Adds a receive; returns its index.
    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.add(receiver)
    }

    fn add(&mut self, case: &'a dyn Case) -> usize {
        let index = self.next;
        self.next += 1;
        self.cases.push(case);
        self.indices.push(index);
        index
    }

    /// Removes the operation with this index.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[track_caller]
    pub fn remove(&mut self, index: usize) {
        assert!(
            index < self.next,
            "index out of bounds; {index} >= {}",
            self.next
        );
        // Indices grow along the list.
        match self.indices.binary_search(&index) {
            Ok(at) => {
                self.indices.remove(at);
                self.cases.remove(at);
            }
            Err(_) => panic!("no operation with this index"),
        }
    }

    /// Selects an operation that is ready, without waiting.
    ///
    /// # Errors
    ///
    /// If there was an instant at which none was ready.
    #[track_caller]
    pub fn try_select(&mut self) -> Result<SelectedOperation<'a>, TrySelectError> {
        let won = wait::try_any(&self.cases, self.order);
        won.map(|won| self.selected(won)).ok_or(TrySelectError)
    }

    /// Selects an operation, blocking until one is ready.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    #[track_caller]
    pub fn select(&mut self) -> SelectedOperation<'a> {
        self.assert_not_empty();
        match wait::block_any(&self.cases, None, self.order, Location::caller()) {
            Some(won) => self.selected(won),
            None => unreachable!("a wait without deadline ends with a winner"),
        }
    }

    /// As [`select`](Self::select), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// If none became ready in time.
    #[track_caller]
    pub fn select_timeout(
        &mut self,
        timeout: Duration,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.select_by(clock::deadline_after(timeout), Location::caller())
    }

    /// As [`select`](Self::select), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// If none became ready in time.
    #[track_caller]
    pub fn select_deadline(
        &mut self,
        deadline: Instant,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        self.select_by(Some(deadline), Location::caller())
    }

    fn select_by(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Result<SelectedOperation<'a>, SelectTimeoutError> {
        let won = wait::block_any(&self.cases, deadline, self.order, location);
        won.map(|won| self.selected(won)).ok_or(SelectTimeoutError)
    }

    /// The awaiting form of [`select`](Self::select).
    ///
    /// # Panics
    ///
    /// If the list is empty.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has selected nothing: what an operation had been
    /// granted goes to the next waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use rendez_select::{Select, bounded};
    ///
    /// let (tx, rx) = bounded(1);
    /// tx.send_async(7).await.unwrap();
    /// let mut select = Select::new();
    /// select.recv(&rx);
    /// assert_eq!(select.select_async().await.recv(&rx), Ok(7));
    /// # });
    /// ```
    #[track_caller]
    pub fn select_async(&mut self) -> SelectFuture<'_, 'a> {
        self.assert_not_empty();
        SelectFuture(Waiting::new(self, false, Location::caller()))
    }

    fn selected(&self, (arm, outcome): Won) -> SelectedOperation<'a> {
        SelectedOperation {
            index: self.indices[arm],
            case: self.cases[arm],
            outcome,
        }
    }

    #[track_caller]
    fn assert_not_empty(&self) {
        assert!(
            !self.cases.is_empty(),
            "no operations have been added to `Select`"
        );
    }

    /// The index of an operation that is ready, without waiting and without selecting it:
    /// by the time it is tried it may not be ready any more. As with crossbeam's it may, seldom, not
    /// have been: an unbounded channel that has just been emptied by several threads looks ready.
    ///
    /// # Errors
    ///
    /// If none is ready.
    #[track_caller]
    pub fn try_ready(&mut self) -> Result<usize, TryReadyError> {
        self.ready_by(Some(clock::now()), Location::caller())
            .ok_or(TryReadyError)
    }

    /// As [`try_ready`](Self::try_ready), blocking until one is ready.
    ///
    /// # Panics
    ///
    /// If the list is empty.
    #[track_caller]
    pub fn ready(&mut self) -> usize {
        self.assert_not_empty();
        match self.ready_by(None, Location::caller()) {
            Some(index) => index,
            None => unreachable!("a wait without deadline ends with a winner"),
        }
    }

    /// As [`ready`](Self::ready), for at most `timeout`.
    ///
    /// # Errors
    ///
    /// If none became ready in time.
    #[track_caller]
    pub fn ready_timeout(&mut self, timeout: Duration) -> Result<usize, ReadyTimeoutError> {
        self.ready_by(clock::deadline_after(timeout), Location::caller())
            .ok_or(ReadyTimeoutError)
    }

    /// As [`ready`](Self::ready), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// If none became ready in time.
    #[track_caller]
    pub fn ready_deadline(&mut self, deadline: Instant) -> Result<usize, ReadyTimeoutError> {
        self.ready_by(Some(deadline), Location::caller())
            .ok_or(ReadyTimeoutError)
    }

    /// The awaiting form of [`ready`](Self::ready).
    ///
    /// # Panics
    ///
    /// If the list is empty.
    ///
    /// # Cancel safety
    ///
    /// It takes nothing, so it can be dropped at any time.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use rendez_select::{Select, unbounded};
    ///
    /// let (tx, rx) = unbounded();
    /// let mut select = Select::new();
    /// let first = select.recv(&rx);
    /// tx.send(1).unwrap();
    /// assert_eq!(select.ready_async().await, first);
    /// assert_eq!(rx.try_recv(), Ok(1)); // nothing was taken
    /// # });
    /// ```
    #[track_caller]
    pub fn ready_async(&mut self) -> ReadyFuture<'_, 'a> {
        self.assert_not_empty();
        ReadyFuture(Waiting::new(self, true, Location::caller()))
    }

    fn ready_by(
        &self,
        deadline: Option<Instant>,
        location: &'static Location<'static>,
    ) -> Option<usize> {
        let arm = wait::block_ready(&self.cases, deadline, self.order, location)?;
        Some(self.indices[arm])
    }
}

impl Default for Select<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Select<'_> {
    fn clone(&self) -> Self {
        Self {
            cases: self.cases.clone(),
            indices: self.indices.clone(),
            next: self.next,
            order: self.order,
        }
    }
}

impl fmt::Debug for Select<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("Select { .. }")
    }
}

/// The cases of a list while it is awaited.
struct Listed<'s, 'a>(&'s [&'a dyn Case]);

impl Arms for Listed<'_, '_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn arm(&self, i: usize) -> &dyn Case {
        self.0[i]
    }
}

/// An awaited list.
struct Waiting<'s, 'a> {
    select: &'s Select<'a>,
    pending: Pending<Listed<'s, 'a>, Box<[Node]>>,
}

#[allow(unsafe_code)]
// SAFETY: as for `Select`: it looks, waits and gives back.
unsafe impl Send for Waiting<'_, '_> {}

impl<'s, 'a> Waiting<'s, 'a> {
    fn new(select: &'s Select<'a>, watch: bool, location: &'static Location<'static>) -> Self {
        let arms = Listed(&select.cases);
        Self {
            select,
            pending: Pending::new(arms, select.order, watch, location),
        }
    }

    #[allow(unsafe_code)]
    fn poll_won(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Won> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.pending) }.poll_won(cx)
    }
}

/// What [`Select::select_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct SelectFuture<'s, 'a>(Waiting<'s, 'a>);

/// What [`Select::ready_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct ReadyFuture<'s, 'a>(Waiting<'s, 'a>);

impl<'a> Future for SelectFuture<'_, 'a> {
    type Output = SelectedOperation<'a>;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let select = self.0.select;
        // SAFETY: the field is pinned with the whole and never moved out.
        let waiting = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        waiting.poll_won(cx).map(|won| select.selected(won))
    }
}

impl Future for ReadyFuture<'_, '_> {
    type Output = usize;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let select = self.0.select;
        // SAFETY: the field is pinned with the whole and never moved out.
        let waiting = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
        waiting.poll_won(cx).map(|(arm, _)| select.indices[arm])
    }
}

impl fmt::Debug for SelectFuture<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectFuture { .. }")
    }
}

impl fmt::Debug for ReadyFuture<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("ReadyFuture { .. }")
    }
}

/// An operation that has been selected and must be completed, with the channel end it
/// was added with.
///
/// # Panics
///
/// Dropped uncompleted it panics, unless its thread is panicking already; what it held
/// is given back first.
#[must_use = "a selected operation must be completed"]
pub struct SelectedOperation<'a> {
    index: usize,
    case: &'a dyn Case,
    outcome: Outcome,
}

impl SelectedOperation<'_> {
    /// The index of the operation.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Completes a send.
    ///
    /// # Errors
    ///
    /// [`SendError`] with the value if the channel is closed or no receiver is left.
    ///
    /// # Panics
    ///
    /// If the operation was not added with this `sender`.
    #[track_caller]
    pub fn send<T>(self, sender: &Sender<T>, value: T) -> Result<(), SendError<T>> {
        assert!(self.is_of(sender), "passed a sender that wasn't selected");
        let outcome = self.outcome;
        std::mem::forget(self);
        sender.permit(outcome).send(value)
    }

    /// Completes a receive.
    ///
    /// # Errors
    ///
    /// [`RecvError`] if the channel is empty, and closed or without senders.
    ///
    /// # Panics
    ///
    /// If the operation was not added with this `receiver`.
    #[track_caller]
    pub fn recv<T>(self, receiver: &Receiver<T>) -> Result<T, RecvError> {
        assert!(
            self.is_of(receiver),
            "passed a receiver that wasn't selected"
        );
        let outcome = self.outcome;
        std::mem::forget(self);
        receiver.finish(outcome)
    }

    fn is_of<E>(&self, end: &E) -> bool {
        std::ptr::addr_eq(self.case, end)
    }
}

impl Drop for SelectedOperation<'_> {
    fn drop(&mut self) {
        self.case.abandon(self.outcome);
        if !rendez_core::shim::thread::panicking() {
            panic!("dropped `SelectedOperation` without completing the operation");
        }
    }
}

impl UnwindSafe for SelectedOperation<'_> {}
impl RefUnwindSafe for SelectedOperation<'_> {}

impl fmt::Debug for SelectedOperation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad("SelectedOperation { .. }")
    }
}
