//! The wheel against a sorted map, and what it keeps of its memory.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::slab::Slab;
use super::wheel::{Key, Next, Wheel};

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    /// A span of any magnitude, up to three years.
    fn span(&mut self) -> u64 {
        let magnitude = self.below(57);
        self.next() >> (63 - magnitude)
    }
}

/// Runs `f` with a random seed, which it names if that fails, or with the one given.
fn seeded(name: &str, n: u64, f: impl Fn(&mut Random)) {
    let given = std::env::var("RENDEZ_STRESS_SEED").ok();
    let given = given.and_then(|seed| seed.parse().ok());
    for _ in 0..if given.is_some() { 1 } else { n } {
        let seed = given.unwrap_or_else(|| crate::hooks::random() | 1);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| f(&mut Random(seed)))) {
            eprintln!("{name} failed; again: RENDEZ_STRESS_SEED={seed}");
            resume_unwind(panic);
        }
    }
}

/// A wheel and what it should hold.
struct Checked {
    wheel: Wheel<u64>,
    expected: BTreeMap<(u64, u64), Key>,
    n: u64,
    now: u64,
}

impl Checked {
    fn insert(&mut self, when: u64) {
        self.n += 1;
        let key = self.wheel.insert(when, self.n);
        self.expected.insert((when, self.n), key);
    }

    fn remove(&mut self, random: &mut Random) {
        let i = random.below(self.expected.len().max(1) as u64);
        let Some((&(when, n), &key)) = self.expected.iter().nth(i as usize) else {
            return;
        };
        assert_eq!(self.wheel.get(key), Some((when, &n)));
        assert_eq!(self.wheel.remove(key), Some(n));
        assert_eq!(self.wheel.remove(key), None, "taken out once");
        self.expected.remove(&(when, n));
    }

    /// Lets time come to `now`: what is due comes out then, but for crowded ticks, whose
    /// rest comes at their ends; nothing comes early.
    fn pass(&mut self, now: u64) {
        self.now = now;
        let mut due = Vec::new();
        let next = loop {
            let next = self.wheel.expire(now, &mut due);
            if next != Next::Now {
                break next;
            }
        };
        for (when, _, n) in due {
            assert!(when <= now, "early");
            let key = self.expected.remove(&(when, n)).expect("fired once");
            assert_eq!(self.wheel.remove(key), None, "fired or taken out");
        }
        let earliest = self.expected.keys().next().map(|&(when, _)| when);
        match (next, earliest) {
            (Next::Never, None) => {}
            (Next::At(at), Some(earliest)) => {
                assert!(at > now, "it would not sleep");
                let tick_end = (earliest.max(now) | 0x7FFF) + 1;
                assert!(at <= tick_end, "{at} for {earliest} at {now}");
            }
            wrong => panic!("{wrong:?}"),
        }
    }
}

#[test]
fn a_wheel_does_what_a_sorted_map_does() {
    seeded("a_wheel_does_what_a_sorted_map_does", 8, |random| {
        let mut checked = Checked {
            wheel: Wheel::new(),
            expected: BTreeMap::new(),
            n: 0,
            now: 0,
        };
        for _ in 0..600 {
            match random.below(8) {
                0..=2 => {
                    let when = checked.now + random.span();
                    checked.insert(when);
                }
                3 => {
                    let when = checked.now.saturating_sub(random.span());
                    checked.insert(when);
                }
                // A crowd: within a tick, or within a slot of a higher level.
                4 if random.below(8) == 0 => {
                    let (around, width) = (checked.now + random.span(), random.span() % (1 << 24));
                    for _ in 0..random.below(1500) {
                        checked.insert(around + random.below(width + 1));
                    }
                }
                4 | 5 => checked.remove(random),
                6 => {
                    let now = checked.now + random.span();
                    checked.pass(now);
                }
                _ => {
                    let next = checked.expected.keys().next().map(|&(when, _)| when);
                    checked.pass(next.unwrap_or(0).max(checked.now));
                }
            }
        }
        checked.pass(1 << 62);
        assert!(checked.expected.is_empty());
    });
}

#[test]
fn a_sleeper_that_heeds_the_wheel_fires_everything_in_time_and_seldom_wakes() {
    seeded("a_sleeper_that_heeds_the_wheel", 20, |random| {
        let mut wheel = Wheel::new();
        let n = 300;
        for i in 0..n {
            wheel.insert(random.span(), i);
        }
        let (mut now, mut n_fired, mut n_wakes, mut due) = (0, 0, 0, Vec::new());
        loop {
            let next = wheel.expire(now, &mut due);
            for (when, _, _) in due.drain(..) {
                assert!(when <= now && now <= when + (1 << 15), "within a tick");
                n_fired += 1;
            }
            match next {
                Next::Now => {}
                Next::At(at) => {
                    now = at;
                    n_wakes += 1;
                }
                Next::Never => break,
            }
        }
        assert_eq!(n_fired, n);
        assert!(n_wakes <= 2 * n, "{n_wakes} wakes for {n} alarms");
    });
}

#[test]
fn the_end_of_time_can_be_waited_for() {
    let mut wheel = Wheel::new();
    wheel.insert(u64::MAX, "last");
    wheel.insert(0, "first");
    let mut due = Vec::new();
    assert!(matches!(wheel.expire(1, &mut due), Next::At(_)));
    assert_eq!(due.len(), 1);
    while wheel.expire(u64::MAX, &mut due) == Next::Now {}
    assert_eq!(due[1].2, "last");
}

#[test]
fn a_slab_gives_its_memory_back() {
    seeded("a_slab_gives_its_memory_back", 10, |random| {
        let mut slab = Slab::new();
        for _ in 0..4 {
            let mut places: Vec<_> = (0..10_000).map(|i| (slab.insert(|_| i), i)).collect();
            assert!(slab.capacity() < 11_000);
            while let Some(last) = places.len().checked_sub(1) {
                places.swap(random.below(last as u64 + 1) as usize, last);
                let (at, i) = places.pop().expect("not empty");
                assert_eq!(slab.get(at), Some(&i));
                assert_eq!(slab.remove(at), i);
                assert_eq!(slab.get(at), None);
                if random.below(4) == 0 {
                    places.push((slab.insert(|_| i), i));
                }
            }
            assert!(slab.capacity() <= 512, "{}", slab.capacity());
        }
    });
}
