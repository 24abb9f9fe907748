//! A panic, kept to be reported again.

use std::any::Any;
use std::panic::resume_unwind;

use rendez_core::shim::Arc;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// The text of a panic. A payload can be given on only once; its text, to everybody.
#[derive(Clone, Debug)]
pub(crate) enum Panicked {
    Static(&'static str),
    Text(Arc<str>),
    /// Of another type.
    Opaque,
}

impl Panicked {
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
        if let Some(text) = payload.downcast_ref::<&'static str>() {
            Self::Static(text)
        } else if let Some(text) = payload.downcast_ref::<String>() {
            Self::Text(text.as_str().into())
        } else {
            Self::Opaque
        }
    }

    /// Panics again, in the same words and without the hook: it was called the first time.
    pub(crate) fn resume(&self) -> ! {
        match self {
            Self::Static(text) => resume_unwind(Box::new(*text)),
            Self::Text(text) => resume_unwind(Box::new(text.to_string())),
            Self::Opaque => resume_unwind(Box::new("the function has panicked")),
        }
    }
}
