//! What the tests share.
#![allow(dead_code)]

use std::sync::mpsc;
use std::time::Duration;

use rendez_pool::Pool;

/// A pool of `n` workers.
pub(crate) fn pool(n: usize) -> Pool {
    Pool::builder().workers(n).build().expect("a valid pool")
}

/// Runs `f` and fails the process if it takes longer than any machine should need: a
/// hang is a failure, not a wait for ever.
pub(crate) fn within_a_minute<R>(f: impl FnOnce() -> R) -> R {
    // Dropped when `f` has ended, by a panic too, which the test then reports.
    let (_ended, rx) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        if rx.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("the test hangs");
            std::process::exit(101);
        }
    });
    f()
}

/// Waits until `condition` holds.
pub(crate) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}
