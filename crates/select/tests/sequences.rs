//! Every short sequence of operations on one channel, all by one thread: futures that are polled,
//! dropped or left alone, and tries. After each, whoever has not been woken must have nothing to
//! do, and no value may be lost or come twice.
//!
//! What takes several threads in one instant does not come up here (`linearizable`, `loom.rs`),
//! but what takes a certain order of a few steps is certain to. `RENDEZ_SEQUENCE_LENGTH` sets how
//! many (default 5).
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use common::{Count, poll_with};
use rendez_select::{Permit, Receiver, Sender, bounded, select_biased, select_biased_async};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Send,
    Recv,
    Reserve,
    /// A select that may send and receive.
    Exchange,
    TrySend,
    TryRecv,
    TryExchange,
    /// Fills the oldest permit.
    Fill,
    /// Drops it.
    Release,
    PollOldest,
    PollNewest,
    DropOldest,
    DropNewest,
    Close,
}

const OPS: [Op; 14] = [
    Op::Send,
    Op::Recv,
    Op::Reserve,
    Op::Exchange,
    Op::TrySend,
    Op::TryRecv,
    Op::TryExchange,
    Op::Fill,
    Op::Release,
    Op::PollOldest,
    Op::PollNewest,
    Op::DropOldest,
    Op::DropNewest,
    Op::Close,
];

/// What an awaited operation came to.
enum Done<'a> {
    Sent(u8, bool),
    Got(Option<u8>),
    Reserved(Option<Permit<'a, u8>>),
}

/// What a wait would end by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Send,
    Recv,
    Either,
}

struct Wait<'a> {
    want: Want,
    future: Pin<Box<dyn Future<Output = Done<'a>> + 'a>>,
    woken: Arc<Count>,
}

/// A channel, and what has been done with it.
struct Run<'a> {
    tx: &'a Sender<u8>,
    rx: &'a Receiver<u8>,
    waits: Vec<Wait<'a>>,
    permits: Vec<Permit<'a, u8>>,
    n_values: u8,
    sent: Vec<u8>,
    got: Vec<u8>,
}

impl<'a> Run<'a> {
    fn value(&mut self) -> u8 {
        self.n_values += 1;
        self.n_values
    }

    fn sent(&mut self, value: u8, ok: bool) {
        if ok {
            self.sent.push(value);
        }
    }

    fn done(&mut self, done: Done<'a>) {
        match done {
            Done::Sent(value, ok) => self.sent(value, ok),
            Done::Got(value) => self.got.extend(value),
            Done::Reserved(permit) => self.permits.extend(permit),
        }
    }

    fn start(&mut self, want: Want, future: impl Future<Output = Done<'a>> + 'a) {
        let wait = Wait {
            want,
            future: Box::pin(future),
            woken: Arc::default(),
        };
        self.waits.push(wait);
        self.poll(self.waits.len() - 1);
    }

    fn poll(&mut self, i: usize) {
        let wait = &mut self.waits[i];
        wait.woken = Arc::default();
        if let Poll::Ready(done) = poll_with(wait.future.as_mut(), &wait.woken) {
            drop(self.waits.remove(i));
            self.done(done);
        }
    }

    /// Whether there was anything for it to be done with.
    fn apply(&mut self, op: Op) -> bool {
        let (tx, rx) = (self.tx, self.rx);
        let n_waits = self.waits.len();
        match op {
            Op::Send => {
                let v = self.value();
                self.start(Want::Send, async move {
                    Done::Sent(v, tx.send_async(v).await.is_ok())
                });
            }
            Op::Recv => self.start(Want::Recv, async { Done::Got(rx.recv_async().await.ok()) }),
            Op::Reserve => self.start(Want::Send, async {
                Done::Reserved(tx.reserve_async().await.ok())
            }),
            Op::Exchange => {
                let v = self.value();
                self.start(Want::Either, async move {
                    select_biased_async! {
                        send(tx, v) -> sent => Done::Sent(v, sent.is_ok()),
                        recv(rx) -> v => Done::Got(v.ok()),
                    }
                });
            }
            Op::TrySend => {
                let v = self.value();
                self.sent(v, tx.try_send(v).is_ok());
            }
            Op::TryRecv => self.got.extend(rx.try_recv()),
            Op::TryExchange => {
                let v = self.value();
                let done = select_biased! {
                    send(tx, v) -> sent => Done::Sent(v, sent.is_ok()),
                    recv(rx) -> v => Done::Got(v.ok()),
                    default => Done::Got(None),
                };
                self.done(done);
            }
            Op::Fill | Op::Release if self.permits.is_empty() => return false,
            Op::Fill => {
                let v = self.value();
                let ok = self.permits.remove(0).send(v).is_ok();
                self.sent(v, ok);
            }
            Op::Release => drop(self.permits.remove(0)),
            Op::PollOldest | Op::DropOldest if n_waits == 0 => return false,
            // Otherwise the oldest is the newest.
            Op::PollNewest | Op::DropNewest if n_waits < 2 => return false,
            Op::PollOldest => self.poll(0),
            Op::PollNewest => self.poll(n_waits - 1),
            Op::DropOldest => drop(self.waits.remove(0)),
            Op::DropNewest => drop(self.waits.pop()),
            Op::Close => return tx.close(),
        }
        true
    }

    /// Polls whoever has been woken, until nobody has.
    fn settle(&mut self) {
        while let Some(i) = self.waits.iter().position(|wait| wait.woken.get() > 0) {
            self.poll(i);
        }
    }

    /// Whether somebody who has not been woken could go on.
    fn somebody_sleeps(&self) -> bool {
        let n = |want| self.waits.iter().filter(|wait| wait.want == want).count();
        let (send, recv, either) = (n(Want::Send), n(Want::Recv), n(Want::Either));
        let cap = self.tx.capacity().unwrap_or(usize::MAX);
        let taken = self.tx.len() + self.permits.len();
        let closed = self.tx.is_closed();
        if taken > cap {
            // A permit holds one who would receive, by whichever arm.
            return closed && send > 0;
        }
        let could_send = closed || taken < cap;
        let could_recv = !self.rx.is_empty() || closed && self.permits.is_empty();
        let pairs = usize::from(send > 0) + usize::from(recv > 0) + either > 1;
        pairs || could_send && send + either > 0 || could_recv && recv + either > 0
    }

    /// Whoever has not been woken has nothing to do, and every value sent is somewhere.
    fn check(mut self) {
        loop {
            self.settle();
            assert!(self.tx.len() <= self.tx.capacity().unwrap_or(usize::MAX));
            assert!(!self.somebody_sleeps(), "a wake-up was missed");
            if self.permits.is_empty() {
                break;
            }
            drop(self.permits.remove(0));
        }
        self.waits.clear();
        self.got.extend(self.rx.try_iter());
        assert!(self.sent.iter().all(|v| self.got.contains(v)), "lost");
        let got = self.got.len();
        self.got.sort_unstable();
        self.got.dedup();
        assert_eq!(self.got.len(), got, "received twice");
    }
}

/// Runs a sequence. `Err`: the operation at that place had nothing to be done with.
fn run(cap: usize, ops: &[usize]) -> Result<(), usize> {
    let (tx, rx) = bounded(cap);
    let mut run = Run {
        tx: &tx,
        rx: &rx,
        waits: Vec::new(),
        permits: Vec::new(),
        n_values: 0,
        sent: Vec::new(),
        got: Vec::new(),
    };
    for (i, &op) in ops.iter().enumerate() {
        if !run.apply(OPS[op]) {
            return Err(i);
        }
    }
    run.check();
    Ok(())
}

/// Says which sequence it was if it is dropped by a panic.
struct Told<'a>(usize, &'a [usize]);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let ops: Vec<_> = self.1.iter().map(|&op| OPS[op]).collect();
            eprintln!("capacity {}: {ops:?}", self.0);
        }
    }
}

/// How many sequences of that many operations there are; each is run.
fn all_of(cap: usize, length: usize) -> usize {
    let mut ops = vec![0; length];
    let mut n = 0;
    loop {
        let told = Told(cap, &ops);
        let mut last = match run(cap, &ops) {
            Ok(()) => {
                n += 1;
                length - 1
            }
            // As are all that begin so.
            Err(i) => i,
        };
        drop(told);
        ops[last + 1..].fill(0);
        loop {
            ops[last] += 1;
            if ops[last] < OPS.len() {
                break;
            }
            ops[last] = 0;
            if last == 0 {
                return n;
            }
            last -= 1;
        }
    }
}

#[test]
fn nobody_sleeps_who_could_go_on_and_nothing_is_lost() {
    let length = std::env::var("RENDEZ_SEQUENCE_LENGTH").map_or(5, |n| n.parse().unwrap());
    for cap in 0..=2 {
        for length in 1..=length {
            println!("capacity {cap}, length {length}: {}", all_of(cap, length));
        }
    }
}
