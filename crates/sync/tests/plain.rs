//! Without the feature `deadlock-detect` nothing of it is left in the locks.
#![cfg(not(feature = "deadlock-detect"))]
#![allow(clippy::disallowed_methods)]

use std::mem::size_of;
use std::thread;

use rendez_core::queue::Queue;
use rendez_core::shim;
use rendez_sync::{Mutex, MutexGuard, RawMutex, RawRwLock, RwLock};

#[test]
fn the_raw_locks_are_a_word_and_queues() {
    assert_eq!(size_of::<RawMutex>(), size_of::<(u8, shim::Mutex<Queue>)>());
    assert_eq!(
        size_of::<RawRwLock>(),
        size_of::<(usize, shim::Mutex<[Queue; 4]>)>()
    );
    assert_eq!(size_of::<MutexGuard<'_, u64>>(), size_of::<&Mutex<u64>>());
}

#[test]
fn orders_that_form_a_circle_and_recursive_reads_go_unnoticed() {
    let (a, b) = (Mutex::new(()), RwLock::new(()));
    thread::scope(|s| {
        s.spawn(|| drop((a.lock(), b.write()))).join().unwrap();
        s.spawn(|| drop((b.read(), b.read(), a.lock())))
            .join()
            .unwrap();
    });
    assert!(!std::mem::needs_drop::<RawMutex>());
}
