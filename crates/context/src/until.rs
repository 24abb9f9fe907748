//! Contexts that end with something outside: any future, or anything a select can wait for.
//!
//! Nobody waits for the future: it is polled when it is made a source, and after that once
//! for each time it is woken, in a goroutine of its own. So a source costs no thread while it
//! is pending, and no executor is needed.
//!
//! ```text
//! slot: IDLE(future) ──wake──▶ POLLED ──pending──▶ IDLE(future)
//!                     wake while POLLED: polled again        ready, or the context
//!                                                            ended or was dropped ──▶ GONE
//! ```
//!
//! The slot's lock is held to move the future in or out, never while it is polled or dropped.

use std::future::Future;
use std::panic::{AssertUnwindSafe, Location, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Poll, Wake, Waker};
use std::{fmt, mem};

use rendez_core::case::AsCase;
use rendez_core::hooks;
use rendez_core::quiet::drop_quietly;
use rendez_core::shim::{Arc, Mutex};
use rendez_core::wait::CaseFuture;

use crate::context::Context;
use crate::error::share;
use crate::tree::end;
use crate::tree::node::{Given, Kind};
use crate::tree::shared::{Due, Weak};
use crate::tree::word::Why;

impl Context {
    /// A context that ends when `source` completes, whatever that gives: how other ways of
    /// cancelling plug in.
    ///
    /// It has ended on return if `source` is ready. `source` is polled in goroutines of its own, on
    /// rendez's pool where that is in use, and dropped once the context has ended or its last
    /// handle is gone. To have it end with other contexts too, [`merge`](Self::merge) them.
    ///
    /// Should `source` panic later, the context ends, with a cause that says so.
    ///
    /// # Panics
    ///
    /// If `source` panics in its first poll, which happens here.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::{Context, ContextError};
    ///
    /// let (other, cancel) = Context::background().with_cancel();
    /// let ctx = Context::until(async move {
    ///     other.done().await; // or anything else: a token, a socket's end, a file
    /// });
    /// assert_eq!(ctx.err(), None);
    /// cancel.cancel();
    /// assert_eq!(ctx.wait(), ContextError::Canceled);
    /// ```
    #[track_caller]
    pub fn until<F>(source: F) -> Self
    where
        F: Future + Send + 'static,
    {
        Self::until_polled(
            Box::pin(async move { drop(source.await) }),
            std::any::type_name::<F>(),
            Location::caller(),
        )
    }

    /// As [`until`](Self::until), for what stands as an arm in a select: a channel's end that
    /// receives or is closed, a wait group's zero, a timer. What it gives is dropped.
    ///
    /// # Examples
    ///
    /// ```
    /// use rendez_context::Context;
    ///
    /// let (quit, quitting) = rendez_select::bounded::<()>(0);
    /// let ctx = Context::until_case(quitting);
    /// drop(quit); // as Go's close(quit)
    /// ctx.wait();
    /// ```
    #[track_caller]
    pub fn until_case<C>(source: C) -> Self
    where
        C: AsCase + Send + 'static,
        for<'a> C::Case<'a>: Send,
    {
        let location = Location::caller();
        let waiting = async move { drop(CaseFuture::new(source.__case(), location).await) };
        Self::until_polled(Box::pin(waiting), std::any::type_name::<C>(), location)
    }

    fn until_polled(source: Source, name: &str, made_at: &'static Location<'static>) -> Self {
        let kind = Kind::Source(format!(".Until({name})").into());
        let (ctx, cancel) = Self::background().derive(Some(Box::new(kind)), Due::Of(None), made_at);
        let driver = Arc::new(Driver {
            slot: Mutex::new(Slot::Polled(Meanwhile::Nothing)),
            node: ctx.shared_node().map(|node| node.downgrade()),
            made_at,
        });
        driver.poll(source);
        if let Some(node) = ctx.shared_node() {
            node.keep_until_end(Box::new(Held(driver)));
        }
        cancel.detach();
        ctx
    }
}

type Source = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Driver {
    slot: Mutex<Slot>,
    node: Option<Weak>,
    made_at: &'static Location<'static>,
}

enum Slot {
    Idle(Source),
    Polled(Meanwhile),
    Gone,
}

/// What has happened while the source was polled.
#[derive(Clone, Copy)]
enum Meanwhile {
    Nothing,
    Woken,
    /// Nobody wants it any more.
    GivenUp,
}

impl Driver {
    /// Polls, with the slot saying so.
    fn poll(self: &Arc<Self>, mut source: Source) {
        let waker = Waker::from(Arc::clone(self));
        let mut cx = std::task::Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| source.as_mut().poll(&mut cx)));
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(())) => return self.end(source, None),
            Err(payload) => {
                self.end(source, Some("the source of the context panicked"));
                resume_unwind(payload);
            }
        }
        let mut slot = self.slot.lock();
        match *slot {
            Slot::Polled(Meanwhile::Nothing) => *slot = Slot::Idle(source),
            Slot::Polled(Meanwhile::Woken) => {
                *slot = Slot::Polled(Meanwhile::Nothing);
                drop(slot);
                self.poll_beside(source);
            }
            _ => {
                *slot = Slot::Gone;
                drop(slot);
                drop(source);
            }
        }
    }

    /// The source has come to its end: so does the context.
    fn end(&self, source: Source, cause: Option<&str>) {
        *self.slot.lock() = Slot::Gone;
        if let Some(node) = self.node.as_ref().and_then(Weak::upgrade) {
            let at = self.made_at;
            match cause.map(|cause| share(cause.into())) {
                None => end::end(&node, Why::At(at)),
                Some(cause) => end::end_given(&node, Given { cause, at }),
            };
        }
        drop_quietly(source);
    }

    fn poll_beside(self: &Arc<Self>, source: Source) {
        let driver = Arc::clone(self);
        hooks::spawn_detached(move || driver.poll(source));
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        let mut slot = self.slot.lock();
        match mem::replace(&mut *slot, Slot::Polled(Meanwhile::Nothing)) {
            Slot::Idle(source) => {
                drop(slot);
                self.poll_beside(source);
            }
            Slot::Polled(Meanwhile::Nothing) => *slot = Slot::Polled(Meanwhile::Woken),
            unchanged => *slot = unchanged,
        }
    }
}

/// What the node keeps until it ends. Dropped, it drops the source.
struct Held(Arc<Driver>);

impl Drop for Held {
    fn drop(&mut self) {
        let mut slot = self.0.slot.lock();
        let left = match mem::replace(&mut *slot, Slot::Gone) {
            Slot::Polled(_) => {
                *slot = Slot::Polled(Meanwhile::GivenUp);
                None
            }
            Slot::Idle(source) => Some(source),
            Slot::Gone => None,
        };
        drop(slot);
        drop(left);
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}
