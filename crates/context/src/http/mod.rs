//! A context across processes: its deadline and its trace in HTTP headers, and a request's
//! context in a server.
//!
//! | header | holds | as specified by |
//! |---|---|---|
//! | `grpc-timeout` | the time left until the deadline | gRPC over HTTP/2 |
//! | `traceparent` | a [`TraceParent`], a value of the context | W3C Trace Context |
//!
//! A client calls [`inject`], a server [`extract`], or puts [`ContextLayer`] around its
//! service.

mod layer;
mod timeout;
mod trace;

use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::cancel::Cancel;
use crate::context::Context;

pub use self::layer::{ContextBody, ContextFuture, ContextLayer, ContextService, RequestOver};
pub use self::timeout::{ParseTimeoutError, format_timeout, parse_timeout};
pub use self::trace::{ParseTraceError, TraceParent};

/// The header of the time left, `5S` or `20m`.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The header of the trace a request belongs to.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Writes what `ctx` has of a deadline and a [`TraceParent`] into `headers`; what it has not,
/// is removed from them.
///
/// A deadline that has passed is written as one nanosecond, the shortest there is.
///
/// # Examples
///
/// ```
/// use http::HeaderMap;
/// use rendez_context::Context;
/// use rendez_context::http::{TraceParent, extract, inject};
/// use std::time::Duration;
///
/// let trace: TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap();
/// let (ctx, _cancel) = Context::background().with_value(trace).with_timeout(Duration::from_secs(5));
/// let mut headers = HeaderMap::new();
/// inject(&ctx, &mut headers);
///
/// // In the process that gets the request:
/// let (theirs, _cancel) = extract(&Context::background(), &headers).unwrap();
/// assert!(theirs.remaining().unwrap() <= Duration::from_secs(5));
/// assert_eq!(theirs.value::<TraceParent>(), Some(&trace));
/// ```
pub fn inject(ctx: &Context, headers: &mut HeaderMap) {
    match ctx.remaining() {
        Some(left) => headers.insert(GRPC_TIMEOUT, format_timeout(left)),
        None => headers.remove(GRPC_TIMEOUT),
    };
    match ctx.value::<TraceParent>() {
        Some(trace) => headers.insert(TRACEPARENT, HeaderValue::from(*trace)),
        None => headers.remove(TRACEPARENT),
    };
}

/// A context under `parent` with the deadline and the trace that `headers` say.
///
/// A header that is not there is not missed; a `traceparent` that cannot be read is passed over,
/// as its specification asks.
///
/// # Errors
///
/// If there is a `grpc-timeout` and it cannot be read, or more than one.
#[track_caller]
pub fn extract(parent: &Context, headers: &HeaderMap) -> Result<(Context, Cancel), ExtractError> {
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next().is_some())
    };
    let timeout = match one(GRPC_TIMEOUT) {
        (_, true) => return Err(ExtractError::Repeated),
        (Some(value), false) => Some(parse_timeout(value)?),
        (None, false) => None,
    };
    let trace: Option<TraceParent> = match one(TRACEPARENT) {
        (Some(value), false) => value.to_str().ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    let parent = trace.map_or_else(|| parent.clone(), |trace| parent.with_value(trace));
    Ok(match timeout {
        Some(timeout) => parent.with_timeout(timeout),
        None => parent.with_cancel(),
    })
}

/// Why a request's headers make no context. See [`extract`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExtractError {
    /// The timeout cannot be read.
    #[error(transparent)]
    Timeout(#[from] ParseTimeoutError),
    /// There is more than one timeout.
    #[error("more than one grpc-timeout")]
    Repeated,
}
