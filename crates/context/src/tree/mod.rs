//! The tree of contexts: what a cancellation travels along.
//!
//! Invariants:
//!
//! 1. **One word says it all.** A node has ended if and only if its [`word`] says so; `err()`
//!    and the `done` arm read the same word, so neither is ahead of the other.
//! 2. **It ends once.** The first to move the word from LIVE wins; its cause is written before
//!    and never changes. A node that ended with its parent has no cause of its own: it is the
//!    parent's, whose word was moved first.
//! 3. **Whoever ends a node holds its lock until every descendant has ended**, if it is
//!    occupied (has children, or anything else to tell). So a second `cancel`, which takes the
//!    lock to find that it comes late, returns only when the whole subtree is done, whoever does
//!    the work; and a traversal that meets a node being cancelled waits for it likewise.
//! 4. **Locks are taken by age**: a parent's before its child's, and along the edges of the
//!    tree only. A child is always younger than its parents, so no circle can close. Only
//!    core's locks (clock, executor) come after them, and none of those is taken here.
//! 5. **No recursion.** [`end`] walks with a stack of held locks on the heap; dropping a long
//!    chain of contexts is a loop too ([`unravel`]).
//! 6. **Nothing foreign under a lock**: wakers, alarms, closures are collected, and fired,
//!    taken back and started when all locks are released. So is nobody's value dropped.
//! 7. **A child leaves at once**: when it is cancelled by itself or dropped, it takes itself out
//!    of its parent's list, whatever its other handles do; a vacant one does both, ending and
//!    leaving, under the parent's lock. The list holds no reference count; a node in it is
//!    alive because its drop takes it out first, under the lock.
//!
//! Who sleeps where: a waiter queues under the node's lock after it has set OCCUPIED and found
//! the node living. From then on the node ends under that lock only, and whoever ends it
//! claims every queued waiter before it releases the lock. So none is missed.
//!
//! [`word`]: self::word
//! [`unravel`]: crate::handle::unravel

pub(crate) mod bell;
pub(crate) mod children;
pub(crate) mod counts;
pub(crate) mod end;
pub(crate) mod node;
pub(crate) mod shared;
pub(crate) mod word;
