//! A thread at one end, a task at the other. One operation is one value; of a ping-pong, a
//! round trip.

use std::future::Future;
use std::time::Duration;

use crate::peers::{Cap, Task, cap_name, on_pool, on_tokio};
use crate::rows::Rows;

/// A channel whose ends both block and suspend.
trait MixedChan: 'static {
    const NAME: &'static str;
    type Tx: Send + Sync + 'static;
    type Rx: Send + Sync + 'static;
    fn new(cap: Cap) -> (Self::Tx, Self::Rx);
    fn send(tx: &Self::Tx, value: usize);
    fn recv(rx: &Self::Rx) -> Option<usize>;
    fn send_async(tx: &Self::Tx, value: usize) -> impl Future<Output = ()> + Send;
    fn recv_async(rx: &Self::Rx) -> impl Future<Output = Option<usize>> + Send;
    fn run(task: Task) -> Duration;
}

macro_rules! channel {
    ($name:ident, $label:literal, $module:ident, $run:ident) => {
        struct $name;

        impl MixedChan for $name {
            const NAME: &'static str = $label;
            type Tx = $module::Sender<usize>;
            type Rx = $module::Receiver<usize>;
            fn new(cap: Cap) -> (Self::Tx, Self::Rx) {
                match cap {
                    Some(cap) => $module::bounded(cap),
                    None => $module::unbounded(),
                }
            }
            fn send(tx: &Self::Tx, value: usize) {
                tx.send(value).expect("the receiver lives");
            }
            fn recv(rx: &Self::Rx) -> Option<usize> {
                rx.recv().ok()
            }
            async fn send_async(tx: &Self::Tx, value: usize) {
                tx.send_async(value).await.expect("the receiver lives");
            }
            async fn recv_async(rx: &Self::Rx) -> Option<usize> {
                rx.recv_async().await.ok()
            }
            fn run(task: Task) -> Duration {
                $run(vec![task])
            }
        }
    };
}

channel!(Rendez, "rendez", rendez_select, on_pool);
channel!(Flume, "flume", flume, on_tokio);
channel!(Loole, "loole", loole, on_tokio);

struct Kanal;

impl MixedChan for Kanal {
    const NAME: &'static str = "kanal";
    type Tx = kanal::Sender<usize>;
    type Rx = kanal::Receiver<usize>;
    fn new(cap: Cap) -> (Self::Tx, Self::Rx) {
        match cap {
            Some(cap) => kanal::bounded(cap),
            None => kanal::unbounded(),
        }
    }
    fn send(tx: &Self::Tx, value: usize) {
        tx.send(value).expect("the receiver lives");
    }
    fn recv(rx: &Self::Rx) -> Option<usize> {
        rx.recv().ok()
    }
    async fn send_async(tx: &Self::Tx, value: usize) {
        tx.as_async().send(value).await.expect("the receiver lives");
    }
    async fn recv_async(rx: &Self::Rx) -> Option<usize> {
        rx.as_async().recv().await.ok()
    }
    fn run(task: Task) -> Duration {
        on_tokio(vec![task])
    }
}

pub(crate) fn rows(rows: &mut Rows) {
    of::<Rendez>(rows);
    of::<Flume>(rows);
    of::<Loole>(rows);
    of::<Kanal>(rows);
}

fn of<C: MixedChan>(rows: &mut Rows) {
    for cap in [Some(0), Some(1), Some(100), None] {
        let cap_name = cap_name(cap);
        rows.add(&format!("thread_to_task/{cap_name}"), C::NAME, move |n| {
            let (tx, rx) = C::new(cap);
            beside(
                move || (0..n).for_each(|i| C::send(&tx, i as usize)),
                || {
                    C::run(Box::pin(async move {
                        while let Some(value) = C::recv_async(&rx).await {
                            std::hint::black_box(value);
                        }
                    }))
                },
            )
        });
        rows.add(&format!("task_to_thread/{cap_name}"), C::NAME, move |n| {
            let (tx, rx) = C::new(cap);
            let start = std::time::Instant::now();
            beside(
                move || {
                    while let Some(value) = C::recv(&rx) {
                        std::hint::black_box(value);
                    }
                },
                || {
                    C::run(Box::pin(async move {
                        for i in 0..n {
                            C::send_async(&tx, i as usize).await;
                        }
                    }))
                },
            );
            start.elapsed()
        });
    }
    for cap in [Some(0), Some(1)] {
        rows.add(&format!("pingpong/{}", cap_name(cap)), C::NAME, move |n| {
            let (ping_tx, ping_rx) = C::new(cap);
            let (pong_tx, pong_rx) = C::new(cap);
            beside(
                move || {
                    while let Some(i) = C::recv(&ping_rx) {
                        C::send(&pong_tx, i);
                    }
                },
                || {
                    C::run(Box::pin(async move {
                        for i in 0..n {
                            C::send_async(&ping_tx, i as usize).await;
                            std::hint::black_box(C::recv_async(&pong_rx).await);
                        }
                    }))
                },
            )
        });
    }
}

/// Runs `task` while a thread runs `work`.
fn beside(work: impl FnOnce() + Send, task: impl FnOnce() -> Duration) -> Duration {
    std::thread::scope(|s| {
        s.spawn(work);
        task()
    })
}
