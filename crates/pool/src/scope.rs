//! Goroutines that borrow: a scope that does not end before they have.
//!
//! Soundness. [`Task::new`](crate::task::Task) asks that what a goroutine borrows lives
//! until its ending is dropped. The ending of a goroutine in a scope counts the scope down;
//! the scope's function returns, or unwinds, only after the count is zero, and `'scope` is
//! no longer than that function's run. The count lives in an `Arc`, since the last
//! goroutine still touches it when the scope has been released. A goroutine that is refused,
//! cancelled or never woken again is dropped, body first, then its ending. Leaking a
//! handle leaks a result, and nothing waits for a handle. An executor that is not ours gets
//! no closer to the body than a [`Task`](crate::Task), which keeps these promises however it
//! is treated.
//!
//! Only a blocking scope can promise this: a future that borrows could be leaked.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};

use rendez_core::countdown::{Countdown, Zero};
use rendez_core::goroutine::WaitKind;
use rendez_core::shim::{Arc, Mutex};
use rendez_core::wait;

use crate::body::Goroutine;
use crate::error::Payload;
use crate::executor::On;
use crate::join::JoinHandle;
use crate::schedule::{Ending, spawned_at};

/// Starts goroutines that may borrow from outside it: see [`scope`].
pub struct Scope<'scope, 'env: 'scope> {
    executor: On<'scope>,
    running: Arc<Running>,
    // Invariant in both, as in std: neither may be made shorter or longer.
    _scope: PhantomData<&'scope mut &'scope ()>,
    _env: PhantomData<&'env mut &'env ()>,
}

/// What a scope and its goroutines share.
#[derive(Debug)]
pub struct Running {
    count: Countdown,
    // The first panic that no handle took, until the scope has ended.
    panic: Mutex<Panic>,
}

#[derive(Debug)]
enum Panic {
    None,
    First(Payload),
    Over,
}

impl Running {
    /// Keeps a panic for the end of the scope; gives it back if there is one already or the
    /// scope has ended.
    pub(crate) fn keep_panic(&self, payload: Payload) -> Option<Payload> {
        let mut panic = self.panic.lock();
        match *panic {
            Panic::None => {
                *panic = Panic::First(payload);
                None
            }
            Panic::First(_) | Panic::Over => Some(payload),
        }
    }
}

/// Counts the scope down when its goroutine has ended.
struct InScope(Arc<Running>);

impl<T> Ending<T> for InScope {
    fn unclaimed_panic(&self, payload: Payload) -> Option<Payload> {
        self.0.keep_panic(payload)
    }

    fn scope(&self) -> Option<Arc<Running>> {
        Some(Arc::clone(&self.0))
    }
}

impl Drop for InScope {
    fn drop(&mut self) {
        let _ = self.0.count.done();
    }
}

/// Runs `f`, which may start goroutines that borrow what lives outside it, and returns its
/// result when all of them have ended.
///
/// Followed: [`std::thread::scope`], and the structured form of Go's wait group. The
/// goroutines run on the caller's pool, the global one outside of any. Blocks the calling
/// thread; as everywhere, a pool's worker hands its queue on meanwhile.
///
/// # Panics
///
/// If `f` panics, with its payload; otherwise if a goroutine panicked whose handle was
/// dropped, with the payload of the first. In both cases after all have ended.
///
/// # Examples
///
/// ```
/// let mut squares = [1, 2, 3];
/// rendez_pool::scope(|s| {
///     for n in &mut squares {
///         s.go(move || *n *= *n);
///     }
/// });
/// assert_eq!(squares, [1, 4, 9]);
/// ```
#[track_caller]
pub fn scope<'env, F, R>(f: F) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    on(On::current(), f, Location::caller())
}

/// A scope on `executor`.
pub(crate) fn on<'env, F, R>(executor: On<'_>, f: F, location: &'static Location<'static>) -> R
where
    F: for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
{
    let running = Arc::new(Running {
        count: Countdown::new(0, WaitKind::Join),
        panic: Mutex::new(Panic::None),
    });
    let scope = Scope {
        executor,
        running: Arc::clone(&running),
        _scope: PhantomData,
        _env: PhantomData,
    };
    let result = catch_unwind(AssertUnwindSafe(|| f(&scope)));
    let wait = || wait::block_on_case(&Zero(&running.count), None, location);
    // A hook may panic; the goroutines must have ended all the same.
    let mut interrupted = None;
    while running.count.count() > 0 {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(wait)) {
            interrupted.get_or_insert(payload);
        }
    }
    let unheard = std::mem::replace(&mut *running.panic.lock(), Panic::Over);
    match (result, interrupted, unheard) {
        (Err(payload), ..) | (_, Some(payload), _) | (_, _, Panic::First(payload)) => {
            resume_unwind(payload)
        }
        (Ok(result), None, _) => result,
    }
}

impl<'scope> Scope<'scope, '_> {
    /// Starts a goroutine, a closure or a future, that may borrow what outlives the scope.
    ///
    /// If its handle is dropped, a panic of it becomes the scope's.
    #[track_caller]
    pub fn go<M, G>(&'scope self, goroutine: G) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'scope,
        G::Output: 'scope,
    {
        self.go_from(Location::caller(), goroutine)
    }

    /// As [`go`](Self::go), for a caller at `location`.
    pub(crate) fn go_from<M, G>(
        &'scope self,
        location: &'static Location<'static>,
        goroutine: G,
    ) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'scope,
        G::Output: 'scope,
    {
        self.running
            .count
            .add(1)
            .expect("a scope has fewer than 2^32 goroutines");
        let ending = InScope(Arc::clone(&self.running));
        let identity = spawned_at(location);
        // SAFETY: the ending counts the scope down, which does not end before: see the
        // head of this file.
        unsafe { (self.executor).start_borrowing(goroutine, ending, identity) }
    }

    /// How many of its goroutines have not ended.
    pub fn num_goroutines(&self) -> usize {
        self.running.count.count()
    }
}

impl fmt::Debug for Scope<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("goroutines", &self.num_goroutines())
            .finish()
    }
}

/// What does not compile: a goroutine that borrows what its scope does not outlive, a scope
/// that escapes, and a borrow without a scope.
///
/// ```compile_fail,E0597
/// rendez_pool::scope(|s| {
///     let inner = vec![1];
///     s.go(|| inner.len());
/// });
/// ```
///
/// ```compile_fail,E0521
/// let mut escaped = None;
/// rendez_pool::scope(|s| escaped = Some(s));
/// ```
///
/// ```compile_fail,E0505
/// let v = vec![1];
/// rendez_pool::scope(|s| {
///     s.go(|| v.len());
///     drop(v);
/// });
/// ```
///
/// ```compile_fail,E0597
/// let v = vec![1];
/// let handle = rendez_pool::go({
///     let v = &v;
///     move || v.len()
/// });
/// handle.join().unwrap();
/// ```
#[cfg(doctest)]
pub struct Escapes;
