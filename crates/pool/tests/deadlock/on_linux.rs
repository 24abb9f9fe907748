//! A test's own harness has threads that might wake anyone, so each program runs in a process
//! of its own: this test's, started again, in which the program runs before there is any test.
#![allow(clippy::await_holding_lock)] // ours may be held there

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::{Program, Run, ran};
use rendez_pool::{Pool, go, spawn};
use rendez_select::{after, bounded, select, unbounded};
use rendez_sync::{Barrier, Mutex};
use rendez_waitgroup::WaitGroup;

fn stuck() {
    let (tx, rx) = bounded::<u8>(0);
    let keep = tx.clone();
    let a = spawn().name("reader").go(move || rx.recv());
    let _ = a.join();
    drop(keep);
}

fn stuck_after_a_while() {
    let (tx, rx) = bounded::<u8>(0);
    let handle = go(async move { rx.recv_async().await });
    // Any thread that runs might wake it, until then.
    std::thread::sleep(Duration::from_millis(500));
    eprintln!("main joins");
    let _ = handle.join();
    drop(tx);
}

fn waits_for_a_thread() {
    let (tx, rx) = bounded::<u8>(0);
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        tx.send(1).unwrap();
    });
    assert_eq!(go(move || rx.recv()).join().unwrap(), Ok(1));
}

fn waits_for_time() {
    let (_tx, rx) = bounded::<u8>(0);
    let blocked = go(move || {
        select! {
            recv(rx) -> _ => {}
            recv(after(Duration::from_millis(700))) -> _ => {}
        }
    });
    let awaits = go(async { after(Duration::from_millis(700)).recv_async().await });
    blocked.join().unwrap();
    awaits.join().unwrap().unwrap();
}

fn passes_tokens() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (ping, pong) = (bounded::<u32>(0), bounded::<u32>(0));
    let (rx, tx) = (ping.1, pong.0);
    let echo = pool.go(move || rx.iter().try_for_each(|n| tx.send(n)));
    let until = Instant::now() + Duration::from_millis(700);
    let mut n = 0;
    while Instant::now() < until {
        ping.0.send(n).unwrap();
        assert_eq!(pong.1.recv(), Ok(n));
        n += 1;
    }
    drop(ping.0);
    echo.join().unwrap().unwrap();
}

/// Nobody knows what another thread of the process will do.
fn waits_beside_a_thread_that_is_not_ours() {
    let (tx, rx) = bounded::<u8>(0);
    std::thread::spawn(move || {
        loop {
            std::thread::park();
            let _ = &tx;
        }
    });
    let _ = go(move || rx.recv()).join();
}

fn waits_for_input() {
    let (_tx, rx) = bounded::<u8>(0);
    drop(go(move || rx.recv()));
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn waits_for_an_async_net_socket() {
    let handle = go(async {
        let listener = async_net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.accept().await.map(drop)
    });
    let _ = handle.join();
}

fn waits_for_a_tokio_socket() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let entered = runtime.enter();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    drop(entered);
    let _ = go(async move { listener.accept().await.map(drop) }).join();
}

fn a_goroutine_computes_for_threads_that_wait() {
    let (tx, rx) = bounded::<u8>(0);
    let thread = std::thread::spawn(move || rx.recv());
    drop(go(move || {
        std::thread::sleep(Duration::from_millis(700));
        tx.send(1)
    }));
    let waits = go(move || thread.join().unwrap());
    assert_eq!(waits.join().unwrap(), Ok(1));
}

/// Two locks, taken in both orders.
fn locks_in_both_orders() {
    let locks = Arc::new((Mutex::new(1), Mutex::new(2)));
    let both = Arc::new(Barrier::new(2));
    let (theirs, met) = (Arc::clone(&locks), Arc::clone(&both));
    let ab = go(async move {
        let _a = theirs.0.lock_async().await;
        met.wait_async().await;
        drop(theirs.1.lock_async().await);
    });
    let ba = go(move || {
        let _b = locks.1.lock();
        both.wait();
        drop(locks.0.lock());
    });
    let _ = (ab.join(), ba.join());
}

/// Threads of the program's own that wait in our primitives wake nobody.
fn stuck_with_a_thread_and_two_pools() {
    let wg = WaitGroup::new();
    wg.add(1);
    let theirs = wg.clone();
    std::thread::spawn(move || theirs.wait());
    let other = Pool::builder().workers(3).build().unwrap();
    let theirs = wg.clone();
    let task = other.go(async move { theirs.wait_async().await });
    let _ = spawn().own_thread().go(move || task.join()).join();
}

/// The hook brings it to life again, and it comes to a stand again.
fn told_once() {
    let (wake, woken) = unbounded::<u8>();
    let pool = Pool::builder()
        .workers(2)
        .on_deadlock(move |dump| {
            eprintln!("told of {}", dump.goroutines().len());
            wake.send(1).unwrap();
        })
        .build()
        .unwrap();
    let handle = pool.go(move || {
        woken.recv().unwrap();
        eprintln!("woken");
        woken.recv()
    });
    let _ = handle.join();
}

/// Panics where the monitor drops it.
struct Panics;

impl Drop for Panics {
    fn drop(&mut self) {
        let thread = std::thread::current();
        assert!(thread.name() != Some("rendez-monitor"), "dropped");
    }
}

/// Whether a goroutine that waits behind one that is stuck gets another thread.
fn is_monitored() -> bool {
    let pool = Pool::builder().workers(1).build().unwrap();
    let (tx, rx) = std::sync::mpsc::channel();
    let stuck = pool.go(move || rx.recv());
    pool.go(move || tx.send(1).is_ok()).join().unwrap() && stuck.join().unwrap().is_ok()
}

/// The monitor tells a pool's hook, which panics with what panics when it is dropped.
fn a_hook_panics_with_what_panics() {
    let (wake, woken) = bounded::<u8>(1);
    let pool = Pool::builder()
        .workers(1)
        .on_deadlock(move |_| {
            wake.send(1).unwrap();
            std::panic::panic_any(Panics);
        })
        .build()
        .unwrap();
    let _ = pool.go(move || woken.recv()).join();
    eprintln!("monitored: {}", is_monitored());
}

/// The monitor is the last to let a pool go, and so drops its hooks.
fn the_monitor_drops_a_hook_that_panics() {
    thread_local! {
        static AT_END: std::cell::RefCell<Option<std::sync::mpsc::Sender<()>>> =
            const { std::cell::RefCell::new(None) };
    }
    let (wake, woken) = bounded::<u8>(1);
    let (thread, thread_ended) = std::sync::mpsc::channel::<()>();
    let (main, main_ended) = std::sync::mpsc::channel::<()>();
    let ended = std::sync::Mutex::new((thread_ended, main_ended));
    let hooks = (Panics, Panics);
    let pool = Pool::builder()
        .workers(1)
        .on_panic(move |_, _| _ = &hooks.0)
        .on_deadlock(move |_| {
            _ = &hooks.1;
            wake.send(1).unwrap();
            let ended = ended.lock().unwrap();
            ended.0.recv().unwrap_err();
            ended.1.recv().unwrap_err();
        })
        .build()
        .unwrap();
    let handle = pool.go(move || {
        AT_END.set(Some(thread));
        woken.recv()
    });
    drop(pool);
    let _ = handle.join();
    drop(main);
    eprintln!("monitored: {}", is_monitored());
}

const PANIC: &[Program] = &[
    (
        "a_hook_panics_with_what_panics",
        a_hook_panics_with_what_panics,
    ),
    (
        "the_monitor_drops_a_hook_that_panics",
        the_monitor_drops_a_hook_that_panics,
    ),
];

const STUCK: &[Program] = &[
    ("stuck", stuck),
    ("stuck_after_a_while", stuck_after_a_while),
    ("locks_in_both_orders", locks_in_both_orders),
    (
        "stuck_with_a_thread_and_two_pools",
        stuck_with_a_thread_and_two_pools,
    ),
    ("told_once", told_once),
];

const ENDS: &[Program] = &[
    ("waits_for_a_thread", waits_for_a_thread),
    ("waits_for_time", waits_for_time),
    ("passes_tokens", passes_tokens),
    (
        "a_goroutine_computes_for_threads_that_wait",
        a_goroutine_computes_for_threads_that_wait,
    ),
];

const WAITS: &[Program] = &[
    (
        "waits_beside_a_thread_that_is_not_ours",
        waits_beside_a_thread_that_is_not_ours,
    ),
    ("waits_for_input", waits_for_input),
    (
        "waits_for_an_async_net_socket",
        waits_for_an_async_net_socket,
    ),
    ("waits_for_a_tokio_socket", waits_for_a_tokio_socket),
];

/// Runs a program until it has reported that it stands still.
fn run(name: &str) -> String {
    let run = Run {
        kill_after: Some("started at"),
        ..Run::default()
    };
    run.run(name).0
}

pub(super) fn main() {
    if ran(&[PANIC, STUCK, ENDS, WAITS].concat()) {
        return;
    }
    let text = run("stuck");
    let expected = "rendez: all goroutines are asleep - deadlock!\n\ngoroutine ";
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("'reader' [chan receive at "), "{text}");
    assert!(text.contains("on_linux.rs:"), "{text}");
    let text = run("stuck_after_a_while");
    assert!(
        text.starts_with(&format!("main joins\n{expected}")),
        "{text}"
    );
    let text = run("locks_in_both_orders");
    // Where locks look out for it (`deadlock-detect`), their word comes first.
    assert!(text.contains(expected), "{text}");
    assert_eq!(text.matches("[lock at ").count(), 2, "{text}");
    let text = run("stuck_with_a_thread_and_two_pools");
    assert!(text.starts_with(expected), "{text}");
    // Each pool tells of its own.
    assert!(text.contains("[join at "), "{text}");
    let again = Run {
        at_most: Some(Duration::from_secs(2)),
        ..Run::default()
    };
    assert_eq!(again.run("told_once").0, "told of 1\nwoken\n");
    for (name, _) in ENDS {
        let (text, status) = Run::default().run(name);
        assert!(
            text.is_empty() && status.success(),
            "{name} is not stuck: {text}"
        );
    }
    for (name, _) in PANIC {
        let run = Run {
            at_most: Some(Duration::from_secs(20)),
            ..Run::default()
        };
        let (text, status) = run.run(name);
        assert!(text.contains("dropped"), "{name}: {text}");
        assert!(text.ends_with("monitored: true\n"), "{name}: {text}");
        assert!(status.success(), "{name}: {text}");
    }
    // How long until a stand is reported: a few tenths of a second.
    let for_long = Run {
        at_most: Some(Duration::from_millis(1200)),
        ..Run::default()
    };
    for (name, _) in WAITS {
        let (text, status) = for_long.run(name);
        assert!(
            text.is_empty() && !status.success(),
            "{name} is not stuck, and does not end: {text}"
        );
    }
    println!("what stands still is reported, and nothing else");
}
