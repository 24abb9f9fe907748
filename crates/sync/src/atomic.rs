//! A shared value that is replaced as a whole.

use std::fmt;

use arc_swap::ArcSwap;
use rendez_core::shim::Arc;

/// A value that goroutines load and replace as a whole, without waiting for each other.
///
/// Go's `atomic.Value` and `atomic.Pointer`: what is loaded is never torn and stays valid
/// however often it is replaced meanwhile. A load sees all that was done before the store
/// it reads from.
///
/// # Examples
///
/// ```
/// use rendez_sync::Atomic;
///
/// let config = Atomic::new("v1");
/// let before = config.load();
/// config.store("v2");
/// assert_eq!((*before, *config.load()), ("v1", "v2"));
/// ```
pub struct Atomic<T>(ArcSwap<T>);

impl<T> Atomic<T> {
    /// Holds `value`. What is in an `Arc` already becomes one by `Atomic::from`.
    pub fn new(value: T) -> Self {
        Self::from(Arc::new(value))
    }

    /// The present value.
    #[inline]
    pub fn load(&self) -> Arc<T> {
        self.0.load_full()
    }

    /// Runs `f` with the present value: cheaper than [`load`](Self::load), whose `Arc`
    /// counts.
    ///
    /// # Examples
    ///
    /// ```
    /// let limit = rendez_sync::Atomic::new(4);
    /// assert!(limit.with(|limit| *limit > 3));
    /// ```
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.0.load())
    }

    /// Replaces the value by another, which may be in an `Arc` already.
    pub fn store(&self, value: impl Into<Arc<T>>) {
        self.0.store(value.into());
    }

    /// Replaces the value and gives the one before.
    pub fn swap(&self, value: impl Into<Arc<T>>) -> Arc<T> {
        self.0.swap(value.into())
    }

    /// Replaces the value if it still is `old`, the very one that was loaded, as Go's
    /// `Pointer.CompareAndSwap`. Returns whether it did.
    ///
    /// # Examples
    ///
    /// ```
    /// let count = rendez_sync::Atomic::new(1);
    /// let old = count.load();
    /// assert!(count.compare_and_swap(&old, *old + 1));
    /// assert!(!count.compare_and_swap(&old, *old + 1), "it is another by now");
    /// assert_eq!(*count.load(), 2);
    /// ```
    pub fn compare_and_swap(&self, old: &Arc<T>, new: impl Into<Arc<T>>) -> bool {
        let before = self.0.compare_and_swap(old, new.into());
        Arc::ptr_eq(&before, old)
    }

    /// Gives the value up.
    pub fn into_inner(self) -> Arc<T> {
        self.0.into_inner()
    }
}

impl<T> From<Arc<T>> for Atomic<T> {
    fn from(value: Arc<T>) -> Self {
        Self(ArcSwap::new(value))
    }
}

impl<T: Default> Default for Atomic<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Atomic").field(&self.0.load()).finish()
    }
}
