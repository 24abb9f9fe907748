//! The actors: threads and tasks take the same steps, a thread in the blocking forms too.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rendez_select::Selector;

use crate::log::{Form, Log};
use crate::model::{Effect, End, Event, Sets};
use crate::ops::{BRIEFLY, receiving};
use crate::program::{Ends, Kind, Random, Stage, received};

/// Takes random steps.
pub(crate) struct Actor {
    log: Log,
    ends: Vec<Ends>,
    kind: Kind,
    drops: bool,
    // Kept from step to step, with the channel of each key.
    selector: Selector<u32>,
    keys: Vec<Option<usize>>,
}

impl Actor {
    pub(crate) fn new(
        me: usize,
        stage: Arc<Stage>,
        ends: Vec<Ends>,
        random: Random,
        blocks: bool,
        (kind, drops): (Kind, bool),
    ) -> Self {
        Self {
            log: Log {
                stage,
                me,
                n: 0,
                random,
                events: Vec::new(),
                blocks,
                bounded: drops,
                holds: false,
            },
            ends,
            kind,
            drops,
            selector: Selector::new(),
            keys: Vec::new(),
        }
    }

    /// Its handles, its number and its history.
    pub(crate) async fn run(mut self, steps: u64) -> (Vec<Ends>, usize, Vec<Event>) {
        self.log.stage.n_missing.fetch_sub(1, Ordering::SeqCst);
        while self.log.stage.n_missing.load(Ordering::SeqCst) > 0 {
            self.log.yield_now().await;
        }
        for _ in 0..steps {
            match self.kind {
                Kind::Mixed => self.step().await,
                Kind::Tokens => self.pass_on(),
                Kind::Offers => self.offer_or_look().await,
            }
            if self.log.random.below(4) == 0 {
                self.log.yield_now().await;
            }
        }
        (self.ends, self.log.me, self.log.events)
    }

    /// One looks, and the others put a value into one channel before they take one out of the
    /// other: from the first value on there is one at every instant.
    fn pass_on(&mut self) {
        let log = &mut self.log;
        let [
            Ends {
                tx: Some(ta),
                rx: Some(ra),
                ..
            },
            Ends {
                tx: Some(tb),
                rx: Some(rb),
                ..
            },
        ] = &self.ends[..]
        else {
            unreachable!("two channels, and all handles kept");
        };
        for _ in 0..6 {
            if log.me == 0 {
                log.look_at_either((0, ra), (1, rb));
            } else {
                log.pass_on((0, ta), (1, rb));
                log.pass_on((1, tb), (0, ra));
            }
        }
    }

    async fn offer_or_look(&mut self) {
        let c = self.log.random.index(self.ends.len());
        let what = (self.log.me as u64 + self.log.random.below(4)) % 6;
        let (log, ends) = (&mut self.log, &self.ends[c]);
        match (what, &ends.tx, &ends.rx) {
            (0 | 1, Some(tx), _) => {
                if let Some(permit) = log.reserve_in(Form::Cancel(3), c, tx).await {
                    log.fill(c, permit);
                }
            }
            (2 | 3, Some(tx), Some(rx)) => log.exchange_now((c, tx), (c, rx)),
            _ => {
                for _ in 0..4 {
                    self.look_again(c);
                }
            }
        }
    }

    /// Looks at one channel through a selector that is kept.
    fn look_again(&mut self, c: usize) {
        if self.selector.is_empty() {
            if let Some(rx) = &self.ends[c].rx {
                self.keys = vec![Some(c)];
                assert_eq!(self.selector.add(rx), 0);
            }
        }
        let Some(&Some(c)) = self.keys.first() else {
            return;
        };
        let call = self.log.call(Form::Briefly, receiving(1 << c));
        let effect = match self.selector.try_wait() {
            Some((_, value)) => received(c, value.ok()),
            None => Effect::Default {
                recv: 1 << c,
                send: 0,
            },
        };
        self.log.end(&call, [effect]);
    }

    async fn step(&mut self) {
        let c = self.log.random.index(self.ends.len());
        let d = self.log.random.index(self.ends.len());
        let what = self.log.random.below(44);
        if what == 43 {
            if self.drops {
                self.change_handles(c);
            } else {
                self.select_again(c, d).await;
            }
            return;
        }
        let (log, ends) = (&mut self.log, &self.ends[c]);
        let other = self.ends[d].rx.as_ref().map(|rx| (d, rx));
        match (what, &ends.tx, &ends.rx, other) {
            (0..8, Some(tx), ..) => log.send(c, tx).await,
            (8..16, _, Some(rx), _) => log.receive(c, rx).await,
            (16..19, Some(tx), ..) => log.try_send(c, tx),
            (19..22, _, Some(rx), _) => log.try_receive(c, rx),
            (22..24, Some(tx), ..) => log.send_many(c, tx).await,
            (24..26, _, Some(rx), _) => log.receive_many(c, rx).await,
            (26, _, Some(rx), _) => log.drain(c, rx),
            (27..29, Some(tx), ..) => {
                if let Some(permit) = log.reserve(c, tx).await {
                    log.holds = true;
                    match (log.random.below(4), other) {
                        (0, Some((d, other))) => log.receive(d, other).await,
                        (1, _) => log.send(c, tx).await,
                        (2, _) => log.try_send(c, tx),
                        _ => {}
                    }
                    log.holds = false;
                    log.fill(c, permit);
                }
            }
            (29, Some(tx), ..) if log.random.below(20) == 0 => {
                let call = log.call(Form::Briefly, Sets::default());
                let first = tx.close();
                log.end(&call, [Effect::Close { c, first }]);
            }
            (30, Some(tx), ..) => {
                let call = log.call(Form::Briefly, Sets::default());
                let closed = log
                    .drive(Form::Cancel(2), tx.closed_async())
                    .await
                    .is_some();
                let effect = if closed {
                    Effect::Closed { c }
                } else {
                    Effect::Nothing
                };
                log.end(&call, [effect]);
            }
            (31..34, _, Some(rx), Some(other)) => log.receive_either((c, rx), other).await,
            (34..36, _, Some(rx), Some(other)) => log.look_at_either((c, rx), other),
            (36..38, Some(tx), _, Some(other)) => log.exchange_now((c, tx), other),
            (38..43, Some(tx), _, Some(other)) => log.exchange((c, tx), other).await,
            _ => {}
        }
    }

    /// Waits once more on a set of channels that changes now and then.
    async fn select_again(&mut self, c: usize, d: usize) {
        if self.selector.is_empty() {
            for c in [c, d] {
                if let Some(rx) = &self.ends[c].rx {
                    let key = self.selector.add(rx);
                    assert_eq!(key, self.keys.len());
                    self.keys.push(Some(c));
                }
            }
        } else if self.log.random.below(8) == 0 {
            let key = self.log.random.index(self.keys.len());
            self.selector.remove(key);
            self.keys[key] = None;
            return;
        }
        for _ in 0..1 + self.log.random.below(4) {
            let form = self.log.form();
            let looks = self.log.random.below(4) == 0;
            let recv = self.keys.iter().flatten().fold(0, |set, c| set | 1 << c);
            if recv == 0 {
                return;
            }
            let call = self
                .log
                .call(if looks { Form::Briefly } else { form }, receiving(recv));
            let got = if looks {
                self.selector.try_wait()
            } else {
                match form {
                    Form::Block => Some(self.selector.wait()),
                    Form::Briefly => self.selector.wait_timeout(BRIEFLY),
                    form => self.log.drive(form, self.selector.wait_async()).await,
                }
            };
            let effect = match got {
                Some((key, value)) => {
                    let c = self.keys[key].expect("what was removed gives nothing");
                    received(c, value.ok())
                }
                None if looks => Effect::Default { recv, send: 0 },
                None => Effect::Nothing,
            };
            self.log.end(&call, [effect]);
        }
    }

    /// Drops a handle, or makes one from a weak one.
    fn change_handles(&mut self, c: usize) {
        let (log, ends) = (&mut self.log, &mut self.ends[c]);
        let end = [End::Send, End::Receive][log.random.index(2)];
        let call = log.call(Form::Briefly, Sets::default());
        let dropped = match end {
            End::Send => ends.tx.take().map(drop).is_some(),
            End::Receive => ends.rx.take().map(drop).is_some(),
        };
        if dropped {
            return log.end(&call, [Effect::Uncount { c, end }, Effect::Gone { c, end }]);
        }
        let found = match end {
            End::Send => {
                ends.tx = ends.weak_tx.upgrade();
                ends.tx.is_some()
            }
            End::Receive => {
                ends.rx = ends.weak_rx.upgrade();
                ends.rx.is_some()
            }
        };
        log.end(&call, [Effect::Upgrade { c, end, found }]);
    }
}
