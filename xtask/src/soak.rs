//! The long form of the randomized tests: all of them, built with optimization and checks, each
//! for its share of the time. A failing one shows its seed.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::metadata::{Package, Workspace};
use crate::shell::{Failure, Outcome, built, cargo, failed, output, read, root};

/// What a randomized test asks for its time.
const TIME: &str = "RENDEZ_STRESS_SECONDS";

/// The test that has half of the time: it alone checks whole histories.
const FIRST: &str = "linearizable";

/// How much longer than its share a program may take: its rounds end, its other tests run.
const GRACE: Duration = Duration::from_secs(600);

pub(crate) fn run(args: &[&str]) -> Outcome {
    let options = Options::parse(args)?;
    let workspace = Workspace::read()?;
    let mut wanted = Vec::new();
    for package in workspace.packages.iter().filter(|p| options.wants(p)) {
        for test in randomized(package)? {
            wanted.push((package, test));
        }
    }
    if wanted.is_empty() {
        return Err(failed("no randomized tests"));
    }
    println!("building {} programs of randomized tests", wanted.len());
    let programs = build(&wanted)?;
    let weight = |test: &str| {
        if test == FIRST {
            wanted.len().max(2) - 1
        } else {
            1
        }
    };
    let all: usize = wanted.iter().map(|(_, test)| weight(test)).sum();
    let mut n_failed = 0;
    for ((package, test), program) in wanted.iter().zip(&programs) {
        let share = options.minutes * 60.0 * weight(test) as f64 / all as f64;
        let name = format!("{} {test}", package.name);
        let start = Instant::now();
        let outcome = supervise(program, &name, (share as u64).max(1), package);
        let took = start.elapsed().as_secs_f64();
        let early = || failed(format!("ended before its {share:.0} s were over"));
        match outcome.and_then(|said| {
            if took < share.floor() {
                Err(early())
            } else {
                Ok(said)
            }
        }) {
            Ok(said) => println!("{name:<32} passed, {took:>7.1} s  {said}"),
            Err(Failure::Failed(why) | Failure::Usage(why)) => {
                println!("{name:<32} FAILED, {took:>7.1} s  {why}");
                n_failed += 1;
            }
        }
    }
    if n_failed > 0 {
        return Err(failed(format!(
            "{n_failed} of {} programs failed; `RENDEZ_STRESS_SEED=<seed> {TIME}=60 cargo test \
             --profile soak -p <package> --test <name>` runs a seed again",
            programs.len()
        )));
    }
    Ok(())
}

struct Options {
    minutes: f64,
    packages: Vec<String>,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self, Failure> {
        let mut options = Self {
            minutes: 60.0,
            packages: Vec::new(),
        };
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            let usage = || Failure::Usage(format!("`soak` does not understand `{arg}`"));
            let &value = args.next().ok_or_else(usage)?;
            match arg {
                "--minutes" => match value.parse() {
                    Ok(minutes) if minutes > 0.0 => options.minutes = minutes,
                    _ => return Err(Failure::Usage(format!("`{value}` minutes?"))),
                },
                "-p" | "--package" => options.packages.push(value.to_owned()),
                _ => return Err(usage()),
            }
        }
        Ok(options)
    }

    fn wants(&self, package: &Package) -> bool {
        let short = package.name.strip_prefix("rendez-");
        let named = |p: &String| *p == package.name || Some(p.as_str()) == short;
        self.packages.is_empty() || self.packages.iter().any(named)
    }
}

/// The tests of a package that run for as long as they are told: in a file or folder that reads
/// the variable, or that calls the function that reads it for all the package's tests.
fn randomized(package: &Package) -> Result<Vec<String>, Failure> {
    let folder = package.folder.join("tests");
    let shared = folder.join("common/mod.rs");
    let shared = if shared.is_file() {
        read(&shared)?
    } else {
        String::new()
    };
    let helper = helper(&shared);
    let mut tests = Vec::new();
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Ok(tests);
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let main = if path.is_dir() {
            path.join("main.rs")
        } else {
            path.clone()
        };
        let is_test = main.is_file() && main.extension().is_some_and(|e| e == "rs");
        let Some(name) = path.file_stem().filter(|_| is_test) else {
            continue;
        };
        let text = read(&main)?;
        if reads(&text).is_some() || helper.as_ref().is_some_and(|name| calls(&text, name)) {
            tests.push(name.to_string_lossy().into_owned());
        }
    }
    tests.sort();
    Ok(tests)
}

/// Where a text reads the variable, and does not only speak of it.
fn reads(text: &str) -> Option<usize> {
    text.find(&format!("\"{TIME}\""))
}

/// The name of the function that reads the variable.
fn helper(text: &str) -> Option<&str> {
    let before = &text[..reads(text)?];
    let name = &before[before.rfind("fn ")? + 3..];
    Some(&name[..name.find(['(', '<'])?])
}

/// Whether a text calls the function of that name, and not one whose name ends like it.
fn calls(text: &str, name: &str) -> bool {
    let ends_a_name = |before: &str| before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(&format!("{name}("))
        .any(|(at, _)| !ends_a_name(&text[..at]))
}

/// Builds them, and gives each one's program.
fn build(wanted: &[(&Package, String)]) -> Result<Vec<PathBuf>, Failure> {
    let mut command = cargo(&["test", "--profile", "soak", "--all-features", "--no-run"]);
    command.args(["--quiet", "--message-format=json-render-diagnostics"]);
    let (mut packages, mut tests): (Vec<_>, Vec<_>) =
        wanted.iter().map(|(p, test)| (&*p.name, &**test)).unzip();
    packages.dedup();
    tests.sort_unstable();
    tests.dedup();
    for package in packages {
        command.args(["-p", package]);
    }
    for test in tests {
        command.args(["--test", test]);
    }
    let programs = built(&output(&mut command)?);
    let find = |(package, test): &(&Package, String)| {
        let of_it = |source: &Path| source.starts_with(package.folder.join("tests"));
        programs
            .iter()
            .find(|(name, source, _)| name == test && of_it(source))
            .map(|(_, _, program)| program.clone())
            .ok_or_else(|| failed(format!("cargo built no {test} of {}", package.name)))
    };
    wanted.iter().map(find).collect()
}

/// Runs a program for so many seconds. Gives what it says of its rounds.
fn supervise(
    program: &Path,
    name: &str,
    seconds: u64,
    package: &Package,
) -> Result<String, Failure> {
    let folder = root().join("target/soak");
    let log = folder.join(format!("{}.log", name.replace(' ', "-")));
    // Where programs are built elsewhere, nobody else has made it.
    let file = || {
        std::fs::create_dir_all(&folder)
            .and_then(|()| File::create(&log))
            .map_err(|e| failed(format!("cannot write {log:?}: {e}")))
    };
    let file = file()?;
    let other = file.try_clone().map_err(|e| failed(e.to_string()))?;
    let mut child = Command::new(program)
        .arg("--nocapture")
        .env(TIME, seconds.to_string())
        .current_dir(&package.folder)
        .stdout(Stdio::from(file))
        .stderr(Stdio::from(other))
        .spawn()
        .map_err(|e| failed(format!("cannot run {}: {e}", program.display())))?;
    // Its tests may run one after the other.
    let until = Instant::now() + Duration::from_secs(seconds) * 8 + GRACE;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            Err(e) => return Err(failed(format!("cannot wait for {name}: {e}"))),
        }
    };
    let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default()).into_owned();
    let said = |word: &str| {
        text.lines()
            .rev()
            .find(|l| l.contains(word))
            .map(str::to_owned)
    };
    match status {
        Some(status) if status.success() => Ok(said("operations in").unwrap_or_default()),
        end => {
            let how = end.map_or("hangs".to_owned(), |status| status.to_string());
            let seed = said("RENDEZ_STRESS_SEED").or_else(|| said("seed"));
            let seed = seed.unwrap_or_else(|| "it names no seed".to_owned());
            Err(failed(format!(
                "{how}; {seed}; all it said: {}",
                log.display()
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_that_reads_the_time_is_found_whoever_speaks_of_it_before() {
        let text = format!(
            "fn other() {{}}\n/// Runs for `{TIME}`.\n\
             pub(crate) fn rounds<R>(x: u8) {{ set(\"{TIME}\") }}"
        );
        assert_eq!(helper(&text), Some("rounds"));
        assert_eq!(helper(&format!("/// `{TIME}`\nfn other() {{}}")), None);
    }

    #[test]
    fn a_call_is_not_found_at_the_end_of_another_name() {
        assert!(calls("    stress(|seed| ());", "stress"));
        assert!(!calls("fn they_hold_under_stress() {}", "stress"));
    }

    #[test]
    fn options_are_understood() {
        let options = Options::parse(&["--minutes", "2.5", "-p", "select"]).expect("they are");
        assert_eq!(
            (options.minutes, &*options.packages),
            (2.5, &["select".to_owned()][..])
        );
        assert!(Options::parse(&["--minutes", "0"]).is_err());
        assert!(Options::parse(&["--hours", "1"]).is_err());
        assert!(Options::parse(&["--minutes"]).is_err());
    }
}
