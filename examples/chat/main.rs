//! A chat server over TCP: `chat [ADDRESS] [--idle SECONDS]`.
//!
//! Each line a client sends goes to all; its first one is its name. `/who` lists who is here,
//! `/quit` leaves. Who says nothing for too long is sent away, who does not read what is said
//! too. Ctrl-C says goodbye to all and waits for the last words to be written.

mod room;
mod server;

use std::time::Duration;

use async_net::TcpListener;
use rendez::context::{Context, SIGINT, SIGTERM, on_signals};
use rendez::pool::block_on;

fn main() {
    let mut address = "127.0.0.1:4000".to_owned();
    let mut idle = Duration::from_secs(300);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--idle" {
            let seconds = args.next().and_then(|s| s.parse().ok());
            let seconds = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
            idle = seconds.unwrap_or_else(|| usage());
        } else if arg.starts_with('-') {
            usage();
        } else {
            address = arg;
        }
    }
    if let Err(error) = block_on(run(&address, idle)) {
        eprintln!("chat: {error}");
        std::process::exit(1);
    }
}

fn usage() -> ! {
    eprintln!("usage: chat [ADDRESS] [--idle SECONDS]");
    std::process::exit(2)
}

async fn run(address: &str, idle: Duration) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let (ctx, _cancel) = on_signals(&Context::background(), [SIGINT, SIGTERM])?;
    println!("listening on {}", listener.local_addr()?);
    server::serve(&ctx, listener, idle).await;
    println!("stopped");
    Ok(())
}
