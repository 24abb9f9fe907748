//! Random programs of sends, receives, tries, selects, closes and cancelled futures from a few
//! threads and tasks, each history checked against a sequential model of Go's channels
//! (`model.rs`), and each wait that could have met a peer or a value against lost wake-ups
//! (`program.rs`).
//!
//! `RENDEZ_STRESS_SECONDS` sets how long (default 5). A failing run names its seed;
//! `RENDEZ_STRESS_SEED` runs that program again and again for as long.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;
mod model;
mod program;

use std::time::{Duration, Instant};

use common::within;
use model::{Effect, Event, Verdict, check};
use program::Random;

#[test]
fn every_history_is_one_of_gos_channels() {
    let setting = |name: &str| std::env::var(name).ok().and_then(|v| v.parse().ok());
    let seconds = setting("RENDEZ_STRESS_SECONDS").unwrap_or(5);
    let fixed: Option<u64> = setting("RENDEZ_STRESS_SEED");
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut seed = fixed.unwrap_or(0x11EA);
    let (mut rounds, mut operations, mut undecided) = (0_u64, 0, 0_u64);
    while Instant::now() < until || rounds == 0 {
        let name = format!("RENDEZ_STRESS_SEED={seed}");
        let (caps, histories) = within(Duration::from_secs(120), &name, || program::run(seed));
        operations += histories.iter().map(Vec::len).sum::<usize>();
        match check(&caps, &histories) {
            Verdict::Linearizable => {}
            Verdict::Undecided => undecided += 1,
            Verdict::Impossible(stuck) => panic!(
                "no order of these operations is one of Go's channels: {name}\n\
                 capacities {caps:?}; the furthest order ends before {stuck:#?}"
            ),
        }
        rounds += 1;
        if fixed.is_none() {
            seed = Random::new(seed).next();
        }
    }
    println!("{operations} operations in {rounds} programs, {undecided} undecided");
    assert!(undecided * 100 <= rounds, "too many histories are too hard");
}

/// A history by hand: each event with its actor.
fn verdict(caps: &[Option<usize>], actors: &[&[(u64, u64, Effect)]]) -> bool {
    let histories: Vec<Vec<Event>> = actors
        .iter()
        .map(|events| {
            let event = |(called, returned, effect): &(u64, u64, Effect)| {
                Event::new(*called, *returned, effect.clone())
            };
            events.iter().map(event).collect()
        })
        .collect();
    matches!(check(caps, &histories), Verdict::Linearizable)
}

#[test]
fn the_model_tells_right_from_wrong() {
    use Effect::{Close, Default, Drained, Pop, Push};
    let one = [Some(1)];
    let both = |a, b| {
        [
            Push {
                c: 0,
                v: a,
                offer: false,
            },
            Push {
                c: 0,
                v: b,
                offer: false,
            },
        ]
    };
    let [first, second] = both(1, 2);
    // In order, out of order, twice, from nowhere.
    let sender = [(0, 1, first.clone()), (2, 5, second.clone())];
    assert!(verdict(
        &one,
        &[
            &sender,
            &[(3, 4, Pop { c: 0, v: 1 }), (6, 7, Pop { c: 0, v: 2 })]
        ]
    ));
    assert!(!verdict(
        &one,
        &[
            &sender,
            &[(3, 4, Pop { c: 0, v: 2 }), (6, 7, Pop { c: 0, v: 1 })]
        ]
    ));
    assert!(!verdict(
        &one,
        &[
            &sender,
            &[(3, 4, Pop { c: 0, v: 1 }), (6, 7, Pop { c: 0, v: 1 })]
        ]
    ));
    assert!(!verdict(&one, &[&[(0, 1, Pop { c: 0, v: 9 })]]));
    // A second value before the first is received does not fit.
    assert!(!verdict(&one, &[&[(0, 1, first.clone()), (2, 3, second)]]));
    // A value left behind is lost.
    assert!(!verdict(
        &one,
        &[
            &[(0, 1, first.clone())],
            &[
                (2, 3, Close { c: 0, first: true }),
                (4, 5, Drained { c: 0 })
            ]
        ]
    ));
    // Default while a value lies there; while it is being sent.
    let default = Default { recv: 1, send: 0 };
    let pop = (6, 7, Pop { c: 0, v: 1 });
    assert!(!verdict(
        &one,
        &[
            &[(0, 1, first.clone())],
            &[(2, 3, default.clone()), pop.clone()]
        ]
    ));
    assert!(verdict(
        &one,
        &[&[(0, 4, first.clone())], &[(2, 3, default), pop]]
    ));
    // A rendezvous needs both at the same time.
    let zero = [Some(0)];
    assert!(verdict(
        &zero,
        &[&[(0, 3, first.clone())], &[(1, 2, Pop { c: 0, v: 1 })]]
    ));
    assert!(!verdict(
        &zero,
        &[&[(0, 1, first)], &[(2, 3, Pop { c: 0, v: 1 })]]
    ));
    // Closing once.
    let close = Close { c: 0, first: true };
    assert!(!verdict(
        &one,
        &[&[(0, 1, close.clone())], &[(2, 3, close)]]
    ));
}
