//! Sequences on two channels: selects over both, of every form, among plain sends and receives.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;

use rendez_select::{
    Permit, Receiver, Select, SelectedOperation, Sender, bounded, or_done, select, select_async,
    select_biased_async,
};

use crate::sequences::{Step, Waits, each, play};

/// A value, and a mark by which one that is dropped twice or never is known.
#[derive(Debug)]
struct Value(u8, #[allow(dead_code)] Arc<()>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arm {
    Send(usize),
    Recv(usize),
}
use Arm::{Recv, Send};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Send(usize),
    Recv(usize),
    Reserve(usize),
    /// `select_biased_async!`.
    Biased(Arm, Arm),
    /// `select_async!`.
    Fair(Arm, Arm),
    /// `select!` with `default`.
    Try(Arm, Arm),
    /// `Select`, whose operation stays open.
    TwoPhase(Arm, Arm),
    /// `Select::ready_async`.
    Ready(Arm, Arm),
    /// Receives from 0 until 1 gives something.
    OrDone,
    TrySend(usize),
    TryRecv(usize),
    Fill,
    Release,
    /// Completes the oldest open operation.
    Complete,
    /// Unwinds from it.
    Abandon,
    Close(usize),
    Step(Step),
}

enum Done<'a> {
    Sent(u8, bool),
    Got(Option<Value>),
    Permit(Option<Permit<'a, Value>>),
    Open(Arm, SelectedOperation<'a>),
    Ready(usize),
}

/// What a wait would end by.
#[derive(Clone, Copy, Debug)]
struct Want {
    arms: [Option<Arm>; 2],
    /// It only looks: two such have nothing to do with each other.
    looks: bool,
}

impl Want {
    fn has(&self, arm: Arm) -> bool {
        self.arms.contains(&Some(arm))
    }
}

type Ends = [(Sender<Value>, Receiver<Value>); 2];

struct Run<'a> {
    ends: &'a Ends,
    waits: Waits<'a, Want, Done<'a>>,
    permits: Vec<Permit<'a, Value>>,
    open: Vec<(Arm, SelectedOperation<'a>)>,
    mark: Arc<()>,
    n_values: u8,
    sent: Vec<u8>,
    /// Given back to who sent them.
    refused: Vec<u8>,
    got: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(ends: &'a Ends) -> Self {
        Self {
            ends,
            waits: Waits::new(),
            permits: Vec::new(),
            open: Vec::new(),
            mark: Arc::default(),
            n_values: 0,
            sent: Vec::new(),
            refused: Vec::new(),
            got: Vec::new(),
        }
    }

    fn value(&mut self) -> Value {
        self.n_values += 1;
        Value(self.n_values, Arc::clone(&self.mark))
    }

    fn sent(&mut self, value: u8, ok: bool) {
        if ok {
            self.sent.push(value);
        } else {
            self.refused.push(value);
        }
    }

    fn done(&mut self, done: Option<(Want, Done<'a>)>) {
        match done {
            Some((_, Done::Sent(value, ok))) => self.sent(value, ok),
            Some((_, Done::Got(value))) => self.got.extend(value.map(|value| value.0)),
            Some((_, Done::Permit(permit))) => self.permits.extend(permit),
            Some((_, Done::Open(arm, open))) => self.open.push((arm, open)),
            Some((want, Done::Ready(i))) => assert!(want.arms[i].is_some()),
            None => {}
        }
    }

    fn start(&mut self, arms: [Option<Arm>; 2], future: impl Future<Output = Done<'a>> + 'a) {
        let looks = false;
        let done = self.waits.start(Want { arms, looks }, future);
        self.done(done);
    }

    /// A select of two arms; an arm is one of the four that may stand in its place.
    fn select(&mut self, fair: bool, a: Arm, b: Arm) {
        let (v, w) = (self.value(), self.value());
        let (x, y) = (v.0, w.0);
        let (p, q) = (tx(self.ends, a), tx(self.ends, b));
        let (i, j) = (rx(self.ends, a), rx(self.ends, b));
        let want = [Some(a), Some(b)];
        if fair {
            self.start(want, async move {
                select_async! {
                    send(p, v) -> sent => Done::Sent(x, sent.is_ok()),
                    recv(i) -> value => Done::Got(value.ok()),
                    send(q, w) -> sent => Done::Sent(y, sent.is_ok()),
                    recv(j) -> value => Done::Got(value.ok()),
                }
            });
        } else {
            self.start(want, async move {
                select_biased_async! {
                    send(p, v) -> sent => Done::Sent(x, sent.is_ok()),
                    recv(i) -> value => Done::Got(value.ok()),
                    send(q, w) -> sent => Done::Sent(y, sent.is_ok()),
                    recv(j) -> value => Done::Got(value.ok()),
                }
            });
        }
    }

    fn try_select(&mut self, a: Arm, b: Arm) {
        let (v, w) = (self.value(), self.value());
        let (x, y) = (v.0, w.0);
        let done = select! {
            send(tx(self.ends, a), v) -> sent => Done::Sent(x, sent.is_ok()),
            recv(rx(self.ends, a)) -> value => Done::Got(value.ok()),
            send(tx(self.ends, b), w) -> sent => Done::Sent(y, sent.is_ok()),
            recv(rx(self.ends, b)) -> value => Done::Got(value.ok()),
            default => return,
        };
        let arms = [Some(a), Some(b)];
        self.done(Some((Want { arms, looks: false }, done)));
    }

    fn complete(&mut self) {
        let (arm, open) = self.open.remove(0);
        match arm {
            Send(i) => {
                let v = self.value();
                let x = v.0;
                let ok = open.send(&self.ends[i].0, v).is_ok();
                self.sent(x, ok);
            }
            Recv(i) => self.got.extend(open.recv(&self.ends[i].1).map(|v| v.0)),
        }
    }

    fn abandon(&mut self) {
        let (_, open) = self.open.remove(0);
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _open = open;
            resume_unwind(Box::new(()));
        }));
        assert!(unwound.is_err());
    }

    fn apply(&mut self, op: Op) -> bool {
        let ends = self.ends;
        match op {
            Op::Send(i) => {
                let v = self.value();
                let x = v.0;
                self.start([Some(Send(i)), None], async move {
                    Done::Sent(x, ends[i].0.send_async(v).await.is_ok())
                });
            }
            Op::Recv(i) => self.start([Some(Recv(i)), None], async move {
                Done::Got(ends[i].1.recv_async().await.ok())
            }),
            Op::Reserve(i) => self.start([Some(Send(i)), None], async move {
                Done::Permit(ends[i].0.reserve_async().await.ok())
            }),
            Op::Biased(a, b) => self.select(false, a, b),
            Op::Fair(a, b) => self.select(true, a, b),
            Op::Try(a, b) => self.try_select(a, b),
            Op::TwoPhase(a, b) => self.start([Some(a), Some(b)], async move {
                let mut select = Select::new_biased();
                for arm in [a, b] {
                    add(&mut select, ends, arm);
                }
                let open = select.select_async().await;
                Done::Open([a, b][open.index()], open)
            }),
            Op::Ready(a, b) => {
                let arms = [Some(a), Some(b)];
                let done = self.waits.start(Want { arms, looks: true }, async move {
                    let mut select = Select::new();
                    for arm in [a, b] {
                        add(&mut select, ends, arm);
                    }
                    Done::Ready(select.ready_async().await)
                });
                self.done(done);
            }
            Op::OrDone => self.start([Some(Recv(0)), Some(Recv(1))], async move {
                // What ends it is a value that is gone; a shared receiver loses it so.
                let done = or_done(ends[0].1.clone(), &ends[1].1);
                Done::Got(done.recv_async().await.ok())
            }),
            Op::TrySend(i) => {
                let v = self.value();
                let x = v.0;
                let ok = ends[i].0.try_send(v).is_ok();
                self.sent(x, ok);
            }
            Op::TryRecv(i) => self.got.extend(ends[i].1.try_recv().map(|v| v.0)),
            Op::Fill | Op::Release if self.permits.is_empty() => return false,
            Op::Fill => {
                let v = self.value();
                let x = v.0;
                let ok = self.permits.remove(0).send(v).is_ok();
                self.sent(x, ok);
            }
            Op::Release => drop(self.permits.remove(0)),
            Op::Complete | Op::Abandon if self.open.is_empty() => return false,
            Op::Complete => self.complete(),
            Op::Abandon => self.abandon(),
            Op::Close(i) => return ends[i].0.close(),
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => self.done(done),
                Err(()) => return false,
            },
        }
        true
    }

    /// Whether somebody who has not been woken could go on, with no permit or operation open.
    fn somebody_sleeps(&self) -> bool {
        (0..2).any(|i| {
            let (tx, rx) = &self.ends[i];
            let can_send = tx.is_closed() || Some(tx.len()) < tx.capacity();
            let can_recv = tx.is_closed() || !rx.is_empty();
            let (mut send, mut recv, mut pair) = (false, false, false);
            for (n, a) in self.waits.kinds().enumerate() {
                send |= a.has(Send(i));
                recv |= a.has(Recv(i));
                pair |= a.has(Send(i))
                    && self
                        .waits
                        .kinds()
                        .enumerate()
                        .any(|(m, b)| b.has(Recv(i)) && n != m && !(a.looks && b.looks));
            }
            can_send && send || can_recv && recv || pair
        })
    }

    fn check(mut self, loses: bool) {
        loop {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            if !self.permits.is_empty() {
                drop(self.permits.remove(0));
            } else if !self.open.is_empty() {
                self.abandon();
            } else {
                break;
            }
        }
        assert!(!self.somebody_sleeps(), "a wake-up was missed");
        self.waits.assert_all_pend();
        self.waits.clear();
        for (tx, rx) in self.ends {
            assert!(tx.len() <= tx.capacity().unwrap());
            self.got.extend(rx.try_iter().map(|v| v.0));
        }
        assert!(
            loses || self.sent.iter().all(|v| self.got.contains(v)),
            "lost"
        );
        // What a wait that was dropped had sent may have come.
        let refused = self.refused.iter().any(|v| self.got.contains(v));
        assert!(!refused, "given back and received");
        let n = self.got.len();
        self.got.sort_unstable();
        self.got.dedup();
        assert_eq!(self.got.len(), n, "received twice");
        assert_eq!(Arc::strong_count(&self.mark), 1, "not dropped once");
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        while !self.open.is_empty() {
            self.abandon();
        }
    }
}

fn tx(ends: &Ends, arm: Arm) -> Option<&Sender<Value>> {
    match arm {
        Send(i) => Some(&ends[i].0),
        Recv(_) => None,
    }
}

fn rx(ends: &Ends, arm: Arm) -> Option<&Receiver<Value>> {
    match arm {
        Recv(i) => Some(&ends[i].1),
        Send(_) => None,
    }
}

fn add<'a>(select: &mut Select<'a>, ends: &'a Ends, arm: Arm) {
    match arm {
        Send(i) => select.send(&ends[i].0),
        Recv(i) => select.recv(&ends[i].1),
    };
}

fn sequences(ops: &[Op], length: usize) {
    let mut all = ops.to_vec();
    all.extend(Step::ALL.map(Op::Step));
    let loses = all.contains(&Op::OrDone);
    for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        each(
            &format!("capacities {a} and {b}"),
            &all,
            length,
            |sequence| {
                let ends = [bounded(a), bounded(b)];
                let mut run = Run::new(&ends);
                play(sequence, |op| run.apply(op))?;
                run.check(loses);
                Ok(())
            },
        );
    }
}

#[test]
fn selects_among_plain_operations() {
    sequences(
        &[
            Op::Send(0),
            Op::Send(1),
            Op::Recv(0),
            Op::Recv(1),
            Op::Biased(Recv(0), Recv(1)),
            Op::Biased(Send(0), Send(1)),
            Op::Biased(Send(0), Recv(1)),
            Op::Biased(Recv(0), Send(1)),
            Op::Fair(Send(1), Recv(0)),
            Op::Try(Send(0), Recv(1)),
            Op::TrySend(1),
            Op::TryRecv(0),
            Op::Close(1),
        ],
        3,
    );
}

#[test]
fn selects_among_permits() {
    sequences(
        &[
            Op::Send(0),
            Op::Recv(0),
            Op::Recv(1),
            Op::Reserve(0),
            Op::Reserve(1),
            Op::Fill,
            Op::Release,
            Op::Biased(Recv(0), Recv(1)),
            Op::Biased(Send(0), Recv(1)),
            Op::Fair(Recv(0), Send(1)),
            Op::Try(Recv(1), Recv(0)),
            Op::TrySend(0),
            Op::Close(0),
        ],
        3,
    );
}

#[test]
fn selects_of_two_phases() {
    sequences(
        &[
            Op::Send(0),
            Op::Recv(1),
            Op::TwoPhase(Recv(0), Recv(1)),
            Op::TwoPhase(Send(0), Send(1)),
            Op::TwoPhase(Send(0), Recv(1)),
            Op::TwoPhase(Recv(0), Send(1)),
            Op::Complete,
            Op::Abandon,
            Op::Ready(Recv(0), Send(1)),
            Op::Ready(Send(0), Recv(1)),
            Op::TrySend(1),
            Op::TryRecv(0),
            Op::Close(0),
        ],
        3,
    );
}

#[test]
fn receives_until_done() {
    sequences(
        &[
            Op::OrDone,
            Op::Send(0),
            Op::Send(1),
            Op::Recv(0),
            Op::Reserve(0),
            Op::Reserve(1),
            Op::Fill,
            Op::Release,
            Op::Biased(Send(0), Send(1)),
            Op::TrySend(0),
            Op::TrySend(1),
            Op::Close(0),
            Op::Close(1),
        ],
        3,
    );
}
