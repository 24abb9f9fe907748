//! `SIGQUIT`: the dump, and what follows it. Each program runs in a process of its own: this
//! test's, started again.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[cfg(unix)]
#[path = "common/child.rs"]
#[allow(dead_code)]
mod child;

#[cfg(not(unix))]
fn main() {}

#[cfg(unix)]
fn main() {
    unix::main();
}

#[cfg(unix)]
mod unix {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::child::{Program, Run, ran};
    use rendez_core::hooks;
    use rendez_pool::{OnQuit, go, set_on_quit, spawn};
    use rendez_select::bounded;
    use signal_hook::consts::SIGQUIT;
    use signal_hook::low_level::raise;

    /// Starts a goroutine that waits for ever, and returns once it does.
    fn wait_for_ever() {
        let (tx, rx) = bounded::<u8>(0);
        drop(spawn().name("reader").label("file", "a").go(move || {
            let _tx = tx;
            rx.recv()
        }));
        while !rendez_pool::dump().to_string().contains("chan receive") {
            std::thread::yield_now();
        }
    }

    fn quit() -> ! {
        raise(SIGQUIT).unwrap();
        std::thread::sleep(Duration::from_secs(60));
        std::process::exit(3);
    }

    fn dumps_and_exits() {
        wait_for_ever();
        quit();
    }

    fn goes_on() {
        set_on_quit(OnQuit::DumpAndGoOn);
        wait_for_ever();
        raise(SIGQUIT).unwrap();
        raise(SIGQUIT).unwrap();
        assert_eq!(go(|| 1).join().unwrap(), 1);
        std::thread::sleep(Duration::from_secs(60));
    }

    fn is_left_alone() {
        set_on_quit(OnQuit::LeaveAlone);
        wait_for_ever();
        raise(SIGQUIT).unwrap();
        // It was told to ignore the signal, as programs in the background are.
        std::process::exit(i32::from(catches_quit()));
    }

    /// Whether a handler is installed, where the system says.
    fn catches_quit() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
        let caught = caught.map_or(0, |mask| u64::from_str_radix(mask.trim(), 16).unwrap());
        caught & 1 << (SIGQUIT - 1) != 0
    }

    /// The program's own handler came first.
    fn has_a_handler() {
        let came = Arc::new(AtomicBool::new(false));
        signal_hook::flag::register(SIGQUIT, Arc::clone(&came)).unwrap();
        wait_for_ever();
        raise(SIGQUIT).unwrap();
        assert!(came.load(Ordering::SeqCst));
        std::thread::sleep(Duration::from_millis(200));
        std::process::exit(5);
    }

    /// As contexts that wait for it say.
    fn is_taken_later() {
        wait_for_ever();
        hooks::quit::take();
        raise(SIGQUIT).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        std::process::exit(6);
    }

    /// The thread for the signal does not keep a deadlock from being seen.
    fn stands_still() {
        let (tx, rx) = bounded::<u8>(0);
        let handle = go(move || rx.recv());
        let _ = handle.join();
        drop(tx);
    }

    const PROGRAMS: &[Program] = &[
        ("dumps_and_exits", dumps_and_exits),
        ("goes_on", goes_on),
        ("is_left_alone", is_left_alone),
        ("has_a_handler", has_a_handler),
        ("is_taken_later", is_taken_later),
        ("stands_still", stands_still),
    ];

    fn run(name: &str, kill_after: Option<&str>) -> (String, ExitStatus) {
        let run = Run {
            kill_after,
            ..Run::default()
        };
        run.run(name)
    }

    pub(super) fn main() {
        if ran(PROGRAMS) {
            return;
        }
        let (text, status) = run("dumps_and_exits", None);
        assert_eq!(status.code(), Some(2), "{text}");
        assert!(text.starts_with("SIGQUIT: quit\n\ngoroutine "), "{text}");
        assert!(text.contains("'reader' [chan receive at "), "{text}");
        assert!(text.contains("quit.rs:"), "{text}");
        assert!(text.contains(" s] {file: a}\n    started at "), "{text}");
        let (text, status) = run("goes_on", Some("started at"));
        assert_eq!(status.code(), None, "it was killed: {text}");
        // Signals that come together count once, as always.
        assert!(text.starts_with("SIGQUIT: quit\n\ngoroutine "), "{text}");
        let (text, status) = run("is_left_alone", None);
        assert_eq!(text, "");
        assert!(
            status.signal() == Some(SIGQUIT) || status.success(),
            "{status}"
        );
        for (name, code) in [("has_a_handler", 5), ("is_taken_later", 6)] {
            let (text, status) = run(name, None);
            assert_eq!((text.as_str(), status.code()), ("", Some(code)), "{name}");
        }
        // Only Linux tells whether anybody might still move.
        if cfg!(target_os = "linux") {
            let (text, _) = run("stands_still", Some("started at"));
            assert!(text.contains("all goroutines are asleep"), "{text}");
        }
        println!("SIGQUIT does what was asked for");
    }
}
