//! An HTTP server whose handlers have a context each: with the deadline of the request's
//! `grpc-timeout`, cancelled when the client goes away.
//!
//! ```sh
//! cargo run --example deadlines -- 127.0.0.1:8080
//! curl -i -H 'grpc-timeout: 100m' 'http://127.0.0.1:8080/work?ms=5000'     # 504 after 0.1 s
//! curl -m 1 'http://127.0.0.1:8080/work?ms=5000'                           # the server says who left
//! ```

use std::time::Duration;

use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Extension, Router};
use rendez::context::http::ContextLayer;
use rendez::context::{Context, ContextError, SIGINT, SIGTERM, on_signals};
use tokio::net::TcpListener;

#[derive(serde::Deserialize)]
struct Work {
    ms: u64,
}

/// Works in steps; gives up between two of them.
async fn work(ctx: Context, Work { ms }: Work) -> Result<String, ContextError> {
    for _ in 0..ms.div_ceil(10) {
        ctx.sleep_async(Duration::from_millis(10)).await?;
    }
    Ok(format!("worked for {ms} ms\n"))
}

async fn handle(
    Extension(ctx): Extension<Context>,
    Query(asked): Query<Work>,
) -> (StatusCode, String) {
    // The work goes on beside the request, as it would in another service.
    let done = tokio::spawn(async move {
        println!("working for {} ms", asked.ms);
        let worked = work(ctx.clone(), asked).await;
        if worked.is_err() {
            let cause = ctx.cause().map(|cause| cause.to_string());
            println!("gave up: {}", cause.unwrap_or_default());
        }
        worked
    });
    match done.await {
        Ok(Ok(text)) => (StatusCode::OK, text),
        Ok(Err(why)) => (StatusCode::GATEWAY_TIMEOUT, format!("{why}\n")),
        Err(panic) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{panic}\n")),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let (ctx, _cancel) = on_signals(&Context::background(), [SIGINT, SIGTERM])?;
    let app = Router::new()
        .route("/work", get(handle))
        .layer(ContextLayer::new(&ctx));
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:0")).await?;
    println!("listening on {}", listener.local_addr()?);
    let stopping = async move {
        ctx.done().await;
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(stopping)
        .await
}
