//! `multiplexer` as a task: the same channels and arms, awaited, and a future as an arm.

use std::time::Duration;

use rendez::prelude::*;
use rendez::time::sleep_async;

fn produce(name: &'static str, every: Duration) -> Receiver<String> {
    let (tx, rx) = bounded(0);
    go(async move {
        for i in 1.. {
            sleep_async(every).await;
            if tx.send_async(format!("{name} {i}")).await.is_err() {
                return; // nobody receives any more
            }
        }
    });
    rx
}

async fn multiplex() -> &'static str {
    let fast = produce("fast", Duration::from_millis(20));
    let slow = produce("slow", Duration::from_millis(50));
    let (quitter, quit) = bounded::<()>(0);
    go(async move {
        sleep_async(Duration::from_millis(300)).await;
        quitter.close()
    });

    loop {
        select_async! {
            recv(fast) -> message => println!("{}", message.expect("it never ends")),
            recv(slow) -> message => println!("{}", message.expect("it never ends")),
            recv(quit) -> _ => return "quit",
            await(sleep_async(Duration::from_secs(5))) -> () => return "timeout",
        }
    }
}

fn main() {
    println!("{}", rendez::pool::block_on(multiplex()));
}
