//! `digest`: SHA-256 of whole directory trees, on every core, in coreutils' format.
//!
//! A goroutine runs the pipeline (see `pipeline.rs`) while the main thread waits, in one
//! select, for the first of three things: the pipeline's end, a signal, the timeout.
//!
//! Exit codes: 0 all is well; 1 a file could not be read, or a check failed; 2 the command
//! line is wrong; 124 timed out; 130 and 143 stopped by SIGINT and SIGTERM; 141 nobody reads
//! the output any more.

mod args;
mod check;
mod hash;
mod names;
mod output;
mod pipeline;
mod walk;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use indicatif::ProgressBar;
use rendez::prelude::*;
use signal_hook::consts::{SIGINT, SIGTERM};

use args::Args;
use check::{Line, Tally};
use hash::Sum;
use output::{Lines, complain};

const FAILED: u8 = 1;
const TIMED_OUT: u8 = 124;
const BY_SIGNAL: u8 = 128;
const NO_READER: u8 = 141;

fn main() -> ExitCode {
    let args = Args::parse();
    let timeout = args.timeout;
    let bar = output::progress(!args.no_progress);
    let shown = bar.clone();
    let signals = match signals() {
        Ok(signals) => signals,
        Err(e) => {
            eprintln!("digest: cannot listen for signals: {e}");
            return FAILED.into();
        }
    };
    let work = go(move || {
        let result = match &args.check {
            Some(list) => check_list(&args, list, &bar),
            None => print_digests(&args, &bar),
        };
        bar.finish_and_clear();
        result
    });
    let code = select! {
        recv(work) -> result => match result {
            Ok(Ok(true)) => 0,
            Ok(Ok(false)) => FAILED,
            Ok(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => NO_READER,
            Ok(Err(e)) => {
                eprintln!("digest: {e}");
                FAILED
            }
            Err(panic) => panic.resume(),
        },
        recv(signals) -> signal => {
            let signal = signal.unwrap_or(SIGTERM);
            shown.finish_and_clear();
            eprintln!("digest: stopped by {}", if signal == SIGINT { "SIGINT" } else { "SIGTERM" });
            BY_SIGNAL + signal as u8
        }
        recv(timeout.map(after)) -> _ => {
            shown.finish_and_clear();
            eprintln!("digest: timed out after {:?}", timeout.unwrap_or_default());
            TIMED_OUT
        }
    };
    // At once: whoever still reads a file is not waited for.
    std::process::exit(code.into());
}

/// The signals that stop the program, as a channel.
#[cfg(unix)]
#[allow(clippy::disallowed_methods)] // signal-hook blocks in its own way.
fn signals() -> io::Result<Receiver<i32>> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    let (tx, rx) = bounded(1);
    std::thread::spawn(move || signals.forever().try_for_each(|signal| tx.send(signal)));
    Ok(rx)
}

/// The signals that stop the program, as a channel: where signals cannot be waited for, a
/// look at a flag now and then.
#[cfg(not(unix))]
fn signals() -> io::Result<Receiver<i32>> {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let interrupted = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGINT, Arc::clone(&interrupted))?;
    let (tx, rx) = bounded(1);
    go(async move {
        let looks = tick(std::time::Duration::from_millis(50));
        while looks.recv_async().await.is_ok() {
            if interrupted.load(Ordering::Relaxed) && tx.send_async(SIGINT).await.is_err() {
                return;
            }
        }
    });
    Ok(rx)
}

/// Prints the digest of every file at or below the arguments. Returns whether all could be
/// read.
fn print_digests(args: &Args, bar: &ProgressBar) -> io::Result<bool> {
    let mut lines = Lines::new(bar);
    let mut all_read = true;
    let end = pipeline::run(
        args.jobs(),
        |found_one| {
            let _ = args.paths.iter().try_for_each(|root| {
                walk::walk(root, |found| {
                    found_one(found.map_err(|(folder, error)| (folder, Err(error))))
                })
            });
        },
        |path: &PathBuf| hash::file(path, &|n| bar.inc(n)),
        |path, sum: io::Result<Sum>| match sum {
            Ok(sum) => or_break(lines.push(&line(&path, &sum))),
            Err(error) => {
                all_read = false;
                complain(bar, &path, &error);
                ControlFlow::Continue(())
            }
        },
    );
    end.map_or(Ok(()), Err)?;
    lines.flush()?;
    Ok(all_read)
}

/// Checks every file that `list` names. Returns whether all are as it says.
fn check_list(args: &Args, list: &OsStr, bar: &ProgressBar) -> io::Result<bool> {
    let name = names::shown(Path::new(list));
    let from_list = |e: io::Error| io::Error::new(e.kind(), format!("{name}: {e}"));
    let reader: Box<dyn BufRead + Send> = if list == "-" {
        Box::new(BufReader::new(io::stdin()))
    } else {
        Box::new(BufReader::new(File::open(list).map_err(from_list)?))
    };
    let mut lines = Lines::new(bar);
    let mut tally = Tally::default();
    let mut malformed = 0;
    let mut unread = None;
    let end = pipeline::run(
        args.jobs(),
        |found_one| {
            for line in reader.split(b'\n') {
                match line.map(|line| check::parse(&line)) {
                    Ok(Line::Entry(path, sum)) => {
                        if found_one(Ok((path, sum))).is_break() {
                            return;
                        }
                    }
                    Ok(Line::Comment) => {}
                    Ok(Line::Malformed) => malformed += 1,
                    Err(e) => {
                        unread = Some(e);
                        return;
                    }
                }
            }
        },
        |(path, _): &(PathBuf, Sum)| hash::file(path, &|n| bar.inc(n)),
        |(path, expected), sum| {
            tally.checked += 1;
            let verdict = match sum {
                Ok(sum) if sum == expected => {
                    if args.quiet {
                        return ControlFlow::Continue(());
                    }
                    "OK"
                }
                Ok(_) => {
                    tally.different += 1;
                    "FAILED"
                }
                Err(error) => {
                    tally.unreadable += 1;
                    complain(bar, &path, &error);
                    "FAILED open or read"
                }
            };
            if args.status {
                return ControlFlow::Continue(());
            }
            let mut line = check::name(&path);
            line.extend(format!(": {verdict}\n").as_bytes());
            or_break(lines.push(&line))
        },
    );
    end.map_or(Ok(()), Err)?;
    lines.flush()?;
    unread.map_or(Ok(()), |e| Err(from_list(e)))?;
    tally.malformed = malformed;
    if tally.checked == 0 {
        let what = "no properly formatted checksum lines found";
        return Err(io::Error::other(format!("{name}: {what}")));
    }
    if !args.status {
        for warning in tally.warnings() {
            eprintln!("digest: {warning}");
        }
    }
    Ok(tally.is_good())
}

/// `HEX  NAME`, as sha256sum writes it.
fn line(path: &Path, sum: &Sum) -> Vec<u8> {
    let (name, escaped) = names::escape(path);
    let mut line = if escaped { b"\\".to_vec() } else { Vec::new() };
    line.extend(hash::hex(sum).as_bytes());
    line.extend(b"  ");
    line.extend(name);
    line.push(b'\n');
    line
}

fn or_break(result: io::Result<()>) -> ControlFlow<io::Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(e) => ControlFlow::Break(e),
    }
}
