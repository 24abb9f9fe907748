//! What Go's own tests of `context` check, asked of ours. README.md beside this file says
//! which test stands for which of Go's.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::Barrier;
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use rendez_context::{Cancel, Canceled, Context, ContextError};
use rendez_core::block_on::block_on;
use rendez_select::select;

const CANCELED: Option<ContextError> = Some(ContextError::Canceled);
const EXPIRED: Option<ContextError> = Some(ContextError::DeadlineExceeded);
const HOUR: Duration = Duration::from_secs(3600);

/// Whether it has ended, asked in every form there is: they agree. (If it has not, it must not
/// end meanwhile.)
fn is_done(ctx: &Context) -> bool {
    let arm = select! {
        recv(ctx.done()) -> err => Some(err),
        default => None,
    };
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let ready = |poll: Poll<ContextError>| match poll {
        Poll::Ready(err) => Some(err),
        Poll::Pending => None,
    };
    let done = ready(pin!(ctx.done()).poll(&mut cx));
    let cancelled = ready(pin!(ctx.cancelled_async()).poll(&mut cx));
    let run = ready(
        pin!(ctx.run(pending::<()>()))
            .poll(&mut cx)
            .map(Result::unwrap_err),
    );
    let looks = [arm, done, cancelled, run, ctx.check().err(), ctx.err()];
    assert!(looks.iter().all(|look| *look == looks[0]), "{looks:?}");
    arm.is_some()
}

/// Waits for its end in both forms at the same time.
fn wait(ctx: &Context) -> ContextError {
    thread::scope(|s| {
        let task = s.spawn(|| block_on(ctx.done()));
        let err = ctx.wait();
        assert_eq!(task.join().unwrap(), err);
        assert!(is_done(ctx));
        err
    })
}

fn cause(ctx: &Context) -> String {
    let Some(cause) = ctx.cause() else {
        return "none".into();
    };
    if cause.is::<Canceled>() {
        return "canceled".into();
    }
    cause.to_string()
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

#[test]
fn a_parent_that_finishes_first_takes_all_its_children_along() {
    let (parent, cancel) = Context::background().with_cancel();
    let (child, _cancel_child) = parent.with_cancel();
    let valued = parent.with_value(1_u8);
    let (timed, _cancel_timed) = valued.with_timeout(HOUR);
    let after = parent.after_func(|| ());
    for ctx in [&parent, &child, &valued, &timed] {
        assert!(!is_done(ctx));
    }
    assert_eq!(parent.__n_children(), 3);
    cancel.cancel();
    assert_eq!(parent.__n_children(), 0);
    for ctx in [&parent, &child, &valued, &timed] {
        assert!(is_done(ctx));
        assert_eq!(ctx.err(), CANCELED);
    }
    assert!(!after.stop());
    let (late, _cancel) = parent.with_value(2_u8).with_cancel();
    assert!(is_done(&late));
}

#[test]
fn a_child_that_finishes_first_leaves_its_parent_alone() {
    for (parent, _cancel) in [
        Context::background().with_cancel(),
        Context::background().with_timeout(HOUR),
    ] {
        let (child, cancel) = parent.with_cancel();
        assert_eq!(parent.__n_children(), 1);
        cancel.cancel();
        assert!(is_done(&child));
        assert!(!is_done(&parent));
        assert_eq!(parent.__n_children(), 0);
    }
}

#[test]
fn cancelling_removes_from_the_parent() {
    let (parent, _cancel) = Context::background().with_cancel();
    type Derive = fn(&Context) -> Box<dyn FnOnce()>;
    let derive: [Derive; 3] = [
        |p| cancelling(p.with_cancel()),
        |p| cancelling(p.with_timeout(HOUR)),
        |p| {
            let after = p.after_func(|| ());
            Box::new(move || assert!(after.stop()))
        },
    ];
    for derive in derive {
        assert_eq!(parent.__n_children(), 0);
        let end = derive(&parent);
        assert_eq!(parent.__n_children(), 1);
        end();
        assert_eq!(parent.__n_children(), 0);
    }
}

fn cancelling((ctx, cancel): (Context, Cancel)) -> Box<dyn FnOnce()> {
    Box::new(move || {
        cancel.cancel();
        assert_eq!(ctx.err(), CANCELED);
    })
}

#[test]
fn deadlines_and_timeouts_come_through_wrappers() {
    let soon = Duration::from_millis(5);
    let background = Context::background();
    let (a, _cancel_a) = background.with_deadline(Instant::now() + soon);
    let (b, _cancel_b) = background.with_timeout(soon);
    let (c, _cancel_c) = b.with_value(1_u8).with_timeout(HOUR);
    let (long, _cancel_long) = background.with_timeout(HOUR);
    let (d, _cancel_d) = long.with_value(1_u8).with_timeout(soon);
    for ctx in [&a, &b, &c, &d] {
        assert_eq!(wait(ctx), ContextError::DeadlineExceeded);
        assert_eq!(ctx.err(), EXPIRED);
    }
    assert_eq!(long.err(), None);
    let (past, _cancel) = long.with_deadline(Instant::now());
    assert!(is_done(&past));
}

#[test]
fn a_timeout_that_is_cancelled_first_is_canceled() {
    let (ctx, cancel) = Context::background().with_timeout(HOUR);
    let (ctx, _cancel) = ctx.with_value(1_u8).with_timeout(2 * HOUR);
    cancel.cancel();
    assert_eq!(wait(&ctx), ContextError::Canceled);
    let (ctx, cancel) = Context::background().with_timeout(Duration::ZERO);
    cancel.cancel();
    assert_eq!(ctx.err(), EXPIRED);
}

#[test]
fn a_hundred_contexts_in_a_tree_are_cancelled_at_the_same_time() {
    let mut random = Random(7);
    let (root, cancel) = Context::background().with_cancel();
    let mut tree = vec![(root, cancel)];
    while tree.len() < 100 {
        // Four children each, in the order of their making.
        let parent = &tree[(tree.len() - 1) / 4].0;
        let child = parent.with_cancel();
        tree.push(child);
    }
    let mut order: Vec<usize> = (0..tree.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i + 1));
    }
    let start = Barrier::new(order.len());
    thread::scope(|s| {
        for i in order {
            let ((ctx, cancel), start) = (&tree[i], &start);
            s.spawn(move || {
                start.wait();
                cancel.cancel();
                assert_eq!(ctx.err(), CANCELED);
            });
        }
    });
    assert!(tree.iter().all(|(ctx, _)| is_done(ctx)));
}

#[test]
fn random_layers_end_with_one_of_them_and_keep_all_values() {
    struct Layer<const N: usize>;
    fn with(ctx: &Context, layer: usize) -> Context {
        match layer {
            0 => ctx.with_value(Layer::<0>),
            1 => ctx.with_value(Layer::<1>),
            2 => ctx.with_value(Layer::<2>),
            _ => ctx.with_value(Layer::<3>),
        }
    }
    fn has(ctx: &Context, layer: usize) -> bool {
        match layer {
            0 => ctx.value::<Layer<0>>().is_some(),
            1 => ctx.value::<Layer<1>>().is_some(),
            2 => ctx.value::<Layer<2>>().is_some(),
            _ => ctx.value::<Layer<3>>().is_some(),
        }
    }
    for (seed, expires) in (1..40).flat_map(|seed| [(seed, false), (seed, true)]) {
        let mut random = Random(seed);
        let mut ctx = Context::background();
        let (mut cancels, mut valued) = (Vec::new(), [false; 4]);
        let n = 30 + random.below(30);
        let short = random.below(n);
        for layer in 0..n {
            let (next, cancel) = match random.below(3) {
                _ if expires && layer == short => ctx.with_timeout(Duration::from_millis(2)),
                0 => {
                    let layer = random.below(4);
                    valued[layer] = true;
                    ctx = with(&ctx, layer);
                    continue;
                }
                1 => ctx.with_cancel(),
                _ => ctx.with_timeout(HOUR),
            };
            cancels.push(cancel);
            ctx = next;
        }
        let check = |ctx: &Context| (0..4).all(|layer| has(ctx, layer) == valued[layer]);
        assert!(check(&ctx));
        if expires {
            assert_eq!(wait(&ctx), ContextError::DeadlineExceeded);
        } else {
            assert_eq!(ctx.err(), None);
            cancels[random.below(cancels.len())].cancel();
            assert_eq!(ctx.err(), CANCELED);
        }
        assert!(check(&ctx));
    }
}

#[test]
fn a_child_of_a_parent_cancelled_before_or_meanwhile_has_its_cause() {
    let (parent, cancel) = Context::background().with_cancel();
    cancel.cancel_with("parent");
    let (child, _cancel) = parent.with_cancel();
    assert_eq!((child.err(), cause(&child)), (CANCELED, "parent".into()));

    for _ in 0..100 {
        let (parent, cancel) = Context::background().with_cancel();
        let canceller = thread::spawn(move || cancel.cancel_with("parent"));
        let (child, _cancel) = parent.with_cancel();
        wait(&child);
        assert_eq!((child.err(), cause(&child)), (CANCELED, "parent".into()));
        canceller.join().unwrap();
    }
}

/// What it is called, what was made, and the error and cause it must have.
type Row = (&'static str, Made, Option<ContextError>, &'static str);

/// A context, and what cancels it and its parent.
type Made = (Context, Vec<Cancel>);

fn one((ctx, cancel): (Context, Cancel), end: impl FnOnce(&Cancel)) -> Made {
    end(&cancel);
    (ctx, vec![cancel])
}

fn two(
    derive: impl FnOnce(&Context) -> (Context, Cancel),
    end: impl FnOnce(&Cancel, &Cancel),
) -> Made {
    let (parent, above) = Context::background().with_cancel();
    let (ctx, below) = derive(&parent);
    end(&above, &below);
    (ctx, vec![above, below])
}

#[test]
fn causes_as_in_gos_table() {
    const ZERO: Duration = Duration::ZERO;
    const SLOW: &str = "context deadline exceeded";
    let root = Context::background();
    let plain = |end: fn(&Cancel, &Cancel)| two(Context::with_cancel, end);
    let timed =
        |after, end: fn(&Cancel, &Cancel)| two(|p| p.with_timeout_cause(after, "slow"), end);
    let without = |made: Made| (made.0.without_cancel(), made.1);
    let both =
        |a: &Cancel, a_cause: Option<&'static str>, b: &Cancel, b_cause: Option<&'static str>| {
            for (cancel, cause) in [(a, a_cause), (b, b_cause)] {
                match cause {
                    Some(cause) => cancel.cancel_with(cause),
                    None => cancel.cancel(),
                }
            }
        };
    const PARENT: Option<&str> = Some("parent");
    const CHILD: Option<&str> = Some("child");
    let rows: Vec<Row> = vec![
        ("Background", (root.clone(), vec![]), None, "none"),
        ("TODO", (Context::todo(), vec![]), None, "none"),
        (
            "WithCancel",
            one(root.with_cancel(), Cancel::cancel),
            CANCELED,
            "canceled",
        ),
        (
            "WithCancelCause",
            one(root.with_cancel(), |c| c.cancel_with("cause")),
            CANCELED,
            "cause",
        ),
        (
            "parent, child",
            two(Context::with_cancel, |p, c| both(p, PARENT, c, CHILD)),
            CANCELED,
            "parent",
        ),
        (
            "parent, nil child",
            two(Context::with_cancel, |p, c| both(p, PARENT, c, None)),
            CANCELED,
            "parent",
        ),
        (
            "nil parent, child",
            two(Context::with_cancel, |p, c| both(p, None, c, CHILD)),
            CANCELED,
            "canceled",
        ),
        (
            "nil parent, nil child",
            two(Context::with_cancel, |p, c| both(p, None, c, None)),
            CANCELED,
            "canceled",
        ),
        (
            "child, parent",
            two(Context::with_cancel, |p, c| both(c, CHILD, p, PARENT)),
            CANCELED,
            "child",
        ),
        (
            "child, nil parent",
            two(Context::with_cancel, |p, c| both(c, CHILD, p, None)),
            CANCELED,
            "child",
        ),
        (
            "nil child, parent",
            two(Context::with_cancel, |p, c| both(c, None, p, PARENT)),
            CANCELED,
            "canceled",
        ),
        (
            "nil child, nil parent",
            two(Context::with_cancel, |p, c| both(c, None, p, None)),
            CANCELED,
            "canceled",
        ),
        (
            "the parent alone",
            plain(|p, _| p.cancel_with("parent")),
            CANCELED,
            "parent",
        ),
        (
            "WithTimeout",
            one(root.with_timeout(ZERO), |_| ()),
            EXPIRED,
            SLOW,
        ),
        (
            "WithTimeout canceled",
            one(root.with_timeout(HOUR), Cancel::cancel),
            CANCELED,
            "canceled",
        ),
        (
            "WithTimeout, canceled later",
            one(root.with_timeout(ZERO), Cancel::cancel),
            EXPIRED,
            SLOW,
        ),
        (
            "WithTimeoutCause",
            one(root.with_timeout_cause(ZERO, "slow"), |_| ()),
            EXPIRED,
            "slow",
        ),
        (
            "WithTimeoutCause canceled",
            one(root.with_timeout_cause(HOUR, "slow"), Cancel::cancel),
            CANCELED,
            "canceled",
        ),
        ("stacked", timed(ZERO, |_, _| ()), EXPIRED, "slow"),
        (
            "stacked, canceled above",
            timed(HOUR, |p, _| p.cancel_with("parent")),
            CANCELED,
            "parent",
        ),
        (
            "stacked, canceled below",
            timed(HOUR, |_, c| c.cancel_with("child")),
            CANCELED,
            "child",
        ),
        (
            "WithoutCancel",
            without((root.clone(), vec![])),
            None,
            "none",
        ),
        (
            "WithoutCancel canceled",
            without(one(root.with_cancel(), |c| c.cancel_with("cause"))),
            None,
            "none",
        ),
        (
            "WithoutCancel timed out",
            without(one(root.with_timeout_cause(ZERO, "slow"), |_| ())),
            None,
            "none",
        ),
    ];
    for (name, (ctx, _cancels), err, told) in &rows {
        assert_eq!((ctx.err(), &*cause(ctx)), (*err, *told), "{name}");
        // What is derived afterwards has it all from its parent.
        let (child, _cancel) = ctx.with_value(1_u8).with_cancel();
        assert_eq!((child.err(), &*cause(&child)), (*err, *told), "{name}");
    }
}

#[test]
fn whoever_polls_the_cause_sees_none_and_then_the_cause() {
    for _ in 0..200 {
        let (ctx, cancel) = Context::background().with_cancel();
        let canceller = thread::spawn(move || cancel.cancel_with("cause"));
        let seen = loop {
            if let Some(seen) = ctx.cause() {
                break seen.to_string();
            }
            thread::yield_now();
        };
        assert_eq!(seen, "cause");
        canceller.join().unwrap();
    }
}

#[test]
fn whoever_sees_the_error_finds_done_ready() {
    for _ in 0..200 {
        let (ctx, cancel) = Context::background().with_cancel();
        let canceller = thread::spawn(move || cancel.cancel());
        while ctx.err().is_none() {
            thread::yield_now();
        }
        assert!(is_done(&ctx));
        canceller.join().unwrap();
    }
}
