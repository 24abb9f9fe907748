//! Channels and select, for threads and tasks alike.
//!
//! A superset of `crossbeam-channel` 0.5: `use rendez_select as crossbeam_channel;`
//! compiles and behaves. On top of it every operation that waits has an awaiting form on
//! the same object, on any executor, and every such future is cancel-safe.
//!
//! ```
//! use rendez_select::{bounded, select};
//!
//! let (jobs, queue) = bounded(8);
//! let (quit, quitting) = bounded::<()>(0);
//! jobs.send(1).unwrap();
//! drop(quit);
//! // Both arms are ready: one is chosen at random.
//! select! {
//!     recv(queue) -> job => assert_eq!(job, Ok(1)),
//!     recv(quitting) -> gone => assert!(gone.is_err()),
//! }
//! ```
//!
//! # Guarantees
//!
//! - Values of one sender arrive in the order sent.
//! - Waiting receivers and waiting senders are served in the order they came; nobody,
//!   the `try_` forms included, overtakes one who waits.
//! - Every value is received exactly once or given back to its sender, whatever is
//!   dropped, closed or cancelled when.
//! - A future that waits to receive is served by a *grant* of one value, which stays in
//!   the channel until the future comes for it. It withholds one value at most; dropped,
//!   its grant passes to the next. A value that so returns with nobody waiting is
//!   received first, and counts neither in `len` nor towards the capacity.
//! - A `send` arm that is chosen but not yet completed is an *offer*: its receiver is
//!   reserved, not served. If the arm's value expression panics, the receiver waits on
//!   at the head of its queue.
//! - What a sender waits with can be taken at any time, its future polled again or not. A
//!   pending send that is dropped drops its value, once, and never delivers it.
//! - A close gives senders that wait their values back. What was sent before is received first,
//!   and a place that was [reserved](Sender::reserve) before still takes its value: receives
//!   fail once nothing is left and no place is out. Iterators and streams end then, as Go's
//!   `range` does.
//! - `default`, and the `try_` forms, find nothing only if there was an instant at which nothing
//!   was ready. An offer that has to wait for a task to be polled, of an async select at
//!   capacity 0, is ready for receives that can wait, and not for these.
//! - A select never meets itself, and two selects that could meet on two channels meet on
//!   exactly one.

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
mod awaiting;
pub mod broadcast;
mod chan;
mod closed;
mod error;
mod flow;
mod forms;
mod guarded;
mod iter;
mod macros;
mod many;
pub mod oneshot;
mod permit;
mod receiver;
mod select;
mod selector;
mod sender;
mod sink;
pub mod watch;
mod weak;

use std::time::{Duration, Instant};

use rendez_core::goroutine::WaitKind;
use rendez_core::schedule::Schedule;
use rendez_core::shim::Arc;

use crate::receiver::{Clock, Source};

pub use crate::broadcast::{broadcast, broadcast_waiting};
pub use crate::closed::{Closed, ClosedFuture};
pub use crate::error::{
    BroadcastRecvError, BroadcastRecvTimeoutError, BroadcastTryRecvError, ReadyTimeoutError,
    RecvError, RecvTimeoutError, SelectTimeoutError, SendError, SendTimeoutError, TryReadyError,
    TryRecvError, TrySelectError, TrySendError,
};
pub use crate::flow::{OrDone, OrDoneFuture, merge, or_done, tee};
pub use crate::iter::{IntoIter, Iter, RecvStream, TryIter};
pub use crate::many::{Drain, RecvManyFuture, SendManyFuture};
pub use crate::oneshot::oneshot;
pub use crate::permit::{Permit, ReserveFuture};
pub use crate::receiver::{Receiver, RecvFuture};
pub use crate::select::{ReadyFuture, Select, SelectFuture, SelectedOperation};
pub use crate::selector::{BorrowingSelector, Selector, SelectorArm, SelectorFuture};
pub use crate::sender::{SendFuture, Sender};
pub use crate::sink::SendSink;
pub use crate::watch::watch;
pub use crate::weak::{WeakReceiver, WeakSender};

/// Makes a channel that holds at most `cap` values. With capacity 0 nothing is held: a
/// send completes when a receiver takes the value (a rendezvous).
///
/// # Examples
///
/// ```
/// let (tx, rx) = rendez_select::bounded(1);
/// tx.send(1).unwrap();
/// assert!(tx.try_send(2).is_err());
/// assert_eq!(rx.recv(), Ok(1));
/// ```
pub fn bounded<T>(cap: usize) -> (Sender<T>, Receiver<T>) {
    channel(Some(cap))
}

/// Makes a channel that holds any number of values: a send never waits.
///
/// # Examples
///
/// ```
/// let (tx, rx) = rendez_select::unbounded();
/// tx.send(1).unwrap();
/// tx.send(2).unwrap();
/// assert_eq!(rx.try_iter().collect::<Vec<_>>(), [1, 2]);
/// ```
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    channel(None)
}

fn channel<T>(cap: Option<usize>) -> (Sender<T>, Receiver<T>) {
    let (sending, receiving) = chan::handle::channel(cap);
    let receiver = Receiver {
        source: Source::Chan(receiving),
    };
    (Sender { chan: sending }, receiver)
}

/// A receiver that gets one message, the current instant, after `duration`. A duration
/// beyond all time never comes.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use rendez_select::{after, never, select};
///
/// select! {
///     recv(never::<()>()) -> _ => unreachable!(),
///     recv(after(Duration::from_millis(1))) -> _ => {}
/// }
/// ```
pub fn after(duration: Duration) -> Receiver<Instant> {
    clock_fed(Schedule::once(duration, WaitKind::Receive))
}

/// A receiver that gets one message at `when`.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
///
/// let when = Instant::now() + Duration::from_millis(1);
/// assert_eq!(rendez_select::at(when).recv(), Ok(when));
/// ```
pub fn at(when: Instant) -> Receiver<Instant> {
    clock_fed(Schedule::at(when, WaitKind::Receive))
}

fn clock_fed(schedule: Schedule) -> Receiver<Instant> {
    Receiver {
        source: Source::Clock(Arc::new(Clock::new(schedule))),
    }
}

/// A receiver that never gets a message: in a select, an arm that is never ready.
///
/// # Examples
///
/// ```
/// use rendez_select::{Receiver, never, select, unbounded};
///
/// let (tx, rx) = unbounded();
/// tx.send(1).unwrap();
/// let other: Option<Receiver<i32>> = None;
/// select! {
///     recv(rx) -> n => assert_eq!(n, Ok(1)),
///     recv(other.as_ref().unwrap_or(&never())) -> _ => unreachable!(),
/// }
/// ```
pub const fn never<T>() -> Receiver<T> {
    Receiver {
        source: Source::Never,
    }
}

/// A receiver that gets a message each `period`, holding at most one: a receiver that
/// comes late misses those in between.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// let ticks = rendez_select::tick(Duration::from_millis(1));
/// let (first, second) = (ticks.recv().unwrap(), ticks.recv().unwrap());
/// assert!(second - first >= Duration::from_millis(1));
/// ```
pub fn tick(period: Duration) -> Receiver<Instant> {
    clock_fed(Schedule::every(period, WaitKind::Receive))
}

/// The README's program, as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
