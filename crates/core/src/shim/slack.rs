//! How exactly the system keeps a thread's timeouts.
//!
//! Linux lets a sleep end up to 50 µs late so that it can wake for several at once (the
//! thread's *timer slack*). Whoever asks for a short wait means it.
#![allow(unsafe_code)]

/// While it lives the timeouts of the thread that made it are kept as exactly as the
/// system can.
#[derive(Debug)]
#[must_use = "timeouts are exact until this is dropped"]
pub struct ExactTimeouts {
    #[cfg(all(target_os = "linux", not(rendez_loom)))]
    before: libc::c_int,
    // It belongs to its thread.
    _thread: std::marker::PhantomData<*const ()>,
}

#[cfg(all(target_os = "linux", not(rendez_loom)))]
impl ExactTimeouts {
    /// Begins now.
    pub fn begin() -> Self {
        // SAFETY: reads a number of the calling thread's.
        let before = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
        // The least there is; 0 would mean the default.
        set_slack(1);
        Self {
            before,
            _thread: std::marker::PhantomData,
        }
    }
}

#[cfg(all(target_os = "linux", not(rendez_loom)))]
impl Drop for ExactTimeouts {
    fn drop(&mut self) {
        set_slack(self.before);
    }
}

/// In nanoseconds. Where that is forbidden nothing changes.
#[cfg(all(target_os = "linux", not(rendez_loom)))]
fn set_slack(slack: libc::c_int) {
    if let Ok(slack) = libc::c_ulong::try_from(slack) {
        // SAFETY: sets a number of the calling thread's.
        unsafe {
            libc::prctl(libc::PR_SET_TIMERSLACK, slack);
        }
    }
}

#[cfg(not(all(target_os = "linux", not(rendez_loom))))]
impl ExactTimeouts {
    /// Begins now.
    pub fn begin() -> Self {
        Self {
            _thread: std::marker::PhantomData,
        }
    }
}
