//! What may stand as an arm, and where: guards, options, futures, all ways to name a channel.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::cell::RefCell;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use common::{Census, Count, poll, poll_with};
use rendez_core::block_on::block_on;
use rendez_select::{
    Receiver, Sender, TryRecvError, after, bounded, never, select, select_async, select_biased,
    select_biased_async, unbounded,
};

const SHORT: Duration = Duration::from_millis(2);

fn one<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let (tx, rx) = bounded(1);
    tx.send(value).unwrap();
    (tx, rx)
}

#[test]
fn an_arm_with_a_false_guard_is_never_ready_and_its_channel_is_not_evaluated() {
    let (_tx, rx) = one(1);
    let unused = || -> &Receiver<u8> { panic!("evaluated") };
    let on = true;
    assert!(select! {
        recv(unused()) if !on -> _ => false,
        recv(rx) if on -> v => v == Ok(1),
    });
    assert!(select! { recv(unused()) if !on -> _ => false, default => true });
    assert!(select! { recv(unused()) if !on -> _ => false, default(SHORT) => true });
    let no_sender = || -> &Sender<u8> { panic!("evaluated") };
    assert!(select! { send(no_sender(), 1) if !on -> _ => false, default => true });
    let got = block_on(async {
        select_async! {
            recv(unused()) if !on -> _ => 0,
            await(async { panic!("polled") }) if !on -> n => n,
            await(ready(7)) if on -> n => n,
        }
    });
    assert_eq!(got, 7);
}

#[test]
fn guards_and_channels_are_evaluated_once_in_order() {
    let (tx, rx) = one(1);
    let log = RefCell::new(Vec::new());
    let say = |what: &'static str| log.borrow_mut().push(what);
    select_biased! {
        recv({ say("a"); never::<u8>() }) -> _ => {}
        recv({ say("c"); &rx }) if { say("b"); true } -> v => assert_eq!(v, Ok(1)),
        send({ say("unused"); &tx }, 5) if { say("d"); false } -> _ => {}
        send({ say("f"); &tx }, 5) if { say("e"); 1 < 2 } -> _ => {}
    }
    assert_eq!(*log.borrow(), ["a", "b", "c", "d", "e", "f"]);
}

#[test]
fn a_guard_may_be_any_expression() {
    struct Queue {
        pending: Vec<u8>,
        limit: usize,
    }
    let queue = Queue {
        pending: vec![1, 2],
        limit: 3,
    };
    let (_tx, rx) = one(1);
    let yes = select! {
        recv(rx) if queue.pending.len() < queue.limit && !queue.pending.is_empty() -> v => v.is_ok(),
        default => false,
    };
    assert!(yes);
    let no = select! {
        recv(rx) if queue.pending.iter().map(|n| usize::from(*n)).sum::<usize>() == 0 -> _ => true,
        recv(rx) if matches!(queue.limit, 4 | 5) -> _ => { true }
        recv(rx) if let_me(false) -> _ => true,
        default => false,
    };
    assert!(!no);
    fn let_me(yes: bool) -> bool {
        yes
    }
}

#[test]
fn default_takes_a_guard_as_any_arm_does() {
    let (tx, rx) = bounded(1);
    let on = true;
    assert_eq!(
        select! { recv(rx) -> v => v, default if on => Ok(0) },
        Ok(0)
    );
    assert_eq!(
        select_biased! { default(SHORT) if on && tx.is_empty() => { Ok(0) } recv(rx) -> v => v },
        Ok(0)
    );
    block_on(async {
        assert_eq!(
            select_async! { default() if on => Ok(0), recv(rx) -> v => v },
            Ok(0)
        );
        let late = select_biased_async! { recv(rx) -> v => v, default(SHORT) if on => Ok(0) };
        assert_eq!(late, Ok(0));
    });

    // Without, it waits; and the time is not evaluated.
    let unused = || -> Duration { panic!("evaluated") };
    assert!(select! { default if !on => false, recv(after(SHORT)) -> _ => true });
    assert!(select! { default(unused()) if !on => false, recv(after(SHORT)) -> _ => true });
    let mut awaited = pin!(async {
        select_async! { default(unused()) if !on => Ok(0), recv(rx) -> v => v }
    });
    assert!(poll(awaited.as_mut()).is_pending());
    tx.send(1).unwrap();
    assert_eq!(poll(awaited), Poll::Ready(Ok(1)));

    // In its turn among the others, once.
    tx.send(2).unwrap();
    let log = RefCell::new(Vec::new());
    let say = |what: &'static str| log.borrow_mut().push(what);
    select! {
        recv(rx) if { say("a"); false } -> _ => {}
        default({ say("c"); SHORT }) if { say("b"); on } => say("e"),
        recv(rx) if { say("d"); false } -> _ => {}
    }
    assert_eq!(*log.borrow(), ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_guarded_temporary_lives_as_long_as_the_select() {
    let make = || one(3).1;
    assert_eq!(select! { recv(make()) if true -> v => v, }, Ok(3));
    assert_eq!(
        block_on(async {
            select_async! { recv(make()) if true -> v => v }
        }),
        Ok(3)
    );
}

#[test]
fn a_channel_may_be_named_in_every_way() {
    let (tx, rx) = unbounded();
    let (tx2, other) = unbounded::<u8>();
    let fill = || tx.send(1).unwrap();
    let (by_ref, shared, boxed) = (&rx, Arc::new(rx.clone()), Box::new(rx.clone()));
    let chosen = true;
    let some = Some(rx.clone());
    let none: Option<Receiver<u8>> = None;
    let cell = RefCell::new(rx.clone());

    for _ in 0..16 {
        fill();
    }
    assert_eq!(select! { recv(rx) -> v => v }, Ok(1));
    assert_eq!(select! { recv(&rx) -> v => v }, Ok(1));
    assert_eq!(select! { recv(*by_ref) -> v => v }, Ok(1));
    assert_eq!(select! { recv(shared) -> v => v }, Ok(1));
    assert_eq!(select! { recv(boxed) -> v => v }, Ok(1));
    assert_eq!(
        select! { recv(if chosen { &rx } else { &other }) -> v => v },
        Ok(1)
    );
    assert_eq!(
        select! { recv(some.as_ref().unwrap_or(&never())) -> v => v },
        Ok(1)
    );
    assert_eq!(select! { recv(some) -> v => v }, Ok(1));
    assert_eq!(select! { recv(some.as_ref()) -> v => v }, Ok(1));
    let (mut one, mut other_one) = (rx.clone(), Some(rx.clone()));
    assert_eq!(select! { recv(&mut one) -> v => v }, Ok(1));
    assert_eq!(select! { recv(other_one.as_mut()) -> v => v }, Ok(1));
    assert_eq!(select! { recv(Some(Arc::clone(&shared))) -> v => v }, Ok(1));
    assert_eq!(select! { recv(Some(&boxed)) -> v => v }, Ok(1));
    assert_eq!(select! { recv(Some(Rc::new(rx.clone()))) -> v => v }, Ok(1));
    assert_eq!(select! { recv(cell.borrow()) -> v => v }, Ok(1));
    assert_eq!(select! { recv(shared) if chosen -> v => v }, Ok(1));
    assert!(select! { recv(none) -> _ => false, default => true });
    assert!(select! { recv(none.as_ref().unwrap_or(&never())) -> _ => false, default => true });

    let senders = [tx2.clone()];
    let arc = Arc::new(tx2.clone());
    select! { send(tx2, 1) -> r => r.unwrap() }
    select! { send(&tx2, 2) -> r => r.unwrap() }
    select! { send(senders[0], 3) -> r => r.unwrap() }
    select! { send(arc, 4) -> r => r.unwrap() }
    select! { send(Some(&tx2), 5) -> r => r.unwrap() }
    select! { send(arc, 6) if chosen -> r => r.unwrap() }
    select! { send(Some(arc), 7) -> r => r.unwrap() }
    assert_eq!(other.drain().collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}

macro_rules! sixty_four {
    ($select:ident, $r:ident, $($guard:tt)*) => {
        sixty_four!(@16 $select, $r, ($($guard)*), [
            0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
            32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60
            61 62 63
        ])
    };
    (@16 $select:ident, $r:ident, (), [$($i:tt)*]) => {
        $select! { $(recv($r[$i]) -> v => v.map(|v| (v, $i)),)* }
    };
    (@16 $select:ident, $r:ident, ($guard:expr), [$($i:tt)*]) => {
        $select! { $(recv($r[$i]) if $guard -> v => v.map(|v| (v, $i)),)* }
    };
}

#[test]
fn sixty_four_arms_work_in_every_form() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let channels: Vec<_> = (0..64).map(|_| bounded::<u8>(1)).collect();
    let r: Vec<_> = channels.iter().map(|(_, rx)| rx.clone()).collect();
    let on = true;
    for i in [0, 31, 63] {
        let fill = || channels[i].0.send(7).unwrap();
        fill();
        assert_eq!(sixty_four!(select, r,), Ok((7, i)));
        fill();
        assert_eq!(sixty_four!(select_biased, r, on), Ok((7, i)));
        let mut awaited = pin!(send(async { sixty_four!(select_async, r,) }));
        assert!(poll(awaited.as_mut()).is_pending());
        fill();
        assert_eq!(poll(awaited), Poll::Ready(Ok((7, i))));
        fill();
        let guarded = send(async { sixty_four!(select_biased_async, r, on) });
        assert_eq!(block_on(guarded), Ok((7, i)));
    }
}

#[test]
fn sixty_four_arms_may_all_have_long_guards() {
    struct Limits {
        most: usize,
    }
    let channels: Vec<_> = (0..64).map(|_| bounded::<u8>(1)).collect();
    let r: Vec<_> = channels.iter().map(|(_, rx)| rx.clone()).collect();
    let (limits, d) = (Limits { most: 3 }, [1, 2]);
    let fill = || channels[63].0.send(7).unwrap();
    // Of sixteen tokens; with a comma after each arm, and with a block and none.
    macro_rules! guarded {
        ($select:ident, $($i:tt)*) => {
            $select! { $(
                recv(r[$i]) if limits.most.min(5) > 2 && d[1] + 1 > d[0] -> v => v.map(|v| (v, $i)),
            )* }
        };
        (@block $select:ident, $($i:tt)*) => {
            $select! { $(
                recv(r[$i]) if limits.most.min(5) > 2 && d[1] + 1 > d[0] -> v => { v.map(|v| (v, $i)) }
            )* }
        };
    }
    macro_rules! all {
        ($($how:tt)*) => {
            guarded!($($how)*
                0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
                33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62
                63)
        };
    }
    fill();
    assert_eq!(all!(select,), Ok((7, 63)));
    fill();
    assert_eq!(all!(@block select_biased,), Ok((7, 63)));
    block_on(async {
        fill();
        assert_eq!(all!(@block select_async,), Ok((7, 63)));
        fill();
        assert_eq!(all!(select_biased_async,), Ok((7, 63)));
    });
}

#[test]
fn arms_with_and_without_guards_may_take_turns() {
    let channels: Vec<_> = (0..64).map(|_| bounded::<u8>(1)).collect();
    let r: Vec<_> = channels.iter().map(|(_, rx)| rx.clone()).collect();
    let d = [1, 2];
    macro_rules! by_turns {
        ($([$i:tt $j:tt])*) => {
            select! { $(
                recv(r[$i]) if d[0] + d[1] == 3 && d.len() == 2 -> v => v.map(|v| (v, $i)),
                recv(r[$j]) -> v => v.map(|v| (v, $j)),
            )* }
        };
    }
    for i in [0, 1, 30, 62, 63] {
        channels[i].0.send(7).unwrap();
        let got = by_turns!(
            [0 1] [2 3] [4 5] [6 7] [8 9] [10 11] [12 13] [14 15] [16 17] [18 19] [20 21] [22 23]
            [24 25] [26 27] [28 29] [30 31] [32 33] [34 35] [36 37] [38 39] [40 41] [42 43] [44 45]
            [46 47] [48 49] [50 51] [52 53] [54 55] [56 57] [58 59] [60 61] [62 63]
        );
        assert_eq!(got, Ok((7, i)));
    }
}

#[test]
fn a_guard_may_be_of_any_length() {
    // Of every number of tokens: `1 + 1 + … > on`, after `!` or not.
    macro_rules! guarded {
        ($($one:tt)*) => {{
            let n = [$($one),*].len() + 1;
            for (on, got) in [(n - 1, Ok(1)), (n, Err(0))] {
                let (tx, rx) = bounded::<u8>(1);
                tx.send(1).unwrap();
                let odd = select! {
                    recv(rx) if 1 $(+ $one)* > on -> v => v.map_err(|_| 9),
                    default => Err(0),
                };
                assert_eq!(odd, got);
                tx.try_send(1).unwrap_or(());
                let even = select! {
                    recv(rx) if ! (on >= n) $(&& $one == 1)* -> v => { v.map_err(|_| 9) }
                    default => Err(0),
                };
                assert_eq!(even, got);
            }
        }};
    }
    guarded!(1);
    guarded!(1 1);
    guarded!(1 1 1);
    guarded!(1 1 1 1);
    guarded!(1 1 1 1 1);
    guarded!(1 1 1 1 1 1);
    guarded!(1 1 1 1 1 1 1);
    guarded!(1 1 1 1 1 1 1 1);
    guarded!(1 1 1 1 1 1 1 1 1);
    guarded!(1 1 1 1 1 1 1 1 1 1);
    guarded!(1 1 1 1 1 1 1 1 1 1 1);
    guarded!(1 1 1 1 1 1 1 1 1 1 1 1);
    guarded!(1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1);
}

#[test]
fn a_future_is_an_arm() {
    let (tx, rx) = bounded::<u8>(1);
    block_on(async {
        let got = select_async! {
            recv(rx) -> _ => 0,
            await(async { 5 }) -> n => n,
        };
        assert_eq!(got, 5);
        tx.send(1).unwrap();
        let got = select_async! {
            recv(rx) -> v => v.unwrap(),
            await(pending::<u8>()) -> n => n,
        };
        assert_eq!(got, 1);
        let got = select_async! { await(pending::<u8>()) -> n => n, default => 9 };
        assert_eq!(got, 9);
        let got = select_async! { await(ready(4)) -> n => n, default => 9 };
        assert_eq!(got, 4);
        let got = select_async! { await(pending::<u8>()) -> n => n, default(SHORT) => 8 };
        assert_eq!(got, 8);
    });
}

#[test]
fn a_future_that_is_kept_goes_on_in_the_next_round() {
    let (tx, rx) = bounded::<u8>(0);
    let (answer_tx, answer) = bounded::<u8>(0);
    let mut kept = Box::pin(async { answer.recv_async().await.unwrap() });
    let mut round = async || {
        select_async! {
            recv(rx) -> v => (v.unwrap(), 0),
            await(&mut kept) -> v => (0, v),
        }
    };
    {
        let mut first = pin!(round());
        assert!(poll(first.as_mut()).is_pending());
        tx.try_send(1).unwrap();
        assert_eq!(poll(first), Poll::Ready((1, 0)));
    }
    let mut second = pin!(round());
    answer_tx.try_send(2).unwrap();
    assert_eq!(poll(second.as_mut()), Poll::Ready((0, 2)));
}

#[test]
fn a_biased_select_takes_the_first_of_futures_and_cases() {
    let (_tx, full) = one(1);
    block_on(async {
        for _ in 0..20 {
            let got = select_biased_async! {
                await(ready(7)) -> n => n,
                recv(full) -> v => v.unwrap(),
            };
            assert_eq!(got, 7);
        }
        let got = select_biased_async! {
            recv(full) -> v => v.unwrap(),
            await(ready(7)) -> n => n,
        };
        assert_eq!(got, 1);
    });
    // Also when both have become ready while it waited.
    for future_first in [false, true] {
        let ((tx, rx), (done_tx, done)) = (bounded::<u8>(1), bounded::<u8>(1));
        let mut waiting = pin!(async {
            if future_first {
                select_biased_async! {
                    await(done.recv_async()) -> v => v.unwrap(),
                    recv(rx) -> v => v.unwrap(),
                }
            } else {
                select_biased_async! {
                    recv(rx) -> v => v.unwrap(),
                    await(done.recv_async()) -> v => v.unwrap(),
                }
            }
        });
        assert!(poll(waiting.as_mut()).is_pending());
        tx.send(1).unwrap();
        done_tx.send(2).unwrap();
        let (won, left) = if future_first { (2, &rx) } else { (1, &done) };
        assert_eq!(poll(waiting.as_mut()), Poll::Ready(won));
        assert_eq!(left.try_recv(), Ok(3 - won), "the other has lost nothing");
    }
}

#[test]
fn ready_futures_and_cases_are_chosen_alike_often() {
    const N: usize = 3000;
    let (tx, rx) = unbounded();
    let mut counts = [0; 3];
    block_on(async {
        for _ in 0..N {
            tx.send(()).unwrap();
            let arm = select_async! {
                await(ready(())) -> () => 0,
                recv(rx) -> _ => 1,
                await(ready(())) -> () => 2,
            };
            counts[arm] += 1;
        }
    });
    assert!(
        counts.iter().all(|n| (N / 4..N / 2).contains(n)),
        "{counts:?}"
    );
}

#[test]
fn futures_that_have_lost_are_gone_before_a_body_runs() {
    let (_tx, rx) = one(1);
    let (other_tx, other) = bounded::<u8>(0);
    block_on(async {
        select_async! {
            recv(rx) -> _ => assert!(other_tx.try_send(1).is_err(), "nobody receives any more"),
            await(async { other.recv_async().await }) -> _ => unreachable!(),
        }
        // Polled before the deadline, dropped after it.
        select_async! {
            await(async { other.recv_async().await }) -> _ => unreachable!(),
            default(SHORT) => assert!(other_tx.try_send(1).is_err()),
        }
    });
}

#[test]
fn a_select_with_futures_that_is_dropped_loses_nothing() {
    let census = Census::default();
    for served in [false, true] {
        let ((tx, rx), (tx2, rx2)) = (bounded(1), bounded(1));
        let count = Arc::new(Count::default());
        let mut waiting = Box::pin(async {
            select_async! {
                recv(rx) -> v => v,
                await(rx2.recv_async()) -> v => v,
            }
        });
        assert!(poll_with(waiting.as_mut(), &count).is_pending());
        if served {
            tx.send(census.born()).unwrap();
            tx2.send(census.born()).unwrap();
            assert_eq!(count.get(), 2);
        }
        drop(waiting);
        assert_eq!(
            rx.drain().count() + rx2.drain().count(),
            if served { 2 } else { 0 }
        );
    }
    assert_eq!(census.alive(), 0);
}

#[test]
fn a_future_that_panics_gives_back_what_a_case_had_won() {
    let (tx, rx) = bounded(1);
    let (go, going) = bounded::<()>(0);
    let mut waiting = Box::pin(async {
        select_biased_async! {
            await(async { going.recv_async().await.unwrap(); panic!("in a future") }) -> v => v,
            recv(rx) -> v => v,
        }
    });
    assert!(poll(waiting.as_mut()).is_pending());
    go.try_send(()).unwrap();
    tx.send(5).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| poll(waiting.as_mut()))).is_err());
    drop(waiting);
    assert_eq!(rx.try_recv(), Ok(5));
    assert_eq!(rx.try_recv(), Err(TryRecvError::Empty));
}
