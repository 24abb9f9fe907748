//! Every shape that an arm's parts can have; nothing in a macro is remarked on as unused.
#![deny(unused)]
#![allow(clippy::needless_return, reason = "one of the forms")]

use std::time::Duration;

use rendez_core::block_on::block_on;
use rendez_select::{Receiver, RecvError, Sender, bounded, never, select, select_async, unbounded};

const D: Duration = Duration::from_millis(1);
static NEVER: Receiver<i32> = never();

#[test]
fn defaults_and_commas_stand_anywhere() {
    let (tx, rx) = bounded::<i32>(1);
    let (_tx2, rx2) = bounded::<i32>(1);
    select! { default => {} }
    select! { recv(NEVER) -> _ => unreachable!(), default() => {} }
    select! { default(D) => {} }
    select! { default(D,) => {}, }
    let v = select! { default(D) => 5 };
    assert_eq!(v, 5);
    let v = select! { recv(rx,) -> _ => 1, default(D) => 2, recv(rx2) -> _ => 3 };
    assert_eq!(v, 2);
    let v = select! { default(D) => 2, recv(rx,) -> _ => 1, recv(rx2) -> _ => 3 };
    assert_eq!(v, 2);
    let v = select! { send(tx, 4,) -> r => r.is_ok(), };
    assert!(v);
    let v = select! { recv(rx) -> m => { m } recv(rx2) -> m => m };
    assert_eq!(v, Ok(4));
    tx.send(1).unwrap();
}

#[test]
fn selects_nest_and_bodies_leave_from_any_depth() -> Result<(), RecvError> {
    let (tx, rx) = unbounded::<i32>();
    let (tx2, rx2) = unbounded::<i32>();
    for i in 0..10 {
        tx.send(i).unwrap();
        tx2.send(i).unwrap();
    }
    let mut n = 0;
    'outer: loop {
        loop {
            select! {
                recv(rx) -> m => {
                    let m = m?;
                    if m == 3 { continue 'outer }
                    select! {
                        recv(rx2) -> k => { n += k?; if n > 10 { break 'outer } }
                        default => break,
                    }
                }
                default => break 'outer,
            }
        }
    }
    let f = || -> Option<i32> {
        select! {
            recv(rx) -> m => Some(m.ok()?),
            default => return None,
        }
    };
    f();
    Ok(())
}

#[test]
fn ends_and_values_are_any_expression() {
    let (tx, rx) = unbounded::<String>();
    let s = String::from("x");
    select! { send(tx, s) -> r => r.unwrap() }
    let b: Box<Receiver<String>> = Box::new(rx.clone());
    select! { recv(b) -> m => drop(m.unwrap()), default => panic!() }
    let arc = std::sync::Arc::new(rx.clone());
    select! { recv(arc) -> m => drop(m), default => {} }
    let v = [rx.clone(), rx.clone()];
    select! { recv(v[0]) -> m => drop(m), recv(v[1]) -> m => drop(m), default => {} }
    let o: Option<&Receiver<String>> = None;
    select! { recv(o) -> m => drop(m), default => {} }
    struct S {
        rx: Receiver<String>,
        o: Option<Sender<String>>,
    }
    let st = S { rx, o: Some(tx) };
    let st = &st;
    select! { recv(st.rx) -> m => drop(m), send(st.o, String::new()) -> r => r.unwrap() }
    select! { recv(&st.rx) -> m => drop(m), recv(&&st.rx) -> m => drop(m) }
    // One arm only moves it.
    let owned = String::from("a");
    let t1 = st.o.clone().unwrap();
    let t2 = st.o.as_ref();
    select! { send(t1, owned) -> r => r.unwrap(), send(t2, owned) -> r => r.unwrap() }
}

#[test]
fn an_async_body_leaves_its_block() {
    let (tx, rx) = unbounded::<i32>();
    let f = move || select! { recv(rx) -> m => m, default => Err(RecvError) };
    tx.send(1).unwrap();
    assert_eq!(f(), Ok(1));
    let (tx, rx) = unbounded::<i32>();
    block_on(async move {
        let r: Result<i32, RecvError> = async {
            loop {
                select_async! {
                    send(tx, 1) -> _ => {}
                    recv(rx) -> m => { if m? == 1 { break Ok(3) } else { continue } }
                    default(D) => return Ok(2),
                }
            }
        }
        .await;
        r.unwrap();
    });
}
