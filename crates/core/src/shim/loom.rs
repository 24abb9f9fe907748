//! The shim's face under loom: the same names over loom's checked types.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

pub use ::std::sync::{Arc, OnceLock, Weak};
pub use loom::thread_local;

/// Atomic types and fences.
pub mod atomic {
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

/// Threads, and how one of them sleeps. Loom has no time: `park_timeout` only parks,
/// so a model ends a wait with another thread instead of a deadline.
///
/// Parking is ours, on loom's lock and condition: loom's own `unpark` also wakes a thread
/// that is blocked on something else, a lock for one, which then fails.
pub mod thread {
    use super::Arc;
    use loom::sync::{Condvar, Mutex};

    pub use loom::thread::{AccessError, Builder, JoinHandle, LocalKey, spawn, yield_now};
    pub use std::thread::{available_parallelism, panicking};

    #[derive(Debug)]
    struct Token {
        full: Mutex<bool>,
        given: Condvar,
    }

    loom::thread_local! {
        static TOKEN: Arc<Token> = Arc::new(Token {
            full: Mutex::new(false),
            given: Condvar::new(),
        });
    }

    /// A handle of a thread.
    #[derive(Clone, Debug)]
    pub struct Thread(Arc<Token>);

    /// The calling thread.
    pub fn current() -> Thread {
        TOKEN.with(|token| Thread(Arc::clone(token)))
    }

    impl Thread {
        /// Gives the thread its token.
        pub fn unpark(&self) {
            *self.0.full.lock().unwrap_or_else(|e| e.into_inner()) = true;
            self.0.given.notify_one();
        }
    }

    /// Sleeps until the calling thread's token is given, and takes it.
    pub fn park() {
        let Thread(token) = current();
        let mut full = token.full.lock().unwrap_or_else(|e| e.into_inner());
        while !*full {
            full = token.given.wait(full).unwrap_or_else(|e| e.into_inner());
        }
        *full = false;
    }

    /// Parks; the time does not pass.
    pub fn park_timeout(_: std::time::Duration) {
        park();
    }

    /// Lets the others run; the time does not pass.
    pub fn sleep(_: std::time::Duration) {
        yield_now();
    }
}

/// A static that is made when it is first used, in each iteration anew.
#[doc(hidden)]
#[macro_export]
macro_rules! __global {
    (static $name:ident: $type:ty = $init:expr;) => {
        $crate::shim::lazy_static! {
            static ref $name: $type = $init;
        }
    };
}
pub use crate::__global as global;
#[doc(hidden)]
pub use loom::lazy_static;

/// Lets another thread run, as a spinning thread must under loom.
pub fn spin_loop() {
    loom::thread::yield_now();
}

/// No: a model explores the parking path.
pub fn multicore() -> bool {
    false
}

/// A lock with parking_lot's face.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

/// What [`Mutex::lock`] gives.
pub type MutexGuard<'a, T> = loom::sync::MutexGuard<'a, T>;

impl<T> Mutex<T> {
    /// Wraps `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Locks. A poisoned lock is as good as any: no invariant is broken under one.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The value, given up.
    pub fn into_inner(self) -> T {
        self.0.into_inner().unwrap_or_else(|e| e.into_inner())
    }
}

/// A cell whose accesses loom checks.
#[derive(Debug)]
pub struct UnsafeCell<T>(loom::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// Wraps `value`.
    pub fn new(value: T) -> Self {
        Self(loom::cell::UnsafeCell::new(value))
    }

    /// Gives a pointer for reading; loom checks that nobody writes meanwhile.
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        self.0.with(f)
    }

    /// Gives a pointer for writing; loom checks that nobody else uses the cell meanwhile.
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        self.0.with_mut(f)
    }

    /// The value, given up.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// Explores every interleaving of `f`, then prints how many there were.
pub fn model(name: &str, f: impl Fn() + Send + Sync + 'static) {
    use std::sync::atomic::{AtomicU64, Ordering};
    let runs = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&runs);
    loom::model(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        f();
    });
    eprintln!(
        "loom model {name}: {} iterations",
        runs.load(Ordering::Relaxed)
    );
}
