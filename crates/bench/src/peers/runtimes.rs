//! What runs tasks, behind one face: our pool and its peers, each with as many workers as
//! there are processors.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use async_executor::Executor;

use super::{Task, on_pool, on_tokio, tokio_runtime};

/// A runtime of tasks.
pub(crate) trait Runtime: 'static {
    /// The contender's name.
    const NAME: &'static str;
    /// A task's handle.
    type Handle: Send + 'static;
    /// Starts a task, from inside or outside.
    fn go(task: impl Future<Output = ()> + Send + 'static) -> Self::Handle;
    /// Waits for its end.
    fn join(handle: Self::Handle) -> impl Future<Output = ()> + Send;
    /// Lets it go on alone.
    fn detach(handle: Self::Handle);
    /// Gives way to the others once.
    fn yield_now() -> impl Future<Output = ()> + Send;
    /// Runs the future on the calling thread, which is none of the runtime's.
    fn block_on(future: impl Future<Output = ()>);
    /// Runs the tasks to their end.
    fn run(tasks: Vec<Task>) -> Duration;
}

/// Ours.
pub(crate) struct Rendez;

impl Runtime for Rendez {
    const NAME: &'static str = "rendez";
    type Handle = rendez_pool::JoinHandle<()>;
    fn go(task: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        rendez_pool::go(task)
    }
    async fn join(handle: Self::Handle) {
        handle.await.expect("no goroutine panics");
    }
    fn detach(handle: Self::Handle) {
        drop(handle);
    }
    async fn yield_now() {
        rendez_pool::yield_now().await;
    }
    fn block_on(future: impl Future<Output = ()>) {
        rendez_pool::block_on(future);
    }
    fn run(tasks: Vec<Task>) -> Duration {
        on_pool(tasks)
    }
}

/// tokio's threaded runtime.
pub(crate) struct Tokio;

impl Runtime for Tokio {
    const NAME: &'static str = "tokio";
    type Handle = tokio::task::JoinHandle<()>;
    fn go(task: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        tokio_runtime().spawn(task)
    }
    async fn join(handle: Self::Handle) {
        handle.await.expect("no task panics");
    }
    fn detach(handle: Self::Handle) {
        drop(handle);
    }
    async fn yield_now() {
        tokio::task::yield_now().await;
    }
    fn block_on(future: impl Future<Output = ()>) {
        tokio_runtime().block_on(future);
    }
    fn run(tasks: Vec<Task>) -> Duration {
        on_tokio(tasks)
    }
}

/// async-executor's, run by a thread for each processor.
pub(crate) struct AsyncExecutor;

fn executor() -> &'static Executor<'static> {
    static EXECUTOR: OnceLock<Executor<'static>> = OnceLock::new();
    EXECUTOR.get_or_init(|| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            std::thread::spawn(|| {
                futures_lite::future::block_on(executor().run(std::future::pending::<()>()))
            });
        }
        Executor::new()
    })
}

impl Runtime for AsyncExecutor {
    const NAME: &'static str = "async-executor";
    type Handle = async_executor::Task<()>;
    fn go(task: impl Future<Output = ()> + Send + 'static) -> Self::Handle {
        executor().spawn(task)
    }
    async fn join(handle: Self::Handle) {
        handle.await;
    }
    fn detach(handle: Self::Handle) {
        handle.detach();
    }
    async fn yield_now() {
        futures_lite::future::yield_now().await;
    }
    fn block_on(future: impl Future<Output = ()>) {
        futures_lite::future::block_on(future);
    }
    fn run(tasks: Vec<Task>) -> Duration {
        let start = std::time::Instant::now();
        let tasks: Vec<_> = tasks.into_iter().map(Self::go).collect();
        for task in tasks {
            Self::block_on(task);
        }
        start.elapsed()
    }
}

/// Calls `$rows::<R>($args)` for every runtime of tasks.
macro_rules! for_each_runtime {
    ($rows:ident ( $($arg:expr),* )) => {{
        use $crate::peers::runtimes as r;
        $rows::<r::Rendez>($($arg),*);
        $rows::<r::Tokio>($($arg),*);
        $rows::<r::AsyncExecutor>($($arg),*);
    }};
}
pub(crate) use for_each_runtime;
