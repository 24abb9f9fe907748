//! The driver under load: alarms set, moved and cancelled from many threads go off once,
//! in time, or not at all; nothing stays behind.
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 2); a failing run names its seed, which
//! `RENDEZ_STRESS_SEED` runs again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rendez_core::clock::Alarm;

/// Counts its calls, and that none came before its time.
struct Bell {
    not_before: Instant,
    n_rung: AtomicUsize,
    n_early: AtomicUsize,
}

impl Bell {
    fn new(not_before: Instant) -> Arc<Self> {
        Arc::new(Self {
            not_before,
            n_rung: AtomicUsize::new(0),
            n_early: AtomicUsize::new(0),
        })
    }

    fn rung(&self) -> usize {
        self.n_rung.load(Ordering::Relaxed)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if Instant::now() < self.not_before {
            self.n_early.fetch_add(1, Ordering::Relaxed);
        }
        self.n_rung.fetch_add(1, Ordering::Relaxed);
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % n
    }
}

fn eventually(what: &str, done: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < until, "never: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

/// One thread's part: alarms that are to go off, and some that are taken back.
fn actor(random: &mut Random, until: Instant) {
    let mut waiting: Vec<(Alarm, Arc<Bell>)> = Vec::new();
    while Instant::now() < until {
        match random.below(10) {
            0..=5 => {
                let deadline = Instant::now() + micros(random.below(3000));
                let bell = Bell::new(deadline);
                let mut alarm = Alarm::new();
                alarm.set(deadline, &Waker::from(Arc::clone(&bell)));
                waiting.push((alarm, bell));
            }
            6 if !waiting.is_empty() => {
                // Cancelled: it rings now or never.
                let i = random.below(waiting.len() as u64) as usize;
                let (mut alarm, bell) = waiting.swap_remove(i);
                alarm.cancel();
                assert!(bell.rung() <= 1);
            }
            7 if !waiting.is_empty() => {
                // Moved, with another waker: the new one rings.
                let i = random.below(waiting.len() as u64) as usize;
                let deadline = Instant::now() + micros(random.below(3000));
                let bell = Bell::new(deadline);
                waiting[i].0.set(deadline, &Waker::from(Arc::clone(&bell)));
                waiting[i].1 = bell;
            }
            8 => {
                // Far ahead and taken back.
                let deadline = Instant::now() + Duration::from_secs(3600 + random.below(1 << 20));
                let bell = Bell::new(deadline);
                let mut alarm = Alarm::new();
                alarm.set(deadline, &Waker::from(Arc::clone(&bell)));
                drop(alarm);
                assert_eq!((bell.rung(), Arc::strong_count(&bell)), (0, 1));
            }
            _ => {
                if waiting.len() > 500 {
                    thread::sleep(micros(random.below(1000)));
                }
                waiting.retain(|(_, bell)| bell.rung() == 0);
            }
        }
    }
    for (alarm, bell) in &waiting {
        eventually("an alarm that was set goes off", || bell.rung() == 1);
        assert_eq!(bell.n_early.load(Ordering::Relaxed), 0, "{alarm:?}");
    }
    for (alarm, bell) in waiting {
        drop(alarm);
        eventually("its waker is dropped", || Arc::strong_count(&bell) == 1);
    }
}

#[test]
fn alarms_go_off_once_or_are_taken_back() {
    let number = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let seconds: u64 = number("RENDEZ_STRESS_SECONDS").unwrap_or(2);
    let seed = number("RENDEZ_STRESS_SEED").unwrap_or_else(|| rendez_core::hooks::random() | 1);
    let until = Instant::now() + Duration::from_secs(seconds);
    let actors: Vec<_> = (1..=4)
        .map(|i: u64| {
            thread::spawn(move || actor(&mut Random(seed.wrapping_mul(2 * i + 1)), until))
        })
        .collect();
    let panics: Vec<_> = actors.into_iter().filter_map(|a| a.join().err()).collect();
    if let Some(panic) = panics.into_iter().next() {
        eprintln!("again: RENDEZ_STRESS_SEED={seed}");
        panic::resume_unwind(panic);
    }
}

#[test]
fn alarms_go_off_in_their_order() {
    struct Numbered(usize, Arc<std::sync::Mutex<Vec<usize>>>);
    impl Wake for Numbered {
        fn wake(self: Arc<Self>) {
            self.1.lock().unwrap().push(self.0);
        }
    }
    let rung = Arc::default();
    let now = Instant::now();
    // In no order, the last of the same instant among them.
    let order = [7, 3, 9, 0, 5, 1, 8, 2, 6, 4];
    let alarms: Vec<_> = order
        .iter()
        .map(|&i| {
            let mut alarm = Alarm::new();
            let deadline = now + Duration::from_millis(50) + micros(10 * i as u64);
            alarm.set(
                deadline,
                &Waker::from(Arc::new(Numbered(i, Arc::clone(&rung)))),
            );
            alarm
        })
        .collect();
    eventually("all", || rung.lock().unwrap().len() == order.len());
    assert_eq!(*rung.lock().unwrap(), (0..order.len()).collect::<Vec<_>>());
    drop(alarms);
}

#[test]
fn a_waker_that_panics_harms_no_other_alarm() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: Arc<Self>) {
            panic::resume_unwind(Box::new("not reported"));
        }
    }
    let now = Instant::now();
    let bells: Vec<_> = (0..10).map(|_| Bell::new(now)).collect();
    let alarms: Vec<_> = bells
        .iter()
        .flat_map(|bell| [Waker::from(Arc::new(Bad)), Waker::from(Arc::clone(bell))])
        .map(|waker| {
            let mut alarm = Alarm::new();
            alarm.set(now + Duration::from_millis(1), &waker);
            alarm
        })
        .collect();
    for bell in &bells {
        eventually("the others go off", || bell.rung() == 1);
    }
    drop(alarms);
}

#[test]
fn the_end_of_time_is_never_reached_and_disturbs_nobody() {
    let far = (0..64)
        .rev()
        .find_map(|bits| Instant::now().checked_add(Duration::from_secs(1 << bits)));
    let mut last = Alarm::new();
    let bell = Bell::new(Instant::now());
    last.set(far.unwrap(), &Waker::from(Arc::clone(&bell)));
    let soon = Bell::new(Instant::now());
    let mut alarm = Alarm::new();
    alarm.set(
        Instant::now() + Duration::from_millis(1),
        &Waker::from(Arc::clone(&soon)),
    );
    eventually("the other goes off", || soon.rung() == 1);
    assert_eq!(bell.rung(), 0);
}

#[test]
fn a_hundred_thousand_alarms_of_one_instant_go_off() {
    let deadline = Instant::now() + Duration::from_millis(100);
    let bell = Bell::new(deadline);
    let waker = Waker::from(Arc::clone(&bell));
    let alarms: Vec<_> = (0..100_000)
        .map(|_| {
            let mut alarm = Alarm::new();
            alarm.set(deadline, &waker);
            alarm
        })
        .collect();
    eventually("all go off", || bell.rung() == alarms.len());
    assert_eq!(bell.n_early.load(Ordering::Relaxed), 0);
}
