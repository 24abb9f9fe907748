//! What the system says about threads and processors, where it does.

use rendez_core::shim::thread;

use crate::cgroup;

/// The system's number of the calling thread; 0 if it gives none.
pub(crate) fn thread_number() -> u32 {
    if !cfg!(target_os = "linux") {
        return 0;
    }
    // It reads "<process>/task/<thread>".
    let number = std::fs::read_link("/proc/thread-self")
        .ok()
        .and_then(|link| link.file_name()?.to_str()?.parse().ok());
    number.unwrap_or(0)
}

/// Whether a thread of this process sleeps in the kernel; `None` if the system does not say.
pub(crate) fn sleeps(thread: u32) -> Option<bool> {
    if thread == 0 {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // "<number> (<name>) <state> …", and the name may contain anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let state = rest.trim_start().chars().next()?;
    Some(state != 'R')
}

/// How many threads this process has; `None` if the system does not say.
pub(crate) fn n_threads() -> Option<usize> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    Some(std::fs::read_dir("/proc/self/task").ok()?.count())
}

/// How many goroutines to run at the same time by default: as many as the process may use
/// processors, its affinity and the quota of its control group counted, and at least two.
pub(crate) fn processors() -> usize {
    let n = if cfg!(target_os = "linux") {
        cgroup::processors(&|path| std::fs::read_to_string(path).ok())
    } else {
        None
    };
    n.unwrap_or_else(|| thread::available_parallelism().map_or(2, usize::from))
        .max(2)
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_runs_does_not_sleep_and_one_that_waits_does() {
        use rendez_core::shim::Arc;
        use rendez_core::shim::atomic::{AtomicU32, Ordering};

        let me = thread_number();
        assert_ne!(me, 0);
        assert_eq!(sleeps(me), Some(false));
        let its = Arc::new(AtomicU32::new(0));
        let tell = Arc::clone(&its);
        let waiting = thread::spawn(move || {
            tell.store(thread_number(), Ordering::Relaxed);
            while tell.load(Ordering::Relaxed) != 0 {
                thread::park();
            }
        });
        while sleeps(its.load(Ordering::Relaxed)) != Some(true) {
            thread::yield_now();
        }
        assert_ne!(its.swap(0, Ordering::Relaxed), me);
        waiting.thread().unpark();
        waiting.join().expect("it has no reason to panic");
    }
}
