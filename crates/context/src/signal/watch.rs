//! Who waits for which signal, and the one thread that tells them.
//!
//! For each signal there are two flags, which the handler and this file share:
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
//! it was for may have been given back in the meantime. So none is lost.
//!
//! The lock guards the table; no context is ended and nothing of a user's is dropped under it.
#![allow(clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::panic::Location;

use rendez_core::shim::unmodelled::{AtomicBool, Mutex, Ordering};
use rendez_core::shim::{Arc, Weak};
use signal_hook::consts::FORBIDDEN;
use signal_hook::{flag, low_level};

use super::{SignalReceived, bell};
use crate::tree::end;
use crate::tree::node::{Given, Node};

static WATCH: Mutex<Watch> = Mutex::new(Watch {
    next: 0,
    waiting: BTreeMap::new(),
    signals: BTreeMap::new(),
});

struct Watch {
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    // Once in here a signal stays: a handler is never taken back, only told to do nothing.
    signals: BTreeMap<i32, Flags>,
}

struct Waiting {
    signals: BTreeSet<i32>,
    node: Weak<Node>,
    made_at: &'static Location<'static>,
}

#[derive(Clone)]
struct Flags {
    default: Arc<AtomicBool>,
    pending: Arc<AtomicBool>,
}

impl Flags {
    /// Installs the handler. The actions run in this order.
    fn install(signal: i32) -> io::Result<Self> {
        if FORBIDDEN.contains(&signal) {
            let text = format!("signal {signal} cannot be waited for");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let flags = Self {
            default: Arc::new(AtomicBool::new(true)),
            pending: Arc::new(AtomicBool::new(false)),
        };
        #[cfg(unix)]
        if signal == signal_hook::consts::SIGQUIT {
            // Before the handler: a pool then leaves the signal to us.
            rendez_core::hooks::quit::take();
        }
        let mut installed = Vec::new();
        let mut install = || {
            installed.push(flag::register_conditional_default(
                signal,
                Arc::clone(&flags.default),
            )?);
            installed.push(flag::register(signal, Arc::clone(&flags.default))?);
            installed.push(flag::register(signal, Arc::clone(&flags.pending))?);
            bell::register(signal)
        };
        if let Err(error) = install() {
            // What is installed already is taken back; the first action, which alone has the
            // default action's effect, stays: without it the signal would be ignored.
            for id in installed.drain(..).skip(1) {
                low_level::unregister(id);
            }
            return Err(error);
        }
        Ok(flags)
    }
}

impl Watch {
    /// The flags of all `signals`, their handlers installed.
    fn flags(&mut self, signals: &BTreeSet<i32>) -> io::Result<Vec<Flags>> {
        let mut all = Vec::new();
        for &signal in signals {
            let flags = match self.signals.get(&signal) {
                Some(flags) => flags.clone(),
                None => {
                    let flags = Flags::install(signal)?;
                    self.signals.insert(signal, flags.clone());
                    flags
                }
            };
            all.push(flags);
        }
        Ok(all)
    }

    fn waits_for(&self, signal: i32) -> impl Iterator<Item = &Waiting> {
        self.waiting
            .values()
            .filter(move |w| w.signals.contains(&signal))
    }
}

/// One context's place among those who wait. Dropped, it is given back.
pub(super) struct Place(u64);

impl Place {
    pub(super) fn take(
        signals: BTreeSet<i32>,
        node: Weak<Node>,
        made_at: &'static Location<'static>,
    ) -> io::Result<Self> {
        bell::start(deliver)?;
        // What was taken before is not for this one.
        deliver();
        let mut watch = WATCH.lock();
        let flags = watch.flags(&signals)?;
        let key = watch.next;
        watch.next += 1;
        let waiting = Waiting {
            signals,
            node,
            made_at,
        };
        watch.waiting.insert(key, waiting);
        for flags in flags {
            flags.default.store(false, Ordering::SeqCst);
        }
        Ok(Self(key))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut watch = WATCH.lock();
        let Some(waiting) = watch.waiting.remove(&self.0) else {
            return;
        };
        for &signal in &waiting.signals {
            if watch.waits_for(signal).next().is_none() {
                if let Some(flags) = watch.signals.get(&signal) {
                    flags.default.store(true, Ordering::SeqCst);
                }
            }
        }
        drop(watch);
        drop(waiting);
    }
}

/// Ends the contexts that wait for the signals taken.
fn deliver() {
    loop {
        let watch = WATCH.lock();
        let mut taken = watch.signals.iter().filter_map(|(&signal, flags)| {
            flags
                .pending
                .swap(false, Ordering::SeqCst)
                .then_some(signal)
        });
        let Some(signal) = taken.next() else { return };
        let waiting: Vec<_> = watch
            .waits_for(signal)
            .map(|w| (w.node.clone(), w.made_at))
            .collect();
        drop(watch);
        let mut told = false;
        for (node, at) in waiting {
            if let Some(node) = node.upgrade() {
                let cause = Arc::new(SignalReceived { signal });
                told |= end::end_given(&node, Given { cause, at });
            }
        }
        if !told {
            // Known to `signal_hook`, or the handler would not have been installed.
            let _ = low_level::emulate_default_handler(signal);
        }
    }
}
