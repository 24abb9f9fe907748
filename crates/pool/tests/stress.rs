//! Random programs of goroutines: nothing is lost, dropped twice or left behind, and
//! everything ends.
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 2); a failure names its seed, which
//! `RENDEZ_STRESS_SEED` runs again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::{pool, within_a_minute};
use rendez_pool::{JoinError, go, scope, yield_now};
use rendez_select::{bounded, select, unbounded};

/// xorshift64*.
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn fork(&mut self) -> Self {
        Self(self.next() | 1)
    }
}

/// Counts how many live.
struct Live(Arc<AtomicUsize>);

impl Live {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Starts a tree of goroutines of both kinds and gives how many ended well.
fn tree(mut random: Random, depth: u64, live: Arc<AtomicUsize>) -> usize {
    let _me = Live::new(&live);
    if depth == 0 {
        return 1;
    }
    let mut sum = 1;
    for _ in 0..random.below(4) {
        let (fork, live) = (random.fork(), Arc::clone(&live));
        let child = match random.below(3) {
            0 => go(move || tree(fork, depth - 1, live)),
            1 => go(async move {
                yield_now().await;
                tree(fork, depth - 1, live)
            }),
            _ => go(async move {
                let inner = go(move || tree(fork, depth - 1, live));
                inner.await.unwrap()
            }),
        };
        match random.below(5) {
            0 => drop(child),
            1 => {
                child.cancel();
                match child.join() {
                    Ok(n) => sum += n,
                    Err(JoinError::Cancelled) => {}
                    Err(e) => e.resume(),
                }
            }
            2 => {
                select! { recv(child) -> n => sum += n.unwrap() }
            }
            _ => sum += child.join().unwrap(),
        }
    }
    sum
}

/// Values through random stages of a pipeline arrive once each.
fn pipeline(mut random: Random) {
    let n = 50 + random.below(100);
    let cap = random.below(3) as usize;
    let (tx, mut rx) = bounded(cap);
    go(move || (0..n).try_for_each(|i| tx.send(i)));
    for _ in 0..random.below(4) {
        let (tx, next) = if random.below(3) == 0 {
            unbounded()
        } else {
            bounded(random.below(3) as usize)
        };
        for _ in 0..=random.below(3) {
            let (tx, rx) = (tx.clone(), rx.clone());
            if random.below(2) == 0 {
                go(move || rx.iter().try_for_each(|i| tx.send(i)));
            } else {
                go(async move {
                    while let Ok(i) = rx.recv_async().await {
                        tx.send_async(i).await.unwrap();
                    }
                });
            }
        }
        rx = next;
    }
    let mut got: Vec<u64> = rx.iter().collect();
    got.sort_unstable();
    assert_eq!(got, (0..n).collect::<Vec<_>>());
}

#[test]
fn random_programs_end_and_leave_nothing_behind() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let seconds = setting("RENDEZ_STRESS_SECONDS").unwrap_or(2);
    let until = Instant::now() + Duration::from_secs(seconds);
    let fixed: Option<u64> = setting("RENDEZ_STRESS_SEED");
    let mut seed = fixed.unwrap_or_else(rendez_core::hooks::random);
    let mut rounds = 0;
    while Instant::now() < until {
        eprintln!("seed {seed}");
        let mut random = Random(seed | 1);
        within_a_minute(|| {
            let pool = pool(1 + random.below(3) as usize);
            let live = Arc::new(AtomicUsize::new(0));
            let trees: Vec<_> = (0..4)
                .map(|_| {
                    let (fork, live) = (random.fork(), Arc::clone(&live));
                    pool.go(move || tree(fork, 4, live))
                })
                .collect();
            let fork = random.fork();
            let piping = pool.go(move || scope(|s| s.go(|| pipeline(fork)).join().unwrap()));
            for tree in trees {
                assert!(tree.join().unwrap() >= 1);
            }
            piping.join().unwrap();
            // Detached goroutines may still start others, which a shutdown would refuse.
            while pool.num_goroutines() > 0 {
                std::thread::yield_now();
            }
            pool.shutdown();
            assert_eq!(live.load(Ordering::SeqCst), 0, "seed {seed}");
        });
        rounds += 1;
        if fixed.is_none() {
            seed = Random(seed | 1).next();
        }
    }
    println!("{rounds} rounds");
}
