//! The shim's face outside loom: std's atomics and threads, parking_lot's locks.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

pub use ::std::sync::{Arc, OnceLock, Weak};
pub use parking_lot::{Condvar, Mutex, MutexGuard};

/// Atomic types and fences.
pub mod atomic {
    pub use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
}

/// Threads, and how one of them sleeps.
pub mod thread {
    pub use std::thread::{
        AccessError, Builder, JoinHandle, LocalKey, Thread, ThreadId, available_parallelism,
        current, panicking, park, park_timeout, sleep, spawn, yield_now,
    };
}

/// Per-thread statics.
pub use std::thread_local;

/// A static that is made when it is first used.
#[doc(hidden)]
#[macro_export]
macro_rules! __global {
    (static $name:ident: $type:ty = $init:expr;) => {
        #[allow(clippy::disallowed_types)]
        static $name: ::std::sync::LazyLock<$type> = ::std::sync::LazyLock::new(|| $init);
    };
}
pub use crate::__global as global;

/// Tells the processor that the caller spins.
#[inline]
pub fn spin_loop() {
    std::hint::spin_loop();
}

/// Whether two threads can run at the same instant here, so that spinning may pay.
pub fn multicore() -> bool {
    static CORES: OnceLock<bool> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().is_ok_and(|n| n.get() > 1))
}

/// A cell whose accesses loom can check. Outside loom it is std's.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

impl<T> UnsafeCell<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    /// Gives a pointer for reading; the caller upholds aliasing while it uses it.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Gives a pointer for writing; the caller upholds aliasing while it uses it.
    #[inline]
    pub fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }

    /// The value, given up.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

/// Runs `f` once. Under loom: explores every interleaving of it.
pub fn model(name: &str, f: impl Fn() + Send + Sync + 'static) {
    let _ = name;
    f();
}
