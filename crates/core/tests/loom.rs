//! Models of the waiting protocols: under `--cfg rendez_loom` every interleaving is
//! explored, otherwise each runs once.
//!
//! The drivers of `wait` are exercised through [`Gate`], the smallest thing that can be
//! waited for: a number of permits, each of which lets one waiter through.
#![allow(clippy::disallowed_types, clippy::disallowed_methods, unsafe_code)]

use std::future::Future;
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake as _, Waker};
use std::time::Instant;

use rendez_core::block_on::block_on;
use rendez_core::case::{Arm, Case, Outcome, Probe, Sealed};
use rendez_core::clock::Alarm;
use rendez_core::countdown::{Countdown, Zero};
use rendez_core::either::Either;
use rendez_core::goroutine::WaitKind;
use rendez_core::lock::{WordGuard, WordLock};
use rendez_core::parker::Parker;
use rendez_core::queue::{Node, Queue, Registration};
use rendez_core::shim::atomic::{AtomicBool, AtomicU64, Ordering};
use rendez_core::shim::{Mutex, model, thread};
use rendez_core::wait::{self, CaseFuture, Order};
use rendez_core::wake::WakeList;

/// Permits, and those who wait for one.
struct Gate {
    inner: Mutex<Inner>,
    // As many as `inner.permits`, for looks without the lock.
    permits: AtomicU64,
    epoch: AtomicU64,
}

struct Inner {
    permits: u64,
    waiters: Queue,
}

impl Gate {
    fn new(permits: u64) -> Arc<Self> {
        let waiters = Queue::new();
        Arc::new(Self {
            inner: Mutex::new(Inner { permits, waiters }),
            permits: AtomicU64::new(permits),
            epoch: AtomicU64::new(0),
        })
    }

    /// Adds a permit, or gives it to the first waiter.
    fn open(&self) {
        let mut wakes = WakeList::new();
        let mut inner = self.inner.lock();
        match inner.waiters.claim() {
            Some(waiter) => waiter.complete(Outcome(1), &mut wakes),
            None => {
                inner.permits += 1;
                self.epoch.fetch_add(1, Ordering::Release);
                self.permits.fetch_add(1, Ordering::Release);
            }
        }
        drop(inner);
    }

    fn take(&self, inner: &mut Inner) -> Option<()> {
        inner.permits = inner.permits.checked_sub(1)?;
        self.permits.fetch_sub(1, Ordering::Release);
        Some(())
    }

    fn left(&self) -> u64 {
        self.inner.lock().permits
    }

    fn n_waiting(&self) -> usize {
        self.inner.lock().waiters.len()
    }
}

struct Pass(Arc<Gate>);

impl Sealed for Pass {}

// SAFETY: nodes enter and leave the one queue under its lock, and are claimed under it.
unsafe impl Case for Pass {
    fn probe(&self) -> Probe {
        let epoch = self.0.epoch.load(Ordering::Acquire);
        let ready = self.0.permits.load(Ordering::Acquire) > 0;
        Probe { ready, epoch }
    }

    fn try_now(&self) -> Option<Outcome> {
        let mut inner = self.0.inner.lock();
        self.0.take(&mut inner).map(|()| Outcome(1))
    }

    fn enqueue(&self, reg: &Registration<'_>) {
        let mut inner = self.0.inner.lock();
        if inner.permits == 0 {
            inner.waiters.push(reg, std::ptr::null());
        } else if let Ok(Some(())) = reg.claim_self_if(|| self.0.take(&mut inner)) {
            reg.complete_self(Outcome(1));
        }
    }

    fn dequeue(&self, node: &Node) {
        self.0.inner.lock().waiters.remove(node);
    }

    fn abandon(&self, outcome: Outcome) {
        assert_eq!(outcome, Outcome(1));
        self.0.open();
    }

    fn kind(&self) -> WaitKind {
        WaitKind::Semaphore
    }
}

impl Arm for Pass {
    type Output = ();

    fn finish(&self, outcome: Outcome) {
        assert_eq!(outcome, Outcome(1));
    }
}

fn pass(gate: &Arc<Gate>) {
    wait::block_on_case(&Pass(Arc::clone(gate)), None, Location::caller()).expect("no deadline");
}

fn pass_async(gate: &Arc<Gate>) -> CaseFuture<Pass> {
    CaseFuture::new(Pass(Arc::clone(gate)), Location::caller())
}

struct Ignore;

impl std::task::Wake for Ignore {
    fn wake(self: Arc<Self>) {}
}

fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Ignore));
    future.poll(&mut Context::from_waker(&waker))
}

#[test]
fn a_token_given_at_any_time_ends_the_park() {
    model("park: a token given at any time ends it", || {
        let parker = Parker::new();
        let flag = Arc::new(AtomicBool::new(false));
        let (theirs, raised) = (Arc::clone(&parker), Arc::clone(&flag));
        let waker = thread::spawn(move || {
            raised.store(true, Ordering::Relaxed);
            theirs.unpark();
        });
        parker.park(None);
        assert!(
            flag.load(Ordering::Relaxed),
            "what was written before is seen"
        );
        waker.join().unwrap();
    });
}

#[test]
fn two_wakers_leave_at_most_one_token() {
    model("park: two tokens are one", || {
        let parker = Parker::new();
        let (a, b) = (Arc::clone(&parker), Arc::clone(&parker));
        let first = thread::spawn(move || a.unpark());
        let second = thread::spawn(move || b.wake_by_ref());
        parker.park(None);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_waiter_is_not_missed() {
    model("queue: open against wait", || {
        let gate = Gate::new(0);
        let theirs = Arc::clone(&gate);
        let opener = thread::spawn(move || theirs.open());
        pass(&gate);
        opener.join().unwrap();
        assert_eq!((gate.left(), gate.n_waiting()), (0, 0));
    });
}

#[test]
fn two_waiters_are_served_by_two_permits() {
    model("queue: two waiters, two permits", || {
        let gate = Gate::new(0);
        let theirs = Arc::clone(&gate);
        let other = thread::spawn(move || pass(&theirs));
        let theirs = Arc::clone(&gate);
        let opener = thread::spawn(move || {
            theirs.open();
            theirs.open();
        });
        pass(&gate);
        other.join().unwrap();
        opener.join().unwrap();
        assert_eq!((gate.left(), gate.n_waiting()), (0, 0));
    });
}

#[test]
fn a_task_is_not_missed() {
    model("queue: open against an awaiting task", || {
        let gate = Gate::new(0);
        let theirs = Arc::clone(&gate);
        let opener = thread::spawn(move || theirs.open());
        block_on(pass_async(&gate));
        opener.join().unwrap();
        assert_eq!((gate.left(), gate.n_waiting()), (0, 0));
    });
}

#[test]
fn a_permit_given_to_a_dropped_future_passes_on() {
    model("grant passed on: drop against serve, another waits", || {
        let gate = Gate::new(0);
        let mut cancelled = Box::pin(pass_async(&gate));
        assert!(poll_once(cancelled.as_mut()).is_pending());
        let theirs = Arc::clone(&gate);
        let opener = thread::spawn(move || theirs.open());
        let theirs = Arc::clone(&gate);
        let other = thread::spawn(move || pass(&theirs));
        drop(cancelled);
        other.join().unwrap();
        opener.join().unwrap();
        assert_eq!((gate.left(), gate.n_waiting()), (0, 0));
    });
}

#[test]
fn a_dropped_future_takes_nothing() {
    model(
        "claim against cancel: served or not, nothing is lost",
        || {
            let gate = Gate::new(0);
            let mut cancelled = Box::pin(pass_async(&gate));
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let theirs = Arc::clone(&gate);
            let opener = thread::spawn(move || theirs.open());
            drop(cancelled);
            opener.join().unwrap();
            assert_eq!((gate.left(), gate.n_waiting()), (1, 0));
        },
    );
}

#[test]
fn a_poll_with_another_waker_wakes_the_latest() {
    model("set_wake against serve: the latest waker is woken", || {
        let gate = Gate::new(0);
        let mut future = pin!(pass_async(&gate));
        assert!(poll_once(future.as_mut()).is_pending());
        let theirs = Arc::clone(&gate);
        let opener = thread::spawn(move || theirs.open());
        block_on(future);
        opener.join().unwrap();
        assert_eq!((gate.left(), gate.n_waiting()), (0, 0));
    });
}

#[test]
fn a_select_takes_one_of_two() {
    model("select: two arms served at once, one is taken", || {
        let (a, b) = (Gate::new(0), Gate::new(0));
        let (ta, tb) = (Arc::clone(&a), Arc::clone(&b));
        let first = thread::spawn(move || ta.open());
        let second = thread::spawn(move || tb.open());
        let (pa, pb) = (Pass(Arc::clone(&a)), Pass(Arc::clone(&b)));
        let arms: [&dyn Case; 2] = [&pa, &pb];
        let (arm, outcome) =
            wait::block_any(&arms, None, Order::Fair, Location::caller()).expect("no deadline");
        assert_eq!(outcome, Outcome(1));
        first.join().unwrap();
        second.join().unwrap();
        let left = [a.left(), b.left()];
        assert_eq!(left[arm], 0, "the arm that won has been taken");
        assert_eq!(left[1 - arm], 1, "the other has not");
        assert_eq!((a.n_waiting(), b.n_waiting()), (0, 0));
    });
}

#[test]
fn two_selects_share_two_arms() {
    model("select: two selects over the same two arms", || {
        let (a, b) = (Gate::new(0), Gate::new(0));
        let any = |a: &Arc<Gate>, b: &Arc<Gate>| {
            let (pa, pb) = (Pass(Arc::clone(a)), Pass(Arc::clone(b)));
            let arms: [&dyn Case; 2] = [&pa, &pb];
            wait::block_any(&arms, None, Order::Biased, Location::caller()).expect("no deadline");
        };
        let (ta, tb) = (Arc::clone(&a), Arc::clone(&b));
        let other = thread::spawn(move || any(&tb, &ta));
        a.open();
        b.open();
        any(&a, &b);
        other.join().unwrap();
        assert_eq!((a.left(), b.left()), (0, 0));
        assert_eq!((a.n_waiting(), b.n_waiting()), (0, 0));
    });
}

#[test]
fn a_try_that_finds_nothing_leaves_nothing() {
    model("try: a look against open", || {
        let gate = Gate::new(0);
        let theirs = Arc::clone(&gate);
        let opener = thread::spawn(move || theirs.open());
        let case = Pass(Arc::clone(&gate));
        let arms: [&dyn Case; 1] = [&case];
        let taken = wait::try_any(&arms, Order::Fair).is_some();
        opener.join().unwrap();
        assert_eq!(gate.left(), u64::from(!taken));
        assert_eq!(gate.n_waiting(), 0);
    });
}

/// Found closed by every look, and open in between: each look meets another epoch.
struct Flicker(AtomicU64);

impl Sealed for Flicker {}

// SAFETY: it queues nobody.
unsafe impl Case for Flicker {
    fn probe(&self) -> Probe {
        Probe {
            ready: false,
            epoch: self.0.fetch_add(1, Ordering::Relaxed),
        }
    }
    fn try_now(&self) -> Option<Outcome> {
        None
    }
    fn enqueue(&self, reg: &Registration<'_>) {
        if reg.claim_self().is_ok() {
            reg.complete_self(Outcome(1));
        }
    }
    fn dequeue(&self, _: &Node) {}
    fn abandon(&self, _: Outcome) {}
    fn kind(&self) -> WaitKind {
        WaitKind::Receive
    }
}

#[test]
fn a_try_does_not_believe_two_looks_between_which_an_epoch_has_changed() {
    model("try: a case that is never seen open", || {
        // Of one case a single look is an instant.
        for n in 2..4 {
            let cases: Vec<_> = (0..n).map(|_| Flicker(AtomicU64::new(0))).collect();
            let arms: Vec<&dyn Case> = cases.iter().map(|case| case as &dyn Case).collect();
            for order in [Order::Fair, Order::Biased] {
                let taken = wait::try_any(&arms, order);
                assert!(taken.is_some(), "queued in the end, and found open there");
            }
        }
    });
}

#[test]
fn a_try_finds_one_of_two_that_are_never_closed_together() {
    model(
        "try: two cases as one, the second opens before the first is taken",
        || {
            let (first, second) = (Gate::new(0), Gate::new(1));
            let theirs = (Arc::clone(&first), Arc::clone(&second));
            let other = thread::spawn(move || {
                theirs.0.open();
                Pass(theirs.1).try_now().is_some()
            });
            let case = Either::new(Pass(Arc::clone(&first)), Pass(Arc::clone(&second)));
            let arms: [&dyn Case; 1] = [&case];
            let taken = wait::try_any(&arms, Order::Fair).is_some();
            let theirs = other.join().unwrap();
            assert!(taken, "one of them was open at every instant");
            let n_taken = 1 + u64::from(theirs);
            assert_eq!(first.left() + second.left(), 2 - n_taken);
            assert_eq!((first.n_waiting(), second.n_waiting()), (0, 0));
        },
    );
}

#[test]
fn a_watcher_takes_nothing() {
    model("ready: a watcher is told and takes nothing", || {
        let gate = Gate::new(0);
        let theirs = Arc::clone(&gate);
        let opener = thread::spawn(move || theirs.open());
        let case = Pass(Arc::clone(&gate));
        let arms: [&dyn Case; 1] = [&case];
        // A gate serves watchers as it serves anybody: what they were given comes back.
        let arm = wait::block_ready(&arms, None, Order::Fair, Location::caller());
        assert_eq!(arm, Some(0));
        opener.join().unwrap();
        assert_eq!(gate.n_waiting(), 0);
    });
}

fn zero(count: &Countdown) {
    wait::block_on_case(&Zero(count), None, Location::caller()).expect("no deadline");
}

#[test]
fn the_last_done_releases_the_waiter() {
    model("countdown: two done against wait", || {
        let count = Arc::new(Countdown::new(2, WaitKind::WaitGroup));
        let work = Arc::new(AtomicU64::new(0));
        let workers = [(); 2].map(|()| {
            let (count, work) = (Arc::clone(&count), Arc::clone(&work));
            thread::spawn(move || {
                work.fetch_add(1, Ordering::Relaxed);
                count.done().unwrap();
            })
        });
        zero(&count);
        assert_eq!(work.load(Ordering::Relaxed), 2, "their work is seen");
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn who_waited_before_the_zero_is_released_by_it() {
    model(
        "countdown: reuse at once releases the earlier waiter",
        || {
            let count = Arc::new(Countdown::new(1, WaitKind::WaitGroup));
            let mut earlier = Box::pin(CaseFuture::new(
                OwnZero(Arc::clone(&count)),
                Location::caller(),
            ));
            assert!(poll_once(earlier.as_mut()).is_pending());
            let theirs = Arc::clone(&count);
            let worker = thread::spawn(move || theirs.done().unwrap());
            count.add(1).unwrap();
            worker.join().unwrap();
            // Either the count went 1, 0, 1, which released the waiter, or 1, 2, 1.
            let released = poll_once(earlier.as_mut()).is_ready();
            count.done().unwrap();
            if !released {
                block_on(earlier);
            }
            assert_eq!(count.count(), 0);
        },
    );
}

#[test]
fn an_add_beside_a_done_too_many_counts() {
    model("countdown: one done too many against add", || {
        let count = Arc::new(Countdown::new(1, WaitKind::WaitGroup));
        let others = [0, 1].map(|_| {
            let theirs = Arc::clone(&count);
            thread::spawn(move || usize::from(theirs.done().is_ok()))
        });
        assert_eq!(count.add(1), Ok(()));
        let n_done: usize = others.into_iter().map(|t| t.join().unwrap()).sum();
        assert_eq!(count.count(), 2 - n_done);
    });
}

#[test]
fn one_done_too_many_leaves_nobody_asleep() {
    model("countdown: one done too many against wait", || {
        let count = Arc::new(Countdown::new(1, WaitKind::WaitGroup));
        let workers = [(); 2].map(|()| {
            let count = Arc::clone(&count);
            thread::spawn(move || count.done().is_ok())
        });
        zero(&count);
        let told = workers.map(|worker| worker.join().unwrap());
        assert_ne!(told[0], told[1], "one of them is told");
        assert_eq!(count.count(), 0);
    });
}

#[test]
fn an_add_from_zero_releases_nobody_who_came_after_it() {
    model(
        "countdown: add from zero releases who waited before it alone",
        || {
            let count = Arc::new(Countdown::new(1, WaitKind::WaitGroup));
            let mut earlier = Box::pin(CaseFuture::new(
                OwnZero(Arc::clone(&count)),
                Location::caller(),
            ));
            assert!(poll_once(earlier.as_mut()).is_pending());
            let theirs = Arc::clone(&count);
            let ends = thread::spawn(move || theirs.done().unwrap());
            let theirs = Arc::clone(&count);
            let begins = thread::spawn(move || theirs.add(1).unwrap());
            // Ours is counted from here on.
            count.add(1).unwrap();
            let mut later = pin!(CaseFuture::new(
                OwnZero(Arc::clone(&count)),
                Location::caller(),
            ));
            assert!(poll_once(later.as_mut()).is_pending());
            ends.join().unwrap();
            begins.join().unwrap();
            assert!(poll_once(later.as_mut()).is_pending(), "our count is out");
            count.done().unwrap();
            count.done().unwrap();
            assert!(poll_once(later.as_mut()).is_ready());
            assert!(poll_once(earlier.as_mut()).is_ready());
        },
    );
}

#[test]
fn a_waiter_that_leaves_holds_up_nobody() {
    model(
        "countdown: cancel against the last done, another waits",
        || {
            let count = Arc::new(Countdown::new(1, WaitKind::WaitGroup));
            let mut cancelled = Box::pin(CaseFuture::new(
                OwnZero(Arc::clone(&count)),
                Location::caller(),
            ));
            assert!(poll_once(cancelled.as_mut()).is_pending());
            let theirs = Arc::clone(&count);
            let other = thread::spawn(move || zero(&theirs));
            let theirs = Arc::clone(&count);
            let worker = thread::spawn(move || theirs.done().unwrap());
            drop(cancelled);
            other.join().unwrap();
            worker.join().unwrap();
        },
    );
}

/// [`Zero`] with its countdown.
struct OwnZero(Arc<Countdown>);

impl Sealed for OwnZero {}

// SAFETY: the countdown's own case.
unsafe impl Case for OwnZero {
    fn probe(&self) -> Probe {
        Zero(&self.0).probe()
    }
    fn try_now(&self) -> Option<Outcome> {
        Zero(&self.0).try_now()
    }
    fn enqueue(&self, reg: &Registration<'_>) {
        Zero(&self.0).enqueue(reg);
    }
    fn recheck(&self, reg: &Registration<'_>) {
        Zero(&self.0).recheck(reg);
    }
    fn dequeue(&self, node: &Node) {
        Zero(&self.0).dequeue(node);
    }
    fn abandon(&self, outcome: Outcome) {
        Zero(&self.0).abandon(outcome);
    }
    fn kind(&self) -> WaitKind {
        WaitKind::WaitGroup
    }
}

impl Arm for OwnZero {
    type Output = ();
    fn finish(&self, _: Outcome) {}
}

/// A waker that counts its calls.
#[derive(Default)]
struct Calls {
    n: AtomicU64,
}

impl std::task::Wake for Calls {
    fn wake(self: Arc<Self>) {
        self.n.fetch_add(1, Ordering::Release);
    }
}

impl Calls {
    fn count(&self) -> u64 {
        self.n.load(Ordering::Acquire)
    }
}

/// Waits until the driver has let go of the waker, which it may still be calling.
fn is_dropped(calls: &Arc<Calls>) {
    while Arc::strong_count(calls) > 1 {
        thread::yield_now();
    }
}

/// Does the driver's work until `done`. Outside loom it has a thread of its own.
fn drive(done: impl Fn() -> bool) {
    #[cfg(rendez_loom)]
    while !done() {
        if rendez_core::clock::turn_driver() && !done() {
            thread::park();
        }
    }
    #[cfg(not(rendez_loom))]
    while !done() {
        thread::yield_now();
    }
}

#[test]
fn an_alarm_set_while_the_driver_goes_to_sleep_goes_off() {
    model("alarm: set against the driver's falling asleep", || {
        let calls = Arc::new(Calls::default());
        let seen = Arc::clone(&calls);
        let due = Instant::now();
        let driver = thread::spawn(move || drive(|| seen.count() == 1));
        let mut alarm = Alarm::new();
        alarm.set(due, &Waker::from(Arc::clone(&calls)));
        driver.join().unwrap();
        drop(alarm);
        is_dropped(&calls);
    });
}

#[test]
fn an_alarm_cancelled_while_it_goes_off_goes_off_once_or_not() {
    model("alarm: cancel against firing", || {
        let (calls, end) = (Arc::new(Calls::default()), Arc::new(Calls::default()));
        let mut last = Alarm::new();
        let mut alarm = Alarm::new();
        // Past whenever the driver looks: no time passes while it sleeps.
        let due = Instant::now();
        alarm.set(due, &Waker::from(Arc::clone(&calls)));
        let seen = Arc::clone(&end);
        let driver = thread::spawn(move || drive(|| seen.count() == 1));
        alarm.cancel();
        last.set(due, &Waker::from(Arc::clone(&end)));
        driver.join().unwrap();
        assert!(calls.count() <= 1);
        is_dropped(&calls);
    });
}

#[test]
fn an_alarm_set_anew_while_it_goes_off_wakes_the_new_task() {
    model("alarm: a new waker against firing", || {
        let (old, new) = (Arc::new(Calls::default()), Arc::new(Calls::default()));
        let mut alarm = Alarm::new();
        let due = Instant::now();
        alarm.set(due, &Waker::from(Arc::clone(&old)));
        let seen = Arc::clone(&new);
        let driver = thread::spawn(move || drive(|| seen.count() == 1));
        alarm.set(due, &Waker::from(Arc::clone(&new)));
        driver.join().unwrap();
        assert!(old.count() <= 1);
        is_dropped(&old);
    });
}

#[cfg(rendez_loom)]
fn lock_word(lock: &WordLock<u64>) -> WordGuard<'_, u64> {
    lock.lock_spinning()
}

#[cfg(not(rendez_loom))]
fn lock_word(lock: &WordLock<u64>) -> WordGuard<'_, u64> {
    lock.lock()
}

#[test]
fn a_bit_of_a_word_guards_its_value_and_publishes_the_other_bits() {
    model("core: a bit of a word is a lock", || {
        const COUNT: u64 = 2;
        let lock = Arc::new(WordLock::new(0, 0_u64));
        let add = |mut value: WordGuard<'_, u64>| {
            // The word always says what the value is, to its holder.
            assert_eq!(value.word() / COUNT, *value);
            *value += 1;
            let word = value.word() + COUNT;
            value.set_word(word);
        };
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || {
                add(lock_word(&lock));
                // Only if it is free, and the other has been here.
                lock.lock_if(|word| word == 2 * COUNT).map(add).is_some()
            })
        };
        add(lock_word(&lock));
        let n = 2 + u64::from(other.join().unwrap());
        assert_eq!(*lock_word(&lock), n);
        assert_eq!(lock.peek(), n * COUNT);
    });
}
