//! Timers under random use: every setting ends in exactly one way, by a receive or by the
//! stop or reset that says it was running; nobody hangs; and a random program by a clock
//! moved by hand does what a plain model of it does.
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 2); a failing run names its seed, which
//! `RENDEZ_STRESS_SEED` runs again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Clock, Wakes};
use rendez_core::block_on::block_on;
use rendez_select::{bounded, select, select_async};
use rendez_time::{RecvFuture, Ticker, Timer, now, timeout};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % n
    }

    /// Zero, or microseconds, or for ever.
    fn duration(&mut self) -> Duration {
        match self.below(8) {
            0 => Duration::ZERO,
            1 => Duration::MAX,
            2 => Duration::from_secs(3600),
            _ => Duration::from_micros(self.below(300)),
        }
    }
}

/// Runs `f` with seeds for as long as asked, naming the one that fails.
fn seeded(f: impl Fn(u64)) {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let until = Instant::now() + Duration::from_secs(number("RENDEZ_STRESS_SECONDS").unwrap_or(2));
    let given = number("RENDEZ_STRESS_SEED");
    loop {
        let seed = given.unwrap_or_else(|| rendez_core::hooks::random() | 1);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| f(seed))) {
            eprintln!("again: RENDEZ_STRESS_SEED={seed}");
            resume_unwind(panic);
        }
        if given.is_some() || Instant::now() > until {
            return;
        }
    }
}

/// One timer that many share, and what becomes of its settings.
struct Shared {
    timer: Timer,
    n_set: AtomicUsize,
    n_ended: AtomicUsize,
    is_over: AtomicBool,
}

impl Shared {
    fn ended(&self, by_me: bool) {
        self.n_ended
            .fetch_add(usize::from(by_me), Ordering::Relaxed);
    }

    fn reset(&self, d: Duration) {
        self.n_set.fetch_add(1, Ordering::Relaxed);
        self.ended(self.timer.reset(d));
    }

    fn mover(&self, random: &mut Random) {
        for _ in 0..200 {
            match random.below(4) {
                0 => self.ended(self.timer.stop()),
                1 => thread::sleep(Duration::from_micros(random.below(200))),
                _ => self.reset(random.duration()),
            }
        }
    }

    fn receiver(&self, random: &mut Random) {
        let (_tx, never) = bounded::<()>(0);
        let brief = Duration::from_micros(50);
        while !self.is_over.load(Ordering::Relaxed) {
            let received = match random.below(5) {
                0 => self.timer.try_recv().is_some(),
                1 => self
                    .timer
                    .recv_timeout(random.duration().min(brief))
                    .is_some(),
                2 => select! {
                    recv(self.timer) -> _ => true,
                    recv(never) -> _ => false,
                    default(brief) => false,
                },
                // Dropped at the end of its time, woken or not.
                3 => block_on(timeout(brief, self.timer.recv_async())).is_ok(),
                _ => block_on(timeout(brief, async {
                    select_async! {
                        recv(never) -> _ => false,
                        recv(self.timer) -> _ => true,
                    }
                }))
                .unwrap_or(false),
            };
            self.ended(received);
        }
    }
}

#[test]
fn every_setting_ends_once() {
    seeded(|seed| {
        let shared = Shared {
            timer: Timer::new(Duration::ZERO),
            n_set: AtomicUsize::new(1),
            n_ended: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
        };
        thread::scope(|scope| {
            let shared = &shared;
            let random = move |i: u64| Random(seed.wrapping_mul(2 * i + 1) | 1);
            let movers = [1, 2].map(|i| scope.spawn(move || shared.mover(&mut random(i))));
            for i in 3..6 {
                scope.spawn(move || shared.receiver(&mut random(i)));
            }
            // One that waits without a limit: it must be told of whatever comes.
            let (done, last) = bounded(1);
            scope.spawn(move || {
                shared.timer.recv();
                shared.ended(true);
                done.send(()).unwrap();
            });
            let ends = movers.map(|mover| mover.join());
            shared.is_over.store(true, Ordering::Relaxed);
            // The receivers may take it from the one who waits until they see the end.
            while last.is_empty() {
                shared.reset(Duration::ZERO);
                thread::sleep(Duration::from_micros(100));
            }
            if let Some(Err(panic)) = ends.into_iter().find(Result::is_err) {
                resume_unwind(panic);
            }
        });
        shared.ended(shared.timer.stop());
        assert_eq!(
            shared.n_ended.into_inner(),
            shared.n_set.into_inner(),
            "each setting is received or was still running, not both"
        );
    });
}

/// What a timer or ticker should do, in plain words.
struct Model {
    due: Option<Instant>,
    period: Option<Duration>,
}

impl Model {
    fn set(&mut self, d: Duration) -> bool {
        if self.period.is_some() {
            self.period = Some(d);
        }
        self.due.replace(now() + d).is_some()
    }

    fn take(&mut self) -> Option<Instant> {
        let due = self.due.filter(|&due| due <= now())?;
        self.due = self.period.map(|period| {
            let mut next = due;
            while next <= now() {
                next += period;
            }
            next
        });
        Some(due)
    }
}

/// The thing under test, whichever it is.
enum Either {
    Timer(Timer),
    Ticker(Ticker),
}

macro_rules! either {
    ($self:expr, $t:ident => $do:expr) => {
        match $self {
            Either::Timer($t) => $do,
            Either::Ticker($t) => $do,
        }
    };
}

#[test]
fn a_random_program_does_what_its_model_does() {
    seeded(|seed| {
        let clock = Clock::new();
        clock.run(|| by_hand(&clock, &mut Random(seed)));
        assert_eq!(clock.n_alarms(), 0);
    });
}

fn by_hand(clock: &Clock, random: &mut Random) {
    let is_ticker = random.below(2) == 0;
    let first = Duration::from_micros(1 + random.below(50));
    let subject = if is_ticker {
        Either::Ticker(Ticker::new(first))
    } else {
        Either::Timer(Timer::new(first))
    };
    let mut model = Model {
        due: Some(now() + first),
        period: is_ticker.then_some(first),
    };
    let mut waiting: Vec<(Pin<Box<RecvFuture<'_>>>, Arc<Wakes>)> = Vec::new();
    for _ in 0..300 {
        match random.below(8) {
            0 => {
                let d = Duration::from_micros(1 + random.below(100));
                assert_eq!(either!(&subject, t => t.reset(d)), model.set(d));
            }
            1 => assert_eq!(either!(&subject, t => t.stop()), model.due.take().is_some()),
            2 => assert_eq!(either!(&subject, t => t.try_recv()), model.take()),
            3 if waiting.len() < 4 => {
                let (future, wakes) = (
                    Box::pin(either!(&subject, t => t.recv_async())),
                    Wakes::new(),
                );
                waiting.push((future, wakes));
                let (future, wakes) = waiting.last_mut().expect("just pushed");
                let polled = wakes.poll(future.as_mut());
                let expected = model.take();
                assert_eq!(polled.is_ready(), expected.is_some());
                if polled.is_ready() {
                    waiting.pop();
                }
            }
            4 if !waiting.is_empty() => {
                let i = random.below(waiting.len() as u64) as usize;
                drop(waiting.swap_remove(i));
            }
            _ => clock.advance(Duration::from_micros(random.below(60))),
        }
        // Whoever was woken looks; whoever was not must have nothing to find.
        let mut i = 0;
        while i < waiting.len() {
            let (future, wakes) = &mut waiting[i];
            if wakes.take() == 0 {
                i += 1;
                continue;
            }
            let polled = wakes.poll(future.as_mut());
            assert_eq!(polled.is_ready(), model.due.is_some_and(|due| due <= now()));
            if polled.is_ready() {
                model.take();
                drop(waiting.swap_remove(i));
            } else {
                i += 1;
            }
        }
        let overdue = model.due.is_some_and(|due| due <= now());
        assert!(!overdue || waiting.is_empty(), "somebody was not woken");
    }
}
