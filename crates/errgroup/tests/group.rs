//! What a group promises beyond Go's: panics, the end of the context, both forms.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Waker};
use std::thread;

use common::{Live, until, within_a_minute};
use rendez_context::{Context, ContextError};
use rendez_errgroup::{Failure, Group};
use rendez_pool::{Pool, block_on};
use rendez_select::{bounded, select_biased};

type Boxed = Box<dyn Error + Send + Sync>;

fn message(payload: Box<dyn std::any::Any + Send>) -> &'static str {
    *payload.downcast::<&str>().unwrap()
}

fn panic_of<R>(f: impl FnOnce() -> R) -> Box<dyn std::any::Any + Send> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(_) => panic!("it did not panic"),
        Err(payload) => payload,
    }
}

#[test]
fn closures_and_futures_share_a_group_and_its_fate() {
    within_a_minute(|| {
        let (group, ctx) = Group::<Boxed>::with_context(&Context::background());
        let blocking = ctx.clone();
        group.go(move || Err(blocking.wait().into()));
        let awaiting = ctx.clone();
        group.go(async move { Err(awaiting.done().await.into()) });
        group.go(async { Err("first".into()) });
        let errors = group.wait_all().unwrap_err();
        assert_eq!(errors[0].to_string(), "first");
        assert_eq!(errors.len(), 3);
        assert!(errors[1..].iter().all(|e| e.is::<ContextError>()));
    });
}

#[test]
fn the_error_returned_is_the_one_that_was_given() {
    let group: Group = Group::new();
    group.go(|| Err(std::io::Error::other("disk").into()));
    let error = group.wait().unwrap_err();
    assert!(error.is::<std::io::Error>());
}

#[test]
fn question_mark_converts_errors_in_closures_and_futures() {
    let group: Group = Group::new();
    group.go(|| {
        let _: u8 = "x".parse()?;
        Ok(())
    });
    group.go(async {
        let _: f32 = "y".parse()?;
        Ok(())
    });
    assert_eq!(group.wait_all().unwrap_err().len(), 2);
}

#[test]
fn the_cause_tells_the_error_and_its_sources() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot save")]
    struct Save(#[source] std::io::Error);
    let (group, ctx) = Group::<Boxed>::with_context(&Context::background());
    group.go(|| Err(Save(std::io::Error::other("disk full")).into()));
    group.wait().unwrap_err();
    let cause = ctx.cause().unwrap();
    let failure = cause.downcast_ref::<Failure>().unwrap();
    assert_eq!(failure.to_string(), "cannot save");
    assert_eq!(failure.source().unwrap().to_string(), "disk full");
    assert_eq!(
        format!("{failure:?}"),
        r#"Failure("cannot save", Failure("disk full"))"#
    );
}

#[test]
fn a_shared_error_is_the_cause_itself() {
    let (group, ctx) = Group::<Arc<dyn Error + Send + Sync>>::with_context(&Context::background());
    group.go(|| Err(Arc::new(std::io::Error::other("disk")) as _));
    let error = group.wait().unwrap_err();
    assert!(Arc::ptr_eq(&error, &ctx.cause().unwrap()));
}

#[test]
fn an_error_whose_text_panics_cancels_all_the_same() {
    struct Rude;
    impl fmt::Debug for Rude {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("no text")
        }
    }
    let (group, ctx) = Group::<Rude>::with_context(&Context::background());
    group.go(|| Err(Rude));
    within_a_minute(|| ctx.wait());
    assert!(matches!(group.wait(), Err(Rude)));
}

#[test]
fn a_panic_cancels_the_others_at_once_and_is_resumed_with_its_payload() {
    within_a_minute(|| {
        let (group, ctx) = Group::<Boxed>::with_context(&Context::background());
        group.go(move || Err(ctx.wait().into())); // ends only if the panic cancels
        group.go(async { panic!("oh") });
        assert_eq!(message(panic_of(|| group.wait())), "oh");
        // Told once; what else went wrong is for the next wait.
        assert!(group.wait().unwrap_err().is::<ContextError>());
        group.wait().unwrap();
    });
}

#[test]
fn a_panic_of_any_payload_is_resumed_by_each_kind_of_wait() {
    let group: Group = Group::new();
    group.go(|| std::panic::panic_any(7_u8));
    assert_eq!(*panic_of(|| group.wait_all()).downcast::<u8>().unwrap(), 7);
    group.go(|| std::panic::panic_any(8_u8));
    let payload = panic_of(|| block_on(group.wait_async()));
    assert_eq!(*payload.downcast::<u8>().unwrap(), 8);
}

#[test]
fn a_panic_nobody_waits_for_goes_to_the_pools_hook() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let hook = move |_: &_, payload| hears.lock().unwrap().push(message(payload));
    let pool = Pool::builder().workers(1).on_panic(hook).build().unwrap();
    // Before the group is dropped.
    let group: Group = Group::builder().on(pool.clone()).build();
    group.go(|| panic!("before"));
    until(|| group.num_goroutines() == 0);
    assert!(heard.lock().unwrap().is_empty(), "a wait may still come");
    drop(group);
    assert_eq!(*heard.lock().unwrap(), ["before"]);
    // After it.
    let group: Group = Group::builder().on(pool.clone()).build();
    let (tx, rx) = bounded::<()>(0);
    group.go(move || {
        let _ = rx.recv();
        panic!("after")
    });
    drop(group);
    drop(tx);
    pool.shutdown();
    assert_eq!(*heard.lock().unwrap(), ["before", "after"]);
}

#[test]
fn a_second_panic_goes_to_the_pools_hook() {
    let heard = Arc::new(AtomicUsize::new(0));
    let hears = Arc::clone(&heard);
    let hook = move |_: &_, _| _ = hears.fetch_add(1, Ordering::SeqCst);
    let pool = Pool::builder().workers(2).on_panic(hook).build().unwrap();
    let group: Group = Group::builder().on(pool).build();
    for _ in 0..5 {
        group.go(|| panic!("oh"));
    }
    panic_of(|| group.wait());
    group.wait().unwrap();
    assert_eq!(heard.load(Ordering::SeqCst), 4);
}

#[test]
fn dropping_the_last_handle_cancels_and_lets_the_goroutines_end() {
    let (group, ctx) = Group::<Boxed>::with_context(&Context::background());
    let live = Arc::new(AtomicUsize::new(0));
    let body = Live::new(&live);
    let watched = ctx.clone();
    group.go(move || {
        let _body = body;
        Err(watched.wait().into())
    });
    let other = group.clone();
    drop(group);
    assert_eq!(ctx.err(), None);
    drop(other);
    assert_eq!(ctx.err(), Some(ContextError::Canceled));
    within_a_minute(|| until(|| live.load(Ordering::SeqCst) == 0));
}

#[test]
fn a_goroutine_may_start_others_through_a_clone() {
    let group: Group = Group::new();
    let count = Arc::new(AtomicUsize::new(0));
    fn start(group: &Group, depth: u32, count: &Arc<AtomicUsize>) {
        let (again, counted) = (group.clone(), Arc::clone(count));
        group.go(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            if depth > 0 {
                start(&again, depth - 1, &counted);
                start(&again, depth - 1, &counted);
            }
            Ok(())
        });
    }
    start(&group, 6, &count);
    group.wait().unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 127);
}

#[test]
fn the_limit_cannot_change_while_goroutines_run() {
    let group: Group = Group::new();
    let (tx, rx) = bounded::<()>(0);
    group.go(move || Ok(rx.recv()?));
    let payload = panic_of(|| group.set_limit(Some(1)));
    let text = payload.downcast::<String>().unwrap();
    assert!(text.contains("while 1 of its goroutines run"), "{text}");
    tx.send(()).unwrap();
    group.wait().unwrap();
    group.set_limit(Some(1));
}

#[test]
fn go_under_a_limit_of_zero_panics_instead_of_waiting_for_ever() {
    let group: Group = Group::builder().limit(0).build();
    panic_of(|| group.go(|| Ok(())));
    panic_of(|| block_on(group.go_async(|| Ok(()))));
    assert!(!group.try_go(|| Ok(())));
    group.wait().unwrap();
    group.set_limit(Some(usize::MAX));
    group.go(|| Ok(()));
    group.wait().unwrap();
}

/// A group of limit 1 with a goroutine that runs until told.
fn full<E: fmt::Debug + Send + 'static>(
    ctx: &Context,
) -> (Group<E>, Context, rendez_select::Sender<()>) {
    let (group, ctx) = Group::builder().limit(1).with_context(ctx);
    let (tx, rx) = bounded(0);
    group.go(move || {
        let _: Result<(), _> = rx.recv();
        Ok(())
    });
    (group, ctx, tx)
}

#[test]
fn at_the_limit_go_gives_up_when_the_context_ends_and_wait_says_so() {
    within_a_minute(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let (group, _ctx, release) = full::<Boxed>(&parent);
        let live = Arc::new(AtomicUsize::new(0));
        let body = Live::new(&live);
        let other = group.clone();
        let blocked = thread::spawn(move || {
            other.go(move || {
                drop(body);
                panic!("it is not to run")
            });
        });
        cancel.cancel();
        blocked.join().unwrap();
        assert_eq!(live.load(Ordering::SeqCst), 0, "it was dropped");
        group.go(|| panic!("nor this, given up at once"));
        block_on(group.go_async(async { panic!("nor this") }));
        release.send(()).unwrap();
        let errors = group.wait_all().unwrap_err();
        assert_eq!(errors.len(), 1, "the end of the context is said once");
        assert!(errors[0].is::<ContextError>());
    });
}

#[test]
fn at_the_limit_go_gives_up_after_an_error_of_the_group() {
    within_a_minute(|| {
        let (group, ctx) = Group::<Custom>::builder()
            .limit(2)
            .with_context(&Context::background());
        let (tx, rx) = bounded::<()>(0);
        group.go(move || {
            let _: Result<(), _> = rx.recv();
            Ok(())
        });
        let (tx2, rx2) = bounded::<()>(0);
        group.go(move || {
            let _: Result<(), _> = rx2.recv();
            Err(Custom)
        });
        let other = group.clone();
        let failing = thread::spawn(move || drop(tx2));
        // Gives up, or is served by the one that failed; never hangs.
        other.go(|| Ok(()));
        other.go(|| Ok(()));
        failing.join().unwrap();
        assert_eq!(ctx.wait(), ContextError::Canceled);
        drop(tx);
        assert!(group.wait().is_err());
    });
}

#[derive(Debug, PartialEq)]
struct Custom;

impl fmt::Display for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("custom")
    }
}

#[test]
fn an_error_type_that_cannot_say_it_waits_on_at_the_limit() {
    within_a_minute(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let (group, _ctx, release) = full::<Custom>(&parent);
        cancel.cancel();
        let ran = Arc::new(AtomicUsize::new(0));
        for form in 0..2 {
            let (other, run) = (group.clone(), Arc::clone(&ran));
            let blocked = thread::spawn(move || {
                let task = move || {
                    run.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                };
                if form == 0 {
                    other.go(task)
                } else {
                    block_on(other.go_async(task))
                }
            });
            if form == 0 {
                release.send(()).unwrap();
            }
            blocked.join().unwrap();
        }
        group.wait().unwrap();
        assert_eq!(ran.load(Ordering::SeqCst), 2);
    });
}

#[test]
fn cancelled_as_tells_how_to_say_it() {
    within_a_minute(|| {
        let (parent, cancel) = Context::background().with_cancel();
        let builder = Group::<Custom>::builder().limit(1).cancelled_as(|_| Custom);
        let (group, _ctx) = builder.with_context(&parent);
        let (tx, rx) = bounded::<()>(0);
        group.go(move || {
            let _: Result<(), _> = rx.recv();
            Ok(())
        });
        cancel.cancel();
        group.go(|| panic!("it is not to run"));
        drop(tx);
        assert_eq!(group.wait(), Err(Custom));
    });
}

#[test]
fn go_at_the_limit_is_served_in_order_of_arrival_whatever_its_form() {
    within_a_minute(|| {
        let (group, _ctx, release) = full::<Boxed>(&Context::background());
        let order = Arc::new(Mutex::new(Vec::new()));
        let note = |i: usize| {
            let order = Arc::clone(&order);
            move || {
                order.lock().unwrap().push(i);
                Ok(())
            }
        };
        let mut first = pin!(group.go_async(note(0)));
        let mut cx = TaskContext::from_waker(Waker::noop());
        assert!(first.as_mut().poll(&mut cx).is_pending());
        let mut second = pin!(group.go_async(note(1)));
        assert!(second.as_mut().poll(&mut cx).is_pending());
        assert!(!group.try_go(note(9)), "nobody overtakes");
        release.send(()).unwrap();
        block_on(first);
        block_on(second);
        group.wait().unwrap();
        assert_eq!(*order.lock().unwrap(), [0, 1]);
    });
}

#[test]
fn a_go_future_dropped_at_any_point_starts_nothing_and_passes_its_turn_on() {
    within_a_minute(|| {
        let (group, _ctx, release) = full::<Boxed>(&Context::background());
        let live = Arc::new(AtomicUsize::new(0));
        let mut cx = TaskContext::from_waker(Waker::noop());
        let body = Live::new(&live);
        drop(group.go_async(move || {
            drop(body);
            Ok(())
        }));
        assert_eq!(live.load(Ordering::SeqCst), 0, "never polled");
        let body = Live::new(&live);
        let mut served = Box::pin(group.go_async(move || {
            drop(body);
            panic!("dropped before it was polled to its end")
        }));
        assert!(served.as_mut().poll(&mut cx).is_pending());
        let mut behind = pin!(group.go_async(|| Ok(())));
        assert!(behind.as_mut().poll(&mut cx).is_pending());
        release.send(()).unwrap();
        until(|| group.num_goroutines() == 0); // its slot has gone to `served`
        drop(served);
        assert_eq!(live.load(Ordering::SeqCst), 0);
        block_on(behind);
        group.wait().unwrap();
    });
}

#[test]
fn a_wait_future_dropped_takes_nothing() {
    let (group, ctx, release) = full::<Boxed>(&Context::background());
    let mut cx = TaskContext::from_waker(Waker::noop());
    assert!(pin!(group.wait_async()).poll(&mut cx).is_pending());
    assert_eq!(ctx.err(), None);
    release.send(()).unwrap();
    block_on(group.wait_async()).unwrap();
    assert!(ctx.err().is_some());
}

#[test]
fn a_group_is_used_again_after_a_wait() {
    let (group, ctx) = Group::<String>::with_context(&Context::background());
    for i in 0..100 {
        group.go(move || {
            if i % 2 == 0 {
                Err(i.to_string())
            } else {
                Ok(())
            }
        });
        let expected = if i % 2 == 0 {
            Err(i.to_string())
        } else {
            Ok(())
        };
        assert_eq!(group.wait(), expected);
        assert!(ctx.err().is_some());
    }
}

#[test]
fn futures_of_a_group_are_send_and_its_handles_shared() {
    fn send<T: Send>(_: &T) {}
    fn sync<T: Send + Sync>(_: &T) {}
    let group: Group = Group::new();
    sync(&group);
    send(&group.wait_async());
    send(&group.go_async(async { Ok(()) }));
}

#[test]
fn goroutines_nest_on_a_pool_of_one_worker_with_a_limit_of_one() {
    within_a_minute(|| {
        let pool = Pool::builder().workers(1).build().unwrap();
        let handle = pool.go(|| {
            let outer: Group = Group::builder().limit(1).build();
            for _ in 0..10 {
                outer.go(|| {
                    let inner: Group = Group::builder().limit(1).build();
                    for _ in 0..10 {
                        inner.go(async { Ok(()) });
                        inner.go(|| Ok(()));
                    }
                    inner.wait()
                });
            }
            outer.wait()
        });
        handle.join().unwrap().unwrap();
    });
}

#[test]
fn a_goroutine_refused_by_its_pool_is_not_passed_over_in_silence() {
    let pool = Pool::builder().workers(1).build().unwrap();
    pool.shutdown();
    let (group, ctx) = Group::<String>::builder()
        .on(pool)
        .with_context(&Context::background());
    group.go(|| Ok(()));
    assert!(ctx.err().is_some());
    panic_of(|| group.wait());
    group.wait().unwrap();
}

#[test]
fn the_context_is_watched_in_a_select() {
    let (group, ctx) = Group::<Boxed>::with_context(&Context::background());
    let (_tx, rx) = bounded::<()>(0);
    group.go(move || {
        select_biased! {
            recv(rx) -> _ => Ok(()),
            recv(ctx.done()) -> end => Err(end.into()),
        }
    });
    group.go(|| Err("first".into()));
    assert_eq!(
        within_a_minute(|| group.wait()).unwrap_err().to_string(),
        "first"
    );
}
