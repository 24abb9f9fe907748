//! A clock that a test moves by hand, and futures that a test polls by hand.
#![allow(dead_code, clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rendez_core::goroutine::{self, Goroutine};
use rendez_core::hooks::{Bubble, BubbleCount};
use rendez_core::shim::{Arc, Mutex, unique_id};
use rendez_core::wake::Wake;

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// Virtual time that passes by [`Clock::advance`] alone.
pub(crate) struct Clock {
    inner: Mutex<Inner>,
    _count: BubbleCount,
}

struct Inner {
    now: Instant,
    // How many alarms have been set, ever.
    n_set: usize,
    alarms: Vec<(Instant, u64, Wake)>,
}

impl Clock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(Inner {
                now: Instant::now(),
                n_set: 0,
                alarms: Vec::new(),
            }),
            _count: BubbleCount::new(),
        })
    }

    /// Runs `f` by this clock.
    pub(crate) fn run<R>(self: &Arc<Self>, f: impl FnOnce() -> R) -> R {
        let bubble: Arc<dyn Bubble> = Arc::clone(self) as _;
        goroutine::run_as(&Goroutine::new(None, None, None).with_bubble(bubble), f)
    }

    /// Lets `d` pass: fires what comes due, in order.
    pub(crate) fn advance(&self, d: Duration) {
        let until = self.inner.lock().now + d;
        loop {
            let mut inner = self.inner.lock();
            let next = (0..inner.alarms.len())
                .filter(|&i| inner.alarms[i].0 <= until)
                .min_by_key(|&i| (inner.alarms[i].0, inner.alarms[i].1));
            let Some(next) = next else {
                inner.now = until;
                return;
            };
            let (due, _, wake) = inner.alarms.remove(next);
            inner.now = inner.now.max(due);
            drop(inner);
            wake.wake();
        }
    }

    /// How many alarms are set.
    pub(crate) fn n_alarms(&self) -> usize {
        self.inner.lock().alarms.len()
    }

    /// How many alarms have been set while `f` ran, fired ones included.
    pub(crate) fn n_set_by(&self, f: impl FnOnce()) -> usize {
        let before = self.inner.lock().n_set;
        f();
        self.inner.lock().n_set - before
    }
}

impl Bubble for Clock {
    fn now(&self) -> Instant {
        self.inner.lock().now
    }
    fn set_alarm(&self, deadline: Instant, wake: Wake) -> u64 {
        let key = unique_id();
        let mut inner = self.inner.lock();
        inner.n_set += 1;
        if deadline > inner.now {
            inner.alarms.push((deadline, key, wake));
        } else {
            drop(inner);
            wake.wake();
        }
        key
    }
    fn cancel_alarm(&self, key: u64) {
        let mut inner = self.inner.lock();
        let at = inner.alarms.iter().position(|alarm| alarm.1 == key);
        let alarm = at.map(|at| inner.alarms.remove(at));
        drop(inner);
        drop(alarm);
    }
    fn random(&self) -> u64 {
        0
    }
    fn switch_point(&self) {}
    fn before_block(&self) {}
    fn after_block(&self) {}
}

/// Counts wakes.
#[derive(Default)]
pub(crate) struct Wakes(AtomicUsize);

impl Wakes {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// How many since the last time it was asked.
    pub(crate) fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }

    pub(crate) fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(self));
        future.poll(&mut Context::from_waker(&waker))
    }
}

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether `done` becomes true within a time no loaded machine needs.
pub(crate) fn eventually(mut done: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        if done() {
            return true;
        }
        if Instant::now() > until {
            return false;
        }
        std::thread::yield_now();
    }
}
