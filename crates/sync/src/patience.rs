//! How long to spin for a lock, and when a waiter has waited long enough to be handed it.

use std::ptr;
use std::time::{Duration, Instant};

use rendez_core::clock;
use rendez_core::shim::{OnceLock, multicore, pause, thread};

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

/// Tries for a short while: much less than a sleep costs, and not at all past `deadline`.
///
/// The first try comes after `pauses` and the next ones later still, since whoever asks for the
/// lock's line stops its holder: so much work is done under the lock between two tries that the
/// move of the line does not count. Then it gives way to other threads, of which one may hold the lock.
/// Where only one thread can run at a time it does that alone.
pub(crate) fn spin(
    deadline: Option<Instant>,
    pauses: u32,
    mut attempt: impl FnMut() -> bool,
) -> bool {
    const BUSY_ROUNDS: u32 = 4;
    const ROUNDS: u32 = 8;
    if cfg!(rendez_loom) || deadline.is_some_and(|at| at <= clock::now()) {
        return false;
    }
    if !multicore() {
        return give_way(attempt);
    }
    (0..ROUNDS).any(|round| {
        if round < BUSY_ROUNDS {
            pause(pauses << round);
        } else {
            thread::yield_now();
        }
        attempt()
    })
}

/// On one processor who finds a lock taken has been let run in the middle of another's critical
/// section. Were it to queue, each of the others would soon find one queued that has yet to run, and
/// queue as well, at every turn. So it lets them run first, until one has had the processor for long.
#[cold]
fn give_way(mut attempt: impl FnMut() -> bool) -> bool {
    const TIMES: u32 = 16;
    let mut before = clock::now();
    for _ in 0..TIMES {
        thread::yield_now();
        if attempt() {
            return true;
        }
        let now = clock::now();
        if now.saturating_duration_since(before) >= PATIENCE {
            break;
        }
        before = now;
    }
    false
}
