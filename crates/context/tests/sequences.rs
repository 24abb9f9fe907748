//! Every short sequence of operations on a tree of three contexts, whose handles come and go:
//! whoever waits for one that has ended is woken, and its closures run once.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../../core/tests/common/sequences.rs"]
mod sequences;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rendez_context::{AfterFunc, Cancel, Context};
use sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    /// A child of the newest, of the first, of both.
    Derive,
    DeriveFromFirst,
    Merge,
    Cancel(usize),
    DropCancel(usize),
    DropContext(usize),
    Wait(usize),
    /// By `ctx.run`.
    Run(usize),
    AfterFunc(usize),
    /// The oldest.
    Stop,
    Step(Step),
}

struct Node {
    ctx: Option<Context>,
    cancel: Option<Cancel>,
    parents: Vec<usize>,
    ended: bool,
}

struct Run {
    nodes: Vec<Node>,
    /// Each for which node.
    waits: Waits<'static, usize, ()>,
    funcs: Vec<(usize, AfterFunc)>,
    n_due: usize,
    n_ran: Arc<AtomicUsize>,
}

impl Run {
    fn new() -> Self {
        let mut run = Self {
            nodes: Vec::new(),
            waits: Waits::new(),
            funcs: Vec::new(),
            n_due: 0,
            n_ran: Arc::default(),
        };
        run.add(Context::background().with_cancel(), Vec::new());
        run
    }

    fn add(&mut self, (ctx, cancel): (Context, Cancel), parents: Vec<usize>) -> bool {
        let ended = parents.iter().any(|&i| self.nodes[i].ended);
        self.nodes.push(Node {
            ctx: Some(ctx),
            cancel: Some(cancel),
            parents,
            ended,
        });
        self.nodes.len() <= 3
    }

    fn end(&mut self, i: usize) {
        self.nodes[i].ended = true;
        for j in i + 1..self.nodes.len() {
            let ended = |of: &usize| self.nodes[*of].ended;
            self.nodes[j].ended |= self.nodes[j].parents.iter().any(ended);
        }
    }

    fn done(&self, done: Option<(usize, ())>) {
        assert!(
            done.is_none_or(|(i, ())| self.nodes[i].ended),
            "it has not ended"
        );
    }

    fn apply(&mut self, op: Op) -> bool {
        let last = self.nodes.len() - 1;
        let ctx = |i: usize| self.nodes.get(i).and_then(|node| node.ctx.clone());
        let done = match op {
            Op::Derive | Op::DeriveFromFirst => {
                let from = if op == Op::Derive { last } else { 0 };
                // With one they are the same.
                let Some(parent) = ctx(from).filter(|_| op == Op::Derive || last > 0) else {
                    return false;
                };
                return self.add(parent.with_cancel(), vec![from]);
            }
            Op::Merge => {
                let (Some(a), Some(b)) = (ctx(0), ctx(last)) else {
                    return false;
                };
                return last > 0 && self.add(Context::merge(&[&a, &b]), vec![0, last]);
            }
            Op::Cancel(i) => {
                let Some(cancel) = self.nodes.get(i).and_then(|node| node.cancel.as_ref()) else {
                    return false;
                };
                cancel.cancel();
                self.end(i);
                None
            }
            Op::DropCancel(i) => {
                let Some(cancel) = self.nodes.get_mut(i).and_then(|node| node.cancel.take()) else {
                    return false;
                };
                drop(cancel);
                self.end(i);
                None
            }
            Op::DropContext(i) => {
                let node = self.nodes.get_mut(i);
                return node.is_some_and(|node| node.ctx.take().is_some());
            }
            Op::Wait(i) => {
                let Some(ctx) = ctx(i) else { return false };
                self.waits.start(i, async move {
                    ctx.cancelled_async().await;
                })
            }
            Op::Run(i) => {
                let Some(ctx) = ctx(i) else { return false };
                self.waits.start(i, async move {
                    assert!(ctx.run(pending::<()>()).await.is_err());
                })
            }
            Op::AfterFunc(i) => {
                let Some(ctx) = ctx(i) else { return false };
                let ran = Arc::clone(&self.n_ran);
                let func = ctx.after_func(move || {
                    ran.fetch_add(1, Ordering::SeqCst);
                });
                self.n_due += 1;
                self.funcs.push((i, func));
                None
            }
            Op::Stop => {
                if self.funcs.is_empty() {
                    return false;
                }
                let (i, func) = self.funcs.remove(0);
                let stopped = func.stop();
                assert_eq!(stopped, !self.nodes[i].ended, "whether it was stopped");
                self.n_due -= usize::from(stopped);
                None
            }
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => done,
                Err(()) => return false,
            },
        };
        self.done(done);
        true
    }

    fn check(mut self) {
        while let Some(done) = self.waits.settle() {
            self.done(Some(done));
        }
        for (i, node) in self.nodes.iter().enumerate() {
            let ended = node.ctx.as_ref().map(|ctx| ctx.err().is_some());
            assert!(ended.is_none_or(|ended| ended == node.ended), "{i}: err()");
            assert!(
                !node.ended || self.waits.count(|of| *of == i) == 0,
                "{i} was missed"
            );
        }
        self.waits.assert_all_pend();
        self.waits.clear();
        // Whatever a dropped handle left: all end now, and each closure runs.
        for i in 0..self.nodes.len() {
            drop(self.nodes[i].cancel.take());
        }
        let until = Instant::now() + Duration::from_secs(30);
        while self.n_ran.load(Ordering::SeqCst) < self.n_due {
            assert!(Instant::now() < until, "a closure does not run");
            thread::yield_now();
        }
        assert_eq!(self.n_ran.load(Ordering::SeqCst), self.n_due);
    }
}

fn sequences(what: &str, ops: &[Op], length: usize) {
    let all: Vec<_> = ops.iter().copied().chain(Step::ALL.map(Op::Step)).collect();
    each(what, &all, length, |sequence| {
        let mut run = Run::new();
        play(sequence, |op| run.apply(op))?;
        run.check();
        Ok(())
    });
}

#[test]
fn whoever_waits_for_an_end_is_woken() {
    sequences(
        "a tree",
        &[
            Op::Derive,
            Op::DeriveFromFirst,
            Op::Merge,
            Op::Cancel(0),
            Op::Cancel(1),
            Op::DropCancel(0),
            Op::DropCancel(2),
            Op::DropContext(0),
            Op::DropContext(1),
            Op::Wait(0),
            Op::Wait(1),
            Op::Run(1),
            Op::Wait(2),
        ],
        4,
    );
}

#[test]
fn closures_run_once_or_are_stopped() {
    sequences(
        "closures",
        &[
            Op::Derive,
            Op::Cancel(0),
            Op::DropCancel(1),
            Op::DropContext(0),
            Op::AfterFunc(0),
            Op::AfterFunc(1),
            Op::Stop,
            Op::Wait(1),
        ],
        4,
    );
}
