//! Workers that do not come back: goroutines in system calls, long loops and sleeps that are
//! none of ours. Whatever else is due runs meanwhile.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{pool, until, within_a_minute};
use rendez_pool::{go, yield_now};
use rendez_select::bounded;

/// Something a goroutine can be stuck in until the flag is set.
type Stuck = fn(&AtomicBool);

fn computes(end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

fn sleeps(end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

const WAYS: [Stuck; 2] = [computes, sleeps];

/// Sets the flag when dropped, so that a failing test ends.
struct End(Arc<AtomicBool>);

impl End {
    fn new() -> (Self, Arc<AtomicBool>) {
        let end = Arc::new(AtomicBool::new(false));
        (Self(Arc::clone(&end)), end)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn others_run_beside_a_closure_that_is_stuck() {
    within_a_minute(|| {
        for stuck in WAYS {
            let pool = pool(1);
            let (end, flag) = End::new();
            let handle = pool.go(move || stuck(&flag));
            let began = Instant::now();
            assert_eq!(pool.go(|| 1).join().unwrap(), 1);
            assert_eq!(pool.go(async { 2 }).join().unwrap(), 2);
            println!("noticed after {:?}", began.elapsed());
            assert!(!handle.is_finished());
            drop(end);
            handle.join().unwrap();
        }
    });
}

/// Reads what comes over a socket only once the flag is set.
fn reads(end: &AtomicBool) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut there = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut here, _) = listener.accept().unwrap();
    std::thread::scope(|s| {
        s.spawn(move || {
            sleeps(end);
            there.write_all(b"1").unwrap();
        });
        here.read_exact(&mut [0]).unwrap();
    });
}

/// How long a goroutine lies behind one that is stuck: 10 ms at most where the machine has
/// nothing else to do. Prints what was measured, and allows ten times as much.
#[test]
fn a_stuck_worker_is_noticed_soon() {
    within_a_minute(|| {
        for (name, stuck) in [
            ("in a loop", computes as Stuck),
            ("asleep", sleeps),
            ("in a read", reads),
        ] {
            let mut late: Vec<_> = (0..30)
                .map(|_| {
                    let pool = pool(1);
                    let (end, flag) = End::new();
                    let handle = pool.go(move || stuck(&flag));
                    until(|| pool.metrics().running == 1);
                    let began = Instant::now();
                    let ran = pool.go(async { Instant::now() }).join().unwrap();
                    drop(end);
                    handle.join().unwrap();
                    ran - began
                })
                .collect();
            late.sort_unstable();
            println!("{name}: median {:?}, worst {:?}", late[15], late[29]);
            assert!(late[15] < Duration::from_millis(100), "{name}: {late:?}");
        }
    });
}

#[test]
fn what_a_stuck_goroutine_has_started_runs() {
    within_a_minute(|| {
        for stuck in WAYS {
            let pool = pool(1);
            let (tx, rx) = bounded(2);
            // A future's first child goes to the slot for the next, a second one pushes it
            // to the queue.
            for n_children in 1..=2 {
                let (end, flag) = End::new();
                let tx = tx.clone();
                let handle = pool.go(async move {
                    for i in 0..n_children {
                        let tx = tx.clone();
                        drop(go(async move { tx.send(i) }));
                    }
                    stuck(&flag);
                });
                assert_eq!(rx.iter().take(n_children).sum::<usize>(), n_children - 1);
                drop(end);
                handle.join().unwrap();
            }
        }
    });
}

/// How long a goroutine lies behind a long turn while the other worker never runs out of work, and so
/// never looks into others' queues. Prints what was measured, and allows ten times 10 ms.
#[test]
fn what_lies_behind_a_long_turn_among_goroutines_that_talk_runs_soon() {
    within_a_minute(|| {
        let pool = pool(2);
        let (_end, flag) = End::new();
        let (tx, rx) = bounded(0);
        for _ in 0..4 {
            let (tx, rx, flag) = (tx.clone(), rx.clone(), Arc::clone(&flag));
            drop(pool.go(async move {
                while !flag.load(Ordering::Relaxed) && tx.send_async(()).await.is_ok() {}
            }));
            drop(pool.go(async move { while rx.recv_async().await.is_ok() {} }));
        }
        drop((tx, rx));
        let mut late: Vec<_> = (0..50)
            .map(|_| {
                std::thread::sleep(Duration::from_millis(10));
                let (began, ran) = (bounded(1), bounded(1));
                let long = pool.go(async move {
                    drop(go(async move { ran.0.send_async(Instant::now()).await }));
                    // This one goes to the slot for the next, the first to the queue.
                    drop(go(async {}));
                    began.0.send(Instant::now()).unwrap();
                    while ran.1.is_empty() {
                        std::hint::spin_loop();
                    }
                    ran.1.recv().unwrap()
                });
                long.join().unwrap() - began.1.recv().unwrap()
            })
            .collect();
        late.sort_unstable();
        println!("median {:?}, worst {:?}", late[25], late[49]);
        assert!(late[25] < Duration::from_millis(100), "{late:?}");
    });
}

#[test]
fn what_a_stuck_closure_waits_for_without_us_comes() {
    within_a_minute(|| {
        let pool = pool(1);
        let outer = pool.go(|| {
            let done = Arc::new(AtomicBool::new(false));
            let set = Arc::clone(&done);
            drop(go(move || set.store(true, Ordering::Relaxed)));
            computes(&done);
        });
        outer.join().unwrap();
    });
}

#[test]
fn a_task_ticks_beside_more_loops_than_there_are_workers() {
    within_a_minute(|| {
        for workers in [1, 2] {
            let pool = pool(workers);
            let (end, flag) = End::new();
            let loops: Vec<_> = (0..4)
                .map(|_| {
                    let flag = Arc::clone(&flag);
                    pool.go(move || computes(&flag))
                })
                .collect();
            let ticks = pool.go(async {
                for _ in 0..100 {
                    yield_now().await;
                }
            });
            ticks.join().unwrap();
            drop(end);
            for handle in loops {
                handle.join().unwrap();
            }
        }
    });
}

#[test]
fn a_pool_is_as_wide_as_before_once_the_stuck_have_come_back() {
    within_a_minute(|| {
        let pool = pool(2);
        for _ in 0..3 {
            let (end, flag) = End::new();
            let stuck: Vec<_> = (0..4)
                .map(|_| {
                    let flag = Arc::clone(&flag);
                    pool.go(move || sleeps(&flag))
                })
                .collect();
            pool.go(|| ()).join().unwrap();
            drop(end);
            for handle in stuck {
                handle.join().unwrap();
            }
        }
        // On one processor the second is not woken for what the first will run.
        let n_processors = std::thread::available_parallelism().map_or(1, |n| n.get());
        let widest = widest(&pool, 2);
        assert!(widest == 2 || n_processors == 1, "{widest}");
    });
}

/// How many of many short closures have run at the same time, once that is not above `most`
/// any more; cores that retire may still be in use at first.
fn widest(pool: &rendez_pool::Pool, most: usize) -> usize {
    loop {
        let (now, max) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let handles: Vec<_> = (0..300)
            .map(|_| {
                let (now, max) = (Arc::clone(&now), Arc::clone(&max));
                pool.go(move || {
                    let n = now.fetch_add(1, Ordering::SeqCst) + 1;
                    max.fetch_max(n, Ordering::SeqCst);
                    // Long enough to meet others, too short to be taken for stuck.
                    let until = Instant::now() + Duration::from_micros(100);
                    while Instant::now() < until {
                        std::thread::yield_now();
                    }
                    now.fetch_sub(1, Ordering::SeqCst);
                })
            })
            .collect();
        for handle in handles {
            handle.join().unwrap();
        }
        let max = max.load(Ordering::SeqCst);
        if max <= most {
            return max;
        }
    }
}

#[test]
fn workers_are_added_and_taken_away_while_they_run() {
    within_a_minute(|| {
        let pool = pool(1);
        assert_eq!(widest(&pool, 1), 1);
        pool.set_workers(4);
        assert_eq!(pool.workers(), 4);
        // Four that each wait for the others, without our help, run at the same time.
        let here = Arc::new(AtomicUsize::new(0));
        let four: Vec<_> = (0..4)
            .map(|_| {
                let here = Arc::clone(&here);
                pool.go(move || {
                    here.fetch_add(1, Ordering::SeqCst);
                    until(|| here.load(Ordering::SeqCst) == 4);
                })
            })
            .collect();
        for handle in four {
            handle.join().unwrap();
        }
        pool.set_workers(1);
        assert_eq!(widest(&pool, 1), 1);
        pool.set_workers(2);
        assert_eq!(pool.go(|| 5).join().unwrap(), 5);
    });
}

#[test]
fn changing_the_number_of_workers_loses_nothing() {
    within_a_minute(|| {
        let pool = pool(2);
        let (end, flag) = End::new();
        let changes = {
            let pool = pool.clone();
            std::thread::spawn(move || {
                let mut n = 0;
                while !flag.load(Ordering::Relaxed) {
                    n += 1;
                    pool.set_workers(1 + n * 7 % 5);
                    std::thread::yield_now();
                }
            })
        };
        for round in 0..200_u64 {
            let handles: Vec<_> = (0..50)
                .map(|i| {
                    pool.go(async move {
                        yield_now().await;
                        go(move || i).await.unwrap()
                    })
                })
                .collect();
            let sum: u64 = handles.into_iter().map(|h| h.join().unwrap()).sum();
            assert_eq!(sum, 49 * 50 / 2, "round {round}");
        }
        drop(end);
        changes.join().unwrap();
        // With nothing left in the accounts of cores that were retired.
        until(|| pool.num_goroutines() == 0);
        pool.shutdown();
        assert_eq!(pool.num_threads(), 0);
    });
}

#[test]
#[should_panic(expected = "at least one worker")]
fn a_pool_without_workers_is_refused() {
    pool(1).set_workers(0);
}
