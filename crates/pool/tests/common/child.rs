//! Programs in processes of their own: the test itself, started again.

use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

const PROGRAM: &str = "RENDEZ_TEST_PROGRAM";

/// A program and its name.
pub(crate) type Program = (&'static str, fn());

/// Runs the program this process was started for, if it was for one; whether it was.
pub(crate) fn ran(programs: &[Program]) -> bool {
    let Ok(name) = std::env::var(PROGRAM) else {
        return false;
    };
    let program = programs.iter().find(|(n, _)| *n == name);
    program.expect("a program of this name").1();
    true
}

/// How a program is run.
#[derive(Default)]
pub(crate) struct Run<'a> {
    /// Of its environment.
    pub(crate) env: Option<(&'a str, &'a str)>,
    /// How much memory it may map, in KiB.
    pub(crate) memory: Option<usize>,
    /// It is told to go on once this is on its stderr.
    pub(crate) go_on_after: Option<&'a str>,
    /// It is killed soon after this is on its stderr.
    pub(crate) kill_after: Option<&'a str>,
    /// It is killed after so long, a minute if it is not said.
    pub(crate) at_most: Option<Duration>,
}

impl Run<'_> {
    /// Runs it to its end, or as long as it may: what it wrote to stderr, and how it ended.
    pub(crate) fn run(&self, name: &str) -> (String, ExitStatus) {
        let me = std::env::current_exe().unwrap();
        let mut command = match self.memory {
            None => Command::new(me),
            Some(kib) => {
                let mut shell = Command::new("sh");
                let script = format!("ulimit -v {kib} && exec \"$0\"");
                shell.args(["-c", &script]).arg(me);
                // Else glibc gives each of its first threads 64 MiB of addresses, or of
                // what is left of them: by chance all.
                shell.env("MALLOC_ARENA_MAX", "1");
                shell
            }
        };
        command.envs(self.env).env(PROGRAM, name);
        let mut child = command
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take();
        let mut errors = child.stderr.take().unwrap();
        let (ended, has_ended) = mpsc::channel::<()>();
        let id = child.id().to_string();
        let at_most = self.at_most.unwrap_or(Duration::from_secs(60));
        let watchdog = std::thread::spawn(move || {
            let waited = has_ended.recv_timeout(at_most);
            if waited == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-KILL", &id]).status();
            }
        });
        let (mut text, mut buffer) = (String::new(), [0; 4096]);
        loop {
            let n = errors.read(&mut buffer).unwrap();
            text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
            if n == 0 {
                break;
            }
            if self.go_on_after.is_some_and(|after| text.contains(after)) {
                if let Some(mut input) = input.take() {
                    let _ = writeln!(input);
                }
            }
            if self.kill_after.is_some_and(|after| text.contains(after)) {
                // What must not follow would.
                std::thread::sleep(Duration::from_millis(100));
                let _ = child.kill();
            }
        }
        let status = child.wait().unwrap();
        drop(ended);
        watchdog.join().unwrap();
        (text, status)
    }
}

/// In a program: waits until it is told to go on.
pub(crate) fn go_on() {
    let _ = std::io::stdin().read_line(&mut String::new());
}
