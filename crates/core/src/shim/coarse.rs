//! A clock that is a few milliseconds behind, and costs a quarter of the exact one where the
//! system has such a thing: Linux keeps the time of its last tick.
//!
//! Invariant: it is never ahead.
#![allow(unsafe_code)]

use std::time::Instant;

use crate::clock::nanos;

/// It is hardly ever further behind, in nanoseconds: two ticks of the slowest systems.
pub(crate) const BEHIND: u64 = 20_000_000;

/// What both clocks count from.
#[derive(Debug)]
pub(crate) struct Base {
    exact: Instant,
    #[cfg(all(target_os = "linux", not(rendez_loom)))]
    coarse: u64,
}

impl Base {
    /// Now.
    pub(crate) fn new() -> Self {
        Self {
            exact: Instant::now(),
            // Read after the other, whose clock it is: so what is counted from it is less.
            #[cfg(all(target_os = "linux", not(rendez_loom)))]
            coarse: read(libc::CLOCK_MONOTONIC),
        }
    }

    pub(crate) fn instant(&self) -> Instant {
        self.exact
    }

    /// How long ago that was at least, in nanoseconds.
    #[inline]
    pub(crate) fn elapsed_at_least(&self) -> u64 {
        #[cfg(all(target_os = "linux", not(rendez_loom)))]
        return read(libc::CLOCK_MONOTONIC_COARSE).saturating_sub(self.coarse);
        #[cfg(not(all(target_os = "linux", not(rendez_loom))))]
        self.elapsed()
    }

    /// How long ago that was, in nanoseconds.
    pub(crate) fn elapsed(&self) -> u64 {
        nanos(self.exact.elapsed())
    }
}

/// In nanoseconds; where the clock is missing, zero.
#[cfg(all(target_os = "linux", not(rendez_loom)))]
#[inline]
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes what is ours.
    unsafe {
        libc::clock_gettime(clock, &raw mut time);
    }
    #[allow(clippy::cast_sign_loss, reason = "neither is negative")]
    #[allow(clippy::unnecessary_cast, reason = "narrower on some systems")]
    let (secs, nanos) = (time.tv_sec as u64, time.tv_nsec as u64);
    secs * 1_000_000_000 + nanos
}

#[cfg(all(test, not(rendez_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_coarse_clock_is_never_ahead() {
        let base = Base::new();
        while base.elapsed_at_least() == 0 {
            std::thread::yield_now();
        }
        for _ in 0..1000 {
            let coarse = base.elapsed_at_least();
            assert!(coarse <= base.elapsed());
        }
    }
}
