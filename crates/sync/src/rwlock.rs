//! Many readers or one writer, for threads and tasks alike.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use lock_api::RawRwLock as _;
use rendez_core::shim::Arc;
use rendez_core::wait::CaseFuture;

use crate::attempt::{self, Keep, Kept};
use crate::deadlock::Asked;
use crate::late::const_new;
use crate::raw_rwlock::{Enter, RawRwLock, Request};

/// Shared access to the value of an [`RwLock`]; leaves when dropped.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;
/// Exclusive access to the value of an [`RwLock`]; leaves when dropped.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;
/// Shared access that alone may become exclusive. See [`RwLock::upgradable_read`].
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;
/// A [`RwLockReadGuard`] narrowed to a part of the value.
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// A [`RwLockWriteGuard`] narrowed to a part of the value.
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;
/// A read guard that keeps its lock alive. See [`RwLock::read_arc`].
pub type ArcRwLockReadGuard<T> = lock_api::ArcRwLockReadGuard<RawRwLock, T>;
/// A write guard that keeps its lock alive. See [`RwLock::write_arc`].
pub type ArcRwLockWriteGuard<T> = lock_api::ArcRwLockWriteGuard<RawRwLock, T>;
/// An upgradable guard that keeps its lock alive. See [`RwLock::upgradable_read_arc`].
pub type ArcRwLockUpgradableReadGuard<T> = lock_api::ArcRwLockUpgradableReadGuard<RawRwLock, T>;

/// A value that many may read or one may write.
///
/// Phases alternate: a waiting writer blocks new readers, and the readers queued while it
/// writes all enter before the next writer; so neither side starves the other. Among
/// writers a free lock goes to whoever comes first, until one has waited a millisecond and
/// is handed it. Threads and tasks wait in the same queues. Guards may be held over an
/// `.await` and sent to other threads. A panic while it is locked unlocks it and leaves no
/// trace.
///
/// Follows Go's `sync.RWMutex` under `parking_lot`'s face, with its downgrades and
/// upgradable reads: [`RwLockWriteGuard::downgrade`], [`RwLockUpgradableReadGuard::upgrade`]
/// and their kin. Reading twice from one goroutine may wait for ever, for a writer between
/// the two.
///
/// [`RwLockWriteGuard::downgrade`]: lock_api::RwLockWriteGuard::downgrade
/// [`RwLockUpgradableReadGuard::upgrade`]: lock_api::RwLockUpgradableReadGuard::upgrade
///
/// # Examples
///
/// ```
/// let lock = rendez_sync::RwLock::new(vec![1]);
/// {
///     let (a, b) = (lock.read(), lock.read());
///     assert_eq!(a.len() + b.len(), 2);
///     assert!(lock.try_write().is_none());
/// }
/// lock.write().push(2);
/// assert_eq!(lock.into_inner(), [1, 2]);
/// ```
#[repr(transparent)]
pub struct RwLock<T: ?Sized>(lock_api::RwLock<RawRwLock, T>);

impl<T> RwLock<T> {
    const_new! {
        /// Wraps `value`, unlocked.
        pub fn new(value: T) -> Self {
            Self(lock_api::RwLock::from_raw(RawRwLock::new(), value))
        }
    }

    /// Gives the value up.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks for reading; blocks while somebody writes or a writer waits.
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read()
    }

    /// Locks for reading if that needs no waiting; `None` also if a writer waits.
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read()
    }

    /// Locks for reading; blocks for at most `timeout`.
    #[inline]
    #[track_caller]
    pub fn read_timeout(&self, timeout: Duration) -> Option<RwLockReadGuard<'_, T>> {
        self.0.try_read_for(timeout)
    }

    /// Awaits the lock for reading.
    ///
    /// # Cancel safety
    ///
    /// As [`Mutex::lock_async`](crate::Mutex::lock_async).
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let lock = rendez_sync::RwLock::new(1);
    /// let (a, b) = (lock.read_async().await, lock.read_async().await);
    /// assert_eq!(*a + *b, 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn read_async(&self) -> ReadFuture<'_, T> {
        ReadFuture {
            enter: self.raw().wait(Request::Read, Location::caller()),
            lock: self,
            asked: Asked::new(Location::caller()),
        }
    }

    /// Locks for writing; blocks while anybody else has it locked.
    #[inline]
    #[track_caller]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write()
    }

    /// Locks for writing if that needs no waiting.
    #[inline]
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        self.0.try_write()
    }

    /// Locks for writing; blocks for at most `timeout`.
    #[inline]
    #[track_caller]
    pub fn write_timeout(&self, timeout: Duration) -> Option<RwLockWriteGuard<'_, T>> {
        self.0.try_write_for(timeout)
    }

    /// Awaits the lock for writing.
    ///
    /// # Cancel safety
    ///
    /// As [`Mutex::lock_async`](crate::Mutex::lock_async); the readers that a dropped
    /// writer had blocked enter.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// let lock = rendez_sync::RwLock::new(1);
    /// *lock.write_async().await += 1;
    /// assert_eq!(lock.into_inner(), 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn write_async(&self) -> WriteFuture<'_, T> {
        WriteFuture {
            enter: self.raw().wait(Request::Write, Location::caller()),
            lock: self,
            asked: Asked::new(Location::caller()),
        }
    }

    /// Locks for reading beside other readers, with the right to become the writer;
    /// blocks while somebody else has that right, somebody writes or a writer waits.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_sync::{RwLock, RwLockUpgradableReadGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let guard = lock.upgradable_read();
    /// assert!(lock.try_read().is_some() && lock.try_upgradable_read().is_none());
    /// *RwLockUpgradableReadGuard::upgrade(guard) += 1;
    /// assert_eq!(*lock.read(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) -> RwLockUpgradableReadGuard<'_, T> {
        self.0.upgradable_read()
    }

    /// As [`upgradable_read`](Self::upgradable_read), if that needs no waiting.
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        self.0.try_upgradable_read()
    }

    /// Awaits what [`upgradable_read`](Self::upgradable_read) waits for.
    ///
    /// # Cancel safety
    ///
    /// As [`Mutex::lock_async`](crate::Mutex::lock_async).
    #[track_caller]
    pub fn upgradable_read_async(&self) -> UpgradableReadFuture<'_, T> {
        UpgradableReadFuture {
            enter: self.raw().wait(Request::Upgradable, Location::caller()),
            lock: self,
            asked: Asked::new(Location::caller()),
        }
    }

    /// Turns an upgradable reader into the writer, as [`upgrade`] does, awaited: it waits until
    /// the other readers have left, and blocks new ones meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it lets the upgradable reader's place go, too; the readers
    /// that it had blocked enter.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use rendez_sync::RwLock;
    ///
    /// let lock = RwLock::new(1);
    /// let guard = lock.upgradable_read_async().await;
    /// assert_eq!(*guard, 1);
    /// *RwLock::upgrade_async(guard).await = 2;
    /// assert_eq!(*lock.read(), 2);
    /// # });
    /// ```
    ///
    /// [`upgrade`]: lock_api::RwLockUpgradableReadGuard::upgrade
    #[track_caller]
    pub fn upgrade_async(guard: RwLockUpgradableReadGuard<'_, T>) -> UpgradeFuture<'_, T> {
        let lock = Self::of(&guard);
        UpgradeFuture {
            enter: lock.raw().wait(Request::Upgrade, Location::caller()),
            lock,
            asked: Asked::new(Location::caller()),
            guard: Some(guard),
        }
    }

    /// The lock a guard is of.
    fn of<'a>(guard: &RwLockUpgradableReadGuard<'a, T>) -> &'a Self {
        let inner = ptr::from_ref(lock_api::RwLockUpgradableReadGuard::rwlock(guard));
        // SAFETY: the newtype is transparent, and every lock of our raw kind that we hand
        // out guards of stands in one.
        unsafe { &*(inner as *const Self) }
    }

    /// Locks a shared lock for reading; the guard keeps it alive and borrows nothing.
    #[track_caller]
    pub fn read_arc(self: &Arc<Self>) -> ArcRwLockReadGuard<T> {
        self.inner_arc().read_arc()
    }

    /// As [`read_arc`](Self::read_arc), if that needs no waiting.
    #[track_caller]
    pub fn try_read_arc(self: &Arc<Self>) -> Option<ArcRwLockReadGuard<T>> {
        self.inner_arc().try_read_arc()
    }

    /// Awaits a shared lock for reading; neither the future nor the guard borrows anything.
    ///
    /// # Cancel safety
    ///
    /// As [`Mutex::lock_arc_async`](crate::Mutex::lock_arc_async).
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use std::sync::Arc;
    ///
    /// let lock = Arc::new(rendez_sync::RwLock::new(1));
    /// let (a, b) = (lock.read_arc_async().await, lock.read_arc_async().await);
    /// drop(lock);
    /// assert_eq!(*a + *b, 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn read_arc_async(self: &Arc<Self>) -> ReadArcFuture<T> {
        ReadArcFuture(self.wait_arc(Request::Read))
    }

    /// Locks a shared lock for writing; the guard keeps it alive and borrows nothing.
    #[track_caller]
    pub fn write_arc(self: &Arc<Self>) -> ArcRwLockWriteGuard<T> {
        self.inner_arc().write_arc()
    }

    /// As [`write_arc`](Self::write_arc), if that needs no waiting.
    #[track_caller]
    pub fn try_write_arc(self: &Arc<Self>) -> Option<ArcRwLockWriteGuard<T>> {
        self.inner_arc().try_write_arc()
    }

    /// Awaits a shared lock for writing; neither the future nor the guard borrows anything.
    ///
    /// # Cancel safety
    ///
    /// As [`write_async`](Self::write_async); it lets go of the lock, too.
    ///
    /// # Examples
    ///
    /// ```
    /// # rendez_core::block_on::block_on(async {
    /// use std::sync::Arc;
    ///
    /// let lock = Arc::new(rendez_sync::RwLock::new(1));
    /// *lock.write_arc_async().await += 1;
    /// assert_eq!(*lock.read(), 2);
    /// # });
    /// ```
    #[track_caller]
    pub fn write_arc_async(self: &Arc<Self>) -> WriteArcFuture<T> {
        WriteArcFuture(self.wait_arc(Request::Write))
    }

    /// Locks a shared lock for [reading with a view to writing](Self::upgradable_read); the
    /// guard keeps it alive and borrows nothing.
    #[track_caller]
    pub fn upgradable_read_arc(self: &Arc<Self>) -> ArcRwLockUpgradableReadGuard<T> {
        self.inner_arc().upgradable_read_arc()
    }

    /// As [`upgradable_read_arc`](Self::upgradable_read_arc), if that needs no waiting.
    #[track_caller]
    pub fn try_upgradable_read_arc(self: &Arc<Self>) -> Option<ArcRwLockUpgradableReadGuard<T>> {
        self.inner_arc().try_upgradable_read_arc()
    }

    /// Awaits what [`upgradable_read_arc`](Self::upgradable_read_arc) waits for.
    ///
    /// # Cancel safety
    ///
    /// As [`Mutex::lock_arc_async`](crate::Mutex::lock_arc_async).
    #[track_caller]
    pub fn upgradable_read_arc_async(self: &Arc<Self>) -> UpgradableReadArcFuture<T> {
        UpgradableReadArcFuture(self.wait_arc(Request::Upgradable))
    }

    /// The value, without locking: nobody else can have it.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }

    /// Whether anybody has it locked at this instant.
    pub fn is_locked(&self) -> bool {
        self.raw().is_locked()
    }

    #[track_caller]
    fn wait_arc(self: &Arc<Self>, request: Request) -> EnterArc<T> {
        let location = Location::caller();
        let lock = Arc::clone(self);
        EnterArc {
            enter: CaseFuture::new(Kept(ArcRequest { lock, request }), location),
            asked: Asked::new(location),
        }
    }

    fn raw(&self) -> &RawRwLock {
        // SAFETY: it is not unlocked through this reference.
        unsafe { self.0.raw() }
    }

    fn inner_arc(self: &Arc<Self>) -> ManuallyDrop<Arc<lock_api::RwLock<RawRwLock, T>>> {
        let inner = Arc::as_ptr(self) as *const lock_api::RwLock<RawRwLock, T>;
        // SAFETY: the newtype is transparent, so the pointer is as good as one from an
        // `Arc` of the inner type, and the count it does not own is not given back.
        ManuallyDrop::new(unsafe { Arc::from_raw(inner) })
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

macro_rules! enter_future {
    ($(#[$meta:meta])* $name:ident -> $guard:ident by $make:ident) => {
        $(#[$meta])*
        #[must_use = "futures do nothing unless polled"]
        pub struct $name<'a, T: ?Sized> {
            enter: CaseFuture<Enter<'a>>,
            lock: &'a RwLock<T>,
            asked: Asked,
        }

        impl<'a, T: ?Sized> Future for $name<'a, T> {
            type Output = $guard<'a, T>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                // SAFETY: nothing is moved out; the wait stays where it is pinned.
                let Self { enter, lock, asked } = unsafe { self.get_unchecked_mut() };
                let mode = enter.case().mode();
                // SAFETY: as above.
                let enter = unsafe { Pin::new_unchecked(enter) };
                let watch = lock.raw().watch();
                ready!(asked.poll(watch, mode, cx, |cx| attempt::poll(enter, cx)));
                // SAFETY: the case has entered the lock so, and its guard is made once.
                Poll::Ready(unsafe { lock.0.$make() })
            }
        }

        impl<T: ?Sized> fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

enter_future! {
    /// What [`RwLock::read_async`] gives.
    ReadFuture -> RwLockReadGuard by make_read_guard_unchecked
}
enter_future! {
    /// What [`RwLock::write_async`] gives.
    WriteFuture -> RwLockWriteGuard by make_write_guard_unchecked
}
enter_future! {
    /// What [`RwLock::upgradable_read_async`] gives.
    UpgradableReadFuture -> RwLockUpgradableReadGuard by make_upgradable_guard_unchecked
}

/// What [`RwLock::upgrade_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct UpgradeFuture<'a, T: ?Sized> {
    // Leaves the queue before the guard goes.
    enter: CaseFuture<Enter<'a>>,
    lock: &'a RwLock<T>,
    asked: Asked,
    // Until it has turned into the writer's.
    guard: Option<RwLockUpgradableReadGuard<'a, T>>,
}

impl<'a, T: ?Sized> Future for UpgradeFuture<'a, T> {
    type Output = RwLockWriteGuard<'a, T>;

    /// # Panics
    ///
    /// If polled after it had completed.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out; the wait stays where it is pinned.
        let this = unsafe { self.get_unchecked_mut() };
        assert!(this.guard.is_some(), "polled after it had completed");
        let mode = this.enter.case().mode();
        // SAFETY: as above.
        let enter = unsafe { Pin::new_unchecked(&mut this.enter) };
        let watch = this.lock.raw().watch();
        ready!(
            this.asked
                .poll(watch, mode, cx, |cx| attempt::poll(enter, cx))
        );
        std::mem::forget(this.guard.take());
        // SAFETY: the case has turned the upgradable hold, whose guard is gone, into the
        // writer's, and its guard is made once.
        Poll::Ready(unsafe { this.lock.0.make_write_guard_unchecked() })
    }
}

impl<T: ?Sized> fmt::Debug for UpgradeFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradeFuture").finish_non_exhaustive()
    }
}

/// A lock, and what is asked of it.
struct ArcRequest<T: ?Sized> {
    lock: Arc<RwLock<T>>,
    request: Request,
}

impl<T: ?Sized> Keep for ArcRequest<T> {
    type Case<'a>
        = Enter<'a>
    where
        T: 'a;

    #[inline]
    fn case(&self) -> Enter<'_> {
        self.lock.raw().case(self.request)
    }
}

/// A wait for a lock that is kept alive.
struct EnterArc<T: ?Sized> {
    enter: CaseFuture<Kept<ArcRequest<T>>>,
    asked: Asked,
}

impl<T: ?Sized> EnterArc<T> {
    /// Polls it; the lock, once it is entered.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<&Arc<RwLock<T>>> {
        // SAFETY: nothing is moved out; the wait stays where it is pinned.
        let Self { enter, asked } = unsafe { self.get_unchecked_mut() };
        // SAFETY: the wait keeps the lock, where it is.
        let lock = unsafe { &*Arc::as_ptr(&enter.case().0.lock) };
        let mode = enter.case().0.request.mode();
        // SAFETY: as above.
        let mut wait = unsafe { Pin::new_unchecked(&mut *enter) };
        ready!(asked.poll(lock.raw().watch(), mode, cx, |cx| {
            attempt::poll(wait.as_mut(), cx)
        }));
        Poll::Ready(&enter.case().0.lock)
    }
}

macro_rules! enter_arc_future {
    ($(#[$meta:meta])* $name:ident -> $guard:ident by $make:ident) => {
        $(#[$meta])*
        #[must_use = "futures do nothing unless polled"]
        pub struct $name<T: ?Sized>(EnterArc<T>);

        impl<T: ?Sized> Future for $name<T> {
            type Output = $guard<T>;

            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                // SAFETY: the field is pinned with the whole and never moved out.
                let wait = unsafe { self.map_unchecked_mut(|this| &mut this.0) };
                let lock = ready!(wait.poll(cx)).inner_arc();
                // SAFETY: the case has entered the lock so, and its guard is made once.
                Poll::Ready(unsafe { lock.$make() })
            }
        }

        impl<T: ?Sized> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

enter_arc_future! {
    /// What [`RwLock::read_arc_async`] gives.
    ReadArcFuture -> ArcRwLockReadGuard by make_arc_read_guard_unchecked
}
enter_arc_future! {
    /// What [`RwLock::write_arc_async`] gives.
    WriteArcFuture -> ArcRwLockWriteGuard by make_arc_write_guard_unchecked
}
enter_arc_future! {
    /// What [`RwLock::upgradable_read_arc_async`] gives.
    UpgradableReadArcFuture -> ArcRwLockUpgradableReadGuard by make_upgradable_arc_guard_unchecked
}
