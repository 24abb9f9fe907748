//! Go's `sync` and `x/sync` for threads and tasks: locks, semaphores, once, conditions.

mod atomic;
mod attempt;
mod barrier;
mod cond;
#[cfg(feature = "deadlock-detect")]
pub mod deadlock;
#[cfg(not(feature = "deadlock-detect"))]
mod deadlock;
mod error;
mod late;
mod map;
mod mutex;
mod once;
mod panicked;
mod patience;
mod pool;
mod raw_mutex;
mod raw_rwlock;
mod rwlock;
mod semaphore;
mod single_flight;
mod work;

pub use crate::atomic::Atomic;
pub use crate::barrier::{Barrier, BarrierFuture, BarrierWaitResult};
pub use crate::cond::{Cond, CondFuture};
pub use crate::error::AcquireError;
pub use crate::map::Map;
pub use crate::mutex::{
    ArcMutexGuard, LockArcFuture, LockFuture, MappedMutexGuard, Mutex, MutexGuard,
};
pub use crate::once::{
    CallOnceFuture, GetOrInitFuture, GetOrTryInitFuture, Lazy, Once, OnceCell, once_func,
    once_value,
};
pub use crate::pool::{Pool, Pooled};
pub use crate::raw_mutex::RawMutex;
pub use crate::raw_rwlock::RawRwLock;
pub use crate::rwlock::{
    ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard, MappedRwLockReadGuard,
    MappedRwLockWriteGuard, ReadArcFuture, ReadFuture, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard, UpgradableReadArcFuture, UpgradableReadFuture,
    UpgradeFuture, WriteArcFuture, WriteFuture,
};
pub use crate::semaphore::{
    AcquireFuture, AcquireOwnedFuture, OwnedPermit, OwnedPermitCase, Permit, PermitCase, Semaphore,
};
pub use crate::single_flight::{RunFuture, Shared, SingleFlight};
pub use crate::work::{ByClosure, ByFuture, Work};
