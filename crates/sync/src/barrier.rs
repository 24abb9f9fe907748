//! A number of goroutines that wait for one another.
#![allow(unsafe_code)]

use std::fmt;
use std::future::Future;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::pin::Pin;
use std::task::{Context, Poll};

use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::goroutine::WaitKind;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::Mutex;
use rendez_core::wait::{self, CaseFuture};
use rendez_core::wake::WakeList;

use crate::late::const_new;

const FOLLOWER: Outcome = Outcome(0);
const LEADER: Outcome = Outcome(1);

/// A point that goroutines pass only together.
///
/// As std's `Barrier`, for threads and tasks: of every `n` that come, the last lets all go
/// on and is told that it led. It can be used again and again.
///
/// # Examples
///
/// ```
/// let barrier = rendez_sync::Barrier::new(3);
/// let leaders: usize = std::thread::scope(|s| {
///     let all = [(); 3].map(|()| s.spawn(|| barrier.wait().is_leader()));
///     all.into_iter().map(|t| usize::from(t.join().unwrap())).sum()
/// });
/// assert_eq!(leaders, 1);
/// ```
pub struct Barrier {
    n: usize,
    // Those who have come; fewer than `n`.
    line: Mutex<Queue>,
}

impl Barrier {
    const_new! {
        /// A barrier for `n`; for zero as for one, nobody waits.
        pub fn new(n: usize) -> Self {
            Self { n, line: Mutex::new(Queue::new()) }
        }
    }

    /// Blocks until `n` have come, this call included.
    #[track_caller]
    pub fn wait(&self) -> BarrierWaitResult {
        wait::block_on_case(&Arrive(self), None, Location::caller())
            .expect("a wait without a deadline ends with a result")
    }

    /// Awaits until `n` have come, this call included; it comes with its first poll.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it completes, it has not come.
    #[track_caller]
    pub fn wait_async(&self) -> BarrierFuture<'_> {
        BarrierFuture(CaseFuture::new(Arrive(self), Location::caller()))
    }
}

impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("n", &self.n)
            .field("n_waiting", &self.line.lock().len())
            .finish()
    }
}

/// What [`Barrier::wait`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult(bool);

impl BarrierWaitResult {
    /// Whether this was the one, of each `n`, that came last.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.0
    }
}

struct Arrive<'a>(&'a Barrier);

impl Sealed for Arrive<'_> {}

// SAFETY: nodes enter and leave the one queue under its lock, and are claimed under it.
unsafe impl Case for Arrive<'_> {
    fn probe(&self) -> Probe {
        Probe {
            ready: self.0.n <= 1,
            epoch: 0,
        }
    }

    fn try_now(&self) -> Option<Outcome> {
        (self.0.n <= 1).then_some(LEADER)
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut wakes = WakeList::new();
        let mut line = self.0.line.lock();
        if line.len() + 1 < self.0.n {
            line.push(reg, std::ptr::null());
            return;
        }
        // Whoever gives up at this instant has come all the same.
        while let Some(follower) = line.claim() {
            follower.complete(FOLLOWER, &mut wakes);
        }
        if reg.claim_self().is_ok() {
            reg.complete_self(LEADER);
        }
    }

    fn dequeue(&self, node: &Node) {
        self.0.line.lock().remove(node);
    }

    fn abandon(&self, _: Outcome) {}

    fn kind(&self) -> WaitKind {
        WaitKind::Cond
    }
}

impl Arm for Arrive<'_> {
    type Output = BarrierWaitResult;
    fn finish(&self, outcome: Outcome) -> BarrierWaitResult {
        BarrierWaitResult(outcome == LEADER)
    }
}

/// What [`Barrier::wait_async`] gives.
#[must_use = "futures do nothing unless polled"]
pub struct BarrierFuture<'a>(CaseFuture<Arrive<'a>>);

impl Future for BarrierFuture<'_> {
    type Output = BarrierWaitResult;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<BarrierWaitResult> {
        // SAFETY: the field is pinned with the whole and never moved out.
        unsafe { self.map_unchecked_mut(|this| &mut this.0) }.poll(cx)
    }
}

impl fmt::Debug for BarrierFuture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierFuture").finish_non_exhaustive()
    }
}
