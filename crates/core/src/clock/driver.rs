//! The one thread that fires alarms.
//!
//! Invariants:
//!
//! - While the driver sleeps it sleeps until `wakes_at` at most, and its handle lies in
//!   `sleeper`. Whoever puts in an earlier alarm lowers `wakes_at`, takes the handle and
//!   unparks it once the lock is released. Between the driver's last look at the wheel
//!   and the handle's being there the lock is not released, so no alarm is slept through;
//!   an unpark before the park ends that at once.
//! - While the driver is awake `wakes_at` is 0: it will look again by itself.
//! - Wakers are cloned, called and dropped outside the lock.

use std::io;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::wheel::{Due, Key, Next, Wheel};
use crate::shim::coarse::{BEHIND, Base};
use crate::shim::{ExactTimeouts, Mutex, thread};
use crate::wake::Wake;

/// More places than this are given back once a burst of alarms has been fired.
const KEPT: usize = 1024;

pub(super) struct Driver {
    base: Base,
    // Innermost.
    state: Mutex<State>,
}

struct State {
    wheel: Wheel<Waker>,
    is_running: bool,
    // In nanoseconds after `base`.
    wakes_at: u64,
    sleeper: Option<thread::Thread>,
}

impl Driver {
    pub(super) fn new() -> Self {
        Self {
            base: Base::new(),
            state: Mutex::new(State {
                wheel: Wheel::new(),
                is_running: false,
                wakes_at: 0,
                sleeper: None,
            }),
        }
    }

    /// `at` as alarms are set for it, and whether it has passed.
    #[inline]
    pub(super) fn when(&self, at: Instant) -> (u64, bool) {
        let when = self.nanos(at);
        // Of what is further off the coarse clock says so.
        let is_near = when <= self.base.elapsed_at_least().saturating_add(BEHIND);
        (when, is_near && when <= self.base.elapsed())
    }

    /// Has `waker` called at `when`, instead of what `key` was to do. `start` starts
    /// the thread, if none runs.
    ///
    /// # Panics
    ///
    /// If that fails; nothing is set then.
    pub(super) fn set(
        &self,
        key: &mut Option<Key>,
        when: u64,
        waker: &Waker,
        start: impl FnOnce() -> io::Result<()>,
    ) {
        if let Some(set) = *key {
            let state = self.state.lock();
            let same = |(w, old): (u64, &Waker)| w == when && old.will_wake(waker);
            if state.wheel.get(set).is_some_and(same) {
                return;
            }
        }
        *key = Some(self.put(key.take(), when, waker.clone(), start));
    }

    /// Has `waker` called at `deadline`. As [`set`](Self::set) of a new one.
    ///
    /// # Panics
    ///
    /// As [`set`](Self::set).
    pub(super) fn insert(
        &self,
        deadline: Instant,
        waker: Waker,
        start: impl FnOnce() -> io::Result<()>,
    ) -> Key {
        self.put(None, self.nanos(deadline), waker, start)
    }

    fn put(
        &self,
        old: Option<Key>,
        when: u64,
        waker: Waker,
        start: impl FnOnce() -> io::Result<()>,
    ) -> Key {
        let mut state = self.state.lock();
        let old = old.and_then(|key| state.wheel.remove(key));
        let key = state.wheel.insert(when, waker);
        let is_running = std::mem::replace(&mut state.is_running, true);
        let sleeper = if when < state.wakes_at {
            state.wakes_at = when;
            state.sleeper.take()
        } else {
            None
        };
        drop(state);
        drop(old);
        if let Some(sleeper) = sleeper {
            sleeper.unpark();
        }
        if !is_running {
            if let Err(error) = start() {
                self.state.lock().is_running = false;
                self.cancel(key);
                panic!("cannot start the timer thread: {error}");
            }
        }
        key
    }

    /// Takes an alarm back, if it has not been taken to be fired.
    pub(super) fn cancel(&self, key: Key) {
        let waker = self.state.lock().wheel.remove(key);
        drop(waker);
    }

    /// How many threads the driver has, none or one, if no alarm is set or being fired.
    pub(super) fn n_resting(&self) -> Option<usize> {
        let state = self.state.lock();
        let rests = state.wheel.is_empty() && (!state.is_running || state.wakes_at == u64::MAX);
        rests.then_some(usize::from(state.is_running))
    }

    /// The driver's thread.
    pub(super) fn run(&self) {
        let _exact = ExactTimeouts::begin();
        let mut due = Vec::new();
        loop {
            match self.turn(Instant::now(), &mut due) {
                Next::Now => {}
                Next::At(when) => {
                    let deadline = self.base.instant() + Duration::from_nanos(when);
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        thread::park_timeout(left);
                    }
                }
                Next::Never => thread::park(),
            }
        }
    }

    /// Fires what is due at `now`; if that is nothing, the caller may sleep.
    pub(super) fn turn(&self, now: Instant, due: &mut Vec<Due<Waker>>) -> Next {
        let mut state = self.state.lock();
        let next = state.wheel.expire(self.nanos(now), due);
        if due.is_empty() {
            match next {
                Next::Now => state.wakes_at = 0,
                Next::At(when) => state.sleep_until(when),
                Next::Never => state.sleep_until(u64::MAX),
            }
            return next;
        }
        state.wakes_at = 0;
        drop(state);
        due.sort_unstable_by_key(|&(when, id, _)| (when, id));
        for (_, _, waker) in due.drain(..) {
            Wake::Task(waker).wake();
        }
        if due.capacity() > KEPT {
            *due = Vec::new();
        }
        Next::Now
    }

    pub(super) fn nanos(&self, at: Instant) -> u64 {
        super::nanos(at.saturating_duration_since(self.base.instant()))
    }
}

impl State {
    fn sleep_until(&mut self, when: u64) {
        self.wakes_at = when;
        if self.sleeper.is_none() {
            self.sleeper = Some(thread::current());
        }
    }
}
