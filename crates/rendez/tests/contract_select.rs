//! The contract of the selects, through the umbrella: what can stand in an arm, what a body
//! may do, which arm is chosen, what a `default` means.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::cell::Cell;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{HOUR, TICK, is_send, poll};
use rendez::context::ContextError;
use rendez::pool::{JoinError, block_on};
use rendez::prelude::*;
use rendez::select::{
    RecvError, Select, SelectTimeoutError, SelectedOperation, Selector, SendError, TryRecvError,
    TrySelectError, merge, or_done, select_biased_async, tee,
};
use rendez::sync::AcquireError;

/// A receiver with one value.
fn ready<T>(value: T) -> Receiver<T> {
    let (tx, rx) = unbounded();
    tx.send(value).unwrap();
    // Not disconnected, also without the value.
    std::mem::forget(tx);
    rx
}

// --- arms ---------------------------------------------------------------------------------

#[test]
fn an_arm_takes_any_expression_that_derefs_to_its_end() {
    struct Holder {
        rx: Receiver<i32>,
        tx: Sender<i32>,
    }
    impl Holder {
        fn rx(&self) -> &Receiver<i32> {
            &self.rx
        }
    }
    let (tx, rx) = unbounded();
    let put = || tx.send(1).unwrap();
    put();
    macro_rules! takes {
        ($end:expr) => {{
            assert_eq!(select! { recv($end) -> v => v, }, Ok(1));
            assert_eq!(select! { recv($end) -> v => v.ok(), default => None }, None);
            put();
            let got = block_on(async {
                select_async! { recv($end) -> v => v }
            });
            assert_eq!(got, Ok(1));
            put();
        }};
    }
    let holder = Holder {
        rx: rx.clone(),
        tx: tx.clone(),
    };
    let (arc, boxed, list) = (Arc::new(rx.clone()), Box::new(rx.clone()), [rx.clone()]);
    let (some, other, always): (Option<Receiver<i32>>, _, _) =
        (Some(rx.clone()), never::<i32>(), true);
    let map = std::collections::HashMap::from([("a", rx.clone())]);
    let r = &rx;
    takes!(rx);
    takes!(r);
    takes!(&r);
    takes!(*r);
    takes!(rx.clone());
    takes!(arc);
    takes!(&arc);
    takes!(boxed);
    takes!(*boxed);
    takes!(list[0]);
    takes!(&list[0]);
    takes!(map["a"]);
    takes!(holder.rx);
    takes!(holder.rx());
    takes!(some);
    takes!(&some);
    takes!(some.as_ref());
    takes!(some.as_ref().unwrap_or(&never()));
    takes!(some.as_ref().unwrap());
    takes!(if always { &rx } else { &other });
    takes!(match always {
        true => &rx,
        false => &other,
    });
    takes!(or_done(rx.clone(), never::<()>()));
    select! { send(holder.tx, 5) -> r => r.unwrap() }
    select! { send(Arc::new(tx.clone()), 5) -> r => r.unwrap() }
    select! { send(Some(&tx), 5) -> r => r.unwrap() }
    select! { send(if always { &tx } else { &holder.tx }, 5) -> r => r.unwrap() }
}

#[test]
fn none_is_an_arm_that_is_never_ready() {
    let nil: Option<Receiver<i32>> = None;
    let nil_ref: Option<&Receiver<i32>> = None;
    let nil_tx: Option<Sender<i32>> = None;
    select! {
        recv(nil) -> _ => unreachable!(),
        recv(&nil) -> _ => unreachable!(),
        recv(nil_ref) -> _ => unreachable!(),
        recv(None::<Timer>) -> _ => unreachable!(),
        send(nil_tx, 1) -> _ => unreachable!(),
        send(nil_tx.as_ref(), 1) -> _ => unreachable!(),
        default => {}
    }
    select! {
        recv(nil) -> _ => unreachable!(),
        default(TICK) => {}
    }
    block_on(async {
        select_async! {
            recv(nil) -> _ => unreachable!(),
            send(nil_tx, 1) -> _ => unreachable!(),
            default(TICK) => {}
        }
    });
    assert_eq!(nil_tx.is_none(), nil.is_none());
}

#[test]
fn everything_that_waits_is_an_arm_and_gives_what_the_table_says() {
    let wg = WaitGroup::new();
    let sem = Semaphore::new(2);
    let (ctx, cancel) = Context::background().with_cancel();
    cancel.cancel();
    let timer = Timer::new(Duration::ZERO);
    let ticker = Ticker::new(Duration::from_millis(1));
    let handle = go(|| 5);
    let (otx, orx) = oneshot();
    otx.send(6).unwrap();
    let (btx, brx) = rendez::select::broadcast(1);
    btx.send(7).unwrap();
    let (wtx, wrx) = rendez::select::watch(0);
    wtx.send(8).unwrap();

    let got: i32 =
        select! { recv(ready(1)) -> v => { let v: Result<i32, RecvError> = v; v.unwrap() } };
    assert_eq!(got, 1);
    select! { recv(wg.zero()) -> v => { let () = v; } }
    select! { recv(ctx.done()) -> v => { let v: ContextError = v; assert_eq!(v, ContextError::Canceled); } }
    select! { recv(sem.permit(2)) -> v => {
        let v: Result<rendez::sync::Permit<'_>, AcquireError> = v;
        assert_eq!(v.unwrap().count(), 2);
    } }
    select! { recv(sem.permit(3)) -> v => assert_eq!(v.err(), Some(AcquireError::TooMany)) }
    select! { recv(timer) -> v => { let _: Instant = v; } }
    select! { recv(&ticker) -> v => { let _: Instant = v; } }
    select! { recv(&handle) -> v => { let v: Result<i32, JoinError> = v; assert_eq!(v.unwrap(), 5); } }
    select! { recv(orx) -> v => { let v: Result<i32, RecvError> = v; assert_eq!(v, Ok(6)); } }
    select! { recv(brx) -> v => assert_eq!(v, Ok(7)) }
    select! { recv(wrx) -> v => assert_eq!(v, Ok(8)) }
    let () = select! { recv(Some(wg.zero())) -> v => v };
    let out = block_on(async {
        select_async! { await(async { 9 }) -> v => v }
    });
    assert_eq!(out, 9);
}

#[test]
fn everything_that_waits_is_an_arm_of_an_awaited_select() {
    let wg = WaitGroup::new();
    let guard = wg.guard();
    let sem = Semaphore::new(1);
    let _permit = sem.acquire(1).unwrap();
    let (ctx, _cancel) = Context::background().with_cancel();
    let (timer, ticker) = (Timer::new(HOUR), Ticker::new(HOUR));
    let (hold, held) = bounded::<()>(0);
    let handle = go(move || held.recv());
    let (_otx, orx) = oneshot::<()>();
    let (_btx, brx) = rendez::select::broadcast::<()>(1);
    let (_wtx, wrx) = rendez::select::watch(());
    let (tx, rx) = bounded::<()>(0);
    let done = block_on(is_send(async {
        select_async! {
            recv(rx) -> _ => 0,
            send(tx, ()) -> _ => 1,
            recv(ctx.done()) -> _ => 2,
            recv(sem.permit(1)) -> _ => 3,
            recv(timer) -> _ => 4,
            recv(ticker) -> _ => 5,
            recv(&handle) -> _ => 6,
            recv(orx) -> _ => 7,
            recv(brx) -> _ => 8,
            recv(wrx) -> _ => 9,
            await(std::future::pending::<()>()) -> _ => 10,
            await(async { drop(guard); std::future::pending::<()>().await }) -> _ => 11,
            recv(wg.zero()) -> () => 12,
        }
    }));
    assert_eq!(done, 12);
    drop(hold);
}

#[test]
fn a_join_handle_gives_its_result_once_and_is_never_ready_again() {
    let handle = go(|| 5);
    let got = select! { recv(&handle) -> v => v.unwrap() };
    assert_eq!(got, 5);
    select! {
        recv(&handle) -> _ => panic!("a second time"),
        default(TICK) => {}
    }
    select! {
        recv(handle) -> _ => panic!("a third time"),
        default => {}
    }
}

#[test]
fn a_join_handle_tells_of_a_panic_and_of_a_cancel() {
    let panicked = go(|| panic!("on purpose"));
    select! { recv(&panicked) -> v => {
        let v: Result<(), JoinError> = v;
        let err = v.unwrap_err();
        assert_eq!(*err.into_panic().downcast::<&str>().unwrap(), "on purpose");
    } }
    let cancelled = go(std::future::pending::<()>());
    cancelled.cancel();
    select! { recv(&cancelled) -> v => assert!(matches!(v, Err(JoinError::Cancelled))) }
}

#[test]
fn a_stopped_timer_or_ticker_is_never_ready() {
    let (timer, ticker) = (
        Timer::new(Duration::ZERO),
        Ticker::new(Duration::from_nanos(1)),
    );
    assert!(timer.stop());
    ticker.stop();
    select! {
        recv(timer) -> _ => unreachable!(),
        recv(ticker) -> _ => unreachable!(),
        default(TICK) => {}
    }
    timer.reset(Duration::ZERO);
    select! { recv(timer) -> at => assert!(at <= Instant::now()) }
}

#[test]
fn a_guard_is_evaluated_once_in_order_and_its_channel_only_if_it_holds() {
    let order = Cell::new(String::new());
    let log = |what: &str, value: bool| {
        order.set(order.take() + what);
        value
    };
    let end = |what: &str| {
        log(what, true);
        ready(1)
    };
    let (tx, _rx) = bounded(1);
    select! {
        recv(end("A")) if log("a", true) -> v => assert_eq!(v, Ok(1)),
        recv(end("B")) if log("b", false) -> _ => unreachable!(),
        send({ log("C", true); tx }, 1) if log("c", false) -> _ => unreachable!(),
        recv(end("D")) if !log("d", true) -> _ => unreachable!(),
        default => unreachable!(),
    }
    assert_eq!(order.take(), "aAbcd");
    // Any expression is a guard: long ones, and ones with blocks, closures and matches.
    let (x, limit) = (Some(3), 10);
    select! {
        recv(ready(1)) if x.is_some_and(|x| x < limit) && (matches!(x, Some(1..=3)) || limit < 0) -> v => assert_eq!(v, Ok(1)),
        default => unreachable!(),
    }
    let out = block_on(async {
        select_async! {
            recv(ready(1)) if x.is_none() -> _ => 1,
            await(async { 2 }) if x.is_none() -> v => v,
            await(async { 3 }) if x == Some(3) -> v => v,
        }
    });
    assert_eq!(out, 3);
}

#[test]
fn a_guard_that_is_false_everywhere_lets_default_run() {
    let (rx, off) = (ready(1), false);
    let got = select! {
        recv(rx) if off -> _ => 1,
        default => 2,
    };
    assert_eq!((got, rx.len()), (2, 1));
}

#[test]
fn bodies_are_plain_arms() {
    fn first(rx: &Receiver<Result<i32, String>>) -> Result<i32, Box<dyn Error>> {
        loop {
            select! {
                recv(rx) -> msg => {
                    let n = msg??;
                    if n < 0 {
                        continue;
                    }
                    if n == 0 {
                        break;
                    }
                    return Ok(n);
                }
                default => return Ok(-1),
            }
        }
        Ok(0)
    }
    let (tx, rx) = unbounded();
    tx.send_many([Ok(-5), Ok(7), Ok(0), Err("bad".to_owned())])
        .unwrap();
    assert_eq!(first(&rx).unwrap(), 7);
    assert_eq!(first(&rx).unwrap(), 0);
    assert_eq!(first(&rx).unwrap_err().to_string(), "bad");
    assert_eq!(first(&rx).unwrap(), -1);
    drop(tx);
    assert!(first(&rx).unwrap_err().is::<RecvError>());
    let labelled = 'outer: loop {
        for _ in 0..3 {
            select! { recv(rx) -> gone => if gone.is_err() { break 'outer 3 } }
        }
    };
    assert_eq!(labelled, 3);
}

#[test]
fn bodies_of_awaited_selects_await_break_and_return() {
    async fn first(
        rx: &Receiver<i32>,
        back: &Sender<i32>,
    ) -> Result<i32, Box<dyn Error + Send + Sync>> {
        loop {
            select_async! {
                recv(rx) -> n => match n? {
                    0 => break Ok(0),
                    1 => return Ok(1),
                    n => back.send_async(n).await?,
                },
                await(std::future::pending::<()>()) -> () => unreachable!(),
            }
        }
    }
    let ((tx, rx), (tx2, rx2)) = (unbounded(), bounded(1));
    tx.send_many([5, 0, 1]).unwrap();
    block_on(async {
        assert_eq!(first(&rx, &tx2).await.unwrap(), 0);
        assert_eq!(rx2.recv_async().await, Ok(5));
        assert_eq!(is_send(first(&rx, &tx2)).await.unwrap(), 1);
        drop(tx);
        assert!(first(&rx, &tx2).await.is_err());
    });
}

#[test]
fn an_arm_names_its_result_by_any_pattern() {
    let (tx, rx) = unbounded();
    tx.send((1, "a")).unwrap();
    select! { recv(rx) -> mut msg => { msg = msg.map(|(n, s)| (n + 1, s)); assert_eq!(msg, Ok((2, "a"))); } }
    tx.send((1, "a")).unwrap();
    select! { recv(rx) -> _ => (), }
    select! { recv(rx) -> _msg => unreachable!(), default => () }
    select! { send(tx, (2, "b"),) -> res => res.unwrap(), default() => unreachable!() }
    tx.send((3, "c")).unwrap();
    // A body in braces on one line is not warned of.
    #[deny(unused_braces)]
    fn quiet(rx: &Receiver<(i32, &str)>) {
        select! {
            recv(rx) -> msg => { assert!(msg.is_ok()) }
            default => { unreachable!() }
        }
    }
    drop(tx);
    quiet(&rx);
    select! { recv(rx,) -> msg => assert_eq!(msg, Ok((3, "c"))) };
    select! { recv(rx) -> (Ok(_) | Err(_)) => {} }
}

#[test]
fn sixty_four_arms_at_the_default_recursion_limit() {
    let rxs: Vec<Receiver<usize>> = (0..63).map(|_| never()).collect();
    let (tx, last) = unbounded();
    let put = || tx.send(64).unwrap();
    put();
    macro_rules! arms {
        ($select:ident $($n:literal)*) => {
            $select! {
                $(recv(rxs[$n]) -> _ => $n,)*
                recv(last) -> v => v.unwrap(),
            }
        };
    }
    macro_rules! sixty_three {
        ($select:ident) => {
            arms!($select 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27
                28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55
                56 57 58 59 60 61 62)
        };
    }
    assert_eq!(sixty_three!(select), 64);
    put();
    assert_eq!(sixty_three!(select_biased), 64);
    put();
    assert_eq!(block_on(is_send(async { sixty_three!(select_async) })), 64);
    put();
    assert_eq!(block_on(async { sixty_three!(select_biased_async) }), 64);
}

#[test]
fn a_closure_parameter_needs_no_more_than_its_type() {
    let recv_one = |rx: &Receiver<i32>, timeout| {
        select! {
            recv(rx) -> v => v.ok(),
            default(timeout) => None,
        }
    };
    let (tx, rx) = unbounded();
    let send_one = |tx: &Sender<i32>, v| select! { send(tx, v) -> r => r };
    send_one(&tx, 4).unwrap();
    assert_eq!(recv_one(&rx, HOUR), Some(4));
    fn generic<T: Send + 'static>(rx: &Receiver<T>, tx: &Sender<T>, quit: &Context) -> Option<T> {
        select! {
            recv(rx) -> v => v.ok(),
            recv(quit.done()) -> _ => None,
            recv(tx.closed()) -> () => None,
        }
    }
    tx.send(5).unwrap();
    assert_eq!(generic(&rx, &tx, &Context::background()), Some(5));
}

// --- choice -------------------------------------------------------------------------------

#[test]
fn the_choice_among_ready_arms_is_uniform_or_in_order() {
    let (a, b, c) = (unbounded(), unbounded(), unbounded());
    const N: usize = 3_000;
    for (tx, _) in [&a, &b, &c] {
        tx.send_many(0..2 * N).unwrap();
    }
    let mut hits = [0; 3];
    for _ in 0..N {
        select! {
            recv(a.1) -> _ => hits[0] += 1,
            recv(b.1) -> _ => hits[1] += 1,
            recv(c.1) -> _ => hits[2] += 1,
        }
    }
    for _ in 0..N {
        block_on(async {
            select_async! {
                recv(a.1) -> _ => hits[0] += 1,
                recv(b.1) -> _ => hits[1] += 1,
                recv(c.1) -> _ => hits[2] += 1,
            }
        });
    }
    // 2,000 each; the standard deviation is 36.
    assert!(hits.iter().all(|n| (1_750..2_250).contains(n)), "{hits:?}");
    for _ in 0..100 {
        select_biased! {
            recv(never::<()>()) -> _ => unreachable!(),
            recv(b.1) -> _ => {}
            recv(a.1) -> _ => unreachable!(),
            default => unreachable!(),
        }
        block_on(async {
            select_biased_async! {
                recv(b.1) -> _ => {}
                await(async {}) -> _ => unreachable!(),
            }
        });
        let mut select = Select::new_biased();
        let first = select.recv(&b.1);
        select.recv(&a.1);
        let op = select.select();
        assert_eq!(op.index(), first);
        op.recv(&b.1).unwrap();
    }
}

#[test]
fn a_closed_channel_is_ready_on_both_sides() {
    let (tx, rx) = bounded(1);
    tx.close();
    let mut seen = [false; 2];
    while seen != [true; 2] {
        select! {
            recv(rx) -> v => { assert_eq!(v, Err(RecvError)); seen[0] = true; }
            send(tx, 1) -> r => { assert_eq!(r, Err(SendError(1))); seen[1] = true; }
            default => unreachable!(),
        }
    }
}

#[test]
fn a_send_arms_value_is_evaluated_only_if_chosen() {
    let (tx, rx) = bounded(1);
    let made = Cell::new(0);
    let make = || {
        made.set(made.get() + 1);
        made.get()
    };
    select! { send(tx, make()) -> r => r.unwrap() }
    select! { send(tx, make()) -> _ => unreachable!(), default => {} }
    select! { send(tx, make()) -> _ => unreachable!(), recv(rx) -> v => assert_eq!(v, Ok(1)) }
    assert_eq!(made.get(), 1);
}

#[test]
fn a_losing_value_is_dropped_with_what_owned_it() {
    let value = Arc::new(());
    let (tx, _rx) = bounded(0);
    let moved = value.clone();
    select! {
        send(tx, moved) -> _ => unreachable!(),
        default => {}
    }
    // Not evaluated: still ours, or gone; never sent.
    assert!(Arc::strong_count(&value) <= 2);
}

#[test]
fn a_losing_arm_has_left_its_queue_before_a_body_runs() {
    let (tx, rx) = bounded(0);
    let timer = Timer::new(TICK);
    select! {
        recv(rx) -> _ => unreachable!(),
        recv(timer) -> _ => assert!(tx.try_send(1).is_err(), "nobody receives any more"),
    }
    block_on(async {
        timer.reset(TICK);
        select_async! {
            recv(rx) -> _ => unreachable!(),
            await(timer.recv_async()) -> _ => assert!(tx.try_send(1).is_err()),
        }
    });
    select! {
        recv(rx) -> _ => unreachable!(),
        default(TICK) => assert!(tx.try_send(1).is_err()),
    }
}

#[test]
fn a_select_never_pairs_with_itself() {
    let (tx, rx) = bounded(0);
    select! {
        send(tx, 1) -> _ => unreachable!(),
        recv(rx) -> _ => unreachable!(),
        default(TICK) => {}
    }
    let other = {
        let tx = tx.clone();
        go(move || tx.send(2))
    };
    select! {
        send(tx, 1) -> _ => unreachable!(),
        recv(rx) -> v => assert_eq!(v, Ok(2)),
    }
    other.join().unwrap().unwrap();
}

#[test]
fn two_selects_that_could_meet_on_two_channels_meet_on_one() {
    let ((atx, arx), (btx, brx)) = (bounded(0), bounded(0));
    for _ in 0..500 {
        let (one, two) = scope(|s| {
            let one = s.go(|| {
                select! {
                    send(atx, 1) -> r => { r.unwrap(); 'a' }
                    recv(brx) -> v => { v.unwrap(); 'b' }
                }
            });
            let two = s.go(async {
                select_async! {
                    recv(arx) -> v => { v.unwrap(); 'a' }
                    send(btx, 2) -> r => { r.unwrap(); 'b' }
                }
            });
            (one.join().unwrap(), two.join().unwrap())
        });
        assert_eq!(one, two);
    }
}

#[test]
fn default_with_a_timeout_waits_that_long() {
    let start = Instant::now();
    let got = select! {
        recv(never::<()>()) -> _ => 1,
        default(TICK) => 2,
    };
    assert!(got == 2 && start.elapsed() >= TICK);
    let got = block_on(async {
        select_async! {
            recv(never::<()>()) -> _ => 1,
            default(TICK) => 2,
        }
    });
    assert!(got == 2 && start.elapsed() >= 2 * TICK);
    select! { default(TICK) => {} }
    select! { default => {} }
    select! { recv(ready(1)) -> _ => {}, default(Duration::MAX) => unreachable!() }
}

// --- offers -------------------------------------------------------------------------------

#[test]
fn a_panic_in_a_send_arms_value_puts_the_peer_back_at_the_head() {
    let (tx, rx) = bounded(0);
    let (mut first, mut second) = (pin!(rx.recv_async()), pin!(rx.recv_async()));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    let make = || -> i32 { panic!("on purpose") };
    let panicked = std::panic::catch_unwind(|| {
        select! { send(tx, make()) -> _ => {} }
    });
    assert!(panicked.is_err());
    tx.try_send(1).unwrap();
    tx.try_send(2).unwrap();
    assert_eq!(poll(first), Poll::Ready(Ok(1)));
    assert_eq!(poll(second), Poll::Ready(Ok(2)));
}

#[test]
fn a_send_arms_value_may_leave() {
    fn try_it(tx: &Sender<i32>, value: Option<i32>) -> Option<()> {
        select! { send(tx, value?) -> r => r.ok() }
    }
    let (tx, rx) = bounded(1);
    assert_eq!(try_it(&tx, None), None);
    assert_eq!(try_it(&tx, Some(1)), Some(()));
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn a_selected_operation_dropped_uncompleted_panics_and_lets_the_peer_go() {
    let (tx, rx) = bounded(0);
    let mut recv = pin!(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    let dropped = std::panic::catch_unwind(|| {
        let mut select = Select::new();
        select.send(&tx);
        drop(select.select());
    });
    assert!(dropped.is_err());
    // While the thread panics already, it does not.
    let dropped = std::panic::catch_unwind(|| {
        let mut select = Select::new();
        select.send(&tx);
        let _op: SelectedOperation<'_> = select.select();
        panic!("the only panic");
    });
    assert_eq!(
        *dropped.unwrap_err().downcast::<&str>().unwrap(),
        "the only panic"
    );
    tx.try_send(1).unwrap();
    assert_eq!(poll(recv), Poll::Ready(Ok(1)));
}

#[test]
fn an_awaited_peer_of_an_open_offer_stays_pending() {
    let (tx, rx) = bounded(0);
    let mut recv = pin!(rx.recv_async());
    assert!(poll(recv.as_mut()).is_pending());
    let mut select = Select::new();
    select.send(&tx);
    let op = select.select();
    assert!(poll(recv.as_mut()).is_pending());
    op.send(&tx, 1).unwrap();
    assert_eq!(poll(recv), Poll::Ready(Ok(1)));
}

// --- Select -------------------------------------------------------------------------------

#[test]
fn select_has_awaited_forms_of_the_two_phases() {
    let ((tx, rx), (tx2, rx2)) = (bounded(1), bounded::<i32>(1));
    block_on(async {
        let mut select = Select::new();
        let (recv, recv2) = (select.recv(&rx), select.recv(&rx2));
        tx.send(5).unwrap();
        assert_eq!(select.ready_async().await, recv);
        let op = select.select_async().await;
        assert_eq!(op.index(), recv);
        assert_eq!(op.recv(&rx), Ok(5));
        tx2.send(6).unwrap();
        let op = select.select_async().await;
        assert_eq!(op.index(), recv2);
        assert_eq!(op.recv(&rx2), Ok(6));
        let mut pending = pin!(select.select_async());
        assert!(poll(pending.as_mut()).is_pending());
        tx.send(7).unwrap();
        let op = pending.await;
        assert_eq!(op.recv(&rx), Ok(7));
    });
}

#[test]
fn select_hands_a_losing_value_back_and_is_reused() {
    let (tx, rx) = bounded(0);
    let mut select = Select::default();
    let (send, recv) = (select.send(&tx), select.recv(&rx));
    assert_eq!(select.try_select().err(), Some(TrySelectError));
    assert_eq!(select.select_timeout(TICK).err(), Some(SelectTimeoutError));
    select.remove(send);
    let sender = {
        let tx = tx.clone();
        go(move || tx.send(3))
    };
    let op = select.clone().select();
    assert_eq!((op.index(), op.recv(&rx)), (recv, Ok(3)));
    sender.join().unwrap().unwrap();
    drop(rx.clone());
    assert_eq!(format!("{:?}", Select::new()), "Select { .. }");
}

// --- Selector -----------------------------------------------------------------------------

#[test]
fn a_selector_waits_on_many_and_gives_key_and_value() {
    let mut selector: Selector<usize> = Selector::new();
    let channels: Vec<_> = (0..1_000).map(|_| unbounded()).collect();
    let keys: Vec<usize> = channels
        .iter()
        .map(|(_, rx)| selector.add(rx.clone()))
        .collect();
    assert!(selector.try_wait().is_none());
    assert!(selector.wait_timeout(TICK).is_none());
    channels[500].0.send(5).unwrap();
    assert_eq!(selector.wait(), (keys[500], Ok(5)));
    channels[7].0.send(6).unwrap();
    assert_eq!(block_on(selector.wait_async()), (keys[7], Ok(6)));
    channels[8].0.send(7).unwrap();
    assert_eq!(selector.try_wait(), Some((keys[8], Ok(7))));
    channels[9].0.close();
    assert_eq!(selector.wait_timeout(HOUR), Some((keys[9], Err(RecvError))));
    selector.remove(keys[9]);
    assert!(selector.try_wait().is_none());
    channels[10].0.send(8).unwrap();
    selector.remove(keys[10]);
    assert!(selector.try_wait().is_none());
    assert_eq!(channels[10].1.try_recv(), Ok(8));
}

#[test]
fn a_dropped_wait_of_a_selector_loses_nothing() {
    let mut selector = Selector::new();
    let (tx, rx) = unbounded();
    let key = selector.add(rx.clone());
    {
        let mut wait = pin!(selector.wait_async());
        assert!(poll(wait.as_mut()).is_pending());
        tx.send(1).unwrap();
    }
    assert_eq!((rx.len(), rx.is_empty()), (0, false));
    assert_eq!(selector.try_wait(), Some((key, Ok(1))));
    is_send(selector);
}

// --- utilities ----------------------------------------------------------------------------

#[test]
fn merge_gives_everything_and_ends_with_all() {
    let channels: Vec<_> = (0..3).map(|_| bounded(1)).collect();
    let all: Receiver<i32> = merge(channels.iter().map(|(_, rx)| rx.clone()));
    scope(|s| {
        for (i, (tx, _)) in (0..).zip(&channels) {
            s.go(move || {
                tx.send_many([i, i + 10]).unwrap();
                tx.close();
            });
        }
        let mut got: Vec<_> = all.iter().collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2, 10, 11, 12]);
    });
    assert_eq!(merge(Vec::<Receiver<()>>::new()).recv(), Err(RecvError));
}

#[test]
fn tee_gives_everything_twice() {
    let (tx, rx) = unbounded();
    let (a, b) = tee(rx);
    tx.send_many(0..10).unwrap();
    drop(tx);
    scope(|s| {
        s.go(|| assert!(a.iter().eq(0..10)));
        s.go(|| assert!(b.iter().eq(0..10)));
    });
}

#[test]
fn or_done_ends_with_its_case() {
    let (tx, rx) = unbounded();
    let (ctx, cancel) = Context::background().with_cancel();
    tx.send_many([1, 2, 3]).unwrap();
    let mut got = vec![];
    for v in or_done(rx.clone(), ctx.done()) {
        got.push(v);
        if v == 2 {
            cancel.cancel();
        }
    }
    assert_eq!(got, [1, 2]);
    assert_eq!(rx.recv(), Ok(3));
    let until = or_done(rx, never::<()>());
    assert_eq!(until.try_recv(), Err(TryRecvError::Empty));
    drop(tx);
    assert_eq!(until.recv(), Err(RecvError));
    assert_eq!(block_on(until.recv_async()), Err(RecvError));
    let group = WaitGroup::new();
    assert_eq!(or_done(ready(1), group.zero()).recv(), Err(RecvError));
}

// --- awaited selects ----------------------------------------------------------------------

#[test]
fn an_awaited_select_is_send_when_its_parts_are() {
    let (tx, rx) = bounded::<Cell<u8>>(0);
    let (ctx, _cancel) = Context::background().with_timeout(TICK);
    let future = is_send(async move {
        let sem = Semaphore::new(0);
        select_async! {
            recv(rx) -> v => v.is_ok(),
            send(tx, Cell::new(1)) -> r => r.is_ok(),
            recv(sem.permit(1)) -> p => p.is_err(),
            recv(ctx.done()) -> why => {
                std::future::ready(()).await;
                why == ContextError::DeadlineExceeded
            }
        }
    });
    // `permit(1)` of a semaphore of size 0 is too many, at once.
    assert!(go(future).join().unwrap());
}

#[test]
fn a_dropped_awaited_select_loses_nothing() {
    let ((tx, rx), (tx2, rx2)) = (bounded(0), bounded(1));
    tx2.send(0).unwrap();
    let mut select = Box::pin(async {
        select_async! {
            recv(rx) -> v => v.ok(),
            send(tx2, 9) -> _ => None,
        }
    });
    assert!(poll(select.as_mut()).is_pending());
    tx.try_send(1).unwrap();
    drop(select);
    assert_eq!(rx.try_recv(), Ok(1));
    assert_eq!(
        (rx2.try_recv(), rx2.try_recv()),
        (Ok(0), Err(TryRecvError::Empty))
    );
}

#[test]
fn an_await_arm_takes_any_future() {
    let handle = go(async { 5 });
    let mut kept = Box::pin(async { 6 });
    let got = block_on(async {
        select_async! {
            await(handle) -> v => v.unwrap(),
            await(std::future::pending::<()>()) -> () => 0,
        }
    });
    assert_eq!(got, 5);
    let got = block_on(async {
        select_async! { await(kept.as_mut()) -> v => v }
    });
    assert_eq!(got, 6);
    let got = block_on(async {
        let mut fut = pin!(async { 7 });
        select_async! {
            await(&mut fut) -> v => v,
            recv(never::<i32>()) -> v => v.unwrap(),
        }
    });
    assert_eq!(got, 7);
}
