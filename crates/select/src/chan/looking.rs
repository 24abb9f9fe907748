//! A task's one look at a running lane, before it queues.
//!
//! Who queues stops the lane for everybody, is served under the lock and polled once more, which takes
//! as long as a dozen values. If the other end is at work on another processor there is a batch
//! sooner than that, and if not, nothing comes of looking. So a thread on which it was in vain leaves
//! it out for a while, twice as long each time.
//!
//! Nobody is overtaken: the task has not arrived yet, and looks within its poll.

use std::cell::Cell;

use rendez_core::hooks;
use rendez_core::shim::{multicore, pause};

use super::lane::{Lane, Refused};
use super::{ASIDE, Chan};

/// Half a microsecond.
const PAUSES: u32 = 8;
/// So many waits are made without a look, at the most.
const MOST_LEFT_OUT: u32 = 63;

std::thread_local! {
    /// Without a look: how many waits more, and how many after the last look, which was in vain.
    static LEFT_OUT: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

impl<T> Chan<T> {
    /// Receives by the lane, if a sender is at work.
    pub(crate) fn recv_looking(&self) -> Option<T> {
        let lane = self.lane_in_use()?;
        look(|| lane.recv())
    }

    /// The lane, if it runs, or has been stopped and is about to go on.
    fn lane_in_use(&self) -> Option<&Lane<T>> {
        let lane = self.lane()?;
        (self.state.peek() & ASIDE != 0).then_some(lane)
    }

    /// Sends by the lane, if a receiver is at work.
    pub(crate) fn send_looking(&self, value: T) -> Result<(), T> {
        let Some(lane) = self.lane_in_use() else {
            return Err(value);
        };
        let mut rest = Some(value);
        look(|| match rest.take().map(|value| lane.send(value)) {
            None | Some(Ok(())) => Ok(()),
            Some(Err((refused, value))) => {
                rest = Some(value);
                Err(refused)
            }
        });
        rest.map_or(Ok(()), Err)
    }
}

/// Attempts something after a pause, if that has not been in vain too often.
fn look<R>(attempt: impl FnOnce() -> Result<R, Refused>) -> Option<R> {
    if cfg!(rendez_loom) || !multicore() || hooks::has_bubbles() || is_left_out() {
        return None;
    }
    pause(PAUSES);
    let done = attempt();
    let _ = LEFT_OUT.try_with(|left_out| {
        let (_, last) = left_out.get();
        let next = match done {
            Ok(_) => 0,
            Err(Refused::Idle) => (2 * last + 1).min(MOST_LEFT_OUT),
            // That tells nothing: the others may be at work under the lock.
            Err(Refused::Stopped) => return,
        };
        left_out.set((next, next));
    });
    done.ok()
}

/// Whether this wait is made without a look.
fn is_left_out() -> bool {
    let left = LEFT_OUT.try_with(|left_out| {
        let (left, last) = left_out.get();
        left_out.set((left.saturating_sub(1), last));
        left
    });
    left != Ok(0)
}
