//! Sequences on one channel: sends, receives, permits and a select that does both.

use std::future::Future;

use rendez_select::{Permit, Receiver, Sender, bounded, select_biased, select_biased_async};

use crate::sequences::{Step, Waits, each, play};

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
    Close,
    Step(Step),
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
    Op::Close,
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

/// What an awaited operation came to.
enum Done<'a> {
    Sent(u8, bool),
    Got(Option<u8>),
    Reserved(Option<Permit<'a, u8>>),
}

/// What a wait would end by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Send,
    Recv,
    Either,
}

/// A channel, and what has been done with it.
struct Run<'a> {
    tx: &'a Sender<u8>,
    rx: &'a Receiver<u8>,
    waits: Waits<'a, Want, Done<'a>>,
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

    fn done(&mut self, done: Option<(Want, Done<'a>)>) {
        match done {
            Some((_, Done::Sent(value, ok))) => self.sent(value, ok),
            Some((_, Done::Got(value))) => self.got.extend(value),
            Some((_, Done::Reserved(permit))) => self.permits.extend(permit),
            None => {}
        }
    }

    fn start(&mut self, want: Want, future: impl Future<Output = Done<'a>> + 'a) {
        let done = self.waits.start(want, future);
        self.done(done);
    }

    /// Whether there was anything for it to be done with.
    fn apply(&mut self, op: Op) -> bool {
        let (tx, rx) = (self.tx, self.rx);
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
                self.done(Some((Want::Either, done)));
            }
            Op::Fill | Op::Release if self.permits.is_empty() => return false,
            Op::Fill => {
                let v = self.value();
                let ok = self.permits.remove(0).send(v).is_ok();
                self.sent(v, ok);
            }
            Op::Release => drop(self.permits.remove(0)),
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => self.done(done),
                Err(()) => return false,
            },
            Op::Close => return tx.close(),
        }
        true
    }

    /// Whether somebody who has not been woken could go on.
    fn somebody_sleeps(&self) -> bool {
        let n = |want| self.waits.count(|kind| *kind == want);
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
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            assert!(self.tx.len() <= self.tx.capacity().unwrap_or(usize::MAX));
            assert!(!self.somebody_sleeps(), "a wake-up was missed");
            self.waits.assert_all_pend();
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

#[test]
fn nobody_sleeps_who_could_go_on_and_nothing_is_lost() {
    for cap in 0..=2 {
        each(&format!("capacity {cap}"), &OPS, 5, |sequence| {
            let (tx, rx) = bounded(cap);
            let mut run = Run {
                tx: &tx,
                rx: &rx,
                waits: Waits::new(),
                permits: Vec::new(),
                n_values: 0,
                sent: Vec::new(),
                got: Vec::new(),
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }
}
