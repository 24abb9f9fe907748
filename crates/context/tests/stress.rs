//! Random trees of contexts, waited for in every way and cancelled from everywhere at once:
//! everybody is woken once, every end has one cause, and nothing is left behind.
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 2); a failing run names its seed, which
//! `RENDEZ_STRESS_SEED` runs again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::{Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rendez_context::{Cancel, Context, ContextError};
use rendez_core::block_on::block_on;
use rendez_select::{never, select, select_async};

const HOUR: Duration = Duration::from_secs(3600);

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() >> 11) as usize % n
    }
}

/// Counts how often it is woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Cancels another context when it is dropped.
struct CancelsOnDrop {
    _cancel: Cancel,
}

struct Tree {
    contexts: Vec<Context>,
    // Of which it was derived.
    parents: Vec<Vec<usize>>,
    cancels: Vec<Option<Cancel>>,
}

impl Tree {
    /// The root, and `n` contexts derived from it or each other.
    fn random(random: &mut Random, n: usize) -> Self {
        let (root, cancel) = Context::background().with_cancel();
        let mut tree = Self {
            contexts: vec![root],
            parents: vec![vec![]],
            cancels: vec![Some(cancel)],
        };
        for _ in 0..n {
            let of = random.below(tree.contexts.len());
            let (ctx, cancel, parents) = derive(&tree.contexts, of, random);
            tree.contexts.push(ctx);
            tree.cancels.push(cancel);
            tree.parents.push(parents);
        }
        tree
    }
}

fn derive(
    contexts: &[Context],
    of: usize,
    random: &mut Random,
) -> (Context, Option<Cancel>, Vec<usize>) {
    let parent = &contexts[of];
    let (made, parents) = match random.below(8) {
        0 | 1 => (parent.with_cancel(), vec![of]),
        2 => (parent.with_timeout(HOUR), vec![of]),
        3 => {
            let soon = Duration::from_micros(random.next() % 500);
            (parent.with_timeout_cause(soon, "timeout"), vec![of])
        }
        4 => {
            let other = random.below(contexts.len());
            let merged = Context::merge(&[parent, &contexts[other]]);
            (merged, vec![of, other])
        }
        5 | 6 => return (parent.with_value(random.next()), None, vec![of]),
        _ => {
            let (mut ctx, cancel) = parent.with_cancel();
            for i in 0..random.below(20) {
                ctx = ctx.with_value(i);
            }
            ((ctx, cancel), vec![of])
        }
    };
    (made.0, Some(made.1), parents)
}

fn round(seed: u64) {
    let mut random = Random(seed);
    let n = 2 + random.below(24);
    let tree = Tree::random(&mut random, n);
    let contexts = &tree.contexts;

    let mut polled = Vec::new();
    for _ in 0..random.below(10) {
        let ctx = contexts[random.below(contexts.len())].clone();
        let wakes = Arc::new(Wakes::default());
        let mut future: Pin<Box<dyn Future<Output = ContextError>>> = match random.below(3) {
            0 => Box::pin(async move { ctx.done().await }),
            1 => Box::pin(async move { ctx.run(std::future::pending::<()>()).await.unwrap_err() }),
            _ => Box::pin(async move { ctx.sleep_async(HOUR).await.unwrap_err() }),
        };
        let waker = Waker::from(Arc::clone(&wakes));
        let at_once = future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(&waker));
        if at_once.is_pending() {
            polled.push((future, wakes));
        }
    }
    let ran = Arc::new(AtomicUsize::new(0));
    let closures: Vec<_> = (0..random.below(6))
        .map(|_| {
            let ran = Arc::clone(&ran);
            // Some cancel another context from in there, or by dropping a value.
            let (other, cancel) = contexts[random.below(contexts.len())].with_cancel();
            let value = other.with_value(CancelsOnDrop { _cancel: cancel });
            contexts[random.below(contexts.len())].after_func(move || {
                drop(value);
                assert!(other.err().is_some());
                ran.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    let n_closures = closures.len();
    let stopped = AtomicUsize::new(0);

    let n_waiting = random.below(4);
    let n_acting = 1 + random.below(3);
    let start = Barrier::new(n_acting);
    thread::scope(|s| {
        for _ in 0..n_waiting {
            let ctx = &contexts[random.below(contexts.len())];
            let how = random.below(4);
            s.spawn(move || {
                let err = match how {
                    0 => ctx.wait(),
                    1 => block_on(ctx.cancelled_async()),
                    2 => select! {
                        recv(never::<()>()) -> _ => unreachable!(),
                        recv(ctx.done()) -> err => err,
                    },
                    _ => block_on(async {
                        select_async! {
                            recv(ctx.done()) -> err => err,
                            recv(never::<()>()) -> _ => unreachable!(),
                        }
                    }),
                };
                assert_eq!(ctx.err(), Some(err));
            });
        }
        for actor in 0..n_acting {
            let mut random = Random(random.next() | 1);
            let (start, tree, closures, stopped) = (&start, &tree, &closures, &stopped);
            s.spawn(move || {
                start.wait();
                for step in 0..1 + random.below(6) {
                    let at = random.below(tree.contexts.len());
                    match (random.below(5), &tree.cancels[at]) {
                        (0, _) => {
                            let (ctx, cancel, _) = derive(&tree.contexts, at, &mut random);
                            if let Some(cancel) = cancel {
                                cancel.cancel();
                                assert!(ctx.err().is_some());
                            }
                        }
                        (1, _) if !closures.is_empty() => {
                            let closure = &closures[random.below(closures.len())];
                            stopped.fetch_add(usize::from(closure.stop()), Ordering::SeqCst);
                        }
                        (2, Some(cancel)) => cancel.cancel_with(format!("{actor}.{step}")),
                        (_, Some(cancel)) => {
                            cancel.cancel();
                            for (below, parents) in tree.parents.iter().enumerate() {
                                if parents.contains(&at) {
                                    let err = tree.contexts[below].err();
                                    assert!(err.is_some(), "a child of what was cancelled");
                                }
                            }
                        }
                        (_, None) => {}
                    }
                }
                if actor == 0 {
                    // All is below the root, so this ends the round.
                    tree.cancels[0].as_ref().unwrap().cancel_with("root");
                }
            });
        }
    });

    for (i, ctx) in contexts.iter().enumerate() {
        let err = ctx.err().expect("all is below the root");
        let cause = ctx.cause().unwrap().to_string();
        let expired = err == ContextError::DeadlineExceeded;
        assert_eq!(expired, cause == "timeout", "{ctx:?}");
        if tree.cancels[i].is_none() {
            let parent = &contexts[tree.parents[i][0]];
            assert_eq!(cause, parent.cause().unwrap().to_string());
        }
    }
    let mut woken = Vec::new();
    for (mut future, wakes) in polled {
        // The clock's thread may have ended it, and be about to wake it.
        while wakes.0.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        let waker = Waker::from(Arc::clone(&wakes));
        let polled = future
            .as_mut()
            .poll(&mut std::task::Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Ready(_)));
        woken.push(wakes);
    }
    let stopped = stopped.load(Ordering::SeqCst);
    while ran.load(Ordering::SeqCst) + stopped < n_closures {
        thread::yield_now();
    }
    assert_eq!(ran.load(Ordering::SeqCst) + stopped, n_closures);
    for ctx in contexts {
        assert_eq!(ctx.__n_children(), 0, "{ctx:?}");
    }
    for wakes in woken {
        assert_eq!(wakes.0.load(Ordering::SeqCst), 1, "woken once");
    }
}

/// Ends the process if `f` takes longer than any machine should need.
fn within<R>(limit: Duration, what: &str, f: impl FnOnce() -> R) -> R {
    let ended = Arc::new(AtomicBool::new(false));
    let (watched, name) = (Arc::clone(&ended), what.to_owned());
    let watch = thread::spawn(move || {
        let begun = Instant::now();
        while !watched.load(Ordering::SeqCst) {
            if begun.elapsed() > limit {
                eprintln!("{name}: stuck");
                std::process::abort();
            }
            thread::park_timeout(limit);
        }
    });
    let result = catch_unwind(AssertUnwindSafe(f));
    ended.store(true, Ordering::SeqCst);
    watch.thread().unpark();
    watch.join().unwrap();
    result.unwrap_or_else(|panic| {
        eprintln!("{what}: failed");
        resume_unwind(panic)
    })
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn everybody_is_woken_once_and_nothing_is_left() {
    let seconds = setting("RENDEZ_STRESS_SECONDS").unwrap_or(2);
    let fixed = setting("RENDEZ_STRESS_SEED");
    let begun = Instant::now();
    let mut seed = fixed.unwrap_or(u64::from(std::process::id()) << 20 | 1);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let name = format!("RENDEZ_STRESS_SEED={seed}");
        within(Duration::from_secs(60), &name, || round(seed));
        if fixed.is_none() {
            seed += 1;
        }
    }
}
