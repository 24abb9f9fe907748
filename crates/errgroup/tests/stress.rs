//! Random groups: every goroutine runs or is given up, never more than the limit run, every
//! error and panic is told, every body is dropped, and everything ends.
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 2); a failure names its seed, which
//! `RENDEZ_STRESS_SEED` runs again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context as TaskContext, Waker};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use common::{Live, within_a_minute};
use rendez_context::Context;
use rendez_errgroup::Group;
use rendez_pool::{Pool, block_on, yield_now};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % n
    }

    fn fork(&mut self) -> Self {
        Self((self.below(u64::from(u32::MAX)) << 20) | 1)
    }
}

/// What the goroutines of a round did.
#[derive(Default)]
struct Counts {
    live: Arc<AtomicUsize>,
    running: AtomicUsize,
    ran: AtomicUsize,
    failed: AtomicUsize,
    panicked: AtomicUsize,
}

/// What a goroutine comes to: nearly always well.
fn end(kind: u64, counts: &Counts) -> Result<(), String> {
    counts.running.fetch_sub(1, Ordering::SeqCst);
    counts.ran.fetch_add(1, Ordering::SeqCst);
    match kind {
        0 => {
            counts.failed.fetch_add(1, Ordering::SeqCst);
            Err("on purpose".into())
        }
        1 => {
            counts.panicked.fetch_add(1, Ordering::SeqCst);
            std::panic::panic_any("on purpose")
        }
        _ => Ok(()),
    }
}

/// Starts `n` goroutines in every form; how many futures were dropped instead.
fn start(
    group: &Group<String>,
    n: u64,
    limit: usize,
    mut random: Random,
    counts: &Arc<Counts>,
) -> usize {
    let mut not_started = 0;
    for _ in 0..n {
        let (body, kind) = (Live::new(&counts.live), random.below(60));
        let begin = {
            let counts = Arc::clone(counts);
            move || {
                let n = counts.running.fetch_add(1, Ordering::SeqCst) + 1;
                assert!(n <= limit, "{n} run under a limit of {limit}");
            }
        };
        let counts = Arc::clone(counts);
        let closure = {
            let (begin, counts) = (begin.clone(), Arc::clone(&counts));
            let body = Live::new(&counts.live);
            move || {
                let _body = body;
                begin();
                thread::yield_now();
                end(kind, &counts)
            }
        };
        let future = async move {
            let _body = body;
            begin();
            yield_now().await;
            end(kind, &counts)
        };
        match random.below(6) {
            0 => group.go(closure),
            1 => group.go(future),
            2 => block_on(group.go_async(closure)),
            3 => block_on(group.go_async(future)),
            4 => not_started += usize::from(!group.try_go(closure)),
            _ => {
                // Polled once, then dropped: started, or in line and gone again.
                let mut go = pin!(group.go_async(future));
                let mut cx = TaskContext::from_waker(Waker::noop());
                not_started += usize::from(go.as_mut().poll(&mut cx).is_pending());
            }
        }
    }
    not_started
}

fn round(seed: u64, pool: &Pool) {
    let mut random = Random(seed | 1);
    let limit = 1 + random.below(4) as usize;
    let (ctx, cancel) = Context::background().with_cancel();
    let builder = Group::<String>::builder().limit(limit).on(pool.clone());
    let (group, ctx) = builder.with_context(&ctx);
    let counts = Arc::new(Counts::default());
    let n = 1 + random.below(40);
    let n_threads = 1 + random.below(3);
    let cancels = random.below(3) == 0;
    let starters: Vec<_> = (0..n_threads)
        .map(|_| {
            let (group, counts, random) = (group.clone(), Arc::clone(&counts), random.fork());
            thread::spawn(move || start(&group, n, limit, random, &counts))
        })
        .collect();
    let canceller = cancels.then(|| thread::spawn(move || cancel.cancel()));
    let not_started: usize = starters.into_iter().map(|t| t.join().unwrap()).sum();
    if let Some(canceller) = canceller {
        canceller.join().unwrap();
    }
    let panicked = counts.panicked.load(Ordering::SeqCst);
    let mut outcome = catch_unwind(AssertUnwindSafe(|| group.wait_all()));
    let panicked = panicked.max(counts.panicked.load(Ordering::SeqCst));
    if outcome.is_err() {
        assert!(panicked > 0, "a panic from nowhere");
        outcome = catch_unwind(AssertUnwindSafe(|| group.wait_all()));
    } else {
        assert_eq!(panicked, 0, "a panic was lost");
    }
    let errors = outcome
        .expect("a panic is resumed once")
        .err()
        .unwrap_or_default();
    let on_purpose = errors.iter().filter(|e| *e == "on purpose").count();
    assert_eq!(
        on_purpose,
        counts.failed.load(Ordering::SeqCst),
        "an error was lost"
    );
    let ran = counts.ran.load(Ordering::SeqCst);
    let given_up = (n * n_threads) as usize - not_started - ran;
    if given_up > 0 {
        assert!(panicked > 0 || !errors.is_empty(), "given up in silence");
        assert!(ctx.err().is_some(), "given up without reason");
    }
    assert_eq!(
        counts.live.load(Ordering::SeqCst),
        0,
        "a body was not dropped"
    );
    assert_eq!(group.num_goroutines(), 0);
    // Every slot has come back.
    let (tx, rx) = std::sync::mpsc::channel::<()>();
    let rx = Arc::new(std::sync::Mutex::new(rx));
    for _ in 0..limit {
        let rx = Arc::clone(&rx);
        assert!(group.try_go(move || {
            let _: Result<(), _> = rx.lock().unwrap().recv();
            Ok(())
        }));
    }
    assert!(!group.try_go(|| Ok(())));
    drop(tx);
    group.wait().unwrap();
}

#[test]
fn random_groups_lose_nothing_and_end() {
    let seconds = std::env::var("RENDEZ_STRESS_SECONDS").map_or(2, |s| s.parse().unwrap());
    let given = std::env::var("RENDEZ_STRESS_SEED").ok();
    let clock = || SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let until = Instant::now() + Duration::from_secs(seconds);
    // What is panicked with on purpose is told nobody; the pool's hook hears of second ones.
    let pool = Pool::builder()
        .workers(2)
        .on_panic(|_, _| {})
        .build()
        .unwrap();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref::<&str>() != Some(&"on purpose") {
            hook(info);
        }
    }));
    let mut seed = given.as_ref().map_or_else(clock, |s| s.parse().unwrap());
    let mut rounds = 0;
    loop {
        println!("RENDEZ_STRESS_SEED={seed}");
        within_a_minute(|| round(seed, &pool));
        rounds += 1;
        if given.is_some() || Instant::now() >= until {
            break;
        }
        seed = clock();
    }
    println!("{rounds} rounds");
}
