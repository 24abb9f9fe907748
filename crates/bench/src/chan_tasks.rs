//! Channels between tasks, ours on our pool. One operation is one value, sent and received; of
//! a ping-pong, a round trip.

use std::time::Duration;

use crate::peers::tasks::{TaskChan, for_each_task_chan};
use crate::peers::{Cap, Task, cap_name, task};
use crate::rows::Rows;

const CAPS: [Cap; 4] = [Some(0), Some(1), Some(100), None];
const SHAPES: [(usize, usize); 4] = [(1, 1), (4, 1), (4, 4), (32, 32)];

pub(crate) fn rows(rows: &mut Rows) {
    for_each_task_chan!(of(rows));
}

fn of<C: TaskChan>(rows: &mut Rows) {
    for cap in CAPS {
        let Some((_, rx)) = C::new(cap) else {
            continue;
        };
        for (senders, receivers) in SHAPES {
            if receivers > 1 && C::clone_rx(&rx).is_none() {
                continue;
            }
            let name = format!("{}/{senders}:{receivers}", cap_name(cap));
            rows.add(&name, C::NAME, move |n| {
                through::<C>(cap, senders, receivers, n)
            });
        }
    }
    for cap in [Some(0), Some(1)] {
        if C::new(cap).is_some() {
            let name = format!("pingpong/{}", cap_name(cap));
            rows.add(&name, C::NAME, move |n| ping_pong::<C>(cap, n));
        }
    }
    rows.add("alone/cap100", C::NAME, |n| {
        let (tx, mut rx) = C::new(Some(100)).expect("every peer has this");
        C::run(vec![Box::pin(async move {
            for i in 0..n {
                C::send(&tx, i as usize).await;
                std::hint::black_box(C::recv(&mut rx).await);
            }
        })])
    });
    rows.add("oneshot", C::NAME, |n| {
        C::run(vec![Box::pin(async move {
            for i in 0..n {
                let (tx, mut rx) = C::new(Some(1)).expect("every peer has this");
                C::send(&tx, i as usize).await;
                drop(tx);
                std::hint::black_box(C::recv(&mut rx).await);
            }
        })])
    });
}

fn through<C: TaskChan>(cap: Cap, senders: usize, receivers: usize, n: u64) -> Duration {
    let (tx, rx) = C::new(cap).expect("tried before");
    let each = n / senders as u64 + 1;
    let mut tasks: Vec<Task> = Vec::new();
    for _ in 1..receivers {
        let rx = C::clone_rx(&rx).expect("tried before");
        tasks.push(task(drain::<C>(rx)));
    }
    tasks.push(task(drain::<C>(rx)));
    for _ in 0..senders {
        let tx = tx.clone();
        tasks.push(task(async move {
            for i in 0..each {
                C::send(&tx, i as usize).await;
            }
        }));
    }
    drop(tx);
    C::run(tasks)
}

async fn drain<C: TaskChan>(mut rx: C::Rx) {
    while let Some(value) = C::recv(&mut rx).await {
        std::hint::black_box(value);
    }
}

fn ping_pong<C: TaskChan>(cap: Cap, n: u64) -> Duration {
    let (ping_tx, mut ping_rx) = C::new(cap).expect("tried before");
    let (pong_tx, mut pong_rx) = C::new(cap).expect("tried before");
    C::run(vec![
        Box::pin(async move {
            for i in 0..n {
                C::send(&ping_tx, i as usize).await;
                std::hint::black_box(C::recv(&mut pong_rx).await);
            }
        }),
        Box::pin(async move {
            while let Some(i) = C::recv(&mut ping_rx).await {
                C::send(&pong_tx, i).await;
            }
        }),
    ])
}
