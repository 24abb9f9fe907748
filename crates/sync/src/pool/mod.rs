//! Objects to be used again.
//!
//! An object is in one place at a time: with its holder, in the slot of one thread
//! ([`slots`]), or on the shared list. The list is bounded, and what has lain there unused
//! for a whole [`PERIOD`] is dropped when the next object comes back: `low` is the shortest
//! the list has been since the period began, so that many were not needed in it.

mod slots;

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use rendez_core::shim::Mutex;

use self::slots::Slots;

/// How long objects that nobody needed are kept, while the pool is in use.
const PERIOD: Duration = Duration::from_secs(1);

/// The most that lie on the shared list, unless set otherwise.
const CAPACITY: usize = 64;

/// Keeps objects that cost much to make, for the next who needs one.
///
/// As Go's `sync.Pool`: an object comes back when its [`Pooled`] is dropped, one from the
/// caller's own thread is preferred, and nobody may rely on getting a certain one. Where
/// Go's is emptied by the garbage collector, this one is bounded and lets go of what was
/// not needed for about a second.
///
/// # Examples
///
/// ```
/// use rendez_sync::Pool;
///
/// let buffers = Pool::new(|| Vec::with_capacity(4096));
/// let mut buffer = buffers.get();
/// buffer.extend_from_slice(b"hello");
/// buffer.clear(); // comes back as it is left
/// drop(buffer);
/// assert!(buffers.get().capacity() >= 4096);
/// ```
pub struct Pool<T> {
    make: Box<dyn Fn() -> T + Send + Sync>,
    slots: Slots<T>,
    capacity: usize,
    shared: Mutex<Shared<T>>,
}

struct Shared<T> {
    list: Vec<T>,
    low: usize,
    since: Option<Instant>,
}

impl<T: Send> Pool<T> {
    /// A pool that makes objects with `make` when it has none.
    pub fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self::with_capacity(CAPACITY, make)
    }

    /// As [`new`](Self::new), with at most `capacity` idle objects besides the one that
    /// each thread may have at hand.
    pub fn with_capacity(capacity: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(make),
            slots: Slots::new(),
            capacity,
            shared: Mutex::new(Shared {
                list: Vec::new(),
                low: 0,
                since: None,
            }),
        }
    }

    /// Gives an object: one that came back, or else a new one. Never waits.
    ///
    /// # Panics
    ///
    /// If making one does.
    #[inline]
    pub fn get(&self) -> Pooled<'_, T> {
        let object = match self.slots.take() {
            Some(object) => object,
            None => self.get_slow(),
        };
        Pooled {
            pool: self,
            object: ManuallyDrop::new(object),
        }
    }

    #[cold]
    fn get_slow(&self) -> T {
        let mut shared = self.shared.lock();
        let object = shared.list.pop();
        shared.low = shared.low.min(shared.list.len());
        drop(shared);
        object.unwrap_or_else(|| (self.make)())
    }

    /// Takes an object that is not one of the pool's.
    pub fn put(&self, object: T) {
        if let Some(object) = self.slots.put(object) {
            self.put_slow(object);
        }
    }

    #[cold]
    fn put_slow(&self, object: T) {
        let now = Instant::now();
        let mut shared = self.shared.lock();
        let since = *shared.since.get_or_insert(now);
        // Dropped after the lock.
        let unneeded = if now.saturating_duration_since(since) < PERIOD {
            Vec::new()
        } else {
            let low = shared.low;
            let unneeded = shared.list.drain(..low).collect();
            shared.since = Some(now);
            shared.low = shared.list.len();
            unneeded
        };
        let over = if shared.list.len() < self.capacity {
            shared.list.push(object);
            None
        } else {
            Some(object)
        };
        drop(shared);
        drop((unneeded, over));
    }

    /// Drops the idle objects: those shared and the caller's own now, those at hand on
    /// other threads when these next use the pool.
    ///
    /// # Examples
    ///
    /// ```
    /// let pool = rendez_sync::Pool::new(|| 1);
    /// *pool.get() = 2;
    /// pool.clear();
    /// assert_eq!(*pool.get(), 1);
    /// ```
    pub fn clear(&self) {
        self.slots.clear();
        let mut shared = self.shared.lock();
        let list = std::mem::take(&mut shared.list);
        shared.low = 0;
        drop(shared);
        drop((list, self.slots.take()));
    }
}

impl<T: Send + Default + 'static> Default for Pool<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n_shared = self.shared.lock().list.len();
        f.debug_struct("Pool")
            .field("capacity", &self.capacity)
            .field("n_shared", &n_shared)
            .finish_non_exhaustive()
    }
}

/// An object of a [`Pool`], to which it goes back when this is dropped.
pub struct Pooled<'a, T: Send> {
    pool: &'a Pool<T>,
    object: ManuallyDrop<T>,
}

impl<T: Send> Pooled<'_, T> {
    /// Keeps the object from going back.
    #[allow(unsafe_code)]
    pub fn detach(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: taken once: `this` is not dropped and not used again.
        unsafe { ManuallyDrop::take(&mut this.object) }
    }
}

impl<T: Send> Drop for Pooled<'_, T> {
    #[inline]
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: taken once: `detach` does not drop.
        self.pool
            .put(unsafe { ManuallyDrop::take(&mut self.object) });
    }
}

impl<T: Send> Deref for Pooled<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.object
    }
}

impl<T: Send> DerefMut for Pooled<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.object
    }
}

impl<T: Send + fmt::Debug> fmt::Debug for Pooled<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
