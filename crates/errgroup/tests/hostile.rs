//! Errors, payloads and goroutines that panic when they are dropped. A second panic while a
//! first unwinds would end the process, so each test's process ending well is a part of the
//! test.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use common::{until, within_a_minute};
use rendez_context::Context;
use rendez_errgroup::{Group, scope, try_map};

/// Panics when it is dropped, even during a panic.
struct Bomb(usize, Arc<AtomicUsize>);

impl Drop for Bomb {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::SeqCst);
        panic!("a drop panics, on purpose");
    }
}

impl fmt::Debug for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bomb {}", self.0)
    }
}

/// Keeps it from being dropped.
fn disarm(bomb: Bomb) -> usize {
    let n = bomb.0;
    std::mem::forget(bomb);
    n
}

/// Starts `n` goroutines that end, one after the other, with a bomb for an error.
fn fail(group: &Group<Bomb>, n: usize, drops: &Arc<AtomicUsize>) {
    for i in 0..n {
        let drops = Arc::clone(drops);
        group.go(move || Err(Bomb(i, drops)));
    }
}

#[test]
fn the_first_error_is_told_though_the_others_panic_when_dropped() {
    within_a_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        // Without a context, whose end would have those behind the first given up.
        let group = Group::builder().limit(1).build();
        fail(&group, 4, &drops);
        let told = group.wait().map_err(disarm);
        assert_eq!(told, Err(0));
        assert_eq!(drops.load(Ordering::SeqCst), 3);
        assert!(group.wait().is_ok(), "as new");
    });
}

#[test]
fn errors_nobody_waits_for_are_dropped_and_the_context_ends() {
    within_a_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        // Before the last handle goes, and after.
        let (group, _ctx) = Group::with_context(&Context::background());
        fail(&group, 3, &drops);
        until(|| group.num_goroutines() == 0);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(group)));
        assert_eq!(drops.swap(0, Ordering::SeqCst), 3);

        let (group, ctx) = Group::with_context(&Context::background());
        for i in 0..3 {
            let (ctx, drops) = (ctx.clone(), Arc::clone(&drops));
            group.go(move || {
                ctx.wait();
                Err(Bomb(i, drops))
            });
        }
        drop(group);
        until(|| drops.load(Ordering::SeqCst) == 3);
    });
}

#[test]
fn the_context_ends_with_the_last_handle_though_an_error_panics_when_dropped() {
    within_a_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (outer, _cancel) = Context::background().with_cancel();
        let (group, ctx) = Group::with_context(&outer);
        // Keeps what the handles share alive.
        let (tx, rx) = mpsc::channel::<()>();
        group.go(move || {
            let _ = rx.recv();
            Ok(())
        });
        fail(&group, 1, &drops);
        ctx.wait();
        until(|| group.num_goroutines() == 1);
        let _ = catch_unwind(AssertUnwindSafe(|| drop(group)));
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert_eq!(outer.__n_children(), 0);
        drop(tx);
    });
}

#[test]
fn payloads_that_panic_when_dropped_are_resumed_or_reported() {
    within_a_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let explode = |group: &Group| {
            for i in 0..3 {
                let drops = Arc::clone(&drops);
                group.go(move || panic_any(Bomb(i, drops)));
            }
        };
        let group: Group = Group::builder().limit(1).build();
        explode(&group);
        let payload = catch_unwind(AssertUnwindSafe(|| group.wait())).unwrap_err();
        assert_eq!(disarm(*payload.downcast::<Bomb>().unwrap()), 0);
        until(|| drops.load(Ordering::SeqCst) == 2);
        assert!(group.wait().is_ok());

        let group = Group::new();
        explode(&group);
        drop(group);
        until(|| drops.load(Ordering::SeqCst) == 5);
    });
}

#[test]
fn a_text_that_panics_with_a_payload_that_panics_hides_no_error() {
    struct Mute(Arc<AtomicUsize>);
    impl fmt::Debug for Mute {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic_any(Bomb(0, Arc::clone(&self.0)))
        }
    }
    within_a_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (group, ctx) = Group::with_context(&Context::background());
        let counted = Arc::clone(&drops);
        group.go(move || Err(Mute(counted)));
        assert!(group.wait().is_err());
        assert_eq!(
            ctx.cause().unwrap().to_string(),
            "an error whose text panicked"
        );
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_goroutine_given_up_that_panics_when_dropped_tells_who_would_have_started_it() {
    within_a_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let (outer, cancel) = Context::background().with_cancel();
        let builder = Group::<String>::builder().limit(1);
        let (group, _ctx) = builder.with_context(&outer);
        let (tx, rx) = mpsc::channel::<()>();
        group.go(move || {
            let _ = rx.recv();
            Ok(())
        });
        cancel.cancel();
        let bomb = Bomb(0, Arc::clone(&drops));
        let go = || {
            group.go(move || {
                let _bomb = bomb;
                Ok(())
            });
        };
        assert!(catch_unwind(AssertUnwindSafe(go)).is_err());
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        drop(tx);
        assert_eq!(group.wait(), Err("context canceled".into()));
        group.set_limit(None); // every slot has come back
    });
}

#[test]
fn a_scope_and_a_map_tell_the_first_error_and_leave_nobody_behind() {
    within_a_minute(|| {
        let drops = Arc::new(AtomicUsize::new(0));
        let ctx = Context::background();
        let ended = AtomicUsize::new(0);
        let failed = scope(&ctx, |s| {
            s.limit(1);
            for i in 0..3 {
                let (ended, drops) = (&ended, &drops);
                s.go(move || {
                    ended.fetch_add(1, Ordering::SeqCst);
                    Err(Bomb(i, Arc::clone(drops)))
                });
            }
        });
        // At the limit those behind the first error may be given up.
        assert_eq!(failed.map_err(disarm), Err(0));
        assert_eq!(drops.swap(0, Ordering::SeqCst) + 1, ended.into_inner());

        let failed = try_map(&ctx, 2, 0..2, |i| {
            // Both begin before either fails.
            Err::<(), _>(Bomb(i, Arc::clone(&drops)))
        });
        let first = failed.map_err(disarm).unwrap_err();
        assert!(first < 2);
        assert!(drops.load(Ordering::SeqCst) < 2);
    });
}
