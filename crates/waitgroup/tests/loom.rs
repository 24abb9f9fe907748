//! Models of the wait group: under `--cfg rendez_loom` every interleaving is explored,
//! otherwise each runs once.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use rendez_core::block_on::block_on;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{Arc, model, thread};
use rendez_waitgroup::WaitGroup;

#[test]
fn two_guards_release_a_thread_and_a_task() {
    model("guards against wait and wait_async", || {
        let wg = WaitGroup::new();
        let done = Arc::new(AtomicUsize::new(0));
        let (guard, counted) = (wg.guard(), Arc::clone(&done));
        let worker = thread::spawn(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            drop(guard);
        });
        let (theirs, seen) = (wg.clone(), Arc::clone(&done));
        let other = thread::spawn(move || {
            block_on(theirs.wait_async());
            assert_eq!(seen.load(Ordering::Relaxed), 1);
        });
        wg.wait();
        assert_eq!(done.load(Ordering::Relaxed), 1, "the work is seen");
        worker.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn an_add_from_zero_beside_a_wait_is_defined() {
    model("add from zero against wait", || {
        let wg = WaitGroup::new();
        let theirs = wg.clone();
        let waiter = thread::spawn(move || theirs.wait());
        wg.add(1);
        wg.done();
        waiter.join().unwrap();
        assert_eq!(wg.count(), 0);
    });
}

#[test]
fn two_generations_release_their_own() {
    model("reuse: two rounds, two waits", || {
        let wg = WaitGroup::new();
        wg.add(1);
        let theirs = wg.clone();
        let worker = thread::spawn(move || {
            theirs.done();
            theirs.add(1);
            theirs.done();
        });
        wg.wait();
        worker.join().unwrap();
        wg.wait();
        assert_eq!(wg.count(), 0);
    });
}
