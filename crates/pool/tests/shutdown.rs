//! Building pools and ending them.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use common::{pool, until, within_a_minute};
use rendez_pool::{JoinError, Pool, WaitGroupExt};
use rendez_select::bounded;
use rendez_waitgroup::WaitGroup;

#[test]
fn what_cannot_be_built_is_refused_by_name() {
    let error = Pool::builder().workers(0).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("worker"));
    let error = Pool::builder().thread_name("a\0b").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(Pool::builder().stack_size(usize::MAX / 2).build().is_err());
}

#[test]
fn threads_have_the_name_they_were_given() {
    let pool = Pool::builder()
        .workers(1)
        .thread_name("digest")
        .build()
        .unwrap();
    let name = pool.go(|| std::thread::current().name().map(str::to_owned));
    assert_eq!(name.join().unwrap().as_deref(), Some("digest-0"));
}

#[test]
fn shutdown_waits_for_what_was_started_and_takes_nothing_more() {
    within_a_minute(|| {
        let pool = pool(2);
        let (tx, rx) = bounded(100);
        for i in 0..100 {
            let tx = tx.clone();
            drop(pool.go(move || tx.send(i).unwrap()));
        }
        pool.shutdown();
        assert_eq!(rx.len(), 100);
        assert_eq!((pool.num_goroutines(), pool.num_threads()), (0, 0));
        let refused = pool.go(|| unreachable!());
        let refused: Result<(), _> = refused.join();
        assert!(matches!(refused, Err(JoinError::Cancelled)));
        pool.shutdown();
    });
}

#[test]
fn shutdown_timeout_reports_what_still_runs() {
    within_a_minute(|| {
        let pool = pool(1);
        let (finish, may_finish) = bounded::<()>(0);
        let theirs = may_finish.clone();
        let task = pool.go(async move { may_finish.recv_async().await.is_err() });
        let thread = pool.go(move || theirs.recv().is_err());
        let waits = "[chan receive at ";
        until(|| pool.dump().to_string().matches(waits).count() == 2);
        let rest = pool.shutdown_timeout(Duration::from_millis(5)).unwrap_err();
        assert_eq!(rest.count(), 2);
        let ids: Vec<_> = rest.dump().goroutines().map(|g| g.id).collect();
        assert_eq!(ids, [task.id(), thread.id()]);
        let text = rest.to_string();
        let (head, dump) = text.split_once("\n\n").unwrap();
        assert_eq!(head, "2 goroutines have not ended:");
        assert_eq!(dump.matches(waits).count(), 2, "{text}");
        drop(finish);
        assert!(task.join().unwrap() && thread.join().unwrap());
        assert!(pool.shutdown_timeout(Duration::from_secs(50)).is_ok());
        assert_eq!(pool.num_threads(), 0);
    });
}

#[test]
fn a_pool_shut_down_from_inside_says_so() {
    let pool = pool(1);
    let inner = pool.clone();
    let caught = pool.go(move || catch_unwind(AssertUnwindSafe(|| inner.shutdown())).is_err());
    assert!(caught.join().unwrap());
}

#[test]
fn a_dropped_pool_finishes_its_work_and_its_threads_end() {
    within_a_minute(|| {
        let pool = pool(2);
        let (tx, rx) = bounded(0);
        drop(pool.go(move || {
            // Started by a goroutine after the last handle has gone.
            drop(rendez_pool::go(move || tx.send(1)));
        }));
        drop(pool);
        assert_eq!(rx.recv(), Ok(1));
    });
}

#[test]
fn spare_threads_end_after_their_keep_alive() {
    within_a_minute(|| {
        let pool = Pool::builder()
            .workers(2)
            .keep_alive(Duration::from_millis(1))
            .build()
            .unwrap();
        pool.go(|| ()).join().unwrap();
        until(|| pool.num_threads() == 0);
        // And come back.
        assert_eq!(pool.go(|| 1).join().unwrap(), 1);
    });
}

#[test]
fn a_wait_group_counts_goroutines_that_panic_too() {
    within_a_minute(|| {
        let wg = WaitGroup::new();
        wg.go(|| panic!("counted all the same"));
        wg.go(async {});
        wg.wait();
        assert_eq!(wg.count(), 0);
    });
}
