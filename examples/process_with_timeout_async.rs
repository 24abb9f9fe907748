//! `process_with_timeout` as a task. Its context ends the wait inside an item, too: what
//! it waits for is dropped there and has taken nothing.

use std::time::Duration;

use rendez::context::ContextError;
use rendez::prelude::*;
use rendez::time::sleep_async;

async fn process(ctx: &Context, items: &[u32]) -> Result<(), ContextError> {
    for item in items {
        ctx.run(sleep_async(Duration::from_millis(50))).await?; // the work
        println!("processed {item}");
    }
    Ok(())
}

fn main() {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(220));
    let items: Vec<u32> = (1..=100).collect();
    match rendez::pool::block_on(process(&ctx, &items)) {
        Ok(()) => println!("done"),
        Err(error) => println!("stopped: {error}"),
    }
}
