//! The contexts that cannot end by themselves: one that carries a value, and one that does
//! not end with its parent.

use std::any::{Any, TypeId};
use std::{fmt, mem};

use rendez_core::shim::Arc;

use crate::context::Context;
use crate::tree::node::{self, Node};

/// A context with a value; it ends with the node it stands under.
pub(crate) struct Value<V: ?Sized> {
    pub(crate) parent: Context,
    pub(crate) node: Option<Arc<Node>>,
    pub(crate) type_name: &'static str,
    type_id: TypeId,
    value: V,
}

impl<V: Send + Sync + 'static> Value<V> {
    pub(crate) fn new(parent: Context, value: V) -> Self {
        Self {
            node: parent.shared_node().cloned(),
            parent,
            type_name: std::any::type_name::<V>(),
            type_id: TypeId::of::<V>(),
            value,
        }
    }
}

impl Value<dyn Any + Send + Sync> {
    pub(crate) fn get<V: 'static>(&self) -> Option<&V> {
        if self.type_id == TypeId::of::<V>() {
            self.value.downcast_ref()
        } else {
            None
        }
    }
}

impl<V: ?Sized> Drop for Value<V> {
    fn drop(&mut self) {
        node::unravel(mem::take(&mut self.parent), Vec::new());
    }
}

impl<V: ?Sized> fmt::Debug for Value<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.type_name)
    }
}

/// A context that keeps its parent's values and nothing else.
#[derive(Debug)]
pub(crate) struct WithoutCancel {
    pub(crate) parent: Context,
}

impl Drop for WithoutCancel {
    fn drop(&mut self) {
        node::unravel(mem::take(&mut self.parent), Vec::new());
    }
}
