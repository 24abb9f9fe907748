//! Sequences on one channel whose ends come and go: clones, weak handles, streams, sinks, many
//! values at a time, time limits that have passed, and who waits for the end.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream;
use futures_sink::Sink;
use rendez_select::{Receiver, Sender, WeakReceiver, WeakSender, bounded, select_biased};

use crate::sequences::{Step, Waits, each, play};

/// A value, and a mark by which one that is dropped twice or never is known.
#[derive(Debug)]
struct Value(u8, #[allow(dead_code)] Arc<()>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Send,
    Recv,
    /// Two values.
    SendMany,
    /// Up to two.
    RecvMany,
    /// Through a stream and a sink.
    Stream,
    Sink,
    /// Waits until nothing can be sent.
    Closed,
    /// Blocking, with no time to wait.
    SendZero,
    RecvZero,
    SelectZero,
    Drain,
    DropSender,
    DropReceiver,
    Upgrade,
    UpgradeReceiver,
    Close,
    CloseReceiver,
    Step(Step),
}

const OPS: [Op; 21] = [
    Op::Send,
    Op::Recv,
    Op::SendMany,
    Op::RecvMany,
    Op::Stream,
    Op::Sink,
    Op::Closed,
    Op::SendZero,
    Op::RecvZero,
    Op::SelectZero,
    Op::Drain,
    Op::DropSender,
    Op::DropReceiver,
    Op::Upgrade,
    Op::UpgradeReceiver,
    Op::Close,
    Op::CloseReceiver,
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Send,
    Recv,
    /// It has a sender.
    Closed,
}

/// Who has been sent and what has come.
#[derive(Default)]
struct Done {
    sent: Vec<u8>,
    got: Vec<u8>,
}

struct Run {
    tx: Option<Sender<Value>>,
    rx: Option<Receiver<Value>>,
    weak_tx: WeakSender<Value>,
    weak_rx: WeakReceiver<Value>,
    closed: bool,
    cap: usize,
    waits: Waits<'static, Want, Done>,
    mark: Arc<()>,
    n_values: u8,
    sent: Vec<u8>,
    got: Vec<u8>,
}

impl Run {
    fn new(cap: usize) -> Self {
        let (tx, rx) = bounded(cap);
        Self {
            weak_tx: tx.downgrade(),
            weak_rx: rx.downgrade(),
            tx: Some(tx),
            rx: Some(rx),
            closed: false,
            cap,
            waits: Waits::new(),
            mark: Arc::default(),
            n_values: 0,
            sent: Vec::new(),
            got: Vec::new(),
        }
    }

    fn value(&mut self) -> Value {
        self.n_values += 1;
        Value(self.n_values, Arc::clone(&self.mark))
    }

    fn done(&mut self, done: Option<(Want, Done)>) {
        if let Some((_, Done { sent, got })) = done {
            self.sent.extend(sent);
            self.got.extend(got);
        }
    }

    fn start(&mut self, want: Want, future: impl Future<Output = Done> + 'static) {
        let done = self.waits.start(want, future);
        self.done(done);
    }

    fn has_sender(&self) -> bool {
        self.tx.is_some() || self.waits.count(|want| *want != Want::Recv) > 0
    }

    fn has_receiver(&self) -> bool {
        self.rx.is_some() || self.waits.count(|want| *want == Want::Recv) > 0
    }

    fn start_sending(&mut self, op: Op) -> bool {
        let Some(tx) = self.tx.clone() else {
            return false;
        };
        if op == Op::Closed {
            self.start(Want::Closed, async move {
                tx.closed_async().await;
                assert!(tx.is_closed());
                Done::default()
            });
            return true;
        }
        let v = self.value();
        let x = v.0;
        match op {
            Op::SendMany => {
                let w = self.value();
                let y = w.0;
                self.start(Want::Send, async move {
                    let unsent = tx.send_many_async([v, w]).await.err();
                    let unsent = unsent.map_or_else(Vec::new, |err| err.0);
                    let sent = [x, y]
                        .into_iter()
                        .filter(|n| unsent.iter().all(|v| v.0 != *n));
                    Done {
                        sent: sent.collect(),
                        got: vec![],
                    }
                });
            }
            Op::Sink => {
                self.start(Want::Send, async move {
                    let mut sink = tx.sink();
                    drop(tx);
                    let mut v = Some(v);
                    let ok = poll_fn(|cx| {
                        if let Some(v) = v.take() {
                            assert!(Pin::new(&mut sink).poll_ready(cx).is_ready());
                            if Pin::new(&mut sink).start_send(v).is_err() {
                                return std::task::Poll::Ready(false);
                            }
                        }
                        Pin::new(&mut sink).poll_flush(cx).map(|sent| sent.is_ok())
                    });
                    let ok = ok.await;
                    Done {
                        sent: Vec::from_iter(ok.then_some(x)),
                        got: vec![],
                    }
                });
            }
            _ => {
                self.start(Want::Send, async move {
                    let ok = tx.send_async(v).await.is_ok();
                    Done {
                        sent: Vec::from_iter(ok.then_some(x)),
                        got: vec![],
                    }
                });
            }
        }
        true
    }

    fn start_receiving(&mut self, op: Op) -> bool {
        let Some(rx) = self.rx.clone() else {
            return false;
        };
        self.start(Want::Recv, async move {
            let mut got = Vec::new();
            match op {
                Op::RecvMany => {
                    let n = rx.recv_many_async(&mut got, 2).await;
                    assert_eq!(n.unwrap_or(0), got.len());
                }
                Op::Stream => {
                    let mut stream = rx.stream();
                    drop(rx);
                    got.extend(poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await);
                }
                _ => got.extend(rx.recv_async().await),
            }
            Done {
                sent: vec![],
                got: got.into_iter().map(|v| v.0).collect(),
            }
        });
        true
    }

    fn apply(&mut self, op: Op) -> bool {
        match op {
            Op::Send | Op::SendMany | Op::Sink | Op::Closed => return self.start_sending(op),
            Op::Recv | Op::RecvMany | Op::Stream => return self.start_receiving(op),
            Op::SendZero => {
                let v = self.value();
                let x = v.0;
                let Some(tx) = &self.tx else { return false };
                let ok = tx.send_timeout(v, Duration::ZERO).is_ok();
                self.sent.extend(ok.then_some(x));
            }
            Op::RecvZero => {
                let Some(rx) = &self.rx else { return false };
                let got = rx.recv_timeout(Duration::ZERO);
                self.got.extend(got.map(|v| v.0));
            }
            Op::SelectZero => {
                let v = self.value();
                let x = v.0;
                let (Some(tx), Some(rx)) = (&self.tx, &self.rx) else {
                    return false;
                };
                select_biased! {
                    recv(rx) -> got => self.got.extend(got.map(|v| v.0)),
                    send(tx, v) -> sent => self.sent.extend(sent.is_ok().then_some(x)),
                    default(Duration::ZERO) => {}
                }
            }
            Op::Drain => {
                let Some(rx) = &self.rx else { return false };
                self.got.extend(rx.drain().map(|v| v.0));
            }
            Op::DropSender => return self.tx.take().is_some(),
            Op::DropReceiver => return self.rx.take().is_some(),
            Op::Upgrade => {
                if self.tx.is_some() {
                    return false;
                }
                let has = self.has_sender();
                self.tx = self.weak_tx.upgrade();
                assert_eq!(self.tx.is_some(), has);
                return has;
            }
            Op::UpgradeReceiver => {
                if self.rx.is_some() {
                    return false;
                }
                let has = self.has_receiver();
                self.rx = self.weak_rx.upgrade();
                assert_eq!(self.rx.is_some(), has);
                return has;
            }
            Op::Close | Op::CloseReceiver => {
                let closes = match op {
                    Op::Close => self.tx.as_ref().map(Sender::close),
                    _ => self.rx.as_ref().map(Receiver::close),
                };
                assert_ne!(closes, Some(self.closed));
                self.closed |= closes == Some(true);
                return closes == Some(true);
            }
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => self.done(done),
                Err(()) => return false,
            },
        }
        true
    }

    fn check(mut self) {
        while let Some(done) = self.waits.settle() {
            self.done(Some(done));
        }
        let n = |want| self.waits.count(|kind| *kind == want);
        let (send, recv) = (n(Want::Send), n(Want::Recv));
        let no_sends = self.closed || !self.has_receiver();
        let no_more = self.closed || !self.has_sender();
        assert!(!no_sends || n(Want::Closed) == 0, "who waits for the close");
        assert!(!no_sends || send == 0, "a sender sleeps through the end");
        assert!(!no_more || recv == 0, "a receiver sleeps through the end");
        assert!(send == 0 || recv == 0, "a pair sleeps");
        if let Some(rx) = &self.rx {
            assert_eq!(rx.receiver_count(), 1 + recv);
            assert!(recv == 0 || rx.is_empty(), "a receiver sleeps");
            assert!(send == 0 || rx.len() == self.cap, "a sender sleeps");
        }
        if let Some(tx) = &self.tx {
            assert_eq!(tx.sender_count(), 1 + send + n(Want::Closed));
            assert_eq!(tx.is_closed(), no_sends);
        }
        self.waits.assert_all_pend();
        let lost_their_receivers = self.rx.is_none();
        self.waits.clear();
        if let Some(rx) = &self.rx {
            self.got.extend(rx.try_iter().map(|v| v.0));
        }
        let lost = self.sent.iter().find(|v| !self.got.contains(v));
        assert!(lost_their_receivers || lost.is_none(), "lost");
        let n = self.got.len();
        self.got.sort_unstable();
        self.got.dedup();
        assert_eq!(self.got.len(), n, "received twice");
        let mark = self.mark.clone();
        drop(self);
        assert_eq!(Arc::strong_count(&mark), 1, "not dropped once");
    }
}

#[test]
fn ends_that_come_and_go() {
    for cap in 0..=2 {
        each(&format!("capacity {cap}"), &OPS, 3, |sequence| {
            let mut run = Run::new(cap);
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }
}
