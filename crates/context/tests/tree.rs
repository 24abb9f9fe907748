//! What contexts promise about each other: who ends with whom, why, and what is left behind.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rendez_context::{Canceled, Context, ContextError};

const CANCELED: Option<ContextError> = Some(ContextError::Canceled);
const EXPIRED: Option<ContextError> = Some(ContextError::DeadlineExceeded);
const HOUR: Duration = Duration::from_secs(3600);

fn cause(ctx: &Context) -> String {
    ctx.cause()
        .map_or_else(|| "none".into(), |cause| cause.to_string())
}

#[test]
fn roots_never_end_and_have_nothing() {
    for (ctx, name) in [
        (Context::background(), "context.Background"),
        (Context::todo(), "context.TODO"),
        (Context::default(), "context.Background"),
    ] {
        assert_eq!(ctx.err(), None);
        assert_eq!(ctx.check(), Ok(()));
        assert!(ctx.cause().is_none());
        assert_eq!((ctx.deadline(), ctx.remaining()), (None, None));
        assert!(ctx.value::<u8>().is_none());
        assert_eq!(format!("{ctx:?}"), name);
    }
}

#[test]
fn a_cancel_ends_all_below_and_none_above() {
    let (parent, _cancel_parent) = Context::background().with_cancel();
    let (ctx, cancel) = parent.with_value(1_u8).with_cancel();
    let (timed, _cancel_timed) = ctx.with_timeout(HOUR);
    let (leaf, _cancel_leaf) = timed.with_value("x").with_cancel();
    cancel.cancel();
    for ended in [&ctx, &timed, &leaf] {
        assert_eq!(ended.err(), CANCELED);
    }
    assert_eq!(parent.err(), None);
    assert_eq!(parent.__n_children(), 0);
    let (late, _cancel) = leaf.with_cancel();
    assert_eq!(late.err(), CANCELED, "made after the end, ended on return");
}

#[test]
fn dropping_the_cancel_cancels_and_detaching_it_does_not() {
    let (ctx, cancel) = Context::background().with_cancel();
    drop(cancel);
    assert_eq!(ctx.err(), CANCELED);
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.detach();
    assert_eq!(ctx.err(), None);
}

#[test]
fn a_child_leaves_its_parents_list_at_once() {
    let (parent, _cancel) = Context::background().with_cancel();
    let (a, cancel_a) = parent.with_cancel();
    let (b, cancel_b) = parent.with_timeout(HOUR);
    let c = parent.with_value(1_u8);
    let after = parent.after_func(|| ());
    assert_eq!(parent.__n_children(), 3);
    cancel_a.cancel();
    assert_eq!(
        parent.__n_children(),
        2,
        "cancelled, its handles still there"
    );
    cancel_b.detach();
    drop(b);
    assert_eq!(parent.__n_children(), 1, "dropped, its deadline far off");
    assert!(after.stop());
    assert_eq!(parent.__n_children(), 0);
    drop((a, c));
}

#[test]
fn the_first_cause_wins_and_flows_down() {
    let (parent, cancel_parent) = Context::background().with_cancel();
    let (child, cancel_child) = parent.with_cancel();
    let (grandchild, _cancel) = child.with_cancel();
    cancel_child.cancel_with("child");
    cancel_child.cancel_with("again");
    cancel_parent.cancel_with("parent");
    assert_eq!(cause(&parent), "parent");
    assert_eq!(cause(&child), "child");
    assert_eq!(cause(&grandchild), "child");
    let (late, _cancel) = grandchild.with_cancel();
    assert_eq!(cause(&late), "child");
}

#[test]
fn a_cause_keeps_its_type_and_can_be_passed_on() {
    #[derive(Debug, PartialEq)]
    struct TooSlow(u8);
    impl fmt::Display for TooSlow {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} s are too slow", self.0)
        }
    }
    impl Error for TooSlow {}

    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel_with(TooSlow(3));
    assert_eq!(ctx.cause().unwrap().downcast_ref(), Some(&TooSlow(3)));
    let (other, cancel) = Context::background().with_cancel();
    cancel.cancel_with(ctx.cause().unwrap());
    assert_eq!(other.cause().unwrap().downcast_ref(), Some(&TooSlow(3)));
    assert!(Arc::ptr_eq(&other.cause().unwrap(), &ctx.cause().unwrap()));
}

#[test]
fn who_cancelled_is_told_by_cause_and_debug() {
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel();
    let line = line!() - 1;
    let place = format!("{}:{line}:", file!());
    let told = ctx.cause().unwrap();
    assert!(told.to_string().contains(&place), "{told}");
    assert_eq!(
        told.downcast_ref::<Canceled>().unwrap().location().line(),
        line
    );
    let source = told.source().unwrap().downcast_ref();
    assert_eq!(source, Some(&ContextError::Canceled));
    assert!(format!("{ctx:?}").contains(&place));

    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel_with("enough");
    let place = format!("{}:{}:", file!(), line!() - 1);
    assert_eq!(cause(&ctx), "enough");
    assert!(format!("{ctx:?}").contains(&place), "{ctx:?}");

    let (ctx, cancel) = Context::background().with_cancel();
    let place = format!("{}:{}:", file!(), line!() - 1);
    drop(cancel);
    assert!(cause(&ctx).contains(&place), "{ctx:?}");
}

#[test]
fn a_deadline_that_has_passed_ends_the_context_on_return() {
    let background = Context::background();
    for (ctx, _cancel) in [
        background.with_timeout(Duration::ZERO),
        background.with_deadline(Instant::now()),
        background.with_timeout_cause(Duration::ZERO, "slow"),
    ] {
        assert_eq!(ctx.err(), EXPIRED);
        assert_eq!(ctx.remaining(), Some(Duration::ZERO));
    }
}

#[test]
fn so_it_does_under_a_deadline_that_has_passed_and_not_been_told() {
    for i in 0..1000_u64 {
        let timeout = Duration::from_micros(i % 50);
        let (parent, _cancel) = Context::background().with_timeout_cause(timeout, "the parent's");
        let (parent, _cancel) = Context::merge(&[&Context::background(), &parent]);
        let deadline = parent.deadline().unwrap();
        while Instant::now() < deadline {
            std::hint::spin_loop();
        }
        let (child, _cancel) = parent.with_timeout_cause(Duration::ZERO, "the child's");
        assert_eq!(child.err(), EXPIRED);
        assert_eq!(cause(&child), "the parent's", "it came first");
    }
}

#[test]
fn deadlines_of_a_long_chain_are_found_at_once() {
    let mut ctx = Context::background();
    for _ in 0..100_000 {
        let (child, cancel) = ctx.with_timeout(HOUR);
        cancel.detach();
        let (child, cancel) = child.with_cancel();
        cancel.detach();
        ctx = child;
    }
    assert!(ctx.remaining().unwrap() <= HOUR);
}

#[test]
fn the_earliest_deadline_of_the_chain_counts() {
    let (short, _cancel) = Context::background().with_timeout(HOUR);
    let (long, _cancel) = short.with_timeout(2 * HOUR);
    assert_eq!(long.deadline(), short.deadline());
    let (shorter, _cancel) = long.with_value(1_u8).with_timeout(HOUR / 2);
    assert!(shorter.deadline() < short.deadline());
    let (endless, _cancel) = Context::background().with_timeout(Duration::MAX);
    assert_eq!(endless.deadline(), None);
    assert!(long.remaining().unwrap() <= HOUR);
}

#[test]
fn a_deadline_ends_the_context_and_all_below_it() {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(5));
    let (child, _cancel) = ctx.with_cancel();
    assert_eq!(child.wait(), ContextError::DeadlineExceeded);
    assert_eq!(ctx.err(), EXPIRED);
    assert!(ctx.cause().unwrap().is::<ContextError>());
    assert!(io::Error::from(ctx.err().unwrap()).kind() == io::ErrorKind::TimedOut);
}

#[test]
fn timeout_causes_are_for_timeouts_and_the_first_wins() {
    let background = Context::background();
    let (ctx, cancel) = background.with_timeout_cause(HOUR, "slow");
    cancel.cancel();
    assert!(cause(&ctx).starts_with("context canceled at "));

    let (ctx, _cancel) = background.with_timeout_cause(Duration::ZERO, "slow");
    assert_eq!(cause(&ctx), "slow");

    // An ancestor's earlier deadline: it has nothing to say, so the child's cause is told.
    let (parent, _cancel) = background.with_timeout(Duration::from_millis(5));
    let (child, _cancel) = parent.with_timeout_cause(HOUR, "child slow");
    let (grandchild, _cancel) = child.with_timeout_cause(2 * HOUR, "grandchild slow");
    assert_eq!(grandchild.wait(), ContextError::DeadlineExceeded);
    assert_eq!(cause(&parent), "context deadline exceeded");
    assert_eq!(cause(&child), "child slow");
    assert_eq!(cause(&grandchild), "child slow");

    // It has something to say: that came first.
    let (parent, _cancel) = background.with_timeout_cause(Duration::from_millis(5), "parent slow");
    let (child, _cancel) = parent.with_timeout_cause(HOUR, "child slow");
    assert_eq!(child.wait(), ContextError::DeadlineExceeded);
    assert_eq!(cause(&child), "parent slow");
}

#[test]
fn values_are_found_by_type_through_any_wrapper() {
    struct Key(&'static str);
    let one = Context::background()
        .with_value(Key("one"))
        .with_value(7_u32);
    let (two, _cancel) = one.with_cancel();
    let (two, _cancel2) = two.with_value(Key("two")).with_timeout(HOUR);
    let kept = two.without_cancel();
    assert_eq!(one.value::<Key>().unwrap().0, "one");
    assert_eq!(kept.value::<Key>().unwrap().0, "two");
    assert_eq!(kept.value::<u32>(), Some(&7));
    assert!(kept.value::<i32>().is_none());
}

#[test]
fn without_cancel_ends_with_nobody_and_roots_a_tree_of_its_own() {
    let (ctx, cancel) = Context::background().with_timeout(HOUR);
    let kept = ctx.with_value(1_u8).without_cancel();
    let (child, cancel_child) = kept.with_cancel();
    cancel.cancel_with("over");
    assert_eq!((kept.err(), kept.deadline()), (None, None));
    assert!(kept.cause().is_none());
    assert_eq!(child.err(), None);
    cancel_child.cancel();
    assert_eq!(child.err(), CANCELED);
    assert_eq!(kept.err(), None);
}

#[test]
fn a_merged_context_ends_with_any_of_its_parents() {
    for ending in 0..3 {
        let parents: Vec<_> = (0..3)
            .map(|_| Context::background().with_cancel())
            .collect();
        let contexts: Vec<_> = parents.iter().map(|(ctx, _)| ctx.with_value(())).collect();
        let (merged, _cancel) = Context::merge(&contexts.iter().collect::<Vec<_>>());
        let (child, _cancel) = merged.with_cancel();
        parents[ending].1.cancel_with(format!("parent {ending}"));
        assert_eq!(child.err(), CANCELED);
        assert_eq!(cause(&child), format!("parent {ending}"));
        drop((merged, child));
        for (parent, _) in &parents {
            assert_eq!(parent.__n_children(), 0);
        }
    }
}

#[test]
fn a_merged_context_has_the_first_value_and_the_earliest_deadline() {
    let (a, _cancel) = Context::background()
        .with_value(1_u8)
        .with_timeout(2 * HOUR);
    let (b, _cancel) = Context::background()
        .with_value(2_u8)
        .with_value('b')
        .with_timeout(HOUR);
    let (merged, cancel) = Context::merge(&[&a, &b, &a]);
    assert_eq!(merged.value::<u8>(), Some(&1));
    assert_eq!(merged.value::<char>(), Some(&'b'));
    assert!(merged.value::<u16>().is_none());
    assert_eq!(merged.deadline(), b.deadline());
    cancel.cancel();
    assert_eq!((a.err(), b.err()), (None, None));
    assert_eq!((a.__n_children(), b.__n_children()), (0, 0));

    let (ended, cancel) = a.with_cancel();
    cancel.cancel_with("before");
    let (merged, _cancel) = Context::merge(&[&b, &ended]);
    assert_eq!(cause(&merged), "before", "ended on return");
    assert_eq!(b.__n_children(), 0);
    let (alone, _cancel) = Context::merge(&[]);
    assert_eq!(alone.err(), None);
}

#[test]
fn debug_prints_the_chain() {
    let (ctx, _cancel) = Context::todo().with_value(7_u32).with_cancel();
    assert_eq!(format!("{ctx:?}"), "context.TODO.WithValue(u32).WithCancel");
    let (ctx, _cancel) = Context::background().with_timeout(HOUR);
    let printed = format!("{:?}", ctx.without_cancel());
    assert!(
        printed.starts_with("context.Background.WithDeadline(in 3599."),
        "{printed}"
    );
    assert!(printed.ends_with("s).WithoutCancel"), "{printed}");
}

#[test]
fn values_are_dropped_with_the_last_handle() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let valued = Context::background().with_value(Counted(Arc::clone(&drops)));
    let (ctx, cancel) = valued.with_cancel();
    let counted = Counted(Arc::clone(&drops));
    let after = ctx.after_func(move || drop(counted));
    drop((valued, cancel.detach(), after));
    assert_eq!(drops.load(Ordering::Relaxed), 0);
    drop(ctx);
    assert_eq!(drops.load(Ordering::Relaxed), 2, "the closure goes unrun");
}

#[test]
fn long_chains_are_cancelled_and_dropped_without_recursion() {
    const DEEP: usize = 200_000;
    let (root, cancel) = Context::background().with_cancel();
    let mut ctx = root.clone();
    for i in 0..DEEP {
        ctx = match i % 4 {
            0 => ctx.with_value(i),
            1 => ctx.without_cancel(),
            2 => {
                let (ctx, cancel) = ctx.with_timeout(HOUR);
                cancel.detach();
                ctx
            }
            _ => {
                let (ctx, cancel) = ctx.with_cancel();
                cancel.detach();
                ctx
            }
        };
    }
    drop(ctx);
    let mut ctx = root.clone();
    for _ in 0..DEEP {
        let (child, cancel) = ctx.with_cancel();
        cancel.detach();
        ctx = child;
    }
    cancel.cancel();
    assert_eq!(ctx.err(), CANCELED);
    assert!(cause(&ctx).contains(file!()));
    drop(ctx);
    assert_eq!(root.__n_children(), 0);
}

#[test]
fn chains_of_merged_contexts_are_cancelled_and_dropped_without_recursion() {
    const DEEP: usize = 60_000;
    let (root, cancel) = Context::background().with_cancel();
    let (beside, _cancel) = Context::background().with_cancel();
    for first in [true, false] {
        let mut ctx = root.clone();
        for _ in 0..DEEP {
            let parents = if first {
                [&ctx, &beside]
            } else {
                [&beside, &ctx]
            };
            let (merged, cancel) = Context::merge(&parents);
            cancel.detach();
            ctx = merged;
        }
        if !first {
            cancel.cancel();
            assert_eq!(ctx.err(), CANCELED);
        }
        assert!(beside.__n_children() == if first { DEEP } else { 0 });
        drop(ctx);
        assert_eq!((root.__n_children(), beside.__n_children()), (0, 0));
    }
}

#[test]
fn a_flat_family_of_a_hundred_thousand_is_cancelled() {
    let (parent, cancel) = Context::background().with_cancel();
    let children: Vec<_> = (0..100_000)
        .map(|_| {
            let (child, cancel) = parent.with_cancel();
            cancel.detach();
            child
        })
        .collect();
    cancel.cancel();
    assert!(children.iter().all(|child| child.err() == CANCELED));
    assert_eq!(parent.__n_children(), 0);
}
