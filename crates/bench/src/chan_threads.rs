//! Channels between threads. One operation is one value, sent and received; of a ping-pong, a
//! round trip.

use crate::peers::threads::{ThreadChan, for_each_thread_chan};
use crate::peers::{Cap, Work, cap_name, on_threads};
use crate::rows::Rows;

const CAPS: [Cap; 4] = [Some(0), Some(1), Some(100), None];
const SHAPES: [(usize, usize); 4] = [(1, 1), (4, 1), (4, 4), (32, 32)];

pub(crate) fn rows(rows: &mut Rows) {
    for_each_thread_chan!(of(rows));
}

fn of<C: ThreadChan>(rows: &mut Rows) {
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
                let (tx, rx) = C::new(cap).expect("tried above");
                let each = n / senders as u64 + 1;
                let mut work: Vec<Work> = Vec::new();
                for _ in 1..receivers {
                    let rx = C::clone_rx(&rx).expect("tried above");
                    work.push(Box::new(move || drain::<C>(&rx)));
                }
                work.push(Box::new(move || drain::<C>(&rx)));
                for _ in 0..senders {
                    let tx = tx.clone();
                    work.push(Box::new(move || {
                        (0..each).for_each(|i| C::send(&tx, i as usize))
                    }));
                }
                drop(tx);
                on_threads(work)
            });
        }
    }
    for cap in [Some(0), Some(1)] {
        if C::new(cap).is_some() {
            let name = format!("pingpong/{}", cap_name(cap));
            rows.add(&name, C::NAME, move |n| ping_pong::<C>(cap, n));
        }
    }
    // Alone on one thread: what an operation costs when nobody waits.
    for cap in [Some(100), None] {
        let name = format!("alone/{}", cap_name(cap));
        let (tx, rx) = C::new(cap).expect("every peer has these");
        rows.add_op(&name, C::NAME, move || {
            C::send(&tx, 1);
            C::recv(&rx)
        });
    }
    for cap in [Some(1), Some(100), None] {
        let name = format!("create/{}", cap_name(cap));
        rows.add_op(&name, C::NAME, move || C::new(cap).is_some());
    }
    rows.add_op("oneshot", C::NAME, || {
        let (tx, rx) = C::new(Some(1)).expect("every peer has this");
        C::send(&tx, 1);
        drop(tx);
        C::recv(&rx)
    });
}

fn drain<C: ThreadChan>(rx: &C::Rx) {
    while let Some(value) = C::recv(rx) {
        std::hint::black_box(value);
    }
}

fn ping_pong<C: ThreadChan>(cap: Cap, n: u64) -> std::time::Duration {
    let (ping_tx, ping_rx) = C::new(cap).expect("tried before");
    let (pong_tx, pong_rx) = C::new(cap).expect("tried before");
    on_threads(vec![
        Box::new(move || {
            for i in 0..n {
                C::send(&ping_tx, i as usize);
                std::hint::black_box(C::recv(&pong_rx));
            }
        }),
        Box::new(move || {
            while let Some(i) = C::recv(&ping_rx) {
                C::send(&pong_tx, i);
            }
        }),
    ])
}
