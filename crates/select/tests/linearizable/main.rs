//! Random programs of sends, receives, tries, permits, many values at once, selects, selectors,
//! closes, dropped and weak handles and cancelled futures, from threads and tasks of the pool
//! (`actor.rs`), each history checked against a sequential model of Go's channels (`model.rs`, `search.rs`),
//! and each wait that could have met a peer or a value against lost wake-ups (`program.rs`).
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 5). A failing run names its seed;
//! `RENDEZ_STRESS_SEED` runs that program again and again for as long. Built with optimization
//! (`cargo xtask soak -p select`) it makes many times as many operations.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod actor;
#[path = "../common/mod.rs"]
mod common;
mod log;
mod model;
mod ops;
mod program;
mod search;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use model::{Effect, End, Event, Sets, Spec};
use program::Random;
use search::{Verdict, check};

/// How many programs run at a time: those of one wait while others run.
const LANES: u64 = 3;

#[test]
fn every_history_is_one_of_gos_channels() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let seconds = setting("RENDEZ_STRESS_SECONDS").unwrap_or(5);
    let fixed: Option<u64> = setting("RENDEZ_STRESS_SEED");
    let until = Instant::now() + Duration::from_secs(seconds);
    let (rounds, undecided) = (AtomicU64::new(0), AtomicU64::new(0));
    let operations = AtomicUsize::new(0);
    let lane = |first: u64| {
        let mut seed = fixed.unwrap_or(first);
        loop {
            let (specs, histories) = program::run(seed);
            let n = histories.iter().map(Vec::len).sum();
            operations.fetch_add(n, Ordering::Relaxed);
            let rounds = rounds.fetch_add(1, Ordering::Relaxed);
            match check(&specs, &histories) {
                Verdict::Linearizable => {}
                Verdict::Undecided => drop(undecided.fetch_add(1, Ordering::Relaxed)),
                Verdict::Impossible(reached, stuck) => {
                    for (actor, history) in histories.iter().enumerate() {
                        for event in history {
                            eprintln!("actor {actor}: {event:?}");
                        }
                    }
                    eprintln!(
                        "no order of these operations is one of Go's channels: \
                         RENDEZ_STRESS_SEED={seed}, program {rounds}\n\
                         {specs:?}; the furthest order ends with {reached:#?} before {stuck:#?}"
                    );
                    std::process::exit(101);
                }
            }
            if Instant::now() >= until {
                return;
            }
            seed = fixed.unwrap_or_else(|| Random::new(seed).next());
        }
    };
    let first = rendez_core::hooks::random();
    thread::scope(|s| {
        for i in 0..LANES {
            let lane = &lane;
            s.spawn(move || lane(first.wrapping_add(i * 0x1_0001)));
        }
    });
    let [rounds, undecided] = [rounds, undecided].map(AtomicU64::into_inner);
    let operations = operations.into_inner();
    println!("{operations} operations in {rounds} programs, {undecided} undecided");
    assert!(undecided * 100 <= rounds, "too many histories are too hard");
}

/// A history by hand: each event with its actor.
fn verdict(caps: &[Option<usize>], actors: &[&[(u64, u64, Effect)]]) -> bool {
    let event = |&(called, returned, effect): &(u64, u64, Effect)| Event {
        called,
        returned,
        effect,
        sets: Sets {
            receives: match effect {
                Effect::Pop { c, .. } | Effect::Drained { c } => 1 << c,
                _ => 0,
            },
            ..Sets::default()
        },
    };
    let histories: Vec<Vec<Event>> = actors
        .iter()
        .map(|events| events.iter().map(event).collect())
        .collect();
    let specs: Vec<_> = caps.iter().map(|&cap| Spec { cap, handles: 2 }).collect();
    matches!(check(&specs, &histories), Verdict::Linearizable)
}

#[test]
fn the_model_tells_right_from_wrong() {
    use Effect::{Close, Default, Drained, Fill, Gone, Pop, Push, Rejected, Release, Reserve};
    use Effect::{Uncount, Upgrade};
    let one = [Some(1)];
    let push = |v| Push { c: 0, v };
    let pop = |v| Pop { c: 0, v };
    // In order, out of order, twice, from nowhere.
    let sender = [(0, 1, push(1)), (2, 5, push(2))];
    assert!(verdict(&one, &[&sender, &[(3, 4, pop(1)), (6, 7, pop(2))]]));
    assert!(!verdict(
        &one,
        &[&sender, &[(3, 4, pop(2)), (6, 7, pop(1))]]
    ));
    assert!(!verdict(
        &one,
        &[&sender, &[(3, 4, pop(1)), (6, 7, pop(1))]]
    ));
    assert!(!verdict(&one, &[&[(0, 1, pop(9))]]));
    // A second value before the first is received does not fit.
    assert!(!verdict(&one, &[&[(0, 1, push(1)), (2, 3, push(2))]]));
    // A value left behind is lost.
    let (close, drained) = (Close { c: 0, first: true }, Drained { c: 0 });
    assert!(!verdict(
        &one,
        &[&[(0, 1, push(1))], &[(2, 3, close), (4, 5, drained)]]
    ));
    // Default while a value lies there; while it is being sent.
    let default = Default { recv: 1, send: 0 };
    let received = (6, 7, pop(1));
    assert!(!verdict(
        &one,
        &[&[(0, 1, push(1))], &[(2, 3, default), received]]
    ));
    assert!(verdict(
        &one,
        &[&[(0, 4, push(1))], &[(2, 3, default), received]]
    ));
    // A rendezvous needs both at the same time.
    let zero = [Some(0)];
    assert!(verdict(&zero, &[&[(0, 3, push(1))], &[(1, 2, pop(1))]]));
    assert!(!verdict(&zero, &[&[(0, 1, push(1))], &[(2, 3, pop(1))]]));
    // Closing once.
    assert!(!verdict(&one, &[&[(0, 1, close)], &[(2, 3, close)]]));
    // A permit keeps its place, also through a close, until it is filled or given up.
    let (reserve, fill) = (Reserve { c: 0 }, Fill { c: 0, v: 1 });
    assert!(!verdict(&one, &[&[(0, 1, reserve)], &[(2, 3, push(2))]]));
    assert!(verdict(
        &one,
        &[&[(0, 1, reserve), (2, 3, Release { c: 0 }), (4, 5, push(2))]]
    ));
    let filled = [
        (0, 1, reserve),
        (2, 3, close),
        (6, 7, fill),
        (8, 9, pop(1)),
        (10, 11, drained),
    ];
    assert!(verdict(&one, &[&filled]));
    assert!(
        !verdict(&one, &[&filled, &[(4, 5, drained)]]),
        "a value may still come"
    );
    assert!(!verdict(&one, &[&[(0, 1, close), (2, 3, reserve)]]));
    // The last of two handles ends a channel, and a weak one is made none then.
    let (c, end) = (0, End::Send);
    let (uncount, gone) = (Uncount { c, end }, Gone { c, end });
    let both = [(0, 1, uncount), (0, 1, gone), (2, 3, uncount), (2, 3, gone)];
    assert!(verdict(&one, &[&both, &[(4, 5, drained)]]));
    assert!(!verdict(&one, &[&both[..2], &[(4, 5, drained)]]));
    let upgrade = |found| Upgrade {
        c: 0,
        end: End::Send,
        found,
    };
    assert!(verdict(&one, &[&both[..2], &[(4, 5, upgrade(true))]]));
    assert!(!verdict(&one, &[&both, &[(4, 5, upgrade(true))]]));
    assert!(!verdict(&one, &[&both[..2], &[(4, 5, upgrade(false))]]));
    assert!(
        !verdict(&one, &[&[(0, 1, Rejected { c: 0 })]]),
        "it is open"
    );
}
