//! Models of timers and delayed functions: under `--cfg rendez_loom` every interleaving
//! is explored, otherwise each runs once. Time is a clock that the models move.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::time::Duration;

use common::{Clock, HOUR, MS};
use rendez_core::block_on::block_on;
use rendez_core::hooks;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{Arc, model, thread};
use rendez_select::{bounded, select};
use rendez_time::{AfterFunc, Ticker, Timer, after_func};

fn model_with_clock(name: &str, f: impl Fn(&Arc<Clock>) + Send + Sync + 'static) {
    model(name, move || {
        let clock = Clock::new();
        clock.run(|| f(&clock));
    });
}

fn spawn<R: 'static + Send>(
    clock: &Arc<Clock>,
    f: impl FnOnce() -> R + Send + 'static,
) -> thread::JoinHandle<R> {
    let clock = Arc::clone(clock);
    thread::spawn(move || clock.run(f))
}

#[test]
fn who_waits_for_a_stopped_timer_is_released_by_a_reset() {
    model_with_clock("time: reset against recv and recv_async", |clock| {
        let timer = Arc::new(Timer::new(HOUR));
        timer.stop();
        let theirs = Arc::clone(&timer);
        let other = spawn(clock, move || theirs.recv());
        timer.reset(Duration::ZERO);
        other.join().unwrap();
        let theirs = Arc::clone(&timer);
        let other = spawn(clock, move || block_on(theirs.recv_async()));
        timer.reset(Duration::ZERO);
        other.join().unwrap();
        assert!(!timer.stop(), "received");
    });
}

#[test]
fn an_expiry_beside_a_reset_is_received_once_or_not_at_all() {
    model_with_clock("time: expiry and reset against recv", |clock| {
        let timer = Arc::new(Timer::new(MS));
        let (theirs, start) = (Arc::clone(&timer), rendez_time::now());
        let other = spawn(clock, move || theirs.recv());
        let clocks = Arc::clone(clock);
        let mover = spawn(clock, move || clocks.advance(MS));
        let was_running = timer.reset(2 * MS);
        mover.join().unwrap();
        if was_running {
            clock.advance(2 * MS);
        }
        let due = other.join().unwrap();
        assert_eq!(due == start + MS, !was_running, "nothing stale");
    });
}

#[test]
fn a_stop_and_a_receive_never_both_get_the_expiry() {
    model_with_clock("time: stop against try_recv", |clock| {
        let timer = Arc::new(Timer::new(Duration::ZERO));
        let theirs = Arc::clone(&timer);
        let other = spawn(clock, move || theirs.try_recv().is_some());
        let stopped = timer.stop();
        assert!(stopped ^ other.join().unwrap());
        assert_eq!(timer.try_recv(), None);
    });
}

#[test]
fn two_receivers_of_a_ticker_get_a_tick_each() {
    model_with_clock("time: a ticker and two receivers", |clock| {
        let ticker = Arc::new(Ticker::new(MS));
        let theirs = Arc::clone(&ticker);
        let other = spawn(clock, move || theirs.recv());
        clock.advance(MS);
        let mine = ticker.try_recv();
        if mine.is_some() {
            clock.advance(MS);
        }
        assert_ne!(mine, Some(other.join().unwrap()));
    });
}

#[test]
fn a_select_takes_the_timer_or_the_value() {
    model_with_clock("time: a select of a timer and a channel", |clock| {
        let timer = Arc::new(Timer::new(MS));
        let (tx, rx) = bounded(1);
        let (theirs, values) = (Arc::clone(&timer), rx.clone());
        let other = spawn(clock, move || {
            select! {
                recv(theirs) -> _ => true,
                recv(values) -> _ => false,
            }
        });
        tx.send(()).unwrap();
        clock.advance(MS);
        let timed_out = other.join().unwrap();
        assert_eq!(timer.stop(), !timed_out);
        assert_eq!(rx.try_recv().is_ok(), timed_out);
    });
}

/// A function that counts its runs, to run a millisecond from now.
fn counting() -> (AfterFunc, Arc<AtomicUsize>) {
    // In the goroutine that fires it, so that loom sees it.
    hooks::set_spawner(|f| f());
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&runs);
    let after = after_func(MS, move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    (after, runs)
}

#[test]
fn a_function_is_stopped_or_runs() {
    model_with_clock("time: after_func, firing against stop", |clock| {
        let (after, runs) = counting();
        let clocks = Arc::clone(clock);
        let mover = spawn(clock, move || clocks.advance(MS));
        let stopped = after.stop();
        mover.join().unwrap();
        clock.advance(HOUR);
        assert_eq!(runs.load(Ordering::Relaxed), usize::from(!stopped));
        assert_eq!(clock.n_alarms(), 0);
    });
}

#[test]
fn a_function_moved_while_it_fires_runs_once_more_or_once() {
    model_with_clock("time: after_func, firing against reset", |clock| {
        let (after, runs) = counting();
        let clocks = Arc::clone(clock);
        let mover = spawn(clock, move || clocks.advance(MS));
        let was_waiting = after.reset(MS);
        mover.join().unwrap();
        clock.advance(HOUR);
        assert_eq!(
            runs.load(Ordering::Relaxed),
            2 - usize::from(was_waiting),
            "each setting fires once unless it was moved"
        );
        assert_eq!(clock.n_alarms(), 0);
    });
}

#[test]
fn of_two_resets_at_once_the_later_stands() {
    model_with_clock("time: after_func, reset against reset", |clock| {
        let (after, runs) = counting();
        let after = Arc::new(after);
        let theirs = Arc::clone(&after);
        let other = spawn(clock, move || theirs.reset(2 * MS));
        let mine = after.reset(3 * MS);
        assert!(mine && other.join().unwrap());
        assert_eq!(clock.n_alarms(), 1);
        clock.advance(HOUR);
        assert_eq!(runs.load(Ordering::Relaxed), 1);
    });
}
