//! Programs written on rendez.
//!
//! | program | what it is |
//! |---|---|
//! | `digest` | a concurrent `sha256sum` over directory trees |
//! | `sieve` | the concurrent prime sieve |
//! | `chat` | a chat server over TCP |
//! | `crawler` | a bounded concurrent crawler over HTTP |

/// The program in the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
