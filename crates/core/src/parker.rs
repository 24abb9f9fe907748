//! One thread's token: sleep until it is given, then take it.
//!
//! ```text
//! token: EMPTY --unpark--> FULL --park takes--> EMPTY
//! ```
//!
//! Invariant: a token given before or during a `park` ends that `park`; at most one is
//! kept. The store of FULL (Release) in [`Parker::unpark`] pairs with the swap (Acquire)
//! in [`Parker::park`], so what the waker wrote before is visible to the sleeper.
//!
//! The parker tells the thread's scheduler before it really sleeps and after
//! ([`hooks`]): that is what makes blocking safe on a pool's worker.

use std::cell::RefCell;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::clock;
use crate::hooks::sleepers::Sleeper;
use crate::hooks::{self, Bubble};
use crate::shim::atomic::{AtomicBool, Ordering};
use crate::shim::{Arc, ExactTimeouts, multicore, pause, thread};
use crate::wake::Wake;

/// Of sleeps up to this long it matters that they end in time to the microsecond.
const SHORT: Duration = Duration::from_millis(10);

/// One thread's token. Only the thread that made it may park on it.
#[derive(Debug)]
pub struct Parker {
    full: AtomicBool,
    asleep: Sleeper,
    thread: thread::Thread,
}

crate::shim::thread_local! {
    #[cfg_attr(not(rendez_loom), expect(clippy::missing_const_for_thread_local, reason = "loom's has no const form"))]
    static CACHED: RefCell<Option<Arc<Parker>>> = RefCell::new(None);
}

impl Parker {
    /// A new parker of the calling thread, its token not given.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            full: AtomicBool::new(false),
            asleep: Sleeper::new(),
            thread: thread::current(),
        })
    }

    /// Its waker. Never inlined, so that the wakers of parkers are known by their functions.
    #[inline(never)]
    pub fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Runs `f` with a parker of the calling thread, kept from call to call. A nested
    /// call, or one inside a thread-local destructor, gets a parker of its own.
    ///
    /// A stale token may be left in it, so a caller must look at what it waits for
    /// again after every park.
    pub fn with_current<R>(f: impl FnOnce(&Arc<Self>) -> R) -> R {
        let taken = CACHED.try_with(|c| c.try_borrow_mut().ok().and_then(|mut c| c.take()));
        let parker = taken.ok().flatten().unwrap_or_else(Self::new);
        let result = f(&parker);
        let _ = CACHED.try_with(|c| {
            if let Ok(mut c) = c.try_borrow_mut() {
                *c = Some(parker);
            }
        });
        result
    }

    /// Sleeps until the token is given or `deadline` passes, and takes the token.
    /// Returns whether there was one. `None` waits for ever. In a bubble it is the bubble
    /// that knows when the deadline has come, and gives the token then.
    pub fn park(self: &Arc<Self>, deadline: Option<Instant>) -> bool {
        if self.take() {
            return true;
        }
        // Set before the bubble is told that we sleep: it counts on alarms to go on.
        let alarm = deadline.and_then(|d| VirtualAlarm::new(d, self));
        let blocked = hooks::blocking();
        if deadline.is_none() {
            self.asleep.falls_asleep();
        }
        let got = loop {
            if self.take() {
                break true;
            }
            match deadline {
                None => thread::park(),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(clock::now());
                    if left.is_zero() {
                        break self.take();
                    }
                    if alarm.is_some() {
                        thread::park();
                    } else {
                        // Exactness costs three short system calls.
                        let _exact = (left <= SHORT).then(ExactTimeouts::begin);
                        thread::park_timeout(left);
                    }
                }
            }
        };
        drop(blocked);
        drop(alarm);
        got
    }

    /// Spins for at most `turns` turns until the token is given, and takes it. On one processor it
    /// gives way to other threads instead, unless it has goroutines to hand on.
    pub fn spin(&self, turns: u32) -> bool {
        if !multicore() {
            return self.give_way();
        }
        for _ in 0..turns {
            if self.full.load(Ordering::Relaxed) && self.take() {
                return true;
            }
            pause(1);
        }
        false
    }

    #[cold]
    fn give_way(&self) -> bool {
        const TIMES: u32 = 16;
        /// Somebody computes, whom this thread does not wait for.
        const LONG: Duration = Duration::from_millis(1);
        if cfg!(rendez_loom) || hooks::has_scheduler() {
            return false;
        }
        let start = Instant::now();
        for _ in 0..TIMES {
            thread::yield_now();
            if self.full.load(Ordering::Relaxed) && self.take() {
                return true;
            }
            if start.elapsed() >= LONG {
                break;
            }
        }
        false
    }

    /// Gives the token and wakes the thread if it sleeps.
    pub fn unpark(&self) {
        if !self.full.swap(true, Ordering::Release) {
            // Whom we wake does not sleep any more, before we might.
            self.asleep.is_woken();
            self.thread.unpark();
        }
    }

    fn take(&self) -> bool {
        // ORDERING: Acquire pairs with the Release in `unpark`.
        self.full.swap(false, Ordering::Acquire)
    }
}

/// A parked thread's deadline in virtual time, until it is dropped.
struct VirtualAlarm {
    bubble: Arc<dyn Bubble>,
    key: u64,
}

impl VirtualAlarm {
    fn new(deadline: Instant, parker: &Arc<Parker>) -> Option<Self> {
        let bubble = hooks::bubble()?;
        let key = bubble.set_alarm(deadline, Wake::Thread(Arc::clone(parker)));
        Some(Self { bubble, key })
    }
}

impl Drop for VirtualAlarm {
    fn drop(&mut self) {
        self.bubble.cancel_alarm(self.key);
    }
}

impl std::task::Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.unpark();
    }
}
