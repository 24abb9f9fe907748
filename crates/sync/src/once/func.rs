//! Functions that run once.

use std::panic::Location;

use rendez_core::shim::{Arc, Mutex};

use super::cell::OnceCell;

/// Makes of `f` a function that runs it once, however often it is called.
///
/// As Go's `sync.OnceFunc`: callers that come while it runs wait for it; if it panics,
/// every call panics, the first with the payload itself, the others with the same text;
/// and what `f` had captured is dropped after the run. A dump shows those who wait where the
/// function was made.
///
/// # Panics
///
/// The function does if `f` did, or if `f` calls it.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
///
/// static RUNS: AtomicUsize = AtomicUsize::new(0);
///
/// let start = rendez_sync::once_func(|| {
///     RUNS.fetch_add(1, Ordering::Relaxed);
/// });
/// start();
/// start();
/// assert_eq!(RUNS.load(Ordering::Relaxed), 1);
/// ```
#[track_caller]
pub fn once_func(f: impl FnOnce() + Send) -> impl Fn() + Send + Sync {
    let once = RunOnce::new(f, Location::caller());
    move || *once.call()
}

/// Makes of `f` a function that runs it once and gives its value at every call.
///
/// As Go's `sync.OnceValue`, panics included; see [`once_func`]. The value is shared: an
/// `Arc` stands in for the reference into itself that a closure cannot give.
///
/// # Panics
///
/// The function does if `f` did, or if `f` calls it.
///
/// # Examples
///
/// ```
/// let answer = rendez_sync::once_value(|| 6 * 7);
/// assert_eq!((*answer(), *answer()), (42, 42));
/// ```
#[track_caller]
pub fn once_value<T, F>(f: F) -> impl Fn() -> Arc<T> + Send + Sync
where
    T: Send + Sync,
    F: FnOnce() -> T + Send,
{
    let once = RunOnce::new(|| Arc::new(f()), Location::caller());
    move || once.call().clone()
}

struct RunOnce<T, F> {
    result: OnceCell<T>,
    // Taken by the one that runs it.
    f: Mutex<Option<F>>,
    // Where it was made: a closure does not know its callers.
    location: &'static Location<'static>,
}

impl<T, F: FnOnce() -> T> RunOnce<T, F> {
    fn new(f: F, location: &'static Location<'static>) -> Self {
        Self {
            result: OnceCell::new(),
            f: Mutex::new(Some(f)),
            location,
        }
    }

    fn call(&self) -> &T {
        self.result.get_or_init_at(self.location, || {
            let f = self.f.lock().take().expect("run once");
            f()
        })
    }
}
