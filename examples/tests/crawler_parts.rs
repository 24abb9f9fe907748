//! The crawler's own unit tests: cargo does not run those of an example.
#![allow(dead_code)]

#[path = "../crawler/http.rs"]
mod http;
