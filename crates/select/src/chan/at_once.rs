//! How a send and a receive mostly go: at once, in a few dozen steps.
//!
//! Two things make these steps few. No function is called among them, so nothing has to be kept
//! for after it: whatever takes more is left to a function that ends the operation. And what is
//! mirrored follows from what was, but for a jump where it does not: a jump is guessed, whereas a
//! word that is computed from what lies under the lock comes late for whoever locks next.

use std::hint::black_box;

use rendez_core::hooks;
use rendez_core::lock::WordGuard;

use super::beside::Beside;
use super::state::State;
use super::{
    AGE, ASIDE, Chan, ENDED, EPOCH, QUEUED, RECV_READY, RUNNING, SEND_READY, is_mirrored, mirror,
};

impl<T> Chan<T> {
    /// Sends, unless there is no room, or somebody else has to do with the channel now; or a
    /// bubble lives, in which others may have to go first.
    #[inline(always)]
    pub(crate) fn send_at_once(&self, value: T) -> Result<(), T> {
        if hooks::has_bubbles() {
            return Err(value);
        }
        let value = match self.beside.get() {
            Some(Beside::Lane(lane)) => match lane.send_at_once(value) {
                Ok(()) => return Ok(()),
                Err(value) => value,
            },
            Some(Beside::Front(_)) | None => {
                self.state.expect_change();
                value
            }
        };
        let may = |word| word & (SEND_READY | QUEUED | ENDED | ASIDE) == SEND_READY;
        let Some(mut state) = self.state.lock_if(may) else {
            return Err(value);
        };
        let before = state.word();
        let mut word = before;
        if before & RECV_READY == 0 {
            word += EPOCH | RECV_READY;
            if (word ^ before) & AGE != 0 {
                return self.put_slowly(state, value);
            }
        }
        if let Err(value) = state.put_at_once(value) {
            return self.put_slowly(state, value);
        }
        state.set_word(word);
        if !state.has_room() {
            // Keeps it a jump.
            black_box(());
            state.set_word(word & !SEND_READY);
        }
        debug_assert!(is_mirrored(&state));
        Ok(())
    }

    /// Puts down a value, for which there is room, where that takes more.
    #[cold]
    #[inline(never)]
    fn put_slowly(&self, mut state: WordGuard<'_, State<T>>, value: T) -> Result<(), T> {
        if state.word() & RUNNING != 0 {
            state.ring.push_back(value);
            return Ok(());
        }
        state.put(value);
        let (room, before) = (state.has_room(), state.word());
        mirror(&mut state, true, room, 0);
        if (state.word() ^ before) & AGE != 0 {
            self.run_lane_alone(state);
        }
        Ok(())
    }

    /// Receives, unless there is nothing, or somebody else has to do with the channel now; or a
    /// bubble lives. The channel may have ended.
    #[inline(always)]
    pub(crate) fn recv_at_once(&self) -> Option<T> {
        if hooks::has_bubbles() {
            return None;
        }
        match self.beside.get() {
            Some(Beside::Lane(lane)) => {
                if let Some(value) = lane.recv_at_once() {
                    return Some(value);
                }
            }
            Some(Beside::Front(front)) => {
                if let Some(value) = front.recv_at_once() {
                    return Some(value);
                }
            }
            None => self.state.expect_change(),
        }
        let may = |word| word & (RECV_READY | QUEUED | ASIDE | RUNNING) == RECV_READY;
        let mut state = self.state.lock_if(may)?;
        let mut word = state.word();
        if word & SEND_READY == 0 && (word ^ (word + EPOCH)) & AGE != 0 {
            return pop_slowly(state);
        }
        let Some(value) = state.pop_at_once() else {
            return pop_slowly(state);
        };
        if word & SEND_READY == 0 {
            // Keeps it a jump.
            black_box(());
            if state.has_room() {
                word += EPOCH | SEND_READY;
            }
        }
        state.set_word(word);
        if state.available() == 0 && !state.is_drained() {
            black_box(());
            state.set_word(word & !RECV_READY);
        }
        debug_assert!(is_mirrored(&state));
        Some(value)
    }
}

/// Takes the front, if it is not promised, where that takes more.
#[cold]
#[inline(never)]
fn pop_slowly<T>(mut state: WordGuard<'_, State<T>>) -> Option<T> {
    let value = state.pop_available()?;
    let (before, more, room) = (state.word(), state.recv_ready(), state.send_ready());
    mirror(&mut state, more, room, before & ENDED);
    if (state.word() ^ before) & AGE != 0 {
        // Where a channel is filled and emptied in turn, its ends become ready in turn. With one
        // more the next such age is reached by a send, which finds little to move to a lane.
        let word = state.word() + EPOCH;
        state.set_word(word);
    }
    Some(value)
}
