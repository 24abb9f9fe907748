//! Permits that keep their semaphore alive and borrow nothing.
//!
//! The case is the borrowing one's, by delegation: one line, one algorithm.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::case::{Arm, AsCase, Case, IntoArm, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Registration};
use rendez_core::shim::Arc;
use rendez_core::wait::{self, CaseFuture};

use super::{PermitCase, Semaphore, Waits, poll_acquire};
use crate::error::AcquireError;

impl Semaphore {
    /// As [`acquire`](Self::acquire), with a permit that borrows nothing: to be sent to another
    /// goroutine, or kept in a struct.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rendez_sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(2));
    /// let permit = semaphore.acquire_owned(1)?;
    /// std::thread::spawn(move || drop(permit)).join().unwrap();
    /// assert_eq!(semaphore.available(), 2);
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// ```
    #[track_caller]
    pub fn acquire_owned(self: &Arc<Self>, n: usize) -> Result<OwnedPermit, AcquireError> {
        if let Some(permit) = self.try_acquire_owned(n) {
            return Ok(permit);
        }
        wait::block_on_case(&self.permit_owned(n), None, Location::caller())
            .expect("a wait without a deadline ends with a result")
    }

    /// As [`acquire_async`](Self::acquire_async), with a future and a permit that borrow nothing.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Cancel safety
    ///
    /// As [`acquire_async`](Self::acquire_async).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use rendez_sync::Semaphore;
    ///
    /// # rendez_core::block_on::block_on(async {
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let permit = semaphore.acquire_owned_async(1).await?;
    /// assert_eq!(semaphore.available(), 0);
    /// drop(permit);
    /// assert_eq!(semaphore.available(), 1);
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn acquire_owned_async(self: &Arc<Self>, n: usize) -> AcquireOwnedFuture {
        AcquireOwnedFuture {
            acquire: CaseFuture::new(self.permit_owned(n), Location::caller()),
            waits: Waits::NotYet,
        }
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that borrows nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let semaphore = Arc::new(rendez_sync::Semaphore::new(1));
    /// let permit = semaphore.try_acquire_owned(1);
    /// assert!(permit.is_some() && semaphore.try_acquire_owned(1).is_none());
    /// ```
    pub fn try_acquire_owned(self: &Arc<Self>, n: usize) -> Option<OwnedPermit> {
        let permit = self.try_acquire(n)?;
        permit.forget();
        Some(OwnedPermit {
            semaphore: Arc::clone(self),
            n,
        })
    }

    /// As [`permit`](Self::permit), with an arm and a permit that borrow nothing.
    pub fn permit_owned(self: &Arc<Self>, n: usize) -> OwnedPermitCase {
        OwnedPermitCase {
            semaphore: Arc::clone(self),
            n,
        }
    }
}

/// Permits of a shared [`Semaphore`], which they keep alive, released when dropped. See
/// [`Semaphore::acquire_owned`].
#[must_use = "the permits are released when this is dropped"]
pub struct OwnedPermit {
    semaphore: Arc<Semaphore>,
    n: usize,
}

impl OwnedPermit {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.n
    }

    /// Their semaphore.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.semaphore
    }

    /// Takes `n` of them into a permit of their own; `None` if they are fewer.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let semaphore = Arc::new(rendez_sync::Semaphore::new(3));
    /// let mut three = semaphore.acquire_owned(3)?;
    /// let one = three.split(1).unwrap();
    /// drop(three);
    /// assert_eq!(semaphore.available(), 2);
    /// # Ok::<(), rendez_sync::AcquireError>(())
    /// ```
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.n = self.n.checked_sub(n)?;
        let semaphore = Arc::clone(&self.semaphore);
        Some(Self { semaphore, n })
    }

    /// Adds those of `other`.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore; its permits are released there.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            Arc::ptr_eq(&self.semaphore, &other.semaphore),
            "OwnedPermit::merge of two semaphores' permits"
        );
        self.n += mem::take(&mut other.n);
    }

    /// Never releases them. They still count in the semaphore's size.
    pub fn forget(mut self) {
        self.n = 0;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        self.semaphore.state.release(self.n);
    }
}

impl fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedPermit").field("n", &self.n).finish()
    }
}

/// Ready when so many permits can be taken. See [`Semaphore::permit_owned`].
#[derive(Clone, Debug)]
pub struct OwnedPermitCase {
    semaphore: Arc<Semaphore>,
    n: usize,
}

impl OwnedPermitCase {
    fn borrowed(&self) -> PermitCase<'_> {
        self.semaphore.permit(self.n)
    }
}

impl Sealed for OwnedPermitCase {}

// SAFETY: it is the borrowing case, of the semaphore that this keeps alive.
#[allow(unsafe_code)]
unsafe impl Case for OwnedPermitCase {
    fn probe(&self) -> Probe {
        self.borrowed().probe()
    }

    fn try_now(&self) -> Option<Outcome> {
        self.borrowed().try_now()
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        self.borrowed().enqueue(reg);
    }

    fn recheck(&self, reg: &Registration<'_>) {
        self.borrowed().recheck(reg);
    }

    fn dequeue(&self, node: &Node) {
        self.borrowed().dequeue(node);
    }

    fn abandon(&self, outcome: Outcome) {
        self.borrowed().abandon(outcome);
    }

    fn stays(&self) -> bool {
        self.borrowed().stays()
    }

    fn kind(&self) -> WaitKind {
        self.borrowed().kind()
    }
}

impl Arm for OwnedPermitCase {
    type Output = Result<OwnedPermit, AcquireError>;

    fn finish(&self, outcome: Outcome) -> Self::Output {
        let permit = self.borrowed().finish(outcome)?;
        permit.forget();
        Ok(OwnedPermit {
            semaphore: Arc::clone(&self.semaphore),
            n: self.n,
        })
    }
}

impl IntoArm<'_> for OwnedPermitCase {
    type Arm = Self;

    fn __into_arm(self) -> Self {
        self
    }
}

impl AsCase for OwnedPermitCase {
    type Case<'a> = Self;

    fn __case(&self) -> Self {
        self.clone()
    }
}

/// What [`Semaphore::acquire_owned_async`] gives.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct AcquireOwnedFuture {
    acquire: CaseFuture<OwnedPermitCase>,
    waits: Waits,
}

impl Future for AcquireOwnedFuture {
    type Output = Result<OwnedPermit, AcquireError>;

    #[allow(unsafe_code)]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: `acquire` is pinned with the whole and never moved out; `waits` is not
        // pinned.
        let (acquire, waits) = unsafe {
            let this = self.get_unchecked_mut();
            (Pin::new_unchecked(&mut this.acquire), &mut this.waits)
        };
        poll_acquire(acquire, waits, cx, |case| {
            case.semaphore.try_acquire_owned(case.n)
        })
    }
}
