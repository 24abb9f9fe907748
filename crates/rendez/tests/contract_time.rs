//! The contract of sleeps, timers and tickers, through the umbrella.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::time::{Duration, Instant};

use common::{HOUR, TICK, is_send, poll};
use futures_util::{Stream, StreamExt};
use rendez::pool::block_on;
use rendez::prelude::*;
use rendez::time::{AfterFunc, Elapsed, after_func, now, sleep, sleep_async, timeout};

#[test]
fn sleeps_last_at_least_as_long() {
    let start = now();
    sleep(TICK);
    block_on(is_send(sleep_async(TICK)));
    assert!(start.elapsed() >= 2 * TICK);
    sleep(Duration::ZERO);
    block_on(sleep_async(Duration::ZERO));
}

#[test]
fn timeout_gives_the_output_or_elapsed() {
    let out: Result<i32, Elapsed> = block_on(is_send(timeout(HOUR, async { 7 })));
    assert_eq!(out, Ok(7));
    let out = block_on(timeout(TICK, std::future::pending::<()>()));
    let err: Box<dyn Error + Send + Sync> = out.unwrap_err().into();
    assert!(!err.to_string().is_empty());
    assert_eq!(
        block_on(timeout(Duration::ZERO, async { 7 })),
        Ok(7),
        "ready at once"
    );
    assert_eq!(block_on(timeout(Duration::MAX, async { 7 })), Ok(7));
}

#[test]
fn a_timer_gives_its_due_instant_once_in_every_form() {
    fn bounds<T: Send + Sync + Unpin + 'static>(_: &T) {}
    let start = Instant::now();
    let timer = Timer::new(TICK);
    bounds(&timer);
    let due = timer.recv();
    assert!(due >= start + TICK && due <= Instant::now());
    assert!(!timer.stop(), "it was received");
    assert!(!timer.reset(Duration::ZERO));
    assert!(timer.try_recv().is_some() && timer.try_recv().is_none());
    timer.reset(TICK);
    assert!(block_on(is_send(timer.recv_async())) >= due + TICK);
    timer.reset(TICK);
    select! { recv(timer) -> at => { let _: Instant = at; } }
    let _: Instant = block_on(Timer::new(TICK));
    timer.reset(HOUR);
    assert_eq!(timer.recv_timeout(TICK), None);
}

#[test]
fn the_instant_is_when_it_was_due_however_late_it_is_read() {
    let timer = Timer::new(Duration::ZERO);
    let made = Instant::now();
    sleep(4 * TICK);
    assert!(timer.recv() <= made);
}

#[test]
fn after_stop_or_reset_nothing_stale_is_received() {
    let timer = Timer::new(Duration::ZERO);
    sleep(TICK);
    assert!(timer.stop(), "expired, not received");
    assert_eq!(timer.try_recv(), None);
    assert!(!timer.stop());
    timer.reset(Duration::ZERO);
    sleep(TICK);
    assert!(timer.reset(HOUR), "expired, not received");
    assert_eq!(timer.recv_timeout(TICK), None);
    assert!(timer.reset(Duration::ZERO), "it ran");
    timer.recv();
    let ticker = Ticker::new(Duration::from_nanos(1));
    sleep(TICK);
    ticker.stop();
    assert_eq!(ticker.try_recv(), None);
    ticker.reset(HOUR);
    assert_eq!(ticker.recv_timeout(TICK), None);
}

#[test]
fn reset_moves_those_who_wait_already() {
    let timer = std::sync::Arc::new(Timer::new(HOUR));
    let waiter = {
        let timer = timer.clone();
        go(move || timer.recv())
    };
    let mut recv = Box::pin(timer.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    drop(recv);
    sleep(TICK);
    assert!(timer.reset(Duration::ZERO));
    waiter.join().unwrap();
}

#[test]
fn a_ticker_keeps_its_grid_and_drops_what_is_missed() {
    let ticker = Ticker::new(TICK);
    let first = ticker.recv();
    sleep(5 * TICK);
    let late = ticker.recv();
    let next = ticker.recv();
    for tick in [late, next] {
        let off = (tick - first).as_nanos() % TICK.as_nanos();
        assert_eq!(off, 0, "on the grid");
    }
    assert!(next - late >= TICK);
    fn stream<S: Stream<Item = Instant> + Unpin + Send + Sync>(_: &S) {}
    let mut ticker = ticker;
    stream(&ticker);
    assert!(block_on(ticker.next()).unwrap() > next);
    assert!(block_on(ticker.recv_async()) > next);
    select! { recv(ticker) -> at => assert!(at > next) }
    ticker.reset(2 * TICK);
    let (a, b) = (ticker.recv(), ticker.recv());
    assert!(b - a >= 2 * TICK);
}

#[test]
fn a_ticker_without_a_period_is_a_mistake() {
    for make in [
        || drop(Ticker::new(Duration::ZERO)),
        || {
            Ticker::new(HOUR).reset(Duration::ZERO);
        },
    ] {
        assert!(std::panic::catch_unwind(make).is_err());
    }
}

#[test]
fn after_func_runs_and_can_be_stopped_and_reset() {
    let (tx, rx) = unbounded();
    let send = |n: u8| {
        let tx = tx.clone();
        move || tx.send(n).unwrap()
    };
    let ran: AfterFunc = after_func(TICK, send(1));
    assert_eq!(rx.recv(), Ok(1));
    assert!(!ran.stop());
    let stopped = after_func(HOUR, send(2));
    assert!(stopped.stop() && !stopped.stop());
    assert!(!stopped.reset(TICK));
    assert_eq!(rx.recv(), Ok(2));
    let moved = after_func(HOUR, send(3));
    assert!(moved.reset(TICK));
    assert_eq!(rx.recv(), Ok(3));
    drop(after_func(TICK, send(4)));
    assert_eq!(rx.recv(), Ok(4), "dropping the handle lets it run");
}

#[test]
fn durations_saturate() {
    let timer = Timer::new(Duration::MAX);
    assert_eq!(timer.recv_timeout(TICK), None);
    assert!(timer.reset(Duration::MAX) && timer.stop());
    let ticker = Ticker::new(Duration::MAX);
    assert_eq!(ticker.recv_timeout(TICK), None);
    assert!(after_func(Duration::MAX, || unreachable!()).stop());
    assert!(poll(std::pin::pin!(sleep_async(Duration::MAX))).is_pending());
    let timer = Timer::new(Duration::ZERO);
    assert!(timer.recv_timeout(Duration::MAX).is_some());
}

#[test]
fn short_waits_are_short() {
    // The best of many: the machine may be busy.
    let best = (0..50)
        .map(|_| {
            let start = Instant::now();
            sleep(Duration::from_micros(50));
            start.elapsed()
        })
        .min()
        .unwrap();
    assert!(best < Duration::from_millis(1), "{best:?}");
}
