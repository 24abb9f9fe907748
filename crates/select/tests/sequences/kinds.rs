//! Sequences on the channels of other kinds: oneshot, broadcast and watch, whose ends come and
//! go and stand in selects.

use std::future::Future;
use std::rc::Rc;

use rendez_select::{broadcast, never, oneshot, select, select_biased_async, watch};

use crate::sequences::{Step, Waits, each, play};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Send,
    TrySend,
    Recv(usize),
    /// In a select beside another arm.
    SelectRecv(usize),
    /// Sends or receives.
    Exchange(usize),
    TryRecv(usize),
    /// Looks at the value.
    Get(usize),
    /// Waits until nothing can be sent.
    Closed,
    Subscribe,
    /// Another like the first.
    Clone,
    DropSender,
    DropReceiver(usize),
    Close,
    CloseReceiver(usize),
    Step(Step),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    Send,
    Recv(usize),
    Exchange(usize),
    Closed,
}

impl Want {
    fn receives(self, i: usize) -> bool {
        self == Self::Recv(i) || self == Self::Exchange(i)
    }

    fn sends(self) -> bool {
        matches!(self, Self::Send | Self::Exchange(_))
    }

    fn has_sender(self) -> bool {
        !matches!(self, Self::Recv(_))
    }
}

fn with_steps(ops: &[Op]) -> Vec<Op> {
    let steps = Step::ALL.into_iter().map(Op::Step);
    ops.iter().copied().chain(steps).collect()
}

/// What can be seen of a receiving end.
#[derive(Clone, Debug)]
struct Seen {
    /// Whether something is to be received.
    ready: bool,
    there: bool,
}

/// Whoever is left waits for a reason.
fn assert_nobody_sleeps<D>(
    waits: &mut Waits<'_, Want, D>,
    closed: bool,
    has_sender: bool,
    has_room: bool,
    receivers: &[Seen],
) {
    let waits_for = |is: &dyn Fn(Want) -> bool| waits.count(|want| is(*want)) > 0;
    let has_sender = has_sender || waits_for(&Want::has_sender);
    let there = |(i, seen): (usize, &Seen)| seen.there || waits_for(&|want| want.receives(i));
    let has_receiver = receivers.iter().enumerate().any(there);
    let no_sends = closed || !has_receiver;
    assert!(
        !no_sends || !waits_for(&|want| want == Want::Closed),
        "a close"
    );
    assert!(
        !waits_for(&Want::sends) || !no_sends && !has_room,
        "a sender sleeps"
    );
    for (i, seen) in receivers.iter().enumerate() {
        let ready = seen.ready || closed || !has_sender;
        assert!(
            !ready || !waits_for(&|want| want.receives(i)),
            "receiver {i} sleeps"
        );
    }
    waits.assert_all_pend();
}

mod of_one {
    use super::*;

    enum Done {
        Got(Option<u8>),
        Closed,
    }

    struct Run {
        tx: Option<Rc<oneshot::Sender<u8>>>,
        rx: Option<Rc<oneshot::Receiver<u8>>>,
        waits: Waits<'static, Want, Done>,
        closed: bool,
        sent: bool,
        got: usize,
    }

    impl Run {
        fn done(&mut self, done: Option<(Want, Done)>) {
            if let Some((_, Done::Got(Some(_)))) = done {
                self.got += 1;
            }
        }

        fn start(&mut self, want: Want, future: impl Future<Output = Done> + 'static) -> bool {
            let done = self.waits.start(want, future);
            self.done(done);
            true
        }

        fn apply(&mut self, op: Op) -> bool {
            match op {
                Op::Send => {
                    let Some(tx) = self.tx.take().and_then(Rc::into_inner) else {
                        return false;
                    };
                    self.sent = tx.send(1).is_ok();
                    return true;
                }
                Op::Closed => {
                    let Some(tx) = self.tx.clone() else {
                        return false;
                    };
                    return self.start(Want::Closed, async move {
                        tx.closed_async().await;
                        Done::Closed
                    });
                }
                Op::DropSender => return self.tx.take().is_some(),
                Op::DropReceiver(_) => return self.rx.take().is_some(),
                Op::Step(step) => {
                    let Ok(done) = step.apply(&mut self.waits) else {
                        return false;
                    };
                    self.done(done);
                    return true;
                }
                _ => {}
            }
            let Some(rx) = self.rx.clone() else {
                return false;
            };
            match op {
                Op::Recv(i) => {
                    return self.start(Want::Recv(i), async move {
                        Done::Got(rx.recv_async().await.ok())
                    });
                }
                Op::SelectRecv(i) => {
                    return self.start(Want::Recv(i), async move {
                        select_biased_async! {
                            recv(never::<u8>()) -> _ => unreachable!(),
                            recv(rx) -> got => Done::Got(got.ok()),
                        }
                    });
                }
                Op::TryRecv(_) => self.got += usize::from(rx.try_recv().is_ok()),
                _ => {
                    let closes = rx.close();
                    assert_ne!(closes, self.closed);
                    self.closed = true;
                    return closes;
                }
            }
            true
        }

        fn check(mut self) {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            let seen = Seen {
                ready: self.rx.as_ref().is_some_and(|rx| !rx.is_empty()),
                there: self.rx.is_some(),
            };
            let has_sender = self.tx.is_some();
            assert_nobody_sleeps(&mut self.waits, self.closed, has_sender, false, &[seen]);
            self.waits.clear();
            if let Some(rx) = self.rx {
                self.got += usize::from(rx.try_recv().is_ok());
                assert_eq!(self.got, usize::from(self.sent));
            }
            assert!(self.got <= usize::from(self.sent));
        }
    }

    #[test]
    fn a_oneshot() {
        let ops = with_steps(&[
            Op::Send,
            Op::Recv(0),
            Op::SelectRecv(0),
            Op::TryRecv(0),
            Op::Closed,
            Op::DropSender,
            Op::DropReceiver(0),
            Op::CloseReceiver(0),
        ]);
        each("oneshot", &ops, 6, |sequence| {
            let (tx, rx) = oneshot::<u8>();
            let mut run = Run {
                tx: Some(Rc::new(tx)),
                rx: Some(Rc::new(rx)),
                waits: Waits::new(),
                closed: false,
                sent: false,
                got: 0,
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }
}

mod to_all {
    use super::*;
    use broadcast::{Receiver, RecvError, Sender};

    enum Done {
        Sent(u8, bool),
        Got(Result<u8, RecvError>),
        Closed,
    }

    struct Seat {
        rx: Option<Rc<Receiver<u8>>>,
        got: Vec<u8>,
        lagged: u64,
        /// How many values had been sent when it came, or more.
        since: usize,
        /// How many more may have been, by waits that were still to be polled.
        unsure: usize,
    }

    struct Run {
        tx: Option<Rc<Sender<u8>>>,
        seats: Vec<Seat>,
        waits: Waits<'static, Want, Done>,
        waiting: bool,
        cap: usize,
        closed: bool,
        n_values: u8,
        sent: Vec<u8>,
        /// Waits dropped that may have sent.
        unsure: usize,
    }

    impl Run {
        fn new(waiting: bool, cap: usize) -> Self {
            let (tx, rx) = if waiting {
                rendez_select::broadcast_waiting(cap)
            } else {
                broadcast::broadcast(cap)
            };
            let mut run = Self {
                tx: Some(Rc::new(tx)),
                seats: Vec::new(),
                waits: Waits::new(),
                waiting,
                cap,
                closed: false,
                n_values: 0,
                sent: Vec::new(),
                unsure: 0,
            };
            run.sit(rx);
            run
        }

        fn sit(&mut self, rx: Receiver<u8>) {
            self.seats.push(Seat {
                rx: Some(Rc::new(rx)),
                got: Vec::new(),
                lagged: 0,
                since: self.sent.len(),
                unsure: self.waits.count(|want| want.sends()),
            });
        }

        fn done(&mut self, done: Option<(Want, Done)>) {
            match done {
                Some((_, Done::Sent(value, true))) => self.sent.push(value),
                Some((Want::Recv(i) | Want::Exchange(i), Done::Got(got))) => self.got(i, got),
                _ => {}
            }
        }

        fn got(&mut self, i: usize, got: Result<u8, RecvError>) {
            match got {
                Ok(value) => self.seats[i].got.push(value),
                Err(RecvError::Lagged(n)) => self.seats[i].lagged += n,
                Err(_) => {}
            }
        }

        fn start(&mut self, want: Want, future: impl Future<Output = Done> + 'static) -> bool {
            let done = self.waits.start(want, future);
            self.done(done);
            true
        }

        fn apply(&mut self, op: Op) -> bool {
            let v = self.n_values + 1;
            match op {
                Op::Send | Op::TrySend | Op::Subscribe | Op::Closed | Op::Close => {
                    let Some(tx) = self.tx.clone() else {
                        return false;
                    };
                    match op {
                        Op::Send => {
                            self.n_values += 1;
                            self.start(Want::Send, async move {
                                Done::Sent(v, tx.send_async(v).await.is_ok())
                            })
                        }
                        Op::TrySend => {
                            self.n_values += 1;
                            self.sent.extend(tx.try_send(v).is_ok().then_some(v));
                            true
                        }
                        Op::Closed => self.start(Want::Closed, async move {
                            tx.closed_async().await;
                            Done::Closed
                        }),
                        Op::Subscribe => {
                            self.sit(tx.subscribe());
                            self.seats.len() < 4
                        }
                        _ => {
                            let closes = tx.close();
                            assert_ne!(closes, self.closed);
                            self.closed = true;
                            closes
                        }
                    }
                }
                Op::DropSender => self.tx.take().is_some(),
                Op::Step(step) => {
                    let sending = self.waits.count(|want| want.sends());
                    let Ok(done) = step.apply(&mut self.waits) else {
                        return false;
                    };
                    if done.is_none() {
                        self.unsure += sending - self.waits.count(|want| want.sends());
                    }
                    self.done(done);
                    true
                }
                Op::DropReceiver(i) => self
                    .seats
                    .get_mut(i)
                    .is_some_and(|seat| seat.rx.take().is_some()),
                Op::Clone => {
                    let Some(rx) = &self.seats[0].rx else {
                        return false;
                    };
                    let rx = Receiver::clone(rx);
                    self.sit(rx);
                    // It sees what the first has still to see.
                    let seen = self.seats[0].got.len() + self.seats[0].lagged as usize;
                    let last = self.seats.len() - 1;
                    self.seats[last].since = self.seats[0].since + seen;
                    self.seats[last].unsure += self.seats[0].unsure;
                    self.seats.len() < 4
                }
                Op::Recv(i) | Op::SelectRecv(i) | Op::Exchange(i) | Op::TryRecv(i) => {
                    let Some(rx) = self.seats.get(i).and_then(|seat| seat.rx.clone()) else {
                        return false;
                    };
                    self.receive(op, i, rx)
                }
                _ => unreachable!(),
            }
        }

        fn receive(&mut self, op: Op, i: usize, rx: Rc<Receiver<u8>>) -> bool {
            match op {
                Op::Recv(_) => {
                    self.start(
                        Want::Recv(i),
                        async move { Done::Got(rx.recv_async().await) },
                    )
                }
                Op::SelectRecv(_) => self.start(Want::Recv(i), async move {
                    select_biased_async! {
                        recv(never::<u8>()) -> _ => unreachable!(),
                        recv(rx) -> got => Done::Got(got),
                    }
                }),
                Op::Exchange(_) => {
                    self.n_values += 1;
                    let (v, tx) = (self.n_values, self.tx.clone());
                    let Some(tx) = tx else { return false };
                    self.start(Want::Exchange(i), async move {
                        select_biased_async! {
                            recv(rx) -> got => Done::Got(got),
                            send(tx, v) -> sent => Done::Sent(v, sent.is_ok()),
                        }
                    })
                }
                _ => {
                    select! {
                        recv(rx) -> got => self.got(i, got),
                        default => {}
                    }
                    true
                }
            }
        }

        fn check(mut self) {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            let seen = |seat: &Seat| Seen {
                ready: seat.rx.as_ref().is_some_and(|rx| !rx.is_empty()),
                there: seat.rx.is_some(),
            };
            let seen: Vec<_> = self.seats.iter().map(seen).collect();
            let has_sender = self.tx.is_some();
            let some = self.seats.iter().find_map(|seat| seat.rx.as_ref());
            let len = some.map_or(self.cap, |rx| {
                let all = self.seats.iter().filter_map(|seat| seat.rx.as_ref());
                assert_eq!(rx.capacity(), self.cap);
                all.map(|rx| rx.len()).max().unwrap_or(0)
            });
            let hidden = (0..self.seats.len()).any(|i| {
                self.seats[i].rx.is_none() && self.waits.count(|want| want.receives(i)) > 0
            });
            // A receiver that only a wait has left cannot be looked at; but it waits, so
            // nothing is to come for it.
            let has_room = !self.waiting || len < self.cap && (some.is_some() || hidden);
            assert_nobody_sleeps(&mut self.waits, self.closed, has_sender, has_room, &seen);
            self.unsure += self.waits.count(|want| want.sends());
            self.waits.clear();
            for i in 0..self.seats.len() {
                let Some(rx) = self.seats[i].rx.clone() else {
                    continue;
                };
                loop {
                    match rx.try_recv() {
                        Ok(value) => self.got(i, Ok(value)),
                        Err(broadcast::TryRecvError::Lagged(n)) => self.seats[i].lagged += n,
                        Err(_) => break,
                    }
                }
                let seat = &self.seats[i];
                let all = seat.since + seat.got.len() + seat.lagged as usize;
                let sent = self.sent.len();
                let range = sent.saturating_sub(seat.unsure)..=sent + self.unsure;
                assert!(range.contains(&all), "{all} of {sent}");
                assert!(!self.waiting || seat.lagged == 0, "it missed some");
            }
            for seat in &self.seats {
                for (n, v) in seat.got.iter().enumerate() {
                    assert!(!seat.got[..n].contains(v), "twice");
                    // In one order for all.
                    for other in &self.seats {
                        let of = |v| other.got.iter().position(|w| *w == v);
                        let before = seat.got[..n].iter().filter_map(|w| of(*w)).max();
                        assert!(of(*v).is_none_or(|at| Some(at) > before), "another order");
                    }
                }
            }
        }
    }

    fn sequences(waiting: bool) {
        let ops = with_steps(&[
            Op::Send,
            Op::TrySend,
            Op::Recv(0),
            Op::Recv(1),
            Op::SelectRecv(0),
            Op::Exchange(1),
            Op::TryRecv(0),
            Op::TryRecv(1),
            Op::Closed,
            Op::Subscribe,
            Op::Clone,
            Op::DropSender,
            Op::DropReceiver(0),
            Op::DropReceiver(1),
            Op::Close,
        ]);
        for cap in 1..=2 {
            each(
                &format!("broadcast({cap}), waiting: {waiting}"),
                &ops,
                4,
                |sequence| {
                    let mut run = Run::new(waiting, cap);
                    play(sequence, |op| run.apply(op))?;
                    run.check();
                    Ok(())
                },
            );
        }
    }

    #[test]
    fn a_broadcast() {
        sequences(false);
    }

    #[test]
    fn a_broadcast_that_waits() {
        sequences(true);
    }
}

mod of_the_latest {
    use super::*;
    use watch::{Receiver, Sender};

    enum Done {
        Got(Option<u8>),
        Closed,
    }

    struct Run {
        tx: Option<Rc<Sender<u8>>>,
        /// With the latest value each has seen. A wait that was served gives the latest,
        /// which another has perhaps seen before it is polled.
        seats: Vec<(Option<Rc<Receiver<u8>>>, u8)>,
        waits: Waits<'static, Want, Done>,
        closed: bool,
        latest: u8,
    }

    impl Run {
        fn done(&mut self, done: Option<(Want, Done)>) {
            if let Some((Want::Recv(i), Done::Got(Some(value)))) = done {
                self.seats[i].1 = value;
                assert_eq!(value, self.latest);
            }
        }

        fn start(&mut self, want: Want, future: impl Future<Output = Done> + 'static) -> bool {
            let done = self.waits.start(want, future);
            self.done(done);
            true
        }

        fn apply(&mut self, op: Op) -> bool {
            match op {
                Op::Send | Op::Subscribe | Op::Closed | Op::Close => {
                    let Some(tx) = self.tx.clone() else {
                        return false;
                    };
                    match op {
                        Op::Send => {
                            let ok = tx.send(self.latest + 1).is_ok();
                            self.latest += u8::from(ok);
                            true
                        }
                        Op::Closed => self.start(Want::Closed, async move {
                            tx.closed_async().await;
                            Done::Closed
                        }),
                        Op::Subscribe => {
                            self.seats
                                .push((Some(Rc::new(tx.subscribe())), self.latest));
                            self.seats.len() < 4
                        }
                        _ => {
                            let closes = tx.close();
                            assert_ne!(closes, self.closed);
                            self.closed = true;
                            closes
                        }
                    }
                }
                Op::DropSender => self.tx.take().is_some(),
                Op::Step(step) => {
                    let Ok(done) = step.apply(&mut self.waits) else {
                        return false;
                    };
                    self.done(done);
                    true
                }
                Op::Recv(i)
                | Op::SelectRecv(i)
                | Op::TryRecv(i)
                | Op::Get(i)
                | Op::DropReceiver(i) => {
                    let Some(rx) = self.seats.get(i).and_then(|seat| seat.0.clone()) else {
                        return false;
                    };
                    self.receive(op, i, rx)
                }
                _ => {
                    let Some(rx) = &self.seats[0].0 else {
                        return false;
                    };
                    let rx = Receiver::clone(rx);
                    self.seats.push((Some(Rc::new(rx)), self.seats[0].1));
                    self.seats.len() < 4
                }
            }
        }

        fn receive(&mut self, op: Op, i: usize, rx: Rc<Receiver<u8>>) -> bool {
            match op {
                Op::Recv(_) => {
                    return self.start(Want::Recv(i), async move {
                        Done::Got(rx.changed_async().await.ok())
                    });
                }
                Op::SelectRecv(_) => {
                    return self.start(Want::Recv(i), async move {
                        select_biased_async! {
                            recv(never::<u8>()) -> _ => unreachable!(),
                            recv(rx) -> got => Done::Got(got.ok()),
                        }
                    });
                }
                Op::Get(_) => {
                    assert_eq!(rx.get(), self.latest);
                    self.seats[i].1 = self.latest;
                }
                Op::DropReceiver(_) => self.seats[i].0 = None,
                _ => {
                    if let Ok(value) = rx.try_recv() {
                        assert!(self.seats[i].1 < value, "it had seen that");
                        assert_eq!(value, self.latest);
                        self.seats[i].1 = value;
                    }
                }
            }
            true
        }

        fn check(mut self) {
            while let Some(done) = self.waits.settle() {
                self.done(Some(done));
            }
            let seen = |(rx, at): &(Option<Rc<Receiver<u8>>>, u8)| {
                let ready = rx.as_ref().is_some_and(|rx| rx.has_changed());
                assert!(rx.is_none() || ready == (*at < self.latest), "has_changed");
                Seen {
                    ready,
                    there: rx.is_some(),
                }
            };
            let seen: Vec<_> = self.seats.iter().map(seen).collect();
            let has_sender = self.tx.is_some();
            assert_nobody_sleeps(&mut self.waits, self.closed, has_sender, true, &seen);
        }
    }

    #[test]
    fn a_watch() {
        let ops = with_steps(&[
            Op::Send,
            Op::Recv(0),
            Op::Recv(1),
            Op::SelectRecv(0),
            Op::TryRecv(0),
            Op::Get(1),
            Op::Closed,
            Op::Subscribe,
            Op::Clone,
            Op::DropSender,
            Op::DropReceiver(0),
            Op::DropReceiver(1),
            Op::Close,
        ]);
        each("watch", &ops, 4, |sequence| {
            let (tx, rx) = watch(0);
            let mut run = Run {
                tx: Some(Rc::new(tx)),
                seats: vec![(Some(Rc::new(rx)), 0)],
                waits: Waits::new(),
                closed: false,
                latest: 0,
            };
            play(sequence, |op| run.apply(op))?;
            run.check();
            Ok(())
        });
    }
}
