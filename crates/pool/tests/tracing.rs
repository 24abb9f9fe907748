//! Spans of goroutines.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use common::{until, within_a_minute};
use rendez_pool::{go, scope, spawn, yield_now};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What became of one span.
#[derive(Clone, Debug, Default)]
struct Seen {
    fields: String,
    parent: Option<u64>,
    entered: usize,
    left: usize,
    closed: bool,
    events: Vec<String>,
}

/// Keeps all spans, and which of them each thread is in.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    spans: Vec<Seen>,
    refs: HashMap<u64, usize>,
    inside: HashMap<std::thread::ThreadId, Vec<u64>>,
}

impl State {
    fn span(&mut self, id: &Id) -> &mut Seen {
        &mut self.spans[id.into_u64() as usize - 1]
    }

    fn stack(&mut self) -> &mut Vec<u64> {
        self.inside.entry(std::thread::current().id()).or_default()
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Keep {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "rendez" || metadata.target() == "test"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text(String::new());
        span.record(&mut text);
        let mut state = self.0.lock().unwrap();
        let parent = state.stack().last().copied();
        state.spans.push(Seen {
            fields: text.0,
            parent,
            ..Seen::default()
        });
        let id = state.spans.len() as u64;
        state.refs.insert(id, 1);
        Id::from_u64(id)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let mut state = self.0.lock().unwrap();
        if let Some(&id) = state.stack().last() {
            state.span(&Id::from_u64(id)).events.push(text.0);
        }
    }
    fn enter(&self, id: &Id) {
        let mut state = self.0.lock().unwrap();
        state.stack().push(id.into_u64());
        state.span(id).entered += 1;
    }
    fn exit(&self, id: &Id) {
        let mut state = self.0.lock().unwrap();
        assert_eq!(state.stack().pop(), Some(id.into_u64()));
        state.span(id).left += 1;
    }
    fn clone_span(&self, id: &Id) -> Id {
        *self.0.lock().unwrap().refs.get_mut(&id.into_u64()).unwrap() += 1;
        id.clone()
    }
    fn try_close(&self, id: Id) -> bool {
        let mut state = self.0.lock().unwrap();
        let refs = state.refs.get_mut(&id.into_u64()).unwrap();
        *refs -= 1;
        let closed = *refs == 0;
        state.span(&id).closed |= closed;
        closed
    }
}

impl Keep {
    /// The span of the goroutine with this id, and its own.
    fn of(&self, goroutine: u64) -> (u64, Seen) {
        let state = self.0.lock().unwrap();
        let field = format!("id={goroutine} ");
        let mut found = (1..).zip(&state.spans);
        let (id, seen) = found.find(|(_, s)| s.fields.contains(&field)).unwrap();
        (id, seen.clone())
    }
}

/// Says when it is dropped.
struct Says;

impl Drop for Says {
    fn drop(&mut self) {
        tracing::info!(target: "test", "dropped");
    }
}

#[test]
fn each_goroutine_has_a_span_around_all_it_does() {
    let keep = Keep::default();
    tracing::subscriber::set_global_default(keep.clone()).unwrap();
    within_a_minute(|| {
        let says = Says;
        let task = spawn().name("fetch").go(async move {
            let _says = says;
            yield_now().await;
            tracing::info!(target: "test", "after a yield");
            (go(|| ()).id(), yield_now().await).0
        });
        let (id, child) = (task.id(), task.join().unwrap());
        until(|| keep.of(id).1.closed && keep.of(child).1.closed);
        let (span, seen) = keep.of(id);
        assert!(seen.fields.contains("name=\"fetch\""), "{seen:?}");
        assert!(seen.fields.contains("tests/tracing.rs:"), "{seen:?}");
        // Two yields, the end, and the drop.
        assert!(seen.entered >= 4, "{seen:?}");
        assert_eq!(seen.entered, seen.left);
        assert!(seen.events[0].contains("after a yield"), "{seen:?}");
        assert!(seen.events[1].contains("dropped"), "{seen:?}");
        assert_eq!(keep.of(child).1.parent, Some(span));

        let panics = go(|| panic!("what it says"));
        let id = panics.id();
        assert!(panics.join().is_err());
        until(|| keep.of(id).1.closed);
        let events = keep.of(id).1.events;
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(events[0].contains("what it says"), "{events:?}");

        // What is cancelled before it begins, or parked, is dropped in its span.
        let says = Says;
        let parked = go(async move {
            let _says = says;
            std::future::pending::<()>().await;
        });
        let id = parked.id();
        parked.cancel();
        assert!(parked.join().is_err());
        until(|| keep.of(id).1.closed);
        assert!(keep.of(id).1.events[0].contains("dropped"));

        let n = [1, 2, 3];
        assert_eq!(scope(|s| s.go(|| n.len()).join().unwrap()), 3);
    });
}
