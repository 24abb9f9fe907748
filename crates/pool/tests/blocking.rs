//! Blocking inside goroutines never stops a pool, not even one with a single worker.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::time::{Duration, Instant};

use common::{pool, within_a_minute};
use rendez_pool::{Pool, block_on, go, scope};
use rendez_select::{after, bounded, select, unbounded};
use rendez_waitgroup::WaitGroup;

#[test]
fn a_future_may_block_on_a_channel() {
    within_a_minute(|| {
        let pool = pool(1);
        let (tx, rx) = bounded(0);
        let receiver = pool.go(async move { rx.recv().unwrap() });
        let sender = pool.go(async move { tx.send(3).unwrap() });
        assert_eq!(receiver.join().unwrap(), 3);
        sender.join().unwrap();
    });
}

#[test]
fn a_future_may_block_on_everything_there_is() {
    within_a_minute(|| {
        let pool = pool(1);
        let outer = pool.go(async {
            // A join, a wait group, a select, a timeout, a nested block_on and a scope.
            assert_eq!(go(|| 1).join().unwrap(), 1);
            assert_eq!(go(async { 2 }).join().unwrap(), 2);
            let wg = WaitGroup::new();
            let guard = wg.guard();
            drop(go(move || drop(guard)));
            wg.wait();
            let (tx, rx) = bounded(0);
            drop(go(async move { tx.send_async(4).await }));
            let got = select! {
                recv(rx) -> v => v.unwrap(),
                recv(after(Duration::from_secs(50))) -> _ => unreachable!(),
            };
            assert_eq!(got, 4);
            assert_eq!(block_on(go(|| 5)).unwrap(), 5);
            let mut n = [1, 2];
            scope(|s| {
                for n in &mut n {
                    s.go(async move { *n += 1 });
                }
            });
            assert_eq!(n, [2, 3]);
        });
        outer.join().unwrap();
    });
}

#[test]
fn nested_joins_as_deep_as_you_like_do_not_deadlock() {
    fn depth(n: usize) -> usize {
        if n == 0 {
            return 0;
        }
        1 + go(move || depth(n - 1)).join().unwrap()
    }
    within_a_minute(|| {
        let pool = pool(1);
        assert_eq!(pool.go(|| depth(50)).join().unwrap(), 50);
    });
}

#[test]
fn ten_thousand_closures_block_on_one_channel_at_once() {
    const N: usize = 10_000;
    within_a_minute(|| {
        let pool = Pool::builder()
            .workers(2)
            .stack_size(64 << 10)
            .build()
            .unwrap();
        let (tx, rx) = bounded::<usize>(0);
        let (out, results) = unbounded();
        for _ in 0..N {
            let (rx, out) = (rx.clone(), out.clone());
            drop(pool.go(move || out.send(rx.recv().unwrap()).unwrap()));
        }
        drop(out);
        // Each that blocks holds a thread, as long as the system gives threads: then the others
        // wait in a queue.
        let (mut most, mut since) = (0, Instant::now());
        while pool.metrics().waiting < N && since.elapsed() < Duration::from_secs(2) {
            let n = pool.num_threads();
            if n > most {
                (most, since) = (n, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        println!("{} threads", pool.num_threads());
        for i in 0..N {
            tx.send(i).unwrap();
        }
        let mut got: Vec<_> = results.iter().collect();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..N));
        pool.shutdown();
        assert_eq!(pool.num_threads(), 0);
    });
}

#[test]
fn work_queued_before_a_block_runs_meanwhile() {
    within_a_minute(|| {
        let pool = pool(1);
        let outer = pool.go(|| {
            let (tx, rx) = bounded(0);
            for i in 0..10 {
                let tx = tx.clone();
                drop(go(async move { tx.send_async(i).await }));
            }
            drop(tx);
            rx.iter().sum::<i32>()
        });
        assert_eq!(outer.join().unwrap(), 45);
    });
}
