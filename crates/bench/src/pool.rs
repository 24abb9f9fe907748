//! Goroutines: started and joined, from inside the pool and from outside, yielding, working,
//! and parked by the million. One operation is one goroutine, unless said otherwise below.

use std::future::Future;
use std::hint::black_box;
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::crowd::rows as crowd;
use crate::measure::scaled;
use crate::peers::runtimes::{self, Runtime, for_each_runtime};
use crate::peers::{Task, tokio_runtime};
use crate::rows::Rows;

const MILLION: u64 = 1_000_000;
/// How many closures are blocked at once.
const BLOCKED: u64 = 10_000;
/// How many at once in the cells of small work.
const BATCH: u64 = 1000;

pub(crate) fn rows(rows: &mut Rows) {
    for_each_runtime!(of(rows));
    for_each_runtime!(crowd(rows));
    for k in [1000, 100_000, MILLION] {
        rows.add(&format!("spawn/{k}"), "rayon", move |n| rayon(n, k, || ()));
        rows.add(&format!("spawn/{k}"), "rendez-scope", move |n| {
            in_goroutine(move || scopes(n, k, || ()))
        });
    }
    rows.add("spawn/1", "rayon", |n| rayon(n, 1, || ()));
    rows.add("work/1us", "rayon", |n| rayon(n, BATCH, work_1us));
    rows.add("work/1us", "rendez-scope", |n| {
        in_goroutine(move || scopes(n, BATCH, work_1us))
    });
    closures(rows);
    blocked(rows);
}

fn of<R: Runtime>(rows: &mut Rows) {
    for k in [1, 1000, 100_000, MILLION] {
        // Started by a task that then waits for each.
        rows.add(&format!("spawn/{k}"), R::NAME, move |n| {
            R::run(vec![Box::pin(in_batches(n, k, spawn_join::<R>))])
        });
    }
    for k in [1, 1000] {
        // The same by a thread outside.
        rows.add(&format!("spawn_outside/{k}"), R::NAME, move |n| {
            let start = Instant::now();
            R::block_on(in_batches(n, k, spawn_join::<R>));
            start.elapsed()
        });
    }
    // One operation is one yield of one task.
    rows.add("yield/1", R::NAME, |n| R::run(vec![yields::<R>(n)]));
    // The same of a thousand tasks that take turns.
    rows.add("yield/1000", R::NAME, |n| {
        let each = n / 1000 + 1;
        scaled(n, each * 1000, || {
            R::run((0..1000).map(|_| yields::<R>(each)).collect())
        })
    });
    // Each starts the next and ends.
    rows.add("chain", R::NAME, |n| {
        let (tx, rx) = mpsc::channel();
        let start = Instant::now();
        R::detach(R::go(Next::<R>::new(n, tx)));
        rx.recv().expect("the last one says so");
        start.elapsed()
    });
    // A value from one task to one of eight, and on to another.
    rows.add("fan", R::NAME, fan::<R>);
    // About 0.65 µs of work each: to show that the second processor is used.
    rows.add("work/1us", R::NAME, |n| {
        R::run(vec![Box::pin(in_batches(n, BATCH, |k| {
            each::<R>(k, |_| work_1us())
        }))])
    });
    // One in 64 has a hundred times the work of the others.
    rows.add("work/skewed", R::NAME, |n| {
        R::run(vec![Box::pin(in_batches(n, BATCH, |k| {
            each::<R>(k, |i| work(if i % 64 == 0 { 10_000 } else { 100 }))
        }))])
    });
    // Two pieces of about 35 µs, started by one task of a pool that was idle: one operation
    // is both.
    rows.add("work/burst2x35us", R::NAME, |n| burst::<R>(n, false));
    // The same from before that task is started to when the thread that did knows its end.
    rows.add("work/burst2x35us_outside", R::NAME, |n| burst::<R>(n, true));
}

/// `n` operations in batches of `k` at most.
async fn in_batches<F: Future<Output = ()>>(n: u64, k: u64, batch: impl Fn(u64) -> F) {
    let mut left = n;
    while left > 0 {
        batch(left.min(k)).await;
        left -= left.min(k);
    }
}

async fn spawn_join<R: Runtime>(k: u64) {
    each::<R>(k, |_| ()).await;
}

async fn each<R: Runtime>(k: u64, f: fn(u64)) {
    if k == 1 {
        return R::join(R::go(async move { f(0) })).await;
    }
    let handles: Vec<_> = (0..k).map(|i| R::go(async move { f(i) })).collect();
    for handle in handles {
        R::join(handle).await;
    }
}

fn yields<R: Runtime>(n: u64) -> Task {
    Box::pin(async move {
        for _ in 0..n {
            R::yield_now().await;
        }
    })
}

/// A link of the chain; an `async` block cannot start one of its own type.
struct Next<R> {
    left: u64,
    end: Option<mpsc::Sender<()>>,
    _runtime: std::marker::PhantomData<fn() -> R>,
}

impl<R> Next<R> {
    fn new(left: u64, end: mpsc::Sender<()>) -> Self {
        Self {
            left,
            end: Some(end),
            _runtime: std::marker::PhantomData,
        }
    }
}

impl<R: Runtime> Future for Next<R> {
    type Output = ();
    fn poll(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<()> {
        let end = self.end.take().expect("polled once");
        if self.left == 0 {
            end.send(()).expect("it is waited for");
        } else {
            R::detach(R::go(Self::new(self.left - 1, end)));
        }
        Poll::Ready(())
    }
}

/// So many steps of a generator of random numbers, of about 2 ns each.
fn work(steps: u64) {
    let mut x = black_box(1_u64);
    for _ in 0..steps {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    black_box(x);
}

fn work_1us() {
    work(330);
}

fn fan<R: Runtime>(n: u64) -> Duration {
    const WORKERS: u64 = 8;
    let mut tasks: Vec<Task> = Vec::new();
    // The channel each is at home with.
    if R::NAME == runtimes::Rendez::NAME {
        let (in_tx, in_rx) = rendez_select::bounded::<u64>(100);
        let (out_tx, out_rx) = rendez_select::bounded::<u64>(100);
        for _ in 0..WORKERS {
            let (rx, tx) = (in_rx.clone(), out_tx.clone());
            tasks.push(Box::pin(async move {
                while let Ok(i) = rx.recv_async().await {
                    tx.send_async(i).await.expect("the sink lives");
                }
            }));
        }
        tasks.push(Box::pin(async move {
            for i in 0..n {
                in_tx.send_async(i).await.expect("the workers live");
            }
        }));
        tasks.push(Box::pin(async move {
            while out_rx.recv_async().await.is_ok() {}
        }));
    } else {
        let (in_tx, in_rx) = async_channel::bounded::<u64>(100);
        let (out_tx, out_rx) = async_channel::bounded::<u64>(100);
        for _ in 0..WORKERS {
            let (rx, tx) = (in_rx.clone(), out_tx.clone());
            tasks.push(Box::pin(async move {
                while let Ok(i) = rx.recv().await {
                    tx.send(i).await.expect("the sink lives");
                }
            }));
        }
        tasks.push(Box::pin(async move {
            for i in 0..n {
                in_tx.send(i).await.expect("the workers live");
            }
        }));
        tasks.push(Box::pin(
            async move { while out_rx.recv().await.is_ok() {} },
        ));
    }
    R::run(tasks)
}

fn burst<R: Runtime>(n: u64, from_outside: bool) -> Duration {
    let once = || {
        // Longer than any of them looks about for work before it sleeps.
        std::thread::sleep(Duration::from_micros(300));
        let (tx, rx) = mpsc::channel();
        let whole = R::run(vec![Box::pin(async move {
            let start = Instant::now();
            each::<R>(2, |_| work(18_000)).await;
            tx.send(start.elapsed()).expect("it is waited for");
        })]);
        let inside = rx.recv().expect("it was sent");
        if from_outside { whole } else { inside }
    };
    (0..n).map(|_| once()).sum()
}

fn in_goroutine(f: impl FnOnce() + Send + 'static) -> Duration {
    let start = Instant::now();
    rendez_pool::go(f).join().expect("it does not panic");
    start.elapsed()
}

fn scopes(n: u64, k: u64, f: fn()) {
    let mut left = n;
    while left > 0 {
        rendez_pool::scope(|s| (0..left.min(k)).for_each(|_| drop(s.go(f))));
        left -= left.min(k);
    }
}

fn rayon(n: u64, k: u64, f: fn()) -> Duration {
    let start = Instant::now();
    rayon::scope(|_| {
        let mut left = n;
        while left > 0 {
            rayon::scope(|s| (0..left.min(k)).for_each(|_| s.spawn(move |_| f())));
            left -= left.min(k);
        }
    });
    start.elapsed()
}

/// Closures that return at once, a thousand at a time.
fn closures(rows: &mut Rows) {
    let batches = |n: u64, batch: &dyn Fn(u64)| {
        let start = Instant::now();
        let mut left = n;
        while left > 0 {
            batch(left.min(BATCH));
            left -= left.min(BATCH);
        }
        start.elapsed()
    };
    rows.add("closures/1000", "rendez", move |n| {
        batches(n, &|k| {
            let handles: Vec<_> = (0..k).map(|_| rendez_pool::go(|| ())).collect();
            for handle in handles {
                handle.join().expect("it does not panic");
            }
        })
    });
    rows.add("closures/1000", "rayon", |n| rayon(n, BATCH, || ()));
    rows.add("closures/1000", "tokio", move |n| {
        batches(n, &|k| {
            let runtime = tokio_runtime();
            let handles: Vec<_> = (0..k).map(|_| runtime.spawn_blocking(|| ())).collect();
            runtime.block_on(async {
                for handle in handles {
                    handle.await.expect("it does not panic");
                }
            });
        })
    });
    rows.add("closures/1000", "std", move |n| {
        batches(n, &|k| {
            let handles: Vec<_> = (0..k).map(|_| std::thread::spawn(|| ())).collect();
            for handle in handles {
                handle.join().expect("it does not panic");
            }
        })
    });
}

/// Closures that all block in a channel at once, from the first's start to the last's end.
fn blocked(rows: &mut Rows) {
    rows.add("blocked/10000", "rendez", |n| {
        scaled(n, BLOCKED, || {
            let (tx, rx) = rendez_select::bounded::<()>(0);
            let all = Arc::new(rendez_sync::Barrier::new(BLOCKED as usize + 1));
            let start = Instant::now();
            let handles: Vec<_> = (0..BLOCKED)
                .map(|_| {
                    let (rx, all) = (rx.clone(), Arc::clone(&all));
                    rendez_pool::go(move || {
                        all.wait();
                        let _ = rx.recv();
                    })
                })
                .collect();
            all.wait();
            drop(tx);
            for handle in handles {
                handle.join().expect("it does not panic");
            }
            start.elapsed()
        })
    });
    rows.add("blocked/10000", "std", |n| {
        scaled(n, BLOCKED, || {
            threads_blocked(std::thread::spawn, |h| h.join().expect("it does not panic"))
        })
    });
    rows.add("blocked/10000", "tokio", |n| {
        static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
        let runtime = RUNTIME.get_or_init(|| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .max_blocking_threads(2 * BLOCKED as usize)
                .build()
                .expect("tokio starts")
        });
        scaled(n, BLOCKED, || {
            threads_blocked(
                |f| runtime.spawn_blocking(f),
                |h| runtime.block_on(h).expect("it does not panic"),
            )
        })
    });
}

fn threads_blocked<H>(spawn: impl Fn(Box<dyn FnOnce() + Send>) -> H, join: impl Fn(H)) -> Duration {
    let (tx, rx) = crossbeam_channel::bounded::<()>(0);
    let all = Arc::new(Barrier::new(BLOCKED as usize + 1));
    let start = Instant::now();
    let handles: Vec<_> = (0..BLOCKED)
        .map(|_| {
            let (rx, all) = (rx.clone(), Arc::clone(&all));
            spawn(Box::new(move || {
                all.wait();
                let _ = rx.recv();
            }))
        })
        .collect();
    all.wait();
    drop(tx);
    handles.into_iter().for_each(join);
    start.elapsed()
}
