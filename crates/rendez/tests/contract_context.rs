//! The contract of contexts, through the umbrella.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::fmt::{self, Debug};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{HOUR, TICK, is_send, poll};
use rendez::context::{AfterFunc, ContextError, Done};
use rendez::pool::block_on;
use rendez::prelude::*;

#[derive(Debug, PartialEq)]
struct Reason(u8);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "reason {}", self.0)
    }
}

impl Error for Reason {}

fn reason(ctx: &Context) -> Option<u8> {
    Some(ctx.cause()?.downcast_ref::<Reason>()?.0)
}

#[test]
fn a_context_is_a_small_shared_handle() {
    fn bounds<T: Clone + Debug + Send + Sync + Unpin + 'static>(_: &T) {}
    static ROOT: Context = Context::background();
    bounds(&ROOT);
    assert_eq!(format!("{ROOT:?}"), "context.Background");
    assert_eq!(format!("{:?}", Context::todo()), "context.TODO");
    assert_eq!(
        (ROOT.err(), ROOT.deadline(), ROOT.remaining()),
        (None, None, None)
    );
    assert!(ROOT.cause().is_none() && ROOT.check().is_ok());
}

#[test]
fn debug_prints_the_chain_as_go_does() {
    let (ctx, _cancel) = Context::background().with_cancel();
    let ctx = ctx.with_value(5_u8);
    let (ctx, _cancel2) = ctx.with_timeout(HOUR);
    let text = format!("{:?}", ctx.without_cancel());
    assert!(
        text.starts_with("context.Background.WithCancel.WithValue("),
        "{text}"
    );
    assert!(
        text.contains(".WithDeadline(") && text.ends_with(".WithoutCancel"),
        "{text}"
    );
}

#[test]
fn cancel_ends_the_context_and_all_its_descendants_before_it_returns() {
    let (root, cancel) = Context::background().with_cancel();
    let (mut all, mut cancels) = (vec![root.clone()], vec![]);
    for i in 0..100 {
        let (child, cancel) = all[i / 2].with_timeout(HOUR);
        cancels.push(cancel);
        all.push(child.with_value(i));
    }
    assert!(all.iter().all(|ctx| ctx.err().is_none()));
    cancel.cancel();
    for ctx in &all {
        assert_eq!(ctx.err(), Some(ContextError::Canceled));
        assert_eq!(ctx.check(), Err(ContextError::Canceled));
        assert!(poll(pin!(ctx.done())).is_ready());
    }
    cancel.cancel();
    let (late, _cancel) = root.with_cancel();
    assert_eq!(
        late.err(),
        Some(ContextError::Canceled),
        "of one that has ended"
    );
}

#[test]
fn dropping_a_cancel_cancels_and_detaching_does_not() {
    let (ctx, cancel) = Context::background().with_cancel();
    let (kept, cancel2) = ctx.with_cancel();
    cancel2.detach();
    assert_eq!(kept.err(), None);
    drop(cancel);
    assert_eq!(
        (ctx.err(), kept.err()),
        (Some(ContextError::Canceled), Some(ContextError::Canceled))
    );
}

#[test]
fn causes_are_remembered_and_the_first_wins() {
    let (ctx, cancel) = Context::background().with_cancel();
    assert!(ctx.cause().is_none());
    cancel.cancel_with(Reason(1));
    cancel.cancel_with(Reason(2));
    assert_eq!(
        (ctx.err(), reason(&ctx)),
        (Some(ContextError::Canceled), Some(1))
    );
    let cause: Arc<dyn Error + Send + Sync> = ctx.cause().unwrap();
    assert_eq!(cause.to_string(), "reason 1");
    let (child, _cancel) = ctx.with_cancel();
    assert_eq!(reason(&child), Some(1));
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel_with("in words");
    assert_eq!(ctx.cause().unwrap().to_string(), "in words");
}

#[test]
fn who_cancelled_is_told_in_debug_and_cause() {
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel();
    let here = file!();
    assert!(
        ctx.cause().unwrap().to_string().contains(here),
        "{:?}",
        ctx.cause()
    );
    assert!(format!("{ctx:?}").contains(here), "{ctx:?}");
}

#[test]
fn deadlines_and_timeouts() {
    let start = Instant::now();
    let (ctx, _cancel) = Context::background().with_timeout(TICK);
    assert!(ctx.deadline().unwrap() >= start + TICK && ctx.remaining().unwrap() <= TICK);
    assert_eq!(ctx.wait(), ContextError::DeadlineExceeded);
    assert!(start.elapsed() >= TICK);
    assert_eq!(ctx.remaining(), Some(Duration::ZERO));
    let (zero, _cancel) = Context::background().with_timeout(Duration::ZERO);
    assert_eq!(
        zero.err(),
        Some(ContextError::DeadlineExceeded),
        "done on return"
    );
    let (past, cancel) = Context::background().with_deadline(start);
    cancel.cancel();
    assert_eq!(past.err(), Some(ContextError::DeadlineExceeded));
    let (never, _cancel) = Context::background().with_timeout(Duration::MAX);
    assert_eq!(never.err(), None);
    // One earlier than its parent's holds; a later one is its parent's.
    let (parent, _cancel) = Context::background().with_timeout(HOUR);
    let (longer, _cancel2) = parent.with_timeout(2 * HOUR);
    assert_eq!(longer.deadline(), parent.deadline());
    let (shorter, _cancel3) = parent.with_timeout(TICK);
    assert_eq!(shorter.wait(), ContextError::DeadlineExceeded);
    assert_eq!(parent.err(), None);
}

#[test]
fn a_deadlines_cause_is_told_if_it_was_the_deadline() {
    let (ctx, _cancel) = Context::background().with_timeout_cause(Duration::ZERO, Reason(1));
    assert_eq!(
        (ctx.err(), reason(&ctx)),
        (Some(ContextError::DeadlineExceeded), Some(1))
    );
    let (ctx, cancel) = Context::background().with_deadline_cause(Instant::now() + HOUR, Reason(1));
    cancel.cancel();
    assert_eq!(
        (ctx.err(), reason(&ctx)),
        (Some(ContextError::Canceled), None)
    );
    // A child's timeout cause is not lost to its parent's earlier deadline.
    let (parent, _cancel) = Context::background().with_timeout(TICK);
    let (child, _cancel2) = parent.with_timeout_cause(HOUR, Reason(3));
    child.wait();
    assert_eq!(reason(&child), Some(3));
}

#[test]
fn values_are_keyed_by_type_and_the_nearest_wins() {
    #[derive(Debug, PartialEq)]
    struct User(&'static str);
    let root = Context::background()
        .with_value(User("a"))
        .with_value(7_u32);
    let (ctx, _cancel) = root.with_cancel();
    let ctx = ctx.with_value(User("b"));
    assert_eq!(ctx.value::<User>(), Some(&User("b")));
    assert_eq!(ctx.value::<u32>(), Some(&7));
    assert_eq!(ctx.value::<u64>(), None);
    assert_eq!(root.value::<User>(), Some(&User("a")));
    assert_eq!(ctx.without_cancel().value::<User>(), Some(&User("b")));
    let (merged, _cancel) = Context::merge(&[&ctx, &Context::background()]);
    assert_eq!(merged.value::<u32>(), Some(&7));
}

#[test]
fn without_cancel_keeps_the_values_alone() {
    let (ctx, cancel) = Context::background().with_timeout(HOUR);
    let free = ctx.with_value(1_u8).without_cancel();
    cancel.cancel_with(Reason(1));
    assert_eq!(
        (free.err(), free.deadline(), free.value()),
        (None, None, Some(&1_u8))
    );
    assert!(free.cause().is_none());
}

#[test]
fn a_merged_context_is_done_when_any_is() {
    let (a, cancel_a) = Context::background().with_timeout(HOUR);
    let (b, _cancel_b) = Context::background().with_cancel();
    let (both, _cancel) = Context::merge(&[&a, &b]);
    assert_eq!((both.err(), both.deadline()), (None, a.deadline()));
    cancel_a.cancel_with(Reason(4));
    assert_eq!(
        (both.err(), reason(&both), b.err()),
        (Some(ContextError::Canceled), Some(4), None)
    );
    let (ended, _cancel) = Context::merge(&[&b, &a]);
    assert_eq!(ended.err(), Some(ContextError::Canceled));
    let (none, cancel) = Context::merge(&[]);
    assert_eq!(none.err(), None);
    cancel.cancel();
    assert!(none.err().is_some());
}

#[test]
fn done_is_an_arm_and_a_future_that_may_be_asked_again() {
    let (ctx, cancel) = Context::background().with_cancel();
    {
        fn unpin<T: Unpin>(_: &T) {}
        let mut done: Done<'_> = is_send(ctx.done());
        unpin(&done);
        assert!(poll(Pin::new(&mut done)).is_pending());
        select! { recv(ctx.done()) -> _ => unreachable!(), default => {} }
        select! { recv(done) -> _ => unreachable!(), default(TICK) => {} }
        cancel.cancel();
        let _: Poll<ContextError> = poll(Pin::new(&mut done));
        select! { recv(ctx.done()) -> why => assert_eq!(why, ContextError::Canceled), default => unreachable!() }
        select! { recv(ctx.done()) -> _ => {}, default => unreachable!("again") }
    }
    block_on(async {
        assert_eq!(ctx.done().await, ContextError::Canceled);
        is_send(ctx.cancelled_async()).await;
    });
    assert_eq!(ctx.wait(), ContextError::Canceled);
    select! { recv(Context::background().done()) -> _ => unreachable!(), default(TICK) => {} }
}

#[test]
fn after_func_runs_once_done_in_a_goroutine_of_its_own() {
    let (tx, rx) = unbounded();
    let (ctx, cancel) = Context::background().with_cancel();
    let after = |n: u8| -> AfterFunc {
        let tx = tx.clone();
        ctx.after_func(move || tx.send(n).unwrap())
    };
    let (first, stopped) = (after(1), after(2));
    drop(after(3)); // detaches
    assert!(stopped.stop());
    assert!(!stopped.stop());
    cancel.cancel();
    let mut ran = [rx.recv().unwrap(), rx.recv().unwrap()];
    ran.sort_unstable();
    assert_eq!(ran, [1, 3]);
    assert!(!first.stop());
    let (done_tx, done) = bounded(0);
    let (go_on, going) = bounded::<()>(0);
    ctx.after_func(move || {
        let _ = going.recv();
        done_tx.send(()).unwrap();
    });
    // At once, since it has ended; and not on this thread, which is here.
    drop(go_on);
    done.recv().unwrap();
}

#[test]
fn run_looks_at_the_context_first_and_never_discards_an_output() {
    let (ctx, cancel) = Context::background().with_cancel();
    assert_eq!(block_on(is_send(ctx.run(async { 7 }))), Ok(7));
    assert_eq!(ctx.block_on(async { 7 }), Ok(7));
    let got = ctx.block_on(async {
        cancel.cancel();
        8
    });
    assert_eq!(got, Ok(8), "it was ready");
    assert_eq!(
        ctx.block_on(async { unreachable!() }),
        Err::<(), _>(ContextError::Canceled)
    );

    let (ctx, cancel) = Context::background().with_cancel();
    let (tx, rx) = bounded(0);
    let mut run = pin!(ctx.run(rx.recv_async()));
    assert!(poll(run.as_mut()).is_pending());
    tx.try_send(9).unwrap();
    cancel.cancel();
    assert_eq!(poll(run), Poll::Ready(Ok(Ok(9))));
}

#[test]
fn run_ends_with_the_context() {
    let (ctx, _cancel) = Context::background().with_timeout(TICK);
    let never = std::future::pending::<()>();
    assert_eq!(ctx.block_on(never), Err(ContextError::DeadlineExceeded));
    let (ctx, cancel) = Context::background().with_cancel();
    let (_tx, rx) = bounded::<()>(0);
    let waiter = go({
        let ctx = ctx.clone();
        async move { ctx.run(rx.recv_async()).await.map(drop) }
    });
    cancel.cancel();
    assert_eq!(waiter.join().unwrap(), Err(ContextError::Canceled));
}

#[test]
fn sleep_is_cut_short() {
    let (ctx, cancel) = Context::background().with_cancel();
    assert_eq!(ctx.sleep(TICK), Ok(()));
    assert_eq!(block_on(is_send(ctx.sleep_async(TICK))), Ok(()));
    let sleeper = go({
        let ctx = ctx.clone();
        move || ctx.sleep(Duration::MAX)
    });
    cancel.cancel();
    assert_eq!(sleeper.join().unwrap(), Err(ContextError::Canceled));
    assert_eq!(ctx.sleep(Duration::ZERO), Err(ContextError::Canceled));
    assert_eq!(block_on(ctx.sleep_async(HOUR)), Err(ContextError::Canceled));
}

#[test]
fn errors_are_gos_words() {
    fn work(ctx: &Context) -> Result<(), Box<dyn Error + Send + Sync>> {
        loop {
            ctx.check()?;
        }
    }
    let (ctx, _cancel) = Context::background().with_timeout(TICK);
    let err = work(&ctx).unwrap_err();
    assert_eq!(err.to_string(), "context deadline exceeded");
    assert_eq!(ContextError::Canceled.to_string(), "context canceled");
    assert_eq!(err.downcast_ref(), Some(&ContextError::DeadlineExceeded));
}

#[cfg(all(unix, feature = "signal"))]
#[test]
fn signals_make_a_context() {
    use rendez::context::{SIGINT, SIGTERM};
    let made: std::io::Result<(Context, Cancel)> =
        rendez::context::on_signals(&Context::background(), [SIGINT, SIGTERM]);
    let (ctx, cancel) = made.unwrap();
    assert_eq!(ctx.err(), None);
    drop(cancel);
    assert_eq!(ctx.err(), Some(ContextError::Canceled));
}
