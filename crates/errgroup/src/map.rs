//! One function that can fail over many items, so many at a time, under a context.

use rendez_context::Context;
use rendez_pool::__private::map;

use crate::error::from_context;

/// Applies `f` to every item, to at most `limit` at the same time, and returns the results in
/// the order of the items, or the first error.
///
/// After an error no further item is begun, nor after the end of `ctx`. What runs is waited
/// for: an `f` that takes long should look at the context itself. The goroutines run on the
/// caller's pool and may borrow; the caller blocks. A `limit` of zero counts as one.
///
/// # Errors
///
/// The first of `f` in time. If `ctx` ended before the last item was begun, its
/// [`ContextError`](rendez_context::ContextError), if an `E` can say that: the boxed or shared
/// `Error`, [`io::Error`](std::io::Error), `ContextError`, `String` and `&'static str` can.
/// With any other `E` the context is left to `f`, and every item is begun.
///
/// # Panics
///
/// If `f` does, with its payload, once what runs has ended; no further item is begun.
///
/// # Examples
///
/// ```
/// use rendez_context::Context;
/// use rendez_errgroup::try_map;
///
/// let ctx = Context::background();
/// let numbers = try_map(&ctx, 2, ["1", "2", "3"], |text| text.parse::<u8>());
/// assert_eq!(numbers.unwrap(), [1, 2, 3]);
/// ```
#[track_caller]
pub fn try_map<I, T, E, F>(ctx: &Context, limit: usize, items: I, f: F) -> Result<Vec<T>, E>
where
    I: IntoIterator,
    I::Item: Send,
    T: Send,
    E: Send + 'static,
    F: Fn(I::Item) -> Result<T, E> + Sync,
{
    let end = || ctx.err().and_then(from_context::<E>);
    let stop = || end().is_some();
    match map(items, limit, &stop, f)? {
        Some(results) => Ok(results),
        None => Err(end().expect("a context that has ended stays so")),
    }
}
