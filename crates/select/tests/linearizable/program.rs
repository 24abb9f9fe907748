//! The programs: made from a seed, run, and recorded.
//!
//! Waits have no deadline unless the program says so, and when everybody waits the channels
//! are closed. But not at once: as long as two who wait could meet, or one could take what
//! lies there, somebody has missed a wake-up, and the run fails.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use rendez_core::block_on::block_on;
use rendez_select::{
    Receiver, RecvTimeoutError, Select, SendTimeoutError, Sender, TryRecvError, TrySendError,
    select, select_async, select_biased,
};

use crate::common::{channel, poll};
use crate::model::{Effect, Event};

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }
}

const BRIEFLY: Duration = Duration::from_micros(30);

/// What the actors and their supervisor share.
struct Stage {
    ends: Vec<(Sender<u64>, Receiver<u64>)>,
    clock: AtomicU64,
    /// What each waits for: | to send (bits 8-15) | to receive (bits 0-7) |; 0: it runs.
    waits: Vec<AtomicUsize>,
    progress: AtomicU64,
    n_ended: AtomicUsize,
}

impl Stage {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether somebody who waits could go on.
    fn could_go_on(&self) -> bool {
        let waits: Vec<_> = self
            .waits
            .iter()
            .map(|w| w.load(Ordering::SeqCst))
            .collect();
        waits.iter().enumerate().any(|(i, w)| {
            self.ends.iter().enumerate().any(|(c, (tx, rx))| {
                let sends = w >> (c + 8) & 1 != 0;
                let receives = w >> c & 1 != 0;
                let peer = waits
                    .iter()
                    .enumerate()
                    .any(|(j, w)| i != j && w >> c & 1 != 0);
                sends && (peer || !tx.is_full() || tx.is_closed())
                    || receives && (!rx.is_empty() || rx.is_closed())
            })
        })
    }
}

struct Actor<'a> {
    stage: &'a Stage,
    me: usize,
    n: u64,
    random: Random,
    events: Vec<Event>,
}

/// A form of an operation that may wait.
enum Form {
    Block,
    Briefly,
    Await,
    /// Dropped after so many polls.
    Cancel(u64),
}

impl Actor<'_> {
    fn run(mut self, steps: u64) -> Vec<Event> {
        for _ in 0..steps {
            self.step();
        }
        self.stage.n_ended.fetch_add(1, Ordering::SeqCst);
        self.events
    }

    fn value(&mut self) -> u64 {
        self.n += 1;
        self.me as u64 * 1_000_000 + self.n
    }

    fn form(&mut self) -> Form {
        match self.random.below(8) {
            0..3 => Form::Block,
            3 => Form::Briefly,
            4..6 => Form::Await,
            _ => Form::Cancel(self.random.below(3)),
        }
    }

    /// Runs an operation and records it.
    fn record(&mut self, sets: Sets, op: impl FnOnce() -> Effect) {
        let called = self.stage.tick();
        let waits = usize::from(sets.receives) | usize::from(sets.sends) << 8;
        self.stage.waits[self.me].store(waits, Ordering::SeqCst);
        let effect = op();
        self.stage.waits[self.me].store(0, Ordering::SeqCst);
        self.stage.progress.fetch_add(1, Ordering::SeqCst);
        let returned = self.stage.tick();
        let Sets {
            receives,
            grants,
            offers,
            ..
        } = sets;
        self.events.push(Event {
            called,
            returned,
            effect,
            receives,
            grants,
            offers,
        });
    }

    fn step(&mut self) {
        let stage = self.stage;
        let c = self.random.index(stage.ends.len());
        let d = self.random.index(stage.ends.len());
        let (tx, rx) = &stage.ends[c];
        match self.random.below(40) {
            0..10 => {
                let v = self.value();
                let form = self.form();
                let sets = Sets {
                    sends: 1 << c,
                    ..Sets::default()
                };
                self.record(sets, || send(tx, c, v, &form));
            }
            10..20 => {
                let form = self.form();
                let grants = if matches!(form, Form::Block | Form::Briefly) {
                    0
                } else {
                    1 << c
                };
                let sets = Sets {
                    receives: 1 << c,
                    grants,
                    ..Sets::default()
                };
                self.record(sets, || receive(rx, c, &form));
            }
            20..24 => {
                let v = self.value();
                self.record(Sets::default(), || match tx.try_send(v) {
                    Ok(()) => Effect::Push { c, v, offer: false },
                    Err(TrySendError::Full(_)) => Effect::Default {
                        recv: 0,
                        send: 1 << c,
                    },
                    Err(TrySendError::Disconnected(_)) => Effect::Rejected { c },
                });
            }
            24..28 => self.record(Sets::receiving(1 << c, 0), || match rx.try_recv() {
                Ok(v) => Effect::Pop { c, v },
                Err(TryRecvError::Empty) => Effect::Default {
                    recv: 1 << c,
                    send: 0,
                },
                Err(TryRecvError::Disconnected) => Effect::Drained { c },
            }),
            28 if self.random.below(20) == 0 => self.record(Sets::default(), || Effect::Close {
                c,
                first: tx.close(),
            }),
            28..31 => {
                // Two receives.
                let sets = Sets::receiving(1 << c | 1 << d, 1 << c | 1 << d);
                let form = self.form();
                let other = &stage.ends[d].1;
                self.record(sets, || receive_either((c, rx), (d, other), &form));
            }
            31..34 => {
                let recv = 1 << c | 1 << d;
                let other = &stage.ends[d].1;
                self.record(Sets::receiving(recv, recv), || {
                    select! {
                        recv(rx) -> v => received(c, v.ok()),
                        recv(other) -> v => received(d, v.ok()),
                        default => Effect::Default { recv, send: 0 },
                    }
                });
            }
            34..36 => {
                let v = self.value();
                let sets = Sets::receiving(1 << d, 1 << d).offering(1 << c);
                let other = &stage.ends[d].1;
                self.record(sets, || {
                    select_biased! {
                        send(tx, v) -> res => sent(c, v, res.is_ok()),
                        recv(other) -> v => received(d, v.ok()),
                        default => Effect::Default { recv: 1 << d, send: 1 << c },
                    }
                });
            }
            _ => {
                let v = self.value();
                let sets = Sets::receiving(1 << d, 1 << d).offering(1 << c);
                let sets = Sets {
                    sends: 1 << c,
                    ..sets
                };
                let form = self.form();
                let other = &stage.ends[d].1;
                self.record(sets, || exchange((c, tx, v), (d, other), &form));
            }
        }
    }
}

/// The channels an operation touches, and how.
#[derive(Clone, Copy, Default)]
struct Sets {
    sends: u8,
    receives: u8,
    grants: u8,
    offers: u8,
}

impl Sets {
    fn receiving(receives: u8, grants: u8) -> Self {
        Self {
            receives,
            grants,
            ..Self::default()
        }
    }

    fn offering(self, offers: u8) -> Self {
        Self { offers, ..self }
    }
}

fn received(c: usize, v: Option<u64>) -> Effect {
    v.map_or(Effect::Drained { c }, |v| Effect::Pop { c, v })
}

fn sent(c: usize, v: u64, ok: bool) -> Effect {
    if ok {
        Effect::Push { c, v, offer: true }
    } else {
        Effect::Rejected { c }
    }
}

fn send(tx: &Sender<u64>, c: usize, v: u64, form: &Form) -> Effect {
    let ok = match form {
        Form::Block => tx.send(v).is_ok(),
        Form::Briefly => match tx.send_timeout(v, BRIEFLY) {
            Ok(()) => true,
            Err(SendTimeoutError::Timeout(_)) => return Effect::Nothing,
            Err(SendTimeoutError::Disconnected(_)) => false,
        },
        Form::Await => block_on(tx.send_async(v)).is_ok(),
        Form::Cancel(polls) => match abandon(tx.send_async(v), *polls) {
            Some(sent) => sent.is_ok(),
            None => return Effect::MaybePush { c, v },
        },
    };
    if ok {
        Effect::Push { c, v, offer: false }
    } else {
        Effect::Rejected { c }
    }
}

fn receive(rx: &Receiver<u64>, c: usize, form: &Form) -> Effect {
    match form {
        Form::Block => received(c, rx.recv().ok()),
        Form::Briefly => match rx.recv_timeout(BRIEFLY) {
            Ok(v) => Effect::Pop { c, v },
            Err(RecvTimeoutError::Timeout) => Effect::Nothing,
            Err(RecvTimeoutError::Disconnected) => Effect::Drained { c },
        },
        Form::Await => received(c, block_on(rx.recv_async()).ok()),
        Form::Cancel(polls) => {
            abandon(rx.recv_async(), *polls).map_or(Effect::Nothing, |r| received(c, r.ok()))
        }
    }
}

type From<'a> = (usize, &'a Receiver<u64>);

fn receive_either((c, rx): From<'_>, (d, other): From<'_>, form: &Form) -> Effect {
    let awaited = async {
        select_async! {
            recv(rx) -> v => received(c, v.ok()),
            recv(other) -> v => received(d, v.ok()),
        }
    };
    match form {
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
        Form::Await => block_on(awaited),
        Form::Cancel(polls) => abandon(awaited, *polls).unwrap_or(Effect::Nothing),
    }
}

fn exchange((c, tx, v): (usize, &Sender<u64>, u64), (d, other): From<'_>, form: &Form) -> Effect {
    let awaited = async {
        select_async! {
            send(tx, v) -> res => sent(c, v, res.is_ok()),
            recv(other) -> v => received(d, v.ok()),
        }
    };
    match form {
        Form::Block => select! {
            send(tx, v) -> res => sent(c, v, res.is_ok()),
            recv(other) -> v => received(d, v.ok()),
        },
        Form::Briefly => select! {
            recv(other) -> v => received(d, v.ok()),
            send(tx, v) -> res => sent(c, v, res.is_ok()),
            default(BRIEFLY) => Effect::Nothing,
        },
        Form::Await => block_on(awaited),
        Form::Cancel(polls) => abandon(awaited, *polls).unwrap_or(Effect::Nothing),
    }
}

/// Polls a few times, others running in between, and drops.
fn abandon<F: Future>(future: F, polls: u64) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..polls {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return Some(output);
        }
        thread::yield_now();
    }
    None
}

/// Runs the program of that seed. Gives the capacities and each actor's history; the last is
/// the supervisor's, which closes the channels and receives what is left.
pub(crate) fn run(seed: u64) -> (Vec<Option<usize>>, Vec<Vec<Event>>) {
    let mut random = Random::new(seed);
    let caps: Vec<_> = (0..=random.index(3))
        .map(|_| [Some(0), Some(0), Some(1), Some(2), Some(3), None][random.index(6)])
        .collect();
    let n_actors = 2 + random.index(5);
    let steps = 20 + random.below(100);
    let stage = Stage {
        ends: caps.iter().map(|cap| channel(*cap)).collect(),
        clock: AtomicU64::new(0),
        waits: (0..n_actors).map(|_| AtomicUsize::new(0)).collect(),
        progress: AtomicU64::new(0),
        n_ended: AtomicUsize::new(0),
    };
    thread::scope(|s| {
        let actors: Vec<_> = (0..n_actors)
            .map(|me| {
                let random = Random::new(random.next());
                let actor = Actor {
                    stage: &stage,
                    me,
                    n: 0,
                    random,
                    events: Vec::new(),
                };
                s.spawn(move || actor.run(steps))
            })
            .collect();
        supervise(&stage, n_actors, seed);
        let mut mine = Vec::new();
        for (c, (tx, rx)) in stage.ends.iter().enumerate() {
            let mut note = |op: &mut dyn FnMut() -> Effect| {
                let called = stage.tick();
                let effect = op();
                let over = matches!(effect, Effect::Drained { .. });
                mine.push(Event::new(called, stage.tick(), effect));
                over
            };
            note(&mut || Effect::Close {
                c,
                first: tx.close(),
            });
            while !note(&mut || received(c, rx.recv().ok())) {}
        }
        let mut histories: Vec<_> = actors.into_iter().map(|a| a.join().unwrap()).collect();
        histories.push(mine);
        (caps, histories)
    })
}

/// Returns when all have ended, or wait for what will not come.
fn supervise(stage: &Stage, n_actors: usize, seed: u64) {
    const STALLED: Duration = Duration::from_millis(1);
    const STUCK: Duration = Duration::from_secs(10);
    let (mut seen, mut since) = (u64::MAX, Instant::now());
    while stage.n_ended.load(Ordering::SeqCst) < n_actors {
        let progress = stage.progress.load(Ordering::SeqCst);
        if progress != seen {
            (seen, since) = (progress, Instant::now());
        }
        let n_waiting = stage
            .waits
            .iter()
            .filter(|w| w.load(Ordering::SeqCst) != 0)
            .count();
        let all_wait = n_waiting + stage.n_ended.load(Ordering::SeqCst) == n_actors;
        if since.elapsed() > STALLED && all_wait && !stage.could_go_on() {
            return;
        }
        if since.elapsed() > STUCK {
            let waits: Vec<_> = stage
                .waits
                .iter()
                .map(|w| w.load(Ordering::SeqCst))
                .collect();
            eprintln!(
                "RENDEZ_STRESS_SEED={seed}: a wake-up was missed: who could go on sleeps; waits {waits:04x?}"
            );
            for (tx, rx) in &stage.ends {
                let (len, empty, full) = (rx.len(), rx.is_empty(), rx.is_full());
                let (tx_closed, rx_closed) = (tx.is_closed(), rx.is_closed());
                eprintln!(
                    "capacity {:?}, len {len}, empty {empty}, full {full}, closed {tx_closed} {rx_closed}",
                    rx.capacity(),
                );
            }
            std::process::exit(101);
        }
        thread::sleep(Duration::from_micros(50));
    }
}
