//! A value written once.
//!
//! Invariant: the value is there exactly while the gate is done. It is written by the one
//! who has the turn and read by those who have seen the gate done.
#![allow(unsafe_code)]

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rendez_core::shim::UnsafeCell;

use super::gate::{Entered, Gate, Turn};
use super::running::{Ran, Running};
use crate::late::const_new;
use crate::work::Work;

/// A value that is made when it is first asked for.
///
/// As std's `OnceLock`, for threads and tasks: a maker that fails or is cancelled leaves the
/// cell empty, and the next who asks makes the value. Unlike there, a panic is reported to
/// every caller, as Go's `OnceValue` does: to the one whose maker it was with its own payload,
/// to the others in the same words, until the cell is [taken](Self::take). Once the value is
/// there, reading it costs one load.
///
/// # Examples
///
/// ```
/// use rendez_sync::OnceCell;
///
/// static NAME: OnceCell<String> = OnceCell::new();
///
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "gopher".into()), "gopher");
/// assert_eq!(NAME.get_or_init(|| unreachable!()), "gopher");
/// ```
pub struct OnceCell<T> {
    gate: Gate,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: the value is written by one at a time, the one with the turn, and sharing the
// cell shares the value and may drop it on another thread than made it.
unsafe impl<T: Send + Sync> Sync for OnceCell<T> {}

impl<T> OnceCell<T> {
    const_new! {
        /// An empty cell.
        pub fn new() -> Self {
            Self {
                gate: Gate::new(),
                value: UnsafeCell::new(None),
            }
        }
    }

    /// The value, if it is there. Never waits.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        if !self.gate.is_done() {
            return None;
        }
        // SAFETY: the gate is done: the value is there, and nobody writes any more while the
        // cell is shared.
        Some(
            self.value
                .with(|v| unsafe { (*v).as_ref().unwrap_unchecked() }),
        )
    }

    /// The value, made by `f` if it is not there; blocks while another makes it.
    ///
    /// # Panics
    ///
    /// If `f` does, or a maker before it did, in the same words; or if called from within the
    /// `f` that runs.
    #[inline]
    #[track_caller]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        self.get_or_init_at(Location::caller(), f)
    }

    /// As [`get_or_init`](Self::get_or_init), for a caller at `location`.
    #[inline]
    pub(crate) fn get_or_init_at(
        &self,
        location: &'static Location<'static>,
        f: impl FnOnce() -> T,
    ) -> &T {
        match self.get() {
            Some(value) => value,
            None => {
                let Ok(value) = self.init_slow(|| Ok::<_, Infallible>(f()), location);
                value
            }
        }
    }

    /// As [`get_or_init`](Self::get_or_init), with an `f` that may fail.
    ///
    /// # Errors
    ///
    /// If `f` does; the cell stays empty, and the next to ask tries again.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = rendez_sync::OnceCell::new();
    /// assert!(cell.get_or_try_init(|| "x".parse::<u8>()).is_err());
    /// assert_eq!(cell.get_or_try_init(|| "7".parse::<u8>()), Ok(&7));
    /// ```
    #[inline]
    #[track_caller]
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        match self.get() {
            Some(value) => Ok(value),
            None => self.init_slow(f, Location::caller()),
        }
    }

    #[cold]
    fn init_slow<E>(
        &self,
        f: impl FnOnce() -> Result<T, E>,
        location: &'static Location<'static>,
    ) -> Result<&T, E> {
        if let Some(turn) = self.gate.enter(location) {
            let (turn, value) = turn.run(f);
            self.put(turn, value?);
        }
        Ok(self.made())
    }

    /// Awaits the value, made by a future, or the one that a closure makes, if it is not
    /// there.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Cancel safety
    ///
    /// Dropped while its future runs, it leaves the cell empty, and the next caller,
    /// waiting or to come, runs its own.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let cell = rendez_sync::OnceCell::new();
    /// assert_eq!(*cell.get_or_init_async(|| async { 1 }).await, 1);
    /// # });
    /// ```
    #[track_caller]
    pub fn get_or_init_async<M, W>(&self, work: W) -> GetOrInitFuture<'_, T, M, W>
    where
        W: Work<M>,
        W::Future: Future<Output = T>,
    {
        GetOrInitFuture {
            cell: self,
            running: Running::new(&self.gate, work, Location::caller()),
        }
    }

    /// As [`get_or_init_async`](Self::get_or_init_async), with a future that may fail.
    ///
    /// # Errors
    ///
    /// If the future does; the cell stays empty, and the next to ask tries again.
    ///
    /// # Panics
    ///
    /// As [`get_or_init`](Self::get_or_init).
    ///
    /// # Cancel safety
    ///
    /// As [`get_or_init_async`](Self::get_or_init_async).
    #[track_caller]
    pub fn get_or_try_init_async<E, M, W>(&self, work: W) -> GetOrTryInitFuture<'_, T, M, W>
    where
        W: Work<M>,
        W::Future: Future<Output = Result<T, E>>,
    {
        GetOrTryInitFuture {
            cell: self,
            running: Running::new(&self.gate, work, Location::caller()),
        }
    }

    /// Sets the value; blocks while another makes one.
    ///
    /// # Errors
    ///
    /// With the value handed back, if there is one already.
    ///
    /// # Panics
    ///
    /// If a maker has panicked, in the same words.
    ///
    /// # Examples
    ///
    /// ```
    /// let cell = rendez_sync::OnceCell::new();
    /// assert_eq!(cell.set(1), Ok(()));
    /// assert_eq!(cell.set(2), Err(2));
    /// ```
    #[track_caller]
    pub fn set(&self, value: T) -> Result<(), T> {
        let mut value = Some(value);
        self.get_or_init(|| value.take().expect("called once"));
        value.map_or(Ok(()), Err)
    }

    /// Sets the value unless there is one, one is being made, or a maker has panicked. Never
    /// waits.
    ///
    /// # Errors
    ///
    /// With the value handed back.
    pub fn try_set(&self, value: T) -> Result<(), T> {
        match self.gate.try_enter() {
            Some(Entered::Run(turn)) => {
                self.put(turn, value);
                Ok(())
            }
            _ => Err(value),
        }
    }

    /// Takes the value out; the cell is empty again, also of a panic.
    ///
    /// # Examples
    ///
    /// ```
    /// let mut cell = rendez_sync::OnceCell::from(1);
    /// assert_eq!(cell.take(), Some(1));
    /// assert_eq!(cell.get(), None);
    /// ```
    pub fn take(&mut self) -> Option<T> {
        self.gate.reset();
        // SAFETY: the cell is not shared.
        self.value.with_mut(|value| unsafe { (*value).take() })
    }

    /// The value, to be changed in place.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: the cell is not shared.
        self.value.with_mut(|value| unsafe { (*value).as_mut() })
    }

    /// Gives the value up, if it is there.
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Sets the value; the turn is this cell's.
    pub(crate) fn put(&self, turn: Turn<'_>, value: T) {
        // SAFETY: the turn is ours and nobody reads before it is completed. The cell is
        // empty, so nothing is dropped.
        self.value.with_mut(|slot| unsafe { *slot = Some(value) });
        turn.complete();
    }

    /// The value, once it is known to be there.
    pub(crate) fn made(&self) -> &T {
        self.get().expect("a gate that failed has panicked")
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        let _ = cell.try_set(value);
        cell
    }
}

impl<T: Clone> Clone for OnceCell<T> {
    fn clone(&self) -> Self {
        self.get().map_or_else(Self::new, |v| Self::from(v.clone()))
    }
}

impl<T: PartialEq> PartialEq for OnceCell<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceCell<T> {}

impl<T: UnwindSafe> UnwindSafe for OnceCell<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceCell<T> {}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceCell").field(&self.get()).finish()
    }
}

/// What [`OnceCell::get_or_init_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct GetOrInitFuture<'a, T, M, W: Work<M>> {
    cell: &'a OnceCell<T>,
    running: Running<'a, M, W>,
}

impl<'a, T, M, W> Future for GetOrInitFuture<'a, T, M, W>
where
    W: Work<M>,
    W::Future: Future<Output = T>,
{
    type Output = &'a T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&'a T> {
        let cell = self.cell;
        // SAFETY: the field is pinned with the whole and never moved out.
        let running = unsafe { self.map_unchecked_mut(|this| &mut this.running) };
        if let Ran::Now(turn, value) = ready!(running.poll(cx)) {
            cell.put(turn, value);
        }
        Poll::Ready(cell.made())
    }
}

impl<T, M, W: Work<M>> fmt::Debug for GetOrInitFuture<'_, T, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOrInitFuture").finish_non_exhaustive()
    }
}

/// What [`OnceCell::get_or_try_init_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct GetOrTryInitFuture<'a, T, M, W: Work<M>> {
    cell: &'a OnceCell<T>,
    running: Running<'a, M, W>,
}

impl<'a, T, E, M, W> Future for GetOrTryInitFuture<'a, T, M, W>
where
    W: Work<M>,
    W::Future: Future<Output = Result<T, E>>,
{
    type Output = Result<&'a T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let cell = self.cell;
        // SAFETY: the field is pinned with the whole and never moved out.
        let running = unsafe { self.map_unchecked_mut(|this| &mut this.running) };
        if let Ran::Now(turn, result) = ready!(running.poll(cx)) {
            cell.put(turn, result?);
        }
        Poll::Ready(Ok(cell.made()))
    }
}

impl<T, M, W: Work<M>> fmt::Debug for GetOrTryInitFuture<'_, T, M, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GetOrTryInitFuture").finish_non_exhaustive()
    }
}
