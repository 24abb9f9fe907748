//! Cancellation, deadlines and values that travel down a tree: Go's `context`, for threads
//! and tasks, without a runtime.
//!
//! ```
//! use rendez_context::{Context, ContextError};
//! use std::time::Duration;
//!
//! fn work(ctx: &Context) -> Result<(), ContextError> {
//!     loop {
//!         ctx.sleep(Duration::from_millis(1))?; // or ctx.check()?, ctx.block_on(future)?
//!     }
//! }
//!
//! let (ctx, cancel) = Context::background().with_timeout(Duration::from_secs(60));
//! let worker = std::thread::spawn(move || work(&ctx));
//! cancel.cancel();
//! assert_eq!(worker.join().unwrap(), Err(ContextError::Canceled));
//! ```
//!
//! Followed: Go's `context`. Differences: a [`Cancel`] that is dropped cancels; values are
//! found by their type; whoever cancels without a cause leaves its place in the source instead;
//! `err` costs one load; a context nobody has a handle of any more is gone from its parent at
//! once; [`merge`](Context::merge).
//!
//! A deadline needs a thread that watches the clock, started with the first one. Nothing else
//! here starts any.

mod after_func;
mod cancel;
mod context;
mod debug;
mod done;
mod error;
mod handle;
#[cfg(feature = "http")]
pub mod http;
mod run;
#[cfg(feature = "signal")]
pub mod signal;
#[cfg(feature = "tokio-util")]
mod token;
mod tree;
mod until;
mod value;

pub use crate::after_func::AfterFunc;
pub use crate::cancel::Cancel;
pub use crate::context::Context;
pub use crate::done::{Cancelled, Done, Ended};
pub use crate::error::{Canceled, Cause, ContextError};
pub use crate::run::{Run, Sleep};
#[cfg(feature = "signal")]
pub use crate::signal::{SIGINT, SIGTERM};
#[cfg(feature = "signal")]
pub use crate::signal::{SignalReceived, on_signals};
#[cfg(feature = "tokio-util")]
pub use crate::token::ContextToken;

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
