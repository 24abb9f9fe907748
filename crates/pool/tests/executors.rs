//! Goroutines on other executors: well-behaved ones, and any other.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use common::{pool, until, within_a_minute};
use rendez_core::goroutine;
use rendez_pool::{
    FuturesSpawner, JoinError, Pool, Spawn, SpawnError, SpawnExt, State, Task, WaitKind, dump, go,
    par_map, spawn, try_par_map, yield_now,
};
use rendez_select::bounded;

/// Keeps what it is given.
#[derive(Default)]
struct Keep(Mutex<Vec<Task>>);

impl Keep {
    fn take(&self) -> Task {
        self.0.lock().unwrap().pop().expect("a task was spawned")
    }
}

impl Spawn for Keep {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        self.0.lock().unwrap().push(task);
        Ok(())
    }
}

struct Refuse;

impl Spawn for Refuse {
    fn spawn(&self, _: Task) -> Result<(), SpawnError> {
        Err(SpawnError::other("never"))
    }
}

/// Runs each task on a thread of its own.
struct Threads;

impl Spawn for Threads {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        std::thread::spawn(|| task.run());
        Ok(())
    }
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn poll_once(task: &mut Task, waker: &Arc<Woken>) -> Poll<()> {
    let waker = Waker::from(Arc::clone(waker));
    Pin::new(task).poll(&mut Context::from_waker(&waker))
}

fn tokio_runtime(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .unwrap()
}

/// Echoes `n` bytes over a pair of tokio's sockets, one end in each of two goroutines.
fn echo_by_tokio(executor: &dyn Spawn) -> usize {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    let (port_is, port) = bounded(1);
    let server = executor.go(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        port_is.send_async(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&buffer).await.unwrap();
    });
    let client = executor.go(async move {
        let address = port.recv_async().await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.len()
    });
    server.join().unwrap();
    client.join().unwrap()
}

/// The same over `async-net`, whose sockets work on any executor.
fn echo_by_async_net(executor: &dyn Spawn) -> usize {
    use async_net::{TcpListener, TcpStream};
    use futures_lite::{AsyncReadExt, AsyncWriteExt};
    let (port_is, port) = bounded(1);
    let server = executor.go(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        port_is.send_async(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await.unwrap();
        stream.write_all(&buffer).await.unwrap();
    });
    let client = executor.go(async move {
        let address = port.recv_async().await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer.len()
    });
    server.join().unwrap();
    client.join().unwrap()
}

#[test]
fn goroutines_on_tokio_use_tokios_sockets() {
    let runtime = tokio_runtime(1);
    assert_eq!(within_a_minute(|| echo_by_tokio(runtime.handle())), 5);
}

#[test]
fn goroutines_anywhere_use_async_nets_sockets() {
    within_a_minute(|| {
        assert_eq!(echo_by_async_net(&pool(1)), 5);
        assert_eq!(echo_by_async_net(tokio_runtime(1).handle()), 5);
        let theirs = futures_executor::ThreadPoolBuilder::new()
            .pool_size(1)
            .create();
        assert_eq!(echo_by_async_net(&FuturesSpawner(theirs.unwrap())), 5);
        assert_eq!(echo_by_async_net(&FuturesSpawner(pool(1))), 5);
        assert_eq!(echo_by_async_net(&Threads), 5);
    });
}

#[test]
fn a_tokio_goroutine_and_one_of_a_pool_talk_over_a_channel() {
    let runtime = tokio_runtime(1);
    let (tx, rx) = bounded(0);
    let sender = runtime.handle().go(async move {
        for i in 0..100 {
            tx.send_async(i).await.unwrap();
            if i % 10 == 0 {
                tokio::time::sleep(Duration::from_micros(1)).await;
            }
        }
    });
    let sum = go(move || rx.iter().sum::<i32>());
    sender.join().unwrap();
    assert_eq!(sum.join().unwrap(), 4950);
}

#[test]
fn closures_on_tokio_run_where_they_may_block() {
    let runtime = tokio_runtime(1);
    let (tx, rx) = bounded::<()>(0);
    let blocked: Vec<_> = (0..4)
        .map(|_| {
            let rx = rx.clone();
            runtime.handle().go(move || {
                tokio::runtime::Handle::current();
                rx.recv().unwrap();
            })
        })
        .collect();
    // The one worker is free all the while.
    let future = runtime.handle().go(async move {
        for _ in 0..4 {
            tx.send_async(()).await.unwrap();
        }
    });
    within_a_minute(|| future.join().unwrap());
    for handle in blocked {
        handle.join().unwrap();
    }
}

#[test]
fn closures_where_there_is_no_place_for_them_have_threads() {
    let theirs = futures_executor::ThreadPoolBuilder::new()
        .pool_size(1)
        .create();
    let spawner = FuturesSpawner(theirs.unwrap());
    let (tx, rx) = bounded::<()>(0);
    let blocked = spawner.go(move || rx.recv());
    let future = spawner.go(async move { tx.send_async(()).await });
    within_a_minute(|| {
        future.join().unwrap().unwrap();
        blocked.join().unwrap().unwrap();
    });
}

#[test]
fn a_goroutine_keeps_its_identity_wherever_it_is_polled() {
    fn id() -> u64 {
        goroutine::with_current(goroutine::Goroutine::id)
    }
    let keep = Keep::default();
    let handle = keep.go(async {
        let first = id();
        yield_now().await;
        (first, id())
    });
    let mut task = keep.take();
    assert_eq!(task.id(), handle.id());
    let woken = Arc::new(Woken::default());
    assert!(poll_once(&mut task, &woken).is_pending());
    std::thread::spawn(|| task.run()).join().unwrap();
    let expected = handle.id();
    assert_eq!(handle.join().unwrap(), (expected, expected));
    assert_ne!(id(), expected);
}

#[test]
fn a_dump_shows_goroutines_on_other_executors_from_start_to_end() {
    let find = |id| dump().goroutines().find(|g| g.id == id).cloned();
    let (tx, rx) = bounded::<u8>(0);
    let keep = Keep::default();
    let handle = spawn()
        .name("lent")
        .on(&keep)
        .go(async move { rx.recv_async().await });
    let id = handle.id();
    let seen = find(id).unwrap();
    assert_eq!(
        (seen.name.as_deref(), seen.state),
        (Some("lent"), State::Runnable)
    );
    let mut task = keep.take();
    assert!(poll_once(&mut task, &Arc::default()).is_pending());
    let text = find(id).unwrap().to_string();
    assert!(text.contains("'lent' [chan receive at "), "{text}");
    assert!(text.contains("executors.rs:"), "{text}");
    assert!(text.contains(", 0.0 s]"), "{text}");
    drop(tx);
    assert_eq!(find(id).unwrap().state, State::Runnable);
    task.run();
    assert!(find(id).is_none());
    assert!(handle.join().unwrap().is_err());

    let runtime = tokio_runtime(1);
    let (tx, rx) = bounded::<u8>(0);
    let handles = [
        SpawnExt::go(runtime.handle(), {
            let rx = rx.clone();
            async move { rx.recv_async().await }
        }),
        SpawnExt::go(runtime.handle(), move || rx.recv()),
    ];
    for handle in &handles {
        until(|| {
            let seen = find(handle.id()).unwrap();
            matches!(
                seen.state,
                State::Waiting {
                    kind: WaitKind::Receive,
                    ..
                }
            )
        });
    }
    drop(tx);
    for handle in handles {
        let id = handle.id();
        assert!(handle.join().unwrap().is_err());
        until(|| find(id).is_none());
    }
    // One that is refused was never there.
    let refused = Refuse.go(async {});
    assert!(find(refused.id()).is_none());
}

#[test]
fn a_task_is_run_only_when_it_was_woken_and_wakes_its_latest_waker() {
    let keep = Keep::default();
    let (tx, rx) = bounded(1);
    let handle = keep.go(async move {
        yield_now().await;
        rx.recv_async().await.unwrap()
    });
    let mut task = keep.take();
    let (first, second) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
    assert!(poll_once(&mut task, &first).is_pending());
    assert_eq!(first.0.load(Ordering::SeqCst), 1, "it has yielded");
    for _ in 0..3 {
        assert!(poll_once(&mut task, &first).is_pending());
        assert!(poll_once(&mut task, &second).is_pending());
    }
    tx.send(7).unwrap();
    assert_eq!(second.0.load(Ordering::SeqCst), 1);
    assert_eq!(first.0.load(Ordering::SeqCst), 1);
    assert!(poll_once(&mut task, &second).is_ready());
    assert!(
        poll_once(&mut task, &second).is_ready(),
        "its end is told again"
    );
    assert_eq!(handle.join().unwrap(), 7);
}

#[test]
fn a_panic_is_carried_to_the_handle_and_not_to_the_executor() {
    let keep = Keep::default();
    let closure = keep.go(|| panic!("closure"));
    keep.take().run();
    let future = keep.go(async { panic!("future") });
    keep.take().run();
    let message = |e: JoinError| *e.into_panic().downcast::<&str>().unwrap();
    assert_eq!(message(closure.join().unwrap_err()), "closure");
    assert_eq!(message(future.join().unwrap_err()), "future");
}

#[test]
fn a_refused_goroutine_is_cancelled_and_its_body_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let body = OnDrop(move || _ = count.fetch_add(1, Ordering::SeqCst));
    let handle = Refuse.go(move || drop(body));
    assert_eq!(dropped.load(Ordering::SeqCst), 1);
    assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    assert!(matches!(
        Refuse.scope(|s| s.go(async {}).join()),
        Err(JoinError::Cancelled)
    ));
}

#[test]
fn a_task_dropped_at_any_point_cancels_its_goroutine() {
    for polls in 0..4 {
        let keep = Keep::default();
        let ended = AtomicUsize::new(0);
        keep.scope(|s| {
            let handle = s.go(async {
                let _body = OnDrop(|| _ = ended.fetch_add(1, Ordering::SeqCst));
                for _ in 0..2 {
                    yield_now().await;
                }
            });
            let mut task = keep.take();
            let woken = Arc::new(Woken::default());
            for _ in 0..polls {
                let _ = poll_once(&mut task, &woken);
            }
            drop(task);
            match handle.join() {
                Ok(()) => assert_eq!(polls, 3),
                Err(JoinError::Cancelled) => assert!(polls < 3),
                Err(e) => e.resume(),
            }
        });
        assert_eq!(ended.into_inner(), usize::from(polls > 0));
    }
}

#[test]
fn a_waker_that_outlives_its_task_is_harmless() {
    let keep = Keep::default();
    let kept = Arc::new(Mutex::new(None::<Waker>));
    let leak = Arc::clone(&kept);
    let handle = keep.go(std::future::poll_fn(move |cx| {
        *leak.lock().unwrap() = Some(cx.waker().clone());
        Poll::<()>::Pending
    }));
    let mut task = keep.take();
    let woken = Arc::new(Woken::default());
    let _ = poll_once(&mut task, &woken);
    drop(task);
    let waker = kept.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    waker.wake();
    assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
}

#[test]
fn a_leaked_task_never_ends_and_its_handle_says_so() {
    let keep = Keep::default();
    let handle = keep.go(async {});
    std::mem::forget(keep.take());
    handle.cancel();
    assert!(!handle.is_finished());
}

#[test]
fn cancel_wakes_a_foreign_goroutine_to_its_end() {
    let runtime = tokio_runtime(1);
    let handle = runtime.handle().go(std::future::pending::<()>());
    handle.cancel();
    assert!(matches!(
        within_a_minute(|| handle.join()),
        Err(JoinError::Cancelled)
    ));
}

#[test]
fn goroutines_of_a_runtime_that_shuts_down_are_cancelled() {
    let runtime = tokio_runtime(1);
    let handle = runtime.handle().clone();
    let (tx, rx) = bounded::<()>(0);
    let waiting = handle.go(async move { rx.recv_async().await });
    runtime.shutdown_background();
    within_a_minute(|| {
        assert!(matches!(waiting.join(), Err(JoinError::Cancelled)));
        assert!(matches!(
            handle.go(async {}).join(),
            Err(JoinError::Cancelled)
        ));
        assert!(matches!(handle.go(|| ()).join(), Err(JoinError::Cancelled)));
    });
    drop(tx);
}

#[test]
fn the_body_is_gone_before_a_foreign_scope_ends() {
    let runtime = tokio_runtime(2);
    within_a_minute(|| {
        for _ in 0..200 {
            let live = AtomicUsize::new(0);
            runtime.handle().scope(|s| {
                for _ in 0..4 {
                    s.go(async {
                        live.fetch_add(1, Ordering::SeqCst);
                        let _body = OnDrop(|| _ = live.fetch_sub(1, Ordering::SeqCst));
                        tokio::task::yield_now().await;
                    });
                    s.go(|| {
                        live.fetch_add(1, Ordering::SeqCst);
                        live.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
            assert_eq!(live.into_inner(), 0);
        }
    });
}

#[test]
fn a_foreign_scope_resumes_the_first_panic_after_all_have_ended() {
    let runtime = tokio_runtime(2);
    let ended = AtomicUsize::new(0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        runtime.handle().scope(|s| {
            s.go(async { panic!("one") });
            s.go(async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                ended.fetch_add(1, Ordering::SeqCst)
            });
        })
    }));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "one");
    assert_eq!(ended.into_inner(), 1);
}

#[test]
fn a_pool_runs_the_tasks_of_others() {
    /// Hides that it is a pool.
    struct Hidden(Pool);
    impl Spawn for Hidden {
        fn spawn(&self, task: Task) -> Result<(), SpawnError> {
            self.0.spawn(task)
        }
    }
    let hidden = Hidden(pool(1));
    assert_eq!(hidden.go(|| 1).join().unwrap(), 1);
    let future = async {
        yield_now().await;
        2
    };
    assert_eq!(hidden.go(future).join().unwrap(), 2);
    hidden.0.shutdown();
    assert!(matches!(hidden.go(|| 1).join(), Err(JoinError::Cancelled)));
}

#[test]
fn a_pool_is_a_spawn_of_the_futures_crates() {
    use futures_task::Spawn as _;
    let pool = pool(1);
    let (tx, rx) = bounded(1);
    let future = Box::new(async move { tx.send_async(3).await.unwrap() });
    pool.spawn_obj(future.into()).unwrap();
    assert_eq!(rx.recv(), Ok(3));
    pool.shutdown();
    let refused = pool.spawn_obj(Box::new(async {}).into());
    assert!(refused.unwrap_err().is_shutdown());
}

#[test]
fn a_spawner_may_be_borrowed_boxed_or_shared() {
    let shared: Arc<dyn Spawn> = Arc::new(Threads);
    let boxed: Box<dyn Spawn> = Box::new(pool(1));
    assert_eq!(shared.go(|| 1).join().unwrap(), 1);
    assert_eq!(boxed.go(|| 2).join().unwrap(), 2);
    assert_eq!(boxed.scope(|s| s.go(|| 3).join().unwrap()), 3);
    // Unsized too.
    let unsized_ones: [&dyn Spawn; 2] = [&Threads, &*boxed];
    for executor in unsized_ones {
        assert_eq!(executor.go(|| 4).join().unwrap(), 4);
        let mut n = 4;
        executor.scope(|s| {
            s.go(|| n += 1);
        });
        assert_eq!(n, 5);
    }
    // Through all of that a pool is known for what it is.
    let seen = boxed.go(rendez_pool::num_goroutines).join().unwrap();
    assert_eq!(seen, 1);
}

#[test]
fn par_map_keeps_the_order_and_the_limit() {
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let doubled = par_map(0..1000, 3, |i| {
        let n = running.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(n, Ordering::SeqCst);
        if i % 100 == 0 {
            std::thread::yield_now();
        }
        running.fetch_sub(1, Ordering::SeqCst);
        2 * i
    });
    assert_eq!(doubled, (0..1000).map(|i| 2 * i).collect::<Vec<_>>());
    assert!(most.into_inner() <= 3);
}

#[test]
fn par_map_takes_any_limit_and_no_items() {
    for limit in [0, 1, usize::MAX] {
        assert_eq!(par_map([1, 2, 3], limit, |i| i + 1), [2, 3, 4]);
        assert_eq!(par_map(Vec::<u8>::new(), limit, |i| i), []);
    }
}

#[test]
fn par_map_maps_in_parallel() {
    let (tx, rx) = bounded(0);
    // Each end needs the other.
    let ends = par_map([true, false], 2, |sends| {
        if sends {
            tx.send(5).map_or(0, |()| 5)
        } else {
            rx.recv().unwrap()
        }
    });
    assert_eq!(ends, [5, 5]);
}

#[test]
fn par_map_nests_on_a_pool_of_one_worker() {
    let pool = pool(1);
    let sums = pool.go(|| par_map(0..8, 4, |i| par_map(0..8, 4, |j| i * j).iter().sum::<i32>()));
    let sums = within_a_minute(|| sums.join().unwrap());
    assert_eq!(sums, (0..8).map(|i| 28 * i).collect::<Vec<_>>());
}

#[test]
fn a_panic_in_par_map_is_resumed_and_begins_nothing_more() {
    let begun = AtomicUsize::new(0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        par_map(0..1000, 1, |i| {
            begun.fetch_add(1, Ordering::SeqCst);
            assert!(i < 3, "too many");
        })
    }));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "too many");
    assert_eq!(begun.into_inner(), 4);
}

#[test]
fn try_par_map_stops_at_the_first_error_and_drops_what_it_has() {
    let live = Arc::new(AtomicUsize::new(0));
    struct Live(Arc<AtomicUsize>);
    impl Drop for Live {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let begun = AtomicUsize::new(0);
    let items = (0..1000).map(|i| {
        live.fetch_add(1, Ordering::SeqCst);
        (i, Live(Arc::clone(&live)))
    });
    let result = try_par_map(items, 1, |(i, live)| {
        begun.fetch_add(1, Ordering::SeqCst);
        if i == 5 { Err("five") } else { Ok(live) }
    });
    assert_eq!(result.map(|_| ()).unwrap_err(), "five");
    assert_eq!(begun.into_inner(), 6);
    assert_eq!(live.load(Ordering::SeqCst), 0);
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) % n
    }
}

/// Drops, refuses, polls for nothing or too late, hands from thread to thread: whatever an
/// executor can do but leak.
struct Whimsical(Mutex<Random>);

impl Spawn for Whimsical {
    fn spawn(&self, mut task: Task) -> Result<(), SpawnError> {
        let (kind, polls) = {
            let mut random = self.0.lock().unwrap();
            (random.below(6), random.below(4))
        };
        match kind {
            0 => return Err(SpawnError::Shutdown),
            1 => return Ok(()),
            _ => {}
        }
        std::thread::spawn(move || {
            let woken = Arc::new(Woken::default());
            for _ in 0..polls {
                let _ = poll_once(&mut task, &woken);
                std::thread::yield_now();
            }
            match kind {
                2 => drop(task),
                3 => std::thread::spawn(|| task.run()).join().unwrap(),
                _ => task.run(),
            }
        });
        Ok(())
    }
}

#[test]
fn scopes_end_whatever_the_executor_does() {
    let seconds = std::env::var("RENDEZ_STRESS_SECONDS").map_or(1, |s| s.parse().unwrap());
    let given = std::env::var("RENDEZ_STRESS_SEED").ok();
    let clock = || {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        now.as_nanos() as u64 | 1
    };
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut seed = given.as_ref().map_or_else(clock, |s| s.parse().unwrap());
    loop {
        println!("RENDEZ_STRESS_SEED={seed}");
        let executor = Whimsical(Mutex::new(Random(seed)));
        let live = AtomicUsize::new(0);
        let (ended, cancelled) = within_a_minute(|| {
            executor.scope(|s| {
                let (tx, rx) = bounded(1);
                let handles: Vec<_> = (0..20)
                    .map(|i| {
                        let (tx, rx, live) = (tx.clone(), rx.clone(), &live);
                        live.fetch_add(1, Ordering::SeqCst);
                        let body = OnDrop(move || _ = live.fetch_sub(1, Ordering::SeqCst));
                        let handle = s.go(async move {
                            let _body = body;
                            for _ in 0..3 {
                                yield_now().await;
                                let _ = tx.try_send(i);
                                let _ = rx.try_recv();
                            }
                        });
                        if i % 7 == 0 {
                            handle.cancel();
                        }
                        handle
                    })
                    .collect();
                let (mut ended, mut cancelled) = (0, 0);
                for handle in handles {
                    match handle.join() {
                        Ok(()) => ended += 1,
                        Err(JoinError::Cancelled) => cancelled += 1,
                        Err(e) => e.resume(),
                    }
                }
                (ended, cancelled)
            })
        });
        assert_eq!(ended + cancelled, 20);
        assert_eq!(live.into_inner(), 0, "a body outlived its scope");
        if given.is_some() || Instant::now() >= until {
            break;
        }
        seed = clock();
    }
}

#[test]
fn shutting_a_pool_down_waits_for_the_tasks_it_was_lent() {
    let mine = pool(1);
    let lent = FuturesSpawner(mine.clone());
    let (tx, rx) = bounded::<()>(0);
    let handle = lent.go(async move { rx.recv_async().await });
    until(|| mine.num_goroutines() == 1);
    drop(tx);
    mine.shutdown();
    assert!(handle.is_finished());
}

/// Drops a task of another executor's goroutine, and then does not return before it is told to.
struct Stays(Option<Task>, std::sync::mpsc::Receiver<()>);

impl Drop for Stays {
    fn drop(&mut self) {
        drop(self.0.take());
        self.1.recv().expect("who awaited the task's end runs");
    }
}

#[test]
fn who_awaits_a_task_runs_while_a_drop_that_ended_it_goes_on() {
    within_a_minute(|| {
        let (keep, pool) = (Keep::default(), pool(1));
        let handle = keep.go(async {});
        let (woken, is_woken) = std::sync::mpsc::channel();
        let awaits = pool.go(async move {
            assert!(matches!(handle.await, Err(JoinError::Cancelled)));
            woken.send(()).expect("somebody listens");
        });
        until(|| pool.metrics().waiting == 1);
        let stays = Stays(Some(keep.take()), is_woken);
        // Dropped after its goroutine's last turn.
        let ends = pool.go(async move {
            let _stays = &stays;
            std::future::pending::<()>().await;
        });
        until(|| pool.metrics().waiting == 2);
        ends.cancel();
        awaits.join().unwrap();
        assert!(matches!(ends.join(), Err(JoinError::Cancelled)));
    });
}

#[test]
fn a_workers_thread_outlives_the_wakers_and_payloads_that_panic() {
    /// Panics when it wakes, and with what panics when it is dropped.
    #[derive(Default)]
    struct Panics(AtomicUsize);
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
            std::panic::panic_any(OnDrop(|| panic!("a payload is dropped")));
        }
    }
    within_a_minute(|| {
        let pool = pool(1);
        let keep = Keep::default();
        let (tx, rx) = bounded::<()>(0);
        let ours = pool.go(async move { rx.recv_async().await });
        let theirs = keep.go(async move { ours.await.is_ok() });
        let mut task = keep.take();
        let panics = Arc::new(Panics::default());
        let waker = Waker::from(Arc::clone(&panics));
        assert!(
            Pin::new(&mut task)
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        );
        // A goroutine of the pool ends, and wakes the task.
        drop(tx);
        until(|| panics.0.load(Ordering::SeqCst) == 1);
        assert_eq!(pool.go(async { 1 }).join().unwrap(), 1);
        task.run();
        assert!(theirs.join().unwrap());
    });
}
