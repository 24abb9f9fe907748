//! A context for each request that a service gets.
//!
//! The context's `Cancel` goes with the request: it lies in the response's future, then in
//! the response's body. A server drops these when the client goes away, and that cancels the
//! context; so does the end of the body.
#![allow(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Poll, ready};

use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use thiserror::Error;
use tower_layer::Layer;
use tower_service::Service;

use super::extract;
use crate::cancel::Cancel;
use crate::context::Context;

/// Gives each request a [`Context`] among its extensions: with the deadline and the trace of
/// its headers, under one parent.
///
/// It ends when the response's body has, when the client goes away, at the request's
/// deadline, or with the parent. The handler is not stopped: it is told, and what it waits for
/// through the context gives up. A request whose `grpc-timeout` cannot be read is answered
/// with 400 and goes no further.
///
/// Works with axum, tonic, hyper and whatever else is made of tower services.
///
/// # Examples
///
/// ```
/// use rendez_context::Context;
/// use rendez_context::http::ContextLayer;
/// use tower_layer::Layer;
///
/// let (server, _stop) = Context::background().with_cancel();
/// let layer = ContextLayer::new(&server); // Router::new().layer(layer)
/// # let _ = layer.layer(());
/// // In a handler of axum's: `Extension(ctx): Extension<Context>`; elsewhere:
/// # let request = http::Request::new(());
/// let ctx = request.extensions().get::<Context>();
/// # assert!(ctx.is_none());
/// ```
#[derive(Clone, Debug)]
pub struct ContextLayer {
    parent: Context,
}

impl ContextLayer {
    /// Makes requests' contexts under `parent`.
    pub fn new(parent: &Context) -> Self {
        Self {
            parent: parent.clone(),
        }
    }
}

impl<S> Layer<S> for ContextLayer {
    type Service = ContextService<S>;

    fn layer(&self, inner: S) -> ContextService<S> {
        ContextService {
            inner,
            parent: self.parent.clone(),
        }
    }
}

/// A service whose requests have contexts. See [`ContextLayer`].
#[derive(Clone, Debug)]
pub struct ContextService<S> {
    inner: S,
    parent: Context,
}

impl<S, B, R> Service<Request<B>> for ContextService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<ContextBody<R>>;
    type Error = S::Error;
    type Future = ContextFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> ContextFuture<S::Future> {
        ContextFuture(match extract(&self.parent, request.headers()) {
            Ok((ctx, cancel)) => {
                request.extensions_mut().insert(ctx);
                State::Handled(self.inner.call(request), Some(Running(cancel)))
            }
            Err(_) => State::Refused,
        })
    }
}

/// The cause of a request's context that ended with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the request is over: it was answered, or its client went away")]
pub struct RequestOver;

/// A request that is not over. Dropped, it is.
#[derive(Debug)]
struct Running(Cancel);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.cancel_with(RequestOver);
    }
}

/// What [`ContextService`] gives. Dropped, it cancels the request's context.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ContextFuture<F>(State<F>);

#[derive(Debug)]
enum State<F> {
    Handled(F, Option<Running>),
    Refused,
}

impl<F, R, E> Future for ContextFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<ContextBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        // SAFETY: the future is pinned with the whole and never moved out.
        let this = unsafe { self.get_unchecked_mut() };
        let State::Handled(future, running) = &mut this.0 else {
            let mut response = Response::new(ContextBody::new(R::default(), None));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return Poll::Ready(Ok(response));
        };
        // SAFETY: as above.
        let response = ready!(unsafe { Pin::new_unchecked(future) }.poll(cx))?;
        let running = running.take();
        Poll::Ready(Ok(response.map(|body| ContextBody::new(body, running))))
    }
}

/// A response's body that holds its request's context: that ends when this has, or is
/// dropped.
#[derive(Debug)]
pub struct ContextBody<B> {
    body: B,
    running: Option<Running>,
}

impl<B> ContextBody<B> {
    fn new(body: B, running: Option<Running>) -> Self {
        Self { body, running }
    }
}

impl<B: Body> Body for ContextBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        // SAFETY: the body is pinned with the whole and never moved out; the rest is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: as above.
        let frame = ready!(unsafe { Pin::new_unchecked(&mut this.body) }.poll_frame(cx));
        if frame.is_none() {
            this.running = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
