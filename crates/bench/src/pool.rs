//! Goroutines: starting, joining, yielding.

use std::time::Instant;

use crate::peers::{on_pool, on_tokio, tokio_runtime};
use crate::rows::Rows;

pub(crate) fn rows(rows: &mut Rows) {
    rows.add("spawn_join/1", "rendez", |n| {
        on_pool(vec![Box::pin(async move {
            for _ in 0..n {
                rendez_pool::go(async {}).await.expect("it does not panic");
            }
        })])
    });
    rows.add("spawn_join/1", "tokio", |n| {
        on_tokio(vec![Box::pin(async move {
            for _ in 0..n {
                tokio::spawn(async {}).await.expect("it does not panic");
            }
        })])
    });
    rows.add("spawn_join_outside/1", "rendez", |n| {
        let start = Instant::now();
        for _ in 0..n {
            rendez_pool::go(async {}).join().expect("it does not panic");
        }
        start.elapsed()
    });
    rows.add("spawn_join_outside/1", "tokio", |n| {
        let start = Instant::now();
        for _ in 0..n {
            let handle = tokio_runtime().spawn(async {});
            tokio_runtime().block_on(handle).expect("it does not panic");
        }
        start.elapsed()
    });
}
