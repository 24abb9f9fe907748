//! The `traceparent` header: which trace a request belongs to, and which span sent it.
//!
//! ```text
//! version "-" trace-id "-" parent-id "-" flags       all of it lowercase hexadecimal
//!    2          32            16           2   digits
//! ```

use std::fmt;
use std::str::FromStr;

use http::HeaderValue;
use thiserror::Error;

/// Which trace a request belongs to: a value for a context.
///
/// # Examples
///
/// ```
/// use rendez_context::http::TraceParent;
///
/// let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let trace: TraceParent = text.parse().unwrap();
/// assert!(trace.is_sampled());
/// assert_eq!(trace.to_string(), text);
/// // What this process sends on names its own span.
/// let onward = TraceParent { parent_id: 7, ..trace };
/// assert_eq!(onward.trace_id, trace.trace_id);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace. Not zero.
    pub trace_id: u128,
    /// The span that sent the request. Not zero.
    pub parent_id: u64,
    /// Bit 0: the trace is recorded. Bit 1: the trace's id is random. The others, which nobody
    /// knows yet, are kept as they were read and sent on as zero, as W3C's specification asks.
    pub flags: u8,
}

/// The flags that are known: the sampled one, and the random one of level 2.
const KNOWN_FLAGS: u8 = 0b11;

impl TraceParent {
    /// Whether the sender records the trace.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 != 0
    }
}

/// Why a `traceparent` cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("traceparent does not follow its format")]
pub struct ParseTraceError;

impl FromStr for TraceParent {
    type Err = ParseTraceError;

    /// Reads version 00, and of later ones what they have in common with it.
    fn from_str(text: &str) -> Result<Self, ParseTraceError> {
        const LEN: usize = 55;
        let known = text.get(..LEN).ok_or(ParseTraceError)?;
        let mut fields = known.split('-');
        let mut field = |digits: usize| {
            let field = fields.next().filter(|f| f.len() == digits)?;
            let hex = |b| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            field.bytes().all(hex).then_some(field)
        };
        let (version, trace, parent, flags) = (|| {
            let fields = (field(2)?, field(32)?, field(16)?, field(2)?);
            Some(fields)
        })()
        .ok_or(ParseTraceError)?;
        let rest = &text[LEN..];
        let ends = match version {
            "ff" => false,
            "00" => rest.is_empty(),
            _ => rest.is_empty() || rest.starts_with('-'),
        };
        let parsed = Self {
            trace_id: u128::from_str_radix(trace, 16).map_err(|_| ParseTraceError)?,
            parent_id: u64::from_str_radix(parent, 16).map_err(|_| ParseTraceError)?,
            flags: u8::from_str_radix(flags, 16).map_err(|_| ParseTraceError)?,
        };
        if !ends || parsed.trace_id == 0 || parsed.parent_id == 0 {
            return Err(ParseTraceError);
        }
        Ok(parsed)
    }
}

/// The header, in version 00; of the flags those that are known.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            trace_id,
            parent_id,
            flags,
        } = self;
        let flags = flags & KNOWN_FLAGS;
        write!(f, "00-{trace_id:032x}-{parent_id:016x}-{flags:02x}")
    }
}

impl From<TraceParent> for HeaderValue {
    fn from(trace: TraceParent) -> Self {
        Self::try_from(trace.to_string()).expect("hexadecimal digits make a header")
    }
}
