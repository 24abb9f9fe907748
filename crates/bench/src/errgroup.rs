//! Groups of goroutines that may fail. One operation is one goroutine that returns at once,
//! started and waited for; a group has at most 100,000.

use std::time::{Duration, Instant};

use rendez_errgroup::Group;
use tokio::task::JoinSet;

use crate::peers::{Task, on_pool, on_tokio};
use crate::rows::Rows;

const GROUP: u64 = 100_000;
const LIMIT: usize = 8;

pub(crate) fn rows(rows: &mut Rows) {
    for (cell, limit) in [("go_wait", None), ("go_wait/limit8", Some(LIMIT))] {
        rows.add(cell, "rendez", move |n| on_pool(vec![futures(n, limit)]));
        // Closures, started by a goroutine that blocks at the limit.
        rows.add(cell, "rendez-closures", move |n| {
            in_closure(move || groups(n, |n| closures(n, limit)))
        });
        rows.add(cell, "tokio", move |n| on_tokio(vec![join_set(n, limit)]));
    }
}

fn in_closure(f: impl FnOnce() + Send + 'static) -> Duration {
    let start = Instant::now();
    rendez_pool::go(f).join().expect("it does not panic");
    start.elapsed()
}

/// `n` operations as groups.
fn groups(n: u64, mut group: impl FnMut(u64)) {
    let mut left = n;
    while left > 0 {
        let n = left.min(GROUP);
        group(n);
        left -= n;
    }
}

fn group(limit: Option<usize>) -> Group<&'static str> {
    let group = Group::new();
    group.set_limit(limit);
    group
}

fn closures(n: u64, limit: Option<usize>) {
    let group = group(limit);
    for _ in 0..n {
        group.go(|| Ok(()));
    }
    group.wait().expect("none fails");
}

fn futures(n: u64, limit: Option<usize>) -> Task {
    Box::pin(async move {
        let mut left = n;
        while left > 0 {
            let group = group(limit);
            for _ in 0..left.min(GROUP) {
                group.go_async(async { Ok(()) }).await;
            }
            group.wait_async().await.expect("none fails");
            left -= left.min(GROUP);
        }
    })
}

fn join_set(n: u64, limit: Option<usize>) -> Task {
    Box::pin(async move {
        let mut left = n;
        while left > 0 {
            let mut set = JoinSet::new();
            for _ in 0..left.min(GROUP) {
                if limit == Some(set.len()) {
                    next(&mut set).await;
                }
                set.spawn(async { Ok::<(), ()>(()) });
            }
            while !set.is_empty() {
                next(&mut set).await;
            }
            left -= left.min(GROUP);
        }
    })
}

async fn next(set: &mut JoinSet<Result<(), ()>>) {
    let ended = set.join_next().await.expect("the set is not empty");
    ended.expect("none panics").expect("none fails");
}
