//! How a signal handler wakes the thread that tells the contexts.
//!
//! On Unix the handler writes to a socket that the thread reads. Elsewhere the handler runs on
//! a thread of its own and may wake another.
//!
//! The thread looks at the pending flags after every wake; a flag is set before its ring. So a
//! signal that comes while it looks has it look again.
#![cfg_attr(not(unix), allow(unsafe_code))]

use std::io;

use rendez_core::shim::unmodelled::{Mutex, spawn_named};

/// Starts the thread that calls `look` after every ring, if there is none.
pub(super) fn start(look: fn()) -> io::Result<()> {
    let mut end = platform::END.lock();
    if end.is_none() {
        *end = Some(platform::start(look)?);
    }
    Ok(())
}

/// Has `signal` ring.
pub(super) fn register(signal: i32) -> io::Result<()> {
    match &*platform::END.lock() {
        Some(end) => platform::register(signal, end),
        None => Err(io::Error::other("nobody waits for signals")),
    }
}

/// A wake that panics has been reported; the thread serves on.
fn guarded(look: fn()) {
    let _ = std::panic::catch_unwind(look);
}

#[cfg(unix)]
mod platform {
    //! A socket.
    use super::{Mutex, guarded, io, spawn_named};
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    pub(super) static END: Mutex<Option<UnixStream>> = Mutex::new(None);

    pub(super) fn start(look: fn()) -> io::Result<UnixStream> {
        let (mut reader, writer) = UnixStream::pair()?;
        spawn_named("rendez-signal", move || {
            loop {
                match reader.read(&mut [0; 64]) {
                    Ok(0) => return,
                    Err(e) if e.kind() != io::ErrorKind::Interrupted => return,
                    _ => guarded(look),
                }
            }
        })?;
        Ok(writer)
    }

    pub(super) fn register(signal: i32, end: &UnixStream) -> io::Result<()> {
        signal_hook::low_level::pipe::register(signal, end.try_clone()?).map(drop)
    }
}

#[cfg(not(unix))]
mod platform {
    //! A thread's token.
    use super::{Mutex, guarded, io, spawn_named};
    use rendez_core::shim::{Arc, OnceLock, thread};

    type Sleeper = Arc<OnceLock<thread::Thread>>;

    pub(super) static END: Mutex<Option<Sleeper>> = Mutex::new(None);

    pub(super) fn start(look: fn()) -> io::Result<Sleeper> {
        let sleeper = Sleeper::default();
        let own = Arc::clone(&sleeper);
        spawn_named("rendez-signal", move || {
            let _ = own.set(thread::current());
            loop {
                guarded(look);
                thread::park();
            }
        })?;
        Ok(sleeper)
    }

    pub(super) fn register(signal: i32, end: &Sleeper) -> io::Result<()> {
        let sleeper = Arc::clone(end);
        let ring = move || {
            if let Some(thread) = sleeper.get() {
                thread.unpark();
            }
        };
        // SAFETY: a handler here runs on a thread of its own, or on the one that raises the
        // signal; giving a token takes no lock and does not panic.
        unsafe { signal_hook::low_level::register(signal, ring) }.map(drop)
    }
}
