//! SingleFlight: one run for all who ask meanwhile, whoever leads, panics or is cancelled.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use common::{Dice, assert_pending, assert_ready, block_on, poll_once, stress, within_reason};
use rendez_sync::{Shared, SingleFlight};

type Flights = SingleFlight<&'static str, u32>;

fn value(value: u32, shared: bool) -> Shared<u32> {
    Shared { value, shared }
}

#[test]
fn a_lone_run_gives_its_own_value_each_time() {
    let flights = Flights::new();
    assert_eq!(flights.run("a", || 1), value(1, false));
    assert_eq!(flights.run("a", || 2), value(2, false));
    assert_eq!(block_on(flights.run_async("a", ready(3))), value(3, false));
    let closure = flights.run_async("a", || async { 4 });
    assert_eq!(block_on(closure), value(4, false));
}

#[test]
fn an_error_is_a_value() {
    let flights: SingleFlight<u8, Result<u8, String>> = SingleFlight::new();
    let failed = flights.run(1, || Err("no".into()));
    assert_eq!(failed.value, Err("no".to_owned()));
    assert_eq!(flights.run(1, || Ok(2)).value, Ok(2));
}

#[test]
fn all_who_come_meanwhile_share_one_run() {
    within_reason(|| {
        let flights = Flights::new();
        let runs = AtomicUsize::new(0);
        let (started, start) = mpsc::channel();
        let (finish, finished) = mpsc::channel::<u32>();
        thread::scope(|s| {
            let leader = s.spawn(|| {
                flights.run("a", move || {
                    started.send(()).unwrap();
                    finished.recv().unwrap()
                })
            });
            start.recv().unwrap();
            // One thread and one task wait; others' keys do not.
            let mut task = pin!(flights.run_async("a", || {
                runs.fetch_add(1, Ordering::Relaxed);
                ready(0)
            }));
            assert_pending(task.as_mut());
            assert_eq!(flights.run("b", || 9), value(9, false));
            finish.send(7).unwrap();
            assert_eq!(leader.join().unwrap(), value(7, true));
            assert_eq!(block_on(task), value(7, true));
        });
        assert_eq!(runs.load(Ordering::Relaxed), 0);
        assert_eq!(flights.run("a", || 8), value(8, false), "a new flight");
    });
}

#[test]
fn ten_callers_make_fewer_runs() {
    within_reason(|| {
        const CALLERS: usize = 10;
        let flights = Flights::new();
        let (runs, here) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let run = || {
            // Nobody's run ends before all are about to ask.
            while here.load(Ordering::Relaxed) < CALLERS {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(1));
            runs.fetch_add(1, Ordering::Relaxed);
            5
        };
        thread::scope(|s| {
            for i in 0..CALLERS {
                let (flights, here, run) = (&flights, &here, &run);
                s.spawn(move || {
                    here.fetch_add(1, Ordering::Relaxed);
                    let got = if i % 2 == 0 {
                        flights.run("a", run)
                    } else {
                        block_on(flights.run_async("a", || async { run() }))
                    };
                    assert_eq!(got.value, 5);
                });
            }
        });
        assert!((1..CALLERS).contains(&runs.load(Ordering::Relaxed)));
    });
}

#[test]
fn after_forget_the_next_runs_anew_and_the_third_joins_it() {
    let flights = Flights::new();
    let mut first = Box::pin(flights.run_async("a", pending()));
    assert_pending(first.as_mut());
    flights.forget("a");
    let mut calls = 0;
    let mut second = Box::pin(flights.run_async(
        "a",
        std::future::poll_fn(|_| {
            calls += 1;
            if calls == 2 {
                2.into()
            } else {
                std::task::Poll::Pending
            }
        }),
    ));
    assert_pending(second.as_mut());
    let mut third = Box::pin(flights.run_async("a", || ready(3)));
    assert_pending(third.as_mut());
    // The end of the forgotten one does not end the other.
    drop(first);
    let mut fourth = Box::pin(flights.run_async("a", || ready(4)));
    assert_pending(fourth.as_mut());
    assert_eq!(assert_ready(second.as_mut()), value(2, true));
    assert_eq!(assert_ready(third.as_mut()), value(2, true));
    assert_eq!(assert_ready(fourth.as_mut()), value(2, true));
}

#[test]
fn a_cancelled_leader_hands_the_flight_to_one_who_waits() {
    let flights = Flights::new();
    let mut leader = Box::pin(flights.run_async("a", pending()));
    assert_pending(leader.as_mut());
    let mut second = Box::pin(flights.run_async("a", || ready(2)));
    let mut third = Box::pin(flights.run_async("a", || ready(3)));
    assert_pending(second.as_mut());
    assert_pending(third.as_mut());
    drop(leader);
    assert_pending(third.as_mut());
    assert_eq!(assert_ready(second.as_mut()), value(2, true));
    assert_eq!(assert_ready(third.as_mut()), value(2, true));
}

#[test]
fn a_leadership_won_by_a_dropped_future_passes_on() {
    let flights = Flights::new();
    let mut leader = Box::pin(flights.run_async("a", pending()));
    assert_pending(leader.as_mut());
    let mut second = Box::pin(flights.run_async("a", || ready(2)));
    let mut third = Box::pin(flights.run_async("a", || ready(3)));
    assert_pending(second.as_mut());
    assert_pending(third.as_mut());
    drop(leader);
    drop(second);
    assert_eq!(assert_ready(third.as_mut()), value(3, false));
}

#[test]
fn the_last_to_leave_leaves_nothing_behind() {
    let flights = Flights::new();
    let counted = Arc::new(());
    for _ in 0..3 {
        let theirs = Arc::clone(&counted);
        let mut alone = Box::pin(flights.run_async("a", async move {
            let _theirs = theirs;
            pending().await
        }));
        assert_pending(alone.as_mut());
        drop(alone);
        drop(flights.run_async("a", ready(1)));
        assert_eq!(Arc::strong_count(&counted), 1);
    }
    assert_eq!(flights.run("a", || 1), value(1, false));
}

#[test]
fn a_value_goes_with_the_last_who_was_given_it() {
    let flights = SingleFlight::new();
    let counted = Arc::new(());
    let got = flights.run(1, || Arc::clone(&counted));
    assert_eq!(Arc::strong_count(&counted), 2);
    drop(got);
    assert_eq!(Arc::strong_count(&counted), 1, "no flight keeps it");
}

#[test]
fn a_panic_reaches_everyone_who_waits() {
    within_reason(|| {
        for leads_async in [false, true] {
            let flights = Flights::new();
            let (started, start) = mpsc::channel();
            let (finish, finished) = mpsc::channel::<()>();
            thread::scope(|s| {
                let leader = s.spawn(|| {
                    let run = move || -> u32 {
                        started.send(()).unwrap();
                        finished.recv().unwrap();
                        panic!("boom")
                    };
                    if leads_async {
                        block_on(flights.run_async("a", || async { run() }))
                    } else {
                        flights.run("a", run)
                    }
                });
                start.recv().unwrap();
                let mut waiting = Box::pin(flights.run_async("a", || ready(0)));
                assert_pending(waiting.as_mut());
                finish.send(()).unwrap();
                let payload = leader.join().unwrap_err();
                assert_eq!(payload.downcast_ref(), Some(&"boom"));
                let payload = catch_unwind(AssertUnwindSafe(|| block_on(waiting))).unwrap_err();
                assert_eq!(payload.downcast_ref(), Some(&"boom"));
            });
            assert_eq!(
                flights.run("a", || 1),
                value(1, false),
                "the next is not hit"
            );
        }
    });
}

#[test]
fn a_panic_reaches_threads_that_wait_too() {
    within_reason(|| {
        // Whether a thread waits cannot be seen, so it is given a moment; and that may be too
        // short on a busy machine, so try again.
        let all_panicked = (0..1000).any(|_| {
            let flights = Flights::new();
            let (started, start) = mpsc::channel();
            let here = AtomicUsize::new(0);
            thread::scope(|s| {
                let leader = s.spawn(|| {
                    flights.run("a", || {
                        started.send(()).unwrap();
                        while here.load(Ordering::Relaxed) < 4 {
                            thread::yield_now();
                        }
                        thread::sleep(Duration::from_millis(1));
                        panic_any("boom")
                    })
                });
                start.recv().unwrap();
                let waiting = [0; 4].map(|_| {
                    s.spawn(|| {
                        here.fetch_add(1, Ordering::Relaxed);
                        flights.run("a", || 0)
                    })
                });
                let boom = |end: thread::Result<_>| {
                    end.is_err_and(|payload| payload.downcast_ref() == Some(&"boom"))
                };
                assert!(boom(leader.join()));
                waiting.map(|w| boom(w.join())) == [true; 4]
            })
        });
        assert!(all_panicked);
    });
}

#[test]
fn the_runner_gets_its_payload_itself() {
    let flights = Flights::new();
    let run = || flights.run("a", || panic_any(7_u8));
    let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
    assert_eq!(payload.downcast_ref(), Some(&7_u8));
}

#[test]
fn a_run_within_itself_panics_instead_of_hanging() {
    within_reason(|| {
        let flights = Flights::new();
        let run = || flights.run("a", || flights.run("a", || 1).value);
        let payload = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
        let text = payload.downcast_ref::<String>().unwrap();
        assert!(text.contains("re-entrant"), "{text}");
    });
}

#[test]
fn everyone_ends_with_a_value_of_a_run_of_then() {
    stress(|seed| {
        let flights: SingleFlight<u64, (u64, Arc<()>)> = SingleFlight::new();
        let runs = AtomicUsize::new(0);
        let counted = Arc::new(());
        thread::scope(|s| {
            for i in 0..4 {
                let (flights, runs, counted) = (&flights, &runs, &counted);
                let mut dice = Dice::new(seed + i);
                s.spawn(move || {
                    for _ in 0..100 {
                        let key = dice.below(2);
                        let make = || {
                            runs.fetch_add(1, Ordering::Relaxed);
                            (key, Arc::clone(counted))
                        };
                        match dice.below(6) {
                            0 => {
                                let mut run = Box::pin(flights.run_async(key, pending()));
                                // It may be told of another's panic.
                                let poll = || poll_once(run.as_mut()).is_ready();
                                let _ = catch_unwind(AssertUnwindSafe(poll));
                                thread::yield_now();
                            }
                            1 => {
                                let run =
                                    || flights.run(key, || std::panic::resume_unwind(Box::new("")));
                                let _ = catch_unwind(AssertUnwindSafe(run));
                            }
                            2 => flights.forget(&key),
                            3 => {
                                let run = || block_on(flights.run_async(key, || async { make() }));
                                if let Ok(got) = catch_unwind(AssertUnwindSafe(run)) {
                                    assert_eq!(got.value.0, key);
                                }
                            }
                            _ => {
                                let run = || flights.run(key, make);
                                if let Ok(got) = catch_unwind(AssertUnwindSafe(run)) {
                                    assert_eq!(got.value.0, key);
                                }
                            }
                        }
                    }
                });
            }
        });
        assert!(runs.load(Ordering::Relaxed) > 0);
        assert_eq!(Arc::strong_count(&counted), 1, "every value is gone");
        for key in 0..2 {
            assert!(!flights.run(key, || (key, Arc::clone(&counted))).shared);
        }
    });
}
