//! Building pools and ending them.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
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

/// A pool that counts panics of which nobody hears, and what goes away with it.
fn counting() -> (Pool, Arc<AtomicUsize>, Weak<()>) {
    let n_panics = Arc::new(AtomicUsize::new(0));
    let mark = Arc::new(());
    let (n, weak) = (Arc::clone(&n_panics), Arc::downgrade(&mark));
    let pool = Pool::builder()
        .workers(1)
        .keep_alive(Duration::from_millis(1))
        .on_panic(move |_, _| {
            let _mark = &mark;
            n.fetch_add(1, Ordering::Relaxed);
        })
        .build();
    (pool.unwrap(), n_panics, weak)
}

#[test]
fn a_pool_goes_when_its_goroutines_have_ended_whoever_keeps_their_handles() {
    within_a_minute(|| {
        let (pool, n_panics, mark) = counting();
        let [five, unheard, heard] = [0, 1, 2].map(|i| {
            pool.go(move || match i {
                0 => 5,
                _ => resume_unwind(Box::new("told to")),
            })
        });
        until(|| pool.num_goroutines() == 0);
        drop(pool);
        drop(unheard);
        assert_eq!(n_panics.load(Ordering::Relaxed), 1);
        assert!(matches!(heard.join(), Err(JoinError::Panicked(_))));
        until(|| mark.strong_count() == 0);
        assert_eq!(five.join().unwrap(), 5);
    });
}

#[test]
fn a_goroutine_that_waits_keeps_its_pool_without_a_thread() {
    within_a_minute(|| {
        let (pool, _, mark) = counting();
        let (tx, rx) = bounded(0);
        let waits = pool.go(async move { rx.recv_async().await });
        until(|| pool.metrics().waiting == 1 && pool.num_threads() == 0);
        drop(pool);
        assert_eq!(mark.strong_count(), 1);
        tx.send(7).unwrap();
        assert_eq!(waits.join().unwrap(), Ok(7));
        until(|| mark.strong_count() == 0);
    });
}

#[test]
fn a_pool_that_was_shut_down_and_refuses_goroutines_goes_as_any_other() {
    within_a_minute(|| {
        let (pool, _, mark) = counting();
        pool.shutdown();
        for _ in 0..3 {
            assert!(matches!(pool.go(|| ()).join(), Err(JoinError::Cancelled)));
        }
        drop(pool);
        until(|| mark.strong_count() == 0);
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

/// Wakes whom it is given, and keeps the wakers until it is told to let them go.
fn waker_thread(wakers: std::sync::mpsc::Receiver<std::task::Waker>) {
    let mut kept = Vec::new();
    for waker in wakers {
        waker.wake_by_ref();
        kept.push(waker.clone());
        kept.push(waker);
    }
    for waker in kept {
        waker.wake();
    }
}

#[test]
fn a_pool_goes_under_those_who_wake_cancel_and_drop_its_last_goroutines() {
    const ROUNDS: usize = 300;
    within_a_minute(|| {
        let mut marks = Vec::new();
        let (to_waker, wakers) = std::sync::mpsc::channel();
        let waking = std::thread::spawn(move || waker_thread(wakers));
        for round in 0..ROUNDS {
            let (pool, n_panics, mark) = counting();
            let mut handles = Vec::new();
            for i in 0..4 {
                let to_waker = to_waker.clone();
                let mut polled = 0;
                let body = std::future::poll_fn(move |cx| {
                    polled += 1;
                    if polled == 3 {
                        assert!(i != 1, "told to");
                        return std::task::Poll::Ready(i);
                    }
                    to_waker.send(cx.waker().clone()).unwrap();
                    if i == 2 {
                        cx.waker().wake_by_ref();
                    }
                    std::task::Poll::Pending
                });
                handles.push(pool.go(body));
            }
            let inner = pool.clone();
            drop(pool.go(move || drop(inner)));
            let ends = std::thread::spawn(move || match round % 3 {
                0 => drop(pool),
                1 => pool.shutdown(),
                _ => drop(pool.go(move || ())),
            });
            for (i, handle) in handles.into_iter().enumerate() {
                // Some have ended by then, one by a panic.
                handle.cancel();
                if (i + round) % 2 == 0 {
                    let _ = handle.join();
                }
            }
            ends.join().unwrap();
            marks.push((mark, n_panics));
        }
        drop(to_waker);
        waking.join().unwrap();
        until(|| marks.iter().all(|(mark, _)| mark.strong_count() == 0));
    });
}
