//! Contexts that end with signals. Each scenario runs in a process of its own, which this
//! same program is when it finds its scenario in the environment.
#![cfg(all(unix, feature = "signal"))]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, exit};
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use rendez_context::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use rendez_context::{Context, ContextError, SignalReceived, on_signals};
use signal_hook::low_level::raise;

const SCENARIO: &str = "RENDEZ_SIGNAL_SCENARIO";

fn background() -> Context {
    Context::background()
}

fn on(signals: &[i32]) -> (Context, rendez_context::Cancel) {
    on_signals(&background(), signals.iter().copied()).unwrap()
}

/// Runs `scenario` in a process of its own if this is not it already; how that ended.
fn alone(name: &str, scenario: fn()) -> Option<ExitStatus> {
    if std::env::var_os(SCENARIO).is_some_and(|s| s == *name) {
        scenario();
        exit(0);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]);
    Some(command.env(SCENARIO, name).status().unwrap())
}

macro_rules! scenario {
    ($name:ident ends with $status:pat, $body:block) => {
        #[test]
        fn $name() {
            let status = alone(stringify!($name), || $body).unwrap();
            let ended = status
                .code()
                .map_or_else(|| -status.signal().unwrap(), |c| c);
            assert!(matches!(ended, $status), "{status}");
        }
    };
}

const KILLED_BY_INT: i32 = -SIGINT;
const KILLED_BY_TERM: i32 = -SIGTERM;

scenario!(a_signal_ends_the_context ends with 0, {
    let (ctx, _cancel) = on(&[SIGINT, SIGTERM]);
    let (child, _cancel_child) = ctx.with_cancel();
    assert_eq!(child.err(), None);
    let theirs = ctx.clone();
    let awaiting = thread::spawn(move || rendez_core::block_on::block_on(theirs.done()));
    raise(SIGTERM).unwrap();
    assert_eq!(child.wait(), ContextError::Canceled);
    assert_eq!(awaiting.join().unwrap(), ContextError::Canceled);
    let cause = ctx.cause().unwrap();
    assert_eq!(cause.to_string(), "terminated signal received");
    assert_eq!(cause.downcast_ref::<SignalReceived>().unwrap().signal(), SIGTERM);
    let source = cause.source().unwrap().downcast_ref();
    assert_eq!(source, Some(&ContextError::Canceled));
});

scenario!(the_second_signal_kills ends with KILLED_BY_INT, {
    let (ctx, _cancel) = on(&[SIGINT]);
    raise(SIGINT).unwrap();
    ctx.wait();
    raise(SIGINT).unwrap();
    exit(3);
});

scenario!(the_second_signal_kills_before_anybody_has_seen_the_first ends with KILLED_BY_INT, {
    let (_ctx, _cancel) = on(&[SIGINT]);
    raise(SIGINT).unwrap();
    raise(SIGINT).unwrap();
    exit(3);
});

scenario!(the_second_signal_may_be_another ends with KILLED_BY_TERM, {
    let (ctx, _cancel) = on(&[SIGINT, SIGTERM]);
    raise(SIGINT).unwrap();
    ctx.wait();
    // The other signal's place is given back a moment after the context has ended.
    for _ in 0..1000 {
        raise(SIGTERM).unwrap();
        thread::sleep(Duration::from_millis(10));
    }
    exit(3);
});

scenario!(after_a_cancel_signals_take_their_default_action ends with KILLED_BY_INT, {
    let (ctx, cancel) = on(&[SIGINT]);
    cancel.cancel();
    assert!(ctx.cause().unwrap().is::<rendez_context::Canceled>());
    raise(SIGINT).unwrap();
    exit(3);
});

scenario!(so_they_do_once_the_context_is_dropped ends with KILLED_BY_INT, {
    let (ctx, cancel) = on(&[SIGINT]);
    cancel.detach();
    drop(ctx);
    raise(SIGINT).unwrap();
    exit(3);
});

scenario!(and_once_its_parent_has_ended ends with KILLED_BY_INT, {
    let (parent, cancel) = background().with_cancel();
    let (ctx, _cancel) = on_signals(&parent, [SIGINT]).unwrap();
    cancel.cancel_with("parent");
    assert_eq!(ctx.cause().unwrap().to_string(), "parent");
    raise(SIGINT).unwrap();
    exit(3);
});

// Not SIGINT, which a program started in the background may have been told to ignore.
scenario!(under_a_parent_that_has_ended_nothing_is_waited_for ends with KILLED_BY_TERM, {
    let (parent, cancel) = background().with_cancel();
    cancel.cancel_with("before");
    let (ctx, _cancel) = on_signals(&parent, [SIGTERM]).unwrap();
    assert_eq!(ctx.cause().unwrap().to_string(), "before");
    raise(SIGTERM).unwrap();
    exit(3);
});

scenario!(all_who_wait_for_a_signal_get_it_and_no_others ends with 0, {
    let (a, _cancel_a) = on(&[SIGINT, SIGUSR1]);
    let (b, _cancel_b) = on(&[SIGUSR1]);
    let (c, _cancel_c) = on(&[SIGINT]);
    raise(SIGUSR1).unwrap();
    a.wait();
    b.wait();
    assert_eq!(c.err(), None);
    raise(SIGINT).unwrap();
    c.wait();
    assert_eq!(a.cause().unwrap().to_string(), "user defined signal 1 signal received");
    assert_eq!(c.cause().unwrap().to_string(), "interrupt signal received");
});

scenario!(each_signal_goes_to_the_context_that_waits_then ends with 0, {
    for _ in 0..100 {
        let (ctx, _cancel) = on(&[SIGINT]);
        raise(SIGINT).unwrap();
        assert_eq!(ctx.wait(), ContextError::Canceled);
        assert!(ctx.cause().unwrap().is::<SignalReceived>());
    }
});

scenario!(any_number_may_stop_at_the_same_time ends with 0, {
    let contexts: Vec<_> = (0..10).map(|_| on(&[SIGINT])).collect();
    let barrier = Barrier::new(contexts.len());
    thread::scope(|s| {
        for (ctx, cancel) in &contexts {
            s.spawn(|| {
                barrier.wait();
                cancel.cancel();
                assert_eq!(ctx.err(), Some(ContextError::Canceled));
            });
        }
    });
    let (ctx, _cancel) = on(&[SIGINT]);
    raise(SIGINT).unwrap();
    ctx.wait();
});

scenario!(what_cannot_be_waited_for_is_an_error ends with 0, {
    let none = |signal| on_signals(&background(), [signal]).unwrap_err();
    for signal in [9, 11, 19, 0, -1, 12345] {
        let error = none(signal);
        assert!(!error.to_string().is_empty());
    }
    let (ctx, _cancel) = on(&[]);
    assert_eq!(ctx.err(), None);
});

scenario!(the_chain_is_printed ends with 0, {
    let (ctx, _cancel) = on_signals(&Context::todo().with_value(1_u8), [SIGINT, SIGHUP]).unwrap();
    let printed = "context.TODO.WithValue(u8).OnSignals([hangup interrupt])";
    assert_eq!(format!("{ctx:?}"), printed);
});

/// Either the signal is told or it kills; a process that goes on untold has lost it.
#[test]
fn a_signal_that_races_with_a_stop_is_told_or_kills() {
    const NAME: &str = "a_signal_that_races_with_a_stop_is_told_or_kills";
    let (mut told, mut killed) = (0, 0);
    for _ in 0..20 {
        let status = alone(NAME, || {
            let (ctx, cancel) = on(&[SIGINT]);
            let barrier = Barrier::new(2);
            thread::scope(|s| {
                s.spawn(|| {
                    barrier.wait();
                    raise(SIGINT).unwrap();
                });
                barrier.wait();
                cancel.cancel();
            });
            if ctx.cause().unwrap().is::<SignalReceived>() {
                exit(0);
            }
            thread::sleep(Duration::from_secs(20));
            exit(3);
        })
        .unwrap();
        match (status.code(), status.signal()) {
            (Some(0), _) => told += 1,
            (_, Some(SIGINT)) => killed += 1,
            _ => panic!("lost: {status}"),
        }
    }
    assert_eq!(told + killed, 20);
}
