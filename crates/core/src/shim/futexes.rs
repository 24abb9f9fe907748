//! How fast the system finds a thread that sleeps.
//!
//! Linux, since 6.16, keeps the threads of a process that sleep in a table of the process's own,
//! with a few places for each *processor*: 16 on a machine of two. Of ten thousand sleepers
//! hundreds share a place then, and whoever wakes one walks past the others. Who makes threads
//! by the thousand asks for a table that fits them. Nothing else in the process notices.
#![allow(unsafe_code)]

/// About so many threads of this process will sleep at once.
#[cfg(all(target_os = "linux", not(rendez_loom)))]
pub fn expect_sleepers(n: usize) {
    const PR_FUTEX_HASH: libc::c_int = 78;
    const SET_SLOTS: libc::c_ulong = 1;
    const GET_SLOTS: libc::c_ulong = 2;
    const NOTHING: libc::c_ulong = 0;
    // SAFETY: reads a number of the process's.
    let now = unsafe { libc::prctl(PR_FUTEX_HASH, GET_SLOTS, NOTHING, NOTHING, NOTHING) };
    let wanted = n.checked_next_power_of_two().unwrap_or(0);
    // None, or an older system's answer: the table is the whole machine's, which is large.
    if let (1.., Ok(now), Ok(slots)) = (now, usize::try_from(now), libc::c_ulong::try_from(wanted))
    {
        if now < wanted {
            // SAFETY: changes that number.
            unsafe {
                libc::prctl(PR_FUTEX_HASH, SET_SLOTS, slots, NOTHING, NOTHING);
            }
        }
    }
}

/// About so many threads of this process will sleep at once.
#[cfg(not(all(target_os = "linux", not(rendez_loom))))]
pub const fn expect_sleepers(_: usize) {}
