//! Channels that suspend tasks, each on the runtime where it is at home: ours on our pool,
//! the others on tokio's.

use std::future::Future;
use std::time::Duration;

use super::threads::Either;
use super::{Cap, Task, on_pool, on_tokio};

/// A channel as tasks use it.
pub(crate) trait TaskChan: 'static {
    /// The contender's name.
    const NAME: &'static str;
    /// The sending end.
    type Tx: Clone + Send + Sync + 'static;
    /// The receiving end.
    type Rx: Send + Sync + 'static;
    /// A channel; `None` if it has none of that capacity.
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)>;
    /// Another receiver; `None` if there can be only one.
    fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx>;
    /// Sends.
    fn send(tx: &Self::Tx, value: usize) -> impl Future<Output = ()> + Send;
    /// Receives; `None` once there is nothing more.
    fn recv(rx: &mut Self::Rx) -> impl Future<Output = Option<usize>> + Send;
    /// Runs the tasks to their end.
    fn run(tasks: Vec<Task>) -> Duration {
        on_tokio(tasks)
    }
}

/// Ours, on our pool.
pub(crate) struct Rendez;

impl TaskChan for Rendez {
    const NAME: &'static str = "rendez";
    type Tx = rendez_select::Sender<usize>;
    type Rx = rendez_select::Receiver<usize>;
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
        Some(match cap {
            Some(cap) => rendez_select::bounded(cap),
            None => rendez_select::unbounded(),
        })
    }
    fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx> {
        Some(rx.clone())
    }
    async fn send(tx: &Self::Tx, value: usize) {
        tx.send_async(value).await.expect("the receiver lives");
    }
    async fn recv(rx: &mut Self::Rx) -> Option<usize> {
        rx.recv_async().await.ok()
    }
    fn run(tasks: Vec<Task>) -> Duration {
        on_pool(tasks)
    }
}

/// tokio's own.
pub(crate) struct Tokio;

impl TaskChan for Tokio {
    const NAME: &'static str = "tokio";
    type Tx = Either<tokio::sync::mpsc::Sender<usize>, tokio::sync::mpsc::UnboundedSender<usize>>;
    type Rx =
        Either<tokio::sync::mpsc::Receiver<usize>, tokio::sync::mpsc::UnboundedReceiver<usize>>;
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
        match cap {
            Some(0) => None,
            Some(cap) => {
                let (tx, rx) = tokio::sync::mpsc::channel(cap);
                Some((Either::Bounded(tx), Either::Bounded(rx)))
            }
            None => {
                let (tx, rx) = tokio::sync::mpsc::unbounded_channel();
                Some((Either::Unbounded(tx), Either::Unbounded(rx)))
            }
        }
    }
    fn clone_rx(_: &Self::Rx) -> Option<Self::Rx> {
        None
    }
    async fn send(tx: &Self::Tx, value: usize) {
        match tx {
            Either::Bounded(tx) => tx.send(value).await.expect("the receiver lives"),
            Either::Unbounded(tx) => tx.send(value).expect("the receiver lives"),
        }
    }
    async fn recv(rx: &mut Self::Rx) -> Option<usize> {
        match rx {
            Either::Bounded(rx) => rx.recv().await,
            Either::Unbounded(rx) => rx.recv().await,
        }
    }
}

/// async-channel; it has no capacity 0.
pub(crate) struct AsyncChannel;

impl TaskChan for AsyncChannel {
    const NAME: &'static str = "async-channel";
    type Tx = async_channel::Sender<usize>;
    type Rx = async_channel::Receiver<usize>;
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
        match cap {
            Some(0) => None,
            Some(cap) => Some(async_channel::bounded(cap)),
            None => Some(async_channel::unbounded()),
        }
    }
    fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx> {
        Some(rx.clone())
    }
    async fn send(tx: &Self::Tx, value: usize) {
        tx.send(value).await.expect("the receiver lives");
    }
    async fn recv(rx: &mut Self::Rx) -> Option<usize> {
        rx.recv().await.ok()
    }
}

/// kanal.
pub(crate) struct Kanal;

impl TaskChan for Kanal {
    const NAME: &'static str = "kanal";
    type Tx = kanal::AsyncSender<usize>;
    type Rx = kanal::AsyncReceiver<usize>;
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
        Some(match cap {
            Some(cap) => kanal::bounded_async(cap),
            None => kanal::unbounded_async(),
        })
    }
    fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx> {
        Some(rx.clone())
    }
    async fn send(tx: &Self::Tx, value: usize) {
        tx.send(value).await.expect("the receiver lives");
    }
    async fn recv(rx: &mut Self::Rx) -> Option<usize> {
        rx.recv().await.ok()
    }
}

/// crossfire's channels for many senders and many receivers; it has no capacity 0.
pub(crate) struct Crossfire;

impl TaskChan for Crossfire {
    const NAME: &'static str = "crossfire";
    type Tx = Either<
        crossfire::MAsyncTx<crossfire::mpmc::Array<usize>>,
        crossfire::MTx<crossfire::mpmc::List<usize>>,
    >;
    type Rx = Either<
        crossfire::MAsyncRx<crossfire::mpmc::Array<usize>>,
        crossfire::MAsyncRx<crossfire::mpmc::List<usize>>,
    >;
    fn new(cap: Cap) -> Option<(Self::Tx, Self::Rx)> {
        match cap {
            Some(0) => None,
            Some(cap) => {
                let (tx, rx) = crossfire::mpmc::bounded_async(cap);
                Some((Either::Bounded(tx), Either::Bounded(rx)))
            }
            None => {
                let (tx, rx) = crossfire::mpmc::unbounded_async();
                Some((Either::Unbounded(tx), Either::Unbounded(rx)))
            }
        }
    }
    fn clone_rx(rx: &Self::Rx) -> Option<Self::Rx> {
        Some(rx.clone())
    }
    async fn send(tx: &Self::Tx, value: usize) {
        match tx {
            Either::Bounded(tx) => tx.send(value).await.expect("the receiver lives"),
            Either::Unbounded(tx) => tx.send(value).expect("the receiver lives"),
        }
    }
    async fn recv(rx: &mut Self::Rx) -> Option<usize> {
        match rx {
            Either::Bounded(rx) => rx.recv().await.ok(),
            Either::Unbounded(rx) => rx.recv().await.ok(),
        }
    }
}

/// Calls `$rows::<C>($args)` for every channel of tasks.
macro_rules! for_each_task_chan {
    ($rows:ident ( $($arg:expr),* )) => {{
        use $crate::peers::tasks as t;
        $rows::<t::Rendez>($($arg),*);
        $rows::<t::Tokio>($($arg),*);
        $rows::<t::AsyncChannel>($($arg),*);
        $rows::<t::Kanal>($($arg),*);
        $rows::<t::Crossfire>($($arg),*);
    }};
}
pub(crate) use for_each_task_chan;
