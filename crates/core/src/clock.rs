//! Now, and the driver that wakes tasks at their deadlines.
//!
//! A blocked thread needs no driver: it sleeps with a timeout. A task sets an [`Alarm`];
//! one thread, started with the first alarm, sleeps until the earliest and fires it.
//! Inside a bubble both are the bubble's.
//!
//! Invariant: the driver sleeps no later than the earliest alarm, because whoever sets an
//! earlier one unparks it after the alarm is in the map.
#![allow(clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::fmt;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::hooks::{self, Bubble};
use crate::shim::unmodelled::{Condvar, Mutex, MutexGuard, spawn_named};
use crate::shim::{Arc, unique_id};
use crate::wake::Wake;

/// The present, real or the bubble's.
#[inline]
pub fn now() -> Instant {
    match hooks::bubble() {
        Some(bubble) => bubble.now(),
        None => Instant::now(),
    }
}

/// `d` from now, or `None` if that is beyond all time.
pub fn deadline_after(d: Duration) -> Option<Instant> {
    now().checked_add(d)
}

/// Calls a waker at a deadline. Dropping it cancels.
#[derive(Default)]
pub struct Alarm(Option<Set>);

struct Set {
    deadline: Instant,
    waker: Waker,
    at: Place,
}

enum Place {
    Driver(u64),
    Bubble(Arc<dyn Bubble>, u64),
}

impl Alarm {
    /// An alarm not set.
    pub const fn new() -> Self {
        Self(None)
    }

    /// Calls `waker` at `deadline`, and not at an earlier setting's any more.
    pub fn set(&mut self, deadline: Instant, waker: &Waker) {
        if let Some(set) = &self.0 {
            if set.deadline == deadline && set.waker.will_wake(waker) {
                return;
            }
        }
        self.cancel();
        let wake = Wake::Task(waker.clone());
        let at = match hooks::bubble() {
            Some(bubble) => {
                let key = bubble.set_alarm(deadline, wake);
                Place::Bubble(bubble, key)
            }
            None => Place::Driver(driver::add(deadline, wake)),
        };
        self.0 = Some(Set {
            deadline,
            waker: waker.clone(),
            at,
        });
    }

    /// Takes it back.
    pub fn cancel(&mut self) {
        let Some(set) = self.0.take() else { return };
        match set.at {
            Place::Driver(key) => driver::remove(set.deadline, key),
            Place::Bubble(bubble, key) => bubble.cancel_alarm(key),
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alarm")
            .field(&self.0.as_ref().map(|set| set.deadline))
            .finish()
    }
}

mod driver {
    //! The one thread that fires alarms.
    use super::{BTreeMap, Condvar, Instant, Mutex, MutexGuard, Wake, spawn_named, unique_id};

    struct Alarms {
        by_time: BTreeMap<(Instant, u64), Wake>,
        running: bool,
    }

    static ALARMS: Mutex<Alarms> = Mutex::new(Alarms {
        by_time: BTreeMap::new(),
        running: false,
    });
    static EARLIER: Condvar = Condvar::new();

    pub(super) fn add(deadline: Instant, wake: Wake) -> u64 {
        let key = unique_id();
        let mut alarms = ALARMS.lock();
        if !alarms.running {
            spawn_named("rendez-timer", run).expect("cannot start the timer thread");
            alarms.running = true;
        }
        alarms.by_time.insert((deadline, key), wake);
        let earliest = alarms
            .by_time
            .first_key_value()
            .is_some_and(|(&(_, k), _)| k == key);
        drop(alarms);
        if earliest {
            EARLIER.notify_one();
        }
        key
    }

    pub(super) fn remove(deadline: Instant, key: u64) {
        let removed = ALARMS.lock().by_time.remove(&(deadline, key));
        drop(removed);
    }

    fn run() {
        let mut alarms = ALARMS.lock();
        loop {
            let Some(entry) = alarms.by_time.first_entry() else {
                EARLIER.wait(&mut alarms);
                continue;
            };
            let due = entry.key().0;
            if due <= Instant::now() {
                let wake = entry.remove();
                MutexGuard::unlocked(&mut alarms, || {
                    // A waker that panics has been reported; the others' alarms go on.
                    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wake.wake()));
                });
            } else {
                EARLIER.wait_until(&mut alarms, due);
            }
        }
    }
}
