//! Timers. One operation is one timer made and taken back (`million`: of a million that live
//! at the same time), or one that fires; of the overshoots it is the time by which a sleep of
//! 100 µs or 1 ms comes late, of `late` that by which the median one, or the 99th of a hundred,
//! of sleeps that end every 50 µs does.
//!
//! tokio's timer is a future that must be polled to be there, so that is what ours is
//! beside it; a `Timer` that nobody waits for is cheaper, and has a row of its own.

use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::peers::{Task, on_pool, on_tokio};
use crate::rows::Rows;

const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn rows(rows: &mut Rows) {
    rows.add_op("create_stop", "rendez-timer", || {
        rendez_time::Timer::new(HOUR).stop()
    });
    for live in [0, 100_000] {
        let name = match live {
            0 => "create_poll_drop".to_owned(),
            live => format!("create_poll_drop/{live}_live"),
        };
        rows.add(&name, "rendez", move |n| {
            measured(on_pool, set_and_drop(n, live, rendez_time::sleep_async))
        });
        rows.add(&name, "tokio", move |n| {
            measured(on_tokio, set_and_drop(n, live, tokio::time::sleep))
        });
    }
    rows.add("million", "rendez", |n| {
        million(n, || {
            let make = |i| rendez_time::Timer::new(HOUR + Duration::from_micros(i));
            let timers: Vec<_> = (0..MANY).map(make).collect();
            assert!(timers.iter().all(rendez_time::Timer::stop));
        })
    });
    rows.add("million/polled", "rendez", |n| {
        million(n, || {
            on_pool(vec![Box::pin(set_all(rendez_time::sleep_async))]);
        })
    });
    rows.add("million/polled", "tokio", |n| {
        million(n, || {
            on_tokio(vec![Box::pin(set_all(tokio::time::sleep))]);
        })
    });
    for (name, percent) in [("late/median", 50), ("late/p99", 99)] {
        rows.add(name, "rendez", move |n| {
            lateness(n, percent, on_pool, |d| {
                Box::pin(rendez_time::sleep_async(d))
            })
        });
        rows.add(name, "tokio", move |n| {
            lateness(n, percent, on_tokio, |d| Box::pin(tokio::time::sleep(d)))
        });
    }
    let fire = |n: u64, sleep: fn(Duration) -> Task| {
        let spread = move |i: u64| Duration::from_micros(1000 + i % 1000);
        (0..n).map(|i| sleep(spread(i))).collect::<Vec<_>>()
    };
    rows.add("fire", "rendez", move |n| {
        on_pool(fire(n, |d| Box::pin(rendez_time::sleep_async(d))))
    });
    rows.add("fire", "tokio", move |n| {
        // It can be made only where the runtime runs.
        on_tokio(fire(n, |d| {
            Box::pin(async move { tokio::time::sleep(d).await })
        }))
    });
    let (tx, rx) = rendez_select::bounded(1);
    rows.add_op("select_timeout_ready", "rendez", move || {
        tx.send(1).expect("there is room");
        rendez_select::select! {
            recv(rx) -> value => value,
            default(HOUR) => unreachable!("a value is there"),
        }
    });
    let (tx, rx) = crossbeam_channel::bounded(1);
    rows.add_op("select_timeout_ready", "crossbeam", move || {
        tx.send(1).expect("there is room");
        crossbeam_channel::select! {
            recv(rx) -> value => value,
            default(HOUR) => unreachable!("a value is there"),
        }
    });
    for micros in [100, 1000] {
        let d = Duration::from_micros(micros);
        let name = format!("overshoot/{micros}us");
        let thread = format!("{name}/thread");
        rows.add(&thread, "rendez", move |n| {
            late(n, d, || rendez_time::sleep(d))
        });
        rows.add(&thread, "std", move |n| {
            late(n, d, || std::thread::sleep(d))
        });
        rows.add(&name, "rendez", move |n| {
            measured(on_pool, late_async(n, d, rendez_time::sleep_async))
        });
        rows.add(&name, "tokio", move |n| {
            measured(on_tokio, late_async(n, d, tokio::time::sleep))
        });
    }
}

const MANY: u64 = 1_000_000;

/// As many rounds of a million as make at least `n` operations, their time for `n`.
fn million(n: u64, round: impl Fn()) -> Duration {
    let rounds = n.div_ceil(MANY);
    let start = Instant::now();
    (0..rounds).for_each(|_| round());
    start.elapsed().mul_f64(n as f64 / (rounds * MANY) as f64)
}

/// Sets a million timers, then drops them.
async fn set_all<S: Future<Output = ()>>(sleep: fn(Duration) -> S) {
    drop(live(MANY, sleep).await);
}

/// Has timers go off every 50 µs; by how much the one at `percent` was late, times `n`.
fn lateness(
    n: u64,
    percent: usize,
    on: fn(Vec<Task>) -> Duration,
    sleep: fn(Duration) -> Task,
) -> Duration {
    let many = n.max(200);
    let first = Instant::now() + Duration::from_millis(5);
    let (tx, rx) = std::sync::mpsc::channel();
    let tasks = (0..many).map(|i| -> Task {
        let due = first + Duration::from_micros(50) * u32::try_from(i).expect("not so many");
        let tx = tx.clone();
        Box::pin(async move {
            sleep(due.saturating_duration_since(Instant::now())).await;
            let _ = tx.send(due.elapsed());
        })
    });
    on(tasks.collect());
    drop(tx);
    let mut late: Vec<_> = rx.iter().collect();
    late.sort_unstable();
    late[(late.len() - 1) * percent / 100] * u32::try_from(n).expect("not so many")
}

/// Sets `n` timers of an hour and drops them, beside `live` others.
async fn set_and_drop<S: Future<Output = ()>>(
    n: u64,
    live: u64,
    sleep: fn(Duration) -> S,
) -> Duration {
    let _others = self::live(live, sleep).await;
    let start = Instant::now();
    for _ in 0..n {
        set(pin!(sleep(HOUR))).await;
    }
    start.elapsed()
}

/// `n` timers that are set.
async fn live<S: Future<Output = ()>>(n: u64, sleep: fn(Duration) -> S) -> Vec<Pin<Box<S>>> {
    let make = |i| Box::pin(sleep(HOUR + Duration::from_micros(i)));
    let mut all: Vec<_> = (0..n).map(make).collect();
    for one in &mut all {
        set(one.as_mut()).await;
    }
    all
}

async fn set<S: Future<Output = ()>>(mut sleep: Pin<&mut S>) {
    std::future::poll_fn(|cx| {
        std::hint::black_box(sleep.as_mut().poll(cx).is_ready());
        Poll::Ready(())
    })
    .await;
}

fn late(n: u64, d: Duration, sleep: impl Fn()) -> Duration {
    let once = |_| {
        let start = Instant::now();
        sleep();
        start.elapsed() - d
    };
    (0..n).map(once).sum()
}

async fn late_async<S: Future<Output = ()>>(
    n: u64,
    d: Duration,
    sleep: fn(Duration) -> S,
) -> Duration {
    let mut late = Duration::ZERO;
    for _ in 0..n {
        let start = Instant::now();
        sleep(d).await;
        late += start.elapsed().saturating_sub(d);
    }
    late
}

/// Runs it where `on` does; what it measured itself.
fn measured(
    on: fn(Vec<Task>) -> Duration,
    run: impl Future<Output = Duration> + Send + 'static,
) -> Duration {
    let (tx, rx) = std::sync::mpsc::channel();
    on(vec![Box::pin(async move {
        tx.send(run.await).expect("the receiver waits");
    })]);
    rx.recv().expect("it was sent")
}
