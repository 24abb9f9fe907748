//! Locks, semaphores and the rest of `sync`, and wait groups.
//!
//! `alone` is one thread that meets nobody; `threads2` and `tasks4` are so many that share one
//! object, and an operation is one of any of them. Two operations in a row on a mutex have a
//! few dozen instructions between them, so that threads do meet. `…/longest` is the longest
//! that one of four threads was without the lock, in place of the time of one operation.

use std::future::Future;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::peers::{Task, Work, on_pool, on_threads, on_tokio};
use crate::rows::Rows;

pub(crate) fn rows(rows: &mut Rows) {
    mutex(rows);
    rwlock(rows);
    once(rows);
    wait_group(rows);
    semaphore(rows);
    pool(rows);
}

/// A cell for `op` on one thread, and cells for it on two and four.
fn shared<R: 'static>(
    rows: &mut Rows,
    cell: &str,
    contender: &'static str,
    op: impl Fn(u64) -> R + Send + Sync + 'static,
) {
    let op = Arc::new(op);
    for threads in [1, 2, 4] {
        let name = match threads {
            1 => format!("{cell}/alone"),
            n => format!("{cell}/threads{n}"),
        };
        let op = Arc::clone(&op);
        rows.add(&name, contender, move |n| {
            on_threads(
                (0..threads)
                    .map(|_| {
                        let op = Arc::clone(&op);
                        Box::new(move || {
                            for i in 0..n / threads {
                                black_box(op(i));
                            }
                        }) as Work
                    })
                    .collect(),
            )
        });
    }
}

/// Cells for `op` in one task and in four.
fn shared_tasks<F: Future<Output = ()> + Send + 'static>(
    rows: &mut Rows,
    cell: &str,
    contender: &'static str,
    run: fn(Vec<Task>) -> Duration,
    ops: impl Fn(u64) -> F + 'static,
) {
    let ops = Arc::new(ops);
    for tasks in [1, 4] {
        let ops = Arc::clone(&ops);
        rows.add(&format!("{cell}/tasks{tasks}"), contender, move |n| {
            run((0..tasks)
                .map(|_| Box::pin(ops(n / tasks)) as Task)
                .collect())
        });
    }
}

fn mutex(rows: &mut Rows) {
    let lock = rendez_sync::Mutex::new(0_u64);
    shared(rows, "mutex", "rendez", move |_| *lock.lock() += 1);
    let lock = std::sync::Mutex::new(0_u64);
    shared(rows, "mutex", "std", move |_| {
        *lock.lock().expect("nobody panics") += 1;
    });
    let lock = parking_lot::Mutex::new(0_u64);
    shared(rows, "mutex", "parking_lot", move |_| *lock.lock() += 1);

    let lock = rendez_sync::Mutex::new(0_u64);
    longest(rows, "rendez", move || *lock.lock() += 1);
    let lock = std::sync::Mutex::new(0_u64);
    longest(rows, "std", move || {
        *lock.lock().expect("nobody panics") += 1
    });
    let lock = parking_lot::Mutex::new(0_u64);
    longest(rows, "parking_lot", move || *lock.lock() += 1);

    let lock = Arc::new(rendez_sync::Mutex::new(0_u64));
    shared_tasks(rows, "mutex", "rendez", on_pool, move |n| {
        let lock = Arc::clone(&lock);
        async move {
            for _ in 0..n {
                *lock.lock_async().await += 1;
            }
        }
    });
    let lock = Arc::new(tokio::sync::Mutex::new(0_u64));
    shared_tasks(rows, "mutex", "tokio", on_tokio, move |n| {
        let lock = Arc::clone(&lock);
        async move {
            for _ in 0..n {
                *lock.lock().await += 1;
            }
        }
    });
    let lock = Arc::new(async_lock::Mutex::new(0_u64));
    shared_tasks(rows, "mutex", "async-lock", on_tokio, move |n| {
        let lock = Arc::clone(&lock);
        async move {
            for _ in 0..n {
                *lock.lock().await += 1;
            }
        }
    });
}

fn longest(rows: &mut Rows, contender: &'static str, op: impl Fn() + Send + Sync + 'static) {
    /// Of each thread, however many operations are asked for.
    const TURNS: u32 = 100_000;
    let op = Arc::new(op);
    rows.add("mutex/threads4/longest", contender, move |n| {
        let longest = Arc::new(AtomicU64::new(0));
        let work = |_| {
            let (op, longest) = (Arc::clone(&op), Arc::clone(&longest));
            Box::new(move || {
                let mut last = Instant::now();
                let mut own = Duration::ZERO;
                for _ in 0..TURNS {
                    op();
                    let now = Instant::now();
                    own = own.max(now - last);
                    last = now;
                }
                longest.fetch_max(own.as_nanos() as u64, Ordering::Relaxed);
            }) as Work
        };
        on_threads((0..4).map(work).collect());
        // Whoever measures divides by the number asked for.
        Duration::from_nanos(longest.load(Ordering::Relaxed) * n)
    });
}

/// One in twenty writes.
fn writes(i: u64) -> bool {
    i % 20 == 19
}

fn rwlock(rows: &mut Rows) {
    let lock = rendez_sync::RwLock::new(0_u64);
    shared(rows, "rwlock/read95", "rendez", move |i| {
        if writes(i) {
            *lock.write() += 1;
            0
        } else {
            *lock.read()
        }
    });
    let lock = std::sync::RwLock::new(0_u64);
    shared(rows, "rwlock/read95", "std", move |i| {
        if writes(i) {
            *lock.write().expect("nobody panics") += 1;
            0
        } else {
            *lock.read().expect("nobody panics")
        }
    });
    let lock = parking_lot::RwLock::new(0_u64);
    shared(rows, "rwlock/read95", "parking_lot", move |i| {
        if writes(i) {
            *lock.write() += 1;
            0
        } else {
            *lock.read()
        }
    });
}

fn once(rows: &mut Rows) {
    let once = rendez_sync::Once::new();
    rows.add_op("once/done", "rendez", move || once.call_once(|| ()));
    let once = std::sync::Once::new();
    rows.add_op("once/done", "std", move || once.call_once(|| ()));
    let once = parking_lot::Once::new();
    rows.add_op("once/done", "parking_lot", move || once.call_once(|| ()));

    let cell = rendez_sync::OnceCell::new();
    rows.add_op("oncecell/done", "rendez", move || *cell.get_or_init(|| 7));
    let cell = std::sync::OnceLock::new();
    rows.add_op("oncecell/done", "std", move || *cell.get_or_init(|| 7));
    let cell = async_lock::OnceCell::new();
    rows.add_op("oncecell/done", "async-lock", move || {
        *cell.get_or_init_blocking(|| 7)
    });
}

fn wait_group(rows: &mut Rows) {
    let wg = rendez_waitgroup::WaitGroup::new();
    shared(rows, "waitgroup/add_done", "rendez", move |_| {
        wg.add(1);
        wg.done();
    });
    let wg = rendez_waitgroup::WaitGroup::new();
    rows.add_op("waitgroup/wait_at_zero", "rendez", move || wg.wait());
}

fn semaphore(rows: &mut Rows) {
    let sem = rendez_sync::Semaphore::new(2);
    shared(rows, "semaphore", "rendez", move |_| drop(sem.acquire(1)));
    let sem = async_lock::Semaphore::new(2);
    shared(rows, "semaphore", "async-lock", move |_| {
        drop(sem.acquire_blocking());
    });

    let sem = Arc::new(rendez_sync::Semaphore::new(2));
    shared_tasks(rows, "semaphore", "rendez", on_pool, move |n| {
        let sem = Arc::clone(&sem);
        async move {
            for _ in 0..n {
                drop(sem.acquire_async(1).await);
            }
        }
    });
    let sem = Arc::new(tokio::sync::Semaphore::new(2));
    shared_tasks(rows, "semaphore", "tokio", on_tokio, move |n| {
        let sem = Arc::clone(&sem);
        async move {
            for _ in 0..n {
                drop(sem.acquire().await);
            }
        }
    });
    let sem = Arc::new(async_lock::Semaphore::new(2));
    shared_tasks(rows, "semaphore", "async-lock", on_tokio, move |n| {
        let sem = Arc::clone(&sem);
        async move {
            for _ in 0..n {
                drop(sem.acquire().await);
            }
        }
    });
}

fn pool(rows: &mut Rows) {
    let pool = rendez_sync::Pool::new(|| Box::new(0_u64));
    shared(rows, "pool/get_put", "rendez", move |_| **pool.get() += 1);
}
