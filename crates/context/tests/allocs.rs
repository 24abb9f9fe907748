//! How often contexts allocate: once for each that is derived, not at all for the rest.

use std::pin::pin;
use std::task::{Poll, Waker};
use std::time::Duration;

use rendez_context::Context;

fn allocations<R>(f: impl FnOnce() -> R) -> u64 {
    let mut result = None;
    allocation_counter::measure(|| result = Some(f())).count_total
}

#[test]
fn derived_contexts_cost_one_allocation() {
    let (parent, _cancel) = Context::background().with_cancel();
    assert_eq!(allocations(Context::background), 0);
    assert_eq!(allocations(|| Context::background().with_cancel()), 1);
    assert_eq!(allocations(|| parent.with_cancel()), 1);
    assert_eq!(allocations(|| parent.with_value([0_u64; 100])), 1);
    assert_eq!(allocations(|| parent.without_cancel()), 1);
    assert_eq!(allocations(|| parent.with_timeout(Duration::MAX)), 1);
    assert_eq!(allocations(|| parent.with_timeout(Duration::ZERO)), 1);
}

#[test]
fn cancelling_and_looking_cost_none() {
    let (parent, cancel) = Context::background().with_cancel();
    let (ctx, _cancel) = parent.with_value(1_u8).with_cancel();
    let looks = || (ctx.clone(), ctx.err(), ctx.deadline(), ctx.value::<u8>());
    assert_eq!(allocations(looks), 0);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let mut waiting = pin!(ctx.cancelled_async());
    assert_eq!(allocations(|| waiting.as_mut().poll(&mut cx)), 0);
    drop(ctx.with_cancel()); // a child that comes and goes
    let path = 1; // of the locks held
    assert!(allocations(|| cancel.cancel()) <= path);
    assert!(matches!(waiting.as_mut().poll(&mut cx), Poll::Ready(_)));
    assert_eq!(allocations(looks), 0);
}
