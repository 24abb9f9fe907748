//! Wakers are foreign code: what they do must not reach the one who happens to wake them.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake as Waking, Waker};

use rendez_core::wake::{Wake, WakeList};

struct Counts(AtomicUsize);

impl Waking for Counts {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct Panics;

/// A payload whose drop panics too.
struct Spiteful;

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("and the payload as well");
    }
}

impl Waking for Panics {
    fn wake(self: Arc<Self>) {
        std::panic::panic_any(Spiteful);
    }
}

#[test]
fn wakers_that_panic_keep_nobody_else_asleep() {
    let counts = Arc::new(Counts(AtomicUsize::new(0)));
    let mut wakes = WakeList::new();
    for _ in 0..3 {
        wakes.push(Wake::Task(Waker::from(Arc::new(Panics))));
        wakes.push(Wake::Task(Waker::from(Arc::clone(&counts))));
    }
    drop(wakes);
    assert_eq!(counts.0.load(Ordering::SeqCst), 3);
}
