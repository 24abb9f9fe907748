//! The ground floor of rendez: how a goroutine waits.
//!
//! Everything that waits anywhere in rendez, a channel end, a wait group, a join
//! handle, a timer, is a [`Case`](case::Case): it can be looked at, queued on, left
//! and finished. This crate holds that protocol, the queues and the parking below
//! it, and the places where a scheduler plugs in. It knows no channel and no pool.
//!
//! **This crate is an interface between the rendez crates, not for direct use**: its
//! siblings depend on one exact version of it, and it may change in any release.
//!
//! Read in this order: [`parker`], [`wake`], [`waiter`], [`queue`], [`case`],
//! [`wait`], then [`countdown`] as the smallest complete primitive.

pub mod backoff;
pub mod block_on;
pub mod case;
pub mod clock;
pub mod contended;
pub mod countdown;
pub mod either;
pub mod goroutine;
pub mod hooks;
pub mod lock;
pub mod overdue;
pub mod parker;
pub mod queue;
pub mod quiet;
pub mod schedule;
pub mod shim;
pub mod standing;
mod to_wake;
pub mod wait;
pub mod waiter;
pub mod wake;
