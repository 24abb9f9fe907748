//! Cond: one notification releases one waiter, the first; none is lost, none made up.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use common::{
    Dice, LONG, assert_pending, assert_ready, block_on, poll_once, stress, within_reason,
};
use rendez_sync::{Cond, Mutex};

const BRIEFLY: Duration = Duration::from_millis(1);

/// A mutex, a condition, and those who have come back from a wait, in order.
#[derive(Default)]
struct Line {
    mutex: Mutex<State>,
    changed: Cond,
}

#[derive(Default)]
struct State {
    waiting: usize,
    released: Vec<usize>,
}

impl Line {
    /// Waits as the next in line, in either form.
    fn wait(self: &Arc<Self>, me: usize) -> thread::JoinHandle<()> {
        let line = Arc::clone(self);
        let before = self.mutex.lock().waiting;
        let handle = thread::spawn(move || {
            let mut guard = line.mutex.lock();
            guard.waiting += 1;
            if me % 2 == 0 {
                line.changed.wait(&mut guard);
            } else {
                guard = block_on(line.changed.wait_async(guard));
            }
            guard.waiting -= 1;
            guard.released.push(me);
        });
        // It queues before it unlocks: whoever sees the count sees it in line.
        while self.mutex.lock().waiting == before {
            thread::yield_now();
        }
        handle
    }

    fn until_released(&self, n: usize) -> Vec<usize> {
        loop {
            let state = self.mutex.lock();
            if state.released.len() >= n {
                return state.released.clone();
            }
            drop(state);
            thread::yield_now();
        }
    }
}

#[test]
fn each_notification_releases_exactly_the_one_who_has_waited_longest() {
    within_reason(|| {
        const N: usize = 40;
        let line = Arc::new(Line::default());
        let waiters: Vec<_> = (0..N).map(|i| line.wait(i)).collect();
        for i in 0..N {
            assert!(line.changed.notify_one());
            assert_eq!(line.until_released(i + 1), (0..=i).collect::<Vec<_>>());
            assert_eq!(line.mutex.lock().waiting, N - i - 1);
        }
        waiters.into_iter().for_each(|w| w.join().unwrap());
        assert!(!line.changed.notify_one(), "nobody is left");
    });
}

#[test]
fn a_broadcast_releases_all_who_wait_and_nobody_later() {
    within_reason(|| {
        let line = Arc::new(Line::default());
        for round in 1..=10 {
            let waiters: Vec<_> = (0..8).map(|i| line.wait(i)).collect();
            assert_eq!(line.changed.notify_all(), 8);
            waiters.into_iter().for_each(|w| w.join().unwrap());
            assert_eq!(line.until_released(8 * round).len(), 8 * round);
        }
        assert_eq!(line.changed.notify_all(), 0);
        let mut guard = line.mutex.lock();
        assert!(!line.changed.wait_timeout(&mut guard, BRIEFLY));
    });
}

#[test]
fn a_broadcast_releases_each_once_though_they_wait_again_at_once() {
    within_reason(|| {
        const N: usize = 50;
        const ROUNDS: usize = 50;
        // How many wait, and how often each has been released.
        let (state, changed) = (Mutex::new((0, [0; N])), Cond::new());
        thread::scope(|s| {
            for me in 0..N {
                let (state, changed) = (&state, &changed);
                s.spawn(move || {
                    let mut guard = state.lock();
                    for _ in 0..ROUNDS {
                        guard.0 += 1;
                        if me % 2 == 0 {
                            changed.wait(&mut guard);
                        } else {
                            guard = block_on(changed.wait_async(guard));
                        }
                        guard.1[me] += 1;
                    }
                });
            }
            for round in 0..ROUNDS {
                let mut guard = state.lock();
                while guard.0 < N {
                    drop(guard);
                    thread::yield_now();
                    guard = state.lock();
                }
                assert_eq!(guard.1, [round; N]);
                guard.0 = 0;
                assert_eq!(changed.notify_all(), N);
            }
        });
        assert_eq!(state.lock().1, [ROUNDS; N]);
    });
}

#[test]
fn a_notification_is_not_kept_for_later() {
    let (mutex, changed) = (Mutex::new(()), Cond::new());
    assert!(!changed.notify_one());
    let mut guard = mutex.lock();
    assert!(!changed.wait_timeout(&mut guard, BRIEFLY));
    assert!(!changed.wait_timeout(&mut guard, Duration::ZERO));
    assert!(mutex.try_lock().is_none(), "the mutex is locked again");
}

#[test]
fn goroutines_hand_a_value_round() {
    within_reason(|| {
        let (x, changed) = (Mutex::new(0), Cond::new());
        let step = |from: i32, to: i32| {
            let mut guard = x.lock();
            if from % 2 == 0 {
                changed.wait_while(&mut guard, |x| *x != from);
            } else {
                while *guard != from {
                    guard = block_on(changed.wait_async(guard));
                }
            }
            *guard = to;
            changed.notify_all();
        };
        thread::scope(|s| {
            s.spawn(|| step(2, 3));
            s.spawn(|| step(1, 2));
            s.spawn(|| step(0, 1));
            step(3, 4);
        });
        assert_eq!(*x.lock(), 4);
    });
}

#[test]
fn a_bounded_wait_tells_whether_its_condition_came() {
    within_reason(|| {
        let (ready, changed) = (Mutex::new(false), Cond::new());
        let mut guard = ready.lock();
        assert!(!changed.wait_while_timeout(&mut guard, |ready| !*ready, BRIEFLY));
        assert!(changed.wait_while_timeout(&mut guard, |ready| *ready, Duration::ZERO));
        drop(guard);
        thread::scope(|s| {
            s.spawn(|| {
                let mut guard = ready.lock();
                assert!(changed.wait_while_timeout(&mut guard, |ready| !*ready, LONG));
                assert!(*guard);
            });
            s.spawn(|| {
                let mut guard = ready.lock();
                assert!(changed.wait_while_timeout(&mut guard, |ready| !*ready, Duration::MAX));
            });
            *ready.lock() = true;
            while changed.notify_one() {}
        });
    });
}

#[test]
fn a_future_unlocks_with_its_first_poll_and_comes_back_locked() {
    let (mutex, changed) = (Mutex::new(1), Cond::new());
    let mut waiting = Box::pin(changed.wait_async(mutex.lock()));
    assert!(mutex.try_lock().is_none(), "nothing has been polled");
    assert_pending(waiting.as_mut());
    let held = mutex.try_lock().expect("it waits unlocked");
    assert!(changed.notify_one());
    assert_pending(waiting.as_mut());
    drop(held);
    let guard = assert_ready(waiting.as_mut());
    assert!(mutex.try_lock().is_none());
    drop(guard);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_future_dropped_at_any_point_leaves_the_mutex_unlocked() {
    let (mutex, changed) = (Mutex::new(1), Cond::new());
    drop(changed.wait_async(mutex.lock()));
    assert!(mutex.try_lock().is_some(), "unpolled");

    let mut waiting = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(waiting.as_mut());
    drop(waiting);
    assert!(mutex.try_lock().is_some(), "waiting");
    assert!(!changed.notify_one(), "it has left the line");

    let mut waiting = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(waiting.as_mut());
    let held = mutex.lock();
    changed.notify_all();
    assert_pending(waiting.as_mut());
    drop(waiting);
    drop(held);
    assert!(mutex.try_lock().is_some(), "waiting for the mutex");
}

#[test]
fn a_notification_of_a_dropped_future_passes_to_the_next() {
    let (mutex, changed) = (Mutex::new(()), Cond::new());
    // Notified, not yet polled.
    let mut first = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(first.as_mut());
    let mut second = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(second.as_mut());
    assert!(changed.notify_one());
    drop(first);
    drop(assert_ready(second.as_mut()));

    // Notified, and waiting for the mutex.
    let mut first = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(first.as_mut());
    let mut second = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(second.as_mut());
    let held = mutex.lock();
    assert!(changed.notify_one());
    assert_pending(first.as_mut());
    drop(first);
    drop(held);
    drop(assert_ready(second.as_mut()));

    // A broadcast has released everybody already.
    let mut first = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(first.as_mut());
    changed.notify_all();
    let mut later = Box::pin(changed.wait_async(mutex.lock()));
    assert_pending(later.as_mut());
    drop(first);
    assert_pending(later.as_mut());
}

#[test]
fn a_panicking_condition_leaves_the_mutex_with_its_guard() {
    let (mutex, changed) = (Mutex::new(0), Cond::new());
    let mut guard = mutex.lock();
    let failed = catch_unwind(AssertUnwindSafe(|| {
        changed.wait_while(&mut guard, |_| std::panic::resume_unwind(Box::new(())));
    }));
    assert!(failed.is_err());
    *guard += 1;
    assert!(mutex.try_lock().is_none());
    drop(guard);
    assert_eq!(mutex.try_lock().as_deref(), Some(&1));
}

#[test]
fn a_buffer_loses_nothing_whoever_gives_up() {
    stress(|seed| {
        const EACH: usize = 60;
        const CAP: usize = 2;
        let buffer = Mutex::new(VecDeque::new());
        let (not_full, not_empty) = (Cond::new(), Cond::new());
        let (sum, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|s| {
            for i in 0..2 {
                let (buffer, not_full, not_empty) = (&buffer, &not_full, &not_empty);
                let mut dice = Dice::new(seed + i);
                s.spawn(move || {
                    for n in 1..=EACH {
                        let mut guard = buffer.lock();
                        while guard.len() == CAP {
                            // Whoever gives up once tries again: a signal is passed on.
                            match dice.below(3) {
                                0 => drop(not_full.wait_timeout(&mut guard, BRIEFLY / 20)),
                                1 => guard = block_on(not_full.wait_async(guard)),
                                _ => not_full.wait(&mut guard),
                            }
                        }
                        guard.push_back(n);
                        not_empty.notify_one();
                    }
                });
            }
            for i in 2..4 {
                let (buffer, not_full, not_empty) = (&buffer, &not_full, &not_empty);
                let (sum, taken) = (&sum, &taken);
                let mut dice = Dice::new(seed + i);
                s.spawn(move || {
                    while taken.fetch_add(1, Ordering::Relaxed) < 2 * EACH {
                        let mut guard = buffer.lock();
                        let n = loop {
                            if let Some(n) = guard.pop_front() {
                                break n;
                            }
                            match dice.below(3) {
                                0 => {
                                    let mut waiting = Box::pin(not_empty.wait_async(guard));
                                    match poll_once(waiting.as_mut()) {
                                        Poll::Ready(locked) => guard = locked,
                                        Poll::Pending => {
                                            thread::yield_now();
                                            drop(waiting);
                                            guard = buffer.lock();
                                        }
                                    }
                                }
                                1 => guard = block_on(not_empty.wait_async(guard)),
                                _ => not_empty.wait(&mut guard),
                            }
                        };
                        sum.fetch_add(n, Ordering::Relaxed);
                        not_full.notify_one();
                    }
                });
            }
        });
        assert_eq!(sum.load(Ordering::Relaxed), EACH * (EACH + 1));
    });
}
