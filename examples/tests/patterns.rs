//! The programs of the patterns, run as a user would, and what they print.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

/// What the program prints, line by line. It must succeed.
fn run(name: &str) -> Vec<String> {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("it lies in target/*/deps");
    let program = folder.join("examples").join(name);
    let output = Command::new(program)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {errors}");
    assert_eq!(errors, "", "{name}");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.lines().map(str::to_owned).collect()
}

fn both(name: &str) -> [Vec<String>; 2] {
    [run(name), run(&format!("{name}_async"))]
}

/// The numbers after `what`, in the order printed.
fn after(lines: &[String], what: &str) -> Vec<u32> {
    let number = |line: &String| line.strip_prefix(what)?.trim().parse().ok();
    lines.iter().filter_map(number).collect()
}

#[test]
fn worker_pool_does_every_job_once_and_ends() {
    for lines in both("worker_pool") {
        let results: BTreeSet<_> = after(&lines, "result ").into_iter().collect();
        assert_eq!(results, BTreeSet::from([2, 4, 6, 8, 10]), "{lines:?}");
        assert_eq!(lines.last().unwrap(), "sum 30");
        for what in ["began", "ended"] {
            let mut jobs: Vec<_> = (1..=3)
                .flat_map(|id| after(&lines, &format!("worker {id} {what} job ")))
                .collect();
            jobs.sort_unstable();
            assert_eq!(jobs, [1, 2, 3, 4, 5], "{lines:?}");
        }
        assert_eq!(lines.len(), 16);
    }
}

#[test]
fn multiplexer_receives_from_both_in_order_until_it_quits() {
    for mut lines in both("multiplexer") {
        assert_eq!(lines.pop().unwrap(), "quit");
        let mut n = 0;
        for producer in ["fast ", "slow "] {
            let numbers = after(&lines, producer);
            assert!(!numbers.is_empty(), "{lines:?}");
            assert!(numbers.iter().copied().eq(1..=numbers.len() as u32));
            n += numbers.len();
        }
        assert_eq!(lines.len(), n, "{lines:?}");
    }
}

/// The lines without the site's address.
fn paths(lines: &[String]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| match line.find("http://127.0.0.1:") {
            Some(at) => &line[at + line[at..].rfind('/').unwrap_or(0)..],
            None => line,
        })
        .collect()
}

#[test]
fn fetch_all_has_every_page_or_what_was_wrong_with_it() {
    for lines in both("fetch_all") {
        assert_eq!(
            paths(&lines),
            [
                "fetched 3",
                "/go: 4 bytes",
                "/missing: http status: 404",
                "/rust: 6 bytes"
            ]
        );
    }
}

#[test]
fn counter_loses_no_count() {
    for lines in both("counter") {
        assert_eq!(lines, ["1000"]);
    }
}

#[test]
fn process_with_timeout_stops_at_the_deadline() {
    for mut lines in both("process_with_timeout") {
        assert_eq!(lines.pop().unwrap(), "stopped: context deadline exceeded");
        let processed = after(&lines, "processed ");
        assert!(processed.iter().copied().eq(1..=lines.len() as u32));
        assert!(lines.len() < 100, "{lines:?}");
    }
}

#[test]
fn fetch_all_with_errors_returns_the_first_and_ends_the_others() {
    let lines = run("fetch_all_with_errors");
    let lines = paths(&lines);
    assert_eq!(
        lines.last().unwrap(),
        &"/missing: http status: 404",
        "{lines:?}"
    );
    assert!(lines.contains(&"/endless: given up"), "{lines:?}");
}
