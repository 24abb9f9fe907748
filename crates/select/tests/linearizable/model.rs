//! Go's channels one step at a time, and the search for an order of a history's operations
//! that they allow.
//!
//! An operation takes effect at one instant between its call and its return. Where the
//! contract leaves more room than Go's does, so does the model, and no further:
//!
//! - A granted receive (futures, arms of selects) frees its place when it is granted and takes
//!   the front when it completes. So as many values more than the capacity may lie in a
//!   channel as such receives are under way, and so many may be out of others' reach.
//! - A grant that is dropped leaves its value behind, beyond the capacity.
//! - A chosen send arm (an *offer*) holds its place until its value is there, through a close.
//! - At capacity 0 a value passes while a receive is under way.

use std::collections::{HashSet, VecDeque};

/// What an operation did, as its result tells.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    Push {
        c: usize,
        v: u64,
        offer: bool,
    },
    /// A cancelled send: may have been received, may have been dropped.
    MaybePush {
        c: usize,
        v: u64,
    },
    Pop {
        c: usize,
        v: u64,
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
    /// Timed out or cancelled.
    Nothing,
}

/// One operation of a history.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) called: u64,
    pub(crate) returned: u64,
    pub(crate) effect: Effect,
    /// Channels it would have received from.
    pub(crate) receives: u8,
    /// Those of them under a grant.
    pub(crate) grants: u8,
    /// Channels it made an offer on.
    pub(crate) offers: u8,
}

impl Event {
    pub(crate) fn new(called: u64, returned: u64, effect: Effect) -> Self {
        let receives = match effect {
            Effect::Pop { c, .. } | Effect::Drained { c } => 1 << c,
            _ => 0,
        };
        Self {
            called,
            returned,
            effect,
            receives,
            grants: 0,
            offers: 0,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Linearizable,
    Undecided,
    /// With the operations that could not come next in the longest order found.
    Impossible(Vec<Event>),
}

#[derive(Clone, Default, PartialEq, Eq, Hash)]
struct Channel {
    buffer: VecDeque<u64>,
    /// When its close returned.
    closed: Option<u64>,
    /// Somebody was told that nothing will come.
    drained: bool,
    /// Grants that may have been dropped.
    returned: usize,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    /// How many of each actor's operations have taken effect.
    done: Vec<usize>,
    channels: Vec<Channel>,
}

/// Looks for an order.
pub(crate) fn check(caps: &[Option<usize>], histories: &[Vec<Event>]) -> Verdict {
    const ENOUGH: usize = 200_000;
    let start = State {
        done: vec![0; histories.len()],
        channels: vec![Channel::default(); caps.len()],
    };
    let total: usize = histories.iter().map(Vec::len).sum();
    let (mut furthest, mut stuck) = (0, Vec::new());
    let mut seen = HashSet::new();
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        let n_done: usize = state.done.iter().sum();
        if n_done == total {
            return Verdict::Linearizable;
        }
        if seen.len() > ENOUGH {
            return Verdict::Undecided;
        }
        let next: Vec<(usize, &Event)> = (0..histories.len())
            .filter_map(|a| Some((a, histories[a].get(state.done[a])?)))
            .collect();
        let first_return = next.iter().map(|(_, e)| e.returned).min().unwrap_or(0);
        let mut candidates: Vec<_> = next
            .into_iter()
            .filter(|(_, e)| e.called < first_return)
            .collect();
        if n_done >= furthest {
            furthest = n_done;
            stuck = candidates.iter().map(|(_, e)| (*e).clone()).collect();
        }
        // The one that returns first is tried first.
        candidates.sort_by_key(|(_, e)| std::cmp::Reverse(e.returned));
        for &(actor, event) in &candidates {
            let others = || {
                candidates
                    .iter()
                    .filter(move |(a, _)| *a != actor)
                    .map(|(_, e)| *e)
            };
            let count =
                |c: usize, set: fn(&Event) -> u8| others().filter(|e| set(e) >> c & 1 != 0).count();
            for channels in steps(caps, &state.channels, event, &count) {
                let mut after = State {
                    done: state.done.clone(),
                    channels,
                };
                after.done[actor] += 1;
                if seen.insert(after.clone()) {
                    open.push(after);
                }
            }
        }
    }
    Verdict::Impossible(stuck)
}

/// What the channels may be after the event; empty if it cannot happen now.
fn steps(
    caps: &[Option<usize>],
    before: &[Channel],
    event: &Event,
    count: &dyn Fn(usize, fn(&Event) -> u8) -> usize,
) -> Vec<Vec<Channel>> {
    let mut after = before.to_vec();
    for (c, channel) in after.iter_mut().enumerate() {
        if matches!(event.effect, Effect::Nothing) && event.grants >> c & 1 != 0 {
            channel.returned += 1;
        }
    }
    let len = |c: usize| before[c].buffer.len();
    let fits = |c: usize| {
        let passing = match caps[c] {
            Some(0) => count(c, |e| e.receives),
            _ => count(c, |e| e.grants),
        };
        caps[c].is_none_or(|cap| len(c) < cap + passing + before[c].returned)
    };
    match event.effect {
        Effect::Nothing => vec![after],
        Effect::Push { c, v, offer } => {
            let open = before[c].closed.is_none_or(|at| offer && at > event.called);
            if !open || before[c].drained || !fits(c) {
                return Vec::new();
            }
            after[c].buffer.push_back(v);
            vec![after]
        }
        Effect::MaybePush { c, v } => {
            let dropped = after.clone();
            if before[c].closed.is_some() || !fits(c) {
                return vec![dropped];
            }
            after[c].buffer.push_back(v);
            vec![dropped, after]
        }
        Effect::Pop { c, v } => {
            if after[c].buffer.pop_front() != Some(v) {
                return Vec::new();
            }
            vec![after]
        }
        Effect::Drained { c } => {
            if before[c].closed.is_none() || len(c) > 0 {
                return Vec::new();
            }
            after[c].drained = true;
            vec![after]
        }
        Effect::Rejected { c } => {
            if before[c].closed.is_none() {
                Vec::new()
            } else {
                vec![after]
            }
        }
        Effect::Close { c, first } => {
            if before[c].closed.is_none() != first {
                return Vec::new();
            }
            after[c].closed.get_or_insert(event.returned);
            vec![after]
        }
        Effect::Default { recv, send } => {
            let no_value = |c: usize| {
                let more = before[c].closed.is_none() || len(c) > 0 || count(c, |e| e.offers) > 0;
                more && len(c) <= count(c, |e| e.grants)
            };
            let no_room = |c: usize| {
                let full = |cap| len(c) + count(c, |e| e.offers) >= cap;
                before[c].closed.is_none() && caps[c].is_some_and(full)
            };
            let possible = (0..caps.len())
                .all(|c| (recv >> c & 1 == 0 || no_value(c)) && (send >> c & 1 == 0 || no_room(c)));
            if possible { vec![after] } else { Vec::new() }
        }
    }
}
