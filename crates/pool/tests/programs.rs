//! What needs a process of its own: settings from the environment, a machine that gives no
//! threads, and what is written to stderr.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "common/child.rs"]
#[allow(dead_code)]
mod child;

use std::sync::mpsc;
use std::time::Duration;

use child::{Program, Run, go_on, ran};
use rendez_pool::{Pool, go, spawn};
use rendez_select::{bounded, unbounded};

fn settings() {
    let given: usize = go_on_with();
    let workers = Pool::global().workers();
    if given == 0 {
        assert!(workers >= 2, "{workers}");
    } else {
        assert_eq!(workers, given);
    }
    assert_eq!(go(|| 1).join().unwrap(), 1);
}

/// How many workers are expected; 0 for the default.
fn go_on_with() -> usize {
    let procs = std::env::var("RENDEZ_PROCS").unwrap();
    let n = procs.trim().parse().ok();
    n.filter(|n| (1..1000).contains(n)).unwrap_or(0)
}

fn a_panic_is_reported() {
    let (tx, rx) = bounded::<()>(0);
    let handle = spawn().name("fetch").go(move || {
        let _ = rx.recv();
        panic!("at work")
    });
    // Before it panics: what two threads write would lie in each other's lines.
    eprintln!("its id is {}", handle.id());
    drop((handle, tx));
    while rendez_pool::num_goroutines() > 0 {
        std::thread::yield_now();
    }
    Pool::global().shutdown();
}

fn main_waits() {
    let (tx, rx) = bounded::<()>(0);
    let looking = go(move || {
        let waits =
            |dump: &str| dump.contains("'main' [chan receive at crates/pool/tests/programs.rs:");
        while !waits(&rendez_pool::dump().to_string()) {
            std::thread::yield_now();
        }
        tx.send(()).unwrap();
    });
    rx.recv().unwrap();
    looking.join().unwrap();
    assert!(
        !rendez_pool::dump().to_string().contains("'main'"),
        "it does not wait"
    );
}

/// More closures block than there can be threads: the rest of them wait in a queue.
fn threads_run_out() {
    let pool = Pool::builder()
        .workers(2)
        .stack_size(64 << 20)
        .build()
        .unwrap();
    let (tx, rx) = bounded::<usize>(0);
    let (out, results) = unbounded();
    for _ in 0..300 {
        let (rx, out) = (rx.clone(), out.clone());
        drop(pool.go(move || out.send(rx.recv().unwrap()).unwrap()));
    }
    drop(out);
    go_on();
    assert!(pool.num_threads() < 300);
    (0..300).for_each(|i| tx.send(i).unwrap());
    assert_eq!(results.iter().sum::<usize>(), 299 * 300 / 2);
    pool.shutdown();
}

/// Takes all threads there are until it is dropped.
struct Hoard(Vec<(std::thread::JoinHandle<()>, mpsc::Sender<()>)>);

impl Hoard {
    fn take_all() -> Self {
        let mut all = Vec::new();
        // Given back at the end: room for what is no thread, and too little for one.
        let memory = std::hint::black_box(Vec::<u8>::with_capacity(900 << 10));
        for size in [32 << 20, 1 << 20] {
            loop {
                let (tx, rx) = mpsc::channel::<()>();
                let thread = std::thread::Builder::new().stack_size(size);
                match thread.spawn(move || rx.recv().unwrap_or(())) {
                    Ok(thread) => all.push((thread, tx)),
                    Err(_) => break,
                }
            }
        }
        drop(memory);
        Self(all)
    }
}

impl Drop for Hoard {
    fn drop(&mut self) {
        for (thread, tx) in self.0.drain(..) {
            drop(tx);
            thread.join().unwrap();
        }
    }
}

fn no_thread_at_all() {
    let hoard = Hoard::take_all();
    let error = Pool::builder().workers(1).build().unwrap_err();
    assert!(error.to_string().contains("no thread"), "{error}");
    let queued = go(|| 1);
    let alone = spawn().own_thread().go(|| 2);
    assert!(alone.join().is_err(), "it has no thread of its own");
    drop(hoard);
    // There was not even a thread for the monitor, so the next goroutine brings one.
    assert_eq!(go(|| 3).join().unwrap(), 3);
    assert_eq!(queued.join().unwrap(), 1);
}

fn no_thread_for_a_while() {
    let pool = Pool::builder().keep_alive(Duration::ZERO).build().unwrap();
    pool.go(|| ()).join().unwrap();
    while pool.num_threads() > 0 {
        std::thread::yield_now();
    }
    let hoard = Hoard::take_all();
    let queued = pool.go(|| 1);
    go_on();
    assert!(!queued.is_finished());
    drop(hoard);
    // The monitor tries again.
    assert_eq!(queued.join().unwrap(), 1);
}

const PROGRAMS: &[Program] = &[
    ("settings", settings),
    ("a_panic_is_reported", a_panic_is_reported),
    ("main_waits", main_waits),
    ("threads_run_out", threads_run_out),
    ("no_thread_at_all", no_thread_at_all),
    ("no_thread_for_a_while", no_thread_for_a_while),
];

fn main() {
    if ran(PROGRAMS) {
        return;
    }
    for good in ["1", " 3\t", "7"] {
        let run = Run {
            env: Some(("RENDEZ_PROCS", good)),
            ..Run::default()
        };
        let (text, status) = run.run("settings");
        assert!(status.success() && text.is_empty(), "{good}: {text}");
    }
    for nonsense in ["", "0", "-1", "two", "1.5", "99999999999999999999", "70000"] {
        let run = Run {
            env: Some(("RENDEZ_PROCS", nonsense)),
            ..Run::default()
        };
        let (text, status) = run.run("settings");
        assert!(status.success(), "{nonsense}: {text}");
        let expected =
            format!("rendez: RENDEZ_PROCS={nonsense:?} is not a number of workers; ignored\n");
        assert_eq!(text, expected, "told once");
    }

    let (text, status) = Run::default().run("a_panic_is_reported");
    assert!(status.success(), "{text}");
    let id = text.lines().find_map(|l| l.strip_prefix("its id is "));
    let start = format!("goroutine {} 'fetch', started at ", id.unwrap());
    let report = text.lines().find(|line| line.starts_with(&start));
    let report = report.expect(&text);
    assert!(report.contains("programs.rs:"), "{text}");
    assert!(report.ends_with(", panicked: at work"), "{text}");

    let (text, status) = Run::default().run("main_waits");
    assert!(status.success() && text.is_empty(), "{text}");

    // Only Linux refuses threads for want of address space, and a sanitizer takes all of it.
    if cfg!(all(target_os = "linux", not(rendez_sanitize))) {
        let told = "rendez: no thread to be had (";
        for (name, mib) in [
            ("threads_run_out", 2000),
            ("no_thread_at_all", 600),
            ("no_thread_for_a_while", 600),
        ] {
            let run = Run {
                // With arenas of their own threads take the room that is left at random.
                env: Some(("MALLOC_ARENA_MAX", "1")),
                memory: Some(mib << 10),
                go_on_after: Some(told),
                ..Run::default()
            };
            let (text, status) = run.run(name);
            assert!(status.success(), "{name}: {text}");
            assert_eq!(text.matches(told).count(), 1, "{name}: {text}");
            assert_eq!(text.lines().count(), 1, "{name}: {text}");
        }
    }
    println!("all programs did what was expected of them");
}
