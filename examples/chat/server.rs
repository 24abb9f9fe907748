//! Connections: for each client a goroutine that reads and one that writes.
//!
//! A client's outbox ends when the room forgets it; then the writer has written everything,
//! shuts the connection down, and ends the client's context, which ends the reader too.

use std::time::Duration;

use async_net::{TcpListener, TcpStream};
use futures_lite::io::BufReader;
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use rendez::pool::spawn;
use rendez::prelude::*;
use rendez::time::{sleep_async, timeout};

use crate::room::{self, Event, Line};

/// How long a line may be.
const MAX_LINE: u64 = 4096;
/// How many lines are written at a time.
const MAX_BATCH: usize = 256;
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long clients get to read the last words.
const GRACE: Duration = Duration::from_secs(5);

/// Serves clients until the context ends, and then until all have been told.
pub(crate) async fn serve(ctx: &Context, listener: TcpListener, idle: Duration) {
    let (tx, events) = bounded(1024);
    let room = spawn().name("room").go(room::run(events, ctx.clone()));
    let clients = WaitGroup::new();
    let mut next_id = 0;
    while let Ok(accepted) = ctx.run(listener.accept()).await {
        match accepted {
            Ok((stream, _)) => {
                next_id += 1;
                clients.go(serve_client(ctx.clone(), next_id, stream, tx.clone(), idle));
            }
            Err(error) => {
                // Out of descriptors, most likely: somebody has to leave first.
                eprintln!("chat: {error}");
                let _ = ctx.run(sleep_async(Duration::from_millis(100))).await;
            }
        }
    }
    drop(tx);
    let _ = timeout(GRACE, clients.wait_async()).await;
    let _ = timeout(GRACE, room).await;
}

async fn serve_client(
    ctx: Context,
    id: u64,
    stream: TcpStream,
    room: Sender<Event>,
    idle: Duration,
) {
    let (here, leave) = Context::background().with_cancel();
    let mut lines = BufReader::new(stream.clone());
    // Who does not say their name in time was never here.
    let named = ctx.run(timeout(idle, read_line(&mut lines))).await;
    let Ok(Ok(Ok(Some(name)))) = named else {
        return;
    };
    let (outbox, out) = room::outbox();
    let writer = go(async move {
        write_lines(stream, out).await;
        leave.cancel();
    });
    let _ = room.send_async(Event::Join { id, name, outbox }).await;
    let why = listen(&here, id, &mut lines, &room, idle).await;
    let _ = room.send_async(Event::Leave { id, why }).await;
    let _ = writer.await;
}

/// Tells the room what the client says; the reason why it ends.
async fn listen(
    here: &Context,
    id: u64,
    lines: &mut BufReader<TcpStream>,
    room: &Sender<Event>,
    idle: Duration,
) -> &'static str {
    loop {
        let line = match here.run(timeout(idle, read_line(lines))).await {
            Err(_) => return "sent away",
            Ok(Err(_)) => return "idle for too long",
            Ok(Ok(Err(_))) => return "connection lost",
            Ok(Ok(Ok(None))) => return "gone",
            Ok(Ok(Ok(Some(line)))) => line,
        };
        let event = match line.as_str() {
            "/quit" => return "bye",
            "/who" => Event::Who { id },
            _ => Event::Say { id, text: line },
        };
        if room.send_async(event).await.is_err() {
            return "no room";
        }
    }
}

/// The next line without its end; `None` at the end of all.
async fn read_line(lines: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    let mut limited = lines.take(MAX_LINE);
    if limited.read_until(b'\n', &mut line).await? == 0 {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
}

/// Writes what comes, as much as there is at a time, and closes the connection.
async fn write_lines(mut stream: TcpStream, out: Receiver<Line>) {
    while let Ok(line) = out.recv_async().await {
        let mut text = line.to_string();
        out.try_iter()
            .take(MAX_BATCH)
            .for_each(|line| text += &line);
        match timeout(WRITE_TIMEOUT, stream.write_all(text.as_bytes())).await {
            Ok(Ok(())) => {}
            _ => break,
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}
