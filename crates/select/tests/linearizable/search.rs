//! The search for an order of a history's operations that the model allows: from the operations
//! that may come next one is taken, and if that leads nowhere another.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use crate::model::{Channel, Effect, Event, Sets, Spec, step};

#[derive(Debug)]
pub(crate) enum Verdict {
    Linearizable,
    Undecided,
    /// With the channels at the end of the longest order found, and the operations that could
    /// not come next.
    Impossible(Vec<Channel>, Vec<Event>),
}

/// How many of each actor's operations have taken effect, and what the channels are then.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    done: Vec<u16>,
    channels: Vec<Channel>,
}

impl State {
    /// Stands for the state: 128 bits, so that no two of a search are taken for one.
    fn fingerprint(&self) -> (u64, u64) {
        let of = |seed| {
            let mut hash = Mix(seed);
            self.hash(&mut hash);
            hash.finish()
        };
        (of(0x9E37_79B9_7F4A_7C15), of(0xD1B5_4A32_D192_ED03))
    }
}

/// Mixes word by word: much faster than the standard hasher, and nobody attacks a test.
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }
    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }
    fn write_u16(&mut self, n: u16) {
        self.write_u64(n.into());
    }
    fn write_u32(&mut self, n: u32) {
        self.write_u64(n.into());
    }
    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
    fn write_u64(&mut self, n: u64) {
        let product = u128::from(self.0 ^ n) * 0xA076_1D64_78BD_642F_u128;
        self.0 = (product >> 64) as u64 ^ product as u64 ^ self.0.rotate_left(23);
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// A state on the path, and which of its continuations is tried next.
struct Frame {
    state: State,
    candidates: Vec<usize>,
    next: usize,
    /// Of the candidate at hand, its second outcome.
    second: bool,
}

/// Looks for an order.
pub(crate) fn check(specs: &[Spec], histories: &[Vec<Event>]) -> Verdict {
    const ENOUGH: usize = 50_000;
    let start = State {
        done: vec![0; histories.len()],
        channels: specs.iter().map(Channel::new).collect(),
    };
    let total: usize = histories.iter().map(Vec::len).sum();
    let (mut furthest, mut reached, mut stuck) = (0, start.channels.clone(), Vec::new());
    let mut seen = HashSet::new();
    let mut path = vec![frame(start, histories)];
    if total == 0 {
        return Verdict::Linearizable;
    }
    while let Some(top) = path.last_mut() {
        let Some(&actor) = top.candidates.get(top.next) else {
            path.pop();
            continue;
        };
        let event = histories[actor][usize::from(top.state.done[actor])];
        let others = || {
            let others = top.candidates.iter().filter(|&&a| a != actor);
            others.map(|&a| &histories[a][usize::from(top.state.done[a])].sets)
        };
        let count =
            |c: usize, set: fn(&Sets) -> u8| others().filter(|s| set(s) >> c & 1 != 0).count();
        let second = std::mem::replace(&mut top.second, false);
        let after = step(specs, &top.state.channels, &event, second, &count);
        if matches!(event.effect, Effect::MaybePush { .. }) && !second {
            top.second = true;
        } else {
            top.next += 1;
        }
        let Some(channels) = after else {
            continue;
        };
        let mut state = State {
            done: top.state.done.clone(),
            channels,
        };
        state.done[actor] += 1;
        if !seen.insert(state.fingerprint()) {
            continue;
        }
        if seen.len() > ENOUGH {
            return Verdict::Undecided;
        }
        let n_done: usize = state.done.iter().map(|&n| usize::from(n)).sum();
        if n_done == total {
            return Verdict::Linearizable;
        }
        let next = frame(state, histories);
        if n_done > furthest {
            furthest = n_done;
            let at = |&a: &usize| histories[a][usize::from(next.state.done[a])];
            stuck = next.candidates.iter().map(at).collect();
            reached.clone_from(&next.state.channels);
        }
        path.push(next);
    }
    Verdict::Impossible(reached, stuck)
}

/// The operations that may come next: those called before any of them has returned. The one
/// that returned first is tried first.
fn frame(state: State, histories: &[Vec<Event>]) -> Frame {
    let next = |a: usize| histories[a].get(usize::from(state.done[a]));
    let actors = 0..histories.len();
    let first_return = actors.clone().filter_map(|a| Some(next(a)?.returned)).min();
    let mut candidates: Vec<_> = actors
        .filter(|&a| next(a).is_some_and(|e| Some(e.called) < first_return))
        .collect();
    candidates.sort_unstable_by_key(|&a| next(a).map(|e| e.returned));
    Frame {
        candidates,
        state,
        next: 0,
        second: false,
    }
}
