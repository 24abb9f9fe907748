//! The digest tool against coreutils' sha256sum, and how it ends.
#![cfg(unix)]
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The tool, which cargo builds beside the tests.
fn digest() -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("it lies in target/*/deps");
    let program = folder.join("examples/digest");
    assert!(program.is_file(), "{} is not built", program.display());
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What `find | sort | xargs sha256sum` prints for `root`.
fn sha256sum(folder: &Path, root: &str) -> Vec<u8> {
    let script = format!("find {root} -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum");
    let output = run(Command::new("sh").arg("-c").arg(script).current_dir(folder));
    assert!(output.status.success(), "{}", text(&output.stderr));
    output.stdout
}

fn write(folder: &Path, name: impl AsRef<OsStr>, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(name.as_ref());
    fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder is made");
    fs::write(&path, content).expect("a file is written");
    path
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

/// Waits for a program's end, which must not be long.
fn ends(mut child: Child) -> Output {
    let until = Instant::now() + Duration::from_secs(60);
    while child
        .try_wait()
        .expect("a child can be waited for")
        .is_none()
    {
        assert!(Instant::now() < until, "the program hangs");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().expect("it has ended")
}

#[test]
fn this_repository_is_hashed_as_sha256sum_does() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let output = run(digest().arg(".").current_dir(&crates));
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout == sha256sum(&crates, "."));
    assert!(output.stdout.len() > 1000);
}

#[test]
fn ten_thousand_files_with_any_names_are_hashed_as_sha256sum_does() {
    let tree = folder();
    for i in 0..9_990_u32 {
        let name = format!("{}/{}/file {i}", i % 7, i % 61);
        write(tree.path(), name, i.to_le_bytes().repeat(i as usize % 100));
    }
    for name in [
        "with\nline",
        "with\\slash",
        "with\rreturn",
        " lead",
        "trail ",
        "*star",
        "#hash",
        "\u{e9}\u{1F980}",
    ] {
        write(tree.path(), name, name);
    }
    write(tree.path(), OsStr::from_bytes(b"bad \xff\xfe utf-8"), "x");
    write(tree.path(), "big", vec![7; 3_000_001]);
    for jobs in ["1", "2", "9"] {
        let output = run(digest().args(["--jobs", jobs]).current_dir(tree.path()));
        assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
        assert_eq!(
            output.stdout.iter().filter(|&&b| b == b'\n').count(),
            10_000
        );
        assert!(output.stdout == sha256sum(tree.path(), "."), "jobs {jobs}");
    }
    // And back.
    let list = run(digest().current_dir(tree.path())).stdout;
    let list = write(tree.path(), "SUMS", list);
    let output = run(digest().arg("--check").arg(&list).current_dir(tree.path()));
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    let coreutils = run(Command::new("sha256sum")
        .arg("-c")
        .arg(&list)
        .current_dir(tree.path()));
    assert!(output.stdout == coreutils.stdout);
}

#[test]
fn files_are_named_as_the_arguments_were() {
    let tree = folder();
    write(tree.path(), "a/b", "1");
    write(tree.path(), "c", "2");
    let output = run(digest().args(["c", "a/"]).current_dir(tree.path()));
    let names: Vec<_> = text(&output.stdout)
        .lines()
        .map(|l| l[66..].to_owned())
        .collect();
    assert_eq!(names, ["c", "a/b"]);
}

#[test]
fn what_cannot_be_read_is_named_and_the_rest_goes_on() {
    let tree = folder();
    write(tree.path(), "good", "1");
    write(tree.path(), "other", "2");
    std::os::unix::fs::symlink("nowhere", tree.path().join("dangling")).expect("a link");
    let output = run(digest()
        .args(["good", "dangling", "missing", "other"])
        .current_dir(tree.path()));
    assert_eq!(code(&output), Some(1));
    assert_eq!(text(&output.stdout).lines().count(), 2);
    let errors = text(&output.stderr);
    assert!(
        errors.contains("digest: dangling: No such file or directory\n"),
        "{errors}"
    );
    assert!(
        errors.contains("digest: missing: No such file or directory\n"),
        "{errors}"
    );
}

#[test]
fn pipes_and_links_in_a_tree_are_left_out() {
    let tree = folder();
    write(tree.path(), "file", "1");
    make_fifo(&tree.path().join("fifo"));
    std::os::unix::fs::symlink(".", tree.path().join("loop")).expect("a link");
    let output = run(digest().current_dir(tree.path()));
    assert_eq!(code(&output), Some(0));
    assert!(output.stdout == sha256sum(tree.path(), "."));
}

#[test]
fn a_check_tells_what_differs_what_is_missing_and_what_is_no_line() {
    let tree = folder();
    write(tree.path(), "same", "1");
    write(tree.path(), "changed", "2");
    write(tree.path(), "gone", "3");
    let mut list = run(digest()
        .args(["same", "changed", "gone"])
        .current_dir(tree.path()))
    .stdout;
    list.extend(b"nonsense\n");
    let list = write(tree.path(), "SUMS", list);
    write(tree.path(), "changed", "x");
    fs::remove_file(tree.path().join("gone")).expect("it was there");

    let check = |options: &[&str]| {
        run(digest()
            .args(options)
            .arg("--check")
            .arg(&list)
            .current_dir(tree.path()))
    };
    let output = check(&[]);
    assert_eq!(code(&output), Some(1));
    assert_eq!(
        text(&output.stdout),
        "same: OK\nchanged: FAILED\ngone: FAILED open or read\n"
    );
    let errors = text(&output.stderr);
    for line in [
        "digest: gone: No such file or directory",
        "digest: WARNING: 1 line is improperly formatted",
        "digest: WARNING: 1 listed file could not be read",
        "digest: WARNING: 1 computed checksum did NOT match",
    ] {
        assert!(errors.lines().any(|l| l == line), "{line:?} in {errors}");
    }
    assert_eq!(text(&check(&["--quiet"]).stdout).lines().count(), 2);
    let silent = check(&["--status"]);
    assert_eq!((code(&silent), silent.stdout.len()), (Some(1), 0));
}

#[test]
fn a_list_that_is_none_is_an_error() {
    let tree = folder();
    let list = write(tree.path(), "SUMS", "hello\n");
    let output = run(digest().arg("--check").arg(&list));
    assert_eq!(code(&output), Some(1));
    assert!(text(&output.stderr).contains("no properly formatted checksum lines found"));
    let output = run(digest()
        .args(["--check", "missing"])
        .current_dir(tree.path()));
    assert_eq!(code(&output), Some(1));
    assert!(text(&output.stderr).contains("missing: No such file"));
}

#[test]
fn a_list_may_come_from_standard_input() {
    let tree = folder();
    write(tree.path(), "a", "1");
    let list = run(digest().arg("a").current_dir(tree.path())).stdout;
    let mut child = digest()
        .args(["--check", "-"])
        .current_dir(tree.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(&list)
        .expect("it reads");
    let output = ends(child);
    assert_eq!(
        (code(&output), text(&output.stdout)),
        (Some(0), "a: OK\n".into())
    );
}

/// A tree whose second file never ends, and the tool at work on it.
fn stuck(tree: &TempDir, options: &[&str]) -> Child {
    write(tree.path(), "a", "1");
    make_fifo(&tree.path().join("stuck"));
    write(tree.path(), "z", "2");
    digest()
        .args(options)
        .args(["a", "stuck", "z"])
        .current_dir(tree.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn only_whole_lines(output: &Output) {
    let lines = text(&output.stdout);
    assert!(lines.is_empty() || lines.ends_with('\n'), "{lines:?}");
}

#[test]
fn the_timeout_stops_it_at_once() {
    let tree = folder();
    let output = ends(stuck(&tree, &["--timeout", "50ms"]));
    assert_eq!(code(&output), Some(124));
    assert_eq!(text(&output.stderr), "digest: timed out after 50ms\n");
    only_whole_lines(&output);
}

#[test]
fn a_timeout_that_is_not_reached_changes_nothing() {
    let tree = folder();
    write(tree.path(), "a", "1");
    let output = run(digest()
        .args(["--timeout", "1h", "a"])
        .current_dir(tree.path()));
    assert_eq!(code(&output), Some(0));
}

#[test]
fn a_signal_stops_it_at_once() {
    for (signal, number) in [("INT", 130), ("TERM", 143)] {
        let tree = folder();
        let child = stuck(&tree, &["--jobs", "1"]);
        // It is at work once it has opened the pipe, which it then reads for ever.
        let _pipe = fs::OpenOptions::new()
            .write(true)
            .open(tree.path().join("stuck"))
            .expect("a reader opens it");
        let sent = Command::new("kill")
            .arg(format!("-{signal}"))
            .arg(child.id().to_string())
            .status()
            .expect("kill");
        assert!(sent.success());
        let output = ends(child);
        assert_eq!(code(&output), Some(number));
        assert_eq!(
            text(&output.stderr),
            format!("digest: stopped by SIG{signal}\n")
        );
        only_whole_lines(&output);
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let tree = folder();
    for i in 0..2000 {
        write(tree.path(), format!("file {i}"), "");
    }
    let mut child = digest()
        .current_dir(tree.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("piped"))
        .read_line(&mut first)
        .expect("a line comes");
    assert_eq!(first.len(), 64 + 2 + "./file 0\n".len());
    let output = ends(child);
    assert_eq!(
        (code(&output), text(&output.stderr)),
        (Some(141), String::new())
    );
}

#[test]
fn a_wrong_command_line_says_what_is_wrong() {
    for (arguments, named) in [
        (vec!["--jobs", "0"], "0"),
        (vec!["--jobs", "x"], "x"),
        (vec!["--timeout", "30"], "unit"),
        (vec!["--timeout", "1d"], "d"),
        (vec!["--nonsense"], "--nonsense"),
        (vec!["--quiet"], "--check"),
        (vec!["--check", "f", "path"], "--check"),
    ] {
        let output = run(digest().args(&arguments));
        assert_eq!(code(&output), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(named), "{arguments:?}");
    }
}

#[test]
fn help_names_every_option() {
    let help = text(&run(digest().arg("--help")).stdout);
    for option in [
        "--jobs",
        "--timeout",
        "--check",
        "--quiet",
        "--status",
        "--no-progress",
    ] {
        assert!(help.contains(option), "{option}");
    }
}

#[test]
fn an_endless_list_of_files_needs_bounded_memory() {
    // A million lines that name one file: read, hashed and checked through the window.
    let tree = folder();
    write(tree.path(), "a", "1");
    let line = text(&run(digest().arg("a").current_dir(tree.path())).stdout);
    let mut child = digest()
        .args(["--check", "-", "--status"])
        .current_dir(tree.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut input = child.stdin.take().expect("piped");
    let block = line.repeat(1000);
    let mut most = 0;
    for _ in 0..100 {
        input.write_all(block.as_bytes()).expect("it reads on");
        most = most.max(resident_kib(child.id()));
    }
    drop(input);
    assert_eq!(code(&ends(child)), Some(0));
    assert!(most < 64 * 1024, "{most} KiB");
}

/// How much memory a process has in use, where the system tells.
fn resident_kib(id: u32) -> u64 {
    let mut status = String::new();
    let opened = fs::File::open(OsString::from(format!("/proc/{id}/status")));
    if opened
        .and_then(|mut f| f.read_to_string(&mut status))
        .is_err()
    {
        return 0;
    }
    status
        .lines()
        .find_map(|l| l.strip_prefix("VmRSS:"))
        .and_then(|l| l.trim().strip_suffix("kB")?.trim().parse().ok())
        .unwrap_or(0)
}
