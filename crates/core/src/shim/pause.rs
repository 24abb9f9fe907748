//! Pauses that are as long on one machine as on another.
//!
//! A processor's own takes 5 ns here and 60 there, on two machines of one kind, so whoever
//! counted those would stay away from a lock, or wait for a peer, ten times longer on one than
//! on the other. How many of them a pause is is measured once, by the first who pauses.

use std::hint;
use std::time::{Duration, Instant};

use super::unmodelled::{AtomicU32, Ordering};

/// How long a pause is: as long as a cache line takes to another core.
const PAUSE: Duration = Duration::from_nanos(57);

/// Waits for as long as `n` pauses take, and tells the processor so.
#[inline]
pub fn pause(n: u32) {
    // By what the model explores instead, time does not pass.
    if cfg!(rendez_loom) {
        return super::spin_loop();
    }
    for _ in 0..n.saturating_mul(hints()) {
        hint::spin_loop();
    }
}

/// How many of the processor's own make one.
#[inline]
fn hints() -> u32 {
    static HINTS: AtomicU32 = AtomicU32::new(0);
    match HINTS.load(Ordering::Relaxed) {
        0 => {
            let hints = measure();
            HINTS.store(hints, Ordering::Relaxed);
            hints
        }
        hints => hints,
    }
}

#[cold]
fn measure() -> u32 {
    const HINTS: u32 = 64;
    const ROUNDS: u32 = 3;
    /// Where the clock is too coarse to tell.
    const MOST: u128 = 64;
    let shortest = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        (0..HINTS).for_each(|_| hint::spin_loop());
        start.elapsed()
    });
    // A round that was interrupted is longer than the others.
    let took = shortest.min().unwrap_or(PAUSE).max(Duration::from_nanos(1));
    let hints = (PAUSE * HINTS).as_nanos() / took.as_nanos();
    hints.clamp(1, MOST) as u32
}
