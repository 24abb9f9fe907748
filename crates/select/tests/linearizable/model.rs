//! Go's channels one step at a time.
//!
//! An operation takes effect at one instant between its call and its return; one that has
//! several effects (many values, a place and then a value) is several operations with the same
//! call and return. Where the contract leaves more room than Go's does, so does the model, and
//! no further:
//!
//! - A granted receive (futures, arms of selects) frees its place when it is granted and takes
//!   the front when it completes. So as many values more than the capacity may lie in a
//!   channel as such receives are under way, and so many may be out of others' reach.
//! - A grant that is dropped leaves its value behind, beyond the capacity (*returned*).
//! - A permit holds a place, or a receiver, until its value is there, through a close; its value
//!   may lie beyond the capacity if the receiver has gone.
//! - At capacity 0, and where permits hold the places, a value passes to a receive under way.

use std::collections::VecDeque;

/// The ends of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Send,
    Receive,
}

/// What an operation did, as its result tells.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    Push {
        c: usize,
        v: u32,
    },
    /// A cancelled send: may have been received, may have been dropped.
    MaybePush {
        c: usize,
        v: u32,
    },
    /// A place, for a value to come.
    Reserve {
        c: usize,
    },
    /// The value in a place reserved before.
    Fill {
        c: usize,
        v: u32,
    },
    /// Such a place given up.
    Release {
        c: usize,
    },
    /// A send arm that was chosen, and whose value panicked: a place that was held meanwhile, or a
    /// channel that was closed.
    TakenBack {
        c: usize,
    },
    /// Such a place whose value came back: no receiver is left.
    Unfillable {
        c: usize,
    },
    Pop {
        c: usize,
        v: u32,
    },
    /// A receive that found the channel closed and drained.
    Drained {
        c: usize,
    },
    /// A send that found the channel closed.
    Rejected {
        c: usize,
    },
    Close {
        c: usize,
        first: bool,
    },
    /// None of these (sets of channels) was ready.
    Default {
        recv: u8,
        send: u8,
    },
    /// A handle is dropped: it counts no more, and if it was the last, others notice.
    Uncount {
        c: usize,
        end: End,
    },
    Gone {
        c: usize,
        end: End,
    },
    /// A weak handle is upgraded.
    Upgrade {
        c: usize,
        end: End,
        found: bool,
    },
    /// Sends are impossible.
    Closed {
        c: usize,
    },
    /// Timed out or cancelled.
    Nothing,
}

/// One operation of a history.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) effect: Effect,
    pub(crate) sets: Sets,
}

/// The channels an operation touches, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sets {
    /// Waits to send.
    pub(crate) sends: u8,
    /// Waits to receive.
    pub(crate) receives: u8,
    /// The receives that are under a grant.
    pub(crate) grants: u8,
    /// May make an offer.
    pub(crate) offers: u8,
}

/// A channel as the program made it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spec {
    pub(crate) cap: Option<usize>,
    /// How many handles each end has.
    pub(crate) handles: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Channel {
    buffer: VecDeque<u32>,
    closed: bool,
    n_senders: u8,
    n_receivers: u8,
    no_senders: bool,
    no_receivers: bool,
    /// Places reserved.
    held: usize,
    /// Values that may lie beyond the capacity.
    returned: usize,
}

impl Channel {
    pub(crate) fn new(spec: &Spec) -> Self {
        Self {
            buffer: VecDeque::new(),
            closed: false,
            n_senders: spec.handles,
            n_receivers: spec.handles,
            no_senders: false,
            no_receivers: false,
            held: 0,
            returned: 0,
        }
    }

    fn no_sends(&self) -> bool {
        self.closed || self.no_receivers
    }

    fn no_more(&self) -> bool {
        self.closed || self.no_senders
    }

    fn count(&mut self, end: End) -> &mut u8 {
        match end {
            End::Send => &mut self.n_senders,
            End::Receive => &mut self.n_receivers,
        }
    }
}

/// What the channels are after the event, which may have a `second` outcome; `None` if it
/// cannot happen now.
pub(crate) fn step(
    specs: &[Spec],
    before: &[Channel],
    event: &Event,
    second: bool,
    count: &dyn Fn(usize, fn(&Sets) -> u8) -> usize,
) -> Option<Vec<Channel>> {
    // Beside `held` places that are promised.
    let fits_beside = |c: usize, held: usize| {
        let (len, returned) = (before[c].buffer.len(), before[c].returned);
        specs[c].cap.is_none_or(|cap| {
            let receives = count(c, |s| s.receives);
            // Into a place; or past those, to a receiver.
            len + held < cap + returned + count(c, |s| s.grants)
                || (held > 0 || cap == 0) && receives > 0 && len < cap + returned + receives
        })
    };
    let fits = |c: usize| fits_beside(c, before[c].held);
    let possible = match event.effect {
        Effect::Push { c, .. } | Effect::Reserve { c } => !before[c].no_sends() && fits(c),
        Effect::MaybePush { c, .. } => second || !before[c].no_sends() && fits(c),
        Effect::Fill { c, .. } => before[c].held > 0 && !before[c].no_receivers,
        Effect::Release { c } => before[c].held > 0,
        Effect::Unfillable { c } => before[c].held > 0 && before[c].no_receivers,
        Effect::Pop { c, v } => before[c].buffer.front() == Some(&v),
        Effect::Drained { c } => {
            before[c].no_more() && before[c].buffer.is_empty() && before[c].held == 0
        }
        Effect::Rejected { c } | Effect::Closed { c } => before[c].no_sends(),
        Effect::Close { c, first } => before[c].closed != first,
        Effect::Default { recv, send } => {
            let no_value = |c: usize| {
                let (channel, grants) = (&before[c], count(c, |s| s.grants));
                let len = channel.buffer.len();
                let more = !channel.no_more() || len + channel.held > 0;
                (more || count(c, |s| s.offers) > 0) && len <= grants
            };
            let no_room = |c: usize| {
                let taken = before[c].buffer.len() + before[c].held + count(c, |s| s.offers);
                !before[c].no_sends() && specs[c].cap.is_some_and(|cap| taken >= cap)
            };
            (0..specs.len())
                .all(|c| (recv >> c & 1 == 0 || no_value(c)) && (send >> c & 1 == 0 || no_room(c)))
        }
        Effect::Upgrade { c, end, found } => {
            let n = match end {
                End::Send => before[c].n_senders,
                End::Receive => before[c].n_receivers,
            };
            (n > 0) == found
        }
        Effect::TakenBack { c } => before[c].no_sends() || fits(c),
        Effect::Uncount { .. } | Effect::Gone { .. } | Effect::Nothing => true,
    };
    if !possible {
        return None;
    }
    let mut after = before.to_vec();
    match event.effect {
        Effect::Push { c, v } => after[c].buffer.push_back(v),
        Effect::MaybePush { c, v } if !second => after[c].buffer.push_back(v),
        Effect::Reserve { c } => after[c].held += 1,
        Effect::Fill { c, v } => {
            after[c].held -= 1;
            if !fits_beside(c, after[c].held) {
                after[c].returned += 1;
            }
            after[c].buffer.push_back(v);
        }
        Effect::Release { c } | Effect::Unfillable { c } => after[c].held -= 1,
        Effect::Pop { c, .. } => {
            after[c].buffer.pop_front();
            if event.sets.grants >> c & 1 == 0 {
                after[c].returned = after[c].returned.saturating_sub(1);
            }
        }
        Effect::Close { c, .. } => after[c].closed = true,
        Effect::Uncount { c, end } => *after[c].count(end) -= 1,
        Effect::Gone { c, end } if *after[c].count(end) == 0 => match end {
            End::Send => after[c].no_senders = true,
            End::Receive => {
                after[c].no_receivers = true;
                after[c].buffer.clear();
            }
        },
        Effect::Upgrade {
            c,
            end,
            found: true,
        } => *after[c].count(end) += 1,
        Effect::Nothing => {
            for (c, channel) in after.iter_mut().enumerate() {
                channel.returned += usize::from(event.sets.grants >> c & 1);
            }
        }
        _ => {}
    }
    for channel in &mut after {
        // Values that lie beyond the capacity lie there.
        channel.returned = channel.returned.min(channel.buffer.len());
    }
    Some(after)
}
