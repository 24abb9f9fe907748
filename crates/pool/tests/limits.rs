//! `max_blocking`: how many closures run at the same time.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::within_a_minute;
use rendez_pool::{Pool, go};
use rendez_select::bounded;

fn limited(workers: usize, max: usize) -> Pool {
    let builder = Pool::builder().workers(workers).max_blocking(max);
    builder.build().expect("a valid pool")
}

#[test]
fn no_more_closures_run_at_a_time_than_allowed() {
    within_a_minute(|| {
        let pool = limited(4, 2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let handles: Vec<_> = (0..40)
            .map(|_| {
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                pool.go(move || {
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    // Long enough to be replaced by the monitor.
                    std::thread::sleep(Duration::from_millis(12));
                    now.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        // Futures are not held up.
        assert_eq!(pool.go(async { 1 }).join().unwrap(), 1);
        for handle in handles {
            handle.join().unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn closures_that_start_others_and_wait_for_them_never_wait_for_ever() {
    fn depth(n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        1 + go(move || depth(n - 1)).join().unwrap()
    }
    within_a_minute(|| {
        let pool = limited(2, 1);
        assert_eq!(pool.go(|| depth(20)).join().unwrap(), 20);
    });
}

#[test]
fn closures_that_wait_do_not_count() {
    within_a_minute(|| {
        let pool = limited(2, 1);
        let (tx, rx) = bounded::<usize>(0);
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let rx = rx.clone();
                pool.go(move || rx.recv().unwrap())
            })
            .collect();
        for i in 0..50 {
            tx.send(i).unwrap();
        }
        let sum: usize = waiting.into_iter().map(|h| h.join().unwrap()).sum();
        assert_eq!(sum, 49 * 50 / 2);
        // A panic makes room too.
        assert!(pool.go(|| panic!("full")).join().is_err());
        assert_eq!(pool.go(|| 1).join().unwrap(), 1);
        pool.shutdown();
    });
}

#[test]
fn no_closure_at_all_is_refused() {
    let error = Pool::builder().max_blocking(0).build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
