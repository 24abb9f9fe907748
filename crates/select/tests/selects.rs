//! `select!` in all its forms.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod common;

use std::thread;
use std::time::{Duration, Instant};

use common::within;
use rendez_core::block_on::block_on;
use rendez_select::{
    Receiver, RecvError, Select, after, at, bounded, never, select, select_async, select_biased,
    select_biased_async, tick, unbounded,
};

const LONG: Duration = Duration::from_secs(50);
const SHORT: Duration = Duration::from_millis(2);

#[test]
fn ready_arms_are_chosen_alike_often_and_in_order_when_biased() {
    let (tx, a) = unbounded();
    let (tx2, b) = unbounded();
    const N: usize = 4000;
    for _ in 0..2 * N {
        tx.send(()).unwrap();
        tx2.send(()).unwrap();
    }
    let mut first = 0;
    for _ in 0..N {
        select! {
            recv(a) -> _ => first += 1,
            recv(b) -> _ => {}
        }
    }
    assert!((N * 4 / 10..N * 6 / 10).contains(&first), "{first} of {N}");
    for _ in 0..N / 4 {
        select_biased! {
            recv(a) -> _ => {}
            recv(b) -> _ => unreachable!(),
        }
        block_on(async {
            select_biased_async! {
                recv(a) -> _ => {}
                recv(b) -> _ => unreachable!(),
            }
        });
    }
}

#[test]
fn default_runs_when_nothing_is_ready_and_only_then() {
    let (tx, rx) = bounded(1);
    let look = || select! { recv(rx) -> v => v.ok(), default => None };
    assert_eq!(look(), None);
    tx.send(1).unwrap();
    assert_eq!(look(), Some(1));
    let start = Instant::now();
    let timed = select! { recv(rx) -> v => v.ok(), default(SHORT) => None };
    assert_eq!(timed, None);
    assert!(start.elapsed() >= SHORT);
    block_on(async {
        let timed = select_async! { recv(rx) -> v => v.ok(), default(SHORT) => None };
        assert_eq!(timed, None);
        let looked = select_async! { recv(rx) -> v => v.ok(), default => None };
        assert_eq!(looked, None);
    });
    drop(tx);
    assert_eq!(
        select! { recv(rx) -> v => v, default => Ok(0) },
        Err(RecvError)
    );
}

#[test]
fn a_closed_channel_is_always_ready() {
    let (tx, rx) = bounded::<u8>(0);
    let keep = rx.clone();
    tx.close();
    select! {
        recv(rx) -> v => assert_eq!(v, Err(RecvError)),
        recv(never::<u8>()) -> _ => unreachable!(),
    }
    select! {
        send(tx, 1) -> r => assert_eq!(r.unwrap_err().0, 1),
        recv(never::<u8>()) -> _ => unreachable!(),
    }
    drop(keep);
}

#[test]
fn an_absent_arm_is_never_ready() {
    let (tx, rx) = bounded(2);
    let mut on: Option<&Receiver<u8>> = None;
    tx.send(1).unwrap();
    assert!(!select! { recv(on) -> _ => true, default => false });
    on = Some(&rx);
    assert!(select! { recv(on) -> _ => true, default => false });
    let absent: Option<rendez_select::Sender<u8>> = None;
    assert!(!select! { send(absent, 1) -> _ => true, default => false });
}

#[test]
fn a_losing_value_is_not_even_made() {
    let (full, _keep) = bounded::<u8>(0);
    let never_made = || -> u8 { panic!("made") };
    let (tx, rx) = bounded(1);
    select! {
        send(full, never_made()) -> _ => {}
        send(tx, 3) -> r => r.unwrap(),
    }
    assert_eq!(rx.recv(), Ok(3));
}

#[test]
fn bodies_are_plain_code() -> Result<(), RecvError> {
    let (tx, rx) = bounded(10);
    for i in 0..10 {
        tx.send(i).unwrap();
    }
    let mut sum = 0;
    loop {
        select! {
            recv(rx) -> v => match v? {
                3 => continue,
                6 => break,
                v => sum += v,
            }
        }
    }
    assert_eq!(sum, 1 + 2 + 4 + 5);
    let found = block_on(async {
        loop {
            select_async! {
                recv(rx) -> v => {
                    std::future::ready(()).await;
                    if v? == 8 { return Ok(8) }
                }
            }
        }
    });
    assert_eq!(found, Ok::<_, RecvError>(8));
    Ok(())
}

#[test]
fn sixty_four_arms_are_not_too_many() {
    let channels: Vec<_> = (0..64).map(|_| bounded::<usize>(1)).collect();
    channels[63].0.send(7).unwrap();
    let r: Vec<_> = channels.iter().map(|(_, rx)| rx).collect();
    let got = select! {
        recv(r[0]) -> v => v, recv(r[1]) -> v => v, recv(r[2]) -> v => v, recv(r[3]) -> v => v,
        recv(r[4]) -> v => v, recv(r[5]) -> v => v, recv(r[6]) -> v => v, recv(r[7]) -> v => v,
        recv(r[8]) -> v => v, recv(r[9]) -> v => v, recv(r[10]) -> v => v, recv(r[11]) -> v => v,
        recv(r[12]) -> v => v, recv(r[13]) -> v => v, recv(r[14]) -> v => v, recv(r[15]) -> v => v,
        recv(r[16]) -> v => v, recv(r[17]) -> v => v, recv(r[18]) -> v => v, recv(r[19]) -> v => v,
        recv(r[20]) -> v => v, recv(r[21]) -> v => v, recv(r[22]) -> v => v, recv(r[23]) -> v => v,
        recv(r[24]) -> v => v, recv(r[25]) -> v => v, recv(r[26]) -> v => v, recv(r[27]) -> v => v,
        recv(r[28]) -> v => v, recv(r[29]) -> v => v, recv(r[30]) -> v => v, recv(r[31]) -> v => v,
        recv(r[32]) -> v => v, recv(r[33]) -> v => v, recv(r[34]) -> v => v, recv(r[35]) -> v => v,
        recv(r[36]) -> v => v, recv(r[37]) -> v => v, recv(r[38]) -> v => v, recv(r[39]) -> v => v,
        recv(r[40]) -> v => v, recv(r[41]) -> v => v, recv(r[42]) -> v => v, recv(r[43]) -> v => v,
        recv(r[44]) -> v => v, recv(r[45]) -> v => v, recv(r[46]) -> v => v, recv(r[47]) -> v => v,
        recv(r[48]) -> v => v, recv(r[49]) -> v => v, recv(r[50]) -> v => v, recv(r[51]) -> v => v,
        recv(r[52]) -> v => v, recv(r[53]) -> v => v, recv(r[54]) -> v => v, recv(r[55]) -> v => v,
        recv(r[56]) -> v => v, recv(r[57]) -> v => v, recv(r[58]) -> v => v, recv(r[59]) -> v => v,
        recv(r[60]) -> v => v, recv(r[61]) -> v => v, recv(r[62]) -> v => v, recv(r[63]) -> v => v,
    };
    assert_eq!(got, Ok(7));
}

#[test]
fn a_thousand_arms_made_at_run_time_work() {
    let channels: Vec<_> = (0..1000).map(|_| bounded::<usize>(1)).collect();
    let mut select = Select::new();
    for (_, rx) in &channels {
        select.recv(rx);
    }
    thread::scope(|s| {
        s.spawn(|| channels[777].0.send(5).unwrap());
        let op = select.select();
        assert_eq!(op.index(), 777);
        assert_eq!(op.recv(&channels[777].1), Ok(5));
    });
}

#[test]
fn a_select_never_meets_itself() {
    let (tx, rx) = bounded(0);
    let alone = select! {
        send(tx, 1) -> _ => false,
        recv(rx) -> _ => false,
        default(SHORT) => true,
    };
    assert!(alone);
}

#[test]
fn selects_that_could_meet_on_two_channels_meet_on_one() {
    within(LONG, "two selects", || {
        const N: usize = 5000;
        let ((ta, ra), (tb, rb)) = (bounded(0), bounded(0));
        let run = |send: &rendez_select::Sender<usize>, recv: &Receiver<usize>| {
            let mut sent = 0;
            for i in 0..N {
                select! {
                    send(send, i) -> r => { r.unwrap(); sent += 1 }
                    recv(recv) -> v => assert_eq!(v, Ok(i)),
                }
            }
            sent
        };
        let (a, b) = thread::scope(|s| {
            let other = s.spawn(|| run(&ta, &rb));
            let mine = run(&tb, &ra);
            (mine, other.join().unwrap())
        });
        assert_eq!(a + b, N, "each meeting had one sender");
    });
}

#[test]
fn timers_are_arms() {
    let start = Instant::now();
    let due = select! { recv(after(SHORT)) -> due => due.unwrap(), default(LONG) => start };
    assert!(due >= start + SHORT);
    let moment = Instant::now() + SHORT;
    assert_eq!(at(moment).recv(), Ok(moment));
    let ticks = tick(SHORT);
    let two = block_on(async {
        let mut n = 0;
        for _ in 0..2 {
            select_async! {
                recv(ticks) -> _ => n += 1,
                recv(never::<u8>()) -> _ => {}
            }
        }
        n
    });
    assert_eq!(two, 2);
    assert!(select! { recv(after(Duration::MAX)) -> _ => false, default => true });
}

#[test]
fn a_blocking_select_is_woken_by_each_kind_of_arm() {
    within(LONG, "a select", || {
        for which in 0..4 {
            let (data_tx, data) = bounded::<u8>(0);
            let (out, out_rx) = bounded::<u8>(0);
            let (quit, quitting) = bounded::<()>(0);
            let other = thread::spawn(move || match which {
                0 => data_tx.send(1).map_err(drop),
                1 => out_rx.recv().map(drop).map_err(drop),
                2 => {
                    drop(quit);
                    thread::park_timeout(SHORT);
                    let _keep = (data_tx, out_rx);
                    Ok(())
                }
                _ => {
                    let _keep = (data_tx, out_rx, quit);
                    thread::park_timeout(SHORT * 20);
                    Ok(())
                }
            });
            let got = select! {
                recv(data) -> v => if v.is_ok() { 0 } else { 3 },
                send(out, 2) -> r => if r.is_ok() { 1 } else { 3 },
                recv(quitting) -> _ => 2,
                recv(after(SHORT)) -> _ => 3,
            };
            assert!(got == which || got == 3 || which == 3, "{got} for {which}");
            if got != which {
                // The clock was first; let the other go.
                drop((data, out));
            }
            let _ = other.join().unwrap();
        }
    });
}
