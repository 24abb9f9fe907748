//! What happens once: Once, OnceCell, Lazy, functions.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::cell::Cell;
use std::future::{Future as _, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use common::{assert_pending, assert_ready, block_on, stress, within_reason};
use rendez_sync::{Lazy, Once, OnceCell, once_func, once_value};

/// What a closure panicked with, as text.
fn panic_of<R>(f: impl FnOnce() -> R) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).err().expect("it panics");
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .expect("a text")
}

#[test]
fn a_once_runs_one_function_whoever_calls_with_whatever() {
    within_reason(|| {
        let once = Once::new();
        let runs = AtomicUsize::new(0);
        let run = || {
            runs.fetch_add(1, Ordering::Relaxed);
        };
        thread::scope(|s| {
            for i in 0..8 {
                let (once, runs, run) = (&once, &runs, &run);
                s.spawn(move || {
                    if i % 2 == 0 {
                        once.call_once(run);
                    } else {
                        block_on(once.call_once_async(|| async { run() }));
                    }
                    assert_eq!(runs.load(Ordering::Relaxed), 1);
                });
            }
        });
        assert!(once.is_completed());
        once.call_once(|| panic!("called twice"));
    });
}

#[test]
fn a_once_whose_function_panicked_runs_no_other_and_reports_it() {
    let once = Once::new();
    assert_eq!(panic_of(|| once.call_once(|| panic!("boom"))), "boom");
    let later = panic_of(|| once.call_once(|| unreachable!()));
    assert_eq!(later, "boom");
    let later = panic_of(|| block_on(once.call_once_async(|| async { unreachable!() })));
    assert_eq!(later, "boom");
    assert!(!once.is_completed());
}

#[test]
fn a_panic_of_an_awaited_function_is_reported_too() {
    let once = Once::new();
    let first = panic_of(|| block_on(once.call_once_async(|| async { panic!("boom") })));
    assert_eq!(first, "boom");
    assert!(catch_unwind(AssertUnwindSafe(|| once.call_once(|| ()))).is_err());
}

#[test]
fn a_cancelled_call_lets_the_next_run() {
    let once = Once::new();
    let mut cancelled = Box::pin(once.call_once_async(pending));
    assert_pending(cancelled.as_mut());
    let ran = Cell::new(false);
    let mut next = pin!(once.call_once_async(|| async { ran.set(true) }));
    assert_pending(next.as_mut());
    drop(cancelled);
    assert_ready(next);
    assert!(ran.get() && once.is_completed());
}

#[test]
fn a_turn_given_to_a_dropped_future_passes_on() {
    let once = Once::new();
    let mut first = Box::pin(once.call_once_async(pending));
    assert_pending(first.as_mut());
    let mut second = Box::pin(once.call_once_async(pending));
    assert_pending(second.as_mut());
    drop(first);
    drop(second);
    once.call_once(|| ());
    assert!(once.is_completed());
}

#[test]
fn a_waker_that_panics_while_a_panic_is_reported_does_not_abort() {
    struct Bomb;
    impl Wake for Bomb {
        fn wake(self: Arc<Self>) {
            panic!("the waker's");
        }
    }
    let once = Once::new();
    let mut waiting = Box::pin(once.call_once_async(|| async {}));
    let text = panic_of(|| {
        once.call_once(|| {
            let waker = Waker::from(Arc::new(Bomb));
            let other = || {
                waiting
                    .as_mut()
                    .poll(&mut Context::from_waker(&waker))
                    .is_pending()
            };
            // As another goroutine would: this one may not wait for itself.
            assert!(thread::scope(|s| s.spawn(other).join().unwrap()));
            panic!("the function's");
        });
    });
    assert_eq!(text, "the function's", "the waker's goes no further");
    drop(waiting);
    assert!(catch_unwind(AssertUnwindSafe(|| once.call_once(|| ()))).is_err());
}

#[test]
fn re_entrant_initialisation_panics_instead_of_hanging() {
    within_reason(|| {
        let once = Once::new();
        let text = panic_of(|| once.call_once(|| once.call_once(|| ())));
        assert!(text.contains("re-entrant initialisation at"), "{text}");

        let cell = OnceCell::new();
        let text = panic_of(|| *cell.get_or_init(|| *cell.get_or_init(|| 1) + 1));
        assert!(text.contains("re-entrant initialisation at"), "{text}");

        let cell = OnceCell::new();
        let inner = || async { *cell.get_or_init_async(|| async { 1 }).await };
        let text = panic_of(|| *block_on(cell.get_or_init_async(inner)));
        assert!(text.contains("re-entrant initialisation at"), "{text}");
    });
}

#[test]
fn a_once_function_that_calls_itself_is_told_where_it_was_made() {
    static SELF: OnceCell<Box<dyn Fn() + Send + Sync>> = OnceCell::new();
    let line = line!() + 1;
    let f = once_func(|| SELF.get().unwrap()());
    assert!(SELF.set(Box::new(f)).is_ok());
    let text = panic_of(|| SELF.get().unwrap()());
    assert!(text.contains(&format!("{}:{line}:", file!())), "{text}");
}

#[test]
fn two_tasks_of_one_thread_are_not_re_entrant() {
    let cell = OnceCell::new();
    let mut polls = 0;
    let slow = poll_fn(|_| {
        polls += 1;
        if polls == 2 {
            Poll::Ready(1)
        } else {
            Poll::Pending
        }
    });
    let mut first = pin!(cell.get_or_init_async(|| slow));
    let mut second = pin!(cell.get_or_init_async(|| async { 2 }));
    assert_pending(first.as_mut());
    assert_pending(second.as_mut());
    assert_eq!((*assert_ready(first), *assert_ready(second)), (1, 1));
}

#[test]
fn a_cell_stays_empty_when_its_maker_fails() {
    let cell = OnceCell::new();
    assert_eq!(cell.get_or_try_init(|| Err("no")), Err("no"));
    let failing = cell.get_or_try_init_async(|| async { Err("no") });
    assert_eq!(block_on(failing), Err("no"));
    assert_eq!(cell.get(), None);
    let made = cell.get_or_try_init_async(|| async { Ok::<_, ()>(4) });
    assert_eq!(block_on(made), Ok(&4));
    assert_eq!(cell.get_or_try_init(|| Err("no")), Ok(&4));
}

#[test]
fn a_makers_panic_is_reported_to_every_caller_until_the_cell_is_taken() {
    let mut cell = OnceCell::new();
    let (begun, ran) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                begun.fetch_add(1, Ordering::Relaxed);
                let text = panic_of(|| {
                    *cell.get_or_init(|| {
                        ran.fetch_add(1, Ordering::Relaxed);
                        while begun.load(Ordering::Relaxed) < 4 {
                            thread::yield_now();
                        }
                        panic!("boom")
                    })
                });
                assert_eq!(text, "boom");
            });
        }
    });
    assert_eq!(ran.into_inner(), 1);
    assert_eq!(cell.get(), None);
    let later: [&dyn Fn() -> u8; 4] = [
        &|| *cell.get_or_init(|| 1),
        &|| *cell.get_or_try_init(|| Ok::<_, ()>(1)).unwrap(),
        &|| *block_on(cell.get_or_init_async(|| async { 1 })),
        &|| cell.set(1).map_or_else(|v| v, |()| 1),
    ];
    for later in later {
        assert_eq!(panic_of(later), "boom");
    }
    assert_eq!(cell.try_set(1), Err(1));
    assert_eq!(cell.take(), None);
    assert_eq!(*cell.get_or_init(|| 2), 2);

    let cell = OnceCell::new();
    let awaited = || *block_on(cell.get_or_init_async(|| async { panic!("awaited") }));
    assert_eq!(panic_of(awaited), "awaited");
    assert_eq!(panic_of(|| *cell.get_or_init(|| 1)), "awaited");
}

#[test]
fn a_cell_is_set_taken_changed_and_compared() {
    let mut cell = OnceCell::new();
    assert_eq!(cell.try_set(1), Ok(()));
    assert_eq!((cell.try_set(2), cell.set(3)), (Err(2), Err(3)));
    *cell.get_mut().unwrap() += 1;
    let copy = cell.clone();
    assert!(copy == cell && copy != OnceCell::default());
    assert_eq!(format!("{cell:?}"), "OnceCell(Some(2))");
    assert_eq!((cell.take(), cell.take()), (Some(2), None));
    assert_eq!(*cell.get_or_init(|| 5), 5);
    assert_eq!(cell.into_inner(), Some(5));
}

#[test]
fn try_set_does_not_wait_for_a_maker() {
    let cell = OnceCell::new();
    let mut maker = Box::pin(cell.get_or_init_async(pending));
    assert_pending(maker.as_mut());
    assert_eq!(cell.try_set(1), Err(1));
    drop(maker);
    assert_eq!(cell.try_set(1), Ok(()));
}

#[test]
fn a_cells_value_is_dropped_once() {
    let counted = Arc::new(());
    let cell = OnceCell::from(Arc::clone(&counted));
    assert_eq!(Arc::strong_count(&counted), 2);
    drop(cell);
    assert_eq!(Arc::strong_count(&counted), 1);
}

#[test]
fn a_once_func_runs_once_and_drops_its_captures() {
    let captured = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&captured);
    let f = once_func(move || {
        theirs.fetch_add(1, Ordering::Relaxed);
    });
    f();
    assert_eq!(Arc::strong_count(&captured), 1);
    thread::scope(|s| {
        s.spawn(&f);
        s.spawn(&f);
    });
    assert_eq!(captured.load(Ordering::Relaxed), 1);
}

#[test]
fn a_once_funcs_panic_is_reported_at_every_call() {
    let captured = Arc::new(());
    let theirs = Arc::clone(&captured);
    let f = once_func(move || {
        let _theirs = theirs;
        panic!("boom {}", 1)
    });
    for _ in 0..3 {
        assert_eq!(panic_of(&f), "boom 1");
    }
    assert_eq!(Arc::strong_count(&captured), 1);
    let f = once_func(|| panic_any(7));
    let first = catch_unwind(AssertUnwindSafe(&f)).unwrap_err();
    assert_eq!(first.downcast_ref(), Some(&7));
    assert_eq!(panic_of(&f), "the function has panicked");
}

#[test]
fn a_once_value_is_made_once_and_shared() {
    let runs = AtomicUsize::new(0);
    let value = once_value(|| runs.fetch_add(1, Ordering::Relaxed) + 42);
    thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| assert_eq!(*value(), 42));
        }
    });
    assert!(Arc::ptr_eq(&value(), &value()));
    let failing = once_value(|| -> u8 { panic!("boom") });
    for _ in 0..2 {
        assert_eq!(panic_of(&failing), "boom");
    }
}

#[test]
fn a_lazy_is_made_on_first_use() {
    static LAZY: Lazy<String> = Lazy::new(|| "made".into());
    assert_eq!(Lazy::get(&LAZY), None);
    assert_eq!(&**LAZY, "made");
    assert_eq!(format!("{:?}", &LAZY), "Lazy(Some(\"made\"))");
    let failing: Lazy<u8> = Lazy::new(|| panic!("boom"));
    assert_eq!(panic_of(|| *failing), "boom");
    assert_eq!(panic_of(|| *failing), "boom", "in the same words");
    assert_eq!(panic_of(|| *failing), "boom", "and again");
}

#[test]
fn makers_that_fail_and_are_cancelled_leave_one_value_under_stress() {
    stress(|_| {
        for _ in 0..50 {
            let cell = OnceCell::new();
            let made = AtomicUsize::new(0);
            thread::scope(|s| {
                for i in 0..4 {
                    let (cell, made) = (&cell, &made);
                    s.spawn(move || match i {
                        0 => {
                            let _ = cell.get_or_try_init(|| Err(()));
                        }
                        1 => {
                            let mut future = Box::pin(cell.get_or_init_async(pending));
                            let _ = common::poll_once(future.as_mut());
                        }
                        _ => {
                            let make = || made.fetch_add(1, Ordering::Relaxed);
                            assert_eq!(*cell.get_or_init(make), 0);
                        }
                    });
                }
            });
            assert_eq!(made.load(Ordering::Relaxed), 1);
        }
    });
}
