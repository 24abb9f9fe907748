//! Who waits for which signal, and what has come.
//!
//! For each signal there are two flags, which the handler and this table share:
//!
//! ```text
//! handler:  default?──yes──▶ the default action
//!              │no
//!              default = true, pending = true, ring the bell
//! ```
//!
//! - **default**: nobody waits for the signal (any more). The handler sets it with the signal it
//!   takes, so that the next one, however soon, takes its default action; a place taken here
//!   clears it, and the last place given back sets it.
//! - **pending**: a signal was taken, and nobody has been told yet.
//!
//! A signal that was taken ends at least one context, or the default action follows: the place
//! it was for may have been given back in the meantime. So none is lost. Two that come in the same
//! instant, before the handler of either has set its flags, count as one, as they do while a
//! signal is blocked.
//!
//! The table lies under a lock; the handler knows only the flags, and takes none.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

/// A flag that a handler may set.
pub(crate) trait Flag: Clone {
    fn set(&self, to: bool);
    /// Clears it; whether it was set.
    fn take(&self) -> bool;
}

/// A signal's.
#[derive(Clone)]
pub(crate) struct Flags<F> {
    pub(crate) default: F,
    pub(crate) pending: F,
}

/// The table. Each who waits is a `W`.
pub(crate) struct Table<F, W> {
    next: u64,
    waiting: BTreeMap<u64, Waiting<W>>,
    // Once in here a signal stays: a handler is never taken back, only told to do nothing.
    signals: BTreeMap<i32, Flags<F>>,
}

struct Waiting<W> {
    signals: BTreeSet<i32>,
    who: W,
}

impl<F: Flag, W: Clone> Table<F, W> {
    pub(crate) const fn new() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            signals: BTreeMap::new(),
        }
    }

    /// Takes a place for `who`, who waits for all of `signals`; `install` makes the flags of one
    /// that nobody has waited for before.
    ///
    /// # Errors
    ///
    /// Those of `install`; no place has been taken then.
    pub(crate) fn take<E>(
        &mut self,
        signals: BTreeSet<i32>,
        who: W,
        install: impl Fn(i32) -> Result<Flags<F>, E>,
    ) -> Result<u64, E> {
        for &signal in &signals {
            if let Entry::Vacant(place) = self.signals.entry(signal) {
                place.insert(install(signal)?);
            }
        }
        for signal in &signals {
            self.signals[signal].default.set(false);
        }
        let key = self.next;
        self.next += 1;
        self.waiting.insert(key, Waiting { signals, who });
        Ok(key)
    }

    /// Gives a place back; who had it.
    pub(crate) fn give_back(&mut self, key: u64) -> Option<W> {
        let Waiting { signals, who } = self.waiting.remove(&key)?;
        for signal in signals {
            if self.who_waits_for(signal).next().is_none() {
                self.signals[&signal].default.set(true);
            }
        }
        Some(who)
    }

    /// A signal that was taken, and who waits for it.
    pub(crate) fn taken(&mut self) -> Option<(i32, Vec<W>)> {
        let mut signals = self.signals.iter();
        let (&signal, _) = signals.find(|(_, flags)| flags.pending.take())?;
        let who = self.who_waits_for(signal).cloned().collect();
        Some((signal, who))
    }

    fn who_waits_for(&self, signal: i32) -> impl Iterator<Item = &W> {
        let waiting = self.waiting.values();
        waiting
            .filter(move |w| w.signals.contains(&signal))
            .map(|w| &w.who)
    }
}

/// Tells those who wait for the signals that were taken, as `taken` gives them. A signal that
/// ended nobody (`end` says so) has its default action.
pub(crate) fn deliver<W>(
    mut taken: impl FnMut() -> Option<(i32, Vec<W>)>,
    end: impl Fn(W, i32) -> bool,
    default_action: impl Fn(i32),
) {
    while let Some((signal, waiting)) = taken() {
        let mut told = false;
        for who in waiting {
            told |= end(who, signal);
        }
        if !told {
            default_action(signal);
        }
    }
}
