//! What a group makes of errors: the cause of its context, and the error of a context that
//! ended.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rendez_context::{Cause, ContextError};
use rendez_core::quiet::drop_quietly;

/// The cause with which a group cancels its context: what the first error said.
///
/// The error itself is given to whoever waits for the group; its context, which may outlive
/// that, keeps the text of it and of its sources: what its `Display` says for boxed errors,
/// [`io::Error`], [`ContextError`], `String` and `&'static str`, otherwise, since a group's
/// errors need be no [`Error`]s, what its `Debug` says. A group whose errors are shared,
/// `Group<Arc<dyn Error + Send + Sync>>`, gives the context the error itself.
pub struct Failure {
    text: String,
    source: Option<Box<Failure>>,
}

impl Failure {
    /// What `error` says, and its sources.
    fn of(error: &(dyn Error + 'static)) -> Self {
        /// A chain of errors may be a circle.
        const DEPTH: usize = 64;
        let chain: Vec<_> = std::iter::successors(Some(error), |&e| e.source())
            .take(DEPTH)
            .map(ToString::to_string)
            .collect();
        let mut causes = chain.into_iter().rev();
        let mut failure = Self::say(causes.next().unwrap_or_default());
        for text in causes {
            let source = Some(Box::new(failure));
            failure = Self { text, source };
        }
        failure
    }

    pub(crate) fn say(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            source: None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tuple = f.debug_tuple("Failure");
        tuple.field(&self.text);
        if let Some(source) = &self.source {
            tuple.field(source);
        }
        tuple.finish()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

type Boxed = Box<dyn Error + Send + Sync>;

/// The cause that `error` is for the group's context. What it says is its `Display` where its
/// type is known here, and its `Debug` otherwise: so groups of any errors can be had. Survives a
/// panic of either.
pub(crate) fn cause_of<E: fmt::Debug + 'static>(error: &E) -> Boxed {
    let cause = || -> Boxed {
        let any: &dyn Any = error;
        if let Some(shared) = any.downcast_ref::<Cause>() {
            // Known to the context for what it is.
            return Box::new(Cause::clone(shared));
        }
        Box::new(of_known(any).unwrap_or_else(|| Failure::say(format!("{error:?}"))))
    };
    catch_unwind(AssertUnwindSafe(cause)).unwrap_or_else(|payload| {
        drop_quietly(payload);
        Box::new(Failure::say("an error whose text panicked"))
    })
}

/// What an error says that can be shown to people.
fn of_known(error: &dyn Any) -> Option<Failure> {
    fn is<T: 'static>(error: &dyn Any, of: impl FnOnce(&T) -> Failure) -> Option<Failure> {
        error.downcast_ref().map(of)
    }
    is::<Boxed>(error, |e| Failure::of(&**e))
        .or_else(|| is::<Box<dyn Error + Send>>(error, |e| Failure::of(&**e)))
        .or_else(|| is::<io::Error>(error, |e| Failure::of(e)))
        .or_else(|| is::<ContextError>(error, |e| Failure::of(e)))
        .or_else(|| is::<String>(error, |text| Failure::say(text)))
        .or_else(|| is::<&'static str>(error, |&text| Failure::say(text)))
}

/// The end of a context as an error of the group's type, if that type can say so.
pub(crate) fn from_context<E: 'static>(end: ContextError) -> Option<E> {
    fn set<T: 'static>(slot: &mut dyn Any, value: impl FnOnce() -> T) -> bool {
        let slot = slot.downcast_mut::<Option<T>>();
        slot.map(|slot| *slot = Some(value())).is_some()
    }
    let mut error: Option<E> = None;
    let slot: &mut dyn Any = &mut error;
    let _ = set::<Boxed>(slot, || end.into())
        || set::<Cause>(slot, || Cause::from(Boxed::from(end)))
        || set::<Box<dyn Error + Send>>(slot, || Box::new(end))
        || set::<ContextError>(slot, || end)
        || set::<io::Error>(slot, || end.into())
        || set::<String>(slot, || end.to_string())
        || set::<&'static str>(slot, || match end {
            ContextError::Canceled => "context canceled",
            ContextError::DeadlineExceeded => "context deadline exceeded",
        });
    error
}
