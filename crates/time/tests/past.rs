//! What has been due before anybody waits for it is there at once, without an alarm: one for the
//! past would be late by the time that its thread needs to wake.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{Clock, HOUR, MS, Wakes};
use rendez_select::{Receiver, after, bounded, select_async, tick};
use rendez_time::{Elapsed, Ticker, Timer, after_func, sleep, sleep_async, timeout};

const ZERO: Duration = Duration::ZERO;

/// Makes a future, lets `late` pass by virtual time, and polls it: it must be ready without an
/// alarm.
#[track_caller]
fn ready_without_an_alarm<F: Future>(late: Duration, make: impl FnOnce() -> F) -> F::Output {
    let clock = Clock::new();
    let wakes = Wakes::new();
    let mut output = None;
    let n_set = clock.n_set_by(|| {
        clock.run(|| {
            let future = make();
            clock.advance(late);
            output = match wakes.poll(pin!(future)) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            };
        });
    });
    assert_eq!((n_set, wakes.take()), (0, 0));
    output.expect("it is due")
}

#[test]
fn a_sleep_polled_after_its_time_is_over() {
    let wakes = Wakes::new();
    let d = Duration::from_micros(20);
    let mut sleeper = pin!(sleep_async(d));
    let start = Instant::now();
    while start.elapsed() < d {}
    assert!(wakes.poll(sleeper.as_mut()).is_ready());
    assert!(wakes.poll(pin!(sleep_async(ZERO))).is_ready());
    assert_eq!(wakes.take(), 0);
    ready_without_an_alarm(ZERO, || sleep_async(ZERO));
    ready_without_an_alarm(HOUR, || sleep_async(MS));
}

#[test]
fn a_limit_that_has_passed_ends_the_wait() {
    assert_eq!(
        ready_without_an_alarm(ZERO, || timeout(ZERO, pending::<()>())),
        Err(Elapsed)
    );
    let clock = Clock::new();
    let wakes = Wakes::new();
    clock.run(|| {
        let mut limited = pin!(timeout(MS, pending::<()>()));
        assert!(wakes.poll(limited.as_mut()).is_pending());
        clock.advance(HOUR);
        let n_set = clock.n_set_by(|| assert!(wakes.poll(limited).is_ready()));
        assert_eq!((n_set, clock.n_alarms()), (0, 0));
    });
}

#[test]
fn timers_and_tickers_that_are_due_are_received() {
    for (d, late) in [(ZERO, ZERO), (ZERO, MS), (MS, HOUR)] {
        ready_without_an_alarm(late, || Timer::new(d));
        ready_without_an_alarm(late, || {
            let timer = Timer::new(d);
            async move { timer.recv_async().await }
        });
    }
    ready_without_an_alarm(HOUR, || {
        let ticker = Ticker::new(MS);
        async move { ticker.recv_async().await }
    });
    let channel = |rx: Receiver<Instant>| async move { rx.recv_async().await };
    ready_without_an_alarm(ZERO, || channel(after(ZERO))).expect("it never closes");
    ready_without_an_alarm(HOUR, || channel(after(MS))).expect("it never closes");
    ready_without_an_alarm(HOUR, || channel(tick(MS))).expect("it never closes");
}

#[test]
fn a_select_whose_time_is_over_takes_its_default() {
    let (_tx, rx) = bounded::<()>(0);
    let chosen = ready_without_an_alarm(ZERO, || async {
        select_async! {
            recv(rx) -> _ => "a value",
            default(ZERO) => "default",
        }
    });
    assert_eq!(chosen, "default");
    let chosen = ready_without_an_alarm(ZERO, || async {
        let timer = Timer::new(ZERO);
        select_async! {
            recv(rx) -> _ => "a value",
            recv(timer) -> _ => "the timer",
        }
    });
    assert_eq!(chosen, "the timer");
}

#[test]
fn threads_do_not_sleep_for_what_is_due() {
    let clock = Clock::new();
    let n_set = clock.n_set_by(|| {
        clock.run(|| {
            let (_tx, rx) = bounded::<()>(0);
            let (timer, ticker) = (Timer::new(MS), Ticker::new(MS));
            clock.advance(HOUR);
            sleep(ZERO);
            timer.recv();
            ticker.recv();
            assert!(rx.recv_timeout(ZERO).is_err());
            assert_eq!(timer.recv_timeout(ZERO), None);
        });
    });
    assert_eq!(n_set, 0);
}

#[test]
fn a_function_that_is_due_is_started() {
    let clock = Clock::new();
    let (tx, rx) = mpsc::channel();
    let n_set = clock.n_set_by(|| {
        clock.run(|| {
            let after = after_func(ZERO, move || tx.send(()).unwrap());
            rx.recv().unwrap();
            assert!(!after.stop(), "it has been started");
            assert!(!after.reset(ZERO));
            rx.recv().unwrap();
        });
    });
    assert_eq!(n_set, 0);
}
