//! The pipeline: find → work in parallel → report in order.
//!
//! ```text
//!            jobs: item + reply channel            ┌▶ worker ─┐
//!   source ──────────────────────────────────────▶ ├▶ worker ─┤ each replies on the job's
//!      │                                           └▶ worker ─┘ own channel
//!      │     order: the replies' receivers, in the order found
//!      └──────────────────────────────────────────────────────▶ sink
//! ```
//!
//! The sink takes the replies in the order in which the items were found, whichever worker is
//! done first. Both channels are bounded, so a slow item holds everything up after `WINDOW`
//! others and memory stays what it is, however many there are.
//!
//! The stages are goroutines of one error group. When the sink fails, nobody receives from
//! `order` any more, the source's next send fails, and all stages end; when the group's context
//! ends the source finds no more, and what has been found is finished.

use std::fmt;
use std::ops::ControlFlow;

use rendez::errgroup;
use rendez::prelude::*;

/// How many items may be found and not yet reported.
pub(crate) const WINDOW: usize = 256;

/// Runs `work` on each item `source` finds, at most `n_workers` at a time, and gives item and
/// result to `sink` in the order found. An item found together with its result (`Err`) skips
/// the workers. Ends early when `sink` fails, with its error, and when `ctx` ends, without.
pub(crate) fn run<I, R, E>(
    ctx: &Context,
    n_workers: usize,
    source: impl FnOnce(&mut dyn FnMut(Result<I, (I, R)>) -> ControlFlow<()>) + Send,
    work: impl Fn(&I) -> R + Sync,
    mut sink: impl FnMut(I, R) -> Result<(), E> + Send,
) -> Result<(), E>
where
    I: Send,
    R: Send,
    E: fmt::Debug + Send + 'static,
{
    let (jobs, to_do) = bounded(n_workers);
    let (order, in_order) = bounded(WINDOW);
    let work = &work;
    errgroup::scope(ctx, |group| {
        let ctx = group.context();
        group.go(move || {
            source(&mut |found| {
                let (reply, result) = bounded(1);
                let sent = ctx.err().is_none()
                    && order.send(result).is_ok()
                    && match found {
                        Ok(item) => jobs.send((item, reply)).is_ok(),
                        Err(known) => reply.send(known).is_ok(),
                    };
                if sent {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            Ok(())
        });
        for _ in 0..n_workers {
            let to_do = to_do.clone();
            group.go(move || {
                for (item, reply) in to_do {
                    let result = work(&item);
                    // Nobody listens any more once the sink has ended.
                    let _ = reply.send((item, result));
                }
                Ok(())
            });
        }
        drop(to_do);
        group.go(move || {
            // Without a reply its worker has panicked, which ends the group.
            let results = in_order.iter().map_while(|result| result.recv().ok());
            for (item, result) in results {
                sink(item, result)?;
            }
            Ok(())
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn results_come_in_order_and_a_slow_one_bounds_what_is_found() {
        const N: usize = 10_000;
        let found = AtomicUsize::new(0);
        let most = AtomicUsize::new(0);
        let (release, released) = bounded::<()>(0);
        let mut seen = Vec::new();
        std::thread::scope(|threads| {
            let (found, most, released) = (&found, &most, &released);
            let seen = &mut seen;
            threads.spawn(move || {
                let end: Result<(), String> = run(
                    &Context::background(),
                    2,
                    move |found_one| {
                        for i in 0..N {
                            if found_one(Ok(i)).is_break() {
                                return;
                            }
                            found.fetch_add(1, Ordering::SeqCst);
                        }
                    },
                    |&i| {
                        if i == 0 {
                            let _ = released.recv();
                        }
                        i * 2
                    },
                    |i, doubled| {
                        assert_eq!(doubled, i * 2);
                        most.fetch_max(found.load(Ordering::SeqCst) - seen.len(), Ordering::SeqCst);
                        seen.push(i);
                        Ok(())
                    },
                );
                assert_eq!(end, Ok(()));
            });
            // As many are found as may be, then no more.
            while found.load(Ordering::SeqCst) < WINDOW {
                std::thread::yield_now();
            }
            release.send(()).unwrap();
        });
        assert_eq!(seen, (0..N).collect::<Vec<_>>());
        assert!(most.into_inner() <= WINDOW + 2, "the window bounds them");
    }

    #[test]
    fn a_sink_that_fails_ends_all_stages() {
        let end = run(
            &Context::background(),
            3,
            |found_one| while found_one(Ok(1)).is_continue() {},
            |&i| i,
            |_, _| Err("enough"),
        );
        assert_eq!(end, Err("enough"));
    }

    #[test]
    fn the_end_of_the_context_ends_an_endless_source() {
        let (ctx, cancel) = Context::background().with_cancel();
        let end: Result<(), String> = run(
            &ctx,
            2,
            |found_one| while found_one(Ok(1)).is_continue() {},
            |&i| i,
            |_, _| {
                cancel.cancel();
                Ok(())
            },
        );
        assert_eq!(end, Ok(()));
    }

    #[test]
    fn what_is_known_skips_the_workers() {
        let mut seen = Vec::new();
        let end: Result<(), String> = run(
            &Context::background(),
            1,
            |found_one| {
                let _ = found_one(Ok(1));
                let _ = found_one(Err((2, "known")));
            },
            |_| "worked",
            |i, result| {
                seen.push((i, result));
                Ok(())
            },
        );
        assert_eq!(end, Ok(()));
        assert_eq!(seen, [(1, "worked"), (2, "known")]);
    }
}
