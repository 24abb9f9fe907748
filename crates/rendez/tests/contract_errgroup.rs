//! The contract of error groups, through the umbrella.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rendez::context::ContextError;
use rendez::errgroup;
use rendez::pool::{Pool, block_on, yield_now, yield_thread};
use rendez::prelude::*;

type BoxError = Box<dyn Error + Send + Sync>;

#[test]
fn the_default_error_takes_any_by_the_question_mark() {
    let g: Group = Group::new();
    g.go(|| {
        "5".parse::<u8>()?;
        Ok(())
    });
    g.go(async {
        yield_now().await;
        String::from_utf8(vec![0xff])?;
        Ok(())
    });
    let err: BoxError = g.wait().unwrap_err();
    assert!(err.is::<std::string::FromUtf8Error>());
    assert!(g.wait().is_ok());
    let _: Group = Group::default();
    fn bounds<T: Clone + Send + Sync + std::fmt::Debug + 'static>(_: &T) {}
    bounds(&g);
}

#[test]
fn functions_that_return_a_result_are_goroutines_too() {
    fn checks() -> Result<(), std::io::Error> {
        Ok(())
    }
    async fn fails(n: u8) -> Result<(), std::io::Error> {
        Err(std::io::Error::other(format!("failed {n}")))
    }
    let g = Group::new();
    g.go(checks);
    g.go(fails(1));
    assert_eq!(g.wait().unwrap_err().to_string(), "failed 1");
    let g = Group::<String>::new();
    g.go(|| Err("words".into()));
    assert_eq!(g.wait(), Err("words".to_owned()));
}

#[test]
fn the_first_error_cancels_the_context_with_it_as_the_cause() {
    let (g, ctx): (Group<String>, Context) = Group::with_context(&Context::background());
    g.go({
        let ctx = ctx.clone();
        async move {
            ctx.done().await;
            Err("the second".into())
        }
    });
    g.go(|| Err("the first".into()));
    assert_eq!(g.wait(), Err("the first".into()));
    assert_eq!(ctx.err(), Some(ContextError::Canceled));
    assert!(ctx.cause().unwrap().to_string().contains("the first"));
}

#[test]
fn the_context_ends_after_a_wait_without_errors_too() {
    let (g, ctx) = Group::<String>::with_context(&Context::background());
    g.go(|| Ok(()));
    g.wait().unwrap();
    assert_eq!(ctx.err(), Some(ContextError::Canceled));
}

#[test]
fn a_panic_cancels_and_is_resumed_in_wait_with_its_payload() {
    let (g, ctx) = Group::<String>::with_context(&Context::background());
    g.go({
        let ctx = ctx.clone();
        move || {
            ctx.wait();
            Ok(())
        }
    });
    g.go(|| panic!("on purpose"));
    let panicked = catch_unwind(AssertUnwindSafe(|| g.wait())).unwrap_err();
    assert_eq!(*panicked.downcast::<&str>().unwrap(), "on purpose");
    let g = Group::<String>::new();
    g.go(async { std::panic::panic_any(7_u8) });
    let panicked = catch_unwind(AssertUnwindSafe(|| block_on(g.wait_async()))).unwrap_err();
    assert_eq!(*panicked.downcast::<u8>().unwrap(), 7);
}

#[test]
fn wait_all_gives_every_error() {
    let g = Group::<u8>::new();
    for n in 0..5 {
        g.go(move || if n % 2 == 0 { Err(n) } else { Ok(()) });
    }
    let mut errors = g.wait_all().unwrap_err();
    errors.sort_unstable();
    assert_eq!(errors, [0, 2, 4]);
    assert_eq!(g.wait_all(), Ok(()));
}

#[test]
fn a_limit_holds_go_back() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let work = || {
        let (now, most) = (now.clone(), most.clone());
        move || {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            yield_thread();
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<(), BoxError>(())
        }
    };
    let g: Group = Group::new();
    g.set_limit(Some(3));
    for _ in 0..50 {
        g.go(work());
    }
    block_on(async {
        for _ in 0..50 {
            let run = work();
            g.go_async(async move { run() }).await;
        }
    });
    g.wait().unwrap();
    assert!(most.load(Ordering::SeqCst) <= 3);
}

#[test]
fn try_go_is_refused_at_the_limit() {
    let (tx, rx) = bounded::<()>(0);
    let g: Group = Group::builder().limit(2).build();
    for _ in 0..2 {
        let rx = rx.clone();
        assert!(g.try_go(move || {
            let _ = rx.recv();
            Ok(())
        }));
    }
    assert!(!g.try_go(|| unreachable!()));
    assert!(!g.try_go(async { unreachable!() }));
    let changed = catch_unwind(AssertUnwindSafe(|| g.set_limit(None)));
    assert!(changed.is_err(), "while goroutines run");
    drop(tx);
    g.wait().unwrap();
    g.set_limit(None);
    assert!(g.try_go(|| Ok(())));
    g.wait().unwrap();
    g.set_limit(Some(0));
    assert!(!g.try_go(|| Ok(())));
}

#[test]
fn a_group_runs_on_any_executor() {
    let pool = Pool::builder()
        .workers(1)
        .thread_name("mine")
        .build()
        .unwrap();
    let (g, _ctx): (Group, Context) = Group::builder()
        .limit(4)
        .on(pool)
        .with_context(&Context::background());
    let (tx, rx) = unbounded();
    g.go(move || {
        tx.send(std::thread::current().name().map(str::to_owned))?;
        Ok(())
    });
    g.wait().unwrap();
    assert!(rx.recv().unwrap().unwrap().contains("mine"));
}

#[test]
fn a_scopes_goroutines_borrow_and_fail_together() {
    let words = vec!["1", "2", "3"];
    let sum = AtomicUsize::new(0);
    let n: Result<usize, BoxError> = errgroup::scope(&Context::background(), |g| {
        g.limit(2);
        for word in &words {
            let sum = &sum;
            g.go(move || {
                sum.fetch_add(word.parse::<usize>()?, Ordering::Relaxed);
                Ok(())
            });
        }
        words.len()
    });
    assert_eq!((n.unwrap(), sum.into_inner()), (3, 6));
}

#[test]
fn a_scope_gives_what_its_function_returns() {
    let sum = AtomicUsize::new(0);
    let got: Result<u8, String> = errgroup::scope(&Context::background(), |g| {
        g.go(|| {
            sum.fetch_add(1, Ordering::Relaxed);
            Ok(())
        });
        g.go(async {
            sum.fetch_add(10, Ordering::Relaxed);
            Ok(())
        });
        7
    });
    assert_eq!((got, sum.into_inner()), (Ok(7), 11));
    let failed: Result<(), String> = errgroup::scope(&Context::background(), |g| {
        g.go(|| Err("first".into()));
        g.go(|| {
            g.context().wait();
            Err("second".into())
        });
    });
    assert_eq!(failed, Err("first".into()));
}

#[test]
fn try_map_keeps_the_order_and_stops_at_the_first_error() {
    let ctx = Context::background();
    let parsed: Result<Vec<u8>, BoxError> =
        errgroup::try_map(&ctx, 2, ["1", "2", "3"], |w| Ok(w.parse()?));
    assert_eq!(parsed.unwrap(), [1, 2, 3]);
    let begun = AtomicUsize::new(0);
    let failed = errgroup::try_map(&ctx, 2, 0..100_000, |n: u32| {
        begun.fetch_add(1, Ordering::Relaxed);
        if n == 5 {
            Err(format!("bad {n}"))
        } else {
            Ok(n)
        }
    });
    assert_eq!(failed, Err("bad 5".to_owned()));
    assert!(begun.into_inner() < 100_000);
}
