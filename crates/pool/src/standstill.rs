//! All goroutines are asleep: noticing that a program has come to a stand.
//!
//! Never a false report. A goroutine that waits in our primitives may be woken by any thread
//! of the process, one that knows nothing of us included. So a pool stands still only if
//! *every* thread of the process is accounted for: asleep in our primitives without a
//! deadline, or idle in a pool, or one of our helpers with nothing to do. One thread more,
//! whether it reads a socket or serves another runtime, and there is no report; as there is
//! none in Go for a program that waits for the network.
//!
//! The count of threads is the system's, where it tells (Linux); elsewhere nothing is ever
//! reported.
//!
//! Looked at by the monitor when the last pool has been idle for a while, and again after a
//! thread has fallen asleep since. What it sees must be the same twice, some time apart:
//! counts read while threads move may fit by accident, but nobody who could move is left out.

use rendez_core::goroutine::WaitKind;
use rendez_core::shim::Arc;
use rendez_core::{clock, hooks};

use crate::dump::{Dump, State};
use crate::os;
use crate::shared::Shared;

/// What is the same as long as nothing moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Still {
    // The pool, goroutines ever started, and those that live, by pool.
    pools: Vec<(usize, u64, usize)>,
    n_threads: usize,
}

/// Whether the whole process stands still, with goroutines that wait. `n_ours` threads are
/// known to the caller to have nothing to do.
pub(crate) fn look(pools: &[Arc<Shared>], n_ours: usize) -> Option<Still> {
    if hooks::any_bubble() {
        return None;
    }
    #[cfg(all(feature = "signal", unix))]
    let n_ours = n_ours + crate::quit::n_threads();
    let mut accounted = hooks::sleepers::count() + n_ours + clock::n_resting_drivers()?;
    let mut still = Still {
        pools: Vec::new(),
        n_threads: os::n_threads()?,
    };
    for pool in pools {
        let all_idle = pool.sleep.n_idle() == pool.crew.n_workers();
        if !all_idle || pool.crew.n_retiring() > 0 || pool.queues.has_work() {
            return None;
        }
        accounted += pool.n_spare_threads();
        let metrics = pool.metrics();
        let address = Arc::as_ptr(pool).addr();
        still.pools.push((address, metrics.spawned, pool.n_live()));
    }
    let anybody = still.pools.iter().any(|&(.., n_live)| n_live > 0);
    (anybody && accounted == still.n_threads).then_some(still)
}

/// Whether all of these wait for each other or for nobody.
pub(crate) fn all_wait(dump: &Dump) -> bool {
    dump.goroutines().all(|goroutine| {
        matches!(goroutine.state, State::Waiting { kind, .. } if kind != WaitKind::Sleep)
    })
}
