//! A million tasks that wait, then are all woken at once: by the close of a channel, or by what
//! else a runtime has for that.
// An `async fn` keeps its arguments twice.
#![allow(clippy::manual_async_fn)]

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::scaled;
use crate::peers::runtimes::Runtime;
use crate::rows::Rows;

const MILLION: u64 = 1_000_000;

pub(crate) fn rows<R: Runtime>(rows: &mut Rows) {
    match R::NAME {
        "tokio" => of::<R, Notify>(rows),
        "async-executor" => of::<R, AsyncChannel>(rows),
        _ => of::<R, Channel>(rows),
    }
}

fn of<R: Runtime, G: Gate>(rows: &mut Rows) {
    // One operation is one of a million started, each until it waits.
    rows.add("park/1000000", R::NAME, |n| {
        scaled(n, MILLION, || times::<R, G>().0)
    });
    // One operation is one of a million woken at once, each until it has ended.
    rows.add("wake/1000000", R::NAME, |n| {
        scaled(n, MILLION, || times::<R, G>().1)
    });
    // Not a time: how many bytes a task that waits takes.
    rows.add("park_bytes/1000000", R::NAME, |n| {
        // Later ones find the memory of the first.
        static FIRST: OnceLock<u64> = OnceLock::new();
        let bytes = *FIRST.get_or_init(bytes::<R, G>);
        scaled(n, MILLION, || Duration::from_nanos(bytes))
    });
}

/// What many wait for.
trait Gate: Send + Sync + 'static {
    /// One's way to wait.
    type Ticket: Send + 'static;
    fn new() -> Self;
    fn ticket(&self) -> Self::Ticket;
    fn pass(ticket: Self::Ticket) -> impl Future<Output = ()> + Send + 'static;
    fn open(&self);
    fn n_tickets(&self) -> usize;
}

struct Notify(Arc<tokio::sync::Notify>);

impl Gate for Notify {
    type Ticket = Arc<tokio::sync::Notify>;

    fn new() -> Self {
        Self(Arc::default())
    }

    fn ticket(&self) -> Self::Ticket {
        Arc::clone(&self.0)
    }

    fn pass(notify: Self::Ticket) -> impl Future<Output = ()> + Send + 'static {
        async move { notify.notified().await }
    }

    fn open(&self) {
        self.0.notify_waiters();
    }

    fn n_tickets(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }
}

struct AsyncChannel(async_channel::Sender<()>, async_channel::Receiver<()>);

impl Gate for AsyncChannel {
    type Ticket = async_channel::Receiver<()>;

    fn new() -> Self {
        let (tx, rx) = async_channel::bounded(1);
        Self(tx, rx)
    }

    fn ticket(&self) -> Self::Ticket {
        self.1.clone()
    }

    fn pass(rx: Self::Ticket) -> impl Future<Output = ()> + Send + 'static {
        async move { _ = rx.recv().await }
    }

    fn open(&self) {
        self.0.close();
    }

    fn n_tickets(&self) -> usize {
        self.1.receiver_count() - 1
    }
}

struct Channel(rendez_select::Sender<()>, rendez_select::Receiver<()>);

impl Gate for Channel {
    type Ticket = rendez_select::Receiver<()>;

    fn new() -> Self {
        let (tx, rx) = rendez_select::bounded(1);
        Self(tx, rx)
    }

    fn ticket(&self) -> Self::Ticket {
        self.1.clone()
    }

    fn pass(rx: Self::Ticket) -> impl Future<Output = ()> + Send + 'static {
        async move { _ = rx.recv_async().await }
    }

    fn open(&self) {
        self.0.close();
    }

    fn n_tickets(&self) -> usize {
        self.1.receiver_count() - 1
    }
}

/// How long it takes until all wait, and then until all have ended.
fn times<R: Runtime, G: Gate>() -> (Duration, Duration) {
    let gate = Arc::new(G::new());
    let (tx, rx) = mpsc::channel();
    let n_parked = Arc::new(AtomicU64::new(0));
    let n_ended = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let doors = Arc::clone(&gate);
    R::run(vec![Box::pin(async move {
        for _ in 0..MILLION {
            let (n_parked, n_ended, tx) = (Arc::clone(&n_parked), Arc::clone(&n_ended), tx.clone());
            let ticket = doors.ticket();
            R::detach(R::go(async move {
                let mut wait = pin!(G::pass(ticket));
                let mut first = true;
                std::future::poll_fn(|cx| {
                    let poll = wait.as_mut().poll(cx);
                    if std::mem::take(&mut first) && told(&n_parked) {
                        tx.send(Instant::now()).expect("it is waited for");
                    }
                    poll
                })
                .await;
                if told(&n_ended) {
                    tx.send(Instant::now()).expect("it is waited for");
                }
            }));
        }
    })]);
    let parked = rx.recv().expect("the last one says so") - start;
    let start = Instant::now();
    gate.open();
    let woken = rx.recv().expect("the last one says so") - start;
    (parked, woken)
}

/// Counts; whether the caller is the last of the million.
fn told(count: &AtomicU64) -> bool {
    count.fetch_add(1, Ordering::AcqRel) + 1 == MILLION
}

/// How much memory the million take that do nothing but wait.
fn bytes<R: Runtime, G: Gate>() -> u64 {
    const LOOK: Duration = Duration::from_millis(100);
    let gate = Arc::new(G::new());
    // Threads and queues are there before memory is looked at.
    R::run(vec![Box::pin(async {})]);
    let before = resident();
    let doors = Arc::clone(&gate);
    R::run(vec![Box::pin(async move {
        for _ in 0..MILLION {
            R::detach(R::go(G::pass(doors.ticket())));
        }
    })]);
    // All wait when memory is what it was.
    let mut after = 0;
    loop {
        thread::sleep(LOOK);
        let now = resident();
        if now == after {
            break;
        }
        after = now;
    }
    gate.open();
    while gate.n_tickets() > 0 {
        thread::sleep(LOOK);
    }
    after.saturating_sub(before)
}

/// How much memory the process has, in bytes; 0 where that cannot be read.
fn resident() -> u64 {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0) * PAGE
}
