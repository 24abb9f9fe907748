//! The contract of goroutines, scopes and pools, through the umbrella.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use common::{HOUR, TICK, is_send};
use rendez::pool::{
    Dump, FuturesSpawner, Goroutine, JoinError, Pool, Spawn, SpawnError, Task, block_on, dump,
    num_goroutines, par_map, spawn, try_par_map, yield_now, yield_thread,
};
use rendez::prelude::*;

// --- go -----------------------------------------------------------------------------------

#[test]
fn go_takes_closures_and_futures_of_any_shape() {
    fn function() -> u8 {
        1
    }
    async fn asynchronous(n: u8) -> u8 {
        n
    }
    fn generic<T: Send + 'static>(value: T) -> JoinHandle<T> {
        go(move || value)
    }
    fn generic_future<F>(future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        go(future)
    }
    fn generic_closure<F, T>(f: F) -> JoinHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        go(f)
    }
    fn either<M, G>(g: G) -> JoinHandle<G::Output>
    where
        G: Goroutine<M> + 'static,
        G::Output: 'static,
    {
        go(g)
    }
    let text = String::from("moved");
    assert_eq!(go(|| 5).join().unwrap(), 5);
    assert_eq!(go(async { 5 }).join().unwrap(), 5);
    assert_eq!(go(move || text.len()).join().unwrap(), 5);
    assert_eq!(go(function).join().unwrap(), 1);
    assert_eq!(go(asynchronous(2)).join().unwrap(), 2);
    assert_eq!(go(Box::pin(asynchronous(3))).join().unwrap(), 3);
    let boxed: Pin<Box<dyn Future<Output = u8> + Send>> = Box::pin(asynchronous(4));
    assert_eq!(go(boxed).join().unwrap(), 4);
    let boxed: Box<dyn FnOnce() -> u8 + Send> = Box::new(|| 5);
    assert_eq!(go(boxed).join().unwrap(), 5);
    assert_eq!(generic(6).join().unwrap(), 6);
    assert_eq!(generic_future(async { 7 }).join().unwrap(), 7);
    assert_eq!(generic_closure(|| 8).join().unwrap(), 8);
    assert_eq!(either(|| 9).join().unwrap(), 9);
    assert_eq!(either(async { 10 }).join().unwrap(), 10);
    assert_eq!(go(go(|| 11)).join().unwrap().unwrap(), 11);
    let tried = go(|| -> Result<u8, Box<dyn Error + Send + Sync>> { Ok("12".parse::<u8>()?) });
    assert_eq!(tried.join().unwrap().unwrap(), 12);
    let tried = go(async { "x".parse::<u8>() });
    assert!(tried.join().unwrap().is_err());
    // A closure may make what is not `Send`, as long as it ends there.
    go(|| drop(Rc::new(5))).join().unwrap();
}

#[test]
fn a_join_handle_has_every_form() {
    fn bounds<T: Send + Sync + Unpin + Debug + 'static>(_: &T) {}
    let handle = go(|| 1);
    bounds(&handle);
    assert!(handle.id() > 0 && handle.id() != go(|| ()).id());
    assert_eq!(block_on(is_send(handle.join_async())).unwrap(), 1);
    assert_eq!(block_on(go(|| 2)).unwrap(), 2);
    let (tx, rx) = oneshot();
    let handle = go(async move { rx.recv_async().await });
    assert!(!handle.is_finished());
    tx.send(3).unwrap();
    while !handle.is_finished() {
        yield_thread();
    }
    assert_eq!(handle.join().unwrap(), Ok(3));
}

#[test]
fn a_dropped_handle_detaches() {
    let (tx, rx) = bounded(0);
    drop(go(move || tx.send(5)));
    assert_eq!(rx.recv(), Ok(5));
}

#[test]
fn a_panic_is_carried_to_the_join() {
    let purpose = String::from("purpose");
    let err: JoinError = go(move || -> u8 { panic!("on {purpose}") })
        .join()
        .unwrap_err();
    assert!(matches!(err, JoinError::Panicked(_)));
    assert!(err.to_string().contains("on purpose"), "{err}");
    assert_eq!(
        *err.into_panic().downcast::<String>().unwrap(),
        "on purpose"
    );
    let err = go(async { panic!("on purpose") }).join().unwrap_err();
    let resumed = catch_unwind(AssertUnwindSafe(|| err.resume()));
    assert_eq!(
        *resumed.unwrap_err().downcast::<&str>().unwrap(),
        "on purpose"
    );
    fn error<E: Error + Send + 'static>() {}
    error::<JoinError>();
}

#[test]
fn a_cancelled_future_is_dropped_where_it_waits() {
    struct Dropped(mpsc::Sender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    let (tx, dropped) = mpsc::channel();
    let (entered_tx, entered) = bounded(1);
    let handle = go(async move {
        let _dropped = Dropped(tx);
        entered_tx.send(()).unwrap();
        std::future::pending::<()>().await;
    });
    entered.recv().unwrap();
    handle.cancel();
    assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    dropped.recv_timeout(HOUR).unwrap();
    // One that has ended is not cancelled any more.
    let handle = go(|| 5);
    while !handle.is_finished() {
        yield_thread();
    }
    handle.cancel();
    assert_eq!(handle.join().unwrap(), 5);
}

#[test]
fn blocking_is_always_safe() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (tx, rx) = bounded(0);
    let receiver = pool.go(async move { rx.recv() });
    let sender = pool.go(async move { tx.send(5) });
    assert_eq!(sender.join().unwrap(), Ok(()));
    assert_eq!(receiver.join().unwrap(), Ok(5));
    // Every primitive: a lock, a group, a timer, a join.
    let m = Arc::new(Mutex::new(()));
    let guard = m.lock();
    let locker = pool.go({
        let m = m.clone();
        async move { drop(m.lock()) }
    });
    let wg = WaitGroup::new();
    let counted = wg.guard();
    let waiter = pool.go(async move { wg.wait() });
    assert_eq!(pool.go(async { 6 }).join().unwrap(), 6);
    drop((guard, counted));
    locker.join().unwrap();
    waiter.join().unwrap();
    let nested = pool.go(async { go(async { go(|| 7).join().unwrap() }).join().unwrap() });
    assert_eq!(nested.join().unwrap(), 7);
}

#[test]
fn one_that_blocks_elsewhere_is_noticed() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (tx, rx) = mpsc::channel();
    let stuck = pool.go(async move { rx.recv().unwrap() });
    // Were the only worker lost, this would never run.
    pool.go(async move { tx.send(5).unwrap() }).join().unwrap();
    assert_eq!(stuck.join().unwrap(), 5);
}

#[test]
fn yielding_lets_others_run() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let turn = Arc::new(AtomicUsize::new(0));
    let player = |me: usize| {
        let turn = turn.clone();
        async move {
            for _ in 0..100 {
                while turn.load(Ordering::Relaxed) % 2 != me {
                    is_send(yield_now()).await;
                }
                turn.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let (a, b) = (pool.go(player(0)), pool.go(player(1)));
    a.join().unwrap();
    b.join().unwrap();
    assert_eq!(turn.load(Ordering::Relaxed), 200);
}

// --- scope --------------------------------------------------------------------------------

#[test]
fn a_scopes_goroutines_borrow() {
    let mut numbers = vec![1, 2, 3];
    let total = AtomicUsize::new(0);
    let text = String::from("abc");
    let length = scope(|s| {
        for n in &mut numbers {
            let total = &total;
            s.go(move || {
                *n += 1;
                total.fetch_add(*n, Ordering::Relaxed);
            });
        }
        s.go(async {
            yield_now().await;
            total.fetch_add(100, Ordering::Relaxed);
        });
        s.go(|| {
            s.go(|| total.fetch_add(1_000, Ordering::Relaxed));
        });
        let borrowed: JoinHandle<&str> = s.go(|| &text[1..]);
        assert_eq!(borrowed.join().unwrap(), "bc");
        text.len()
    });
    assert_eq!((length, numbers), (3, vec![2, 3, 4]));
    assert_eq!(total.into_inner(), 1_109);
}

#[test]
fn a_scope_joins_all_and_resumes_the_first_panic() {
    let ended = AtomicUsize::new(0);
    let (tx, rx) = bounded::<()>(0);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        scope(|s| {
            s.go(|| {
                let _tx = tx;
                panic!("the first");
            });
            s.go(|| {
                rx.recv().unwrap_err();
                ended.fetch_add(1, Ordering::Relaxed);
            });
        })
    }));
    assert_eq!(
        *panicked.unwrap_err().downcast::<&str>().unwrap(),
        "the first"
    );
    assert_eq!(ended.into_inner(), 1);
    // One that was joined is the joiner's.
    let joined = scope(|s| s.go(|| -> u8 { panic!("joined") }).join().is_err());
    assert!(joined);
}

// --- pools --------------------------------------------------------------------------------

#[test]
fn a_pool_is_built_with_every_setting() {
    let (tx, rx) = mpsc::channel();
    let pool: Pool = Pool::builder()
        .workers(2)
        .max_blocking(8)
        .thread_name("contract")
        .stack_size(1 << 20)
        .keep_alive(TICK)
        .on_panic(move |_, payload| tx.send(payload).unwrap())
        .build()
        .unwrap();
    drop(pool.go(|| panic!("nobody joins")));
    let payload = rx.recv_timeout(HOUR).unwrap();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "nobody joins");
    let name = pool.go(|| std::thread::current().name().map(str::to_owned));
    assert!(name.join().unwrap().unwrap().contains("contract"));
    let local = 5;
    assert_eq!(pool.scope(|s| s.go(|| local + 1).join().unwrap()), 6);
    assert_eq!(pool.block_on(async { go(|| 7).await.unwrap() }), 7);
    pool.set_workers(1);
    assert_eq!(pool.workers(), 1);
    pool.set_workers(3);
    assert_eq!(pool.go(|| 8).join().unwrap(), 8);
    let global: &'static Pool = Pool::global();
    assert!(global.workers() >= 2);
}

#[test]
fn a_pool_that_shuts_down_waits_and_takes_nothing_new() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let ran = Arc::new(AtomicUsize::new(0));
    let (tx, rx) = bounded::<()>(0);
    for _ in 0..10 {
        let (ran, rx) = (ran.clone(), rx.clone());
        pool.go(async move {
            let _ = rx.recv_async().await;
            ran.fetch_add(1, Ordering::Relaxed);
        });
    }
    assert!(pool.shutdown_timeout(TICK).is_err(), "they have not ended");
    let late = pool.go(|| ());
    assert!(matches!(late.join(), Err(JoinError::Cancelled)));
    drop(tx);
    pool.shutdown();
    assert_eq!(ran.load(Ordering::Relaxed), 10);
    assert!(pool.shutdown_timeout(TICK).is_ok());
}

#[test]
fn goroutines_have_names_labels_and_threads_of_their_own() {
    let (tx, rx) = bounded::<()>(0);
    let handle = spawn().name("fetch").label("host", "a").go({
        let rx = rx.clone();
        move || {
            let child = go(move || rx.recv().is_err());
            child.join().unwrap()
        }
    });
    let alone = spawn().own_thread().go(|| std::thread::current().id());
    assert_ne!(alone.join().unwrap(), std::thread::current().id());
    let text = loop {
        let all: Dump = dump();
        let text = all.to_string();
        let labelled = text.matches("host: a").count();
        if labelled == 2 && text.contains("chan receive at") {
            break text;
        }
        yield_thread();
    };
    assert!(text.contains("fetch") && text.contains(file!()), "{text}");
    assert!(
        text.contains(&format!("goroutine {}", handle.id())),
        "{text}"
    );
    assert!(num_goroutines() >= 2);
    drop(tx);
    assert!(handle.join().unwrap());
}

#[test]
fn metrics_count() {
    let pool = Pool::builder().workers(2).build().unwrap();
    for _ in 0..10 {
        pool.go(|| ()).join().unwrap();
    }
    let metrics = pool.metrics();
    assert_eq!((metrics.spawned, metrics.workers), (10, 2));
    assert!(metrics.threads >= 1);
    let (running, runnable, waiting) = (metrics.running, metrics.runnable, metrics.waiting);
    assert!(running + runnable + waiting <= 10);
    assert!(!pool.dump().to_string().contains("chan receive"));
}

// --- executors ----------------------------------------------------------------------------

#[test]
fn spawn_is_an_object_and_pools_are_executors() {
    struct Refuses;
    impl Spawn for Refuses {
        fn spawn(&self, task: Task) -> Result<(), SpawnError> {
            drop(task);
            Err(SpawnError::other("no"))
        }
    }
    let pool = Pool::builder().workers(1).build().unwrap();
    let executors: [Box<dyn Spawn>; 2] = [
        Box::new(pool.clone()),
        Box::new(FuturesSpawner(pool.clone())),
    ];
    for executor in executors {
        let group: Group = Group::builder().on(executor).build();
        group.go(|| Ok(()));
        group.go(async { Ok(()) });
        group.wait().unwrap();
    }
    fn futures_spawn<S: futures_util::task::Spawn>(_: &S) {}
    futures_spawn(&pool);
    let group: Group = Group::builder().on(Refuses).build();
    group.go(|| Ok(()));
    let _ = catch_unwind(AssertUnwindSafe(|| group.wait()));
}

#[test]
fn par_map_keeps_the_order_and_the_limit() {
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let doubled = par_map(0..100, 4, |n| {
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        yield_thread();
        now.fetch_sub(1, Ordering::SeqCst);
        n * 2
    });
    assert!(doubled.iter().copied().eq((0..100).map(|n| n * 2)));
    assert!(most.into_inner() <= 4);
    let words = ["1", "2", "x", "4"];
    let tried: Result<Vec<u8>, _> = try_par_map(&words, 2, |w| w.parse::<u8>());
    assert!(tried.is_err());
    let tried: Result<Vec<u8>, std::num::ParseIntError> =
        try_par_map(vec!["1", "2"], 2, |w| w.parse());
    assert_eq!(tried.unwrap(), [1, 2]);
    let begun = AtomicUsize::new(0);
    let stopped = try_par_map(0..100_000, 2, |n| {
        begun.fetch_add(1, Ordering::Relaxed);
        if n == 10 { Err(n) } else { Ok(n) }
    });
    assert_eq!(stopped, Err(10));
    assert!(begun.into_inner() < 100_000);
    assert!(par_map(Vec::<u8>::new(), 1, |n| n).is_empty());
}
