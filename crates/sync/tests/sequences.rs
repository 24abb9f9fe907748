//! Every short sequence of operations: whoever has not been woken has nothing to do, and no
//! lock or permit is held by nobody.

#[path = "sequences/lines.rs"]
mod lines;
#[path = "sequences/locks.rs"]
mod locks;
#[path = "sequences/once.rs"]
mod once;
#[path = "sequences/semaphore.rs"]
mod semaphore;
#[path = "../../core/tests/common/sequences.rs"]
mod sequences;
