//! Entering a gate and running a future behind it: what the `_async` forms share.
#![allow(unsafe_code)]

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rendez_core::wait::CaseFuture;

use super::gate::{Enter, Gate, Turn};
use crate::work::Work;

type Output<M, W> = <<W as Work<M>>::Future as Future>::Output;

/// How such a wait ends.
pub(crate) enum Ran<'a, T> {
    /// The future has run; the turn is still to be completed.
    Now(Turn<'a>, T),
    Done,
}

/// Waits for the turn, then runs the work. Dropped, it passes the turn on.
pub(crate) struct Running<'a, M, W: Work<M>> {
    gate: &'a Gate,
    location: &'static Location<'static>,
    work: Option<W>,
    stage: Stage<'a, W::Future>,
}

enum Stage<'a, Fut> {
    Entering(CaseFuture<Enter<'a>>),
    /// The future is dropped first: the next to run does not meet what is left of it.
    Running {
        future: Fut,
        turn: Option<Turn<'a>>,
    },
    Over,
}

impl<'a, M, W: Work<M>> Running<'a, M, W> {
    /// Runs nothing before it is polled.
    pub(crate) fn new(gate: &'a Gate, work: W, location: &'static Location<'static>) -> Self {
        Self {
            gate,
            location,
            work: Some(work),
            stage: Stage::Entering(gate.enter_async(location)),
        }
    }

    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ran<'a, Output<M, W>>> {
        // SAFETY: `stage`'s content is never moved, only replaced; `work` is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        loop {
            match &mut this.stage {
                Stage::Entering(enter) => {
                    this.gate.refuse_reentry(this.location);
                    // SAFETY: it stays in place until it is replaced.
                    let entered = ready!(unsafe { Pin::new_unchecked(enter) }.poll(cx));
                    this.stage = Stage::Over;
                    let Some(turn) = this.gate.turn(entered) else {
                        return Poll::Ready(Ran::Done);
                    };
                    let work = this.work.take().expect("it is entered once");
                    let (turn, future) = turn.run(|| work.begin());
                    let turn = Some(turn);
                    this.stage = Stage::Running { future, turn };
                }
                Stage::Running { future, turn } => {
                    // SAFETY: it stays in place until it is replaced.
                    let future = unsafe { Pin::new_unchecked(future) };
                    let own = turn
                        .take()
                        .expect("a future that has panicked is not polled");
                    let (own, polled) = own.run(|| future.poll(cx));
                    let Poll::Ready(output) = polled else {
                        *turn = Some(own);
                        return Poll::Pending;
                    };
                    this.stage = Stage::Over;
                    return Poll::Ready(Ran::Now(own, output));
                }
                Stage::Over => panic!("polled after it had completed"),
            }
        }
    }
}
