//! The checks that cargo makes for us.

use crate::metadata::Workspace;
use crate::shell::{Outcome, cargo, failed, root, run};

/// The package of the benchmarks.
const BENCH: &str = "rendez-bench";

/// The tests of channels once more, with a lane or a front from the start, which otherwise only
/// rivals for a lock have.
pub(crate) fn lanes() -> Outcome {
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    run(cargo(&["test", "--package", "rendez-select", "--tests"])
        // A target folder of its own: the flag rebuilds everything.
        .arg("--target-dir")
        .arg(root().join("target/lanes"))
        .env("RUSTFLAGS", format!("{flags} --cfg rendez_lanes")))
}

/// Every crate with every feature: unit, integration and doc tests, examples built. Without
/// `--all-targets`, which would build examples as tests instead of the programs that the
/// tests run. The locks once more as they are without the feature that watches them.
pub(crate) fn test() -> Outcome {
    run(&mut cargo(&[
        "test",
        "--workspace",
        "--exclude",
        BENCH,
        "--all-features",
    ]))?;
    run(&mut cargo(&["test", "-p", "rendez-sync", "--tests"]))
}

/// Formatted by rustfmt.
pub(crate) fn fmt() -> Outcome {
    component("fmt", "rustfmt")?;
    run(&mut cargo(&["fmt", "--all", "--check"]))
}

/// No warning of the compiler or clippy.
pub(crate) fn clippy() -> Outcome {
    component("clippy", "clippy")?;
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--exclude",
        BENCH,
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))
}

/// The benchmarks compile, without warnings. They have a command of their own since their
/// peers take longer to compile than all the rest.
pub(crate) fn bench() -> Outcome {
    component("clippy", "clippy")?;
    run(&mut cargo(&["clippy", "-p", BENCH, "--", "-D", "warnings"]))
}

/// The documentation builds, every link in it too.
pub(crate) fn doc() -> Outcome {
    run(cargo(&[
        "doc",
        "--workspace",
        "--exclude",
        BENCH,
        "--all-features",
        "--no-deps",
    ])
    .env("RUSTDOCFLAGS", "-D warnings"))
}

/// Every crate that is published can be packaged.
pub(crate) fn package() -> Outcome {
    let workspace = Workspace::read()?;
    let mut args = vec!["package", "--no-verify", "--allow-dirty", "--quiet"];
    for package in workspace.packages.iter().filter(|p| p.published) {
        args.extend(["-p", &package.name]);
    }
    run(&mut cargo(&args))
}

/// What is published builds with the toolchain in use: CI runs this with the oldest one.
pub(crate) fn msrv() -> Outcome {
    let workspace = Workspace::read()?;
    let mut args = vec!["check", "--all-features"];
    for package in workspace.packages.iter().filter(|p| p.published) {
        args.extend(["-p", &package.name]);
    }
    run(&mut cargo(&args))
}

/// Names what is missing instead of a subcommand's "no such command".
fn component(subcommand: &str, component: &str) -> Outcome {
    let found = cargo(&[subcommand, "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if found {
        return Ok(());
    }
    Err(failed(format!(
        "`cargo {subcommand}` is missing; install it with `rustup component add {component}`"
    )))
}
