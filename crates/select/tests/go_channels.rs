//! What Go's own tests ask of channels, from their behaviour, with blocking and with awaiting
//! goroutines: see `README.md` in this folder for which is which.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;
#[path = "common/kind.rs"]
mod kind;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use common::channel;
use kind::{Kind, a_moment, in_each_kind, select_in};
use rendez_select::{
    Receiver, RecvError, SendError, Sender, TryRecvError, TrySendError, bounded, never, unbounded,
};

const CAPACITIES: [Option<usize>; 7] = [
    Some(0),
    Some(1),
    Some(2),
    Some(3),
    Some(10),
    Some(100),
    None,
];

#[test]
fn receives_on_an_empty_channel_wait_until_values_come() {
    in_each_kind(async |kind| {
        for cap in CAPACITIES {
            let (tx, rx) = channel(cap);
            let n_received = Arc::new(AtomicUsize::new(0));
            let receivers = [(); 2].map(|()| {
                let (rx, n) = (rx.clone(), Arc::clone(&n_received));
                kind.go(async move {
                    kind.recv(&rx).await.unwrap();
                    n.fetch_add(1, Ordering::SeqCst);
                })
            });
            a_moment();
            assert_eq!(n_received.load(Ordering::SeqCst), 0);
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
            assert!(select_in! { kind; recv(rx) -> _ => false, default => true });
            kind.send(&tx, 0).await.unwrap();
            kind.send(&tx, 0).await.unwrap();
            for receiver in receivers {
                receiver.join();
            }
        }
    });
}

#[test]
fn a_send_on_a_full_channel_waits_until_a_value_is_taken() {
    in_each_kind(async |kind| {
        for cap in CAPACITIES.into_iter().flatten() {
            let (tx, rx) = bounded(cap);
            for i in 0..cap {
                kind.send(&tx, i).await.unwrap();
            }
            let theirs = tx.clone();
            let sender = kind.go(async move { kind.send(&theirs, cap).await });
            a_moment();
            assert!(!sender.is_finished());
            assert_eq!(tx.try_send(99), Err(TrySendError::Full(99)));
            assert!(select_in! { kind; send(tx, 99) -> _ => false, default => true });
            for i in 0..=cap {
                assert_eq!(kind.recv(&rx).await, Ok(i));
            }
            sender.join().unwrap();
        }
    });
}

#[test]
fn a_closed_channel_gives_what_it_holds_and_then_the_end_for_ever() {
    in_each_kind(async |kind| {
        for cap in CAPACITIES {
            let (tx, rx) = channel(cap);
            let n = cap.unwrap_or(20);
            for i in 0..n {
                kind.send(&tx, i).await.unwrap();
            }
            assert!(tx.close());
            for i in 0..n {
                assert_eq!(kind.recv(&rx).await, Ok(i));
            }
            for _ in 0..3 {
                assert_eq!(kind.recv(&rx).await, Err(RecvError));
                assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
            }
            let (tx, rx) = channel::<u8>(cap);
            let receiver = kind.go(async move { kind.recv(&rx).await });
            a_moment();
            assert!(!receiver.is_finished());
            tx.close();
            assert_eq!(receiver.join(), Err(RecvError));
        }
    });
}

#[test]
fn values_of_one_sender_come_in_order_in_both_forms_of_a_loop() {
    in_each_kind(async |kind| {
        for cap in CAPACITIES {
            let (tx, rx) = channel(cap);
            let sender = kind.go(async move {
                for i in 0..100 {
                    kind.send(&tx, i).await.unwrap();
                }
            });
            for i in 0..50 {
                assert_eq!(kind.recv(&rx).await, Ok(i));
            }
            for i in 50..100 {
                let got = loop {
                    match rx.try_recv() {
                        Err(TryRecvError::Empty) => kind.yield_now().await,
                        got => break got,
                    }
                };
                assert_eq!(got, Ok(i));
            }
            sender.join();
        }
    });
}

#[test]
fn four_senders_and_four_receivers_exchange_each_value_once() {
    in_each_kind(async |kind| {
        const P: usize = 4;
        const N: usize = 500;
        for cap in CAPACITIES {
            let (tx, rx) = channel(cap);
            let senders = [(); P].map(|()| {
                let tx = tx.clone();
                kind.go(async move {
                    for i in 0..N {
                        kind.send(&tx, i).await.unwrap();
                    }
                })
            });
            let receivers = [(); P].map(|()| {
                let rx = rx.clone();
                kind.go(async move {
                    let mut got = Vec::with_capacity(N);
                    for _ in 0..N {
                        got.push(kind.recv(&rx).await.unwrap());
                    }
                    got
                })
            });
            for sender in senders {
                sender.join();
            }
            let mut seen = [0; N];
            for i in receivers.into_iter().flat_map(kind::Handle::join) {
                seen[i] += 1;
            }
            assert_eq!(seen, [P; N]);
        }
    });
}

#[test]
fn length_and_capacity_are_gos() {
    for cap in CAPACITIES {
        let (tx, rx) = channel(cap);
        assert_eq!((tx.len(), tx.capacity()), (0, cap));
        let n = cap.unwrap_or(50);
        for i in 0..n {
            tx.send(i).unwrap();
        }
        assert_eq!((rx.len(), rx.capacity()), (n, cap));
    }
    assert_eq!(
        (never::<u8>().len(), never::<u8>().capacity()),
        (0, Some(0))
    );
}

#[test]
fn many_workers_forward_everything_that_is_fed_to_them() {
    in_each_kind(async |kind| {
        const N: u64 = 20_000;
        const PRIMES: [u64; 9] = [2, 3, 7, 11, 13, 19, 23, 31, 35];
        let ((feed, queue), (results_tx, results)) = (bounded(69), bounded(69));
        let workers: Vec<_> = (0..23)
            .map(|w| {
                let (queue, results) = (queue.clone(), results_tx.clone());
                kind.go(async move {
                    while let Ok(value) = kind.recv(&queue).await {
                        if PRIMES[w % PRIMES.len()] == value {
                            kind.yield_now().await;
                        }
                        kind.send(&results, value).await.unwrap();
                    }
                })
            })
            .collect();
        drop(results_tx);
        let feeder = kind.go(async move {
            let mut sum = 0;
            for i in 0..N {
                let value = PRIMES[i as usize % PRIMES.len()];
                sum += value;
                kind.send(&feed, value).await.unwrap();
            }
            sum
        });
        let (mut n, mut sum) = (0, 0);
        while let Ok(value) = kind.recv(&results).await {
            n += 1;
            sum += value;
        }
        assert_eq!((n, sum), (N, feeder.join()));
        for worker in workers {
            worker.join();
        }
    });
}

/// Memory that is used after it was freed shows as an error of another type.
#[test]
fn one_shot_exchanges_of_boxed_errors_keep_their_type() {
    #[derive(Debug)]
    struct Mine([usize; 4]);
    impl std::fmt::Display for Mine {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("mine")
        }
    }
    impl std::error::Error for Mine {}
    type Exchanged = Box<dyn std::error::Error + Send + Sync>;

    in_each_kind(async |kind| {
        for selects in [false, true] {
            let goroutines: Vec<_> = (0..kind.pick(8, 100))
                .map(|g: usize| {
                    kind.go(async move {
                        for i in 0..kind.pick(50, 100) {
                            let (tx, rx) = bounded::<Exchanged>(0);
                            let (done, finished) = bounded::<()>(0);
                            let other = kind.go(async move {
                                let error = || Box::new(Mine([g, i, g, i])) as Exchanged;
                                if selects {
                                    select_in! { kind;
                                        send(tx, error()) -> sent => sent.unwrap(),
                                        recv(finished) -> _ => {},
                                    }
                                } else {
                                    kind.send(&tx, error()).await.unwrap();
                                }
                            });
                            let got = kind.recv(&rx).await.unwrap();
                            kind.yield_now().await;
                            let garbage = vec![0_usize; 4 + i % 4];
                            let mine = got.downcast::<Mine>().expect("it is what was sent");
                            assert_eq!(mine.0, [g, i, g, i]);
                            drop((garbage, done));
                            other.join();
                        }
                    })
                })
                .collect();
            for goroutine in goroutines {
                goroutine.join();
            }
        }
    });
}

#[test]
fn a_buffer_is_a_fifo_and_so_is_a_line_of_receivers() {
    in_each_kind(async |kind| {
        const N: usize = 10;
        let (tx, rx) = bounded(N);
        for i in 0..N {
            kind.send(&tx, i).await.unwrap();
        }
        for i in 0..N {
            assert_eq!(kind.recv(&rx).await, Ok(i));
        }
        // Each waits for the one before it, and then finds its own number.
        let (tx, rx) = bounded(0);
        let (begin, mut before) = bounded::<()>(1);
        let line: Vec<_> = (0..N)
            .map(|i| {
                let (next, after) = bounded(1);
                let (rx, before) = (rx.clone(), std::mem::replace(&mut before, after));
                kind.go(async move {
                    kind.recv(&before).await.unwrap();
                    assert_eq!(kind.recv(&rx).await, Ok(i));
                    kind.send(&next, ()).await.unwrap();
                })
            })
            .collect();
        kind.send(&begin, ()).await.unwrap();
        for i in 0..N {
            kind.send(&tx, i).await.unwrap();
        }
        for goroutine in line {
            goroutine.join();
        }
        kind.recv(&before).await.unwrap();
    });
}

#[test]
fn a_daisy_chain_passes_one_value_from_end_to_end() {
    in_each_kind(async |kind| {
        let n = kind.pick(500, 10_000);
        let (first, mut right) = bounded(0);
        let chain: Vec<_> = (0..n)
            .map(|_| {
                let (left_tx, left) = bounded(0);
                let right = std::mem::replace(&mut right, left);
                kind.go(async move {
                    let value: usize = kind.recv(&right).await.unwrap();
                    kind.send(&left_tx, value + 1).await.unwrap();
                })
            })
            .collect();
        kind.send(&first, 0).await.unwrap();
        assert_eq!(kind.recv(&right).await, Ok(n));
        for link in chain {
            link.join();
        }
    });
}

#[test]
fn operations_that_do_not_wait_meet_those_that_do() {
    async fn meet<T: Clone + PartialEq + std::fmt::Debug + Send + 'static>(kind: Kind, value: T) {
        for cap in [0, 1] {
            let (tx, rx) = bounded(cap);
            assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
            // A try finds the receiver that waits.
            let theirs = rx.clone();
            let receiver = kind.go(async move { kind.recv(&theirs).await });
            while tx.try_send(value.clone()).is_err() {
                kind.yield_now().await;
            }
            assert_eq!(receiver.join().as_ref(), Ok(&value));
            // And the sender that waits.
            let (theirs, sent) = (tx.clone(), value.clone());
            let sender = kind.go(async move { kind.send(&theirs, sent).await });
            let got = loop {
                match rx.try_recv() {
                    Err(TryRecvError::Empty) => kind.yield_now().await,
                    got => break got,
                }
            };
            assert_eq!(got.as_ref(), Ok(&value));
            sender.join().unwrap();
            // What does not fit stays with its sender.
            for _ in 0..cap {
                tx.try_send(value.clone()).unwrap();
            }
            assert_eq!(
                tx.try_send(value.clone()),
                Err(TrySendError::Full(value.clone()))
            );
        }
    }
    in_each_kind(async |kind| {
        meet(kind, 123_i32).await;
        meet(kind, 1_i64 << 40).await;
        meet(kind, true).await;
        meet(kind, String::from("hello")).await;
    });
}

/// A sender sent over a channel, and the value sent on it, in one statement.
#[test]
fn a_sender_is_received_and_sent_on_in_one_statement() {
    in_each_kind(async |kind| {
        let (carrier, carried) = bounded::<Sender<u8>>(1);
        let (tx, rx) = bounded(1);
        kind.send(&carrier, tx.clone()).await.unwrap();
        let got = kind.recv(&carried).await.unwrap();
        kind.send(&got, 1).await.unwrap();
        assert_eq!(kind.recv(&rx).await, Ok(1));
        kind.send(&carrier, tx).await.unwrap();
        select_in! { kind;
            send(carried.recv().unwrap(), 2) -> sent => sent.unwrap(),
        }
        assert_eq!(kind.recv(&rx).await, Ok(2));
    });
}

/// Each end has its own methods only. A method that is missing is found in `Missing`; were it
/// not, its result would be no `Absent`.
#[test]
fn a_sender_does_not_receive_and_a_receiver_does_not_send() {
    struct Absent;
    trait Missing {
        fn recv(&self) -> Absent {
            Absent
        }
        fn try_recv(&self) -> Absent {
            Absent
        }
        fn iter(&self) -> Absent {
            Absent
        }
        fn send(&self, _: u8) -> Absent {
            Absent
        }
        fn try_send(&self, _: u8) -> Absent {
            Absent
        }
        fn reserve(&self) -> Absent {
            Absent
        }
    }
    impl Missing for Sender<u8> {}
    impl Missing for Receiver<u8> {}
    let (tx, rx) = unbounded::<u8>();
    let Absent = tx.recv();
    let Absent = tx.try_recv();
    let Absent = tx.iter();
    let Absent = rx.send(1);
    let Absent = rx.try_send(1);
    let Absent = rx.reserve();
}

#[test]
fn values_without_a_size_are_counted_like_others() {
    in_each_kind(async |kind| {
        for cap in [0, 1] {
            let (tx, rx) = bounded::<[u8; 0]>(cap);
            let (unit_tx, unit) = bounded(cap);
            let sender = kind.go(async move {
                for _ in 0..50 {
                    kind.send(&tx, []).await.unwrap();
                    kind.send(&unit_tx, ()).await.unwrap();
                }
            });
            let mut n = 0;
            while kind.recv(&rx).await.is_ok() {
                kind.recv(&unit).await.unwrap();
                n += 1;
            }
            assert_eq!(n, 50);
            sender.join();
        }
    });
}

#[test]
fn a_chain_of_filters_sieves_the_primes() {
    in_each_kind(async |kind| {
        let (tx, mut numbers) = bounded(0);
        kind.go(async move {
            for i in 2.. {
                if kind.send(&tx, i).await.is_err() {
                    return;
                }
            }
        });
        let mut primes = Vec::new();
        while primes.last() != Some(&97) {
            let prime: u32 = kind.recv(&numbers).await.unwrap();
            primes.push(prime);
            let (tx, filtered) = bounded(0);
            let unfiltered = std::mem::replace(&mut numbers, filtered);
            kind.go(async move {
                while let Ok(i) = kind.recv(&unfiltered).await {
                    if i % prime != 0 && kind.send(&tx, i).await.is_err() {
                        return;
                    }
                }
            });
        }
        assert_eq!(primes.len(), 25);
        assert_eq!(primes[..10], [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
    });
}

#[test]
fn ten_receivers_take_each_value_of_one_sender_once() {
    in_each_kind(async |kind| {
        const N: usize = 1000;
        let (tx, rx) = bounded(2);
        let seen = Arc::new(Mutex::new(vec![0; N]));
        let receivers = [(); 10].map(|()| {
            let (rx, seen) = (rx.clone(), Arc::clone(&seen));
            kind.go(async move {
                while let Ok(i) = select_in! { kind; recv(rx) -> i => i } {
                    seen.lock().unwrap()[i] += 1_usize;
                    kind.yield_now().await;
                }
            })
        });
        for i in 0..N {
            kind.send(&tx, i).await.unwrap();
            assert!(seen.lock().unwrap()[i] <= 1);
        }
        drop(tx);
        for receiver in receivers {
            receiver.join();
        }
        assert_eq!(*seen.lock().unwrap(), vec![1; N]);
    });
}

/// A way to receive, and what it finds.
async fn receive(kind: Kind, how: usize, rx: &Receiver<u8>) -> Result<u8, RecvError> {
    match how {
        0 => kind.recv(rx).await,
        1 => rx.try_recv().map_err(|err| {
            assert_eq!(err, TryRecvError::Disconnected, "the end does not block");
            RecvError
        }),
        2 => select_in! { kind; recv(rx) -> v => v },
        3 => select_in! { kind; recv(rx) -> v => v, recv(never::<u8>()) -> v => v },
        4 => select_in! { kind; recv(rx) -> v => v, default => panic!("it is ready") },
        _ => select_in! { kind;
            recv(never::<u8>()) -> v => v,
            recv(rx) -> v => v,
            default => panic!("it is ready"),
        },
    }
}

/// A way to send on a closed channel: the value comes back.
async fn send(kind: Kind, how: usize, tx: &Sender<u8>) -> Result<(), SendError<u8>> {
    match how {
        0 => kind.send(tx, 9).await,
        1 => tx.try_send(9).map_err(|err| {
            assert!(err.is_disconnected(), "the end does not block");
            SendError(err.into_inner())
        }),
        2 => select_in! { kind; send(tx, 9) -> sent => sent },
        3 => select_in! { kind; send(tx, 9) -> sent => sent, recv(never::<u8>()) -> _ => Ok(()) },
        4 => select_in! { kind; send(tx, 9) -> sent => sent, default => Ok(()) },
        _ => select_in! { kind;
            recv(never::<u8>()) -> _ => Ok(()),
            send(tx, 9) -> sent => sent,
            default => Ok(()),
        },
    }
}

#[test]
fn a_closed_channel_answers_every_form_of_every_operation() {
    in_each_kind(async |kind| {
        for how in 0..6 {
            for held in [None, Some(1)] {
                let (tx, rx) = bounded(if held.is_some() { 2 } else { 0 });
                if let Some(value) = held {
                    kind.send(&tx, value).await.unwrap();
                }
                assert!(tx.close(), "the first time");
                if let Some(value) = held {
                    assert_eq!(receive(kind, how, &rx).await, Ok(value));
                }
                for again in 0..6 {
                    for _ in 0..3 {
                        assert_eq!(receive(kind, again, &rx).await, Err(RecvError));
                    }
                }
                assert_eq!(send(kind, how, &tx).await, Err(SendError(9)));
                assert_eq!(rx.try_recv(), Err(TryRecvError::Disconnected));
                assert!(!tx.close() && !rx.close(), "closed once");
            }
        }
    });
}
