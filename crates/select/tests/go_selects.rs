//! What Go's own tests ask of `select`, from their behaviour, with blocking and with awaiting
//! goroutines: see `README.md` in this folder for which is which.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;
#[path = "common/kind.rs"]
mod kind;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::within;
use kind::{Kind, a_moment, in_each_kind, select_in};
use rendez_core::block_on::block_on;
use rendez_core::case::Case;
use rendez_core::wait::{Order, try_any};
use rendez_select::{
    Receiver, RecvError, Select, Selector, SendError, Sender, bounded, never, select, select_async,
    unbounded,
};

/// A value lies there or the channel is closed, at every instant.
#[test]
fn default_does_not_run_beside_a_close() {
    in_each_kind(async |kind| {
        for _ in 0..kind.pick(500, 5000) {
            let (tx, rx) = bounded(1);
            kind.send(&tx, 1).await.unwrap();
            let theirs = rx.clone();
            let other = kind.go(async move {
                select_in! { kind; recv(theirs) -> _ => true, default => false }
            });
            tx.close();
            let _ = kind.recv(&rx).await;
            assert!(other.join(), "neither a value nor the end was seen");
        }
    });
}

/// One of two channels is ready at every instant: the second becomes so before the first ends.
#[test]
fn default_does_not_run_while_readiness_moves_on() {
    in_each_kind(async |kind| {
        for closes in [false, true] {
            for _ in 0..kind.pick(300, 5000) {
                let (tx1, rx1) = bounded(1);
                let (tx2, rx2) = bounded(usize::from(!closes));
                kind.send(&tx1, 1).await.unwrap();
                let theirs = (rx1.clone(), rx2.clone());
                let other = kind.go(async move {
                    select_in! { kind;
                        recv(theirs.0) -> _ => true,
                        recv(theirs.1) -> _ => true,
                        default => false,
                    }
                });
                if closes {
                    tx2.close();
                } else {
                    kind.send(&tx2, 1).await.unwrap();
                }
                select_in! { kind; recv(rx1) -> _ => {}, default => {} }
                assert!(other.join(), "one of the two was ready at every instant");
            }
        }
    });
}

/// Moves a token between two channels for as long as it is told, sending it on before it takes
/// it: at every instant one of the channels has one, but for what others hold.
fn shuttle(ends: &[(Sender<()>, Receiver<()>); 2], goes_on: &AtomicBool) {
    let [(tx1, rx1), (tx2, rx2)] = ends;
    while goes_on.load(Ordering::Relaxed) {
        tx2.send(()).unwrap();
        while rx1.try_recv().is_ok() {}
        tx1.send(()).unwrap();
        while rx2.try_recv().is_ok() {}
    }
}

/// Looks at a token that moves until `found_none` says that a look found none, or the time is
/// over. Returns how many looks it took.
fn looks_until_none(
    limit: Duration,
    mut found_none: impl FnMut(&Receiver<()>, &Receiver<()>) -> bool,
) -> Option<u32> {
    let ends = [unbounded(), unbounded()];
    ends[0].0.send(()).unwrap();
    let goes_on = AtomicBool::new(true);
    thread::scope(|s| {
        s.spawn(|| shuttle(&ends, &goes_on));
        let until = Instant::now() + limit;
        let mut n_looks = 0;
        let mut found = None;
        while found.is_none() && Instant::now() < until {
            n_looks += 1;
            found = found_none(&ends[0].1, &ends[1].1).then_some(n_looks);
        }
        goes_on.store(false, Ordering::Relaxed);
        found
    })
}

/// Two channels between which a token moves are never both empty, though they are found so by
/// who looks at one after the other.
#[test]
fn default_never_runs_while_a_token_moves_between_channels() {
    within(Duration::from_secs(120), "a token", || {
        // The situation arises: a single look at each is wrong.
        let wrong = looks_until_none(Duration::from_secs(60), |a, b| {
            a.is_empty() && {
                thread::yield_now();
                b.is_empty()
            }
        });
        let n_looks = wrong.expect("who looks at each once is wrong now and then");
        println!("a look at each was wrong after {n_looks} looks");
        // What does not keep the token may look at it again and again.
        let limit = Duration::from_millis(700);
        let (mut n_looks, silent) = (0, never::<u8>());
        let default = looks_until_none(limit, |a, b| {
            n_looks += 1;
            // Others in between give the token time to move.
            let mut arms: Vec<&dyn Case> = vec![&silent; 300];
            (arms[0], arms[299]) = (a, b);
            let won = try_any(&arms, Order::Fair);
            won.map(|(arm, outcome)| arms[arm].abandon(outcome))
                .is_none()
        });
        assert_eq!(default, None, "`default` ran");
        println!("none of {n_looks} selects was");
        let ready = looks_until_none(limit, |a, b| {
            let mut select = Select::new();
            select.recv(a);
            select.recv(b);
            select.try_ready().is_err()
        });
        assert_eq!(ready, None, "`try_ready` found none");
    });
}

/// As above, for those that take the token: one look each while it moves.
#[test]
fn default_never_runs_while_what_it_takes_moves() {
    type Look = fn(&Receiver<()>, &Receiver<()>) -> bool;
    let takes: [Look; 4] = [
        |a, b| select! { recv(a) -> _ => true, recv(b) -> _ => true, default => false },
        |a, b| {
            block_on(async {
                select_async! { recv(a) -> _ => true, recv(b) -> _ => true, default => false }
            })
        },
        |a, b| {
            let mut select = Select::new();
            let first = select.recv(a);
            select.recv(b);
            select.try_select().is_ok_and(|op| {
                let from = if op.index() == first { a } else { b };
                op.recv(from).is_ok()
            })
        },
        |a, b| {
            let mut selector = Selector::new();
            selector.add(a);
            selector.add(b);
            selector.try_wait().is_some()
        },
    ];
    within(Duration::from_secs(120), "a token", || {
        for take in takes {
            for _ in 0..400 {
                let ends = [unbounded(), unbounded()];
                ends[0].0.send(()).unwrap();
                let goes_on = AtomicBool::new(true);
                thread::scope(|s| {
                    s.spawn(|| shuttle(&ends, &goes_on));
                    let taken = take(&ends[0].1, &ends[1].1);
                    goes_on.store(false, Ordering::Relaxed);
                    assert!(taken, "one of the two had a value at every instant");
                });
            }
        }
    });
}

#[test]
fn goroutines_that_send_and_receive_on_one_channel_meet_each_other_only() {
    in_each_kind(async |kind| {
        for cap in [0, 10] {
            let (tx, rx) = bounded(cap);
            let both = [0, 1].map(|p| {
                let (tx, rx) = (tx.clone(), rx.clone());
                kind.go(async move {
                    let own = |v| assert!(cap > 0 || v != Ok(p), "it received its own value");
                    for i in 0..1000 {
                        if (p + i) % 2 == 0 {
                            select_in! { kind;
                                send(tx, p) -> sent => sent.unwrap(),
                                recv(rx) -> v => own(v),
                            }
                        } else {
                            select_in! { kind;
                                recv(rx) -> v => own(v),
                                send(tx, p) -> sent => sent.unwrap(),
                            }
                        }
                    }
                })
            });
            for goroutine in both {
                goroutine.join();
            }
        }
    });
}

/// Four channels, on each a sender and a receiver of its own; and one goroutine that sends as
/// many on all of them, and one that receives.
#[test]
fn selects_and_plain_operations_share_channels_under_stress() {
    in_each_kind(async |kind| {
        let n: usize = kind.pick(2000, 5000);
        let ends = [0, 0, 2, 3].map(bounded::<usize>);
        let mut goroutines = Vec::new();
        for (tx, rx) in &ends {
            let (tx, rx) = (tx.clone(), rx.clone());
            goroutines.push(kind.go(async move {
                for i in 0..n {
                    kind.send(&tx, i).await.unwrap();
                }
            }));
            goroutines.push(kind.go(async move {
                for _ in 0..n {
                    kind.recv(&rx).await.unwrap();
                }
            }));
        }
        let txs = ends.each_ref().map(|(tx, _)| tx.clone());
        goroutines.push(kind.go(async move {
            let mut to = txs.each_ref().map(Some);
            let mut n_sent = [0; 4];
            for i in 0..4 * n {
                let at = select_in! { kind;
                    send(to[3], i) -> sent => { sent.unwrap(); 3 }
                    send(to[2], i) -> sent => { sent.unwrap(); 2 }
                    send(to[0], i) -> sent => { sent.unwrap(); 0 }
                    send(to[1], i) -> sent => { sent.unwrap(); 1 }
                };
                n_sent[at] += 1;
                if n_sent[at] == n {
                    to[at] = None;
                }
            }
        }));
        let rxs = ends.each_ref().map(|(_, rx)| rx.clone());
        goroutines.push(kind.go(async move {
            let mut from = rxs.each_ref().map(Some);
            let mut n_received = [0; 4];
            for _ in 0..4 * n {
                let at = select_in! { kind;
                    recv(from[0]) -> v => { v.unwrap(); 0 }
                    recv(from[1]) -> v => { v.unwrap(); 1 }
                    recv(from[2]) -> v => { v.unwrap(); 2 }
                    recv(from[3]) -> v => { v.unwrap(); 3 }
                };
                n_received[at] += 1;
                if n_received[at] == n {
                    from[at] = None;
                }
            }
        }));
        for goroutine in goroutines {
            goroutine.join();
        }
    });
}

#[test]
fn of_two_ready_arms_each_is_chosen_half_the_time() {
    in_each_kind(async |kind| {
        const TRIALS: usize = 10_000;
        let ((tx1, rx1), (tx2, rx2)) = (unbounded(), unbounded());
        for _ in 0..=TRIALS {
            kind.send(&tx1, 1).await.unwrap();
            kind.send(&tx2, 2).await.unwrap();
        }
        let (_keep, (rx3, rx4)) = (bounded::<u8>(0), (never::<u8>(), never::<u8>()));
        let mut n = [0; 2];
        for _ in 0..TRIALS {
            select_in! { kind;
                recv(rx3) -> _ => unreachable!(),
                recv(rx4) -> _ => unreachable!(),
                recv(rx1) -> v => { assert_eq!(v, Ok(1)); n[0] += 1 }
                recv(rx2) -> v => { assert_eq!(v, Ok(2)); n[1] += 1 }
            }
        }
        // Ten standard deviations of 50 each.
        assert!((4500..=5500).contains(&n[0]), "{n:?}");
        assert_eq!(n[0] + n[1], TRIALS);
    });
}

#[test]
fn of_two_sends_on_one_channel_each_is_chosen_at_times() {
    in_each_kind(async |kind| {
        const N: usize = 100;
        for cap in [0, N] {
            let (tx, rx) = bounded(cap);
            let receiver = kind.go(async move {
                let mut n = [0; 2];
                for _ in 0..N {
                    let which: usize = kind.recv(&rx).await.unwrap();
                    n[which] += 1;
                }
                n
            });
            for _ in 0..N {
                select_in! { kind;
                    send(tx, 1) -> sent => sent.unwrap(),
                    send(tx, 0) -> sent => sent.unwrap(),
                }
            }
            let n = receiver.join();
            assert!(n.iter().all(|&n| n > 10), "{n:?}");
        }
    });
}

#[test]
fn a_value_offered_on_four_channels_goes_over_one() {
    in_each_kind(async |kind| {
        const N: usize = 5000;
        let ends = [(); 4].map(|()| bounded::<usize>(0));
        let (all_tx, all) = bounded(0);
        for (_, rx) in &ends {
            let (rx, tx) = (rx.clone(), all_tx.clone());
            kind.go(async move {
                while let Ok(i) = kind.recv(&rx).await {
                    kind.send(&tx, i).await.unwrap();
                }
            });
        }
        drop(all_tx);
        let [c1, c2, c3, c4] = ends.map(|(tx, _)| tx);
        kind.go(async move {
            for i in 0..N {
                select_in! { kind;
                    send(c1, i) -> sent => sent.unwrap(),
                    send(c2, i) -> sent => sent.unwrap(),
                    send(c3, i) -> sent => sent.unwrap(),
                    send(c4, i) -> sent => sent.unwrap(),
                }
            }
        });
        let mut seen = vec![false; N];
        while let Ok(i) = kind.recv(&all).await {
            assert!(!std::mem::replace(&mut seen[i], true), "{i} was sent twice");
        }
        assert!(seen.into_iter().all(|seen| seen));
    });
}

/// Where Go evaluates both values at every entry, these are evaluated when their arm is chosen.
#[test]
fn an_arm_that_is_set_to_none_is_out_and_values_are_made_when_chosen() {
    in_each_kind(async |kind| {
        for both in [true, false] {
            let ((tx_a, rx_a), (tx_b, rx_b)) = (bounded(1), bounded(1));
            let (mut a, mut b) = (Some(&tx_a), both.then_some(&tx_b));
            let n_made = AtomicUsize::new(0);
            let get = || 1_usize << n_made.fetch_add(1, Ordering::Relaxed);
            let mut n_sent = 0;
            loop {
                select_in! { kind;
                    send(a, get()) -> sent => { sent.unwrap(); n_sent += 1; a = None }
                    send(b, get()) -> sent => { sent.unwrap(); n_sent += 1; b = None }
                    default => break,
                }
            }
            let n = 1 + usize::from(both);
            assert_eq!((n_sent, n_made.load(Ordering::Relaxed)), (n, n));
            let got = rx_a.try_recv().unwrap_or(0) | rx_b.try_recv().unwrap_or(0);
            assert_eq!(got, (1 << n) - 1);
        }
    });
}

/// A goroutine that does what never comes back, as far as can be seen.
async fn blocked(
    kind: Kind,
    operation: impl Future<Output = ()> + Send + 'static,
) -> kind::Handle<()> {
    let goroutine = kind.go(operation);
    for _ in 0..5 {
        a_moment();
        kind.yield_now().await;
    }
    assert!(!goroutine.is_finished(), "it came back");
    goroutine
}

#[test]
fn what_blocks_for_ever_and_what_does_not() {
    type NoSender = Option<Sender<u8>>;
    type NoReceiver = Option<Receiver<u8>>;
    in_each_kind(async |kind| {
        // No channel, or none that is ready.
        blocked(kind, async move {
            select_in! { kind; send(NoSender::None, 7) -> _ => {} }
        })
        .await;
        blocked(kind, async move {
            select_in! { kind; recv(NoReceiver::None) -> _ => {} }
        })
        .await;
        blocked(kind, async move {
            select_in! { kind;
                recv(NoReceiver::None) -> _ => {}
                send(NoSender::None, 7) -> _ => {}
                recv(never::<u8>()) -> _ => {}
            }
        })
        .await;
        blocked(kind, async move {
            kind.recv(&never::<u8>()).await.unwrap();
        })
        .await;
        let (tx, rx) = bounded(1);
        let theirs = rx.clone();
        let receiver = blocked(kind, async move {
            select_in! { kind; recv(theirs) -> v => assert_eq!(v, Ok(7)) }
        })
        .await;
        kind.send(&tx, 7).await.unwrap();
        receiver.join();
        kind.send(&tx, 8).await.unwrap();
        let theirs = tx.clone();
        let sender = blocked(kind, async move {
            select_in! { kind; send(theirs, 9) -> sent => sent.unwrap() }
        })
        .await;
        assert_eq!(kind.recv(&rx).await, Ok(8));
        assert_eq!(kind.recv(&rx).await, Ok(9), "from the one that waits");
        sender.join();
        // Both ends of one channel in one select: never its own peer.
        let (tx0, rx0) = bounded(0);
        blocked(kind, async move {
            select_in! { kind;
                send(tx0, 1) -> _ => {}
                recv(rx0) -> _ => {}
            }
        })
        .await;
        // Default alone, and default beside what is not ready.
        assert!(select_in! { kind; default => true });
        assert!(select_in! { kind; recv(NoReceiver::None) -> _ => false, default => true });
        assert!(select_in! { kind; send(NoSender::None, 1) -> _ => false, default => true });
        // What is ready goes before default, the end too.
        let ready = async || {
            select_in! { kind; recv(rx) -> v => v.is_ok(), default => panic!("default") }
        };
        kind.send(&tx, 1).await.unwrap();
        assert!(ready().await);
        assert!(select_in! { kind; send(tx, 2) -> sent => sent.is_ok(), default => false });
        assert!(ready().await);
        tx.close();
        for _ in 0..10 {
            assert!(!ready().await);
            assert_eq!(kind.recv(&rx).await, Err(RecvError));
            select_in! { kind;
                recv(rx) -> v => assert_eq!(v, Err(RecvError)),
                recv(NoReceiver::None) -> _ => unreachable!(),
            }
        }
        assert_eq!(kind.send(&tx, 3).await, Err(SendError(3)));
        select_in! { kind;
            send(tx, 3) -> sent => assert_eq!(sent, Err(SendError(3))),
            default => unreachable!("a send on a closed channel is ready"),
        }
    });
    // `select {}`, for threads; it has no form that could be awaited.
    let for_ever = thread::spawn(|| {
        select! { recv(never::<()>()) -> _ => {} }
    });
    a_moment();
    assert!(!for_ever.is_finished());
}

/// Notes in which order operands are evaluated.
#[derive(Default)]
struct Notes(RefCell<Vec<u32>>);

impl Notes {
    fn note<T>(&self, n: u32, value: T) -> T {
        self.0.borrow_mut().push(n);
        value
    }

    fn take(&self) -> Vec<u32> {
        self.0.take()
    }
}

/// What stands round an arm: nothing, default before or behind, arms that are never ready and
/// arms without a channel before, behind and on both sides.
macro_rules! in_every_company {
    ($run:ident, $notes:ident; $($arm:tt)*) => {{
        let dummy = never::<u32>();
        let no: Option<Receiver<u32>> = None;
        let (full, _keep) = bounded::<u32>(0);
        $run!([1]; $($arm)*);
        $run!([1]; default => unreachable!(), $($arm)*);
        $run!([1]; $($arm)*, default => unreachable!());
        $run!([1, 2]; $($arm)*, recv($notes.note(2, &dummy)) -> _ => unreachable!());
        $run!([0, 1]; recv($notes.note(0, &dummy)) -> _ => unreachable!(), $($arm)*);
        $run!([0, 1, 2];
            recv($notes.note(0, &no)) -> _ => unreachable!(),
            $($arm)*,
            recv($notes.note(2, &no)) -> _ => unreachable!());
        $run!([0, 1, 2];
            send($notes.note(0, &full), $notes.note(99, 1)) -> _ => unreachable!(),
            $($arm)*,
            send($notes.note(2, None::<&Sender<u32>>), $notes.note(99, 1)) -> _ => unreachable!());
        $run!([0, 1, 2];
            default => unreachable!(),
            send($notes.note(0, &full), $notes.note(99, 1)) -> _ => unreachable!(),
            $($arm)*,
            recv($notes.note(2, &dummy)) -> _ => unreachable!());
    }};
}

#[test]
fn operands_are_evaluated_once_in_order_and_bodies_after() {
    block_on(async {
        let notes = Notes::default();
        let (tx, rx) = bounded(1);
        // Received into nothing, a variable, a place of a map.
        for kind in [Kind::Thread, Kind::Task] {
            let mut variable = 0;
            let mut map = HashMap::new();
            macro_rules! receive {
                ([$($n:literal),*]; $($arms:tt)*) => {{
                    tx.try_send(7).unwrap();
                    select_in! { kind; $($arms)* }
                    assert_eq!(notes.take(), [$($n),*, 3]);
                    assert!(rx.is_empty());
                }};
            }
            in_every_company!(receive, notes;
                recv(notes.note(1, &rx)) -> _ => notes.note(3, ()));
            in_every_company!(receive, notes;
                recv(notes.note(1, &rx)) -> v => variable += notes.note(3, v.unwrap()));
            in_every_company!(receive, notes;
            recv(notes.note(1, &rx)) -> v => {
                map.insert(notes.note(3, 5), v.unwrap());
            });
            assert_eq!(variable, 8 * 7);
            assert_eq!(map.remove(&5), Some(7));
            // A value is made once its arm is chosen, before the body.
            macro_rules! send {
                ([$($n:literal),*]; $($arms:tt)*) => {{
                    select_in! { kind; $($arms)* }
                    assert_eq!(notes.take(), [$($n),*, 3, 4]);
                    assert_eq!(rx.try_recv(), Ok(13));
                }};
            }
            in_every_company!(send, notes;
            send(notes.note(1, &tx), notes.note(3, 13)) -> sent => {
                notes.note(4, sent).unwrap();
            });
        }
    });
}

/// In Go a value is read on entry; here when its arm is chosen. Operands that panic keep those
/// behind them from being evaluated in both.
#[test]
fn an_operand_that_panics_stops_those_behind_it() {
    block_on(async {
        for kind in [Kind::Thread, Kind::Task] {
            let notes = Notes::default();
            let (tx, rx) = bounded::<u32>(1);
            let x = Cell::new(1);
            // The later operand changes what the earlier sends.
            select_in! { kind;
                send(tx, x.get()) -> sent => sent.unwrap(),
                recv({ x.set(2); never::<u8>() }) -> _ => unreachable!(),
            }
            assert_eq!(rx.try_recv(), Ok(2), "in Go it would be 1");
            let faulty = || -> &Receiver<u32> { panic!("no channel") };
            let caught = catch_unwind(AssertUnwindSafe(|| {
                block_on(async {
                    select_in! { kind;
                        recv(notes.note(0, &rx)) -> _ => {}
                        recv(faulty()) -> _ => {}
                        recv(notes.note(2, &rx)) -> _ => {}
                    }
                });
            }));
            assert!(caught.is_err());
            assert_eq!(notes.take(), [0]);
        }
    });
}

/// A select that has lost on one channel does not stand in the way of those behind it there.
#[test]
fn a_select_that_was_served_elsewhere_has_left_its_other_queue() {
    in_each_kind(async |kind| {
        for _ in 0..200 {
            let ((tx1, rx1), (tx2, rx2)) = (bounded::<bool>(0), bounded::<bool>(0));
            let theirs = rx1.clone();
            let first = kind.go(async move { kind.recv(&theirs).await });
            let second = kind.go(async move {
                select_in! { kind;
                    recv(rx1) -> _ => panic!("nothing was sent there yet"),
                    recv(rx2) -> v => assert_eq!(v, Ok(true)),
                }
                kind.recv(&rx1).await
            });
            kind.send(&tx2, true).await.unwrap();
            kind.send(&tx1, false).await.unwrap();
            kind.send(&tx1, true).await.unwrap();
            let both = [first.join(), second.join()];
            assert!(both.contains(&Ok(true)) && both.contains(&Ok(false)));
        }
    });
}

#[test]
fn every_way_to_send_meets_every_way_to_receive() {
    in_each_kind(async |kind| {
        for sends in 0..3 {
            for receives in 0..3 {
                let (tx, rx) = bounded(0);
                let sender = kind.go(async move {
                    match sends {
                        0 => kind.send(&tx, 42).await.unwrap(),
                        1 => select_in! { kind; send(tx, 42) -> sent => sent.unwrap() },
                        _ => select_in! { kind;
                            recv(never::<u8>()) -> _ => unreachable!(),
                            send(tx, 42) -> sent => sent.unwrap(),
                        },
                    }
                });
                let got = match receives {
                    0 => kind.recv(&rx).await,
                    1 => select_in! { kind; recv(rx) -> v => v },
                    _ => select_in! { kind; recv(never()) -> v => v, recv(rx) -> v => v },
                };
                assert_eq!(got, Ok(42), "{sends} {receives}");
                sender.join();
            }
        }
    });
}

/// How the sides of a topology work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    /// A goroutine for each channel.
    Direct,
    /// One goroutine, that selects among all four.
    Selects,
}

const N_VALUES: u32 = 76;

/// What is sent on channel `c`, one after the other.
fn nth(c: usize, n: u32) -> u32 {
    u32::try_from(c).unwrap() * 1000 + n
}

async fn send_all(kind: Kind, tx: Sender<u32>, c: usize) -> u32 {
    for n in 0..N_VALUES {
        kind.send(&tx, nth(c, n)).await.unwrap();
        if n % 7 == 0 {
            kind.yield_now().await;
        }
    }
    N_VALUES
}

async fn receive_all(kind: Kind, rx: Receiver<u32>, c: usize) -> u32 {
    for n in 0..N_VALUES {
        assert_eq!(kind.recv(&rx).await, Ok(nth(c, n)));
    }
    N_VALUES
}

/// Sends on and receives from four channels each through one select, an arm being out when
/// its channel has had all; `first` is the number of the first channel on each side.
async fn exchange_all(
    kind: Kind,
    txs: [Option<Sender<u32>>; 4],
    rxs: [Option<Receiver<u32>>; 4],
    (first_tx, first_rx): (usize, usize),
) -> u32 {
    let (mut txs, mut rxs) = (txs, rxs);
    let (mut sent, mut received, mut total) = ([0; 4], [0; 4], 0);
    while txs.iter().any(Option::is_some) || rxs.iter().any(Option::is_some) {
        let value = |i: usize| nth(first_tx + i, sent[i]);
        let (to, from) = select_in! { kind;
            send(txs[0], value(0)) -> r => { r.unwrap(); (Some(0), None) }
            recv(rxs[0]) -> v => (None, Some((0, v))),
            send(txs[1], value(1)) -> r => { r.unwrap(); (Some(1), None) }
            recv(rxs[1]) -> v => (None, Some((1, v))),
            send(txs[2], value(2)) -> r => { r.unwrap(); (Some(2), None) }
            recv(rxs[2]) -> v => (None, Some((2, v))),
            send(txs[3], value(3)) -> r => { r.unwrap(); (Some(3), None) }
            recv(rxs[3]) -> v => (None, Some((3, v))),
        };
        total += 1;
        if let Some(i) = to {
            sent[i] += 1;
            if sent[i] == N_VALUES {
                txs[i] = None;
            }
        }
        if let Some((i, v)) = from {
            assert_eq!(v, Ok(nth(first_rx + i, received[i])));
            received[i] += 1;
            if received[i] == N_VALUES {
                rxs[i] = None;
            }
        }
    }
    total
}

#[test]
fn values_keep_their_order_through_every_topology() {
    const NO_TX: [Option<Sender<u32>>; 4] = [const { None }; 4];
    const NO_RX: [Option<Receiver<u32>>; 4] = [const { None }; 4];
    in_each_kind(async |kind| {
        for cap in [0, 1, 10, 100] {
            // Four channels between two sides of either kind.
            for senders in [Side::Direct, Side::Selects] {
                for receivers in [Side::Direct, Side::Selects] {
                    let (txs, rxs): (Vec<_>, Vec<_>) = (0..4).map(|_| bounded(cap)).unzip();
                    let mut goroutines = Vec::new();
                    match senders {
                        Side::Direct => goroutines
                            .extend((0..).zip(txs).map(|(c, tx)| kind.go(send_all(kind, tx, c)))),
                        Side::Selects => {
                            let txs = txs.into_iter().map(Some).collect::<Vec<_>>();
                            let txs = txs.try_into().expect("four");
                            goroutines.push(kind.go(exchange_all(kind, txs, NO_RX, (0, 0))));
                        }
                    }
                    match receivers {
                        Side::Direct => goroutines.extend(
                            (0..)
                                .zip(rxs)
                                .map(|(c, rx)| kind.go(receive_all(kind, rx, c))),
                        ),
                        Side::Selects => {
                            let rxs = rxs.into_iter().map(Some).collect::<Vec<_>>();
                            let rxs = rxs.try_into().expect("four");
                            goroutines.push(kind.go(exchange_all(kind, NO_TX, rxs, (0, 0))));
                        }
                    }
                    let n: u32 = goroutines.into_iter().map(kind::Handle::join).sum();
                    assert_eq!(n, 2 * 4 * N_VALUES, "{cap} {senders:?} {receivers:?}");
                }
            }
            // Two selects of eight arms, four each way; and one such against plain goroutines.
            for crossed in [true, false] {
                let there = [(); 4].map(|()| bounded(cap));
                let back = [(); 4].map(|()| bounded(cap));
                let tx = |ends: &[(Sender<u32>, Receiver<u32>); 4]| {
                    ends.each_ref().map(|(tx, _)| Some(tx.clone()))
                };
                let rx = |ends: &[(Sender<u32>, Receiver<u32>); 4]| {
                    ends.each_ref().map(|(_, rx)| Some(rx.clone()))
                };
                let mut goroutines =
                    vec![kind.go(exchange_all(kind, tx(&there), rx(&back), (0, 4)))];
                if crossed {
                    goroutines.push(kind.go(exchange_all(kind, tx(&back), rx(&there), (4, 0))));
                } else {
                    for c in 0..4 {
                        let (to, from) = (back[c].0.clone(), there[c].1.clone());
                        goroutines.push(kind.go(send_all(kind, to, 4 + c)));
                        goroutines.push(kind.go(receive_all(kind, from, c)));
                    }
                }
                let n: u32 = goroutines.into_iter().map(kind::Handle::join).sum();
                assert_eq!(n, 2 * 8 * N_VALUES, "{cap} {crossed}");
            }
        }
    });
}

/// A buffer that grows: what it is given it holds until it is taken. Ends with its input.
fn proxy(kind: Kind) -> (Sender<u64>, Receiver<u64>) {
    let ((tx, input), (output, rx)) = (bounded(0), bounded(0));
    kind.go(async move {
        let mut held = std::collections::VecDeque::new();
        let mut input = Some(input);
        while input.is_some() || !held.is_empty() {
            // Nothing to give: no arm.
            let to = (!held.is_empty()).then_some(&output);
            let got = select_in! { kind;
                recv(input) -> value => Some(value),
                send(to, held[0]) -> sent => match sent {
                    Ok(()) => None,
                    Err(_) => return,
                },
            };
            match got {
                Some(Ok(value)) => held.push_back(value),
                Some(Err(RecvError)) => input = None,
                None => {
                    held.pop_front();
                }
            }
        }
    });
    (tx, rx)
}

/// Primes, found by merging the multiples of those before them; each set of multiples is a
/// goroutine, and the primes found so far go round through a buffer that grows.
#[test]
fn a_merge_of_multiples_sieves_the_primes() {
    in_each_kind(async |kind| {
        let (found, primes_back) = proxy(kind);
        let (composites_tx, composites) = bounded(0);
        kind.go(async move {
            // The next multiple of each prime, the smallest first.
            let mut heads: Vec<(u64, Receiver<u64>)> = Vec::new();
            let mut next_prime: u64 = kind.recv(&primes_back).await.unwrap();
            loop {
                let smallest = heads.iter().map(|(head, _)| *head).min();
                if smallest.is_none_or(|head| head >= next_prime * next_prime) {
                    let prime = next_prime;
                    let (tx, multiples) = bounded(0);
                    kind.go(async move {
                        for i in prime.. {
                            if kind.send(&tx, i * prime).await.is_err() {
                                return;
                            }
                        }
                    });
                    let head = kind.recv(&multiples).await.unwrap();
                    heads.push((head, multiples));
                    match kind.recv(&primes_back).await {
                        Ok(prime) => next_prime = prime,
                        Err(RecvError) => return,
                    }
                    continue;
                }
                let smallest = smallest.expect("there is one");
                for (head, multiples) in &mut heads {
                    if *head == smallest {
                        *head = kind.recv(multiples).await.unwrap();
                    }
                }
                if kind.send(&composites_tx, smallest).await.is_err() {
                    return;
                }
            }
        });
        let mut primes = vec![2];
        kind.send(&found, 2).await.unwrap();
        kind.send(&found, 3).await.unwrap();
        let (mut candidate, mut composite) = (3, kind.recv(&composites).await.unwrap());
        while primes.len() < 40 {
            if candidate < composite {
                primes.push(candidate);
                if candidate > 3 {
                    kind.send(&found, candidate).await.unwrap();
                }
            } else {
                composite = kind.recv(&composites).await.unwrap();
            }
            candidate += 1;
        }
        assert_eq!(primes[..10], [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert_eq!(primes[39], 173);
    });
}

/// Power series whose coefficients are computed on demand, each by a goroutine: hundreds of
/// channels that live for a few values, and goroutines that make goroutines.
mod series {
    use super::*;

    /// A coefficient.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Ratio(i64, i64);

    impl Ratio {
        pub(super) fn new(n: i64, d: i64) -> Self {
            let (mut a, mut b) = (n.abs(), d.abs());
            while b != 0 {
                (a, b) = (b, a % b);
            }
            let by = if d < 0 { -a } else { a };
            Self(n / by, d / by)
        }
        fn plus(self, other: Self) -> Self {
            Self::new(self.0 * other.1 + other.0 * self.1, self.1 * other.1)
        }
        fn times(self, other: Self) -> Self {
            Self::new(self.0 * other.0, self.1 * other.1)
        }
    }

    /// Asked over one channel, answered over the other.
    pub(super) struct Series {
        demand: Sender<()>,
        data: Receiver<Ratio>,
    }

    struct Source {
        demand: Receiver<()>,
        data: Sender<Ratio>,
    }

    fn series() -> (Source, Series) {
        let ((demand_tx, demand), (data, data_rx)) = (bounded(0), bounded(0));
        let series = Series {
            demand: demand_tx,
            data: data_rx,
        };
        (Source { demand, data }, series)
    }

    impl Series {
        /// The next coefficient; `None` if the goroutine behind it has gone.
        pub(super) async fn get(&self, kind: Kind) -> Option<Ratio> {
            kind.send(&self.demand, ()).await.ok()?;
            kind.recv(&self.data).await.ok()
        }
    }

    impl Source {
        /// Waits until it is asked; `None` if that will not be.
        async fn asked(&self, kind: Kind) -> Option<()> {
            kind.recv(&self.demand).await.ok()
        }

        async fn put(&self, kind: Kind, value: Ratio) -> Option<()> {
            kind.send(&self.data, value).await.ok()
        }

        /// Gives on everything `from` gives.
        async fn copy(&self, kind: Kind, from: Series) -> Option<()> {
            loop {
                self.asked(kind).await?;
                self.put(kind, from.get(kind).await?).await?;
            }
        }
    }

    /// 1 + x + x^2 + ...
    pub(super) fn ones(kind: Kind) -> Series {
        let (source, series) = series();
        kind.go(async move {
            while source.asked(kind).await.is_some() {
                source.put(kind, Ratio::new(1, 1)).await?;
            }
            Some(())
        });
        series
    }

    /// The same series twice, asked independently of each other.
    fn split(kind: Kind, from: Series) -> [Series; 2] {
        let ((a, series_a), (b, series_b)) = (series(), series());
        kind.go(async move {
            let (mut ahead_a, mut ahead_b) = (Vec::new(), Vec::new());
            let (mut open_a, mut open_b) = (true, true);
            while open_a || open_b {
                let of_a = select_in! { kind;
                    recv(a.demand) if open_a -> asked => { open_a = asked.is_ok(); true }
                    recv(b.demand) if open_b -> asked => { open_b = asked.is_ok(); false }
                };
                let (source, open, own, other) = if of_a {
                    (&a, &mut open_a, &mut ahead_a, &mut ahead_b)
                } else {
                    (&b, &mut open_b, &mut ahead_b, &mut ahead_a)
                };
                if !*open {
                    continue;
                }
                if own.is_empty() {
                    let value = from.get(kind).await?;
                    own.push(value);
                    other.push(value);
                }
                *open = source.put(kind, own.remove(0)).await.is_some();
            }
            Some(())
        });
        [series_a, series_b]
    }

    fn add(kind: Kind, a: Series, b: Series) -> Series {
        let (source, series) = series();
        kind.go(async move {
            loop {
                source.asked(kind).await?;
                let sum = a.get(kind).await?.plus(b.get(kind).await?);
                source.put(kind, sum).await?;
            }
            #[allow(unreachable_code)]
            Some(())
        });
        series
    }

    fn scale(kind: Kind, by: Ratio, a: Series) -> Series {
        let (source, series) = series();
        kind.go(async move {
            loop {
                source.asked(kind).await?;
                source.put(kind, a.get(kind).await?.times(by)).await?;
            }
            #[allow(unreachable_code)]
            Some(())
        });
        series
    }

    /// `first + x * rest`.
    fn cons(kind: Kind, first: Ratio, rest: Series) -> Series {
        let (source, series) = series();
        kind.go(async move {
            source.asked(kind).await?;
            source.put(kind, first).await?;
            source.copy(kind, rest).await
        });
        series
    }

    /// With `a = a0 + xA`, `b = b0 + xB`: `a0 b0 + x (a0 B + b0 A + x A B)`.
    pub(super) fn multiply(kind: Kind, a: Series, b: Series) -> Series {
        let (source, series) = series();
        kind.go(async move {
            source.asked(kind).await?;
            let (a0, b0) = (a.get(kind).await?, b.get(kind).await?);
            source.put(kind, a0.times(b0)).await?;
            let ([a1, a2], [b1, b2]) = (split(kind, a), split(kind, b));
            let sides = add(kind, scale(kind, a0, b1), scale(kind, b0, a1));
            let product = cons(kind, Ratio::new(0, 1), multiply(kind, a2, b2));
            source.copy(kind, add(kind, sides, product)).await
        });
        series
    }

    /// Of `c0 + c1 x + ...`: `c1 + 2 c2 x + ...`.
    pub(super) fn derive(kind: Kind, a: Series) -> Series {
        let (source, series) = series();
        kind.go(async move {
            source.asked(kind).await?;
            a.get(kind).await?;
            let mut n = 1;
            loop {
                let value = a.get(kind).await?.times(Ratio::new(n, 1));
                source.put(kind, value).await?;
                n += 1;
                source.asked(kind).await?;
            }
            #[allow(unreachable_code)]
            Some(())
        });
        series
    }

    /// The integral that begins with `constant`.
    pub(super) fn integrate(kind: Kind, constant: Ratio, a: Series) -> Series {
        let (source, series) = series();
        kind.go(async move {
            source.asked(kind).await?;
            source.put(kind, constant).await?;
            let mut n = 1;
            loop {
                source.asked(kind).await?;
                let value = a.get(kind).await?.times(Ratio::new(1, n));
                source.put(kind, value).await?;
                n += 1;
            }
            #[allow(unreachable_code)]
            Some(())
        });
        series
    }

    pub(super) async fn first(kind: Kind, n: usize, series: Series) -> Vec<Ratio> {
        let mut got = Vec::new();
        for _ in 0..n {
            got.push(series.get(kind).await.unwrap());
        }
        got
    }
}

#[test]
fn power_series_computed_by_goroutines_have_their_known_coefficients() {
    use series::{Ratio, derive, first, integrate, multiply, ones};
    in_each_kind(async |kind| {
        let n = kind.pick(6, 12);
        let whole = |range: std::ops::Range<i64>| range.map(|i| Ratio::new(i, 1));
        // 1/(1-x), its derivative, its square, which is the same, and its integral, -ln(1-x).
        let end = i64::try_from(n).unwrap();
        assert_eq!(first(kind, n, ones(kind)).await, vec![Ratio::new(1, 1); n]);
        let derived = first(kind, n, derive(kind, ones(kind))).await;
        assert!(derived.into_iter().eq(whole(1..end + 1)));
        let squared = first(kind, n, multiply(kind, ones(kind), ones(kind))).await;
        assert!(squared.into_iter().eq(whole(1..end + 1)));
        let integrated = integrate(kind, Ratio::new(0, 1), ones(kind));
        let logarithm = (1..end).map(|i| Ratio::new(1, i));
        let expected = std::iter::once(Ratio::new(0, 1)).chain(logarithm);
        assert!(first(kind, n, integrated).await.into_iter().eq(expected));
        // 1/(1-x)^3: the triangular numbers.
        let cube = multiply(kind, multiply(kind, ones(kind), ones(kind)), ones(kind));
        let triangular = (1..end + 1).map(|i| Ratio::new(i * (i + 1) / 2, 1));
        assert!(first(kind, n, cube).await.into_iter().eq(triangular));
    });
}

/// Goroutines that hold on to what they are given may outlive a test; these have gone.
#[test]
fn selects_that_are_abandoned_leave_their_channels() {
    in_each_kind(async |kind| {
        let (tx, rx) = bounded::<Arc<()>>(1);
        let value = Arc::new(());
        for _ in 0..100 {
            let theirs = rx.clone();
            let waiter = kind.go(async move {
                select_in! { kind;
                    recv(theirs) -> v => v.is_ok(),
                    recv(never::<u8>()) -> _ => unreachable!(),
                    default(Duration::from_micros(50)) => false,
                }
            });
            kind.send(&tx, Arc::clone(&value)).await.unwrap();
            if !waiter.join() {
                drop(kind.recv(&rx).await.unwrap());
            }
        }
        assert_eq!(Arc::strong_count(&value), 1);
        assert_eq!(rx.receiver_count(), 1);
    });
}
