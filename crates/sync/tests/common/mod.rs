//! What the tests share.
#![allow(
    dead_code,
    unused_imports,
    clippy::disallowed_types,
    clippy::disallowed_methods,
    unreachable_pub
)]

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

pub use rendez_core::block_on::block_on;

/// Longer than anything here may take, unless it hangs.
pub const LONG: Duration = Duration::from_secs(60);

/// Polls once; a future that is pending now waits in its queue.
pub fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls a future that must be waiting.
#[track_caller]
pub fn assert_pending<F: Future>(future: Pin<&mut F>) {
    assert!(poll_once(future).is_pending(), "it should wait");
}

/// Polls a future that must be done.
#[track_caller]
pub fn assert_ready<F: Future>(future: Pin<&mut F>) -> F::Output {
    match poll_once(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should be ready"),
    }
}

/// Runs `f` on another thread and fails if it takes for ever.
pub fn within_reason<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
    let (tx, rx) = mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = tx.send(f());
    });
    match rx.recv_timeout(LONG) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("it hangs"),
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            std::panic::resume_unwind(worker.join().unwrap_err())
        }
    }
}

/// A cheap source of numbers that differ from thread to thread.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Runs `round` with one seed after another, for `RENDEZ_STRESS_SECONDS` or a second; a
/// failing round names its seed, and `RENDEZ_STRESS_SEED` runs that one alone.
pub fn stress(round: impl Fn(u64) + Send + Sync + 'static) {
    let round = std::sync::Arc::new(round);
    let run = move |seed: u64| {
        let round = std::sync::Arc::clone(&round);
        let one = std::panic::AssertUnwindSafe(move || within_reason(move || round(seed)));
        if let Err(payload) = std::panic::catch_unwind(one) {
            eprintln!("RENDEZ_STRESS_SEED={seed} fails");
            std::panic::resume_unwind(payload);
        }
    };
    let set = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = set("RENDEZ_STRESS_SEED") {
        return run(seed);
    }
    let time = Duration::from_secs(set("RENDEZ_STRESS_SECONDS").unwrap_or(1));
    let start = std::time::Instant::now();
    let first = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .map_or(1, |now| now.as_micros() as u64);
    let mut seeds = first..;
    while start.elapsed() < time {
        seeds.by_ref().take(20).for_each(&run);
    }
}
