//! Goroutines that are left behind: the six patterns by which Go programs leak them ("Unveiling
//! and Vanquishing Goroutine Leaks in Enterprise Microservices", 2023), and the kinds of bugs
//! of GoKer, 63 of them from real programs, that leave goroutines waiting for each other.
//!
//! A pattern ends of itself here, since who has gone takes their end of a channel along; it
//! leaks only if something keeps that end. Then, as for the goroutines that wait for each
//! other, a dump says who waits where, and a future can be cancelled all the same.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::await_holding_lock // ours may be held there
)]

use std::sync::Arc;
use std::time::Duration;

use rendez::context::Context;
use rendez::pool::{Pool, State};
use rendez::prelude::*;
use rendez::sync::Barrier;

fn pool() -> Pool {
    Pool::builder().workers(2).build().unwrap()
}

/// Waits until no goroutine is left.
fn all_end(pool: &Pool) {
    while pool.num_goroutines() > 0 {
        std::thread::yield_now();
    }
}

/// Waits until the goroutines that are left all wait, for these things.
fn left_waiting(pool: &Pool, expected: &[&str]) {
    loop {
        let dump = pool.dump();
        let mut kinds: Vec<_> = dump
            .goroutines()
            .filter_map(|goroutine| match goroutine.state {
                State::Waiting { kind, location, .. } => {
                    assert!(location.file().ends_with("leaks.rs"), "{dump}");
                    Some(kind.to_string())
                }
                _ => None,
            })
            .collect();
        kinds.sort_unstable();
        if kinds == expected && pool.num_goroutines() == expected.len() {
            return;
        }
        std::thread::yield_now();
    }
}

/// Workers that range over a channel that nobody closes.
#[test]
fn no_close_range() {
    let pool = pool();
    let (tx, rx) = bounded(1);
    for _ in 0..3 {
        let rx = rx.clone();
        drop(pool.go(move || rx.iter().sum::<i32>()));
    }
    // Whoever hands the work out is still there and has forgotten to close.
    (0..5).for_each(|i| tx.send(i).unwrap());
    left_waiting(&pool, &["chan receive"; 3]);
    // Once it has gone, or closes, they end.
    drop(tx);
    all_end(&pool);
}

/// As many workers as asked for, which is none.
#[test]
fn no_workers_and_a_sender() {
    let pool = pool();
    let (tx, rx) = bounded(0);
    let n_workers = 0;
    for _ in 0..n_workers {
        let rx: Receiver<i32> = rx.clone();
        drop(pool.go(move || rx.iter().sum::<i32>()));
    }
    let sender = pool.go(move || tx.send(1));
    left_waiting(&pool, &["chan send"]);
    drop(rx);
    assert!(sender.join().unwrap().is_err());
}

/// Started and never stopped.
#[test]
fn method_contract_violation() {
    struct Service {
        stop: Sender<()>,
    }
    impl Service {
        fn start(pool: &Pool) -> Self {
            let (stop, stopped) = bounded::<()>(0);
            let ticks = tick(Duration::from_millis(1));
            drop(pool.go(async move {
                loop {
                    select_async! {
                        recv(stopped) -> _ => return,
                        recv(ticks) -> _ => {}
                    }
                }
            }));
            Self { stop }
        }
    }
    let pool = pool();
    let service = Service::start(&pool);
    left_waiting(&pool, &["select"]);
    // Nobody calls a `stop`. To let go of it is enough.
    drop(service.stop);
    all_end(&pool);
}

/// A `return` was forgotten after the error was sent.
#[test]
fn double_send() {
    let pool = pool();
    let (tx, rx) = bounded(0);
    drop(pool.go(move || {
        let _ = tx.send(Err("broken"));
        tx.send(Ok(1)).is_err()
    }));
    assert_eq!(rx.recv(), Ok(Err("broken")));
    left_waiting(&pool, &["chan send"]);
    drop(rx);
    all_end(&pool);
    // With a oneshot, which the first send consumes, it does not compile.
}

/// The parent returns before it receives.
#[test]
fn early_return() {
    fn parent(pool: &Pool, ready: bool) -> Option<i32> {
        let (tx, rx) = bounded(0);
        drop(pool.go(move || tx.send(1)));
        if !ready {
            return None;
        }
        rx.recv().ok()
    }
    let pool = pool();
    assert_eq!(parent(&pool, false), None);
    assert_eq!(parent(&pool, true), Some(1));
    all_end(&pool);
}

/// Many answers, of which the first is taken.
#[test]
fn n_cast() {
    let pool = pool();
    let (tx, rx) = bounded(0);
    for i in 0..5 {
        let tx = tx.clone();
        drop(pool.go(async move { tx.send_async(i).await }));
    }
    assert!(rx.recv().is_ok());
    left_waiting(&pool, &["chan send"; 4]);
    drop(rx);
    all_end(&pool);
}

/// Whoever waits for the answer gives up.
#[test]
fn timeout() {
    let pool = pool();
    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = bounded(0);
    drop(pool.go(move || {
        cancel.cancel();
        tx.send(1)
    }));
    ctx.wait();
    left_waiting(&pool, &["chan send"]);
    // As it returns, so does the sender.
    drop(rx);
    all_end(&pool);
}

/// Goroutines that end up waiting for each other, and what a dump says of them.
struct Kind {
    /// GoKer's name for it, and how many of its bugs are of that kind.
    name: &'static str,
    stuck: fn(&Pool) -> Vec<JoinHandle<()>>,
    shows: &'static [&'static str],
}

const KINDS: &[Kind] = &[
    Kind {
        name: "channels: 15",
        stuck: |pool| {
            // Each waits for what the other would send next.
            let (a, b) = (bounded::<u8>(0), bounded::<u8>(0));
            let (a_tx, a_rx, b_tx, b_rx) = (a.0, a.1, b.0, b.1);
            vec![
                pool.go(async move {
                    let _ = a_rx.recv_async().await;
                    let _ = b_tx.send_async(1).await;
                }),
                pool.go(async move {
                    let _ = b_rx.recv_async().await;
                    let _ = a_tx.send_async(1).await;
                }),
            ]
        },
        shows: &["chan receive", "chan receive"],
    },
    Kind {
        name: "channels and locks: 11",
        stuck: |pool| {
            let (tx, rx) = bounded(0);
            let (held, is_held) = oneshot();
            let lock = Arc::new(Mutex::new(()));
            let theirs = Arc::clone(&lock);
            vec![
                pool.go(async move {
                    let _guard = theirs.lock_async().await;
                    let _ = held.send(());
                    let _ = tx.send_async(1).await;
                }),
                pool.go(async move {
                    let _ = is_held.recv_async().await;
                    let _guard = lock.lock_async().await;
                    let _ = rx.recv_async().await;
                }),
            ]
        },
        shows: &["chan send", "lock"],
    },
    Kind {
        name: "double locking: 13",
        stuck: |pool| {
            let lock = Mutex::new(());
            vec![pool.go(async move {
                let _guard = lock.lock_async().await;
                drop(lock.lock_async().await);
            })]
        },
        shows: &["lock"],
    },
    Kind {
        name: "channels and contexts: 7",
        stuck: |pool| {
            // Whoever would cancel waits for the one to be cancelled.
            let (ctx, cancel) = Context::background().with_cancel();
            let (tx, rx) = bounded::<u8>(0);
            vec![
                pool.go(async move {
                    ctx.cancelled_async().await;
                    drop(tx);
                }),
                pool.go(async move {
                    let _ = rx.recv_async().await;
                    cancel.cancel();
                }),
            ]
        },
        shows: &["chan receive", "context done"],
    },
    Kind {
        name: "recursive read locks: 5",
        stuck: |pool| {
            let lock = Arc::new(RwLock::new(()));
            let (held, is_held) = oneshot();
            let theirs = Arc::clone(&lock);
            vec![
                pool.go(async move {
                    let _guard = theirs.read_async().await;
                    let _ = held.send(());
                    // Once a writer waits, no reader comes in.
                    while theirs.try_read().is_some() {
                        rendez::pool::yield_now().await;
                    }
                    drop(theirs.read_async().await);
                }),
                pool.go(async move {
                    let _ = is_held.recv_async().await;
                    drop(lock.write_async().await);
                }),
            ]
        },
        shows: &["lock", "lock"],
    },
    Kind {
        name: "locks in both orders: 5",
        stuck: |pool| {
            let all = Arc::new((Mutex::new(()), Mutex::new(()), Barrier::new(2)));
            let theirs = Arc::clone(&all);
            vec![
                pool.go(async move {
                    let _guard = theirs.0.lock_async().await;
                    theirs.2.wait_async().await;
                    drop(theirs.1.lock_async().await);
                }),
                pool.go(async move {
                    let _guard = all.1.lock_async().await;
                    all.2.wait_async().await;
                    drop(all.0.lock_async().await);
                }),
            ]
        },
        shows: &["lock", "lock"],
    },
    Kind {
        name: "channels and wait groups: 3",
        stuck: |pool| {
            // The wait comes before what the counted goroutine needs. With a guard it can only
            // be in the wrong place, not forgotten.
            let wg = WaitGroup::new();
            let guard = wg.guard();
            let (tx, rx) = bounded(0);
            vec![
                pool.go(async move {
                    let _guard = guard;
                    let _ = tx.send_async(1).await;
                }),
                pool.go(async move {
                    wg.wait_async().await;
                    let _ = rx.recv_async().await;
                }),
            ]
        },
        shows: &["chan send", "wait group wait"],
    },
    Kind {
        name: "conditions: 3",
        stuck: |pool| {
            // The signal has been given before, and is not kept.
            let (lock, cond) = (Mutex::new(false), Cond::new());
            vec![pool.go(async move {
                cond.notify_one();
                let guard = lock.lock_async().await;
                drop(cond.wait_async(guard).await);
            })]
        },
        shows: &["cond wait"],
    },
    Kind {
        name: "a missing unlock: 1",
        stuck: |pool| {
            // Only who forgets a guard on purpose gets there.
            let lock = Mutex::new(());
            std::mem::forget(lock.lock());
            vec![pool.go(async move { drop(lock.lock_async().await) })]
        },
        shows: &["lock"],
    },
];

#[test]
fn goroutines_that_wait_for_each_other_are_seen_and_can_be_cancelled() {
    for kind in KINDS {
        eprintln!("{}", kind.name);
        let pool = pool();
        let stuck = (kind.stuck)(&pool);
        left_waiting(&pool, kind.shows);
        stuck.iter().for_each(JoinHandle::cancel);
        all_end(&pool);
        pool.shutdown();
    }
}
