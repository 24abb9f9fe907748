//! Programs written on rendez.
//!
//! | program | what it is |
//! |---|---|
//! | `digest` | a concurrent `sha256sum` over directory trees |
//! | `worker_pool` | three workers, a channel of jobs and one of results |
//! | `multiplexer` | one loop over two producers, a quit channel and a timeout |
//! | `fetch_all` | a wait group and borrowed slots |
//! | `counter` | a mutex |
//! | `process_with_timeout` | a context that is asked before each item |
//! | `fetch_all_with_errors` | an error group: the first failure ends the others |
//! | `sieve` | the concurrent prime sieve |
//! | `chat` | a chat server over TCP |
//! | `crawler` | a bounded concurrent crawler over HTTP |
//!
//! Where a pattern reads differently from tasks, its twin is named `…_async`. The patterns
//! that fetch take URLs from the command line; without any they fetch from the small
//! [`site`] that they start themselves.

pub mod site;

/// The program in the README, as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// Go's names and ours, as a test.
#[cfg(doctest)]
#[doc = include_str!("../../docs/phrasebook.md")]
pub struct Phrasebook;
