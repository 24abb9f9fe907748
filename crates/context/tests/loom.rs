//! Models of the tree of contexts: under `--cfg rendez_loom` every interleaving is
//! explored, otherwise each runs once.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, Waker};

use rendez_context::{Context, ContextError};
use rendez_core::block_on::block_on;
use rendez_core::hooks;
use rendez_core::shim::atomic::{AtomicUsize, Ordering};
use rendez_core::shim::{Arc, Mutex, model, thread};

const CANCELED: Option<ContextError> = Some(ContextError::Canceled);

#[test]
fn a_child_made_beside_a_cancel_has_ended_when_both_are_over() {
    model("context: cancel against derive", || {
        let (parent, cancel) = Context::background().with_cancel();
        let theirs = parent.clone();
        let deriver = thread::spawn(move || theirs.with_cancel());
        cancel.cancel();
        let (child, _cancel) = deriver.join().unwrap();
        assert_eq!(child.err(), CANCELED);
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn a_child_may_be_dropped_while_its_parent_is_cancelled() {
    model("context: cancel against drop", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, detached) = parent.with_cancel();
        let (sibling, _cancel) = parent.with_cancel();
        detached.detach();
        let dropper = thread::spawn(move || drop(child));
        cancel.cancel();
        assert_eq!(sibling.err(), CANCELED);
        dropper.join().unwrap();
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn a_child_with_a_waiter_may_be_cancelled_by_itself_while_its_parent_is() {
    model("context: cancel of a child against its parent's", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, cancel_child) = parent.with_cancel();
        let theirs = child.clone();
        let waiter = thread::spawn(move || theirs.wait());
        let canceller = thread::spawn(move || {
            cancel_child.cancel_with("first");
        });
        cancel.cancel_with("second");
        assert_eq!(child.err(), CANCELED);
        let cause = child.cause().unwrap().to_string();
        assert!(cause == "first" || cause == "second");
        canceller.join().unwrap();
        assert_eq!(child.cause().unwrap().to_string(), cause);
        assert_eq!(waiter.join().unwrap(), ContextError::Canceled);
    });
}

#[test]
fn a_cancel_wakes_a_thread_and_a_task() {
    model("context: cancel against wait and done", || {
        let (ctx, cancel) = Context::background().with_cancel();
        let (blocking, awaiting) = (ctx.clone(), ctx.with_value(1_u8));
        let thread = thread::spawn(move || blocking.wait());
        let task = thread::spawn(move || block_on(awaiting.done()));
        cancel.cancel();
        assert_eq!(thread.join().unwrap(), ContextError::Canceled);
        assert_eq!(task.join().unwrap(), ContextError::Canceled);
    });
}

#[test]
fn each_of_two_cancels_returns_when_all_descendants_have_ended() {
    model("context: two cancels of one context", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, _cancel) = parent.with_cancel();
        let (grandchild, _cancel) = child.with_cancel();
        let (cancel, seen) = (Arc::new(cancel), grandchild.clone());
        let theirs = Arc::clone(&cancel);
        let other = thread::spawn(move || {
            theirs.cancel();
            assert_eq!(seen.err(), CANCELED);
        });
        cancel.cancel();
        assert_eq!(grandchild.err(), CANCELED);
        other.join().unwrap();
    });
}

#[test]
fn cancels_at_two_levels_return_when_what_is_below_has_ended() {
    model("context: cancel of a parent and of its child", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (child, cancel_child) = parent.with_cancel();
        let (grandchild, _cancel) = child.with_cancel();
        let seen = grandchild.clone();
        let other = thread::spawn(move || {
            cancel_child.cancel();
            assert_eq!(seen.err(), CANCELED);
        });
        cancel.cancel();
        assert_eq!(grandchild.err(), CANCELED);
        other.join().unwrap();
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn a_deadline_and_a_cancel_agree_on_one_end() {
    model("context: deadline against cancel", || {
        // Time is the thread that calls what the alarm would.
        let (ctx, cancel) = Context::background().with_cancel();
        let (child, _cancel) = ctx.with_cancel();
        let bell = ctx.__bell().unwrap();
        let clock = thread::spawn(move || bell.wake());
        cancel.cancel_with("enough");
        let err = ctx.err().unwrap();
        let cause = ctx.cause().unwrap().to_string();
        let by_cancel = err == ContextError::Canceled;
        assert_eq!(cause == "enough", by_cancel);
        clock.join().unwrap();
        assert_eq!(ctx.err(), Some(err));
        assert_eq!(child.err(), Some(err));
        assert_eq!(child.cause().unwrap().to_string(), cause);
    });
}

#[test]
fn a_deadline_may_come_while_the_parent_is_cancelled() {
    model("context: deadline against the parent's cancel", || {
        let (parent, cancel) = Context::background().with_cancel();
        let (ctx, _cancel) = parent.with_cancel();
        let (child, _cancel) = ctx.with_cancel();
        let bell = ctx.__bell().unwrap();
        let clock = thread::spawn(move || bell.wake());
        cancel.cancel_with("enough");
        let err = child.err().unwrap();
        let by_cancel = child.cause().unwrap().to_string() == "enough";
        assert_eq!(by_cancel, err == ContextError::Canceled);
        clock.join().unwrap();
        assert_eq!((ctx.err(), child.err()), (Some(err), Some(err)));
        assert_eq!(parent.__n_children(), 0);
    });
}

#[test]
fn both_parents_of_a_merged_context_may_end_it() {
    model("context: merge, both parents cancelled", || {
        let (a, cancel_a) = Context::background().with_cancel();
        let (b, cancel_b) = Context::background().with_cancel();
        let (merged, _cancel) = Context::merge(&[&a, &b]);
        let other = thread::spawn(move || cancel_b.cancel_with("b"));
        cancel_a.cancel_with("a");
        assert_eq!(merged.err(), CANCELED);
        let cause = merged.cause().unwrap().to_string();
        other.join().unwrap();
        assert_eq!(merged.cause().unwrap().to_string(), cause);
        drop(merged);
        assert_eq!((a.__n_children(), b.__n_children()), (0, 0));
    });
}

#[test]
fn a_closure_runs_or_is_stopped() {
    hooks::set_spawner(|f| f());
    model("context: cancel against stop of an after_func", || {
        let (ctx, cancel) = Context::background().with_cancel();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let after = ctx.after_func(move || {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let stopper = thread::spawn(move || usize::from(after.stop()));
        cancel.cancel();
        let stopped = stopper.join().unwrap();
        assert_eq!(stopped + runs.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn a_merged_context_made_while_a_parent_is_cancelled_leaves_the_other() {
    model("context: merge against the cancel of a parent", || {
        let (a, cancel_a) = Context::background().with_cancel();
        let (b, _cancel_b) = Context::background().with_cancel();
        let canceller = thread::spawn(move || cancel_a.cancel());
        let (merged, cancel) = Context::merge(&[&a, &b]);
        canceller.join().unwrap();
        assert_eq!(merged.err(), CANCELED);
        assert_eq!(b.__n_children(), 0);
        cancel.detach();
        drop(merged);
        assert_eq!(b.__n_children(), 0);
    });
}

#[test]
fn a_merged_context_may_be_dropped_while_a_parent_is_cancelled() {
    model(
        "context: drop of a merged against the cancel of a parent",
        || {
            let (a, cancel_a) = Context::background().with_cancel();
            let (b, _cancel_b) = Context::background().with_cancel();
            let (merged, cancel) = Context::merge(&[&a, &b]);
            cancel.detach();
            let dropper = thread::spawn(move || drop(merged));
            cancel_a.cancel();
            dropper.join().unwrap();
            assert_eq!((a.__n_children(), b.__n_children()), (0, 0));
        },
    );
}

#[test]
fn a_child_may_cancel_itself_while_its_parent_is_cancelled() {
    model(
        "context: cancel of a vacant child against its parent's",
        || {
            let (parent, cancel) = Context::background().with_cancel();
            let (child, cancel_child) = parent.with_cancel();
            let canceller = thread::spawn(move || {
                cancel_child.cancel();
                drop(child);
            });
            cancel.cancel();
            canceller.join().unwrap();
            assert_eq!(parent.__n_children(), 0);
        },
    );
}

/// Ready once it is told, or once its signal has gone; forgets whom to wake when it is polled.
struct Told(Arc<Flag>);

#[derive(Default)]
struct Flag {
    told: AtomicUsize,
    wakers: Mutex<Vec<Waker>>,
}

impl Flag {
    fn tell(&self) {
        self.told.store(1, Ordering::Release);
        let wakers = std::mem::take(&mut *self.wakers.lock());
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Future for Told {
    type Output = ();
    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<()> {
        self.0.wakers.lock().push(cx.waker().clone());
        match self.0.told.load(Ordering::Acquire) {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}

#[test]
fn a_source_told_while_it_is_polled_ends_its_context() {
    hooks::set_spawner(|f| f());
    model("context: a source's wake against its poll", || {
        let flag = Arc::new(Flag::default());
        let theirs = Arc::clone(&flag);
        let teller = thread::spawn(move || theirs.tell());
        let ctx = Context::until(Told(flag));
        teller.join().unwrap();
        assert_eq!(ctx.err(), CANCELED, "no wake is lost");
    });
}

#[test]
fn a_source_is_dropped_with_its_context_whoever_wakes_it_meanwhile() {
    hooks::set_spawner(|f| f());
    model(
        "context: a source's wake against the last handle's drop",
        || {
            let flag = Arc::new(Flag::default());
            let theirs = Arc::clone(&flag);
            let ctx = Context::until(Told(Arc::clone(&flag)));
            let teller = thread::spawn(move || theirs.tell());
            drop(ctx);
            teller.join().unwrap();
            // Else the source and its waker would keep each other alive.
            let left = std::mem::take(&mut *flag.wakers.lock());
            drop(left);
            assert_eq!(Arc::strong_count(&flag), 1, "the source is gone");
        },
    );
}
