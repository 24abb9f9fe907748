//! How long to spin for a lock, and when a waiter has waited long enough to be handed it.

use std::ptr;
use std::time::{Duration, Instant};

use rendez_core::clock;
use rendez_core::shim::{OnceLock, multicore, spin_loop, thread};

/// A waiter this old is handed the lock instead of competing for it.
const PATIENCE: Duration = Duration::from_millis(1);

/// The present, as a queue's payload.
pub(crate) fn stamp() -> *const () {
    ptr::without_provenance(micros())
}

/// Whether a waiter stamped so has waited long enough.
pub(crate) fn is_old(stamp: *const ()) -> bool {
    // Wraps after more than an hour where pointers are small; a lock is handed over early
    // then.
    micros().wrapping_sub(stamp.addr()) as u128 >= PATIENCE.as_micros()
}

/// Microseconds since the first call. Under loom no time passes.
fn micros() -> usize {
    static START: OnceLock<Instant> = OnceLock::new();
    if cfg!(rendez_loom) {
        return 0;
    }
    let now = clock::now();
    let start = *START.get_or_init(|| now);
    now.saturating_duration_since(start).as_micros() as usize
}

/// Tries for a short while, ever less often: much less than a sleep costs, and not at all
/// where only one thread can run at a time.
pub(crate) fn spin(mut attempt: impl FnMut() -> bool) -> bool {
    const BUSY_ROUNDS: u32 = 4;
    const ROUNDS: u32 = 8;
    if !multicore() {
        return false;
    }
    for round in 1..=ROUNDS {
        if round <= BUSY_ROUNDS {
            for _ in 0..1_u32 << round {
                spin_loop();
            }
        } else {
            thread::yield_now();
        }
        if attempt() {
            return true;
        }
    }
    false
}
