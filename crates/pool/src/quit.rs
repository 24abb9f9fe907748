//! What `SIGQUIT` (Ctrl-\) does: the dump, and then the end of the process, as in Go.
//!
//! The handler writes to a socket; a thread that reads it does what cannot be done in a
//! handler. Both are installed when the first thread of a pool starts. A program that has
//! a handler of its own by then keeps it alone, and so does one whose contexts wait for the
//! signal, from then on.
//!
//! The thread is known to those who look for a deadlock: it wakes nobody.
#![cfg_attr(unix, allow(unsafe_code))]

use rendez_core::shim::unmodelled::{AtomicUsize, Ordering};

/// What the process does when it is sent `SIGQUIT`: see [`set_on_quit`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnQuit {
    /// It prints the [dump](crate::dump()) on stderr and ends with status 2, as Go does.
    #[default]
    DumpAndExit,
    /// It prints the dump and goes on, as the Java virtual machine does.
    DumpAndGoOn,
    /// Whatever it did without us.
    LeaveAlone,
}

static ON_QUIT: AtomicUsize = AtomicUsize::new(OnQuit::DumpAndExit as usize);

/// Says what the process does when it is sent `SIGQUIT`, by Ctrl-\ for instance.
///
/// With the feature `signal` it [prints the dump](OnQuit::DumpAndExit) and ends, unless this
/// says otherwise, or the program had a handler of its own when its first goroutine started,
/// or has ever had a context wait for the signal by `on_signals`. To be
/// [left alone](OnQuit::LeaveAlone) must be said before the first goroutine is started; once
/// the handler is there it then does nothing.
///
/// Where there is no `SIGQUIT`, on Windows, it has no effect.
///
/// # Examples
///
/// ```
/// use rendez_pool::{OnQuit, set_on_quit};
///
/// set_on_quit(OnQuit::DumpAndGoOn);
/// # #[cfg(unix)] {
/// assert_eq!(rendez_pool::go(|| 1).join().unwrap(), 1);
/// signal_hook::low_level::raise(signal_hook::consts::SIGQUIT)?;
/// // The dump is on stderr in a moment.
/// # }
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn set_on_quit(on_quit: OnQuit) {
    ON_QUIT.store(on_quit as usize, Ordering::Relaxed);
}

#[cfg(unix)]
pub(crate) use unix::{install, n_threads};

#[cfg(unix)]
mod unix {
    use std::io::{self, Read, Write};
    use std::mem::MaybeUninit;
    use std::os::unix::net::UnixStream;
    use std::{panic, ptr};

    use rendez_core::hooks;
    use rendez_core::shim::unmodelled::{AtomicBool, spawn_named};
    use signal_hook::consts::SIGQUIT;
    use signal_hook::low_level;

    use super::{ON_QUIT, OnQuit, Ordering};

    static INSTALLED: AtomicBool = AtomicBool::new(false);
    static RUNS: AtomicBool = AtomicBool::new(false);

    /// Installs the handler, the first time. A thread of a pool starts.
    #[cold]
    pub(crate) fn install() {
        if !INSTALLED.swap(true, Ordering::Relaxed) && on_quit() != Some(OnQuit::LeaveAlone) {
            // Without a thread or a socket the signal does what it did.
            let _ = try_install();
        }
    }

    /// How many threads this has.
    pub(crate) fn n_threads() -> usize {
        usize::from(RUNS.load(Ordering::Relaxed))
    }

    fn try_install() -> io::Result<()> {
        if has_handler()? {
            return Ok(());
        }
        let (mut reader, writer) = UnixStream::pair()?;
        spawn_named("rendez-quit", move || {
            loop {
                match reader.read(&mut [0; 64]) {
                    Ok(0) => break,
                    Err(e) if e.kind() != io::ErrorKind::Interrupted => break,
                    Err(_) => {}
                    Ok(_) => quit(),
                }
            }
            RUNS.store(false, Ordering::Relaxed);
        })?;
        RUNS.store(true, Ordering::Relaxed);
        low_level::pipe::register(SIGQUIT, writer)?;
        Ok(())
    }

    /// Whether the program has a handler of its own. An inherited "ignore" is none, as in Go.
    fn has_handler() -> io::Result<bool> {
        let mut now = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: changes nothing, and writes what there is to `now`.
        if unsafe { libc::sigaction(SIGQUIT, ptr::null(), now.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: written by the successful call.
        let handler = unsafe { now.assume_init() }.sa_sigaction;
        Ok(handler != libc::SIG_DFL && handler != libc::SIG_IGN)
    }

    /// What it does now; `None` if the program handles the signal in another way.
    fn on_quit() -> Option<OnQuit> {
        if hooks::quit::is_taken() {
            return None;
        }
        let all = [OnQuit::DumpAndExit, OnQuit::DumpAndGoOn, OnQuit::LeaveAlone];
        all.into_iter()
            .find(|&on| on as usize == ON_QUIT.load(Ordering::Relaxed))
    }

    fn quit() {
        let on_quit = match on_quit() {
            None | Some(OnQuit::LeaveAlone) => return,
            Some(on_quit) => on_quit,
        };
        let printed = panic::catch_unwind(|| {
            let dump = crate::dump();
            let mut errors = io::stderr().lock();
            writeln!(errors, "SIGQUIT: quit\n\n{dump}")
        });
        // Nobody may read it, and the process ends all the same.
        drop(printed);
        if on_quit == OnQuit::DumpAndExit {
            low_level::exit(2);
        }
    }
}
