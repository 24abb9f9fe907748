//! A function that runs in its own goroutine when its time has come.
//!
//! The alarm's waker is the function's cell, so an armed one keeps itself alive; the alarm
//! is taken out of the cell when it fires or is called off, which breaks that circle.
//!
//! Invariant: while it is armed, an alarm for `due` is set or about to be set by whoever
//! armed it, who keeps it only if no later arming, stop or firing has raised `setting`
//! meanwhile. Who arms it for the present fires it instead. A firing that finds the cell not armed, or armed for later, is an earlier
//! setting's and does nothing.

use std::fmt;
use std::panic::{Location, RefUnwindSafe, UnwindSafe};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use rendez_core::clock::{self, Alarm};
use rendez_core::goroutine::{self, Goroutine};
use rendez_core::hooks;
use rendez_core::shim::{Arc, Mutex};

/// Runs `f` in its own goroutine, `d` from now: Go's `time.AfterFunc`. It runs on the
/// pool if one is in use, otherwise on a thread of its own.
///
/// Dropping the [`AfterFunc`] does not call it off; with a `d` beyond all time it drops `f`.
///
/// After [`AfterFunc::reset`] `f` runs again. Unlike Go's, its runs do not overlap: one
/// that comes due during another begins when that ends. So `f` may change what it holds.
///
/// # Panics
///
/// If `f` panics that run's goroutine ends; `f` can be run again.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use rendez_select::bounded;
///
/// let (tx, rx) = bounded(1);
/// let after = rendez_time::after_func(Duration::from_millis(1), move || tx.send(()).unwrap());
/// rx.recv().unwrap();
/// assert!(!after.stop()); // too late
/// ```
#[track_caller]
pub fn after_func(d: Duration, f: impl FnMut() + Send + 'static) -> AfterFunc {
    let location = Location::caller();
    // What `f`'s goroutine inherits, where there is something to inherit.
    let home = goroutine::with_running(|g| {
        let inherits = g.bubble().is_some() || g.labels().next().is_some();
        inherits.then(|| Goroutine::new(None, Some(location), Some(g)))
    });
    let cell = Arc::new(Cell {
        home: home.flatten(),
        state: Mutex::new(State {
            f: Some(Box::new(f)),
            n_missed: 0,
            due: Due::Off,
            setting: 0,
            alarm: Alarm::new(),
        }),
    });
    cell.arm(d);
    AfterFunc { cell }
}

/// A function that waits for its time. See [`after_func`].
pub struct AfterFunc {
    cell: Arc<Cell>,
}

impl AfterFunc {
    /// Calls it off. Returns whether it did: false means that `f` has been started, or
    /// that it had been called off before. Does not wait for `f`.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let after = rendez_time::after_func(Duration::from_secs(60), || unreachable!());
    /// assert!(after.stop());
    /// assert!(!after.stop());
    /// ```
    pub fn stop(&self) -> bool {
        hooks::switch_point();
        self.cell.disarm()
    }

    /// Makes `f` run `d` from now, whether it is waiting for its time or not. Returns
    /// whether it was; false means that this is one more run.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use rendez_select::unbounded;
    ///
    /// let (tx, rx) = unbounded();
    /// let after = rendez_time::after_func(Duration::from_secs(60), move || tx.send(()).unwrap());
    /// assert!(after.reset(Duration::ZERO));
    /// rx.recv().unwrap();
    /// assert!(!after.reset(Duration::ZERO));
    /// rx.recv().unwrap();
    /// ```
    pub fn reset(&self, d: Duration) -> bool {
        hooks::switch_point();
        self.cell.arm(d)
    }
}

impl UnwindSafe for AfterFunc {}
impl RefUnwindSafe for AfterFunc {}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let due = self.cell.state.lock().due;
        f.debug_struct("AfterFunc").field("due", &due).finish()
    }
}

type Func = Box<dyn FnMut() + Send>;

struct Cell {
    home: Option<Goroutine>,
    // Innermost: the alarm is set and cancelled outside.
    state: Mutex<State>,
}

struct State {
    // Out of its place while it runs.
    f: Option<Func>,
    // How often it came due while it ran.
    n_missed: usize,
    due: Due,
    // Counts armings, stops and firings.
    setting: u64,
    alarm: Alarm,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Off,
    At(Instant),
    Never,
}

impl State {
    /// Goes on to another setting; the alarm before is to be dropped outside the lock.
    fn put(&mut self, due: Due) -> (Due, Alarm) {
        self.setting += 1;
        let before = std::mem::replace(&mut self.due, due);
        (before, std::mem::take(&mut self.alarm))
    }
}

impl Cell {
    fn arm(self: &Arc<Self>, d: Duration) -> bool {
        let deadline = clock::deadline_after(d);
        let mut state = self.state.lock();
        let (before, old_alarm) = state.put(deadline.map_or(Due::Never, Due::At));
        let setting = state.setting;
        drop(state);
        drop(old_alarm);
        if d.is_zero() {
            self.at_home(|| self.fire());
        } else if let Some(deadline) = deadline {
            let mut alarm = Alarm::new();
            alarm.set(deadline, &Waker::from(Arc::clone(self)));
            let mut state = self.state.lock();
            if state.setting == setting {
                std::mem::swap(&mut state.alarm, &mut alarm);
            }
            drop(state);
            // If it is not the current one any more, `alarm` is cancelled here.
        }
        before != Due::Off
    }

    fn disarm(&self) -> bool {
        let (before, alarm) = self.state.lock().put(Due::Off);
        drop(alarm);
        before != Due::Off
    }

    fn fire(self: &Arc<Self>) {
        let now = clock::now();
        let mut state = self.state.lock();
        if !matches!(state.due, Due::At(due) if due <= now) {
            return;
        }
        let (_, alarm) = state.put(Due::Off);
        let f = state.f.take();
        if f.is_none() {
            state.n_missed += 1;
        }
        drop(state);
        drop(alarm);
        if let Some(f) = f {
            self.start(f);
        }
    }

    fn start(self: &Arc<Self>, f: Func) {
        let run = Run {
            cell: Arc::clone(self),
            f: Some(f),
        };
        hooks::spawn_detached(move || run.run());
    }

    fn at_home<R>(&self, f: impl FnOnce() -> R) -> R {
        match &self.home {
            Some(home) => goroutine::run_as(home, f),
            None => f(),
        }
    }
}

impl Wake for Cell {
    fn wake(self: Arc<Self>) {
        self.at_home(|| self.fire());
    }
}

/// One run; puts `f` back at its end, a panic's included, or starts the next run.
struct Run {
    cell: Arc<Cell>,
    f: Option<Func>,
}

impl Run {
    fn run(mut self) {
        if let Some(f) = &mut self.f {
            f();
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let mut state = self.cell.state.lock();
        if state.n_missed == 0 {
            state.f = self.f.take();
            return;
        }
        state.n_missed -= 1;
        drop(state);
        if let Some(f) = self.f.take() {
            self.cell.start(f);
        }
    }
}
