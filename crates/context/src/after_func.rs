//! Closures that a context's end starts.

use std::fmt;

use rendez_core::hooks;
use rendez_core::shim::atomic::{AtomicBool, Ordering};

use crate::context::Context;
use crate::tree::shared::Shared;

impl Context {
    /// Runs `f` in a goroutine of its own once the context has ended, at once if it has.
    ///
    /// Calls are independent of each other. `f` runs at most once; it is dropped unrun when it is
    /// stopped, or when the last handle of a context that has not ended goes. Nobody waits for
    /// it: not `cancel`, not [`stop`](AfterFunc::stop). It runs on rendez's pool where that is in
    /// use, else on a thread kept for such closures. Go's `AfterFunc`.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    /// use std::sync::mpsc;
    ///
    /// let (ctx, cancel) = Context::background().with_cancel();
    /// let (tx, rx) = mpsc::channel();
    /// let closing = tx.clone();
    /// ctx.after_func(move || closing.send("closed").unwrap());
    /// let stopped = ctx.after_func(move || tx.send("never").unwrap());
    /// assert!(stopped.stop());
    /// cancel.cancel();
    /// assert_eq!(rx.iter().collect::<Vec<_>>(), ["closed"]);
    /// ```
    pub fn after_func(&self, f: impl FnOnce() + Send + 'static) -> AfterFunc {
        let Some(node) = self.shared_node() else {
            // It never ends, so there is nothing to keep `f` for.
            return AfterFunc(Kept::Never(AtomicBool::new(true)));
        };
        match node.add_func(Box::new(f)) {
            Ok(key) => AfterFunc(Kept::With(node, key)),
            Err(f) => {
                hooks::spawn_detached(f);
                AfterFunc(Kept::Never(AtomicBool::new(false)))
            }
        }
    }
}

/// A closure that a context's end starts. Dropping this leaves it in place. See
/// [`Context::after_func`].
pub struct AfterFunc(Kept);

enum Kept {
    With(Shared, u64),
    /// No node has it; whether the first `stop` may say that it prevented it.
    Never(AtomicBool),
}

impl AfterFunc {
    /// Prevents the closure from running. Returns whether it did: `false` if it has been
    /// started, or stopped, before. Does not wait for it.
    ///
    /// The closure is dropped here.
    pub fn stop(&self) -> bool {
        hooks::switch_point();
        match &self.0 {
            Kept::With(node, key) => node.take_func(*key).is_some(),
            Kept::Never(prevents) => prevents.swap(false, Ordering::Relaxed),
        }
    }
}

impl fmt::Debug for AfterFunc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterFunc").finish_non_exhaustive()
    }
}
