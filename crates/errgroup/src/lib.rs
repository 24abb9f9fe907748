//! Goroutines that fail together: Go's `errgroup`.
//!
//! ```
//! use rendez_context::Context;
//! use rendez_errgroup::Group;
//!
//! let (group, ctx) = Group::with_context(&Context::background());
//! group.go(|| Err("the disk is full"));
//! group.go(async move {
//!     ctx.done().await; // the first error cancels the rest
//!     Ok(())
//! });
//! assert_eq!(group.wait(), Err("the disk is full"));
//! ```
//!
//! - [`Group`]: closures and futures, a limit, a context, any executor; panics are carried.
//! - [`scope`]: the same for goroutines that borrow.
//! - [`try_map`]: one function over many items.
//!
//! Followed: Go's `golang.org/x/sync/errgroup`. Differences: see [`Group`].

mod builder;
mod error;
mod futures;
mod group;
mod map;
mod scope;
mod slots;
mod state;

pub use crate::builder::Builder;
pub use crate::error::Failure;
pub use crate::futures::{GoFuture, WaitFuture};
pub use crate::group::Group;
pub use crate::map::try_map;
pub use crate::scope::{Scope, scope};

/// What must not compile: goroutines of a group borrow nothing, those of a scope nothing that
/// does not outlive it.
///
/// ```compile_fail,E0597
/// let group = rendez_errgroup::Group::<String>::new();
/// let local = 1;
/// group.go(|| { let _ = &local; Ok(()) });
/// ```
///
/// ```compile_fail,E0373
/// let _: Result<(), String> = rendez_errgroup::scope(&rendez_context::Context::background(), |g| {
///     let inner = 1;
///     g.go(|| { let _ = &inner; Ok(()) });
/// });
/// ```
///
/// ```compile_fail,E0521
/// let mut kept = None;
/// let _: Result<(), String> = rendez_errgroup::scope(&rendez_context::Context::background(), |g| {
///     kept = Some(g);
/// });
/// ```
#[cfg(doctest)]
pub struct Escapes;

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
