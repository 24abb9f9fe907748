//! Selects. Of `ready`, one operation is a send to one of the channels and the select that
//! receives it, on one thread; of `feed`, a value that another thread or task sends to one of
//! them; of `pingpong`, a round trip between two selects of two arms.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::peers::{on_pool, on_threads, on_tokio};
use crate::rows::Rows;

const HOUR: Duration = Duration::from_secs(3600);
const MANY: usize = 1000;

/// Time for `n` calls.
fn timed<R>(n: u64, mut op: impl FnMut(usize) -> R) -> Duration {
    let start = Instant::now();
    for i in 0..n as usize {
        black_box(op(i));
    }
    start.elapsed()
}

/// A select over the first few of `$rx`, which receives.
macro_rules! pick {
    ($module:ident, $select:ident, $rx:ident; $($i:literal)*) => {
        $module::$select! { $(recv($rx[$i]) -> v => v.ok(),)* }
    };
}

/// The rows of one number of arms.
macro_rules! arms {
    ($module:ident, $label:literal, $rows:ident, $n:literal; $($i:literal)*) => {{
        let (tx, rx) = channels($n, 1);
        $rows.add(concat!("ready/", $n), $label, move |n| {
            timed(n, |i| {
                tx[i % $n].send(i).expect("the receiver lives");
                pick!($module, select, rx; $($i)*)
            })
        });
        let (tx, rx) = channels($n, 1);
        $rows.add(concat!("ready_biased/", $n), $label, move |n| {
            timed(n, |i| {
                tx[i % $n].send(i).expect("the receiver lives");
                pick!($module, select_biased, rx; $($i)*)
            })
        });
        $rows.add(concat!("feed_threads/", $n), $label, |n| {
            let (tx, rx) = channels($n, 1);
            on_threads(vec![
                Box::new(move || {
                    (0..n as usize).for_each(|i| tx[i % $n].send(i).expect("the receiver lives"));
                }),
                Box::new(move || {
                    timed(n, |_| pick!($module, select, rx; $($i)*));
                }),
            ])
        });
    }};
}

/// The rows of a crate with crossbeam's interface.
macro_rules! crossbeam_like {
    ($name:ident, $module:ident, $label:literal) => {
        mod $name {
            use super::*;
            use $module::{Receiver, Select, Sender, bounded, never, select};

            fn channels(n: usize, cap: usize) -> (Vec<Sender<usize>>, Vec<Receiver<usize>>) {
                (0..n).map(|_| bounded(cap)).unzip()
            }

            pub(super) fn rows(rows: &mut Rows) {
                arms!($module, $label, rows, 2; 0 1);
                arms!($module, $label, rows, 4; 0 1 2 3);
                arms!($module, $label, rows, 16; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
                rows.add("ready/1000", $label, |n| {
                    let (tx, rx) = channels(MANY, 1);
                    let mut select = Select::new();
                    for rx in &rx {
                        select.recv(rx);
                    }
                    timed(n, |i| {
                        tx[i % MANY].send(i).expect("the receiver lives");
                        let op = select.select();
                        let rx = &rx[op.index()];
                        op.recv(rx)
                    })
                });
                rows.add("feed_threads/1000", $label, |n| {
                    let (tx, rx) = channels(MANY, 1);
                    on_threads(vec![
                        Box::new(move || {
                            for i in 0..n as usize {
                                tx[i % MANY].send(i).expect("the receiver lives");
                            }
                        }),
                        Box::new(move || {
                            let mut select = Select::new();
                            for rx in &rx {
                                select.recv(rx);
                            }
                            timed(n, |_| {
                                let op = select.select();
                                let rx = &rx[op.index()];
                                op.recv(rx)
                            });
                        }),
                    ])
                });
                let (tx, rx) = channels(2, 1);
                rows.add_op("default/2", $label, move || {
                    let _kept = &tx;
                    select! {
                        recv(rx[0]) -> v => v.ok(),
                        recv(rx[1]) -> v => v.ok(),
                        default => None,
                    }
                });
                let (tx, rx) = bounded(1);
                rows.add_op("timeout_ready", $label, move || {
                    tx.send(1).expect("the receiver lives");
                    let never = never::<usize>();
                    select! {
                        recv(rx) -> v => v.ok(),
                        recv(never) -> v => v.ok(),
                        default(HOUR) => None,
                    }
                });
                let (tx, rx) = bounded(1);
                rows.add_op("recv_timeout_ready", $label, move || {
                    tx.send(1).expect("the receiver lives");
                    rx.recv_timeout(HOUR)
                });
                rows.add("pingpong_threads", $label, |n| {
                    let (ping_tx, ping) = bounded(0);
                    let (pong_tx, pong) = bounded(0);
                    let (quit_tx, quit) = bounded::<usize>(0);
                    let quit2 = quit.clone();
                    on_threads(vec![
                        Box::new(move || {
                            for i in 0..n as usize {
                                ping_tx.send(i).expect("the receiver lives");
                                select! {
                                    recv(pong) -> v => black_box(v.ok()),
                                    recv(quit) -> v => v.ok(),
                                };
                            }
                            drop(quit_tx);
                        }),
                        Box::new(move || {
                            loop {
                                select! {
                                    recv(ping) -> v => match v {
                                        Ok(v) => pong_tx.send(v).expect("the receiver lives"),
                                        Err(_) => break,
                                    },
                                    recv(quit2) -> _ => break,
                                }
                            }
                        }),
                    ])
                });
            }
        }
    };
}

crossbeam_like!(ours, rendez_select, "rendez");
crossbeam_like!(crossbeam, crossbeam_channel, "crossbeam");

macro_rules! feed_rendez {
    ($rows:ident, $n:literal; $($i:literal)*) => {
        $rows.add(concat!("feed_tasks/", $n), "rendez", |n| {
            let (tx, rx): (Vec<_>, Vec<_>) =
                (0..$n).map(|_| rendez_select::bounded::<usize>(1)).unzip();
            on_pool(vec![
                Box::pin(async move {
                    for i in 0..n as usize {
                        tx[i % $n].send_async(i).await.expect("the receiver lives");
                    }
                }),
                Box::pin(async move {
                    for _ in 0..n {
                        black_box(rendez_select::select_async! {
                            $(recv(rx[$i]) -> v => v.ok(),)*
                        });
                    }
                }),
            ])
        });
    };
}

macro_rules! feed_tokio {
    ($rows:ident, $n:literal; $($i:ident)*) => {
        $rows.add(concat!("feed_tasks/", $n), "tokio", |n| {
            let (tx, rx): (Vec<_>, Vec<_>) =
                (0..$n).map(|_| tokio::sync::mpsc::channel::<usize>(1)).unzip();
            on_tokio(vec![
                Box::pin(async move {
                    for i in 0..n as usize {
                        tx[i % $n].send(i).await.expect("the receiver lives");
                    }
                }),
                Box::pin(async move {
                    let Ok([$(mut $i),*]) = <[_; $n]>::try_from(rx) else {
                        return;
                    };
                    for _ in 0..n {
                        black_box(tokio::select! { $(v = $i.recv() => v,)* });
                    }
                }),
            ])
        });
    };
}

pub(crate) fn rows(rows: &mut Rows) {
    ours::rows(rows);
    crossbeam::rows(rows);

    tokio_ready(rows);
    feed_rendez!(rows, 2; 0 1);
    feed_rendez!(rows, 4; 0 1 2 3);
    feed_rendez!(rows, 16; 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    feed_tokio!(rows, 2; a b);
    feed_tokio!(rows, 4; a b c d);
    feed_tokio!(rows, 16; a b c d e f g h i j k l m n o p);
    ping_pong_tasks(rows);
}

/// tokio's select on one thread, where nothing waits.
fn tokio_ready(rows: &mut Rows) {
    rows.add("ready/2", "tokio", |n| {
        on_tokio(vec![Box::pin(async move {
            let (tx0, mut rx0) = tokio::sync::mpsc::channel::<usize>(1);
            let (tx1, mut rx1) = tokio::sync::mpsc::channel::<usize>(1);
            for i in 0..n as usize {
                let tx = if i % 2 == 0 { &tx0 } else { &tx1 };
                tx.send(i).await.expect("the receiver lives");
                black_box(tokio::select! {
                    v = rx0.recv() => v,
                    v = rx1.recv() => v,
                });
            }
        })])
    });
    rows.add("default/2", "tokio", |n| {
        on_tokio(vec![Box::pin(async move {
            let (_tx0, mut rx0) = tokio::sync::mpsc::channel::<usize>(1);
            let (_tx1, mut rx1) = tokio::sync::mpsc::channel::<usize>(1);
            for _ in 0..n {
                black_box(tokio::select! {
                    biased;
                    v = rx0.recv() => v,
                    v = rx1.recv() => v,
                    () = std::future::ready(()) => None,
                });
            }
        })])
    });
    rows.add("timeout_ready", "tokio", |n| {
        on_tokio(vec![Box::pin(async move {
            let (tx, mut rx) = tokio::sync::mpsc::channel::<usize>(1);
            for i in 0..n as usize {
                tx.send(i).await.expect("the receiver lives");
                black_box(tokio::select! {
                    v = rx.recv() => v,
                    () = tokio::time::sleep(HOUR) => None,
                });
            }
        })])
    });
}

fn ping_pong_tasks(rows: &mut Rows) {
    rows.add("pingpong_tasks", "rendez", |n| {
        use rendez_select::{bounded, select_async};
        let (ping_tx, ping) = bounded::<usize>(1);
        let (pong_tx, pong) = bounded::<usize>(1);
        let (quit_tx, quit) = bounded::<usize>(1);
        let quit2 = quit.clone();
        on_pool(vec![
            Box::pin(async move {
                for i in 0..n as usize {
                    ping_tx.send_async(i).await.expect("the receiver lives");
                    black_box(select_async! {
                        recv(pong) -> v => v.ok(),
                        recv(quit) -> v => v.ok(),
                    });
                }
                drop(quit_tx);
            }),
            Box::pin(async move {
                loop {
                    select_async! {
                        recv(ping) -> v => match v {
                            Ok(v) => pong_tx.send_async(v).await.expect("the receiver lives"),
                            Err(_) => break,
                        },
                        recv(quit2) -> _ => break,
                    }
                }
            }),
        ])
    });
    rows.add("pingpong_tasks", "tokio", |n| {
        use tokio::sync::mpsc::channel;
        let (ping_tx, mut ping) = channel::<usize>(1);
        let (pong_tx, mut pong) = channel::<usize>(1);
        let (quit_tx, mut quit) = channel::<usize>(1);
        let (quit2_tx, mut quit2) = channel::<usize>(1);
        on_tokio(vec![
            Box::pin(async move {
                for i in 0..n as usize {
                    ping_tx.send(i).await.expect("the receiver lives");
                    black_box(tokio::select! {
                        v = pong.recv() => v,
                        v = quit.recv() => v,
                    });
                }
                drop((quit_tx, quit2_tx));
            }),
            Box::pin(async move {
                loop {
                    tokio::select! {
                        v = ping.recv() => match v {
                            Some(v) => pong_tx.send(v).await.expect("the receiver lives"),
                            None => break,
                        },
                        _ = quit2.recv() => break,
                    }
                }
            }),
        ])
    });
}
