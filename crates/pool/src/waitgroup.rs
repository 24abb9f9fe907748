//! Goroutines counted by a wait group: Go 1.25's `WaitGroup.Go`.

use std::panic::Location;

use rendez_waitgroup::{Guard, WaitGroup};

use crate::body::Goroutine;
use crate::error::Payload;
use crate::join::JoinHandle;
use crate::pool;
use crate::schedule::{Ending, spawned_at};

/// Starts goroutines that a [`WaitGroup`] counts.
pub trait WaitGroupExt {
    /// Starts a goroutine, a closure or a future, and counts it until it has ended.
    ///
    /// A panic is reported first (see [`Builder::on_panic`](crate::Builder::on_panic)), then
    /// counted down; so the wait that it releases comes after the report.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_pool::WaitGroupExt;
    /// use rendez_waitgroup::WaitGroup;
    ///
    /// let wg = WaitGroup::new();
    /// for i in 0..3 {
    ///     wg.go(move || assert!(i < 3));
    /// }
    /// wg.wait();
    /// ```
    fn go<M, G>(&self, goroutine: G)
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static;
}

impl WaitGroupExt for WaitGroup {
    #[track_caller]
    fn go<M, G>(&self, goroutine: G)
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static,
    {
        let identity = spawned_at(Location::caller());
        let ending = Counted(self.guard());
        drop(JoinHandle::start(
            &pool::current(),
            goroutine,
            ending,
            identity,
        ));
    }
}

/// Counts the group down when its goroutine has ended.
struct Counted(#[expect(dead_code, reason = "held for its drop")] Guard);

impl<T> Ending<T> for Counted {
    fn unclaimed_panic(&self, payload: Payload) -> Option<Payload> {
        Some(payload)
    }
}
