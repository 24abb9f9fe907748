//! To and from `CancellationToken`.
#![cfg(feature = "tokio-util")]

use rendez_context::{Context, ContextError};
use rendez_core::block_on::block_on;
use tokio_util::sync::CancellationToken;

#[test]
fn a_context_made_of_a_token_ends_with_it() {
    let token = CancellationToken::new();
    let ctx = Context::from(token.clone());
    let (child, _cancel) = ctx.with_cancel();
    assert_eq!(ctx.err(), None);
    token.cancel();
    assert_eq!(child.wait(), ContextError::Canceled);
    let ended = Context::from(token);
    assert_eq!(ended.err(), Some(ContextError::Canceled));
}

#[test]
fn a_token_made_of_a_context_is_cancelled_with_it_and_leaves_it_when_dropped() {
    let (ctx, cancel) = Context::background().with_cancel();
    let token = ctx.token();
    let other = ctx.token();
    assert_eq!(ctx.__n_children(), 2);
    let left = other.clone();
    drop(other);
    assert_eq!(ctx.__n_children(), 1);
    assert!(!token.is_cancelled());
    cancel.cancel();
    block_on(token.cancelled());
    assert!(!left.is_cancelled());
    assert!(ctx.token().is_cancelled(), "at once");
}

#[test]
fn cancelling_the_token_leaves_the_context_alone() {
    let (ctx, _cancel) = Context::background().with_cancel();
    ctx.token().cancel();
    assert_eq!(ctx.err(), None);
}
