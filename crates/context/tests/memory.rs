//! A context that lives long does not grow by those that are derived from it and dropped.
//!
//! Alone in its process, whose memory it looks at: a sanitizer keeps what is freed.
#![cfg(not(rendez_sanitize))]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::thread;
use std::time::Duration;

use rendez_context::Context;

const HOUR: Duration = Duration::from_secs(3600);

/// How many bytes the process holds in memory, where that can be read.
fn resident() -> Option<usize> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// `RENDEZ_DERIVED` sets how many (default 200,000).
#[test]
fn a_long_lived_parent_does_not_grow() {
    let n = std::env::var("RENDEZ_DERIVED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200_000);
    let (parent, _cancel) = Context::background().with_cancel();
    let n_threads = 2;
    let derive = |n: u64| {
        thread::scope(|s| {
            for _ in 0..n_threads {
                s.spawn(|| {
                    for i in 0..n / n_threads {
                        match i % 4 {
                            0 => drop(parent.with_cancel()),
                            1 => {
                                let (ctx, cancel) = parent.with_timeout(HOUR);
                                cancel.detach();
                                drop(ctx.with_value(i));
                            }
                            2 => {
                                let (ctx, cancel) = parent.with_cancel();
                                let _after = ctx.after_func(|| unreachable!("never cancelled"));
                                cancel.detach();
                            }
                            _ => drop(Context::merge(&[&parent, &parent])),
                        }
                    }
                });
            }
        });
        assert_eq!(parent.__n_children(), 0);
    };
    derive(n / 10);
    let before = resident();
    derive(n);
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after.saturating_sub(before);
        assert!(grown < 16 << 20, "grew by {grown} bytes");
    }
}
