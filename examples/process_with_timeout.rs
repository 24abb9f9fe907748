//! Processes items one after the other, as long as its context allows.

use std::time::Duration;

use rendez::context::ContextError;
use rendez::prelude::*;

fn process(ctx: &Context, items: &[u32]) -> Result<(), ContextError> {
    for item in items {
        ctx.check()?;
        rendez::time::sleep(Duration::from_millis(50)); // the work
        println!("processed {item}");
    }
    Ok(())
}

fn main() {
    let (ctx, _cancel) = Context::background().with_timeout(Duration::from_millis(220));
    let items: Vec<u32> = (1..=100).collect();
    match process(&ctx, &items) {
        Ok(()) => println!("done"),
        Err(error) => println!("stopped: {error}"),
    }
}
