//! Schedules: what is taken and given back.

use std::panic::Location;
use std::time::{Duration, Instant};

use rendez_core::case::{Arm, Case};
use rendez_core::goroutine::WaitKind;
use rendez_core::schedule::{Schedule, Until};
use rendez_core::wait;

const FAR: Duration = Duration::from_secs(3600);

fn due() -> Schedule {
    Schedule::once(Duration::ZERO, WaitKind::Sleep)
}

#[test]
fn what_is_given_back_can_be_taken_again() {
    let schedule = due();
    let outcome = schedule.try_now().expect("it is due");
    let when = schedule.finish(outcome);
    assert!(!schedule.is_due() && schedule.try_now().is_none());
    schedule.abandon(outcome);
    assert!(schedule.is_due());
    let again = wait::block_on_case(&schedule, None, Location::caller());
    assert_eq!(again, Some(when));
}

#[test]
fn what_is_given_back_after_a_stop_or_a_reset_is_gone() {
    let schedule = due();
    let outcome = schedule.try_now().expect("it is due");
    assert!(!schedule.stop(), "it was taken");
    schedule.abandon(outcome);
    assert!(!schedule.stop(), "stale");

    assert!(!schedule.reset(Duration::ZERO));
    let outcome = schedule.try_now().expect("it is due");
    assert!(!schedule.reset(FAR), "it was taken");
    schedule.abandon(outcome);
    assert!(!schedule.is_due(), "stale");
    assert!(schedule.deadline().expect("running") > Instant::now());
}

#[test]
fn a_tick_given_back_is_the_next_again() {
    let ticker = Schedule::every(Duration::from_micros(10), WaitKind::Sleep);
    let first = wait::block_on_case(&ticker, None, Location::caller()).expect("no deadline");
    while !ticker.is_due() {
        std::hint::spin_loop();
    }
    let outcome = ticker.try_now().expect("it is due");
    let second = ticker.instant(outcome);
    assert!(second > first);
    ticker.abandon(outcome);
    assert_eq!(ticker.deadline(), Some(second));
}

#[test]
fn an_epoch_moves_with_whatever_ends_readiness() {
    let schedule = due();
    let probe = schedule.probe();
    assert!(probe.ready);
    assert_eq!(schedule.probe(), probe, "a look changes nothing");
    schedule.try_now().expect("it is due");
    assert!(!schedule.probe().ready && schedule.probe().epoch > probe.epoch);
    let probe = schedule.probe();
    schedule.reset(Duration::ZERO);
    schedule.stop();
    assert!(!schedule.probe().ready && schedule.probe().epoch > probe.epoch);
}

#[test]
fn an_instant_that_has_come_is_there_for_everyone() {
    let until = Until(Some(Instant::now()));
    for _ in 0..2 {
        assert!(wait::block_on_case(&until, None, Location::caller()).is_some());
    }
    let never = Until(None);
    let soon = Some(Instant::now() + Duration::from_millis(1));
    assert!(wait::block_on_case(&never, soon, Location::caller()).is_none());
}
