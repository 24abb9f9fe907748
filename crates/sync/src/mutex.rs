//! Mutual exclusion for threads and tasks alike.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lock_api::{RawMutex as _, RawMutexFair};
use rendez_core::shim::Arc;
use rendez_core::wait::CaseFuture;

use crate::attempt::{self, Keep, Kept};
use crate::deadlock::{Asked, Mode};
use crate::late::const_new;
use crate::raw_mutex::{Lock, RawMutex};

/// Gives access to the value of a locked [`Mutex`]; unlocks when dropped.
///
/// It may be sent to another thread and unlock there.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// A [`MutexGuard`] narrowed to a part of the value, by [`lock_api::MutexGuard::map`].
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;
/// A guard that keeps its mutex alive. See [`Mutex::lock_arc`].
pub type ArcMutexGuard<T> = lock_api::ArcMutexGuard<RawMutex, T>;

/// A value that one goroutine at a time may use.
///
/// Threads that block in [`lock`](Self::lock) and tasks that await
/// [`lock_async`](Self::lock_async) wait in one line. A free lock goes to whoever comes
/// first, a newcomer included, which keeps it fast; a waiter older than a millisecond is
/// handed it directly, so nobody starves. Guards may be held over an `.await` and sent to
/// other threads. A panic while it is locked unlocks it and leaves no trace.
///
/// Follows Go's `sync.Mutex` (normal and starvation mode) under `parking_lot`'s face.
/// Locking it twice from one goroutine waits for ever.
///
/// # Examples
///
/// ```
/// use rendez_sync::Mutex;
///
/// static HITS: Mutex<u32> = Mutex::new(0);
///
/// std::thread::scope(|s| {
///     for _ in 0..4 {
///         s.spawn(|| *HITS.lock() += 1);
///     }
/// });
/// assert_eq!(*HITS.lock(), 4);
/// ```
#[repr(transparent)]
pub struct Mutex<T: ?Sized>(lock_api::Mutex<RawMutex, T>);

impl<T> Mutex<T> {
    const_new! {
        /// Wraps `value`, unlocked.
        pub fn new(value: T) -> Self {
            Self(lock_api::Mutex::from_raw(RawMutex::new(), value))
        }
    }

    /// Gives the value up.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks; blocks while somebody else has it locked.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = rendez_sync::Mutex::new(1);
    /// *mutex.lock() += 1;
    /// assert_eq!(*mutex.lock(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock()
    }

    /// Locks if that needs no waiting. `None` also while it is being handed to a waiter.
    ///
    /// # Examples
    ///
    /// ```
    /// let mutex = rendez_sync::Mutex::new(1);
    /// let held = mutex.lock();
    /// assert!(mutex.try_lock().is_none());
    /// drop(held);
    /// assert!(mutex.try_lock().is_some());
    /// ```
    #[inline]
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock()
    }

    /// Locks; blocks for at most `timeout`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mutex = rendez_sync::Mutex::new(1);
    /// let held = mutex.lock();
    /// assert!(mutex.lock_timeout(Duration::from_millis(1)).is_none());
    /// drop(held);
    /// assert!(mutex.lock_timeout(Duration::MAX).is_some());
    /// ```
    #[inline]
    #[track_caller]
    pub fn lock_timeout(&self, timeout: Duration) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock_for(timeout)
    }

    /// Awaits the lock.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it leaves the line; a lock it had already been handed,
    /// or woken for, goes to the next. A future that is neither polled nor dropped after
    /// it was woken keeps those behind it waiting.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let mutex = rendez_sync::Mutex::new(1);
    /// *mutex.lock_async().await += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn lock_async(&self) -> LockFuture<'_, T> {
        self.lock_async_at(Location::caller())
    }

    pub(crate) fn lock_async_at(&self, location: &'static Location<'static>) -> LockFuture<'_, T> {
        LockFuture {
            lock: self.raw().lock_async(location),
            mutex: self,
            asked: Asked::new(location),
        }
    }

    /// Locks a shared mutex; the guard keeps it alive and borrows nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// let mutex = Arc::new(rendez_sync::Mutex::new(1));
    /// let mut guard = mutex.lock_arc();
    /// drop(mutex);
    /// *guard += 1;
    /// assert_eq!(*guard, 2);
    /// ```
    #[track_caller]
    pub fn lock_arc(self: &Arc<Self>) -> ArcMutexGuard<T> {
        self.inner_arc().lock_arc()
    }

    /// Locks a shared mutex if that needs no waiting. See [`lock_arc`](Self::lock_arc).
    #[track_caller]
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<ArcMutexGuard<T>> {
        self.inner_arc().try_lock_arc()
    }

    /// Awaits the lock of a shared mutex; neither the future nor the guard borrows anything.
    ///
    /// # Cancel safety
    ///
    /// As [`lock_async`](Self::lock_async); it lets go of the mutex, too.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use std::sync::Arc;
    ///
    /// let mutex = Arc::new(rendez_sync::Mutex::new(1));
    /// let lock = mutex.lock_arc_async();
    /// drop(mutex);
    /// let mut guard = lock.await;
    /// *guard += 1;
    /// assert_eq!(*guard, 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn lock_arc_async(self: &Arc<Self>) -> LockArcFuture<T> {
        let location = Location::caller();
        LockArcFuture {
            lock: CaseFuture::new(Kept(Arc::clone(self)), location),
            asked: Asked::new(location),
        }
    }

    /// The value, without locking: nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// Whether somebody has it locked at this instant.
    pub fn is_locked(&self) -> bool {
        self.raw().is_locked()
    }

    /// Unlocks, and hands the lock to the first waiter, if there is one, whatever its age.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_sync::Mutex;
    ///
    /// let mutex = Mutex::new(1);
    /// Mutex::unlock_fair(mutex.lock());
    /// assert!(!mutex.is_locked());
    /// ```
    pub fn unlock_fair(guard: MutexGuard<'_, T>) {
        let mutex = lock_api::MutexGuard::mutex(&guard);
        std::mem::forget(guard);
        // SAFETY: the guard's lock, which it does not unlock any more.
        unsafe { mutex.raw().unlock_fair() }
    }

    /// The mutex a guard is of.
    pub(crate) fn of<'a>(guard: &MutexGuard<'a, T>) -> &'a Self {
        let inner = std::ptr::from_ref(lock_api::MutexGuard::mutex(guard));
        // SAFETY: the newtype is transparent, and every lock of our raw kind that we hand
        // out guards of stands in one.
        unsafe { &*(inner as *const Self) }
    }

    pub(crate) fn raw(&self) -> &RawMutex {
        // SAFETY: whoever unlocks through it does so for a guard that does not.
        unsafe { self.0.raw() }
    }

    fn inner_arc(self: &Arc<Self>) -> ManuallyDrop<Arc<lock_api::Mutex<RawMutex, T>>> {
        let inner = Arc::as_ptr(self) as *const lock_api::Mutex<RawMutex, T>;
        // SAFETY: the newtype is transparent, so the pointer is as good as one from an
        // `Arc` of the inner type, and the count it does not own is not given back.
        ManuallyDrop::new(unsafe { Arc::from_raw(inner) })
    }
}

impl<T: ?Sized> Keep for Arc<Mutex<T>> {
    type Case<'a>
        = Lock<'a>
    where
        T: 'a;

    #[inline]
    fn case(&self) -> Lock<'_> {
        self.raw().case()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// What [`Mutex::lock_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct LockFuture<'a, T: ?Sized> {
    lock: CaseFuture<Lock<'a>>,
    mutex: &'a Mutex<T>,
    asked: Asked,
}

impl<'a, T: ?Sized> Future for LockFuture<'a, T> {
    type Output = MutexGuard<'a, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out; the wait stays where it is pinned.
        let Self { lock, mutex, asked } = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let lock = unsafe { Pin::new_unchecked(lock) };
        let watch = mutex.raw().watch();
        ready!(asked.poll(watch, Mode::Lock, cx, |cx| attempt::poll(lock, cx)));
        // SAFETY: the case has won the lock, and its guard is made once.
        Poll::Ready(unsafe { mutex.0.make_guard_unchecked() })
    }
}

impl<T: ?Sized> fmt::Debug for LockFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockFuture").finish_non_exhaustive()
    }
}

/// What [`Mutex::lock_arc_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct LockArcFuture<T: ?Sized> {
    lock: CaseFuture<Kept<Arc<Mutex<T>>>>,
    asked: Asked,
}

impl<T: ?Sized> Future for LockArcFuture<T> {
    type Output = ArcMutexGuard<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out; the wait stays where it is pinned.
        let Self { lock, asked } = unsafe { self.get_unchecked_mut() };
        // SAFETY: the wait keeps the mutex, where it is.
        let mutex = unsafe { &*Arc::as_ptr(&lock.case().0) };
        // SAFETY: as above.
        let mut lock = unsafe { Pin::new_unchecked(lock) };
        let watch = mutex.raw().watch();
        ready!(asked.poll(watch, Mode::Lock, cx, |cx| {
            attempt::poll(lock.as_mut(), cx)
        }));
        let make = || lock.case().0.inner_arc().try_lock_arc_for(Duration::ZERO);
        // SAFETY: the case has won the lock, and its guard is made once.
        let guard = unsafe { mutex.raw().guard_held(make) };
        Poll::Ready(guard.expect("it is told that it has the lock"))
    }
}

impl<T: ?Sized> fmt::Debug for LockArcFuture<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockArcFuture").finish_non_exhaustive()
    }
}
