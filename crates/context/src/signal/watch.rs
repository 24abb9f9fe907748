//! The process's table of who waits for which signal, and the one thread that tells them.
//!
//! The lock guards the table; no context is ended and nothing of a user's is dropped under it.
#![allow(clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::io;
use std::panic::Location;

use rendez_core::shim::Arc;
use rendez_core::shim::unmodelled::{AtomicBool, Mutex, Ordering};
use signal_hook::consts::FORBIDDEN;
use signal_hook::{flag, low_level};

use super::table::{self, Flag, Flags, Table};
use super::{SignalReceived, bell};
use crate::tree::end;
use crate::tree::node::Given;
use crate::tree::shared::Weak;

static WATCH: Mutex<Table<Arc<AtomicBool>, Waiting>> = Mutex::new(Table::new());

#[derive(Clone)]
struct Waiting {
    node: Weak,
    made_at: &'static Location<'static>,
}

impl Flag for Arc<AtomicBool> {
    fn set(&self, to: bool) {
        self.store(to, Ordering::SeqCst);
    }

    fn take(&self) -> bool {
        self.swap(false, Ordering::SeqCst)
    }
}

/// Installs the handler. The actions run in this order.
fn install(signal: i32) -> io::Result<Flags<Arc<AtomicBool>>> {
    if FORBIDDEN.contains(&signal) {
        let text = format!("signal {signal} cannot be waited for");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let flags = Flags {
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

/// One context's place among those who wait. Dropped, it is given back.
pub(super) struct Place(u64);

impl Place {
    pub(super) fn take(
        signals: BTreeSet<i32>,
        node: Weak,
        made_at: &'static Location<'static>,
    ) -> io::Result<Self> {
        bell::start(deliver)?;
        // What was taken before is not for this one.
        deliver();
        let waiting = Waiting { node, made_at };
        WATCH.lock().take(signals, waiting, install).map(Self)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let given_back = WATCH.lock().give_back(self.0);
        drop(given_back);
    }
}

/// Ends the contexts that wait for the signals taken.
fn deliver() {
    let end = |waiting: Waiting, signal| {
        let cause = Arc::new(SignalReceived { signal });
        let at = waiting.made_at;
        let node = waiting.node.upgrade();
        node.is_some_and(|node| end::end_given(&node, Given { cause, at }))
    };
    let default_action = |signal| {
        // Known to `signal_hook`, or the handler would not have been installed.
        let _ = low_level::emulate_default_handler(signal);
    };
    table::deliver(|| WATCH.lock().taken(), end, default_action);
}
