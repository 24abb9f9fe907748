//! Standard output in whole lines, and messages beside a progress bar.
//!
//! Lines are collected up to what a pipe takes in one piece and written by one call, so that
//! a program that is stopped at any moment has written no half line.

use std::io::{self, IsTerminal, Write};
use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

use crate::names;

/// What POSIX promises that a pipe takes whole or not at all, on Linux.
const ATOMIC: usize = 4096;

/// Collects lines for standard output.
pub(crate) struct Lines {
    collected: Vec<u8>,
    bar: ProgressBar,
    // Somebody watches: each line at once.
    interactive: bool,
}

impl Lines {
    /// Lines to be shown beside `bar`.
    pub(crate) fn new(bar: &ProgressBar) -> Self {
        Self {
            collected: Vec::new(),
            bar: bar.clone(),
            interactive: io::stdout().is_terminal(),
        }
    }

    /// Adds a line, its end included.
    pub(crate) fn push(&mut self, line: &[u8]) -> io::Result<()> {
        if self.collected.len() + line.len() > ATOMIC {
            self.flush()?;
        }
        self.collected.extend(line);
        if self.interactive {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Writes what has been collected.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let lines = std::mem::take(&mut self.collected);
        if lines.is_empty() {
            return Ok(());
        }
        let write = || {
            let mut out = io::stdout().lock();
            out.write_all(&lines)?;
            out.flush()
        };
        if self.interactive {
            self.bar.suspend(write)
        } else {
            write()
        }
    }
}

/// A bar on standard error, if that is a terminal.
pub(crate) fn progress(wanted: bool) -> ProgressBar {
    if !wanted {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{spinner} {bytes} in {elapsed}, {bytes_per_sec} {msg}")
            .expect("the template is valid");
    ProgressBar::new_spinner().with_style(style)
}

/// Reports what is wrong with a file.
pub(crate) fn complain(bar: &ProgressBar, name: &Path, error: &io::Error) {
    let text = error.to_string();
    // The system's number for it tells a reader nothing.
    let text = text.split(" (os error").next().unwrap_or(&text);
    bar.suspend(|| eprintln!("digest: {}: {text}", names::shown(name)));
}
