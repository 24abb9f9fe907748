//! Printing a context as the chain it was derived by, as Go does.

use std::fmt;

use rendez_core::clock;

use crate::context::Context;
use crate::handle::View;
use crate::tree::node::{Kind, Node};

/// Prints `context.Background.WithCancel.WithValue(u64)`; once it has ended, also why and
/// where that was done.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chain = Vec::new();
        let mut at = self;
        let root = loop {
            at = match at.view() {
                View::Background => break "context.Background",
                View::Todo => break "context.TODO",
                View::Node(node) => &node.get().parent,
                View::Value(value) => value.parent(),
            };
            chain.push(at);
        };
        f.write_str(root)?;
        for context in chain.into_iter().rev().skip(1).chain([self]) {
            match context.view() {
                View::Background | View::Todo => {}
                View::Node(node) => link(node.get(), f)?,
                View::Value(value) if value.is_detached() => f.write_str(".WithoutCancel")?,
                View::Value(value) => write!(f, ".WithValue({})", value.type_name())?,
            }
        }
        if let Some(cause) = self.cause() {
            write!(f, " [{cause}")?;
            let at = self.node().and_then(Node::ended_at);
            if let Some(at) = at.filter(|_| !cause.is::<crate::Canceled>()) {
                write!(f, ", canceled at {at}")?;
            }
            f.write_str("]")?;
        }
        Ok(())
    }
}

fn link(node: &Node, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match (
        node.kind.as_deref(),
        node.deadline().filter(|_| node.is_timed()),
    ) {
        (Some(Kind::TimeoutCause(_)) | None, Some(deadline)) => {
            let now = clock::now();
            match deadline.checked_duration_since(now) {
                Some(left) => write!(f, ".WithDeadline(in {left:?})"),
                None => write!(f, ".WithDeadline({:?} ago)", now - deadline),
            }
        }
        (Some(Kind::TimeoutCause(_)) | None, None) => f.write_str(".WithCancel"),
        (Some(Kind::Source(printed)), _) => f.write_str(printed),
        (Some(Kind::Merged(merged)), _) => {
            f.write_str(".Merge(")?;
            for (i, (other, _)) in merged.others.iter().enumerate() {
                let comma = if i == 0 { "" } else { ", " };
                write!(f, "{comma}{other:?}")?;
            }
            f.write_str(")")
        }
    }
}
