//! Every short sequence of operations: whoever has not been woken has nothing to do, and no
//! value is lost or comes twice.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

#[path = "sequences/ends.rs"]
mod ends;
#[path = "sequences/kinds.rs"]
mod kinds;
#[path = "sequences/one.rs"]
mod one;
#[path = "sequences/selector.rs"]
mod selector;
#[path = "../../core/tests/common/sequences.rs"]
mod sequences;
#[path = "sequences/two.rs"]
mod two;
