//! Sequences on a selector of two channels: its arms stay queued between its waits, whatever
//! happens to the channels meanwhile.

use std::cell::RefCell;
use std::rc::Rc;

use rendez_select::{
    Permit, Receiver, RecvError, Selector, Sender, bounded, never, select_biased_async,
};

use crate::sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Add(usize),
    /// The oldest key.
    Remove,
    Wait,
    TryWait,
    Send(usize),
    /// A select with nothing but a value to send.
    Offer(usize),
    Reserve(usize),
    Fill,
    Release,
    Recv(usize),
    TrySend(usize),
    TryRecv(usize),
    Close(usize),
    Step(Step),
}

const OPS: [Op; 19] = [
    Op::Add(0),
    Op::Add(1),
    Op::Remove,
    Op::Wait,
    Op::TryWait,
    Op::Send(0),
    Op::Offer(1),
    Op::Reserve(0),
    Op::Fill,
    Op::Release,
    Op::Recv(0),
    Op::Recv(1),
    Op::TrySend(0),
    Op::TryRecv(1),
    Op::Close(1),
    Op::Step(Step::PollOldest),
    Op::Step(Step::PollNewest),
    Op::Step(Step::DropOldest),
    Op::Step(Step::DropNewest),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Send(usize),
    Recv(usize),
    Selector,
}

enum Done<'a> {
    Sent(u8, bool),
    Got(Option<u8>),
    Permit(Option<Permit<'a, u8>>),
    Selected(usize, Result<u8, RecvError>),
}

type Ends = [(Sender<u8>, Receiver<u8>); 2];

struct Run<'a> {
    ends: &'a Ends,
    selector: Rc<RefCell<Selector<u8>>>,
    /// Of what channel each key is.
    keys: Vec<(usize, usize)>,
    waits: Waits<'a, Want, Done<'a>>,
    permits: Vec<Permit<'a, u8>>,
    n_values: u8,
    sent: Vec<u8>,
    refused: Vec<u8>,
    got: Vec<u8>,
}

impl<'a> Run<'a> {
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
            Some((_, Done::Got(value))) => self.got.extend(value),
            Some((_, Done::Permit(permit))) => self.permits.extend(permit),
            Some((_, Done::Selected(key, value))) => {
                assert!(self.keys.iter().any(|(k, _)| *k == key), "a key of none");
                self.got.extend(value);
            }
            None => {}
        }
    }

    fn waits(&self) -> bool {
        self.waits.count(|want| *want == Want::Selector) > 0
    }

    fn apply(&mut self, op: Op) -> bool {
        let ends = self.ends;
        let v = self.n_values + 1;
        let of_selector = matches!(op, Op::Add(_) | Op::Remove | Op::Wait | Op::TryWait);
        if of_selector && self.waits() {
            return false;
        }
        let done = match op {
            Op::Add(i) => {
                if self.keys.iter().any(|(_, of)| *of == i) {
                    return false;
                }
                let key = self.selector.borrow_mut().add(ends[i].1.clone());
                self.keys.push((key, i));
                None
            }
            Op::Remove | Op::Wait | Op::TryWait if self.keys.is_empty() => return false,
            Op::Remove => {
                let (key, _) = self.keys.remove(0);
                assert!(self.selector.borrow_mut().remove(key).is_some());
                None
            }
            Op::Wait => {
                let selector = Rc::clone(&self.selector);
                #[allow(clippy::await_holding_refcell_ref, reason = "nobody else borrows it")]
                self.waits.start(Want::Selector, async move {
                    let (key, value) = selector.borrow_mut().wait_async().await;
                    Done::Selected(key, value)
                })
            }
            Op::TryWait => {
                let got = self.selector.borrow_mut().try_wait();
                got.map(|(key, value)| (Want::Selector, Done::Selected(key, value)))
            }
            Op::Send(i) => {
                self.n_values += 1;
                self.waits.start(Want::Send(i), async move {
                    Done::Sent(v, ends[i].0.send_async(v).await.is_ok())
                })
            }
            Op::Offer(i) => {
                self.n_values += 1;
                self.waits.start(Want::Send(i), async move {
                    select_biased_async! {
                        send(ends[i].0, v) -> sent => Done::Sent(v, sent.is_ok()),
                        recv(never::<u8>()) -> _ => unreachable!(),
                    }
                })
            }
            Op::Reserve(i) => self.waits.start(Want::Send(i), async move {
                Done::Permit(ends[i].0.reserve_async().await.ok())
            }),
            Op::Recv(i) => self.waits.start(Want::Recv(i), async move {
                Done::Got(ends[i].1.recv_async().await.ok())
            }),
            Op::TrySend(i) => {
                self.n_values += 1;
                self.sent(v, ends[i].0.try_send(v).is_ok());
                None
            }
            Op::TryRecv(i) => {
                self.got.extend(ends[i].1.try_recv());
                None
            }
            Op::Fill | Op::Release if self.permits.is_empty() => return false,
            Op::Fill => {
                self.n_values += 1;
                let ok = self.permits.remove(0).send(v).is_ok();
                self.sent(v, ok);
                None
            }
            Op::Release => {
                drop(self.permits.remove(0));
                None
            }
            Op::Close(i) => return ends[i].0.close(),
            Op::Step(step) => match step.apply(&mut self.waits) {
                Ok(done) => done,
                Err(()) => return false,
            },
        };
        self.done(done);
        true
    }

    fn check(mut self) {
        loop {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            if self.permits.is_empty() {
                break;
            }
            drop(self.permits.remove(0));
        }
        for (i, (tx, rx)) in self.ends.iter().enumerate() {
            let send = self.waits.count(|want| *want == Want::Send(i)) > 0;
            let recv = self.waits.count(|want| *want == Want::Recv(i)) > 0
                || self.waits() && self.keys.iter().any(|(_, of)| *of == i);
            assert!(!send || !recv, "a pair sleeps");
            assert!(
                !recv || rx.is_empty() && !tx.is_closed(),
                "a receiver sleeps"
            );
            let full = Some(tx.len()) == tx.capacity();
            assert!(!send || full && !tx.is_closed(), "a sender sleeps");
        }
        self.waits.assert_all_pend();
        self.waits.clear();
        for (_, rx) in self.ends {
            self.got.extend(rx.try_iter());
        }
        assert!(self.sent.iter().all(|v| self.got.contains(v)), "lost");
        assert!(
            !self.refused.iter().any(|v| self.got.contains(v)),
            "given back and received"
        );
        let n = self.got.len();
        self.got.sort_unstable();
        self.got.dedup();
        assert_eq!(self.got.len(), n, "received twice");
    }
}

#[test]
fn a_selector_among_plain_operations() {
    for (a, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        each(&format!("capacities {a} and {b}"), &OPS, 3, |sequence| {
            let ends = [bounded(a), bounded(b)];
            let mut run = Run {
                ends: &ends,
                selector: Rc::default(),
                keys: Vec::new(),
                waits: Waits::new(),
                permits: Vec::new(),
                n_values: 0,
                sent: Vec::new(),
                refused: Vec::new(),
                got: Vec::new(),
            };
            // Most sequences begin so.
            assert!(run.apply(Op::Add(0)) && run.apply(Op::Add(1)) && run.apply(Op::Wait));
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }
}
