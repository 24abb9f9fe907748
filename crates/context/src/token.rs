//! To and from tokio-util's `CancellationToken`.

use std::ops::Deref;

use tokio_util::sync::CancellationToken;

use crate::after_func::AfterFunc;
use crate::context::Context;

/// A context that ends when the token is cancelled; at once if it has been.
impl From<CancellationToken> for Context {
    #[track_caller]
    fn from(token: CancellationToken) -> Self {
        Self::until(token.cancelled_owned())
    }
}

impl Context {
    /// A token that is cancelled when the context ends, for as long as what is returned lives.
    ///
    /// Cancelling the token does not cancel the context.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// let token = ctx.token();
    /// let child = token.child_token(); // all that a CancellationToken can do
    /// cancel.cancel();
    /// rendez_core::block_on::block_on(child.cancelled());
    /// ```
    pub fn token(&self) -> ContextToken {
        let token = CancellationToken::new();
        let after = if self.err().is_some() {
            token.cancel();
            None
        } else {
            let theirs = token.clone();
            Some(self.after_func(move || theirs.cancel()))
        };
        ContextToken { token, after }
    }
}

/// A `CancellationToken` that is cancelled with a context. See [`Context::token`].
///
/// Dropped, it leaves the context; clones of the token are not cancelled any more then.
#[derive(Debug)]
pub struct ContextToken {
    token: CancellationToken,
    after: Option<AfterFunc>,
}

impl Deref for ContextToken {
    type Target = CancellationToken;

    fn deref(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for ContextToken {
    fn drop(&mut self) {
        if let Some(after) = &self.after {
            after.stop();
        }
    }
}
