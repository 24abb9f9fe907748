//! Goroutines that borrow.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{pool, until, within_a_minute};
use rendez_pool::{JoinError, scope};
use rendez_select::bounded;

#[test]
fn a_scope_waits_for_all_and_gives_its_result() {
    let count = AtomicUsize::new(0);
    let result = scope(|s| {
        for _ in 0..50 {
            s.go(|| count.fetch_add(1, Ordering::Relaxed));
            s.go(async { count.fetch_add(1, Ordering::Relaxed) });
        }
        "result"
    });
    assert_eq!((result, count.into_inner()), ("result", 100));
}

#[test]
fn goroutines_start_others_in_the_same_scope() {
    let count = AtomicUsize::new(0);
    scope(|s| {
        s.go(|| {
            for _ in 0..10 {
                s.go(|| count.fetch_add(1, Ordering::Relaxed));
            }
        });
    });
    assert_eq!(count.into_inner(), 10);
}

#[test]
fn results_may_borrow() {
    let text = String::from("a b");
    let words = scope(|s| {
        let words = s.go(|| text.split(' ').collect::<Vec<_>>());
        words.join().unwrap()
    });
    assert_eq!(words, ["a", "b"]);
}

#[test]
fn a_panic_nobody_joins_becomes_the_scopes() {
    let count = AtomicUsize::new(0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        scope(|s| {
            s.go(|| panic!("one"));
            s.go(|| count.fetch_add(1, Ordering::Relaxed));
        })
    }));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "one");
    assert_eq!(count.into_inner(), 1);
}

#[test]
fn a_panic_that_was_joined_is_not_the_scopes() {
    scope(|s| {
        let handle = s.go(|| -> () { panic!("joined") });
        assert!(matches!(handle.join(), Err(JoinError::Panicked(_))));
    });
}

#[test]
fn a_panic_of_the_scope_itself_comes_first_and_after_all_have_ended() {
    let count = AtomicUsize::new(0);
    let caught = catch_unwind(AssertUnwindSafe(|| {
        scope(|s| {
            s.go(|| {
                std::thread::yield_now();
                count.fetch_add(1, Ordering::Relaxed);
            });
            panic!("scope");
        })
    }));
    assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "scope");
    assert_eq!(count.into_inner(), 1);
}

#[test]
fn a_cancelled_or_leaked_handle_does_not_hold_up_the_scope() {
    within_a_minute(|| {
        let local = [1, 2, 3];
        scope(|s| {
            let sleeper = s.go(async {
                std::future::pending::<()>().await;
                local.len()
            });
            sleeper.cancel();
            std::mem::forget(s.go(|| local.len()));
        });
    });
}

#[test]
fn scopes_nest_on_a_single_worker() {
    within_a_minute(|| {
        let pool = pool(1);
        let mut table = vec![vec![0; 4]; 4];
        pool.scope(|s| {
            for row in &mut table {
                s.go(move || {
                    scope(|s| {
                        for cell in row {
                            s.go(move || *cell += 1);
                        }
                    });
                });
            }
        });
        assert_eq!(table, vec![vec![1; 4]; 4]);
    });
}

#[test]
fn a_handle_may_leave_the_scope_with_its_result() {
    let handle = scope(|s| s.go(|| 5));
    assert!(handle.is_finished());
    assert_eq!(handle.join().unwrap(), 5);
}

#[test]
fn futures_in_a_scope_talk_over_channels_of_the_outside() {
    let (tx, rx) = bounded(0);
    let sum = scope(|s| {
        s.go(async {
            for i in 1..=10 {
                tx.send_async(i).await.unwrap();
            }
            tx.close();
        });
        s.go(async { rx.stream_sum().await }).join().unwrap()
    });
    assert_eq!(sum, 55);
}

trait StreamSum {
    fn stream_sum(&self) -> impl Future<Output = i32> + Send;
}

impl StreamSum for rendez_select::Receiver<i32> {
    async fn stream_sum(&self) -> i32 {
        let mut sum = 0;
        while let Ok(i) = self.recv_async().await {
            sum += i;
        }
        sum
    }
}

/// A future that was granted the result and is forgotten keeps nothing that the scope lent.
#[test]
fn a_forgotten_wait_leaves_the_result_to_the_drop_of_its_handle() {
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    struct Reads<'a>(&'a AtomicUsize);
    impl Drop for Reads<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let leaked = Arc::new(std::sync::Mutex::new(None::<Waker>));
    {
        let dropped = AtomicUsize::new(0);
        scope(|s| {
            let (go_on, may_go_on) = bounded::<()>(0);
            let (keep, lent) = (Arc::clone(&leaked), &dropped);
            let handle = s.go(async move {
                std::future::poll_fn(|cx| {
                    *keep.lock().unwrap() = Some(cx.waker().clone());
                    Poll::Ready(())
                })
                .await;
                let _ = may_go_on.recv_async().await;
                Reads(lent)
            });
            let mut waits = Box::pin(async {
                rendez_select::select_async! { recv(handle) -> result => drop(result) }
            });
            let mut cx = Context::from_waker(Waker::noop());
            assert!(waits.as_mut().poll(&mut cx).is_pending());
            std::mem::forget(waits);
            drop(go_on);
            until(|| handle.is_finished());
            drop(handle);
        });
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "within the scope");
    }
    drop(leaked);
}

/// A wait on a handle that was forgotten takes nothing from whoever has the handle alone.
#[test]
fn a_forgotten_wait_leaves_the_result_to_a_join_and_to_an_await() {
    use std::task::{Context, Poll, Waker};

    fn forget_a_wait<T: Send>(handle: &rendez_pool::JoinHandle<T>) {
        let mut waits = Box::pin(async {
            rendez_select::select_async! { recv(handle) -> result => drop(result) }
        });
        let poll = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(poll, Poll::Pending);
        std::mem::forget(waits);
    }
    common::within_a_minute(|| {
        let pool = common::pool(2);
        for ended in [false, true] {
            for awaits in [false, true] {
                let (go_on, may_go_on) = bounded::<()>(0);
                let mut handle = pool.go(move || may_go_on.recv().is_err());
                forget_a_wait(&handle);
                forget_a_wait(&handle);
                if ended {
                    drop(go_on);
                    until(|| handle.is_finished());
                } else {
                    std::thread::spawn(move || {
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        drop(go_on);
                    });
                }
                if awaits {
                    let result = rendez_pool::block_on(&mut handle);
                    assert!(result.is_ok_and(|closed| closed), "{ended}");
                    assert!(rendez_pool::block_on(&mut handle).is_err());
                } else {
                    assert!(handle.join().is_ok_and(|closed| closed), "{ended}");
                }
            }
        }
        // An arm that has taken the result has it.
        let handle = pool.go(|| 7);
        let taken = rendez_pool::block_on(async {
            rendez_select::select_async! { recv(handle) -> result => result }
        });
        assert_eq!(taken.unwrap(), 7);
        assert!(handle.join().is_err());
        let (go_on, may_go_on) = bounded::<()>(0);
        let handle = pool.go(move || may_go_on.recv().is_err());
        let mut waits = Box::pin(async {
            rendez_select::select_async! { recv(handle) -> result => result.unwrap() }
        });
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        drop(go_on);
        until(|| handle.is_finished());
        let taken = std::iter::repeat_with(|| waits.as_mut().poll(&mut cx)).find(Poll::is_ready);
        assert_eq!(taken, Some(Poll::Ready(true)));
        drop(waits);
        assert!(handle.join().is_err(), "it was granted, and taken");
    });
}
