//! One loop receives from two producers, until it is told to quit or nothing has come for
//! five seconds.

use std::time::Duration;

use rendez::prelude::*;

fn produce(name: &'static str, every: Duration) -> Receiver<String> {
    let (tx, rx) = bounded(0);
    go(move || {
        for i in 1.. {
            rendez::time::sleep(every);
            if tx.send(format!("{name} {i}")).is_err() {
                return; // nobody receives any more
            }
        }
    });
    rx
}

fn main() {
    let fast = produce("fast", Duration::from_millis(20));
    let slow = produce("slow", Duration::from_millis(50));
    let (quitter, quit) = bounded::<()>(0);
    go(move || {
        rendez::time::sleep(Duration::from_millis(300));
        quitter.close()
    });

    loop {
        select! {
            recv(fast) -> message => println!("{}", message.expect("it never ends")),
            recv(slow) -> message => println!("{}", message.expect("it never ends")),
            recv(quit) -> _ => {
                println!("quit");
                return;
            }
            recv(after(Duration::from_secs(5))) -> _ => {
                println!("timeout");
                return;
            }
        }
    }
}
