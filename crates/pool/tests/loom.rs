//! Models of a goroutine's protocols: under `--cfg rendez_loom` every interleaving is
//! explored, otherwise each runs once.
//!
//! Loom cannot see into crossbeam's deques; a queue under a lock stands in for them.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "loom/cells.rs"]
mod cells;
#[path = "loom/home.rs"]
mod home;
#[path = "loom/live.rs"]
mod live;
#[path = "loom/workers.rs"]
mod workers;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use rendez_core::goroutine::Goroutine as Identity;
use rendez_core::shim::atomic::{AtomicBool, AtomicUsize, Ordering};
use rendez_core::shim::{Mutex, model, thread};
use rendez_pool::__private::{Schedule, Task, goroutine_on};
use rendez_pool::{JoinError, Payload, Spawn, SpawnError, SpawnExt};

/// Runs what it is given when it is told to.
#[derive(Default)]
struct Queue {
    due: Mutex<VecDeque<Task>>,
    ended: AtomicUsize,
}

impl Schedule for Queue {
    fn schedule(&self, task: Task) {
        self.due.lock().push_back(task);
    }
    fn reschedule(&self, task: Task) {
        self.schedule(task);
    }
    fn finished(&self) {
        self.ended.fetch_add(1, Ordering::Relaxed);
    }
    fn unclaimed_panic(&self, _: &Identity, _: Payload) {}
}

impl Queue {
    /// Runs one that is due; whether there was one.
    fn run_one(&self) -> bool {
        let task = self.due.lock().pop_front();
        task.map(|task| task.run(self)).is_some()
    }
}

/// Pending until it is polled a second time; shows its waker.
struct Twice {
    waker: Arc<Mutex<Option<Waker>>>,
    polled: bool,
    dropped: Arc<AtomicUsize>,
}

impl Future for Twice {
    type Output = u8;
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u8> {
        if self.polled {
            return Poll::Ready(5);
        }
        self.polled = true;
        *self.waker.lock() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Twice {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

fn twice() -> (Twice, Arc<Mutex<Option<Waker>>>, Arc<AtomicUsize>) {
    let (waker, dropped) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let future = Twice {
        waker: Arc::clone(&waker),
        polled: false,
        dropped: Arc::clone(&dropped),
    };
    (future, waker, dropped)
}

fn take_waker(waker: &Mutex<Option<Waker>>) -> Option<Waker> {
    waker.lock().take()
}

#[test]
fn a_wake_at_any_time_runs_it_again() {
    model("task: wake against park", || {
        let queue = Arc::new(Queue::default());
        let (future, waker, dropped) = twice();
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, future);
        let waking = thread::spawn(move || {
            let wakes = take_waker(&waker).map(Waker::wake);
            (wakes.is_some(), waker)
        });
        task.run(&*queue);
        let (woken, waker) = waking.join().unwrap();
        if !woken {
            take_waker(&waker).expect("it has been polled").wake();
        }
        assert!(queue.run_one(), "the wake has made it due");
        assert_eq!(handle.join().unwrap(), 5);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(queue.ended.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_waker_cloned_in_the_turn_may_be_the_last_to_keep_the_cell() {
    model("task: lent reference against park, dropped", || {
        let queue = Arc::new(Queue::default());
        let (future, waker, dropped) = twice();
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, future);
        drop(handle);
        let theirs = Arc::clone(&waker);
        let dropping = thread::spawn(move || drop(take_waker(&theirs)));
        task.run(&*queue);
        dropping.join().unwrap();
        drop(take_waker(&waker));
        assert!(!queue.run_one(), "nobody has woken it");
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&queue), 1, "everything is freed");
    });
}

#[test]
fn a_waker_cloned_in_the_turn_may_be_spent_before_its_end() {
    model("task: lent reference against park, woken", || {
        let queue = Arc::new(Queue::default());
        let (future, waker, dropped) = twice();
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, future);
        drop(handle);
        let theirs = Arc::clone(&waker);
        let waking = thread::spawn(move || take_waker(&theirs).map(Waker::wake));
        task.run(&*queue);
        if waking.join().unwrap().is_none() {
            take_waker(&waker).expect("it has been polled").wake();
        }
        assert!(queue.run_one(), "the wake has made it due");
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&queue), 1, "everything is freed");
    });
}

#[test]
fn two_wakes_make_it_due_once() {
    model("task: two wakes against each other", || {
        let queue = Arc::new(Queue::default());
        let (future, waker, _) = twice();
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, future);
        task.run(&*queue);
        let first = take_waker(&waker).expect("it has been polled");
        let second = first.clone();
        let waking = thread::spawn(move || first.wake());
        second.wake();
        waking.join().unwrap();
        assert!(queue.run_one());
        assert!(!queue.run_one(), "it was queued once");
        assert_eq!(handle.join().unwrap(), 5);
    });
}

/// As a pool does, it looks whom to tell after it has queued a goroutine.
struct Teller {
    // Outlives it, as a pool's threads do.
    due: Arc<Mutex<VecDeque<Task>>>,
    gone: Arc<AtomicBool>,
}

impl Schedule for Teller {
    fn schedule(&self, task: Task) {
        let gone = Arc::clone(&self.gone);
        self.due.lock().push_back(task);
        assert!(!gone.load(Ordering::Acquire), "freed while it was at work");
    }
    fn reschedule(&self, task: Task) {
        self.schedule(task);
    }
    fn finished(&self) {}
    fn unclaimed_panic(&self, _: &Identity, _: Payload) {}
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::Release);
    }
}

#[test]
fn a_wake_that_hands_its_reference_over_keeps_the_scheduler() {
    model("task: handed-over wake against the end", || {
        let due = Arc::new(Mutex::new(VecDeque::new()));
        let gone = Arc::new(AtomicBool::new(false));
        let teller = Arc::new(Teller {
            due: Arc::clone(&due),
            gone: Arc::clone(&gone),
        });
        let queue = Queue::default();
        let (future, waker, dropped) = twice();
        // The cell alone keeps the teller, and the waker alone the cell.
        let (task, handle) = goroutine_on(teller as _, future);
        task.run(&queue);
        drop(handle);
        let waker = take_waker(&waker).expect("it has been polled");
        let waking = thread::spawn(move || waker.wake());
        // As soon as it is queued, or when the wake is over.
        let run = || {
            let task = due.lock().pop_front();
            task.map(|task| task.run(&queue))
        };
        let ran = run().is_some();
        waking.join().unwrap();
        assert_eq!(run().is_some(), !ran, "it was queued once");
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert!(gone.load(Ordering::Relaxed), "everything is freed");
    });
}

/// Counts its wakes.
struct Wakes(AtomicUsize);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Release);
    }
}

fn wakes() -> (Arc<Wakes>, Waker) {
    let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
    (Arc::clone(&wakes), Waker::from(wakes))
}

#[test]
fn an_awaited_handle_is_woken_or_sees_the_end() {
    model("task: end against an awaited handle", || {
        let queue = Arc::new(Queue::default());
        let (task, mut handle) = goroutine_on(Arc::clone(&queue) as _, || 7);
        let runner = thread::spawn(move || task.run(&*queue));
        let (n_wakes, waker) = wakes();
        let poll = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
        if poll.is_pending() {
            runner.join().unwrap();
            assert_eq!(n_wakes.0.load(Ordering::Acquire), 1);
            assert_eq!(handle.join().unwrap(), 7);
        } else {
            runner.join().unwrap();
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&n_wakes), 1, "no waker is left");
    });
}

#[test]
fn an_awaited_handle_that_moves_to_another_task_wakes_that() {
    model("task: end against two tasks that await", || {
        let queue = Arc::new(Queue::default());
        let (task, mut handle) = goroutine_on(Arc::clone(&queue) as _, || 7);
        let runner = thread::spawn(move || task.run(&*queue));
        let (n_first, first) = wakes();
        let (n_second, second) = wakes();
        let mut poll = |waker| {
            Pin::new(&mut handle)
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        };
        let pending = poll(&first) && poll(&second);
        runner.join().unwrap();
        if pending {
            assert_eq!(n_first.0.load(Ordering::Acquire), 0, "it awaits no more");
            assert_eq!(n_second.0.load(Ordering::Acquire), 1);
            assert_eq!(handle.join().unwrap(), 7);
        }
        drop((first, second));
        assert_eq!(
            Arc::strong_count(&n_first) + Arc::strong_count(&n_second),
            2
        );
    });
}

#[test]
fn an_awaited_handle_that_is_dropped_leaves_no_waker() {
    model("task: end against the drop of an awaited handle", || {
        let queue = Arc::new(Queue::default());
        let dropped = Arc::new(AtomicUsize::new(0));
        let result = Counted(Arc::clone(&dropped));
        let (task, mut handle) = goroutine_on(Arc::clone(&queue) as _, move || result);
        let (n_wakes, waker) = wakes();
        let poll = Pin::new(&mut handle).poll(&mut Context::from_waker(&waker));
        assert!(poll.is_pending());
        let runner = thread::spawn(move || task.run(&*queue));
        drop(handle);
        runner.join().unwrap();
        drop(waker);
        assert_eq!(Arc::strong_count(&n_wakes), 1, "no waker is left");
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_joiner_is_not_missed() {
    model("task: end against join", || {
        let queue = Arc::new(Queue::default());
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, || 7);
        let runner = thread::spawn(move || task.run(&*queue));
        assert_eq!(handle.join().unwrap(), 7);
        runner.join().unwrap();
    });
}

/// Leaves a wait of a select in the queue, for ever.
fn forget_a_wait<T: Send>(handle: &rendez_pool::JoinHandle<T>) {
    use rendez_core::{case::AsCase, wait::CaseFuture};
    let location = std::panic::Location::caller();
    let mut waits = Box::pin(CaseFuture::new(handle.__case(), location));
    let polled = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    std::mem::forget(waits);
}

#[test]
fn a_joiner_gets_what_was_granted_to_a_wait_that_was_forgotten() {
    model("task: end against join after a forgotten wait", || {
        let queue = Arc::new(Queue::default());
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, || 7);
        forget_a_wait(&handle);
        let runner = thread::spawn(move || task.run(&*queue));
        assert_eq!(handle.join().unwrap(), 7);
        runner.join().unwrap();
    });
}

#[test]
fn an_awaited_handle_gets_what_was_granted_to_a_wait_that_was_forgotten() {
    model("task: end against await after a forgotten wait", || {
        let queue = Arc::new(Queue::default());
        let (task, mut handle) = goroutine_on(Arc::clone(&queue) as _, || 7);
        forget_a_wait(&handle);
        let runner = thread::spawn(move || task.run(&*queue));
        let (n_wakes, waker) = wakes();
        let mut cx = Context::from_waker(&waker);
        match Pin::new(&mut handle).poll(&mut cx) {
            Poll::Ready(result) => assert_eq!(result.unwrap(), 7),
            Poll::Pending => {
                runner.join().unwrap();
                assert_eq!(n_wakes.0.load(Ordering::Acquire), 1);
                assert_eq!(handle.join().unwrap(), 7);
                return;
            }
        }
        runner.join().unwrap();
    });
}

/// Counts its drops.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_result_nobody_takes_is_dropped_once() {
    model("task: end against detach", || {
        let queue = Arc::new(Queue::default());
        let dropped = Arc::new(AtomicUsize::new(0));
        let result = Counted(Arc::clone(&dropped));
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, move || result);
        let runner = thread::spawn(move || task.run(&*queue));
        drop(handle);
        runner.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_handle_that_goes_beside_a_waker_leaves_one_of_them_to_free_the_cell() {
    model("task: drop of the handle against that of a waker", || {
        let queue = Arc::new(Queue::default());
        let (future, waker, dropped) = twice();
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, future);
        task.run(&*queue);
        let waker = take_waker(&waker).expect("it has been polled");
        let dropping = thread::spawn(move || drop(waker));
        drop(handle);
        dropping.join().unwrap();
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(queue.ended.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&queue), 1, "everything is freed");
    });
}

#[test]
fn an_end_and_the_drops_of_its_handle_and_of_a_waker_free_the_cell_once() {
    model("task: end against drops of handle and waker", || {
        let queue = Arc::new(Queue::default());
        let (future, waker, _) = twice();
        let result = Arc::new(AtomicUsize::new(0));
        let counted = Counted(Arc::clone(&result));
        let body = async move {
            future.await;
            counted
        };
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, body);
        task.run(&*queue);
        let waker = take_waker(&waker).expect("it has been polled");
        waker.wake_by_ref();
        let theirs = Arc::clone(&queue);
        let runner = thread::spawn(move || assert!(theirs.run_one()));
        let dropping = thread::spawn(move || drop(waker));
        drop(handle);
        runner.join().unwrap();
        dropping.join().unwrap();
        assert_eq!(result.load(Ordering::Relaxed), 1);
        assert_eq!(Arc::strong_count(&queue), 1, "everything is freed");
    });
}

#[test]
fn the_first_to_wait_makes_the_queue_or_sees_the_end() {
    model("task: end against the first two who wait", || {
        let queue = Arc::new(Queue::default());
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, || 7);
        let handle = Arc::new(handle);
        let theirs = Arc::clone(&handle);
        let first = thread::spawn(move || look_for_end(&theirs));
        let theirs = Arc::clone(&queue);
        let runner = thread::spawn(move || task.run(&*theirs));
        let mine = look_for_end(&handle);
        let their = first.join().unwrap();
        runner.join().unwrap();
        // Who looked too soon has left again.
        let last = look_for_end(&handle);
        let n_won = [mine, their, last].into_iter().filter(|won| *won).count();
        assert_eq!(n_won, 1, "one has the result");
        drop(handle);
        assert_eq!(Arc::strong_count(&queue), 1, "everything is freed");
    });
}

/// Waits for an end, once, and leaves. Whether it won the result.
fn look_for_end(handle: &rendez_pool::JoinHandle<i32>) -> bool {
    use rendez_core::{case::AsCase, wait::CaseFuture};
    let location = std::panic::Location::caller();
    let mut waits = Box::pin(CaseFuture::new(handle.__case(), location));
    let polled = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    polled.is_ready()
}

#[test]
fn a_cancel_drops_the_future_or_comes_too_late() {
    model("task: cancel against wake and end", || {
        let queue = Arc::new(Queue::default());
        let (future, waker, dropped) = twice();
        let (task, handle) = goroutine_on(Arc::clone(&queue) as _, future);
        task.run(&*queue);
        let waker = take_waker(&waker).expect("it has been polled");
        let theirs = Arc::clone(&queue);
        let runner = thread::spawn(move || {
            waker.wake();
            theirs.run_one();
        });
        handle.cancel();
        runner.join().unwrap();
        while queue.run_one() {}
        match handle.join() {
            Ok(5) | Err(JoinError::Cancelled) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        assert_eq!(queue.ended.load(Ordering::Relaxed), 1);
    });
}

/// Keeps the task that a foreign executor would run.
#[derive(Default)]
struct Keep(Mutex<Option<rendez_pool::Task>>);

impl Spawn for Keep {
    fn spawn(&self, task: rendez_pool::Task) -> Result<(), SpawnError> {
        *self.0.lock() = Some(task);
        Ok(())
    }
}

impl Keep {
    fn take(&self) -> rendez_pool::Task {
        self.0.lock().take().expect("a task was spawned")
    }
}

#[test]
fn a_foreign_task_is_polled_again_after_a_wake_at_any_time() {
    model("foreign task: wake against poll", || {
        let keep = Keep::default();
        let (future, waker, dropped) = twice();
        let handle = keep.go(future);
        let task = keep.take();
        let running = thread::spawn(move || task.run());
        loop {
            if let Some(waker) = take_waker(&waker) {
                waker.wake();
                break;
            }
            thread::yield_now();
        }
        running.join().unwrap();
        assert_eq!(handle.join().unwrap(), 5);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_foreign_task_is_woken_by_its_cancel() {
    model("foreign task: cancel against poll", || {
        let keep = Keep::default();
        let (future, waker, dropped) = twice();
        let handle = keep.go(future);
        let task = keep.take();
        let running = thread::spawn(move || task.run());
        handle.cancel();
        running.join().unwrap();
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        drop(waker);
    });
}

#[test]
fn a_foreign_task_that_is_dropped_ends_its_goroutine_whoever_wakes_it() {
    model("foreign task: drop against wake and join", || {
        let keep = Keep::default();
        let (future, waker, dropped) = twice();
        let handle = keep.go(future);
        let mut task = keep.take();
        let noop = Waker::noop();
        let polled = Pin::new(&mut task).poll(&mut Context::from_waker(noop));
        assert!(polled.is_pending());
        let waking = thread::spawn(move || take_waker(&waker).map(Waker::wake));
        let dropping = thread::spawn(move || drop(task));
        assert!(matches!(handle.join(), Err(JoinError::Cancelled)));
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
        waking.join().unwrap();
        dropping.join().unwrap();
    });
}
