//! Now, and the driver that wakes tasks at their deadlines.
//!
//! A blocked thread needs no driver: it sleeps with a timeout. A task sets an [`Alarm`];
//! one thread (`driver.rs`), started with the first alarm, sleeps until the earliest and
//! fires it from a timing wheel (`wheel.rs`). Inside a bubble both are the bubble's.

mod driver;
mod slab;
#[cfg(test)]
mod tests;
mod wheel;

use std::fmt;
use std::io;
use std::mem::ManuallyDrop;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::hooks::{self, Bubble};
use crate::shim::Arc;
use crate::shim::unmodelled::spawn_named;
use crate::wake::Wake;
use driver::Driver;
use wheel::Key;

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

/// `d` in nanoseconds, at most as many as fit.
pub(crate) fn nanos(d: Duration) -> u64 {
    d.as_secs()
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::from(d.subsec_nanos()))
}

crate::shim::global! {
    static DRIVER: Driver = Driver::new();
}

fn start_driver() -> io::Result<()> {
    // Loom knows no time: its models turn the driver by hand.
    if cfg!(rendez_loom) {
        return Ok(());
    }
    spawn_named("rendez-timer", || DRIVER.run())
}

/// How many threads fire alarms, none or one, if there is nothing for them to do: no alarm
/// is set, and none is being fired. Bubbles have alarms of their own.
pub fn n_resting_drivers() -> Option<usize> {
    DRIVER.n_resting()
}

/// One turn of the driver's loop, for models. Whether it would sleep now; it is unparked
/// when there is more to do.
#[cfg(rendez_loom)]
pub fn turn_driver() -> bool {
    DRIVER.turn(Instant::now(), &mut Vec::new()) != wheel::Next::Now
}

/// Calls a waker at a deadline. Dropping it cancels.
// One that is not set has nothing to drop; `cancel` leaves it so.
#[derive(Default)]
pub struct Alarm(ManuallyDrop<Place>);

#[derive(Default)]
enum Place {
    #[default]
    Nowhere,
    Driver(Key),
    Bubble(Box<InBubble>),
}

struct InBubble {
    bubble: Arc<dyn Bubble>,
    key: u64,
    deadline: Instant,
    waker: Waker,
}

impl Alarm {
    /// An alarm not set.
    pub const fn new() -> Self {
        Self(ManuallyDrop::new(Place::Nowhere))
    }

    /// An alarm that calls `waker` at `deadline`. As [`set`](Self::set) of a new one, but the
    /// waker need not be cloned.
    pub fn at(deadline: Instant, waker: Waker) -> Self {
        if hooks::bubble().is_some() {
            let mut alarm = Self::new();
            alarm.set(deadline, &waker);
            return alarm;
        }
        Self(ManuallyDrop::new(Place::Driver(DRIVER.insert(
            deadline,
            waker,
            start_driver,
        ))))
    }

    /// Calls `waker` at `deadline`, and not at an earlier setting's any more.
    pub fn set(&mut self, deadline: Instant, waker: &Waker) {
        match hooks::bubble() {
            Some(bubble) => self.set_in_bubble(bubble, deadline, waker),
            None => self.set_at(DRIVER.nanos(deadline), waker),
        }
    }

    /// As [`set`](Self::set), unless `deadline` has passed: whether it has, and then no alarm
    /// is set, which would be late.
    pub fn set_unless_past(&mut self, deadline: Instant, waker: &Waker) -> bool {
        let is_past = match hooks::bubble() {
            Some(bubble) => {
                let is_past = deadline <= bubble.now();
                if !is_past {
                    self.set_in_bubble(bubble, deadline, waker);
                }
                is_past
            }
            None => {
                let (when, is_past) = DRIVER.when(deadline);
                if !is_past {
                    self.set_at(when, waker);
                }
                is_past
            }
        };
        if is_past {
            self.cancel();
        }
        is_past
    }

    fn set_at(&mut self, when: u64, waker: &Waker) {
        let mut key = match *self.0 {
            Place::Nowhere => None,
            Place::Driver(key) => Some(key),
            Place::Bubble(_) => {
                self.cancel();
                None
            }
        };
        DRIVER.set(&mut key, when, waker, start_driver);
        *self.0 = key.map_or(Place::Nowhere, Place::Driver);
    }

    #[cold]
    fn set_in_bubble(&mut self, bubble: Arc<dyn Bubble>, deadline: Instant, waker: &Waker) {
        if let Place::Bubble(set) = &*self.0 {
            if set.deadline == deadline && set.waker.will_wake(waker) {
                return;
            }
        }
        self.cancel();
        let key = bubble.set_alarm(deadline, Wake::Task(waker.clone()));
        *self.0 = Place::Bubble(Box::new(InBubble {
            bubble,
            key,
            deadline,
            waker: waker.clone(),
        }));
    }

    /// Takes it back. A call under way is not waited for.
    #[inline]
    pub fn cancel(&mut self) {
        if !matches!(*self.0, Place::Nowhere) {
            self.cancel_set();
        }
    }

    #[cold]
    fn cancel_set(&mut self) {
        match std::mem::take(&mut *self.0) {
            Place::Nowhere => {}
            Place::Driver(key) => DRIVER.cancel(key),
            Place::Bubble(set) => set.bubble.cancel_alarm(set.key),
        }
    }
}

impl Drop for Alarm {
    #[inline]
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_set = !matches!(*self.0, Place::Nowhere);
        f.debug_struct("Alarm").field("is_set", &is_set).finish()
    }
}
