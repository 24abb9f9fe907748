//! Go's concurrency, whole, in Rust: goroutines, channels and select, wait groups, locks,
//! timers, contexts and error groups, for threads and tasks alike.
//!
//! Each part is a crate of its own, re-exported here as a module; [`prelude`] has the names
//! that most programs use.
//!
//! ```
//! use rendez::prelude::*;
//!
//! let (tx, rx) = bounded(2);
//! let producer = go(move || (1..=3).try_for_each(|i| tx.send(i)));
//! assert_eq!(rx.iter().sum::<i32>(), 6); // ends when the sender is gone
//! producer.join().unwrap().unwrap();
//! ```

pub use rendez_context as context;
pub use rendez_errgroup as errgroup;
pub use rendez_pool as pool;
pub use rendez_select as select;
pub use rendez_sync as sync;
pub use rendez_time as time;
pub use rendez_waitgroup as waitgroup;

/// The names that most programs use.
pub mod prelude {
    pub use rendez_context::{Cancel, Context};
    pub use rendez_errgroup::Group;
    pub use rendez_pool::{JoinHandle, WaitGroupExt, go, scope};
    pub use rendez_select::{
        Receiver, Sender, after, bounded, never, oneshot, select, select_async, select_biased,
        tick, unbounded,
    };
    pub use rendez_sync::{Cond, Map, Mutex, Once, RwLock, Semaphore, SingleFlight};
    pub use rendez_time::{Ticker, Timer};
    pub use rendez_waitgroup::WaitGroup;
}

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
