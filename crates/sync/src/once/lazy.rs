//! A value made on first use.

use std::fmt;
use std::ops::Deref;

use rendez_core::shim::Mutex;

use super::cell::OnceCell;
use crate::late::const_new;

/// A value that is made by its function when it is first used.
///
/// As std's `LazyLock`. Threads that come while it is made wait for it, and a pool's
/// worker that does so lets others run. If the function panics, every use does, in the same words.
///
/// # Examples
///
/// ```
/// use rendez_sync::Lazy;
///
/// static WORDS: Lazy<Vec<&str>> = Lazy::new(|| "to be or not".split(' ').collect());
///
/// assert_eq!(WORDS.len(), 4);
/// ```
pub struct Lazy<T, F = fn() -> T> {
    cell: OnceCell<T>,
    // Taken by the one that runs it.
    f: Mutex<Option<F>>,
}

impl<T, F> Lazy<T, F> {
    const_new! {
        /// A value that `f` will make.
        pub fn new(f: F) -> Self {
            Self {
                cell: OnceCell::new(),
                f: Mutex::new(Some(f)),
            }
        }
    }

    /// The value, if it has been made. Never waits.
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        this.cell.get()
    }
}

impl<T, F: FnOnce() -> T> Lazy<T, F> {
    /// The value, made now if it has not been; blocks while another makes it.
    ///
    /// # Panics
    ///
    /// If the function panics or has panicked, in the same words; or if it uses this value.
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        this.cell.get_or_init(|| {
            let f = this.f.lock().take().expect("run once");
            f()
        })
    }
}

impl<T, F: FnOnce() -> T> Deref for Lazy<T, F> {
    type Target = T;

    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T: fmt::Debug, F> fmt::Debug for Lazy<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lazy").field(&self.cell.get()).finish()
    }
}
