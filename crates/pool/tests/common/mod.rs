//! What the tests share.
#![allow(dead_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rendez_pool::Pool;

/// A pool of `n` workers.
pub(crate) fn pool(n: usize) -> Pool {
    Pool::builder().workers(n).build().expect("a valid pool")
}

/// Runs `f` and fails the process if it takes longer than any machine should need: a
/// hang is a failure, not a wait for ever.
pub(crate) fn within_a_minute<R>(f: impl FnOnce() -> R) -> R {
    let ended = Arc::new(AtomicBool::new(false));
    let (tx, rx) = mpsc::channel::<()>();
    let seen = Arc::clone(&ended);
    std::thread::spawn(move || {
        let _ = rx.recv_timeout(Duration::from_secs(60));
        if !seen.load(Ordering::SeqCst) {
            eprintln!("the test hangs");
            std::process::exit(101);
        }
    });
    let result = f();
    ended.store(true, Ordering::SeqCst);
    drop(tx);
    result
}

/// Waits until `condition` holds.
pub(crate) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}
