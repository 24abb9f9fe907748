//! The `grpc-timeout` header: at most eight digits and a unit.
//!
//! ```text
//! Timeout      -> TimeoutValue TimeoutUnit
//! TimeoutValue -> positive integer of at most 8 ASCII digits
//! TimeoutUnit  -> "H" | "M" | "S" | "m" | "u" | "n"
//! ```

use std::time::Duration;

use http::HeaderValue;
use thiserror::Error;

const MAX: u128 = 99_999_999;
const DIGITS: usize = 8;

/// The units in nanoseconds, the finest first.
const UNITS: [(u8, u128); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Why a `grpc-timeout` cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParseTimeoutError {
    /// There are no digits, or something else among them.
    #[error("grpc-timeout is not a number and a unit")]
    NotANumber,
    /// There are more than eight digits.
    #[error("grpc-timeout has more than eight digits")]
    TooLong,
    /// The number is zero.
    #[error("grpc-timeout is not positive")]
    NotPositive,
    /// The last letter is no unit, or there is none.
    #[error("grpc-timeout has no unit that is known")]
    BadUnit,
}

/// The time that a `grpc-timeout` says.
///
/// # Errors
///
/// If it does not follow the grammar to the letter: at most eight ASCII digits, not zero, and
/// one of `H M S m u n`.
///
/// # Examples
///
/// ```
/// use http::HeaderValue;
/// use rendez_context::http::{ParseTimeoutError, parse_timeout};
/// use std::time::Duration;
///
/// let parse = |text| parse_timeout(&HeaderValue::from_static(text));
/// assert_eq!(parse("20m"), Ok(Duration::from_millis(20)));
/// assert_eq!(parse("20s"), Err(ParseTimeoutError::BadUnit));
/// assert_eq!(parse("100000000n"), Err(ParseTimeoutError::TooLong));
/// ```
pub fn parse_timeout(value: &HeaderValue) -> Result<Duration, ParseTimeoutError> {
    let (unit, digits) = value
        .as_bytes()
        .split_last()
        .ok_or(ParseTimeoutError::NotANumber)?;
    if unit.is_ascii_digit() {
        return Err(ParseTimeoutError::BadUnit);
    }
    let (_, nanos) = UNITS
        .into_iter()
        .find(|(name, _)| name == unit)
        .ok_or(ParseTimeoutError::BadUnit)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(ParseTimeoutError::NotANumber);
    }
    if digits.len() > DIGITS {
        return Err(ParseTimeoutError::TooLong);
    }
    let number = digits
        .iter()
        .fold(0, |number, digit| number * 10 + u128::from(digit - b'0'));
    if number == 0 {
        return Err(ParseTimeoutError::NotPositive);
    }
    Ok(from_nanos(number * nanos))
}

/// `timeout` as a `grpc-timeout`: in the finest unit that holds it, rounded up.
///
/// None at all becomes a nanosecond, since zero is not in the grammar; what is beyond eight digits
/// of hours, those.
///
/// # Examples
///
/// ```
/// use rendez_context::http::format_timeout;
/// use std::time::Duration;
///
/// assert_eq!(format_timeout(Duration::from_millis(20)), "20000000n");
/// assert_eq!(format_timeout(Duration::from_secs(5)), "5000000u");
/// assert_eq!(format_timeout(Duration::MAX), "99999999H");
/// ```
pub fn format_timeout(timeout: Duration) -> HeaderValue {
    let nanos = timeout.as_nanos().max(1);
    let (number, unit) = UNITS
        .into_iter()
        .map(|(name, unit)| (nanos.div_ceil(unit), name))
        .find(|&(number, _)| number <= MAX)
        .unwrap_or((MAX, b'H'));
    let text = format!("{number}{}", char::from(unit));
    HeaderValue::try_from(text).expect("digits and a letter make a header")
}

fn from_nanos(nanos: u128) -> Duration {
    const PER_SECOND: u128 = 1_000_000_000;
    let seconds = u64::try_from(nanos / PER_SECOND).unwrap_or(u64::MAX);
    let rest = u32::try_from(nanos % PER_SECOND).unwrap_or(0);
    Duration::new(seconds, rest)
}
