//! The project's own commands: `cargo xtask <command>`.
//!
//! Each check that CI makes is one command here, so that a red job is reproduced by typing
//! its name.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod bench;
mod checks;
mod conformance;
mod loom;
mod metadata;
mod sanitize;
mod shell;
mod soak;
mod tidy;

use std::process::ExitCode;
use std::time::Instant;

use shell::Outcome;

const USAGE: &str = "\
usage: cargo xtask <command>

  test                     every crate with every feature, doc tests, examples
  loom [-p CRATE]... [--long] [FILTER]
                           explore the models; --long allows more preemptions
  tidy                     layers, file headers, the list of unsafe files, links
  lanes                    rendez-select's tests, every channel with its lane or front
  conformance [FILE]...    crossbeam-channel's own tests against rendez-select
  soak [--minutes N] [-p CRATE]...
                           the randomized tests of all crates for an hour, or N minutes
  sanitize                 the tests under AddressSanitizer; needs a nightly compiler
  bench [--only AREA,…] [--with PEER,…] [--go] [--cpu0] [--runs N] [--list] [FILTER]...
                           ours beside the peers: see crates/bench/README.md
  fmt | clippy | doc | bench-check | package | msrv
                           the other checks, one by one
  ci                       all of them, in the order in which they fail fastest
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((command, rest)) = args.split_first() else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    let outcome = match (command.as_str(), rest.as_slice()) {
        ("loom", rest) => loom::run(rest),
        ("bench", rest) => bench::run(rest),
        ("soak", rest) => soak::run(rest),
        ("conformance", rest) => conformance::run(rest),
        ("sanitize", []) => sanitize::run_all(),
        ("ci", []) => ci(),
        (name, []) => match CHECKS.iter().find(|(n, _)| *n == name) {
            Some((_, check)) => check(),
            None => Err(shell::Failure::Usage(format!("no command `{name}`"))),
        },
        (name, [arg, ..]) => Err(shell::Failure::Usage(format!(
            "`{name}` takes no argument `{arg}`"
        ))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(shell::Failure::Usage(message)) => {
            eprintln!("xtask: {message}\n\n{USAGE}");
            ExitCode::from(2)
        }
        Err(shell::Failure::Failed(message)) => {
            eprintln!("xtask: {message}");
            ExitCode::FAILURE
        }
    }
}

type Check = fn() -> Outcome;

/// What `ci` runs, in order.
const CHECKS: &[(&str, Check)] = &[
    ("fmt", checks::fmt),
    ("tidy", tidy::run),
    ("clippy", checks::clippy),
    ("test", checks::test),
    ("lanes", checks::lanes),
    ("loom-short", || loom::run(&[])),
    ("soak-short", || soak::run(&["--minutes", "1"])),
    ("conformance", || conformance::run(&[])),
    ("doc", checks::doc),
    ("bench-check", checks::bench),
    ("package", checks::package),
    ("msrv", checks::msrv),
];

fn ci() -> Outcome {
    let mut took = Vec::new();
    for (name, check) in CHECKS {
        println!("==> {name}");
        let start = Instant::now();
        check().map_err(|failure| failure.in_step(name))?;
        took.push((name, start.elapsed()));
    }
    println!("==> all checks passed");
    for (name, took) in took {
        println!("    {name:<12} {:>6.1} s", took.as_secs_f64());
    }
    Ok(())
}
