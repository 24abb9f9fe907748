//! Groups of goroutines that may fail.

use tokio::task::JoinSet;

use crate::peers::on_tokio;
use crate::rows::Rows;

pub(crate) fn rows(rows: &mut Rows) {
    rows.add("go_wait", "tokio", |n| {
        on_tokio(vec![Box::pin(async move {
            let mut set = JoinSet::new();
            for _ in 0..n {
                set.spawn(async { Ok::<(), ()>(()) });
            }
            while let Some(ended) = set.join_next().await {
                ended.expect("none panics").expect("none fails");
            }
        })])
    });
}
