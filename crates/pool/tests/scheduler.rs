//! Go's scheduler tests that apply: see README.md beside this.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{pool, until, within_a_minute};
use rendez_pool::{Pool, go, yield_now};
use rendez_select::{after, bounded, select_async};

/// A pair that passes a token to and fro, `work` at each end, until the flag is set; counts.
fn pair(pool: &Pool, work: u64, end: &Arc<AtomicBool>) -> Arc<AtomicU64> {
    let count = Arc::new(AtomicU64::new(0));
    let (a, b) = (bounded::<()>(0), bounded::<()>(0));
    for (tx, rx, begins) in [(a.0, b.1, true), (b.0, a.1, false)] {
        let (count, end) = (Arc::clone(&count), Arc::clone(end));
        drop(pool.go(async move {
            if begins && tx.send_async(()).await.is_err() {
                return;
            }
            while rx.recv_async().await.is_ok() && !end.load(Ordering::Relaxed) {
                for i in 0..work {
                    std::hint::black_box(i);
                }
                count.fetch_add(1, Ordering::Relaxed);
                if tx.send_async(()).await.is_err() {
                    return;
                }
            }
        }));
    }
    count
}

#[test]
fn a_busy_pair_and_an_idle_one_get_their_share_of_a_single_worker() {
    within_a_minute(|| {
        let pool = pool(1);
        let end = Arc::new(AtomicBool::new(false));
        let hog = pair(&pool, 20_000, &end);
        let light = pair(&pool, 20, &end);
        until(|| hog.load(Ordering::Relaxed) > 500 && light.load(Ordering::Relaxed) > 500);
        end.store(true, Ordering::Relaxed);
        let (hog, light) = (hog.load(Ordering::Relaxed), light.load(Ordering::Relaxed));
        // A turn of the one is a thousand times the other's. Go's test allows 20; how long a turn
        // is here depends on the build and on what else the machine does.
        assert!(
            hog / 100 <= light && light / 100 <= hog,
            "{hog} and {light}"
        );
    });
}

#[test]
fn a_pair_that_never_stops_does_not_keep_a_timer_from_firing() {
    within_a_minute(|| {
        let pool = pool(1);
        let end = Arc::new(AtomicBool::new(false));
        let _pair = pair(&pool, 0, &end);
        for _ in 0..20 {
            let fired = pool.go(async { after(Duration::from_micros(1)).recv_async().await });
            fired.join().unwrap().unwrap();
        }
        end.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_self_waking_future_keeps_nobody_waiting() {
    within_a_minute(|| {
        let pool = pool(1);
        let end = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&end);
        let spinner = pool.go(async move {
            while !flag.load(Ordering::Relaxed) {
                // A millisecond between two yields: many a goroutine's whole life.
                let until = Instant::now() + Duration::from_millis(1);
                while Instant::now() < until {}
                yield_now().await;
            }
        });
        // From inside the worker's queue and from outside of it.
        let inside = pool.go(async { go(async { 1 }).await.unwrap() });
        assert_eq!(inside.join().unwrap(), 1);
        let began = Instant::now();
        for _ in 0..20 {
            pool.go(|| ()).join().unwrap();
        }
        println!("{:?} for each", began.elapsed() / 20);
        end.store(true, Ordering::Relaxed);
        spinner.join().unwrap();
    });
}

#[test]
fn select_loops_do_not_starve_a_timer() {
    within_a_minute(|| {
        let pool = pool(2);
        let (tx, rx) = bounded::<()>(1);
        let due = after(Duration::from_millis(20));
        let loops: Vec<_> = (0..2)
            .map(|_| {
                let (tx, rx, due) = (tx.clone(), rx.clone(), due.clone());
                pool.go(async move {
                    loop {
                        select_async! {
                            send(tx, ()) -> _ => {}
                            recv(rx) -> _ => {}
                            recv(due) -> _ => return,
                        }
                    }
                })
            })
            .collect();
        // It fires once: who got it lets the other go.
        until(|| loops.iter().any(|handle| handle.is_finished()));
        loops.iter().for_each(|handle| handle.cancel());
    });
}

/// All of a pool's workers run at the same time: each spins until it is its turn.
fn run_in_turns(pool: &Pool, n: usize) {
    let turn = Arc::new(AtomicUsize::new(0));
    let handles: Vec<_> = (0..n)
        .map(|me| {
            let turn = Arc::clone(&turn);
            pool.go(async move {
                for round in 0..10 {
                    while turn.load(Ordering::SeqCst) != round * n + me {
                        // The machine may have fewer processors.
                        std::thread::yield_now();
                    }
                    turn.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for handle in handles {
        handle.join().unwrap();
    }
}

#[test]
fn all_workers_run_at_the_same_time() {
    within_a_minute(|| {
        for n in [2, 4] {
            let pool = pool(n);
            for _ in 0..10 {
                run_in_turns(&pool, n);
            }
        }
    });
}

#[test]
fn all_workers_run_again_after_they_have_idled() {
    within_a_minute(|| {
        let pool = pool(4);
        for _ in 0..3 {
            run_in_turns(&pool, 4);
            until(|| pool.metrics().running == 0);
            // Long enough that the threads are asleep; nothing depends on it.
            std::thread::sleep(Duration::from_millis(20));
        }
    });
}

#[test]
fn bursts_of_different_sizes_after_rests_all_come_to_their_end() {
    within_a_minute(|| {
        for n_workers in [1, 2, 4] {
            let pool = pool(n_workers);
            for round in 0..400_u32 {
                // The same size several times, so that what was learned from one holds for the
                // next, and then another.
                let size = [2, 1, 3, 2, 8][round as usize / 7 % 5];
                let burst = pool.go(async move {
                    let each = |i: u32| {
                        let end = Instant::now() + Duration::from_micros(30);
                        while Instant::now() < end {}
                        i
                    };
                    let handles: Vec<_> = (0..size).map(|i| go(async move { each(i) })).collect();
                    let mut sum = 0;
                    for handle in handles {
                        sum += handle.await.unwrap();
                    }
                    sum
                });
                assert_eq!(burst.join().unwrap(), (0..size).sum());
                // Long enough that the threads are asleep; nothing depends on it.
                std::thread::sleep(Duration::from_micros(300));
            }
        }
    });
}

#[test]
fn goroutines_in_short_system_calls_all_make_progress() {
    within_a_minute(|| {
        for micros in [10, 100, 1000] {
            let pool = pool(2);
            let counts: Vec<_> = (0..8).map(|_| Arc::new(AtomicU64::new(0))).collect();
            let end = Arc::new(AtomicBool::new(false));
            let handles: Vec<_> = counts
                .iter()
                .map(|count| {
                    let (count, end) = (Arc::clone(count), Arc::clone(&end));
                    pool.go(move || {
                        while !end.load(Ordering::Relaxed) {
                            std::thread::sleep(Duration::from_micros(micros));
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    })
                })
                .collect();
            until(|| {
                counts
                    .iter()
                    .all(|count| count.load(Ordering::Relaxed) >= 10)
            });
            end.store(true, Ordering::Relaxed);
            for handle in handles {
                handle.join().unwrap();
            }
        }
    });
}
