//! The programs that measure: ours with the Rust peers, and Go's. Both speak the same two
//! commands (see `crates/bench/src/main.rs`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{MS, SAMPLES};
use crate::shell::{Failure, cargo, failed, output, root, run};

/// A program that measures.
pub(crate) struct Program {
    path: PathBuf,
}

/// One sample of a row, in nanoseconds per operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) ns: f64,
    pub(crate) cpu_ns: f64,
}

/// Builds ours.
pub(crate) fn rust() -> Result<Program, Failure> {
    run(&mut cargo(&[
        "build",
        "--release",
        "--quiet",
        "-p",
        "rendez-bench",
    ]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |dir| root().join(dir));
    let path = target
        .join("release")
        .join(format!("rendez-bench{}", std::env::consts::EXE_SUFFIX));
    Ok(Program { path })
}

/// Builds Go's, if there is a Go: one in the path, or one under `target/go/bin`.
pub(crate) fn go() -> Result<Option<Program>, Failure> {
    let local = root().join("target").join("go").join("bin").join("go");
    let Some(go) = [local, PathBuf::from("go")].into_iter().find(is_new_enough) else {
        return Ok(None);
    };
    let path = root()
        .join("target")
        .join(format!("go-bench{}", std::env::consts::EXE_SUFFIX));
    let mut build = Command::new(&go);
    build.arg("build");
    if let Some(modfile) = x_sync(&go)? {
        build.args(["-tags", "xsync"]).arg("-modfile").arg(modfile);
    }
    build
        .arg("-o")
        .arg(&path)
        .arg(".")
        .current_dir(root().join("crates").join("bench").join("go"))
        .envs([
            ("GOTOOLCHAIN", "local"),
            ("GOPROXY", "off"),
            ("GOFLAGS", "-mod=mod"),
        ]);
    run(&mut build)?;
    Ok(Some(Program { path }))
}

/// Go's distribution has a copy of x/sync, for its own tools: makes it a module under `target/`
/// that our program can name, and gives the `go.mod` that does. `None` if it has none.
fn x_sync(go: &Path) -> Result<Option<PathBuf>, Failure> {
    let go_root = output(Command::new(go).args(["env", "GOROOT"]))?;
    let vendored = Path::new(go_root.trim()).join("src/cmd/vendor/golang.org/x/sync");
    let folder = root().join("target").join("go-x-sync");
    let io = |e| failed(format!("cannot copy {}: {e}", vendored.display()));
    for package in ["errgroup", "semaphore"] {
        let Ok(files) = fs::read_dir(vendored.join(package)) else {
            return Ok(None);
        };
        let copy = folder.join(package);
        fs::create_dir_all(&copy).map_err(io)?;
        for file in files {
            let file = file.map_err(io)?;
            fs::copy(file.path(), copy.join(file.file_name())).map_err(io)?;
        }
    }
    let module = "golang.org/x/sync";
    fs::write(
        folder.join("go.mod"),
        format!("module {module}\n\ngo 1.25\n"),
    )
    .map_err(io)?;
    let modfile = folder.join("bench.mod");
    let at = folder.display();
    let text = format!(
        "module bench\n\ngo 1.25\n\nrequire {module} v0.0.0\n\nreplace {module} => \"{at}\"\n"
    );
    fs::write(&modfile, text).map_err(io)?;
    Ok(Some(modfile))
}

fn is_new_enough(go: &PathBuf) -> bool {
    let version = Command::new(go)
        .args(["env", "GOVERSION"])
        .env("GOTOOLCHAIN", "local")
        .stderr(Stdio::null())
        .output();
    version.is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stdout);
        let minor = text.trim().strip_prefix("go1.").and_then(|rest| {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            digits.parse::<u32>().ok()
        });
        minor.is_some_and(|minor| minor >= 25)
    })
}

impl Program {
    /// Its cells and contenders.
    pub(crate) fn list(&self) -> Result<Vec<(String, String)>, Failure> {
        let list = output(Command::new(&self.path).arg("list"))?;
        list.lines()
            .map(|line| {
                line.split_once('\t')
                    .map(|(cell, who)| (cell.to_owned(), who.to_owned()))
                    .ok_or_else(|| failed(format!("`{line}` names no contender")))
            })
            .collect()
    }

    /// Samples of one row; `None` if it is stuck or fails.
    pub(crate) fn samples(
        &self,
        cell: &str,
        contender: &str,
        cpu0: bool,
    ) -> Result<Option<Vec<Sample>>, Failure> {
        let mut command = if cpu0 {
            let mut command = Command::new("taskset");
            command.args(["-c", "0"]).arg(&self.path);
            command
        } else {
            Command::new(&self.path)
        };
        let (ms, samples) = (MS.to_string(), SAMPLES.to_string());
        command.args(["run", cell, contender, &ms, &samples]);
        let output = command
            .output()
            .map_err(|e| failed(format!("cannot run {command:?}: {e}")))?;
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            let why = why.lines().next().unwrap_or_default();
            eprintln!("bench: {cell}: {contender} failed: {why}");
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let samples = text.lines().filter_map(sample).collect();
        Ok(Some(samples))
    }
}

fn sample(line: &str) -> Option<Sample> {
    let mut numbers = line.split(' ').map(str::parse);
    let (ns, cpu_ns) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Sample { ns, cpu_ns })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read_and_anything_else_is_none() {
        let read = sample("12.5 25 1000").map(|s| (s.ns, s.cpu_ns));
        assert_eq!(read, Some((12.5, 25.0)));
        assert!(sample("stuck").is_none());
        assert!(sample("12.5").is_none());
    }
}
