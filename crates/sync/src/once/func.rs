//! Functions that run once.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use rendez_core::shim::{Arc, Mutex};

use super::cell::OnceCell;
use crate::panicked::Panicked;

/// Makes of `f` a function that runs it once, however often it is called.
///
/// As Go's `sync.OnceFunc`: callers that come while it runs wait for it; if it panics,
/// every call panics, the first with the payload itself, the others with the same text;
/// and what `f` had captured is dropped after the run.
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
pub fn once_func(f: impl FnOnce() + Send) -> impl Fn() + Send + Sync {
    let once = RunOnce::new(f);
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
pub fn once_value<T, F>(f: F) -> impl Fn() -> Arc<T> + Send + Sync
where
    T: Send + Sync,
    F: FnOnce() -> T + Send,
{
    let once = RunOnce::new(|| Arc::new(f()));
    move || once.call().clone()
}

struct RunOnce<T, F> {
    result: OnceCell<Result<T, Panicked>>,
    // Taken by the one that runs it.
    f: Mutex<Option<F>>,
}

impl<T, F: FnOnce() -> T> RunOnce<T, F> {
    fn new(f: F) -> Self {
        Self {
            result: OnceCell::new(),
            f: Mutex::new(Some(f)),
        }
    }

    #[track_caller]
    fn call(&self) -> &T {
        let mut own = None;
        let result = self.result.get_or_init(|| {
            let f = self.f.lock().take().expect("run once");
            catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
                let panicked = Panicked::new(&*payload);
                own = Some(payload);
                panicked
            })
        });
        match (result, own) {
            (Ok(value), _) => value,
            (Err(_), Some(payload)) => resume_unwind(payload),
            (Err(panicked), None) => panicked.resume(),
        }
    }
}
