//! The programs: made from a seed, run by threads and by tasks of the pool, and recorded.
//!
//! In most, waits have no deadline, and when everybody waits the channels are closed. But not at
//! once: as long as two who wait could meet, or one could take what lies there, somebody has
//! missed a wake-up, and the run fails. In the others no wait is without bound, and handles are
//! dropped and made from weak ones meanwhile.
//!
//! Three programs in ten are of one [kind](Kind) of steps, again and again: what takes several of a
//! kind in the same instant does not come up among so many.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rendez_core::block_on::block_on;
use rendez_select::{Receiver, RecvTimeoutError, Sender, WeakReceiver, WeakSender};

use crate::actor::Actor;
use crate::common::channel;
use crate::model::{Effect, Event, Sets, Spec};

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

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    pub(crate) fn index(&mut self, n: usize) -> usize {
        self.below(n as u64) as usize
    }
}

/// What the steps of a program are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any.
    Mixed,
    /// Values that are put into one channel and then taken out of another, among looks at both.
    Tokens,
    /// Offers that are taken back, by panics too, among looks of selectors.
    Offers,
}

impl Kind {
    fn of(seed: u64) -> Self {
        match seed % 10 {
            7 => Self::Tokens,
            8 | 9 => Self::Offers,
            _ => Self::Mixed,
        }
    }
}

/// An actor's handles of a channel.
pub(crate) struct Ends {
    pub(crate) tx: Option<Sender<u32>>,
    pub(crate) rx: Option<Receiver<u32>>,
    pub(crate) weak_tx: WeakSender<u32>,
    pub(crate) weak_rx: WeakReceiver<u32>,
}

/// What the actors and their supervisor share.
pub(crate) struct Stage {
    clock: AtomicU64,
    /// What each waits for without bound: | to send (bits 8-15) | to receive (bits 0-7) |; 0: it
    /// runs, or will by itself.
    pub(crate) waits: Vec<AtomicUsize>,
    pub(crate) progress: AtomicU64,
    /// How many actors are still to come: they begin together.
    pub(crate) n_missing: AtomicUsize,
}

impl Stage {
    pub(crate) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Whether all who have not ended wait.
    fn all_wait(&self, n_ended: usize) -> bool {
        let waiting = |w: &&AtomicUsize| w.load(Ordering::SeqCst) != 0;
        self.waits.iter().filter(waiting).count() + n_ended == self.waits.len()
    }

    /// Whether somebody who waits could go on.
    fn could_go_on(&self, ends: &[(Sender<u32>, Receiver<u32>)]) -> bool {
        let load = |w: &AtomicUsize| w.load(Ordering::SeqCst);
        let waits: Vec<_> = self.waits.iter().map(load).collect();
        waits.iter().enumerate().any(|(i, w)| {
            ends.iter().enumerate().any(|(c, (tx, rx))| {
                let sends = w >> (c + 8) & 1 != 0;
                let receives = w >> c & 1 != 0;
                let others = waits.iter().enumerate().filter(|&(j, _)| i != j);
                let peer = others.into_iter().any(|(_, w)| w >> c & 1 != 0);
                sends && (peer || !tx.is_full() || tx.is_closed())
                    || receives && (!rx.is_empty() || rx.is_closed())
            })
        })
    }
}

/// Runs the program of that seed. Gives the channels and each actor's history; the last is
/// the supervisor's, which closes the channels and receives what is left.
pub(crate) fn run(seed: u64) -> (Vec<Spec>, Vec<Vec<Event>>) {
    let mut random = Random::new(seed);
    let kind = Kind::of(seed);
    let n_actors = 2 + random.index(if kind == Kind::Mixed { 5 } else { 2 });
    let drops = random.below(4) == 0 && kind == Kind::Mixed;
    let n_handles = n_actors + usize::from(!drops);
    let n_channels = match kind {
        Kind::Mixed => 1 + random.index(3),
        Kind::Tokens => 2,
        Kind::Offers => 1 + random.index(2),
    };
    let specs: Vec<_> = (0..n_channels)
        .map(|_| Spec {
            cap: match kind {
                Kind::Mixed => [Some(0), Some(0), Some(1), Some(2), Some(3), None][random.index(6)],
                Kind::Tokens => [Some(3), None][random.index(2)],
                Kind::Offers => Some(0),
            },
            handles: u8::try_from(n_handles).expect("a few"),
        })
        .collect();
    let steps = 20 + random.below(100);
    // Tasks are much faster; threads block and are preempted.
    let threads_in_eight = [0, 0, 0, 0, 4, 8][random.index(6)];
    let ends: Vec<_> = specs.iter().map(|spec| channel(spec.cap)).collect();
    let stage = Arc::new(Stage {
        clock: AtomicU64::new(0),
        waits: (0..n_actors).map(|_| AtomicUsize::new(0)).collect(),
        progress: AtomicU64::new(0),
        n_missing: AtomicUsize::new(n_actors),
    });
    let (report, reports) = mpsc::channel();
    let actors: Vec<_> = (0..n_actors)
        .map(|me| {
            let handles = |(tx, rx): &(Sender<u32>, Receiver<u32>)| Ends {
                tx: Some(tx.clone()),
                rx: Some(rx.clone()),
                weak_tx: tx.downgrade(),
                weak_rx: rx.downgrade(),
            };
            let blocks = random.below(8) < threads_in_eight;
            let ends = ends.iter().map(handles).collect();
            let random = Random::new(random.next());
            let actor = Actor::new(me, Arc::clone(&stage), ends, random, blocks, (kind, drops));
            (blocks, actor)
        })
        .collect();
    // Counted as the program says, before anybody acts.
    let mut ends = ends;
    if drops {
        ends.clear();
    }
    for (blocks, actor) in actors {
        let report = report.clone();
        let body = async move {
            let _ = report.send(actor.run(steps).await);
        };
        if blocks {
            thread::spawn(move || block_on(body));
        } else {
            drop(rendez_pool::go(body));
        }
    }
    drop(report);
    let mut reported = supervise(&stage, &ends, &reports, n_actors, seed);
    let mut mine = Vec::new();
    for c in 0..specs.len() {
        let of_actors = || reported.iter().map(|(ends, _, _)| &ends[c]);
        let tx = ends.get(c).map(|(tx, _)| tx);
        let rx = ends.get(c).map(|(_, rx)| rx);
        if let Some(tx) = tx.or_else(|| of_actors().find_map(|ends| ends.tx.as_ref())) {
            note(&stage, &mut mine, || close(c, tx.close()));
        }
        if let Some(rx) = rx.or_else(|| of_actors().find_map(|ends| ends.rx.as_ref())) {
            note(&stage, &mut mine, || close(c, rx.close()));
            while !note(&stage, &mut mine, || rest(c, rx, seed)) {}
        }
    }
    // Those who wait have been let go by now.
    while reported.len() < n_actors {
        reported.push(report_of(&reports, seed));
    }
    reported.sort_by_key(|&(_, me, _)| me);
    let mut histories: Vec<_> = reported.into_iter().map(|(_, _, events)| events).collect();
    histories.push(mine);
    (specs, histories)
}

type Report = (Vec<Ends>, usize, Vec<Event>);

fn close(c: usize, first: bool) -> Effect {
    Effect::Close { c, first }
}

/// What a receive gave.
pub(crate) fn received(c: usize, v: Option<u32>) -> Effect {
    v.map_or(Effect::Drained { c }, |v| Effect::Pop { c, v })
}

/// What is left in a closed channel.
fn rest(c: usize, rx: &Receiver<u32>, seed: u64) -> Effect {
    match rx.recv_timeout(STUCK) {
        Ok(v) => Effect::Pop { c, v },
        Err(RecvTimeoutError::Disconnected) => Effect::Drained { c },
        Err(RecvTimeoutError::Timeout) => {
            eprintln!("RENDEZ_STRESS_SEED={seed}: a closed channel neither gives a value nor ends");
            std::process::exit(101);
        }
    }
}

/// Records an operation of the supervisor; whether it found the end.
fn note(stage: &Stage, events: &mut Vec<Event>, op: impl FnOnce() -> Effect) -> bool {
    let called = stage.tick();
    let effect = op();
    let receives = match effect {
        Effect::Pop { c, .. } | Effect::Drained { c } => 1 << c,
        _ => 0,
    };
    events.push(Event {
        called,
        returned: stage.tick(),
        effect,
        sets: Sets {
            receives,
            ..Sets::default()
        },
    });
    matches!(effect, Effect::Drained { .. })
}

const STUCK: Duration = Duration::from_secs(20);

fn report_of(reports: &mpsc::Receiver<Report>, seed: u64) -> Report {
    match reports.recv_timeout(STUCK) {
        Ok(report) => report,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            eprintln!(
                "RENDEZ_STRESS_SEED={seed}: an actor sleeps although its channels are closed"
            );
            std::process::exit(101);
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            panic!("RENDEZ_STRESS_SEED={seed}: an actor has panicked")
        }
    }
}

/// Returns when all have ended, or wait for what will not come.
fn supervise(
    stage: &Stage,
    ends: &[(Sender<u32>, Receiver<u32>)],
    reports: &mpsc::Receiver<Report>,
    n_actors: usize,
    seed: u64,
) -> Vec<Report> {
    const LOOK: Duration = Duration::from_micros(50);
    let mut reported = Vec::new();
    let (mut seen, mut since) = (u64::MAX, Instant::now());
    while reported.len() < n_actors {
        match reports.recv_timeout(LOOK) {
            Ok(report) => {
                reported.push(report);
                continue;
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                panic!("RENDEZ_STRESS_SEED={seed}: an actor has panicked")
            }
        }
        let progress = stage.progress.load(Ordering::SeqCst);
        if progress != seen {
            (seen, since) = (progress, Instant::now());
        } else if stage.all_wait(reported.len()) && !ends.is_empty() && !stage.could_go_on(ends) {
            break;
        } else if since.elapsed() > STUCK {
            let load = |w: &AtomicUsize| w.load(Ordering::SeqCst);
            let waits: Vec<_> = stage.waits.iter().map(load).collect();
            eprintln!(
                "RENDEZ_STRESS_SEED={seed}: a wake-up was missed: who could go on sleeps; waits \
                 {waits:04x?}"
            );
            for (tx, rx) in ends {
                eprintln!(
                    "capacity {:?}, len {}, empty {}, full {}, closed {} {}",
                    rx.capacity(),
                    rx.len(),
                    rx.is_empty(),
                    rx.is_full(),
                    tx.is_closed(),
                    rx.is_closed(),
                );
            }
            std::process::exit(101);
        }
    }
    reported
}
