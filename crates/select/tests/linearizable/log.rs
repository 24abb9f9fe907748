//! What an actor is and has done: its form of each operation, and its history.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::thread;

use crate::common::{Count, poll_with};
use crate::model::{Effect, Event, Sets};
use crate::program::{Random, Stage};

/// A form of an operation that may wait.
#[derive(Clone, Copy)]
pub(crate) enum Form {
    Block,
    Briefly,
    Await,
    /// Dropped after so many polls, however it stands.
    Cancel(u64),
    /// Dropped as soon as it is woken, unpolled.
    CancelServed,
}

/// Who acts, and what it has done.
pub(crate) struct Log {
    pub(crate) stage: Arc<Stage>,
    pub(crate) me: usize,
    pub(crate) n: u32,
    pub(crate) random: Random,
    pub(crate) events: Vec<Event>,
    /// A thread, that may block.
    pub(crate) blocks: bool,
    /// No wait without bound.
    pub(crate) bounded: bool,
    /// A permit is out. Who blocks then, be it briefly, could wait for one who waits for this
    /// permit: an offer is waited for past every deadline.
    pub(crate) holds: bool,
}

/// An operation under way.
pub(crate) struct Call {
    pub(crate) called: u64,
    pub(crate) sets: Sets,
}

impl Log {
    pub(crate) fn value(&mut self) -> u32 {
        self.n += 1;
        u32::try_from(self.me).expect("a few") * 1_000_000 + self.n
    }

    pub(crate) fn form(&mut self) -> Form {
        let form = match self.random.below(10) {
            0..3 if self.blocks => Form::Block,
            3 => Form::Briefly,
            0..7 => Form::Await,
            7 => Form::CancelServed,
            _ => Form::Cancel(self.random.below(3)),
        };
        match form {
            Form::Block | Form::Await | Form::Briefly if self.holds => Form::Cancel(2),
            Form::Block | Form::Await if self.bounded => Form::Cancel(3),
            // A task that blocks for so short a time costs its pool more than it tells.
            Form::Briefly if !self.blocks && self.random.below(8) > 0 => Form::Cancel(1),
            form => form,
        }
    }

    pub(crate) fn call(&self, form: Form, sets: Sets) -> Call {
        if matches!(form, Form::Block | Form::Await) {
            let waits = usize::from(sets.receives) | usize::from(sets.sends) << 8;
            self.stage.waits[self.me].store(waits, Ordering::SeqCst);
        }
        let called = self.stage.tick();
        Call { called, sets }
    }

    /// Records what an operation did: one thing after the other.
    pub(crate) fn end(&mut self, call: &Call, effects: impl IntoIterator<Item = Effect>) {
        self.stage.waits[self.me].store(0, Ordering::SeqCst);
        self.stage.progress.fetch_add(1, Ordering::Relaxed);
        let returned = self.stage.tick();
        self.events.extend(effects.into_iter().map(|effect| Event {
            called: call.called,
            returned,
            effect,
            sets: call.sets,
        }));
    }

    /// Polls as the form says, others running in between; `None` if it was dropped.
    pub(crate) async fn drive<F: Future>(&self, form: Form, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let count = Arc::new(Count::default());
        let poll = |future: Pin<&mut F>| match poll_with(future, &count) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        };
        match form {
            Form::Cancel(polls) => {
                for _ in 0..polls {
                    let output = poll(future.as_mut());
                    if output.is_some() {
                        return output;
                    }
                    self.yield_now().await;
                }
                None
            }
            Form::CancelServed => {
                let output = poll(future.as_mut());
                for _ in 0..20 {
                    if output.is_some() || count.get() > 0 {
                        break;
                    }
                    self.yield_now().await;
                }
                output
            }
            _ => Some(future.await),
        }
    }

    pub(crate) async fn yield_now(&self) {
        if self.blocks {
            thread::yield_now();
        } else {
            rendez_pool::yield_now().await;
        }
    }
}
