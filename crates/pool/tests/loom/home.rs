//! Models of a pool that its goroutines do not count: whoever wakes or ends one, without a
//! count of his own, finds the pool there, while its last handle goes. Under `--cfg rendez_loom`
//! every interleaving is explored, otherwise each runs once.
//!
//! The goroutines and the count of the living are the real ones. In the pool's place stands a
//! scheduler that is never freed, and knows when it would have been.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use rendez_core::goroutine::Goroutine as Identity;
use rendez_core::shim::{Mutex, model, thread};
use rendez_pool::__private::{Live, Schedule, Task, goroutine_on};
use rendez_pool::{JoinHandle, Payload};

use crate::{take_waker, twice};

struct Pool {
    live: Live,
    /// How often it keeps itself.
    n_kept: Mutex<usize>,
    due: Mutex<VecDeque<Task>>,
}

impl Pool {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            live: Live::new(),
            n_kept: Mutex::new(1),
            due: Mutex::new(VecDeque::new()),
        })
    }

    /// A goroutine that waits to be woken once.
    fn go(self: &Arc<Self>) -> (Task, JoinHandle<u8>, Arc<Mutex<Option<Waker>>>) {
        let _ = self.live.begin(None, || unreachable!("it is there"));
        let (future, waker, _) = twice();
        let (task, handle) = goroutine_on(Arc::clone(self) as _, future);
        (task, handle, waker)
    }

    /// Somebody comes by a goroutine's word for its scheduler.
    fn touch(&self) {
        assert!(*self.n_kept.lock() > 0, "the pool is gone");
    }

    fn drained(&self, yes: bool) {
        if yes {
            *self.n_kept.lock() -= 1;
        }
    }

    fn let_go(&self) {
        self.drained(self.live.let_go());
    }

    /// What a worker does, which keeps the pool.
    fn run(&self, first: Option<Task>) {
        let mut next = first;
        while let Some(task) = next.take().or_else(|| self.due.lock().pop_front()) {
            task.run(self);
        }
    }
}

impl Schedule for Pool {
    fn schedule(&self, task: Task) {
        // It has not ended, so the caller could make himself a count.
        self.touch();
        self.due.lock().push_back(task);
    }
    fn reschedule(&self, task: Task) {
        self.due.lock().push_back(task);
    }
    fn finished(&self) {
        self.touch();
        self.drained(self.live.end(None));
    }
    fn unclaimed_panic(&self, _: &Identity, _: Payload) {}
}

#[test]
fn who_wakes_a_goroutine_finds_its_pool() {
    model("home: a wake and an end against let go", || {
        let pool = Pool::new();
        let (task, handle, waker) = pool.go();
        drop(handle);
        let waking = thread::spawn(move || {
            let woken = take_waker(&waker).map(Waker::wake).is_some();
            (woken, waker)
        });
        let theirs = Arc::clone(&pool);
        let going = thread::spawn(move || theirs.let_go());
        pool.run(Some(task));
        let (woken, waker) = waking.join().unwrap();
        if !woken {
            take_waker(&waker).expect("it has been polled").wake();
        }
        pool.run(None);
        going.join().unwrap();
        assert_eq!(*pool.n_kept.lock(), 0, "its end has come, once");
    });
}

#[test]
fn who_drops_the_last_waker_ends_the_goroutine_and_finds_its_pool() {
    model("home: the last waker's drop against let go", || {
        let pool = Pool::new();
        let (task, handle, waker) = pool.go();
        drop(handle);
        pool.run(Some(task));
        let dropping = thread::spawn(move || drop(take_waker(&waker)));
        pool.let_go();
        dropping.join().unwrap();
        assert_eq!(*pool.n_kept.lock(), 0, "its end has come, once");
    });
}

#[test]
fn who_cancels_a_goroutine_finds_its_pool() {
    model("home: a cancel against a wake and let go", || {
        let pool = Pool::new();
        let (task, handle, waker) = pool.go();
        pool.run(Some(task));
        let theirs = Arc::clone(&pool);
        let cancelling = thread::spawn(move || {
            handle.cancel();
            theirs.let_go();
        });
        take_waker(&waker).expect("it has been polled").wake();
        pool.run(None);
        cancelling.join().unwrap();
        pool.run(None);
        assert_eq!(*pool.n_kept.lock(), 0, "its end has come, once");
    });
}
