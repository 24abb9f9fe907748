//! `digest`: SHA-256 of whole directory trees, on every core, in coreutils' format.
//!
//! A goroutine runs the pipeline (see `pipeline.rs`) while the main thread waits, in one
//! select, for the first of two: the pipeline's end, or that of the context, which a signal or
//! the timeout ends.
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

use std::error::Error;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::ProgressBar;
use rendez::context::{SIGINT, SIGTERM, SignalReceived, on_signals};
use rendez::prelude::*;

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
    // One context for both that may end it early.
    let root = Context::background();
    let (signalled, _stop) = match on_signals(&root, [SIGINT, SIGTERM]) {
        Ok(signalled) => signalled,
        Err(e) => {
            eprintln!("digest: cannot listen for signals: {e}");
            return FAILED.into();
        }
    };
    let (ctx, _cancel) = match args.timeout {
        Some(timeout) => signalled.with_timeout_cause(timeout, TimedOut(timeout)),
        None => signalled.with_cancel(),
    };
    let bar = output::progress(!args.no_progress);
    let shown = bar.clone();
    let of_work = ctx.clone();
    let work = go(move || {
        let result = match &args.check {
            Some(list) => check_list(&of_work, &args, list, &bar),
            None => print_digests(&of_work, &args, &bar),
        };
        bar.finish_and_clear();
        result
    });
    let code = select_biased! {
        recv(ctx.done()) -> _ => {
            shown.finish_and_clear();
            stopped(&ctx)
        }
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
    };
    // At once: whoever still reads a file is not waited for.
    std::process::exit(code.into());
}

/// Says what has ended `ctx`; returns the exit code for it.
fn stopped(ctx: &Context) -> u8 {
    let cause = ctx.cause().expect("a context that is done has a cause");
    if let Some(received) = cause.downcast_ref::<SignalReceived>() {
        let signal = received.signal();
        let name = if signal == SIGINT {
            "SIGINT"
        } else {
            "SIGTERM"
        };
        eprintln!("digest: stopped by {name}");
        return BY_SIGNAL + u8::try_from(signal).unwrap_or(0);
    }
    eprintln!("digest: {cause}");
    TIMED_OUT
}

/// Why a context with the command line's timeout has ended.
#[derive(Debug)]
struct TimedOut(Duration);

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out after {:?}", self.0)
    }
}

impl Error for TimedOut {}

/// Prints the digest of every file at or below the arguments. Returns whether all could be
/// read.
fn print_digests(ctx: &Context, args: &Args, bar: &ProgressBar) -> io::Result<bool> {
    let mut lines = Lines::new(bar);
    let mut all_read = true;
    pipeline::run(
        ctx,
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
            Ok(sum) => lines.push(&line(&path, &sum)),
            Err(error) => {
                all_read = false;
                complain(bar, &path, &error);
                Ok(())
            }
        },
    )?;
    lines.flush()?;
    Ok(all_read)
}

/// Checks every file that `list` names. Returns whether all are as it says.
fn check_list(ctx: &Context, args: &Args, list: &OsStr, bar: &ProgressBar) -> io::Result<bool> {
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
    pipeline::run(
        ctx,
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
                        return Ok(());
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
                return Ok(());
            }
            let mut line = check::name(&path);
            line.extend(format!(": {verdict}\n").as_bytes());
            lines.push(&line)
        },
    )?;
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
