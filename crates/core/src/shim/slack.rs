//! How exactly the system keeps a thread's timeouts.
//!
//! Linux lets a sleep end up to 50 µs late so that it can wake for several at once (the
//! thread's *timer slack*). Whoever asks for a short wait means it.
#![allow(unsafe_code)]

/// Has the calling thread's timeouts kept as exactly as the system can, for as long as the
/// thread lives.
#[cfg(all(target_os = "linux", not(rendez_loom)))]
pub fn exact_timeouts() {
    // SAFETY: sets a number of the calling thread's; 1 ns is the least there is (0 means
    // the default). Where it is forbidden nothing changes.
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong);
    }
}

/// Has the calling thread's timeouts kept as exactly as the system can: as they are.
#[cfg(not(all(target_os = "linux", not(rendez_loom))))]
pub fn exact_timeouts() {}
