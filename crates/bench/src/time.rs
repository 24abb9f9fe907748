//! Timers and tickers.

use std::time::Duration;

use crate::peers::on_tokio;
use crate::rows::Rows;

pub(crate) fn rows(rows: &mut Rows) {
    rows.add("create_poll_drop", "tokio", |n| {
        on_tokio(vec![Box::pin(async move {
            for _ in 0..n {
                let mut sleep = std::pin::pin!(tokio::time::sleep(Duration::from_secs(3600)));
                std::future::poll_fn(|cx| {
                    std::hint::black_box(sleep.as_mut().poll(cx).is_ready());
                    std::task::Poll::Ready(())
                })
                .await;
            }
        })])
    });
}
