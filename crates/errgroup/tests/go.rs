//! Go's tests of `errgroup`, told in our words: see `README.md` beside this file.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use common::within_a_minute;
use rendez_context::{Context, ContextError};
use rendez_errgroup::Group;
use rendez_pool::block_on;
use rendez_select::bounded;

type Errors = &'static [Option<&'static str>];

const LISTS: &[Errors] = &[
    &[],
    &[None],
    &[Some("1")],
    &[None, Some("1")],
    &[Some("1"), None],
    &[Some("1"), Some("2")],
    &[None, None, Some("3"), None],
];

fn result(error: Option<&'static str>) -> Result<(), &'static str> {
    error.map_or(Ok(()), Err)
}

/// Who starts the goroutines and waits for them.
#[derive(Clone, Copy, Debug)]
enum By {
    /// A thread, which blocks; the goroutines are closures.
    Thread,
    /// A task, which awaits; the goroutines are futures.
    Task,
}

const FORMS: [By; 2] = [By::Thread, By::Task];

impl By {
    fn go(self, group: &Group<&'static str>, error: Option<&'static str>) {
        match self {
            Self::Thread => group.go(move || result(error)),
            Self::Task => block_on(group.go_async(async move { result(error) })),
        }
    }

    fn wait(self, group: &Group<&'static str>) -> Result<(), &'static str> {
        match self {
            Self::Thread => group.wait(),
            Self::Task => block_on(group.wait_async()),
        }
    }
}

/// Every list, in both forms.
fn lists() -> impl Iterator<Item = (By, Errors)> {
    FORMS
        .iter()
        .flat_map(|&by| LISTS.iter().map(move |&errors| (by, errors)))
}

fn first(errors: Errors) -> Result<(), &'static str> {
    result(errors.iter().find_map(|e| *e))
}

/// `TestZeroGroup`. Theirs keeps the first error for every later `Wait`; ours hands each out
/// once, so the waits together have told of every one.
#[test]
fn a_new_group_tells_after_each_goroutine_what_it_came_to() {
    for (by, errors) in lists() {
        let group = Group::new();
        for &error in errors {
            by.go(&group, error);
            assert_eq!(by.wait(&group), result(error), "{by:?}");
        }
        assert_eq!(by.wait(&group), Ok(()));
    }
}

/// `TestZeroGroup`, for what came since the last wait.
#[test]
fn a_group_tells_the_first_error_of_those_since_the_last_wait() {
    for (by, errors) in lists() {
        let group = Group::builder().limit(1).build();
        for &error in errors {
            by.go(&group, error); // one after the other
        }
        assert_eq!(by.wait(&group), first(errors), "{by:?}");
    }
}

/// `TestWithContext`.
#[test]
fn the_context_has_ended_when_wait_returns_whatever_it_returns() {
    for (by, errors) in lists() {
        let (group, ctx) = Group::builder()
            .limit(1)
            .with_context(&Context::background());
        for &error in errors {
            by.go(&group, error);
        }
        // Those behind an error at the limit are given up, so the first is what remains.
        assert_eq!(by.wait(&group), first(errors), "{by:?}");
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
    }
}

/// `TestTryGo`.
#[test]
fn try_go_starts_up_to_the_limit_and_again_after_a_wait() {
    within_a_minute(|| {
        let group: Group = Group::new();
        let n = 42;
        group.set_limit(Some(n));
        let (tx, rx) = bounded::<()>(0);
        let task = || {
            let rx = rx.clone();
            move || Ok(rx.recv()?)
        };
        for _ in 0..n {
            assert!(group.try_go(task()));
        }
        assert!(!group.try_go(task()), "one too many");
        let senders = thread::spawn({
            let tx = tx.clone();
            move || (0..n).for_each(|_| tx.send(()).unwrap())
        });
        group.wait().unwrap();
        senders.join().unwrap();

        assert!(group.try_go(task()), "after the wait");
        tx.send(()).unwrap();
        group.wait().unwrap();

        group.set_limit(None);
        for _ in 0..2 * n {
            assert!(group.try_go(task()), "without limit");
        }
        (0..2 * n).for_each(|_| tx.send(()).unwrap());
        group.wait().unwrap();

        group.set_limit(Some(0));
        for _ in 0..3 {
            assert!(!group.try_go(task()), "under a limit of zero");
        }
        group.wait().unwrap();
    });
}

/// `TestGoLimit`.
#[test]
fn never_more_than_the_limit_run() {
    const LIMIT: usize = 10;
    within_a_minute(|| {
        let group: Group = Group::new();
        group.set_limit(Some(LIMIT));
        let active = Arc::new(AtomicUsize::new(0));
        for i in 0..=1024 {
            let active = Arc::clone(&active);
            let task = move || {
                let n = active.fetch_add(1, Ordering::SeqCst) + 1;
                if n > LIMIT {
                    return Err(format!("{n} run at the same time").into());
                }
                thread::yield_now();
                active.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            match i % 4 {
                0 => group.go(task),
                1 => group.go(async move { task() }),
                2 => block_on(group.go_async(task)),
                _ => block_on(group.go_async(async move { task() })),
            }
        }
        group.wait().unwrap();
    });
}

/// `TestCancelCause`.
#[test]
fn the_cause_is_the_first_error_or_the_wait_itself() {
    for (by, errors) in lists() {
        let (group, ctx) = Group::builder()
            .limit(1)
            .with_context(&Context::background());
        for &error in errors {
            by.go(&group, error);
        }
        let told = by.wait(&group);
        assert_eq!(told, first(errors), "{by:?}");
        let cause = ctx.cause().unwrap();
        match told {
            Err(error) => assert_eq!(cause.to_string(), error),
            Ok(()) => assert!(cause.is::<rendez_context::Canceled>()),
        }
    }
}

/// What Go does without a test: `f` runs, even after an error or a cancellation.
#[test]
fn below_the_limit_a_goroutine_runs_whatever_has_happened() {
    let (group, ctx) = Group::<&str>::with_context(&Context::background());
    group.go(|| Err("first"));
    ctx.wait();
    let ran = Arc::new(AtomicUsize::new(0));
    let run = |ran: &Arc<AtomicUsize>| {
        let ran = Arc::clone(ran);
        move || {
            ran.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
    };
    group.go(run(&ran));
    assert_eq!(group.wait(), Err("first"));
    group.go(run(&ran)); // after a wait that returned an error
    assert_eq!(group.wait(), Ok(()));
    assert_eq!(ran.load(Ordering::SeqCst), 2);
}
