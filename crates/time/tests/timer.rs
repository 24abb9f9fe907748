//! Timers and tickers: Go 1.23's rules, by a clock that the tests move, and by the real
//! one where threads are what matters.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{Clock, HOUR, MS, Wakes};
use futures_core::Stream;
use rendez_core::block_on::block_on;
use rendez_select::{Receiver, bounded, select, select_async, select_biased};
use rendez_time::{RecvFuture, Ticker, Timer, now};

const NS: Duration = Duration::from_nanos(1);

/// What timers and tickers have in common.
trait Timed {
    const IS_TICKER: bool;
    fn new(d: Duration) -> Self;
    fn stop(&self) -> bool;
    fn reset(&self, d: Duration) -> bool;
    fn try_recv(&self) -> Option<Instant>;
    fn recv_async(&self) -> RecvFuture<'_>;
    /// Awaits the first of the two, and gives its number.
    async fn select(a: &Self, b: &Self) -> usize;
}

macro_rules! timed {
    ($type:ty, $is_ticker:literal) => {
        impl Timed for $type {
            const IS_TICKER: bool = $is_ticker;
            fn new(d: Duration) -> Self {
                Self::new(d)
            }
            fn stop(&self) -> bool {
                self.stop()
            }
            fn reset(&self, d: Duration) -> bool {
                self.reset(d)
            }
            fn try_recv(&self) -> Option<Instant> {
                self.try_recv()
            }
            fn recv_async(&self) -> RecvFuture<'_> {
                self.recv_async()
            }
            async fn select(a: &Self, b: &Self) -> usize {
                select_async! {
                    recv(a) -> _ => 0,
                    recv(b) -> _ => 1,
                }
            }
        }
    };
}

timed!(Timer, false);
timed!(Ticker, true);

fn contract<T: Timed>() {
    let clock = Clock::new();
    clock.run(|| {
        let t = T::new(MS);
        assert!(t.stop());
        clock.advance(10 * MS);
        assert_eq!(t.try_recv(), None, "stopped: no tick");
        assert!(!t.stop());

        assert!(!t.reset(HOUR));
        clock.advance(10 * MS);
        assert_eq!(t.try_recv(), None, "far ahead: no tick");

        assert!(t.reset(NS), "it was running");
        let due = now() + NS;
        clock.advance(10 * MS);
        assert_eq!(t.try_recv(), Some(due), "when it was due");

        // The next tick is pending, and a reset takes it away.
        assert_eq!(t.reset(NS), T::IS_TICKER);
        clock.advance(10 * MS);
        assert!(t.reset(HOUR));
        assert_eq!(t.try_recv(), None, "stale");

        // Expired and not received: stop and reset still say that it was running.
        assert!(t.reset(NS));
        clock.advance(10 * MS);
        assert!(t.stop());
        assert_eq!(t.try_recv(), None, "stale");
        assert!(!t.reset(NS));
        clock.advance(10 * MS);
        assert!(t.reset(HOUR));
        assert_eq!(t.try_recv(), None, "stale");

        // Stopped and reset while somebody waits.
        let wakes = Wakes::new();
        let mut waiting = pin!(t.recv_async());
        assert!(wakes.poll(waiting.as_mut()).is_pending());
        assert!(t.stop());
        clock.advance(2 * HOUR);
        assert!(wakes.poll(waiting.as_mut()).is_pending(), "stopped");
        wakes.take();
        assert!(!t.reset(HOUR));
        clock.advance(MS);
        wakes.poll(waiting.as_mut()).is_pending();
        wakes.take();
        assert!(t.reset(MS));
        assert_eq!(wakes.take(), 1, "told that it has become earlier");
        assert!(wakes.poll(waiting.as_mut()).is_pending());
        clock.advance(MS);
        assert_eq!(wakes.take(), 1, "woken when it is due");
        assert_eq!(wakes.poll(waiting.as_mut()), Poll::Ready(now()));
        assert_eq!(t.reset(HOUR), T::IS_TICKER, "received");

        // Two wait for both of two, of which one comes.
        let other = T::new(HOUR);
        let mut first = pin!(T::select(&t, &other));
        let mut second = pin!(T::select(&other, &t));
        assert!(wakes.poll(first.as_mut()).is_pending());
        assert!(wakes.poll(second.as_mut()).is_pending());
        assert!(t.reset(MS));
        assert!(other.stop());
        assert!(wakes.poll(first.as_mut()).is_pending());
        assert!(wakes.poll(second.as_mut()).is_pending());
        clock.advance(MS);
        assert_eq!(wakes.poll(first.as_mut()), Poll::Ready(0));
        assert!(wakes.poll(second.as_mut()).is_pending(), "one tick for one");
        t.reset(MS);
        assert!(wakes.poll(second.as_mut()).is_pending());
        clock.advance(MS);
        assert_eq!(wakes.poll(second.as_mut()), Poll::Ready(1));
    });
    assert_eq!(clock.n_alarms(), 0);
}

#[test]
fn a_timer_keeps_the_rules_of_go_1_23() {
    contract::<Timer>();
}

#[test]
fn a_ticker_keeps_the_rules_of_go_1_23() {
    contract::<Ticker>();
}

#[test]
fn what_is_received_late_is_when_it_was_due() {
    let clock = Clock::new();
    clock.run(|| {
        let (timer, ticker, start) = (Timer::new(10 * MS), Ticker::new(10 * MS), now());
        clock.advance(500 * MS);
        assert_eq!(timer.recv(), start + 10 * MS);
        assert_eq!(ticker.recv(), start + 10 * MS);
    });
}

#[test]
fn a_ticker_drops_what_nobody_takes_and_keeps_its_grid() {
    let clock = Clock::new();
    clock.run(|| {
        let (ticker, start) = (Ticker::new(10 * MS), now());
        clock.advance(47 * MS);
        assert_eq!(ticker.try_recv(), Some(start + 10 * MS));
        assert_eq!(ticker.try_recv(), None, "at most one is held");
        clock.advance(3 * MS);
        assert_eq!(ticker.try_recv(), Some(start + 50 * MS), "on the grid");
        clock.advance(5 * MS);
        assert!(ticker.reset(7 * MS));
        clock.advance(21 * MS);
        assert_eq!(ticker.try_recv(), Some(start + 62 * MS), "a new grid");
        assert_eq!(ticker.try_recv(), None);
        clock.advance(7 * MS);
        assert_eq!(ticker.try_recv(), Some(start + 83 * MS));
        assert!(ticker.stop());
        clock.advance(HOUR);
        assert_eq!(ticker.try_recv(), None);
    });
}

#[test]
fn a_period_of_zero_is_refused_where_it_is_given() {
    assert!(catch_unwind(|| Ticker::new(Duration::ZERO)).is_err());
    let ticker = Ticker::new(Duration::from_micros(1));
    assert!(catch_unwind(AssertUnwindSafe(|| ticker.reset(Duration::ZERO))).is_err());
    ticker.recv(); // it goes on
}

#[test]
fn a_duration_beyond_all_time_never_comes_and_counts_as_running() {
    let clock = Clock::new();
    clock.run(|| {
        let (timer, ticker) = (Timer::new(Duration::MAX), Ticker::new(Duration::MAX));
        let wakes = Wakes::new();
        assert!(wakes.poll(pin!(timer.recv_async())).is_pending());
        assert!(wakes.poll(pin!(ticker.recv_async())).is_pending());
        assert_eq!(clock.n_alarms(), 0);
        clock.advance(1000 * HOUR);
        assert_eq!((timer.try_recv(), ticker.try_recv()), (None, None));
        assert!(timer.reset(Duration::MAX) && ticker.reset(Duration::MAX));
        assert!(timer.stop() && ticker.stop());
        // The most that fits into 64 bits of nanoseconds, and one less and more.
        for nanos in [u64::MAX - 2, u64::MAX - 1, u64::MAX, i64::MAX as u64] {
            assert!(!timer.reset(Duration::from_nanos(nanos)));
            assert_eq!(timer.try_recv(), None);
            assert!(timer.stop());
        }
    });
}

#[test]
fn a_future_dropped_after_the_expiry_has_received_nothing() {
    let clock = Clock::new();
    clock.run(|| {
        let (timer, start) = (Timer::new(MS), now());
        let wakes = Wakes::new();
        {
            let mut waiting = Box::pin(timer.recv_async());
            assert!(wakes.poll(waiting.as_mut()).is_pending());
            clock.advance(MS);
            assert_eq!(wakes.take(), 1);
        }
        assert_eq!(timer.try_recv(), Some(start + MS));
        assert_eq!(clock.n_alarms(), 0);
    });
}

#[test]
fn a_timer_is_a_future_and_a_ticker_a_stream() {
    let clock = Clock::new();
    clock.run(|| {
        let wakes = Wakes::new();
        let waker = Waker::from(Arc::clone(&wakes));
        let mut cx = Context::from_waker(&waker);
        let (mut timer, mut ticker, start) = (Timer::new(HOUR), Ticker::new(MS), now());
        assert!(wakes.poll(pin!(&mut timer)).is_pending());
        assert!(timer.reset(MS));
        assert_eq!(wakes.take(), 1, "told of the reset");
        assert!(wakes.poll(pin!(&mut timer)).is_pending());
        assert!(pin!(&mut ticker).poll_next(&mut cx).is_pending());
        clock.advance(MS);
        assert_eq!(wakes.take(), 2);
        assert_eq!(wakes.poll(pin!(&mut timer)), Poll::Ready(start + MS));
        let tick = pin!(&mut ticker).poll_next(&mut cx);
        assert_eq!(tick, Poll::Ready(Some(start + MS)));
        assert!(wakes.poll(pin!(&mut timer)).is_pending(), "received");
        assert!(pin!(&mut ticker).poll_next(&mut cx).is_pending());
        drop((timer, ticker));
    });
    assert_eq!(clock.n_alarms(), 0);
}

#[test]
fn timers_that_nobody_refers_to_leave_nothing() {
    let clock = Clock::new();
    let wakes = Wakes::new();
    clock.run(|| {
        for _ in 0..10_000 {
            let (timer, ticker) = (Timer::new(HOUR), Ticker::new(HOUR));
            assert!(wakes.poll(pin!(timer.recv_async())).is_pending());
            assert!(wakes.poll(pin!(ticker.recv_async())).is_pending());
            ticker.stop();
        }
    });
    assert_eq!(clock.n_alarms(), 0);
    assert_eq!(Arc::strong_count(&wakes), 1, "no waker is kept");
}

#[test]
fn each_of_a_hundred_thousand_zero_timers_fires() {
    for _ in 0..50_000 {
        Timer::new(Duration::ZERO).recv();
        block_on(Timer::new(Duration::ZERO));
    }
}

#[test]
fn who_blocks_hears_of_an_earlier_time() {
    let timer = Timer::new(HOUR);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| timer.recv());
        let awaiting = scope.spawn(|| {
            select! {
                recv(timer) -> due => due,
                recv(rendez_select::never::<()>()) -> _ => unreachable!(),
            }
        });
        // Each gets one, whether it had begun to wait before or not.
        timer.reset(MS);
        while timer.reset(HOUR) {
            timer.reset(MS);
            thread::yield_now();
            thread::sleep(2 * MS);
        }
        timer.reset(Duration::ZERO);
        blocked.join().unwrap();
        awaiting.join().unwrap();
    });
}

#[test]
fn stop_and_reset_tell_the_truth_while_timers_fire() {
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for i in 0..100 {
                    let (a, b) = (Timer::new(MS), Timer::new(MS));
                    let (taken, other) = if i % 4 < 2 {
                        select! {
                            recv(a) -> _ => (&a, &b),
                            recv(b) -> _ => (&b, &a),
                        }
                    } else {
                        block_on(async {
                            select_async! {
                                recv(a) -> _ => (&a, &b),
                                recv(b) -> _ => (&b, &a),
                            }
                        })
                    };
                    let d = if i % 2 == 0 { HOUR } else { Duration::MAX };
                    assert!(!taken.stop() && !taken.reset(d) && taken.reset(HOUR));
                    assert!(if i % 3 == 0 {
                        other.stop()
                    } else {
                        other.reset(d)
                    });
                    assert_eq!(other.try_recv(), None, "nothing stale");
                }
            });
        }
    });
}

#[test]
fn many_receivers_of_one_ticker_get_each_tick_once() {
    const EACH: usize = 25;
    let ticker = Ticker::new(Duration::from_micros(200));
    let readers = 10;
    let all: Vec<Instant> = thread::scope(|scope| {
        let readers: Vec<_> = (0..readers)
            .map(|i| {
                let ticker = &ticker;
                scope.spawn(move || {
                    let tick = || {
                        if i % 2 == 0 {
                            ticker.recv()
                        } else {
                            block_on(ticker.recv_async())
                        }
                    };
                    (0..EACH).map(|_| tick()).collect::<Vec<_>>()
                })
            })
            .collect();
        readers
            .into_iter()
            .flat_map(|r| r.join().unwrap())
            .collect()
    });
    let n_distinct = all.iter().collect::<HashSet<_>>().len();
    assert_eq!(n_distinct, readers * EACH);
}

#[test]
fn a_busy_select_does_not_starve_a_timer() {
    let (tx, rx) = bounded(1);
    let timer = Timer::new(20 * MS);
    loop {
        let _ = tx.try_send(());
        select! {
            recv(rx) -> _ => {}
            recv(timer) -> _ => break,
        }
    }
}

#[test]
fn a_stopped_timer_is_an_arm_that_is_never_ready() {
    let timer = Timer::new(Duration::ZERO);
    timer.stop();
    let arms = (Some(&timer), None::<&Timer>);
    select_biased! {
        recv(arms.0) -> _ => unreachable!("stopped"),
        recv(arms.1) -> _ => unreachable!("absent"),
        default => {}
    }
    timer.reset(Duration::ZERO);
    select_biased! {
        recv(arms.0) -> _ => {}
        default => unreachable!("due"),
    }
}

#[test]
fn selects_whose_timeouts_lose_leave_nothing_to_wait_for() {
    let n = 20_000;
    let (tx, rx): (_, Receiver<usize>) = bounded(1);
    thread::scope(|scope| {
        scope.spawn(move || {
            for i in 0..n {
                select! {
                    send(tx, i) -> sent => sent.unwrap(),
                    recv(Timer::new(HOUR)) -> _ => unreachable!(),
                }
            }
        });
        for i in 0..n {
            let timeout = Timer::new(HOUR);
            let received = block_on(async {
                select_async! {
                    recv(rx) -> value => value,
                    recv(timeout) -> _ => unreachable!(),
                }
            });
            assert_eq!(received, Ok(i));
        }
    });
}

#[test]
fn timers_and_their_futures_can_be_sent() {
    fn can_be_sent<T: Send + Sync>(value: T) -> T {
        value
    }
    let timer = can_be_sent(Timer::new(Duration::ZERO));
    let ticker = can_be_sent(Ticker::new(MS));
    fn is_send<F: Future + Send>(_: &F) {}
    is_send(&timer.recv_async());
    is_send(&ticker.recv_async());
    is_send(&rendez_time::sleep_async(MS));
    is_send(&rendez_time::timeout(MS, timer.recv_async()));
}
