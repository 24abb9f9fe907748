//! One test for both kinds of goroutine: its body is a future, which a thread drives through
//! the blocking forms and a task of the pool through the awaiting ones.

use std::future::Future;
use std::thread;
use std::time::Duration;

use rendez_core::block_on::block_on;
use rendez_select::{Receiver, RecvError, SendError, Sender};

use crate::common::within;

/// What the goroutines of a test are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Threads, that block.
    Thread,
    /// Tasks of the global pool, that await.
    Task,
}

/// Of a goroutine.
pub(crate) enum Handle<T> {
    Thread(thread::JoinHandle<T>),
    Task(rendez_pool::JoinHandle<T>),
}

impl<T> Handle<T> {
    /// Its result; its panic goes on.
    pub(crate) fn join(self) -> T {
        match self {
            Self::Thread(handle) => handle
                .join()
                .unwrap_or_else(|p| std::panic::resume_unwind(p)),
            Self::Task(handle) => handle.join().unwrap_or_else(|err| err.resume()),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Thread(handle) => handle.is_finished(),
            Self::Task(handle) => handle.is_finished(),
        }
    }
}

impl Kind {
    pub(crate) fn go<F>(self, body: F) -> Handle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self {
            Self::Thread => Handle::Thread(thread::spawn(move || block_on(body))),
            Self::Task => Handle::Task(rendez_pool::go(body)),
        }
    }

    pub(crate) async fn send<T>(self, tx: &Sender<T>, value: T) -> Result<(), SendError<T>> {
        match self {
            Self::Thread => tx.send(value),
            Self::Task => tx.send_async(value).await,
        }
    }

    pub(crate) async fn recv<T>(self, rx: &Receiver<T>) -> Result<T, RecvError> {
        match self {
            Self::Thread => rx.recv(),
            Self::Task => rx.recv_async().await,
        }
    }

    pub(crate) async fn yield_now(self) {
        match self {
            Self::Thread => thread::yield_now(),
            Self::Task => rendez_pool::yield_now().await,
        }
    }

    /// `threads` or `tasks`: of the latter there may be many more.
    pub(crate) fn pick<T>(self, threads: T, tasks: T) -> T {
        match self {
            Self::Thread => threads,
            Self::Task => tasks,
        }
    }
}

/// `select!` or, among tasks, `select_async!` with the same arms.
macro_rules! select_in {
    ($kind:expr; $($arms:tt)*) => {
        match $kind {
            $crate::kind::Kind::Thread => rendez_select::select! { $($arms)* },
            $crate::kind::Kind::Task => rendez_select::select_async! { $($arms)* },
        }
    };
}
pub(crate) use select_in;

/// Runs a test with goroutines of each kind.
pub(crate) fn in_each_kind(test: impl AsyncFn(Kind)) {
    for kind in [Kind::Thread, Kind::Task] {
        let what = format!("a test with goroutines of kind {kind:?}");
        within(Duration::from_secs(120), &what, || block_on(test(kind)));
    }
}

/// Long enough for whoever could go on to have done so: only a fault can be missed by it.
pub(crate) fn a_moment() {
    thread::sleep(Duration::from_millis(2));
}
