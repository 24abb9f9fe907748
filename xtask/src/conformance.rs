//! crossbeam-channel's own published tests, run against `rendez-select` under that name.
//!
//! The tests are taken from the registry through cargo, copied below `target/` and built
//! there unchanged; nothing of them is kept in the repository. One file of our own beside them
//! compares the texts of the errors.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shell::{Failure, Outcome, built, cargo, failed, output, root};

const VERSION: &str = "0.5.17";

/// Every test file of the package.
const FILES: &[&str] = &[
    "after",
    "array",
    "golang",
    "iter",
    "list",
    "mpsc",
    "never",
    "ready",
    "same_channel",
    "select",
    "select_macro",
    "thread_locals",
    "tick",
    "zero",
];

/// Ours, which knows crossbeam-channel itself as `upstream`.
const OURS: (&str, &str) = ("errors", include_str!("../conformance/errors.rs"));

/// The file whose tests run one after the other: its `select2` bounds what the whole process
/// has allocated between two moments, and so what the tests beside it have. With them it fails
/// against any channel, crossbeam-channel's own included (a run in four); alone, never.
const ONE_BY_ONE: &str = "golang";

/// A file that takes longer hangs.
const TIME_LIMIT: Duration = Duration::from_secs(600);

pub(crate) fn run(args: &[&str]) -> Outcome {
    for arg in args {
        if *arg != OURS.0 && !FILES.contains(arg) {
            return Err(Failure::Usage(format!(
                "crossbeam-channel has no test file `{arg}`; it has {FILES:?}"
            )));
        }
    }
    let all = [FILES, &[OURS.0]].concat();
    let wanted = if args.is_empty() { &all } else { args };
    let folder = root().join("target/conformance");
    let upstream = fetch(&folder)?;
    copy_tests(&upstream, &folder.join("tests"))?;

    println!("building crossbeam-channel {VERSION}'s tests against rendez-select");
    let programs = build(&folder)?;
    for file in wanted {
        let program = programs
            .iter()
            .find(|(name, _)| name == file)
            .map(|(_, program)| program)
            .ok_or_else(|| failed(format!("cargo built no {file}")))?;
        let start = Instant::now();
        let list = output(Command::new(program).arg("--list"))?;
        let n = list.lines().filter(|l| l.ends_with(": test")).count();
        if n == 0 {
            return Err(failed(format!("{file}.rs has no test")));
        }
        supervise(program, file)?;
        let took = start.elapsed().as_secs_f64();
        println!("{file:<14} {n:>4} tests passed, {took:>6.1} s");
    }
    println!("{} of {} files conform", wanted.len(), all.len());
    Ok(())
}

/// Builds the tests and gives each file's program.
fn build(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut command = cargo(&["test", "--release", "--tests", "--no-run", "--quiet"]);
    command.arg("--message-format=json-render-diagnostics");
    command.arg("--target-dir").arg(folder.join("target"));
    // The workspace's lints are ours, not theirs.
    command.current_dir(folder).env("RUSTFLAGS", "-A warnings");
    let messages = output(&mut command)?;
    let programs = built(&messages).into_iter();
    Ok(programs.map(|(name, _, program)| (name, program)).collect())
}

/// Writes the package the tests are built in, and gives the folder of crossbeam-channel's
/// source, which cargo fetches if need be.
fn fetch(folder: &Path) -> Result<PathBuf, Failure> {
    let write = |path: PathBuf, text: String| {
        std::fs::create_dir_all(path.parent().unwrap_or(folder))
            .and_then(|()| std::fs::write(&path, text))
            .map_err(|e| failed(format!("cannot write {}: {e}", path.display())))
    };
    let select = root().join("crates/select");
    write(
        folder.join("Cargo.toml"),
        format!(
            r#"[package]
name = "conformance"
version = "0.0.0"
edition = "2021"
publish = false

[workspace]

[dependencies]
crossbeam-channel = {{ package = "rendez-select", path = {select:?} }}
upstream = {{ package = "crossbeam-channel", version = "={VERSION}" }}

[dev-dependencies]
crossbeam-utils = "0.8"
num_cpus = "1"
rand = "0.8"
signal-hook = "0.3"
"#
        ),
    )?;
    write(folder.join("src/lib.rs"), String::new())?;
    let json = output(cargo(&["metadata", "--format-version=1"]).current_dir(folder))?;
    let json: serde_json::Value =
        serde_json::from_str(&json).map_err(|e| failed(format!("cargo metadata: {e}")))?;
    json["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|p| p["name"] == "crossbeam-channel" && p["version"] == VERSION)
        .and_then(|p| {
            Some(
                Path::new(p["manifest_path"].as_str()?)
                    .parent()?
                    .to_path_buf(),
            )
        })
        .ok_or_else(|| failed(format!("cargo did not fetch crossbeam-channel {VERSION}")))
}

fn copy_tests(upstream: &Path, to: &Path) -> Outcome {
    let from = upstream.join("tests");
    let io = |e: std::io::Error| failed(format!("cannot copy {}: {e}", from.display()));
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir_all(to).map_err(io)?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&from).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let (Some(stem), Some(name)) = (path.file_stem(), path.file_name()) else {
            continue;
        };
        if path.is_file() && path.extension().is_some_and(|e| e == "rs") {
            std::fs::copy(&path, to.join(name)).map_err(io)?;
            found.push(stem.to_string_lossy().into_owned());
        }
    }
    found.sort();
    if found != FILES {
        return Err(failed(format!(
            "crossbeam-channel {VERSION} has the test files {found:?}, not {FILES:?}"
        )));
    }
    std::fs::write(to.join(OURS.0).with_extension("rs"), OURS.1).map_err(io)
}

/// Runs a test program, and ends it if it hangs.
fn supervise(program: &Path, file: &str) -> Outcome {
    let mut command = Command::new(program);
    command.arg("--quiet");
    if file == ONE_BY_ONE {
        command.arg("--test-threads=1");
    }
    let mut child = command
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| failed(format!("cannot run {}: {e}", program.display())))?;
    let until = Instant::now() + TIME_LIMIT;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(_)) => {
                return Err(failed(format!(
                    "crossbeam-channel's {file}.rs fails: run {} to see how",
                    program.display()
                )));
            }
            Ok(None) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("crossbeam-channel's {file}.rs hangs")));
            }
            Err(e) => return Err(failed(format!("cannot wait for {file}: {e}"))),
        }
    }
}
