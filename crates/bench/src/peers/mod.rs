//! The peers behind common faces, so that each cell is written once.

pub(crate) mod runtimes;
pub(crate) mod tasks;
pub(crate) mod threads;

use std::hint::black_box;
use std::pin::Pin;
use std::sync::{Barrier, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

/// A capacity; `None` is unbounded.
pub(crate) type Cap = Option<usize>;

/// How a capacity is named in a cell.
pub(crate) fn cap_name(cap: Cap) -> String {
    cap.map_or("unbounded".into(), |cap| format!("cap{cap}"))
}

/// What a thread does.
pub(crate) type Work = Box<dyn FnOnce() + Send>;

/// Runs each on a thread of its own; the time from the moment all have started.
pub(crate) fn on_threads(work: Vec<Work>) -> Duration {
    let ready = Barrier::new(work.len() + 1);
    let mut start = None;
    std::thread::scope(|s| {
        for work in work {
            let ready = &ready;
            s.spawn(move || {
                ready.wait();
                work();
            });
        }
        // Taken before the barrier opens: a thread may be done before this one runs again.
        start = Some(Instant::now());
        ready.wait();
    });
    start.map_or(Duration::ZERO, |start| start.elapsed())
}

/// What a task does.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task whose state shares no cache line with another's, wherever the allocator puts it: what two
/// tasks on two cores take is not to depend on who their neighbours are.
pub(crate) fn task(work: impl Future<Output = ()> + Send + 'static) -> Task {
    Box::pin(async move {
        let line = CachePadded::new(());
        work.await;
        black_box(&line);
    })
}

/// Runs each as a task of tokio's runtime; the time until the last has ended.
pub(crate) fn on_tokio(tasks: Vec<Task>) -> Duration {
    let start = Instant::now();
    let handles: Vec<_> = tasks
        .into_iter()
        .map(|t| tokio_runtime().spawn(t))
        .collect();
    tokio_runtime().block_on(async {
        for handle in handles {
            handle.await.expect("no task panics");
        }
    });
    start.elapsed()
}

/// Runs each as a goroutine of our pool; the time until the last has ended.
pub(crate) fn on_pool(tasks: Vec<Task>) -> Duration {
    let start = Instant::now();
    let handles: Vec<_> = tasks.into_iter().map(rendez_pool::go).collect();
    for handle in handles {
        handle.join().expect("no goroutine panics");
    }
    start.elapsed()
}

/// Tokio's runtime, with as many workers as there are processors.
pub(crate) fn tokio_runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(std::thread::available_parallelism().map_or(2, usize::from))
            .enable_time()
            .build()
            .expect("tokio starts")
    })
}
