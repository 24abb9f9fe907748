//! A context that ends when the process is sent a signal: Go's `signal.NotifyContext`.

mod bell;
mod table;
mod watch;

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;

use crate::cancel::Cancel;
use crate::context::Context;
use crate::error::ContextError;
use crate::tree::node::Kind;
use crate::tree::shared::Due;

#[cfg(unix)]
pub use signal_hook::consts::signal::{SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
pub use signal_hook::consts::signal::{SIGINT, SIGTERM};

/// A context that ends when the process gets one of `signals`, or with `parent`.
///
/// **Only the first signal is taken.** It ends the context, and from then on the signals have
/// their default action again, unless another context waits for them: the second Ctrl-C kills a
/// program that does not react to the first. The same holds once the context has ended for
/// another reason or its handles are gone. (Go swallows further signals until `stop`.) A signal
/// that arrives in that very moment either ends the context or takes its default action.
///
/// The [`cause`](Context::cause) is a [`SignalReceived`]. All contexts that wait for a signal get
/// it. A `parent` that has ended: so has the context, and no signal is waited for.
///
/// The first call starts the thread that waits for signals. On Windows, Ctrl-C is `SIGINT`.
///
/// # Errors
///
/// If a signal cannot be waited for (`SIGKILL`, `SIGSTOP`, `SIGSEGV`, …), or is not known, or the
/// system refuses.
///
/// # Examples
///
/// ```
/// use rendez_context::{Context, on_signals, signal};
///
/// # fn main() -> std::io::Result<()> {
/// let root = Context::background();
/// let (ctx, _cancel) = on_signals(&root, [signal::SIGINT, signal::SIGTERM])?;
/// # #[cfg(unix)] {
/// # signal_hook::low_level::raise(signal::SIGTERM)?;
/// ctx.wait(); // until somebody presses Ctrl-C
/// assert_eq!(ctx.cause().unwrap().to_string(), "terminated signal received");
/// # }
/// # Ok(())
/// # }
/// ```
#[track_caller]
pub fn on_signals(
    parent: &Context,
    signals: impl IntoIterator<Item = i32>,
) -> io::Result<(Context, Cancel)> {
    let made_at = Location::caller();
    let signals: BTreeSet<i32> = signals.into_iter().collect();
    let names: Vec<_> = signals.iter().map(|&s| Name(s).to_string()).collect();
    let kind = Kind::Source(format!(".OnSignals([{}])", names.join(" ")).into());
    let (ctx, cancel) = parent.derive(Some(Box::new(kind)), Due::Of(parent.due()), made_at);
    if let Some(node) = ctx.shared_node().filter(|node| node.err().is_none()) {
        let place = watch::Place::take(signals, node.downgrade(), made_at)?;
        node.keep_until_end(Box::new(place));
    }
    Ok((ctx, cancel))
}

/// The cause of a context that was ended by a signal. See [`on_signals`].
///
/// Its [`source`](Error::source) is [`ContextError::Canceled`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignalReceived {
    signal: i32,
}

impl SignalReceived {
    /// The signal's number.
    pub fn signal(&self) -> i32 {
        self.signal
    }
}

impl fmt::Display for SignalReceived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} signal received", Name(self.signal))
    }
}

impl Error for SignalReceived {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&ContextError::Canceled)
    }
}

/// A signal as Go names it.
struct Name(i32);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            SIGINT => "interrupt",
            SIGTERM => "terminated",
            #[cfg(unix)]
            SIGHUP => "hangup",
            #[cfg(unix)]
            SIGQUIT => "quit",
            #[cfg(unix)]
            SIGUSR1 => "user defined signal 1",
            #[cfg(unix)]
            SIGUSR2 => "user defined signal 2",
            #[cfg(unix)]
            signal_hook::consts::SIGALRM => "alarm clock",
            #[cfg(unix)]
            signal_hook::consts::SIGPIPE => "broken pipe",
            #[cfg(unix)]
            signal_hook::consts::SIGCHLD => "child exited",
            #[cfg(unix)]
            signal_hook::consts::SIGWINCH => "window changed",
            other => return write!(f, "signal {other}"),
        })
    }
}
