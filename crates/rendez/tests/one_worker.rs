//! Everything that blocks, called inside `go(async { … })` on a pool with one worker, where
//! what it waits for is another goroutine of that pool: were the worker blocked with it,
//! each of these would wait for ever.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::await_holding_lock // ours may be held there
)]

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rendez::context::{Context, ContextError};
use rendez::errgroup;
use rendez::pool::{Pool, block_on, par_map, try_par_map, yield_now};
use rendez::prelude::*;
use rendez::select::{Select, Selector, broadcast, broadcast_waiting, merge, or_done, tee, watch};
use rendez::sync::{Barrier, OnceCell, once_value};
use rendez::time::sleep;

const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(1);

/// Starts a goroutine of the same pool that does something once the caller, on the only
/// worker, has blocked or ended.
fn later<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) {
    drop(go(async move { drop(f()) }));
}

type Row = (&'static str, fn());

const ROWS: &[Row] = &[
    ("recv", || {
        for cap in [0, 1] {
            let (tx, rx) = bounded(cap);
            later(move || tx.send(1));
            assert_eq!(rx.recv(), Ok(1));
            assert!(rx.recv().is_err());
        }
    }),
    ("recv with a deadline", || {
        let (tx, rx) = bounded(0);
        later(move || tx.send(1).and_then(|()| tx.send(2)));
        assert_eq!(rx.recv_timeout(LONG), Ok(1));
        assert_eq!(rx.recv_deadline(Instant::now() + LONG), Ok(2));
        let (_tx, rx) = bounded::<u8>(0);
        assert!(rx.recv_timeout(SHORT).is_err());
    }),
    ("iteration", || {
        let (tx, rx) = bounded(0);
        later(move || (1..=10).try_for_each(|i| tx.send(i)));
        assert_eq!(rx.iter().sum::<i32>(), 55);
    }),
    ("send", || {
        for cap in [0, 1] {
            let (tx, rx) = bounded(cap);
            later(move || (rx.recv(), rx.recv(), rx.recv()));
            tx.send(1).unwrap();
            tx.send_timeout(2, LONG).unwrap();
            tx.send_deadline(3, Instant::now() + LONG).unwrap();
        }
    }),
    ("reserve", || {
        let (tx, rx) = bounded(1);
        tx.send(1).unwrap();
        later(move || (rx.recv(), rx.recv()));
        tx.reserve().unwrap().send(2).unwrap();
    }),
    ("send_many and recv_many", || {
        let (tx, rx) = bounded(2);
        later(move || {
            let mut all = Vec::new();
            while rx.recv_many(&mut all, 3).is_ok() {}
        });
        assert_eq!(tx.send_many(0..20).ok(), Some(20));
        let (tx, rx) = bounded(1);
        later(move || tx.send(7));
        let mut all = Vec::new();
        assert_eq!((rx.recv_many(&mut all, 5), all), (Ok(1), vec![7]));
    }),
    ("select", || {
        let (tx, rx) = bounded(0);
        let (out, to_it) = bounded(0);
        later(move || tx.send(1));
        let got = select! {
            recv(rx) -> v => v.unwrap(),
            recv(never::<i32>()) -> _ => unreachable!(),
        };
        later(move || to_it.recv());
        select_biased! {
            recv(never::<i32>()) -> _ => unreachable!(),
            send(out, got) -> sent => sent.unwrap(),
        }
    }),
    ("select with a timeout", || {
        let (_tx, rx) = bounded::<u8>(0);
        select! {
            recv(rx) -> _ => unreachable!(),
            default(SHORT) => {}
        }
        select! {
            recv(rx) -> _ => unreachable!(),
            recv(after(SHORT)) -> _ => {}
        }
    }),
    ("Select", || {
        let (tx, rx) = bounded(0);
        later(move || tx.send(1));
        let mut select = Select::new();
        select.recv(&rx);
        assert_eq!(select.ready(), 0);
        assert_eq!(select.select().recv(&rx), Ok(1));
    }),
    ("Selector", || {
        let (tx, rx) = bounded(0);
        later(move || tx.send(1));
        let mut selector = Selector::new();
        let key = selector.add(&rx);
        assert_eq!(selector.wait(), (key, Ok(1)));
    }),
    ("oneshot", || {
        let (tx, rx) = oneshot();
        later(move || tx.send(1));
        assert_eq!(rx.recv(), Ok(1));
    }),
    ("broadcast", || {
        let (tx, rx) = broadcast(2);
        later(move || tx.send(1));
        assert_eq!(rx.recv(), Ok(1));
        let (tx, rx) = broadcast_waiting(1);
        tx.send(1).unwrap();
        later(move || (rx.recv(), rx.recv()));
        tx.send(2).unwrap();
    }),
    ("watch", || {
        let (tx, rx) = watch(0);
        later(move || tx.send(1));
        assert_eq!(rx.changed(), Ok(1));
    }),
    ("merge, tee and or_done", || {
        let (tx, rx) = bounded(0);
        later(move || tx.send(1));
        let (one, two) = tee(merge([rx, bounded(0).1]));
        later(move || one.recv());
        assert_eq!(two.recv(), Ok(1));
        let (ctx, cancel) = Context::background().with_cancel();
        later(move || cancel.cancel());
        assert!(or_done(never::<u8>(), ctx.done()).recv().is_err());
    }),
    ("wait group", || {
        let wg = WaitGroup::new();
        wg.go(async { yield_now().await });
        wg.wait();
        let guard = wg.guard();
        later(move || drop(guard));
        assert!(wg.wait_timeout(LONG));
        let _guard = wg.guard();
        assert!(!wg.wait_timeout(SHORT));
    }),
    ("mutex", || {
        let mutex = Arc::new(Mutex::new(0));
        // Held by a goroutine that waits for the caller's own blocking call.
        let hold = || {
            let (mutex, (tx, is_held)) = (Arc::clone(&mutex), oneshot());
            drop(go(async move {
                let mut guard = mutex.lock();
                let _ = tx.send(());
                yield_now().await;
                *guard += 1;
            }));
            is_held.recv().unwrap();
        };
        hold();
        assert_eq!(*mutex.lock(), 1);
        hold();
        assert_eq!(mutex.lock_timeout(LONG).map(|n| *n), Some(2));
    }),
    ("read-write lock", || {
        let lock = Arc::new(RwLock::new(0));
        let hold = || {
            let (lock, (tx, is_held)) = (Arc::clone(&lock), oneshot());
            drop(go(async move {
                let mut guard = lock.write();
                let _ = tx.send(());
                yield_now().await;
                *guard += 1;
            }));
            is_held.recv().unwrap();
        };
        hold();
        assert_eq!(*lock.read(), 1);
        hold();
        assert_eq!(*lock.write(), 2);
        hold();
        assert_eq!(*lock.upgradable_read(), 3);
        hold();
        assert_eq!(lock.read_timeout(LONG).map(|n| *n), Some(4));
        hold();
        assert_eq!(lock.write_timeout(LONG).map(|n| *n), Some(5));
    }),
    ("cond", || {
        let both = Arc::new((Mutex::new(0), Cond::new()));
        let raise = || {
            let both = Arc::clone(&both);
            later(move || {
                *both.0.lock() += 1;
                both.1.notify_all();
            });
        };
        let mut guard = both.0.lock();
        raise();
        both.1.wait(&mut guard);
        assert_eq!(*guard, 1);
        raise();
        both.1.wait_while(&mut guard, |n| *n < 2);
        raise();
        let _ = both.1.wait_timeout(&mut guard, LONG);
        assert_eq!(*guard, 3);
    }),
    ("semaphore", || {
        let sem = Arc::new(Semaphore::new(2));
        let permit = sem.acquire(2).unwrap();
        permit.forget();
        let theirs = Arc::clone(&sem);
        later(move || theirs.set_size(4));
        drop(sem.acquire(2).unwrap());
    }),
    ("barrier", || {
        let barrier = Arc::new(Barrier::new(3));
        for _ in 0..2 {
            let barrier = Arc::clone(&barrier);
            later(move || barrier.wait());
        }
        barrier.wait();
    }),
    ("once", || {
        let (once, cell) = (Arc::new(Once::new()), Arc::new(OnceCell::new()));
        let begin = |f: Box<dyn FnOnce(Sender<()>) + Send>| {
            // Returns while the function is under way in another goroutine.
            let (tx, under_way) = bounded(0);
            drop(go(move || f(tx)));
            under_way.recv().unwrap();
        };
        let theirs = Arc::clone(&once);
        begin(Box::new(move |tx| {
            theirs.call_once(|| {
                tx.send(()).unwrap();
                sleep(SHORT);
            });
        }));
        once.call_once(|| unreachable!());
        let theirs = Arc::clone(&cell);
        begin(Box::new(move |tx| {
            theirs.get_or_init(|| {
                tx.send(()).unwrap();
                sleep(SHORT);
                5
            });
        }));
        assert_eq!(*cell.get_or_init(|| unreachable!()), 5);
        let (tx, under_way) = bounded(0);
        let value = Arc::new(once_value(move || {
            tx.send(()).unwrap();
            sleep(SHORT);
            6
        }));
        let theirs = Arc::clone(&value);
        drop(go(move || theirs()));
        under_way.recv().unwrap();
        assert_eq!(*value(), 6);
    }),
    ("single flight", || {
        let flights = Arc::new(SingleFlight::new());
        let (tx, under_way) = bounded(0);
        let theirs = Arc::clone(&flights);
        drop(go(move || {
            theirs.run("key", || {
                tx.send(()).unwrap();
                sleep(Duration::from_millis(20));
                1
            })
        }));
        under_way.recv().unwrap();
        let shared = flights.run("key", || 2);
        assert!(matches!(shared.value, 1 | 2));
    }),
    ("context", || {
        let (ctx, cancel) = Context::background().with_cancel();
        later(move || cancel.cancel());
        assert_eq!(ctx.wait(), ContextError::Canceled);
        let (ctx, _cancel) = Context::background().with_timeout(SHORT);
        assert!(ctx.sleep(LONG).is_err());
        assert!(ctx.block_on(std::future::pending::<()>()).is_err());
        let (tx, rx) = bounded(0);
        drop(ctx.after_func(move || tx.send(1).unwrap()));
        assert_eq!(rx.recv(), Ok(1));
    }),
    ("error group", || {
        let g: Group = Group::new();
        g.set_limit(Some(1));
        for _ in 0..3 {
            // Waits for its turn.
            g.go(async {
                yield_now().await;
                Ok(())
            });
        }
        g.wait().unwrap();
        g.go(|| Err("once".into()));
        assert_eq!(g.wait_all().unwrap_err().len(), 1);
        let n = [1, 2, 3];
        let ctx = Context::background();
        let sum = errgroup::scope(&ctx, |g| {
            g.go(|| n.first().map(drop).ok_or(()));
            g.go(async { n.last().map(drop).ok_or(()) });
            n.len()
        });
        assert_eq!(sum, Ok(3));
        let doubled = errgroup::try_map(&ctx, 2, n, |i| Ok::<_, ()>(2 * i));
        assert_eq!(doubled, Ok(vec![2, 4, 6]));
    }),
    ("join", || {
        assert_eq!(go(async { 1 }).join().unwrap(), 1);
        assert_eq!(go(|| 2).join().unwrap(), 2);
        assert_eq!(block_on(go(async { yield_now().await })).ok(), Some(()));
        let handle = go(async { 3 });
        let got = select! { recv(handle) -> n => n.unwrap() };
        assert_eq!(got, 3);
    }),
    ("scope", || {
        let mut n = [1, 2];
        scope(|s| {
            for n in &mut n {
                s.go(async move {
                    scope(|s| {
                        s.go(|| *n += 1);
                    });
                });
            }
        });
        assert_eq!(n, [2, 3]);
    }),
    ("par_map", || {
        assert_eq!(
            par_map(1..4, 3, |i| go(move || i).join().unwrap()),
            [1, 2, 3]
        );
        let failed = try_par_map(1..4, 3, |i| go(move || Err::<(), _>(i)).join().unwrap());
        assert!(failed.is_err());
    }),
    ("time", || {
        sleep(SHORT);
        let timer = Timer::new(SHORT);
        timer.recv();
        timer.reset(LONG);
        assert!(timer.recv_timeout(SHORT).is_none());
        let ticker = Ticker::new(SHORT);
        ticker.recv();
        ticker.recv();
        after(SHORT).recv().unwrap();
        tick(SHORT).recv().unwrap();
        let (tx, rx) = bounded(0);
        let _after = rendez::time::after_func(SHORT, move || {
            let _ = tx.try_send(1);
        });
        let _ = rx.recv_timeout(Duration::from_millis(5));
        block_on(rendez::time::sleep_async(SHORT));
    }),
];

/// Fails the process if it hangs.
fn within_a_minute(name: &'static str, f: impl FnOnce()) {
    let (tx, ended) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if ended.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
            eprintln!("{name} hangs:\n\n{}", rendez::pool::dump());
            std::process::exit(101);
        }
    });
    f();
    drop(tx);
    watch.join().unwrap();
}

fn pool() -> Pool {
    Pool::builder().workers(1).build().unwrap()
}

#[test]
fn whatever_blocks_in_a_future_blocks_nobody_else() {
    for &(name, row) in ROWS {
        within_a_minute(name, || {
            let pool = pool();
            // A ticking task goes on beside it.
            let ticks = pool.go(async {
                for _ in 0..10 {
                    yield_now().await;
                }
            });
            let blocks = pool.go(async move { row() });
            if let Err(error) = blocks.join() {
                eprintln!("in {name}:");
                error.resume();
            }
            ticks.join().unwrap();
        });
    }
}

#[test]
fn whatever_blocks_in_a_closure_blocks_nobody_else() {
    for &(name, row) in ROWS {
        within_a_minute(name, || pool().go(row).join().unwrap());
    }
}

#[test]
fn all_of_it_at_once() {
    within_a_minute("all of it", || {
        let pool = pool();
        pool.scope(|s| {
            for &(_, row) in ROWS {
                s.go(async move { row() });
                s.go(row);
            }
        });
    });
}
