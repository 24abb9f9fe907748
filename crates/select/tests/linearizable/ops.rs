//! The operations, each in its forms: what they do and how that is recorded.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use rendez_select::{
    Permit, Receiver, RecvTimeoutError, Select, SendError, SendTimeoutError, Sender, TryRecvError,
    TrySendError, select, select_async, select_biased,
};

use crate::log::{Form, Log};
use crate::model::{Effect, Sets};
use crate::program::received;

pub(crate) const BRIEFLY: Duration = Duration::from_micros(30);

impl Log {
    pub(crate) async fn send(&mut self, c: usize, tx: &Sender<u32>) {
        let (v, form) = (self.value(), self.form());
        let sets = Sets {
            sends: 1 << c,
            ..Sets::default()
        };
        let call = self.call(form, sets);
        let effect = match form {
            Form::Block => sent(c, v, tx.send(v).is_ok()),
            Form::Briefly => match tx.send_timeout(v, BRIEFLY) {
                Ok(()) => Effect::Push { c, v },
                Err(SendTimeoutError::Timeout(_)) => Effect::Nothing,
                Err(SendTimeoutError::Disconnected(_)) => Effect::Rejected { c },
            },
            form => match self.drive(form, tx.send_async(v)).await {
                Some(result) => sent(c, v, result.is_ok()),
                None => Effect::MaybePush { c, v },
            },
        };
        self.end(&call, [effect]);
    }

    pub(crate) async fn receive(&mut self, c: usize, rx: &Receiver<u32>) {
        let form = self.form();
        let mut sets = receiving(1 << c);
        if matches!(form, Form::Block | Form::Briefly) {
            sets.grants = 0;
        }
        let call = self.call(form, sets);
        let effect = match form {
            Form::Block => received(c, rx.recv().ok()),
            Form::Briefly => match rx.recv_timeout(BRIEFLY) {
                Ok(v) => Effect::Pop { c, v },
                Err(RecvTimeoutError::Timeout) => Effect::Nothing,
                Err(RecvTimeoutError::Disconnected) => Effect::Drained { c },
            },
            form => {
                let got = self.drive(form, rx.recv_async()).await;
                got.map_or(Effect::Nothing, |got| received(c, got.ok()))
            }
        };
        self.end(&call, [effect]);
    }

    pub(crate) fn try_send(&mut self, c: usize, tx: &Sender<u32>) {
        let v = self.value();
        let call = self.call(Form::Briefly, Sets::default());
        let effect = match tx.try_send(v) {
            Ok(()) => Effect::Push { c, v },
            Err(TrySendError::Full(_)) => Effect::Default {
                recv: 0,
                send: 1 << c,
            },
            Err(TrySendError::Disconnected(_)) => Effect::Rejected { c },
        };
        self.end(&call, [effect]);
    }

    pub(crate) fn try_receive(&mut self, c: usize, rx: &Receiver<u32>) {
        let sets = Sets {
            grants: 0,
            ..receiving(1 << c)
        };
        let call = self.call(Form::Briefly, sets);
        let effect = match rx.try_recv() {
            Ok(v) => Effect::Pop { c, v },
            Err(TryRecvError::Empty) => Effect::Default {
                recv: 1 << c,
                send: 0,
            },
            Err(TryRecvError::Disconnected) => Effect::Drained { c },
        };
        self.end(&call, [effect]);
    }

    /// Puts a value into one channel, and then takes one out of another: recorded together, so
    /// that as little time as possible lies in between.
    pub(crate) fn pass_on(&mut self, (c, tx): To<'_>, (d, rx): From<'_>) {
        let v = self.value();
        let call = self.call(Form::Briefly, Sets::default());
        let (put, got) = (tx.try_send(v), rx.try_recv());
        let put = match put {
            Ok(()) => Effect::Push { c, v },
            Err(_) => Effect::Default {
                recv: 0,
                send: 1 << c,
            },
        };
        let got = match got {
            Ok(v) => Effect::Pop { c: d, v },
            Err(_) => Effect::Default {
                recv: 1 << d,
                send: 0,
            },
        };
        self.end(&call, [put, got]);
    }

    pub(crate) async fn send_many(&mut self, c: usize, tx: &Sender<u32>) {
        let values: Vec<_> = (0..=self.random.below(3)).map(|_| self.value()).collect();
        let form = match self.form() {
            Form::Briefly => Form::CancelServed,
            form => form,
        };
        let sets = Sets {
            sends: 1 << c,
            ..Sets::default()
        };
        let call = self.call(form, sets);
        let result = match form {
            Form::Block => Some(tx.send_many(values.iter().copied())),
            form => self.drive(form, tx.send_many_async(values.clone())).await,
        };
        let maybe = |&v: &u32| Effect::MaybePush { c, v };
        let push = |&v: &u32| Effect::Push { c, v };
        let effects: Vec<_> = match result {
            None => values.iter().map(maybe).collect(),
            Some(Ok(n)) => {
                assert_eq!(n, values.len());
                values.iter().map(push).collect()
            }
            Some(Err(SendError(rest))) => {
                let n = values.len() - rest.len();
                assert_eq!(rest, values[n..], "the unsent rest, whole and in order");
                let pushed = values[..n].iter().map(push);
                pushed.chain([Effect::Rejected { c }]).collect()
            }
        };
        self.end(&call, effects);
    }

    pub(crate) async fn receive_many(&mut self, c: usize, rx: &Receiver<u32>) {
        let form = match self.form() {
            Form::Briefly => Form::CancelServed,
            form => form,
        };
        let max = 1 + self.random.index(3);
        let mut sets = receiving(1 << c);
        if matches!(form, Form::Block) {
            sets.grants = 0;
        }
        let call = self.call(form, sets);
        let mut out = Vec::new();
        let result = match form {
            Form::Block => Some(rx.recv_many(&mut out, max)),
            form => self.drive(form, rx.recv_many_async(&mut out, max)).await,
        };
        let effects: Vec<_> = match result {
            None => vec![Effect::Nothing],
            Some(Err(_)) => vec![Effect::Drained { c }],
            Some(Ok(n)) => {
                assert!(n == out.len() && (1..=max).contains(&n));
                out.iter().map(|&v| Effect::Pop { c, v }).collect()
            }
        };
        self.end(&call, effects);
    }

    pub(crate) fn drain(&mut self, c: usize, rx: &Receiver<u32>) {
        let sets = Sets {
            grants: 0,
            ..receiving(1 << c)
        };
        let call = self.call(Form::Briefly, sets);
        let effects: Vec<_> = rx.drain().map(|v| Effect::Pop { c, v }).collect();
        self.end(&call, effects);
    }

    pub(crate) async fn reserve<'a>(
        &mut self,
        c: usize,
        tx: &'a Sender<u32>,
    ) -> Option<Permit<'a, u32>> {
        let form = match self.form() {
            Form::Briefly => Form::CancelServed,
            form => form,
        };
        self.reserve_in(form, c, tx).await
    }

    pub(crate) async fn reserve_in<'a>(
        &mut self,
        form: Form,
        c: usize,
        tx: &'a Sender<u32>,
    ) -> Option<Permit<'a, u32>> {
        let sets = Sets {
            sends: 1 << c,
            offers: 1 << c,
            ..Sets::default()
        };
        let call = self.call(form, sets);
        let result = match form {
            Form::Block => Some(tx.reserve()),
            form => self.drive(form, tx.reserve_async()).await,
        };
        let (permit, effect) = match result {
            None => (None, Effect::Nothing),
            Some(Err(_)) => (None, Effect::Rejected { c }),
            Some(Ok(permit)) => (Some(permit), Effect::Reserve { c }),
        };
        self.end(&call, [effect]);
        permit
    }

    pub(crate) fn fill(&mut self, c: usize, permit: Permit<'_, u32>) {
        let v = self.value();
        let call = self.call(Form::Briefly, Sets::default());
        let effect = if self.random.below(3) == 0 {
            drop(permit);
            Effect::Release { c }
        } else if permit.send(v).is_ok() {
            Effect::Fill { c, v }
        } else {
            Effect::Unfillable { c }
        };
        self.end(&call, [effect]);
    }

    pub(crate) async fn receive_either(&mut self, (c, rx): From<'_>, (d, other): From<'_>) {
        let form = self.form();
        let call = self.call(form, receiving(1 << c | 1 << d));
        let awaited = async {
            select_async! {
                recv(rx) -> v => received(c, v.ok()),
                recv(other) -> v => received(d, v.ok()),
            }
        };
        let effect = match form {
            Form::Block => {
                let mut select = Select::new();
                let first = select.recv(rx);
                select.recv(other);
                let op = select.select();
                if op.index() == first {
                    received(c, op.recv(rx).ok())
                } else {
                    received(d, op.recv(other).ok())
                }
            }
            Form::Briefly => select! {
                recv(rx) -> v => received(c, v.ok()),
                recv(other) -> v => received(d, v.ok()),
                default(BRIEFLY) => Effect::Nothing,
            },
            form => self.drive(form, awaited).await.unwrap_or(Effect::Nothing),
        };
        self.end(&call, [effect]);
    }

    pub(crate) fn look_at_either(&mut self, (c, rx): From<'_>, (d, other): From<'_>) {
        let recv = 1 << c | 1 << d;
        let call = self.call(Form::Briefly, receiving(recv));
        let effect = select! {
            recv(rx) -> v => received(c, v.ok()),
            recv(other) -> v => received(d, v.ok()),
            default => Effect::Default { recv, send: 0 },
        };
        self.end(&call, [effect]);
    }

    pub(crate) fn exchange_now(&mut self, (c, tx): To<'_>, (d, other): From<'_>) {
        let v = self.value();
        let sets = Sets {
            offers: 1 << c,
            ..receiving(1 << d)
        };
        let call = self.call(Form::Briefly, sets);
        let panics = v % 3 == 0;
        let value = || {
            if panics {
                // Unwinds without a report.
                resume_unwind(Box::new(()));
            }
            v
        };
        let effects = catch_unwind(AssertUnwindSafe(|| {
            select_biased! {
                send(tx, value()) -> res => offered(c, v, res.is_ok()),
                recv(other) -> v => vec![received(d, v.ok())],
                default => vec![Effect::Default { recv: 1 << d, send: 1 << c }],
            }
        }));
        let taken_back = |_| vec![Effect::TakenBack { c }];
        self.end(&call, effects.unwrap_or_else(taken_back));
    }

    pub(crate) async fn exchange(&mut self, (c, tx): To<'_>, (d, other): From<'_>) {
        let (v, form) = (self.value(), self.form());
        let sets = Sets {
            sends: 1 << c,
            offers: 1 << c,
            ..receiving(1 << d)
        };
        let call = self.call(form, sets);
        let awaited = async {
            select_async! {
                send(tx, v) -> res => offered(c, v, res.is_ok()),
                recv(other) -> v => vec![received(d, v.ok())],
            }
        };
        let effects = match form {
            Form::Block => select! {
                send(tx, v) -> res => offered(c, v, res.is_ok()),
                recv(other) -> v => vec![received(d, v.ok())],
            },
            Form::Briefly => select! {
                recv(other) -> v => vec![received(d, v.ok())],
                send(tx, v) -> res => offered(c, v, res.is_ok()),
                default(BRIEFLY) => vec![Effect::Nothing],
            },
            form => self
                .drive(form, awaited)
                .await
                .unwrap_or(vec![Effect::Nothing]),
        };
        self.end(&call, effects);
    }
}

pub(crate) type From<'a> = (usize, &'a Receiver<u32>);
pub(crate) type To<'a> = (usize, &'a Sender<u32>);

pub(crate) fn receiving(receives: u8) -> Sets {
    Sets {
        receives,
        grants: receives,
        ..Sets::default()
    }
}

fn sent(c: usize, v: u32, ok: bool) -> Effect {
    if ok {
        Effect::Push { c, v }
    } else {
        Effect::Rejected { c }
    }
}

/// A send arm takes a place first.
fn offered(c: usize, v: u32, ok: bool) -> Vec<Effect> {
    if ok {
        vec![Effect::Reserve { c }, Effect::Fill { c, v }]
    } else {
        vec![Effect::Rejected { c }]
    }
}
