//! One function over many items, so many at a time, results in order.
//!
//! The items are split among goroutines by a counter: whoever comes for the next index takes
//! that item. No user code runs under a lock: the items are drawn from their iterator
//! before, and an item's lock is held only to take it.

use std::panic::Location;

use rendez_core::shim::Mutex;
use rendez_core::shim::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::executor::On;
use crate::join::JoinHandle;
use crate::scope;

/// Applies `f` to every item, to at most `limit` at the same time, and returns the results in
/// the order of the items.
///
/// The goroutines run on the caller's pool, and may borrow; the caller blocks until all have
/// ended. The items are all drawn first. A `limit` of zero counts as one, and more
/// than there are items as their number.
///
/// # Panics
///
/// If `f` does, with its payload, once what runs has ended; no further item is begun.
///
/// # Examples
///
/// ```
/// let words = ["go", "select", "defer"];
/// let lengths = rendez_pool::par_map(&words, 2, |word| word.len());
/// assert_eq!(lengths, [2, 6, 5]);
/// ```
#[track_caller]
pub fn par_map<I, U, F>(items: I, limit: usize, f: F) -> Vec<U>
where
    I: IntoIterator,
    I::Item: Send,
    U: Send,
    F: Fn(I::Item) -> U + Sync,
{
    let never = || false;
    let mapped = map(items, limit, &never, |item| Ok::<_, Never>(f(item)));
    match mapped {
        Ok(Some(results)) => results,
        Ok(None) => unreachable!("nothing stops it early but a panic, which is passed on"),
        Err(never) => match never {},
    }
}

/// As [`par_map`], with an `f` that can fail: then no further item is begun, and the error
/// is returned when those that were have ended.
///
/// # Errors
///
/// The first in time.
///
/// # Panics
///
/// As [`par_map`].
///
/// # Examples
///
/// ```
/// use rendez_pool::try_par_map;
///
/// let numbers = try_par_map(["1", "2"], 2, |text| text.parse::<u8>());
/// assert_eq!(numbers.unwrap(), [1, 2]);
/// let error = try_par_map(["1", "two"], 2, |text| text.parse::<u8>());
/// assert!(error.is_err());
/// ```
#[track_caller]
pub fn try_par_map<I, U, E, F>(items: I, limit: usize, f: F) -> Result<Vec<U>, E>
where
    I: IntoIterator,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Result<U, E> + Sync,
{
    let never = || false;
    map(items, limit, &never, f).map(|results| results.expect("nothing stops it early"))
}

enum Never {}

/// What both do. Begins no further item once `stop` says so, and gives `None` then unless
/// all had been begun.
#[doc(hidden)]
#[track_caller]
pub fn map<I, U, E, F>(
    items: I,
    limit: usize,
    stop: &(impl Fn() -> bool + Sync),
    f: F,
) -> Result<Option<Vec<U>>, E>
where
    I: IntoIterator,
    I::Item: Send,
    U: Send,
    E: Send,
    F: Fn(I::Item) -> Result<U, E> + Sync,
{
    let items: Vec<_> = items
        .into_iter()
        .map(|item| Mutex::new(Some(item)))
        .collect();
    let next = AtomicUsize::new(0);
    let stopped = AtomicBool::new(false);
    let error = Mutex::new(None);
    let work = || {
        let mut results = Vec::new();
        // If `f` panics, the others stop too.
        let unwinding = StopOnDrop(&stopped);
        while !stopped.load(Ordering::Relaxed) {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { break };
            if stop() {
                stopped.store(true, Ordering::Relaxed);
                break;
            }
            let item = item.lock().take().expect("an index is drawn once");
            match f(item) {
                Ok(result) => results.push((i, result)),
                Err(e) => {
                    stopped.store(true, Ordering::Relaxed);
                    let mut error = error.lock();
                    if error.is_none() {
                        *error = Some(e);
                    } else {
                        drop(error);
                        drop(e);
                    }
                    break;
                }
            }
        }
        std::mem::forget(unwinding);
        results
    };
    let n = limit.max(1).min(items.len());
    // Their place and that of the wait for them are the caller's.
    let at = Location::caller();
    let results: Vec<Vec<(usize, U)>> = scope::on(
        On::current(),
        |s| {
            let handles: Vec<_> = (0..n).map(|_| s.go_from(at, work)).collect();
            let join = |handle: JoinHandle<_>| handle.join_from(at).unwrap_or_else(|e| e.resume());
            handles.into_iter().map(join).collect()
        },
        at,
    );
    if let Some(error) = error.into_inner() {
        return Err(error);
    }
    let mut ordered: Vec<_> = (0..items.len()).map(|_| None).collect();
    for (i, result) in results.into_iter().flatten() {
        ordered[i] = Some(result);
    }
    Ok(ordered.into_iter().collect())
}

struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
