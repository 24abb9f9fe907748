//! Printing a context as the chain it was derived by, as Go does.

use std::fmt;

use rendez_core::clock;

use crate::context::{Context, Repr};
use crate::tree::node::{Kind, Node};

/// Prints `context.Background.WithCancel.WithValue(u64)`; once it has ended, also why and
/// where that was done.
impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chain = Vec::new();
        let mut at = self;
        let root = loop {
            at = match &at.repr {
                Repr::Background => break "context.Background",
                Repr::Todo => break "context.TODO",
                Repr::Node(node) => &node.parent,
                Repr::Value(value) => &value.parent,
                Repr::WithoutCancel(kept) => &kept.parent,
            };
            chain.push(at);
        };
        f.write_str(root)?;
        for context in chain.into_iter().rev().skip(1).chain([self]) {
            match &context.repr {
                Repr::Background | Repr::Todo => {}
                Repr::Node(node) => link(node, f)?,
                Repr::Value(value) => write!(f, ".WithValue({})", value.type_name)?,
                Repr::WithoutCancel(_) => f.write_str(".WithoutCancel")?,
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
        node.deadline.filter(|_| node.is_timed()),
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
