//! Sleeping, and futures with a limit.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::future::{pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use common::{Clock, HOUR, MS, Wakes};
use futures_core::Stream;
use rendez_core::block_on::block_on;
use rendez_core::goroutine::{self, WaitKind};
use rendez_pool::{JoinHandle, Pool, State};
use rendez_select::bounded;
use rendez_time::{Elapsed, Ticker, Timer, now, sleep, sleep_async, timeout};

#[test]
fn a_sleep_is_not_too_short() {
    for d in [Duration::ZERO, Duration::from_micros(70), 3 * MS] {
        let start = Instant::now();
        sleep(d);
        assert!(start.elapsed() >= d);
        let start = Instant::now();
        block_on(sleep_async(d));
        assert!(start.elapsed() >= d);
    }
}

#[test]
fn short_sleeps_are_short_for_threads_and_tasks() {
    // Loose: a loaded machine may delay most of them, but not the best of many.
    let best = |f: &dyn Fn()| {
        let once = |_| {
            let start = Instant::now();
            f();
            start.elapsed()
        };
        (0..200).map(once).min().unwrap()
    };
    let d = Duration::from_micros(100);
    assert!(best(&|| sleep(d)) < Duration::from_micros(900));
    assert!(best(&|| block_on(sleep_async(d))) < Duration::from_micros(900));
}

#[test]
fn a_sleep_beyond_all_time_disturbs_nobody() {
    let clock = Clock::new();
    clock.run(|| {
        let wakes = Wakes::new();
        let mut longest = pin!(sleep_async(Duration::MAX));
        let mut short = pin!(sleep_async(MS));
        assert!(wakes.poll(longest.as_mut()).is_pending());
        assert!(wakes.poll(short.as_mut()).is_pending());
        clock.advance(100 * HOUR);
        assert_eq!(wakes.poll(short), Poll::Ready(()));
        assert!(wakes.poll(longest).is_pending());
    });
    assert_eq!(clock.n_alarms(), 0);
}

#[test]
fn sleepers_wake_in_the_order_of_their_times() {
    let clock = Clock::new();
    clock.run(|| {
        let order = [5_u32, 12, 0, 7, 3, 10, 1, 9, 2, 11, 6, 4, 8];
        let mut sleepers: Vec<_> = order
            .iter()
            .map(|&i| (i, Box::pin(sleep_async(i * MS)), Wakes::new()))
            .collect();
        for (i, sleeper, wakes) in &mut sleepers {
            assert_eq!(wakes.poll(sleeper.as_mut()).is_ready(), *i == 0);
        }
        for t in 1..=12 {
            clock.advance(MS);
            let woken: Vec<_> = sleepers
                .iter()
                .filter(|s| s.2.take() > 0)
                .map(|s| s.0)
                .collect();
            assert_eq!(woken, [t]);
        }
    });
}

#[test]
fn a_thread_sleeps_by_its_bubbles_clock() {
    let clock = Clock::new();
    let start = clock.run(now);
    let sleeper = thread::spawn({
        let clock = Arc::clone(&clock);
        move || {
            clock.run(|| {
                sleep(HOUR);
                now()
            })
        }
    });
    assert!(common::eventually(|| clock.n_alarms() == 1), "it sleeps");
    clock.advance(HOUR);
    assert_eq!(sleeper.join().unwrap(), start + HOUR);
    assert_eq!(clock.n_alarms(), 0);
}

#[test]
fn who_sleeps_is_said_to_sleep_there() {
    let wakes = Wakes::new();
    let sleeper = goroutine::Goroutine::new(None, None, None);
    goroutine::run_as(&sleeper, || {
        assert!(wakes.poll(pin!(sleep_async(HOUR))).is_pending());
    });
    let site = sleeper.wait_site().expect("it waits");
    assert_eq!(site.kind.to_string(), "sleep");
    assert!(site.location.file().ends_with("sleep.rs"));
}

#[test]
fn an_output_that_is_ready_is_returned_however_late() {
    let clock = Clock::new();
    clock.run(|| {
        let wakes = Wakes::new();
        let (tx, rx) = bounded(1);
        let mut limited = pin!(timeout(MS, rx.recv_async()));
        assert!(wakes.poll(limited.as_mut()).is_pending());
        clock.advance(HOUR);
        assert_eq!(wakes.take(), 1);
        tx.send(1).unwrap();
        assert_eq!(wakes.poll(limited), Poll::Ready(Ok(Ok(1))));
    });
    assert_eq!(clock.n_alarms(), 0);
}

#[test]
fn a_limit_counts_from_the_first_poll_and_ends_the_wait() {
    let clock = Clock::new();
    clock.run(|| {
        let wakes = Wakes::new();
        let (tx, rx) = bounded(0);
        let mut limited = Box::pin(timeout(2 * MS, rx.recv_async()));
        clock.advance(HOUR);
        assert!(wakes.poll(limited.as_mut()).is_pending());
        clock.advance(MS);
        assert!(wakes.poll(limited.as_mut()).is_pending());
        assert_eq!(wakes.take(), 0);
        clock.advance(MS);
        assert_eq!(wakes.take(), 1);
        assert_eq!(wakes.poll(limited.as_mut()), Poll::Ready(Err(Elapsed)));
        drop(limited);
        assert!(tx.try_send(1).is_err(), "nobody waits any more");
    });
    assert_eq!(clock.n_alarms(), 0);
}

#[test]
fn limits_of_zero_and_beyond_all_time() {
    let wakes = Wakes::new();
    let zero = timeout(Duration::ZERO, pending::<()>());
    assert_eq!(wakes.poll(pin!(zero)), Poll::Ready(Err(Elapsed)));
    let mut never = pin!(timeout(Duration::MAX, pending::<()>()));
    assert!(wakes.poll(never.as_mut()).is_pending());
    assert!(wakes.poll(never).is_pending());
    assert_eq!(Elapsed.to_string(), "timed out");
}

#[test]
fn a_million_sleepers_come_and_go() {
    let wakes = Wakes::new();
    let mut sleepers: Vec<_> = (0..100_000)
        .map(|i| Box::pin(sleep_async(HOUR + Duration::from_micros(i))))
        .collect();
    for sleeper in &mut sleepers {
        assert!(wakes.poll(sleeper.as_mut()).is_pending());
    }
    for i in 0..900_000_u64 {
        assert!(
            wakes
                .poll(pin!(sleep_async(HOUR - Duration::from_micros(i))))
                .is_pending()
        );
    }
    drop(sleepers);
    assert_eq!(Arc::strong_count(&wakes), 1, "no waker is kept");
    assert_eq!(wakes.take(), 0);
}

#[test]
fn a_dump_says_where_futures_wait_for_their_time() {
    let pool = Pool::builder().workers(1).build().unwrap();
    let seen = |handle: JoinHandle<()>, expected: WaitKind, line: u32| {
        loop {
            let dump = pool.dump();
            let entry = dump.goroutines().find(|g| g.id == handle.id());
            match entry.map(|entry| entry.state) {
                Some(State::Waiting { kind, location, .. }) => {
                    assert_eq!((kind, location.line()), (expected, line));
                    assert!(location.file().ends_with("sleep.rs"));
                    break handle.cancel();
                }
                state => assert_ne!(state, Some(State::Parked), "line {line}"),
            }
            thread::yield_now();
        }
    };
    let sleeper = pool.go(async { sleep_async(HOUR).await });
    seen(sleeper, WaitKind::Sleep, line!() - 1);
    let timer = pool.go(async { _ = Timer::new(HOUR).await });
    seen(timer, WaitKind::Sleep, line!() - 1);
    let ticks = pool.go(async {
        let mut ticker = Ticker::new(HOUR);
        poll_fn(|cx| Pin::new(&mut ticker).poll_next(cx)).await;
    });
    seen(ticks, WaitKind::Sleep, line!() - 2);
    let limited = pool.go(async { _ = timeout(HOUR, pending::<()>()).await });
    seen(limited, WaitKind::Sleep, line!() - 1);
    let (_tx, rx) = bounded::<u8>(0);
    let receives = pool.go(async move { _ = timeout(HOUR, rx.recv_async()).await });
    seen(receives, WaitKind::Receive, line!() - 1);
}
