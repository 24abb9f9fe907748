//! Models of a group: under `--cfg rendez_loom` every interleaving is explored, otherwise each
//! runs once.
//!
//! Each goroutine is a thread of the model's.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};

use rendez_context::{Context, ContextError};
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{Mutex, model, thread};
use rendez_errgroup::Group;
use rendez_pool::{Spawn, SpawnError, Task};

/// Runs each goroutine on a thread of the model's.
#[derive(Default)]
struct Threads(Mutex<Vec<thread::JoinHandle<()>>>);

impl Spawn for Threads {
    fn spawn(&self, task: Task) -> Result<(), SpawnError> {
        self.0.lock().push(thread::spawn(|| task.run()));
        Ok(())
    }
}

impl Threads {
    fn join(&self) {
        let threads = std::mem::take(&mut *self.0.lock());
        threads.into_iter().for_each(|t| t.join().unwrap());
    }
}

type E = &'static str;

fn limited(n: usize, threads: &Arc<Threads>) -> Group<E> {
    Group::builder().limit(n).on(Arc::clone(threads)).build()
}

/// Every slot has come back.
fn is_free(group: &Group<E>, threads: &Threads) {
    group.set_limit(Some(1)); // panics if not
    threads.join();
}

#[test]
fn an_error_is_seen_by_the_wait_and_ends_the_context_with_its_cause() {
    model("group: error against wait", || {
        let threads = Arc::new(Threads::default());
        let builder = Group::<E>::builder().on(Arc::clone(&threads));
        let (group, ctx) = builder.with_context(&Context::background());
        group.go(|| Err("first"));
        assert_eq!(group.wait(), Err("first"));
        assert_eq!(ctx.cause().unwrap().to_string(), "first");
        assert_eq!(group.wait(), Ok(()));
        threads.join();
    });
}

#[test]
fn the_cause_is_the_first_of_two_errors() {
    model("group: error against error", || {
        let threads = Arc::new(Threads::default());
        let builder = Group::<E>::builder().on(Arc::clone(&threads));
        let (group, ctx) = builder.with_context(&Context::background());
        group.go(|| Err("one"));
        group.go(|| Err("two"));
        let errors = group.wait_all().unwrap_err();
        assert_eq!(errors.len(), 2);
        assert_eq!(ctx.cause().unwrap().to_string(), errors[0]);
        threads.join();
    });
}

#[test]
fn an_error_wakes_who_watches_the_context() {
    model("group: error against a watcher of the context", || {
        let threads = Arc::new(Threads::default());
        let builder = Group::<E>::builder().on(Arc::clone(&threads));
        let (group, ctx) = builder.with_context(&Context::background());
        group.go(move || {
            ctx.wait();
            Ok(())
        });
        group.go(|| Err("first"));
        assert_eq!(group.wait(), Err("first"));
        threads.join();
    });
}

#[test]
fn a_goroutine_that_ends_hands_its_slot_to_who_waits() {
    model("group: limit hand-over against go", || {
        let threads = Arc::new(Threads::default());
        let group = limited(1, &threads);
        let running = Arc::new(AtomicUsize::new(0));
        for _ in 0..2 {
            let running = Arc::clone(&running);
            group.go(move || {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two run");
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            });
        }
        assert_eq!(group.wait(), Ok(()));
        is_free(&group, &threads);
    });
}

#[test]
fn a_slot_handed_to_a_future_that_is_dropped_comes_back() {
    model("group: limit hand-over against a dropped go", || {
        let threads = Arc::new(Threads::default());
        let group = limited(1, &threads);
        group.go(|| Ok(()));
        {
            let mut dropped = pin!(group.go_async(|| Ok(())));
            let mut cx = TaskContext::from_waker(Waker::noop());
            let _ = dropped.as_mut().poll(&mut cx);
        }
        assert_eq!(group.wait(), Ok(()));
        is_free(&group, &threads);
    });
}

#[test]
fn a_slot_handed_to_a_future_that_is_dropped_goes_to_the_next() {
    model("group: a dropped go against the one behind it", || {
        let threads = Arc::new(Threads::default());
        let group = limited(1, &threads);
        group.go(|| Ok(()));
        let mut cx = TaskContext::from_waker(Waker::noop());
        let mut dropped = Box::pin(group.go_async(|| Ok(())));
        if dropped.as_mut().poll(&mut cx).is_pending() {
            let mut behind = pin!(group.go_async(|| Ok(())));
            assert!(behind.as_mut().poll(&mut cx).is_pending());
            drop(dropped);
            rendez_pool::block_on(behind);
        }
        assert_eq!(group.wait(), Ok(()));
        is_free(&group, &threads);
    });
}

#[test]
fn a_slot_of_a_future_dropped_before_it_starts_its_goroutine_comes_back() {
    /// Keeps the first, to be run at the end; the others have a thread of the model's.
    struct KeepsFirst(Mutex<Option<Task>>, Arc<Threads>);
    impl Spawn for KeepsFirst {
        fn spawn(&self, task: Task) -> Result<(), SpawnError> {
            let mut first = self.0.lock();
            if first.is_none() {
                *first = Some(task);
                return Ok(());
            }
            drop(first);
            self.1.spawn(task)
        }
    }
    model("group: a served go dropped before its start", || {
        let threads = Arc::new(Threads::default());
        let executor = Arc::new(KeepsFirst(Mutex::new(None), Arc::clone(&threads)));
        let builder = Group::<E>::builder().limit(2).on(Arc::clone(&executor));
        let group = builder.build();
        for _ in 0..2 {
            group.go(|| Ok(()));
        }
        {
            let mut dropped = pin!(group.go_async(|| Ok(())));
            let mut cx = TaskContext::from_waker(Waker::noop());
            // Pending at the limit, then, served, once more.
            for _ in 0..2 {
                if dropped.as_mut().poll(&mut cx).is_ready() {
                    break;
                }
            }
        }
        let first = executor.0.lock().take();
        first.unwrap().run();
        assert_eq!(group.wait(), Ok(()));
        is_free(&group, &threads);
    });
}

#[test]
fn a_go_is_served_or_given_up_and_the_wait_tells_which() {
    model("group: limit hand-over against the context's end", || {
        let threads = Arc::new(Threads::default());
        let (outer, cancel) = Context::background().with_cancel();
        let builder = Group::<E>::builder().limit(1).on(Arc::clone(&threads));
        let (group, _ctx) = builder.with_context(&outer);
        group.go(move || {
            cancel.cancel();
            Ok(())
        });
        let ran = Arc::new(AtomicUsize::new(0));
        let runs = Arc::clone(&ran);
        group.go(move || {
            runs.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        let expected = match group.wait() {
            Ok(()) => 1,
            Err(e) => {
                assert_eq!(e, ContextError::Canceled.to_string());
                0
            }
        };
        assert_eq!(ran.load(Ordering::Relaxed), expected);
        is_free(&group, &threads);
    });
}

#[test]
fn an_error_at_the_limit_serves_or_gives_up_who_waits() {
    model("group: error against a go at the limit and wait", || {
        let threads = Arc::new(Threads::default());
        let builder = Group::<E>::builder().limit(1).on(Arc::clone(&threads));
        let (group, ctx) = builder.with_context(&Context::background());
        group.go(|| Err("first"));
        let mut served = pin!(group.go_async(|| Ok(())));
        let mut cx = TaskContext::from_waker(Waker::noop());
        let _ = served.as_mut().poll(&mut cx);
        assert_eq!(group.wait(), Err("first"));
        assert!(ctx.err().is_some());
    });
}

#[test]
fn a_task_dropped_by_its_executor_is_told_to_the_wait() {
    /// Drops each task on a thread of the model's.
    struct Drops(Arc<Threads>);
    impl Spawn for Drops {
        fn spawn(&self, task: Task) -> Result<(), SpawnError> {
            self.0.0.lock().push(thread::spawn(|| drop(task)));
            Ok(())
        }
    }
    model("group: a lost goroutine against wait", || {
        let threads = Arc::new(Threads::default());
        let group = Group::<E>::builder()
            .on(Drops(Arc::clone(&threads)))
            .build();
        group.go(|| Err("never"));
        let waited = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| group.wait()));
        assert!(waited.is_err());
        assert_eq!(group.wait(), Ok(()));
        threads.join();
    });
}
