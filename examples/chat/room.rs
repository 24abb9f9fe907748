//! The room: one goroutine that knows who is here and passes on what is said. It owns its
//! list, so there is no lock; the others talk to it through a channel.

use std::collections::HashMap;
use std::sync::Arc;

use rendez::prelude::*;

/// A line to be written to clients, shared by all of them.
pub(crate) type Line = Arc<str>;

/// How many lines a client may be behind before it is sent away.
const MAX_BEHIND: usize = 1024;

/// What the room is told.
pub(crate) enum Event {
    /// Somebody came; their lines go to `outbox`.
    Join {
        id: u64,
        name: String,
        outbox: Sender<Line>,
    },
    /// Somebody said something.
    Say { id: u64, text: String },
    /// Somebody asks who is here.
    Who { id: u64 },
    /// Somebody left, for this reason.
    Leave { id: u64, why: &'static str },
}

struct Client {
    name: String,
    outbox: Sender<Line>,
}

/// The room's end of a client's lines.
pub(crate) fn outbox() -> (Sender<Line>, Receiver<Line>) {
    bounded(MAX_BEHIND)
}

/// Runs the room until nobody can tell it anything any more, or the context ends.
pub(crate) async fn run(events: Receiver<Event>, ctx: Context) {
    let mut clients = HashMap::new();
    loop {
        select_async! {
            recv(events) -> event => match event {
                Ok(event) => handle(&mut clients, event),
                Err(_) => return,
            },
            recv(ctx.done()) -> _ => break,
        }
    }
    tell_all(&mut clients, "* the server stops, goodbye\n".into());
    // Their outboxes end, and with them their connections.
    drop(clients);
    while events.recv_async().await.is_ok() {}
}

fn handle(clients: &mut HashMap<u64, Client>, event: Event) {
    match event {
        Event::Join { id, name, outbox } => {
            let welcome = format!("* welcome {name}, {} here\n", clients.len() + 1);
            let _ = outbox.try_send(welcome.into());
            tell_all(clients, format!("* {name} has joined\n").into());
            clients.insert(id, Client { name, outbox });
        }
        Event::Say { id, text } => {
            let Some(client) = clients.get(&id) else {
                return;
            };
            let line = format!("{}: {text}\n", client.name);
            tell_all(clients, line.into());
        }
        Event::Who { id } => {
            let mut names: Vec<_> = clients.values().map(|c| c.name.as_str()).collect();
            names.sort_unstable();
            let line = format!("* here: {}\n", names.join(", "));
            if let Some(client) = clients.get(&id) {
                let _ = client.outbox.try_send(line.into());
            }
        }
        Event::Leave { id, why } => {
            if let Some(client) = clients.remove(&id) {
                let line = format!("* {} has left ({why})\n", client.name);
                let _ = client.outbox.try_send(line.as_str().into());
                tell_all(clients, line.into());
            }
        }
    }
}

/// Sends to all; who is too far behind is forgotten, which ends their connection.
fn tell_all(clients: &mut HashMap<u64, Client>, line: Line) {
    clients.retain(|_, client| client.outbox.try_send(Arc::clone(&line)).is_ok());
}
