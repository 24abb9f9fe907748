//! Groups that borrow, and `try_map`.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Live, within_a_minute};
use rendez_context::{Context, ContextError};
use rendez_errgroup::{Group, scope, try_map};
use rendez_pool::{Pool, SpawnExt};
use rendez_select::bounded;

type Boxed = Box<dyn Error + Send + Sync>;

fn background() -> Context {
    Context::background()
}

#[test]
fn closures_and_futures_borrow_and_the_result_is_given_when_all_have_ended() {
    let count = AtomicUsize::new(0);
    let result: Result<_, Boxed> = scope(&background(), |g| {
        for _ in 0..50 {
            g.go(|| {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
            g.go(async {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(())
            });
        }
        "result"
    });
    assert_eq!(result.unwrap(), "result");
    assert_eq!(count.into_inner(), 100);
}

#[test]
fn the_first_error_cancels_the_scopes_context_and_is_its_result() {
    within_a_minute(|| {
        let ended = AtomicUsize::new(0);
        let outer = background();
        let result = scope(&outer, |g| {
            for _ in 0..4 {
                g.go(|| {
                    g.context().wait();
                    ended.fetch_add(1, Ordering::SeqCst);
                    Err("later")
                });
            }
            g.go(async { Err("first") });
        });
        assert_eq!(result, Err("first"));
        assert_eq!(ended.into_inner(), 4);
    });
}

#[test]
fn the_end_of_the_outer_context_ends_the_scopes() {
    within_a_minute(|| {
        let (outer, cancel) = background().with_cancel();
        let result: Result<(), Boxed> = scope(&outer, |g| {
            g.go(async { Err(g.context().done().await.into()) });
            cancel.cancel();
        });
        assert!(result.unwrap_err().is::<ContextError>());
    });
}

#[test]
fn a_context_kept_beyond_its_scope_has_ended() {
    let mut kept = None;
    let result: Result<(), Boxed> = scope(&background(), |g| kept = Some(g.context().clone()));
    result.unwrap();
    assert_eq!(kept.unwrap().err(), Some(ContextError::Canceled));
}

#[test]
fn goroutines_of_a_scope_start_others_in_every_way() {
    within_a_minute(|| {
        let count = AtomicUsize::new(0);
        let one = || {
            count.fetch_add(1, Ordering::SeqCst);
            Ok::<(), Boxed>(())
        };
        let result = scope(&background(), |g| {
            g.go(async {
                g.go_async(one).await;
                g.go_async(async { one() }).await;
                assert!(g.try_go(one));
                Ok(())
            });
            g.go(|| {
                g.go(one);
                Ok(())
            });
        });
        result.unwrap();
        assert_eq!(count.into_inner(), 4);
    });
}

#[test]
fn a_scopes_limit_holds() {
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let result: Result<(), Boxed> = within_a_minute(|| {
        scope(&background(), |g| {
            g.limit(3);
            for _ in 0..300 {
                g.go(|| {
                    let n = running.fetch_add(1, Ordering::SeqCst) + 1;
                    most.fetch_max(n, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    Ok(())
                });
            }
        })
    });
    result.unwrap();
    assert!(most.into_inner() <= 3);
}

#[test]
fn the_scopes_own_panic_cancels_and_comes_after_all_have_ended() {
    within_a_minute(|| {
        let ended = AtomicUsize::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            scope::<Boxed, _, ()>(&background(), |g| {
                g.go(|| {
                    g.context().wait();
                    ended.fetch_add(1, Ordering::SeqCst);
                    Ok(())
                });
                panic!("mine")
            })
        }));
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "mine");
        assert_eq!(ended.into_inner(), 1);
    });
}

#[test]
fn a_goroutines_panic_is_the_scopes_after_all_have_ended() {
    within_a_minute(|| {
        let ended = AtomicUsize::new(0);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            scope::<Boxed, _, ()>(&background(), |g| {
                g.go(|| {
                    g.context().wait();
                    ended.fetch_add(1, Ordering::SeqCst);
                    Err("an error gives way to a panic".into())
                });
                g.go(async { panic!("theirs") });
            })
        }));
        assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "theirs");
        assert_eq!(ended.into_inner(), 1);
    });
}

#[test]
fn on_any_executor_bodies_are_gone_before_the_scope_ends() {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let pool = Pool::builder().workers(1).build().unwrap();
    let builders = || {
        [
            Group::<Boxed>::builder()
                .limit(3)
                .on(tokio.handle().clone()),
            Group::<Boxed>::builder().limit(3).on(pool.clone()),
        ]
    };
    within_a_minute(|| {
        for _ in 0..50 {
            for builder in builders() {
                let live = Arc::new(AtomicUsize::new(0));
                let result = builder.scope(&background(), |g| {
                    for i in 0..10 {
                        let body = Live::new(&live);
                        let live = &live;
                        if i % 2 == 0 {
                            g.go(move || {
                                assert!(live.load(Ordering::SeqCst) > 0);
                                drop(body);
                                Ok(())
                            });
                        } else {
                            g.go(async move {
                                let _body = body;
                                rendez_pool::yield_now().await;
                                Ok(())
                            });
                        }
                    }
                });
                result.unwrap();
                assert_eq!(live.load(Ordering::SeqCst), 0);
            }
        }
    });
}

#[test]
fn a_group_on_tokio_mixes_its_timers_with_blocking_work() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    within_a_minute(|| {
        let builder = Group::<Boxed>::builder().on(runtime.handle().clone());
        let (group, ctx) = builder.with_context(&background());
        let (tx, rx) = bounded::<()>(0);
        group.go(move || Ok(rx.recv()?)); // blocks, beside the one worker
        group.go(async move {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            tx.send_async(()).await?;
            Err("failed".into())
        });
        group.go(async move {
            ctx.done().await;
            Ok(())
        });
        assert_eq!(group.wait().unwrap_err().to_string(), "failed");
        // Awaited by a task of the runtime, too.
        group.go(async { Err("again".into()) });
        let other = group.clone();
        let waited = runtime.handle().go(async move { other.wait_async().await });
        assert_eq!(waited.join().unwrap().unwrap_err().to_string(), "again");
    });
}

#[test]
fn a_group_of_a_runtime_that_shuts_down_is_not_silent() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap();
    let builder = Group::<Boxed>::builder().on(runtime.handle().clone());
    let (group, ctx) = builder.with_context(&background());
    group.go(std::future::pending());
    runtime.shutdown_background();
    within_a_minute(|| {
        ctx.wait();
        assert!(catch_unwind(AssertUnwindSafe(|| group.wait())).is_err());
    });
}

#[test]
fn try_map_gives_the_results_in_order() {
    let ctx = background();
    let doubled = try_map(&ctx, 3, 0..100, |i| Ok::<_, Boxed>(2 * i));
    assert_eq!(
        doubled.unwrap(),
        (0..100).map(|i| 2 * i).collect::<Vec<_>>()
    );
    for limit in [0, usize::MAX] {
        let same = try_map(&ctx, limit, [1, 2], Ok::<_, Boxed>);
        assert_eq!(same.unwrap(), [1, 2]);
    }
}

#[test]
fn try_map_stops_at_the_first_error() {
    let begun = AtomicUsize::new(0);
    let result = try_map(&background(), 1, 0..100, |i| {
        begun.fetch_add(1, Ordering::SeqCst);
        if i == 4 { Err("four") } else { Ok(i) }
    });
    assert_eq!(result, Err("four"));
    assert_eq!(begun.into_inner(), 5);
}

#[test]
fn try_map_begins_nothing_after_the_end_of_the_context() {
    let (ctx, cancel) = background().with_cancel();
    let begun = AtomicUsize::new(0);
    let result = try_map(&ctx, 1, 0..100, |i| {
        begun.fetch_add(1, Ordering::SeqCst);
        if i == 4 {
            cancel.cancel();
        }
        Ok::<_, Boxed>(i)
    });
    assert!(result.unwrap_err().is::<ContextError>());
    assert_eq!(begun.into_inner(), 5);
    // All have been begun: their results are there, whatever the context says.
    let (ctx, cancel) = background().with_cancel();
    let result = try_map(&ctx, 1, 0..3, |i| {
        if i == 2 {
            cancel.cancel();
        }
        Ok::<_, Boxed>(i)
    });
    assert_eq!(result.unwrap(), [0, 1, 2]);
}

#[test]
fn try_map_of_an_error_that_cannot_say_it_leaves_the_context_to_the_function() {
    #[derive(Debug, PartialEq)]
    struct Custom;
    let (ctx, cancel) = background().with_cancel();
    cancel.cancel();
    let result = try_map(&ctx, 2, 0..3, Ok::<_, Custom>);
    assert_eq!(result, Ok(vec![0, 1, 2]));
}
