//! Exploring the models: each `tests/loom.rs`, and what is named like it, built with
//! `--cfg rendez_loom` and the features it asks for.
//!
//! Each model prints one line with the number of interleavings it ran through. A file of models
//! that reports none has not been checked, so that is a failure.

use std::process::Stdio;

use crate::metadata::{Package, Test, Workspace};
use crate::shell::{Failure, Outcome, cargo, failed, root};

/// How many times a model may take the processor from a running thread: two find nearly
/// all that any number finds.
const PREEMPTIONS: &str = "2";
const PREEMPTIONS_LONG: &str = "3";

/// A model that has been explored.
#[derive(Debug, PartialEq, Eq)]
struct Model {
    name: String,
    iterations: u64,
}

pub(crate) fn run(args: &[&str]) -> Outcome {
    let options = Options::parse(args)?;
    let workspace = Workspace::read()?;
    let with_models: Vec<&Package> = workspace
        .packages
        .iter()
        .filter(|p| p.tests.iter().any(has_models))
        .collect();
    for wanted in &options.packages {
        if !with_models.iter().any(|p| is_called(p, wanted)) {
            return Err(Failure::Usage(format!("no package `{wanted}` has models")));
        }
    }
    let mut table = Vec::new();
    for package in with_models {
        if !options.packages.is_empty() && !options.packages.iter().any(|n| is_called(package, n)) {
            continue;
        }
        for test in package.tests.iter().filter(|t| has_models(t)) {
            let models = explore(package, test, &options)?;
            if models.is_empty() && options.filter.is_none() {
                let (package, test) = (&package.name, &test.name);
                return Err(failed(format!(
                    "{test} of {package} has models and ran none"
                )));
            }
            table.extend(models.into_iter().map(|m| (package.name.clone(), m)));
        }
    }
    if table.is_empty() {
        return Err(failed("no model was run"));
    }
    println!("{:<18} {:<58} {:>10}", "crate", "model", "iterations");
    for (package, model) in &table {
        println!("{package:<18} {:<58} {:>10}", model.name, model.iterations);
    }
    println!("{} models explored", table.len());
    Ok(())
}

fn has_models(test: &Test) -> bool {
    test.name.starts_with("loom")
}

/// `select` means `rendez-select`.
fn is_called(package: &Package, name: &str) -> bool {
    package.name == name || package.name.strip_prefix("rendez-") == Some(name)
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    packages: Vec<String>,
    long: bool,
    filter: Option<String>,
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut args = args.iter();
        while let Some(&arg) = args.next() {
            match arg {
                "--long" => options.long = true,
                "-p" | "--package" => match args.next() {
                    Some(&name) => options.packages.push(name.to_owned()),
                    None => return Err(Failure::Usage(format!("`{arg}` needs a package"))),
                },
                _ if arg.starts_with('-') => {
                    return Err(Failure::Usage(format!("`loom` has no option `{arg}`")));
                }
                _ if options.filter.is_some() => {
                    return Err(Failure::Usage(format!("a second filter `{arg}`")));
                }
                _ => options.filter = Some(arg.to_owned()),
            }
        }
        Ok(options)
    }
}

fn explore(package: &Package, test: &Test, options: &Options) -> Result<Vec<Model>, Failure> {
    println!("==> models of {}: {}", package.name, test.name);
    let mut command = cargo(&[
        "test",
        "--release",
        "--test",
        &test.name,
        "-p",
        &package.name,
    ]);
    command.args(["--features", &test.features.join(",")]);
    // A target folder of its own: the flags below rebuild everything.
    command.arg("--target-dir").arg(root().join("target/loom"));
    command.args(["--", "--nocapture", "--test-threads=1"]);
    command.args(&options.filter);
    let flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    command.env("RUSTFLAGS", format!("{flags} --cfg rendez_loom"));
    if std::env::var_os("LOOM_MAX_PREEMPTIONS").is_none() {
        let n = if options.long {
            PREEMPTIONS_LONG
        } else {
            PREEMPTIONS
        };
        command.env("LOOM_MAX_PREEMPTIONS", n);
    }
    let output = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .map_err(|e| failed(format!("cannot run {command:?}: {e}")))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        eprint!("{stderr}{}", String::from_utf8_lossy(&output.stdout));
        return Err(failed(format!("a model of {} fails", package.name)));
    }
    Ok(reports(&stderr))
}

/// The models' lines in what a test run wrote.
fn reports(stderr: &str) -> Vec<Model> {
    stderr
        .lines()
        .filter_map(|line| {
            // libtest may have begun the line.
            let report = &line[line.find("loom model ")?..];
            let (name, n) = report.strip_prefix("loom model ")?.rsplit_once(": ")?;
            let iterations = n.strip_suffix(" iterations")?.parse().ok()?;
            let name = name.to_owned();
            Some(Model { name, iterations })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_found_among_other_lines() {
        let out = "running 1 test\nloom model park and unpark: 42 iterations\nloom model x\nok";
        let expected = Model {
            name: "park and unpark".into(),
            iterations: 42,
        };
        assert_eq!(reports(out), [expected]);
        assert_eq!(reports("test a ... loom model b: 7 iterations").len(), 1);
    }

    #[test]
    fn options_are_parsed_and_nonsense_is_refused() {
        let options = Options::parse(&["-p", "core", "--long", "claim"]).unwrap();
        assert_eq!(options.packages, ["core"]);
        assert!(options.long);
        assert_eq!(options.filter.as_deref(), Some("claim"));
        assert!(Options::parse(&["-p"]).is_err());
        assert!(Options::parse(&["--loud"]).is_err());
        assert!(Options::parse(&["a", "b"]).is_err());
    }
}
