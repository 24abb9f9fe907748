//! Functions that run at their time.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use common::{Clock, HOUR, MS, eventually};
use rendez_pool::Pool;
use rendez_select::bounded;
use rendez_time::{AfterFunc, after_func, now};

const ZERO: Duration = Duration::ZERO;

#[test]
fn functions_run_each_once() {
    let (tx, rx) = mpsc::channel();
    for i in 0..1000_u64 {
        let tx = tx.clone();
        after_func(Duration::from_micros(i % 50 * 20), move || {
            tx.send(i).unwrap()
        });
    }
    let mut all: Vec<_> = rx.iter().take(1000).collect();
    all.sort_unstable();
    assert_eq!(all, (0..1000).collect::<Vec<_>>());
}

#[test]
fn a_function_may_set_the_next() {
    fn chain(n: usize, done: mpsc::Sender<()>) {
        let mut done = Some(done);
        after_func(Duration::from_micros(10), move || {
            let done = done.take().expect("runs once");
            if n == 0 {
                done.send(()).unwrap();
            } else {
                chain(n - 1, done);
            }
        });
    }
    let (tx, rx) = mpsc::channel();
    chain(100, tx);
    rx.recv().unwrap();
}

#[test]
fn a_function_called_off_does_not_run_and_is_dropped_with_its_handle() {
    let clock = Clock::new();
    clock.run(|| {
        let held = Arc::new(());
        let theirs = Arc::clone(&held);
        let after = after_func(MS, move || unreachable!("{theirs:?}"));
        assert_eq!(clock.n_alarms(), 1);
        assert!(after.stop());
        assert!(!after.stop());
        assert_eq!(clock.n_alarms(), 0);
        clock.advance(HOUR);
        drop(after);
        assert_eq!(Arc::strong_count(&held), 1);
        // One that never comes due is not kept for ever either.
        let theirs = Arc::clone(&held);
        drop(after_func(Duration::MAX, move || {
            unreachable!("{theirs:?}")
        }));
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn a_function_runs_though_its_handle_is_dropped_and_is_dropped_after() {
    let held = Arc::new(());
    let theirs = Arc::clone(&held);
    let (tx, rx) = mpsc::channel();
    drop(after_func(MS, move || {
        let _ = &theirs;
        tx.send(()).unwrap();
    }));
    rx.recv().unwrap();
    assert!(eventually(|| Arc::strong_count(&held) == 1));
}

#[test]
fn a_reset_runs_it_again() {
    let (tx, rx) = mpsc::channel();
    let after = after_func(HOUR, move || tx.send(()).unwrap());
    assert!(after.reset(ZERO), "it was waiting");
    rx.recv().unwrap();
    assert!(!after.stop(), "it has been started");
    for _ in 0..10 {
        assert!(!after.reset(ZERO), "one more run");
        rx.recv().unwrap();
    }
    assert!(!after.reset(HOUR));
    assert!(after.reset(Duration::MAX), "never is waiting too");
    assert!(after.stop());
}

#[test]
fn a_function_may_reset_itself() {
    let (tx, rx) = mpsc::channel();
    let me: Arc<OnceLock<AfterFunc>> = Arc::default();
    let mut n = 0;
    let itself = Arc::clone(&me);
    let after = after_func(HOUR, move || {
        n += 1;
        if n < 5 {
            assert!(!itself.get().unwrap().reset(ZERO), "it runs");
        }
        tx.send(n).unwrap();
    });
    assert!(me.set(after).is_ok());
    me.get().unwrap().reset(ZERO);
    assert_eq!(rx.iter().take(5).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn runs_do_not_overlap_and_none_is_lost() {
    let (n_running, n_runs) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&n_runs);
    let after = after_func(Duration::MAX, move || {
        assert_eq!(n_running.fetch_add(1, Ordering::SeqCst), 0, "alone");
        thread::yield_now();
        n_running.fetch_sub(1, Ordering::SeqCst);
        counted.fetch_add(1, Ordering::SeqCst);
    });
    after.stop();
    let mut n_expected = 0;
    for i in 0..1000 {
        // A reset of one that is waiting replaces it.
        n_expected += usize::from(!after.reset(Duration::from_micros(i % 3)));
    }
    assert!(eventually(|| n_runs.load(Ordering::SeqCst) == n_expected));
}

#[test]
fn a_panic_harms_nobody_and_it_can_run_again() {
    let (tx, rx) = mpsc::channel();
    let mut n = 0;
    let after = after_func(ZERO, move || {
        n += 1;
        tx.send(n).unwrap();
        std::panic::resume_unwind(Box::new("not reported"));
    });
    assert_eq!(rx.recv(), Ok(1));
    after.reset(ZERO);
    assert_eq!(rx.recv(), Ok(2));
    let (tx, rx) = mpsc::channel();
    after_func(ZERO, move || tx.send(()).unwrap());
    rx.recv().unwrap();
}

#[test]
fn functions_moved_about_at_random_run_when_they_are_set_to_now() {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let (tx, rx) = mpsc::channel();
    let functions: Vec<_> = (0..100)
        .map(|i| {
            let tx = tx.clone();
            after_func(HOUR, move || tx.send(i).unwrap())
        })
        .collect();
    for _ in 0..5000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let function = &functions[(random >> 33) as usize % functions.len()];
        let _ = match random >> 60 {
            0..8 => function.reset(HOUR - Duration::from_nanos(random >> 30)),
            _ => function.stop(),
        };
    }
    for function in &functions {
        function.reset(ZERO);
    }
    let mut all: Vec<_> = rx.iter().take(100).collect();
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<_>>());
}

#[test]
fn goroutines_that_pass_a_ball_for_ever_do_not_starve_a_function() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (ping, pinged) = bounded(1);
    let (pong, ponged) = bounded(1);
    ping.send(()).unwrap();
    let stop = ping.clone();
    let there = pool.go(async move {
        while pinged.recv_async().await.is_ok() && pong.send_async(()).await.is_ok() {}
    });
    let back = pool.go(async move {
        while ponged.recv_async().await.is_ok() && ping.send_async(()).await.is_ok() {}
    });
    after_func(Duration::from_micros(1), move || {
        stop.close();
    });
    there.join().unwrap();
    back.join().unwrap();
}

#[test]
fn a_function_runs_in_the_bubble_it_was_set_in() {
    // The pool's goroutines inherit; a bare thread has nothing to inherit into.
    let _ = Pool::global();
    let clock = Clock::new();
    let (tx, rx) = mpsc::channel();
    let due = clock.run(|| {
        after_func(HOUR, move || tx.send(now()).unwrap());
        now() + HOUR
    });
    clock.advance(HOUR);
    assert_eq!(rx.recv(), Ok(due));
}
