//! All goroutines are asleep: what is reported, and what is not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[cfg(target_os = "linux")]
#[path = "common/child.rs"]
#[allow(dead_code)]
mod child;

#[cfg(target_os = "linux")]
#[path = "deadlock/on_linux.rs"]
mod on_linux;

#[cfg(target_os = "linux")]
fn main() {
    on_linux::main();
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("only Linux says how many threads a process has: no report elsewhere");
}
