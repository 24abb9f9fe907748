//! The digest tool's own unit tests: cargo does not run those of an example.
#![allow(dead_code, clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "../digest/args.rs"]
mod args;
#[path = "../digest/check.rs"]
mod check;
#[path = "../digest/hash.rs"]
mod hash;
#[path = "../digest/names.rs"]
mod names;
#[path = "../digest/pipeline.rs"]
mod pipeline;
#[path = "../digest/walk.rs"]
mod walk;
