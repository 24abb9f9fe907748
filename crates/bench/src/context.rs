//! Contexts: deriving, cancelling, waiting, asking. One operation is one context, except:
//! `err`, `done/select` and `value/…` are one question.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::Waker;
use std::time::{Duration, Instant};

use rendez_context::{Cancel, Context};
use rendez_select::select;
use tokio_util::sync::CancellationToken;

use crate::rows::Rows;

const HOUR: Duration = Duration::from_secs(3600);
const FLAT: u64 = 100_000;
const DEEP: u64 = 1_000;

pub(crate) fn rows(rows: &mut Rows) {
    one(rows);
    many(rows);
    asked(rows);
}

/// One context is made and cancelled.
fn one(rows: &mut Rows) {
    rows.add_op("create_cancel", "rendez", || {
        let (ctx, cancel) = Context::background().with_cancel();
        cancel.cancel();
        ctx
    });
    rows.add_op("create_cancel", "tokio-util", || {
        let token = CancellationToken::new();
        token.cancel();
        token
    });

    let root = long_lived();
    rows.add_op("derive_cancel", "rendez", move || {
        let (ctx, cancel) = root.with_cancel();
        cancel.cancel();
        ctx
    });
    let root = CancellationToken::new();
    rows.add_op("derive_cancel", "tokio-util", move || {
        let token = root.child_token();
        token.cancel();
        token
    });

    let root = long_lived();
    rows.add_op("timeout_cancel", "rendez", move || {
        let (ctx, cancel) = root.with_timeout(HOUR);
        cancel.cancel();
        ctx
    });

    let root = long_lived();
    rows.add_op("wait_cancel", "rendez", move || {
        let (ctx, cancel) = root.with_cancel();
        polled_before_and_after(ctx.cancelled_async(), || cancel.cancel());
    });
    let root = CancellationToken::new();
    rows.add_op("wait_cancel", "tokio-util", move || {
        let token = root.child_token();
        polled_before_and_after(token.cancelled(), || token.cancel());
    });
}

/// Many are made, then cancelled together.
fn many(rows: &mut Rows) {
    fn made(root: &Context, n: u64) -> Vec<Context> {
        let derive = |_| {
            let (ctx, cancel) = root.with_cancel();
            cancel.detach();
            ctx
        };
        (0..n).map(derive).collect()
    }
    fn tokens(root: &CancellationToken, n: u64) -> Vec<CancellationToken> {
        (0..n).map(|_| root.child_token()).collect()
    }
    rows.add("flat100k/create", "rendez", |n| {
        rounds(n, FLAT, |_| {
            let (root, _cancel) = Context::background().with_cancel();
            timed(|| made(&root, FLAT))
        })
    });
    rows.add("flat100k/create", "tokio-util", |n| {
        rounds(n, FLAT, |_| {
            let root = CancellationToken::new();
            timed(|| tokens(&root, FLAT))
        })
    });
    rows.add("flat100k/cancel", "rendez", |n| {
        rounds(n, FLAT, |_| {
            let (root, cancel) = Context::background().with_cancel();
            let _children = made(&root, FLAT);
            timed(|| cancel.cancel())
        })
    });
    rows.add("flat100k/cancel", "tokio-util", |n| {
        rounds(n, FLAT, |_| {
            let root = CancellationToken::new();
            let _children = tokens(&root, FLAT);
            timed(|| root.cancel())
        })
    });
    rows.add("chain1k/cancel", "rendez", |n| {
        rounds(n, DEEP, |_| {
            let (root, cancel) = Context::background().with_cancel();
            let mut chain: Vec<(Context, Cancel)> = vec![root.with_cancel()];
            for i in 0..DEEP as usize {
                let next = chain[i].0.with_cancel();
                chain.push(next);
            }
            timed(|| cancel.cancel())
        })
    });
    rows.add("chain1k/cancel", "tokio-util", |n| {
        rounds(n, DEEP, |_| {
            let root = CancellationToken::new();
            let mut chain = vec![root.child_token()];
            for i in 0..DEEP as usize {
                let next = chain[i].child_token();
                chain.push(next);
            }
            timed(|| root.cancel())
        })
    });
}

/// A context that lives is asked.
fn asked(rows: &mut Rows) {
    let ctx = long_lived();
    rows.add_op("err", "rendez", move || black_box(&ctx).err());
    let token = CancellationToken::new();
    rows.add_op("err", "tokio-util", move || {
        black_box(&token).is_cancelled()
    });

    let ctx = long_lived();
    rows.add_op("done/select", "rendez", move || {
        select! {
            recv(ctx.done()) -> _ => true,
            default => false,
        }
    });
    let token = CancellationToken::new();
    rows.add_op("done/select", "tokio-util", move || {
        let mut cx = std::task::Context::from_waker(Waker::noop());
        pin!(token.cancelled()).poll(&mut cx).is_ready()
    });

    for depth in [1, 50] {
        let mut ctx = long_lived().with_value(7_u64);
        for i in 1..depth {
            let (child, cancel) = ctx.with_value(i).with_cancel();
            cancel.detach();
            ctx = child;
        }
        rows.add_op(&format!("value/{depth}"), "rendez", move || {
            black_box(&ctx).value::<u64>().copied()
        });
    }
}

/// A context that nobody cancels.
fn long_lived() -> Context {
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.detach();
    ctx
}

fn polled_before_and_after(future: impl Future, between: impl FnOnce()) {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let mut future = pin!(future);
    assert!(future.as_mut().poll(&mut cx).is_pending());
    between();
    assert!(future.as_mut().poll(&mut cx).is_ready());
}

/// As many rounds of `per_round` operations as make at least `n`, their time for `n`.
fn rounds(n: u64, per_round: u64, round: impl Fn(u64) -> Duration) -> Duration {
    let n_rounds = n.div_ceil(per_round);
    let total: Duration = (0..n_rounds).map(round).sum();
    total.mul_f64(n as f64 / (n_rounds * per_round) as f64)
}

fn timed<R>(f: impl FnOnce() -> R) -> Duration {
    let start = Instant::now();
    let result = f();
    let took = start.elapsed();
    drop(result);
    took
}
