//! A weighted semaphore: the handle and its permits.

mod owned;
mod state;

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rendez_core::case::{Arm, AsCase, Case, IntoArm, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::overdue::is_overdue;
use rendez_core::queue::{Node, Registration};
use rendez_core::shim::multicore;
use rendez_core::wait::{self, CaseFuture};
use rendez_core::{clock, hooks};

pub use self::owned::{AcquireOwnedFuture, OwnedPermit, OwnedPermitCase};
use self::state::{State, Verdict};
use crate::error::AcquireError;
use crate::late::const_new;

/// A number of permits, and a line of those who wait for some.
///
/// Strictly first come, first served: who asks for many is not overtaken by those who ask
/// for few, and a `try_` never overtakes anybody. So nobody starves. Threads, tasks and
/// selects wait in the same line.
///
/// Follows `Weighted` of Go's `x/sync/semaphore`, but permits release themselves, asking
/// for too many fails at once instead of waiting for ever, and it can be closed and
/// resized.
///
/// # Examples
///
/// ```
/// use rendez_sync::Semaphore;
///
/// let semaphore = Semaphore::new(3);
/// let two = semaphore.acquire(2)?;
/// assert!(semaphore.try_acquire(2).is_none());
/// drop(two);
/// assert_eq!(semaphore.available(), 3);
/// # Ok::<(), rendez_sync::AcquireError>(())
/// ```
pub struct Semaphore {
    state: State,
}

impl Semaphore {
    /// The largest size: about 10^12, or what a `usize` holds where that is less.
    pub const MAX_SIZE: usize = state::MAX_SIZE;

    const_new! {
        /// A semaphore of `size` permits, all available.
        ///
        /// # Panics
        ///
        /// If `size` is above [`MAX_SIZE`](Self::MAX_SIZE).
        pub fn new(size: usize) -> Self {
            assert!(size <= state::MAX_SIZE, "a semaphore of more than MAX_SIZE permits");
            Self { state: State::new(size) }
        }
    }

    /// Takes `n` permits; blocks until they are available and everybody before has theirs.
    ///
    /// Zero permits are had as soon as nobody waits.
    ///
    /// # Errors
    ///
    /// `TooMany`, at once, if `n` is more than the size, also when it shrinks while this
    /// waits. `Closed` if the semaphore is closed, or is while this waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_sync::{AcquireError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(2);
    /// let permit = semaphore.acquire(2)?;
    /// assert_eq!(permit.count(), 2);
    /// assert_eq!(semaphore.acquire(3).unwrap_err(), AcquireError::TooMany);
    /// # Ok::<(), AcquireError>(())
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire(&self, n: usize) -> Result<Permit<'_>, AcquireError> {
        if let Some(permit) = self.try_acquire(n) {
            return Ok(permit);
        }
        wait::block_on_case(&self.permit(n), None, Location::caller())
            .expect("a wait without a deadline ends with a result")
    }

    /// As [`acquire`](Self::acquire), for at most `timeout`, after which it gives `None`.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let semaphore = rendez_sync::Semaphore::new(1);
    /// let permit = semaphore.acquire(1)?;
    /// assert!(semaphore.acquire_timeout(1, Duration::from_millis(1))?.is_none());
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// ```
    #[track_caller]
    pub fn acquire_timeout(
        &self,
        n: usize,
        timeout: Duration,
    ) -> Result<Option<Permit<'_>>, AcquireError> {
        let deadline = clock::deadline_after(timeout);
        wait::block_on_case(&self.permit(n), deadline, Location::caller()).transpose()
    }

    /// Awaits `n` permits.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it leaves the line, so that those behind it move up;
    /// permits it had already been granted go to the next.
    ///
    /// Under a context, `ctx.run(semaphore.acquire_async(n))`, the end of the context beats a
    /// grant in the same instant, as in Go: the permits go to the next.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let semaphore = rendez_sync::Semaphore::new(1);
    /// let permit = semaphore.acquire_async(1).await?;
    /// assert_eq!(semaphore.available(), 0);
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn acquire_async(&self, n: usize) -> AcquireFuture<'_> {
        AcquireFuture {
            acquire: CaseFuture::new(self.permit(n), Location::caller()),
            waits: Waits::NotYet,
        }
    }

    /// Takes `n` permits if they are available and nobody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = rendez_sync::Semaphore::new(1);
    /// let permit = semaphore.try_acquire(1);
    /// assert!(permit.is_some() && semaphore.try_acquire(1).is_none());
    /// ```
    #[inline]
    pub fn try_acquire(&self, n: usize) -> Option<Permit<'_>> {
        hooks::switch_point();
        self.state.try_take(n).then(|| self.granted(n))
    }

    /// Takes all permits available, if there are some and nobody waits.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = rendez_sync::Semaphore::new(3);
    /// let one = semaphore.try_acquire(1);
    /// assert_eq!(semaphore.try_acquire_all().unwrap().count(), 2);
    /// ```
    pub fn try_acquire_all(&self) -> Option<Permit<'_>> {
        hooks::switch_point();
        self.state.try_take_all().map(|n| self.granted(n))
    }

    /// `n` permits as an arm of a select: `recv(semaphore.permit(n)) -> permit => …`, with
    /// what [`acquire`](Self::acquire) would give.
    pub fn permit(&self, n: usize) -> PermitCase<'_> {
        PermitCase { semaphore: self, n }
    }

    /// How many permits could be taken now, if nobody waits.
    pub fn available(&self) -> usize {
        self.state.available()
    }

    /// The number of permits in all, out or not.
    pub fn size(&self) -> usize {
        self.state.size()
    }

    /// Sets the number of permits in all.
    ///
    /// More permits are available at once. Of fewer, those that are out count when they
    /// are released: until enough have come back none is available. Whoever waits for more
    /// than the new size gets `TooMany`.
    ///
    /// # Panics
    ///
    /// If `size` is above [`MAX_SIZE`](Self::MAX_SIZE).
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = rendez_sync::Semaphore::new(2);
    /// let permits = semaphore.acquire(2)?;
    /// semaphore.set_size(1);
    /// drop(permits);
    /// assert_eq!(semaphore.available(), 1);
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// ```
    #[track_caller]
    pub fn set_size(&self, size: usize) {
        assert!(
            size <= Self::MAX_SIZE,
            "a semaphore of more than MAX_SIZE permits"
        );
        self.state.set_size(size);
    }

    /// Closes it: everybody who waits, and everybody who comes later, gets `Closed`.
    /// Permits that are out stay good. Returns whether this call closed it.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_sync::{AcquireError, Semaphore};
    ///
    /// let semaphore = Semaphore::new(1);
    /// assert!(semaphore.close() && !semaphore.close());
    /// assert_eq!(semaphore.acquire(1).unwrap_err(), AcquireError::Closed);
    /// ```
    pub fn close(&self) -> bool {
        self.state.close()
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.state.is_closed()
    }

    fn granted(&self, n: usize) -> Permit<'_> {
        Permit { semaphore: self, n }
    }
}

impl UnwindSafe for Semaphore {}
impl RefUnwindSafe for Semaphore {}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("size", &self.size())
            .field("available", &self.available())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Permits of a [`Semaphore`], released when dropped.
#[must_use = "the permits are released when this is dropped"]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

impl Permit<'_> {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.n
    }

    /// Takes `n` of them into a permit of their own; `None` if they are fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = rendez_sync::Semaphore::new(3);
    /// let mut three = semaphore.acquire(3)?;
    /// let one = three.split(1).unwrap();
    /// drop(three);
    /// assert_eq!(semaphore.available(), 2);
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.n = self.n.checked_sub(n)?;
        Some(self.semaphore.granted(n))
    }

    /// Adds those of `other`.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore; its permits are released there.
    ///
    /// # Examples
    ///
    /// ```
    /// let semaphore = rendez_sync::Semaphore::new(3);
    /// let mut permit = semaphore.acquire(1)?;
    /// permit.merge(semaphore.acquire(2)?);
    /// assert_eq!(permit.count(), 3);
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// ```
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            std::ptr::eq(self.semaphore, other.semaphore),
            "Permit::merge of two semaphores' permits"
        );
        self.n += std::mem::take(&mut other.n);
    }

    /// Never releases them. They still count in the semaphore's size.
    pub fn forget(self) {
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.state.release(self.n);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("n", &self.n).finish()
    }
}

/// Ready when so many permits can be taken. See [`Semaphore::permit`].
#[derive(Clone, Copy, Debug)]
pub struct PermitCase<'a> {
    semaphore: &'a Semaphore,
    n: usize,
}

impl Sealed for PermitCase<'_> {}

// SAFETY: the state keeps its queue and claims under its lock, and `leave` takes the node
// out under the same.
#[allow(unsafe_code)]
unsafe impl Case for PermitCase<'_> {
    fn probe(&self) -> Probe {
        self.semaphore.state.probe(self.n)
    }

    fn try_now(&self) -> Option<Outcome> {
        (self.semaphore.state)
            .decide(self.n)
            .map(Verdict::into_outcome)
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.semaphore.state.enqueue(self.n, reg);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.semaphore.state.recheck(self.n, reg);
    }

    fn dequeue(&self, node: &Node) {
        self.semaphore.state.leave(node);
    }

    fn abandon(&self, outcome: Outcome) {
        if Verdict::from_outcome(outcome) == Verdict::Granted {
            self.semaphore.state.release(self.n);
        }
    }

    // At the head of its queue it would keep those behind it waiting.
    fn stays(&self) -> bool {
        false
    }

    // On one processor whoever holds a permit has been stopped in the middle, and who queued
    // would have each of the others queue behind him at every turn.
    fn worth_watching(&self) -> bool {
        !multicore()
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Semaphore
    }
}

impl<'a> Arm for PermitCase<'a> {
    type Output = Result<Permit<'a>, AcquireError>;

    fn finish(&self, outcome: Outcome) -> Self::Output {
        match Verdict::from_outcome(outcome) {
            Verdict::Granted => Ok(self.semaphore.granted(self.n)),
            Verdict::TooMany => Err(AcquireError::TooMany),
            Verdict::Closed => Err(AcquireError::Closed),
        }
    }
}

impl<'s> IntoArm<'s> for PermitCase<'s> {
    type Arm = Self;

    fn __into_arm(self) -> Self {
        self
    }
}

impl<'s> AsCase for PermitCase<'s> {
    type Case<'a>
        = PermitCase<'s>
    where
        Self: 'a;

    fn __case(&self) -> PermitCase<'s> {
        *self
    }
}

/// What [`Semaphore::acquire_async`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct AcquireFuture<'a> {
    acquire: CaseFuture<PermitCase<'a>>,
    waits: Waits,
}

/// Whether one waits for what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    NotYet,
    Queued,
    /// It gave up what it had been granted, and will not again.
    Anew,
}

impl<'a> Future for AcquireFuture<'a> {
    type Output = Result<Permit<'a>, AcquireError>;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `acquire` is pinned with the whole and never moved out; `waits` is not
        // pinned.
        let (acquire, waits) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.acquire), &mut this.waits)
        };
        poll_acquire(acquire, waits, cx, |case| {
            case.semaphore.try_acquire(case.n)
        })
    }
}

/// A poll for permits, borrowing ones or not; `try_now` takes them if nobody waits.
#[inline]
fn poll_acquire<C: Arm<Output = Result<P, AcquireError>>, P>(
    acquire: Pin<&mut CaseFuture<C>>,
    waits: &mut Waits,
    cx: &mut Context<'_>,
    try_now: impl FnOnce(&C) -> Option<P>,
) -> Poll<Result<P, AcquireError>> {
    let polled = if acquire.is_waiting() {
        acquire.poll(cx)
    } else if let Some(permit) = try_now(acquire.case()) {
        return Poll::Ready(Ok(permit));
    } else {
        acquire.poll_looked(cx)
    };
    match polled {
        // Granted in the instant in which the context that bounds this has ended: the
        // context wins, as Go's does. Woken, in case somebody polls on all the same.
        Poll::Ready(Ok(_given_back)) if *waits == Waits::Queued && is_overdue() => {
            *waits = Waits::Anew;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        Poll::Ready(got) => Poll::Ready(got),
        Poll::Pending => {
            if *waits == Waits::NotYet {
                *waits = Waits::Queued;
            }
            Poll::Pending
        }
    }
}
