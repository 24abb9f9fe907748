//! The tests under AddressSanitizer: a use after free or out of bounds ends them, wherever in
//! the unsafe files it is.

use crate::shell::{Outcome, cargo, failed, output, run};

/// What tests compile differently by: those that measure a process's memory do not.
const CFG: &str = "--cfg rendez_sanitize";

/// Every crate's tests with every feature, but those of the examples. Leaks are no errors:
/// many tests leak on purpose, and count drops where nothing may be lost.
pub(crate) fn run_all() -> Outcome {
    let version = output(std::process::Command::new(rustc()).arg("-vV"))?;
    let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name));
    if !field("release: ").is_some_and(|r| r.contains("nightly")) {
        return Err(failed(
            "a sanitizer needs a nightly compiler: `cargo +nightly xtask sanitize`",
        ));
    }
    let host = field("host: ").ok_or_else(|| failed("rustc does not name its host"))?;
    run(cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "rendez-bench",
        "--exclude",
        "rendez-examples",
        "--exclude",
        "xtask",
        "--all-features",
        "--tests",
        "--no-fail-fast",
        "--target-dir",
        "target/sanitize",
        // So that build scripts and macros are compiled without it.
        "--target",
        host,
    ])
    .env("RUSTFLAGS", format!("-Zsanitizer=address {CFG}"))
    .env(
        "ASAN_OPTIONS",
        "detect_leaks=0:detect_stack_use_after_return=1",
    ))
}

fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}
