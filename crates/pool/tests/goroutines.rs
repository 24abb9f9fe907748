//! Starting, joining, cancelling and losing goroutines.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use common::{pool, until, within_a_minute};
use rendez_pool::{JoinError, Pool, block_on, go, num_goroutines, spawn, yield_now};
use rendez_select::{bounded, never, select, select_async};

#[test]
fn closures_and_futures_give_their_results() {
    assert_eq!(go(|| 1).join().unwrap(), 1);
    assert_eq!(go(async { 2 }).join().unwrap(), 2);
    let boxed: Box<dyn FnOnce() -> i32 + Send> = Box::new(|| 3);
    assert_eq!(go(boxed).join().unwrap(), 3);
    assert_eq!(go(std::future::ready(4)).join().unwrap(), 4);
}

#[test]
fn a_handle_is_awaited_by_value_by_reference_and_by_join_async() {
    let sum = block_on(async {
        let a = go(|| 1).await.unwrap();
        let mut handle = go(async { 2 });
        let b = (&mut handle).await.unwrap();
        a + b + go(|| 3).join_async().await.unwrap()
    });
    assert_eq!(sum, 6);
}

#[test]
fn a_panic_is_carried_to_the_join() {
    let error = go(|| -> () { panic!("closure") }).join().unwrap_err();
    assert_eq!(error.to_string(), "goroutine panicked: closure");
    let error = go(async { std::panic::panic_any(7_u8) }).join();
    match error {
        Err(JoinError::Panicked(payload)) => assert_eq!(*payload.downcast::<u8>().unwrap(), 7),
        other => panic!("{other:?}"),
    }
    // The workers are still there.
    assert_eq!(go(|| 1).join().unwrap(), 1);
}

#[test]
fn going_on_with_a_panic_that_was_none_names_the_caller() {
    let (tx, rx) = mpsc::channel();
    let mine = std::thread::current().id();
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == mine {
            let _ = tx.send(info.location().map(|at| (at.file().to_owned(), at.line())));
        } else {
            others(info);
        }
    }));
    let handle = go(std::future::pending::<()>());
    handle.cancel();
    let cancelled = handle.join().unwrap_err();
    let (line, resume) = (line!(), move || cancelled.resume());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(resume)).is_err());
    assert_eq!(rx.recv().unwrap(), Some((file!().to_owned(), line)));
}

#[test]
fn a_panic_nobody_joins_goes_to_the_hook() {
    let (tx, rx) = mpsc::channel();
    let pool = Pool::builder()
        .workers(1)
        .on_panic(move |goroutine, payload| {
            let name = goroutine.name().map(str::to_owned);
            tx.send((name, *payload.downcast::<&str>().unwrap()))
                .unwrap();
        })
        .build()
        .unwrap();
    drop(pool.go(|| panic!("at work")));
    assert_eq!(rx.recv().unwrap(), (None, "at work"));
    // Dropped after its end: found then.
    let handle = pool.go(|| panic!("before"));
    until(|| handle.is_finished());
    drop(handle);
    assert_eq!(rx.recv().unwrap(), (None, "before"));
}

#[test]
fn a_panic_of_a_drop_is_the_goroutines_own() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let bomb = Bomb;
    let future = async move {
        let _bomb = bomb;
        1
    };
    assert!(matches!(go(future).join(), Err(JoinError::Panicked(_))));
    // A result that explodes when nobody takes it harms no worker.
    drop(go(|| Bomb));
    assert_eq!(go(|| 1).join().unwrap(), 1);
}

#[test]
fn no_panic_wherever_it_happens_costs_a_worker() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    within_a_minute(|| {
        let told = Arc::new(AtomicUsize::new(0));
        let hook = Arc::clone(&told);
        let pool = Pool::builder()
            .workers(1)
            .on_panic(move |_, payload| {
                hook.fetch_add(1, Ordering::SeqCst);
                // Dropping some payloads panics; the hook does so itself in any case.
                drop(payload);
                panic!("in the hook");
            })
            .build()
            .unwrap();
        let still_works = |n| {
            assert_eq!(pool.go(|| 1).join().unwrap(), 1);
            assert_eq!(pool.go(async { 2 }).join().unwrap(), 2);
            // A panic that is slow to print has its worker replaced, so it may be told late.
            until(|| told.load(Ordering::SeqCst) >= n);
            assert_eq!(told.load(Ordering::SeqCst), n);
        };
        // In the hook, in the drop of the payload, for both kinds.
        drop(pool.go(|| panic!("one")));
        drop(pool.go(async { panic!("two") }));
        drop(pool.go(|| std::panic::panic_any(Bomb)));
        still_works(3);
        // In the drop of a result: on the worker, and in the drop of the handle.
        drop(pool.go(|| Bomb));
        let handle = pool.go(|| Bomb);
        until(|| handle.is_finished());
        drop(handle);
        still_works(3);
        // In the drop of what never ran, or is cancelled while it is parked.
        let bomb = Bomb;
        let parked = pool.go(async move {
            std::future::pending::<()>().await;
            drop(bomb);
        });
        parked.cancel();
        assert!(matches!(parked.join(), Err(JoinError::Panicked(_))));
        let bomb = Bomb;
        let blocked = pool.go(|| std::thread::sleep(std::time::Duration::from_millis(5)));
        let never = pool.go(move || drop(bomb));
        never.cancel();
        drop(never);
        blocked.join().unwrap();
        until(|| pool.num_goroutines() == 0);
        still_works(4);
        pool.shutdown();
        assert_eq!(pool.num_threads(), 0);
    });
}

#[test]
fn cancel_drops_a_parked_future() {
    let (tx, rx) = bounded::<u8>(0);
    let handle = go(async move { rx.recv_async().await });
    handle.cancel();
    assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
    until(|| tx.is_closed());
}

#[test]
fn cancel_leaves_a_running_closure_alone() {
    let (started, is_started) = bounded(0);
    let (finish, may_finish) = bounded::<()>(0);
    let handle = go(move || {
        started.send(()).unwrap();
        may_finish.recv().unwrap();
        5
    });
    is_started.recv().unwrap();
    handle.cancel();
    finish.send(()).unwrap();
    assert_eq!(handle.join().unwrap(), 5);
}

#[test]
fn dropping_a_handle_detaches() {
    let (tx, rx) = bounded(0);
    drop(go(async move { tx.send_async(1).await }));
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn a_handle_is_an_arm_that_gives_once() {
    let handle = go(|| 9);
    let got = select! {
        recv(handle) -> result => result.unwrap(),
        recv(never::<u8>()) -> _ => unreachable!(),
    };
    assert_eq!(got, 9);
    let again = select! {
        recv(&handle) -> _ => true,
        default => false,
    };
    assert!(!again, "never ready again");
    assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
}

#[test]
fn a_handle_is_an_arm_of_an_async_select() {
    let (tx, rx) = bounded::<u8>(0);
    let handle = go(async move { rx.recv_async().await.unwrap() });
    let waiter = go(async move {
        select_async! {
            recv(handle) -> result => result.unwrap(),
            recv(never::<u8>()) -> _ => unreachable!(),
        }
    });
    tx.send(4).unwrap();
    assert_eq!(waiter.join().unwrap(), 4);
}

#[test]
fn a_losing_select_leaves_the_result_to_the_join() {
    let (tx, rx) = bounded(1);
    let (finish, may_finish) = bounded::<()>(0);
    let handle = go(move || may_finish.recv().is_ok());
    tx.send(()).unwrap();
    select! {
        recv(handle) -> _ => unreachable!(),
        recv(rx) -> _ => {}
    }
    finish.send(()).unwrap();
    assert!(handle.join().unwrap());
}

#[test]
fn a_goroutine_has_an_id_a_name_and_labels() {
    let a = spawn().name("fetch").label("host", "x").go(|| ());
    let b = go(|| ());
    assert_ne!(a.id(), b.id());
    assert_eq!((a.name(), b.name()), (Some("fetch"), None));
    assert!(format!("{a:?}").contains("fetch"));
    a.join().unwrap();
    b.join().unwrap();
}

#[test]
fn goroutines_are_counted_until_they_end() {
    let pool = pool(2);
    let (finish, may_finish) = bounded::<()>(0);
    let handles: Vec<_> = (0..5)
        .map(|_| {
            let may_finish = may_finish.clone();
            pool.go(async move { may_finish.recv_async().await.is_err() })
        })
        .collect();
    assert_eq!(pool.num_goroutines(), 5);
    assert_eq!(pool.go(num_goroutines).join().unwrap(), 6);
    drop(finish);
    for handle in handles {
        assert!(handle.join().unwrap());
    }
    assert_eq!(pool.num_goroutines(), 0);
}

#[test]
fn yielding_lets_others_run_on_a_single_worker() {
    within_a_minute(|| {
        let pool = pool(1);
        let turn = Arc::new(AtomicUsize::new(0));
        let spin = |me: usize| {
            let turn = Arc::clone(&turn);
            async move {
                for round in 0..100 {
                    while turn.load(Ordering::SeqCst) != 2 * round + me {
                        yield_now().await;
                    }
                    turn.fetch_add(1, Ordering::SeqCst);
                }
            }
        };
        let (a, b) = (pool.go(spin(0)), pool.go(spin(1)));
        a.join().unwrap();
        b.join().unwrap();
    });
}

#[test]
fn a_ping_ponging_pair_starves_nobody() {
    within_a_minute(|| {
        let pool = pool(1);
        let (ping_tx, ping_rx) = bounded::<()>(0);
        let (pong_tx, pong_rx) = bounded::<()>(0);
        let ping = pool.go(async move {
            while ping_tx.send_async(()).await.is_ok() && pong_rx.recv_async().await.is_ok() {}
        });
        let pong = pool.go(async move {
            while ping_rx.recv_async().await.is_ok() && pong_tx.send_async(()).await.is_ok() {}
        });
        let (tx, rx) = bounded(0);
        let bystander = pool.go(async move {
            for i in 0..100 {
                yield_now().await;
                tx.send_async(i).await.unwrap();
            }
        });
        assert_eq!(rx.iter().count(), 100);
        bystander.join().unwrap();
        ping.cancel();
        let _ = (ping.join(), pong.join());
    });
}

#[test]
fn a_future_that_nobody_can_wake_is_dropped_with_its_handle() {
    let pool = pool(1);
    let (tx, rx) = bounded::<u8>(0);
    let handle = pool.go(async move {
        let _rx = rx;
        std::future::pending::<()>().await;
    });
    pool.go(|| ()).join().unwrap();
    drop(handle);
    until(|| tx.is_closed());
    until(|| pool.num_goroutines() == 0);
}

#[test]
fn work_is_shared_by_all_workers() {
    within_a_minute(|| {
        let pool = pool(2);
        let (a_tx, a_rx) = std::sync::mpsc::channel::<()>();
        let (b_tx, b_rx) = std::sync::mpsc::channel::<()>();
        // Each waits for the other without any of our primitives: only two workers at the
        // same time can finish.
        let outer = pool.go(async move {
            let meet = |tx: mpsc::Sender<()>, rx: mpsc::Receiver<()>| {
                move || {
                    tx.send(()).unwrap();
                    rx.recv().unwrap();
                }
            };
            let a = go(meet(a_tx, b_rx));
            let b = go(meet(b_tx, a_rx));
            a.await.unwrap();
            b.await.unwrap();
        });
        outer.join().unwrap();
    });
}

#[test]
fn goroutines_that_block_on_starts_run_on_its_pool() {
    let pool = rendez_pool::Pool::builder()
        .workers(1)
        .thread_name("entered")
        .build()
        .unwrap();
    let name = || std::thread::current().name().map(str::to_owned);
    let names = pool.block_on(async {
        (
            rendez_pool::go(name).await.unwrap(),
            rendez_pool::spawn().go(name).await.unwrap(),
        )
    });
    assert_eq!(names.0.as_deref(), Some("entered-0"));
    assert_eq!(names.1.as_deref(), Some("entered-0"));
}
